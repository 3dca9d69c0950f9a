#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/*
 * Do the others notice that half of a channel's subscribers stopped reading?
 *
 * Method    A round has three runs of parley-bench in one channel with history, each with a server of
 *           its own: `all` (every subscriber reads), `half` (as many again as read have stopped
 *           before the load begins: npm clients in a process of their own) and `alone` (those who
 *           read, and nobody else). parley-bench verifies every delivery; its p99 is the figure.
 *           After `half` the stopped ones read again, and each must have every message once, in
 *           order, on its first connection.
 * Noise     CPU time that is neither the server's nor parley-bench's is measured, too. A run with
 *           more than FOREIGN_MAX of it is no figure; how many are is said. Runs add up in the log:
 *           with one that is there already the summary is of its runs, too. On a machine that never
 *           is quiet, --first puts server and parley-bench before everybody else (chrt, as root).
 * Needs     `npm ci` in tests/e2e, build/release with parleyd and parley-bench, two CPUs: the server
 *           has the first, everybody else the second.
 * usage     bench/slow.mjs [--subscribers N] [--rounds N] [--seconds N] [--rate N] [--size BYTES]
 *                          [--backend uring|epoll] [--log FILE] [--first]
 */
import { execFile, fork } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';

import { ROOT, Server } from '../tests/e2e/lib/server.mjs';
import { until } from '../tests/e2e/lib/wait.mjs';

const number = { type: 'string' };
const { values: given } = parseArgs({
  options: {
    subscribers: { ...number, default: '2000' },
    rounds: { ...number, default: '5' },
    seconds: { ...number, default: '7' },
    rate: { ...number, default: '40' },
    size: { ...number, default: '2500' },
    backend: { type: 'string', default: 'uring' },
    first: { type: 'boolean', default: false },
    log: { type: 'string', default: path.join(os.tmpdir(), `slow-${process.pid}.jsonl`) },
  },
});
const TICKS_PER_S = 100;
const FOREIGN_MAX = given.first ? Infinity : 0.25; /* CPUs; connecting is part of it */
const before = given.first ? ['chrt', '-f', '1'] : []; /* of a command */
const half = Math.floor(Number(given.subscribers) / 2);
const channel = 'bench-0'; /* that of parley-bench */
const config = {
  client: {
    insecure: true, command_rate: 100000, command_burst: 100000, ping_interval: '10m',
    pong_timeout: '5m', write_stall_timeout: '5m', recovery_max_publication_limit: 10000,
  },
  channel: {
    without_namespace: {
      history_size: 100000, history_ttl: '10m', history_meta_ttl: '10m', force_recovery: true,
      slow_consumer: 'resync',
    },
  },
};

/* Seconds that all CPUs have worked. */
function busySeconds() {
  const [user, nice, system, , , irq, softirq, steal] = fs.readFileSync('/proc/stat', 'utf8')
    .split('\n')[0].split(/\s+/).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_S;
}

async function load(server, connections) {
  const report = path.join(os.tmpdir(), `parley-slow-${process.pid}.json`);
  const begin = { busy: busySeconds(), at: Date.now(), server: server.cpuSeconds };
  const [program, ...args] = [...before, 'taskset', '-c', '1'];
  await promisify(execFile)(program, [...args, path.join(ROOT, 'build/release/parley-bench'),
    '-c', String(connections), '--rate', given.rate, '-s', given.size, '-d', given.seconds,
    '--warmup', '1', `--json=${report}`, `--server-pid=${server.pid}`, 'chat', server.url]);
  const seconds = (Date.now() - begin.at) / 1000;
  const busy = busySeconds() - begin.busy - (server.cpuSeconds - begin.server);
  const { results, latency, server: cost, generator } = JSON.parse(fs.readFileSync(report, 'utf8'));
  fs.unlinkSync(report);
  if (!results.clean) {
    throw new Error(`parley-bench found faults: ${JSON.stringify(results)}`);
  }
  return {
    p50: latency.percentiles_ns['50'] / 1e6,
    p99: latency.percentiles_ns['99'] / 1e6,
    foreign: busy / seconds - (generator.user_ns + generator.system_ns) / 1e9 / results.seconds,
    cpu: (cost.user_ns + cost.system_ns) / 1e9 / results.seconds,
  };
}

