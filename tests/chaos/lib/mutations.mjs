// SPDX-License-Identifier: Apache-2.0
/*
 * What goes wrong in servers, planted into records that were right. Each mutation is a function of
 * (list, random): it spoils the copy of a run, `list`, and returns true, or returns false when the run has
 * no place for it. `rules` are the rules of which at least one has to find it.
 */

const isReceive = (record) => record.kind === 'receive';
const hasOffset = (record) => record.offset !== undefined;

/* Indices of the records for which `test` holds. */
function indices(list, test) {
  const found = [];
  list.forEach((record, index) => {
    if (test(record, index)) {
      found.push(index);
    }
  });
  return found;
}

/* The next record of the same subscription, or -1. */
function nextOf(list, index) {
  const { client, channel } = list[index];
  const kinds = ['receive', 'subscribed', 'unsubscribed'];
  for (let i = index + 1; i < list.length; i += 1) {
    if (list[i].client === client && list[i].channel === channel && kinds.includes(list[i].kind)) {
      return i;
    }
  }
  return -1;
}

function pairs(list, test) {
  return indices(list, isReceive).map((index) => [index, nextOf(list, index)])
    .filter(([index, next]) => next > 0 && test(list[index], list[next]));
}

function change(list, index, fields) {
  list[index] = { ...list[index], ...fields };
}

function insert(list, index, record) {
  list.splice(index, 0, { ...record, t: list[Math.max(index - 1, 0)].t });
}

function swap(list, a, b) {
  const [first, second] = [list[a], list[b]];
  list[a] = { ...second, t: first.t };
  list[b] = { ...first, t: second.t };
}

/* Rewrites each item of each history page of a channel; null drops it. */
function mapHistory(list, channel, map) {
  list.forEach((record, index) => {
    if (record.kind === 'history' && record.channel === channel) {
      change(list, index, { items: record.items.map((item) => map(item)).filter((item) => item !== null) });
    }
  });
}

function publishesByKey(list) {
  return new Map(list.filter((one) => one.kind === 'publish').map((one) => [one.key, one]));
}

function acksByKey(list) {
  const acks = new Map();
  list.filter((one) => one.kind === 'ack').forEach((one) => acks.has(one.key) || acks.set(one.key, one));
  return acks;
}

/* [channel, offset, key, sum] of all read out. */
function itemsOf(list, test = () => true) {
  return list.filter((one) => one.kind === 'history' && test(one))
    .flatMap((one) => one.items.map(([offset, key, sum]) => ({ channel: one.channel, epoch: one.epoch, offset, key, sum })));
}

/* Without those whose key was repeated over a crash that might have taken the first. */
function lastingItems(list) {
  const published = publishesByKey(list);
  return itemsOf(list, (one) => one.channel !== 'small:a')
    .filter((item) => item.channel === 'dur:a' || !published.get(item.key).idempotent);
}

function restOf(list) {
  return list.findIndex((one) => one.kind === 'fault' && one.fault === 'rest');
}

/* Moves every offset of a channel's epoch that is mentioned anywhere. */
function mapOffsets(list, { channel, epoch }, map) {
  list.forEach((record, index) => {
    if (record.channel === channel && record.epoch === epoch && hasOffset(record)) {
      change(list, index, { offset: map(record.offset) });
    } else if (record.kind === 'history' && record.channel === channel) {
      change(list, index, {
        top: map(record.top), items: record.items.map(([offset, key, sum]) => [map(offset), key, sum]),
      });
    }
  });
}

/* Exchanges what stands at two offsets, for everybody. */
function exchange(list, a, b) {
  const other = new Map([[a.key, b], [b.key, a]]);
  list.forEach((record, index) => {
    const now = other.get(record.key);
    if (record.kind === 'receive' && now !== undefined) {
      change(list, index, { key: now.key, sum: now.sum });
    } else if (record.kind === 'ack' && now !== undefined && hasOffset(record)) {
      change(list, index, { offset: now.offset });
    }
  });
  mapHistory(list, a.channel, (item) => {
    const now = other.get(item[1]);
    return now === undefined ? item : [item[0], now.key, now.sum];
  });
}

/* Runs `spoil` on one of the candidates. */
function oneOf(candidates, random, spoil) {
  if (candidates.length === 0) {
    return false;
  }
  spoil(random.pick(candidates));
  return true;
}

