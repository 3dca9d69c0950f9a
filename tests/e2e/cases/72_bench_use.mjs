// SPDX-License-Identifier: Apache-2.0
/*
 * parley-bench in the hands of a person: what cannot work is said before it begins, why something
 * failed is said in words, and who stops it has the report of what there was until then.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';

import { WebSocketServer } from 'ws';

import { UNHURRIED_DRAIN, runBench } from '../lib/bench.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import { group } from '../lib/runner.mjs';
import { settings } from '../lib/server.mjs';
import { IS_SANITIZED, PATIENCE_MS, within } from '../lib/wait.mjs';

const SHORT = ['--warmup', '0', '-d', '0.3'];
const CHROMIUM = '/usr/bin/chromium';

/* npm ws, which hands out its messages. */
async function startWs(onMessage, options = {}) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options });
  const stop = () => {
    server.clients.forEach((client) => client.terminate());
    server.close();
  };
  closeAtEnd(stop);
  await new Promise((resolve) => { server.once('listening', resolve); });
  let count = 0;
  server.on('connection', (socket) => {
    socket.on('error', () => {});
    socket.on('message', (data) => {
      count += 1;
      onMessage(data.toString(), (out) => socket.send(out), count, stop);
    });
  });
  return `ws://127.0.0.1:${server.address().port}/`;
}

async function startTcp(onConnection) {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    onConnection(socket);
  });
  const sockets = new Set();
  server.on('connection', (socket) => sockets.add(socket));
  closeAtEnd(() => {
    sockets.forEach((socket) => socket.destroy());
    server.close();
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  return `ws://127.0.0.1:${server.address().port}/`;
}

/* -- before it begins -------------------------------------------------------------------------- */

async function refuses(args, reason, more = {}) {
  let connections = 0;
  const url = await startTcp(() => { connections += 1; });
  const run = await runBench(['echo', url, ...SHORT, ...args], more);
  assert.equal(run.status, 1, run.stdout);
  assert.match(run.stderr, reason);
  assert.equal(run.stderr.trim().split('\n').length, 1, run.stderr);
  assert.equal(connections, 0);
  assert.equal(run.json, null);
}

async function filesFirst() {
  await refuses(['--html', '/nowhere/x.html'], /\/nowhere\/x.html: No such file or directory/);
  await refuses(['--html', '/tmp'], /\/tmp: Is a directory/);
  await refuses(['--server-pid', '2147483647'], /--server-pid 2147483647: No such process/);
}

async function descriptorsFirst() {
  await refuses(['-c', '200'], /--connections 200 needs 240 open files, and this process may have 100/,
    { prefix: ['prlimit', '--nofile=100:100'] });
}

async function cpuFirst() {
  const run = await runBench(['echo', await startTcp(() => {}), ...SHORT, '--cpu', '4095']);
  assert.equal(run.status, 1);
  assert.match(run.stderr, /--cpu: no thread of ours can be on 4095/);
}

async function nameFirst() {
  const run = await runBench(['echo', 'ws://a..b:1/', ...SHORT]);
  assert.equal(run.status, 1);
  assert.match(run.stderr, /a\.\.b: /);
}

/* -- why --------------------------------------------------------------------------------------- */

async function saysWhy(url, reason, scenario = ['idle']) {
  const [first, ...args] = scenario;
  const run = await runBench([first, url, ...SHORT, '-c', '2', ...args]);
  assert.equal(run.status, 1, run.stdout);
  assert.match(run.stderr, /2 of 2 connections failed/);
  assert.match(run.stderr, reason);
}

async function whyNot() {
  await saysWhy('ws://127.0.0.1:9/', /2 x Connection refused/);
  await saysWhy(await startWs(() => {}, { verifyClient: () => false }), /2 x HTTP status 401 and not 101/);
  await saysWhy(await startTcp((socket) => socket.end('SSH-2.0-nothing\r\n\r\n')), /the answer is not one to this/);
  await saysWhy(await startTcp((socket) => socket.end()), /2 x ended by the server/);
  const refusing = await startWs((text, send) => {
    send(JSON.stringify({ id: JSON.parse(text.split('\n')[0]).id, error: { code: 103, message: 'no' } }));
  });
  await saysWhy(refusing, /2 x answered with error 103/, ['chat']);
}

async function whyInReport() {
  const url = await startWs((text, send, count, stop) => (count < 20 ? send(text) : stop()));
  const html = path.join(settings.artefacts, 'failed.html');
  /* Long enough for the server to come to its twentieth message, however busy it is. */
  const run = await runBench(['echo', url, '--warmup', '0', '-d', '1.5', '-c', '1', '-r', '500', '--drain', '0',
    '--html', html]);
  assert.equal(run.status, 1, run.stdout);
  assert.match(run.stdout, /1 x closed with 1006/);
  assert.match(run.stdout, /[0-9]+ x not sent at its time/);
  const turns = run.json.results.causes.find((cause) => cause.kind === 'turn');
  assert.equal(turns.count, run.json.results.errors, run.stdout);
  assert.match(fs.readFileSync(html, 'utf8'), /closed with 1006/);
}

/* It says goodbye, and keeps the socket: that counts when it is said. */
async function closedButOpen() {
  const accept = (key) => createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
  const url = await startTcp((socket) => socket.once('data', (data) => {
    const key = data.toString().match(/Sec-WebSocket-Key: (\S+)/i)[1];
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
      + `Sec-WebSocket-Accept: ${accept(key)}\r\n\r\n`);
    socket.write(Buffer.from([0x88, 2, 4001 >> 8, 4001 & 0xff]));
  }));
  const run = await runBench(['idle', url, ...SHORT, '-c', '2']);
  assert.equal(run.status, 1, run.stdout);
  assert.equal(run.json.results.closed, 2, run.stdout);
  assert.match(run.stdout, /2 x closed with 4001/);
}

