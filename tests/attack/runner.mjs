// SPDX-License-Identifier: Apache-2.0
/*
 * Two servers for all attacks that need the same configuration. They are attacked in turn, and
 * beside each attack honest clients talk at both; after it nothing of it is left.
 */
import assert from 'node:assert/strict';

import { closeAll } from '../e2e/lib/cleanup.mjs';
import { request } from '../e2e/lib/http.mjs';
import { Server } from '../e2e/lib/server.mjs';
import { until, within } from '../e2e/lib/wait.mjs';
import { CONFIGURATIONS } from './configurations.mjs';
import { compare, windowsOf } from './fairness.mjs';
import { Honest, PAIRS } from './honest.mjs';
import { Machine } from './machine.mjs';

const ATTACK_MS = 100000; /* the end of patience with one */
const WARM_UP_MS = 300;
const RSS_GROWTH_MAX = 8 << 20; /* bytes, unless the entry has another `growth` */
/* What is there when only honest clients are, and the one that asks. */
const CALM = [['parley_connections_open', 2 * PAIRS + 1], ['parley_sessions', 2 * PAIRS],
  ['parley_subscriptions', PAIRS]];

const explain = (error) => String(error?.stack ?? error).replace(/^/gm, '         ');
const inMiB = (bytes) => (bytes / 1048576).toFixed(1);

function rejections(metrics) {
  const samples = ['parley_rejected_total', 'parley_tokens_rejected_total']
    .flatMap((name) => metrics.families.get(name)?.samples ?? []);
  return new Map(samples.map((one) => [one.labels.reason, one.value]));
}

/* What the entry wants one attack to count, { reason: how often at least }, was counted for each. */
function checkCounts(before, after, attacks, wanted = {}) {
  const [was, is] = [rejections(before), rejections(after)];
  for (const [reason, each] of Object.entries(wanted)) {
    assert.ok(is.has(reason), `there is a reason ${reason}`);
    const more = is.get(reason) - was.get(reason);
    assert.ok(more >= attacks * each,
      `${reason}: ${more} more were counted, of ${each} by each of ${attacks} attacks`);
  }
}

async function goesBack(server, rssBefore, most = RSS_GROWTH_MAX) {
  for (const [name, calm] of CALM) {
    await server.untilMetric(name, (value) => value === calm, `${calm} again`);
  }
  const growth = () => server.rssBytes - rssBefore;
  await until(() => growth() <= most, 'what was resident to be so again')
    .catch((error) => assert.fail(`${error.message}: ${inMiB(growth())} MiB more`));
  assert.equal((await request(server.internalPort, 'GET', '/health')).status, 200, '/health');
}

/* `ms`: for so long, if it can go on. Resolves with {skipped}: what kept it away, or {said}. */
async function attackOnce(entry, server, ms) {
  const result = await within(entry.attack(server, ms), 'the attack', ms + ATTACK_MS);
  closeAll();
  return result ?? {};
}

/* As often as there is time for it. Resolves with {attacks, said}, or {skipped}. */
async function attackFor(ms, entry, server) {
  const end = Date.now() + ms;
  let made = {};
  let attacks = 0;
  do {
    made = await attackOnce(entry, server, ms);
    attacks += 1;
  } while (made.skipped === undefined && Date.now() < end);
  return { ...made, attacks };
}

/* Until nobody seems to be starved, or the last round. {skipped}, or what was made of it. */
async function attack(entry, { servers, honest, target, rounds }) {
  const windows = servers.map(() => []);
  let attacks = 0;
  await honest.take();
  for (let round = 1; ; round += 1) {
    const made = await attackFor(rounds.ms, entry, servers[target]);
    if (made.skipped !== undefined) {
      return made;
    }
    attacks += made.attacks;
    (await honest.take()).forEach((samples, i) => windows[i].push(...windowsOf(samples)));
    const compared = compare(windows[target], windows[1 - target]);
    if (!compared.isStarved || round === rounds.count) {
      return { ...made, attacks, ...compared };
    }
  }
}

