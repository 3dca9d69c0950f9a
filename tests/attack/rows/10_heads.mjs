// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP heads that cost, that smuggle, or that come from elsewhere.
 */
import assert from 'node:assert/strict';

import { CHAT } from '../../e2e/lib/chat.mjs';
import { UPGRADE, Wire, exchange, head, request } from '../../e2e/lib/http.mjs';
import { ORIGINS } from '../configurations.mjs';
import { inParallel } from '../parallel.mjs';
import { outputOf } from '../program.mjs';

const upgrade = (headers) => head('GET', CHAT, { ...UPGRADE, ...headers });

/* One answer of this status, and then the end: whatever came behind it is not read as a request. */
async function refused(server, bytes, status, why) {
  const { response, wire } = await exchange(server.port, bytes);
  assert.equal(response.status, status, why);
  assert.match(response.headers.get('connection'), /\bclose$/, why);
  await wire.closed(why);
  return response;
}

async function statusOf(server, bytes) {
  const { response, wire } = await exchange(server.port, bytes);
  wire.destroy();
  return response.status;
}

async function headerBombs(server) {
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`X-${i}`, 'v']));
  await refused(server, upgrade(many), 431, '65 headers and more');
  await refused(server, upgrade({ X: 'v'.repeat(8192) }), 431, 'one of 8 KiB');
  const start = 'GET / HTTP/1.1\r\nHost: a\r\n';
  await refused(server, `${start}X: ${'v'.repeat(1 << 20)}`, 431, 'one of 1 MiB');
  await refused(server, start + 'X: v\r\n'.repeat(100000), 431, '100,000');
  /* The last bytes only: who needs too long for 8192 of them is told 408. */
  const wire = await Wire.open(server.port);
  wire.write(`${start}X: ${'v'.repeat(7900)}`);
  await wire.writeChopped('v'.repeat(292));
  assert.equal((await wire.response()).status, 431, 'byte by byte');
  wire.destroy();
}

/* What made others search back and forth: answered as what is shorter is. */
async function backtracking(server) {
  for (const [name, value] of [
    ['Sec-WebSocket-Protocol', `b${' '.repeat(7500)}x`],
    ['Sec-WebSocket-Extensions', `a; b="${'\\c'.repeat(3700)}`],
    ['Sec-WebSocket-Extensions', 'permessage-deflate; a, '.repeat(330)],
    ['Sec-WebSocket-Extensions', `permessage-deflate${';'.repeat(7400)}`],
    ['Connection', `${'a, '.repeat(2400)}Upgrade`],
  ]) {
    await inParallel(200, async () => {
      const status = await statusOf(server, upgrade({ [name]: value }));
      assert.ok([101, 400].includes(status), `${name}: ${status}`);
    });
  }
}

/* Each byte in each header of a handshake; the ones that no header may have are refused. */
async function badBytes(server) {
  const names = [...Object.keys(UPGRADE), 'Host', 'Origin', 'Sec-WebSocket-Protocol',
    'Sec-WebSocket-Extensions'];
  await inParallel(names.length * 256, async (number) => {
    const [name, byte] = [names[number >> 8], number & 255];
    const value = `${UPGRADE[name] ?? ''}${String.fromCharCode(byte)}`;
    const status = await statusOf(server, upgrade({ [name]: `${value}x` }));
    const isForbidden = (byte < 32 && byte !== 9) || byte === 127;
    assert.ok(isForbidden ? status === 400 : [101, 400, 403, 426].includes(status),
      `byte ${byte} in ${name}: ${status}`);
  });
}

const SECOND = 'GET /chat.css HTTP/1.1\r\nHost: a\r\n\r\n';

async function smuggling(server) {
  for (const [why, headers] of [
    ['a body', { 'Content-Length': SECOND.length }],
    ['an empty body', { 'Content-Length': '0' }],
    ['chunks', { 'Transfer-Encoding': 'chunked' }],
    ['both', { 'Content-Length': '5', 'Transfer-Encoding': 'chunked' }],
    ['two lengths', { 'Content-Length': ['5', '6'] }],
    ['a length with a sign', { 'Content-Length': '+5' }],
    ['a length in base 16', { 'Content-Length': '0x5' }],
    ['no length', { 'Content-Length': '' }],
    ['a space before the colon', { 'Content-Length ': '5' }],
    ['a folded line', { X: 'a\r\n Content-Length: 5' }],
    ['a bare LF', { X: 'a\nContent-Length: 5' }],
    ['a NUL', { X: 'a\0b' }],
    ['a bare CR', { X: 'a\rContent-Length: 5' }],
    ['chunks by another name', { 'Transfer-Encoding': 'xchunked' }],
  ]) {
    await refused(server, upgrade(headers) + SECOND, 400, why);
  }
}

/* No tunnel stays open behind an upgrade that failed. */
async function failedUpgrades(server) {
  const key = UPGRADE['Sec-WebSocket-Key'];
  for (const [why, headers, status] of [
    ['another version', { 'Sec-WebSocket-Version': '777' }, 426],
    ['no version', { 'Sec-WebSocket-Version': null }, 426],
    ['a short key', { 'Sec-WebSocket-Key': 'AAAA' }, 400],
    ['no key', { 'Sec-WebSocket-Key': null }, 400],
    ['two keys', { 'Sec-WebSocket-Key': [key, key] }, 400],
    ['another origin', { Origin: 'https://evil.example' }, 403],
  ]) {
    const response = await refused(server, upgrade(headers) + SECOND, status, why);
    const version = response.headers.get('sec-websocket-version');
    assert.equal(version, status === 426 ? '13' : undefined, why);
  }
}

