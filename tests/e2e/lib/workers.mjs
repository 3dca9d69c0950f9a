// SPDX-License-Identifier: Apache-2.0
/*
 * Points shared out among processes: much of a test is waiting, and what happens in one process must
 * not be seen in another. Each takes the next point when it is done with one. Each has ports and a
 * folder for artefacts of its own (lib/server.mjs), by the number in its environment.
 */
import { fork } from 'node:child_process';

/* In a worker: runs what it is told to, until the parent lets go. */
export function serve(run) {
  process.on('message', async (index) => process.send(await run(index)));
  process.on('disconnect', () => process.exit());
}

export function isWorker() {
  return process.send !== undefined;
}

/* One worker's life. `next` gives an index or undefined, `done` takes what came of it. */
function employ(program, number, count, next, done) {
  return new Promise((resolve) => {
    const child = fork(program, process.argv.slice(2), {
      env: { ...process.env, PARLEY_E2E_WORKER: String(number), PARLEY_E2E_WORKERS: String(count) },
    });
    let index;
    const proceed = () => {
      index = next();
      if (index === undefined) {
        child.disconnect();
      } else {
        child.send(index);
      }
    };
    child.on('message', (result) => {
      done(result);
      proceed();
    });
    child.once('exit', (status, signal) => {
      if (index !== undefined || status !== 0) {
        done({ passed: 0, failed: 1, skipped: 0,
          text: `failed   worker ${number} ended (${status ?? signal}) at point ${index}\n` });
      }
      resolve();
    });
    proceed();
  });
}

/* Prints what each point says, and returns the sums. */
export async function runAll(program, pointCount, workerCount) {
  const totals = { passed: 0, failed: 0, skipped: 0 };
  let last = 0;
  const next = () => (last < pointCount ? last++ : undefined);
  const done = ({ passed, failed, skipped, text }) => {
    totals.passed += passed;
    totals.failed += failed;
    totals.skipped += skipped;
    process.stdout.write(text);
  };
  const count = Math.min(workerCount, pointCount);
  await Promise.all(Array.from({ length: count },
    (_, number) => employ(program, number, count, next, done)));
  return totals;
}