async function runEntry(entry, scene) {
  const server = scene.servers[scene.target];
  if (entry.options.warmUp) {
    /* The allocator keeps what it needed for so many at once; it must not need more each time. */
    await attackOnce(entry, server, WARM_UP_MS);
  }
  const before = await server.metrics();
  const rss = server.rssBytes;
  const machine = new Machine(scene.servers);
  const { skipped, said, attacks, p99, calm, ratio, isStarved } = await attack(entry, scene);
  if (skipped !== undefined) {
    scene.say('skipped', `row ${entry.row}: ${entry.name}: ${skipped}`);
    return;
  }
  const { percent, areInTheWay } = machine.others;
  await goesBack(server, rss, entry.options.growth);
  checkCounts(before, await server.metrics(), attacks, entry.options.rejected);
  const text = `${said === undefined ? '' : `${said}; `}p99 ${p99.toFixed(1)} ms, elsewhere ${
    calm.toFixed(1)} ms: x ${ratio.toFixed(1)}`;
  const { starves = false } = entry.options;
  if (isStarved !== starves && areInTheWay) {
    scene.say('skipped', `row ${entry.row}: ${entry.name}: it got its answer and was counted, but `
      + `others took ${percent} % of the processors, and nothing can be compared (${text})`);
    return;
  }
  assert.equal(isStarved, starves, `${text}; others took ${percent} %`);
  scene.say('passed', `row ${entry.row} [${server.options.backend}] ${entry.name} (${text}; ${
    inMiB(server.rssBytes - rss)} MiB more)`);
}

/* Nobody is there any more, and they exit as they should. */
async function end({ servers, honest }) {
  await honest.stop();
  for (const server of servers) {
    await server.untilMetric('parley_connections_open', (value) => value === 1, '1 at the end');
    await server.untilMetric('parley_sessions', (value) => value === 0, '0 at the end');
    assert.deepEqual(await server.stop(), { status: 0, signal: null }, 'the exit of parleyd');
    assert.doesNotMatch(server.log(), /CHECK|Sanitizer|runtime error/, 'the log');
  }
}

/* Runs `act`; what goes wrong is one failure, with the end of the logs. Did it go well? */
async function guarded(scene, name, act) {
  try {
    await act();
    return true;
  } catch (error) {
    const logs = scene.servers.flatMap((server) => server.log().trim().split('\n').slice(-10));
    scene.say('failed', `${name}\n${explain(error)}\n${explain(logs.join('\n'))}`);
    return false;
  } finally {
    closeAll();
  }
}

const isRunning = ({ child }) => child.exitCode === null && child.signalCode === null;

/* point: backends (two), rounds {ms, count}, say(outcome, text) */
export async function runConfiguration(name, entries, { backends, rounds, say }) {
  const scene = { servers: [], honest: null, target: 0, rounds, say };
  let isWell = await guarded(scene, `${name} begins`, async () => {
    let honest;
    for (const backend of backends) {
      const configuration = await CONFIGURATIONS[name]();
      scene.servers.push(await Server.start({ backend, reactors: 2, ...configuration.server }));
      honest = configuration.honest;
    }
    scene.honest = await Honest.start(scene.servers, honest);
  });
  for (const entry of isWell ? entries : []) {
    const where = `row ${entry.row} [${backends[scene.target]}] ${entry.name}`;
    await guarded(scene, where, () => runEntry(entry, scene));
    if (!scene.servers.every(isRunning)) {
      break; /* what follows is one failure: the end */
    }
    scene.target = 1 - scene.target;
  }
  isWell = isWell && await guarded(scene, `${name} ends`, () => end(scene));
  if (!isWell) {
    await scene.honest?.kill();
    await Promise.all(scene.servers.map((server) => server.stop('SIGKILL')));
  }
}
