/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_CHANNEL_H
#define CHAT_CHANNEL_H
/*
 * The channels of which this reactor is the home: their order, and who is interested.
 *
 * Owner     one reactor's hub. ON that reactor only.
 * Order     the home gives consecutive offsets; each interested reactor gets every publication
 *           once and in that order, by one tell on the bus (or through the outbox, where the
 *           interested reactor is this one).
 * Full      when a ring has no room, nothing is queued: the channel remembers one cursor per
 *           interested reactor and goes on from its tail (channel_catch_up). A cursor that fell
 *           off the tail becomes an explicit gap, never silence.
 * Life      from the first interest until the last leave. Publishing where nobody is interested
 *           is accepted and leaves nothing behind.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/ids.h"
#include "core/annot.h"
#include "core/bytes.h"

struct blob;
struct blob_pool;
struct bus;
struct channel_home; /* opaque */
struct metrics;
struct outbox;
struct roster;

struct channel_options {
    uint16_t reactor;
    uint32_t channel_count_max;
    uint32_t tail_count_max; /* publications kept of one channel for reactors that lag */
    size_t tail_bytes_max;   /* bytes of them */
    struct bus *bus;
    struct blob_pool *pool;
    struct metrics *metrics;
    struct outbox *outbox; /* for the members on this reactor */
    struct roster *roster; /* likewise */
};

NODISCARD int channel_home_create(const struct channel_options *options,
                                  struct channel_home **home);

/* Forgets channels, interests and tails: nobody publishes any more. NULL: nothing. */
void channel_home_destroy(struct channel_home *home);

/*
 * A reactor wants all later publications, for its room. A second interest of the same reactor
 * replaces the first. 0 and *channel set, or -ENOMEM.
 */
NODISCARD int channel_add_interest(struct channel_home *home, uint64_t hash, struct bytes name,
                                   struct ids_handle room, struct ids_handle *channel);

/* The room is no longer interested. Stale names are ignored: a newer interest has taken over. */
void channel_remove_interest(struct channel_home *home, struct ids_handle channel,
                             struct ids_handle room);

/* Takes one share of a blob made by publication_create: gives it its offset and sends it out. */
void channel_publish(struct channel_home *home, uint64_t hash, uint16_t name_size,
                     struct blob *blob);

/* Posts what lagging reactors have not got yet, as far as there is room. */
void channel_catch_up(struct channel_home *home);

/* Is somebody behind in some channel? */
NODISCARD bool channel_is_lagging(const struct channel_home *home);

size_t channel_count(const struct channel_home *home);

#endif /* CHAT_CHANNEL_H */
