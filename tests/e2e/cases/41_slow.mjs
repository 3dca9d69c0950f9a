// SPDX-License-Identifier: Apache-2.0
/*
 * Clients that do not read, while others talk.
 */
import assert from 'node:assert/strict';

import { RawChat, Sdk } from '../lib/chat.mjs';
import { group } from '../lib/runner.mjs';
import { IS_SANITIZED, within } from '../lib/wait.mjs';

const BURST = 20;
const MESSAGE = 'm'.repeat(8000);

/*
 * Publishes `count` messages, as fast as they are accepted. Readers get all of them, in order; the ones
 * that do not read are cut off, and memory stays where it was.
 */
async function slowConsumers(server) {
  const COUNT = 2000;
  const readers = await Promise.all([Sdk.connect(server), Sdk.connect(server), Sdk.connect(server)]);
  const rooms = await Promise.all(readers.map((one) => one.subscribe('slow')));
  const writer = await Sdk.connect(server);
  const slow = [];
  for (let i = 0; i < 6; i += 1) {
    const chat = await RawChat.connect(server);
    await chat.subscribe('slow');
    chat.frames.wire.socket.pause();
    slow.push(chat);
  }
  const before = server.rssBytes;
  let peak = before;
  /* Few enough at a time that nobody who reads has a queue of 256 KiB. */
  for (let i = 0; i < COUNT; i += BURST) {
    await Promise.all(Array.from({ length: BURST }, (_, k) => (
      writer.publish('slow', { i: i + k, text: MESSAGE }))));
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

/* Who begins to read again at once is told why it has to go, after whole frames. */
async function toldWhy(server) {
  const writer = await Sdk.connect(server);
  const chat = await RawChat.connect(server);
  await chat.subscribe('told');
  chat.frames.wire.socket.pause();
  const isSlow = async () => (await server.metrics()).rejected('slow_consumer') > before;
  const before = (await server.metrics()).rejected('slow_consumer');
  let published = 0;
  while (!await isSlow()) {
    await Promise.all(Array.from({ length: BURST }, () => writer.publish('told', MESSAGE)));
    published += BURST;
    assert.ok(published < 10000, 'it is found to be slow');
  }
  chat.frames.wire.socket.resume();
  const got = [];
  await chat.frames.expectClose(3008, 'slow', { before: got });
  assert.ok(got.length > 0 && got.length < published);
  writer.close();
}

group({
  name: 'slow consumers',
  on: 'matrix',
  server: {
    config: { client: { insecure: true, command_rate: 100000, command_burst: 100000 } },
  },
  cases: [['others get all', slowConsumers], ['told why', toldWhy]],
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
        insecure: true, queue_max_size: 67108864, write_stall_timeout: '1s',
        command_rate: 100000, command_burst: 100000,
      },
    },
  },
  cases: [['nobody reads', stalled]],
});
