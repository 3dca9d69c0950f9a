// SPDX-License-Identifier: Apache-2.0
/*
 * Limits by address and by user: who is above them is refused, at which reactor he ever is, and
 * everybody else is served meanwhile. Clients come from addresses of 127.0.0.0/8, which are limited
 * here, for others are exempt in their place.
 */
import assert from 'node:assert/strict';
import net from 'node:net';
import tls from 'node:tls';

import WebSocket from 'ws';

import { certificate } from '../lib/certificates.mjs';
import { CHAT, RawChat, Sdk, UNHURRIED } from '../lib/chat.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import { TEXT, frame } from '../lib/frames.mjs';
import { UPGRADE, Wire, head } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { findPorts } from '../lib/server.mjs';
import { SECRET, makeKey, makeToken } from '../lib/tokens.mjs';
import { until, within } from '../lib/wait.mjs';

const PROXY = '127.0.0.9';
const EXEMPT = '127.0.0.10';
const CONNECTIONS = 6;
const BURST = 7;
/* Commands of a user, and of an address. */
const USER = { rate: 20, burst: 30 };
const ADDRESS = { rate: 30, burst: 60 };
const DRY = { rate: 1, burst: 5 };
/* Connects of a user: fewer than the slowest run makes. */
const CONNECTS = { rate: 1, burst: 12 };
/* Who is to be above a rate comes so many at a time. */
const AT_ONCE = 3;
const DRY_CONNECTS = { rate: 1, burst: 1 };
const key = makeKey('HS256');

function config(dryRun) {
  const user = dryRun ? DRY : USER;
  const address = dryRun ? DRY : ADDRESS;
  const connects = dryRun ? DRY_CONNECTS : CONNECTS;
  return {
    client: {
      insecure: true,
      ...UNHURRIED,
      stale_close_delay: '10m', /* many of them only take a place */
      token: { hmac_secret_key: SECRET },
      user_connection_limit: 3,
      user_connect_rate: connects.rate,
      user_connect_burst: connects.burst,
      user_command_rate: user.rate,
      user_command_burst: user.burst,
      user_limits_dry_run: dryRun,
      address_connection_limit: CONNECTIONS,
      address_handshake_rate: 1,
      address_handshake_burst: BURST,
      address_command_rate: address.rate,
      address_command_burst: address.burst,
      address_limits_dry_run: dryRun,
      unlimited_addresses: [EXEMPT, '192.0.2.0/24'],
    },
    http_server: { trusted_proxies: [PROXY] },
  };
}

let tlsPort = 0;

/* The same, and TLS at another port. */
async function enforced() {
  const { cert, key: privateKey } = certificate('limits.example');
  tlsPort = (await findPorts()).port;
  const whole = config(false);
  Object.assign(whole.http_server, {
    tls: { cert_pem_file: cert, key_pem_file: privateKey },
    listeners: [{ port: tlsPort, tls: true }],
  });
  return { config: whole };
}

const from = (localAddress) => class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { localAddress });
  }
};

const connect = (server, localAddress) => RawChat.connect(server, {}, { localAddress });

/* A handshake: the wire and what it was answered. */
async function handshake(server, localAddress, headers = {}) {
  const wire = await Wire.open(server.port, { localAddress });
  wire.write(head('GET', CHAT, { ...UPGRADE, ...headers }));
  const response = await wire.response();
  return { wire, response };
}

/* Several, which then go: how many were granted. */
async function handshakes(server, localAddress) {
  const all = await Promise.all(Array.from({ length: AT_ONCE }, () => handshake(server, localAddress)));
  all.forEach(({ wire }) => wire.destroy());
  return all.filter(({ response }) => response.status === 101).length;
}

async function expectRefusal(server, localAddress, headers) {
  const { wire, response } = await handshake(server, localAddress, headers);
  assert.equal(response.status, 429);
  assert.equal(response.headers.get('retry-after'), '1');
  await wire.closed();
}

