// SPDX-License-Identifier: Apache-2.0
/*
 * Bugs for parleyd: edits of its source, [file, what stands there once, what shall stand there]. Each
 * builds without a warning, and breaks a promise that a chaos run of `config` has to miss; `rules` are
 * those of which at least one has to say so.
 */
export const PLANTS = {
  /* And what is answered stays here for a while, so that a kill meets it. */
  'ack before store': {
    config: 'durable',
    rules: ['lost'],
    edits: [
      ['chat/ledger.c',
        'list_push_back(&book->queued, &item->place);\n    ledger_mark_dirty(ledger, book);\n',
        'list_push_back(&book->queued, &item->place);\n    ledger_mark_dirty(ledger, book);\n'
          + '    ledger_end_item(ledger, item, CODES_ERROR_NONE);\n'],
      ['chat/ledger_runs.c',
        '    ledger_ask_pages(ledger);\n',
        '    ledger_ask_pages(ledger);\n    if (ledger->now_ns / 1000000 % 400 > 40) {\n        return;\n    }\n'],
    ],
  },
  'no gap check': {
    config: 'history',
    rules: ['silent-gap'],
    edits: [
      ['chat/recovery.c',
        ': answer(RECOVERY_IMPOSSIBLE, 0);\n}\n\n/* It has more',
        ': answer(RECOVERY_COMPLETE, question->first);\n}\n\n/* It has more'],
    ],
  },
  'a repeat counts': {
    config: 'durable',
    rules: ['idempotency'],
    edits: [
      ['chat/channel_keys.c',
        'if (age_ns >= channel->policy->idempotency_ttl_ns) {',
        'if (age_ns >= channel->policy->idempotency_ttl_ns || key->text.size > 0) {'],
    ],
  },
  'the epoch of before': {
    config: 'history',
    rules: ['epoch', 'divergence'],
    edits: [['chat/channel.c', 'return epoch == 0 ? 1 : epoch;', 'return epoch == 0 ? 2 : 1;']],
  },
};
