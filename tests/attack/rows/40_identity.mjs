// SPDX-License-Identifier: Apache-2.0
/*
 * Who is not who he says he is, and who asks for what he may not.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';

import { CHAT, RawChat } from '../../e2e/lib/chat.mjs';
import { CLOSE } from '../../e2e/lib/frames.mjs';
import { UPGRADE, Wire, head, request } from '../../e2e/lib/http.mjs';
import { SECRET, makeKey, makeToken, seconds, sign } from '../../e2e/lib/tokens.mjs';
import { until } from '../../e2e/lib/wait.mjs';
import { API_KEY, CLAIMS, KEYS } from '../configurations.mjs';
import { inParallel } from '../parallel.mjs';

const EXPIRED = 109;
const INVALID = 3500;
const DENIED = 103;
const UNAVAILABLE = 108;
const BAD_REQUEST = 107;

const encode = (data) => Buffer.from(data).toString('base64url');
const signed = (key) => (text) => sign(key, text);
const hmac = (key) => signed({ alg: 'HS256', sign: key });
const nothing = () => '';

/* A token of any parts; `finish` makes the third one. */
function forge(header, finish, claims = { sub: 'root', exp: seconds(3600), ...CLAIMS }) {
  const text = [header, claims].map((part) => (
    encode(typeof part === 'string' ? part : JSON.stringify(part)))).join('.');
  return `${text}.${encode(finish(text))}`;
}

/* This token opens nothing: the connection is closed with 3500, or told that the token is old. */
async function isRefused(server, why, token, code = INVALID) {
  const chat = await RawChat.open(server);
  chat.say({ id: 1, connect: { token } });
  if (code === EXPIRED) {
    assert.equal((await chat.next(why)).error?.code, EXPIRED, why);
    chat.destroy();
    return;
  }
  await chat.expectClose(code, why);
}

async function areRefused(server, table) {
  await inParallel(table.length, (number) => isRefused(server, ...table[number]));
}

async function otherAlgorithms(server) {
  const { RS256, ES256 } = KEYS;
  const names = [undefined, null, 0, '', [], 'none', 'None', 'NONE', 'nOnE', 'HS', 'hs256',
    'HS256 ', 'RS', 'PS256', 'ES256K', 'ES384', 'EdDSA', 'A128KW', 'dir'];
  const table = names.flatMap((alg) => [
    [`alg ${alg}, without a signature`, forge({ alg }, nothing)],
    [`alg ${alg}, signed with the secret`, forge({ alg }, hmac(SECRET))],
  ]);
  for (const { pem } of [RS256, ES256]) {
    const der = crypto.createPublicKey(pem).export({ type: 'spki', format: 'der' });
    for (const key of [pem, pem.trimEnd(), `${pem}\n`, der, '']) {
      table.push(['a public key as the secret', forge({ alg: 'HS256' }, hmac(key))]);
    }
  }
  for (const [alg, key] of [['RS256', ES256], ['ES256', RS256], ['HS256', RS256], ['HS256', ES256],
    ['RS256', makeKey('RS256')], ['ES256', makeKey('ES256')]]) {
    table.push([`${alg}, signed with another key`, forge({ alg }, signed(key))]);
  }
  await areRefused(server, table);
}

async function otherSignatures(server) {
  await areRefused(server, [0, 1, 63, 65, 66, 70, 72, 96, 132, 1024, 2500].flatMap((size) => [
    [`ES256 with ${size} zeros`, forge({ alg: 'ES256' }, () => Buffer.alloc(size))],
    [`ES256 with ${size} times 255`, forge({ alg: 'ES256' }, () => Buffer.alloc(size, 255))],
    [`HS256 with ${size} zeros`, forge({ alg: 'HS256' }, () => Buffer.alloc(size))],
  ]).concat([
    ['r = s = 0', forge({ alg: 'ES256' }, () => Buffer.alloc(64))],
    ['as DER', forge({ alg: 'ES256' }, (text) => (
      crypto.sign('sha256', Buffer.from(text), KEYS.ES256.sign)))],
  ]));
}

