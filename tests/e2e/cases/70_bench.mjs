// SPDX-License-Identifier: Apache-2.0
/*
 * parley-bench against parleyd on both back ends, against servers that nobody here wrote, and
 * against one that does wrong on purpose: each fault that it plants must be found and counted.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import path from 'node:path';

import { WebSocketServer } from 'ws';

import { UNHURRIED_DRAIN, runBench } from '../lib/bench.mjs';
import { certificate } from '../lib/certificates.mjs';
import { UNHURRIED } from '../lib/chat.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import { startPeer } from '../lib/peers.mjs';
import { group } from '../lib/runner.mjs';
import { Server, settings } from '../lib/server.mjs';
import { makeKey, makeToken, SECRET } from '../lib/tokens.mjs';
import { SLOWNESS, until, within } from '../lib/wait.mjs';

const SHORT = ['--warmup', '0', '-d', '0.5'];
const LOAD = [...SHORT, ...UNHURRIED_DRAIN];
/* What counts is what begins and ends within this time: one slow turn of the server was half of SHORT. */
const HANDSHAKES = ['--warmup', '0', '-d', String(SLOWNESS)];

function assertClean(run, what) {
  assert.equal(run.status, 0, `${what}\n${run.stdout}\n${run.stderr}`);
  for (const fault of ['lost', 'duplicated', 'reordered', 'corrupted', 'errors']) {
    assert.equal(run.json.results[fault], 0, `${what}: ${fault}\n${run.stdout}`);
  }
}

/*
 * `results.sent` is of the time between two looks of the main thread, `latency.count` of what was begun in the time
 * asked for: a full machine lets the one or the other come late.
 */
function assertTraffic(run) {
  assert.ok(run.json.results.sent + run.json.latency.count > 0, run.stdout);
}

/* -- parleyd ---------------------------------------------------------------------------------- */

const generators = ['uring', 'epoll'];

function echo(...args) {
  return async (server) => {
    for (const backend of generators) {
      const run = await runBench(['echo', server.echoUrl, ...LOAD, '--backend', backend,
        '--server-pid', String(server.pid), ...args]);
      assertClean(run, `echo ${args.join(' ')} by ${backend}`);
      assertTraffic(run);
      assert.ok(run.json.server.user_us_per_message >= 0, run.stdout);
    }
  };
}

async function chat(server) {
  for (const backend of generators) {
    const run = await runBench(['chat', server.url, ...LOAD, '-c', '60', '--rooms', '3',
      '--publishers', '6', '-r', '600', '--threads', '2', '--script', 'emoji', '-s', '20-400',
      '--backend', backend]);
    assertClean(run, `chat by ${backend}`);
    /* 20 in each room; both are read while each of the threads may be between the two. */
    assert.ok(Math.abs(run.json.results.expected / run.json.results.sent - 20) < 0.5, run.stdout);
  }
}

/* The server stalls: who is cut has messages under way, for which the drain must not wait. */
async function reconnects(server) {
  let isStalled = false;
  const timer = setInterval(() => {
    isStalled = !isStalled;
    server.kill(isStalled ? 'SIGSTOP' : 'SIGCONT');
  }, 100);
  const goOn = () => {
    clearInterval(timer);
    server.kill('SIGCONT');
  };
  closeAtEnd(goOn);
  const run = await runBench(['chat', server.url, ...SHORT, '-d', '1.5', '--drain', '3600', '-c', '40', '-r', '200',
    '--reconnects', '40']);
  goOn();
  assertClean(run, 'chat with reconnects');
  assert.ok(run.json.results.connects > 0, run.stdout);
}

async function idle(server) {
  const run = await runBench(['idle', server.url, '--session', '-c', '500', '--warmup', '0',
    '-d', '0.5', '--server-pid', String(server.pid)]);
  assertClean(run, 'idle');
  const bytes = run.json.server.user_bytes_per_connection;
  assert.ok(bytes >= 0 && bytes < 20000, `${bytes} bytes per connection`);
}