function dropRange(list, from, test) {
  for (let i = from; i < list.length && !(list[i].kind === 'unsubscribed' && test(list[i])); i += 1) {
    if (isReceive(list[i]) && list[i].via === 'recovery' && test(list[i])) {
      list.splice(i, 1);
      i -= 1;
    }
  }
}

function recoveredSubscribes(list, test) {
  return indices(list, (one) => one.kind === 'subscribed' && one.recovered)
    .filter((index) => nextOf(list, index) > 0 && test(list[nextOf(list, index)], index));
}

/* The receives by recovery that belong to the subscribe at `index`. */
function recoveredCount(list, index) {
  let count = 0;
  for (let i = nextOf(list, index); i > 0 && isReceive(list[i]) && list[i].via === 'recovery'; i = nextOf(list, i)) {
    count += 1;
  }
  return count;
}

const sameSubscription = (a) => (b) => a.client === b.client && a.channel === b.channel;

export const MUTATIONS = {
  'a receive is dropped': {
    rules: ['gap', 'silent-gap'],
    spoil: (list, random) => oneOf(pairs(list, (one, next) => hasOffset(one) && one.via === 'live' && isReceive(next)),
      random, ([index]) => list.splice(index, 1)),
  },
  'a receive of a channel without history is dropped': {
    rules: ['gap'],
    spoil: (list, random) => {
      const published = publishesByKey(list);
      const acks = acksByKey(list);
      const candidates = pairs(list, (one, next) => !hasOffset(one) && isReceive(next) && acks.has(one.key)
        && acks.get(one.key).t < published.get(next.key).t
        && published.get(one.key).t > list[lifeOf(list, one)].t);
      return oneOf(candidates, random, ([index]) => list.splice(index, 1));
    },
  },
  'a recovered publication is dropped': {
    rules: ['silent-gap'],
    spoil: (list, random) => oneOf(pairs(list, (one, next) => one.via === 'recovery' && isReceive(next)), random,
      ([index]) => list.splice(index, 1)),
  },
  'all recovered publications are dropped': {
    rules: ['silent-gap', 'behind'],
    spoil: (list, random) => oneOf(recoveredSubscribes(list, (next) => next.via === 'recovery')
      .filter((index) => list.slice(index).find((one) => one.kind === 'unsubscribed' && sameSubscription(list[index])(one))
        && recoveredCount(list, index) > 0 && hasLiveAfter(list, index)), random,
    (index) => dropRange(list, index, sameSubscription(list[index]))),
  },
  'the first live publication after a recovery is dropped': {
    rules: ['silent-gap'],
    spoil: (list, random) => oneOf(pairs(list, (one, next) => one.via === 'recovery' && isReceive(next)
      && next.via === 'live').map(([, next]) => next)
      .filter((index) => nextOf(list, index) > 0 && isReceive(list[nextOf(list, index)])), random,
    (index) => list.splice(index, 1)),
  },
  'a recovery claims more than the client had': {
    rules: ['silent-gap'],
    spoil: (list, random) => oneOf(recoveredSubscribes(list, (next) => next.via === 'recovery'), random, (index) => {
      change(list, index, { offset: list[index].offset + 1 });
      list.splice(nextOf(list, index), 1);
    }),
  },
  'a recovery puts the client back': {
    rules: ['recovery'],
    spoil: (list, random) => oneOf(recoveredSubscribes(list, () => true).filter((index) => list[index].offset > 0),
      random, (index) => change(list, index, { offset: list[index].offset - 1 })),
  },
  'a failed recovery says that it succeeded': {
    rules: ['silent-gap', 'recovery'],
    spoil: (list, random) => {
      const position = new Map();
      const candidates = indices(list, (one) => {
        const key = `${one.client} ${one.channel}`;
        const before = position.get(key);
        if ((one.kind === 'subscribed' || isReceive(one)) && hasOffset(one)) {
          position.set(key, one);
        }
        return one.kind === 'subscribed' && one.wasRecovering && !one.recovered
          && (one.epoch !== before.epoch || one.offset > before.offset);
      });
      return oneOf(candidates, random, (index) => change(list, index, { recovered: true }));
    },
  },
  'a recovery that was possible is refused': {
    rules: ['unrecovered'],
    spoil: (list, random) => oneOf(recoveredSubscribes(list, () => true), random, (index) => {
      const { offset } = list[index];
      const count = recoveredCount(list, index);
      dropRange(list, index, sameSubscription(list[index]));
      change(list, index, { recovered: false, offset: offset + count });
    }),
  },
  'a failed recovery sends publications': {
    rules: ['recovery'],
    spoil: (list, random) => oneOf(recoveredSubscribes(list, (next) => next.via === 'recovery'), random,
      (index) => change(list, index, { recovered: false })),
  },
  'nothing was to be recovered, and was': {
    rules: ['recovery'],
    spoil: (list, random) => oneOf(indices(list, (one) => one.kind === 'subscribed' && hasOffset(one)
      && !one.wasRecovering), random, (index) => change(list, index, { recovered: true })),
  },
  'a receive comes twice': {
    rules: ['duplicate'],
    spoil: (list, random) => oneOf(indices(list, isReceive), random,
      (index) => insert(list, index + 1, list[index])),
  },
  'a receive comes again over a recovered reconnect': {
    rules: ['duplicate'],
    spoil: (list, random) => {
      const candidates = recoveredSubscribes(list, () => true).map((index) => {
        const before = list.slice(0, index).findLastIndex((one) => isReceive(one) && sameSubscription(list[index])(one));
        return [index, before];
      }).filter(([index, before]) => before >= 0 && list[before].offset === list[index].offset);
      return oneOf(candidates, random,
        ([index, before]) => insert(list, index + 1, { ...list[before], via: 'recovery' }));
    },
  },
  'two receives are swapped': {
    rules: ['order'],
    spoil: (list, random) => oneOf(pairs(list, (one, next) => hasOffset(one) && isReceive(next)
      && one.via === next.via), random, ([index, next]) => swap(list, index, next)),
  },
  'two receives of one connection in a channel without history are swapped': {
    rules: ['order'],
    spoil: (list, random) => {
      const published = publishesByKey(list);
      return oneOf(pairs(list, (one, next) => !hasOffset(one) && isReceive(next)
        && published.get(one.key).stream === published.get(next.key).stream && published.get(next.key).t < one.t), random,
      ([index, next]) => swap(list, index, next));
    },
  },
  'in a channel without history, one overtakes what was acknowledged before it was sent': {
    rules: ['order'],
    spoil: (list, random) => {
      const published = publishesByKey(list);
      const acks = acksByKey(list);
      return oneOf(pairs(list, (one, next) => !hasOffset(one) && isReceive(next) && acks.has(one.key)
        && acks.get(one.key).t < published.get(next.key).t), random, ([index, next]) => {
        const [moved] = list.splice(index, 1);
        list.splice(next, 0, { ...moved, t: list[next - 1].t });
      });
    },
  },
  'a body is altered on its way': {
    rules: ['altered'],
    spoil: (list, random) => oneOf(indices(list, isReceive), random,
      (index) => change(list, index, { sum: list[index].sum ^ 1 })),
  },
  'a body is altered in the history': {
    rules: ['altered'],
    spoil: (list, random) => oneOf(itemsOf(list), random, (item) => mapHistory(list, item.channel,
      (one) => (one[1] === item.key ? [one[0], one[1], one[2] ^ 1] : one))),
  },
  'a message that nobody sent is received': {
    rules: ['phantom'],
    spoil: (list, random) => oneOf(indices(list, isReceive), random,
      (index) => change(list, index, { key: 'ghost' })),
  },
  'a message that nobody sent is in the history': {
    rules: ['phantom'],
    spoil: (list, random) => oneOf(itemsOf(list), random, (item) => mapHistory(list, item.channel,
      (one) => (one[1] === item.key ? [one[0], 'ghost', one[2]] : one))),
  },
  'a message is received before it is sent': {
    rules: ['phantom'],
    spoil: (list, random) => oneOf(indices(list, (one) => isReceive(one) && !hasOffset(one)), random, (index) => {
      const [publish] = indices(list, (one) => one.kind === 'publish' && one.key === list[index].key);
      const [record] = list.splice(publish, 1);
      list.splice(index, 0, { ...record, t: list[index].t });
    }),
  },
  'a message reaches another channel': {
    rules: ['phantom'],
    spoil: (list, random) => oneOf(indices(list, (one) => isReceive(one) && one.channel === 'plain:a'), random,
      (index) => change(list, index, { channel: 'plain:b' })),
  },
  'one observer sees another message at an offset': {
    rules: ['divergence'],
    spoil: (list, random) => {
      const seen = new Map();
      list.filter((one) => isReceive(one) && hasOffset(one))
        .forEach((one) => seen.set(`${one.channel} ${one.epoch} ${one.offset}`, (seen.get(`${one.channel} ${one.epoch} ${
          one.offset}`) ?? 0) + 1));
      const candidates = pairs(list, (one, next) => hasOffset(one) && isReceive(next)
        && seen.get(`${one.channel} ${one.epoch} ${one.offset}`) > 1);
      return oneOf(candidates, random, ([index, next]) => {
        const other = list[next];
        change(list, index, { key: other.key, sum: other.sum });
      });
    },
  },
  'the history has another message at an offset': {
    rules: ['divergence'],
    spoil: (list, random) => {
      const received = new Set(list.filter((one) => isReceive(one) && hasOffset(one)).map((one) => one.key));
      const items = itemsOf(list).filter((item) => received.has(item.key));
      const candidates = items.flatMap((item, i) => (i > 0 && items[i - 1].channel === item.channel
        ? [[items[i - 1], item]] : []));
      return oneOf(candidates, random, ([a, b]) => mapHistory(list, a.channel, (one) => {
        const now = one[1] === a.key ? b : one[1] === b.key ? a : null;
        return now === null ? one : [one[0], now.key, now.sum];
      }));
    },
  },
  'one observer counts differently': {
    rules: ['gap', 'silent-gap'],
    spoil: (list, random) => oneOf(indices(list, (one) => isReceive(one) && hasOffset(one)), random, (from) => {
      const mine = sameSubscription(list[from]);
      indices(list, (one, index) => index >= from && isReceive(one) && mine(one))
        .forEach((index) => change(list, index, { offset: list[index].offset + 1 }));
    }),
  },
  'an acknowledged message is missing in the history': {
    rules: ['lost'],
    spoil: (list, random) => {
      const acks = acksByKey(list);
      return oneOf(lastingItems(list).filter((item) => acks.has(item.key)), random,
        (item) => mapHistory(list, item.channel, (one) => (one[1] === item.key ? null : one)));
    },
  },
  'a message is acknowledged and never stored': {
    rules: ['lost'],
    only: true,
    spoil: (list, random) => {
      const acks = acksByKey(list);
      const items = itemsOf(list, (one) => one.channel === 'dur:a');
      return oneOf(items.filter((item) => acks.has(item.key) && !publishesByKey(list).get(item.key).idempotent), random,
        (item) => {
          indices(list, (one) => isReceive(one) && one.key === item.key).reverse()
            .forEach((index) => list.splice(index, 1));
          indices(list, (one) => one.kind === 'ack' && one.key === item.key)
            .forEach((index) => change(list, index, { offset: undefined, epoch: undefined }));
          mapHistory(list, item.channel, (one) => (one[1] === item.key ? null : one));
          mapOffsets(list, item, (offset) => (offset >= item.offset ? offset - 1 : offset));
        });
    },
  },
  'the end of a durable history is gone': {
    rules: ['lost'],
    spoil: (list, random) => {
      const acks = acksByKey(list);
      const items = itemsOf(list, (one) => one.channel === 'dur:a');
      const top = items.at(-1)?.offset ?? 0;
      return oneOf(items.filter((item) => item.offset > top - 10 && acks.has(item.key)), random, (item) => {
        mapHistory(list, item.channel, (one) => (one[0] >= item.offset ? null : one));
        indices(list, (one) => one.kind === 'history' && one.channel === item.channel)
          .forEach((index) => change(list, index, { top: item.offset - 1 }));
      });
    },
  },
  'the last receive before rest is missing': {
    rules: ['behind', 'gap'],
    spoil: (list, random) => {
      const rest = restOf(list);
      const published = publishesByKey(list);
      const acks = acksByKey(list);
      const candidates = indices(list, (one, index) => isReceive(one) && index < rest
        && nextOf(list, index) > rest && (hasOffset(one) || (acks.has(one.key)
          && published.get(one.key).t > list[lifeOf(list, one)].t)));
      return oneOf(candidates, random, (index) => list.splice(index, 1));
    },
  },
  'a publication stands twice in the history': {
    rules: ['twice', 'idempotency'],
    spoil: (list, random) => oneOf(lastingItems(list), random, (item) => {
      const pages = indices(list, (one) => one.kind === 'history' && one.channel === item.channel);
      const { top, items } = list[pages.at(-1)];
      pages.forEach((index) => change(list, index, { top: top + 1 }));
      change(list, pages.at(-1), { items: [...items, [top + 1, item.key, item.sum]] });
    }),
  },
  'an idempotent repeat is published again': {
    rules: ['idempotency'],
    spoil: (list, random) => {
      const published = publishesByKey(list);
      return oneOf(itemsOf(list).filter((item) => published.get(item.key).idempotent), random, (item) => {
        const pages = indices(list, (one) => one.kind === 'history' && one.channel === item.channel);
        const { top, items } = list[pages.at(-1)];
        pages.forEach((index) => change(list, index, { top: top + 1 }));
        change(list, pages.at(-1), { items: [...items, [top + 1, item.key, item.sum]] });
      });
    },
  },
  'an idempotent repeat gives another result': {
    rules: ['idempotency'],
    spoil: (list, random) => {
      const candidates = indices(list, (one) => one.kind === 'ack' && hasOffset(one) && one.attempt > 1
        && one.channel === 'dur:a').filter((index) => itemsOf(list).some((item) => item.key === list[index].key));
      return oneOf(candidates, random, (index) => change(list, index, { offset: list[index].offset + 1e6 }));
    },
  },
  'another body under a key is accepted': {
    rules: ['idempotency'],
    spoil: (list, random) => {
      const acks = acksByKey(list);
      const candidates = indices(list, (one) => one.kind === 'nack' && one.code === 107 && one.channel === 'dur:a'
        && acks.has(one.key));
      return oneOf(candidates, random, (index) => {
        const { code, ...rest } = list[index];
        list[index] = { ...rest, kind: 'ack' };
      });
    },
  },
  'the same body under a key is refused': {
    rules: ['idempotency'],
    spoil: (list, random) => {
      const sums = new Map();
      list.filter((one) => one.kind === 'publish' && one.idempotent)
        .forEach((one) => sums.set(one.key, (sums.get(one.key) ?? new Set()).add(one.sum)));
      const candidates = indices(list, (one) => one.kind === 'ack' && one.channel === 'dur:a' && one.attempt > 1
        && sums.get(one.key)?.size === 1);
      return oneOf(candidates, random, (index) => {
        const { offset, epoch, ...rest } = list[index];
        list[index] = { ...rest, kind: 'nack', code: 107 };
      });
    },
  },
  'a refused message is published': {
    rules: ['refused'],
    spoil: (list, random) => {
      const seen = new Set([...list.filter(isReceive).map((one) => one.key), ...itemsOf(list).map((one) => one.key)]);
      const published = publishesByKey(list);
      const candidates = indices(list, (one) => one.kind === 'ack' && seen.has(one.key)
        && !published.get(one.key).idempotent);
      return oneOf(candidates, random, (index) => {
        const { offset, epoch, ...rest } = list[index];
        list[index] = { ...rest, kind: 'nack', code: 103 };
      });
    },
  },
  'a message overtakes one that was acknowledged before it was sent': {
    rules: ['order'],
    spoil: (list, random) => {
      const published = publishesByKey(list);
      const acks = acksByKey(list);
      const items = itemsOf(list, (one) => one.channel !== 'small:a')
        .filter((item) => !published.get(item.key).idempotent && acks.has(item.key));
      const candidates = items.flatMap((a, i) => items.slice(i + 1, i + 30).filter((b) => b.channel === a.channel
        && acks.get(a.key).t < published.get(b.key).t).map((b) => [a, b]));
      return oneOf(candidates, random, ([a, b]) => exchange(list, a, b));
    },
  },
  'two messages of one connection change places': {
    rules: ['order'],
    spoil: (list, random) => {
      const published = publishesByKey(list);
      const last = new Map();
      const candidates = [];
      for (const item of itemsOf(list)) {
        const { stream } = published.get(item.key);
        if (stream !== undefined) {
          if (last.has(stream)) {
            candidates.push([last.get(stream), item]);
          }
          last.set(stream, item);
        }
      }
      return oneOf(candidates, random, ([a, b]) => exchange(list, a, b));
    },
  },
  'a crash loses the history and keeps the epoch': {
    rules: ['epoch', 'divergence'],
    spoil: (list, random) => {
      const used = [...new Set(list.filter((one) => isReceive(one) && one.channel === 'mem:a').map((one) => one.epoch))];
      const candidates = used.slice(1).map((epoch, i) => [used[i], epoch]);
      return oneOf(candidates, random, ([before, after]) => {
        indices(list, (one) => one.channel === 'mem:a' && one.epoch === after)
          .forEach((index) => change(list, index, { epoch: before }));
      });
    },
  },
  'a crash gives a durable channel a new epoch': {
    rules: ['epoch'],
    spoil: (list, random) => oneOf(indices(list, (one) => one.fault === 'kill' && one.phase === 'end')
      .filter((at) => list.slice(0, at).some((one) => one.channel === 'dur:a' && one.epoch !== undefined)), random,
    (at) => {
      indices(list, (one, index) => index > at && one.channel === 'dur:a' && one.epoch !== undefined)
        .forEach((index) => change(list, index, { epoch: 'other' }));
    }),
  },
  'a receive is of another epoch than its subscription': {
    rules: ['epoch'],
    spoil: (list, random) => oneOf(indices(list, (one) => isReceive(one) && hasOffset(one)), random,
      (index) => change(list, index, { epoch: 'other' })),
  },
  'a publication comes after the end of a subscription': {
    rules: ['stray'],
    spoil: (list, random) => oneOf(indices(list, (one) => one.kind === 'unsubscribed').map((index) => [index,
      list.slice(0, index).findLastIndex((one) => isReceive(one) && sameSubscription(list[index])(one))])
      .filter(([, before]) => before >= 0), random,
    ([index, before]) => insert(list, index + 1, list[before])),
  },
  'a read-out lacks its last page': {
    rules: ['history'],
    spoil: (list, random) => oneOf(indices(list, (one) => one.kind === 'history' && one.end), random,
      (index) => list.splice(index, 1)),
  },
  'a read-out lacks a page': {
    rules: ['history'],
    spoil: (list, random) => oneOf(indices(list, (one, index) => one.kind === 'history' && !one.end
      && list[index - 1].kind === 'history' && list[index - 1].channel === one.channel), random,
    (index) => list.splice(index, 1)),
  },
  'a history holds less than it may': {
    rules: ['history'],
    spoil: (list, random) => oneOf(indices(list, (one, index) => one.kind === 'history' && one.items.length > 0
      && list[index - 1].kind !== 'history'), random,
    (index) => change(list, index, { items: list[index].items.slice(1) })),
  },
  'somebody who is gone is present': {
    rules: ['presence'],
    spoil: (list, random) => oneOf(indices(list, (one) => one.kind === 'presence'), random,
      (index) => change(list, index, { connections: [...list[index].connections, 'c1#0'] })),
  },
  'somebody who is there is not present': {
    rules: ['presence'],
    spoil: (list, random) => oneOf(indices(list, (one) => one.kind === 'presence'), random,
      (index) => change(list, index, { connections: list[index].connections.slice(1) })),
  },
  'somebody is present twice': {
    rules: ['presence'],
    spoil: (list, random) => oneOf(indices(list, (one) => one.kind === 'presence'), random,
      (index) => change(list, index, { connections: [...list[index].connections, list[index].connections[0]] })),
  },
  'lines of two boots': {
    rules: ['record'],
    spoil: (list, random) => oneOf([list.length], random,
      (index) => insert(list, index, { kind: 'clock', boot: 'other', pid: 2 })),
  },
  'an answer to what nobody sent': {
    rules: ['record'],
    spoil: (list, random) => oneOf(indices(list, (one) => one.kind === 'ack'), random,
      (index) => change(list, index, { key: 'ghost' })),
  },
};

/* There is a live receive after the recovered ones of this subscribe, or it is the life that is at rest. */
function hasLiveAfter(list, index) {
  let next = nextOf(list, index);
  while (next > 0 && isReceive(list[next]) && list[next].via === 'recovery') {
    next = nextOf(list, next);
  }
  return next > 0 && (isReceive(list[next]) || (index < restOf(list) && next > restOf(list)));
}

function lifeOf(list, record) {
  return list.findLastIndex((one) => one.kind === 'subscribed' && one.t < record.t && sameSubscription(record)(one));
}
