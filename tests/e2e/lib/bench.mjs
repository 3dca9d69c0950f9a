// SPDX-License-Identifier: Apache-2.0
/*
 * Runs parley-bench, which stands beside parleyd, to its end.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { settings } from './server.mjs';
import { PATIENCE_MS, within } from './wait.mjs';

let runCount = 0;

/* Of a run where nothing is to be lost: it ends when all has come, so who is slow is waited for. */
export const UNHURRIED_DRAIN = ['--drain', String(PATIENCE_MS / 1000)];

/*
 * {status, stdout, stderr, json}: json is null when it wrote none. `prefix`: a program that runs it;
 * `onStart`: gets the child, to send it signals.
 */
export async function runBench(args, { ms = 2 * PATIENCE_MS, prefix = [], onStart } = {}) {
  fs.mkdirSync(settings.artefacts, { recursive: true });
  runCount += 1;
  const file = path.join(settings.artefacts, `bench-${runCount}.json`);
  const program = path.join(path.dirname(settings.parleyd), 'parley-bench');
  const [first, ...words] = [...prefix, program, ...args, ...(args.length > 1 ? ['--json', file] : [])];
  const child = spawn(first, words, { stdio: ['ignore', 'pipe', 'pipe'] });
  onStart?.(child);
  const result = { stdout: '', stderr: '' };
  child.stdout.on('data', (data) => { result.stdout += data; });
  child.stderr.on('data', (data) => { result.stderr += data; });
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve({ status, signal }));
  });
  try {
    const { status, signal } = await within(ended, `parley-bench ${args.join(' ')} to end`, ms);
    const json = fs.existsSync(file) ? JSON.parse(fs.readFileSync(file, 'utf8')) : null;
    return { ...result, status, signal, json };
  } finally {
    child.kill('SIGKILL');
  }
}
