// SPDX-License-Identifier: Apache-2.0
/*
 * Points shared out among processes: much of a test is waiting, and what happens in one process must
 * not be seen in another. Each takes the next point when it is done with one. Each has ports and a
 * folder for artefacts of its own (lib/server.mjs), by the number in its environment.
 */
import { fork } from 'node:child_process';

/* In a worker: runs what it is told to, until the parent lets go; it ends when that fails. */
export function serve(run) {
  process.on('message', (task) => run(task).then((result) => process.send(result), (error) => {
    process.stdout.write(`${error.stack}\n`);
    process.exit(1);
  }));
  process.on('disconnect', () => process.exit());
}

export function isWorker() {
  return process.send !== undefined;
}

/* One worker's life. `next` gives a task or undefined, `done` takes what came of it. */
function employ(program, number, count, next, done) {
  return new Promise((resolve) => {
    const child = fork(program, process.argv.slice(2), {
      env: { ...process.env, PARLEY_E2E_WORKER: String(number), PARLEY_E2E_WORKERS: String(count) },
    });
    let task;
    const proceed = () => {
      task = next();
      if (task === undefined) {
        child.disconnect();
      } else {
        child.send(task);
      }
    };
    child.on('message', (result) => {
      done(result);
      proceed();
    });
    child.once('exit', (status, signal) => {
      if (task !== undefined || status !== 0) {
        done({ passed: 0, failed: 1, skipped: 0,
          text: `failed   worker ${number} ended (${status ?? signal}) at ${JSON.stringify(task)}\n` });
      }
      resolve();
    });
    proceed();
  });
}

/* Prints what each task says, and returns the sums. */
export async function runAll(program, tasks, workerCount) {
  const totals = { passed: 0, failed: 0, skipped: 0 };
  const left = [...tasks];
  const next = () => left.shift();
  const done = ({ passed, failed, skipped, text }) => {
    totals.passed += passed;
    totals.failed += failed;
    totals.skipped += skipped;
    process.stdout.write(text);
  };
  const count = Math.min(workerCount, tasks.length);
  await Promise.all(Array.from({ length: count },
    (_, number) => employ(program, number, count, next, done)));
  return totals;
}
