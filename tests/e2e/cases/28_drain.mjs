// SPDX-License-Identifier: Apache-2.0
/*
 * SIGTERM as a load balancer and its clients see it: not ready at once, serving on, then one client
 * after the other is sent away, and nothing that was queued is lost. Where a test looks at a time in
 * between, that time has no end but a second signal.
 */
import assert from 'node:assert/strict';

import { BackEnd } from '../lib/api.mjs';
import { CHAT, RawChat, UNHURRIED } from '../lib/chat.mjs';
import { FrameClient, CLOSE } from '../lib/frames.mjs';
import { UPGRADE, Wire, head, request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { Server } from '../lib/server.mjs';
import { until, within } from '../lib/wait.mjs';

const client = { insecure: true, queue_max_size: 16 * 1024 * 1024, ...UNHURRIED };

async function start(point, shutdown, more = {}) {
  return Server.start({ ...point, config: { client, shutdown, ...more } });
}

async function statusOf(server, path) {
  const got = await request(server.internalPort, 'GET', path);
  return `${got.status} ${got.body.toString().trim()}`;
}

const untilNotReady = (server) => until(
  async () => (await statusOf(server, '/ready')) === '503 draining', '/ready to say no');

async function endAtOnce(server) {
  server.kill('SIGTERM');
  const end = await within(server.exited, 'an exit at once');
  assert.notEqual(end.status, 0);
  assert.match(server.log(), /second signal/);
}

/* Not ready, but healthy; who is there and who still comes is served. */
async function grace(_, point) {
  const server = await start(point, { grace: '5m', timeout: '10m' });
  const old = await RawChat.connect(server);
  await old.subscribe('grace');
  assert.equal(await statusOf(server, '/ready'), '200 ready');
  server.kill('SIGTERM');
  await untilNotReady(server);
  assert.equal(await statusOf(server, '/health'), '200 ok');
  const fresh = await RawChat.connect(server);
  await fresh.publish('grace', 'still');
  assert.equal((await old.push()).pub.data, 'still');
  const wire = await Wire.open(server.port);
  await until(async () => { /* /ready may have been another reactor's word */
    wire.write(head('GET', '/'));
    const page = await wire.response();
    assert.equal(page.status, 200);
    return page.headers.get('connection') === 'close';
  }, 'connections not to be kept for later');
  const inside = await request(server.internalPort, 'GET', '/metrics');
  assert.notEqual(inside.headers.get('connection'), 'close', 'but inside it may');
  await endAtOnce(server);
}

/* The first is sent away, and the others do not notice. Nobody new is let in. */
async function oneAfterTheOther(_, point) {
  const server = await start(point, { grace: '0s', timeout: '10m', close_rate: 1 });
  const chats = await Promise.all(Array.from({ length: 12 }, () => RawChat.connect(server)));
  const closed = chats.map((chat) => within(chat.frames.next('its close frame'), 'a close', 60000));
  server.kill('SIGTERM');
  const first = await Promise.race(closed);
  assert.equal(first.opcode, CLOSE);
  assert.equal(first.payload.readUInt16BE(0), 3001);
  const toldIn = (metrics) => metrics.value('parley_drain_connections_total{outcome="told"}');
  /* The other reactor may not have begun to count. */
  const metrics = await until(async () => {
    const now = await server.metrics();
    return toldIn(now) + now.value('parley_drain_waiting') === 12 ? now : null;
  }, 'all 12 to be told, or waiting for it');
  const told = toldIn(metrics);
  assert.ok(told >= 1 && told < 12, `${told} of 12 told`);
  assert.equal(metrics.value('parley_drain_connections_total{outcome="cut"}'), 0);
  assert.equal(await statusOf(server, '/ready'), '503 draining');
  await assert.rejects(FrameClient.connect(server.port, CHAT), 'a connection while they go');
  chats.forEach((chat) => chat.say({ id: 9, publish: { channel: 'on', data: 1 } }));
  const answered = closed.map(async (frame) => {
    const { opcode, payload } = await frame;
    assert.notEqual(opcode, CLOSE);
    assert.deepEqual(JSON.parse(payload.toString()), { id: 9, publish: {} });
  });
  await Promise.any(answered);
  await endAtOnce(server);
}

/* 2 MiB that wait for who does not read: more than what the kernel takes. */
async function owe(server, count = 64) {
  const [reader, writer] = await Promise.all([RawChat.connect(server), RawChat.connect(server)]);
  await reader.subscribe('owed');
  reader.frames.wire.socket.pause();
  for (let i = 0; i < count; i += 1) {
    await writer.publish('owed', `${i} ${'x'.repeat(32768)}`);
  }
  return { reader, writer };
}

async function takeOwed(reader, count = 64) {
  reader.frames.wire.socket.resume();
  for (let i = 0; i < count; i += 1) {
    assert.equal((await reader.push('what was queued')).pub.data.split(' ')[0], String(i));
  }
  await reader.expectClose(3001, 'shutdown behind it');
}

async function flushes(_, point) {
  const server = await start(point, { grace: '0s', timeout: '10m' },
    { websocket: { close_timeout: '1m' } });
  const { reader, writer } = await owe(server);
  server.kill('SIGTERM');
  await server.untilMetric('parley_drain_connections_total{outcome="told"}', (value) => value === 2);
  await takeOwed(reader);
  await writer.expectClose(3001, 'shutdown');
  assert.deepEqual(await within(server.exited, 'the exit'), { status: 0, signal: null });
  assert.match(server.log(), /drained.* told=2 waiting=0 open=0 cut=0/);
}

/*
 * /ready and /metrics are asked of any reactor and speak of all: one that has no client left answers
 * as long as another has one. Connections that are kept are spread over both.
 */
async function answersInside(_, point) {
  const server = await start(point, { grace: '0s', timeout: '10m' },
    { websocket: { close_timeout: '1m' }, http_server: { handshake_timeout: '1m' } });
  const { reader, writer } = await owe(server);
  const inside = await Promise.all(Array.from({ length: 16 }, () => Wire.open(server.internalPort)));
  const askAll = () => Promise.all(inside.map(async (wire) => {
    wire.write(head('GET', '/ready'));
    return (await wire.response()).body.toString();
  }));
  assert.deepEqual(new Set(await askAll()), new Set(['ready\n']));
  server.kill('SIGTERM');
  await writer.expectClose(3001, 'shutdown of one that reads');
  await server.untilMetric('parley_drain_connections_total{outcome="told"}', (value) => value === 2);
  await server.untilMetric('parley_connections_open', (value) => value === inside.length + 2,
    'the reader, who is inside, and who asks');
  /* Both clients may be the same reactor's, and the other one not know yet. */
  await until(async () => (await askAll()).every((one) => one === 'draining\n'), 'both to be draining');
  await takeOwed(reader);
  assert.deepEqual(new Set(await Promise.all(inside.map((wire) => wire.closed()))), new Set(['end']));
  assert.deepEqual(await within(server.exited, 'the exit'), { status: 0, signal: null });
  assert.match(server.log(), /drained.* told=2 waiting=0 open=0 cut=0/);
}

/* Who does not read what it is owed has the time that there is, and then is cut; who reads takes part of it. */
async function cuts(_, point) {
  const server = await start(point, { grace: '0s', timeout: '3s' });
  const { reader, writer } = await owe(server);
  server.kill('SIGTERM');
  await writer.expectClose(3001, 'shutdown of one that reads');
  assert.deepEqual(await within(server.exited, 'the exit'), { status: 0, signal: null });
  assert.match(server.log(), /drained.* told=2 waiting=0 open=0 cut=1/);
  reader.destroy();
}

const SLOW_PEERS = {
  websocket: { close_timeout: '1m' }, http_server: { handshake_timeout: '1m' },
  http_api: { insecure: true, body_timeout: '1m' },
};

const halves = (text) => [text.slice(0, -2), text.slice(-2)];

const ended = (wires) => within(Promise.all(wires.map((wire) => wire.whenEnded)), 'them to be closed');

/*
 * A request that has begun is answered, and a new client sent elsewhere; who is silent is closed
 * meanwhile. They keep their ends open, as browsers do, and hold nobody up.
 */
async function endsRequests(_, point) {
  const server = await start(point, { grace: '0s', timeout: '10m' }, SLOW_PEERS);
  const [asks, comes, kept, silent] = await Promise.all(
    Array.from({ length: 4 }, () => Wire.open(server.port)));
  kept.write(head('GET', '/'));
  assert.notEqual((await kept.response()).headers.get('connection'), 'close');
  const [page, pageEnd] = halves(head('GET', '/'));
  const [upgrade, upgradeEnd] = halves(head('GET', CHAT, UPGRADE));
  asks.write(page);
  comes.write(upgrade);
  await server.untilMetric('parley_connections_open', (value) => value === 5, 'the four, and who looks');
  server.kill('SIGTERM');
  assert.deepEqual(await ended([kept, silent]), ['end', 'end']);
  asks.write(pageEnd);
  const got = await asks.response();
  assert.equal(got.status, 200);
  assert.equal(got.headers.get('connection'), 'close');
  assert.equal(await asks.closed(), 'end');
  comes.write(upgradeEnd);
  const refused = await comes.response();
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get('retry-after'), '1', 'another process is soon there');
  assert.equal(await comes.closed(), 'end');
  assert.deepEqual(await within(server.exited, 'the exit'), { status: 0, signal: null });
  assert.match(server.log(), /drained.* told=4 waiting=0 open=0 cut=0/);
}

