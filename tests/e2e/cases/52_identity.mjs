// SPDX-License-Identifier: Apache-2.0
/*
 * Identity: the npm package centrifuge with tokens that expire and are refreshed while it runs, private and
 * user-limited channels, subscriptions by the server, and what others are told of somebody.
 */
import assert from 'node:assert/strict';

import { RawChat, Sdk } from '../lib/chat.mjs';
import { group } from '../lib/runner.mjs';
import { runParleyd, writeConfig } from '../lib/server.mjs';
import { SECRET, makeKey, makeToken, seconds } from '../lib/tokens.mjs';
import { until, within } from '../lib/wait.mjs';

/*
 * Seconds that a token counts which is to expire: with two at least, for the second that has begun counts,
 * who is slow still comes in by it.
 */
const SOON = 3;

const key = makeKey('HS256');
const connection = (sub, claims = {}) => makeToken(key, { sub, ...claims });
const subscription = (sub, channel, claims = {}) => makeToken(key, { sub, channel, ...claims });

const config = {
  client: {
    token: { hmac_secret_key: SECRET },
    allow_anonymous_connect_without_token: true,
    expired_close_delay: '200ms',
    expired_sub_close_delay: '200ms',
    subscribe_to_user_personal_channel: { enabled: true, personal_channel_namespace: 'me' },
  },
  channel: {
    without_namespace: { allow_subscribe_for_client: true, allow_publish_for_subscriber: true },
    namespaces: [
      { name: 'me', history_size: 10, history_ttl: '1m', force_recovery: true },
      {
        name: 'room',
        allow_subscribe_for_client: true,
        allow_publish_for_subscriber: true,
        allow_presence_for_subscriber: true,
        presence: true,
        join_leave: true,
        force_push_join_leave: true,
      },
      { name: 'talk', allow_user_limited_channels: true, allow_publish_for_subscriber: true },
      { name: 'digits', allow_subscribe_for_client: true, channel_regex: '^[0-9]+$' },
      {
        name: 'open',
        allow_subscribe_for_client: true,
        allow_subscribe_for_anonymous: true,
        allow_publish_for_client: true,
      },
    ],
  },
};

async function refreshes(server) {
  let asked = 0;
  const sdk = await Sdk.connect(server, {
    token: connection('ann', { exp: seconds(-3600) }), /* 109, upon which it asks for one */
    getToken: async () => {
      asked += 1;
      return connection('ann', { exp: seconds(SOON) });
    },
  });
  assert.equal(asked, 1);
  await until(() => asked >= 2, 'a refresh');
  await within(sdk.centrifuge.ready(), 'it to go on');
  assert.equal(sdk.disconnected.size, 0);
  assert.ok(sdk.connecting.size <= 2, 'the connection is the same all the time');
  sdk.close();
}

async function endsWithItsToken(server) {
  const chat = await RawChat.open(server);
  const reply = await chat.ask({ connect: { token: connection('ann', { exp: seconds(SOON) }) } });
  assert.equal(reply.connect.expires, true);
  assert.ok(reply.connect.ttl >= 1 && reply.connect.ttl <= SOON);
  await chat.expectClose(3005, 'the end of the token');
  const other = await RawChat.connect(server, { token: connection('ann') });
  other.say({ id: 9, refresh: { token: connection('bob') } });
  await other.expectClose(3500, 'a refresh by the token of another user');
  await until(() => /event="token refused" .* user=ann reason=wrong_user why=/.test(server.log()), 'why in the log');
  const forged = await RawChat.open(server);
  forged.say({ id: 1, connect: { token: `${connection('ann')}x` } });
  await forged.expectClose(3500, 'a forged token');
}

