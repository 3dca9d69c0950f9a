// SPDX-License-Identifier: Apache-2.0
/*
 * RFC 6455 on /echo, with frames made by hand: what the public conformance suites check, strictly.
 * Every case is a connection of its own, or a series of messages on one.
 */
import assert from 'node:assert/strict';

import { BINARY, CLOSE, CONTINUATION, FrameClient, PING, PONG, TEXT, closeFrame, frame }
  from '../lib/frames.mjs';
import { group } from '../lib/runner.mjs';

const open = (server) => FrameClient.connect(server.port, '/echo');

/* Says each list of frames on a connection of its own; each has to end it with this code. */
async function refuses(server, code, table) {
  for (const [why, ...frames] of table) {
    const client = await open(server);
    client.write(Buffer.concat(frames));
    await client.expectClose(code, why);
  }
}

async function echoes(client, opcode, payload, options) {
  client.send(opcode, payload, options);
  await client.expect(opcode, payload, `an echo of ${payload.length} bytes`);
}

function pattern(size) {
  const bytes = Buffer.alloc(size);
  for (let i = 0; i < size; i += 1) {
    bytes[i] = 32 + ((i * 7 + (i >> 8)) % 95);
  }
  return bytes;
}

async function sizes(server) {
  const client = await open(server);
  for (const opcode of [TEXT, BINARY]) {
    for (const size of [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 63, 64, 65, 124, 125, 126, 127, 128, 255,
      256, 1000, 2034, 2040, 2048, 4096, 16384, 65534, 65535, 65536, 65537, 131072]) {
      await echoes(client, opcode, pattern(size));
    }
  }
  for (const key of [[0, 0, 0, 0], [255, 255, 255, 255], [1, 0, 0, 0], [0, 0, 0, 1]]) {
    await echoes(client, BINARY, pattern(300), { key: Buffer.from(key) });
  }
  await client.close();
}

async function allBytes(server) {
  const client = await open(server);
  const bytes = Buffer.from(Array.from({ length: 1024 }, (_, i) => (i * 31) & 255));
  for (let from = 0; from < 33; from += 1) {
    await echoes(client, BINARY, bytes.subarray(from));
  }
  await client.close();
}

async function chopped(server) {
  for (const [opcode, payload] of [[TEXT, Buffer.from('Hello-µ@ßöäüàá-UTF-8!! 水𝄞'.repeat(6))],
    [BINARY, pattern(300)], [TEXT, Buffer.alloc(0)]]) {
    for (const size of [1, 2, 3, 5, 64]) {
      const client = await open(server);
      await client.wire.writeChopped(frame(opcode, payload), size);
      await client.expect(opcode, payload, `chopped in ${size}`);
      await client.close();
    }
  }
}

async function manyAtOnce(server) {
  const client = await open(server);
  const messages = Array.from({ length: 500 }, (_, i) => pattern(i % 140));
  client.write(Buffer.concat(messages.map((message) => frame(TEXT, message))));
  for (const message of messages) {
    await client.expect(TEXT, message, 'an echo in order');
  }
  await client.close();
}

async function big(server) {
  for (const opcode of [TEXT, BINARY]) {
    const client = await open(server);
    for (const size of [1 << 20, 16 << 20]) {
      const message = Buffer.alloc(size, opcode === TEXT ? 'abcdefgé' : 'abcdefgh', 'utf8');
      if (opcode === TEXT) {
        /* 'é' is two bytes: a whole number of them. */
        message.fill('x', size - (size % 9));
      }
      await echoes(client, opcode, message);
    }
    await client.close();
  }
}

async function tooBig(server) {
  const limit = 16 << 20;
  /* Only the header is said: nothing waits for what was declared. */
  for (const length of [BigInt(limit) + 1n, 1n << 31n, (1n << 32n) - 1n, 1n << 32n,
    (1n << 63n) - 1n]) {
    const client = await open(server);
    client.send(BINARY, '', { length, lengthBytes: 8 });
    await client.expectClose(1009, `${length} bytes declared`);
  }
  const client = await open(server);
  client.send(BINARY, Buffer.alloc(1000), { fin: false });
  client.send(CONTINUATION, '', { length: BigInt(limit) - 999n, lengthBytes: 8 });
  await client.expectClose(1009, 'the sum of fragments');
}

async function badLengths(server) {
  await refuses(server, 1002, [
    ['a length with its top bit set', frame(BINARY, '', { length: 1n << 63n, lengthBytes: 8 })],
    ['all bits of a length set', frame(BINARY, '', { length: (1n << 64n) - 1n, lengthBytes: 8 })],
    ['125 bytes as 16 bits', frame(BINARY, pattern(125), { lengthBytes: 2 })],
    ['0 bytes as 16 bits', frame(BINARY, '', { lengthBytes: 2 })],
    ['65535 bytes as 64 bits', frame(BINARY, '', { length: 65535, lengthBytes: 8 })],
    ['0 bytes as 64 bits', frame(BINARY, '', { lengthBytes: 8 })],
  ]);
}

