// SPDX-License-Identifier: Apache-2.0
/*
 * Frames and messages that are wrong, too large, too many, or never end.
 */
import assert from 'node:assert/strict';

import { CHAT, RawChat } from '../../e2e/lib/chat.mjs';
import {
  BINARY, CLOSE, CONTINUATION, DEFLATE, FrameClient, PING, PONG, TEXT, closeFrame, deflated, frame,
} from '../../e2e/lib/frames.mjs';
import { UPGRADE, exchange, head } from '../../e2e/lib/http.mjs';
import { within } from '../../e2e/lib/wait.mjs';
import { inParallel } from '../parallel.mjs';

const LIMIT = 65536; /* websocket.message_size_limit */
const FRAGMENTS = 64; /* websocket.max_fragments */
const connect = async (server, headers) => FrameClient.connect(server.port, CHAT, headers);

/* These bytes end a connection with this code. */
async function closes(server, bytes, code, why, headers) {
  const client = await connect(server, headers);
  client.write(bytes);
  await client.expectClose(code, why, { before: [] });
}

/* Declared only, in each way to write it, and cut at each byte of the header. */
async function lengths(server) {
  const table = [[2, 65535n, null], [8, 65535n, 1002], [8, BigInt(LIMIT) + 1n, 1009]];
  for (const bits of [31n, 32n, 63n]) {
    table.push([8, 2n ** bits - 1n, 1009]);
  }
  table.push([8, 2n ** 31n, 1009], [8, 2n ** 63n, 1002], [8, 2n ** 64n - 1n, 1002]);
  table.push([2, 125n, 1002], [8, 125n, 1002], [8, 126n, 1002], [2, 0n, 1002]);
  for (const [lengthBytes, length, code] of table) {
    const bytes = frame(TEXT, '', { length, lengthBytes });
    await inParallel(code === null ? 0 : bytes.length, async (cut) => {
      const client = await connect(server);
      client.write(bytes.subarray(0, cut));
      await new Promise((resolve) => setImmediate(resolve));
      client.write(bytes.subarray(cut));
      await client.expectClose(code, `${length} in ${lengthBytes} bytes, cut at ${cut}`);
    });
  }
}

/* Is a frame that begins so wrong, where no message has begun? After RFC 6455 section 5. */
function isWrong(first, second) {
  const opcode = first & 15;
  const isControl = opcode >= CLOSE;
  return (second & 128) === 0 || (first & 0x30) !== 0
    || ![TEXT, BINARY, CLOSE, PING, PONG].includes(opcode)
    || (isControl && ((first & 0x40) !== 0 || (first & 128) === 0 || (second & 127) > 125))
    || (first & 0x40) !== 0 /* compressed, which was not negotiated */
    || (opcode === CLOSE && (second & 127) === 1);
}

async function firstBytes(server) {
  const pairs = [];
  for (let first = 0; first < 256; first += 1) {
    [0, 1, 125, 128, 129, 253, 254, 255].filter((second) => isWrong(first, second))
      .forEach((second) => pairs.push([first, second]));
  }
  await inParallel(pairs.length, async (number) => {
    const [first, second] = pairs[number];
    await closes(server, Buffer.from([first, second, 0, 126, 0, 0, 0, 0]), 1002,
      `the bytes ${first} ${second}`);
  });
}

/* Each frame is small, and the sum is not; more is not even taken. */
async function fragmentBomb(server) {
  await inParallel(20, async () => {
    const client = await connect(server);
    const piece = 'p'.repeat(2048);
    client.send(TEXT, piece, { fin: false });
    const closed = client.expectClose(1009, 'endless pieces');
    closed.catch(() => {});
    for (let i = 0; i < 1000 && client.wire.ended === null; i += 1) {
      client.send(CONTINUATION, piece, { fin: false });
      await new Promise((resolve) => setImmediate(resolve));
    }
    await closed;
  });
}

