// SPDX-License-Identifier: Apache-2.0
/*
 * Who uses the processors: we, or others who have nothing to do with the attack.
 *
 * A server that is attacked needs time, and on a machine that others keep busy the scheduler lets
 * it wait for that longer than a server which hardly needs any: then a late answer proves nothing.
 */
import fs from 'node:fs';

import { cpuSecondsOf } from '../e2e/lib/server.mjs';

const ALONE_MAX = 0.25; /* of all processors: above, others are in the way */

/*
 * Seconds: { busy, all } of all processors, { ours } of this process, of programs that it started
 * and that have ended, and of the servers. What a hypervisor took for others (steal) is busy as well.
 */
function look(servers) {
  const [line] = fs.readFileSync('/proc/stat', 'utf8').split('\n', 1);
  /* proc_stat(5); what is done in interrupts is done for us as well, and nobody knows how much of it */
  const seconds = line.split(/ +/).slice(1, 9).map((ticks) => ticks / 100);
  const [user, nice, system, , , , , steal] = seconds;
  const sum = { all: seconds.reduce((a, b) => a + b, 0), busy: user + nice + system + steal };
  const ours = servers.reduce((total, server) => total + server.cpuSeconds,
    cpuSecondsOf(process.pid, { andChildren: true }));
  return { ...sum, ours };
}

export class Machine {
  constructor(servers) {
    this.servers = servers;
    this.before = look(servers);
  }

  /* Which part of all processors others took since the beginning, and whether that is too much. */
  get others() {
    const [a, b] = [this.before, look(this.servers)];
    const part = Math.max(0, b.busy - a.busy - (b.ours - a.ours)) / Math.max(b.all - a.all, 0.01);
    return { percent: Math.round(100 * part), areInTheWay: part > ALONE_MAX };
  }
}