async function connect(server) {
  for (const session of [[], ['--session']]) {
    const run = await runBench(['connect', server.url, ...HANDSHAKES, '-c', '8', ...session]);
    assertClean(run, `connect ${session}`);
    assert.ok(run.json.results.connects > 0, run.stdout);
  }
}

const PARLEYD = {
  config: {
    client: { insecure: true, command_rate: 100000, command_burst: 100000, ...UNHURRIED },
    echo: { enabled: true },
  },
};

group({
  name: 'parley-bench',
  on: 'backends',
  server: PARLEYD,
  cases: [
    ['echo, a window of 4', echo('-c', '20', '-w', '4', '-s', '20')],
    ['echo, a rate, CJK', echo('-c', '20', '-r', '2000', '-s', '16-3000', '--script', 'cjk')],
    ['echo, 200 KB, binary', echo('-c', '3', '-w', '2', '-s', '200000', '--binary')],
    ['chat', chat],
    ['reconnects', reconnects],
    ['idle', idle],
    ['connect', connect],
  ],
});

/* Nobody comes in without a token. */
async function signsIn(_, point) {
  const server = await Server.start({
    ...point,
    config: {
      client: { token: { hmac_secret_key: SECRET } },
      channel: {
        without_namespace: { allow_subscribe_for_client: true, allow_publish_for_subscriber: true },
      },
    },
  });
  const key = makeKey('HS256');
  const file = path.join(settings.artefacts, 'tokens.txt');
  const chat = ['chat', server.url, ...LOAD, '-c', '6', '-r', '100'];
  fs.writeFileSync(file, ['41', '42', '43'].map((sub) => `${makeToken(key, { sub })}\n`).join(''));
  assertClean(await runBench([...chat, '--tokens', file]), 'chat with tokens');
  assert.equal((await runBench(chat)).status, 1, 'chat without');

  fs.appendFileSync(file, '{"no": "token"}\n');
  const refusal = await runBench([...chat, '--tokens', file]);
  assert.equal(refusal.status, 1);
  assert.match(refusal.stderr, /--tokens: .*tokens\.txt:4: expected a token/);
  assert.match((await runBench([...chat, '--tokens', '/no/file'])).stderr, /--tokens: \/no\/file: No such file/);
  await server.stop();
}

group({
  name: 'parley-bench signs in',
  server: false,
  cases: [['tokens', signsIn]],
});

/* -- others ------------------------------------------------------------------------------------ */

/* npm ws. `tamper(data, send, index)` sends what it likes. */
async function startOther(tamper, options = {}) {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options });
  closeAtEnd(() => {
    server.clients.forEach((client) => client.terminate());
    server.close();
  });
  await new Promise((resolve) => { server.once('listening', resolve); });
  let index = 0;
  server.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => {
      tamper(data, (out) => socket.send(out, { binary: isBinary }), index, server);
      index += 1;
    });
  });
  return `ws://127.0.0.1:${server.address().port}/`;
}

async function npmEcho() {
  const url = await startOther((data, send) => send(data));
  assertClean(await runBench(['echo', url, ...LOAD, '-c', '10', '-w', '4']), 'npm ws');
}

async function npmFanout() {
  const url = await startOther((data, send, index, server) => {
    server.clients.forEach((client) => client.send(data, { binary: false }));
  });
  for (const load of [['-w', '1'], ['-w', '16', '--burst', '16'], ['-r', '200']]) {
    assertClean(await runBench(['fanout', url, ...LOAD, '-c', '50', '--threads', '2', ...load]),
      `npm ws, fanout ${load}`);
  }
}

/* Servers of Debian. nchan has no echo. */
function peer(name, paths) {
  return [name, async () => {
    const url = await startPeer(name);
    for (const at of paths) {
      const run = await runBench([at, `${url}/${at}`, ...LOAD, '-c', '10', '-w', '2', '-s', '20-3000']);
      assertClean(run, `${name}, ${at}`);
      assertTraffic(run);
    }
  }];
}

group({
  name: 'parley-bench, other servers',
  server: false,
  cases: [
    ['npm ws, echo', npmEcho],
    ['npm ws, fanout', npmFanout],
    peer('python3-websockets', ['echo', 'fanout']),
    peer('libwebsockets', ['echo', 'fanout']),
    peer('nginx + nchan', ['fanout']),
  ],
});

