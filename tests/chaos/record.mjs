// SPDX-License-Identifier: Apache-2.0
/*
 * What the clients of a run, and its driver, write down: JSON Lines, one object a line, which
 * check.mjs reads. Whoever can write lines can be checked: parley-bench too.
 *
 * Every line has
 *   t       nanoseconds of CLOCK_MONOTONIC, which is one clock for all processes of a machine until it
 *           is booted again. So lines of several processes of one machine are compared as they are; the
 *           first line of a file names the boot, and files of two boots are refused. Within a file t
 *           never falls. It is taken before a publish is handed to the socket, and when an answer or a
 *           publication is handed to the application: what is said to be earlier was earlier.
 *   kind    one of these, with their fields:
 *
 *   clock         boot, pid                            the first line of each file
 *   channel       channel, historySize, historyTtlMs, recovery, presence, durability (none, memory,
 *                 process, power), idempotency         what the server was told to hold, before its use
 *   publish       client, channel, key, sum, attempt; stream and seq where the messages of one connection
 *                 in one channel are numbered from 1; idempotent: true where the key was sent along
 *   ack           client, channel, key, attempt; offset and epoch where the answer has them
 *   nack          client, channel, key, attempt, code  an error of the server
 *   unknown       client, channel, key, attempt        no answer, and none will come
 *   connected     client, connection                   the id that the server gave
 *   disconnected  client, code                         each end of a connection, wanted or not
 *   subscribed    client, channel, recovered, wasRecovering; offset and epoch as answered
 *   unsubscribed  client, channel, code                each end of a subscription's life
 *   receive       client, channel, key, sum, via (live, recovery); offset and epoch
 *   presence      channel, connections                 a snapshot at rest
 *   history       channel, epoch, top, items, end      a page of the read-out at rest: items are
 *                                                      [offset, key, sum], end: true on the last page
 *   fault         fault, phase                         kill, term, store-kill, stop, reset, half-open, slow; and
 *                                                      rest: from here on nothing is published
 *
 * `key` is the unique id of a message, `sum` stands for its body, `attempt` numbers the times that a key
 * was sent, from 1. A subscription lives from `subscribed` to `unsubscribed` (of the same client and channel).
 */
import fs from 'node:fs';

const BUFFER_BYTES_MAX = 1 << 16;

export const KINDS = ['clock', 'channel', 'publish', 'ack', 'nack', 'unknown', 'connected', 'disconnected',
  'subscribed', 'unsubscribed', 'receive', 'presence', 'history', 'fault'];

export function now() {
  return Number(process.hrtime.bigint());
}

/* FNV-1a, 32 bits: enough to see that a body is another one. */
export function sumOf(text) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  }
  return hash >>> 0;
}

function bootId() {
  return fs.readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}

/*
 * A file of lines. Writing blocks when the buffer is full, so that memory is bounded; what is in the
 * buffer is lost when the process is killed, and then the run is not worth checking.
 */
export class Recorder {
  #lines = [];
  #bytes = 0;
  #fd;

  constructor(file) {
    this.file = file;
    this.#fd = fs.openSync(file, 'w');
    this.write('clock', { boot: bootId(), pid: process.pid });
  }

  write(kind, fields, t = now()) {
    const line = `${JSON.stringify({ t, kind, ...fields })}\n`;
    this.#lines.push(line);
    this.#bytes += line.length;
    if (this.#bytes >= BUFFER_BYTES_MAX) {
      this.flush();
    }
  }

  flush() {
    const bytes = Buffer.from(this.#lines.join(''), 'utf8');
    this.#lines = [];
    this.#bytes = 0;
    for (let at = 0; at < bytes.length;) {
      at += fs.writeSync(this.#fd, bytes, at);
    }
  }

  close() {
    this.flush();
    fs.closeSync(this.#fd);
  }
}
