/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_HUB_H
#define CHAT_HUB_H
/*
 * One reactor's chat: applies what its clients ask, takes what other reactors post.
 *
 * Owner     a shard. ON its reactor only.
 * Flow      commands and posts come in by calls; what is to be delivered goes to the outbox, what
 *           concerns another reactor goes to the bus. Nothing is called back.
 * Full      hub_is_ready() is asked before each command: false means that an answer could not be
 *           promised now (no credit on the bus, no room in the outbox). The caller keeps the
 *           command and stops reading from that client.
 * Answers   every command with an id gets exactly one reply, or its connection is closed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/policy.h"
#include "chat/quota.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/conn_id.h"
#include "core/table.h"

struct blob_pool;
struct bus;
struct claims_verifier;
struct command;
struct hub; /* opaque */
struct metrics;
struct outbox;
struct post;
struct room;
struct roster;
struct session;

struct hub_options {
    struct table_key key; /* the same for all reactors: it decides the homes */
    uint16_t reactor;
    uint16_t reactor_count;
    uint32_t session_count_max;
    uint32_t room_count_max;
    uint32_t channel_count_max;
    uint32_t tail_count_max; /* see chat/channel.h */
    size_t tail_bytes_max;
    size_t history_bytes_max;      /* likewise */
    uint32_t history_count_max;    /* publications in one answer to `history` */
    uint32_t presence_max_list;    /* members in one answer to `presence`; see chat/herald.h too */
    uint32_t news_batch_max;       /* joins and leaves in one frame, 1 to HERALD_BATCH_MAX */
    uint32_t question_count_max;   /* open at a time: bus.reserve */
    uint32_t recovery_count_max;   /* publications that a client is given when it comes back */
    uint16_t archive;              /* likewise */
    uint64_t store_timeout_ns;     /* likewise */
    size_t store_bytes_max;        /* likewise */
    uint32_t list_bytes_max;       /* bytes of the channels that a reactor lists for a back end */
    uint32_t revocation_count_max; /* users and tokens that back ends may have forbidden */
    uint32_t page_bytes_max;       /* bytes of the publications, or members, in one answer */
    uint16_t channel_limit;        /* subscriptions of one session */
    uint32_t ping_interval_s;      /* told in the connect reply */
    bool anonymous_allowed;        /* connect without a token */
    bool personal_channels;        /* everybody who is signed in is subscribed to `#user` */
    struct bytes personal_namespace;        /* of these; empty: none. Borrowed */
    const struct claims_verifier *verifier; /* of tokens; NULL: no key is configured */
    uint64_t expired_close_delay_ns;     /* from the end of a token to the end of its connection */
    uint64_t expired_sub_close_delay_ns; /* likewise, of its subscription */
    struct quota_limits place_limits[QUOTA_KIND_COUNT]; /* connections of an address, of a user */
    const char *version;                                /* told in the connect reply */
    const struct policy_table *policies;                /* copied, but for names and patterns */

    struct bus *bus;
    struct blob_pool *pool;
    struct metrics *metrics;
    struct outbox *outbox;

    /* For client ids and epochs: unpredictable in production, from the seed in the simulator. */
    void (*fill_random)(void *context, void *target, size_t size);
    void *random_context;
};

NODISCARD int hub_create(const struct hub_options *options, struct hub **hub);

/* What a later hub_change() brings is known to our home from now on. See policy_places.h. */
void hub_learn(struct hub *hub, const struct policy_table *policies);

/*
 * From now on these options, in which sizes, places and parts are the same. Who has more than it
 * may have keeps it.
 */
void hub_change(struct hub *hub, const struct hub_options *options);

/* At the end, before the memory of the first reactor goes: forgets all channels and history. */
void hub_forget(struct hub *hub);

/* Every session must be closed. */
void hub_destroy(struct hub *hub);

/* A session for an upgraded connection; NULL: no memory. */
NODISCARD struct session *hub_open(struct hub *hub, struct conn_id conn);

/* Leaves every room and frees the session. */
void hub_close(struct hub *hub, struct session *session);

/* Can a command be applied now? */
NODISCARD bool hub_is_ready(struct hub *hub);

/*
 * Applies one command, whose views are borrowed until the return. 0, or the code (enum code) that
 * its connection is to be closed with. hub_is_ready() was true.
 */
NODISCARD uint16_t hub_apply(struct hub *hub, struct session *session,
                             const struct command *command);

/*
 * Asks the home of an address whether one more connection of it may come in; the answer comes to
 * hub_next_placed(). False: not now, try again. Unless it is refused, the place is given back once.
 */
NODISCARD bool hub_ask_place(struct hub *hub, const struct quota_key *address, struct conn_id conn);
void hub_give_place(struct hub *hub, const struct quota_key *address);

