// SPDX-License-Identifier: Apache-2.0
/*
 * Whoever takes what there is, and gives nothing back.
 */
import assert from 'node:assert/strict';

import { CHAT, RawChat } from '../../e2e/lib/chat.mjs';
import { UPGRADE, Wire, head, request } from '../../e2e/lib/http.mjs';
import { until } from '../../e2e/lib/wait.mjs';
import { CONNECTIONS } from '../configurations.mjs';
import { inParallel } from '../parallel.mjs';

/*
 * More than connection_limit, all at once. Who has a place keeps it until /health has been asked for:
 * that is answered while there is none. Who has none is reset, or waits until others have gone.
 */
async function tooMany(server) {
  const COUNT = 160;
  const wires = [];
  const isFull = async () => (
    (await server.metrics()).value('parley_connections_open') >= CONNECTIONS);
  await until(async () => {
    await inParallel(COUNT, async () => {
      const wire = await Wire.open(server.port).catch((error) => {
        assert.equal(error.code, 'ECONNRESET');
        return null;
      });
      wire?.write(head('GET', CHAT, UPGRADE));
      wires.push(wire);
    }, COUNT);
    return isFull();
  }, 'no place to be left');
  assert.equal((await request(server.internalPort, 'GET', '/health')).status, 200);
  assert.ok(await isFull(), 'and still there is no place');
  await Promise.all(wires.filter((wire) => wire !== null).map(async (wire) => {
    const how = await wire.response().then(({ status }) => status, () => wire.ended);
    assert.ok([101, 'reset'].includes(how), `one of too many: ${how}`);
    wire.destroy();
  }));
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
