// SPDX-License-Identifier: Apache-2.0
/*
 * What a run has been through. A rule that found nothing says little by itself: it says as much as
 * there was to find something in. So each zero of a report stands beside such numbers, and a run with
 * too little of them fails.
 */

/* Smallest numbers of a run that proves anything; options of check.mjs: --min-acks 1000 */
export const MINIMUM = {
  acks: 1000,
  receives: 1000,
  reconnects: 10,
  faults: 5,
  kills: 1,
  subscriptionsAtRest: 1,
};

/* These too, where a channel of the run has what they are about. */
const MINIMUM_WITH = {
  recovered: [5, (options) => options.recovery],
  receivesByRecovery: [5, (options) => options.recovery],
  historyItems: [100, (options) => (options.historySize ?? 0) > 0],
  presenceSnapshots: [1, (options) => options.presence],
  repeatsAnswered: [5, (options) => options.idempotency],
  repeatsRefused: [1, (options) => options.idempotency],
  demanded: [500, (options) => !((options.historySize ?? 0) > 0)],
};

const FIELDS = ['records', 'publishes', 'acks', 'nacks', 'unknown', 'receives', 'receivesByRecovery',
  'connects', 'reconnects', 'subscribes', 'recovered', 'notRecovered', 'faults', 'kills', 'terms', 'storeKills', 'stops',
  'resets', 'halfOpens', 'slows', 'subscriptionsAtRest', 'historyItems', 'acksFound', 'acksExcused',
  'acksTrimmed', 'acksWithoutHistory', 'presenceSnapshots', 'presenceMembers', 'repeatsAnswered',
  'repeatsRefused', 'placed', 'demanded', 'channels', 'epochs'];

export class Exposure {
  constructor() {
    for (const field of FIELDS) {
      this[field] = 0;
    }
  }

  countFault(name) {
    const fields = {
      kill: 'kills', term: 'terms', 'store-kill': 'storeKills', stop: 'stops', reset: 'resets',
      'half-open': 'halfOpens', slow: 'slows',
    };
    if (name in fields) {
      this.faults += 1;
      this[fields[name]] += 1;
    }
  }

  /* The minimums that hold for these channels. `wanted` overrides by name; 0 asks for nothing. */
  static minimumsFor(channels, wanted = {}) {
    const minimums = { ...MINIMUM };
    for (const [field, [least, applies]] of Object.entries(MINIMUM_WITH)) {
      if (channels.some((channel) => applies(channel.options))) {
        minimums[field] = least;
      }
    }
    return { ...minimums, ...wanted };
  }

  shortfalls(minimums) {
    return Object.entries(minimums).filter(([field, least]) => this[field] < least)
      .map(([field, least]) => `${field}: ${this[field]}, at least ${least} are needed to prove anything`);
  }
}

export function isMinimum(name) {
  return FIELDS.includes(name);
}
