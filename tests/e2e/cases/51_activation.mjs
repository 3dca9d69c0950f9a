// SPDX-License-Identifier: Apache-2.0
/*
 * Sockets that a service manager has opened and keeps, while parleyd comes and goes. A script stands in
 * for the manager.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import readline from 'node:readline';
import { fileURLToPath } from 'node:url';

import { RawChat } from '../lib/chat.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import { group } from '../lib/runner.mjs';
import { Server, findPorts, runParleyd, writeConfig } from '../lib/server.mjs';
import { until, within } from '../lib/wait.mjs';

const MANAGER = fileURLToPath(new URL('../lib/sockets.py', import.meta.url));
const CLIENTS = 24;

function folder() {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-activation-'));
  closeAtEnd(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

/* Opens the sockets and holds them. Returns what runs a command with them. */
async function hold(...places) {
  const control = path.join(folder(), 'control');
  const child = spawn('python3', [MANAGER, 'hold', control, ...places.map(String)],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  closeAtEnd(() => child.kill('SIGKILL'));
  const lines = readline.createInterface({ input: child.stdout });
  await within(new Promise((resolve) => { lines.once('line', resolve); }), 'the manager');
  return ['python3', MANAGER, 'run', control];
}

/* A client that has connected, and whose request waits. Returns how it is answered. */
async function wait(place) {
  const socket = net.connect(place);
  closeAtEnd(() => socket.destroy());
  const answered = new Promise((resolve) => {
    socket.once('data', (data) => resolve(data.toString('latin1').split('\r\n')[0]));
    socket.once('error', (error) => resolve(error.code));
    socket.once('close', () => resolve('closed'));
  });
  await within(new Promise((resolve) => { socket.once('connect', resolve); }), 'a place in the queue');
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  return { answered };
}

async function spreads(server) {
  const chats = [];
  for (let i = 0; i < CLIENTS; i += 1) {
    chats.push(await RawChat.connect(server));
  }
  const metrics = await server.metrics();
  for (const reactor of [0, 1]) {
    const share = metrics.value(`parley_reactor_connections{reactor="${reactor}"}`);
    assert.ok(share >= CLIENTS / 4, `${share} of ${CLIENTS} on reactor ${reactor}`);
  }
  return chats;
}

/* Those who come while it drains, and while nobody is there, are served by the next one. */
async function staysOverRestarts(_, point) {
  const ports = await findPorts();
  const file = path.join(folder(), 'clients.sock');
  const server = await Server.start({
    ...point, ports, command: await hold(ports.port, file),
    config: { client: { insecure: true }, http_server: { listeners: [{ path: file }] } },
  });
  await until(() => /event=activated .*inherited=2 opened=1/.test(server.log()), 'a line about it');
  const chats = await spreads(server);
  server.kill('SIGTERM');
  await Promise.all(chats.map((chat) => chat.expectClose(3001, 'shutdown')));
  const places = [{ port: ports.port, host: '127.0.0.1' }, { path: file }];
  const waiting = [await wait(places[0]), await wait(places[1])];
  assert.deepEqual(await within(server.exited, 'the exit'), { status: 0, signal: null });
  for (let i = 0; i < CLIENTS; i += 1) {
    waiting.push(await wait(places[i % 2]));
  }
  await server.restart();
  for (const { answered } of waiting) {
    assert.equal(await within(answered, 'an answer'), 'HTTP/1.1 200 OK');
  }
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  assert.ok(fs.existsSync(file), 'the file is the manager\'s');
}

/* The same without an end that was asked for. */
async function staysOverDeath(_, point) {
  const ports = await findPorts();
  const server = await Server.start({
    ...point, ports, command: await hold(ports.port), config: { client: { insecure: true } },
  });
  server.kill('SIGKILL');
  await server.exited;
  const { answered } = await wait({ port: ports.port, host: '127.0.0.1' });
  await server.restart();
  assert.equal(await within(answered, 'an answer'), 'HTTP/1.1 200 OK');
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
}

group({
  name: 'activation',
  on: 'backends',
  server: false,
  cases: [['over restarts', staysOverRestarts], ['over a death', staysOverDeath]],
});

async function refusals() {
  const { port, internalPort } = await findPorts();
  const { port: other } = await findPorts();
  const file = path.join(folder(), 'a.sock');
  const config = writeConfig('activation.json', JSON.stringify({ http_server: { port, internal_port: internalPort } }));
  for (const [places, why] of [
    [[port, file], `descriptor 4 (s1) belongs to no listener of the configuration: ${file}`],
    [[other], `descriptor 3 (s0) belongs to no listener of the configuration: 127.0.0.1:${other}`],
    [[`udp:${port}`], 'descriptor 3 (s0) is no listening stream socket: Socket type not supported'],
  ]) {
    const command = await hold(...places);
    const { status, stderr } = await runParleyd(['--config', config], { command });
    assert.equal(status, 1);
    assert.ok(stderr.endsWith(`parleyd: LISTEN_FDS: ${why}\n`), stderr);
  }
  assert.ok(fs.existsSync(file));
}

group({ name: 'activation, refusals', server: false, cases: [['what belongs to nobody', refusals]] });
