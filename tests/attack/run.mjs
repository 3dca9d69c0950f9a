// SPDX-License-Identifier: Apache-2.0
/*
 * Attacks on a running parleyd, by the rows of ../LIMITS.md: each has to get its answer and to be
 * counted, honest clients beside it have to be served meanwhile, and afterwards nothing is left.
 *
 * usage: node run.mjs [--row N] [--seconds N] [--backend uring|epoll] [--parleyd PATH]
 *
 *   --row N          the attacks of one row
 *   --seconds N      each goes on for so long at least, once; default: a second, and again, up to
 *                    four times, where somebody seems to be starved
 *   --backend NAME   both servers have it; default: one each, as far as the kernel has them
 *   --parleyd PATH   the server (PARLEYD, or build/release/parleyd)
 *
 * The last line is the totals. What the servers logged is in build/artefacts/attack.
 */
import fs from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

import { ROOT, findBackends, killAll, settings } from '../e2e/lib/server.mjs';
import { CONFIGURATIONS } from './configurations.mjs';
import { runConfiguration } from './runner.mjs';

const { values } = parseArgs({
  options: {
    row: { type: 'string' },
    seconds: { type: 'string' },
    backend: { type: 'string' },
    parleyd: { type: 'string' },
  },
});
settings.parleyd = values.parleyd ?? settings.parleyd;
settings.artefacts = path.join(ROOT, 'build', 'artefacts', 'attack');

process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => process.exit(1));
}

async function loadTable() {
  const files = fs.readdirSync(new URL('./rows/', import.meta.url)).sort();
  const tables = await Promise.all(files.map((file) => (
    import(new URL(`./rows/${file}`, import.meta.url)))));
  return tables.flatMap((one) => one.ROWS);
}

fs.rmSync(settings.artefacts, { recursive: true, force: true });
const table = (await loadTable())
  .filter((one) => values.row === undefined || one.row === Number(values.row));
const totals = { passed: 0, failed: 0, skipped: 0 };
const say = (outcome, text) => {
  totals[outcome] += 1;
  process.stdout.write(`${outcome.padEnd(8)} ${text}\n`);
};
const started = Date.now();
const found = values.backend === undefined ? await findBackends() : [values.backend];
const backends = [found[0], found.at(-1)];
const rounds = values.seconds === undefined ? { ms: 1000, count: 4 }
  : { ms: 1000 * Number(values.seconds), count: 1 };
for (const name of Object.keys(CONFIGURATIONS)) {
  const entries = table.filter((one) => one.options.server === name);
  if (entries.length > 0) {
    await runConfiguration(name, entries, { backends, rounds, say });
  }
}
process.stdout.write(`after ${Math.round((Date.now() - started) / 1000)} s\n`);
process.stdout.write(
  `${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`);
process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);
