// SPDX-License-Identifier: Apache-2.0
/*
 * Each limit, set small: who goes beyond it gets its code, and the count of its reason moves.
 */
import assert from 'node:assert/strict';

import { CHAT, RawChat, Sdk } from '../lib/chat.mjs';
import { BINARY, CONTINUATION, FrameClient, PING, PONG, TEXT, frame } from '../lib/frames.mjs';
import { group } from '../lib/runner.mjs';
import { sleep } from '../lib/wait.mjs';

/* Runs `act`, which must make the server count one more refusal (or `count`) for this reason. */
async function counted(server, reason, act, count = 1) {
  const before = (await server.metrics()).rejected(reason);
  await act();
  assert.equal((await server.metrics()).rejected(reason) - before, count, reason);
}

function publishOf(size) {
  const rest = JSON.stringify({ id: 2, publish: { channel: 'x', data: '' } }).length;
  return JSON.stringify({ id: 2, publish: { channel: 'x', data: 'd'.repeat(size - rest) } });
}

async function messageSize(server) {
  const fits = await RawChat.connect(server);
  fits.say(publishOf(1000));
  assert.deepEqual(await fits.next(), { id: 2, publish: {} });
  await fits.close();
  await counted(server, 'message_too_big', async () => {
    const above = await RawChat.connect(server);
    above.say(publishOf(1001));
    await above.expectClose(1009, 'one byte too many');
    const declared = await RawChat.connect(server);
    declared.frames.send(TEXT, '', { length: 1001, lengthBytes: 2 });
    await declared.expectClose(1009, 'declared only');
    const inSum = await RawChat.connect(server);
    inSum.frames.write(Buffer.concat(Array.from({ length: 5 }, (_, i) => (
      frame(i === 0 ? TEXT : CONTINUATION, ' '.repeat(201), { fin: false })))));
    await inSum.expectClose(1009, 'in five fragments');
  }, 3);
}

async function fragmentCount(server) {
  const pieces = (count) => Array.from({ length: count }, (_, i) => frame(i === 0 ? TEXT : CONTINUATION,
    i === 0 ? '{"id":2,"ping":{}}' : '', { fin: i === count - 1 }));
  const fits = await RawChat.connect(server);
  fits.frames.write(Buffer.concat(pieces(8)));
  assert.equal((await fits.next()).id, 2);
  await fits.close();
  await counted(server, 'too_many_fragments', async () => {
    const above = await RawChat.connect(server);
    above.frames.write(Buffer.concat(pieces(9)));
    await above.expectClose(1008, 'nine fragments of eight');
  });
}

/* However it trickles, the time is for the whole message. */
async function messageTime(server) {
  /* An answer to a ping has no place inside a message. */
  const connect = async () => {
    const chat = await RawChat.connect(server);
    chat.frames.answersPings = false;
    return chat.frames;
  };
  await counted(server, 'message_timeout', async () => {
    const header = await connect();
    header.write(frame(TEXT, '{"id":2,"ping":{}}').subarray(0, 1));
    await header.expectClose(1008, 'one byte of a header', { before: [] });
    const payload = await connect();
    payload.write(frame(TEXT, '{"id":2,"ping":{}}').subarray(0, 12));
    await payload.expectClose(1008, 'half a payload', { before: [] });
    const fragment = await connect();
    fragment.send(TEXT, '{', { fin: false });
    const closed = fragment.expectClose(1008, 'trickling fragments', { before: [] });
    closed.catch(() => {});
    for (let i = 0; i < 4; i += 1) {
      await sleep(150);
      if (fragment.wire.ended === null) {
        fragment.send(CONTINUATION, ' ', { fin: false });
      }
    }
    await closed;
  }, 3);
  /* Between messages there is no such limit. */
  const patient = await RawChat.connect(server);
  await sleep(700);
  await patient.ask({ ping: {} });
  await patient.close();
}

async function controlRate(server) {
  await counted(server, 'control_rate', async () => {
    const chat = await RawChat.connect(server);
    chat.frames.write(Buffer.concat(Array.from({ length: 300 }, () => frame(PING, 'ping'))));
    const before = [];
    await chat.frames.expectClose(1008, 'a flood of pings', { before });
    assert.ok(before.length >= 1 && before.length <= 200, `${before.length} pongs`);
    assert.ok(before.every((one) => one.opcode === PONG));
    const pongs = await RawChat.connect(server);
    pongs.frames.write(Buffer.concat(Array.from({ length: 300 }, () => frame(PONG, ''))));
    await pongs.expectClose(1008, 'a flood of pongs');
  }, 2);
}

/* Above the rate it is read more slowly: everything is answered, and others are not disturbed. */
async function commandRate(server) {
  const chat = await RawChat.connect(server);
  const other = await RawChat.connect(server);
  const COUNT = 60;
  for (let i = 0; i < COUNT; i += 30) {
    chat.say(...Array.from({ length: 30 }, (_, k) => ({ id: 2 + i + k, ping: {} })));
  }
  await other.ask({ ping: {} });
  for (let i = 0; i < COUNT; i += 1) {
    assert.equal((await chat.next('an answer, at the rate')).id, 2 + i);
  }
  await chat.close();
  await other.close();
}

