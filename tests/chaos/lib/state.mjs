// SPDX-License-Identifier: Apache-2.0
/*
 * What the checker remembers. It grows with messages, streams and subscriptions, not with receives:
 * a receive moves a position and is forgotten.
 *
 * `where` is the place of a line (lines.mjs), 0 where there is none.
 */

/* Publications of one connection in one channel, numbered from 1 as they were sent. */
export class Stream {
  constructor(name) {
    this.name = name;
    this.count = 0;
  }
}

export class Message {
  constructor(key, channel) {
    this.key = key;
    this.channel = channel;
    /* Its place among the messages of the channel, which stand in the order in which they were sent. */
    this.index = -1;
    this.stream = null;
    this.seq = 0;
    /* Idempotent publications only: attempt -> sum. */
    this.sums = null;
    this.sum = 0;
    this.sentAt = Infinity;
    this.sentWhere = 0;
    this.sentInLife = 0;
    this.ackedAt = Infinity;
    this.ackedWhere = 0;
    this.acceptedSum = null;
    this.refusedWhere = 0;
    /* A repeat after a crash that may have taken the first result with it. */
    this.straddles = false;
    /* Where it stands in the order, from whoever said so first. */
    this.epoch = null;
    this.offset = 0;
    this.placedWhere = 0;
    this.seenWhere = 0;
    this.seenSum = null;
    this.isInHistory = false;
  }

  get isIdempotent() {
    return this.sums !== null;
  }

  get isAcked() {
    return this.ackedWhere !== 0;
  }
}

export class Channel {
  constructor(name) {
    this.name = name;
    this.options = {};
    this.streams = new Map();
    this.messages = [];
    /* epoch -> offset -> message */
    this.epochs = new Map();
    this.history = null;
  }

  /* What was acknowledged stays when the server is killed. */
  get isDurable() {
    return this.options.durability === 'process' || this.options.durability === 'power';
  }

  get hasHistory() {
    return (this.options.historySize ?? 0) > 0;
  }

  slotsOf(epoch) {
    let slots = this.epochs.get(epoch);
    if (slots === undefined) {
      slots = new Map();
      this.epochs.set(epoch, slots);
    }
    return slots;
  }

  streamOf(name) {
    let stream = this.streams.get(name);
    if (stream === undefined) {
      stream = new Stream(name);
      this.streams.set(name, stream);
    }
    return stream;
  }
}

/*
 * A life of a subscription without offsets. What it received is kept, a number each: what it should
 * have received is known only when all answers are there.
 */
export class Life {
  constructor(subscription, { t, where }) {
    this.subscription = subscription;
    this.since = t;
    this.where = where;
    this.lastWhere = 0;
    this.received = [];
    /* When the latest of what it received was sent: what was acknowledged before stands before it. */
    this.latestSentAt = -Infinity;
    this.latestWhere = 0;
    /* stream -> the last number */
    this.seqs = new Map();
    this.isAtRest = false;
  }
}

/* One client in one channel, over all lives of its subscription. */
export class Subscription {
  constructor(client, channel) {
    this.client = client;
    this.channel = channel;
    this.isLive = false;
    this.isAtRest = false;
    this.subscribedAt = Infinity;
    this.subscribedWhere = 0;
    this.lastWhere = 0;
    this.lastAt = -Infinity;
    /* With offsets: the last that came, and what was jumped over. null: the server gave no position. */
    this.epoch = null;
    this.offset = null;
    this.skipped = new Set();
    /* The server said recovered: true or false, and no live publication has come since. */
    this.isRecovering = false;
    this.recovered = false;
    /* Where the server gave no position. */
    this.life = null;
  }

  get hasPosition() {
    return this.epoch !== null;
  }
}

export class Client {
  constructor(name) {
    this.name = name;
    this.connection = null;
    this.isConnected = false;
    this.subscriptions = new Map();
  }
}
