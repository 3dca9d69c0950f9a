// SPDX-License-Identifier: Apache-2.0
/*
 * permessage-deflate (RFC 7692): clients that nobody here wrote use it and those that do not offer it
 * sit beside them; what is shared is compressed once; bombs and broken streams cost one connection.
 */
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import zlib from 'node:zlib';

import WebSocket, { WebSocketServer } from 'ws';

import { runBench } from '../lib/bench.mjs';
import { CHAT, RawChat, Sdk, UNHURRIED } from '../lib/chat.mjs';
import { closeAtEnd } from '../lib/cleanup.mjs';
import {
  BINARY, CONTINUATION, DEFLATE, FrameClient, PING, TEXT, deflated, frame,
} from '../lib/frames.mjs';
import { UPGRADE, exchange, head } from '../lib/http.mjs';
import { python } from '../lib/python.mjs';
import { group } from '../lib/runner.mjs';
import { Mailbox, PATIENCE_MS, within } from '../lib/wait.mjs';

const LIMIT = 65536; /* websocket.message_size_limit */
const EXTENSIONS = 'Sec-WebSocket-Extensions';
const ACCEPTED = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';

class Plain extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { perMessageDeflate: false });
  }
}

class Eager extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { perMessageDeflate: { threshold: 0 } });
  }
}

/* What an offer comes to; the handshake never fails for it. */
async function offers(server) {
  const before = await server.metrics();
  const answers = [
    ['permessage-deflate', ACCEPTED],
    ['permessage-deflate; client_max_window_bits', ACCEPTED],
    ['permessage-deflate; server_max_window_bits="15"', `${ACCEPTED}; server_max_window_bits=15`],
    ['permessage-deflate; server_max_window_bits=8, permessage-deflate', ACCEPTED],
    ['permessage-deflate; server_max_window_bits=8', undefined],
    ['permessage-deflate; mux', undefined],
    ['permessage-deflate; client_max_window_bits="', undefined],
    ['permessage-deflate, ='.padEnd(3000, '='), undefined],
    ['x-webkit-deflate-frame', undefined],
  ];
  for (const [offer, answer] of answers) {
    const { response, wire } = await exchange(server.port,
      head('GET', CHAT, { ...UPGRADE, [EXTENSIONS]: offer }));
    assert.equal(response.status, 101, offer);
    assert.equal(response.headers.get('sec-websocket-extensions'), answer, offer);
    wire.destroy();
  }
  const metrics = await server.metrics();
  const more = (result) => metrics.value(`parley_compression_offers_total{result="${result}"}`)
    - before.value(`parley_compression_offers_total{result="${result}"}`);
  assert.deepEqual([more('accepted'), more('declined'), more('malformed')], [4, 2, 2]);
}

/* The npm package ws, in both directions, whole and in fragments. */
async function echoes(server) {
  const before = await server.metrics();
  const socket = new WebSocket(server.echoUrl,
    { perMessageDeflate: { threshold: 0 }, maxPayload: 16 << 20 });
  closeAtEnd(() => socket.terminate());
  const messages = new Mailbox('messages');
  socket.on('message', (data, isBinary) => messages.put({ data, isBinary }));
  await within(new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  }), 'ws to open');
  assert.match(socket.extensions, /^permessage-deflate/);
  const sent = [];
  for (const size of [0, 1, 125, 127, 128, 4096, LIMIT, 300000, 4 << 20]) {
    for (const data of [Buffer.alloc(size, 'zip '), crypto.randomBytes(size), 'é'.repeat(size / 2)]) {
      sent.push(data);
      socket.send(data, { compress: sent.length % 4 !== 0 });
    }
  }
  for (const piece of ['in ', '', 'four ', 'fragments'.repeat(100)]) {
    socket.send(piece, { fin: piece.length > 10 });
  }
  sent.push(`in four ${'fragments'.repeat(100)}`);
  for (const [i, said] of sent.entries()) {
    const { data, isBinary } = await messages.take(`message ${i} to come back`);
    assert.equal(isBinary, typeof said !== 'string');
    assert.ok(data.equals(Buffer.from(said)), `message ${i}`);
  }
  const closed = new Promise((resolve) => { socket.on('close', resolve); });
  socket.close(1000);
  assert.equal(await within(closed, 'the close'), 1000);
  const metrics = await server.metrics();
  const more = (name) => metrics.value(name) - before.value(name);
  assert.ok(more('parley_inflate_bytes_total{of="plain"}') > 4 << 20);
  assert.ok(more('parley_inflate_bytes_total{of="compressed"}') > 0);
  assert.ok(more('parley_deflate_bytes_total{of="compressed"}')
    < more('parley_deflate_bytes_total{of="plain"}') / 4);
  assert.ok(more('parley_deflate_skipped_total{reason="no_gain"}') > 0, 'noise goes as it is');
  assert.ok(more('parley_deflate_skipped_total{reason="over_budget"}') > 0, 'and what is long');
}

