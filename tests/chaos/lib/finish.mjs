// SPDX-License-Identifier: Apache-2.0
/*
 * The rules that need the whole run: what was acknowledged and is gone, the order against the clock,
 * and who is behind at rest.
 */

/* PROTOCOL.md section 5: at most so many publications come with a subscribe. */
const RECOVERY_MAX = 300;

export function finishRun(checker) {
  for (const channel of checker.channels.values()) {
    checker.exposure.epochs += channel.epochs.size;
    if (channel.hasHistory) {
      judgeReadOut(checker, channel);
    }
    judgeMessages(checker, channel);
    for (const [epoch, slots] of channel.epochs) {
      judgeOrder(checker, channel, epoch, slots);
    }
  }
  judgeLives(checker);
  judgeRefusals(checker);
  for (const client of checker.clients.values()) {
    for (const subscription of client.subscriptions.values()) {
      if (subscription.isAtRest && subscription.hasPosition) {
        judgeRest(checker, subscription);
      }
    }
  }
}

/* What the channel's options let go is all that may be missing between the first offset and the top. */
function judgeReadOut(checker, channel) {
  const { history } = channel;
  if (history === null || !history.isWhole) {
    checker.violate('history', `${channel.name} was not read out to its end`, [history?.where ?? 0]);
    return;
  }
  const { historySize } = channel.options;
  const count = history.first === null ? 0 : history.last - history.first + 1;
  if (history.first !== null && history.last !== history.top) {
    checker.violate('history', `${channel.name} ends with ${history.last}, its top is ${history.top}`, [history.where]);
  }
  const [oldest] = channel.messages;
  const mayExpire = oldest !== undefined && isExpired(channel, oldest);
  if (!mayExpire && count < Math.min(history.top, historySize)) {
    checker.violate('history', `${channel.name} holds ${count} of ${history.top}, and may hold ${historySize}`,
      [history.where]);
  }
}

function judgeMessages(checker, channel) {
  for (const message of channel.messages) {
    if (message.refusedWhere > 0 && message.seenWhere > 0) {
      checker.violate('refused', `${message.key} was refused, and published`,
        [message.sentWhere, message.refusedWhere, message.seenWhere]);
    }
    if (message.isIdempotent && message.isAcked && message.seenWhere > 0 && !message.straddles
      && message.seenSum !== message.acceptedSum) {
      checker.violate('idempotency', `${message.key} has another body than the one that was acknowledged`,
        [message.sentWhere, message.ackedWhere, message.seenWhere]);
    }
    if (message.isAcked) {
      judgeAcked(checker, channel, message);
    }
  }
}

function judgeAcked(checker, channel, message) {
  const { exposure } = checker;
  if (!channel.hasHistory) {
    exposure.acksWithoutHistory += 1;
  } else if (message.isInHistory) {
    exposure.acksFound += 1;
  } else if (channel.history?.isWhole) {
    const verdict = fateOf(checker, channel, message);
    if (verdict === 'lost') {
      checker.violate('lost', `${message.key} of ${channel.name} was acknowledged and is not there`,
        [message.sentWhere, message.ackedWhere, message.seenWhere, channel.history.where]);
    } else {
      exposure[verdict] += 1;
    }
  }
}

/* An acknowledged message is not in the read-out: is that right? 'lost', or what counts it. */
function fateOf(checker, channel, message) {
  const { history } = channel;
  const mayBeTaken = !channel.isDurable && message.sentAt <= checker.serverGoneAt;
  if (message.epoch !== null && message.epoch !== history.epoch) {
    return mayBeTaken ? 'acksExcused' : 'lost';
  }
  const mayExpire = isExpired(channel, message);
  const { historySize } = channel.options;
  if (message.epoch !== null) {
    return mayExpire || message.offset <= history.top - historySize ? 'acksTrimmed' : 'lost';
  }
  if (mayBeTaken) {
    return 'acksExcused';
  }
  /* Nobody saw where it stood. It is behind what was acknowledged before it was sent. */
  const first = channel.slotsOf(history.epoch).get(history.first);
  const isBehindFirst = first !== undefined && first.ackedAt < message.sentAt;
  return mayExpire || (history.top > historySize && !isBehindFirst) ? 'acksTrimmed' : 'lost';
}

/* Whether it was old enough at the read-out to be gone. */
function isExpired({ history, options }, { sentAt }) {
  return options.historyTtlMs !== undefined && (history.t - sentAt) / 1e6 >= options.historyTtlMs;
}

