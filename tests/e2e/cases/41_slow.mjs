// SPDX-License-Identifier: Apache-2.0
/*
 * Clients that do not read, while others talk: what becomes of them by the policy of the channel, and
 * that nobody else notices.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';

import WebSocket from 'ws';

import { RawChat, UNHURRIED, Sdk } from '../lib/chat.mjs';
import { group } from '../lib/runner.mjs';
import { IS_SANITIZED, until, within } from '../lib/wait.mjs';

const BURST = 20;
const MESSAGE = 'm'.repeat(8000);
const SECOND_MS = 1000; /* that the server gives to who is too slow, to read why */

/*
 * Publishes `count` messages, as fast as they are accepted. Readers get all of them, in order; the ones
 * that do not read are cut off, and memory stays where it was.
 */
async function slowConsumers(server) {
  const COUNT = 2000;
  const readers = await Promise.all([Sdk.connect(server), Sdk.connect(server), Sdk.connect(server)]);
  const rooms = await Promise.all(readers.map((one) => one.subscribe('cut:slow')));
  const writer = await Sdk.connect(server);
  const slow = [];
  for (let i = 0; i < 6; i += 1) {
    const chat = await RawChat.connect(server);
    await chat.subscribe('cut:slow');
    chat.frames.wire.socket.pause();
    slow.push(chat);
  }
  const before = server.rssBytes;
  let peak = before;
  /* Few enough at a time that nobody who reads has a queue of 256 KiB. */
  for (let i = 0; i < COUNT; i += BURST) {
    await Promise.all(Array.from({ length: BURST }, (_, k) => (
      writer.publish('cut:slow', { i: i + k, text: MESSAGE }))));
    for (const room of rooms) {
      const got = await room.publication.takeMany(BURST, 'everything, for those who read');
      got.forEach((one, k) => assert.equal(one.data.i, i + k));
    }
    peak = Math.max(peak, server.rssBytes);
  }
  await server.untilMetric('parley_rejected_total{reason="slow_consumer"}', (value) => value === 6);
  await server.untilMetric('parley_sessions', (value) => value === 4, 'the readers and the writer');
  /* 16 MB were published: a queue of 256 KiB for each of those who did not read, and not more. */
  if (!IS_SANITIZED) {
    assert.ok(peak - before < (16 << 20), `${(peak - before) >> 20} MiB more`);
  }
  for (const chat of slow) {
    /* Whoever reads only now finds the end of what it got, and not everything. */
    chat.frames.wire.socket.resume();
    await within(chat.frames.wire.whenEnded, 'the slow one to be closed');
    assert.ok(chat.frames.wire.received.length < COUNT * MESSAGE.length, 'it did not get all');
    chat.destroy();
  }
  [...readers, writer].forEach((one) => one.close());
}

/*
 * Who begins to read again within SECOND_MS is told why it has to go, after whole frames. False: that may
 * have been over before this process or the server had its turn.
 */
async function readsAgain(server, writer) {
  const chat = await RawChat.connect(server);
  await chat.subscribe('cut:told');
  chat.frames.wire.socket.pause();
  const slow = async () => (await server.metrics()).rejected('slow_consumer');
  const before = await slow();
  let published = 0;
  let asked = Date.now();
  let lastGood;
  do {
    await Promise.all(Array.from({ length: BURST }, () => writer.publish('cut:told', MESSAGE)));
    published += BURST;
    assert.ok(published < 10000, 'it is found to be slow');
    lastGood = asked;
    asked = Date.now();
  } while (await slow() === before);
  chat.frames.wire.socket.resume();
  const got = [];
  try {
    await chat.frames.expectClose(3008, 'slow', { before: got });
  } catch (error) {
    if (!/the connection ended/.test(error.message) || Date.now() - lastGood < SECOND_MS) {
      throw error;
    }
    return false;
  }
  assert.ok(got.length > 0 && got.length < published);
  return true;
}

async function toldWhy(server) {
  const writer = await Sdk.connect(server);
  await until(() => readsAgain(server, writer), 'one to be in time');
  writer.close();
}

