/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SHARD_H
#define SERVER_SHARD_H
/*
 * One reactor's world: its back end, connections, gateway, hub and blobs; and the loop.
 *
 * Owner     who created it. Shards share the frozen configuration, the site and the bus.
 * Threads   created, given its listeners and destroyed by one thread; run by one thread. In the
 *           simulation that is the same thread for all of them, which steps them in turn.
 * End       shard_run() returns after POST_EXIT. Until then it serves the bus, so that no other
 *           reactor waits for it in vain.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/table.h"

struct api_key;
struct backend_ops;
struct bus;
struct config;
struct listening;
struct log;
struct metrics;
struct policy_table;
struct shard; /* opaque */
struct simd_ops;
struct site;
struct token_verifier;

struct shard_options {
    const struct config *config;         /* that of the start, to the end */
    const struct api_key *api_key;       /* borrowed by shard_create() alone; NULL: none */
    const struct policy_table *policies; /* likewise */
    struct token_verifier *tokens;       /* of this shard; NULL: there never will be a key */
    const struct site *site;
    const struct listening *listening; /* its table is all that is looked at */
    const struct simd_ops *simd;
    const struct backend_ops *backend;
    void *backend_context; /* the simulation's world; else NULL */
    uint16_t archive;      /* its port; 0: nothing is stored */
    struct bus *bus;       /* ports: the reactors, then the control, then the archive if any */
    uint16_t index;        /* its port */
    struct table_key key;  /* the same for all */
    struct metrics *metrics;
    struct log *log;                   /* NULL: none */
    const struct memory_limit *memory; /* of overload.memory_budget; NULL: nobody looks */
    uint64_t seed;                     /* spreads the pings */

    /* Publications of one channel kept for reactors that lag; 0: as many as the server keeps. */
    uint32_t tail_count_max;

    /* For client ids; see chat/hub.h. */
    void (*fill_random)(void *context, void *target, size_t size);
    void *random_context;
};

NODISCARD int shard_create(const struct shard_options *options, struct shard **shard);

/* After every shard of the bus has stopped running. */
void shard_destroy(struct shard *shard);

/*
 * Takes over a descriptor of the listener that has this index in shard_options.listening, from 0
 * on. 0, or -errno and the descriptor is still the caller's.
 */
NODISCARD int shard_listen(struct shard *shard, size_t index, int fd);

/* The loop, for a thread of its own: enters the reactor, iterates until POST_EXIT, leaves it. */
void shard_run(void *shard);

/* One iteration, sleeping at most `wait_ns`. For shard_run(), and for the simulation. */
void shard_step(struct shard *shard, uint64_t wait_ns) ON_REACTOR;

NODISCARD bool shard_is_done(const struct shard *shard);

/* Live objects of every kind, for tests: 0 when nothing is connected and nothing under way. */
NODISCARD size_t shard_count_live(const struct shard *shard);

struct reactor *shard_reactor(struct shard *shard);

#endif /* SERVER_SHARD_H */
