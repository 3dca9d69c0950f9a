/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/card.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

struct card *card_create(struct bytes user, struct bytes info)
{
    CHECK(user.size <= UINT16_MAX && info.size <= UINT16_MAX);
    struct card *card = malloc(sizeof(*card) + user.size + info.size);
    if (card == NULL) {
        return NULL;
    }
    card->refs = 1;
    card->user_size = (uint16_t)user.size;
    card->info_size = (uint16_t)info.size;
    if (user.size > 0) {
        memcpy(card->text, user.data, user.size);
    }
    if (info.size > 0) {
        memcpy(card->text + user.size, info.data, info.size);
    }
    return card;
}

struct card *card_ref(struct card *card)
{
    if (card != NULL) {
        CHECK(card->refs > 0 && card->refs < UINT32_MAX);
        card->refs++;
    }
    return card;
}

void card_unref(struct card *card)
{
    if (card != NULL && --card->refs == 0) {
        free(card);
    }
}
