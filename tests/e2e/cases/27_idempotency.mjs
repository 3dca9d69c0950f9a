// SPDX-License-Identifier: Apache-2.0
/*
 * A publish under an idempotency key: by rpc, for the stock SDK's publish takes nothing but channel and
 * data. Whatever happens to the answer, what was said once is there once.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { Sdk } from '../lib/chat.mjs';
import { request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { Server } from '../lib/server.mjs';
import { until, within } from '../lib/wait.mjs';

async function publishOnce(sdk, channel, data, key) {
  const { data: result } = await within(
    sdk.centrifuge.rpc('publish', { channel, data, idempotency_key: key }), `publish under ${key}`);
  return result;
}

const refusal = async (promise) => (await Sdk.errorOf(promise, 'a publish')).code;

async function repeats(server, channel) {
  const [alice, bob] = await Promise.all([Sdk.connect(server), Sdk.connect(server)]);
  const room = await bob.subscribe(channel);
  const first = await publishOnce(alice, channel, { text: 'once' }, 'key-1');
  assert.equal(first.offset, 1);
  assert.match(first.epoch, /^[0-9a-f]{16}$/);
  /* The same again, from somebody else, and with other white space: the data is what counts. */
  assert.deepEqual(await publishOnce(alice, channel, { text: 'once' }, 'key-1'), first);
  assert.deepEqual(await publishOnce(bob, channel, { text: 'once' }, 'key-1'), first);
  assert.equal(await refusal(publishOnce(alice, channel, { text: 'other' }, 'key-1')), 107);
  assert.equal((await publishOnce(alice, channel, { text: 'once' }, 'key-2')).offset, 2);
  /* Without a key each one counts. */
  assert.equal((await publishOnce(alice, channel, 3)).offset, 3);
  assert.equal((await publishOnce(alice, channel, 3)).offset, 4);
  await alice.publish(channel, 5);
  const got = await room.publication.takeMany(5, 'what was published');
  assert.deepEqual(got.map((one) => one.offset), [1, 2, 3, 4, 5]);
  assert.equal(got[0].info.client, alice.context.client);
  assert.equal(room.publication.size, 0, 'nothing twice');
  alice.close();
  bob.close();
}

async function refusals(server) {
  const sdk = await Sdk.connect(server);
  const { centrifuge } = sdk;
  assert.equal(await refusal(publishOnce(sdk, 'plain', 1, 'k')), 108, 'nothing is kept there');
  assert.deepEqual(await publishOnce(sdk, 'plain', 1), {});
  assert.equal((await publishOnce(sdk, 'kept:long', 1, 'k'.repeat(64))).offset, 1);
  assert.equal(await refusal(publishOnce(sdk, 'kept:long', 1, 'k'.repeat(65))), 107);
  assert.equal(await refusal(publishOnce(sdk, 'nobody:knows', 1, 'k')), 102);
  assert.equal(await refusal(centrifuge.rpc('publish', 'text')), 107);
  assert.equal(await refusal(centrifuge.rpc('publish', { channel: 1 })), 107);
  assert.equal(await refusal(centrifuge.rpc('other', {})), 108);
  sdk.close();
}

/* Many at once, each twice: one place for each. */
async function many(server, channel) {
  const sdks = await Promise.all(Array.from({ length: 8 }, () => Sdk.connect(server)));
  const again = async (sdk, i) => {
    for (;;) {
      try {
        return await publishOnce(sdk, channel, i, `m${i}`);
      } catch (error) {
        assert.equal(error.code, 100, 'the first is still under way');
      }
    }
  };
  const results = await Promise.all(Array.from({ length: 200 }, async (_, i) => {
    const two = await Promise.all([again(sdks[i % 8], i), again(sdks[(i + 3) % 8], i)]);
    assert.deepEqual(two[0], two[1]);
    return two[0].offset;
  }));
  assert.deepEqual([...results].sort((a, b) => a - b), Array.from({ length: 200 }, (_, i) => i + 1));
  sdks.forEach((sdk) => sdk.close());
}

async function forgets(server) {
  const sdk = await Sdk.connect(server);
  const first = await publishOnce(sdk, 'brief:x', 1, 'k');
  await until(async () => (await publishOnce(sdk, 'brief:x', 1, 'k')).offset !== first.offset,
    'the key to be forgotten');
  sdk.close();
}

/* Keys are as durable as what was said under them. */
async function survives(_, point) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-idempotency-'));
  const server = await Server.start({
    ...point, config: { ...durable, store: { engine: 'rocksdb', path: path.join(directory, 'store') } },
  });
  const untilReady = () => until(
    async () => (await request(server.internalPort, 'GET', '/ready')).status === 200, 'the store to be ready');
  try {
    await untilReady();
    const sdk = await Sdk.connect(server);
    const first = await publishOnce(sdk, 'durable:x', { text: 'once' }, 'key');
    await publishOnce(sdk, 'durable:x', 2, 'another');
    server.kill('SIGKILL');
    await server.exited;
    sdk.close();
    await until(() => server.restart().then(() => true, () => false), 'the ports to be free');
    await untilReady();
    const back = await Sdk.connect(server);
    assert.deepEqual(await publishOnce(back, 'durable:x', { text: 'once' }, 'key'), first);
    assert.equal(await refusal(publishOnce(back, 'durable:x', 'other', 'key')), 107);
    assert.deepEqual(await publishOnce(back, 'durable:x', 3, 'new'), { offset: 3, epoch: first.epoch });
    await many(server, 'durable:many');
    await repeats(server, 'durable:repeats');
    back.close();
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
  } finally {
    server.kill('SIGKILL');
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

const kept = { history_size: 10000, history_ttl: '10m', force_recovery: true };
const config = {
  client: { insecure: true, command_rate: 100000, command_burst: 100000 },
  channel: {
    namespaces: [
      { name: 'kept', ...kept },
      { name: 'brief', ...kept, idempotency_ttl: '1s' },
    ],
  },
};
const durable = structuredClone(config);
durable.channel.namespaces.push({ name: 'durable', ...kept, durability: 'process' });

group({
  name: 'idempotency',
  on: 'matrix',
  server: { config },
  remains: ['parley_channels'],
  cases: [
    ['a repeat', (server) => repeats(server, 'kept:x')],
    ['many at once', (server) => many(server, 'kept:many')],
    ['refusals', refusals],
    ['forgotten in time', forgets],
    ['kill -9', survives],
  ],
});
