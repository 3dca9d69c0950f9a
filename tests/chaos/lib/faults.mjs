// SPDX-License-Identifier: Apache-2.0
/*
 * What goes wrong in a run, and when: all of it from the seed. Each fault is written down as it happens.
 *
 * The order of faults has numbers of its own. How many a fault itself takes depends on how many links there are,
 * and with that a run of some seconds could come out without a kill, or anything that a planted fault shows by.
 */
import { sleep, within } from '../../e2e/lib/wait.mjs';
import { Random } from './random.mjs';

const WEIGHTS = { reset: 30, 'half-open': 15, slow: 20, stop: 12, kill: 15, term: 8 };
const PAUSE_MS = [50, 900];
const BURST = { count: 120, size: 8000 };

export class Faults {
  /* parts: server, proxy, seed, random, recorder, burst(channel options) */
  constructor({ seed, ...parts }) {
    Object.assign(this, parts);
    this.order = new Random(seed);
    this.timers = new Set();
    this.isServerAway = false;
    this.notes = [];
    this.#watch();
  }

  /* The server ends when it is told to, and never else. */
  #watch() {
    const { child } = this.server;
    this.server.exited.then((result) => {
      if (!this.isServerAway && this.server.child === child) {
        this.died = `parleyd ended by itself: ${JSON.stringify(result)}\n${this.server.log().slice(-3000)}`;
      }
    });
  }

  write(fault, fields = {}) {
    this.recorder.write('fault', { fault, ...fields });
  }

  /* For so long, and until there were `least`: on a slow machine each takes longer. */
  async run(seconds, least) {
    const end = Date.now() + seconds * 1000;
    for (let count = 0; (Date.now() < end || count < least) && this.died === undefined; count += 1) {
      await sleep(this.order.between(...PAUSE_MS));
      await this[this.order.weighted(WEIGHTS)]();
    }
  }

  /* Some of the links: mostly few, sometimes many. */
  #some() {
    const share = this.random.chance(0.2) ? 0.5 : 0.05;
    return this.proxy.links.filter(() => this.random.chance(share));
  }

  reset() {
    const links = this.#some();
    this.write('reset', { links: links.length });
    links.forEach((link) => link.reset());
  }

  ['half-open']() {
    const links = this.#some();
    this.write('half-open', { links: links.length });
    links.forEach((link) => link.halve(this.random.pick(['client', 'server'])));
  }

  slow() {
    const links = this.#some();
    this.write('slow', { links: links.length });
    links.forEach((link) => link.slow());
    if (this.random.chance(0.4)) {
      this.burst(BURST);
    }
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      links.forEach((link) => link.resume());
    }, this.random.between(200, 4000));
    this.timers.add(timer);
  }

  async stop() {
    this.write('stop', { phase: 'begin' });
    this.server.kill('SIGSTOP');
    await sleep(this.random.chance(0.3) ? this.random.between(2000, 4000) : this.random.between(20, 600));
    this.server.kill('SIGCONT');
    this.write('stop', { phase: 'end' });
  }

  async #end(fault, signal, isRight) {
    this.write(fault, { phase: 'begin' });
    this.isServerAway = true;
    this.server.kill(signal);
    const result = await within(this.server.exited, `parleyd to end after ${signal}`);
    this.write(fault, { phase: 'end' });
    if (!isRight(result)) {
      this.notes.push(`${signal} ended parleyd with ${JSON.stringify(result)}`);
    }
    await sleep(this.random.between(0, 400));
    await this.server.restart();
    this.isServerAway = false;
    this.#watch();
  }

  kill() {
    return this.#end('kill', 'SIGKILL', ({ signal }) => signal === 'SIGKILL');
  }

  term() {
    return this.#end('term', 'SIGTERM', ({ status }) => status === 0);
  }

  /* Nothing goes wrong from here on. */
  heal() {
    this.timers.forEach((timer) => clearTimeout(timer));
    this.timers.clear();
    this.proxy.heal();
  }
}
