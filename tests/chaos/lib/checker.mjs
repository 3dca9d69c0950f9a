// SPDX-License-Identifier: Apache-2.0
/*
 * Takes the records of a run in the order of time and finds what must not be. What can be judged when
 * a record comes is judged here; what needs the whole is in finish.mjs.
 */
import { KINDS } from '../record.mjs';
import { Exposure } from './exposure.mjs';
import { finishRun } from './finish.mjs';
import { RULES } from './rules.mjs';
import { Channel, Client, Life, Message, Subscription } from './state.mjs';

const EXAMPLES_MAX = 5;
const SKIPPED_MAX = 10000;
/* With these the server says that it did not take the message; 100 leaves it open. */
const REFUSALS = new Set([101, 102, 103, 105, 106, 107, 108, 111]);

export class Checker {
  constructor() {
    this.exposure = new Exposure();
    this.violations = new Map();
    this.messages = new Map();
    this.channels = new Map();
    this.clients = new Map();
    /* Lives of the server end with a kill or a term. */
    this.serverLife = 0;
    this.serverGoneAt = -Infinity;
    this.restWhere = 0;
    this.boot = null;
    /* Lives without offsets: judged when all answers are there. */
    this.lives = [];
    /* Subscribes that were not recovered: whether they could be shows the top, which stands in the rest. */
    this.refusals = [];
  }

  violate(rule, text, wheres) {
    if (!(rule in RULES)) {
      throw new Error(`no rule ${rule}`);
    }
    const found = this.violations.get(rule) ?? { count: 0, examples: [] };
    this.violations.set(rule, found);
    found.count += 1;
    if (found.examples.length < EXAMPLES_MAX) {
      found.examples.push({ text, wheres: wheres.filter((where) => where > 0) });
    }
  }

  record(record, where) {
    this.exposure.records += 1;
    if (KINDS.includes(record.kind)) {
      this[`on_${record.kind}`](record, where);
    } else {
      this.violate('record', `unknown kind ${JSON.stringify(record.kind)}`, [where]);
    }
  }

  /* After the last record: what only the whole shows. */
  finish() {
    finishRun(this);
    return this;
  }

  channelOf(name) {
    let channel = this.channels.get(name);
    if (channel === undefined) {
      channel = new Channel(name);
      this.channels.set(name, channel);
    }
    return channel;
  }

  clientOf(name) {
    let client = this.clients.get(name);
    if (client === undefined) {
      client = new Client(name);
      this.clients.set(name, client);
    }
    return client;
  }

  subscriptionOf(clientName, channelName) {
    const client = this.clientOf(clientName);
    let subscription = client.subscriptions.get(channelName);
    if (subscription === undefined) {
      subscription = new Subscription(client, this.channelOf(channelName));
      client.subscriptions.set(channelName, subscription);
    }
    return subscription;
  }

  on_clock({ boot }, where) {
    this.boot ??= boot;
    if (boot !== this.boot) {
      this.violate('record', 'files of two boots: their clocks cannot be compared', [where]);
    }
  }

  on_channel({ channel, ...options }) {
    this.channelOf(channel).options = options;
    this.exposure.channels += 1;
  }

  // --- Publications --------------------------------------------------------------------------------

  on_publish(record, where) {
    this.exposure.publishes += 1;
    if (this.restWhere > 0) {
      this.violate('record', 'a publish after everything was at rest', [this.restWhere, where]);
    }
    const known = this.messages.get(record.key);
    if (known === undefined) {
      this.#firstAttempt(new Message(record.key, this.channelOf(record.channel)), record, where);
    } else if (known.sentWhere === 0 && known.channel.name === record.channel) {
      /* A phantom until now, and reported as such: seen before it was sent. */
      this.#firstAttempt(known, record, where);
    } else if (record.idempotent && known.isIdempotent && known.channel.name === record.channel) {
      known.sums[record.attempt] = record.sum;
      known.straddles ||= !known.channel.isDurable && known.sentInLife !== this.serverLife;
    } else {
      this.violate('record', `key ${record.key} was there before`, [known.sentWhere || known.seenWhere, where]);
    }
  }

