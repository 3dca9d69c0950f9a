// SPDX-License-Identifier: Apache-2.0
/*
 * The driver and the checker on parleyd itself, with a bug built into it (lib/plants.mjs): the run has to
 * fail by a rule that is meant for it. Works on a copy of the tree, in build/planted. By hand, for each
 * plant is a build; plants_test.mjs does the same on a small server, in minutes, and mutate_test.mjs
 * looks whether the plants still have their places.
 *
 * usage: node planted_builds.mjs [--seconds N] [NAME...]     all plants: ten minutes on two cores, of 60 seconds
 *                                                           each, for on a busy machine little goes wrong in 20
 */
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { PLANTS } from './lib/plants.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const COPY = path.join(ROOT, 'build/planted');
const BUILD = path.join(COPY, 'build');

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string', default: '60' } },
  allowPositionals: true,
});
const names = positionals.length > 0 ? positionals : Object.keys(PLANTS);

function run(command, args, cwd = ROOT) {
  const result = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 1 << 28 });
  return { status: result.status, text: `${result.stdout}${result.stderr}` };
}

function must(command, args, cwd) {
  const { status, text } = run(command, args, cwd);
  if (status !== 0) {
    throw new Error(`${command} ${args.join(' ')}\n${text.slice(-5000)}`);
  }
  return text;
}

function copyTree() {
  fs.rmSync(COPY, { recursive: true, force: true });
  const files = must('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard']).split('\0');
  for (const file of files.filter((one) => one !== '' && fs.existsSync(path.join(ROOT, one)))) {
    fs.mkdirSync(path.dirname(path.join(COPY, file)), { recursive: true });
    fs.copyFileSync(path.join(ROOT, file), path.join(COPY, file));
  }
}

function build() {
  must('cmake', ['-G', 'Ninja', '-S', COPY, '-B', BUILD, '-D', 'PARLEY_TESTS=OFF']);
  must('cmake', ['--build', BUILD, '--target', 'parleyd', 'parley-store']);
}

function plant(edits) {
  for (const [file, from, to] of edits) {
    const place = path.join(COPY, file);
    fs.writeFileSync(place, fs.readFileSync(place, 'utf8').replace(from, () => to));
  }
}

function pullOut(edits) {
  edits.forEach(([file]) => fs.copyFileSync(path.join(ROOT, file), path.join(COPY, file)));
}

/* True when it was found. */
function tryPlant(name, index) {
  const { config, rules, edits } = PLANTS[name];
  plant(edits);
  build();
  pullOut(edits);
  const { status, text } = run(process.execPath, [path.join(ROOT, 'tests/chaos/run.mjs'), '--parleyd',
    path.join(BUILD, 'parleyd'), '--config', path.join(ROOT, `tests/chaos/configs/${config}.json`),
    '--seconds', values.seconds, '--seed', String(301 + index)]);
  const broken = [...text.matchAll(/^ +([1-9]\d*) {2}([a-z-]+) /gm)].map(([, count, rule]) => ({ count, rule }));
  const isFound = status === 1 && broken.some(({ rule }) => rules.includes(rule));
  const found = broken.map(({ count, rule }) => `${rule} ${count}`).join(', ') || 'nothing';
  process.stdout.write(`${isFound ? 'found' : 'NOT FOUND'}: ${name}: ${found}\n${isFound ? '' : text}`);
  return isFound;
}

copyTree();
const passed = names.filter((name, index) => tryPlant(name, index)).length;
fs.rmSync(COPY, { recursive: true, force: true });
process.stdout.write(`${passed} passed, ${names.length - passed} failed, 0 skipped\n`);
process.exitCode = passed === names.length ? 0 : 1;
