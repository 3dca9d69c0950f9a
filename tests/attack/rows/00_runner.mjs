// SPDX-License-Identifier: Apache-2.0
/*
 * A server that does starve its clients, as often as it is stopped: who compares has to see it.
 */
import { sleep } from '../../e2e/lib/wait.mjs';

async function stalls(server) {
  server.kill('SIGSTOP');
  await sleep(250);
  server.kill('SIGCONT');
  await sleep(50);
}

export const ROWS = [
  { row: 0, name: 'planted starvation is seen', options: { server: 'plain', starves: true },
    attack: stalls },
];
