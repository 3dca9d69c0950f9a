// SPDX-License-Identifier: Apache-2.0
/*
 * Debian's python3-websockets: see clients.py.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { group } from '../lib/runner.mjs';
import { within } from '../lib/wait.mjs';

const SCRIPT = fileURLToPath(new URL('./clients.py', import.meta.url));

function part(name) {
  return async (server) => {
    const child = spawn('/usr/bin/python3', [SCRIPT, name, server.url, server.echoUrl],
      { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (data) => { output += data; });
    child.stderr.on('data', (data) => { output += data; });
    const ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    try {
      const status = await within(ended, `clients.py ${name}`);
      assert.equal(status, 0, output);
      assert.match(output, /\d+ facts hold/, output);
    } finally {
      child.kill('SIGKILL');
    }
  };
}

group({
  name: 'python websockets',
  on: 'matrix',
  server: {
    config: {
      client: { insecure: true, control_rate: 1000, control_burst: 1000 },
      echo: { enabled: true },
    },
  },
  cases: [
    ['echo', part('echo')],
    ['close codes', part('close')],
    ['chat', part('chat')],
  ],
});