/* Whoever brings a key of his own, or names one where it is not. */
async function otherKeys(server) {
  const own = makeKey('RS256');
  const good = hmac(SECRET);
  await areRefused(server, [
    ['jwk', forge({ alg: 'RS256', jwk: own.jwk }, signed(own))],
    ['jku', forge({ alg: 'RS256', jku: `http://127.0.0.1:${server.port}/` }, signed(own))],
    ['x5u', forge({ alg: 'RS256', x5u: `http://127.0.0.1:${server.port}/` }, signed(own))],
    ['x5c', forge({ alg: 'RS256', x5c: [encode(own.pem)] }, signed(own))],
    ['crit', forge({ alg: 'HS256', crit: ['exp'], exp: 1 }, good)],
    ['b64', forge({ alg: 'HS256', b64: false, crit: ['b64'] }, good)],
    ['alg twice', forge('{"alg":"HS256","alg":"none"}', good)],
    ['no JSON', forge('alg=HS256', good)],
    ...['../../../dev/null', '/etc/passwd', "' OR 1=1 --", '{{7*7}}', 'a?b=c', 'k'.repeat(129), 'ä']
      .map((kid) => [`kid ${kid}`, forge({ alg: 'HS256', kid }, good)]),
  ]);
}

async function otherTimes(server) {
  const claim = (more) => makeToken(KEYS.HS256, { sub: 'root', ...CLAIMS, ...more });
  await areRefused(server, [
    ['of yesterday', claim({ exp: seconds(-86400) }), EXPIRED],
    ['not yet', claim({ nbf: seconds(3600) })],
    ['made tomorrow', claim({ iat: seconds(86400) })],
    ['for others', claim({ aud: 'shop' })],
    ['by others', claim({ iss: 'them' })],
    ['by nobody', makeToken(KEYS.HS256, { sub: 'root', aud: 'chat' })],
    ['for a channel', claim({ channel: 'a' })],
    ['an end that is none', claim({ exp: 'never' })],
    ['an end beyond all', claim({ exp: 1e300 })],
    ['a user that is none', claim({ sub: { id: 'root' } })],
    ['too long', claim({ info: 'i'.repeat(5000) })],
    ['no token', 'root'], ['two parts', 'e30.e30'], ['four parts', 'e30.e30.e30.e30'],
    ['padding', `${claim({})}=`], ['another alphabet', `${claim({}).slice(0, -1)}+`],
  ]);
}

/* One try on a connection, and no second one. */
async function guesses(server) {
  await inParallel(300, async (number) => {
    await isRefused(server, 'a guess', forge({ alg: 'HS256' }, hmac(`guess ${number}`)));
  });
  const chat = await RawChat.open(server);
  chat.say({ id: 1, connect: { token: 'no' } }, { id: 2, connect: { token: honestToken() } });
  await chat.expectClose(INVALID, 'the second try');
}

const honestToken = (sub = 'honest') => makeToken(KEYS.HS256, { sub, ...CLAIMS });

/* What a command gets as its error, or the code that the connection is closed with. */
async function codeOf(server, token, command) {
  const chat = await RawChat.connect(server, { token });
  chat.say({ id: 2, ...command });
  const got = await chat.frames.next();
  chat.destroy();
  if (got.opcode === CLOSE) {
    return got.payload.readUInt16BE(0);
  }
  const reply = JSON.parse(got.payload);
  return reply.error?.code ?? assert.fail(`${JSON.stringify(command)}: ${JSON.stringify(reply)}`);
}

/* Nothing of what is refused in one way is granted in another one. */
async function otherWays(server) {
  const own = makeToken(KEYS.HS256, { sub: 'eve', ...CLAIMS });
  const channels = ['closed:a', 'closed:#honest', '$own', 'closed:$own'];
  const forChannel = (claims) => makeToken(KEYS.HS256, { sub: 'eve', ...CLAIMS, ...claims });
  const commands = channels.flatMap((channel) => [
    { subscribe: { channel } },
    { subscribe: { channel, recover: true, offset: 0, epoch: '' } },
    { subscribe: { channel, token: own } },
    { subscribe: { channel, token: forChannel({ channel: 'b' }) } },
    { subscribe: { channel, token: forChannel({ channel, sub: 'honest' }) } },
    { publish: { channel, data: 1 } }, { history: { channel, limit: 10 } },
    { presence: { channel } }, { presence_stats: { channel } },
  ]);
  await inParallel(commands.length, async (number) => {
    const code = await codeOf(server, own, commands[number]);
    assert.ok([DENIED, INVALID, UNAVAILABLE].includes(code),
      `${JSON.stringify(commands[number])}: ${code}`);
  });
}

