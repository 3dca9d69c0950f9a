// SPDX-License-Identifier: Apache-2.0
/*
 * The tests from end to end: parleyd as people run it, and clients that nobody here wrote.
 *
 * usage: node run.mjs [--parleyd PATH] [--only TEXT] [--backend uring|epoll] [--quick] [--alternate] [--jobs N]
 *
 *   --parleyd PATH   the server (PARLEYD, or build/release/parleyd)
 *   --only TEXT      the cases whose group/name has this in it
 *   --backend NAME   one back end; default: both, as far as the kernel has them
 *   --quick          two reactors only
 *   --alternate      one back end for each group, taken in turns
 *   --jobs N         servers at a time, each with its clients in a process (4: most of a test is waiting)
 *
 * The last line is the totals. What the servers logged, and pictures, are in build/artefacts/e2e.
 */
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { countPoints, describeStray, runPoint } from './lib/runner.mjs';
import { ARTEFACTS, findBackends, killAll, settings } from './lib/server.mjs';
import { isWorker, runAll, serve } from './lib/workers.mjs';

const { values } = parseArgs({
  options: {
    parleyd: { type: 'string' },
    only: { type: 'string' },
    backend: { type: 'string' },
    quick: { type: 'boolean', default: false },
    alternate: { type: 'boolean', default: false },
    jobs: { type: 'string', default: '4' },
  },
});
settings.parleyd = values.parleyd ?? settings.parleyd;

process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => process.exit(1));
}
process.on('uncaughtExceptionMonitor', (error) => process.stdout.write(describeStray(error)));
process.on('unhandledRejection', (error) => {
  process.stdout.write(describeStray(error));
  process.exitCode = 1;
});

for (const file of fs.readdirSync(new URL('./cases/', import.meta.url)).sort()) {
  if (file.endsWith('.mjs')) {
    await import(new URL(`./cases/${file}`, import.meta.url));
  }
}

if (isWorker()) {
  fs.mkdirSync(settings.artefacts, { recursive: true });
  serve(({ index, options }) => runPoint(index, options));
} else {
  const started = Date.now();
  fs.rmSync(ARTEFACTS, { recursive: true, force: true });
  const options = {
    backends: values.backend === undefined ? await findBackends() : [values.backend],
    quick: values.quick,
    alternate: values.alternate,
    only: values.only ?? null,
  };
  const points = Array.from({ length: countPoints(options) }, (_, index) => ({ index, options }));
  const totals = await runAll(fileURLToPath(import.meta.url), points, Number(values.jobs));
  process.stdout.write(`${options.backends.join(' and ')}, after ${Math.round((Date.now() - started) / 1000)} s\n`);
  process.stdout.write(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped\n`);
  process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);
}
