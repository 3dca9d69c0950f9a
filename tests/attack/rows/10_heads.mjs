// SPDX-License-Identifier: Apache-2.0
/*
 * HTTP heads that cost, that smuggle, or that come from elsewhere.
 */
import assert from 'node:assert/strict';

import { CHAT } from '../../e2e/lib/chat.mjs';
import { UPGRADE, Wire, exchange, head, request } from '../../e2e/lib/http.mjs';
import { ORIGINS } from '../configurations.mjs';
import { inParallel } from '../parallel.mjs';

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
  await refused(server, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'v'.repeat(1 << 20)}`, 431, 'one of 1 MiB');
  await refused(server, `GET / HTTP/1.1\r\nHost: a\r\n${'X: v\r\n'.repeat(100000)}`, 431, '100,000');
  const { response, wire } = await exchange(server.port,
    `GET / HTTP/1.1\r\nHost: a\r\nX: ${'v'.repeat(8192)}`, { chopped: true });
  assert.equal(response.status, 431, 'byte by byte');
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
  for (const [why, headers, status] of [
    ['another version', { 'Sec-WebSocket-Version': '777' }, 426],
    ['no version', { 'Sec-WebSocket-Version': null }, 426],
    ['a short key', { 'Sec-WebSocket-Key': 'AAAA' }, 400],
    ['no key', { 'Sec-WebSocket-Key': null }, 400],
    ['two keys', { 'Sec-WebSocket-Key': [UPGRADE['Sec-WebSocket-Key'], UPGRADE['Sec-WebSocket-Key']] }, 400],
    ['another origin', { Origin: 'https://evil.example' }, 403],
  ]) {
    const response = await refused(server, upgrade(headers) + SECOND, status, why);
    assert.equal(response.headers.get('sec-websocket-version'), status === 426 ? '13' : undefined, why);
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
  for (const origin of ['null', '', '*', 'https://a.com.evil', 'https://a.example.evil', 'https://xa.example',
    'https://sub.a.example', 'http://a.example', 'https://a.example:444', 'https://a.example:80',
    'https://a.example@evil', 'https://evil/https://a.example', 'https://a.example/', 'https://a.example.',
    'https://a.example%00.evil', 'https://a.example,https://evil', 'https://a.example https://evil',
    'file://', 'https://', 'a.example', '//a.example', 'https:a.example', 'http://b.example',
    'http://[::1]', 'http://[::2]:3000', 'chrome-extension://a.example', 'https://a.example:443:443']) {
    await refused(server, upgrade({ Origin: origin, Cookie: 'session=a' }), 403, `Origin: ${origin}`);
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
    for (const headers of [{}, { Host: `127.0.0.1:${server.internalPort}` }, { 'X-Original-URL': path }]) {
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
  const { response, wire } = await exchange(server.port, preface + '\0\0\0\x04\0\0\0\0\0'.repeat(1000));
  assert.ok(response.status >= 400, 'the preface');
  await wire.closed();
  const asked = await Wire.open(server.port);
  asked.write(head('GET', '/', { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMA' }));
  assert.notEqual((await asked.response()).status, 101, 'h2c');
  asked.destroy();
}

const options = (rejected) => ({ server: 'plain', rejected });

export const ROWS = [
  { row: 1, name: 'header bombs', options: options({ head_too_big: 5 }), attack: headerBombs },
  { row: 2, name: 'headers to search back and forth in', options: options({}), attack: backtracking },
  { row: 3, name: 'each byte in each header', options: options({ bad_request: 200 }), attack: badBytes },
  { row: 12, name: 'pages of others', options: options({ bad_origin: 27 }), attack: foreignPages },
  { row: 16, name: 'HTTP/2', options: options({ bad_request: 1 }), attack: otherProtocols },
  { row: 17, name: 'a body behind an upgrade', options: options({ bad_request: 6 }), attack: smuggling },
  { row: 18, name: 'a tunnel behind a failed upgrade', options: options({ bad_upgrade: 5, bad_origin: 1 }),
    attack: failedUpgrades },
  { row: 21, name: 'targets elsewhere', options: options({ bad_request: 6 }), attack: foreignTargets },
  { row: 23, name: 'metrics from outside', options: options({}), attack: internalPaths },
];
