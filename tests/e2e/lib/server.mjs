// SPDX-License-Identifier: Apache-2.0
/*
 * Starts parleyd for a test, watches it, and ends it by its process id. What it says on standard
 * error goes to a file among the artefacts.
 */
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { fetchMetrics } from './metrics.mjs';
import { PATIENCE_MS, until, within } from './wait.mjs';

export const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
export const ARTEFACTS = path.join(ROOT, 'build', 'artefacts', 'e2e');

const running = new Set();
let logCount = 0;

/* This process among those that run tests, see workers.mjs. */
const WORKER = Number(process.env.PARLEY_E2E_WORKER ?? 0);
const WORKERS = Number(process.env.PARLEY_E2E_WORKERS ?? 1);

export const settings = {
  parleyd: process.env.PARLEYD ?? path.join(ROOT, 'build/release/parleyd'),
  artefacts: WORKERS === 1 ? ARTEFACTS : path.join(ARTEFACTS, `worker-${WORKER}`),
};

/*
 * Below the ports that the kernel gives to outgoing connections, so that none of them is in the way,
 * and none that another worker looks at: it is free from here until parleyd has it. None is given twice
 * before all were: servers that start together, or again, would share one (SO_REUSEPORT).
 */
const PORT_COUNT = Math.floor(10000 / WORKERS);
let lastPort = Math.floor(Math.random() * PORT_COUNT);

async function findPort() {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    lastPort = (lastPort + 1) % PORT_COUNT;
    const port = 20000 + WORKER * PORT_COUNT + lastPort;
    const probe = net.createServer();
    const isFree = await new Promise((resolve) => {
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (isFree) {
      await new Promise((resolve) => probe.close(resolve));
      return port;
    }
  }
  throw new Error('no free port');
}

export async function findPorts() {
  return { port: await findPort(), internalPort: await findPort() };
}

export function writeConfig(name, text) {
  fs.mkdirSync(settings.artefacts, { recursive: true });
  const file = path.join(settings.artefacts, name);
  fs.writeFileSync(file, text);
  return file;
}

/* Runs parleyd to its end: for --help and the like. */
export function runParleyd(args, { ms = PATIENCE_MS, command = [] } = {}) {
  const [program, ...rest] = [...command, settings.parleyd, ...args];
  const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
  const result = { stdout: '', stderr: '' };
  child.stdout.on('data', (data) => { result.stdout += data; });
  child.stderr.on('data', (data) => { result.stderr += data; });
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve({ ...result, status, signal }));
  });
  return within(ended, `parleyd ${args.join(' ')} to end`, ms).finally(() => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
    }
  });
}

/* io_uring may be switched off in the kernel: then one back end is all that can be tested. */
export async function findBackends() {
  const { stdout } = await runParleyd(['--version']);
  return /back end (io_)?uring/.test(stdout) ? ['uring', 'epoll'] : ['epoll'];
}

/*
 * Seconds of processor time of all threads of a process so far; and of those of its children, and of
 * theirs, that have ended.
 */
export function cpuSecondsOf(pid, { andChildren = false } = {}) {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ');
  return fields.slice(11, andChildren ? 15 : 13).reduce((sum, ticks) => sum + ticks / 100, 0);
}

export class Server {
  /*
   * options: backend, reactors, echo, args (further flags), config (an object: written as JSON,
   * which is YAML), command (what runs it, such as ['strace', ...]), ports.
   */
  static async start(options = {}) {
    const server = new Server(options);
    server.ports = options.ports ?? await findPorts();
    await server.#spawn();
    return server;
  }

  constructor(options) {
    this.options = options;
  }

  get port() {
    return this.ports.port;
  }

  get internalPort() {
    return this.ports.internalPort;
  }

  get pid() {
    return this.child.pid;
  }

  get url() {
    return `ws://127.0.0.1:${this.port}/connection/websocket`;
  }

  get echoUrl() {
    return `ws://127.0.0.1:${this.port}/echo`;
  }

  get scheme() {
    return this.options.config?.http_server?.tls?.enabled ? 'https' : 'http';
  }

  get page() {
    return `${this.scheme}://127.0.0.1:${this.port}/`;
  }

