// SPDX-License-Identifier: Apache-2.0
/*
 * Far more handshakes than the server can do.
 */
import { Worker } from 'node:worker_threads';

import { closeAtEnd } from '../e2e/lib/cleanup.mjs';
import { within } from '../e2e/lib/wait.mjs';

const AT_ONCE = 128;

/*
 * options: hello (the bytes), localAddress, ms, patienceMs (for an answer). How many were begun,
 * answered, reset by the server, and left by who had waited long enough.
 */
export function flood(server, options) {
  const worker = new Worker(new URL('./flood_worker.mjs', import.meta.url),
    { workerData: { port: server.port, atOnce: AT_ONCE, ...options } });
  closeAtEnd(() => worker.terminate());
  return within(new Promise((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  }), 'the flood to end', options.ms + 15000);
}
