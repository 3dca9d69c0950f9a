// SPDX-License-Identifier: Apache-2.0
/*
 * A server in a control group of memory, of which five times as much is asked as there is.
 */
import assert from 'node:assert/strict';

import { CHAT, RawChat } from '../../e2e/lib/chat.mjs';
import { CLOSE, FrameClient, TEXT, frame } from '../../e2e/lib/frames.mjs';
import { UPGRADE, Wire, head } from '../../e2e/lib/http.mjs';
import { sleep, until } from '../../e2e/lib/wait.mjs';
import { MEMORY, QUEUE } from '../configurations.mjs';

const TIMES = 5;
const LOAD_MS = 3000; /* all keep asking for so long */
const HOLD_MS = 500; /* nothing is read */
const LARGE = 50000; /* bytes of a message */
const PAGES = Math.ceil(QUEUE / LARGE) + 5; /* more than a queue; each has one of those */
const CHANNELS = 50;
const kept = (number) => `kept:${number % CHANNELS}`;

/* Histories hold all that they may. */
async function fill(server) {
  const writer = await RawChat.connect(server);
  const evicted = async () => (await server.metrics()).value('parley_history_evicted_total');
  const before = await evicted();
  const data = 'f'.repeat(LARGE);
  while (await evicted() === before) {
    for (let i = 1; i <= CHANNELS; i += 1) {
      writer.say({ id: i, publish: { channel: kept(i), data } });
    }
    for (let i = 1; i <= CHANNELS; i += 1) {
      assert.ok((await writer.next()).publish);
    }
  }
  writer.destroy();
}

class Load {
  constructor(server) {
    this.server = server;
    this.isOver = false;
    this.seen = new Map(); /* status or code that somebody was told: how often */
    this.chats = new Set();
  }

  count(what) {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  /* null: this is no time for somebody new. */
  async connect() {
    const wire = await Wire.open(this.server.port);
    wire.write(head('GET', CHAT, UPGRADE));
    const { status } = await wire.response();
    if (status !== 101) {
      this.count(status);
      wire.destroy();
      return null;
    }
    const chat = RawChat.over(Object.assign(new FrameClient(), { wire }));
    this.chats.add(chat);
    chat.say({ id: 1, connect: {} });
    return chat;
  }

  /* Asks for more than its queue, says half of a message, and reads nothing until later. */
  async hoard(chat, number) {
    chat.frames.answersPings = false; /* that would be in the middle of the message */
    chat.frames.wire.socket.pause();
    chat.say(...Array.from({ length: PAGES }, (_, i) => (
      { id: 2 + i, history: { channel: kept(number + i), limit: 100 } })));
    chat.frames.wire.write(frame(TEXT, 'h'.repeat(60000)).subarray(0, LARGE));
    await this.#readLate(chat, (start) => start.includes(`"id":${PAGES + 1},`));
  }

  /* In a channel where much is said, and reads nothing until later. */
  async watch(chat) {
    chat.frames.wire.socket.pause();
    chat.say({ id: 2, subscribe: { channel: 'news:all' } });
    await this.#readLate(chat, () => false);
  }

  async #readLate(chat, isEnough) {
    await sleep(HOLD_MS);
    chat.frames.wire.socket.resume();
    for (let start = ''; !isEnough(start);) {
      const { opcode, payload } = await chat.frames.next('what waits for it');
      if (opcode === CLOSE) {
        this.count(payload.readUInt16BE(0));
        return;
      }
      start = payload.subarray(0, 20).toString('latin1');
    }
  }

  /* Is there, and asks for new channels all the time. */
  async ask(chat, number) {
    const channels = Array.from({ length: 40 }, (_, i) => `new-${number}-${i}`);
    for (;;) {
      chat.say(...channels.map((channel, i) => ({ id: 10 + i, subscribe: { channel } })));
      chat.say(...channels.map((channel, i) => ({ id: 100 + i, unsubscribe: { channel } })));
      for (let last = 0; last < 100 + channels.length - 1;) {
        const { id, error } = await chat.next();
        if (id < 100 && error !== undefined) {
          this.count(error.code);
        }
        last = id;
      }
    }
  }

  async speak(chat) {
    for (;;) {
      await chat.publish('news:all', 'n'.repeat(LARGE));
    }
  }

  /* Comes again whenever it was cut off, which some of all this brings about. */
  async keepOn(act) {
    while (!this.isOver) {
      const chat = await this.connect().catch(() => null); /* reset while it dialled */
      if (chat !== null) {
        await act(chat).catch(() => {});
        chat.destroy();
        this.chats.delete(chat);
      }
      await sleep(20);
    }
  }

  end() {
    this.isOver = true;
    this.chats.forEach((chat) => chat.destroy());
  }
}

async function tooMuch(server) {
  const { group } = server.options;
  if (group === null) {
    return { skipped: 'no control group of memory can be made here' };
  }
  await fill(server);
  const load = new Load(server);
  const clients = Array.from({ length: TIMES * MEMORY / QUEUE }, (_, number) => load.keepOn(
    (chat) => (number % 2 === 0 ? load.watch(chat) : load.hoard(chat, number))));
  clients.push(load.keepOn((chat) => load.speak(chat)));
  clients.push(...[1, 2].map((number) => load.keepOn((chat) => load.ask(chat, number))));
  await sleep(LOAD_MS);
  await until(() => [503, 106, 3008].every((what) => load.seen.has(what)),
    'somebody to be told each of it').catch(({ message }) => {
    assert.fail(`${message}: ${[...load.seen].join(' ')}`);
  });
  load.end();
  await Promise.all(clients);
  assert.equal(group.oomKills, 0);
  const late = await until(() => load.connect(), 'who is new to be let in again');
  assert.ok((await late.next()).connect);
  await until(async () => (await late.ask({ subscribe: { channel: 'late' } })).subscribe,
    'new subscriptions');
  return undefined;
}

export const ROWS = [
  { row: 43, name: 'five times as much as there is memory', attack: tooMuch,
    /* It had all of its budget in use, and keeps what it has below that: the group is the bound. */
    options: { server: 'memory', growth: MEMORY,
      rejected: { overload_connection: 10, overload_subscription: 1, overload_queue: 10 } } },
];
