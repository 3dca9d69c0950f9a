/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_SERVER_H
#define TESTS_SIM_SIM_SERVER_H
/*
 * The whole server on one thread: its shards, each running its own loop on a fiber, the bus, and
 * the part of server/control.c that ends it. What a reactor sleeps for wakes it, and nothing else
 * but chance: a wake-up that is lost shows as a run that stands still.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "server/config.h"
#include "server/listening.h"
#include "server/policies.h"
#include "server/site.h"
#include "server/token.h"
#include "server/token_keys.h"
#include "tests/sim/backend_sim.h"
#include "tests/sim/sim_archive.h"
#include "tests/sim/sim_world.h"

struct bus;
struct metrics;
struct shard;
struct sim_fiber;

struct sim_server;

struct sim_member {
    struct sim_server *server;
    struct backend_sim_seat seat;
    struct shard *shard;
    struct sim_fiber *fiber;
    struct metrics *metrics;
    struct token_verifier *verifier; /* where clients sign in */
    uint64_t frozen_until_step;      /* does not get the processor */
    bool is_told;                    /* has the present order */
    uint8_t answered;                /* POST_DESERTED, then POST_DRAINED */
};

struct sim_server {
    struct sim_world *world;
    struct config config;
    struct policies policies;
    struct token_keys *keys;
    struct site site;
    struct listening listening; /* nothing listens: the world has sockets of its own */
    struct bus *bus;
    struct sim_archive archive; /* where channels are durable */
    const struct metrics *all_metrics[SIM_SHARD_MAX];
    const char *metric_names[SIM_SHARD_MAX];
    struct sim_member members[SIM_SHARD_MAX];
    size_t count;
    uint8_t order; /* the one that not everybody has been told yet; 0: none */
};

/* Everything is there and listens. CHECKs: there is memory. */
void sim_server_begin(struct sim_server *server, struct sim_world *world);

/* Runs one reactor that is awake, up to its next sleep. False: all sleep. */
bool sim_server_run_one(struct sim_server *server);

/* Wakes one that has no reason. */
void sim_server_disturb(struct sim_server *server);

/* When the first sleep ends by itself. */
NODISCARD uint64_t sim_server_next_ns(const struct sim_server *server);

/* As the control does it: stop everybody, and once all have drained, let everybody return. */
void sim_server_stop(struct sim_server *server);
NODISCARD bool sim_server_is_drained(struct sim_server *server);
void sim_server_exit(struct sim_server *server);
NODISCARD bool sim_server_has_returned(struct sim_server *server);

/* After it has returned: nothing is left over. Frees everything. */
void sim_server_end(struct sim_server *server);

#endif /* TESTS_SIM_SIM_SERVER_H */
