// SPDX-License-Identifier: Apache-2.0
/*
 * One server for all attacks that need the same configuration. Beside each attack honest clients talk;
 * after it nothing of it is left.
 */
import assert from 'node:assert/strict';

import { closeAll } from '../e2e/lib/cleanup.mjs';
import { request } from '../e2e/lib/http.mjs';
import { Server } from '../e2e/lib/server.mjs';
import { IS_SANITIZED, SLOWNESS, sleep, until, within } from '../e2e/lib/wait.mjs';
import { CONFIGURATIONS } from './configurations.mjs';
import { Honest, PAIRS } from './honest.mjs';

const ATTACK_MS = 60000 * SLOWNESS;
const CALM_MS = 1000; /* of honest traffic alone, to compare with */
const STRICT_MS = 4000; /* of calm and of each attack */
const RATIO_MAX = 2; /* with --strict */
const RSS_GROWTH_MAX = 8 << 20; /* bytes, unless the entry names others */
/* What is there when only honest clients are, and the one that asks. */
const CALM = [
  ['parley_connections_open', 2 * PAIRS + 1], ['parley_sessions', 2 * PAIRS], ['parley_subscriptions', PAIRS],
];

const explain = (error) => String(error?.stack ?? error).replace(/^/gm, '         ');

function rejections(metrics) {
  const samples = ['parley_rejected_total', 'parley_tokens_rejected_total']
    .flatMap((name) => metrics.families.get(name)?.samples ?? []);
  return new Map(samples.map((one) => [one.labels.reason, one.value]));
}

/* What the entry wants to be counted: { reason: how often at least }. */
function checkCounts(before, after, wanted = {}) {
  const [was, is] = [rejections(before), rejections(after)];
  for (const [reason, least] of Object.entries(wanted)) {
    assert.ok(is.has(reason), `there is a reason ${reason}`);
    const more = is.get(reason) - was.get(reason);
    assert.ok(more >= least, `${reason}: ${more} more were counted, of ${least}`);
  }
}

async function goesBack(server, rssBefore, rssGrowthMax) {
  for (const [name, calm] of CALM) {
    await server.untilMetric(name, (value) => value === calm, `${calm} again`);
  }
  if (!IS_SANITIZED) {
    await until(() => server.rssBytes - rssBefore <= rssGrowthMax, `${rssGrowthMax} bytes more `
      + `at most to stay resident, not ${server.rssBytes - rssBefore}`);
  }
  assert.equal((await request(server.internalPort, 'GET', '/health')).status, 200, '/health');
}

/* Once; in strict mode for some seconds. Resolves with what kept it from being made, or null. */
async function attackFor(entry, server, strict) {
  const end = Date.now() + (strict ? STRICT_MS : 0);
  do {
    const skipped = await within(entry.attack(server), 'the attack', ATTACK_MS);
    if (skipped !== undefined) {
      return skipped;
    }
    closeAll();
  } while (Date.now() < end);
  return null;
}

async function runEntry(entry, { server, honest, calm, point }) {
  const before = await server.metrics();
  const rss = server.rssBytes;
  await honest.take();
  const skipped = await attackFor(entry, server, point.strict);
  if (skipped !== null) {
    return point.say('skipped', `row ${entry.row}: ${entry.name}: ${skipped}`);
  }
  checkCounts(before, await server.metrics(), entry.options.rejected);
  const during = await honest.take();
  await goesBack(server, rss, entry.options.rssGrowthMax ?? RSS_GROWTH_MAX);
  const ratio = during.p99 / calm.p99;
  if (point.strict) {
    assert.ok(ratio <= RATIO_MAX, `the honest p99 was ${ratio.toFixed(1)} times ${calm.p99} ms`);
  }
  return point.say('passed', `row ${entry.row} [${point.backend}] ${entry.name} (p99 ${
    during.p99.toFixed(1)} ms of ${during.count}, ${ratio.toFixed(1)} x; ${
    ((server.rssBytes - rss) / 1048576).toFixed(1)} MiB more)`);
}

/* Nobody is there any more, and it exits as it should; sanitizers would have said more. */
async function end(server, honest) {
  await honest.stop();
  await server.untilMetric('parley_connections_open', (value) => value === 1, 'its own at the end');
  await server.untilMetric('parley_sessions', (value) => value === 0, '0 at the end');
  assert.deepEqual(await server.stop(), { status: 0, signal: null }, 'the exit of parleyd');
  assert.doesNotMatch(server.log(), /CHECK|Sanitizer|runtime error/, 'the log');
}

/* Runs `act`; what goes wrong is one failure, with the end of the log. Resolves with whether it went well. */
async function guarded(point, name, server, act) {
  try {
    await act();
    return true;
  } catch (error) {
    const log = server?.log().trim().split('\n').slice(-10).join('\n') ?? '';
    point.say('failed', `${name}\n${explain(error)}\n${explain(log)}`);
    return false;
  } finally {
    closeAll();
  }
}

/* point: backend, strict, say(outcome, text) */
export async function runConfiguration(name, entries, point) {
  const configuration = CONFIGURATIONS[name]();
  if (configuration.skipped !== undefined) {
    entries.forEach((one) => point.say('skipped', `row ${one.row}: ${configuration.skipped}`));
    return;
  }
  let [server, honest, calm] = [null, null, null];
  const begins = await guarded(point, `${name} [${point.backend}] begins`, null, async () => {
    server = await Server.start({ backend: point.backend, reactors: 2, ...configuration.server });
    honest = await Honest.start(server, configuration.honest);
    await sleep(point.strict ? STRICT_MS : CALM_MS);
    calm = await honest.take();
  });
  if (!begins) {
    await honest?.kill();
    await server?.stop('SIGKILL');
    return;
  }
  for (const entry of entries) {
    await guarded(point, `row ${entry.row} [${point.backend}] ${entry.name}`, server,
      () => runEntry(entry, { server, honest, calm, point }));
    if (server.child.exitCode !== null || server.child.signalCode !== null) {
      break; /* what follows is one failure: the end */
    }
  }
  const ends = await guarded(point, `${name} [${point.backend}] ends`, server, () => end(server, honest));
  if (!ends) {
    await honest.kill();
    await server.stop('SIGKILL').catch(() => {});
  }
  configuration.after?.();
}
