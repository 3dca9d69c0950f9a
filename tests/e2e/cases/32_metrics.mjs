// SPDX-License-Identifier: Apache-2.0
/*
 * What deploy/ ships for Prometheus and Grafana, against what parleyd says: Prometheus' own tool reads
 * the rules and the metrics, and no expression names a metric that is not there.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

import { RawChat, Sdk, UNHURRIED } from '../lib/chat.mjs';
import { request } from '../lib/http.mjs';
import { group } from '../lib/runner.mjs';
import { ROOT } from '../lib/server.mjs';
import { until } from '../lib/wait.mjs';

const deploy = (file) => path.join(ROOT, 'deploy', file);

function promtool(args, input = '') {
  return new Promise((resolve, reject) => {
    const child = execFile('promtool', args, (error, stdout, stderr) => {
      if (error !== null) {
        reject(new Error(`promtool ${args.join(' ')}: ${error.code}\n${stdout}${stderr}`));
      } else {
        resolve(stdout + stderr);
      }
    });
    child.stdin.end(input);
  });
}

async function rules() {
  await promtool(['check', 'rules', deploy('alerts.yml')]);
  await promtool(['test', 'rules', deploy('alerts_test.yml')]);
}

async function exposition(server) {
  const { body } = await request(server.internalPort, 'GET', '/metrics');
  assert.equal(await promtool(['check', 'metrics'], body), '', 'remarks');
}

/* Names of samples: those of a histogram have an ending. */
async function namesOf(server) {
  const { families } = await server.metrics();
  return new Set([...families.values()].flatMap((family) => family.samples.map((one) => one.name)));
}

const METRIC = /\b(?:parley|process)_[a-z_]+/g;