/* Who stays above it is sent away after 5 s. */
async function commandFlood(server) {
  await counted(server, 'command_rate', async () => {
    const chat = await RawChat.connect(server);
    const flood = Buffer.concat(Array.from({ length: 5000 }, (_, i) => (
      frame(TEXT, `{"id":${2 + i},"ping":{}}`))));
    chat.frames.write(flood);
    const before = [];
    await chat.frames.expectClose(3013, 'a flood of commands', { before });
    assert.ok(before.length < 5000, 'not all were answered');
  });
}

async function channelLimit(server) {
  await counted(server, 'channel_limit', async () => {
    const sdk = await Sdk.connect(server);
    for (let i = 0; i < 4; i += 1) {
      await sdk.subscribe(`limit-${i}`);
    }
    const above = sdk.newSubscription('one-too-many');
    above.subscription.subscribe();
    assert.equal((await above.unsubscribed.take('a refusal')).code, 106);
    sdk.close();
  });
}

async function channelName(server) {
  await counted(server, 'channel_name', async () => {
    const chat = await RawChat.connect(server);
    await chat.subscribe('n'.repeat(20));
    assert.equal((await chat.ask({ subscribe: { channel: 'n'.repeat(21) } })).error.code, 107);
    await chat.close();
  });
}

group({
  name: 'limits',
  on: 'backends',
  server: {
    config: {
      client: {
        insecure: true, channel_limit: 4, control_rate: 5, control_burst: 10,
        command_rate: 50, command_burst: 20, queue_max_size: 65536,
      },
      channel: { max_length: 20 },
      websocket: { message_size_limit: 1000, max_fragments: 8, message_timeout: '500ms' },
    },
  },
  cases: [
    ['message size', messageSize],
    ['fragments', fragmentCount],
    ['message time', messageTime],
    ['control frames', controlRate],
    ['commands, a little above the rate', commandRate],
    ['commands, a flood', commandFlood],
    ['channels of a client', channelLimit],
    ['names of channels', channelName],
  ],
});

async function echoLimits(server) {
  const open = () => FrameClient.connect(server.port, '/echo');
  const fits = await open();
  fits.send(BINARY, Buffer.alloc(5000));
  await fits.expect(BINARY, Buffer.alloc(5000));
  await fits.close();
  await counted(server, 'message_too_big', async () => {
    const above = await open();
    above.send(BINARY, Buffer.alloc(5001));
    await above.expectClose(1009, 'too big for this echo');
  });
  await counted(server, 'message_timeout', async () => {
    const slow = await open();
    slow.send(TEXT, 'begun', { fin: false });
    await slow.expectClose(1008, 'too slow for this echo');
  });
}

/* Who does not read is not read; once it reads, everything is there. */
async function lateEcho(server) {
  const late = await FrameClient.connect(server.port, '/echo');
  late.wire.socket.pause();
  const all = Array.from({ length: 4000 }, (_, i) => Buffer.alloc(2000, i & 255));
  late.write(Buffer.concat(all.map((one) => frame(BINARY, one))));
  await sleep(300);
  late.wire.socket.resume();
  for (const one of all) {
    await late.expect(BINARY, one, 'an echo that waited');
  }
  await late.close();
}

group({
  name: 'limits of echo',
  on: 'backends',
  server: {
    config: {
      client: { insecure: true },
      echo: { enabled: true, message_size_limit: 5000, message_timeout: '500ms', queue_max_size: 65536 },
    },
  },
  cases: [['size and time', echoLimits]],
});

/* A message that is under way while its sender is busy has no hurry here. */
group({
  name: 'limits of echo: its queue',
  on: 'backends',
  server: { config: { echo: { enabled: true, message_size_limit: 5000, queue_max_size: 65536 } } },
  cases: [['a late reader', lateEcho]],
});

/* Nothing is allocated for what is only declared. */
async function declared(server) {
  const before = server.rssBytes;
  const clients = [];
  for (let i = 0; i < 200; i += 1) {
    const client = await FrameClient.connect(server.port, '/echo');
    client.send(BINARY, Buffer.alloc(10), { length: 16 << 20, lengthBytes: 8 });
    clients.push(client);
  }
  const chat = await FrameClient.connect(server.port, CHAT);
  chat.send(PING, 'all before are read');
  await chat.expect(PONG, 'all before are read');
  assert.ok(server.rssBytes - before < (64 << 20), `${(server.rssBytes - before) >> 20} MiB more`);
  clients.forEach((client) => client.destroy());
  chat.destroy();
}

group({ name: 'declared lengths', on: 'backends', server: { echo: true }, cases: [['memory', declared]] });
