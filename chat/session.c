/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/session.h"

#include <errno.h>
#include <stdlib.h>

#include "chat/grant.h"
#include "core/check.h"
#include "proto/event.h"

enum { FIRST_CAPACITY = 1 }; /* most people are in one room */

void session_id_text(const uint8_t id[static SESSION_ID_SIZE],
                     uint8_t text[static SESSION_ID_TEXT_SIZE])
{
    static const char digits[] = "0123456789abcdef";
    size_t at = 0;

    for (size_t i = 0; i < SESSION_ID_SIZE; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            text[at++] = '-';
        }
        text[at++] = (uint8_t)digits[id[i] >> 4];
        text[at++] = (uint8_t)digits[id[i] & 0xf];
    }
    CHECK(at == SESSION_ID_TEXT_SIZE);
}

void session_write_id(const struct session *session, uint8_t text[static SESSION_ID_TEXT_SIZE])
{
    session_id_text(session->id, text);
}

struct session_cards session_cards(const struct session *session,
                                   const struct session_subscription *subscription)
{
    return (struct session_cards){
        .conn = session->identity == NULL ? NULL : session->identity->card,
        .chan =
            subscription == NULL || subscription->grant == NULL ? NULL : subscription->grant->card,
    };
}

struct event_client_info session_describe(const uint8_t id[static SESSION_ID_SIZE],
                                          struct session_cards cards,
                                          uint8_t text[static SESSION_ID_TEXT_SIZE])
{
    session_id_text(id, text);
    return (struct event_client_info){
        .user = card_user(cards.conn),
        .client = {text, SESSION_ID_TEXT_SIZE},
        .conn_info = card_info(cards.conn),
        .chan_info = card_info(cards.chan),
    };
}

int session_find(const struct session *session, uint32_t room)
{
    for (int i = 0; i < session->subscription_count; i++) {
        if (session->subscriptions[i].room == room) {
            return i;
        }
    }
    return -1;
}

int session_add(struct session *session, struct session_subscription subscription)
{
    if (session->subscription_count == session->subscription_capacity) {
        CHECK(session->subscription_capacity <= UINT16_MAX / 2);
        const size_t capacity = session->subscription_capacity == 0
                                    ? FIRST_CAPACITY
                                    : 2U * session->subscription_capacity;
        struct session_subscription *grown =
            realloc(session->subscriptions, capacity * sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        session->subscriptions = grown;
        session->subscription_capacity = (uint16_t)capacity;
    }
    session->subscriptions[session->subscription_count++] = subscription;
    return 0;
}

bool session_remove(struct session *session, uint32_t index)
{
    CHECK(index < session->subscription_count);
    const uint32_t last = session->subscription_count - 1U;

    session->subscriptions[index] = session->subscriptions[last];
    session->subscription_count = (uint16_t)last;
    return index != last;
}

void session_deinit(struct session *session)
{
    CHECK(session->subscription_count == 0);
    free(session->subscriptions);
    session->subscriptions = NULL;
    session->subscription_capacity = 0;
}
