// SPDX-License-Identifier: Apache-2.0
/*
 * A control group with little memory, below our own, for a server that is to run out of it. Of
 * version 1 or 2, as this machine has it; it goes when this process does.
 */
import fs from 'node:fs';
import path from 'node:path';

const ROOT = '/sys/fs/cgroup';
const GONE_MS = 2000; /* for processes that were killed to be gone */

/* Where the groups of version 1 and 2 are, and their files. */
function ours() {
  const lines = fs.readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n')
    .map((line) => line.match(/^\d+:([^:]*):(.*)$/));
  const old = lines.find(([, controllers]) => controllers.split(',').includes('memory'));
  return old === undefined
    ? { folder: path.join(ROOT, lines.find(([, none]) => none === '')[2]),
      limit: 'memory.max', used: 'memory.current', events: 'memory.events' }
    : { folder: path.join(ROOT, 'memory', old[2]), limit: 'memory.limit_in_bytes',
      used: 'memory.usage_in_bytes', events: 'memory.oom_control' };
}

let count = 0;
const made = [];

export class MemoryGroup {
  /* null: this machine, or whoever we are here, has no such group to give. */
  static make(limit) {
    const files = ours();
    const folder = path.join(files.folder, `parley-${process.pid}-${count}`);
    try {
      fs.mkdirSync(folder);
    } catch {
      return null;
    }
    count += 1;
    const group = Object.assign(new MemoryGroup(), { files, folder, limit });
    if (made.push(group) === 1) {
      process.on('exit', () => made.forEach((one) => one.#remove()));
    }
    try {
      /* Without O_CREAT: version 2 has the file only where the group above lets it have one. */
      fs.writeFileSync(path.join(folder, files.limit), String(limit), { flag: 'r+' });
    } catch {
      return null;
    }
    return group;
  }

  /* What a program and its arguments stand behind in order to run in it. */
  get command() {
    return ['sh', '-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', this.folder];
  }

  #read(file) {
    return fs.readFileSync(path.join(this.folder, file), 'utf8');
  }

  get usedBytes() {
    return Number(this.#read(this.files.used));
  }

  get oomKills() {
    return Number(this.#read(this.files.events).match(/^oom_kill (\d+)/m)[1]);
  }

  #remove() {
    for (const end = Date.now() + GONE_MS; Date.now() < end;) {
      try {
        fs.rmdirSync(this.folder);
        return;
      } catch (error) {
        if (error.code !== 'EBUSY') {
          return;
        }
      }
    }
  }
}