struct hub_place_answer {
    struct quota_key key;
    struct conn_id conn;
    bool is_refused;
};

/* The next connection whose address was asked about; false: none. */
NODISCARD bool hub_next_placed(struct hub *hub, struct hub_place_answer *answer);

/*
 * What one command costs where those of its user, or its address, are limited (NULL: no limit is
 * for its address). Ask before it is read; pongs cost nothing.
 */
enum hub_verdict {
    HUB_SPENT = 0,      /* it may be read */
    HUB_WAITS_TO_SPEND, /* not now: hub_next_to_spend() says when to ask again */
    HUB_SPENDS_LATER,   /* no memory to wait: ask again after a while */
};

struct hub_spending {
    enum hub_verdict verdict;
    enum quota_kind of; /* is_short: whose rate it is; of who waits, the one that it waits for */
    bool is_short;      /* somebody had to wait for that in the last second */
};

NODISCARD struct hub_spending hub_spend(struct hub *hub, struct session *session,
                                        const struct quota_key *address);

/* The next connection whose command may cost something now, if it asks before the next call. */
NODISCARD bool hub_next_to_spend(struct hub *hub, struct conn_id *conn);

/*
 * Why what the last command showed of a token did not do, though nothing may be wrong with the
 * token itself; once. A word, and a sentence for people, in which nothing of the token is.
 */
struct hub_objection {
    const char *reason; /* NULL: there is none */
    const char *why;
};
NODISCARD struct hub_objection hub_take_objection(struct hub *hub);

/* Was its `connect` accepted? */
NODISCARD bool hub_has_admitted(const struct session *session);

/* Was it not answered yet? Then nothing else is to be applied. */
NODISCARD bool hub_is_arriving(const struct session *session);

/* The next connection whose `connect` was answered later than at once; false: none. */
NODISCARD bool hub_next_settled(struct hub *hub, struct conn_id *conn);

/* Before everything else of an iteration: its time. */
void hub_tick(struct hub *hub, uint64_t now_ns);

/* Takes one post, and the share of the blob that it names. outbox_is_roomy() was true. */
void hub_take(struct hub *hub, const struct post *post);

/*
 * A session has been given more than it reads at the moment: what it missed waits, until it has
 * read what it has.
 */
void hub_hold(struct hub *hub, struct session *session);
void hub_release(struct hub *hub, struct session *session);

/* Phase 3, after the commands: reads for those who came back what they missed. */
void hub_recover(struct hub *hub);

/* Phase 2, after the posts: leaves and lagging channels that found no room before. */
void hub_catch_up(struct hub *hub);

/* Phase 5, before the posts of the iteration go: gives the archive what is to be stored. */
void hub_flush(struct hub *hub);

/* Something waits for the archive, and not for ever: go through an iteration now and then. */
NODISCARD bool hub_is_waiting(const struct hub *hub);

/* Something waits for room, which nobody will announce: go through another iteration soon. */
NODISCARD bool hub_has_backlog(const struct hub *hub);

/* When to call hub_catch_up() at the latest; UINT64_MAX: for nothing that has a time. */
NODISCARD uint64_t hub_due_ns(const struct hub *hub);

/* Memory is short: new subscriptions are refused (error 106), until it is no more. */
void hub_refuse_subscriptions(struct hub *hub, bool refuses);

/*
 * The end begins: everybody is told to go, so nobody is told any more who went; a reactor that has
 * drained gets no post of that kind from here.
 */
void hub_drain(struct hub *hub);

/*
 * No session, no room, no leave to be posted, nothing that waits to be stored: nothing here will
 * ask anybody anything any more.
 */
NODISCARD bool hub_is_quiet(const struct hub *hub);

/* The archive has something of it. It answers before it ends, but may take long for it. */
NODISCARD bool hub_has_given(const struct hub *hub);

/* For who delivers. */
struct roster *hub_roster(struct hub *hub);

/*
 * Phase 4: the member at this index of a room does not read, and has no room for what was
 * published. Returns what the policy of its channel says is to be done. With POLICY_SLOW_RESYNC it
 * is a member no more: the last one is in its place, or the room has gone with it; and in the
 * outbox it is told to subscribe again, behind what it has been given until now.
 */
NODISCARD enum policy_slow_consumer hub_lag(struct hub *hub, struct room *room, uint32_t member);

/* Updates the gauges in metrics. */
void hub_gauge(struct hub *hub);

/* Live objects, for tests: sessions, rooms, channels, open questions, leaves not yet posted. */
NODISCARD size_t hub_count_live(const struct hub *hub);

#endif /* CHAT_HUB_H */