/* The connection's own names come from the kernel, 128 bits at least. */
async function ids(server) {
  const names = new Set();
  await inParallel(300, async () => {
    const chat = await RawChat.connect(server, { token: honestToken() });
    names.add(chat.client);
    chat.destroy();
  });
  assert.equal(names.size, 300);
  const bits = [...names].map((name) => name.replaceAll('-', ''));
  assert.ok(bits.every((name) => /^[0-9a-f]{32,}$/.test(name)), bits[0]);
  const varied = [...bits[0]].filter((_, at) => new Set(bits.map((name) => name[at])).size >= 4);
  assert.ok(varied.length >= 30, `${varied.length} digits that differ`);
}

/* What others say stands in a line of the log, and never is one. */
async function logLines(server) {
  const line = '\n{"level":"error","event":"forged"}\r\n\u001b[31m\u2028';
  const origin = 'http://x"\\{"level":"error","event":"forged"}.example';
  await inParallel(100, async () => {
    const wire = await Wire.open(server.port);
    wire.write(head('GET', CHAT, { ...UPGRADE, Origin: origin }));
    await wire.response();
    wire.destroy();
    const chat = await RawChat.connect(server, { token: honestToken(line) });
    chat.say({ id: 2, subscribe: { channel: `a${line}` } });
    await chat.next();
    chat.say(line);
    await chat.frames.expectClose(3501, 'no JSON');
  });
  const lines = () => server.log().split('\n').slice(0, -1).map((one) => JSON.parse(one));
  for (const [key, said] of [['origin', origin], ['user', line]]) {
    await until(() => lines().some((one) => one[key] === said), `a line whose ${key} is what was said`);
  }
  assert.ok(lines().every((one) => one.event !== 'forged' && one.level !== 'error'));
}

/* Some lines of each kind in a second; the rest is a number. */
async function logFlood(server) {
  const before = server.log().split('\n').length;
  const started = Date.now();
  await inParallel(1000, async () => {
    const wire = await Wire.open(server.port);
    wire.write(head('GET', CHAT, { ...UPGRADE, Origin: 'http://x.example' }));
    assert.equal((await wire.response()).status, 403);
    wire.destroy();
  });
  const more = server.log().split('\n').length - before;
  /* Two reactors, some kinds of lines, ten of each kind in a second, one for what is left out. */
  const most = 2 * 4 * 11 * (2 + (Date.now() - started) / 1000);
  assert.ok(more <= most, `${more} lines for 1000 refusals, not ${most}`);
}

async function secrets(server) {
  const secret = honestToken('secret');
  const chat = await RawChat.connect(server, { token: secret });
  await chat.close();
  await isRefused(server, 'changed', `${secret.slice(0, -2)}AA`);
  for (const path of [`${CHAT}?token=${secret}`, `/?access_token=${secret}`]) {
    await request(server.port, 'GET', path, { Authorization: `Bearer ${secret}` });
  }
  await request(server.internalPort, 'POST', '/api/info',
    { 'X-API-Key': API_KEY, 'Content-Length': 0 });
  const log = server.log();
  for (const text of [SECRET, API_KEY, secret, secret.split('.')[2], secret.split('.')[1]]) {
    assert.ok(!log.includes(text), `${text.slice(0, 9)}... is in the log`);
  }
}

