// SPDX-License-Identifier: Apache-2.0
/*
 * Whoever takes what there is, and gives nothing back.
 */
import assert from 'node:assert/strict';

import { RawChat } from '../../e2e/lib/chat.mjs';
import { Wire, request } from '../../e2e/lib/http.mjs';
import { within } from '../../e2e/lib/wait.mjs';
import { inParallel } from '../parallel.mjs';

/* More than connection_limit: who has no place is reset, or waits until others have gone. */
async function tooMany(server) {
  const COUNT = 160;
  await inParallel(COUNT, async () => {
    const wire = await Wire.open(server.port).catch((error) => {
      assert.equal(error.code, 'ECONNRESET');
      return null;
    });
    await within(wire?.whenEnded, 'its end, one after the other');
    wire?.destroy();
  }, COUNT);
  assert.equal((await request(server.internalPort, 'GET', '/health')).status, 200);
}

/* In a channel, and never reads: the writer, and who reads, go on. */
async function neverRead(server) {
  const [SLOW, MESSAGES, MESSAGE] = [10, 150, 'm'.repeat(60000)];
  const reason = 'parley_rejected_total{reason="write_stall"}';
  const before = (await server.metrics()).value(reason);
  const [writer, reader] = [await RawChat.connect(server), await RawChat.connect(server)];
  await reader.subscribe('slow');
  await inParallel(SLOW, async () => {
    const chat = await RawChat.connect(server);
    await chat.subscribe('slow');
    chat.frames.wire.socket.pause();
  });
  for (let i = 0; i < MESSAGES; i += 1) {
    await writer.publish('slow', `${i} ${MESSAGE}`);
    assert.ok((await reader.push()).pub.data.startsWith(`${i} `));
  }
  await server.untilMetric(reason, (value) => value >= before + SLOW, 'all of them');
}

/* All at once, and each from the beginning: everybody is given all of it. */
async function storm(server) {
  const [COUNT, LENGTH, channel] = [200, 300, 'news:storm'];
  const writer = await RawChat.connect(server);
  const { history } = await writer.ask({ history: { channel, limit: 0 } });
  for (let i = history.offset ?? 0; i < LENGTH; i += 1) {
    await writer.publish(channel, `${i} ${'s'.repeat(100)}`);
  }
  await inParallel(COUNT, async () => {
    const chat = await RawChat.connect(server);
    const { subscribe } = await chat.ask(
      { subscribe: { channel, recover: true, offset: 0, epoch: history.epoch } });
    assert.equal(subscribe?.recovered, true);
    assert.equal(subscribe.publications.length, LENGTH);
    chat.destroy();
  }, 100);
}

export const ROWS = [
  { row: 13, name: 'more connections than there may be', attack: tooMany,
    options: { server: 'few', rejected: { max_connections: 1 } } },
  { row: 41, name: 'readers that never read', attack: neverRead,
    options: { server: 'slow', warmUp: true, rejected: { write_stall: 10 } } },
  { row: 45, name: 'all come back from the beginning', attack: storm,
    options: { server: 'slow', warmUp: true } },
];
