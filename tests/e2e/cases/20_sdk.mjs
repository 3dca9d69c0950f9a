// SPDX-License-Identifier: Apache-2.0
/*
 * The npm package centrifuge, as it is.
 */
import assert from 'node:assert/strict';

import { Sdk } from '../lib/chat.mjs';
import { group } from '../lib/runner.mjs';
import { within } from '../lib/wait.mjs';

async function twoChat(server) {
  const [alice, bob] = await Promise.all([Sdk.connect(server), Sdk.connect(server)]);
  assert.match(alice.context.client, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.notEqual(alice.context.client, bob.context.client);
  assert.equal(alice.context.transport, 'websocket');
  const rooms = [await alice.subscribe('two'), await bob.subscribe('two')];
  const said = [
    [alice, { text: 'Hello, Bob' }],
    [bob, { text: 'Grüße ☃ 𝄞 \u0000 \\ " / \u2028', list: [1, -2.5e-7, null, true, {}] }],
    [alice, 'a string'], [bob, 42], [alice, null], [bob, [[[]]]],
    [alice, { 'new\nline': 'in\r\nside', deep: { deep: { deep: [] } } }],
    [bob, { long: 'x'.repeat(60000) }],
  ];
  for (const [who, data] of said) {
    await who.publish('two', data);
    for (const room of rooms) {
      const got = await room.publication.take('a publication');
      assert.deepEqual(got.data, data);
      assert.equal(got.channel, 'two');
      assert.equal(got.info.client, who.context.client);
    }
  }
  rooms[1].subscription.unsubscribe();
  await rooms[1].unsubscribed.take('to be unsubscribed');
  await alice.publish('two', 'alone');
  assert.equal((await rooms[0].publication.take('its own')).data, 'alone');
  await bob.publish('two', 'from outside');
  assert.equal((await rooms[0].publication.take('from outside')).data, 'from outside');
  assert.equal(rooms[1].publication.size, 0, 'who left hears nothing');
  rooms[1].subscription.subscribe();
  await rooms[1].subscribed.take('to be subscribed again');
  await alice.publish('two', 'welcome back');
  assert.equal((await rooms[1].publication.take('what comes after')).data, 'welcome back');
  alice.close();
  bob.close();
}

/* What is between start and stop goes out in one frame. */
async function batches(server) {
  const sdk = new Sdk(server);
  const room = sdk.newSubscription('batch');
  room.subscription.subscribe();
  sdk.centrifuge.connect();
  await room.subscribed.take('the subscription of the first frame');
  sdk.centrifuge.startBatching();
  const answers = Array.from({ length: 100 }, (_, i) => sdk.publish('batch', i));
  sdk.centrifuge.stopBatching();
  await Promise.all(answers);
  const got = await room.publication.takeMany(100, 'publications of a batch');
  assert.deepEqual(got.map((one) => one.data), Array.from({ length: 100 }, (_, i) => i));
  sdk.close();
}

async function manyChannels(server) {
  const [reader, writer] = await Promise.all([Sdk.connect(server), Sdk.connect(server)]);
  const names = Array.from({ length: 120 }, (_, i) => `many-${i}`);
  const rooms = await Promise.all(names.map((name) => reader.subscribe(name)));
  await Promise.all(names.map((name) => writer.publish(name, { name })));
  for (const [i, room] of rooms.entries()) {
    assert.deepEqual((await room.publication.take(names[i])).data, { name: names[i] });
  }
  for (const room of rooms) {
    room.subscription.unsubscribe();
  }
  await server.untilMetric('parley_subscriptions', (value) => value === 0, 'no subscription left');
  assert.ok(rooms.every((room) => room.publication.size === 0), 'each got its own only');
  reader.close();
  writer.close();
}

/* Two publishers, connections on all reactors: one order for everybody, and none of it lost. */
async function oneOrder(server) {
  const COUNT = 200;
  const readers = await Promise.all(Array.from({ length: 30 }, () => Sdk.connect(server)));
  const rooms = await Promise.all(readers.map((reader) => reader.subscribe('order')));
  const writers = await Promise.all([Sdk.connect(server), Sdk.connect(server)]);
  await Promise.all(writers.map(async (writer, w) => {
    const answers = [];
    for (let i = 0; i < COUNT; i += 1) {
      answers.push(writer.publish('order', [w, i]));
      if (i % 20 === 19) {
        await Promise.all(answers.splice(0));
      }
    }
  }));
  let first = null;
  for (const room of rooms) {
    const got = (await room.publication.takeMany(2 * COUNT, 'publications in order'))
      .map((one) => one.data);
    first ??= got;
    assert.deepEqual(got, first, 'everybody sees the same order');
    assert.equal(room.publication.size, 0, 'nothing twice');
  }
  for (const w of [0, 1]) {
    assert.deepEqual(first.filter(([who]) => who === w).map(([, i]) => i),
      Array.from({ length: COUNT }, (_, i) => i), 'each publisher in its own order');
  }
  [...readers, ...writers].forEach((sdk) => sdk.close());
}

async function errors(server) {
  const sdk = await Sdk.connect(server);
  const centrifuge = sdk.centrifuge;
  const room = await sdk.subscribe('errors');
  for (const [what, promise] of [
    ['rpc', centrifuge.rpc('method', {})],
    ['history', room.subscription.history({ limit: 1 })],
    ['presence', room.subscription.presence()],
    ['presenceStats', room.subscription.presenceStats()],
  ]) {
    const error = await Sdk.errorOf(promise, what);
    assert.equal(error.code, 108, what);
    assert.equal(error.message, 'not available');
  }
  for (const [channel, code] of [['nobody:knows', 102], ['a b', 107], ['umläut', 107],
    ['x'.repeat(256), 107]]) {
    const other = sdk.newSubscription(channel);
    other.subscription.subscribe();
    const context = await other.unsubscribed.take(`a refusal of ${channel}`);
    assert.equal(context.code, code, channel);
    assert.equal((await Sdk.errorOf(centrifuge.publish(channel, 1), channel)).code, code);
  }
  const known = await sdk.subscribe('news:today');
  await sdk.publish('news:today', 'known');
  assert.equal((await known.publication.take('news')).data, 'known');
  /* After all that the connection is still good; then a message for nobody ends it. */
  await sdk.publish('errors', 'still here');
  assert.equal((await room.publication.take('still here')).data, 'still here');
  await centrifuge.send({ to: 'nobody' });
  assert.equal((await sdk.disconnected.take('an end')).code, 3508);
  sdk.close();
}

/* People come and go while others talk. */
async function comingAndGoing(server) {
  const stayer = await Sdk.connect(server);
  const room = await stayer.subscribe('busy');
  await Promise.all(Array.from({ length: 12 }, async (_, who) => {
    for (let round = 0; round < 5; round += 1) {
      const guest = await Sdk.connect(server);
      const theirs = await guest.subscribe('busy');
      await guest.publish('busy', `${who} ${round}`);
      await theirs.publication.take('at least one publication');
      guest.close();
    }
  }));
  const got = await room.publication.takeMany(60, 'all that guests said');
  assert.equal(new Set(got.map((one) => one.data)).size, 60, 'each once');
  stayer.close();
  await within(stayer.disconnected.take(), 'the end');
}

const fast = {
  insecure: true, command_rate: 100000, command_burst: 100000,
};

group({
  name: 'sdk',
  on: 'matrix',
  server: { config: { client: fast, channel: { namespaces: [{ name: 'news' }] } } },
  cases: [
    ['two chat', twoChat],
    ['batches', batches],
    ['many channels', manyChannels],
    ['one order for all', oneOrder],
    ['errors', errors],
    ['coming and going', comingAndGoing],
  ],
});

/* Nobody may do anything but what a rule allows. */
async function permissions(server) {
  const sdk = await Sdk.connect(server);
  for (const channel of ['closed', 'news:today', 'talk#42', '$token']) {
    const error = await Sdk.errorOf(sdk.centrifuge.publish(channel, 1), channel);
    assert.equal(error.code, 103, channel);
    assert.equal(error.message, 'permission denied');
  }
  for (const [channel, code] of [['closed', 103], ['$news:today', 103], ['news:#42', 103],
    ['unknown:x', 102]]) {
    const room = sdk.newSubscription(channel);
    room.subscription.subscribe();
    assert.equal((await room.unsubscribed.take(`a refusal of ${channel}`)).code, code, channel);
  }
  const news = await sdk.subscribe('news:today');
  assert.equal((await Sdk.errorOf(sdk.centrifuge.publish('news:today', 1), 'publish')).code, 103);
  /* Only who is in it may speak in a talk. */
  assert.equal((await Sdk.errorOf(sdk.centrifuge.publish('talk:x', 1), 'publish')).code, 103);
  const talk = await sdk.subscribe('talk:x');
  await sdk.publish('talk:x', 'hello');
  assert.equal((await talk.publication.take('a word')).data, 'hello');
  assert.equal(news.publication.size, 0);
  sdk.close();
}

group({
  name: 'sdk with permissions',
  on: 'backends',
  server: {
    config: {
      client: { allow_anonymous_connect_without_token: true },
      channel: {
        namespaces: [
          { name: 'news', allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true },
          {
            name: 'talk', allow_subscribe_for_client: true, allow_subscribe_for_anonymous: true,
            allow_publish_for_subscriber: true, allow_publish_for_anonymous: true,
          },
        ],
      },
    },
  },
  cases: [['permissions', permissions]],
});

async function nobodyComesIn(server) {
  const without = new Sdk(server);
  without.centrifuge.connect();
  assert.equal((await without.disconnected.take('a refusal')).code, 3501);
  const withToken = new Sdk(server, { token: 'eyJhbGciOiJub25lIn0.e30.' });
  withToken.centrifuge.connect();
  assert.equal((await withToken.disconnected.take('a refusal')).code, 3500);
}

group({
  name: 'sdk, nobody is let in',
  server: { config: {} },
  cases: [['a default configuration', nobodyComesIn]],
});
