/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_HUB_STATE_H
#define CHAT_HUB_STATE_H
/*
 * The hub's state, and the steps that its files share.
 *
 * Private to chat/hub*.c. ON the hub's reactor.
 */
#include <stddef.h>
#include <stdint.h>

#include "chat/channel.h"
#include "chat/claims.h"
#include "chat/hub.h"
#include "chat/hub_reply.h"
#include "chat/ids.h"
#include "chat/permission.h"
#include "chat/policy_places.h"
#include "chat/post.h"
#include "chat/recovery.h"
#include "chat/roster.h"
#include "chat/stream.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/check.h"
#include "core/list.h"
#include "core/slab.h"
#include "proto/codes.h"

struct blob;
struct command;
struct command_history;
struct command_subscribe;
struct grant;
struct grant_source;
struct hub_places;
struct leases;
struct publication_source;
struct revocations;
struct timerwheel;
struct users;

/* A leave that found no room on the bus. There is at most one per room that was ever open. */
struct hub_leave {
    struct ids_handle channel;
    struct ids_handle room;
};

enum { HUB_INFO_SIZE_MAX = 10 << 10 }; /* bytes */

/*
 * Bytes of recovered publications that are said in one iteration. It is what live traffic waits for
 * while many come back; four times as much brings them back no sooner (bench/README.md).
 */
enum { HUB_RECOVERY_BYTES_MAX = 128 << 10 };

struct hub {
    struct hub_options options; /* .policies: our own */
    struct policy_places policies;
    struct hub_reply reply;
    struct slab *sessions; /* objects are struct session */
    struct roster *roster;
    struct channel_home *home;
    struct hub_leave *leaves; /* not yet posted */
    size_t leave_count;
    size_t leave_capacity;
    struct list_link recovering; /* rooms for whose waiters the home has to be asked */
    struct list_link settled;    /* arrivals that were answered, for the gateway */
    struct list_link unasked;    /* rooms whose home has to be asked, when there is a credit */
    size_t recovery_bytes;       /* publications that were recovered in this iteration */
    size_t subscription_count;   /* for the gauge */
    struct timerwheel *timers;   /* the heralds' */
    struct timerwheel *expiries; /* of tokens */
    struct users *users;
    struct hub_places *places;       /* hub_places.c's */
    struct leases *leases;           /* of users and addresses whose commands are limited */
    struct revocations *revocations; /* what back ends have forbidden */
    struct slab *questions;          /* objects are those of hub_presence.c */
    struct hub_objection objection;  /* see hub_take_objection() */
    uint64_t now_ns;                 /* of this iteration */
    bool is_draining;                /* see hub_drain() */
    bool refuses_subscriptions;      /* see hub_refuse_subscriptions() */
    uint64_t allowance;              /* commands that surely find a credit; see hub_is_ready() */
    uint8_t info[HUB_INFO_SIZE_MAX]; /* who publishes, while it is written */
};

/*
 * Who is answered later: a session, by its command; or a back end's connection, whose name travels
 * in the form of a handle, by a part of its request (chat/hub_api.h).
 */
struct hub_asker {
    struct ids_handle handle;
    uint32_t number; /* the command's id, or the part */
    bool is_rpc;     /* of a publication: it is told where that is */
    bool is_api;
};

/* For each command: see hub_is_ready(). */
static inline void hub_use_allowance(struct hub *hub)
{
    if (hub->allowance > 0) {
        hub->allowance--;
    }
}

struct session *hub_session(struct hub *hub, struct ids_handle handle); /* NULL: stale */

/* One that is there: a room, or a timer, knows its slot. */
static inline struct session *hub_session_at(const struct hub *hub, uint32_t slot)
{
    struct session *session = slab_at(hub->sessions, slot);
    CHECK(session != NULL);
    return session;
}

struct ids_handle hub_handle(const struct hub *hub, const struct session *session);

static inline struct hub_asker hub_asker_of(const struct hub *hub, const struct session *session,
                                            uint32_t command)
{
    return (struct hub_asker){.handle = hub_handle(hub, session), .number = command};
}

/* hub_rooms.c. The home has answered for a room that was JOINING: who waits is admitted, or not. */
void hub_room_joined(struct hub *hub, struct room *room, const struct channel_interest *interest);
void hub_room_refused(struct hub *hub, struct room *room, enum codes_error error);

/*
 * Leaves the channel and closes the room, if nobody is in it any more and there is nothing to be
 * told about those who were.
 */
