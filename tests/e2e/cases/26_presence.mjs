// SPDX-License-Identifier: Apache-2.0
/*
 * Presence, joins and leaves, with the npm package centrifuge as it is: who is there is who is
 * subscribed, wherever they are connected, and is gone when its connection is, however that ends.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';

import WebSocket from 'ws';

import { RawChat, Sdk, UNHURRIED } from '../lib/chat.mjs';
import { group } from '../lib/runner.mjs';
import { Server } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

const numbers = (count) => Array.from({ length: count }, (_, i) => i);

const connectAll = (server, count) => Promise.all(numbers(count).map(() => Sdk.connect(server)));

const ids = (sdks) => sdks.map((sdk) => sdk.context.client).sort();

async function present(subscription) {
  const { clients } = await subscription.presence();
  for (const [id, info] of Object.entries(clients)) {
    assert.equal(info.client, id);
  }
  return Object.keys(clients).sort();
}

/* Takes news until each of these was told of; nobody else may be. */
async function told(mailbox, whose, what) {
  const news = await mailbox.takeMany(whose.length, what);
  assert.deepEqual(news.map((one) => one.info.client).sort(), whose);
}

async function whoIsThere(server) {
  const members = await connectAll(server, 12);
  const asker = await Sdk.connect(server);
  const room = await asker.subscribe('room:list');
  assert.deepEqual(await present(room.subscription), ids([asker]));
  const rooms = await Promise.all(members.map((one) => one.subscribe('room:list')));
  assert.deepEqual(await present(room.subscription), ids([asker, ...members]));
  assert.deepEqual(await room.subscription.presenceStats(), { numClients: 13, numUsers: 1 });
  /* Everybody sees the same. */
  for (const one of rooms) {
    assert.deepEqual(await present(one.subscription), ids([asker, ...members]));
  }
  members[0].centrifuge.removeSubscription(rooms[0].subscription);
  await rooms[0].unsubscribed.take();
  members[1].close();
  await members[1].disconnected.take();
  const rest = ids([asker, ...members.slice(2)]);
  await until(async () => (await room.subscription.presenceStats()).numClients === 11, 'them to go');
  assert.deepEqual(await present(room.subscription), rest);
  members.slice(2).forEach((one) => one.close());
  await until(async () => (await present(room.subscription)).length === 1, 'all the others to go');
  asker.close();
}

async function joinsAndLeaves(server) {
  const members = await connectAll(server, 8);
  const first = await members[0].subscribe('room:news');
  await told(first.join, ids([members[0]]), 'its own join');
  const rooms = [first];
  for (const one of members.slice(1)) {
    rooms.push(await one.subscribe('room:news'));
  }
  await told(first.join, ids(members.slice(1)), 'the joins of the others');
  rooms[1].subscription.unsubscribe();
  members[2].close();
  await told(first.leave, ids(members.slice(1, 3)), 'two leaves');
  /* The same connection comes back. */
  rooms[1].subscription.subscribe();
  await told(first.join, ids([members[1]]), 'it to come back');
  assert.equal(first.join.size, 0);
  assert.equal(first.leave.size, 0);
  assert.deepEqual(await present(first.subscription), ids([members[0], members[1], ...members.slice(3)]));
  members.forEach((one) => one.close());
}

/* Joins are told before the member's first publication, in one channel of order. */
async function inOrder(server) {
  const [hears, says] = await connectAll(server, 2);
  const room = await hears.subscribe('room:order');
  await told(room.join, ids([hears]), 'its own join');
  const said = await says.subscribe('room:order');
  await told(room.join, ids([says]), 'the join');
  await says.publish('room:order', 1);
  said.subscription.unsubscribe();
  assert.equal((await room.publication.take()).info.client, says.context.client);
  await told(room.leave, ids([says]), 'the leave');
  [hears, says].forEach((one) => one.close());
}

async function whoAsks(server) {
  const [asks, doesNot, moves] = await connectAll(server, 3);
  const heard = await asks.subscribe('asks:x', { joinLeave: true });
  const deaf = await doesNot.subscribe('asks:x');
  await told(heard.join, ids([asks, doesNot]), 'the first two');
  const moved = await moves.subscribe('asks:x');
  await told(heard.join, ids([moves]), 'the third');
  moved.subscription.unsubscribe();
  await told(heard.leave, ids([moves]), 'the third to go');
  assert.equal(deaf.join.size + deaf.leave.size, 0);
  [asks, doesNot, moves].forEach((one) => one.close());
}

/* No goodbye: the socket is destroyed, as by a crash; and one end that says nothing but FIN. No ping is due. */
async function killed(server) {
  const stays = await Sdk.connect(server);
  const room = await stays.subscribe('room:killed');
  await told(room.join, ids([stays]), 'its own join');
  for (const kill of ['destroy', 'end']) {
    const dies = await RawChat.connect(server);
    await dies.ask({ subscribe: { channel: 'room:killed' } });
    await told(room.join, [dies.client], 'the join');
    dies.frames.wire.socket[kill]();
    await told(room.leave, [dies.client], `the leave after ${kill}`);
    assert.deepEqual(await present(room.subscription), ids([stays]));
    dies.destroy();
  }
  stays.close();
}

