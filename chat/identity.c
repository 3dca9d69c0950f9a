/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/identity.h"

#include <stdlib.h>
#include <string.h>

#include "chat/claims.h"
#include "chat/session.h"
#include "chat/users.h"
#include "core/check.h"
#include "proto/json.h"

/* As deep as the data of a command may be: proto/event.h counts on it. */
enum { JSON_INFO_DEPTH_MAX = 14 };

bool identity_json_is_good(struct bytes json)
{
    return json.size == 0 || (json.size <= IDENTITY_JSON_SIZE_MAX &&
                              json_validate(json, JSON_INFO_DEPTH_MAX) == JSON_OK);
}

static bool claims_are_good(const struct claims *claims)
{
    return claims->user.size <= IDENTITY_USER_SIZE_MAX &&
           claims->id.size <= IDENTITY_JSON_SIZE_MAX && identity_json_is_good(claims->info) &&
           identity_json_is_good(claims->meta);
}

struct card *identity_card(struct bytes user, struct bytes info)
{
    struct card *card = card_create(user, info);
    if (card != NULL && info.size > 0) {
        uint8_t *text = card->text + card->user_size;
        card->info_size = (uint16_t)json_compact((struct span){text, info.size});
    }
    return card;
}

/* What of a token is replaced by the next one. */
static enum identity_verdict fill(struct identity *identity, const struct claims *claims)
{
    uint8_t *secret = malloc(claims->meta.size + claims->id.size + 1);
    struct card *card = identity_card(claims->user, claims->info);
    if (secret == NULL || card == NULL) {
        free(secret);
        card_unref(card);
        return IDENTITY_NO_MEMORY;
    }
    if (claims->meta.size > 0) {
        memcpy(secret, claims->meta.data, claims->meta.size);
    }
    if (claims->id.size > 0) {
        memcpy(secret + claims->meta.size, claims->id.data, claims->id.size);
    }
    free(identity->secret);
    card_unref(identity->card);
    identity->secret = secret;
    identity->card = card;
    identity->meta_size = (uint16_t)claims->meta.size;
    identity->token_id_size = (uint16_t)claims->id.size;
    identity->issued_at_s = claims->issued_at_s;
    return IDENTITY_OK;
}

enum identity_verdict identity_create(struct users *users, struct session *session,
                                      const struct claims *claims)
{
    CHECK(session->identity == NULL);
    if (!claims_are_good(claims)) {
        return IDENTITY_BAD_CLAIMS;
    }
    struct identity *identity = calloc(1, sizeof(*identity));
    if (identity == NULL || fill(identity, claims) != IDENTITY_OK) {
        free(identity);
        return IDENTITY_NO_MEMORY;
    }
    identity->session = session;
    identity->expiry.session = session->slot;
    identity->expiry.room = UINT32_MAX;
    session->identity = identity;
    if (claims->user.size > 0) {
        identity->user = users_enter(users, claims->user, &identity->link);
        if (identity->user == NULL) {
            identity_destroy(users, session);
            return IDENTITY_NO_MEMORY;
        }
    }
    return IDENTITY_OK;
}

enum identity_verdict identity_renew(struct session *session, const struct claims *claims)
{
    CHECK(session->identity != NULL);
    return claims_are_good(claims) ? fill(session->identity, claims) : IDENTITY_BAD_CLAIMS;
}

void identity_destroy(struct users *users, struct session *session)
{
    struct identity *identity = session->identity;

    if (identity == NULL) {
        return;
    }
    CHECK(!timerwheel_is_armed(&identity->expiry.timer));
    if (identity->user != NULL) {
        users_leave(users, identity->user, &identity->link);
    }
    card_unref(identity->card);
    free(identity->secret);
    free(identity);
    session->identity = NULL;
}
