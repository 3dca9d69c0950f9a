// SPDX-License-Identifier: Apache-2.0
/*
 * An address that a server under attack fetches something from: it counts who asks, and answers
 * whatever an attacker would have it answer, byte by byte if need be.
 */
import net from 'node:net';

import { within } from '../e2e/lib/wait.mjs';

/* A whole answer. */
export function answerOf(body, status = '200 OK', headers = '') {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return `HTTP/1.1 ${status}\r\nContent-Length: ${text.length}\r\n${headers}\r\n${text}`;
}

export class Endpoint {
  /* answer(socket) is called when there was a request. It stays until stop(). */
  static async start(answer) {
    const endpoint = Object.assign(new Endpoint(), { asked: 0, answer });
    endpoint.firstAsked = new Promise((resolve) => { endpoint.onFirst = resolve; });
    endpoint.firstGone = new Promise((resolve) => { endpoint.onGone = resolve; });
    endpoint.sockets = new Set();
    endpoint.listener = net.createServer((socket) => endpoint.#take(socket));
    await new Promise((resolve) => { endpoint.listener.listen(0, '127.0.0.1', resolve); });
    endpoint.url = `http://127.0.0.1:${endpoint.listener.address().port}/keys`;
    return endpoint;
  }

  #take(socket) {
    this.sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      this.sockets.delete(socket);
      this.onGone();
    });
    socket.once('data', () => {
      this.asked += 1;
      this.firstAt ??= Date.now();
      this.onFirst();
      this.answer(socket);
    });
  }

  untilAsked() {
    return within(this.firstAsked, 'the endpoint to be asked');
  }

  untilLeft() {
    return within(this.firstGone, 'the endpoint to be given up');
  }

  stop() {
    this.listener.close();
    this.sockets.forEach((socket) => socket.destroy());
  }
}