/* A sentence that shrinks, but not to nothing. */
const sentence = (i) => `${i} ${crypto.randomBytes(60).toString('hex')} ${'to be or not to be '.repeat(20)}`;

/*
 * Eight who negotiated it and two who did not, on two reactors: the same for all, and every reactor
 * has compressed it once and not once for each.
 */
async function sharedOnce(server) {
  const COUNT = 40;
  const members = [];
  for (let i = 0; i < 10; i += 1) {
    members.push(await Sdk.connect(server, { websocket: i < 2 ? Plain : Eager }));
  }
  const rooms = await Promise.all(members.map((one) => one.subscribe('mixed')));
  const before = await server.metrics();
  const said = Array.from({ length: COUNT }, (_, i) => ({ text: sentence(i), i }));
  let size = 0;
  for (const [i, data] of said.entries()) {
    await members[i % members.length].publish('mixed', data);
    size += JSON.stringify(data).length + 200; /* and who said it */
  }
  for (const room of rooms) {
    const got = await room.publication.takeMany(COUNT, 'everything');
    assert.deepEqual(got.map((one) => one.data), said);
  }
  const metrics = await server.metrics();
  const more = (name) => metrics.value(name) - before.value(name);
  assert.equal(more('parley_deliveries_total'), COUNT * members.length);
  const plain = more('parley_deflate_bytes_total{of="plain"}');
  assert.ok(plain > 0.7 * size && plain < 2.1 * size, `${plain} bytes compressed of ${size}`);
  members.forEach((one) => one.close());
}

/* Many at once, of which each is too short to be worth it: they go together, with a limit. */
async function joined(server) {
  const raw = RawChat.over(await FrameClient.connect(server.port, CHAT, DEFLATE));
  await raw.ask({ connect: {} });
  await raw.subscribe('joined');
  const writer = await Sdk.connect(server, { websocket: Plain });
  const COUNT = 200;
  let compressed = 0;
  for (let i = 0; compressed === 0; i += COUNT) {
    assert.ok(i < 100 * COUNT, 'some go together');
    writer.centrifuge.startBatching();
    const all = Array.from({ length: COUNT }, (_, k) => writer.publish('joined', i + k));
    writer.centrifuge.stopBatching();
    await Promise.all(all);
    for (let next = i; next < i + COUNT;) {
      const got = await raw.frames.next('publications');
      const lines = got.payload.toString().split('\n').map((line) => JSON.parse(line));
      lines.forEach((one) => {
        assert.equal(one.push.pub.data, next);
        next += 1;
      });
      assert.ok(lines.length <= 16, 'client.max_messages_per_frame');
      compressed += got.compressed ? 1 : 0;
    }
  }
  writer.close();
  await raw.close();
}

/* Who comes back is given what it missed, compressed; a short answer is not worth it. */
async function history(server) {
  const writer = await Sdk.connect(server, { websocket: Plain });
  for (let i = 0; i < 50; i += 1) {
    await writer.publish('kept:a', { i, text: 'over and over again' });
  }
  const raw = RawChat.over(await FrameClient.connect(server.port, CHAT, DEFLATE));
  await raw.ask({ connect: {} });
  raw.frames.text('{"id":7,"ping":{}}');
  assert.ok(!(await raw.frames.next('few bytes')).compressed);
  raw.frames.text('{"id":8,"subscribe":{"channel":"kept:a","recover":true,"offset":0,"epoch":""}}');
  const got = await raw.frames.next('the subscription');
  assert.ok(got.compressed);
  const { publications } = JSON.parse(got.payload).subscribe;
  assert.deepEqual(publications.map((one) => one.data.i), Array.from({ length: 50 }, (_, i) => i));
  writer.close();
  await raw.close();
}

const bomb = (size) => deflated(Buffer.alloc(size, 'a'), { level: 9 });