/* As many as may come from there, which closes nothing. */
async function fill(server, localAddress, headers) {
  const wires = [];
  for (let i = 0; i < CONNECTIONS; i += 1) {
    const { wire, response } = await handshake(server, localAddress, headers);
    assert.equal(response.status, 101, `connection ${i}`);
    wires.push(wire);
  }
  return wires;
}

/* One more refusal of that reason in between. */
async function counted(server, metric, act, count = 1) {
  const before = (await server.metrics()).value(metric);
  await act();
  assert.equal((await server.metrics()).value(metric) - before, count, metric);
}

const rejected = (reason) => `parley_rejected_total{reason="${reason}"}`;
const waits = (reason) => `parley_command_waits_total{reason="${reason}"}`;
const dry = (reason) => `parley_limits_dry_run_total{reason="${reason}"}`;

async function connectionsOfAnAddress(server) {
  const wires = await fill(server, '127.0.0.2');
  await counted(server, rejected('address_connection_limit'), async () => {
    for (let i = 0; i < 10; i += 1) {
      await expectRefusal(server, '127.0.0.2');
    }
    /* A page is no way in, and somebody who says nothing does not wait either. */
    const page = await Wire.open(server.port, { localAddress: '127.0.0.2' });
    page.write(head('GET', '/'));
    assert.equal((await page.response()).status, 429);
    const silent = await Wire.open(server.port, { localAddress: '127.0.0.2' });
    assert.equal((await silent.response()).status, 429);
    await silent.closed();
    const honest = await connect(server, '127.0.0.3');
    await honest.subscribe('limits');
    await honest.publish('limits', 1);
    assert.equal((await honest.push()).pub.data, 1);
    await honest.close();
  }, 12);
  assert.ok((await server.metrics()).value('parley_limited_keys{kind="address"}') >= 1);
  wires.forEach((wire) => wire.destroy());
}

/* The stock client tries again by itself, and is let in when there is room. */
async function sdkComesIn(server) {
  const wires = await fill(server, '127.0.0.4');
  const sdk = new Sdk(server, { websocket: from('127.0.0.4') });
  const refusals = async () => (await server.metrics()).rejected('address_connection_limit');
  const before = await refusals();
  sdk.centrifuge.connect();
  await until(async () => await refusals() > before, 'a refusal');
  wires.pop().destroy();
  await sdk.connected.take('to be let in');
  sdk.close();
  wires.forEach((wire) => wire.destroy());
}

/* However fast it tries, it is given its burst and then its rate. */
async function handshakeRate(server) {
  const reason = 'address_handshake_rate';
  const before = (await server.metrics()).rejected(reason);
  const began = Date.now();
  let granted = 0;
  await until(async () => {
    granted += await handshakes(server, '127.0.0.5');
    return (await server.metrics()).rejected(reason) > before;
  }, 'a refusal');
  assert.ok(granted >= BURST, `${granted} were granted`);
  assert.ok(granted <= BURST + (Date.now() - began) / 1000 + 1, `${granted} were granted`);
  const honest = await connect(server, '127.0.0.6');
  await honest.close();
}

async function behindProxies(server) {
  const alice = { 'X-Forwarded-For': '198.51.100.1' };
  const wires = await fill(server, PROXY, alice);
  await expectRefusal(server, PROXY, alice);
  /* What it wrote itself does not help; another client of that proxy is another client. */
  await expectRefusal(server, PROXY, { 'X-Forwarded-For': '198.51.100.9, 198.51.100.1' });
  const { wire, response } = await handshake(server, PROXY, { 'X-Forwarded-For': '198.51.100.2' });
  assert.equal(response.status, 101);
  wires.push(wire);
  /* One subscriber has a whole /64. */
  const six = (host) => ({ 'X-Forwarded-For': `2001:db8::${host}` });
  wires.push(...await fill(server, PROXY, six('1')));
  await expectRefusal(server, PROXY, six('ffff'));
  const { wire: other, response: its } = await handshake(server, PROXY,
    { 'X-Forwarded-For': '2001:db8:0:1::1' });
  assert.equal(its.status, 101);
  wires.push(other);
  /* Whoever is not trusted speaks for nobody. */
  const mallory = await fill(server, '127.0.0.7', alice).catch((error) => error);
  assert.ok(Array.isArray(mallory), `from its own address: ${mallory}`);
  await expectRefusal(server, '127.0.0.7', { 'X-Forwarded-For': '198.51.100.77' });
  [...wires, ...mallory].forEach((one) => one.destroy());
}

