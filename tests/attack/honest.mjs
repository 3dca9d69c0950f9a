// SPDX-License-Identifier: Apache-2.0
/*
 * Honest clients beside an attack, in a thread of their own: what the attacker's costs is not their delay.
 */
import { Worker } from 'node:worker_threads';

import { Mailbox } from '../e2e/lib/wait.mjs';

export const PAIRS = 4; /* so that each reactor has some */

export class Honest {
  /* options: token, ca (PEM): as honest_worker.mjs uses them */
  static async start(server, options = {}) {
    const honest = new Honest();
    honest.answers = new Mailbox('honest clients');
    honest.worker = new Worker(new URL('./honest_worker.mjs', import.meta.url),
      { workerData: { url: options.ca ? server.url.replace('ws://127.0.0.1', 'wss://localhost') : server.url,
        pairCount: PAIRS, ...options } });
    honest.worker.on('message', (answer) => honest.answers.put(answer));
    honest.worker.on('error', (error) => honest.answers.end(error.stack));
    honest.worker.on('exit', () => honest.answers.end('its thread ended'));
    await honest.#answer('honest clients to be connected');
    return honest;
  }

  async #answer(what) {
    const answer = await this.answers.take(what);
    if (answer.fault !== undefined) {
      throw new Error(`an honest client: ${answer.fault}`);
    }
    return answer;
  }

  /*
   * Sees that all that was said until now has come, and what is said next, once and in order, over their first connections.
   * How long that took since the last time: {count, p99}, in milliseconds.
   */
  take() {
    this.worker.postMessage('take');
    return this.#answer('everything that honest clients said to come');
  }

  async stop() {
    this.worker.postMessage('stop');
    await this.#answer('honest clients to go');
  }

  kill() {
    return this.worker.terminate();
  }
}
