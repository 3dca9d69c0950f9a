// SPDX-License-Identifier: Apache-2.0
/*
 * The checker is tried on runs that a model makes from seeds: it accepts all of them, and finds each
 * mutation of them, by a rule that is meant for it. A mutation that no seed has a place for fails too.
 *
 * usage: node --test mutate_test.mjs      CHAOS_SEEDS=1000 for more than the usual 40
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';

import { checkFiles, checkRecords, reportOf } from './check.mjs';
import { generate } from './lib/generate.mjs';
import { MUTATIONS } from './lib/mutations.mjs';
import { PLANTS } from './lib/plants.mjs';
import { Random } from './lib/random.mjs';
import { RULES } from './lib/rules.mjs';

const SEEDS = Number(process.env.CHAOS_SEEDS ?? 40);
/* The model's runs are short. */
const MINIMUMS = { acks: 100, receives: 500, historyItems: 20, repeatsRefused: 0, demanded: 100 };

const runs = Array.from({ length: SEEDS }, (_, i) => generate(i + 1));

function found(result) {
  return [...result.checker.violations].map(([rule, { count, examples }]) => `${rule} ${count}: ${examples[0].text}`)
    .join('\n');
}

test(`${SEEDS} right runs are accepted`, () => {
  runs.forEach((run, i) => {
    const result = checkRecords(run, MINIMUMS);
    assert.ok(result.ok, `seed ${i + 1}: ${result.shortfalls.join('; ')}\n${found(result)}`);
  });
});

for (const [name, { rules, only, spoil }] of Object.entries(MUTATIONS)) {
  test(`found: ${name}`, () => {
    let applied = 0;
    runs.forEach((run, i) => {
      const list = [...run];
      if (!spoil(list, new Random(i + 1))) {
        return;
      }
      applied += 1;
      const result = checkRecords(list, MINIMUMS);
      const broken = [...result.checker.violations.keys()];
      assert.ok(!result.ok && broken.some((rule) => rules.includes(rule)),
        `seed ${i + 1}: wanted ${rules.join(' or ')}, found\n${found(result)}`);
      assert.ok(!only || broken.every((rule) => rules.includes(rule)), `seed ${i + 1}: found too\n${found(result)}`);
    });
    assert.ok(applied * 4 >= SEEDS, `only ${applied} of ${SEEDS} seeds have a place for it`);
  });
}

test('each rule has a mutation', () => {
  const tried = new Set(Object.values(MUTATIONS).flatMap(({ rules }) => rules));
  assert.deepEqual(Object.keys(RULES).filter((rule) => !tried.has(rule)), []);
});

test('the plants of planted_builds.mjs have their places in the source', () => {
  for (const [name, { rules, edits }] of Object.entries(PLANTS)) {
    assert.deepEqual(rules.filter((rule) => !(rule in RULES)), [], name);
    for (const [file, from, to] of edits) {
      const source = fs.readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');
      assert.equal(source.split(from).length, 2, `${name}: ${file}`);
      assert.notEqual(from, to);
    }
  }
});

test('a run with too little in it fails', () => {
  const [run] = runs;
  const poor = {
    kills: run.filter((one) => one.fault !== 'kill'),
    faults: run.filter((one) => one.kind !== 'fault' || one.fault === 'rest'),
    presenceSnapshots: run.filter((one) => one.kind !== 'presence'),
    subscriptionsAtRest: run.filter((one) => one.kind !== 'presence' && one.fault !== 'rest'),
  };
  for (const [field, records] of Object.entries(poor)) {
    const { ok, shortfalls } = checkRecords(records, MINIMUMS);
    assert.ok(!ok && shortfalls.some((text) => text.startsWith(`${field}:`)), `${field}: ${shortfalls.join('; ')}`);
  }
  const { shortfalls } = checkRecords(run, { acks: 1e6, reconnects: 1e6 });
  assert.deepEqual(shortfalls.map((text) => text.split(':')[0]).slice(0, 1), ['acks']);
});

/* The lines of each client in a file of its own, as several processes write them. */
function split(run, folder) {
  const files = new Map();
  for (const record of run) {
    const file = path.join(folder, `${record.client ?? 'driver'}.jsonl`);
    files.set(file, [...(files.get(file) ?? []), record]);
  }
  for (const [file, records] of files) {
    fs.writeFileSync(file, records.map((one) => `${JSON.stringify(one)}\n`).join(''));
  }
  return [...files.keys()];
}

test('files of several processes, and the command', () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'chaos-'));
  const command = fileURLToPath(new URL('./check.mjs', import.meta.url));
  const limits = Object.entries(MINIMUMS)
    .flatMap(([name, least]) => [`--min-${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`, String(least)]);
  const run = (...args) => spawnSync(process.execPath, [command, ...args], { encoding: 'utf8' });
  try {
    const files = split(runs[0], folder);
    assert.ok(files.length > 5);
    assert.equal(checkFiles(files, MINIMUMS).checker.exposure.records, runs[0].length);
    const good = run(...limits, ...files);
    assert.equal(good.status, 0, good.stdout + good.stderr);

    const list = [...runs[0]];
    assert.ok(MUTATIONS['a receive comes twice'].spoil(list, new Random(1)));
    const spoilt = split(list, folder);
    const bad = run(...limits, ...spoilt);
    assert.equal(bad.status, 1);
    assert.match(bad.stdout, /duplicate: 1\n.* got /);
    assert.match(bad.stdout, /\.jsonl:\d+ {2}\{"t":\d+,"kind":"receive"/);
    assert.match(reportOf(checkFiles(spoilt, MINIMUMS), spoilt), /FAILED\n$/);

    const thin = run('--min-kills', '1000', ...files);
    assert.equal(thin.status, 1);
    assert.match(thin.stdout, /too little: kills: \d+, at least 1000/);
    fs.writeFileSync(files[0], 'no json\n');
    assert.equal(run(...files).status, 2);
    assert.equal(run('--min-nonsense', '1', ...files).status, 2);
    assert.equal(run().status, 2);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
