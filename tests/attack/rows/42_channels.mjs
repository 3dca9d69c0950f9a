// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever channels and publications are called.
 */
import assert from 'node:assert/strict';

import { BackEnd } from '../../e2e/lib/api.mjs';
import { RawChat } from '../../e2e/lib/chat.mjs';
import { makeToken } from '../../e2e/lib/tokens.mjs';
import { API_KEY, CLAIMS, KEYS } from '../configurations.mjs';
import { inParallel } from '../parallel.mjs';

const connect = (server) => (
  RawChat.connect(server, { token: makeToken(KEYS.HS256, { sub: 'writer', ...CLAIMS }) }));

/* Publications of a back end, as lines of one request. What they became, in their order. */
async function publish(server, publications) {
  const backEnd = new BackEnd(server, { key: API_KEY });
  const lines = publications.map((one) => JSON.stringify({ publish: one })).join('\n');
  const { text } = await backEnd.post('/api', lines, { 'Content-Type': 'application/x-ndjson' });
  const answers = text.trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(answers.length, publications.length);
  answers.forEach(({ publish: result, error }, i) => (
    assert.ok(result, `${JSON.stringify(publications[i])}: ${JSON.stringify(error)}`)));
  backEnd.close();
  return answers.map((one) => one.publish);
}

/* Names of what is a pattern, a path, a template or the end of one elsewhere; no two the same. */
function nastyNames(count) {
  const signs = [...'.*>/\\%{}[]()^|+?~!@&=-_,;\'"`<aA0'];
  const names = new Set(['x'.repeat(254), 'x'.repeat(255)]);
  for (let i = 0; names.size < count; i += 1) {
    let name = '';
    for (let rest = i; name === '' || rest > 0; rest = Math.floor(rest / signs.length)) {
      name += signs[rest % signs.length];
    }
    names.add(name);
  }
  return [...names];
}

/* Hears in each of these channels what is said there, once, and nothing else, until the end. */
async function hearOnly(chat, names) {
  const own = new Set(names);
  for (;;) {
    const { channel, pub } = await chat.push();
    if (pub.data === 'the end') {
      break;
    }
    assert.equal(pub.data, channel);
    assert.ok(own.delete(channel), `${channel} is nothing that it is in, or came twice`);
  }
  assert.equal(own.size, 0, `${own.size} channels where nothing came`);
  chat.destroy();
}

async function resembling(server) {
  const [CLIENTS, EACH] = [112, 90];
  const names = nastyNames(CLIENTS * EACH);
  const heard = [];
  await inParallel(CLIENTS, async (number) => {
    const chat = await connect(server);
    const own = names.slice(number * EACH, (number + 1) * EACH);
    chat.say(...own.map((channel, i) => ({ id: 2 + i, subscribe: { channel } })));
    for (let i = 0; i < EACH; i += 1) {
      const { id, subscribe } = await chat.next();
      assert.ok(subscribe, own[id - 2]);
    }
    heard.push(hearOnly(chat, own)); /* from now on, for it has to answer pings */
  });
  const all = Promise.all(heard);
  all.catch(() => {});
  await publish(server, names.map((channel) => ({ channel, data: channel })));
  await publish(server, Array.from({ length: CLIENTS }, (_, number) => (
    { channel: names[number * EACH], data: 'the end' })));
  await all;
}

/*
 * The last 10,000 keys stay, and what carried 12,000 leaves holes in the heap of either reactor. More
 * floods take no more: the twelfth left a parleyd where the fourth had.
 */
const GROWTH_MAX = 16 << 20;

let floods = 0;

/* Ever new keys in one channel: the last 10,000 are known, and those before are not any more. */
async function newKeys(server) {
  const [COUNT, LIMIT] = [12000, 10000];
  floods += 1;
  const publication = (number) => ({ channel: 'closed:flood', data: number,
    idempotency_key: `${floods}-${number}`.padStart(64, 'k') });
  const first = await publish(server, Array.from({ length: COUNT }, (_, i) => publication(i)));
  const again = [COUNT - 1, COUNT - LIMIT, 0];
  const second = await publish(server, again.map(publication));
  assert.deepEqual(second.map(({ offset }, i) => offset === first[again[i]].offset),
    [true, true, false], 'which of the last, the oldest and the first is known');
}

const entry = (row, name, attack, more = {}) => (
  { row, name, attack, options: { server: 'tokens', warmUp: true, ...more } });

export const ROWS = [
  entry(57, '10,000 names that resemble each other', resembling),
  entry(62, 'new keys of publications', newKeys, { growth: GROWTH_MAX }),
];