const namespaces = [
  { name: 'again', slow_consumer: 'resync' },
  { name: 'kept', slow_consumer: 'resync', history_size: 20000, force_recovery: true, history_ttl: '10m' },
  { name: 'latest', slow_consumer: 'latest' },
  { name: 'drop', slow_consumer: 'drop' },
  { name: 'cut', slow_consumer: 'disconnect' },
].map((one) => ({
  allow_subscribe_for_client: true, allow_publish_for_client: true, ...one,
}));

const client = {
  insecure: true, command_rate: 100000, command_burst: 100000, recovery_max_publication_limit: 10000, ...UNHURRIED,
};

group({
  name: 'slow consumers',
  on: 'matrix',
  server: { config: { client, channel: { namespaces } } },
  cases: [['others get all', slowConsumers], ['told why', toldWhy]],
});

const lags = (policy) => `parley_lags_total{policy="${policy}"}`;

/* Publishes numbered messages from `first` on, until the metric has changed; the next number. */
async function publishUntil(server, writer, channel, metric, first = 0) {
  const before = (await server.metrics()).value(metric);
  let next = first;
  while ((await server.metrics()).value(metric) === before) {
    await Promise.all(Array.from({ length: BURST }, (_, k) => (
      writer.publish(channel, { i: next + k, text: MESSAGE }))));
    next += BURST;
    assert.ok(next - first < 10000, `${metric} changes`);
  }
  return next;
}

async function publishMore(writer, channel, first, count, text = MESSAGE) {
  for (let i = first; i < first + count; i += BURST) {
    await Promise.all(Array.from({ length: BURST }, (_, k) => (
      writer.publish(channel, { i: i + k, text }))));
  }
  return first + count;
}

async function pausedChat(server, ...channels) {
  const chat = await RawChat.connect(server);
  for (const channel of channels) {
    await chat.subscribe(channel);
  }
  chat.frames.wire.socket.pause();
  return chat;
}

/* What came until `isLast`, which is the last one of it. */
async function readUntil(chat, isLast, what) {
  const got = [];
  do {
    got.push(await chat.next(what));
  } while (!isLast(got.at(-1)));
  return got;
}

const numbers = (got, channel) => (
  got.filter((one) => one.push?.pub && one.push.channel === channel).map((one) => one.push.pub.data.i));

/*
 * No history: it is told where its subscription ended, and a second channel does not wait behind the
 * first. The connection is the same, and what it says next is answered.
 */
async function again(server) {
  const writer = await Sdk.connect(server);
  const chat = await pausedChat(server, 'again:loud', 'again:quiet');
  const published = await publishUntil(server, writer, 'again:loud', lags('resync'));
  await publishMore(writer, 'again:loud', published, 100);
  await writer.publish('again:quiet', { i: 1 });
  chat.frames.wire.socket.resume();
  const got = await readUntil(chat, (one) => one.push?.channel === 'again:quiet', 'the quiet one');
  const heard = numbers(got, 'again:loud');
  assert.deepEqual(heard, Array.from(heard, (_, k) => k), 'the begin, without a hole');
  assert.ok(heard.length > 0 && heard.length < published);
  /*
   * What the kernel has been lent of the loud one cannot be dropped. Where that alone is above the mark,
   * the quiet one is told to come again, too; it never waits.
   */
  const told = got.filter((one) => one.push?.unsubscribe);
  assert.ok(told.every((one) => one.push.unsubscribe.code === 2500));
  assert.deepEqual([...new Set(told.map((one) => one.push.channel))].length, told.length, 'once each');
  const end = got.findIndex((one) => one.push?.unsubscribe && one.push.channel === 'again:loud');
  assert.ok(end > got.findLastIndex((one) => one.push?.pub && one.push.channel === 'again:loud'),
    'behind all of the loud one');
  assert.equal(got.length, end + 2, 'and the quiet one next');

  for (const { push } of told) {
    await chat.subscribe(push.channel);
  }
  await writer.publish('again:loud', { i: -1 });
  assert.equal((await chat.push()).pub.data.i, -1);
  await writer.publish('again:quiet', { i: 2 });
  assert.equal((await chat.push()).pub.data.i, 2);
  writer.close();
  await chat.close();
}