function startReaders() {
  const child = fork(fileURLToPath(new URL('slow_readers.mjs', import.meta.url)));
  const ask = (message) => new Promise((resolve, reject) => {
    child.once('message', resolve);
    child.once('exit', () => reject(new Error('the readers are gone')));
    child.send(message);
  });
  return { ask, end: () => child.disconnect() };
}

/* The run in which half of them do not read; then they do. */
async function withStopped(server) {
  const readers = startReaders();
  await readers.ask({ do: 'connect', url: server.url, channel, count: half });
  await readers.ask({ do: 'pause' });
  const rss = server.rssBytes;
  let peak = rss;
  const timer = setInterval(() => { peak = Math.max(peak, server.rssBytes); }, 50);
  const run = await load(server, half);
  peak = Math.max(peak, server.rssBytes);
  const lags = (await server.metrics()).value('parley_lags_total{policy="resync"}');
  const offset = (await server.metrics()).value('parley_publications_total');
  const began = Date.now();
  const end = await readers.ask({ do: 'resume', offset, seconds: 120 });
  clearInterval(timer);
  readers.end();
  return {
    ...run, lags, offset, ...end, rss, peak, resumed: (Date.now() - began) / 1000,
    afterwards: server.rssBytes,
  };
}

async function measure(what) {
  const server = await Server.start({
    backend: given.backend, reactors: 1, config, command: [...before, 'taskset', '-c', '0'],
  });
  try {
    return what === 'half' ? await withStopped(server)
      : await load(server, what === 'all' ? 2 * half : half);
  } finally {
    await until(async () => (await server.metrics()).value('parley_sessions') === 0, 'all to go');
    await server.stop();
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const ms = (list) => `${median(list).toFixed(2)} ms [${Math.min(...list).toFixed(2)} to `
  + `${Math.max(...list).toFixed(2)}]`;
const mib = (bytes) => (bytes / 1048576).toFixed(1);

const WHATS = ['all', 'half', 'alone'];
for (let round = 0; round < Number(given.rounds); round += 1) {
  for (const what of WHATS) {
    const run = { what, backend: given.backend, ...await measure(what) };
    fs.appendFileSync(given.log, `${JSON.stringify(run)}\n`);
    console.log(`${what.padEnd(5)} p99 ${run.p99.toFixed(2)} ms, p50 ${run.p50.toFixed(2)}, CPUs: server `
      + `${run.cpu.toFixed(2)}, strangers ${run.foreign.toFixed(2)}`);
    if (what === 'half') {
      console.log(`      ${run.lags} lagged, ${run.complete} of ${half} have all ${run.offset} publications `
        + `once and in order ${run.resumed.toFixed(1)} s later, ${run.sockets} sockets, ${run.faults} `
        + `faults; RSS ${mib(run.rss)} MiB, at most ${mib(run.peak)}, then ${mib(run.afterwards)}`);
    }
  }
}
const all = fs.readFileSync(given.log, 'utf8').trim().split('\n').map((line) => JSON.parse(line))
  .filter((run) => run.backend === given.backend);
const quiet = all.filter((run) => run.foreign <= FOREIGN_MAX);
const p99 = (what) => quiet.filter((run) => run.what === what).map((run) => run.p99);
for (const what of WHATS) {
  const figures = p99(what);
  console.log(`${what.padEnd(5)} p99 ${figures.length === 0 ? '-' : ms(figures)}, `
    + `${figures.length} of ${all.filter((run) => run.what === what).length} runs`);
}
console.log(`half / all ${(median(p99('half')) / median(p99('all'))).toFixed(2)}, half / alone `
  + `${(median(p99('half')) / median(p99('alone'))).toFixed(2)}`);
const failed = all.filter((run) => run.what === 'half'
  && (run.complete !== half || run.sockets !== half || run.lags < half));
if (failed.length > 0) {
  console.log('FAILED: somebody who stopped does not have everything, or did not lag at all');
  process.exitCode = 1;
}
