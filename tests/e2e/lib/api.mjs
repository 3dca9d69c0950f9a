// SPDX-License-Identifier: Apache-2.0
/*
 * A back end in Node, as people write it: node:http with an agent that keeps its connections, and a
 * stream of commands.
 */
import assert from 'node:assert/strict';
import http from 'node:http';

import { closeAtEnd } from './cleanup.mjs';
import { Mailbox, within } from './wait.mjs';

export class BackEnd {
  constructor(server, { key = null, sockets = 1 } = {}) {
    this.port = server.internalPort;
    this.headers = key === null ? {} : { 'X-API-Key': key };
    this.agent = new http.Agent({ keepAlive: true, maxSockets: sockets });
    this.sockets = new Set();
    closeAtEnd(() => this.close());
  }

  /* {status, headers, text}; the body may be a string, a Buffer, or a function that writes it. */
  post(path, body, headers = {}) {
    return within(new Promise((resolve, reject) => {
      const request = http.request({
        host: '127.0.0.1', port: this.port, path, method: 'POST', agent: this.agent,
        headers: { ...this.headers, ...headers },
      }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (data) => { text += data; });
        response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, text }));
        response.on('error', reject);
      });
      request.on('socket', (socket) => this.sockets.add(socket));
      request.on('error', reject);
      if (typeof body === 'function') {
        body(request);
      } else {
        request.end(body);
      }
    }), `POST ${path}`);
  }

  /* The whole answer: {result} or {error}, or {replies}. */
  async call(method, params) {
    const { status, headers, text } = await this.post(`/api/${method}`, JSON.stringify(params));
    assert.equal(status, 200, text);
    assert.equal(headers['content-type'], 'application/json');
    return JSON.parse(text);
  }

  async result(method, params) {
    const answer = await this.call(method, params);
    assert.deepEqual(Object.keys(answer), ['result'], JSON.stringify(answer));
    return answer.result;
  }

  async error(method, params) {
    const answer = await this.call(method, params);
    assert.deepEqual(Object.keys(answer), ['error'], JSON.stringify(answer));
    assert.equal(typeof answer.error.message, 'string');
    return answer.error.code;
  }

  async batch(commands, options = {}) {
    return (await this.call('batch', { commands, ...options })).replies;
  }

  close() {
    this.agent.destroy();
  }
}

/* Commands on one connection, a line each, and what is answered to them. */
export class Stream {
  static async open(server, { key = null } = {}) {
    const stream = new Stream();
    stream.lines = new Mailbox('lines');
    stream.request = http.request({
      host: '127.0.0.1', port: server.internalPort, path: '/api', method: 'POST', agent: false,
      headers: {
        'Content-Type': 'application/x-ndjson', ...(key === null ? {} : { 'X-API-Key': key }),
      },
    });
    closeAtEnd(() => stream.request.destroy());
    const answered = new Promise((resolve, reject) => {
      stream.request.on('response', resolve);
      stream.request.on('error', (error) => {
        stream.lines.end(error.message);
        reject(error);
      });
    });
    stream.request.flushHeaders();
    stream.response = await within(answered, 'the head of a stream');
    let rest = '';
    stream.response.setEncoding('utf8');
    stream.response.on('data', (data) => {
      const parts = (rest + data).split('\n');
      rest = parts.pop();
      parts.forEach((line) => stream.lines.put(JSON.parse(line)));
    });
    stream.ended = new Promise((resolve) => {
      stream.response.on('end', () => resolve('end'));
      stream.response.on('error', () => resolve('error'));
    });
    stream.ended.then((how) => stream.lines.end(how));
    return stream;
  }

  write(command) {
    return this.request.write(`${typeof command === 'string' ? command : JSON.stringify(command)}\n`);
  }

  take(what = 'an answer') {
    return this.lines.take(what);
  }

  takeMany(count, what = 'answers') {
    return this.lines.takeMany(count, what);
  }

  /* The end of our side; the server's comes when everything is answered. */
  async end() {
    this.request.end();
    assert.equal(await within(this.ended, 'the end of a stream'), 'end');
  }
}