async function otherApiKeys(server) {
  const keys = ['', ' ', API_KEY.slice(0, -1), `${API_KEY}0`, `${API_KEY.slice(0, -1)}0`,
    API_KEY.toUpperCase(), 'null', '***', '0'.repeat(API_KEY.length), 'k'.repeat(4000)];
  const table = keys.flatMap((key) => [{ 'X-API-Key': key }, { Authorization: `apikey ${key}` },
    { Authorization: `Bearer ${key}` }]);
  table.push({}, { Cookie: `key=${API_KEY}` }, { 'X-API-Key': ['', API_KEY] });
  await inParallel(table.length, async (number) => {
    const answer = await request(server.internalPort, 'POST', '/api/info',
      { 'Content-Length': 0, ...table[number] });
    assert.ok([400, 401].includes(answer.status), JSON.stringify(table[number]));
  });
  for (const path of ['/api/info', '/api/publish', '/api']) {
    const outside = await request(server.port, 'POST', path, { 'X-API-Key': API_KEY });
    assert.notEqual(outside.status, 200, path);
  }
}

/* Names that are none: of lines, of other alphabets, too long. */
async function badNames(server) {
  const token = honestToken();
  assert.equal(await codeOf(server, token, { subscribe: { channel: '' } }), 3501);
  for (const channel of [' ', 'a b', 'a\n', 'a\r\nb', 'a\0b', '\u001b[31m', '\u202eabc', '\u0430',
    'é', 'n'.repeat(256), 'n'.repeat(60000)]) {
    await Promise.all(['subscribe', 'publish', 'history', 'presence'].map(async (verb) => {
      const what = verb === 'publish' ? { channel, data: 1 } : { channel };
      const code = await codeOf(server, token, { [verb]: what });
      assert.equal(code, BAD_REQUEST, `${verb} ${channel}`);
    }));
  }
}

/* What is a pattern or a path elsewhere is a name here, and hears what is said in that channel. */
async function patterns(server) {
  const writer = await RawChat.connect(server, { token: honestToken('writer') });
  const chat = await RawChat.connect(server, { token: honestToken('eve') });
  for (const channel of ['*', '>', 'a.>', 'a.*', 'a.b.', '../a.b', 'a.b/../a.b', '{{a}}', 'A.B',
    '%61.b']) {
    const { subscribe, error } = await chat.ask({ subscribe: { channel } });
    assert.ok(subscribe || error.code === BAD_REQUEST, channel);
  }
  for (const channel of ['a.b', 'a', 'b', 'a.b.c']) {
    await writer.publish(channel, 'private');
  }
  await writer.publish('a.*', 'open');
  assert.equal((await chat.push()).pub.data, 'open');
  writer.destroy();
  chat.destroy();
}

/* As many lines in /metrics as before, whatever there are names. */
async function labels(server) {
  const count = async () => (
    (await request(server.internalPort, 'GET', '/metrics')).body.toString().split('\n').length);
  const before = await count();
  await inParallel(30, async (number) => {
    const chat = await RawChat.connect(server, { token: honestToken(`user-${number}`) });
    chat.say(...Array.from({ length: 90 }, (_, i) => (
      { id: 2 + i, subscribe: { channel: `new-${number}-${i}` } })));
    for (let i = 0; i < 90; i += 1) {
      assert.ok((await chat.next()).subscribe);
    }
  });
  assert.equal(await count(), before);
}

const entry = (row, name, attack, rejected = {}) => (
  { row, name, attack, options: { server: 'tokens', rejected } });

export const ROWS = [
  entry(11, 'guesses', guesses, { bad_signature: 300 }),
  entry(24, 'names as labels', labels),
  entry(51, 'other algorithms', otherAlgorithms, { bad_algorithm: 20, bad_signature: 10 }),
  entry(52, 'other signatures', otherSignatures, { bad_signature: 20 }),
  entry(53, 'keys of their own', otherKeys, { malformed: 5, bad_signature: 4 }),
  entry(55, 'other times, other places', otherTimes,
    { expired: 1, not_yet: 2, wrong_audience: 1, wrong_issuer: 2, too_long: 1 }),
  entry(56, 'other keys of the API', otherApiKeys, { api_key: 20 }),
  entry(57, 'bad names of channels', badNames, { channel_name: 40 }),
  entry(57, 'patterns as names', patterns),
  entry(58, 'other ways to what is refused', otherWays, { permission_denied: 5 }),
  entry(59, 'ids that can be guessed', ids),
  entry(60, 'lines of the log', logLines),
  entry(60, 'a flood of the log', logFlood, { bad_origin: 1000 }),
  entry(61, 'secrets in the log', secrets),
];
