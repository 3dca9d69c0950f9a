// SPDX-License-Identifier: Apache-2.0
/*
 * The chat protocol by hand: what the SDK never says, and what exactly comes back.
 */
import assert from 'node:assert/strict';

import { RawChat } from '../lib/chat.mjs';
import { BINARY, TEXT, frame } from '../lib/frames.mjs';
import { group } from '../lib/runner.mjs';

async function answers(server) {
  const chat = await RawChat.open(server);
  const { id, connect } = await chat.ask({ connect: { name: 'js', version: '1', data: { any: [1] } } });
  assert.equal(id, 1);
  assert.equal(connect.ping, 25);
  assert.equal(connect.pong, true);
  assert.equal(typeof connect.version, 'string');
  for (const [command, answer] of [
    [{ subscribe: { channel: 'answers', flag: 1, recover: true, epoch: 'x', offset: 7, delta: 'fossil' } },
      { subscribe: {} }],
    [{ publish: { channel: 'answers', data: {} } }, { publish: {} }],
    [{ unsubscribe: { channel: 'answers' } }, { unsubscribe: {} }],
    [{ unsubscribe: { channel: 'never-there' } }, { unsubscribe: {} }],
    [{ ping: {} }, { ping: {} }],
  ]) {
    const pushes = [];
    const reply = await chat.ask(command, pushes);
    delete reply.id;
    if (command.subscribe !== undefined) {
      assert.ok(!('recovered' in reply.subscribe) && !('delta' in reply.subscribe));
      assert.ok(!('id' in reply.subscribe), 'channel compaction is declined');
      /* It asked to recover, and there is nothing to recover from. */
      delete reply.subscribe.was_recovering;
    }
    /* `ping` is answered by the empty result, whatever the schema calls it. */
    if (command.ping === undefined) {
      assert.deepEqual(reply, answer);
    } else {
      assert.equal(reply.error, undefined);
    }
  }
  await chat.close();
}

async function errors(server) {
  const chat = await RawChat.connect(server);
  await chat.subscribe('once');
  const wanted = [
    [{ subscribe: { channel: 'once' } }, 105],
    [{ subscribe: { channel: 'un:known' } }, 102],
    [{ subscribe: { channel: 'line\nbreak' } }, 107],
    [{ subscribe: { channel: 'x'.repeat(300) } }, 107],
    [{ publish: { channel: 'un:known', data: 1 } }, 102],
    [{ rpc: { method: 'x', data: {} } }, 108],
    [{ history: { channel: 'once', limit: 10 } }, 108],
    [{ presence: { channel: 'once' } }, 108],
    [{ presence_stats: { channel: 'once' } }, 108],
    [{ refresh: { token: 'x' } }, 108],
    [{ sub_refresh: { channel: 'once', token: 'x' } }, 108],
  ];
  for (const [command, code] of wanted) {
    const reply = await chat.ask(command);
    assert.equal(reply.error?.code, code, JSON.stringify(command).slice(0, 80));
    assert.ok(reply.error.message.length > 0);
    assert.notEqual(reply.error.temporary, true);
  }
  for (let i = 0; i < 15; i += 1) {
    await chat.subscribe(`more-${i}`);
  }
  assert.equal((await chat.ask({ subscribe: { channel: 'too-many' } })).error.code, 106);
  await chat.ask({ unsubscribe: { channel: 'more-3' } });
  await chat.subscribe('now-there-is-room');
  await chat.close();
  const metrics = await server.metrics();
  for (const code of [102, 105, 106, 107, 108]) {
    assert.ok(metrics.value(`parley_errors_total{code="${code}"}`) > 0, `errors ${code} are counted`);
  }
}

