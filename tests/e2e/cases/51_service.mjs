// SPDX-License-Identifier: Apache-2.0
/*
 * parleyd under a service manager: what it says to the manager's socket, which a script stands in for.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

import { RawChat } from '../lib/chat.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import { request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { Server } from '../lib/server.mjs';
import { Mailbox, SLOWNESS, within } from '../lib/wait.mjs';

const MANAGER = fileURLToPath(new URL('../lib/notify.py', import.meta.url));

/*
 * A reactor is asked each quarter of it, and has turned at the next time: on a full machine the kernel
 * lets a thread wait for some hundred milliseconds.
 */
const WATCHDOG_US = 3e6 * SLOWNESS;

/* Its messages are in `heard`; each is an object of its lines. */
async function startManager(directory) {
  const socket = path.join(directory, 'notify');
  const child = spawn('python3', [MANAGER, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
  closeAtEnd(() => child.kill('SIGKILL'));
  const heard = new Mailbox('the manager');
  readline.createInterface({ input: child.stdout }).on('line', (line) => {
    heard.put(Object.fromEntries(JSON.parse(line).split('\n').map((one) => {
      const [key, ...value] = one.split('=');
      return [key, value.join('=')];
    })));
  });
  assert.deepEqual(await heard.take('to listen'), { listening: '' });
  return { socket, heard };
}

async function untilHeard(heard, key) {
  for (;;) {
    const message = await heard.take(key);
    if (key in message) {
      return message;
    }
  }
}

async function tellsItsManager(_, point) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-service-'));
  const { socket, heard } = await startManager(directory);
  const server = await Server.start({
    ...point,
    command: ['env', `NOTIFY_SOCKET=${socket}`, `WATCHDOG_USEC=${WATCHDOG_US}`],
    config: { client: { insecure: true }, store: { engine: 'rocksdb', path: path.join(directory, 'store') } },
  });
  const ready = await untilHeard(heard, 'READY');
  assert.match(ready.STATUS, /^\d+ connections, \d+ channels, \d+ subscriptions; ready$/);
  assert.equal((await request(server.internalPort, 'GET', '/ready')).status, 200, 'ready is ready');
  /* Nobody is connected and nothing happens, but the reactors are asked. */
  for (let i = 0; i < 3; i += 1) {
    assert.equal((await untilHeard(heard, 'WATCHDOG')).WATCHDOG, '1');
  }
  assert.doesNotMatch(server.log(), /does not turn/);
  server.kill('SIGHUP');
  const reloading = await untilHeard(heard, 'RELOADING');
  assert.equal(reloading.RELOADING, '1');
  assert.match(reloading.MONOTONIC_USEC, /^\d+$/);
  assert.equal((await untilHeard(heard, 'READY')).READY, '1');
  const chat = await RawChat.connect(server);
  server.kill('SIGTERM');
  const stopping = await untilHeard(heard, 'STOPPING');
  assert.equal(stopping.EXTEND_TIMEOUT_USEC, String((25 + 5 + 10) * 1e6));
  assert.match(stopping.STATUS, /^Draining: /);
  await chat.expectClose(3001, 'shutdown');
  assert.deepEqual(await within(server.exited, 'the exit'), { status: 0, signal: null });
  fs.rmSync(directory, { recursive: true, force: true });
}

/* A manager that is not there is no reason not to serve. */
async function withoutItsManager(_, point) {
  const server = await Server.start({
    ...point, command: ['env', 'NOTIFY_SOCKET=/nonexistent/notify'], config: { client: { insecure: true } },
  });
  assert.equal((await request(server.internalPort, 'GET', '/ready')).status, 200);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  assert.match(server.log(), /no way to NOTIFY_SOCKET.*No such file/);
}

group({
  name: 'service',
  on: 'once',
  server: false,
  cases: [
    ['tells its manager', tellsItsManager],
    ['a manager that is not there', withoutItsManager],
  ],
});
