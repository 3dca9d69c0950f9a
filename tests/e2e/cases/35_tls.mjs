// SPDX-License-Identifier: Apache-2.0
/*
 * parleyd with TLS, as the openssl command, curl's library and node see it.
 */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import tls from 'node:tls';

import WebSocket from 'ws';

import { certificate, freshFile, openssl } from '../lib/certificates.mjs';
import { CHAT } from '../lib/chat.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import { group } from '../lib/runner.mjs';
import { Server } from '../lib/server.mjs';
import { talk } from '../lib/talk.mjs';
import { Mailbox, until, within } from '../lib/wait.mjs';

const SECRETS = ['a', 'b', 'c'].map((digit) => digit.repeat(64));

function config(more = {}) {
  const { key, cert } = certificate();
  return {
    client: { insecure: true },
    http_server: { tls: { enabled: true, cert_pem_file: cert, key_pem_file: key, ...more } },
  };
}

/* A WebSocket over TLS that is connected as a client of the chat. */
async function join(server, options = {}) {
  const socket = new WebSocket(`wss://localhost:${server.port}${CHAT}`,
    { ca: fs.readFileSync(certificate().cert), ...options });
  const inbox = new Mailbox('a client over TLS');
  closeAtEnd(() => socket.terminate());
  socket.on('message', (data) => String(data).trim().split('\n').forEach((one) => {
    if (one === '{}') { /* a ping: the first may come at any time */
      socket.send(one);
    } else {
      inbox.put(JSON.parse(one));
    }
  }));
  socket.on('close', (code) => inbox.end(`closed ${code}`));
  socket.on('error', (error) => inbox.end(String(error)));
  await within(new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  }), 'the upgrade');
  const say = async (command) => {
    socket.send(JSON.stringify({ id: 1, ...command }));
    return inbox.take(`the answer to ${JSON.stringify(command)}`);
  };
  assert.ok((await say({ connect: {} })).connect.client);
  return { socket, inbox, say };
}

async function talks(server) {
  for (const version of ['TLSv1.2', 'TLSv1.3']) {
    const client = await join(server, { minVersion: version, maxVersion: version });
    assert.ok((await client.say({ subscribe: { channel: version } })).subscribe);
    const text = 'x'.repeat(40000);
    client.socket.send(JSON.stringify({ id: 2, publish: { channel: version, data: text } }));
    const got = await client.inbox.takeMany(2, 'the reply and the publication');
    assert.equal(got.find((one) => one.push !== undefined).push.pub.data, text);
  }
}

/* What it does not speak, it refuses with the alert that says so. */
async function refuses(server) {
  const cases = [
    [['-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'], /alert protocol version/],
    [['-alpn', 'h2'], /alert no application protocol/],
    [['-alpn', 'h2,http/1.1'], /ALPN protocol: http\/1\.1/],
    [['-tls1_2', '-cipher', 'NULL:aNULL:@SECLEVEL=0'], /alert handshake failure|no cipher/],
  ];
  for (const [args, outcome] of cases) {
    assert.match(await openssl(server.port, args), outcome, args.join(' '));
  }
}

async function renegotiation(server) {
  const said = await openssl(server.port, ['-tls1_2'],
    { input: 'R\n', enough: /RENEGOTIATING[^]*error/ });
  assert.match(said, /no renegotiation/);
}

/* A session whose ticket is in a file. */
async function takeTicket(port, args = ['-tls1_3']) {
  const file = freshFile('session.pem', '');
  await openssl(port, [...args, '-sess_out', file], { enough: () => fs.statSync(file).size > 0 });
  return file;
}

async function isResumed(port, file, args = ['-tls1_3']) {
  const said = await openssl(port, [...args, '-sess_in', file]);
  assert.match(said, /^(New|Reused), /m);
  return /^Reused, /m.test(said);
}

async function resumes(server) {
  for (const version of ['-tls1_2', '-tls1_3']) {
    assert.ok(await isResumed(server.port, await takeTicket(server.port, [version]), [version]), version);
  }
}

async function earlyData(server) {
  const file = await takeTicket(server.port);
  const said = await openssl(server.port, ['-sess_in', file, '-early_data',
    freshFile('early', 'GET / HTTP/1.1\r\n\r\n')]);
  assert.match(said, /Early data was (not sent|rejected)/);
  assert.match(said, /Max Early Data: 0|Early data was not sent/);
}