/* A handshake over TLS, and how it ends: its status, or 'reset'. */
function secureHandshake(localAddress) {
  const wire = net.connect({ port: tlsPort, host: '127.0.0.1', localAddress });
  const socket = tls.connect({ socket: wire, rejectUnauthorized: false });
  closeAtEnd(() => socket.destroy());
  const end = within(new Promise((resolve) => {
    socket.on('error', () => resolve('reset'));
    socket.on('end', () => resolve('reset'));
    socket.on('data', (data) => resolve(String(data).slice(9, 12)));
    socket.write(head('GET', CHAT, UPGRADE));
  }), 'an end over TLS');
  return { wire, socket, end };
}

/* LIMITS.md row 6: also if they speak before they are accepted, they cost no signature. */
async function expectNoHandshake(server, localAddress, count) {
  server.kill('SIGSTOP');
  const all = Array.from({ length: count }, () => secureHandshake(localAddress));
  try {
    await Promise.all(all.map(({ wire }) => until(() => wire.bytesWritten > 0, 'a ClientHello')));
  } finally {
    server.kill('SIGCONT');
  }
  for (const { wire, end } of all) {
    assert.equal(await end, 'reset');
    assert.equal(wire.bytesRead, 0, 'bytes of TLS from the server');
  }
}

async function overTls(server) {
  const sockets = [];
  for (let i = 0; i < CONNECTIONS; i += 1) {
    const { socket, end } = secureHandshake('127.0.0.8');
    assert.equal(await end, '101');
    sockets.push(socket);
  }
  await counted(server, rejected('address_connection_limit'), async () => {
    await expectNoHandshake(server, '127.0.0.8', 20);
    await expectRefusal(server, '127.0.0.8');
    const honest = secureHandshake('127.0.0.11');
    assert.equal(await honest.end, '101');
    honest.socket.destroy();
  }, 21);
  sockets.forEach((socket) => socket.destroy());
}

async function exemptions(server) {
  const clients = [];
  for (const localAddress of [EXEMPT, PROXY]) {
    for (let i = 0; i < 2 * BURST; i += 1) {
      clients.push(await connect(server, localAddress));
    }
  }
  await Promise.all(clients.map((one) => one.close()));
}

async function connectionsOfAUser(server) {
  const token = (sub) => makeToken(key, { sub });
  const options = (sub, last) => ({ token: token(sub), websocket: from(`127.0.0.${last}`) });
  const ours = [];
  for (let i = 0; i < 3; i += 1) {
    ours.push(await Sdk.connect(server, options('ann', 20 + i)));
  }
  await counted(server, rejected('user_connection_limit'), async () => {
    for (let i = 0; i < 4; i += 1) {
      const above = new Sdk(server, options('ann', 30 + i));
      above.centrifuge.connect();
      const { code, reason } = await above.disconnected.take('a refusal');
      assert.deepEqual([code, reason], [3504, 'connection limit']);
    }
    const bob = await Sdk.connect(server, options('bob', 34));
    await bob.subscribe('limits');
    bob.close();
    /* Who is nobody is nobody's connection. */
    for (let i = 0; i < 4; i += 1) {
      (await Sdk.connect(server, { websocket: from(`127.0.0.${40 + i}`) })).close();
    }
  }, 4);
  ours.pop().close();
  await until(async () => {
    const again = new Sdk(server, options('ann', EXEMPT.split('.')[3]));
    again.centrifuge.connect();
    const how = await Promise.race([again.connected.take('it').then(() => true),
      again.disconnected.take('it').then(() => false)]);
    return how;
  }, 'room for another one');
}

