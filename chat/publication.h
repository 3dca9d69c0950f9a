/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_PUBLICATION_H
#define CHAT_PUBLICATION_H
/*
 * One publication in one blob, from the publisher's reactor to the last subscriber.
 *
 *   made by the publisher's reactor         |name ...      |data,"info":{...}|            |
 *   finished by the home, around the data   |header|prefix |data,"info":{...}|suffix      |
 *
 * The name of the channel travels at the start of the blob, in the room that the home then uses
 * for the frame header and the envelope; so the data is copied once, on the way in. Immutable once
 * finished. Pure but for the memory of the pool.
 */
#include <stdint.h>

#include "core/annot.h"
#include "core/blob.h"
#include "core/bytes.h"

/* On the publisher's reactor: name, data and info copied into a new blob. NULL: no memory. */
NODISCARD struct blob *publication_create(struct blob_pool *pool, struct bytes channel,
                                          struct bytes data, struct bytes info);

/* The name that publication_create left, until publication_finish. */
struct bytes publication_channel(const struct blob *blob, uint16_t name_size);

/*
 * At home: writes envelope and WebSocket frame header around the data. `channel` is not in blob.
 * Offset 0: the channel has no history, and its clients are told no offset.
 */
void publication_finish(struct blob *blob, struct bytes channel, uint64_t offset);

/* Of a finished one: the publication without frame, push and channel, as history has it. */
NODISCARD struct bytes publication_alone(const struct blob *blob, struct bytes channel);

#endif /* CHAT_PUBLICATION_H */
