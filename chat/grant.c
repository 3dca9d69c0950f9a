/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/grant.h"

#include <errno.h>
#include <stdlib.h>

#include "chat/card.h"
#include "core/check.h"

/* Nothing is no card at all. False: no memory. */
static bool make_card(struct bytes json, struct card **card)
{
    *card = json.size == 0 ? NULL : identity_card((struct bytes){NULL, 0}, json);
    return json.size == 0 || *card != NULL;
}

struct grant *grant_create(const struct grant_source *source)
{
    struct grant *grant = calloc(1, sizeof(*grant));
    if (grant == NULL) {
        return NULL;
    }
    grant->overrides = source->overrides;
    grant->by_server = source->by_server;
    if (!make_card(source->info, &grant->card) || !make_card(source->data, &grant->data)) {
        grant_destroy(grant);
        return NULL;
    }
    return grant;
}

int grant_renew(struct grant *grant, struct bytes info)
{
    struct card *card;
    if (!make_card(info, &card)) {
        return -ENOMEM;
    }
    card_unref(grant->card);
    grant->card = card;
    return 0;
}

void grant_destroy(struct grant *grant)
{
    if (grant != NULL) {
        CHECK(!timerwheel_is_armed(&grant->expiry.timer));
        card_unref(grant->card);
        card_unref(grant->data);
        free(grant);
    }
}