/* -- the end comes early ----------------------------------------------------------------------- */

async function stopped() {
  let child = null;
  const url = await startWs((text, send, count) => {
    send(text);
    if (count === 50) {
      child.kill('SIGINT');
    }
  });
  const html = path.join(settings.artefacts, 'stopped.html');
  const run = await runBench(['echo', url, '--warmup', '0', '-d', '3600', '-c', '4', '-r', '400', ...UNHURRIED_DRAIN,
    '--html', html], { onStart: (started) => { child = started; } });
  assert.equal(run.status, 130, run.stderr);
  assert.match(run.stdout, /STOPPED by SIGINT/);
  assert.equal(run.json.stopped, 'SIGINT');
  assert.ok(run.json.results.clean, run.stdout);
  assert.ok(run.json.latency.count >= 50 && run.json.results.seconds < 60, run.stdout);
  await showsPage(html, ['Stopped by SIGINT', 'echo on ws://', '<canvas']);
}

/* Nothing of it can be told from its source: a browser has to draw it; once, for it is slow. */
async function showsPage(file, parts) {
  if (!fs.existsSync(CHROMIUM) || IS_SANITIZED) {
    return;
  }
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-chromium-'));
  const { stdout } = await within(promisify(execFile)(CHROMIUM, ['--headless', '--no-sandbox',
    '--disable-gpu', `--user-data-dir=${profile}`, '--dump-dom', `file://${file}`], { maxBuffer: 1 << 26 }),
  'the page', 3 * PATIENCE_MS);
  fs.rmSync(profile, { recursive: true, force: true });
  const body = stdout.slice(stdout.indexOf('<body'), stdout.indexOf('<script id="data"'));
  parts.forEach((part) => assert.ok(body.includes(part), `no ${part} in ${body.slice(0, 2000)}`));
}