async function plainHttp(server) {
  const before = (await server.metrics()).rejected('tls_handshake');
  await talk(net.connect(server.port, '127.0.0.1'), 'GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal((await server.metrics()).rejected('tls_handshake'), before + 1);
  await until(() => /level=info event=closed .*error="the peer does not speak TLS"/.test(server.log()), 'why it ended in the log');
}

async function page(server) {
  const response = await talk(tls.connect({
    port: server.port, host: '127.0.0.1', servername: 'localhost', ca: fs.readFileSync(certificate().cert),
  }), 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  assert.match(response, /^HTTP\/1\.1 200 [^]*<!doctype html>/);
}

/* It is seen to come, and to go. */
async function memory(server) {
  const count = 12;
  const taken = async () => (await server.metrics()).value('parley_memory_bytes{pool="tls"}');
  (await join(server)).socket.terminate(); /* what OpenSSL makes once is there */
  await server.untilMetric('parley_connections_open', (value) => value === 1, 'nobody is there but who asks');
  const before = await taken();
  const clients = await Promise.all(Array.from({ length: count }, () => join(server)));
  const each = (await taken() - before) / count;
  assert.ok(each > 10_000 && each < 20_000, `${each} bytes`);
  clients.forEach((client) => client.socket.terminate());
  await until(async () => await taken() < before + 10_000, 'the memory of those who have gone');
}

group({
  name: 'TLS',
  on: 'backends',
  server: () => ({ config: config() }),
  cases: [
    ['talks', talks],
    ['the page', page],
    ['what it refuses', refuses],
    ['renegotiation', renegotiation],
    ['resumption', resumes],
    ['early data', earlyData],
    ['plain HTTP', plainHttp],
    ['memory', memory],
  ],
});

/* -- files that change ------------------------------------------------------------------------- */

/* The serial number of what a new client is shown. */
async function serial(server) {
  const said = await openssl(server.port, ['-showcerts']);
  const [pem] = said.match(/-----BEGIN CERTIFICATE-----[^]*?-----END CERTIFICATE-----/);
  return Number.parseInt(new X509Certificate(pem).serialNumber, 16);
}

function logged(server, pattern, count) {
  return until(() => (server.log().match(pattern) ?? []).length === count, `${pattern} in the log`);
}

/* Who is connected stays, whoever comes sees what is new, and a file that will not do changes nothing. */
async function renews(_, { backend }) {
  const first = certificate('localhost', 'ec', 1);
  const second = certificate('localhost', 'rsa', 2);
  const cert = freshFile('cert.pem', fs.readFileSync(first.cert));
  const key = freshFile('key.pem', fs.readFileSync(first.key));
  const server = await Server.start({ backend, reactors: 2, config: config({ cert_pem_file: cert, key_pem_file: key }) });
  const client = await join(server);
  const ticket = await takeTicket(server.port);
  assert.equal(await serial(server), 1);

  fs.copyFileSync(second.cert, cert);
  server.kill('SIGHUP');
  await logged(server, /level=error event="reload failed: nothing was changed"/g, 1);
  await logged(server, /because="http_server\.tls: cannot use the private key in [^\n]* and="/g, 1);
  assert.equal(await serial(server), 1);

  fs.copyFileSync(second.key, key);
  server.kill('SIGHUP');
  await logged(server, /event=reloaded/g, 1);
  await until(async () => await serial(server) === 2, 'the new certificate');
  assert.ok((await client.say({ subscribe: { channel: 'a' } })).subscribe);
  assert.ok(await isResumed(server.port, ticket), 'a ticket from before');
  client.socket.terminate();
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
}

/* A file of ticket secrets that two servers share; it changes on one of them, then on the other. */
async function sharesTickets() {
  const start = async (file) => Server.start({ reactors: 2, config: config({ ticket_key_file: file }) });
  const files = [freshFile('tickets', `# shared\n${SECRETS[0]}\n`), freshFile('tickets', `${SECRETS[0]}\n`)];
  const [here, there, stranger] = await Promise.all([start(files[0]), start(files[1]),
    Server.start({ reactors: 1, config: config() })]);
  const ticket = await takeTicket(here.port);
  assert.ok(await isResumed(there.port, ticket), 'elsewhere');
  assert.ok(!await isResumed(stranger.port, ticket), 'where the file is not');

  fs.writeFileSync(files[1], `${SECRETS[1]}\n${SECRETS[0]}\n`);
  there.kill('SIGHUP');
  await logged(there, /event=reloaded/g, 1);
  assert.ok(await isResumed(there.port, ticket), 'the secret that it had before');
  assert.ok(!await isResumed(here.port, await takeTicket(there.port)), 'a secret that is not here yet');

  fs.writeFileSync(files[1], `${SECRETS[1]}\n${SECRETS[2]}\n`);
  there.kill('SIGHUP');
  await until(async () => !await isResumed(there.port, ticket), 'a secret that was taken away');

  fs.writeFileSync(files[1], 'secret\n');
  there.kill('SIGHUP');
  await logged(there, /line 1 is not 64/g, 1);
  assert.ok(await isResumed(there.port, await takeTicket(there.port)));
  for (const server of [here, there, stranger]) {
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
  }
}

async function clientCertificates() {
  const [known, unknown] = [certificate('known'), certificate('unknown')];
  const server = await Server.start({ reactors: 1, config: config({ client_ca_pem_file: known.cert, min_version: '1.3' }) });
  const as = (one) => ['-cert', one.cert, '-key', one.key];
  const refused = { enough: /SSL alert number/ };
  assert.match(await openssl(server.port, [], refused), /alert certificate required/);
  assert.match(await openssl(server.port, as(unknown), refused), /alert (unknown ca|bad certificate)/);
  assert.match(await openssl(server.port, ['-tls1_2', ...as(known)], refused), /alert protocol version/);
  assert.ok(await isResumed(server.port, await takeTicket(server.port, as(known))));
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
}

async function handshakeTimeout() {
  const server = await Server.start({ reactors: 1, config: config({ handshake_timeout: '100ms' }) });
  await talk(net.connect(server.port, '127.0.0.1'), []);
  assert.equal((await server.metrics()).rejected('tls_timeout'), 1);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
}

group({
  name: 'TLS, renewed',
  on: 'backends',
  server: false,
  cases: [['certificates', renews]],
});

group({
  name: 'TLS, options',
  server: false,
  cases: [
    ['ticket secrets in a file', sharesTickets],
    ['certificates of clients', clientCertificates],
    ['a handshake that does not end', handshakeTimeout],
  ],
});