async function emptyFragments(server) {
  for (const payload of ['', ' ']) {
    const pieces = Array.from({ length: FRAGMENTS + 1 }, (_, i) => (
      frame(i === 0 ? TEXT : CONTINUATION, payload, { fin: false })));
    await inParallel(20, () => (
      closes(server, Buffer.concat(pieces), 1008, `of ${payload.length} bytes`)));
  }
}

/* First it is read more slowly, and 5 s later sent away. */
async function tinyFrames(server) {
  const flood = Buffer.concat(Array.from({ length: 20000 },
    (_, i) => frame(TEXT, `{"id":${i + 2},"ping":{}}`)));
  await inParallel(5, async () => {
    const chat = await RawChat.connect(server);
    chat.frames.write(flood);
    const before = [];
    await chat.frames.expectClose(3013, 'a flood', { before });
    assert.ok(before.length < 1000, `${before.length} were answered`);
  });
}

async function pingFlood(server) {
  const pings = Buffer.concat(Array.from({ length: 20000 }, () => frame(PING, 'p'.repeat(125))));
  await inParallel(10, async () => {
    const client = await connect(server);
    client.wire.socket.pause();
    client.write(pings);
    await new Promise((resolve) => setImmediate(resolve));
    client.wire.socket.resume();
    const before = [];
    await client.expectClose(1008, 'a flood of pings', { before });
    assert.ok(before.length <= 200, `${before.length} pongs`);
  });
}

/* 1000 : 1, in one frame, in many, and what a bomb of bombs begins with. */
async function bombs(server) {
  const inflatedBytes = async () => (
    (await server.metrics()).value('parley_inflate_bytes_total{of="plain"}'));
  const before = await inflatedBytes();
  const bomb = deflated(Buffer.alloc(60 << 20));
  const small = deflated(Buffer.alloc(LIMIT + 1));
  assert.ok(bomb.length < LIMIT);
  const COUNT = 50;
  await inParallel(COUNT, () => (
    closes(server, frame(TEXT, bomb, { rsv: 4 }), 1009, 'a bomb', DEFLATE)));
  await closes(server, frame(TEXT, small, { rsv: 4 }), 1009, 'one byte too many', DEFLATE);
  await closes(server, Buffer.concat([frame(TEXT, bomb.subarray(0, 9), { rsv: 4, fin: false }),
    frame(CONTINUATION, bomb.subarray(9))]), 1009, 'in two parts', DEFLATE);
  const inflated = await inflatedBytes() - before;
  assert.ok(inflated <= (COUNT + 2) * (LIMIT + 4096), `${inflated} bytes were made of them`);
}

/* Never a window of 8 bits, and no more than once what may be there once. */
async function offers(server) {
  for (const [offer, isTaken] of [
    ['server_max_window_bits=8', false], ['server_max_window_bits=08', false],
    ['server_max_window_bits=16', false], ['server_max_window_bits=0', false],
    ['server_max_window_bits=7', false], ['server_max_window_bits=-9', false],
    ['server_max_window_bits=4294967305', false], ['server_max_window_bits', false],
    ['server_max_window_bits=9; server_max_window_bits=10', false],
    ['client_no_context_takeover=1', false], ['unknown', false],
    ['client_max_window_bits=99', false],
    ['server_max_window_bits=15', true], ['client_max_window_bits=15', true],
  ]) {
    const { response, wire } = await exchange(server.port, head('GET', CHAT,
      { ...UPGRADE, 'Sec-WebSocket-Extensions': `permessage-deflate; ${offer}` }));
    assert.equal(response.status, 101, offer);
    assert.equal(response.headers.has('sec-websocket-extensions'), isTaken, offer);
    wire.destroy();
  }
}