async function privateChannels(server) {
  const sdk = await Sdk.connect(server, { token: connection('ann') });
  let asked = 0;
  const room = sdk.newSubscription('$room:vip', {
    token: subscription('ann', '$room:vip', { exp: seconds(-3600) }),
    getToken: async ({ channel }) => {
      asked += 1;
      return subscription('ann', channel, { exp: seconds(SOON), info: { role: 'host' } });
    },
  });
  room.subscription.subscribe();
  await room.subscribed.take('the subscription, with its second token');
  const join = await room.join.take('its own join');
  assert.deepEqual(join.info.chanInfo, { role: 'host' });
  await room.subscription.publish('hello');
  const { info } = await room.publication.take('its own publication');
  assert.deepEqual([info.user, info.chanInfo], ['ann', { role: 'host' }]);
  await until(() => asked >= 2, 'a refresh of the subscription');
  assert.equal(room.unsubscribed.size, 0);

  for (const token of ['', subscription('bob', '$room:vip'), subscription('ann', '$room:other'), connection('ann')]) {
    const raw = await RawChat.connect(server, { token: connection('carl') });
    const { error } = await raw.ask({ subscribe: { channel: '$room:vip', token } });
    assert.equal(error.code, 103);
    await raw.close();
  }
  for (const reason of ['wrong_user', 'wrong_channel', 'wrong_kind']) {
    const line = new RegExp(`event="subscription token refused" .* user=carl reason=${reason} why=`);
    await until(() => line.test(server.log()), `${line} in the log`);
  }
  /* Who does not refresh is told 2501, and may come again on the same connection. */
  const raw = await RawChat.connect(server, { token: connection('ann') });
  const others = [];
  await raw.ask({ subscribe: { channel: '$open:a', token: subscription('ann', '$open:a', { exp: seconds(SOON) }) } }, others);
  const { push } = others.shift() ?? await raw.next('the end of the subscription');
  assert.deepEqual([push.channel, push.unsubscribe.code], ['$open:a', 2501]);
  await raw.close();
  sdk.close();
}

async function userChannels(server) {
  const [ann, bob, carl] = await Promise.all(['ann', 'bob', 'carl']
    .map((user) => Sdk.connect(server, { token: connection(user) })));
  const nobody = await Sdk.connect(server);
  const [one, two] = await Promise.all([ann, bob].map((sdk) => sdk.subscribe('talk:x#ann,bob')));
  await one.subscription.publish('psst');
  assert.equal((await two.publication.take('a whisper')).data, 'psst');
  const codeOf = async (sdk, channel) => {
    const events = sdk.newSubscription(channel);
    events.subscription.subscribe();
    return (await events.unsubscribed.take(`a refusal of ${channel}`)).code;
  };
  assert.equal(await codeOf(carl, 'talk:x#ann,bob'), 103);
  assert.equal(await codeOf(nobody, 'talk:x#ann,bob'), 103);
  assert.equal(await codeOf(carl, 'me:#ann'), 103);
  assert.equal(await codeOf(nobody, 'room:a'), 103);
  assert.equal(await codeOf(ann, 'digits:4x'), 107);
  assert.equal(await codeOf(ann, 'nowhere:a'), 102);
  await ann.subscribe('digits:42');
  await nobody.subscribe('open:a');
  await ann.publish('open:a', 1);
  assert.equal((await Sdk.errorOf(nobody.publish('open:a', 1), 'an anonymous publish')).code, 103);
  [ann, bob, carl, nobody].forEach((sdk) => sdk.close());
}

/* A client that was cut is given in the connect reply what it missed of its server-side channels. */
async function serverSubscriptions(server) {
  const token = connection('dora', { subs: { 'open:news': { data: { hello: 1 } } }, channels: ['open:more'] });
  const sdk = new Sdk(server, { token });
  const heard = { subscribed: [], publication: [] };
  for (const event of ['subscribed', 'publication']) {
    sdk.centrifuge.on(event, (context) => heard[event].push(context));
  }
  sdk.centrifuge.connect();
  await sdk.connected.take('to be connected');
  await until(() => heard.subscribed.length === 3, 'three subscriptions');
  assert.deepEqual(heard.subscribed.map((one) => one.channel).sort(), ['me:#dora', 'open:more', 'open:news']);
  assert.deepEqual(heard.subscribed.find((one) => one.channel === 'open:news').data, { hello: 1 });
  const sender = await Sdk.connect(server, { token: connection('eve') });
  await sender.publish('open:news', 'n');
  await until(() => heard.publication.length === 1, 'the news');
  assert.equal(heard.publication[0].channel, 'open:news');

  /* Its connection is cut under it; meanwhile its other device hears of the personal channel. */
  const before = heard.subscribed.length;
  sdk.centrifuge._transport._transport.terminate();
  await sdk.connecting.take('to be cut');
  await sdk.connected.take('to be back');
  await until(() => heard.subscribed.length === before + 3, 'the subscriptions again');
  const personal = heard.subscribed.slice(before).find((one) => one.channel === 'me:#dora');
  assert.deepEqual([personal.wasRecovering, personal.recovered], [true, true]);
  sdk.close();
  sender.close();
}

