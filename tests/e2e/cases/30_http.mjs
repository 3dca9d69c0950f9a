// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP, byte by byte: the page, /health and /metrics, refusals, and what becomes of a failed upgrade.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

import { CHAT, RawChat, UNHURRIED } from '../lib/chat.mjs';
import { FrameClient, TEXT, frame } from '../lib/frames.mjs';
import { UPGRADE, Wire, exchange, head, request } from '../lib/http.mjs';
import { parseMetrics } from '../lib/metrics.mjs';
import { group } from '../lib/runner.mjs';
import { IS_SANITIZED } from '../lib/wait.mjs';

const curl = async (...args) => (await promisify(execFile)('curl',
  ['--silent', '--max-time', '20', ...args])).stdout;

const PAGE_FILES = [['/', 'text/html'], ['/chat.css', 'text/css'], ['/chat.js', 'text/javascript'],
  ['/centrifuge.js', 'text/javascript']];

async function page(server) {
  for (const [path, type] of PAGE_FILES) {
    const got = await request(server.port, 'GET', path);
    assert.equal(got.status, 200, path);
    assert.ok(got.headers.get('content-type').startsWith(type), `${path}: ${got.headers.get('content-type')}`);
    assert.equal(got.headers.get('x-content-type-options'), 'nosniff');
    assert.ok(got.body.length > 300, `${path} has a body`);
    assert.match(got.headers.get('content-security-policy'), /default-src 'self'/);
    assert.doesNotMatch(got.headers.get('content-security-policy'), /unsafe/);
    const only = await request(server.port, 'HEAD', path);
    assert.equal(only.status, 200);
    assert.equal(Number(only.headers.get('content-length')), got.body.length);
    assert.equal(only.body.length, 0);
  }
  const status = await curl('--output', '/dev/null', '--write-out', '%{http_code} %{size_download}',
    server.page);
  assert.match(status, /^200 [1-9]/);
}

/* Three requests in one write, and then another on the same connection. */
async function keepAlive(server) {
  const wire = await Wire.open(server.port);
  wire.write(head('GET', '/') + head('HEAD', '/chat.js') + head('GET', '/nothing-here'));
  assert.match((await wire.response()).body.toString(), /<!doctype html>/i);
  assert.equal((await wire.response({ isHead: true })).status, 200);
  assert.equal((await wire.response()).status, 404);
  wire.write(head('GET', '/chat.css'));
  assert.equal((await wire.response()).status, 200);
  wire.write(head('GET', '/', { Connection: 'close' }));
  const last = await wire.response();
  assert.equal(last.headers.get('connection'), 'close');
  assert.equal(await wire.closed(), 'end');
  const many = await Wire.open(server.port);
  many.write(Array.from({ length: 30 }, () => head('HEAD', '/')).join(''));
  for (let i = 0; i < 30; i += 1) {
    assert.equal((await many.response({ isHead: true })).status, 200);
  }
  many.destroy();
  const byCurl = await curl('--write-out', '%{num_connects} ', '--output', '/dev/null',
    server.page, '--output', '/dev/null', `${server.page}chat.js`);
  assert.equal(byCurl, '1 0 ', 'curl uses one connection for two');
}

async function plainAnswers(server) {
  for (const [method, path, status, headers = {}] of [
    ['GET', '/nothing-here', 404], ['GET', '/../etc/passwd', 404], ['GET', '/%2e%2e/', 404],
    ['GET', '/metrics', 404], ['GET', '/health', 404], ['GET', '/echo', 404],
    ['POST', '/', 405], ['OPTIONS', '/', 405],
    ['GET', CHAT, 426], ['GET', '/?query=is&fine', 200],
  ]) {
    const got = await request(server.port, method, path, headers);
    assert.equal(got.status, status, `${method} ${path}`);
    if (status === 405) {
      assert.match(got.headers.get('allow'), /GET/);
    }
    if (status === 426) {
      assert.match(got.headers.get('upgrade'), /websocket/i);
    }
  }
}

