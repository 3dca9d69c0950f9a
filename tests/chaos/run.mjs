// SPDX-License-Identifier: Apache-2.0
/*
 * Clients that publish and listen while everything goes wrong, on a parleyd of its own; then everything
 * comes to rest, is read out, and check.mjs judges what they wrote down.
 *
 * usage: node run.mjs [options]
 *
 *   --seconds N      of faults (30)
 *   --seed N         what goes wrong, and when (1); the kernel and the server have a say too
 *   --clients N      (200) over two processes
 *   --channels N     (20) over the namespaces of the configuration; each client is in --rooms of them (3)
 *   --rate N         publications a second of all clients (150)
 *   --reactors N     (2)
 *   --backend NAME   uring or epoll; default: what parleyd chooses
 *   --config FILE    JSON; default: configs/plain.json. Its namespaces say what is promised, see lib/settings.mjs
 *   --parleyd PATH   (PARLEYD, or build/release/parleyd)
 *   --keep           leave the records there although all is well
 *
 * A run that fails leaves its records, the servers' logs and the seed in build/artefacts/chaos/.
 */
import { fork } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { ROOT, Server, killAll, settings } from '../e2e/lib/server.mjs';
import { sleep, until, within } from '../e2e/lib/wait.mjs';
import { checkFiles, reportOf } from './check.mjs';
import { Recorder, sumOf } from './record.mjs';
import { Centrifuge, OPTIONS } from './lib/client.mjs';
import { Faults } from './lib/faults.mjs';
import { FaultProxy } from './lib/proxy.mjs';
import { Random } from './lib/random.mjs';
import { channelsOf, noticeMs } from './lib/settings.mjs';

const WORKERS = 2;
const ASK_MS = 60000;
const MARK_ROUNDS_MAX = 8;
const PAGE_ITEMS = 100;
/*
 * After the last fault: so that histories which a crash empties have something in them again. A slow
 * machine needs longer for as much.
 */
const CALM_MS = 4000;
const CALM_ACKS = 400;
const CALM_MAX_MS = 60000;
const HERE = path.dirname(fileURLToPath(import.meta.url));

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    seed: { type: 'string', default: '1' },
    clients: { type: 'string', default: '200' },
    channels: { type: 'string', default: '20' },
    rooms: { type: 'string', default: '3' },
    rate: { type: 'string', default: '150' },
    reactors: { type: 'string', default: '2' },
    backend: { type: 'string' },
    config: { type: 'string', default: path.join(HERE, 'configs/plain.json') },
    parleyd: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const numbers = Object.fromEntries(['seconds', 'seed', 'clients', 'channels', 'rooms', 'rate', 'reactors']
  .map((name) => [name, Number(values[name])]));
for (const [name, value] of Object.entries(numbers)) {
  if (!Number.isInteger(value) || value < 0 || (value === 0 && name !== 'seed')) {
    process.stderr.write(`run.mjs: --${name} is a number\n`);
    process.exit(2);
  }
}

const name = `${path.basename(values.config, '.json')}-${values.backend ?? 'auto'}-${numbers.seed}`;
const artefacts = path.join(ROOT, 'build', 'artefacts', 'chaos', name);
settings.parleyd = path.resolve(values.parleyd ?? settings.parleyd);
settings.artefacts = artefacts;