async function refusals(server) {
  const sdk = await Sdk.connect(server);
  for (const [channel, code] of [['plain', 108], ['none:x', 102]]) {
    assert.equal((await Sdk.errorOf(sdk.centrifuge.presence(channel), channel)).code, code);
    assert.equal((await Sdk.errorOf(sdk.centrifuge.presenceStats(channel), channel)).code, code);
  }
  assert.deepEqual(await sdk.centrifuge.presenceStats('room:nobody'), { numClients: 0, numUsers: 0 });
  assert.deepEqual((await sdk.centrifuge.presence('room:nobody')).clients, {});
  sdk.close();
}

/* Above presence_max_list: a sample in the list and in the news, the exact number in the stats. */
async function many(server, point) {
  const MAX = 10;
  const hears = await Sdk.connect(server);
  const room = await hears.subscribe('few:x');
  const crowd = await connectAll(server, 60);
  await Promise.all(crowd.map((one) => one.subscribe('few:x')));
  assert.deepEqual(await room.subscription.presenceStats(), { numClients: 61, numUsers: 1 });
  assert.equal((await present(room.subscription)).length, MAX);
  await until(() => room.join.size >= MAX, 'the sample to be told of');
  assert.ok(room.join.size <= MAX * point.reactors, 'and no more');
  crowd.forEach((one) => one.close());
  await until(async () => (await room.subscription.presenceStats()).numClients === 1, 'them to go');
  /* Whoever was said to be here is said to be gone. */
  const here = new Set();
  await until(async () => {
    (await room.join.takeMany(room.join.size, 'joins')).forEach((one) => here.add(one.info.client));
    (await room.leave.takeMany(room.leave.size, 'leaves'))
      .forEach((one) => here.delete(one.info.client));
    return here.size === 1 && here.has(hears.context.client);
  }, 'all that were told of to be told of again');
  assert.deepEqual(await present(room.subscription), ids([hears]));
  hears.close();
}

/* Connections come and go as they like; at rest, what everybody was told last is so. */
async function atRest(server) {
  const state = { sockets: [] };
  class Socket extends WebSocket {
    constructor(...rest) {
      super(...rest);
      state.sockets.push(this);
    }
  }
  const sdks = await Promise.all(numbers(16).map(() => Sdk.connect(server, { websocket: Socket })));
  const rooms = await Promise.all(sdks.map((one) => one.subscribe('room:rest')));
  const views = rooms.map((room) => {
    const view = new Map();
    room.subscription.on('subscribed', () => view.clear());
    room.subscription.on('join', ({ info }) => view.set(info.client, true));
    room.subscription.on('leave', ({ info }) => view.set(info.client, false));
    return view;
  });
  for (let round = 0; round < 8; round += 1) {
    const open = state.sockets.filter((one) => one.readyState === WebSocket.OPEN);
    const cut = open.filter((_, i) => (i + round) % 3 === 0).map((one) => {
      one.terminate();
      return once(one, 'close');
    });
    rooms.filter((_, i) => (i + round) % 4 === 0).forEach((room) => {
      room.subscription.unsubscribe();
      room.subscription.subscribe();
    });
    await Promise.all(cut); /* until then the SDK takes itself to be connected */
    await Promise.all(sdks.map((one) => one.centrifuge.ready()));
    await Promise.all(rooms.map((room) => room.subscription.ready()));
  }
  await until(async () => {
    const there = new Set(await present(rooms[0].subscription));
    return there.size === 16 &&
      views.every((view) => view.size > 0 && [...view].every(([id, isHere]) => isHere === there.has(id)));
  }, 'everything that was told to be so');
  sdks.forEach((one) => one.close());
}

/* Without a configuration it is all there to be tried. */
async function development(_, point) {
  const server = await Server.start({ ...point, config: undefined });
  const [one, other] = await connectAll(server, 2);
  const room = await one.subscribe('lobby');
  await other.subscribe('lobby');
  await told(room.join, ids([one, other]), 'both joins');
  assert.deepEqual(await present(room.subscription), ids([one, other]));
  other.close();
  await told(room.leave, ids([other]), 'the leave');
  one.close();
  await server.stop('SIGTERM');
}

const open = { presence: true, join_leave: true };
const client = { insecure: true, command_rate: 100000, command_burst: 100000, ...UNHURRIED };
const namespaces = [
  { name: 'room', ...open, force_push_join_leave: true },
  { name: 'asks', ...open },
  { name: 'few', ...open, force_push_join_leave: true },
];

group({
  name: 'presence',
  on: 'matrix',
  server: { config: { client, channel: { namespaces } } },
  cases: [
    ['who is there', whoIsThere],
    ['joins and leaves', joinsAndLeaves],
    ['in order', inOrder],
    ['only who asks', whoAsks],
    ['killed connections', killed],
    ['refusals', refusals],
    ['at rest all is true', atRest],
  ],
});

group({
  name: 'presence of many',
  on: 'backends',
  server: { config: { client: { ...client, presence_max_list: 10 }, channel: { namespaces } } },
  cases: [['a sample', many]],
});

group({
  name: 'presence without a configuration',
  on: 'once',
  server: false,
  cases: [['is there', development]],
});