/* -- TLS --------------------------------------------------------------------------------------- */

/* npm ws behind node's https. */
async function startSecure(onMessage, options = {}) {
  const { key, cert } = certificate();
  const server = https.createServer({
    key: fs.readFileSync(key), cert: fs.readFileSync(cert), ...options,
  });
  const sockets = new WebSocketServer({ server });
  closeAtEnd(() => {
    sockets.clients.forEach((client) => client.terminate());
    server.close();
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  sockets.on('connection', (socket) => {
    socket.on('message', (data, isBinary) => {
      onMessage(data, (out) => socket.send(out, { binary: isBinary }), sockets);
    });
  });
  return server.address().port;
}

async function secureEcho() {
  const { cert } = certificate();
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const port = await startSecure((data, send) => send(data),
      { minVersion: version, maxVersion: version });
    for (const backend of generators) {
      const run = await runBench(['echo', `wss://localhost:${port}/`, ...LOAD, '-c', '10', '-w',
        '4', '-s', '20-40000', '--backend', backend, '--ca', cert]);
      assertClean(run, `${version} by ${backend}`);
      assertTraffic(run);
    }
  }
}

async function secureFanout() {
  const port = await startSecure((data, send, sockets) => {
    sockets.clients.forEach((client) => client.send(data, { binary: false }));
  });
  for (const backend of generators) {
    assertClean(await runBench(['fanout', `wss://127.0.0.1:${port}/`, ...LOAD, '-c', '50',
      '--threads', '2', '-r', '100', '--backend', backend, '--tls-insecure']), `by ${backend}`);
  }
}

async function secureConnectAndIdle() {
  const port = await startSecure(() => {});
  for (const scenario of ['connect', 'idle']) {
    const run = await runBench([scenario, `wss://127.0.0.1:${port}/`, ...SHORT, '-c', '8',
      '--tls-insecure']);
    assertClean(run, scenario);
  }
}

/* What is not trusted gets no request, and the reason is told. */
async function secureDistrust() {
  const { cert } = certificate();
  const { cert: other } = certificate('elsewhere');
  const port = await startSecure((data, send) => send(data));
  const cases = [
    [`wss://localhost:${port}/`, [], /2 of 2 connections failed\n.*TLS: self-signed certificate/],
    [`wss://localhost:${port}/`, ['--ca', other], /TLS: self-signed certificate/],
    [`wss://127.0.0.1:${port}/`, ['--ca', cert], /TLS: IP address mismatch/],
    [`wss://localhost:${port}/`, ['--ca', '/nowhere.pem'], /"\/nowhere.pem": No such file/],
  ];
  for (const [url, args, reason] of cases) {
    const run = await runBench(['echo', url, ...SHORT, '-c', '2', ...args]);
    assert.equal(run.status, 1, `${url} ${args}: ${run.stdout}`);
    assert.match(run.stderr, reason);
  }
}

async function secureAgainstPlain() {
  const url = await startOther((data, send) => send(data));
  const run = await runBench(['echo', url.replace('ws:', 'wss:'), ...SHORT, '-c', '2',
    '--tls-insecure']);
  assert.equal(run.status, 1, run.stdout);
  assert.match(run.stderr, /TLS: the peer does not speak TLS/);
}

group({
  name: 'parley-bench, TLS',
  server: false,
  cases: [
    ['echo, TLS 1.2 and 1.3', secureEcho],
    ['fanout', secureFanout],
    ['connect and idle', secureConnectAndIdle],
    ['who is not trusted', secureDistrust],
    ['a server without TLS', secureAgainstPlain],
  ],
});

/* -- the floor --------------------------------------------------------------------------------- */

const FLOORS = ['epoll', 'uring'];

/* A floor that listens; its URL, and how to ask it to end. */
async function startFloor(backend, ...args) {
  const program = path.join(path.dirname(settings.parleyd), 'parley-bench');
  const child = spawn(program, ['floor', '--backend', backend, '--listen', '127.0.0.1:0', ...args],
    { stdio: ['ignore', 'pipe', 'inherit'] });
  closeAtEnd(() => child.kill('SIGKILL'));
  const ended = new Promise((resolve) => { child.once('exit', (status) => resolve(status)); });
  let text = '';
  child.stdout.on('data', (data) => { text += data; });
  await until(() => text.endsWith('\n'), 'the floor to listen');
  const stop = async () => {
    child.kill('SIGTERM');
    assert.equal(await within(ended, 'the floor to end'), 0);
  };
  return { url: text.match(/tcp:\S+/)[0], pid: String(child.pid), stop };
}

/* Whole buffers, several of them in one send, sends that are cut short, and what is copied. */
async function floorEcho(backend) {
  const floor = await startFloor(backend);
  for (const load of [['-c', '50', '-w', '1', '-s', '26'], ['-c', '50', '-w', '16', '-s', '1000'],
    ['-c', '20', '-w', '1', '-s', '16392'], ['-c', '20', '-w', '16', '-s', '16392'],
    ['-c', '300', '-w', '2', '-s', '40000'], ['-c', '2', '-w', '4', '-s', '3000000']]) {
    const run = await runBench(['echo', floor.url, ...LOAD, ...load]);
    assertClean(run, `floor ${backend} ${load}`);
    /* What began in that half second and came back; the drain counts too, so slowness is no fault. */
    assertTraffic(run);
  }
  await floor.stop();
}

async function floorFanout(backend) {
  const floor = await startFloor(backend, '--fanout');
  for (const size of ['120', '20000']) {
    assertClean(await runBench(['fanout', floor.url, ...LOAD, '-c', '50', '-w', '16', '--burst',
      '16', '-s', size]), `floor ${backend} fanout ${size}`);
  }
  await floor.stop();
}

async function floorConnect(backend) {
  const floor = await startFloor(backend, '--connect');
  for (const generator of generators) {
    const run = await runBench(['connect', floor.url, ...HANDSHAKES, '-c', '32', '--backend', generator,
      '--server-pid', floor.pid]);
    assertClean(run, `connects to floor ${backend} by ${generator}`);
    assert.ok(run.json.results.connects > 0, run.stdout);
    assert.ok(run.json.latency.count > 0, run.stdout);
    assert.ok(run.json.server.user_ns + run.json.server.system_ns > 0, run.stdout); /* split by ticks */
  }
  await floor.stop();
}

/* A server that answers a connection's first bytes with what it likes. */
async function findsWrongReply(what, alter) {
  const floor = await startFloor('epoll', '--connect');
  const { port, hostname } = new URL(floor.url.replace('tcp:', 'http:'));
  const reply = await new Promise((resolve, reject) => {
    const socket = net.connect(port, hostname, () => socket.write('x'));
    socket.once('error', reject);
    socket.once('data', (data) => { socket.destroy(); resolve(data); });
  });
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => alter(Buffer.from(reply), socket));
  });
  closeAtEnd(() => server.close());
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const run = await runBench(['connect', `tcp://127.0.0.1:${server.address().port}`,
    '--warmup', '0', '-d', '0.6', '-c', '2']);
  return { run, what };
}