async function stoppedWhileConnecting() {
  let child = null;
  let count = 0;
  const url = await startTcp(() => {
    count += 1;
    return count === 1 && child.kill('SIGTERM'); /* a second one would not be waited for */
  });
  const run = await runBench(['echo', url, ...SHORT, '-c', '2'],
    { onStart: (started) => { child = started; } });
  assert.equal(run.status, 143, run.stderr);
  assert.match(run.stderr, /0 of 2 connected when it was stopped/);
}

/* The second signal does not wait for what is under way. */
async function stoppedTwice() {
  let child = null;
  let again = null;
  closeAtEnd(() => clearInterval(again));
  const url = await startWs((text, send, count) => {
    if (count === 5) {
      child.kill('SIGINT');
      again = setInterval(() => child.kill('SIGTERM'), 100);
    }
  });
  const run = await runBench(['echo', url, '--warmup', '0', '-d', '3600', '-c', '1', '-r', '100', '--drain', '3600'],
    { onStart: (started) => { child = started; } });
  assert.equal(run.signal, 'SIGTERM', `${run.status} ${run.stdout}`);
}

/* After one run, which may pass or be too much for a busy machine. */
async function findMaxEndsEarly() {
  let count = 0;
  const url = await startWs((text, send) => send(text), {
    verifyClient: () => { count += 1; return count <= 2; },
  });
  const run = await runBench(['echo', url, '--find-max', '-c', '2', '-r', '400', '--p99', '60000', '--warmup', '0',
    '-d', '0.3', '--drain', '0.1']);
  assert.equal(run.status, 1, run.stdout);
  assert.match(run.stderr, /2 x HTTP status 401/);
  assert.match(run.stdout, /knee: 400 messages\/s or more: the search ended early|knee: none/);
  assert.equal(run.json.steps.length, 1, run.stdout);
  assert.equal(run.json.knee_rate, run.json.steps[0].passed ? 400 : null);
  assert.equal(run.json.knee_is_exact, false);
}

/* -- and else ------------------------------------------------------------------------------------ */

/* More connections than one address is used for by default; of ::1 there is no second one. */
async function version6() {
  const url = (await startWs((text, send) => send(text), { host: '::1' })).replace('127.0.0.1', '[::1]');
  const run = await runBench(['connect', url, '--warmup', '0', '-d', '1', '-c', '4']);
  assert.equal(run.status, 0, run.stderr);
  assert.ok(run.json.results.connects > 0, run.stdout);
}

group({
  name: 'parley-bench, in use',
  server: false,
  cases: [
    ['files and the server first', filesFirst],
    ['descriptors first', descriptorsFirst],
    ['a CPU that is not there', cpuFirst],
    ['a name that is none', nameFirst],
    ['why nobody is connected', whyNot],
    ['why it failed', whyInReport],
    ['closed, and the socket stays', closedButOpen],
    ['stopped', stopped],
    ['stopped while connecting', stoppedWhileConnecting],
    ['stopped twice', stoppedTwice],
    ['find-max, and the server goes', findMaxEndsEarly],
    ['IPv6', version6],
  ],
});

/* -- the command line -------------------------------------------------------------------------- */

const refused = [
  [[], /no scenario/],
  [['echo', 'ws://127.0.0.1:1/', '--no-such-flag'], /no-such-flag/],
  [['echo', 'ws://127.0.0.1:1/', '--burst', '5'], /--burst needs --window/],
];

group({
  name: 'parley-bench, command line',
  server: false,
  cases: [
    ['help', async () => {
      const run = await runBench(['--help']);
      assert.equal(run.status, 0);
      assert.match(run.stdout, /parley-bench echo ws:\/\/127\.0\.0\.1:8000\/echo -c 1000/);
    }],
    ['refusals', async () => {
      for (const [args, text] of refused) {
        const run = await runBench(args);
        assert.equal(run.status, 2, `${args.join(' ')}: ${run.stdout}${run.stderr}`);
        assert.match(run.stderr, text, args.join(' '));
      }
    }],
  ],
});
