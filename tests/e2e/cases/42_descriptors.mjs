// SPDX-License-Identifier: Apache-2.0
/*
 * Too many connections: by configuration, by the limit of open files, by errors of accept().
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';

import { RawChat, UNHURRIED } from '../lib/chat.mjs';
import { Wire, head, request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { Server } from '../lib/server.mjs';
import { IS_SANITIZED, sleep, until, within } from '../lib/wait.mjs';

/* Opens wires and says what becomes of each: 'open' when an HTTP request on it is answered. */
async function storm(port, count) {
  return Promise.all(Array.from({ length: count }, async () => {
    const wire = await Wire.open(port).catch(() => null);
    if (wire === null) {
      return { how: 'refused', wire };
    }
    wire.write(head('GET', '/chat.css'));
    const one = { how: 'waits', wire };
    const answered = wire.response().then(() => { one.how = 'open'; }, () => { one.how = 'lost'; });
    await Promise.race([answered, sleep(1500)]);
    return one;
  }));
}

function countOf(results, how) {
  return results.filter((one) => one.how === how).length;
}

/* The processor time that it takes while nothing happens; a loop that spins takes all of it. */
async function isAtRest(server) {
  const before = server.cpuSeconds;
  await sleep(1000);
  return server.cpuSeconds - before < 0.5;
}

async function connectionLimit(server) {
  const chats = [];
  for (let i = 0; i < 19; i += 1) {
    chats.push(await RawChat.connect(server));
  }
  const results = await storm(server.port, 30);
  assert.ok(countOf(results, 'open') <= 1, `${countOf(results, 'open')} of 30 found room`);
  assert.ok(await isAtRest(server), 'it does not spin');
  assert.equal((await request(server.internalPort, 'GET', '/health')).status, 200);
  for (const chat of chats) {
    await chat.ask({ ping: {} });
  }
  results.forEach((one) => one.wire?.destroy());
  await Promise.all(chats.splice(0).map((chat) => chat.close()));
  const again = await until(() => RawChat.connect(server).catch(() => null), 'room again');
  await again.close();
}

group({
  name: 'connection limit',
  on: 'backends',
  server: { reactors: 1, config: { client: { insecure: true, connection_limit: 20, ...UNHURRIED } } },
  cases: [['20 and no more', connectionLimit]],
});

/* Fewer files than connections are allowed: EMFILE is no reason to fall over, or to spin. */
async function fewFiles(_, point) {
  const server = await Server.start({
    ...point,
    reactors: 2,
    command: ['prlimit', '--nofile=64:64'],
    config: { client: { insecure: true, connection_limit: 1000, ...UNHURRIED } },
  }).catch((error) => error);
  if (server instanceof Error) {
    /* It may refuse what it could not keep; it has to say so. */
    assert.match(server.message, /connection_limit|open files/);
    return;
  }
  const first = await RawChat.connect(server);
  const results = await storm(server.port, 200);
  assert.ok(countOf(results, 'open') < 64);
  await first.ask({ ping: {} });
  assert.ok(await isAtRest(server), 'it does not spin');
  results.forEach((one) => one.wire?.destroy());
  const again = await until(() => RawChat.connect(server).catch(() => null), 'room again');
  await again.close();
  await first.close();
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
}

async function fewFilesByDefault(_, point) {
  const server = await Server.start({
    ...point, reactors: 2, command: ['prlimit', '--nofile=96:96'], config: { client: { insecure: true } },
  });
  const results = await storm(server.port, 150);
  await until(() => countOf(results, 'open') > 0, 'some to find room');
  assert.ok(countOf(results, 'open') < 96);
  assert.ok(await isAtRest(server), 'it does not spin');
  results.forEach((one) => one.wire?.destroy());
  const again = await until(() => RawChat.connect(server).catch(() => null), 'room again');
  await again.close();
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
}

/*
 * The limit falls while it runs: accept() fails with EMFILE, and later it works again. (A multishot
 * accept of io_uring keeps the limit that it began with, so that nothing would be seen there.)
 */