void hub_room_maybe_left(struct hub *hub, struct room *room);

/* What somebody who comes into a channel asks for, and brings along. */
struct hub_entry {
    const struct command_subscribe *wanted;
    struct grant *grant;       /* becomes the subscription's; NULL: nothing is special */
    uint32_t command;          /* id, ROSTER_BY_CLIENT */
    enum roster_origin origin; /* who wants it */
};

/*
 * hub_join.c. A session that may subscribes to a channel, in which it is not; see hub_enter_room().
 * Not CODES_ERROR_NONE: nothing happened, and the grant is the caller's.
 */
NODISCARD enum codes_error hub_join(struct hub *hub, struct session *session, struct bytes channel,
                                    uint64_t hash, const struct hub_entry *entry);

/* Rooms for whose question there was no credit. */
void hub_ask_homes(struct hub *hub);

/*
 * hub_subscribe.c. A session comes into a room: it is a member and has its answer, or it waits.
 * 0, or -ENOMEM and nothing happened.
 */
NODISCARD int hub_enter_room(struct hub *hub, struct session *session, struct room *room,
                             const struct hub_entry *entry);

/*
 * Says that a subscription has ended, which is then the caller's to untie. One that the server made
 * cannot be made again by the client: where it should be, the connection has to come again.
 */
void hub_tell_unsubscribed(struct hub *hub, struct session *session, const struct room *room,
                           const struct grant *grant, enum codes_unsubscribe code);

/*
 * As many as may: all whose answer is known without reading, or from the page that was read. Then
 * hub_room_maybe_left().
 */
void hub_admit_waiters(struct hub *hub, struct room *room, struct blob *page);
void hub_refuse_waiters(struct hub *hub, struct room *room, enum codes_error error);

/* The answer to what was read for a room: takes one share of the page; NULL: it failed. */
void hub_take_recovered(struct hub *hub, struct room *room, struct blob *page);

/*
 * hub_recovery.c. What a waiter is told. `page`: what the home has read from room->asked_from on,
 * or NULL.
 */
NODISCARD struct recovery_answer hub_judge(const struct hub *hub, const struct room *room,
                                           const struct roster_waiter *waiter,
                                           const struct blob *page);

/* The same in the words of the protocol, with views of the page and of itself. */
struct hub_told {
    const struct blob *page; /* given: what there is of what it missed; NULL: nothing */
    struct event_subscribed result;
    uint8_t epoch[STREAM_EPOCH_SIZE];
    bool has_all; /* false: the page is not all of it yet */
};

/* The answer is not RECOVERY_READ. */
void hub_describe(const struct hub *hub, const struct room *room,
                  const struct roster_waiter *waiter, struct recovery_answer answer,
                  struct hub_told *told);
void hub_count_recovery(const struct hub *hub, const struct room *room,
                        enum recovery_verdict verdict);

/* Somebody waits there for what the home has to read, which may not be under way. */
void hub_wish(struct hub *hub, struct room *room);

/* Ends one subscription of a session, and the room if that was its last member. */
void hub_leave_room(struct hub *hub, struct session *session, uint32_t index);

/* Takes the session's subscription away, without closing the room. */
void hub_untie(struct hub *hub, struct session *session, uint32_t index);

/* hub_posts.c: a channel's name, to go with a question. NULL: no memory. */
NODISCARD struct blob *hub_copy_name(struct hub *hub, struct bytes name);

/* hub_commands.c: CODES_ERROR_NONE, or why the session may not do that in the channel. */
NODISCARD enum codes_error hub_may(struct hub *hub, const struct session *session,
                                   struct bytes channel, uint64_t hash, enum permission_verb verb);
/* What a client is told of a verdict, which is counted. */
NODISCARD enum codes_error hub_error_for(const struct hub *hub, enum permission_verdict verdict);
/* The session's subscription to a channel, or -1. */
NODISCARD int hub_find(struct hub *hub, const struct session *session, struct bytes channel,
                       uint64_t hash);

/* hub_connect.c: who comes and who stays, and what becomes of those whose token has ended. */
NODISCARD uint16_t hub_apply_connect(struct hub *hub, struct session *session,
                                     const struct command *command);
NODISCARD uint16_t hub_apply_refresh(struct hub *hub, struct session *session,
                                     const struct command *command);
NODISCARD enum claims_verdict hub_verify(struct hub *hub, enum claims_kind kind, struct bytes token,
                                         struct claims *claims);
