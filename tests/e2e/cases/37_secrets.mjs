// SPDX-License-Identifier: Apache-2.0
/*
 * What must not be seen: a whole run at level debug, with everything that can go wrong about
 * tokens, keys and certificates, is searched for them: the log, /metrics, and what clients, back ends
 * and people were answered. And what a line about a connection says.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';

import { BackEnd } from '../lib/api.mjs';
import { certificate, freshFile, openssl } from '../lib/certificates.mjs';
import { CHAT, RawChat, Sdk } from '../lib/chat.mjs';
import { UPGRADE, Wire, head, request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { findPorts, runParleyd, writeConfig } from '../lib/server.mjs';
import { makeKey, makeToken, seconds } from '../lib/tokens.mjs';
import { until } from '../lib/wait.mjs';

const random = (size) => crypto.randomBytes(size).toString('hex');
const HMAC = { alg: 'HS256', sign: `hmac-${random(24)}` };
const SUB_HMAC = { alg: 'HS256', sign: `sub-${random(24)}` };
const API_KEY = `api-${random(24)}`;
const TICKETS = random(32);
const PRIVATE = makeKey('ES256').privatePem;

/* Longer than what could stand there by chance. */
const PIECE = 12;

/* What to look for: secrets in pieces, so that a part of one is found, too. */
const secrets = new Map();

function remember(name, secret) {
  for (let at = 0; at + PIECE <= secret.length; at += PIECE) {
    secrets.set(secret.slice(at, at + PIECE), name);
  }
  return secret;
}

function rememberKey(name, pem) {
  pem.split('\n').filter((line) => line.length >= PIECE && !line.startsWith('-----'))
    .forEach((line) => remember(name, line));
  return pem;
}

/* Its signature is what nobody else can make, its payload what is nobody's business; headers are all alike. */
function token(key, claims, header) {
  const text = makeToken(key, claims, header);
  text.split('.').slice(1).forEach((part, i) => remember(['the payload of a token', 'the signature of a token'][i], part));
  return text;
}

function look(where, text) {
  assert.ok(text.length > 0, where);
  for (const [piece, name] of secrets) {
    const at = text.indexOf(piece);
    assert.ok(at < 0, `${where}: ${name} in ${JSON.stringify(text.slice(Math.max(0, at - 200), at + 100))}`);
  }
}

const world = { answers: [] };

async function server() {
  remember('the HMAC secret', HMAC.sign);
  remember('the HMAC secret of subscriptions', SUB_HMAC.sign);
  remember('the API key', API_KEY);
  remember('the secret of tickets', TICKETS);
  rememberKey('a private key', PRIVATE);
  const { key, cert } = certificate('localhost', 'ec', 37);
  rememberKey('the private key', fs.readFileSync(key, 'utf8'));
  world.cert = freshFile('cert.pem', fs.readFileSync(cert, 'utf8'));
  world.key = freshFile('key.pem', fs.readFileSync(key, 'utf8'));
  world.tickets = freshFile('tickets', `${TICKETS}\n`);
  world.hmac = freshFile('hmac', `${SUB_HMAC.sign}\n`);
  world.tlsPort = (await findPorts()).port;
  return {
    config: {
      log: { level: 'debug' },
      http_server: {
        tls: { cert_pem_file: world.cert, key_pem_file: world.key, ticket_key_file: world.tickets },
        listeners: [{ address: '127.0.0.1', port: world.tlsPort, tls: true }],
      },
      http_api: { key: API_KEY },
      client: {
        token: { hmac_secret_key: HMAC.sign },
        subscription_token: { enabled: true, hmac_secret_key_file: world.hmac },
      },
      channel: { without_namespace: { allow_publish_for_subscriber: true } },
    },
  };
}

/* Keeps all that a client of the chat is told until it is closed; who has ended first is not told why. */
async function saysInChat(running, ...commands) {
  const chat = await RawChat.open(running);
  const { wire } = chat.frames;
  chat.say(...commands);
  while (wire.received.length === 0) {
    await wire.more('an answer');
  }
  wire.socket.end();
  await wire.whenEnded;
  world.answers.push(wire.received.toString('latin1'));
  chat.destroy();
}

async function asksHttp(port, bytes) {
  const wire = await Wire.open(port);
  wire.write(bytes);
  world.answers.push((await wire.response()).body.toString('latin1'));
  wire.destroy();
}

