// SPDX-License-Identifier: Apache-2.0
/*
 * Whoever says that he is a proxy, or that he comes from elsewhere.
 */
import assert from 'node:assert/strict';
import net from 'node:net';

import { CHAT } from '../../e2e/lib/chat.mjs';
import { UPGRADE, head } from '../../e2e/lib/http.mjs';
import { PROXY_SIGNATURE, proxyHeader as v2, talk } from '../../e2e/lib/talk.mjs';
import { until } from '../../e2e/lib/wait.mjs';
import { inParallel } from '../parallel.mjs';

const TRUSTED = '127.0.0.1';
const STRANGER = '127.0.0.9';
const FORGED = '203.0.113';
const GET = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n';

/* All that is said to these bytes, which come at once, until the server hangs up. */
function heard(port, bytes, localAddress = TRUSTED) {
  return talk(net.connect({ port, host: TRUSTED, localAddress }),
    Buffer.concat([bytes].flat().map((one) => Buffer.from(one, 'latin1'))));
}

const INET = Buffer.from([203, 0, 113, 1, 127, 0, 0, 1, 1, 1, 0, 80]);

async function badHeaders(server) {
  const { proxy } = server.options;
  const table = ['', 'PROXY', 'PROXY ', 'proxy TCP4 203.0.113.1 1.1.1.1 1 2\r\n',
    'PROXY TCP4 203.0.113.1 1.1.1.1 1\r\n', 'PROXY TCP4 203.0.113.1 1.1.1.1 1 2 3\r\n',
    'PROXY TCP4 203.0.113.1  1.1.1.1 1 2\r\n', 'PROXY TCP4 203.0.113.256 1.1.1.1 1 2\r\n',
    'PROXY TCP4 203.0.113.01 1.1.1.1 1 2\r\n', 'PROXY TCP4 203.0.113.1 1.1.1.1 1 65536\r\n',
    'PROXY TCP4 203.0.113.1 1.1.1.1 -1 2\r\n', 'PROXY TCP4 203.0.113.1 1.1.1.1 +1 2\r\n',
    'PROXY TCP4 2001:db8::1 ::1 1 2\r\n', 'PROXY TCP6 203.0.113.1 1.1.1.1 1 2\r\n',
    'PROXY UDP4 203.0.113.1 1.1.1.1 1 2\r\n', 'PROXY TCP4 203.0.113.1 1.1.1.1 1 2\n',
    'PROXY TCP4 203.0.113.1\0 1.1.1.1 1 2\r\n', `PROXY TCP4 ${'2'.repeat(100)} 1.1.1.1 1 2\r\n`,
    `PROXY UNKNOWN ${'x'.repeat(100)}\r\n`,
    v2(0x31, 0x11, INET), v2(0x22, 0x11, INET), v2(0x21, 0x11, INET.subarray(0, 11)),
    v2(0x21, 0x21, INET), v2(0x21, 0x11, Buffer.alloc(0), 65535), v2(0x21, 0x11, Buffer.alloc(537)),
    v2(0x21, 0xf1, INET), v2(0x21, 0x1f, INET)];
  await inParallel(table.length, async (number) => {
    assert.equal(await heard(proxy, [table[number], GET]), '', `header ${number}`);
  });
  for (const good of ['PROXY TCP4 203.0.113.1 1.1.1.1 1 2\r\n', v2(0x21, 0x11, INET)]) {
    assert.match(await heard(proxy, [good, GET]), /^HTTP\/1\.1 200/);
  }
}

/* A good header of somebody who is no proxy, and one where none is due. */
async function notAProxy(server) {
  const upgrade = head('GET', CHAT, { ...UPGRADE, Origin: 'http://elsewhere.example' });
  for (const header of [`PROXY TCP4 ${FORGED}.66 1.1.1.1 1 2\r\n`, v2(0x21, 0x11, INET)]) {
    await inParallel(100, async () => {
      assert.equal(await heard(server.options.proxy, [header, upgrade], STRANGER), '');
    });
    assert.match(await heard(server.port, [header, upgrade]), /^HTTP\/1\.1 400/);
  }
  assert.ok(!server.log().includes(`client=${FORGED}.66`));
}

async function nothingSaid(server) {
  await inParallel(100, async (number) => {
    const bytes = ['', 'P', 'PROXY TCP4 1', PROXY_SIGNATURE.subarray(0, 7)][number % 4];
    assert.equal(await heard(server.options.proxy, bytes), '');
  }, 100);
}

/* Whoever is no proxy has his own address, whatever he says. */
async function forwarded(server) {
  await inParallel(300, async (number) => {
    const address = `${FORGED}.${number % 250}`;
    const said = await heard(server.port, head('GET', CHAT, {
      ...UPGRADE, Origin: 'http://elsewhere.example', 'X-Forwarded-For': `${address}, ${address}`,
      'X-Real-IP': address, Forwarded: `for=${address}`,
    }), STRANGER);
    assert.match(said, /^HTTP\/1\.1 403/);
  });
  const line = new RegExp(`client=${STRANGER}:`);
  await until(() => line.test(server.log()), 'a line with his address');
  assert.ok(!server.log().includes(`client=${FORGED}.`));
}

const entry = (row, name, attack, rejected = {}) => (
  { row, name, attack, options: { server: 'behind', rejected } });

export const ROWS = [
  entry(20, 'X-Forwarded-For of others', forwarded, { bad_origin: 300 }),
  entry(19, 'PROXY headers of others', notAProxy, { proxy_untrusted: 200 }),
  entry(19, 'PROXY headers that never end', nothingSaid, { proxy_timeout: 100 }),
  entry(19, 'PROXY headers that are none', badHeaders, { proxy_bad: 25 }),
];