async function whoIsThere(server) {
  const ann = await Sdk.connect(server, { token: connection('ann', { info: { name: 'Ann' } }) });
  const twin = await Sdk.connect(server, { token: connection('ann') });
  const bob = await Sdk.connect(server, { token: connection('bob', { info: 'b' }) });
  const rooms = [await ann.subscribe('room:who')];
  await rooms[0].join.take('its own join');
  rooms.push(await twin.subscribe('room:who'), await bob.subscribe('room:who'));
  const { clients } = await within(rooms[0].subscription.presence(), 'the presence');
  assert.deepEqual(clients[ann.context.client].connInfo, { name: 'Ann' });
  assert.deepEqual([clients[bob.context.client].user, clients[bob.context.client].connInfo], ['bob', 'b']);
  assert.deepEqual(await rooms[0].subscription.presenceStats(), { numClients: 3, numUsers: 2 });
  await rooms[0].join.take('the join of the twin');
  await rooms[0].join.take("bob's join");
  bob.close();
  const leave = await rooms[0].leave.take("bob's leave");
  assert.deepEqual([leave.info.user, leave.info.connInfo], ['bob', 'b']);
  ann.close();
  twin.close();
}

async function explains() {
  const file = writeConfig('explain.json', JSON.stringify(config));
  for (const [args, status, first, rule, more] of [
    [['ann', 'subscribe', 'open:a'], 0, 'granted', 'allow_subscribe_for_client', 'options: namespace open'],
    [['', 'publish', 'open:a'], 1, 'refused with 103 (permission denied)', 'allow_publish_for_anonymous'],
    [['ann', 'publish', 'room:a'], 1, 'refused with 103 (permission denied)', 'allow_publish_for_subscriber',
      'To a subscriber it would be granted: allow_publish_for_subscriber'],
    [['--subscribed', 'ann', 'publish', 'room:a'], 0, 'granted', 'allow_publish_for_subscriber'],
    [['ann', 'subscribe', '$room:a'], 1, 'refused with 103 (permission denied)', '$ needs a subscription token',
      'With a subscription token it would be granted: subscription token'],
    [['--token', 'ann', 'subscribe', '$room:a'], 0, 'granted', 'subscription token'],
    [['carl', 'subscribe', 'talk:x#ann,bob'], 1, 'refused with 103 (permission denied)', '# names other users'],
    [['ann', 'subscribe', 'digits:x'], 1, 'refused with 107 (bad request)', 'channel_regex'],
    [['ann', 'history', 'open:a'], 1, 'refused with 108 (not available)', 'history_size'],
    [['ann', 'subscribe', 'x:a'], 1, 'refused with 102 (unknown channel)', 'channel.namespaces', 'options: of no namespace'],
  ]) {
    const got = await runParleyd(['explain', '--config', file, ...args]);
    assert.equal(got.status, status, got.stdout + got.stderr);
    const lines = got.stdout.split('\n');
    assert.deepEqual(lines.slice(0, 2), [first, `rule:    ${rule}`]);
    assert.ok(more === undefined || lines.includes(more), got.stdout);
  }
  for (const args of [[], ['ann', 'subscribe'], ['ann', 'eat', 'a'], ['ann', 'subscribe', 'a', 'b']]) {
    assert.equal((await runParleyd(['explain', '--config', file, ...args])).status, 2);
  }
  assert.equal((await runParleyd(['explain', 'ann', 'subscribe', 'a'])).status, 2);
}

group({
  name: 'identity, command line',
  server: false,
  cases: [['which rule decides', explains]],
});

group({
  name: 'identity',
  on: 'backends',
  server: { config },
  remains: ['parley_channels'], /* personal channels have a history */
  cases: [
    /* Together, for each of them waits for seconds to go by. */
    ['tokens expire and are refreshed', (server) => Promise.all([refreshes(server),
      endsWithItsToken(server), privateChannels(server)])],
    ['user-limited channels, patterns and the anonymous', userChannels],
    ['subscriptions by the server', serverSubscriptions],
    ['who is there', whoIsThere],
  ],
});