async function clients(running) {
  const good = token(HMAC, { sub: 'ann' });
  const sdk = await Sdk.connect(running, { token: good, getToken: async () => token(HMAC, { sub: 'ann' }) });
  const room = await sdk.subscribe('$room', { token: token(SUB_HMAC, { sub: 'ann', channel: '$room' }) });
  await sdk.publish('$room', 'hello');
  await room.publication.take();
  const connect = (text) => ({ id: 1, connect: { token: text } });
  const stranger = makeKey('HS256');
  for (const bad of [
    `${good}x`, good.replace(/^[^.]*/, Buffer.from('{"alg":"none"}').toString('base64url')), `${good}.${good}`,
    token({ ...stranger, sign: random(32) }, { sub: 'ann' }), token(HMAC, { sub: 'ann', exp: seconds(-3600) }),
    token(HMAC, { sub: 'ann', nbf: seconds(3600) }), token(HMAC, { sub: 7 }), token(HMAC, { sub: 'ann', channel: 'a' }),
    `${good}${good}${'x'.repeat(5000)}`, `"${good}`,
  ]) {
    await saysInChat(running, connect(bad));
  }
  await saysInChat(running, `{"id":1,"connect":{"token":"${good}"`);
  await saysInChat(running, { id: 1, connect: { token: [good] } });
  await saysInChat(running, { id: 1, connect: { name: good, token: 1 } });
  await saysInChat(running, { id: 1, [good]: {} });
  await saysInChat(running, connect(good), { id: 2, subscribe: { channel: '$room', token: `${good}x` } },
    { id: 3, refresh: { token: token(HMAC, { sub: 'bob' }) } });
  sdk.close();
}

async function requests(running) {
  const good = token(HMAC, { sub: 'eve' });
  const bearer = { Authorization: `Bearer ${good}`, Cookie: `token=${good}` };
  for (const bytes of [
    head('GET', `${CHAT}?token=${good}`, bearer), head('GET', `/nothing?token=${good}`, bearer),
    head('POST', `${CHAT}?token=${good}`, bearer), head('GET', `${CHAT}?token=${good}`, { ...UPGRADE, ...bearer, Origin: 'http://evil' }),
    head('GET', CHAT, { ...UPGRADE, ...bearer, 'Sec-WebSocket-Key': good }),
    `GET ${CHAT}?token=${good} HTTP/9.9\r\nAuthorization: ${good}\r\n\r\n`, `${good} ${good}\r\n\r\n`,
    head('GET', CHAT, { Cookie: good.repeat(200) }),
  ]) {
    await asksHttp(running.port, bytes);
  }
}

async function backEnds(running) {
  const ask = async (path, body, headers) => {
    const backEnd = new BackEnd(running, { key: headers === undefined ? API_KEY : null });
    const { text } = await backEnd.post(path, body, headers);
    world.answers.push(text);
    backEnd.close();
  };
  const good = token(HMAC, { sub: 'eve' });
  await ask('/api/info', '{}');
  await ask('/api/info', '{}', { 'X-API-Key': `${API_KEY}x` });
  await ask('/api/info', '{}', { Authorization: `apikey ${API_KEY.slice(0, -1)}` });
  await ask(`/api/info?api_key=${API_KEY}`, '{}', {});
  await ask(`/api/${API_KEY}`, '{}');
  await ask('/api/publish', `{"channel":"${good}${good}","data":"${good}"}`);
  await ask('/api/publish', `{"${good}":1,"channel":`);
  await ask('/api/disconnect', JSON.stringify({ user: 'ann', disconnect: { code: 1, reason: good } }));
  await ask('/api/subscribe', JSON.stringify({ user: 'ann', channel: 7, token: good }));
  await asksHttp(running.internalPort, head('GET', `/metrics?key=${API_KEY}`, { Authorization: `apikey ${API_KEY}` }));
}

async function overTls(running) {
  const said = await openssl(world.tlsPort, ['-servername', 'localhost', '-no_ticket'],
    { input: head('GET', `/nothing?token=${token(HMAC, { sub: 'tls' })}`), enough: /404/ });
  assert.match(said, /404/);
  const wire = await Wire.open(world.tlsPort);
  wire.write(head('GET', '/', { Authorization: `Bearer ${token(HMAC, { sub: 'plain' })}` }));
  await wire.whenEnded;
  wire.destroy();
  await running.untilMetric('parley_rejected_total{reason="tls_handshake"}', (value) => value >= 1, '1');
}