/*
 * Small messages, a few at a time: hundreds of them wait when there is no room for the next. They go
 * with the subscription, and not only what had no room. The next few come when the last are delivered:
 * a reactor that did not run for a while packs all into one frame, and what is begun has to stay.
 */
async function nothingWaits(server) {
  const FEW = 4;
  const writer = await Sdk.connect(server);
  const before = await server.metrics();
  const chat = await pausedChat(server, 'again:small');
  let metrics = before;
  const more = (name) => metrics.value(name) - before.value(name);
  for (let published = FEW; more(lags('resync')) === 0; published += FEW) {
    await Promise.all(Array.from({ length: FEW }, () => writer.publish('again:small', 's'.repeat(1000))));
    await until(async () => {
      metrics = await server.metrics();
      return more(lags('resync')) > 0 || more('parley_deliveries_total') >= published;
    }, 'the chat to be given them');
    assert.ok(published < 50000, 'it is found to be slow');
  }
  const missed = await until(async () => {
    metrics = await server.metrics();
    return more('parley_lag_missed_total') || null;
  }, 'what went to be counted');
  assert.ok(missed > 5 * FEW, `${missed} went`);
  writer.close();
  chat.destroy();
}

/* Numbers rise, each comes once, and the last one that was published is there. */
async function latest(server) {
  const writer = await Sdk.connect(server);
  const chat = await pausedChat(server, 'latest:a');
  let published = await publishUntil(server, writer, 'latest:a', lags('latest'));
  published = await publishMore(writer, 'latest:a', published, 200);
  chat.frames.wire.socket.resume();
  const got = await readUntil(chat, (one) => one.push?.pub?.data.i === published - 1, 'the newest');
  const heard = numbers(got, 'latest:a');
  assert.equal(heard.length, got.length, 'nothing else');
  heard.forEach((i, k) => assert.ok(k === 0 ? i === 0 : i > heard[k - 1], 'older ones are gone'));
  /* As its buffers in the kernel move, some of the newest get through. */
  assert.ok(heard.length < published - 100);
  await writer.publish('latest:a', { i: -1 });
  assert.equal((await chat.push()).pub.data.i, -1);
  writer.close();
  await chat.close();
}

/* What did not fit is missing, and counted; what comes later is there. */
async function drop(server) {
  const writer = await Sdk.connect(server);
  const before = await server.metrics();
  const chat = await pausedChat(server, 'drop:a');
  let published = await publishUntil(server, writer, 'drop:a', lags('drop'));
  published = await publishMore(writer, 'drop:a', published, 200);
  const more = (metrics, name) => metrics.value(name) - before.value(name);
  /* What was missed is counted before what was delivered, and both after the publisher's answer. */
  const missed = await until(async () => {
    const metrics = await server.metrics();
    return more(metrics, 'parley_deliveries_total') === published
      ? more(metrics, 'parley_lag_missed_total') : null;
  }, 'all to be delivered, or dropped');
  chat.frames.wire.socket.resume();
  const got = [];
  for (let i = 0; i < published - missed; i += 1) {
    got.push(await chat.next('what was not dropped'));
  }
  const heard = numbers(got, 'drop:a');
  assert.equal(heard.length, published - missed, 'nothing else');
  heard.forEach((i, k) => assert.ok(k === 0 ? i === 0 : i > heard[k - 1], 'each once, in order'));
  /* As its buffers in the kernel move, some get through. */
  assert.ok(missed > 100 && missed < published);
  await writer.publish('drop:a', { i: -1 });
  assert.equal((await chat.push()).pub.data.i, -1);
  writer.close();
  await chat.close();
}

