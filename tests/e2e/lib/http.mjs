// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP over a socket of our own, so that a test decides about every byte.
 */
import assert from 'node:assert/strict';
import net from 'node:net';

import { closeAtEnd } from './cleanup.mjs';
import { Mailbox, PATIENCE_MS, within } from './wait.mjs';

/* A connection that remembers everything that came, and how it ended: 'end', 'reset'. */
export class Wire {
  /* `options`: further ones of net.connect(), such as localAddress. */
  static async open(port, options = {}) {
    const wire = new Wire();
    const socket = net.connect({
      port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true, ...options,
    });
    wire.socket = socket;
    closeAtEnd(() => socket.destroy());
    wire.received = Buffer.alloc(0);
    wire.ended = null;
    wire.news = new Mailbox('wire');
    wire.whenEnded = new Promise((resolve) => {
      const finish = (how) => {
        wire.ended ??= how;
        wire.news.put(null);
        resolve(wire.ended);
      };
      socket.on('end', () => finish('end'));
      socket.on('error', () => finish('reset'));
      socket.on('close', () => finish('reset'));
    });
    socket.on('data', (data) => {
      wire.received = wire.received.length === 0 ? data : Buffer.concat([wire.received, data]);
      wire.news.put(null);
    });
    await within(new Promise((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    }), 'a connection');
    return wire;
  }

  write(data) {
    this.socket.write(data);
  }

  /* One byte (or `size`) at a time, each in a segment of its own as far as TCP lets us say so. */
  async writeChopped(data, size = 1) {
    const bytes = Buffer.from(data, 'latin1');
    for (let at = 0; at < bytes.length; at += size) {
      this.socket.write(bytes.subarray(at, at + size));
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /* More bytes, or the end. */
  async more(what, ms = PATIENCE_MS) {
    if (this.ended !== null) {
      throw new Error(`the connection ended (${this.ended}) before ${what}; it had said: ${
        JSON.stringify(this.received.toString('latin1').slice(0, 300))}`);
    }
    await this.news.take(what, ms);
  }

  take(size) {
    const taken = this.received.subarray(0, size);
    this.received = this.received.subarray(size);
    return taken;
  }

  /* Reads one response; 101 and answers to HEAD have no body. */
  async response({ isHead = false } = {}) {
    let end;
    while ((end = this.received.indexOf('\r\n\r\n')) < 0) {
      await this.more('a response head');
    }
    const head = this.take(end + 4).toString('latin1');
    const [statusLine, ...lines] = head.slice(0, -4).split('\r\n');
    const status = statusLine.match(/^HTTP\/1\.1 (\d{3}) [ -~]+$/);
    assert.ok(status, `a status line: ${statusLine}`);
    const headers = new Map();
    for (const line of lines) {
      const field = line.match(/^([A-Za-z0-9-]+): ([ -~]*)$/);
      assert.ok(field, `a header: ${line}`);
      const name = field[1].toLowerCase();
      /* A list may come in several lines; ours is the only one that does. */
      assert.ok(!headers.has(name) || name === 'connection', `header ${name} once`);
      headers.set(name, headers.has(name) ? `${headers.get(name)}, ${field[2]}` : field[2]);
    }
    const response = { status: Number(status[1]), headers, head, body: Buffer.alloc(0) };
    if (response.status !== 101 && response.status !== 204) {
      assert.ok(headers.has('content-length'), `Content-Length in ${statusLine}`);
    }
    const size = isHead || response.status === 101 ? 0 : Number(headers.get('content-length') ?? 0);
    while (this.received.length < size) {
      await this.more('a response body');
    }
    response.body = this.take(size);
    return response;
  }

  /* The peer closes, having said nothing more. */
  async closed(what = 'the server to close') {
    const how = await within(this.whenEnded, what);
    assert.equal(this.received.toString('latin1'), '', 'nothing more was said');
    this.destroy();
    return how;
  }

  destroy() {
    this.socket.destroy();
  }
}

export function head(method, target, headers = {}) {
  const fields = { Host: '127.0.0.1', ...headers };
  const lines = Object.entries(fields).flatMap(([name, value]) => (value === null ? []
    : [value].flat().map((one) => `${name}: ${one}\r\n`)));
  return `${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

export const UPGRADE = {
  Upgrade: 'websocket',
  Connection: 'Upgrade',
  'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'Sec-WebSocket-Version': '13',
};

/* One request on a connection of its own. */
export async function request(port, method, target, headers = {}) {
  const wire = await Wire.open(port);
  try {
    wire.write(head(method, target, headers));
    return await wire.response({ isHead: method === 'HEAD' });
  } finally {
    wire.destroy();
  }
}

/* Any bytes on a connection of their own: the first response, and that the server closes then. */
export async function exchange(port, bytes, { chopped = false } = {}) {
  const wire = await Wire.open(port);
  try {
    if (chopped) {
      await wire.writeChopped(bytes);
    } else {
      wire.write(Buffer.from(bytes, 'latin1'));
    }
    const response = await wire.response();
    return { response, wire };
  } catch (error) {
    wire.destroy();
    throw error;
  }
}
