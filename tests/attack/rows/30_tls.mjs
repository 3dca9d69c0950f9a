// SPDX-License-Identifier: Apache-2.0
/*
 * TLS: handshakes that never end, that are many, that are old; and what testssl.sh of Debian says.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import tls from 'node:tls';

import { freshFile, openssl } from '../../e2e/lib/certificates.mjs';
import { closeAtEnd } from '../../e2e/lib/cleanup.mjs';
import { Wire } from '../../e2e/lib/http.mjs';
import { settings } from '../../e2e/lib/server.mjs';
import { until, within } from '../../e2e/lib/wait.mjs';
import { flood } from '../flood.mjs';
import { inParallel } from '../parallel.mjs';
import { outputOf } from '../program.mjs';

/* What a client of TLS says first. */
async function helloOf(options = {}) {
  const listener = net.createServer();
  await new Promise((resolve) => { listener.listen(0, '127.0.0.1', resolve); });
  closeAtEnd(() => listener.close());
  const heard = new Promise((resolve) => {
    listener.once('connection', (socket) => socket.once('data', (data) => {
      resolve(data);
      socket.destroy();
    }));
  });
  tls.connect({ port: listener.address().port, host: '127.0.0.1', ...options })
    .on('error', () => {});
  return within(heard, 'a ClientHello');
}

async function connect(server, options = {}) {
  const socket = tls.connect(
    { port: server.port, host: '127.0.0.1', rejectUnauthorized: false, ...options });
  closeAtEnd(() => socket.destroy());
  await within(new Promise((resolve, reject) => {
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
  }), 'a TLS handshake');
  return socket;
}

const PER_CONNECTION = 64 << 10; /* bytes before the handshake is over */
/*
 * What the heap keeps of them: where the machine is busy, fewer are there at once in the first round than in
 * the next one.
 */
const KEPT_MAX = 12 << 20;

/* Nothing, a part, a part byte by byte, one that says it is 16 MiB: all go after their time. */
async function halfHandshakes(server) {
  const COUNT = 400;
  const hello = await helloOf();
  const huge = Buffer.from('1603014000' + '01ffffff0303', 'hex');
  const before = server.rssBytes;
  let most = 0;
  await inParallel(COUNT, async (number) => {
    const wire = await Wire.open(server.port);
    const kind = number % 4;
    if (kind === 1) {
      wire.write(hello.subarray(0, hello.length >> 1));
    } else if (kind === 2) {
      await wire.writeChopped(hello.subarray(0, 20).toString('latin1'));
    } else if (kind === 3) {
      wire.write(Buffer.concat([huge, Buffer.alloc(16000)]));
    }
    most = Math.max(most, server.rssBytes);
    await within(wire.whenEnded, 'the end of half a handshake');
  }, COUNT);
  assert.ok(most - before <= COUNT * PER_CONNECTION, `${most - before} bytes for ${COUNT}`);
}

/* Each with a signature of its own, and gone at once. */
async function handshakes(server) {
  await inParallel(400, async () => (await connect(server)).destroy());
}

const STRANGER = '127.0.0.9'; /* whose address has limits */
const LEAVES_MS = 25; /* so that there are always new ones */

const aSecond = (count, ms) => Math.round((1000 * count) / ms);

/* Somebody new is served again after a flood. What that was like. */
async function recovers(server, { begun, answered }, ms) {
  const since = Date.now();
  await until(() => connect(server).then(() => true, () => false), 'a handshake afterwards');
  return { said: `${aSecond(begun, ms)} a second, ${aSecond(answered, ms)} of them answered; ${
    Date.now() - since} ms until the next one` };
}

/* From everywhere, so that no address has too many: each is answered, or waits for its turn. */
async function floodOfAll(server, ms) {
  const counts = await flood(server, { ms, hello: await helloOf(), patienceMs: LEAVES_MS });
  return recovers(server, counts, ms);
}

/* From one address: what is above its rate is reset, and costs no signature. */
async function floodOfOne(server, ms) {
  const limit = server.options.config.client;
  const counts = await flood(server,
    { ms, hello: await helloOf(), patienceMs: LEAVES_MS, localAddress: STRANGER });
  const most = limit.address_handshake_burst + limit.address_handshake_rate * (ms / 1000 + 5);
  assert.ok(counts.answered <= most, `${counts.answered} were answered, and not ${most}`);
  return recovers(server, counts, ms);
}

