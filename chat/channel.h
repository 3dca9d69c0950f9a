/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_CHANNEL_H
#define CHAT_CHANNEL_H
/*
 * The channels of which this reactor is the home: their order, their history, who is interested.
 *
 * Owner     one reactor's hub. ON that reactor only.
 * Order     the home gives consecutive offsets; each interested reactor gets every publication
 *           once and in that order, by one tell on the bus (or through the outbox, where the
 *           interested reactor is this one).
 * History   as much as the channel's policy says, as long as all of it together is below
 *           history_bytes_max: above, the channels that were used least recently lose theirs, their
 *           idempotency keys with it, and keep their position, or lose that.
 * Full      when a ring has no room, nothing is queued: the channel remembers one cursor per
 *           interested reactor and goes on from what it keeps (channel_catch_up). A cursor that
 *           fell off that becomes an explicit gap, never silence.
 * Durable   channels whose policy says so accept what is published when the archive has stored it
 *           (ledger.h); until it is known what is stored, questions wait (channel_wait_turn).
 *           Memory that has to be freed costs them their history here, not in the store.
 * Life      without history: from the first interest until the last leave; publishing where nobody
 *           is interested is accepted and leaves nothing behind. With history: until nobody is
 *           interested and the position has been kept for history_meta_ttl.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/ids.h"
#include "chat/page.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/table.h"
#include "proto/codes.h"

struct blob;
struct blob_pool;
struct bus;
struct channel_home; /* opaque */
struct ledger;
struct post;
struct post_publish;
struct metrics;
struct outbox;
struct policy_table;
struct roster;

struct channel_options {
    uint16_t reactor;
    uint32_t channel_count_max;
    uint32_t tail_count_max;   /* publications kept of one channel for reactors that lag */
    size_t tail_bytes_max;     /* bytes of them */
    size_t history_bytes_max;  /* of all channels here, with what it takes to keep them */
    uint32_t page_bytes_max;   /* of the publications in one page */
    uint16_t archive;          /* its port; 0: nothing is stored */
    uint64_t store_timeout_ns; /* for a publication to be stored */
    size_t store_bytes_max;    /* of publications that wait for it */
    struct table_key key;      /* for tables */
    const struct policy_table *policies;
    struct bus *bus;
    struct blob_pool *pool;
    struct metrics *metrics;
    struct outbox *outbox; /* for the members on this reactor */
    struct roster *roster; /* likewise */

    /* For epochs: another one each time, in production. */
    void (*fill_random)(void *context, void *target, size_t size);
    void *random_context;
};

/* Where a channel stands. */
struct channel_position {
    uint64_t epoch; /* 0: it has no history, and `top` is nothing to tell a client */
    uint64_t top;   /* offset of the last publication; 0: none yet */
};

/* The answer to who is interested. */
struct channel_interest {
    struct ids_handle channel; /* for the leave */
    struct channel_position position;
};

/* The answer to who reads. */
struct channel_reading {
    struct blob *page; /* one share, or NULL where no publications were wanted */
    struct channel_position position;
};

/* What a client wants of a channel's history. */
struct channel_query {
    enum page_order order; /* PAGE_FORWARD or PAGE_REVERSE */
    bool has_since;        /* from there on, without it; else from the end that comes first */
    bool has_epoch;        /* it must be this one */
    uint32_t count_max;    /* 0: the position only */
    uint64_t since;        /* offset */
    uint64_t epoch;
};

NODISCARD int channel_home_create(const struct channel_options *options,
                                  struct channel_home **home);

/*
 * Forgets channels, interests and history: nobody publishes any more. What was kept may have come
 * from any reactor, so each home forgets before the first reactor's memory goes.
 */
void channel_home_forget(struct channel_home *home);

/* Forgets, and frees. NULL: nothing. */
void channel_home_destroy(struct channel_home *home);

/*
 * The policies have changed. What is asked for goes by them at once; the store is told how long to
 * keep what is open here in the ticks that follow, a part in each.
 */
void channel_home_renew(struct channel_home *home);

/* There is more of it to tell, and the archive takes it: tick again soon. */
NODISCARD bool channel_is_renewing(const struct channel_home *home);

/* The time of what follows. Forgets what is too old. */
void channel_home_tick(struct channel_home *home, uint64_t now_ns);

/*
 * Of a durable channel, POST_PUBLISH, POST_INTEREST and POST_HISTORY are asked here first. When
 * *waits is set, the post was taken, and its answer is due when the ledger says so; else the
 * functions below may be called, or it is refused for the reason that is returned, and was not
 * taken.
 */
NODISCARD enum codes_error channel_wait_turn(struct channel_home *home, const struct post *post,
                                             bool *waits);

/* NULL: nothing is stored. */
struct ledger *channel_ledger(struct channel_home *home);

/*
 * A reactor wants all publications after a position, for its room. A second interest of the same
 * reactor replaces the first. 0 and *interest set, or -ENOMEM.
 */
NODISCARD int channel_add_interest(struct channel_home *home, uint64_t hash, struct bytes name,
                                   struct ids_handle room, struct channel_interest *interest);

/* The room is no longer interested. Stale names are ignored: a newer interest has taken over. */
void channel_remove_interest(struct channel_home *home, struct ids_handle channel,
                             struct ids_handle room);

/*
 * Takes one share of a blob made by publication_create: gives it its offset and sends it out, but
 * for one whose idempotency key was used for the same before, or whose version is not above that of
 * the last one: *position is then where the channel stands. Not for durable channels, but for such
 * repeats, and for what skips their history. CODES_ERROR_NONE and *position set to where it is, or
 * an error and nothing happened.
 */
NODISCARD enum codes_error channel_publish(struct channel_home *home,
                                           const struct post_publish *publish,
                                           struct channel_position *position);

/*
 * History, for a client. The channel's policy has history. CODES_ERROR_NONE and *reading set, or an
 * error.
 */
NODISCARD enum codes_error channel_read(struct channel_home *home, uint64_t hash, struct bytes name,
                                        const struct channel_query *query,
                                        struct channel_reading *reading);

/*
 * The same for who subscribes again: what is there from an offset on, as far as the room was told
 * of it. NULL: no memory, or the interest is not there any more.
 */
NODISCARD struct blob *channel_recover(struct channel_home *home, struct ids_handle channel,
                                       struct ids_handle room, uint64_t from, uint32_t count_max);

/*
 * Publications that are kept go, here and in the store; the position and idempotency keys stay. The
 * channel's policy has history. CODES_ERROR_NONE, or no memory.
 */
NODISCARD enum codes_error channel_remove_history(struct channel_home *home, uint64_t hash,
                                                  struct bytes name);

/*
 * Joins and leaves in one blob, of which this takes a share: sent out in order, without an offset
 * and without history. A stale channel: nobody is there to hear it.
 */
void channel_tell_news(struct channel_home *home, struct ids_handle channel, struct blob *blob);

/* Posts what lagging reactors have not got yet, as far as there is room. */
void channel_catch_up(struct channel_home *home);

/*
 * The next room of this reactor that has lost publications, for nobody posts it a POST_GAP: it is
 * no longer interested. False: none.
 */
NODISCARD bool channel_next_lost(struct channel_home *home, struct ids_handle *room);

/* Is somebody behind in some channel? */
NODISCARD bool channel_is_lagging(const struct channel_home *home);

size_t channel_count(const struct channel_home *home);
size_t channel_history_bytes(const struct channel_home *home);

#endif /* CHAT_CHANNEL_H */