function expressions() {
  const rulesText = fs.readFileSync(deploy('alerts.yml'), 'utf8').replace(/^ *(action|#).*$/gm, '');
  const dashboard = JSON.parse(fs.readFileSync(deploy('grafana-dashboard.json'), 'utf8'));
  const panels = dashboard.panels.flatMap((panel) => panel.targets ?? []);
  assert.ok(panels.length > 20);
  return [rulesText, ...panels.map((target) => target.expr), dashboard.templating.list[1].query];
}

async function names(server) {
  const there = await namesOf(server);
  const used = new Set(expressions().flatMap((text) => text.match(METRIC) ?? []));
  assert.ok(used.size > 25, `${used.size}`);
  assert.deepEqual([...used].filter((name) => !there.has(name)), []);
}

/* A value of a label that no rule of ours gives would match nothing, for ever. */
async function labels(server) {
  const { families } = await server.metrics();
  for (const text of expressions()) {
    for (const [, name, label, value] of
      text.matchAll(/((?:parley)_[a-z_]+)\{(?:instance=~"\$instance", )?([a-z]+)[!=]=?~?"([a-z0-9_|]+)"/g)) {
      const samples = families.get(name).samples;
      for (const one of value.split('|')) {
        assert.ok(samples.some((sample) => sample.labels[label] === one), `${name} ${label} ${one}`);
      }
    }
  }
}

async function process(server) {
  const metrics = await server.metrics();
  assert.ok(Math.abs(metrics.value('process_start_time_seconds') - Date.now() / 1000) < 3600);
  assert.ok(metrics.value('process_resident_memory_bytes') > 1 << 20);
  assert.equal(metrics.value('parley_connection_limit'), 100);
}

/* Told once for each reactor that has subscribers, however many these are. */
async function delivery(server) {
  const name = 'parley_delivery_seconds_count';
  const clients = [];
  for (let i = 0; i < 8; i += 1) {
    clients.push(await RawChat.connect(server));
    await clients[i].subscribe('timed');
  }
  const before = (await server.metrics()).value(name);
  await clients[0].publish('timed', 1);
  await Promise.all(clients.map((one) => one.push()));
  const both = [before + 1, before + 2];
  await server.untilMetric(name, (value) => both.includes(value), `one of ${both}`);
  await Promise.all(clients.map((one) => one.close()));
}

/* Who does not read has a queue, which is seen in the memory and in how long queues are. */
async function queues(server) {
  const pools = async () => {
    const metrics = await server.metrics();
    return Object.fromEntries(['connections', 'sessions', 'rooms', 'send_queues', 'publications', 'bus']
      .map((pool) => [pool, metrics.value(`parley_memory_bytes{pool="${pool}"}`)]));
  };
  await server.untilMetric('parley_rooms', (value) => value === 0, 'nothing of those before');
  const before = await pools();
  assert.ok(before.bus > 0 && before.connections > 0 && before.sessions > 0);
  const reader = await RawChat.connect(server);
  await reader.subscribe('queued');
  reader.frames.wire.socket.pause();
  const publisher = await RawChat.connect(server);
  const long = 'parley_send_queue_bytes_bucket{le="65536"}';
  await until(async () => {
    await publisher.publish('queued', crypto.randomBytes(30000).toString('base64'));
    const metrics = await server.metrics();
    const lengthy = metrics.value('parley_send_queue_bytes_count') - metrics.value(long);
    return lengthy > 0 && (await pools()).publications > before.publications + 65536;
  }, 'a long queue');
  const during = await pools();
  assert.ok(during.rooms > before.rooms, `${during.rooms} ${before.rooms}`);
  reader.destroy();
  publisher.destroy();
  await until(async () => {
    const after = await pools();
    return after.publications <= before.publications && after.rooms === before.rooms;
  }, 'it to be free again');
}

/* A turn may be slow for other reasons, too, and before anybody is there. */
function slowTurnsIn(log) {
  return [...log.matchAll(/level=warn event="slow turn"(.* ms=.*)\n/g)].map(([, line]) => (
    new Map([...line.matchAll(/ (\w+)=(\w+)/g)].map(([, key, value]) => [key, Number(value)]))));
}

/* To compress this takes longer than log.slow_turn. */
async function slowTurns(server) {
  const reader = await Sdk.connect(server);
  const publisher = await RawChat.connect(server);
  const { publication } = await reader.subscribe('slow');
  await until(async () => {
    await publisher.publish('slow', crypto.randomBytes(36000).toString('base64'));
    await publication.take();
    return slowTurnsIn(server.log()).some((fields) => fields.get('connections') >= 1);
  }, 'a slow turn to be told of, among its connections');
  for (const fields of slowTurnsIn(server.log())) {
    for (const key of ['completions', 'posts', 'timers', 'deliveries', 'connections']) {
      assert.ok(fields.has(key), key);
    }
    assert.ok(fields.get('ms') >= 1);
  }
  assert.ok((await server.metrics()).value('parley_slow_turns_total') > 0);
  reader.close();
  await publisher.close();
}

/* What one namespace counted, and no other. */
async function namespaces(server) {
  const count = async (name, more = '', space = 'news') => (await server.metrics())
    .value(`parley_namespace_${name}{namespace="${space}"${more}}`);
  const [one, two] = [await RawChat.connect(server), await RawChat.connect(server)];
  const { epoch } = await one.subscribe('news:a');
  await two.subscribe('news:a');
  await two.subscribe('plain');
  assert.equal(await count('subscriptions'), 2);
  assert.equal(await count('subscriptions', '', '(none)'), 1);
  await one.publish('news:a', 1);
  await one.publish('news:a', 2);
  await two.push();
  await two.push();
  assert.equal(await count('publications_total'), 2);
  await server.untilMetric('parley_namespace_deliveries_total{namespace="news"}', (value) => value === 4, '4');
  const { history } = await two.ask({ history: { channel: 'news:a', limit: 10 } });
  assert.equal(history.publications.length, 2);
  assert.equal(await count('history_reads_total'), 1);
  await two.ask({ unsubscribe: { channel: 'news:a' } });
  for (const wanted of [true, false]) {
    const subscribe = { channel: 'news:a', recover: true, offset: 1, epoch: wanted ? epoch : 'none' };
    assert.equal((await two.ask({ subscribe })).subscribe.recovered ?? false, wanted);
    assert.equal(await count('recoveries_total', `,recovered="${wanted}"`), 1);
    await two.ask({ unsubscribe: { channel: 'news:a' } });
  }
  const { families } = await server.metrics();
  for (const [name, { samples }] of families) {
    if (name.startsWith('parley_namespace_')) {
      assert.deepEqual(new Set(samples.map(({ labels: { namespace } }) => namespace)),
        new Set(['(none)', 'news', 'quiet']), name);
      assert.ok(samples.every(({ labels: { namespace }, value }) => namespace !== 'quiet' || value === 0), name);
    }
  }
  one.destroy();
  two.destroy();
  await server.untilMetric('parley_namespace_subscriptions{namespace="news"}', (value) => value === 0, '0');
}

group({
  name: 'metrics',
  on: 'backends',
  server: {
    config: {
      /* Of a queue that may be long, it is seen in time how long it is. */
      client: { insecure: true, connection_limit: 100, queue_max_size: 1 << 26, ...UNHURRIED },
      websocket: { compression: true, compression_level: 9 },
      log: { slow_turn: '1ms' },
      channel: {
        namespaces: [
          { name: 'news', history_size: 10, history_ttl: '1m', force_recovery: true },
          { name: 'quiet' },
        ],
      },
    },
  },
  remains: ['parley_channels'],
  cases: [
    ['rules', rules],
    ['exposition', exposition],
    ['names', names],
    ['labels', labels],
    ['the process', process],
    ['deliveries are timed', delivery],
    ['namespaces count for themselves', namespaces],
    ['queues and memory', queues],
    ['slow turns are told of', slowTurns],
  ],
});