async function renegotiations(server) {
  const said = await openssl(server.port, ['-tls1_2'],
    { input: 'R\n', enough: /RENEGOTIATING[^]*error/ });
  assert.match(said, /no renegotiation/);
}

async function earlyData(server) {
  const file = freshFile('session.pem', '');
  await openssl(server.port, ['-tls1_3', '-sess_out', file],
    { enough: () => fs.statSync(file).size > 0 });
  const said = await openssl(server.port, ['-sess_in', file, '-early_data',
    freshFile('early', 'GET / HTTP/1.1\r\n\r\n')]);
  assert.match(said, /Early data was (not sent|rejected)/);
}

/* A ticket that was changed resumes nothing, and is no fault. */
async function forgedTickets(server) {
  const options = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.2' };
  const first = await connect(server, options);
  const [session, ticket] = [first.getSession(), first.getTLSTicket()];
  const at = session.indexOf(ticket);
  assert.ok(at > 0);
  const resumed = await connect(server, { ...options, session });
  assert.ok(resumed.isSessionReused(), 'as it was');
  await inParallel(ticket.length, async (number) => {
    const forged = Buffer.from(session);
    forged[at + number] ^= 1;
    const socket = await connect(server, { ...options, session: forged });
    assert.ok(!socket.isSessionReused(), `byte ${number} changed`);
    socket.destroy();
  });
}

async function otherProtocols(server) {
  assert.match(await openssl(server.port, ['-alpn', 'h2']), /alert no application protocol/);
  assert.match(await openssl(server.port, ['-alpn', 'h2,http/1.1']), /ALPN protocol: http\/1\.1/);
}

/* [what it is asked for, its findings that must be so]. Others are for who configures ciphers. */
const FINDINGS = {
  SSLv2: /not offered/, SSLv3: /not offered/, TLS1: /not offered/, TLS1_1: /not offered/,
  TLS1_2: /^offered/, TLS1_3: /^offered/, ALPN: /^http\/1\.1$/, heartbleed: /not vulnerable/,
  CCS: /not vulnerable/, ticketbleed: /not vulnerable/, secure_renego: /supported/,
  secure_client_renego: /not vulnerable/, CRIME_TLS: /not vulnerable/,
  fallback_SCSV: /supported|no protocol below/i,
};

async function testssl(server) {
  const file = path.join(settings.artefacts, `testssl-${server.port}.json`);
  const said = await outputOf('testssl', ['--quiet', '--color', '0', '--warnings', 'off', '--ip',
    '127.0.0.1', '--jsonfile', file, '-p', '-H', '-I', '-T', '-R', '-C', '-Z',
    `localhost:${server.port}`]);
  if (said === null) {
    return { skipped: 'there is no testssl (deploy/packages.sh)' };
  }
  const findings = new Map(JSON.parse(fs.readFileSync(file, 'utf8'))
    .map((one) => [one.id, one.finding]));
  for (const [id, wanted] of Object.entries(FINDINGS)) {
    assert.match(findings.get(id) ?? `nothing\n${said}`, wanted, `testssl: ${id}`);
  }
  return undefined;
}

const entry = (row, name, attack, rejected = {}, more = {}) => (
  { row, name, attack, options: { server: 'tls', rejected, ...more } });

export const ROWS = [
  entry(5, 'handshakes that never end', halfHandshakes, { tls_timeout: 300 },
    { server: 'impatient', warmUp: true, growth: KEPT_MAX }),
  entry(6, 'handshakes', handshakes, {}, { warmUp: true }),
  entry(6, 'a flood of handshakes', floodOfAll, {}, { server: 'flooded', warmUp: true }),
  entry(6, 'a flood from one address', floodOfOne, { address_handshake_rate: 1 },
    { server: 'flooded', warmUp: true }),
  entry(7, 'renegotiation', renegotiations),
  entry(7, 'testssl.sh', testssl),
  entry(8, 'early data', earlyData),
  entry(9, 'forged tickets', forgedTickets),
  entry(16, 'HTTP/2 by ALPN', otherProtocols, { tls_handshake: 1 }),
];