  #firstAttempt(message, record, where) {
    const { channel } = message;
    message.sum = record.sum;
    message.sentAt = record.t;
    message.sentWhere = where;
    message.sentInLife = this.serverLife;
    if (record.idempotent) {
      message.sums = { [record.attempt]: record.sum };
    }
    if (record.stream !== undefined) {
      message.stream = channel.streamOf(record.stream);
      message.stream.count += 1;
      message.seq = message.stream.count;
      if (message.seq !== record.seq) {
        this.violate('record', `number ${record.seq} of stream ${record.stream} is not the next`, [where]);
      }
    }
    this.messages.set(record.key, message);
    message.index = channel.messages.push(message) - 1;
  }

  #answered(record, where) {
    const message = this.messages.get(record.key);
    if (message === undefined || message.sentWhere === 0 || message.channel.name !== record.channel) {
      this.violate('record', `an answer to ${record.key}, which was not sent there`, [where]);
      return null;
    }
    message.straddles ||= message.isIdempotent && !message.channel.isDurable
      && message.sentInLife !== this.serverLife;
    return message;
  }

  on_ack(record, where) {
    const message = this.#answered(record, where);
    if (message === null) {
      return;
    }
    this.exposure.acks += 1;
    if (message.isIdempotent) {
      this.#judgeRepeat(message, record, where);
    }
    if (!message.isAcked) {
      message.ackedAt = record.t;
      message.ackedWhere = where;
    }
    if (record.offset !== undefined && record.epoch !== undefined) {
      this.place(message, record.epoch, record.offset, where);
    }
  }

  #judgeRepeat(message, record, where) {
    const sum = message.sums[record.attempt];
    if (message.isAcked) {
      this.exposure.repeatsAnswered += 1;
    }
    message.acceptedSum ??= sum;
    if (sum !== message.acceptedSum && !message.straddles) {
      this.violate('idempotency', `${message.key} was acknowledged with two bodies`,
        [message.sentWhere, message.ackedWhere, where]);
    }
  }

  on_nack(record, where) {
    const message = this.#answered(record, where);
    if (message === null) {
      return;
    }
    this.exposure.nacks += 1;
    if (!message.isIdempotent) {
      message.refusedWhere = REFUSALS.has(record.code) ? where : 0;
    } else if (record.code === 107) {
      this.exposure.repeatsRefused += 1;
      const sums = new Set(Object.values(message.sums));
      if (sums.size === 1 && !message.straddles) {
        this.violate('idempotency', `${message.key} was refused as another body, and has one`,
          [message.sentWhere, message.ackedWhere, where]);
      }
    }
  }

  on_unknown(record, where) {
    if (this.#answered(record, where) !== null) {
      this.exposure.unknown += 1;
    }
  }

  /* Somebody says that the message stands at this offset of this epoch. */
  place(message, epoch, offset, where) {
    const { channel } = message;
    const slots = channel.slotsOf(epoch);
    const holder = slots.get(offset);
    if (holder === message) {
      return;
    }
    if (holder !== undefined) {
      this.violate('divergence', `offset ${offset} of ${channel.name}, epoch ${epoch}, is ${holder.key} and ${
        message.key}`, [holder.placedWhere, where]);
      return;
    }
    slots.set(offset, message);
    this.exposure.placed += 1;
    if (message.epoch === epoch || (message.epoch !== null && !message.straddles)) {
      this.violate(message.isIdempotent ? 'idempotency' : 'twice', `${message.key} is at ${message.epoch}/${
        message.offset} and at ${epoch}/${offset} of ${channel.name}`, [message.placedWhere, where]);
      return;
    }
    message.epoch = epoch;
    message.offset = offset;
    message.placedWhere = where;
  }

  /* The message that somebody has got; reports what was never sent, or not like this. */
  seen(channelName, key, sum, where) {
    let message = this.messages.get(key);
    if (message === undefined) {
      this.violate('phantom', `${key} in ${channelName} was not sent by anybody`, [where]);
      message = new Message(key, this.channelOf(channelName));
      message.sum = sum;
      this.messages.set(key, message);
    } else if (message.channel.name !== channelName) {
      this.violate('phantom', `${key} was sent to ${message.channel.name} and is in ${channelName}`,
        [message.sentWhere, where]);
      return null;
    }
    if (message.seenWhere === 0) {
      message.seenWhere = where;
      message.seenSum = sum;
    }
    const wasSent = message.isIdempotent ? Object.values(message.sums).includes(sum) : sum === message.sum;
    if (!wasSent || (sum !== message.seenSum && !message.straddles)) {
      this.violate('altered', `the body of ${key} is not the one that was sent`,
        [message.sentWhere, message.seenWhere, where]);
    }
    return message;
  }

  // --- Connections and subscriptions -----------------------------------------------------------------

  on_connected({ client: name, connection }) {
    const client = this.clientOf(name);
    this.exposure.connects += 1;
    this.exposure.reconnects += client.connection === null ? 0 : 1;
    client.connection = connection;
    client.isConnected = true;
  }

  on_disconnected({ client: name }) {
    const client = this.clientOf(name);
    client.isConnected = false;
    for (const subscription of client.subscriptions.values()) {
      subscription.isLive = false;
    }
  }

  on_unsubscribed({ client, channel }) {
    this.subscriptionOf(client, channel).isLive = false;
  }

  on_subscribed(record, where) {
    const subscription = this.subscriptionOf(record.client, record.channel);
    if (subscription.isLive) {
      this.violate('record', 'subscribed inside of a life', [subscription.subscribedWhere, where]);
    }
    this.exposure.subscribes += 1;
    if (record.recovered) {
      this.#recovered(subscription, record, where);
    } else {
      this.#notRecovered(subscription, record, where);
    }
    if (record.epoch !== undefined) {
      this.judgeEpoch(subscription.channel, record.epoch, where);
    }
    subscription.isLive = true;
    subscription.recovered = record.recovered === true;
    subscription.isRecovering = true;
    subscription.subscribedAt = record.t;
    subscription.subscribedWhere = where;
    subscription.lastWhere = 0;
    subscription.lastAt = record.t;
    subscription.life = null;
    if (!subscription.hasPosition) {
      subscription.life = new Life(subscription, { t: record.t, where });
      this.lives.push(subscription.life);
    }
  }

  #recovered(subscription, record, where) {
    this.exposure.recovered += 1;
    const proof = [subscription.subscribedWhere, subscription.lastWhere, where];
    if (!record.wasRecovering || !subscription.hasPosition) {
      this.violate('recovery', 'recovered, where nothing was to be recovered', proof);
    } else if (record.epoch !== subscription.epoch) {
      this.violate('recovery', `recovered from epoch ${subscription.epoch} into ${record.epoch}`, proof);
      subscription.skipped.clear();
    } else if (record.offset > subscription.offset) {
      this.violate('silent-gap', `${record.client} had ${subscription.offset} of ${record.channel} and goes on from ${
        record.offset}, recovered`, proof);
    } else if (record.offset < subscription.offset) {
      this.violate('recovery', `${record.client} had ${subscription.offset} of ${record.channel} and is put back to ${
        record.offset}`, proof);
      return;
    }
    subscription.epoch = record.epoch;
    subscription.offset = record.offset;
  }

  #notRecovered(subscription, record, where) {
    const proof = [subscription.subscribedWhere, subscription.lastWhere, where];
    this.exposure.notRecovered += record.wasRecovering ? 1 : 0;
    if (subscription.hasPosition && record.epoch === subscription.epoch) {
      if (record.offset < subscription.offset) {
        this.violate('epoch', `${record.channel} goes back from ${subscription.offset} to ${record.offset}, and its `
          + `epoch is still ${record.epoch}`, proof);
      } else if (record.wasRecovering) {
        const { channel, offset: since, lastAt } = subscription;
        this.refusals.push({ channel, record, since, lastAt, proof });
      }
    }
    subscription.skipped.clear();
    subscription.epoch = record.epoch ?? null;
    subscription.offset = record.offset ?? null;
  }

  judgeEpoch(channel, epoch, where) {
    if (channel.isDurable) {
      channel.firstEpoch ??= { epoch, where };
      if (epoch !== channel.firstEpoch.epoch) {
        this.violate('epoch', `${channel.name} is durable, and its epoch ${channel.firstEpoch.epoch} became ${epoch}`,
          [channel.firstEpoch.where, where]);
      }
    }
  }

  // --- Receives ----------------------------------------------------------------------------------------

  on_receive(record, where) {
    this.exposure.receives += 1;
    const subscription = this.subscriptionOf(record.client, record.channel);
    const message = this.seen(record.channel, record.key, record.sum, where);
    if (!subscription.isLive) {
      this.violate('stray', `${record.client} is not subscribed to ${record.channel}`,
        [subscription.subscribedWhere, subscription.lastWhere, where]);
      return;
    }
    this.#judgeVia(subscription, record, where);
    if (record.offset !== undefined) {
      this.#judgeOffset(subscription, record, where);
      if (message !== null && subscription.hasPosition) {
        this.place(message, record.epoch ?? subscription.epoch, record.offset, where);
      }
    }
    if (subscription.life !== null && message !== null && message.index >= 0) {
      this.#judgeInLife(subscription.life, message, where);
    }
    subscription.isRecovering &&= record.via === 'recovery';
    subscription.lastWhere = where;
    subscription.lastAt = record.t;
  }

  #judgeVia(subscription, record, where) {
    if (record.via !== 'recovery') {
      return;
    }
    this.exposure.receivesByRecovery += 1;
    if (!subscription.recovered || !subscription.isRecovering) {
      this.violate('recovery', subscription.recovered ? 'recovered after it was live'
        : 'a publication by a recovery that failed', [subscription.subscribedWhere, where]);
    }
  }

  #judgeOffset(subscription, record, where) {
    const { offset } = record;
    /* A subscription that is not told where it begins begins with what comes first. */
    subscription.offset ??= offset - 1;
    const proof = [subscription.subscribedWhere, subscription.lastWhere, where];
    const what = `${record.client} got ${offset} of ${record.channel} after ${subscription.offset}`;
    if (record.epoch !== undefined && subscription.hasPosition && record.epoch !== subscription.epoch) {
      this.violate('epoch', `${what}: epoch ${record.epoch} in a life of epoch ${subscription.epoch}`, proof);
    }
    if (offset > subscription.offset + 1) {
      const isSilent = subscription.recovered && subscription.isRecovering;
      this.violate(isSilent ? 'silent-gap' : 'gap', what, proof);
      for (let i = subscription.offset + 1; i < offset && subscription.skipped.size < SKIPPED_MAX; i += 1) {
        subscription.skipped.add(i);
      }
    } else if (offset <= subscription.offset) {
      this.violate(subscription.skipped.delete(offset) ? 'order' : 'duplicate', what, proof);
    }
    subscription.offset = Math.max(offset, subscription.offset);
  }

  /*
   * No offsets: at most once; behind what the same connection sent before, and behind what was
   * acknowledged before it was sent. What is missing is found at the end.
   */
  #judgeInLife(life, message, where) {
    const { stream, seq } = message;
    const last = stream === null ? 0 : life.seqs.get(stream) ?? 0;
    const isLate = message.ackedAt < life.latestSentAt;
    if (isLate || (stream !== null && seq <= last)) {
      const rule = life.received.includes(message.index) ? 'duplicate' : 'order';
      this.violate(rule, `${life.subscription.client.name} got ${message.key} of ${message.channel.name} late`,
        [life.where, message.ackedWhere, life.latestWhere, life.lastWhere, where]);
    }
    life.received.push(message.index);
    life.lastWhere = where;
    if (stream !== null) {
      life.seqs.set(stream, Math.max(last, seq));
    }
    if (message.sentAt > life.latestSentAt) {
      life.latestSentAt = message.sentAt;
      life.latestWhere = where;
    }
  }

  // --- Rest ------------------------------------------------------------------------------------------

  on_fault({ fault, phase, t }, where) {
    if (phase !== 'end') {
      this.exposure.countFault(fault);
    }
    if (fault === 'kill' || fault === 'term') {
      /* What was sent while it died may have been answered by who died: its life ends with `end`. */
      this.serverLife += phase === 'begin' ? 0 : 1;
      this.serverGoneAt = t;
    } else if (fault === 'rest') {
      this.#rest(where);
    }
  }

  #rest(where) {
    this.restWhere = where;
    for (const client of this.clients.values()) {
      for (const subscription of client.subscriptions.values()) {
        subscription.isAtRest = subscription.isLive;
        if (subscription.life !== null) {
          subscription.life.isAtRest = subscription.isLive;
        }
        this.exposure.subscriptionsAtRest += subscription.isLive ? 1 : 0;
      }
    }
  }

  on_presence({ channel, connections }, where) {
    if (this.restWhere === 0) {
      this.violate('record', 'a presence snapshot before rest', [where]);
      return;
    }
    const expected = new Set();
    for (const client of this.clients.values()) {
      if (client.isConnected && client.subscriptions.get(channel)?.isLive) {
        expected.add(client.connection);
      }
    }
    this.exposure.presenceSnapshots += 1;
    this.exposure.presenceMembers += expected.size;
    const told = new Set(connections);
    const ghosts = [...told].filter((one) => !expected.has(one));
    const missing = [...expected].filter((one) => !told.has(one));
    if (ghosts.length + missing.length > 0 || told.size !== connections.length) {
      this.violate('presence', `${channel}: ${ghosts.length} who are not there (${ghosts.slice(0, 3).join(', ')}), ${
        missing.length} missing (${missing.slice(0, 3).join(', ')})`, [where]);
    }
  }

  on_history({ t, channel: name, epoch, top, items, end }, where) {
    const channel = this.channelOf(name);
    channel.history ??= { t, epoch, top, first: null, last: 0, isWhole: false, where };
    const { history } = channel;
    if (history.isWhole || history.epoch !== epoch || history.top !== top) {
      this.violate('history', `a page of ${name} that does not go with the others`, [history.where, where]);
      return;
    }
    this.judgeEpoch(channel, epoch, where);
    for (const [offset, key, sum] of items) {
      this.exposure.historyItems += 1;
      if (history.first !== null && offset !== history.last + 1) {
        this.violate('history', `${offset} stands after ${history.last} in ${name}`, [where]);
      }
      history.first ??= offset;
      history.last = offset;
      const message = this.seen(name, key, sum, where);
      if (message !== null) {
        message.isInHistory = true;
        this.place(message, epoch, offset, where);
      }
    }
    history.isWhole = end === true;
  }
}