/* Each costs the connection: 3501, after the answers to what was good before it. */
async function badRequests(server) {
  const good = { id: 1, connect: {} };
  const table = [
    ['not JSON', '{"id":2,'],
    ['rubbish', 'hello'],
    ['an array', '[]'],
    ['a number', '7'],
    ['a trailing comma', '{"id":2,"ping":{},}'],
    ['a single quote', "{'id':2}"],
    ['two objects without a newline', '{"id":2,"ping":{}}{"id":3,"ping":{}}'],
    ['two newlines', '{"id":2,"ping":{}}\n\n{"id":3,"ping":{}}'],
    ['no id', { rpc: { method: 'x' } }],
    ['id 0', { id: 0, subscribe: { channel: 'x' } }],
    ['a negative id', '{"id":-1,"ping":{}}'],
    ['an id that is too large', '{"id":4294967296,"ping":{}}'],
    ['an id that is text', '{"id":"2","ping":{}}'],
    ['a request that nobody knows', { id: 2, dance: {} }],
    ['an id alone', { id: 2 }],
    ['a pong that nobody asked for', {}],
    ['a second connect', { id: 2, connect: {} }],
    ['a key twice', '{"id":2,"id":3,"ping":{}}'],
    ['a channel that is a number', '{"id":2,"subscribe":{"channel":5}}'],
    ['no channel', { id: 2, subscribe: {} }],
    ['no data', { id: 2, publish: { channel: 'x' } }],
    ['data that is not JSON', '{"id":2,"publish":{"channel":"x","data":{"a":}}}'],
    ['data with a control byte', '{"id":2,"publish":{"channel":"x","data":"a\u0001"}}'],
    ['data that is too deep', `{"id":2,"publish":{"channel":"x","data":${'['.repeat(40)}${']'.repeat(40)}}}`],
    ['64 KiB of brackets', `{"id":2,"publish":{"channel":"x","data":${'['.repeat(64000)}`],
    ['a lone surrogate in a channel', '{"id":2,"subscribe":{"channel":"\\ud800"}}'],
    ['an empty message', ''],
  ];
  for (const [why, bad] of table) {
    const chat = await RawChat.open(server);
    chat.say(good);
    assert.ok((await chat.next()).connect.client);
    chat.say(bad);
    const before = [];
    await chat.frames.expectClose(3501, why, { before });
    assert.ok(before.length <= 1, why);
  }
  for (const [why, ...commands] of [
    ['a command before connect', { id: 1, subscribe: { channel: 'x' } }],
    ['a publish before connect', { id: 1, publish: { channel: 'x', data: 1 } }],
    ['a pong before connect', {}],
    ['a send before connect', { send: { data: 1 } }],
    ['two connects in one frame', good, { id: 2, connect: {} }],
    ['a name that is too long', { id: 1, connect: { name: 'x'.repeat(17) } }],
    ['a version that is too long', { id: 1, connect: { version: 'x'.repeat(65) } }],
  ]) {
    const chat = await RawChat.open(server);
    chat.say(...commands);
    await chat.frames.expectClose(3501, why, { before: [] });
  }
  assert.ok((await server.metrics()).rejected('bad_command') >= table.length);
}

/* What was answered before the fault arrives; what follows it does nothing. */
async function faultInABatch(server) {
  const reader = await RawChat.connect(server);
  await reader.subscribe('fault');
  const chat = await RawChat.open(server);
  chat.say({ id: 1, connect: {} }, { id: 2, subscribe: { channel: 'elsewhere' } },
    { id: 3, publish: { channel: 'fault', data: 'before' } }, '{"id":4,',
    { id: 5, publish: { channel: 'fault', data: 'after' } });
  const before = [];
  await chat.frames.expectClose(3501, 'a fault in a batch', { before });
  const ids = before.flatMap((one) => one.payload.toString().split('\n')).map((one) => JSON.parse(one).id);
  assert.equal(ids[0], 1, 'connect was answered');
  assert.equal((await reader.push()).pub.data, 'before');
  reader.say({ id: 9, publish: { channel: 'fault', data: 'last' } });
  const rest = [await reader.next(), await reader.next()];
  assert.deepEqual(rest.filter((one) => one.push).map((one) => one.push.pub.data), ['last']);
  await reader.close();
}

async function otherEnds(server) {
  const binary = await RawChat.open(server);
  binary.frames.send(BINARY, JSON.stringify({ id: 1, connect: {} }));
  await binary.expectClose(3506, 'a binary message');
  const send = await RawChat.connect(server);
  send.say({ send: { data: { x: 1 } } });
  await send.expectClose(3508, 'send');
  const text = await RawChat.connect(server);
  text.frames.send(TEXT, Buffer.from([0x7b, 0xff, 0x7d]));
  await text.expectClose(1007, 'text that is not UTF-8');
  for (const code of [1000, 1001, 3000, 3501, 3999, 4999]) {
    const closing = await RawChat.connect(server);
    await closing.close(code);
  }
}