async function connectVerifies() {
  const whole = await findsWrongReply('in two pieces', (reply, socket) => {
    socket.setNoDelay(true);
    socket.write(reply.subarray(0, 50));
    setTimeout(() => !socket.destroyed && socket.write(reply.subarray(50)), 5);
  });
  assertClean(whole.run, whole.what);
  assert.ok(whole.run.json.results.connects > 0, whole.run.stdout);
  for (const { run, what } of [
    await findsWrongReply('another byte', (reply, socket) => {
      reply[reply.length - 10] ^= 1;
      socket.write(reply);
    }),
    await findsWrongReply('one too many', (reply, socket) => {
      socket.write(Buffer.concat([reply, Buffer.from('x')]));
    }),
    await findsWrongReply('an end instead', (reply, socket) => socket.destroy()),
  ]) {
    assert.equal(run.status, 1, `${what}\n${run.stdout}`);
  }
  const echo = await startFloor('epoll');
  const run = await runBench(['connect', echo.url, '--warmup', '0', '-d', '0.6', '-c', '2']);
  assert.equal(run.status, 1, `an echo instead\n${run.stdout}`);
}

const onFloors = (name, run) => FLOORS.map((backend) => [`${name}, ${backend}`,
  () => run(backend)]);

group({
  name: 'parley-bench, the floor',
  server: false,
  cases: [
    ...onFloors('echo', floorEcho),
    ...onFloors('fan-out', floorFanout),
    ...onFloors('connects', floorConnect),
    ['a reply that is wrong', connectVerifies],
  ],
});

