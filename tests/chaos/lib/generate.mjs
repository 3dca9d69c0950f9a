// SPDX-License-Identifier: Apache-2.0
/*
 * Records of a run that never was: a model of a server that does everything right, clients that come
 * and go, and crashes, all from a seed. The checker has to find nothing in them; mutations.mjs then
 * spoils them.
 *
 * Publishing takes four steps that others come between: the client sends, the server accepts, the client
 * is answered, and each subscriber gets it in its own time.
 */
import { Random } from './random.mjs';

const CHANNELS = {
  'plain:a': {},
  'plain:b': {},
  'mem:a': { historySize: 1e6, recovery: true, presence: true, durability: 'memory', idempotency: true },
  'dur:a': {
    historySize: 1e6, historyTtlMs: 60000, recovery: true, presence: true, durability: 'process', idempotency: true,
  },
  'small:a': { historySize: 20, recovery: true, durability: 'memory' },
};
const WEIGHTS = {
  publish: 600, accept: 700, answer: 700, deliver: 1800, repeat: 120, disconnect: 40, connect: 100, crash: 2,
  other: 20,
};
const RECOVERY_MAX = 300;
const PAGE_ITEMS = 7;

/* What the server keeps of a channel. The log is never cut: `base` says what it would still hold. */
class ModelChannel {
  constructor(name, options, random) {
    Object.assign(this, { name, options, random });
    this.lives = 0;
    this.renew();
  }

  renew() {
    this.lives += 1;
    this.epoch = `e${this.lives}${this.random.below(1e6).toString(36)}`;
    this.log = [];
    this.results = new Map();
  }

  get hasOffsets() {
    return (this.options.historySize ?? 0) > 0;
  }

  get top() {
    return this.log.length;
  }

  get base() {
    return Math.max(1, this.top - this.options.historySize + 1);
  }

  crash() {
    if (this.options.durability !== 'process') {
      this.renew();
    }
  }

  canRecover({ epoch, offset }) {
    return epoch === this.epoch && offset + 1 >= this.base && this.top - offset <= RECOVERY_MAX;
  }
}

class ModelClient {
  constructor(name) {
    this.name = name;
    this.connection = null;
    this.connections = 0;
    this.sequences = new Map();
    this.sent = [];
    this.answers = [];
    this.subscriptions = new Map();
  }
}

class World {
  constructor(seed, { clients = 8 }) {
    this.random = new Random(seed);
    this.records = [];
    this.t = 1e12;
    this.keys = 0;
    this.channels = new Map(Object.entries(CHANNELS)
      .map(([name, options]) => [name, new ModelChannel(name, options, this.random)]));
    this.clients = Array.from({ length: clients }, (_, i) => new ModelClient(`c${i}`));
    this.repeatable = [];
    this.write('clock', { boot: 'model', pid: 1 });
    for (const { name, options } of this.channels.values()) {
      this.write('channel', { channel: name, ...options });
    }
    this.clients.forEach((client) => this.connect(client));
  }

  write(kind, fields) {
    this.t += this.random.between(1, 1000);
    this.records.push({ t: this.t, kind, ...fields });
  }

  connected() {
    return this.clients.filter((client) => client.connection !== null);
  }

  // --- Steps -----------------------------------------------------------------------------------------

  publish() {
    const client = this.random.pick(this.connected());
    const channel = this.random.pick([...this.channels.values()]);
    if (client === undefined) {
      return;
    }
    this.keys += 1;
    const message = {
      key: `m${this.keys}`, channel: channel.name, sum: this.random.next(), attempt: 1,
    };
    if (channel.options.idempotency && this.random.chance(0.3)) {
      message.idempotent = true;
      this.repeatable = [...this.repeatable.slice(-20), { ...message, attempts: 1 }];
    } else {
      message.stream = `${client.name}.${client.connections}.${channel.name}`;
      message.seq = (client.sequences.get(message.stream) ?? 0) + 1;
      client.sequences.set(message.stream, message.seq);
    }
    this.send(client, message);
  }

  send(client, message) {
    this.write('publish', { client: client.name, ...message });
    client.sent.push(message);
  }

  /* The same key again, by anybody; one in three with another body. */
  repeat() {
    const client = this.random.pick(this.connected());
    const first = this.random.pick(this.repeatable);
    if (client === undefined || first === undefined) {
      return;
    }
    const { attempts, ...message } = first;
    first.attempts += 1;
    message.attempt = first.attempts;
    if (this.random.chance(0.3)) {
      message.sum = this.random.next();
    }
    this.send(client, message);
  }

  accept(client = this.random.pick(this.clients.filter((one) => one.sent.length > 0))) {
    const message = client?.sent.shift();
    if (message === undefined) {
      return;
    }
    const channel = this.channels.get(message.channel);
    const known = message.idempotent ? channel.results.get(message.key) : undefined;
    const answer = { message, code: 0, result: known };
    if (known !== undefined) {
      answer.code = known.sum === message.sum ? 0 : 107;
    } else if (!message.idempotent && this.random.chance(0.03)) {
      answer.code = 111;
    } else {
      channel.log.push({ key: message.key, sum: message.sum });
      answer.result = { sum: message.sum, epoch: channel.epoch, offset: channel.top };
      if (message.idempotent) {
        channel.results.set(message.key, answer.result);
      }
      this.enqueue(channel);
    }
    client.answers.push(answer);
  }

  /* To everybody who is subscribed now. */
  enqueue(channel) {
    const entry = { ...channel.log.at(-1), offset: channel.top };
    for (const client of this.clients) {
      const subscription = client.subscriptions.get(channel.name);
      if (subscription?.isLive) {
        subscription.queue.push(entry);
      }
    }
  }