async function brokenStreams(server) {
  const good = deflated(Buffer.from('{"id":1,"connect":{}}'));
  const compressed = (hex) => frame(TEXT, Buffer.from(hex, 'hex'), { rsv: 4 });
  for (const [why, bytes, codes] of [
    ['rubbish', compressed('ffffffffff'), [1007]],
    ['a distance that is too far', compressed('4b04000011'), [1007, 3501]],
    ['a block of another length', compressed('00050000ff'), [1007]],
    ['a reserved block', compressed('07'), [1007]],
    ['on a continuation', Buffer.concat([frame(TEXT, good.subarray(0, 4), { rsv: 4, fin: false }),
      frame(CONTINUATION, good.subarray(4), { rsv: 4 })]), [1002]],
    ['on a ping', frame(PING, good, { rsv: 4 }), [1002]],
    ['empty blocks for ever', compressed('000000ffff'.repeat(12000)), [1007, 3501]],
  ]) {
    const client = await connect(server, DEFLATE);
    client.write(bytes);
    const got = await client.next(why);
    assert.equal(got.opcode, CLOSE, why);
    const code = got.payload.readUInt16BE(0);
    assert.ok(codes.includes(code), `${why}: ${code}`);
    client.destroy();
  }
}

/* No UTF-8, at the first byte that cannot be: the rest is not waited for. */
async function badText(server) {
  for (const hex of ['80', 'c0af', 'c1bf', 'e080af', 'eda080', 'edbfbf', 'f08080af', 'f4908080',
    'f5', 'fe', 'ff', 'e28228', 'f0288cbc', 'f8888080']) {
    const bytes = Buffer.from(`22${hex}`, 'hex');
    await closes(server, frame(TEXT, bytes), 1007, hex);
    await closes(server, frame(TEXT, bytes, { fin: false }), 1007, `${hex}, the end open`);
    const whole = frame(TEXT, Buffer.concat([bytes, Buffer.alloc(500)]));
    await closes(server, whole.subarray(0, whole.length - 480), 1007, `${hex}, the end missing`);
    await closes(server, closeFrame(1000, Buffer.from(hex, 'hex')), 1007, `${hex} in a reason`);
  }
  await closes(server, frame(TEXT, Buffer.from('c3', 'hex')), 1007, 'cut off');
}

async function badCloses(server) {
  for (const code of [0, 999, 1004, 1005, 1006, 1012, 1015, 1016, 2999, 5000, 65535]
    .filter((one) => one < 1007 || one > 1014)) {
    await closes(server, closeFrame(code), 1002, `code ${code}`);
  }
  await closes(server, frame(CLOSE, 'x'), 1002, 'half a code');
  /* One answer; what comes behind is not read. */
  const rest = frame(TEXT, '{"id":1,"connect":{}}\n{"id":2,"publish":{"channel":"late","data":1}}');
  const connects = async () => (
    (await server.metrics()).value('parley_commands_total{method="connect"}'));
  const before = await connects();
  const bytes = Buffer.concat([closeFrame(1000), rest, closeFrame(1001), rest]);
  await closes(server, bytes, 1000, 'two closes');
  assert.equal(await connects(), before);
}

/* What is begun has an end, however it trickles. */
async function slowFrames(server) {
  const whole = frame(TEXT, '{"id":2,"ping":{}}');
  await inParallel(100, async (number) => {
    const { frames } = await RawChat.connect(server);
    frames.answersPings = false; /* which would stand inside the message */
    frames.write(whole.subarray(0, 1 + (number % (whole.length - 2))));
    await frames.expectClose(1008, 'half a frame', { before: [] });
  }, 100);
}

/* Declared and never sent: nothing is kept ready for it. So few that all are there before the first has to go. */
async function declared(server) {
  const COUNT = 200;
  const before = server.rssBytes;
  await inParallel(COUNT, async () => {
    const client = await connect(server);
    client.send(TEXT, '', { length: LIMIT, lengthBytes: 8 });
  }, COUNT);
  await server.untilMetric('parley_connections_open', (value) => value > COUNT);
  const growth = server.rssBytes - before;
  assert.ok(growth < COUNT * LIMIT / 2, `${growth} bytes for ${COUNT} of them`);
}

