// SPDX-License-Identifier: Apache-2.0
/*
 * A TCP proxy that does what networks do: resets, links of which one end is gone, readers that stall.
 * A link holds what the sockets of Node hold, and stops reading one side while the other does not take it.
 */
import net from 'node:net';

class Link {
  constructor(client, port) {
    this.client = client;
    this.server = net.connect({ port, host: '127.0.0.1', noDelay: true });
    this.state = 'open';
    this.ended = false;
    this.client.setNoDelay(true);
    this.client.pipe(this.server);
    this.server.pipe(this.client);
    for (const socket of [this.client, this.server]) {
      socket.on('error', () => this.reset());
      socket.on('close', () => this.closed());
    }
  }

  /* A half-open link keeps its living end: the peer has to find out by itself. */
  closed() {
    if (this.state !== 'half-open') {
      this.reset();
    }
  }

  reset() {
    if (!this.ended) {
      this.ended = true;
      this.client.resetAndDestroy();
      this.server.resetAndDestroy();
    }
  }

  /* One end is cut; nothing comes from the other any more, and nothing gets there. */
  halve(survivor) {
    if (this.state !== 'open' || this.ended) {
      return;
    }
    this.state = 'half-open';
    this.client.unpipe(this.server);
    this.server.unpipe(this.client);
    const [dead, alive] = survivor === 'server' ? [this.client, this.server] : [this.server, this.client];
    dead.resetAndDestroy();
    alive.resume();
    alive.on('close', () => this.reset());
  }

  /* Nothing of the server is read: what it sends fills the kernel's buffers, then its own queue. */
  slow() {
    if (this.state === 'open' && !this.ended) {
      this.state = 'slow';
      this.server.unpipe(this.client);
      this.server.pause();
    }
  }

  resume() {
    if (this.state === 'slow' && !this.ended) {
      this.state = 'open';
      this.server.pipe(this.client);
    }
  }
}

export class FaultProxy {
  #links = new Set();

  /* Links to `targetPort` of this machine; nobody need listen there. */
  static async open(targetPort) {
    const proxy = new FaultProxy();
    proxy.server = net.createServer((client) => proxy.#accept(client, targetPort));
    await new Promise((resolve, reject) => {
      proxy.server.once('error', reject);
      proxy.server.listen(0, '127.0.0.1', 1024, resolve);
    });
    return proxy;
  }

  #accept(client, port) {
    const link = new Link(client, port);
    this.#links.add(link);
    client.on('close', () => this.#forget(link));
    link.server.on('close', () => this.#forget(link));
  }

  #forget(link) {
    if (link.ended) {
      this.#links.delete(link);
    }
  }

  get port() {
    return this.server.address().port;
  }

  /* Links that nothing is done to at the moment. */
  get links() {
    return [...this.#links].filter((link) => link.state === 'open' && !link.ended);
  }

  /* Everything works again; what cannot is reset. */
  heal() {
    for (const link of [...this.#links]) {
      link.resume();
      if (link.state === 'half-open') {
        link.reset();
      }
    }
  }

  close() {
    this.server.close();
    this.#links.forEach((link) => link.reset());
  }
}