  answer(client = this.random.pick(this.clients.filter((one) => one.answers.length > 0))) {
    const answer = client?.answers.shift();
    if (answer === undefined) {
      return;
    }
    const { key, channel, attempt } = answer.message;
    const fields = { client: client.name, channel, key, attempt };
    if (answer.code !== 0) {
      this.write('nack', { ...fields, code: answer.code });
    } else if (this.channels.get(channel).hasOffsets && this.random.chance(0.5)) {
      this.write('ack', { ...fields, offset: answer.result.offset, epoch: answer.result.epoch });
    } else {
      this.write('ack', fields);
    }
  }

  waiting() {
    return this.clients.flatMap((client) => [...client.subscriptions.values()])
      .filter((subscription) => subscription.queue.length > 0);
  }

  deliver(subscription = this.random.pick(this.waiting()), via = 'live') {
    if (subscription === undefined) {
      return;
    }
    const { client, channel, queue } = subscription;
    const { key, sum, offset } = queue.shift();
    const fields = { client: client.name, channel: channel.name, key, sum, via };
    if (channel.hasOffsets) {
      subscription.offset = offset;
      Object.assign(fields, { offset, epoch: subscription.epoch });
    }
    this.write('receive', fields);
  }

  connect(client = this.random.pick(this.clients.filter((one) => one.connection === null))) {
    if (client === undefined) {
      return;
    }
    client.connections += 1;
    client.connection = `${client.name}#${client.connections}`;
    this.write('connected', { client: client.name, connection: client.connection });
    for (const channel of this.channels.values()) {
      this.subscribe(client, channel);
    }
  }

  subscribe(client, channel) {
    const before = client.subscriptions.get(channel.name);
    const subscription = { client, channel, isLive: true, queue: [], epoch: channel.epoch, offset: channel.top };
    client.subscriptions.set(channel.name, subscription);
    const fields = { client: client.name, channel: channel.name, recovered: false, wasRecovering: false };
    if (!channel.hasOffsets) {
      this.write('subscribed', fields);
      return;
    }
    fields.wasRecovering = before !== undefined;
    fields.recovered = fields.wasRecovering && channel.canRecover(before);
    fields.epoch = channel.epoch;
    fields.offset = fields.recovered ? before.offset : channel.top;
    this.write('subscribed', fields);
    if (fields.recovered) {
      subscription.offset = before.offset;
      subscription.queue = channel.log.slice(before.offset)
        .map((entry, i) => ({ ...entry, offset: before.offset + 1 + i }));
      while (subscription.queue.length > 0) {
        this.deliver(subscription, 'recovery');
      }
    }
  }

  /* What it had sent may have got through, the first of it rather than the last. */
  cut(client, code) {
    while (client.sent.length > 0 && this.random.chance(0.5)) {
      this.accept(client);
    }
    for (const { key, channel, attempt } of [...client.answers.map((one) => one.message), ...client.sent]) {
      this.write('unknown', { client: client.name, channel, key, attempt });
    }
    client.sent = [];
    client.answers = [];
    for (const subscription of client.subscriptions.values()) {
      subscription.isLive = false;
      subscription.queue = [];
      this.write('unsubscribed', { client: client.name, channel: subscription.channel.name, code });
    }
    this.write('disconnected', { client: client.name, code });
    client.connection = null;
  }

  disconnect() {
    const client = this.random.pick(this.connected());
    if (client !== undefined) {
      this.write('fault', { fault: 'reset' });
      this.cut(client, 3000);
    }
  }

  crash() {
    this.write('fault', { fault: 'kill', phase: 'begin' });
    this.connected().forEach((client) => this.cut(client, 1006));
    this.channels.forEach((channel) => channel.crash());
    this.write('fault', { fault: 'kill', phase: 'end' });
  }

  other() {
    this.write('fault', { fault: this.random.pick(['stop', 'slow', 'half-open']) });
  }

  // --- The end -----------------------------------------------------------------------------------------

  rest() {
    this.clients.filter((client) => client.connection === null).forEach((client) => this.connect(client));
    for (const client of this.clients) {
      while (client.sent.length > 0) {
        this.accept(client);
      }
      while (client.answers.length > 0) {
        this.answer(client);
      }
    }
    while (this.waiting().length > 0) {
      this.deliver();
    }
    this.write('fault', { fault: 'rest' });
    for (const channel of this.channels.values()) {
      if (channel.options.presence) {
        const connections = this.clients.map((client) => client.connection);
        this.write('presence', { channel: channel.name, connections });
      }
      if (channel.hasOffsets) {
        this.readOut(channel);
      }
    }
    this.connected().forEach((client) => this.cut(client, 0));
  }

  readOut(channel) {
    const items = channel.log.map(({ key, sum }, i) => [i + 1, key, sum]).slice(channel.base - 1);
    do {
      const page = items.splice(0, PAGE_ITEMS);
      this.write('history', {
        channel: channel.name, epoch: channel.epoch, top: channel.top, items: page, end: items.length === 0,
      });
    } while (items.length > 0);
  }
}

/* The records, in the order of time. Never fewer crashes than two, so that each seed is worth it. */
export function generate(seed, { steps = 4000, clients = 8 } = {}) {
  const world = new World(seed, { clients });
  const crashes = new Set([Math.floor(steps / 3), Math.floor((2 * steps) / 3)]);
  for (let step = 0; step < steps; step += 1) {
    if (crashes.has(step)) {
      world.crash();
    }
    world[world.random.weighted(WEIGHTS)]();
  }
  world.rest();
  return world.records;
}