/* A client that nobody here wrote, with its socket in our hand. */
async function pausableSdk(server, channel) {
  let socket = null;
  class Pausable extends WebSocket {
    constructor(...args) {
      super(...args);
      assert.equal(socket, null, 'one connection for all of it');
      socket = this;
    }
  }
  const sdk = await Sdk.connect(server, { websocket: Pausable });
  const room = sdk.newSubscription(channel);
  const heard = [];
  room.subscription.on('publication', (context) => heard.push(context.data.i));
  room.subscription.subscribe();
  const subscribed = await room.subscribed.take('to be subscribed');
  assert.ok(subscribed.recoverable);
  return { sdk, room, heard, socket };
}

/*
 * History: half of the subscribers stop reading, the others get everything at once. When the stopped
 * ones read again they are told to recover, and then have every message once, in order, and never
 * lost their connection.
 */
async function recovers(server) {
  const CLIENTS = 10;
  const SHORT = 's'.repeat(200); /* what is recovered at once is bounded in bytes, too */
  const writer = await Sdk.connect(server);
  const clients = [];
  for (let i = 0; i < CLIENTS; i += 1) {
    clients.push(await pausableSdk(server, 'kept:room'));
  }
  const slow = clients.filter((_, k) => k % 2 === 0);
  const readers = clients.filter((_, k) => k % 2 === 1);
  let published = await publishMore(writer, 'kept:room', 0, 100, SHORT);
  await until(() => clients.every((one) => one.heard.length === published), 'all have all');
  slow.forEach((one) => one.socket.pause());
  const key = lags('resync');
  const wanted = (await server.metrics()).value(key) + slow.length;
  while ((await server.metrics()).value(key) < wanted) {
    published = await publishMore(writer, 'kept:room', published, BURST, SHORT);
    assert.ok(published < 20000, 'all of the slow ones are found to be slow');
  }
  published = await publishMore(writer, 'kept:room', published, 200, SHORT);
  await until(() => readers.every((one) => one.heard.length === published), 'readers have all');
  slow.forEach((one) => assert.equal(one.heard.length, 100, 'they did not read'));
  slow.forEach((one) => one.socket.resume());
  await until(() => slow.every((one) => one.heard.length === published), 'the slow ones have all');
  published = await publishMore(writer, 'kept:room', published, 100, SHORT);
  await until(() => clients.every((one) => one.heard.length === published), 'and it goes on');

  const expected = Array.from({ length: published }, (_, k) => k);
  for (const one of clients) {
    assert.deepEqual(one.heard, expected, 'every message once, in order');
    assert.equal(one.socket.readyState, WebSocket.OPEN, 'its first connection');
    await one.room.subscribing.take('the first subscribe');
    if (slow.includes(one)) {
      assert.equal((await one.room.subscribing.take('to be told')).code, 2500);
      const again = await one.room.subscribed.take('to be subscribed again');
      assert.ok(again.wasRecovering && again.recovered);
    }
    one.sdk.close();
  }
  const metrics = await server.metrics();
  assert.equal(metrics.rejected('slow_consumer'), 0);
  assert.ok(metrics.value('parley_lag_missed_total') > 0);
  writer.close();
  /* Its channel has to go before the group ends. */
  const brief = structuredClone(byPolicy);
  Object.assign(brief.channel.namespaces.find((one) => one.name === 'kept'),
    { history_ttl: '1s', history_meta_ttl: '1s' });
  await server.reload(brief);
}

const byPolicy = {
  client,
  channel: { namespaces },
};

group({
  name: 'slow consumers by policy',
  on: 'matrix',
  server: { config: byPolicy },
  cases: [
    ['subscribe again', again], ['nothing waits', nothingWaits], ['only the newest', latest], ['dropped', drop],
    ['recover', recovers],
  ],
});

const SEND_BUFFER = 16 << 10; /* the smaller, the further from what the kernel keeps without it */
const SEGMENT = 64 << 10; /* the last one may be whole */
const MUCH = 2 << 20; /* of which publications may be half */