async function fragments(server) {
  const client = await open(server);
  for (const opcode of [TEXT, BINARY]) {
    for (const sizes_ of [[0, 0], [0, 5, 0], [1, 1, 1], [125, 126, 127], [0, 0, 0, 7], [70000, 3],
      [1, 65536, 1]]) {
      const whole = pattern(sizes_.reduce((a, b) => a + b, 0));
      let at = 0;
      sizes_.forEach((size, index) => {
        client.send(index === 0 ? opcode : CONTINUATION, whole.subarray(at, at + size),
          { fin: index === sizes_.length - 1 });
        at += size;
      });
      await client.expect(opcode, whole, `fragments of ${sizes_}`);
    }
  }
  await client.close();
}

async function fragmentsAndPings(server) {
  const client = await open(server);
  for (let round = 0; round < 20; round += 1) {
    client.send(TEXT, 'frag', { fin: false });
    client.send(PING, `one ${round}`);
    await client.expect(PONG, `one ${round}`, 'a pong inside a message');
    client.send(CONTINUATION, 'ment', { fin: false });
    client.send(PONG, 'nobody asked');
    client.send(PING, '');
    await client.expect(PONG, '', 'an empty pong inside a message');
    client.send(CONTINUATION, 'ed');
    await client.expect(TEXT, 'fragmented', 'the message around pings');
  }
  await client.close();
}

async function manyFragments(server) {
  const client = await open(server);
  const whole = Buffer.alloc(65536 * 64, 'fragment');
  const frames = [];
  for (let i = 0; i < 65536; i += 1) {
    frames.push(frame(i === 0 ? TEXT : CONTINUATION, whole.subarray(i * 64, i * 64 + 64),
      { fin: i === 65535, key: Buffer.from([1, 2, 3, i & 255]) }));
  }
  client.write(Buffer.concat(frames));
  await client.expect(TEXT, whole, '65,536 fragments');
  const empty = [frame(BINARY, '', { fin: false })];
  for (let i = 0; i < 10000; i += 1) {
    empty.push(frame(CONTINUATION, '', { fin: i === 9999 }));
  }
  client.write(Buffer.concat(empty));
  await client.expect(BINARY, '', '10,001 empty fragments');
  await client.close();
}

async function badFragments(server) {
  const first = frame(TEXT, 'first', { fin: false });
  await refuses(server, 1002, [
    ['a continuation of nothing, final', frame(CONTINUATION, 'x')],
    ['a continuation of nothing', frame(CONTINUATION, 'x', { fin: false })],
    ['a text inside a message', first, frame(TEXT, 'second')],
    ['a binary inside a message', first, frame(BINARY, 'second')],
    ['an unfinished text inside a message', first, frame(TEXT, 'second', { fin: false })],
    ['a fragmented ping', frame(PING, 'x', { fin: false })],
    ['a fragmented pong', frame(PONG, 'x', { fin: false })],
    ['a fragmented close', frame(CLOSE, '', { fin: false })],
  ]);
  const client = await open(server);
  client.write(Buffer.concat([frame(TEXT, 'whole'), frame(CONTINUATION, 'late')]));
  await client.expect(TEXT, 'whole', 'the message before');
  await client.expectClose(1002, 'a continuation after the end');
}

async function badHeaders(server) {
  const table = [];
  for (let rsv = 1; rsv < 8; rsv += 1) {
    table.push([`reserved bits ${rsv} of a text`, frame(TEXT, 'x', { rsv })]);
    table.push([`reserved bits ${rsv} of a ping`, frame(PING, 'x', { rsv })]);
    table.push([`reserved bits ${rsv} of a continuation`, frame(TEXT, 'x', { fin: false }),
      frame(CONTINUATION, 'x', { rsv })]);
  }
  for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
    table.push([`opcode ${opcode}`, frame(opcode, '')]);
    table.push([`opcode ${opcode} with a payload`, frame(opcode, 'payload')]);
    table.push([`opcode ${opcode} inside a message`, frame(TEXT, 'x', { fin: false }),
      frame(opcode, 'x')]);
  }
  for (const opcode of [TEXT, BINARY, PING, PONG, CLOSE]) {
    table.push([`opcode ${opcode} not masked`, frame(opcode, '', { masked: false })]);
  }
  table.push(['a ping of 126 bytes', frame(PING, pattern(126))]);
  table.push(['a pong of 126 bytes', frame(PONG, pattern(126))]);
  table.push(['a close of 126 bytes', closeFrame(1000, pattern(124))]);
  await refuses(server, 1002, table);
}

