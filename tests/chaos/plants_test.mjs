// SPDX-License-Identifier: Apache-2.0
/*
 * The driver and the checker together, on model_server.mjs: right, it passes; with a fault planted, the
 * run fails by a rule that is meant for it. Needs the packages of tests/e2e.
 *
 * usage: node --test plants_test.mjs
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const SECONDS = '12';
const RICH = 182; /* a seed that soon has a kill and resets: enough to prove something, however slow the machine is */
const PLANTS = {
  'ack-before-store': ['durable', ['lost', 'epoch']],
  'no-gap-check': ['history', ['silent-gap']],
  'lose-last': ['durable', ['silent-gap']],
  'same-epoch': ['durable', ['epoch', 'divergence']],
  'repeat-twice': ['durable', ['idempotency']],
  ghost: ['history', ['presence']],
};

/* Says {status, text, rules: those with violations}. */
function run(config, plant, seed) {
  const result = spawnSync(process.execPath, [path.join(HERE, 'run.mjs'), '--parleyd',
    path.join(HERE, 'model_server.mjs'), '--config', path.join(HERE, 'configs', `${config}.json`), '--seconds', SECONDS,
    '--clients', '100', '--seed', String(seed), '--backend', 'epoll'],
  { encoding: 'utf8', env: { ...process.env, PARLEY_PLANT: plant } });
  const rules = [...result.stdout.matchAll(/^ +[1-9]\d* {2}([a-z-]+) /gm)].map((found) => found[1]);
  return { status: result.status, text: result.stdout + result.stderr, rules };
}

for (const config of ['history', 'durable']) {
  test(`nothing is found in a right server, ${config}`, () => {
    const { status, text } = run(config, '', RICH);
    assert.equal(status, 0, text);
  });
}

for (const [i, [plant, [config, wanted]]] of Object.entries(PLANTS).entries()) {
  const seed = 201 + i;
  test(`found: ${plant}`, () => {
    const { status, text, rules } = run(config, plant, seed);
    assert.equal(status, 1, text);
    assert.ok(rules.some((rule) => wanted.includes(rule)), `wanted ${wanted.join(' or ')}\n${text.slice(0, 5000)}`);
    fs.rmSync(path.join(HERE, `../../build/artefacts/chaos/${config}-epoll-${seed}`), { recursive: true, force: true });
  });
}
