// SPDX-License-Identifier: Apache-2.0
/*
 * The rules by name: what each forbids, and what of the exposure its zero is worth.
 */
export const RULES = {
  lost: ['an acknowledged message is gone',
    (e) => `${e.acksFound} acknowledged found, ${e.kills} kills, ${e.terms} terms, ${e.storeKills} of the store; `
      + `${e.acksExcused} taken by a crash that may, ${e.acksTrimmed} perhaps trimmed, ${e.acksWithoutHistory} in channels without history`],
  phantom: ['a message that nobody had sent', (e) => `${e.receives} receives, ${e.historyItems} in histories`],
  altered: ['another body than was sent', (e) => `${e.receives} receives, ${e.historyItems} in histories`],
  refused: ['a message that the server had refused', (e) => `${e.nacks} refused`],
  duplicate: ['a message twice in a subscription', (e) => `${e.receives} receives, ${e.reconnects} reconnects`],
  gap: ['a message left out in a life', (e) => `${e.receives} receives, ${e.subscribes} lives; without offsets ${e.demanded} that had to come`],
  'silent-gap': ['a message left out over a recovery that succeeded',
    (e) => `${e.recovered} recovered, ${e.receivesByRecovery} receives by recovery`],
  recovery: ['an answer to a recovery that contradicts itself',
    (e) => `${e.recovered} recovered, ${e.notRecovered} not`],
  unrecovered: ['a recovery refused that was possible', (e) => `${e.recovered} recovered, ${e.notRecovered} not`],
  behind: ['at rest, a live subscription without the last messages',
    (e) => `${e.subscriptionsAtRest} subscriptions at rest`],
  divergence: ['two messages at one offset of one epoch',
    (e) => `${e.placed} offsets, ${e.receives} receives, ${e.historyItems} in histories`],
  twice: ['one message at two offsets', (e) => `${e.placed} offsets`],
  order: ['a message before one that was acknowledged, or sent, before it',
    (e) => `${e.placed} offsets, ${e.receives} receives`],
  epoch: ['an epoch that changed where it must not, or stayed where it must not',
    (e) => `${e.epochs} epochs of ${e.channels} channels, ${e.kills} kills`],
  idempotency: ['a repeat with another result, or accepted with another body',
    (e) => `${e.repeatsAnswered} repeats answered, ${e.repeatsRefused} refused`],
  presence: ['at rest, presence is not the connected set',
    (e) => `${e.presenceSnapshots} snapshots of ${e.presenceMembers} members`],
  history: ['a read-out that is not whole', (e) => `${e.historyItems} in histories`],
  stray: ['a message outside of a subscription', (e) => `${e.receives} receives`],
  record: ['a record that is not as record.mjs says', (e) => `${e.records} records`],
};