/* The first frame of the SDK: connect and all its subscriptions; and a long one after it. */
async function batches(server) {
  const chat = await RawChat.open(server);
  const channels = Array.from({ length: 12 }, (_, i) => `batch-${i}`);
  chat.say({ id: 1, connect: {} },
    ...channels.map((channel, i) => ({ id: 2 + i, subscribe: { channel } })));
  const replies = new Map();
  while (replies.size < 13) {
    const reply = await chat.next();
    assert.ok(!replies.has(reply.id), 'each is answered once');
    replies.set(reply.id, reply);
  }
  assert.ok(replies.get(1).connect.client);
  channels.forEach((_, i) => assert.deepEqual(replies.get(2 + i), { id: 2 + i, subscribe: {} }));
  chat.say(...Array.from({ length: 300 }, (_, i) => (
    { id: 100 + i, publish: { channel: channels[i % 12], data: i } })));
  const answered = new Set();
  const pushed = new Map(channels.map((channel) => [channel, []]));
  let pushCount = 0;
  while (answered.size < 300 || pushCount < 300) {
    const got = await chat.next('300 answers and 300 publications');
    if (got.push !== undefined) {
      pushed.get(got.push.channel).push(got.push.pub.data);
      pushCount += 1;
    } else {
      assert.deepEqual(got.publish, {});
      assert.ok(!answered.has(got.id), 'each is answered once');
      answered.add(got.id);
    }
  }
  channels.forEach((channel, c) => {
    assert.deepEqual(pushed.get(channel), Array.from({ length: 25 }, (_, i) => c + 12 * i),
      'in order in each channel');
  });
  await chat.close();
}

/* One message of the protocol is one line, whatever the data; and it comes out as it went in. */
async function dataAsItIs(server) {
  const chat = await RawChat.connect(server);
  await chat.subscribe('data');
  const others = [];
  for (const data of ['{\n"a"\n:\n1\r\n}', '"\\u0000\\ud83d\\ude00\\n"', '1e400', '-0', '""', ' [ ] ',
    '{"a":1,"a":2}', '123456789012345678901234567890', '"\u2028"']) {
    chat.id += 1;
    chat.say(`{"id":${chat.id},"publish":{"channel":"data","data":${data}}}`);
    const got = [];
    while (got.length < 2) {
      const one = await chat.frames.next(data);
      got.push(...one.payload.toString().split('\n'));
    }
    const push = got.find((one) => one.includes('"push"'));
    const wanted = data.replace(/[\n\r]/g, '').trim();
    const compact = push.replace(/\r/g, '');
    assert.ok(compact.includes(`"data":${wanted}`) || compact.includes(`"data":${wanted.replace(/ /g, '')}`)
      || JSON.stringify(JSON.parse(push).push.pub.data) === JSON.stringify(JSON.parse(data)), push);
    others.push(push);
  }
  assert.equal(others.length, 9);
  await chat.close();
}

async function chopped(server) {
  const chat = await RawChat.open(server);
  const text = (command) => frame(TEXT, JSON.stringify(command));
  await chat.frames.wire.writeChopped(Buffer.concat([
    text({ id: 1, connect: {} }), text({ id: 2, subscribe: { channel: 'chopped' } }),
    text({ id: 3, publish: { channel: 'chopped', data: 'a b c' } })]));
  const got = [await chat.next(), await chat.next(), await chat.next(), await chat.next()];
  assert.deepEqual(got.map((one) => one.id ?? 0).sort(), [0, 1, 2, 3]);
  assert.equal(got.find((one) => one.push).push.pub.data, 'a b c');
  await chat.close();
}

group({
  name: 'protocol',
  on: 'matrix',
  server: {
    config: {
      client: { insecure: true, channel_limit: 16, command_rate: 100000, command_burst: 100000 },
    },
  },
  cases: [
    ['answers', answers],
    ['errors', errors],
    ['bad requests', badRequests],
    ['a fault in a batch', faultInABatch],
    ['other ends', otherEnds],
    ['batches', batches],
    ['data as it is', dataAsItIs],
    ['chopped', chopped],
  ],
});
