// SPDX-License-Identifier: Apache-2.0
/*
 * Text is UTF-8, and wrong text is found at its first impossible byte: before its frame is whole.
 */
import { CONTINUATION, FrameClient, TEXT, frame } from '../lib/frames.mjs';
import { group } from '../lib/runner.mjs';

const hex = (text) => Buffer.from(text.replace(/ /g, ''), 'hex');

const GOOD = ['', '00', '7f', 'c2 80', 'df bf', 'e0 a0 80', 'e0 bf bf', 'e1 80 80', 'ec bf bf',
  'ed 80 80', 'ed 9f bf', 'ee 80 80', 'ef bf bd', 'ef bf be', 'ef bf bf', 'ef b7 90',
  'f0 90 80 80', 'f0 9f bf bf', 'f0 af bf bf', 'f1 80 80 80', 'f3 bf bf bf', 'f4 80 80 80',
  'f4 8f bf bf', 'ce ba e1 bd b9 cf 83 ce bc ce b5', 'f0 9d 84 9e 61', 'ef bb bf'];

/* [what is still possible, the first byte that is not] */
const BAD = [
  ['', '80'], ['', 'bf'], ['', 'c0'], ['', 'c1'], ['', 'f5'], ['', 'f8'], ['', 'fc'], ['', 'fe'],
  ['', 'ff'], ['61', '80'], ['c2 80', '80'],
  ['c2', '7f'], ['c2', 'c0'], ['df', '20'], ['e0', '80'], ['e0', '9f'], ['e0', 'c0'], ['e0 a0', '7f'],
  ['e1', '7f'], ['e1 80', 'c0'], ['ed', 'a0'], ['ed', 'bf'], ['ef bf', '41'],
  ['f0', '80'], ['f0', '8f'], ['f0 90', '7f'], ['f0 90 80', 'c0'], ['f1 80 80', '00'],
  ['f4', '90'], ['f4', 'bf'], ['f4 8f bf', '2f'],
  ['ce ba e1 bd b9 cf 83 ce bc ce b5', 'ff'],
  ['ce ba e1 bd b9 cf 83 ce bc ce b5 ed', 'a0'],
];

const CUT = ['c2', 'df', 'e0', 'e0 a0', 'e1 80', 'ed 9f', 'ef bf', 'f0', 'f0 90', 'f0 90 80', 'f4 8f bf'];

const open = (server) => FrameClient.connect(server.port, '/echo');

async function good(server) {
  const client = await open(server);
  for (const text of GOOD) {
    for (const before of [0, 1, 13, 31, 62, 63, 64, 127]) {
      const message = Buffer.concat([Buffer.alloc(before, 'x'), hex(text)]);
      client.send(TEXT, message);
      await client.expect(TEXT, message, `${text} behind ${before}`);
    }
  }
  await client.close();
}

/* Every way to cut a character: into fragments, and into segments of one frame. */
async function split(server) {
  const message = hex('61 c2 80 e0 a0 80 ef bf bf f0 90 80 80 f4 8f bf bf 7a');
  const client = await open(server);
  for (let at = 0; at <= message.length; at += 1) {
    client.send(TEXT, message.subarray(0, at), { fin: false });
    client.send(CONTINUATION, message.subarray(at));
    await client.expect(TEXT, message, `two fragments at ${at}`);
    for (let second = at; second <= message.length; second += 3) {
      client.send(TEXT, message.subarray(0, at), { fin: false });
      client.send(CONTINUATION, message.subarray(at, second), { fin: false });
      client.send(CONTINUATION, message.subarray(second));
      await client.expect(TEXT, message, `three fragments at ${at} and ${second}`);
    }
  }
  for (let i = 0; i < message.length; i += 1) {
    client.send(i === 0 ? TEXT : CONTINUATION, message.subarray(i, i + 1),
      { fin: i === message.length - 1 });
  }
  await client.expect(TEXT, message, 'a fragment for each byte');
  const long = Buffer.concat(Array.from({ length: 40 }, () => message));
  await client.wire.writeChopped(frame(TEXT, long), 1);
  await client.expect(TEXT, long, 'a segment for each byte');
  await client.close();
}

async function bad(server) {
  for (const [possible, impossible] of BAD) {
    const message = Buffer.concat([hex(possible), hex(impossible), Buffer.from('rest')]);
    const client = await open(server);
    client.send(TEXT, message);
    await client.expectClose(1007, `${possible} | ${impossible}`);
  }
  for (const text of CUT) {
    const client = await open(server);
    client.send(TEXT, hex(text));
    await client.expectClose(1007, `a message that ends with ${text}`);
    const inFragments = await open(server);
    inFragments.send(TEXT, hex(text), { fin: false });
    inFragments.send(CONTINUATION, '');
    await inFragments.expectClose(1007, `fragments that end with ${text}`);
  }
}

/* The frame declares more than is ever sent: only who looks at once can answer. */
async function atOnce(server) {
  for (const [possible, impossible] of BAD) {
    for (const before of [0, 70]) {
      const said = Buffer.concat([Buffer.alloc(before, 'x'), hex(possible), hex(impossible)]);
      const client = await open(server);
      client.send(TEXT, said, { length: said.length + 100 });
      await client.expectClose(1007, `unfinished frame, ${before} + ${possible} | ${impossible}`);
    }
  }
  const [possible, impossible] = BAD.at(-1);
  const inFragments = await open(server);
  inFragments.send(TEXT, hex(possible), { fin: false });
  inFragments.send(CONTINUATION, hex(impossible), { fin: false, length: 1000 });
  await inFragments.expectClose(1007, 'unfinished fragment');
  const inSegments = await open(server);
  await inSegments.wire.writeChopped(
    frame(TEXT, Buffer.concat([hex(possible), hex(impossible)]), { length: 1000 }), 1);
  await inSegments.expectClose(1007, 'unfinished frame, chopped');
}

/* Binary may be anything. */
async function binary(server) {
  const client = await open(server);
  for (const [possible, impossible] of BAD) {
    const message = Buffer.concat([hex(possible), hex(impossible)]);
    client.send(2, message);
    await client.expect(2, message, 'binary that is not text');
  }
  await client.close();
}

group({
  name: 'utf8',
  on: 'backends',
  server: { echo: true },
  cases: [
    ['good text', good],
    ['characters cut by fragments and segments', split],
    ['bad text', bad],
    ['bad text in an unfinished frame', atOnce],
    ['binary', binary],
  ],
});

/* Each way to compute it, on the command line of the server. */
for (const simd of ['scalar', 'sse4', 'avx2', 'avx512']) {
  group({
    name: `utf8 with ${simd}`,
    on: 'once',
    server: { echo: true, args: ['--simd', simd] },
    cases: [['good text', good], ['cut characters', split], ['bad text', bad], ['at once', atOnce]],
  });
}