  #args() {
    const { backend, reactors, echo, args = [], config } = this.options;
    const list = ['--listen', `127.0.0.1:${this.port}`,
      '--internal-listen', `127.0.0.1:${this.internalPort}`];
    if (backend !== undefined) {
      list.push('--backend', backend);
    }
    if (reactors !== undefined) {
      list.push('--reactors', String(reactors));
    }
    if (echo) {
      list.push('--echo');
    }
    if (config !== undefined) {
      list.push('--config', this.#writeConfig(config));
    }
    return [...list, ...args];
  }

  #writeConfig(config) {
    /* No load balancer has to notice that it ends, unless the test is about that. */
    const whole = { ...config, shutdown: { grace: '0s', ...config.shutdown } };
    return writeConfig(`config-${this.port}.json`, JSON.stringify(whole));
  }

  async #spawn() {
    fs.mkdirSync(settings.artefacts, { recursive: true });
    logCount += 1;
    this.logFile = path.join(settings.artefacts, `parleyd-${logCount}.log`);
    const log = fs.openSync(this.logFile, 'w');
    const [program, ...rest] = [...(this.options.command ?? []), settings.parleyd, ...this.#args()];
    this.child = spawn(program, rest, { stdio: ['ignore', 'pipe', log] });
    fs.closeSync(log);
    running.add(this);
    this.stdout = '';
    this.exited = new Promise((resolve) => {
      this.child.once('error', (error) => resolve({ error }));
      this.child.once('close', (status, signal) => {
        running.delete(this);
        resolve({ status, signal });
      });
    });
    this.child.stdout.on('data', (data) => { this.stdout += data; });
    let end = null;
    this.exited.then((result) => { end = result; });
    try {
      await until(() => {
        if (end !== null) {
          throw new Error(`parleyd did not start: ${JSON.stringify(end)}\n${this.log()}`);
        }
        return /chat page: https?:/.test(this.stdout);
      }, 'parleyd to start');
    } catch (error) {
      this.child.kill('SIGKILL');
      throw error;
    }
  }

  log() {
    return fs.readFileSync(this.logFile, 'utf8');
  }

  kill(signal) {
    this.child.kill(signal);
  }

  /* A whole stop, as a service manager does it. Returns {status, signal}. */
  async stop(signal = 'SIGTERM') {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.kill(signal);
    }
    try {
      return await within(this.exited, `parleyd to exit after ${signal}`);
    } catch (error) {
      this.child.kill('SIGKILL');
      throw new Error(`${error.message}\n${this.log().slice(-2000)}`);
    }
  }

  /*
   * The same ports again, after stop(). The kernel may need a moment to close what a process that was
   * killed had given to io_uring.
   */
  async restart() {
    await until(() => this.#spawn().then(() => true, (error) => {
      if (!/in use/.test(error.message)) {
        throw error;
      }
      return false;
    }), 'its ports to be free');
  }

  /* Another configuration, by SIGHUP; until all of it is taken. */
  async reload(config) {
    const name = 'parley_reloads_total{outcome="done"}';
    const before = (await this.metrics()).value(name);
    this.#writeConfig(config);
    this.kill('SIGHUP');
    await this.untilMetric(name, (value) => value === before + 1, 'a reload');
  }

  metrics() {
    return fetchMetrics(this.internalPort);
  }

  /* Sees that a metric gets to be what `check` wants. */
  untilMetric(name, check, what = 'the right value') {
    return until(async () => {
      const value = (await this.metrics()).value(name);
      return check(value) ? { value } : null;
    }, `${name} to have ${what}`);
  }

  #status(key) {
    const text = fs.readFileSync(`/proc/${this.pid}/status`, 'utf8');
    return Number(text.match(new RegExp(`^${key}:\\s+(\\d+)`, 'm'))[1]);
  }

  get rssBytes() {
    return this.#status('VmRSS') * 1024;
  }

  get threadCount() {
    return this.#status('Threads');
  }

  get cpuSeconds() {
    return cpuSecondsOf(this.pid);
  }
}

/* When the tests end early: nothing of ours stays. */
export function killAll() {
  running.forEach((server) => server.child.kill('SIGKILL'));
}