/*
 * The same inside, once no client is left: until then a back end's connections go on as they are.
 * What has begun by then is answered.
 */
async function endsRequestsInside(_, point) {
  const server = await start(point, { grace: '0s', timeout: '10m' }, SLOW_PEERS);
  const chat = await RawChat.connect(server);
  const [backEnd, other] = [new BackEnd(server, { sockets: 4 }), new BackEnd(server)];
  const [asks, silent] = await Promise.all([Wire.open(server.internalPort), Wire.open(server.internalPort)]);
  const [health, healthEnd] = halves(head('GET', '/health'));
  asks.write(health);
  let posting;
  const posted = other.post('/api/info', (request) => {
    posting = request;
    request.write('{');
  });
  chat.frames.wire.socket.pause();
  server.kill('SIGTERM');
  await server.untilMetric('parley_drain_connections_total{outcome="told"}', (value) => value === 1);
  for (let i = 0; i < 2; i += 1) {
    await Promise.all(Array.from({ length: 4 }, () => backEnd.result('info', {})));
    assert.equal(backEnd.sockets.size, 4, 'they are kept');
  }
  chat.frames.wire.socket.resume();
  await chat.expectClose(3001, 'shutdown');
  assert.deepEqual(await ended([silent]), ['end']);
  await until(() => Object.keys(backEnd.agent.freeSockets).length === 0, 'the kept ones to be closed');
  /* They may all have been of one reactor. */
  await until(() => Wire.open(server.internalPort).then((wire) => wire.destroy(), () => true), 'nobody new');
  posting.end('}');
  const { status, headers } = await posted;
  assert.deepEqual([status, headers.connection], [200, 'close']);
  asks.write(healthEnd);
  const got = await asks.response();
  assert.deepEqual([got.status, got.headers.get('connection')], [200, 'close']);
  assert.equal(await asks.closed(), 'end');
  assert.deepEqual(await within(server.exited, 'the exit'), { status: 0, signal: null });
  assert.match(server.log(), /drained.* told=1 waiting=0 open=0 cut=0/);
}

group({
  name: 'drain',
  on: 'backends',
  server: false,
  cases: [
    ['a grace time', grace],
    ['one after the other', oneAfterTheOther],
    ['what is queued is flushed', flushes],
    ['who asks inside is answered to the end', answersInside],
    ['who does not read is cut', cuts],
    ['requests are answered, silence is not waited for', endsRequests],
    ['and the same inside, in the end', endsRequestsInside],
  ],
});