/* One question at a time, one answer each. */
class Worker {
  constructor(index) {
    this.index = index;
    this.file = path.join(artefacts, `worker-${index}.jsonl`);
    this.child = fork(path.join(HERE, 'worker.mjs'), { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.queue = Promise.resolve();
    this.gone = new Promise((_, reject) => {
      this.child.once('exit', (code, signal) => reject(new Error(`worker ${index} ended: ${code ?? signal}`)));
    });
    this.gone.catch(() => {});
  }

  ask(action, options = {}) {
    const answer = this.queue.then(() => within(Promise.race([this.gone, new Promise((resolve, reject) => {
      this.child.once('message', (message) => (message.error ? reject(new Error(message.error)) : resolve(message)));
      this.child.send({ do: action, ...options });
    })]), `worker ${this.index} to ${action}`, ASK_MS));
    this.queue = answer.catch(() => {});
    return answer;
  }
}

function say(text) {
  process.stdout.write(`${text}\n`);
}

async function askAll(workers, action, options) {
  return Promise.all(workers.map((worker) => worker.ask(action, options)));
}

/*
 * Everybody is there and has everything: one more message to each channel has reached all of its
 * subscribers. What is missing after the last round, the checker will say; here it is only named.
 */
async function settle(workers, channels) {
  let missing = [];
  for (let round = 0; round < MARK_ROUNDS_MAX; round += 1) {
    missing = (await askAll(workers, 'joined')).flatMap((one) => one.missing);
    if (missing.length > 0) {
      return missing.map((text) => `not joined: ${text}`);
    }
    const { keys } = await workers[0].ask('mark', { channels });
    missing = (await askAll(workers, 'marked', { keys, ms: 3000 })).flatMap((one) => one.missing);
    if (missing.length === 0 && Object.values(keys).every((key) => key !== null)) {
      return [];
    }
  }
  return missing.map((text) => `without the last message: ${text}`);
}

async function readHistory(reader, channel, recorder) {
  let since;
  for (;;) {
    const page = await reader.history(channel, { limit: PAGE_ITEMS, ...(since === undefined ? {} : { since }) });
    const items = page.publications.map(({ offset, data }) => [offset, data?.key, sumOf(String(data?.body))]);
    /* A page may be shorter than asked: what one answer may carry is limited in bytes, too. */
    const end = items.length === 0 || items.at(-1)[0] >= page.offset;
    recorder.write('history', { channel, epoch: page.epoch, top: page.offset, items, end });
    if (end) {
      return;
    }
    since = { offset: items.at(-1)[0], epoch: page.epoch };
  }
}

/* Presence and histories, by a client that is in no channel and was not there before. */
async function readOut(server, channels, recorder) {
  const reader = new Centrifuge(server.url, OPTIONS);
  reader.on('error', () => {});
  reader.connect();
  try {
    await reader.ready(10000);
    for (const { channel, presence, historySize } of channels) {
      if (presence) {
        const { clients } = await reader.presence(channel);
        recorder.write('presence', { channel, connections: Object.keys(clients) });
      }
      if (historySize > 0) {
        await readHistory(reader, channel, recorder);
      }
    }
  } finally {
    reader.disconnect();
  }
}

/* Where it does not come about, the checker will say of what there is too little. */
async function calm(workers) {
  const count = async () => (await askAll(workers, 'acked')).reduce((sum, { acks }) => sum + acks, 0);
  const wanted = Math.max(await count() + CALM_ACKS, minimums().acks);
  await sleep(CALM_MS);
  await until(async () => await count() >= wanted, `${CALM_ACKS} acknowledgements`, CALM_MAX_MS).catch(() => {});
}

function readConfig() {
  const config = JSON.parse(fs.readFileSync(values.config, 'utf8'));
  if (config.store !== undefined) {
    config.store.path ??= path.join(artefacts, 'store');
  }
  return config;
}

async function run(parts) {
  const { workers, server, recorder, config, channels } = parts;
  const names = channels.map((one) => one.channel);
  channels.forEach((one) => recorder.write('channel', one));
  const { seed } = numbers;
  const random = new Random(~seed);
  parts.proxy = await FaultProxy.open(server.port);
  await Promise.all(workers.map((worker) => worker.ask('start', {
    index: worker.index, url: `ws://127.0.0.1:${parts.proxy.port}/connection/websocket`, file: worker.file,
    seed: numbers.seed, clients: Math.ceil(numbers.clients / WORKERS), rooms: numbers.rooms,
    rate: numbers.rate / WORKERS, bodyMax: 4000, channels,
  })));
  const lost = (await askAll(workers, 'joined')).flatMap((one) => one.missing);
  if (lost.length > 0) {
    return [`before any fault, not joined: ${lost.slice(0, 5).join('; ')}`];
  }
  const burst = (options) => random.pick(workers).ask('burst', { channel: random.pick(names), ...options })
    .catch((error) => faults.notes.push(error.message));
  const faults = new Faults({ server, proxy: parts.proxy, seed, random, recorder, burst });
  await faults.run(numbers.seconds, 2 * minimums().faults);
  faults.heal();
  if (faults.died !== undefined) {
    return [faults.died];
  }
  await calm(workers);
  await askAll(workers, 'quiet');
  await sleep(noticeMs(config) + 500);
  const problems = [...faults.notes, ...await settle(workers, names)];
  recorder.write('fault', { fault: 'rest' });
  await readOut(server, channels, recorder);
  const codes = {};
  (await askAll(workers, 'close')).flatMap((one) => Object.entries(one.codes))
    .forEach(([code, count]) => { codes[code] = (codes[code] ?? 0) + count; });
  say(`ends of connections and subscriptions by code: ${JSON.stringify(codes)}`);
  const result = await server.stop('SIGTERM');
  return result.status === 0 ? problems : [...problems, `the last SIGTERM: ${JSON.stringify(result)}`];
}

/* What so many seconds must at least have had. */
function minimums() {
  const { seconds, clients, rate } = numbers;
  return {
    acks: Math.floor((seconds * rate) / 10),
    receives: Math.floor((seconds * rate * clients) / 100),
    reconnects: clients,
    faults: Math.floor(seconds / 3),
    kills: Math.floor(seconds / 30),
    subscriptionsAtRest: clients,
  };
}

async function main() {
  fs.rmSync(artefacts, { recursive: true, force: true });
  fs.mkdirSync(artefacts, { recursive: true });
  const config = readConfig();
  const channels = channelsOf(config, numbers.channels);
  const command = `node tests/chaos/run.mjs ${process.argv.slice(2).join(' ')}`;
  fs.writeFileSync(path.join(artefacts, 'command.txt'), `${command}\n`);
  say(`chaos ${name}: ${JSON.stringify(numbers)}`);
  const recorder = new Recorder(path.join(artefacts, 'driver.jsonl'));
  const server = await Server.start({
    ...(values.backend === undefined ? {} : { backend: values.backend }), reactors: numbers.reactors, config,
  });
  const workers = Array.from({ length: WORKERS }, (_, index) => new Worker(index));
  const parts = { workers, server, recorder, config, channels, proxy: null };
  let problems;
  try {
    problems = await run(parts);
  } catch (error) {
    problems = [error.stack];
    await Promise.allSettled(workers.map((worker) => worker.ask('flush')));
  }
  recorder.close();
  parts.proxy?.close();
  workers.forEach((worker) => worker.child.kill('SIGKILL'));
  const files = [recorder.file, ...workers.map((worker) => worker.file)].filter((file) => fs.existsSync(file));
  const result = checkFiles(files, minimums());
  say(reportOf(result, files) + problems.slice(0, 20).map((text) => `problem: ${text}\n`).join(''));
  const isGood = result.ok && problems.length === 0;
  if (isGood && !values.keep) {
    fs.rmSync(artefacts, { recursive: true, force: true });
  } else {
    say(`records, logs and the command: ${artefacts}`);
  }
  say(`${isGood ? 1 : 0} passed, ${isGood ? 0 : 1} failed, 0 skipped`);
  return isGood ? 0 : 1;
}

process.on('exit', killAll);
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => process.exit(1));
}
process.exit(await main());