/* If A was acknowledged before B was sent, A stands before B; so do A and B of one connection. */
function judgeOrder(checker, channel, epoch, slots) {
  const offsets = Float64Array.from(slots.keys()).sort();
  const nextOf = new Map();
  let earliest = null;
  for (let i = offsets.length - 1; i >= 0; i -= 1) {
    const message = slots.get(offsets[i]);
    if (message.epoch === epoch && message.offset === offsets[i] && message.sentWhere > 0) {
      if (earliest !== null && earliest.ackedAt < message.sentAt) {
        checker.violate('order', `${earliest.key} was acknowledged before ${message.key} was sent, and stands behind `
          + `it in ${channel.name}, epoch ${epoch}: ${earliest.offset}, ${message.offset}`,
        [earliest.ackedWhere, message.sentWhere, earliest.placedWhere, message.placedWhere]);
      }
      judgeStreamOrder(checker, message, nextOf);
      if (message.isAcked && !message.straddles && (earliest === null || message.ackedAt < earliest.ackedAt)) {
        earliest = message;
      }
    }
  }
}

function judgeStreamOrder(checker, message, nextOf) {
  if (message.stream === null) {
    return;
  }
  const next = nextOf.get(message.stream);
  if (next !== undefined && next.seq < message.seq) {
    checker.violate('order', `${message.key} was sent after ${next.key} on one connection, and stands before it`,
      [next.sentWhere, message.sentWhere, next.placedWhere, message.placedWhere]);
  }
  nextOf.set(message.stream, message);
}

/*
 * A life without offsets has to have got what was sent in it and acknowledged: all of it when it is live
 * at rest, else what stands before something that it did get.
 */
function judgeLife(checker, life, marks, mark) {
  const { messages, name } = life.subscription.channel;
  for (const index of life.received) {
    marks[index] = mark;
  }
  for (let i = firstSentAfter(messages, life.since); i < messages.length; i += 1) {
    const message = messages[i];
    const isBefore = message.ackedAt < life.latestSentAt;
    if (!life.isAtRest && message.sentAt >= life.latestSentAt) {
      break;
    }
    if (message.isAcked && (isBefore || life.isAtRest)) {
      checker.exposure.demanded += 1;
      if (marks[i] !== mark) {
        checker.violate(isBefore ? 'gap' : 'behind', `${life.subscription.client.name} has not got ${message.key} of ${
          name}, which was acknowledged`,
        [life.where, message.sentWhere, message.ackedWhere, isBefore ? life.latestWhere : life.lastWhere]);
      }
    }
  }
}

/* Messages stand in the order of sentAt. */
function firstSentAfter(messages, t) {
  let low = 0;
  for (let high = messages.length; low < high;) {
    const middle = (low + high) >> 1;
    if (messages[middle].sentAt > t) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

function judgeLives(checker) {
  const marks = new Map();
  checker.lives.forEach((life, i) => {
    const { channel } = life.subscription;
    if (!channel.options.lossy) {
      if (!marks.has(channel)) {
        marks.set(channel, new Int32Array(channel.messages.length));
      }
      judgeLife(checker, life, marks.get(channel), i + 1);
    }
  });
}

/*
 * A subscribe was not recovered: was what it lacked there? A reply's offset may be behind the channel's
 * top, for what is on its way to that reactor comes live; the history has moved on with the top.
 */
function judgeRefusals(checker) {
  for (const { channel, record, since, lastAt, proof } of checker.refusals) {
    const { recovery, historySize = 0, historyTtlMs = Infinity } = channel.options;
    const isThere = topAt(channel, record) - since <= Math.min(RECOVERY_MAX, historySize)
      && (record.t - lastAt) / 1e6 < historyTtlMs / 2;
    if (recovery && isThere) {
      checker.violate('unrecovered', `${record.client} lacks ${record.offset - since} of ${
        record.channel}, which are there`, proof);
    }
  }
}

/* The highest offset that the channel can have had by then. */
function topAt(channel, { epoch, offset, t }) {
  let top = offset;
  for (const [at, { sentAt }] of channel.slotsOf(epoch)) {
    if (at > top && sentAt <= t) {
      top = at;
    }
  }
  return top;
}

function judgeRest(checker, { channel, client, epoch, offset, subscribedWhere, lastWhere }) {
  const { history } = channel;
  if (history !== null && (history.epoch !== epoch || history.top !== offset)) {
    checker.violate('behind', `${client.name} is at ${epoch}/${offset} of ${channel.name}, which is at ${
      history.epoch}/${history.top}`, [subscribedWhere, lastWhere, history.where]);
  }
}