/* However fast it comes back, it is given its burst and then its rate; the stock client comes in by itself. */
async function connectsOfAUser(server) {
  const token = makeToken(key, { sub: 'dora' });
  const began = Date.now();
  let granted = 0;
  const ask = async () => {
    const chat = await RawChat.open(server, {}, { localAddress: EXEMPT });
    chat.say({ id: 1, connect: { token } });
    const { opcode, payload } = await chat.frames.next('an answer');
    chat.destroy();
    return opcode === TEXT ? JSON.parse(payload.toString().split('\n')[0]) : {}; /* else 3504: others are still there */
  };
  const { error } = await until(async () => {
    const replies = await Promise.all(Array.from({ length: AT_ONCE }, ask));
    granted += replies.filter((one) => one.connect !== undefined).length;
    return replies.find((one) => one.error !== undefined);
  }, 'a refusal');
  assert.deepEqual([error.code, error.temporary], [111, true]);
  const most = CONNECTS.burst + ((Date.now() - began) / 1000 + 1) * CONNECTS.rate;
  assert.ok(granted >= CONNECTS.burst && granted <= most, `${granted} were granted, of ${most}`);
  assert.ok((await server.metrics()).rejected('user_connect_rate') >= 1);
  (await Sdk.connect(server, { token, websocket: from(EXEMPT) })).close();
}

const signIn = (server, sub, last) => RawChat.connect(server,
  { token: makeToken(key, { sub }) }, { localAddress: `127.0.0.${last}` });

const ping = (id) => ({ id, ping: {} });

/* Says so many at once, and is answered each in its order. */
async function askMany(chat, count) {
  chat.say(...Array.from({ length: count }, (_, i) => ping(1000 + i)));
  for (let i = 0; i < count; i += 1) {
    assert.equal((await chat.next('an answer, at the rate')).id, 1000 + i);
  }
}

/*
 * All of them say more than they may until they are sent away: how much was answered, and was due since `began`.
 * That was before they signed in, for a reactor's clock stands still while it works.
 */
async function flood(chats, { rate, burst }, began) {
  const answers = await Promise.all(chats.map(async (chat) => {
    chat.frames.write(Buffer.concat(Array.from({ length: 2000 }, (_, i) => (
      frame(TEXT, JSON.stringify(ping(2 + i)))))));
    const before = [];
    await chat.frames.expectClose(3013, 'a flood of commands', { before });
    return before.reduce((sum, { payload }) => sum + payload.toString('utf8').trim().split('\n').length, 0);
  }));
  const answered = answers.reduce((sum, one) => sum + one, 0);
  const most = burst + (performance.now() - began) / 1000 * rate;
  assert.ok(answered >= burst && answered <= most, `${answered} were answered, of ${most}`);
}

/*
 * Wherever they are connected, a user and an address have so much to say together; who is a little
 * above it is read more slowly, who stays above it goes, and the others do not notice.
 */
async function commands(server) {
  const exempt = await connect(server, EXEMPT);
  await counted(server, waits('address_command_rate'), () => askMany(exempt, ADDRESS.burst + 10), 0);
  await exempt.close();
  await server.untilMetric('parley_users', (value) => value === 0, 'the places of those before');
  const began = performance.now();
  const ann = await Promise.all([50, 51, 52].map((last) => signIn(server, 'ann', last)));
  const carol = await Promise.all([53, 54].map((last) => signIn(server, 'carol', last)));
  const nobody = await Promise.all([60, 60].map((last) => connect(server, `127.0.0.${last}`)));
  const bob = await signIn(server, 'bob', 61);
  await counted(server, rejected('user_command_rate'), () => (
    counted(server, rejected('address_command_rate'), () => Promise.all([
      flood(ann, USER, began),
      flood(nobody, ADDRESS, began),
      ...carol.map((chat) => askMany(chat, USER.burst / 2 + 5)),
      askMany(bob, USER.burst / 2),
    ]), 2)), 3);
  const metrics = await server.metrics();
  assert.ok(metrics.value(waits('user_command_rate')) > 0);
  assert.ok(metrics.value(waits('address_command_rate')) > 0);
  assert.equal(metrics.rejected('command_rate'), 0);
  await Promise.all([...carol, bob].map((chat) => chat.close()));
}

