// SPDX-License-Identifier: Apache-2.0
/*
 * Durable channels: what a publisher was told to be stored is there after kill -9 of the server or of
 * its store, with the same epoch and the next offsets; and what happens while there is no store.
 */
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import { Sdk } from '../lib/chat.mjs';
import { request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { Server, runParleyd, writeConfig } from '../lib/server.mjs';
import { PATIENCE_MS, SLOWNESS, sleep, until, within } from '../lib/wait.mjs';

const MANY = 100; /* publications until something dies under them */
const STORE_CLOSE_MS = 10000; /* that the server gives its store to end (server/archive.c) */
const HISTORY = { history_size: 10000, history_ttl: '1h', force_recovery: true };

function configFor(directory, more = {}) {
  return {
    client: { insecure: true, command_rate: 10000, command_burst: 10000, recovery_max_publication_limit: 10000 },
    store: { engine: 'rocksdb', path: path.join(directory, 'store'), timeout: '2s', ...more.store },
    shutdown: { grace: '0s', timeout: '5s' },
    channel: {
      namespaces: [
        { name: 'durable', ...HISTORY, durability: 'process' },
        { name: 'power', ...HISTORY, durability: 'power' },
        { name: 'few', ...HISTORY, history_size: 5, durability: 'process' },
        { name: 'kept', ...HISTORY },
        ...(more.namespaces ?? []),
      ],
    },
  };
}

async function withStore(point, run, more) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-durable-'));
  const config = configFor(directory, more);
  const server = await Server.start({ ...point, config });
  try {
    await untilReady(server);
    await run(server, directory, config);
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
  } finally {
    server.kill('SIGKILL');
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

async function ready(server) {
  const got = await request(server.internalPort, 'GET', '/ready');
  return { status: got.status, text: got.body.toString().trim() };
}

const untilReady = (server) => until(async () => (await ready(server)).status === 200, 'the store to be ready');

async function crash(server) {
  server.kill('SIGKILL');
  await server.exited;
  await server.restart();
}

/* The store's process: the child of the server. */
function childOf(server) {
  for (const task of fs.readdirSync(`/proc/${server.pid}/task`)) {
    const children = fs.readFileSync(`/proc/${server.pid}/task/${task}/children`, 'utf8').trim();
    if (children !== '') {
      return Number(children.split(' ')[0]);
    }
  }
  throw new Error('there is no store');
}

async function historyOf(sdk, channel) {
  const items = [];
  let epoch;
  const subscription = sdk.centrifuge.getSubscription(channel);
  for (let since; ;) {
    const page = await subscription.history({ limit: 100, since });
    assert.ok(epoch === undefined || epoch === page.epoch);
    epoch = page.epoch;
    items.push(...page.publications);
    if (page.publications.length === 0) {
      return { items, epoch };
    }
    since = { offset: page.publications.at(-1).offset, epoch };
  }
}

/*
 * A publisher that goes on whatever happens; what was acknowledged is in `acknowledged`. `more` waits
 * until it is so many more.
 */
function publisher(sdk, channel) {
  const state = { acknowledged: [], failed: [], stopped: false, next: 0 };
  const one = async () => {
    while (!state.stopped) {
      const number = state.next;
      state.next += 1;
      try {
        await sdk.centrifuge.publish(channel, { number });
        state.acknowledged.push(number);
      } catch (error) {
        state.failed.push([number, error.code]);
        await sleep(5);
      }
    }
  };
  state.all = Promise.all(Array.from({ length: 8 }, one));
  state.more = (count) => {
    const wanted = state.acknowledged.length + count;
    return until(() => state.acknowledged.length >= wanted, `${count} more to be acknowledged`);
  };
  state.stop = () => { state.stopped = true; return state.all; };
  return state;
}

/* Every acknowledged number is there exactly once, and offsets are without a gap. */
function judge(items, acknowledged) {
  items.forEach((item, i) => assert.equal(item.offset, items[0].offset + i, 'consecutive offsets'));
  const numbers = items.map((item) => item.data.number);
  assert.equal(new Set(numbers).size, numbers.length, 'nothing twice');
  const there = new Set(numbers);
  const lost = acknowledged.filter((number) => !there.has(number));
  assert.deepEqual(lost, [], 'what was acknowledged is there');
}

async function survivesCrashes(_, point) {
  await withStore(point, async (server) => {
    for (const channel of ['durable:crash', 'power:crash']) {
      const reader = await Sdk.connect(server);
      const room = await reader.subscribe(channel);
      const { epoch } = (await historyOf(reader, channel));
      const writer = await Sdk.connect(server);
      const publishing = publisher(writer, channel);
      for (let i = 0; i < 3; i += 1) {
        await publishing.more(MANY);
        await crash(server);
        await untilReady(server);
        await writer.connected.take('the writer to be back');
        const context = await room.subscribed.take('the reader to be back');
        assert.equal(context.recovered, true, 'recovered across a crash');
      }
      await publishing.more(MANY);
      await publishing.stop();
      const { items, epoch: last } = await historyOf(reader, channel);
      assert.equal(last, epoch, 'the epoch goes on');
      assert.equal(items[0].offset, 1);
      judge(items, publishing.acknowledged);
      /* The reader saw all of it, live or recovered. */
      await until(() => room.publication.size >= items.length, 'the reader to have all');
      const seen = await room.publication.takeMany(room.publication.size, 'all of them');
      assert.deepEqual(seen.map((one) => one.offset), items.map((one) => one.offset));
      assert.deepEqual(seen.map((one) => one.data.number), items.map((one) => one.data.number));
      reader.close();
      writer.close();
    }
  });
}

/* The store's process dies again and again; connections stay, and so does what was acknowledged. */
async function survivesItsStore(_, point) {
  await withStore(point, async (server) => {
    const reader = await Sdk.connect(server);
    const room = await reader.subscribe('durable:store');
    const writer = await Sdk.connect(server);
    const publishing = publisher(writer, 'durable:store');
    for (let i = 0; i < 5; i += 1) {
      await publishing.more(MANY);
      process.kill(childOf(server), 'SIGKILL');
      await until(async () => (await server.metrics()).value('parley_store_starts_total') === i + 2, 'a new store');
      await untilReady(server);
    }
    await publishing.more(MANY);
    await publishing.stop();
    const { items } = await historyOf(reader, 'durable:store');
    judge(items, publishing.acknowledged);
    publishing.failed.forEach(([, code]) => assert.equal(code, 100));
    await until(() => room.publication.size >= items.length, 'the reader to have all');
    const seen = await room.publication.takeMany(room.publication.size, 'all of them');
    assert.deepEqual(seen.map((one) => one.data.number), items.map((one) => one.data.number));
    assert.equal(writer.connecting.size, 1, 'the writer was never away');
    assert.equal(reader.connecting.size, 1, 'nor the reader');
    assert.equal(room.unsubscribed.size, 0);
    await until(() => /store: down[^]*store: ready again/.test(server.log()), 'the log to say so');
  });
}

/* SIGTERM: what a client was promised is there afterwards, and history goes on. */
async function stopsInOrder(_, point) {
  await withStore(point, async (server, directory, config) => {
    const writer = await Sdk.connect(server);
    const publishing = publisher(writer, 'durable:stop');
    await publishing.more(MANY);
    publishing.stopped = true;
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
    writer.close();
    await publishing.all;
    assert.match(server.log(), /store: closed/);

    const file = writeConfig('durable-tool.json', JSON.stringify(config));
    const verified = await runParleyd(['store', 'verify', '-c', file]);
    assert.equal(verified.status, 0, verified.stderr);
    const exported = await runParleyd(['store', 'export', '--path', path.join(directory, 'store'), 'durable:stop']);
    assert.equal(exported.status, 0, exported.stderr);
    assert.ok(exported.stdout.split('\n').length > publishing.acknowledged.length);
    assert.equal((await runParleyd(['store', 'stat'])).status, 2);
    assert.equal((await runParleyd(['store', 'melt', '-c', file])).status, 2);

    await server.restart();
    await untilReady(server);
    const reader = await Sdk.connect(server);
    await reader.subscribe('durable:stop', { since: { offset: 0, epoch: '' } });
    const { items } = await historyOf(reader, 'durable:stop');
    judge(items, publishing.acknowledged);
    reader.close();
  });
}

/* While the store does not answer: publishers get error 100 in time, readers go on. */
async function withoutStore(_, point) {
  await withStore(point, async (server) => {
    const reader = await Sdk.connect(server);
    const room = await reader.subscribe('durable:stuck');
    const kept = await reader.subscribe('kept:stuck');
    await reader.publish('durable:stuck', { number: 1 });
    const store = childOf(server);
    process.kill(store, 'SIGSTOP');
    try {
      const error = await Sdk.errorOf(reader.publish('durable:stuck', { number: 2 }), 'a publish that waits');
      assert.equal(error.code, 100);
      assert.ok(error.temporary ?? true);
      const refused = await Sdk.errorOf(reader.centrifuge.rpc('x', {}), 'other commands go on');
      assert.equal(refused.code, 108);
      await reader.publish('kept:stuck', { number: 1 });
      assert.equal((await kept.publication.take('memory goes on')).data.number, 1);
      const page = await room.subscription.history({ limit: 10 });
      assert.equal(page.publications.length, 1, 'history of what is known');
      await until(async () => (await ready(server)).status === 503, '/ready to say so');
      assert.equal((await ready(server)).text, 'the store does not answer in time');
      assert.equal((await request(server.internalPort, 'GET', '/health')).status, 200);
    } finally {
      process.kill(store, 'SIGCONT');
    }
    await untilReady(server);
    /* What was under way was stored after all: it has its offset, and everybody sees it. */
    await reader.publish('durable:stuck', { number: 3 });
    const seen = await room.publication.takeMany(3, 'all three');
    assert.deepEqual(seen.map((one) => [one.offset, one.data.number]), [[1, 1], [2, 2], [3, 3]]);
    assert.equal((await server.metrics()).value('parley_publications_total'), 4, 'it was published, too');
    reader.close();
  });
}

/* SIGTERM while the store stands still: it ends in time, and says that the store did not. */
async function stopsWithoutStore(_, point) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-durable-'));
  const config = { ...configFor(directory), shutdown: { timeout: '500ms' } };
  const server = await Server.start({ ...point, config });
  await untilReady(server);
  const sdk = await Sdk.connect(server);
  await sdk.publish('durable:stop', { number: 1 });
  process.kill(childOf(server), 'SIGSTOP');
  assert.equal((await Sdk.errorOf(sdk.publish('durable:stop', {}), 'a publish that waits')).code, 100);
  server.kill('SIGTERM');
  const end = await within(server.exited, 'the exit', PATIENCE_MS + STORE_CLOSE_MS);
  assert.deepEqual(end, { status: 0, signal: null });
  assert.match(server.log(), /store: did not end well/);
  sdk.close();
  fs.rmSync(directory, { recursive: true, force: true });
}

async function keepsWhatIsConfigured(_, point) {
  await withStore(point, async (server, directory) => {
    const sdk = await Sdk.connect(server);
    await sdk.subscribe('few:a');
    for (let number = 1; number <= 200; number += 1) {
      await sdk.publish('few:a', { number });
    }
    const count = 'parley_namespace_publications_total{namespace="few"}';
    assert.equal((await server.metrics()).value(count), 200);
    await crash(server);
    await untilReady(server);
    await sdk.connected.take('to be back');
    const { items } = await historyOf(sdk, 'few:a');
    assert.deepEqual(items.map((one) => one.offset), [196, 197, 198, 199, 200]);
    sdk.close();
    assert.deepEqual(await server.stop(), { status: 0, signal: null });
    const exported = await runParleyd(['store', 'export', '--path', path.join(directory, 'store'), 'few:a']);
    const lines = exported.stdout.trim().split('\n').length;
    assert.ok(lines >= 5 && lines < 100, `${lines} are left in the store`);
    await server.restart();
  });
}

/* A foreign directory: parleyd serves what it can, and says what it cannot. */
async function foreign(_, point) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'parley-durable-'));
  fs.mkdirSync(path.join(directory, 'store'));
  fs.writeFileSync(path.join(directory, 'store', 'CURRENT'), 'this is no database\n');
  const server = await Server.start({ ...point, config: configFor(directory, { store: { timeout: '500ms' } }) });
  const sdk = await Sdk.connect(server);
  const kept = await sdk.subscribe('kept:a');
  await sdk.publish('kept:a', { number: 1 });
  await kept.publication.take('what is in memory');
  assert.equal((await Sdk.errorOf(sdk.publish('durable:a', {}), 'a durable publish')).code, 100);
  await until(async () => (await ready(server)).text === 'the store is down', '/ready to say so');
  sdk.close();
  assert.deepEqual(await server.stop(), { status: 0, signal: null });
  assert.match(server.log(), /store: down/);
  fs.rmSync(directory, { recursive: true, force: true });
}