/* What was good before the fault is answered; what follows it never is. */
async function faultInTheMiddle(server) {
  const client = await open(server);
  client.write(Buffer.concat([frame(TEXT, 'good'), frame(PING, 'also good'), frame(3, 'bad'),
    frame(TEXT, 'never'), frame(PING, 'never')]));
  const before = [];
  await client.expectClose(1002, 'a fault between messages', { before });
  const said = before.map((one) => [one.opcode, one.payload.toString()]);
  assert.deepEqual(said.sort(), [[PONG, 'also good'], [TEXT, 'good']].sort());
}

async function pings(server) {
  const client = await open(server);
  for (let size = 0; size <= 125; size += 1) {
    client.send(PING, pattern(size));
    await client.expect(PONG, pattern(size), `a pong of ${size} bytes`);
  }
  const odd = Buffer.from([0, 255, 254, 253, 252, 251, 0, 255]);
  client.send(PING, odd);
  await client.expect(PONG, odd, 'a pong that is not text');
  client.write(Buffer.concat(Array.from({ length: 10 }, (_, i) => frame(PING, `payload ${i}`))));
  for (let i = 0; i < 10; i += 1) {
    await client.expect(PONG, `payload ${i}`, `pong ${i} of 10`);
  }
  await client.wire.writeChopped(Buffer.concat(
    Array.from({ length: 10 }, (_, i) => frame(PING, `chopped ${i}`))));
  for (let i = 0; i < 10; i += 1) {
    await client.expect(PONG, `chopped ${i}`, `chopped pong ${i} of 10`);
  }
  client.write(Buffer.concat([frame(PONG, ''), frame(PONG, 'unsolicited'), frame(TEXT, 'after')]));
  await client.expect(TEXT, 'after', 'what follows unsolicited pongs');
  await client.close();
}

async function closes(server) {
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]) {
    const client = await open(server);
    client.write(closeFrame(code, 'Goodbye, µ'));
    await client.expectClose(code, `an answer to close ${code}`, { reply: false });
  }
  const empty = await open(server);
  empty.send(CLOSE, '');
  await empty.expectClose(null, 'an answer to an empty close', { reply: false });
  const longest = await open(server);
  longest.write(closeFrame(1000, pattern(123)));
  await longest.expectClose(1000, 'an answer to a close of 125 bytes', { reply: false });
}

async function badCloses(server) {
  const codes = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 5001, 65535];
  await refuses(server, 1002, [
    ...codes.map((code) => [`close code ${code}`, closeFrame(code)]),
    ...codes.slice(3, 7).map((code) => [`close code ${code} with a reason`, closeFrame(code, 'why')]),
    ['a close of one byte', frame(CLOSE, Buffer.from([3]))],
  ]);
  await refuses(server, 1007, [
    ['a reason that is not UTF-8', closeFrame(1000, Buffer.from([0xce, 0xba, 0xed, 0xa0, 0x80]))],
    ['a reason cut inside a character', closeFrame(1000, Buffer.from([0x61, 0xe2, 0x82]))],
  ]);
}

/* After a close frame nothing counts any more. */
async function closeRaces(server) {
  for (const [why, ...after] of [
    ['text after it', frame(TEXT, 'late')],
    ['a ping after it', frame(PING, 'late')],
    ['another close after it', closeFrame(1001)],
    ['rubbish after it', Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])],
    ['a bad close after it', closeFrame(1005)],
  ]) {
    const client = await open(server);
    client.write(Buffer.concat([closeFrame(1000), ...after]));
    await client.expectClose(1000, `close with ${why}`, { reply: false });
  }
  const inside = await open(server);
  inside.write(Buffer.concat([frame(TEXT, 'unfinished', { fin: false }), closeFrame(1000)]));
  await inside.expectClose(1000, 'a close inside a message', { reply: false });
  const large = await open(server);
  large.write(Buffer.concat([frame(BINARY, pattern(262144)), closeFrame(1000)]));
  await large.expect(BINARY, pattern(262144), 'the echo before the close');
  await large.expectClose(1000, 'the close after an echo', { reply: false });
}

group({
  name: 'conformance', /* of one connection, whose reactor knows nothing of others */
  on: 'backends',
  server: {
    config: {
      client: { insecure: true, control_rate: 1000000, control_burst: 1000000 },
      echo: { enabled: true },
      websocket: { close_timeout: '1m' }, /* what is said before a close frame is long, or read late */
    },
  },
  cases: [
    ['messages of many sizes', sizes],
    ['all bytes, all alignments', allBytes],
    ['chopped', chopped],
    ['many messages in one write', manyAtOnce],
    ['1 MiB and 16 MiB', big],
    ['above 16 MiB', tooBig],
    ['lengths not written shortest', badLengths],
    ['fragments', fragments],
    ['fragments with pings between', fragmentsAndPings],
    ['65,536 fragments', manyFragments],
    ['fragments out of order', badFragments],
    ['reserved bits, reserved opcodes, no mask', badHeaders],
    ['a fault between good messages', faultInTheMiddle],
    ['pings', pings],
    ['close codes', closes],
    ['bad close codes', badCloses],
    ['after a close frame', closeRaces],
  ],
});
