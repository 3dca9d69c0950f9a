// SPDX-License-Identifier: Apache-2.0
/*
 * Pings of the chat protocol, and what becomes of those who do not answer, or never say who they are.
 */
import assert from 'node:assert/strict';

import { RawChat, Sdk } from '../lib/chat.mjs';
import { PING, PONG } from '../lib/frames.mjs';
import { group } from '../lib/runner.mjs';
import { IS_SANITIZED } from '../lib/wait.mjs';

/* Between pings, nearly all of them to answer one, and to say `connect`: enough on a full machine. */
const SECONDS = IS_SANITIZED ? 4 : 2;

/* A client that does not answer by itself. */
async function connect(server) {
  const raw = await RawChat.connect(server);
  raw.frames.answersPings = false;
  return raw;
}

async function kept(server) {
  const sdk = await Sdk.connect(server);
  const room = await sdk.subscribe('pings');
  const raw = await connect(server);
  assert.equal(raw.connected.ping, SECONDS);
  for (let i = 0; i < 2; i += 1) {
    assert.deepEqual(await raw.next('a ping'), {});
    raw.say({});
  }
  await sdk.publish('pings', 'alive');
  assert.equal((await room.publication.take('a publication')).data, 'alive');
  assert.equal(sdk.connecting.size, 1, 'it never had to reconnect');
  assert.equal(sdk.disconnected.size, 0);
  /* One pong for one ping: a second is nobody's. */
  assert.deepEqual(await raw.next('a ping'), {});
  raw.say({}, {});
  await raw.expectClose(3501, 'two pongs');
  sdk.close();
}

async function saysNothing(server) {
  const raw = await connect(server);
  assert.deepEqual(await raw.next('a ping'), {});
  await raw.expectClose(3012, 'no pong');
}

/* Commands are no pongs. */
async function saysOtherThings(server) {
  const busy = await connect(server);
  assert.deepEqual(await busy.next('a ping'), {});
  await busy.ask({ ping: {} });
  await busy.expectClose(3012, 'commands, but no pong');
}

async function noPong(server) {
  await Promise.all([saysNothing(server), saysOtherThings(server)]);
  assert.ok((await server.metrics()).rejected('no_pong') >= 2);
}

async function isSilent(server) {
  const silent = await RawChat.open(server);
  await silent.expectClose(3502, 'never said a word');
}

/* WebSocket pings do not extend it. */
async function onlyPings(server) {
  const pinging = await RawChat.open(server);
  const before = [];
  pinging.frames.send(PING, 'still here');
  await pinging.frames.expectClose(3502, 'only pings', { before });
  assert.deepEqual(before.map((one) => one.opcode), [PONG]);
}

async function stale(server) {
  await Promise.all([isSilent(server), onlyPings(server)]);
  assert.ok((await server.metrics()).rejected('auth_timeout') >= 2);
}

group({
  name: 'pings',
  on: 'backends',
  server: {
    config: {
      client: {
        insecure: true, ping_interval: `${SECONDS}s`, pong_timeout: `${SECONDS * 1000 - 200}ms`,
        stale_close_delay: `${SECONDS}s`,
      },
    },
  },
  cases: [
    ['who answers is kept', kept],
    ['no pong', noPong],
    ['never connects', stale],
  ],
});
