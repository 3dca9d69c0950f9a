// SPDX-License-Identifier: Apache-2.0
/*
 * A TCP proxy before a server: what a network does to somebody, without a restart of anything.
 */
import net from 'node:net';

import { closeAtEnd } from './cleanup.mjs';

export class Link {
  #pairs = new Set();
  #isUp = true;
  #passes = { up: true, down: true };

  static async open(port) {
    const link = new Link();
    link.listener = net.createServer((client) => link.#accept(client, port));
    await new Promise((resolve, reject) => {
      link.listener.once('error', reject);
      link.listener.listen(0, '127.0.0.1', resolve);
    });
    closeAtEnd(() => {
      link.listener.close();
      link.cut();
    });
    return link;
  }

  get page() {
    return `http://127.0.0.1:${this.listener.address().port}/`;
  }

  #accept(client, port) {
    if (!this.#isUp) {
      client.destroy();
      return;
    }
    const server = net.connect({ port, host: '127.0.0.1' });
    const end = () => {
      this.#pairs.delete(end);
      client.destroy();
      server.destroy();
    };
    this.#pairs.add(end);
    this.#carry('up', client, server, end);
    this.#carry('down', server, client, end);
  }

  #carry(direction, from, to, end) {
    from.on('data', (data) => {
      if (this.#passes[direction]) {
        to.write(data);
      }
    });
    from.on('error', end);
    from.on('close', end);
  }

  /* What goes up (to the server) or down is lost from now on, and nobody is told. */
  lose(direction) {
    this.#passes[direction] = false;
  }

  /* All connections are gone, and new ones do not come about. */
  cut() {
    this.#isUp = false;
    this.#pairs.forEach((end) => end());
  }

  mend() {
    this.#isUp = true;
    this.#passes = { up: true, down: true };
  }
}
