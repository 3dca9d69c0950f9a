// SPDX-License-Identifier: Apache-2.0
/*
 * The clients of slow.mjs that stop reading: unmodified npm clients that subscribe, and do as they are
 * told by their parent. A process of its own, so that what they cost is not in the others' latencies.
 *
 * Each keeps the offsets that it heard: from its first publication on they must be consecutive,
 * which is "every message once, in order". All of it on one WebSocket, or it has failed.
 */
import process from 'node:process';

import { Centrifuge } from '../tests/e2e/node_modules/centrifuge/build/index.js';
import WebSocket from '../tests/e2e/node_modules/ws/wrapper.mjs';

const TOGETHER = 100; /* under way at once while they connect */

class Reader {
  constructor(url, channel) {
    this.sockets = [];
    this.last = 0; /* offset */
    this.heard = 0;
    this.faults = 0;
    this.told = 0; /* to subscribe again */
    const { sockets } = this;
    class Kept extends WebSocket {
      constructor(...args) {
        super(...args);
        sockets.push(this);
      }
    }
    this.client = new Centrifuge(url, { websocket: Kept, timeout: 60000 });
    this.subscription = this.client.newSubscription(channel);
    this.subscription.on('publication', ({ offset }) => {
      this.faults += this.last !== 0 && offset !== this.last + 1 ? 1 : 0;
      this.last = offset;
      this.heard += 1;
    });
    this.subscription.on('subscribing', ({ code }) => { this.told += code === 2500 ? 1 : 0; });
    this.subscription.on('subscribed', ({ wasRecovering, recovered, streamPosition }) => {
      this.faults += wasRecovering && !recovered ? 1 : 0;
      this.last = this.last === 0 ? streamPosition.offset : this.last;
    });
  }

  connect() {
    const subscribed = new Promise((resolve) => this.subscription.once('subscribed', resolve));
    this.subscription.subscribe();
    this.client.connect();
    return subscribed;
  }
}

const readers = [];

async function connect({ url, channel, count }) {
  while (readers.length < count) {
    const some = Array.from({ length: Math.min(TOGETHER, count - readers.length) },
      () => new Reader(url, channel));
    await Promise.all(some.map((one) => one.connect()));
    readers.push(...some);
  }
}

/* Until all of them are where the channel is. */
async function resume({ offset, seconds }) {
  const end = Date.now() + seconds * 1000;
  readers.forEach((one) => one.sockets[0].resume());
  while (Date.now() < end && readers.some((one) => one.last < offset)) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    complete: readers.filter((one) => one.last === offset && one.faults === 0).length,
    heard: readers.reduce((sum, one) => sum + one.heard, 0),
    told: readers.reduce((sum, one) => sum + one.told, 0),
    faults: readers.reduce((sum, one) => sum + one.faults, 0),
    sockets: readers.reduce((sum, one) => sum + one.sockets.length, 0),
  };
}

process.on('message', async (message) => {
  if (message.do === 'connect') {
    await connect(message);
    process.send({});
  } else if (message.do === 'pause') {
    readers.forEach((one) => one.sockets[0].pause());
    process.send({});
  } else if (message.do === 'resume') {
    process.send(await resume(message));
  } else {
    process.exit(0);
  }
});
process.on('disconnect', () => process.exit(0));
