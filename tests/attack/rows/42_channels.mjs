// SPDX-License-Identifier: Apache-2.0
/*
 * Whatever channels and publications are called.
 */
import assert from 'node:assert/strict';
import http from 'node:http';

import { RawChat } from '../../e2e/lib/chat.mjs';
import { makeToken } from '../../e2e/lib/tokens.mjs';
import { within } from '../../e2e/lib/wait.mjs';
import { API_KEY, CLAIMS, KEYS } from '../configurations.mjs';
import { inParallel } from '../parallel.mjs';

const connect = (server) => (
  RawChat.connect(server, { token: makeToken(KEYS.HS256, { sub: 'writer', ...CLAIMS }) }));

/* Publications of a back end, as lines of one request. Their answers, in order. */
async function publish(server, publications) {
  const answered = new Promise((resolve, reject) => {
    const request = http.request({
      port: server.internalPort, host: '127.0.0.1', method: 'POST', path: '/api', agent: false,
      headers: { 'X-API-Key': API_KEY, 'Content-Type': 'application/x-ndjson' },
    }, async (response) => {
      let text = '';
      for await (const piece of response.setEncoding('utf8')) {
        text += piece;
      }
      resolve(text.trim().split('\n').map((line) => JSON.parse(line)));
    });
    request.once('error', reject);
    request.end(publications.map((one) => JSON.stringify({ publish: one })).join('\n'));
  });
  const answers = await within(answered, 'answers to publications');
  assert.equal(answers.length, publications.length);
  assert.ok(answers.every((one) => one.publish !== undefined), JSON.stringify(answers[0]));
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

/* In each channel somebody is told what is said there, and nothing else. */
async function resembling(server) {
  const [CLIENTS, EACH] = [112, 90];
  const names = nastyNames(CLIENTS * EACH);
  const chats = [];
  await inParallel(CLIENTS, async (number) => {
    const chat = await connect(server);
    const own = names.slice(number * EACH, (number + 1) * EACH);
    chat.say(...own.map((channel, i) => ({ id: 2 + i, subscribe: { channel } })));
    for (let i = 0; i < EACH; i += 1) {
      const { id, subscribe } = await chat.next();
      assert.ok(subscribe, own[id - 2]);
    }
    chats.push({ chat, own: new Set(own) });
  });
  await publish(server, names.map((channel) => ({ channel, data: channel })));
  await publish(server, chats.map(({ own }) => ({ channel: [...own][0], data: 'the end' })));
  await Promise.all(chats.map(async ({ chat, own }) => {
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
  }));
}

let floods = 0;

/* Ever new keys in one channel: the last 10,000 are known, and those before are not any more. */
async function newKeys(server) {
  const [COUNT, LIMIT, channel] = [12000, 10000, 'flood'];
  floods += 1;
  const publication = (number, data = number) => (
    { channel, data, idempotency_key: `${floods}-${number}`.padStart(64, 'k') });
  await publish(server, Array.from({ length: COUNT }, (_, number) => publication(number)));
  const chat = await connect(server);
  await chat.subscribe(channel);
  const oldest = COUNT - LIMIT;
  await publish(server, [publication(COUNT - 1), publication(oldest), publication(0, 'the first'),
    { channel, data: 'the end' }]);
  assert.deepEqual([(await chat.push()).pub.data, (await chat.push()).pub.data],
    ['the first', 'the end']);
  chat.destroy();
}

const entry = (row, name, attack, more = {}) => (
  { row, name, attack, options: { server: 'tokens', warmUp: true, ...more } });

export const ROWS = [
  entry(57, '10,000 names that resemble each other', resembling),
  entry(62, 'new keys of publications', newKeys),
];