/* Constant texts: see hub_take_objection(). */
void hub_object(struct hub *hub, const char *reason, const char *why);
/* Development without a key: whatever token somebody has, nobody could check it. */
NODISCARD bool hub_ignores_tokens(const struct hub *hub);
/* When the claims end, by the hub's clock; 0: never. */
NODISCARD uint64_t hub_term_end(const struct hub *hub, const struct claims *claims);
void hub_sign_out(struct hub *hub, struct session *session);
void hub_expire(struct hub *hub);

/* hub_grant.c: subscriptions by token. */
NODISCARD uint16_t hub_apply_subscribe(struct hub *hub, struct session *session,
                                       const struct command *command);
NODISCARD uint16_t hub_apply_sub_refresh(struct hub *hub, struct session *session,
                                         const struct command *command);
/* Not yet subscribed, below client.channel_limit, and memory is not short? */
NODISCARD enum codes_error hub_has_place(struct hub *hub, const struct session *session,
                                         struct bytes channel, uint64_t hash);
void hub_tell_term(const struct hub *hub, const struct grant *grant,
                   struct event_subscribed *result);
void hub_drop_grant(struct hub *hub, struct grant *grant);
/* Ends a subscription and tells the client; a subscribe that waits has its answer before. */
void hub_unsubscribe(struct hub *hub, struct session *session, uint32_t index,
                     enum codes_unsubscribe code);
void hub_expire_subscription(struct hub *hub, struct session *session, uint32_t room);

/*
 * hub_arrival.c: subscriptions that the server makes. A connect waits for those of its token, and
 * is answered when all are there. An error: nothing has begun, and the connect is not answered.
 */
NODISCARD enum codes_error hub_begin_arrival(struct hub *hub, struct session *session,
                                             const struct command *command,
                                             const struct claims *claims, uint32_t ttl_s);
/* Another one of its subscriptions knows what it missed, or has gone. */
void hub_arrive(struct hub *hub, struct session *session);
/* Its user has a place for it, or not. */
void hub_place_arrival(struct hub *hub, struct session *session, const struct post_place *answer);
/* It leaves every room, and its connect is answered with the error. */
void hub_fail_arrival(struct hub *hub, struct session *session, enum codes_error error);
void hub_forget_arrival(struct session *session);
/*
 * For a session that is not in the channel: it is told by a push, or in the reply to its connect.
 * The JSON of the source is good (identity_json_is_good), and the channel permitted.
 */
NODISCARD enum codes_error hub_subscribe_for(struct hub *hub, struct session *session,
                                             struct bytes channel,
                                             const struct grant_source *source,
                                             const struct command_subscribe *wanted);

/* hub_connect.c: the reply to a connect that was accepted. */
void hub_greet(struct hub *hub, struct session *session, uint32_t command, uint32_t ttl_s,
               struct bytes subs);

/* hub_publish.c */
NODISCARD uint16_t hub_apply_publish(struct hub *hub, struct session *session,
                                     const struct command *command);
NODISCARD uint16_t hub_apply_rpc(struct hub *hub, struct session *session,
                                 const struct command *command);

/* hub_publish.c: takes it to the home, which answers. CODES_ERROR_NONE, or no memory. */
NODISCARD enum codes_error hub_ask_publish(struct hub *hub, struct hub_asker asker,
                                           const struct publication_source *source, uint64_t hash);

/* hub_history.c: the command, and what the home has read for it. Borrows the page. */
NODISCARD uint16_t hub_apply_history(struct hub *hub, struct session *session,
                                     const struct command *command);
void hub_answer_history(struct hub *hub, struct session *session, const struct post_page *page);
/* CODES_ERROR_NONE: the home has been asked. */
NODISCARD enum codes_error hub_ask_history(struct hub *hub, struct hub_asker asker,
                                           const struct command_history *history, uint64_t hash);

/*
 * hub_posts.c: asks a home, which may be here; hub_is_ready() has seen the credit. The answer comes
 * to hub_take(), at once where the home is here and need not wait for the archive.
 */
void hub_ask(struct hub *hub, uint16_t home, const struct post *post);

/* hub_posts.c: to who asked; or, when POST_LATER was that, a tell, for which there is room. */
void hub_answer(struct hub *hub, const struct post *asked, const struct post *post);

/*
 * hub_places.c: connections of an address, or of a user, of whom each has a home as channels have
 * (chat/quota.h).
 */