async function filesRunOut() {
  const server = await Server.start({
    backend: 'epoll', reactors: 2, config: { client: { insecure: true, ...UNHURRIED } },
  });
  const first = await RawChat.connect(server);
  const open = readdirSync(`/proc/${server.pid}/fd`).length;
  const setLimit = (count) => {
    const { status, stderr } = spawnSync('prlimit', ['--pid', String(server.pid), `--nofile=${count}:`]);
    assert.equal(status, 0, stderr.toString());
  };
  setLimit(open + 8);
  const results = await storm(server.port, 100);
  assert.ok(countOf(results, 'open') <= 16, `${countOf(results, 'open')} found a file`);
  assert.ok(await isAtRest(server), 'it does not spin');
  await first.ask({ ping: {} });
  setLimit(1000);
  const again = await until(() => RawChat.connect(server).catch(() => null), 'files again');
  await again.close();
  assert.ok((await server.metrics()).rejected('accept_error') > 0, 'they are counted');
  results.forEach((one) => one.wire?.destroy());
  await first.close();
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
}

group({
  name: 'few files',
  on: 'backends',
  server: false,
  cases: [
    ['fewer than the limit of connections', fewFiles],
    ['the limit that follows from them', fewFilesByDefault],
  ],
});

/* strace changes what the kernel says. It cannot trace where another tracer does, or may not. */
function straceWorks() {
  return !IS_SANITIZED
    && spawnSync('strace', ['-f', '-e', 'inject=getppid:error=EPERM', 'true'], { timeout: 20000 }).status === 0;
}

function trace(...filters) {
  return ['strace', '-f', '-qq', '-o', '/dev/null', ...filters.flatMap((one) => ['-e', one])];
}

/* The signal has to go to parleyd, and not to the tracer. */
async function stopTraced(server) {
  const pid = spawnSync('pgrep', ['-P', String(server.pid)]).stdout.toString().trim();
  process.kill(Number(pid), 'SIGTERM');
  assert.deepEqual(await within(server.exited, 'the traced server to exit'), { status: 0, signal: null });
}

async function uringDenied() {
  if (!straceWorks()) {
    return { skipped: 'strace does not work here' };
  }
  const server = await Server.start({
    reactors: 2,
    config: { client: { insecure: true } },
    command: trace('trace=io_uring_setup', 'inject=io_uring_setup:error=EPERM'),
  });
  const lines = () => server.log().split('\n').slice(0, -1).filter((line) => /backend=epoll/.test(line));
  await until(() => lines().length > 0, 'what it runs on in the log');
  assert.equal(lines().length, 1, server.log());
  assert.match(lines()[0], /not permitted|EPERM|denied|refuse/i);
  const [alice, bob] = [await RawChat.connect(server), await RawChat.connect(server)];
  await bob.subscribe('denied');
  await alice.publish('denied', 'hello');
  assert.equal((await bob.push()).pub.data, 'hello');
  await alice.close();
  await bob.close();
  await stopTraced(server);
  return null;
}

async function uringForced() {
  if (!straceWorks()) {
    return { skipped: 'strace does not work here' };
  }
  const error = await Server.start({
    backend: 'uring',
    command: trace('trace=io_uring_setup', 'inject=io_uring_setup:error=EPERM'),
  }).then(() => null, (reason) => reason);
  assert.match(error?.message ?? '', /parleyd did not start/);
  assert.match(error.message, /uring/);
  return null;
}

async function acceptErrors() {
  if (!straceWorks()) {
    return { skipped: 'strace does not work here' };
  }
  /* LIMITS.md row 14; without descriptors some of the calls are those that turn clients away. */
  const names = ['ECONNABORTED', 'ENFILE', 'EMFILE', 'ENOMEM', 'EPERM', 'EPROTO'];
  await Promise.all(names.map(async (name) => {
    const server = await Server.start({
      backend: 'epoll',
      reactors: 1,
      command: trace('trace=accept4', `inject=accept4:error=${name}:when=2..4`),
    });
    for (let i = 0; i < 6; i += 1) {
      const chat = await until(() => RawChat.connect(server).catch(() => null), `a connection after ${name}`);
      await chat.close();
    }
    const metrics = await until(() => server.metrics().catch(() => null), 'metrics');
    const count = metrics.rejected('accept_error');
    assert.ok(/FILE/.test(name) ? count > 0 : count === 3, `${name} is counted: ${count}`);
    await stopTraced(server);
  }));
  return null;
}

group({
  name: 'kernel errors',
  server: false,
  cases: [
    ['files run out', filesRunOut],
    ['io_uring denied: epoll by itself', uringDenied],
    ['io_uring denied, but forced', uringForced],
    ['accept errors', acceptErrors],
  ],
});