/* What the kernel has for the server's sockets to these: queued, and taken ahead. */
function kernelBytes(server, sockets) {
  const { stdout } = spawnSync('ss', ['-tmnHO', 'state', 'established', `sport = :${server.port}`]);
  const lines = stdout.toString().split('\n');
  return sockets.map((socket) => {
    const line = lines.find((one) => one.includes(`:${socket.localPort} `)) ?? '';
    const [, received, ahead, queued] = /skmem:\(r(\d+),.*,f(\d+),w(\d+),/.exec(line) ?? assert.fail(lines);
    return Number(received) + Number(ahead) + Number(queued);
  }).reduce((sum, one) => sum + one, 0);
}

/* LIMITS.md row 44: subscribed, and never read. */
async function kernelMemory(server) {
  const COUNT = 8;
  const writer = await Sdk.connect(server);
  const slow = await Promise.all(Array.from({ length: COUNT }, () => pausedChat(server, 'drop:memory')));
  for (let i = 0; (await server.metrics()).value('parley_lag_missed_total') < COUNT * BURST; i += BURST) {
    await publishMore(writer, 'drop:memory', i, BURST);
    assert.ok(i < 10000, 'all of them are found to be slow');
  }
  const bytes = kernelBytes(server, slow.map((chat) => chat.frames.wire.socket)) / COUNT;
  assert.ok(bytes > 0 && bytes <= 2 * SEND_BUFFER + SEGMENT, `${bytes} bytes each`);
  slow.forEach((chat) => chat.destroy());
  writer.close();
}

/*
 * An answer goes before publications that wait: more of them do than the buffers of both sockets hold
 * (350 KB) and one send of 128 packets lends.
 */
async function answersGoFirst(server) {
  const COUNT = 900;
  const writer = await Sdk.connect(server);
  const before = (await server.metrics()).value(lags('drop'));
  const chat = await pausedChat(server, 'drop:waits');
  await publishMore(writer, 'drop:waits', 0, COUNT, 's'.repeat(1000));
  const pings = 'parley_commands_total{method="ping"}';
  const pinged = (await server.metrics()).value(pings);
  chat.id += 1;
  chat.say({ id: chat.id, ping: {} });
  await server.untilMetric(pings, (value) => value === pinged + 1, 'the ping');
  chat.frames.wire.socket.resume();
  const got = await readUntil(chat, (one) => one.id === chat.id, 'the answer to the ping');
  const rest = await readUntil(chat, (one) => one.push?.pub?.data.i === COUNT - 1, 'what waited');
  assert.ok(rest.length > COUNT / 4, `${got.length - 1} before the answer, ${rest.length} behind it`);
  assert.deepEqual(numbers([...got, ...rest], 'drop:waits'), Array.from({ length: COUNT }, (_, k) => k));
  assert.equal((await server.metrics()).value(lags('drop')), before, 'nothing was dropped');
  writer.close();
  await chat.close();
}

group({
  name: 'slow consumers in the kernel',
  on: 'backends',
  server: {
    config: {
      client: { ...client, queue_max_size: MUCH, max_messages_per_frame: 1 },
      http_server: { socket_send_buffer: SEND_BUFFER },
      channel: { namespaces },
    },
  },
  cases: [['memory is bounded', kernelMemory], ['answers go first', answersGoFirst]],
});

/* A queue below its limit, that nobody reads: cut off for its time. */
async function stalled(server) {
  const writer = await RawChat.connect(server);
  const chat = await RawChat.connect(server);
  await chat.subscribe('stall');
  chat.frames.wire.socket.pause();
  /* More than socket buffers take, less than the queue may hold. */
  for (let i = 0; i < 220; i += 1) {
    await writer.publish('stall', 's'.repeat(60000));
  }
  await server.untilMetric('parley_rejected_total{reason="write_stall"}', (value) => value === 1);
  await server.untilMetric('parley_sessions', (value) => value === 1, 'the writer only');
  assert.equal((await server.metrics()).rejected('slow_consumer'), 0);
  await writer.ask({ ping: {} });
  await writer.close();
  chat.destroy();
}

group({
  name: 'write stall',
  on: 'backends',
  server: {
    config: {
      client: {
        ...client, queue_max_size: 67108864, write_stall_timeout: '1s',
      },
    },
  },
  cases: [['nobody reads', stalled]],
});
