// SPDX-License-Identifier: Apache-2.0
/*
 * Honest clients of some servers, all in one thread which does nothing else.
 */
import { Worker } from 'node:worker_threads';

import { Mailbox } from '../e2e/lib/wait.mjs';

export const PAIRS = 4; /* of each server, so that each reactor has some */

export class Honest {
  /* options: token, ca (PEM): as honest_worker.mjs uses them */
  static async start(servers, options = {}) {
    const honest = new Honest();
    honest.answers = new Mailbox('honest clients');
    const urls = servers.map(({ url }) => (
      options.ca ? url.replace('ws://127.0.0.1', 'wss://localhost') : url));
    honest.worker = new Worker(new URL('./honest_worker.mjs', import.meta.url),
      { workerData: { urls, pairCount: PAIRS, ...options } });
    honest.worker.on('message', (answer) => honest.answers.put(answer));
    honest.worker.on('error', (error) => honest.answers.end(error.stack));
    honest.worker.on('exit', () => honest.answers.end('its thread ended'));
    await honest.#answer('honest clients to be connected');
    return honest;
  }

  async #answer(what) {
    const answer = await this.answers.take(what, 60000);
    if (answer.fault !== undefined) {
      throw new Error(`an honest client: ${answer.fault}`);
    }
    return answer;
  }

  /*
   * Sees that all that was said until now has come, and what is said next, once and in order, over
   * their first connections. For each server what was said since the last time, as
   * [[when, delay], ...] in milliseconds.
   */
  async take() {
    this.worker.postMessage('take');
    return (await this.#answer('everything that honest clients said to come')).samples;
  }

  async stop() {
    this.worker.postMessage('stop');
    await this.#answer('honest clients to go');
  }

  kill() {
    return this.worker.terminate();
  }
}
