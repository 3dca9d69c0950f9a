// SPDX-License-Identifier: Apache-2.0
/*
 * History and recovery, with the npm package centrifuge as it is: its connection is cut by closing
 * its socket under it, and what it missed must be there when it is back.
 */
import assert from 'node:assert/strict';

import WebSocket from 'ws';

import { RawChat, Sdk } from '../lib/chat.mjs';
import { group } from '../lib/runner.mjs';
import { Server } from '../lib/server.mjs';
import { sleep, until } from '../lib/wait.mjs';

/* The stock client on a socket that the test can cut. `away`: it cannot come back until it is told. */
class Cuttable extends Sdk {
  static async connect(server, options) {
    const state = { sockets: [], away: false };
    class Socket extends WebSocket {
      constructor(url, ...rest) {
        super(state.away ? 'ws://127.0.0.1:1/' : url, ...rest);
        state.sockets.push(this);
      }
    }
    const sdk = new Cuttable(server, { ...options, websocket: Socket });
    sdk.state = state;
    sdk.centrifuge.connect();
    sdk.context = await sdk.connected.take('to be connected');
    await sdk.connecting.take('what came before it');
    return sdk;
  }

  async cut() {
    this.state.away = true;
    this.state.sockets.at(-1).terminate();
    await this.connecting.take('to notice');
  }

  async comeBack() {
    this.state.away = false;
    await this.connected.take('to be back');
  }
}

const numbers = (from, to) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

async function publishAll(sdk, channel, from, to) {
  await Promise.all(numbers(from, to).map((i) => sdk.publish(channel, i)));
}

/* What somebody heard is what was said, each once, in order. */
async function heard(room, from, to) {
  const got = await room.publication.takeMany(to - from + 1, `publications ${from} to ${to}`);
  assert.deepEqual(got.map((one) => one.data), numbers(from, to));
  assert.equal(room.publication.size, 0, 'nothing twice');
  return got;
}

async function recovers(server) {
  const writer = await Sdk.connect(server);
  const readers = await Promise.all(numbers(1, 8).map(() => Cuttable.connect(server)));
  const rooms = await Promise.all(readers.map((one) => one.subscribe('news:recovers')));
  await publishAll(writer, 'news:recovers', 1, 10);
  for (const room of rooms) {
    const got = await heard(room, 1, 10);
    assert.deepEqual(got.map((one) => one.offset), numbers(1, 10), 'offsets from 1');
  }
  await Promise.all(readers.map((one) => one.cut()));
  await publishAll(writer, 'news:recovers', 11, 60);
  await Promise.all(readers.map((one) => one.comeBack()));
  for (const room of rooms) {
    const context = await room.subscribed.take('to be back in the room');
    assert.equal(context.wasRecovering, true);
    assert.equal(context.recovered, true);
    assert.equal(context.recoverable, true);
  }
  await publishAll(writer, 'news:recovers', 61, 70);
  await Promise.all(rooms.map((room) => heard(room, 11, 70)));
  [writer, ...readers].forEach((sdk) => sdk.close());
}

/* Nothing was missed: that is complete, too, and costs no publication. */
async function nothingMissed(server) {
  const reader = await Cuttable.connect(server);
  const room = await reader.subscribe('news:quiet');
  await reader.cut();
  await reader.comeBack();
  const context = await room.subscribed.take('to be back');
  assert.equal(context.recovered, true);
  await reader.publish('news:quiet', 1);
  await heard(room, 1, 1);
  reader.close();
}

/* More was missed than there is: it is told so, once, and goes on from now. */
async function cannotRecover(server) {
  const writer = await Sdk.connect(server);
  const reader = await Cuttable.connect(server);
  const room = await reader.subscribe('short:lost');
  await publishAll(writer, 'short:lost', 1, 3);
  await heard(room, 1, 3);
  await reader.cut();
  await publishAll(writer, 'short:lost', 4, 20); /* it keeps ten */
  await reader.comeBack();
  const context = await room.subscribed.take('to be back');
  assert.equal(context.wasRecovering, true);
  assert.equal(context.recovered, false);
  await publishAll(writer, 'short:lost', 21, 22);
  await heard(room, 21, 22);

  /* And from there on it recovers again. */
  await reader.cut();
  await publishAll(writer, 'short:lost', 23, 32);
  await reader.comeBack();
  assert.equal((await room.subscribed.take('to be back')).recovered, true);
  await heard(room, 23, 32);
  writer.close();
  reader.close();
}

/* Publishers do not wait for those who come back. */
async function whilePublishing(server) {
  const ROUNDS = 5;
  const writer = await Sdk.connect(server);
  const readers = await Promise.all(numbers(1, 6).map(() => Cuttable.connect(server)));
  const rooms = await Promise.all(readers.map((one) => one.subscribe('news:busy')));
  let returning = true;
  let said = 0;
  const publishing = (async () => {
    while (returning) {
      await publishAll(writer, 'news:busy', said + 1, said + 5);
      said += 5;
      await sleep(2);
    }
  })();
  await Promise.all(readers.map(async (one) => {
    for (let round = 0; round < ROUNDS; round += 1) {
      await one.cut();
      await one.comeBack();
    }
  }));
  returning = false;
  await publishing;
  for (const room of rooms) {
    await heard(room, 1, said);
    for (const context of await room.subscribed.takeMany(room.subscribed.size, 'all of them')) {
      assert.equal(context.recovered, true);
    }
  }
  [writer, ...readers].forEach((sdk) => sdk.close());
}

