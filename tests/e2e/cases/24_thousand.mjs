// SPDX-License-Identifier: Apache-2.0
/*
 * A thousand subscribers on all reactors, two publishers: one order for everybody.
 */
import assert from 'node:assert/strict';

import { RawChat, UNHURRIED } from '../lib/chat.mjs';
import { group } from '../lib/runner.mjs';
import { IS_SANITIZED } from '../lib/wait.mjs';

const SUBSCRIBERS = IS_SANITIZED ? 200 : 1000;
const MESSAGES = 20; /* of each publisher */

async function join(server) {
  const chats = [];
  while (chats.length < SUBSCRIBERS) {
    chats.push(...await Promise.all(Array.from({ length: 100 }, () => RawChat.connect(server))));
  }
  await Promise.all(chats.map((chat) => chat.subscribe('thousand')));
  return chats;
}

async function oneOrder(server) {
  const chats = await join(server);
  const writers = await Promise.all([RawChat.connect(server), RawChat.connect(server)]);
  /* A reactor says what it has after it has answered. */
  await server.untilMetric('parley_subscriptions', (value) => value === SUBSCRIBERS, `${SUBSCRIBERS}`);
  const before = await server.metrics();
  await Promise.all(writers.map(async (writer, w) => {
    for (let i = 0; i < MESSAGES; i += 1) {
      await writer.publish('thousand', `${w}-${i}`);
    }
  }));
  let first = null;
  for (const chat of chats) {
    const got = [];
    while (got.length < 2 * MESSAGES) {
      got.push((await chat.push()).pub.data);
    }
    first ??= got;
    assert.deepEqual(got, first, 'the same order for everybody');
    assert.deepEqual(chat.pending, [], 'nothing twice');
  }
  for (const w of [0, 1]) {
    assert.deepEqual(first.filter((one) => one.startsWith(`${w}-`)),
      Array.from({ length: MESSAGES }, (_, i) => `${w}-${i}`), 'in the order of its publisher');
  }
  const after = await server.metrics();
  const moved = (name) => after.value(name) - before.value(name);
  assert.equal(moved('parley_publications_total'), 2 * MESSAGES);
  assert.equal(moved('parley_deliveries_total'), 2 * MESSAGES * SUBSCRIBERS);
  await Promise.all([...chats, ...writers].map((chat) => chat.close()));
}

group({
  name: 'a thousand',
  on: 'matrix',
  server: { config: { client: { insecure: true, command_rate: 10000, command_burst: 10000, ...UNHURRIED } } },
  cases: [['one order', oneOrder]],
});
