// SPDX-License-Identifier: Apache-2.0
/*
 * The thread of honest.mjs: pairs of the npm package centrifuge. One of each pair publishes at a steady
 * rate below every default limit, the other one gets it.
 */
import { createRequire } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';

import { Sdk } from '../e2e/lib/chat.mjs';
import { until } from '../e2e/lib/wait.mjs';

const WebSocket = createRequire(new URL('../e2e/package.json', import.meta.url))('ws');

const EVERY_MS = 40;
const { url, token, ca, pairCount } = workerData;

class TrustingSocket extends WebSocket {
  constructor(address, protocols) {
    super(address, protocols, { ca });
  }
}

class Pair {
  sent = 0;
  got = 0;
  delays = []; /* milliseconds */
  fault = null;

  async start(number) {
    const channel = `honest-${number}`;
    const options = { token, websocket: TrustingSocket };
    this.clients = [await Sdk.connect(url, options), await Sdk.connect(url, options)];
    for (const { centrifuge } of this.clients) {
      centrifuge.on('connecting', ({ code, reason }) => this.fail(`lost its connection: ${code} ${reason}`));
      centrifuge.on('disconnected', ({ code, reason }) => this.fail(`was closed: ${code} ${reason}`));
    }
    const [writer, reader] = this.clients;
    const { subscription } = await reader.subscribe(channel);
    subscription.on('publication', ({ data }) => this.hear(data));
    this.timer = setInterval(() => {
      writer.centrifuge.publish(channel, { number: this.sent, at: performance.now() })
        .catch((error) => this.fail(`was not served: ${error.code} ${error.message}`));
      this.sent += 1;
    }, EVERY_MS);
  }

  fail(why) {
    this.fault ??= why;
  }

  hear({ number, at }) {
    this.delays.push(performance.now() - at);
    if (number !== this.got) {
      this.fail(`got ${number} in the place of ${this.got}`);
    }
    this.got += 1;
  }

  /* All that was said until now has come, and the next one. */
  async caughtUp() {
    const sent = this.sent + 1;
    await until(() => this.fault !== null || this.got >= sent, `${sent} publications, not ${this.got}`)
      .catch((error) => this.fail(error.message));
  }

  takeDelays() {
    return this.delays.splice(0);
  }

  end() {
    clearInterval(this.timer);
    this.fault ??= ''; /* from here on they may be gone */
    this.clients.forEach((client) => client.close());
  }
}

function percentile(values, part) {
  return values.sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];
}

async function take(pairs) {
  await Promise.all(pairs.map((pair) => pair.caughtUp()));
  const fault = pairs.map((pair) => pair.fault).find((one) => one !== null);
  const delays = pairs.flatMap((pair) => pair.takeDelays());
  return fault === undefined ? { count: delays.length, p99: percentile(delays, 0.99) } : { fault };
}

const pairs = Array.from({ length: pairCount }, () => new Pair());
await Promise.all(pairs.map((pair, number) => pair.start(number)));
parentPort.postMessage({});
parentPort.on('message', async (wanted) => {
  const answer = await take(pairs);
  if (wanted === 'stop') {
    pairs.forEach((pair) => pair.end());
  }
  parentPort.postMessage(answer);
  if (wanted === 'stop') {
    parentPort.close();
  }
});
