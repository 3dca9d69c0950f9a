// SPDX-License-Identifier: Apache-2.0
/*
 * One server that listens at many places, each with its own rules: TLS with several certificates, the
 * PROXY protocol, unix sockets.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';

import { certificate, freshFile, openssl } from '../lib/certificates.mjs';
import { CHAT } from '../lib/chat.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import { UPGRADE, head } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { Server, findPorts } from '../lib/server.mjs';
import { proxyHeader, statusIn, talk } from '../lib/talk.mjs';
import { until, within } from '../lib/wait.mjs';

let places = null;

async function findPlaces() {
  const [a, b] = [await findPorts(), await findPorts()];
  places = {
    tls: a.port,
    proxy: a.internalPort,
    proxyTls: b.port,
    folder: path.dirname(freshFile('folder', '')),
  };
  places.internal = path.join(places.folder, 'internal.sock');
  places.clients = path.join(places.folder, 'clients.sock');
}

async function options() {
  await findPlaces();
  const [first, second] = [certificate('one.example'), certificate('*.two.example,two.example', 'rsa')];
  const third = certificate('two.example', 'ec', 3);
  const pair = ({ cert, key }) => ({ cert_pem_file: cert, key_pem_file: key });
  const proxies = { proxy_protocol: 'required', trusted_proxies: ['127.0.0.1'] };
  return {
    config: {
      client: { insecure: true },
      http_server: {
        trusted_proxies: ['127.0.0.1'],
        tls: { ...pair(first), certificates: [second, third].map(pair) },
        listeners: [
          { port: places.tls, tls: true },
          { port: places.proxy, ...proxies },
          { port: places.proxyTls, tls: true, ...proxies },
          { path: places.internal, internal: true },
          { path: places.clients },
        ],
      },
    },
  };
}

/* What a request gets as its status, and how the connection ends that says only this. */
async function say(target, bytes, { from } = {}) {
  return statusIn(await talk(net.connect(typeof target === 'string' ? { path: target }
    : { port: target, host: '127.0.0.1', localAddress: from }), bytes));
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

/* An upgrade from a page that may not, whose refusal is a line in the log with the address. */
function refused(more = {}) {
  return head('GET', CHAT, { ...UPGRADE, Origin: 'http://elsewhere.example', ...more });
}

async function isLoggedAs(server, client) {
  await until(() => server.log().includes(`client=${client} `), `client=${client} in the log`);
}

/* Which certificate a client is shown, by its names. */
async function shown(name, args = []) {
  const said = await openssl(places.tls, [...(name === null ? ['-noservername'] : ['-servername', name]), ...args]);
  const [, subject, key] = said.match(/subject=CN = (\S+)[^]*Server public key is (\d+) bit/);
  return `${subject} ${key === '256' ? 'ec' : 'rsa'}`;
}

async function serverNames() {
  const cases = [
    [null, [], 'one.example ec'], ['one.example', [], 'one.example ec'],
    ['unknown.example', [], 'one.example ec'], ['two.example', [], 'two.example ec'],
    ['two.example', ['-sigalgs', 'RSA-PSS+SHA256'], '*.two.example rsa'],
    ['a.two.example', [], '*.two.example rsa'], ['A.TWO.example', [], '*.two.example rsa'],
    ['a.b.two.example', [], 'one.example ec'],
  ];
  for (const [name, args, expected] of cases) {
    assert.equal(await shown(name, args), expected, name);
  }
}

async function proxyHeaders(server) {
  const v2 = proxyHeader(0x21, 0x11, Buffer.from([192, 0, 2, 9, 1, 1, 1, 1, 0, 7, 0, 80]));
  const v1 = 'PROXY TCP6 2001:db8::9 ::1 99 80\r\n';
  assert.equal(await say(places.proxy, [v1, refused()]), 403);
  await isLoggedAs(server, '[2001:db8::9]:99');
  assert.equal(await say(places.proxy, [Buffer.concat([v2, Buffer.from(refused())])]), 403);
  await isLoggedAs(server, '192.0.2.9:7');
  /* The proxy for itself: a health check. */
  assert.equal(await say(places.proxy, [proxyHeader(0x20, 0, Buffer.alloc(0)), GET]), 200);
}

async function proxyRefusals(server) {
  const rejected = async (reason) => (await server.metrics()).rejected(reason);
  assert.equal(await say(places.proxy, ['PROXY TCP4 192.0.2.66 1.1.1.1 1 2\r\n', GET], { from: '127.0.0.9' }), 0);
  assert.equal(await rejected('proxy_untrusted'), 1);
  assert.equal(await say(places.proxy, [GET]), 0);
  assert.equal(await rejected('proxy_bad'), 1);
  await until(() => /level=info event=closed .*error="no good PROXY header came"/.test(server.log()), 'why it ended in the log');
  assert.equal(await say(server.port, ['PROXY TCP4 192.0.2.66 1.1.1.1 1 2\r\n', GET]), 400, 'refused where it is not due');
  assert.doesNotMatch(server.log(), /192\.0\.2\.66/);
}

/* The bytes of TLS that come with the header are its first. */
async function proxyThenTls(server) {
  const socket = net.connect(places.proxyTls, '127.0.0.1');
  socket.cork();
  socket.write('PROXY TCP4 192.0.2.10 1.1.1.1 11 2\r\n');
  const secure = tls.connect({ socket, servername: 'one.example', ca: fs.readFileSync(certificate('one.example').cert) });
  closeAtEnd(() => secure.destroy());
  process.nextTick(() => socket.uncork());
  const heard = await within(new Promise((resolve, reject) => {
    secure.on('error', reject);
    secure.on('data', (data) => resolve(String(data)));
    secure.write(refused());
  }), 'an answer over TLS');
  assert.match(heard, /^HTTP\/1\.1 403/);
  await isLoggedAs(server, '192.0.2.10:11');
}

async function forwarded(server) {
  assert.equal(await say(server.port, [refused({ 'X-Forwarded-For': '198.51.100.1, 192.0.2.20' })]), 403);
  await isLoggedAs(server, '192.0.2.20');
  assert.equal(await say(server.port, [refused({ 'X-Forwarded-For': '192.0.2.21' })], { from: '127.0.0.9' }), 403);
  await until(() => /client=127\.0\.0\.9:\d+ /.test(server.log()), 'its own address');
  assert.doesNotMatch(server.log(), /192\.0\.2\.21|198\.51\.100\.1/);
}

function get(socketPath, target) {
  return within(new Promise((resolve, reject) => {
    http.get({ socketPath, path: target, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode));
    }).on('error', reject);
  }), target);
}

