/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_CHANNEL_PRIVATE_H
#define CHAT_CHANNEL_PRIVATE_H
/*
 * The state of a home and its channels, and the steps that its files share. Private to
 * chat/channel*.c.
 *
 *   channel.c           their life
 *   channel_publish.c   what is published, its order
 *   channel_interest.c  who is interested, and who lags
 *   channel_kept.c      what is kept, and when that goes
 *   channel_read.c      what is said of it
 *   channel_keys.c      what was published under an idempotency key
 *   channel_news.c      what has no offset: who came and went, publications that are not kept
 *   channel_durable.c   channels whose publications are stored first: between the ledger and these
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/channel.h"
#include "chat/idempotency.h"
#include "chat/ids.h"
#include "chat/policy.h"
#include "chat/stream.h"
#include "core/list.h"

struct directory;
struct idempotency;
struct ledger_book;
struct ledger_stored;

/* One reactor's interest. It is up to date while next == top + 1 and heard == news.top. */
struct interest {
    uint64_t next;          /* offset of the next publication to tell it */
    uint64_t heard;         /* number of the last news that it was told */
    struct ids_handle room; /* its room: room.reactor is the reactor */
    bool gap;               /* fell off what is kept: owed one POST_GAP and nothing after it */
};

struct channel {
    uint64_t hash;
    const struct policy *policy;
    struct ledger_book *book; /* of a durable channel, else NULL */
    bool is_partial;          /* the store may keep more of its history than we do */
    struct stream stream;
    struct stream news;       /* what has no offset, numbered; kept only for those who lag */
    struct idempotency *keys; /* of what was published, or is under way; NULL: none */
    uint64_t version;         /* of the last publication that had one; 0: none had */
    uint64_t version_epoch;   /* of that; 0: none */
    uint64_t used_ns;         /* the last publication; when idle: since when it is */
    struct list_link age;     /* in a list of ages[], or in none */
    struct list_link lagging; /* in home->lagging while anybody lags */
    struct interest *interests;
    uint16_t interest_count;
    uint16_t interest_capacity;
    uint32_t slot;
    uint8_t name_size;
    uint8_t name[];
};

/* The channels of one policy, the one that was used least recently first: so it expires first. */
struct age {
    struct list_link kept;  /* with history */
    struct list_link keyed; /* without, but with keys that outlive it, and somebody is interested */
    struct list_link idle;  /* with a position only, and nobody is interested */
};

struct channel_home {
    struct channel_options options;
    struct directory *channels; /* objects are struct channel */
    struct list_link lagging;   /* channels that someone lags in */
    struct age *ages;           /* one for each place of a policy */
    struct ledger *ledger;      /* NULL: nothing is stored */
    size_t history_bytes;
    bool has_lost; /* perhaps: rooms of this reactor that are owed a gap */
    uint64_t now_ns;
    uint64_t expiry_ns;  /* when to look again */
    uint32_t renew_slot; /* the next channel whose book is told of another configuration */
    uint32_t renew_end;  /* and behind the last one; the same: all know */
};

static inline struct bytes channel_name(const struct channel *channel)
{
    return (struct bytes){channel->name, channel->name_size};
}

static inline bool channel_has_history(const struct channel *channel)
{
    return policy_has_history(channel->policy);
}

static inline struct channel_position channel_position_of(const struct channel *channel)
{
    return (struct channel_position){channel->stream.epoch, channel->stream.top};
}

static inline struct age *channel_age_of(struct channel_home *home, const struct channel *channel)
{
    return &home->ages[channel->policy->index];
}

/* channel.c */
struct channel *channel_find_or_open(struct channel_home *home, uint64_t hash, struct bytes name);
/* Puts it at the end of the list, as used now, or in none (NULL). */
void channel_set_age(struct channel_home *home, struct channel *channel, struct list_link *list);
/* Nobody is interested, or nothing is kept any more: what is still to be remembered? */
void channel_settle(struct channel_home *home, struct channel *channel);
void channel_close(struct channel_home *home, struct channel *channel);
void channel_drop_before(struct channel_home *home, struct channel *channel, uint64_t offset);
uint64_t channel_new_epoch(struct channel_home *home);

/* channel_publish.c */
void channel_send_out(struct channel_home *home, struct channel *channel, struct blob *blob,
                      uint64_t time_ns);

/*
 * channel_interest.c. Sends the publication of an offset to who has all before it. Returns true if
 * somebody lags.
 */
bool channel_fan_out(struct channel_home *home, struct channel *channel, struct blob *blob,
                     uint64_t offset);
/* The interest that a room has in a channel, or NULL: it is not there any more. */
struct interest *channel_interest_of(struct channel *channel, struct ids_handle room);
/* It begins another life, of which nobody who is interested knows anything. */
void channel_begin(struct channel_home *home, struct channel *channel, uint64_t epoch,
                   uint64_t top);

/* channel_kept.c */
uint64_t channel_history_first(const struct channel_home *home, const struct channel *channel);
/* The publication after `top` is kept; or -ENOMEM, and only skipping is possible. */
NODISCARD int channel_keep(struct channel_home *home, struct channel *channel, struct blob *blob,
                           uint64_t time_ns);
void channel_skip(struct channel_home *home, struct channel *channel);
/* Drops what neither the history nor who lags needs, or may have. */
void channel_trim(struct channel_home *home, struct channel *channel);
/* Who needed what is not kept any more lost it, and is going to be told so. */
void channel_mark_gaps(struct channel_home *home, struct channel *channel);
/* Channels that are not in use may go. */
void channel_shrink(struct channel_home *home);

/*
 * channel_news.c. The offset behind which an interest without a gap is to have its next news;
 * UINT64_MAX: it has all of them. Sending them says whether there was room.
 */
NODISCARD uint64_t channel_news_place(const struct channel *channel,
                                      const struct interest *interest);
NODISCARD bool channel_send_news(struct channel_home *home, struct channel *channel,
                                 struct interest *interest);
/* A publication for who is interested now, and nobody else: finished, without an offset. */
void channel_pass(struct channel_home *home, struct channel *channel, struct blob *blob);
void channel_drop_news(struct channel_home *home, struct channel *channel);

/*
 * channel_keys.c. What is published under a key: with IDEMPOTENCY_REPEAT *offset says where it is.
 * A key that was added is settled when its publication is accepted, or removed.
 */
NODISCARD enum idempotency_verdict channel_judge_key(struct channel_home *home,
                                                     struct channel *channel,
                                                     const struct idempotency_key *key,
                                                     uint64_t *offset);
NODISCARD int channel_add_key(struct channel_home *home, struct channel *channel,
                              const struct idempotency_key *key, uint64_t offset, uint64_t age_ns);
void channel_remove_key(struct channel_home *home, struct channel *channel, struct bytes text);
void channel_expire_keys(struct channel_home *home, struct channel *channel);
void channel_forget_keys(struct channel_home *home, struct channel *channel);

/* channel_durable.c */
NODISCARD int channel_create_ledger(struct channel_home *home);
/* 0 or -ENOMEM: gives the channel its book if it is to have one. */
NODISCARD int channel_open_book(struct channel_home *home, struct channel *channel);
/* The next of those that channel_home_renew() wants told. */
void channel_renew_books(struct channel_home *home);

#endif /* CHAT_CHANNEL_PRIVATE_H */
