/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_WORLD_H
#define TESTS_SIM_SIM_WORLD_H
/*
 * What the parts of one simulated run share: the seed's profile, chance, the network with its
 * clock, what must be true, and whether it was not.
 */
#include <stdbool.h>
#include <stdint.h>

#include "chat/policy.h"
#include "core/annot.h"
#include "tests/sim/sim_channel.h"
#include "tests/sim/sim_model.h"
#include "tests/sim/sim_net.h"
#include "tests/sim/sim_orders.h"
#include "tests/sim/sim_random.h"
#include "tests/sim/sim_stats.h"
#include "tests/sim/sim_token.h"

struct sim_client;

enum {
    SIM_PRESENCE_SAMPLE = 3, /* members in a list, where that is fewer than there are */
    SIM_CLIENT_MAX = 48,
    SIM_SHARD_MAX = 4,
    SIM_CLIENT_ID_SIZE = 36, /* bytes: of a client id as text */
    SIM_CONNECTION_MAX = 4096,
};

#define SIM_MS ((uint64_t)1000000)
#define SIM_S  ((uint64_t)1000000000)

/* Until everybody has been told who left. */
#define SIM_TOLD_NS (4 * SIM_S)

#define SIM_STORE_TIMEOUT (2 * SIM_S)

/* Everything that a seed decides before it begins. */
struct sim_profile {
    uint32_t shard_count;
    uint32_t channel_count;
    uint32_t client_count;
    uint32_t step_count; /* of the talking */
    uint32_t bus_slots;
    uint32_t bus_reserve;
    uint32_t tail_count; /* 0: the server's own */
    uint32_t connection_limit;
    uint32_t command_rate;
    uint32_t command_burst;
    uint32_t queue_max;        /* bytes */
    uint32_t payload_max;      /* bytes of a publication's padding */
    uint32_t outstanding_max;  /* commands of a client without a reply */
    uint32_t commands_max;     /* of one connection */
    uint32_t freeze_steps_max; /* how long a reactor may not get the processor */
    uint32_t fault_in;         /* once in so many steps something goes wrong; 0: never */
    bool is_scarce;            /* more clients than connection_limit */
    bool is_throttled;         /* 3013 may happen to anybody */
    bool is_limited;           /* so is what all of them say together, at an address's home */
    bool is_narrow;            /* queues are short: 3008 may happen to anybody */
    bool has_gaps;             /* tails are short: so may unsubscribe 2500 */
    bool is_unsubscribed;      /* it may, for that or another reason */
    bool has_history;          /* channels have one, and whoever comes back recovers */
    bool is_durable;       /* what is published is stored first, by somebody who is not reliable */
    bool keeps_all;        /* it is so long that nothing is ever lost from it */
    uint32_t history_size; /* publications */
    uint64_t history_ttl_ns;
    uint32_t recovery_max; /* publications */
    bool is_lossy;         /* policies by which who does not read misses publications */
    bool has_compression;  /* some connections negotiate it */
    bool has_presence;     /* and joins and leaves are told to everybody */
    bool is_sampled;       /* more are there than may be listed */
    bool is_signed;        /* clients show tokens: they have users, rights, and ends of both */
    bool needs_sub_token;  /* nobody comes into a channel without one */
    bool has_personal;     /* everybody who is signed in is in the channel of its user */
    uint32_t user_count;
    uint32_t user_limit;     /* connections of each */
    uint64_t close_delay_ns; /* after the end of a token, of connections and of subscriptions */
    bool stops_in_flight;    /* shut down in the middle of the talking */
    uint64_t grace_ns;       /* who still comes then is served */
    uint32_t close_rate;     /* connections a second */
    enum policy_slow_consumer slow_consumer;
};

enum { SIM_EPOCH_SIZE = 16 };

struct sim_world {
    char epochs[SIM_CHANNEL_MAX][SIM_EPOCH_SIZE]; /* zeroed: nobody has heard it yet */
    uint64_t seed;
    bool is_verbose;
    struct sim_profile profile;
    struct sim_random random;
    struct sim_net net;
    struct sim_model model;
    struct sim_tokens tokens;
    struct sim_orders orders;
    struct sim_stats *stats;
    uint64_t step;
    uint64_t lull_until_ns; /* nobody says anything new: the clock gets on */
    bool is_talking;        /* clients begin new things */
    bool is_stopping;       /* the server was told to stop */
    bool is_failed;
    uint64_t paced_ns; /* while is_stopping: nobody is sent away before */

    int listeners[SIM_SHARD_MAX]; /* public, one for each shard */
    int internal_listeners[SIM_SHARD_MAX];
    struct sim_client *clients; /* the run's */
    size_t client_count;
    uint32_t connection_count;
    uint16_t *users;                        /* by connection */
    uint64_t *over_ns;                      /* likewise: when it ended; 0: it has not */
    uint64_t ended_ns;                      /* when one ended last; 0: never */
    char (*client_ids)[SIM_CLIENT_ID_SIZE]; /* by connection; first byte 0: not known */
};

void sim_world_init(struct sim_world *world, uint64_t seed, struct sim_stats *stats);
void sim_world_deinit(struct sim_world *world);

/* May a subscription end, or be refused, without its client having done anything about it? */
NODISCARD bool sim_world_unsubscribes(const struct sim_world *world);

/* A property does not hold. Prints why, once. */
void sim_world_fail(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A line for who looks at one seed. */
void sim_world_tell(const struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif /* TESTS_SIM_SIM_WORLD_H */