async function unixSockets(server) {
  assert.equal(await get(places.internal, '/ready'), 200);
  assert.equal(await get(places.internal, '/'), 404);
  assert.equal(await get(places.clients, '/'), 200);
  assert.equal(await get(places.clients, '/metrics'), 404);
  assert.equal(await say(places.clients, [refused()]), 403);
  await isLoggedAs(server, 'unix');
  assert.equal(await say(places.clients, [refused({ 'X-Real-IP': '192.0.2.30' })]), 403);
  await isLoggedAs(server, '192.0.2.30');
}

group({
  name: 'listeners',
  on: 'backends',
  server: options,
  cases: [
    ['certificates by name', serverNames],
    ['PROXY headers', proxyHeaders],
    ['PROXY, refusals', proxyRefusals],
    ['PROXY, then TLS', proxyThenTls],
    ['X-Forwarded-For', forwarded],
    ['unix sockets', unixSockets],
  ],
});

/* What a server that was killed left there is replaced; what another one has is not. */
async function unixSocketOfOthers() {
  const file = path.join(path.dirname(freshFile('folder', '')), 'a.sock');
  const config = { client: { insecure: true }, http_server: { listeners: [{ path: file }] } };
  const first = await Server.start({ reactors: 2, config });
  await assert.rejects(Server.start({ reactors: 2, config }), /a\.sock: Address already in use/);
  assert.equal(await get(file, '/'), 200);
  first.kill('SIGKILL');
  await first.exited;
  assert.ok(fs.existsSync(file));
  const second = await Server.start({ reactors: 2, config });
  assert.equal(await get(file, '/'), 200);
  assert.deepEqual(await second.stop(), { status: 0, signal: null });
  assert.ok(!fs.existsSync(file));
}

async function proxyTimeout() {
  const { port } = await findPorts();
  const server = await Server.start({ reactors: 1, config: { http_server: { proxy_timeout: '100ms',
    listeners: [{ port, proxy_protocol: 'required', trusted_proxies: ['127.0.0.0/8'] }] } } });
  assert.equal(await say(port, ['PROXY TCP4 ']), 0);
  assert.equal((await server.metrics()).rejected('proxy_timeout'), 1);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
}

group({
  name: 'listeners, alone',
  server: false,
  cases: [['a unix socket that is there', unixSocketOfOthers], ['a late PROXY header', proxyTimeout]],
});