NODISCARD int hub_places_create(const struct hub_options *options, struct hub_places **places);
void hub_places_destroy(struct hub_places *places);
void hub_places_change(struct hub_places *places, const struct hub_options *options);
/* The session's arrival hears of it; at once, and as a failure, where there is no room to ask. */
void hub_ask_place_of_user(struct hub *hub, struct session *session);
void hub_give_place_of_user(struct hub *hub, struct session *session);
void hub_take_place(struct hub *hub, const struct post *post);
void hub_post_places(struct hub *hub); /* those that go back and found no room on the bus */
NODISCARD bool hub_places_are_posted(const struct hub *hub);
NODISCARD bool hub_places_are_quiet(const struct hub *hub);
void hub_gauge_places(const struct hub *hub);
struct quota *hub_quota(const struct hub *hub, enum quota_kind kind);
NODISCARD uint16_t hub_home_of(const struct hub *hub, const struct quota_key *key);

/* hub_leases.c: what waits until its home may be asked (chat/leases.h); posts about leases. */
void hub_ask_leases(struct hub *hub);
void hub_take_lease(struct hub *hub, const struct post *post);

/* hub_presence.c: the commands, and what other reactors ask and say. */
NODISCARD size_t hub_question_size(uint16_t reactor_count);
NODISCARD uint16_t hub_apply_presence(struct hub *hub, struct session *session,
                                      const struct command *command);
/* Takes the blob; NULL: no memory. CODES_ERROR_NONE: everybody has been asked; or no memory. */
NODISCARD enum codes_error hub_ask_everybody(struct hub *hub, struct hub_asker asker,
                                             enum post_what what, struct blob *blob, uint64_t hash);
void hub_take_presence(struct hub *hub, const struct post *post);
void hub_take_presence_part(struct hub *hub, const struct post *post);

/* hub_api.c: what a back end asked is answered. They borrow what they are given. */
void hub_api_refuse(struct hub *hub, struct hub_asker asker, enum codes_error error);
void hub_api_take_published(struct hub *hub, const struct post_publish_answer *answer);
void hub_api_take_page(struct hub *hub, const struct post_page *page);
void hub_api_take_parts(struct hub *hub, struct hub_asker asker, enum post_what what,
                        struct presence_parts parts, const struct presence_limits *limits);

/* hub_order.c: does what a back end has ordered, here. CODES_ERROR_NONE, or why not. */
NODISCARD enum codes_error hub_obey(struct hub *hub, const struct blob *blob);

/* hub_channels.c: the part of this reactor; and the parts together, in so many bytes at most. */
NODISCARD enum codes_error hub_list_channels(struct hub *hub, struct bytes pattern,
                                             struct blob **part);
NODISCARD size_t hub_channels_size(struct presence_parts parts);
NODISCARD bool hub_write_channels(struct json_writer *writer, struct presence_parts parts);

/* hub_news.c: somebody became a member of the room, or is none any more. */
void hub_news_changed(struct hub *hub, struct room *room);

/* Somebody left that the others were told of, and they do not know yet: the room stays for it. */
NODISCARD bool hub_news_are_owed(const struct hub *hub, const struct room *room);

/* What it is time to tell. */
void hub_tell_news(struct hub *hub);
void hub_take_news(struct hub *hub, const struct post *post);
void hub_take_news_copy(struct hub *hub, const struct post *post);

/* hub_rooms.c: leaves that wait go out now, as far as there is room. */
void hub_post_leaves(struct hub *hub);

/* hub_rooms.c: publications were lost for this room, and its home has forgotten it. */
void hub_lose_room(struct hub *hub, struct ids_handle room);

/* hub_rooms.c: posts from a room's home. */
void hub_take_interest_answer(struct hub *hub, const struct post *post);
void hub_take_publication(struct hub *hub, const struct post *post);

/* hub_home.c: posts to a home, and to it from the archive. */
void hub_take_publish(struct hub *hub, const struct post *post);
void hub_take_interest(struct hub *hub, const struct post *post);
void hub_take_history(struct hub *hub, const struct post *post);
void hub_take_recover(struct hub *hub, const struct post *post);
void hub_take_from_archive(struct hub *hub, const struct post *post);

/* hub_home.c: what is stored is delivered and answered, as far as there is room. */
void hub_go_on_with_ledger(struct hub *hub);

#endif /* CHAT_HUB_STATE_H */