/* A restart without a durable store is another epoch: whoever was there is told, never misled. */
async function anotherEpoch(_, point) {
  const server = await Server.start({ ...point, config });
  const reader = await Sdk.connect(server);
  const room = await reader.subscribe('news:epoch');
  await reader.publish('news:epoch', 1);
  await heard(room, 1, 1);
  assert.deepEqual(await server.stop('SIGTERM'), { status: 0, signal: null });
  await server.restart();
  const context = await room.subscribed.take('to be back');
  assert.equal(context.wasRecovering, true);
  assert.equal(context.recovered, false);
  await reader.publish('news:epoch', 2);
  const [got] = await heard(room, 2, 2);
  assert.equal(got.offset, 1, 'a new stream begins at 1');
  reader.close();
  await server.stop('SIGTERM');
}

async function pages(server) {
  const sdk = await Sdk.connect(server);
  const { subscription } = await sdk.subscribe('news:pages');
  let page = await subscription.history({ limit: 10 });
  assert.equal(page.offset, 0);
  assert.equal(page.publications.length, 0);
  const { epoch } = page;
  assert.match(epoch, /^[0-9a-f]{16}$/);
  await publishAll(sdk, 'news:pages', 1, 25);

  page = await subscription.history({ limit: 0 });
  assert.deepEqual([page.offset, page.epoch, page.publications.length], [25, epoch, 0]);
  const seen = [];
  let since = { offset: 0, epoch };
  do {
    page = await subscription.history({ limit: 10, since });
    seen.push(...page.publications.map((one) => one.data));
    since = { offset: page.publications.at(-1).offset, epoch };
  } while (since.offset < page.offset);
  assert.deepEqual(seen, numbers(1, 25));
  assert.equal(page.publications[0].info.client, sdk.context.client);

  page = await subscription.history({ limit: 3, reverse: true });
  assert.deepEqual(page.publications.map((one) => one.data), [25, 24, 23]);
  page = await subscription.history({ limit: 3, reverse: true, since: { offset: 23, epoch } });
  assert.deepEqual(page.publications.map((one) => one.data), [22, 21, 20]);
  page = await subscription.history({ limit: 30, reverse: true, since: { offset: 3, epoch } });
  assert.deepEqual(page.publications.map((one) => one.data), [2, 1]);
  page = await subscription.history({ limit: -1 });
  assert.deepEqual(page.publications.map((one) => one.data), numbers(1, 25));

  for (const wrong of [{ offset: 1, epoch: 'other' }, { offset: 1, epoch: '0123456789abcdef' },
    { offset: 26, epoch }]) {
    const error = await Sdk.errorOf(subscription.history({ limit: 1, since: wrong }), 'a bad position');
    assert.equal(error.code, 112, JSON.stringify(wrong));
  }
  sdk.close();
}

async function refusals(server) {
  const sdk = await Sdk.connect(server);
  const room = await sdk.subscribe('plain');
  assert.equal((await Sdk.errorOf(room.subscription.history({ limit: 1 }), 'no history')).code, 108);
  sdk.close();
  /* Who asks to recover where that is not offered is subscribed, and told nothing of it. */
  const raw = await RawChat.connect(server);
  const asked = { recover: true, recoverable: true, epoch: 'x', offset: 7 };
  assert.deepEqual((await raw.ask({ subscribe: { channel: 'plain', ...asked } })).subscribe, {});
  assert.deepEqual((await raw.ask({ subscribe: { channel: 'kept:x', ...asked } })).subscribe, {});
  raw.destroy();
}

async function latest(server) {
  const writer = await Sdk.connect(server);
  const reader = await Cuttable.connect(server);
  const room = await reader.subscribe('state:x', { since: { offset: 0, epoch: '' } });
  await publishAll(writer, 'state:x', 1, 2);
  await heard(room, 1, 2);
  await reader.cut();
  await publishAll(writer, 'state:x', 3, 9);
  await reader.comeBack();
  const context = await room.subscribed.take('to be back');
  assert.equal(context.recovered, true);
  await heard(room, 9, 9);
  [writer, reader].forEach((sdk) => sdk.close());
}

/* History ends by time. */
async function expires(server) {
  const sdk = await Sdk.connect(server);
  const { subscription, publication } = await sdk.subscribe('brief:x');
  await sdk.publish('brief:x', 1);
  const { epoch } = await subscription.history({ limit: 0 });
  await until(async () => (await subscription.history({ limit: 1 })).publications.length === 0,
    'the history to be too old');
  const page = await subscription.history({ limit: 1 });
  assert.deepEqual([page.offset, page.epoch], [1, epoch], 'its position stays');
  await sdk.publish('brief:x', 2);
  const heard = await publication.takeMany(2, 'both'); /* the history may be too old again */
  assert.deepEqual(heard.map((one) => one.offset), [1, 2]);
  sdk.close();
}

const kept = { history_size: 10000, history_ttl: '10m' };
const config = {
  client: {
    insecure: true, command_rate: 100000, command_burst: 100000, recovery_max_publication_limit: 10000,
  },
  channel: {
    namespaces: [
      { name: 'news', ...kept, force_recovery: true },
      { name: 'short', history_size: 10, history_ttl: '10m', force_recovery: true },
      { name: 'state', ...kept, force_recovery: true, force_recovery_mode: 'cache' },
      { name: 'brief', history_size: 10, history_ttl: '300ms', history_meta_ttl: '1h' },
      { name: 'kept', ...kept },
    ],
  },
};

group({
  name: 'history',
  on: 'matrix',
  server: { config },
  remains: ['parley_channels'],
  cases: [
    ['what was missed comes', recovers],
    ['nothing was missed', nothingMissed],
    ['too much was missed', cannotRecover],
    ['while others publish', whilePublishing],
    ['another epoch after a restart', anotherEpoch],
    ['pages', pages],
    ['refusals', refusals],
    ['the latest only', latest],
    ['too old', expires],
  ],
});