/*
 * Nobody comes back after a crash: what was kept for a while only leaves the disk all the same; but
 * not what a reload has given more time while it was open, though nobody published there any more.
 */
async function leavesInTime(_, point) {
  const brief = { name: 'brief', ...HISTORY, history_ttl: '1s', history_meta_ttl: '2s', durability: 'process' };
  const longer = { ...brief, name: 'longer', history_ttl: `${2 * SLOWNESS}s`, history_meta_ttl: '1h' };
  await withStore(point, async (server, directory, config) => {
    const exported = (channel) =>
      runParleyd(['store', 'export', '--live', '--path', path.join(directory, 'store'), channel]);
    const sdk = await Sdk.connect(server);
    const publishFive = async (channel) => {
      for (let number = 1; number <= 5; number += 1) {
        await sdk.publish(channel, { number });
      }
    };
    await publishFive('durable:stays');
    await sdk.publish('longer:stays', { number: 1 });
    const runs = 'parley_store_runs_total{result="stored"}';
    const before = (await server.metrics()).value(runs);
    const changed = structuredClone(config);
    changed.channel.namespaces.find((one) => one.name === 'longer').history_ttl = '1h';
    await server.reload(changed);
    await server.untilMetric(runs, (value) => value === before + 1, 'what the store is told');
    await publishFive('brief:goes'); /* not before: what the store is told to forget is a run, too */
    sdk.close();
    await crash(server);
    await until(async () => /brief:goes does not exist/.test((await exported('brief:goes')).stderr), 'it to be gone');
    assert.equal((await exported('durable:stays')).stdout.trim().split('\n').length, 5);
    assert.match((await exported('longer:stays')).stdout, /^{"offset":1,/);
    await until(async () => (await server.metrics()).value('parley_store_expired_total{what="channel"}') === 1,
      'the metric');
  }, { namespaces: [brief, longer] });
}

group({
  name: 'durable: age',
  on: 'once',
  server: false,
  cases: [['what is too old leaves the disk, and nothing else', leavesInTime]],
});

group({
  name: 'durable',
  on: 'matrix',
  server: false,
  cases: [
    ['kill -9 of the server loses nothing acknowledged', survivesCrashes],
    ['kill -9 of the store neither', survivesItsStore],
    ['SIGTERM', stopsInOrder],
    ['history_size holds in the store too', keepsWhatIsConfigured],
  ],
});

/* What the store's thread has to do with: how many reactors there are makes no difference. */
group({
  name: 'durable: no answer',
  on: 'backends',
  server: false,
  cases: [
    ['a store that does not answer', withoutStore],
    ['SIGTERM while the store does not answer', stopsWithoutStore],
    ['a foreign directory', foreign],
  ],
});
