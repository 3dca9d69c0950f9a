#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
/*
 * A small server that stands in for parleyd, so that the driver and the checker are tried on history,
 * recovery, presence and idempotent publishes from end to end, and on a server that does wrong. It keeps
 * everything in one thread; durable channels are a file that is appended to before anybody is told.
 *
 * usage: node run.mjs --parleyd model_server.mjs --config configs/durable.json
 *
 * PARLEY_PLANT names one fault: ack-before-store, no-gap-check, lose-last, same-epoch, repeat-twice, ghost.
 */
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(new URL('../e2e/package.json', import.meta.url));
const { WebSocketServer } = require('ws');

const RECOVERY_MAX = 300;
const PLANT = process.env.PARLEY_PLANT ?? '';
const argument = (name) => process.argv[process.argv.indexOf(name) + 1];
const config = JSON.parse(fs.readFileSync(argument('--config'), 'utf8'));
const [host, port] = argument('--listen').split(':');
const sessions = new Set();
const channels = new Map();
let planted = 0;

const random = () => Math.random().toString(36).slice(2, 12);

class Channel {
  constructor(name) {
    this.name = name;
    this.options = config.channel.namespaces.find((one) => name.startsWith(`${one.name}:`)) ?? {};
    this.epoch = PLANT === 'same-epoch' ? 'always' : random();
    this.log = [];
    this.results = new Map();
    this.members = new Set();
    if (['process', 'power'].includes(this.options.durability)) {
      this.#open();
    }
  }

  #open() {
    fs.mkdirSync(config.store.path, { recursive: true });
    this.file = path.join(config.store.path, encodeURIComponent(this.name));
    const [epoch, ...lines] = fs.existsSync(this.file) ? fs.readFileSync(this.file, 'utf8').split('\n') : [''];
    if (epoch === '') {
      fs.writeFileSync(this.file, `${this.epoch}\n`);
      return;
    }
    this.epoch = epoch;
    for (const line of lines.slice(0, -1)) {
      this.#append(JSON.parse(line));
    }
  }

  #append({ data, key }) {
    this.log.push({ data, offset: this.log.length + 1 });
    if (key !== undefined) {
      this.results.set(key, { offset: this.log.length, body: JSON.stringify(data) });
    }
  }

  get hasHistory() {
    return this.options.history_size > 0;
  }

  get kept() {
    return this.log.slice(-(this.options.history_size ?? 1));
  }

  /* {error} or the position. */
  publish(data, key) {
    const known = key === undefined ? undefined : this.results.get(key);
    if (known !== undefined && known.body !== JSON.stringify(data)) {
      return { error: { code: 107, message: 'bad request' } };
    }
    if (known !== undefined && !(PLANT === 'repeat-twice' && planted++ % 10 === 0)) {
      return { offset: known.offset, epoch: this.epoch };
    }
    const record = `${JSON.stringify({ data, key })}\n`;
    if (this.file !== undefined && PLANT === 'ack-before-store') {
      setTimeout(() => fs.appendFileSync(this.file, record), 300);
    } else if (this.file !== undefined) {
      fs.appendFileSync(this.file, record);
    }
    this.#append({ data, key });
    const { offset } = this.log.at(-1);
    const push = { channel: this.name, pub: this.hasHistory ? { data, offset } : { data } };
    this.members.forEach((session) => session.say({ push }));
    return this.hasHistory ? { offset, epoch: this.epoch } : {};
  }

  subscribe(session, { recover = false, epoch = '', offset = 0 }) {
    this.members.add(session);
    if (!this.hasHistory) {
      return {};
    }
    const top = this.log.length;
    /* The plant has a history that has lost everything: how long a client was away is chance. */
    const kept = PLANT === 'no-gap-check' ? [] : this.kept;
    const missed = kept.filter((one) => one.offset > offset);
    const isWhole = missed.length === top - offset || PLANT === 'no-gap-check';
    const recovered = recover && epoch === this.epoch && offset <= top && isWhole && missed.length <= RECOVERY_MAX;
    const publications = recovered && PLANT === 'lose-last' && missed.length > 1 ? missed.slice(0, -1) : missed;
    return {
      recoverable: true, epoch: this.epoch, was_recovering: recover, recovered,
      offset: recovered ? offset : top, ...(recovered ? { publications } : {}),
    };
  }

  history({ limit = 0, since }) {
    const from = this.kept.filter((one) => since === undefined || one.offset > (since.offset ?? 0));
    return { publications: from.slice(0, Math.min(limit, RECOVERY_MAX)), epoch: this.epoch, offset: this.log.length };
  }

  presence() {
    const ids = [...this.members].map((session) => session.id);
    const ghosts = PLANT === 'ghost' ? ['nobody'] : [];
    return { presence: Object.fromEntries([...ids, ...ghosts].map((id) => [id, { client: id }])) };
  }
}

function channelOf(name) {
  if (!channels.has(name)) {
    channels.set(name, new Channel(name));
  }
  return channels.get(name);
}

class Session {
  constructor(socket) {
    this.socket = socket;
    this.id = random();
    sessions.add(this);
    this.heard = Date.now();
    socket.on('message', (text) => String(text).split('\n').filter((line) => line !== '')
      .forEach((line) => this.#command(JSON.parse(line))));
    socket.on('error', () => {});
    socket.on('close', () => this.#end());
    this.timer = setInterval(() => this.#ping(), 1000);
  }

  #ping() {
    if (Date.now() - this.heard > 2500) {
      this.socket.terminate();
    } else {
      this.say({});
    }
  }

  #end() {
    clearInterval(this.timer);
    sessions.delete(this);
    channels.forEach((channel) => channel.members.delete(this));
  }

  say(message) {
    this.socket.send(JSON.stringify(message));
  }

  #command(command) {
    this.heard = Date.now();
    const { id, connect, subscribe, publish, rpc, history, presence } = command;
    if (connect !== undefined) {
      this.say({ id, connect: { client: this.id, version: '0', ping: 1, pong: true } });
    } else if (subscribe !== undefined) {
      this.say({ id, subscribe: channelOf(subscribe.channel).subscribe(this, subscribe) });
    } else if (publish !== undefined) {
      channelOf(publish.channel).publish(publish.data);
      this.say({ id, publish: {} });
    } else if (rpc !== undefined) {
      const { error, ...data } = channelOf(rpc.data.channel).publish(rpc.data.data, rpc.data.idempotency_key);
      this.say(error === undefined ? { id, rpc: { data } } : { id, error });
    } else if (history !== undefined) {
      this.say({ id, history: channelOf(history.channel).history(history) });
    } else if (presence !== undefined) {
      this.say({ id, presence: channelOf(presence.channel).presence() });
    }
  }
}

const server = new WebSocketServer({ host, port: Number(port) });
server.on('connection', (socket) => new Session(socket));
server.on('listening', () => process.stdout.write(`chat page: http://${host}:${port}/\n`));
process.on('SIGTERM', () => {
  sessions.forEach((session) => session.socket.close(3001, 'shutdown'));
  server.close();
  setTimeout(() => process.exit(0), 100);
});
