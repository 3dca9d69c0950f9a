/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_HUB_REPLY_H
#define CHAT_HUB_REPLY_H
/*
 * What the hub says to one connection: replies and pushes, encoded into the outbox.
 *
 * Private to chat/hub*.c. ON the hub's reactor. A message for which there is no room costs its
 * connection (outbox.h), so none of these can fail.
 */
#include <stdint.h>

#include "chat/presence.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "proto/codes.h"
#include "proto/event.h"

struct metrics;
struct outbox;
struct session;

/* Where replies go: a part of the hub. */
struct hub_reply {
    struct outbox *outbox;
    struct metrics *metrics;
};

void hub_reply_connect(const struct hub_reply *to, struct session *session, uint32_t command,
                       const struct event_connected *result);
void hub_reply_refresh(const struct hub_reply *to, struct session *session, uint32_t command,
                       const struct event_connected *result);
void hub_reply_subscribe(const struct hub_reply *to, struct session *session, uint32_t command,
                         const struct event_subscribed *result);
void hub_reply_subscribe_push(const struct hub_reply *to, struct session *session,
                              struct bytes channel, const struct event_subscribed *result);
void hub_reply_sub_refresh(const struct hub_reply *to, struct session *session, uint32_t command,
                           const struct event_subscribed *result);
void hub_reply_history(const struct hub_reply *to, struct session *session, uint32_t command,
                       const struct event_history *result);
/* To the rpc `publish`: where it is, if its channel has history (an epoch that is not 0). */
void hub_reply_published(const struct hub_reply *to, struct session *session, uint32_t command,
                         uint64_t epoch, uint64_t offset);
void hub_reply_presence(const struct hub_reply *to, struct session *session, uint32_t command,
                        struct presence_parts parts, const struct presence_limits *limits);
void hub_reply_presence_stats(const struct hub_reply *to, struct session *session, uint32_t command,
                              const struct presence_numbers *numbers);
void hub_reply_empty(const struct hub_reply *to, struct session *session, uint32_t command,
                     enum event_empty result);
void hub_reply_error(const struct hub_reply *to, struct session *session, uint32_t command,
                     enum codes_error error);
/* Ends the connection, if it has not been told to end before. */
void hub_reply_disconnect(const struct hub_reply *to, struct session *session,
                          enum codes_disconnect code);
/* When its connection ends has been changed: in so many seconds; 0: it does not. */
void hub_reply_refresh_push(const struct hub_reply *to, struct session *session, uint32_t ttl_s);
void hub_reply_unsubscribe_push(const struct hub_reply *to, struct session *session,
                                struct bytes channel, enum codes_unsubscribe code);

#endif /* CHAT_HUB_REPLY_H */