/* Sends an hour of nothing but pings; after its time it has to go. */
async function neverConnects(server) {
  await inParallel(200, async () => {
    const client = await connect(server);
    client.send(PING, 'here');
    const before = [];
    await client.expectClose(3502, 'nobody', { before });
    assert.ok(before.every((one) => one.opcode === PONG));
  }, 200);
}

async function halfOpen(server) {
  const chats = [];
  await inParallel(20, async () => {
    const chat = await RawChat.connect(server);
    chat.frames.answersPings = false;
    chats.push(chat);
  });
  await Promise.all(chats.map((chat) => chat.frames.expectClose(3012, 'no pong', { before: [] })));
}

async function threads(server) {
  const before = server.threadCount;
  const chats = [];
  await inParallel(200, async () => {
    const chat = await RawChat.connect(server);
    chat.say(...Array.from({ length: 50 }, (_, i) => ({ id: i + 2, ping: {} })));
    chats.push(chat);
    assert.equal(server.threadCount, before);
  });
  await within(Promise.all(chats.map((chat) => chat.next('an answer'))), 'answers');
  assert.equal(server.threadCount, before);
}

const json = (text) => `{"id":2,"publish":{"channel":"x","data":${text}}}`;

async function jsonBombs(server) {
  for (const bad of ['['.repeat(64000), '{"a":'.repeat(12000),
    json(`${'['.repeat(17)}${']'.repeat(17)}`), json('1e'), json('01'), json('-'), json('NaN'),
    json('1e5.5'), json(`"${'\\u'.repeat(9)}"`), json('"\\ud800"x'), json('"\\x"'),
    json('{"a":1,}'), json('[1,]'), json("'a'"), json('/**/1'), json('tru'), json('"\u0001"'),
    '{"id":99999999999999999999,"ping":{}}', '{"id":1e400,"ping":{}}', '{"id":2,"id":2,"ping":{}}',
    '{"id":2,"ping":{},"ping":{}}', `{"id":2,"${'k'.repeat(60000)}":{}}`, '{"id":2,"ping":{}}\0',
    '\ufeff{"id":2,"ping":{}}', '[[[[]]]]', '""', 'null']) {
    const chat = await RawChat.connect(server);
    chat.say(bad);
    await chat.frames.expectClose(3501, bad.slice(0, 60));
  }
}

const entry = (row, name, attack, rejected = {}, server = 'plain') => (
  { row, name, attack, options: { server, rejected } });

export const ROWS = [
  entry(10, 'never says who it is', neverConnects, { auth_timeout: 200 }),
  entry(22, 'does not answer pings', halfOpen, { no_pong: 20 }, 'pings'),
  entry(25, 'lengths', lengths, { message_too_big: 40, protocol_error: 40 }),
  entry(26, 'first bytes of frames', firstBytes, { protocol_error: 1000 }),
  entry(27, 'a message of endless pieces', fragmentBomb, { message_too_big: 20 }),
  entry(28, 'empty pieces', emptyFragments, { too_many_fragments: 40 }),
  entry(29, 'tiny commands', tinyFrames, { command_rate: 5 }),
  entry(30, 'pings', pingFlood, { control_rate: 10 }),
  entry(31, 'compression bombs', bombs, { message_too_big: 52 }),
  entry(33, 'offers of compression', offers),
  entry(34, 'broken compression', brokenStreams, { invalid_deflate: 3, protocol_error: 2 }),
  entry(36, 'no UTF-8', badText, { invalid_utf8: 50 }),
  entry(37, 'closes', badCloses, { protocol_error: 8 }),
  entry(40, 'frames that never end', slowFrames, { message_timeout: 100 }),
  entry(48, 'JSON', jsonBombs, { bad_command: 25 }),
  entry(49, 'declared and not sent', declared),
  entry(50, 'a thread for each', threads),
];