/* Files that hold secrets, and are no good. */
async function reloads(running) {
  const damage = async (file, text, sign) => {
    const before = fs.readFileSync(file, 'utf8');
    const seen = running.log().length;
    fs.writeFileSync(file, text(before));
    running.kill('SIGHUP');
    await until(() => sign.test(running.log().slice(seen)), `${file} to be looked at`);
    fs.writeFileSync(file, before);
  };
  const refused = /reload failed/;
  await damage(world.key, (pem) => pem.replace(/\n(.{20})/, '\nAAAA$1'), refused);
  await damage(world.key, () => PRIVATE, refused);
  await damage(world.tickets, (text) => `${text}${TICKETS}x\n`, refused);
  await damage(world.hmac, (text) => text.slice(0, 20), refused);
  await damage(world.hmac, (text) => text, /event=reloaded/);
}

/* What people are told of a configuration with a secret at the wrong place. */
async function configurations() {
  const about = (client) => ({ client });
  const configs = [
    [{ http_api: { key: API_KEY }, ...about({ token: { hmac_secret_key: HMAC.sign } }) }, 0],
    [about({ token: { hmac_secret_key: [HMAC.sign] } }), 2], [about({ token: { hmac_secret_key: { [HMAC.sign]: 1 } } }), 2],
    [about({ token: { hmac_secret_key: HMAC.sign.slice(0, 20) } }), 2],
    [about({ token: { rsa_public_key: PRIVATE } }), 2],
    [about({ token: { ecdsa_public_key: PRIVATE.replace('PRIVATE', 'PUBLIC') } }), 2],
    [{ http_api: { key: `${API_KEY}\n${API_KEY}` } }, 2], [{ http_api: { key: API_KEY.repeat(10) } }, 2],
    [{ http_api: { key: API_KEY, key_file: world.hmac } }, 2],
  ];
  await Promise.all(configs.map(async ([config, status], i) => {
    const file = writeConfig(`secret-${i}.json`, JSON.stringify(config));
    const got = await runParleyd(['--check-config', '--config', file]);
    assert.equal(got.status, status, `${i}: ${got.stderr}`);
    world.answers.push(got.stdout + got.stderr);
  }));
}

/* Every event that has to do with a secret was there, and none of them showed it. */
async function search(running) {
  const log = running.log().replace(/[^\n]*$/, ''); /* it may be at a line */
  for (const event of ['"token refused"', '"subscription token refused"', 'closing', '"client closes"', 'closed', 'connected',
    'refused', '"origin refused"', '"reload failed: nothing was changed"']) {
    assert.ok(log.includes(`event=${event} `), `${event} in the log`);
  }
  look('the log', log);
  for (const line of log.split('\n').filter((one) => / thread=reactor-/.test(one))) {
    assert.match(line, /event="slow turn"| suppressed=| conn=\d+\.\d+\.\d+ client=\S+ /, line);
  }
  look('/metrics', (await request(running.internalPort, 'GET', '/metrics')).body.toString());
  assert.ok(world.answers.length > 40);
  look('the answers', world.answers.join('\n'));
  assert.throws(() => look('a planted one', `x${API_KEY.slice(10)}`), /the API key/);
}

/* Whose connection it is, and why it ended. The first case: the log has a limit for each event. */
async function lines(running) {
  const sdk = await Sdk.connect(running, { token: token(HMAC, { sub: 'lena' }) });
  const session = sdk.context.client;
  sdk.close();
  const closed = await until(() => running.log().split('\n').slice(0, -1)
    .find((line) => line.includes(`session=${session} `) && /event=closed /.test(line)), 'its end to be told');
  assert.match(closed, / conn=\d+\.\d+\.\d+ client=127\.0\.0\.1:\d+ session=\S+ user=lena reason=client /);
}

group({
  name: 'secrets',
  on: 'backends',
  server,
  cases: [
    ['lines name the connection', lines],
    ['clients', clients],
    ['requests', requests],
    ['back ends', backEnds],
    ['TLS', overTls],
    ['reloads', reloads],
    ['configurations', configurations],
    ['are not to be seen', search],
  ],
});
