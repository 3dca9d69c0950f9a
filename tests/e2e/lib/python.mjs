// SPDX-License-Identifier: Apache-2.0
/*
 * Debian's python3-websockets against a server: a part of cases/clients.py, as a case.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { PATIENCE_MS, within } from './wait.mjs';

const SCRIPT = fileURLToPath(new URL('../cases/clients.py', import.meta.url));

export function python(part) {
  return async (server) => {
    const child = spawn('/usr/bin/python3', [SCRIPT, part, server.url, server.echoUrl],
      { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => { output += data; });
    child.stderr.on('data', (data) => { output += data; });
    const ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    try {
      const status = await within(ended, `clients.py ${part}`, 2 * PATIENCE_MS);
      assert.equal(status, 0, output);
      assert.match(output, /\d+ facts hold/, output);
    } finally {
      child.kill('SIGKILL');
    }
  };
}
