// SPDX-License-Identifier: Apache-2.0
/*
 * Keys that come from an endpoint: those who have the server ask for more of them, and an endpoint
 * that is not what it was.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';

import { RawChat } from '../../e2e/lib/chat.mjs';
import { closeAtEnd } from '../../e2e/lib/cleanup.mjs';
import { Server } from '../../e2e/lib/server.mjs';
import { SECRET, makeKey, makeToken } from '../../e2e/lib/tokens.mjs';
import { KEYS, KID } from '../configurations.mjs';
import { Endpoint, answerOf } from '../endpoint.mjs';
import { inParallel } from '../parallel.mjs';

const INTERNAL = 100; /* the error that may pass */
const INVALID = 3500;
const MINUTE_MS = 60000;

const encode = (data) => Buffer.from(data).toString('base64url');
let names = 0;

/* With a name that nobody has heard of; that comes before its signature is looked at. */
function unknown() {
  names += 1;
  const parts = [JSON.stringify({ alg: 'ES256', kid: `k${names}` }), '{"sub":"eve"}',
    crypto.randomBytes(64)];
  return parts.map(encode).join('.');
}

const good = (sub) => makeToken(KEYS.ES256, { sub }, { kid: KID });

async function toConnect(server) {
  const chat = await RawChat.open(server);
  const { error } = await chat.ask({ connect: { token: unknown() } });
  assert.equal(error?.code, INTERNAL);
  chat.destroy();
}

/* Many by somebody who has been let in. */
async function toSubscribe(server, count) {
  const AT_ONCE = 100;
  const chat = await RawChat.connect(server, { token: good('eve') });
  for (let done = 0; done < count; done += AT_ONCE) {
    chat.say(...Array.from({ length: AT_ONCE }, (_, i) => (
      { id: 2 + i, subscribe: { channel: `c${i}`, token: unknown() } })));
    for (let i = 0; i < AT_ONCE; i += 1) {
      assert.equal((await chat.next()).error?.code, INTERNAL);
    }
  }
  chat.destroy();
}

/*
 * However many names: the endpoint is asked at the start, and then once a minute at most. Who has a
 * key that is known gets in all the time, and who has another one under that name never.
 */
async function unknownNames(server) {
  const { issuer } = server.options;
  const [CONNECTS, CHATS, SUBSCRIBES] = [500, 10, 1000];
  await inParallel(CONNECTS + CHATS, (number) => (
    number < CHATS ? toSubscribe(server, SUBSCRIBES) : toConnect(server)));
  for (let i = 0; i < 10; i += 1) {
    (await RawChat.connect(server, { token: good('late') })).destroy();
  }
  const chat = await RawChat.open(server);
  chat.say({ id: 1, connect: { token: makeToken(makeKey('ES256'), {}, { kid: KID }) } });
  await chat.expectClose(INVALID, 'another key under that name');
  const most = 1 + Math.floor((Date.now() - issuer.firstAt) / MINUTE_MS);
  assert.ok(issuer.asked >= 1 && issuer.asked <= most, `${issuer.asked} fetches, and not ${most}`);
  return { said: `${issuer.asked} of at most ${most} fetches` };
}

const OK = 'HTTP/1.1 200 OK\r\n';

/* `text`, and then a byte now and then, for ever. */
function drip(socket, text) {
  socket.write(text);
  const timer = setInterval(() => socket.write(' '), 50);
  socket.once('close', () => clearInterval(timer));
}

/* `text`, and then as much as is taken. */
function pour(socket, text) {
  const piece = Buffer.alloc(65536, ' ');
  socket.write(text);
  const more = () => {
    while (!socket.destroyed && socket.write(piece));
  };
  socket.on('drain', more);
  more();
}

const ANSWERS = [
  ['says nothing', () => {}],
  ['has no end of its head', (socket) => drip(socket, `${OK}X: `)],
  ['comes byte by byte', (socket) => drip(socket, `${OK}Content-Length: 1000\r\n\r\n{"keys":[`)],
  ['has no end', (socket) => pour(socket, `${OK}\r\n{"keys":[`)],
  ['says that it is long', (socket) => pour(socket, `${OK}Content-Length: 1000000000\r\n\r\n`)],
  ['comes in endless chunks', (socket) => pour(socket,
    `${OK}Transfer-Encoding: chunked\r\n\r\nfffffff\r\n`)],
  ['leads elsewhere', (socket, to) => socket.end(answerOf('', '302 Found', `Location: ${to}\r\n`))],
  ['moves for good', (socket, to) => socket.end(answerOf('', '301 Moved', `Location: ${to}\r\n`))],
  ['has no key', (socket) => socket.end(answerOf({ keys: [] }))],
  ['is a page', (socket) => socket.end(answerOf('<html></html>'))],
];
const GROWTH_MAX = 4 << 20; /* bytes */

/* A server of its own, which serves others while it asks, gives up, and is as large as before. */
async function isGivenUp(backend, [what, answer], trap) {
  const endpoint = await Endpoint.start((socket) => answer(socket, trap.url));
  closeAtEnd(() => endpoint.stop());
  const token = { jwks_public_endpoint: endpoint.url, hmac_secret_key: SECRET };
  const server = await Server.start({ backend, reactors: 1, config: { client: { token } } });
  closeAtEnd(() => server.kill('SIGKILL'));
  await server.metrics(); /* its reactor has begun, with all that it needs for that */
  const before = server.rssBytes;
  await endpoint.untilAsked();
  const chat = await RawChat.connect(server, { token: makeToken(makeKey('HS256'), { sub: '1' }) });
  await endpoint.untilLeft();
  await server.untilMetric('parley_jwks_fetches_total{result="failed"}', (value) => value >= 1,
    `1 where an answer ${what}`);
  await toConnect(server);
  assert.ok((await chat.ask({ ping: {} })).ping, `served where an answer ${what}`);
  chat.destroy();
  const growth = server.rssBytes - before;
  assert.ok(growth <= GROWTH_MAX, `${growth} bytes more where an answer ${what}`);
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
}

/* All at once; an endpoint that it is led to is asked nothing. */
async function otherAnswers(server) {
  const trap = await Endpoint.start((socket) => socket.end());
  closeAtEnd(() => trap.stop());
  await inParallel(ANSWERS.length, (number) => (
    isGivenUp(server.options.backend, ANSWERS[number], trap)), ANSWERS.length);
  assert.equal(trap.asked, 0, 'who it is led to');
}

const entry = (name, attack, rejected = {}, more = {}) => (
  { row: 54, name, attack, options: { server: 'keys', rejected, ...more } });

export const ROWS = [
  entry('10,000 names of keys', unknownNames, { unavailable: 10000 }),
  entry('answers of an endpoint', otherAnswers),
];