async function foreignTargets(server) {
  for (const target of ['http://127.0.0.1/', 'http://169.254.169.254/latest/', 'ws://evil.example/',
    '127.0.0.1:80', '//evil.example', '*', `http://a@127.0.0.1:${server.internalPort}/metrics`]) {
    const status = await statusOf(server, head('GET', target, UPGRADE));
    assert.equal(status, target.startsWith('//') ? 404 : 400, target);
  }
  for (const host of [['a', 'a'], ['a', 'b'], 'a, b', '', null]) {
    assert.equal(await statusOf(server, upgrade({ Host: host })), 400, `Host: ${host}`);
  }
}

/* No cookie is anybody's name here; still no page connects that is not on the list. */
async function foreignPages(server) {
  for (const origin of ['null', '', '*', 'https://a.com.evil', 'https://a.example.evil',
    'https://xa.example', 'https://sub.a.example', 'http://a.example', 'https://a.example:444',
    'https://a.example:80', 'https://a.example@evil', 'https://evil/https://a.example',
    'https://a.example/', 'https://a.example.', 'https://a.example%00.evil',
    'https://a.example,https://evil', 'https://a.example https://evil', 'file://', 'https://',
    'a.example', '//a.example', 'https:a.example', 'http://b.example', 'http://[::1]',
    'http://[::2]:3000', 'chrome-extension://a.example', 'https://a.example:443:443']) {
    await refused(server, upgrade({ Origin: origin, Cookie: 'a=b' }), 403, `Origin: ${origin}`);
  }
  const twice = await statusOf(server, upgrade({ Origin: [ORIGINS[0], ORIGINS[0]] }));
  assert.ok([400, 403].includes(twice), 'two origins');
  for (const origin of [...ORIGINS, 'HTTPS://A.EXAMPLE', 'https://a.example:443']) {
    assert.equal(await statusOf(server, upgrade({ Origin: origin })), 101, origin);
  }
}

/* What is for the people who run it is not on the listener for clients. */
async function internalPaths(server) {
  for (const path of ['/metrics', '/health', '/ready', '/api/publish', '/api/info', '//metrics',
    '/./metrics', '/%6detrics', '/connection/../metrics', '/METRICS']) {
    const host = `127.0.0.1:${server.internalPort}`;
    for (const headers of [{}, { Host: host }, { 'X-Original-URL': path }]) {
      const got = await request(server.port, 'GET', path, headers);
      assert.equal(got.status, 404, path);
    }
  }
  const page = await request(server.port, 'GET', '/');
  assert.match(page.headers.get('content-security-policy'), /default-src 'self'/);
  assert.doesNotMatch(page.headers.get('content-security-policy'), /unsafe/);
}

/* HTTP/2 from the first byte, and asked for by Upgrade. */
async function otherProtocols(server) {
  const preface = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n';
  const settings = '\0\0\0\x04\0\0\0\0\0';
  const { response, wire } = await exchange(server.port, preface + settings.repeat(1000));
  assert.ok(response.status >= 400, 'the preface');
  await wire.closed();
  const asked = await Wire.open(server.port);
  asked.write(head('GET', '/',
    { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMA' }));
  assert.notEqual((await asked.response()).status, 101, 'h2c');
  asked.destroy();
}

/* slowhttptest of Debian, with its own client that looks whether it is still served. */
async function slowHttp(server, flags, ends) {
  const said = await outputOf('slowhttptest', [...flags, '-c', '400', '-r', '400', '-p', '5',
    '-u', `http://127.0.0.1:${server.port}/`]);
  if (said === null) {
    return { skipped: 'there is no slowhttptest (deploy/packages.sh)' };
  }
  assert.match(said, ends);
  assert.match(said, /service available: *\S*YES/);
  assert.doesNotMatch(said, /service available: *\S*NO/);
  return undefined;
}

/* All have to be gone when their time is over; the test would end after 10 s. */
const slowHeads = (server) => (
  slowHttp(server, ['-H', '-i', '1', '-l', '10'], /No open connections/));
const slowBodies = (server) => (
  slowHttp(server, ['-B', '-i', '1', '-l', '10'], /No open connections/));
const slowReaders = (server) => slowHttp(server,
  ['-X', '-w', '1', '-y', '5', '-n', '1', '-z', '1', '-k', '3', '-l', '3'], /Hit test time limit/);

const entry = (row, name, attack, rejected = {}) => (
  { row, name, attack, options: { server: 'plain', rejected } });

export const ROWS = [
  entry(1, 'header bombs', headerBombs, { head_too_big: 5 }),
  entry(2, 'headers to search back and forth in', backtracking),
  entry(3, 'each byte in each header', badBytes, { bad_request: 200 }),
  entry(4, 'slow heads', slowHeads, { head_timeout: 300 }),
  entry(4, 'slow bodies', slowBodies),
  entry(4, 'slow readers', slowReaders),
  entry(12, 'pages of others', foreignPages, { bad_origin: 27 }),
  entry(16, 'HTTP/2', otherProtocols, { bad_request: 1 }),
  entry(17, 'a body behind an upgrade', smuggling, { bad_request: 6 }),
  entry(18, 'a tunnel behind a failed upgrade', failedUpgrades, { bad_upgrade: 5, bad_origin: 1 }),
  entry(21, 'targets elsewhere', foreignTargets, { bad_request: 6 }),
  entry(23, 'metrics from outside', internalPaths),
];