/* Each costs its own connection; somebody else is served all the while. */
async function attacks(server) {
  const honest = await Sdk.connect(server);
  const room = await honest.subscribe('honest');
  const before = await server.metrics();
  const rsv1 = { rsv: 4 };
  const cases = [
    ['one byte too many', 1009, [frame(TEXT, bomb(LIMIT + 1), rsv1)]],
    ['16 MiB in 16 KiB', 1009, [frame(TEXT, bomb(16 << 20), rsv1)]],
    ['a bomb in fragments', 1009, [frame(TEXT, bomb(16 << 20).subarray(0, 9000), { ...rsv1, fin: false }),
      frame(CONTINUATION, bomb(16 << 20).subarray(9000))]],
    ['noise above the limit', 1009, [frame(TEXT, crypto.randomBytes(LIMIT + 1), rsv1)]],
    ['no deflate', 1007, [frame(TEXT, 'hello, world', rsv1)]],
    ['nothing', 1007, [frame(TEXT, '', rsv1)]],
    ['a last block and nothing behind it', 1007, [frame(TEXT, zlib.deflateRawSync('{}'), rsv1)]],
    ['cut off', 1007, [frame(TEXT, bomb(3000).subarray(0, 5), rsv1)]],
    ['no UTF-8', 1007, [frame(TEXT, deflated(Buffer.from([0xc3, 0x28])), rsv1)]],
    ['half a character', 1007, [frame(TEXT, deflated(Buffer.from([0xe2, 0x82])), rsv1)]],
    ['a compressed ping', 1002, [frame(PING, '', rsv1)]],
    ['a compressed continuation', 1002,
      [frame(TEXT, deflated('{}'), { ...rsv1, fin: false }), frame(CONTINUATION, '', rsv1)]],
    ['the second bit', 1002, [frame(TEXT, deflated('{}'), { rsv: 2 })]],
    ['binary', 3506, [frame(BINARY, deflated('{}'), rsv1)]],
  ];
  for (const [i, [why, code, frames]] of cases.entries()) {
    const client = await FrameClient.connect(server.port, CHAT, DEFLATE);
    client.write(Buffer.concat(frames));
    await client.expectClose(code, why);
    await honest.publish('honest', i);
    assert.equal((await room.publication.take(`an answer after ${why}`)).data, i);
  }
  /* Who did not negotiate it may not. */
  const plain = await FrameClient.connect(server.port, CHAT);
  plain.write(frame(TEXT, deflated('{}'), rsv1));
  await plain.expectClose(1002, 'not negotiated');
  const metrics = await server.metrics();
  const more = (reason) => metrics.rejected(reason) - before.rejected(reason);
  assert.equal(more('message_too_big'), 4);
  assert.equal(more('invalid_deflate'), 4);
  assert.equal(more('invalid_utf8'), 2);
  assert.equal(more('protocol_error'), 4);
  honest.close();
}

/*
 * Many who send little that becomes much, all at once: they take turns, nothing is lost, and nobody
 * is closed for it.
 */
async function turns(server) {
  const CLIENTS = 40;
  const EACH = 20;
  const before = await server.metrics();
  const chats = [];
  for (let i = 0; i < CLIENTS; i += 1) {
    const chat = RawChat.over(await FrameClient.connect(server.port, CHAT, DEFLATE));
    await chat.ask({ connect: {} });
    chats.push(chat);
  }
  const messages = Array.from({ length: EACH }, (_, i) => frame(TEXT,
    deflated(`{"id":${i + 10},"publish":{"channel":"turns","data":"${'a'.repeat(60000)}"}}`), { rsv: 4 }));
  chats.forEach((chat) => chat.frames.write(Buffer.concat(messages)));
  for (const chat of chats) {
    for (let i = 0; i < EACH; i += 1) {
      assert.deepEqual(await chat.next('an answer'), { id: i + 10, publish: {} });
    }
    await chat.close();
  }
  const metrics = await server.metrics();
  const more = (name) => metrics.value(name) - before.value(name);
  assert.ok(more('parley_inflate_waits_total') > 0, 'they took turns');
  assert.ok(more('parley_inflate_bytes_total{of="plain"}') > CLIENTS * EACH * 60000);
}

/* The streams of RFC 7692 section 7.2.3, and commands that come one byte at a time. */
async function streams(server) {
  const echo = await FrameClient.connect(server.port, '/echo', DEFLATE);
  for (const [hex, text] of [
    ['f248cdc9c90700', 'Hello'], ['000500faff48656c6c6f00', 'Hello'], ['f348cdc9c9070000', 'Hello'],
    ['f248050000 00ffffcac9c90700'.replace(' ', ''), 'Hello'], ['00', ''],
  ]) {
    const payload = Buffer.from(hex, 'hex');
    echo.send(TEXT, payload, { rsv: 4 });
    await echo.expect(TEXT, text, hex);
    echo.send(TEXT, payload.subarray(0, 1), { rsv: 4, fin: false });
    echo.send(PING, 'between');
    echo.send(CONTINUATION, payload.subarray(1));
    await echo.expect(10, 'between');
    await echo.expect(TEXT, text, `${hex} in two`);
  }
  await echo.close();
  const raw = RawChat.over(await FrameClient.connect(server.port, CHAT, DEFLATE));
  const commands = '{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"bytes"}}';
  await raw.frames.wire.writeChopped(frame(TEXT, deflated(commands), { rsv: 4 }).toString('latin1'));
  assert.ok((await raw.next()).connect.client);
  assert.ok((await raw.next()).subscribe);
  await raw.close();
}