group({
  name: 'limits by address and user',
  on: 'backends',
  server: enforced,
  cases: [
    ['connections of an address: the others are served', connectionsOfAnAddress],
    ['the stock client comes in when there is room', sdkComesIn],
    ['new connections of an address: burst, then rate', handshakeRate],
    ['the address is the client\'s, behind a proxy; an IPv6 one is a /64', behindProxies],
    ['over TLS', overTls],
    ['exempt: the list, trusted proxies', exemptions],
    ['connections of a user: 3504, at all reactors together', connectionsOfAUser],
    ['connects of a user: burst, then rate', connectsOfAUser],
    ['commands of a user, of an address: exactly, at all reactors together', commands],
  ],
});

async function dryRun(server) {
  const clients = [];
  await counted(server, dry('address_connection_limit'), async () => {
    for (let i = 0; i < CONNECTIONS + 2; i += 1) {
      clients.push(await connect(server, '127.0.0.2'));
    }
  }, 2);
  await counted(server, dry('user_connection_limit'), async () => {
    for (let i = 0; i < 5; i += 1) {
      clients.push(await RawChat.connect(server, { token: makeToken(key, { sub: 'ann' }) },
        { localAddress: `127.0.0.${20 + i}` }));
    }
  }, 2);
  await Promise.all(clients.map((one) => one.close()));
  await until(async () => {
    assert.equal(await handshakes(server, '127.0.0.3'), AT_ONCE);
    return (await server.metrics()).value(dry('address_handshake_rate')) > 0;
  }, 'what would have been refused');
  const eve = await signIn(server, 'eve', 13);
  await until(async () => {
    const several = await Promise.all(Array.from({ length: AT_ONCE }, () => signIn(server, 'eve', 14)));
    await Promise.all(several.map((one) => one.close()));
    return (await server.metrics()).value(dry('user_connect_rate')) > 0;
  }, 'what would have been refused of a user');
  await askMany(eve, 40);
  await eve.close();
  const metrics = await server.metrics();
  for (const reason of ['address_command_rate', 'user_command_rate']) {
    assert.ok(metrics.value(dry(reason)) > 0, reason);
    assert.equal(metrics.value(waits(reason)), 0, reason);
  }
  for (const reason of ['address_connection_limit', 'address_handshake_rate', 'user_connection_limit',
    'user_connect_rate', 'address_command_rate', 'user_command_rate']) {
    assert.equal(metrics.rejected(reason), 0, reason);
  }
}

async function reload(server) {
  const eve = await signIn(server, 'eve', EXEMPT.split('.')[3]);
  const wires = await fill(server, '127.0.0.12');
  wires.push((await handshake(server, '127.0.0.12')).wire);
  await server.reload(config(false));
  await counted(server, rejected('address_connection_limit'),
    () => expectRefusal(server, '127.0.0.12'));
  assert.ok(wires.every((wire) => wire.ended === null));
  await until(async () => {
    await askMany(eve, USER.burst + 5);
    return (await server.metrics()).value(waits('user_command_rate')) > 0;
  }, 'commands that have to wait');
  await eve.close();
  wires.forEach((wire) => wire.destroy());
}

group({
  name: 'limits that only count',
  server: () => ({ config: config(true) }),
  cases: [
    ['nobody is refused, and it is said who would have been', dryRun],
    ['a reload ends it, for who is there stays', reload],
  ],
});
