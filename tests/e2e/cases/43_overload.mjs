// SPDX-License-Identifier: Apache-2.0
/*
 * Memory gets short, for a history grows: who is new is refused first, then new subscriptions, then
 * the longest queue goes; whoever is there and reads is served all the time. Then there is room again.
 */
import assert from 'node:assert/strict';

import { RawChat, UNHURRIED } from '../lib/chat.mjs';
import { request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { Server } from '../lib/server.mjs';
import { IS_SANITIZED, until, within } from '../lib/wait.mjs';

const MESSAGE = 'm'.repeat(60000);
const KEPT = 'k'.repeat(15000); /* shorter than what makes us keep much: its writer stays */
const HISTORY_SIZE = 6000;
const ROOM = 64 << 20; /* bytes from what an idle server needs to the budget */

const config = (budget) => ({
  overload: { memory_budget: budget },
  client: { insecure: true, command_rate: 100000, command_burst: 100000, ...UNHURRIED },
  channel: {
    history_memory_max: 1 << 30, /* whatever the budget is: so that it can be filled */
    namespaces: [
      { name: 'fills', history_size: HISTORY_SIZE, history_ttl: '10m' },
      { name: 'queue', slow_consumer: 'drop' },
    ],
  },
});

/* Who is refused may ask again soon. */
async function statusOf(server, port, path, headers = {}) {
  const got = await request(port, 'GET', path, headers);
  assert.equal(got.headers.get('retry-after') ?? null, got.status === 503 ? '1' : null);
  return got.status;
}

const ready = (server) => statusOf(server, server.internalPort, '/ready');

/* A connection that the server takes or answers with a status. */
async function newcomer(server) {
  return statusOf(server, server.port, '/connection/websocket', {
    Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
  });
}

/*
 * Publishes until so many percent of the budget are in use, a little at a time: what one costs depends
 * on the allocator, and a sanitizer's keeps what was freed.
 */
async function fill(server, writer, budget, percent) {
  const resident = async () => (await server.metrics()).value('process_resident_memory_bytes');
  for (let i = 0; await resident() < budget * percent / 100; i += 1) {
    assert.ok(i < HISTORY_SIZE, `${percent} % are reached`);
    for (let k = 0; k < 20; k += 1) {
      await writer.publish('fills:up', KEPT);
    }
  }
}

async function isServed(writer, reader, text) {
  await writer.publish('queue:room', text);
  assert.equal((await reader.push()).pub.data, text);
}

async function shortOfMemory(_, point) {
  const idle = await Server.start({ ...point, config: config(1 << 30) });
  const budget = idle.rssBytes + ROOM;
  await idle.stop();

  const server = await Server.start({ ...point, config: config(budget) });
  const [writer, reader, slow] = await Promise.all([1, 2, 3].map(() => RawChat.connect(server)));
  await reader.subscribe('queue:room');
  await slow.subscribe('queue:slow');
  slow.frames.wire.socket.pause();
  for (let i = 0; i < 100; i += 1) {
    await writer.publish('queue:slow', MESSAGE);
  }
  assert.equal(await ready(server), 200);

  await fill(server, writer, budget, 91);
  await until(async () => await ready(server) === 503, '/ready to say no');
  await until(async () => await newcomer(server) === 503, 'every reactor to refuse who is new');
  const late = await writer.ask({ subscribe: { channel: 'queue:late' } });
  assert.ok(late.subscribe, JSON.stringify(late));
  await isServed(writer, reader, 'first');

  await fill(server, writer, budget, 96);
  await until(async () => {
    const { error, subscribe } = await writer.ask({ subscribe: { channel: `queue:${Math.random()}` } });
    assert.ok(subscribe || error.code === 106, JSON.stringify(error));
    return error !== undefined;
  }, 'subscriptions to be refused');
  await isServed(writer, reader, 'second');

  await fill(server, writer, budget, 101);
  await server.untilMetric('parley_rejected_total{reason="overload_queue"}', (value) => value === 1);
  slow.frames.wire.socket.resume();
  await within(slow.frames.wire.whenEnded, 'the slow one to be closed');
  await isServed(writer, reader, 'third');
  const metrics = await server.metrics();
  assert.ok(metrics.rejected('overload_connection') >= 1);
  assert.ok(metrics.rejected('overload_subscription') >= 1);

  if (!IS_SANITIZED) { /* which keep what was freed */
    for (let i = 0; i < HISTORY_SIZE; i += 100) {
      writer.say(...Array.from({ length: 100 }, () => (
        { id: 1000000, publish: { channel: 'fills:up', data: 0 } })));
      for (let k = 0; k < 100; k += 1) {
        assert.ok((await writer.next()).publish);
      }
    }
    await until(async () => await ready(server) === 200, '/ready to say yes');
    const chat = await RawChat.connect(server);
    await chat.subscribe('queue:room');
    chat.destroy();
  }
  [writer, reader, slow].forEach((chat) => chat.destroy());
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  assert.match(server.log(), /event=memory .*refused="new connections"/);
}

group({
  name: 'overload',
  on: 'backends',
  server: false,
  cases: [['memory gets short', shortOfMemory]],
});
