/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_CARD_H
#define CHAT_CARD_H
/*
 * What others are told about somebody: a user id and an info of any JSON. Either may be empty.
 *
 * Owner     counted: whoever holds a reference. Somebody who left may still have to be told of, so
 *           a card can outlive its session. Immutable. ON one reactor.
 */
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

struct card {
    uint32_t refs;
    uint16_t user_size; /* bytes */
    uint16_t info_size;
    uint8_t text[]; /* the user, then the info */
};

/* One with one reference. NULL: no memory. Both have at most UINT16_MAX bytes. */
NODISCARD struct card *card_create(struct bytes user, struct bytes info);

/* NULL is a card of nobody: no reference is counted, and both texts are empty. */
struct card *card_ref(struct card *card);
void card_unref(struct card *card);

static inline struct bytes card_user(const struct card *card)
{
    return card == NULL ? (struct bytes){NULL, 0} : (struct bytes){card->text, card->user_size};
}

static inline struct bytes card_info(const struct card *card)
{
    return card == NULL ? (struct bytes){NULL, 0}
                        : (struct bytes){card->text + card->user_size, card->info_size};
}

#endif /* CHAT_CARD_H */