/* [why, the bytes, the status]: each is answered and the connection is closed. */
const HEADS = [
  ['no Host', 'GET / HTTP/1.1\r\n\r\n', 400],
  ['two Hosts', 'GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n', 400],
  ['two Hosts in one', 'GET / HTTP/1.1\r\nHost: a, b\r\n\r\n', 400],
  ['an empty Host', 'GET / HTTP/1.1\r\nHost:\r\n\r\n', 400],
  ['absolute form', 'GET http://127.0.0.1/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 400],
  ['authority form', 'GET 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 400],
  ['asterisk form', 'OPTIONS * HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 400],
  ['a line folded', 'GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n', 400],
  ['a space before a colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 400],
  ['a space before a name', 'GET / HTTP/1.1\r\n Host: a\r\n\r\n', 400],
  ['a bare LF', 'GET / HTTP/1.1\nHost: a\n\n', 400],
  ['a bare LF at the end', 'GET / HTTP/1.1\r\nHost: a\r\n\n', 400],
  ['a bare CR', 'GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n', 400],
  ['NUL in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n', 400],
  ['NUL in a name', 'GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n', 400],
  ['NUL in the target', 'GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['ESC in a value', 'GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[0m\r\n\r\n', 400],
  ['a header without a colon', 'GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n', 400],
  ['two spaces in the request line', 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['no version', 'GET /\r\nHost: a\r\n\r\n', 400],
  ['HTTP/1.0', 'GET / HTTP/1.0\r\nHost: a\r\n\r\n', 505],
  ['HTTP/2.0', 'GET / HTTP/2.0\r\nHost: a\r\n\r\n', 505],
  ['an unknown method', 'BREW / HTTP/1.1\r\nHost: a\r\n\r\n', 501],
  ['a method in small letters', 'get / HTTP/1.1\r\nHost: a\r\n\r\n', 400],
  ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  ['Content-Length and Transfer-Encoding',
    'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n', 400],
  ['Transfer-Encoding and Content-Length',
    'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n', 400],
  ['two Content-Lengths', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n', 400],
  ['Content-Length: 5, 5', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n', 400],
  ['Content-Length: +5', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n', 400],
  ['Content-Length: 0x5', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n', 400],
  ['Content-Length: -1', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n', 400],
  ['an empty Content-Length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n', 400],
  ['a huge Content-Length', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n', 400],
  ['Transfer-Encoding: gzip', 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', 400],
  ['65 headers', head('GET', '/', Object.fromEntries(
    Array.from({ length: 64 }, (_, i) => [`X-${i}`, 'v']))), 431],
  ['a head of 9 KiB', head('GET', '/', { X: 'v'.repeat(9000) }), 431],
  ['a head without end', `GET / HTTP/1.1\r\nHost: a\r\nX: ${'v'.repeat(9000)}`, 431],
  ['a long target', head('GET', `/${'a'.repeat(4096)}`), 414],
  ['a long query', head('GET', `/?${'a'.repeat(5000)}`), 414],
];

async function badHeads(server) {
  const before = await server.metrics();
  for (const [why, bytes, status] of HEADS) {
    const { response, wire } = await exchange(server.port, bytes);
    assert.equal(response.status, status, why);
    assert.equal(response.headers.get('connection'), 'close', why);
    await wire.closed(why);
  }
  const after = await server.metrics();
  assert.ok(after.rejected('bad_request') - before.rejected('bad_request') >= 30);
  assert.equal(after.rejected('head_too_big') - before.rejected('head_too_big'), 5);
}

/* What was pipelined before a bad head is answered; what comes after it is not. */
async function badHeadInAPipeline(server) {
  const { response, wire } = await exchange(server.port,
    head('GET', '/chat.css') + HEADS[0][1] + head('GET', '/chat.js'));
  assert.equal(response.status, 200);
  assert.equal((await wire.response()).status, 400);
  await wire.closed('nothing after a bad head');
}

async function largestHeads(server) {
  const most = Object.fromEntries(Array.from({ length: 63 }, (_, i) => [`X-${i}`, 'v']));
  assert.equal((await request(server.port, 'GET', '/', most)).status, 200, '64 headers');
  const base = head('GET', '/', { X: '' }).length;
  const whole = await request(server.port, 'GET', '/', { X: 'v'.repeat(8190 - base) });
  assert.equal(whole.status, 200, 'a head of nearly 8 KiB');
  const target = await request(server.port, 'GET', `/?${'a'.repeat(4094)}`);
  assert.equal(target.status, 200, 'a target of 4096 bytes');
}

async function byteByByte(server) {
  const { response, wire } = await exchange(server.port, head('GET', '/chat.css'), { chopped: true });
  assert.equal(response.status, 200);
  wire.destroy();
  const upgrade = await exchange(server.port, head('GET', CHAT, UPGRADE), { chopped: true });
  assert.equal(upgrade.response.status, 101);
  assert.equal(upgrade.response.headers.get('sec-websocket-accept'), 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=');
  upgrade.wire.destroy();
}

/* Nothing is served on a connection whose upgrade failed. */
async function badUpgrades(server) {
  for (const [why, changes, status, method = 'GET'] of [
    ['no version', { 'Sec-WebSocket-Version': null }, 426],
    ['version 8', { 'Sec-WebSocket-Version': '8' }, 426],
    ['version 14', { 'Sec-WebSocket-Version': '14' }, 426],
    ['two versions', { 'Sec-WebSocket-Version': ['13', '13'] }, 400],
    ['no key', { 'Sec-WebSocket-Key': null }, 400],
    ['an empty key', { 'Sec-WebSocket-Key': '' }, 400],
    ['a short key', { 'Sec-WebSocket-Key': 'c2hvcnQ=' }, 400],
    ['a key that is not base64', { 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZ!==' }, 400],
    ['two keys', { 'Sec-WebSocket-Key': [UPGRADE['Sec-WebSocket-Key'], UPGRADE['Sec-WebSocket-Key']] }, 400],
    ['no Connection', { Connection: null }, 400],
    ['Connection without upgrade', { Connection: 'keep-alive' }, 400],
    ['Content-Length', { 'Content-Length': '5' }, 400],
    ['Content-Length: 0', { 'Content-Length': '0' }, 400],
    ['Transfer-Encoding', { 'Transfer-Encoding': 'chunked' }, 400],
    ['an empty sub-protocol', { 'Sec-WebSocket-Protocol': '' }, 400],
    ['a bad sub-protocol', { 'Sec-WebSocket-Protocol': 'a b' }, 400],
    ['nine sub-protocols', { 'Sec-WebSocket-Protocol': 'a,b,c,d,e,f,g,h,i' }, 400],
    ['8,000 spaces in a sub-protocol', { 'Sec-WebSocket-Protocol': `b${' '.repeat(7000)}x` }, 400],
    ['POST', {}, 405, 'POST'],
    ['another protocol', { Upgrade: 'h2c' }, 426],
    ['two Origins', { Origin: ['http://a', 'http://a'] }, 400],
    ['a wrong Origin', { Origin: 'http://evil.example' }, 403],
  ]) {
    const wire = await Wire.open(server.port);
    wire.write(head(method, CHAT, { ...UPGRADE, ...changes }) + head('GET', '/chat.css')
      + head('GET', '/chat.js'));
    const response = await wire.response();
    assert.equal(response.status, status, why);
    assert.match(response.headers.get('connection'), /\bclose$/, why);
    if (status === 426 && why.includes('version')) {
      assert.equal(response.headers.get('sec-websocket-version'), '13', why);
    }
    await wire.closed(why);
  }
  /* On a page, too. */
  const { response, wire } = await exchange(server.port,
    head('GET', '/', { ...UPGRADE }) + head('GET', '/chat.css'));
  assert.notEqual(response.status, 101);
  assert.match(response.headers.get('connection'), /close/);
  await wire.closed('an upgrade of the page');
}

async function goodUpgrades(server) {
  for (const [why, changes] of [
    ['names and values without case', { Upgrade: 'WebSocket', Connection: 'keep-alive, UPGRADE' }],
    ['an offer of compression', { 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' }],
    ['eight unknown sub-protocols', { 'Sec-WebSocket-Protocol': 'a,b,c,d,e,f,g,h' }],
    ['the origin of the page', { Host: `127.0.0.1:${server.port}`, Origin: `http://127.0.0.1:${server.port}` }],
  ]) {
    const { response, wire } = await exchange(server.port, head('GET', CHAT, { ...UPGRADE, ...changes }));
    assert.equal(response.status, 101, why);
    assert.ok(!response.headers.has('sec-websocket-extensions'), why);
    assert.ok(!response.headers.has('sec-websocket-protocol'), why);
    wire.destroy();
  }
  const protocols = await exchange(server.port, head('GET', `${CHAT}?a=b`,
    { ...UPGRADE, 'Sec-WebSocket-Protocol': 'x, centrifuge-json' }));
  assert.equal(protocols.response.status, 101);
  assert.equal(protocols.response.headers.get('sec-websocket-protocol'), 'centrifuge-json');
  protocols.wire.destroy();
  /* All 256 bytes in a header: an answer, never a crash. */
  for (let byte = 0; byte < 256; byte += 1) {
    for (const name of ['Sec-WebSocket-Protocol', 'Origin', 'Sec-WebSocket-Extensions']) {
      const wire = await Wire.open(server.port);
      wire.write(Buffer.from(head('GET', CHAT, { ...UPGRADE, [name]: `a${String.fromCharCode(byte)}b` }),
        'latin1'));
      const response = await wire.response();
      assert.ok([101, 400, 403].includes(response.status), `byte ${byte}: ${response.status}`);
      if (byte < 32 && byte !== 9) {
        assert.equal(response.status, 400, `byte ${byte} in ${name}`);
      }
      wire.destroy();
    }
  }
}

/* Frames in the same segment as the request, and the page and the chat on one connection. */
async function framesWithTheHead(server) {
  const wire = await Wire.open(server.port);
  const chat = RawChat.over(new FrameClient());
  chat.frames.wire = wire;
  wire.write(Buffer.concat([Buffer.from(head('GET', '/chat.css') + head('GET', CHAT, UPGRADE)),
    frame(TEXT, '{"id":1,"connect":{}}'), frame(TEXT, '{"id":2,"subscribe":{"channel":"early"}}')]));
  assert.equal((await wire.response()).status, 200);
  assert.equal((await wire.response()).status, 101);
  assert.ok((await chat.next()).connect.client);
  assert.deepEqual(await chat.next(), { id: 2, subscribe: {} });
  await chat.close();
}

async function health(server) {
  const got = await request(server.internalPort, 'GET', '/health');
  assert.equal(got.status, 200);
  for (const path of ['/', '/chat.js', CHAT, '/metrics/', '/healthz']) {
    assert.equal((await request(server.internalPort, 'GET', path)).status, 404, path);
  }
  assert.equal((await request(server.internalPort, 'GET', CHAT, UPGRADE)).status, 404);
  assert.equal((await request(server.internalPort, 'POST', '/health')).status, 405);
  const text = await curl(`http://127.0.0.1:${server.internalPort}/metrics`);
  parseMetrics(text);
  const response = await request(server.internalPort, 'GET', '/metrics');
  assert.match(response.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
}

const GAUGES = ['parley_sessions', 'parley_subscriptions', 'parley_channels', 'parley_rooms'];

/* A reactor says what it has when it has sent what there was to send. */
async function countersMove(server, point) {
  for (const name of GAUGES) {
    await server.untilMetric(name, (value) => value === 0, 'nothing of those before');
  }
  const before = await server.metrics();
  const chat = await RawChat.connect(server);
  await chat.subscribe('counted');
  await chat.publish('counted', { some: 'data' });
  await chat.push();
  await request(server.port, 'GET', '/');
  for (const name of GAUGES) {
    await server.untilMetric(name, (value) => value === 1, '1');
  }
  const open = await server.metrics();
  const moved = (name) => open.value(name) - before.value(name);
  for (const [name, by] of [
    ['parley_handshakes_total', 1], ['parley_publications_total', 1], ['parley_deliveries_total', 1],
    ['parley_commands_total{method="connect"}', 1], ['parley_commands_total{method="subscribe"}', 1],
    ['parley_commands_total{method="publish"}', 1], ['parley_http_requests_total{path="page"}', 1],
    ['parley_frames_received_total{opcode="text"}', 3],
  ]) {
    assert.equal(moved(name), by, name);
  }
  for (const name of ['parley_bytes_received_total', 'parley_bytes_sent_total',
    'parley_connections_accepted_total']) {
    assert.ok(moved(name) > 0, name);
  }
  const loops = open.families.get('parley_loop_seconds');
  assert.equal(loops.samples.filter((one) => one.name.endsWith('_count')).length, point.reactors);
  await chat.close();
  await server.untilMetric('parley_sessions', (value) => value === 0, '0');
}

/* Names of channels are no labels: the size stays. */
async function cardinality(server) {
  const size = async () => (await request(server.internalPort, 'GET', '/metrics')).body
    .toString().split('\n').length;
  const before = await size();
  const chat = await RawChat.connect(server);
  for (let i = 0; i < 100; i += 1) {
    await chat.subscribe(`label-${i}`);
  }
  assert.equal(await size(), before);
  await chat.close();
}

async function threads(server, point) {
  const before = server.threadCount;
  const clients = [];
  for (let i = 0; i < 50; i += 1) {
    clients.push(await RawChat.connect(server));
  }
  /* The main one, the reactors, the log's; a sanitizer may have one, too. */
  const most = point.reactors + 2 + (IS_SANITIZED ? 1 : 0);
  assert.ok(before <= most && server.threadCount === before, `${server.threadCount} threads`);
  await Promise.all(clients.map((chat) => chat.close()));
}

group({
  name: 'http',
  on: 'matrix',
  server: {
    config: { client: { insecure: true, command_rate: 10000, command_burst: 10000, ...UNHURRIED } },
  },
  cases: [
    ['the page', page],
    ['keep-alive and pipelining', keepAlive],
    ['plain answers', plainAnswers],
    ['bad heads', badHeads],
    ['a bad head in a pipeline', badHeadInAPipeline],
    ['the largest heads', largestHeads],
    ['byte by byte', byteByByte],
    ['bad upgrades', badUpgrades],
    ['good upgrades', goodUpgrades],
    ['frames with the head', framesWithTheHead],
    ['the internal listener', health],
    ['counters move', countersMove],
    ['metrics do not grow with channels', cardinality],
    ['threads do not grow with clients', threads],
  ],
});

async function slowHeads(server) {
  const half = await Wire.open(server.port);
  half.write('GET / HTTP/1.1\r\nHost: a\r\n');
  const trickle = await Wire.open(server.port);
  const bytes = head('GET', '/', { X: 'y'.repeat(4000) });
  let at = 0;
  const timer = setInterval(() => {
    if (trickle.ended === null) {
      trickle.write(bytes[at]);
      at += 1;
    }
  }, 50);
  try {
    for (const wire of [half, trickle]) {
      const response = await wire.response();
      assert.equal(response.status, 408);
      assert.equal(response.headers.get('connection'), 'close');
    }
    assert.ok(at < bytes.length, 'the time is for the whole head, not for each byte');
    await half.closed();
  } finally {
    clearInterval(timer);
  }
  await trickle.whenEnded;
  /* Who says nothing at all is not answered. */
  const silent = await Wire.open(server.port);
  await silent.closed();
  /* Nor an idle one that had its answer: it has a head's time for the next. */
  const idle = await Wire.open(server.port);
  idle.write(head('GET', '/chat.css'));
  await idle.response();
  await idle.closed();
  assert.ok((await server.metrics()).rejected('head_timeout') >= 2);
}

group({
  name: 'slow heads',
  on: 'backends',
  server: { config: { http_server: { handshake_timeout: '1s' }, client: { insecure: true } } },
  cases: [['408', slowHeads]],
});
