// SPDX-License-Identifier: Apache-2.0
/*
 * The thread of honest.mjs: pairs of the npm package centrifuge. One of each pair publishes at a
 * steady rate below every default limit, the other one gets it. Pairs with the same number, one at
 * each server, speak at the same moment.
 */
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';

import { Sdk } from '../e2e/lib/chat.mjs';
import { until } from '../e2e/lib/wait.mjs';

const WebSocket = createRequire(new URL('../e2e/package.json', import.meta.url))('ws');

const EVERY_MS = 10; /* the next pair speaks */
const { urls, token, ca, pairCount } = workerData;

class TrustingSocket extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { ca });
  }
}

class Pair {
  sent = 0;
  got = 0;
  samples = [];
  fault = null;

  constructor(url, number) {
    this.url = url;
    this.channel = `honest-${number}`;
  }

  async start() {
    const options = { token, websocket: TrustingSocket };
    this.clients = [await Sdk.connect(this.url, options), await Sdk.connect(this.url, options)];
    for (const { centrifuge } of this.clients) {
      centrifuge.on('connecting', ({ code, reason }) => (
        this.fail(`lost its connection: ${code} ${reason}`)));
      centrifuge.on('disconnected', ({ code, reason }) => (
        this.fail(`was closed: ${code} ${reason}`)));
    }
    const { subscription } = await this.clients[1].subscribe(this.channel);
    subscription.on('publication', ({ data }) => this.hear(data));
  }

  speak(at) {
    this.clients[0].centrifuge.publish(this.channel, { number: this.sent, at })
      .catch((error) => this.fail(`was not served: ${error.code} ${error.message}`));
    this.sent += 1;
  }

  fail(why) {
    this.fault ??= `${this.url}: ${why}`;
  }

  hear({ number, at }) {
    this.samples.push([at, performance.now() - at]);
    if (number !== this.got) {
      this.fail(`got ${number} in the place of ${this.got}`);
    }
    this.got += 1;
  }

  /* All that was said until now has come, and the next one. */
  async caughtUp() {
    const sent = this.sent + 1;
    await until(() => this.fault !== null || this.got >= sent, `${sent} publications`)
      .catch((error) => this.fail(`${error.message}: ${this.got}`));
  }

  end() {
    this.fault ??= ''; /* from here on they may be gone */
    this.clients.forEach((client) => client.close());
  }
}

const numbers = Array.from({ length: pairCount }, (_, number) => number);
const groups = urls.map((url) => numbers.map((number) => new Pair(url, number)));
await Promise.all(groups.flat().map((pair) => pair.start()));

let turn = 0;
const timer = setInterval(() => {
  const at = performance.now();
  const both = groups.map((group) => group[turn % pairCount]);
  const isEven = Math.floor(turn / pairCount) % 2 === 0; /* nobody is always first */
  (isEven ? both : both.reverse()).forEach((pair) => pair.speak(at));
  turn += 1;
}, EVERY_MS);

async function take() {
  await Promise.all(groups.flat().map((pair) => pair.caughtUp()));
  const fault = groups.flat().map((pair) => pair.fault).find((one) => one !== null);
  const samples = groups.map((group) => group.flatMap((pair) => pair.samples.splice(0))
    .sort((a, b) => a[0] - b[0]));
  return fault === undefined ? { samples } : { fault };
}

parentPort.on('message', async (wanted) => {
  const answer = await take();
  if (wanted === 'stop') {
    clearInterval(timer);
    groups.flat().forEach((pair) => pair.end());
  }
  parentPort.postMessage(answer);
  if (wanted === 'stop') {
    parentPort.close();
  }
});
parentPort.postMessage({});
