// SPDX-License-Identifier: Apache-2.0
/*
 * Attackers that are programs of Debian.
 */
import { spawn } from 'node:child_process';

import { closeAtEnd } from '../e2e/lib/cleanup.mjs';
import { PATIENCE_MS, within } from '../e2e/lib/wait.mjs';

/* All that it printed, without colours; null: it is not installed. */
export async function outputOf(program, args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  closeAtEnd(() => child.kill('SIGKILL'));
  let said = '';
  const hear = (data) => { said += data; };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = new Promise((resolve) => {
    child.once('error', ({ code }) => resolve(code));
    child.once('close', resolve);
  });
  const status = await within(ended, `${program} to end`, 6 * PATIENCE_MS)
    .catch((error) => { throw new Error(`${error.message}: ${said}`); });
  return status === 'ENOENT' ? null : said.replace(/\x1b\[[0-9;]*[A-Za-z]/g, '');
}
