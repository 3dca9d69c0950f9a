/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_PUBLICATION_H
#define CHAT_PUBLICATION_H
/*
 * One publication in one blob, from the publisher's reactor to the last subscriber.
 *
 *   made by the publisher's reactor         |name ...  key |data,"info":{...}|            |
 *   finished by the home, around the data   |header|prefix |data,"info":{...}|suffix      |
 *
 * The name of the channel travels at the start of the blob, and its idempotency key with the digest
 * of the data just before these, in the room that the home then uses for the frame header and the
 * envelope; so the data is copied once, on the way in. Immutable once finished. Pure but for the
 * memory of the pool.
 */
#include <stdbool.h>
#include <stdint.h>

#include "chat/idempotency.h"
#include "core/annot.h"
#include "core/blob.h"
#include "core/bytes.h"

/* What a publisher says. */
struct publication_source {
    struct bytes channel;
    struct bytes data;      /* JSON */
    struct bytes info;      /* JSON: who it is; empty: nobody */
    struct bytes tags;      /* JSON object of strings; empty: none */
    struct bytes key;       /* for idempotency; empty: none */
    uint64_t now_ns;        /* when it was taken from them, of the clock that all reactors share */
    bool skips_history;     /* it is for who is there now, and nobody else */
    uint64_t version;       /* of what it is the state of; 0: none */
    uint64_t version_epoch; /* hash of its name; 0: none */
};

/* On the publisher's reactor: copied into a new blob. NULL: no memory. */
NODISCARD struct blob *publication_create(struct blob_pool *pool,
                                          const struct publication_source *source);

/* What publication_create left in it until publication_finish. */
NODISCARD struct bytes publication_channel(const struct blob *blob, uint16_t name_size);
NODISCARD struct idempotency_key publication_key(const struct blob *blob, uint8_t key_size);

/* The same as one piece, to be stored; and back, on any reactor. NULL: no memory. */
NODISCARD struct bytes publication_stored(const struct blob *blob, uint8_t key_size);
NODISCARD struct blob *publication_restore(struct blob_pool *pool, struct bytes channel,
                                           struct bytes stored, uint8_t key_size);

/*
 * At home: writes envelope and WebSocket frame header around the data. `channel` is not in blob.
 * Offset 0: the channel has no history, and its clients are told no offset.
 */
void publication_finish(struct blob *blob, struct bytes channel, uint64_t offset);

/* Of a finished one: the publication without frame, push and channel, as history has it. */
NODISCARD struct bytes publication_alone(const struct blob *blob, struct bytes channel);

#endif /* CHAT_PUBLICATION_H */