/* -- faults ------------------------------------------------------------------------------------ */

/* What is lost is waited for until the end, and by then everything else has to be there. */
function finds(fault, count, tamper) {
  return async () => {
    const url = await startOther(tamper);
    const run = await runBench(['echo', url, '--warmup', '0', '-d', '0.4', '--drain', '2',
      '-c', '1', '-r', '1000']);
    assert.equal(run.status, 1, `${fault}\n${run.stdout}`);
    assert.equal(run.json.results[fault], count, `${fault}\n${run.stdout}`);
  };
}

let kept = null;

group({
  name: 'parley-bench, faults',
  server: false,
  cases: [
    ['a lost message', finds('lost', 1, (data, send, i) => i !== 20 && send(data))],
    ['thirty lost', finds('lost', 30, (data, send, i) => (i < 20 || i >= 50) && send(data))],
    ['a duplicate', finds('duplicated', 1, (data, send, i) => {
      send(data);
      if (i === 20) {
        send(data);
      }
    })],
    ['two in the wrong order', finds('reordered', 1, (data, send, i) => {
      if (i === 20) {
        kept = data;
        return;
      }
      send(data);
      if (i === 21) {
        send(kept);
      }
    })],
    ['a bit turned', finds('corrupted', 1, (data, send, i) => {
      const out = Buffer.from(data);
      if (i === 20) {
        out[out.length - 1] ^= 1;
      }
      send(out);
    })],
    ['somebody else\'s', finds('corrupted', 1, (data, send, i) => {
      send(i === 20 ? Buffer.from(`zzzz${data.toString().slice(4)}`) : data);
    })],
    ['a close', async () => {
      const url = await startOther((data, send, i, server) => {
        if (i === 20) {
          server.clients.forEach((client) => client.close(4001, 'enough'));
        } else {
          send(data);
        }
      });
      const run = await runBench(['echo', url, ...SHORT, '-c', '2', '-r', '200']);
      assert.equal(run.status, 1, run.stdout);
      assert.match(run.stdout, /4001/, run.stdout);
    }],
  ],
});

/*
 * A server that loses something in each of the first two steps, which come from above: a generator that
 * the machine keeps from sending its rate fails a step too, and would not come to a loss from below. It
 * does not go by a rate of its own, which a full machine would not let it hear.
 */
async function findMax() {
  const [CONNECTIONS, LOSSY_STEPS] = [4, 2];
  let connects = 0;
  const url = await startOther((data, send, i) => {
    if (i % 10 !== 0 || connects > LOSSY_STEPS * CONNECTIONS) {
      send(data);
    }
  }, { verifyClient: () => { connects += 1; return true; } });
  const html = path.join(settings.artefacts, 'find-max.html');
  const run = await runBench(['echo', url, '--find-max', '-c', String(CONNECTIONS), '-r', '3000', '--p99', '60000',
    '--warmup', '0', '-d', '0.4', '--drain', '0.5', '--html', html]);
  assert.ok(run.json.knee_rate > 0 && run.json.knee_rate < 3000, run.stdout);
  assert.ok(run.json.steps.some((step) => !step.passed && step.lost > 0), run.stdout);
  assert.equal(run.json.steps[0].rate, 3000);
  assert.match(fs.readFileSync(html, 'utf8'), /knee_rate/);
}

group({
  name: 'parley-bench, find-max',
  server: false,
  cases: [['the knee', findMax]],
});
