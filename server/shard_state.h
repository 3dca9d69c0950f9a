/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SHARD_STATE_H
#define SERVER_SHARD_STATE_H
/*
 * The shard's state, and the steps that its files share. Private to server/shard*.c.
 *
 *   shard.c            the loop, and what the control is told
 *   shard_start.c      how its parts are made, and freed
 *   shard_settings.c   what they are told of a configuration: at the start, and when it changes
 *   shard_report.c     what of an iteration goes to metrics and the log
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/hub.h"
#include "core/annot.h"
#include "server/delivery.h"
#include "server/drain.h"
#include "server/reload_desk.h"
#include "server/shard.h"
#include "server/shed.h"

struct compression;
struct gateway;
struct outbox;
struct policy_table;
struct reactor;
struct settings;

enum {
    SHARD_NS_PER_MS = 1000000,
    SHARD_NS_PER_S = 1000000000,
    SHARD_INTERNAL_CONNS = 4, /* beyond connection_limit, for /health and /metrics */
};

struct shard {
    struct shard_options options;
    struct blob_pool *pool;
    struct compression *compression; /* NULL: off */
    struct outbox *outbox;
    struct hub *hub;
    struct gateway *gateway;
    struct reactor *reactor;
    struct delivery delivery;
    struct delivery_times times;
    struct drain drain;
    struct reload_desk desk;
    uint64_t slow_turn_ns; /* log.slow_turn */
    uint64_t report_ns;    /* when to look again at what follows */
    uint64_t reported_accept_errors;
    uint64_t reported_gaps;
    uint64_t reported_deliveries; /* as of the last iteration */
    uint32_t posts;               /* taken in this iteration */
    bool has_posts;               /* the bus had more than one iteration takes */
    bool is_deserted;             /* POST_DESERTED was posted */
    bool is_drained;              /* POST_DRAINED was posted */
    bool is_exiting;              /* POST_EXIT came */
    bool sheds;                   /* POST_OVERLOAD came: the longest queues are to go */
    struct shed shed;
    bool owes_taken; /* POST_SETTINGS came, and is not answered yet */
};

/* shard_settings.c: connections of all listeners. */
uint32_t shard_conn_count_max(const struct config *config);

/* shard_settings.c: by a configuration, of which sizes are those at the start. */
struct hub_options shard_hub_options(const struct shard *shard, const struct config *config,
                                     const struct policy_table *policies);

/* shard_settings.c: the shard's own part, and its small ones'. */
void shard_use_config(struct shard *shard, const struct config *config);

/* shard_settings.c: POST_SETTINGS. Nobody looks at the ones before when final ones are taken. */
void shard_take_settings(struct shard *shard, const struct settings *settings, bool is_final)
    ON_REACTOR;

/* shard_report.c: at the end of an iteration. */
void shard_report(struct shard *shard, uint64_t began_ns) ON_REACTOR;

#endif /* SERVER_SHARD_STATE_H */