/*
 * Who does not read, with policy resync: what waits of the channel is dropped, compressed as it is, and
 * recovered over the same connection.
 */
async function resync(server) {
  const BURST = 20;
  let socket = null;
  class Pausable extends Eager {
    constructor(...args) {
      super(...args);
      assert.equal(socket, null, 'one connection for all of it');
      socket = this;
    }
  }
  const noise = crypto.randomBytes(3000).toString('base64');
  const writer = await Sdk.connect(server, { websocket: Plain });
  const slow = await Sdk.connect(server, { websocket: Pausable });
  const reader = await Sdk.connect(server, { websocket: Eager });
  const rooms = [await reader.subscribe('kept:slow'), await slow.subscribe('kept:slow')];
  const key = 'parley_lags_total{policy="resync"}';
  const before = (await server.metrics()).value(key);
  socket.pause();
  let published = 0;
  while ((await server.metrics()).value(key) === before || published % 200 !== 0) {
    await Promise.all(Array.from({ length: BURST }, (_, k) => (
      writer.publish('kept:slow', { i: published + k, noise }))));
    published += BURST;
    assert.ok(published < 5000, 'it is found to be slow');
  }
  const expected = Array.from({ length: published }, (_, k) => k);
  const hear = async (room) => (await room.publication.takeMany(published, 'everything')).map((one) => one.data.i);
  assert.deepEqual(await hear(rooms[0]), expected);
  socket.resume();
  assert.deepEqual(await hear(rooms[1]), expected, 'every message once, in order');
  assert.ok(rooms.every((room) => room.publication.size === 0), 'and nothing else');
  assert.equal((await server.metrics()).rejected('slow_consumer'), 0);
  [writer, slow, reader].forEach((one) => one.close());
}

/* parley-bench verifies every byte; a server that does not compress is no server for --compress. */
async function bench(server) {
  const before = await server.metrics();
  /* What is under way after it: a full machine is long behind. */
  const load = ['--warmup', '0', '-d', '0.5', '--drain', String(PATIENCE_MS / 1000), '--compress'];
  const run = await runBench(['chat', server.url, ...load, '-c', '40', '--rooms', '2', '-r', '500', '-s', '20-900']);
  assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
  const echo = await runBench(['echo', server.echoUrl, ...load, '-c', '5', '-w', '4', '-s', '3000']);
  assert.equal(echo.status, 0, `${echo.stdout}\n${echo.stderr}`);
  const metrics = await server.metrics();
  const more = (name) => metrics.value(name) - before.value(name);
  assert.ok(more('parley_deflate_bytes_total{of="plain"}') > 50000); /* 20 echoes are under way at once */
  const other = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: false });
  await within(new Promise((resolve) => { other.once('listening', resolve); }), 'the other server');
  try {
    const refused = await runBench(['echo', `ws://127.0.0.1:${other.address().port}/`, ...load, '-c', '2']);
    assert.notEqual(refused.status, 0, refused.stdout);
  } finally {
    other.close();
  }
}

group({
  name: 'compression',
  on: 'backends',
  remains: ['parley_channels'],
  server: {
    config: {
      websocket: { compression: true },
      client: {
        insecure: true, command_rate: 100000, command_burst: 100000, recovery_max_publication_limit: 10000,
        ...UNHURRIED,
      },
      echo: { enabled: true },
      channel: {
        namespaces: [{
          name: 'kept', slow_consumer: 'resync', history_size: 5000, history_ttl: '1h', force_recovery: true,
          allow_subscribe_for_client: true, allow_publish_for_client: true,
        }],
      },
    },
  },
  cases: [
    ['offers', offers], ['ws', echoes], ['python3-websockets', python('compressed')],
    ['compressed once for all', sharedOnce], ['short ones go together', joined], ['history', history],
    ['attacks', attacks], ['turns', turns], ['streams', streams], ['who does not read', resync], ['parley-bench', bench],
  ],
});

/* The smallest window and another threshold: python3-websockets offers windows of its own. */
group({
  name: 'compression with a small window',
  server: {
    config: {
      websocket: { compression: true, compression_window_bits: 9, compression_min_size: 1 },
      client: { insecure: true },
      echo: { enabled: true },
    },
  },
  cases: [['python3-websockets', python('windows')]],
});
