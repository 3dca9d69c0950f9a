/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_POLICY_H
#define CHAT_POLICY_H
/*
 * What is configured for the channels of a namespace: who may do what, and what is kept.
 *
 * Owner     whoever filled the table; frozen from then on, but for a reactor's own
 *           (policy_places.h). Names are borrowed.
 * Pure. ANY_THREAD. Namespaces, and the names of the options: PROTOCOL.md section 7.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

/* What a client that comes back is given. */
enum policy_recovery_mode {
    POLICY_RECOVERY_STREAM = 0, /* everything that it missed */
    POLICY_RECOVERY_CACHE,      /* the latest publication */
};

/* When a publication counts as accepted. From low to high. */
enum policy_durability {
    POLICY_DURABILITY_NONE = 0, /* it has its place in the order */
    POLICY_DURABILITY_MEMORY,   /* and is in its home's history */
    POLICY_DURABILITY_PROCESS,  /* survives the death of parleyd */
    POLICY_DURABILITY_POWER,    /* survives the loss of power */
};

/* What happens to a subscription whose client does not read fast enough. */
enum policy_slow_consumer {
    POLICY_SLOW_RESYNC = 0, /* what is queued is dropped; told to recover once there is room */
    POLICY_SLOW_LATEST,     /* of what is queued only the newest is kept */
    POLICY_SLOW_DROP,       /* what does not fit is dropped, and counted */
    POLICY_SLOW_DISCONNECT, /* 3008 */
};

/* What the names of a namespace have to look like. */
struct policy_pattern {
    /* Bounded work. `rest` is what stands behind the namespace. 1: it does; 0; or -ENOMEM. */
    int (*matches)(const void *context, struct bytes rest);
    const void *context;
};

enum {
    POLICY_NAMESPACE_BOUNDARY = ':',
    POLICY_USER_BOUNDARY = '#',  /* behind it are users, and no namespace before a colon */
    POLICY_PRIVATE_PREFIX = '$', /* before the namespace, and no part of it */
    POLICY_REGEX_SIZE = 256,     /* bytes, with the NUL */
    POLICY_PLACES_MAX = 2049,    /* without one, 1024 that are configured, as many that were */
};

struct policy {
    struct bytes name; /* of the namespace; empty for channels without one */
    uint16_t index;    /* its place in the table: 0 without a namespace */
    bool is_removed;   /* not configured any more, or not yet: nobody is let in */
    uint16_t
        counts_as; /* its place in core/metrics_namespace.h, which lasts as long as the process */

    char channel_regex[POLICY_REGEX_SIZE]; /* as it was configured; empty: none */
    const struct policy_pattern *pattern;  /* the same, compiled; NULL: any name */

    bool allow_user_limited_channels;
    bool allow_subscribe_for_client;
    bool allow_subscribe_for_anonymous;
    bool allow_publish_for_client;
    bool allow_publish_for_subscriber;
    bool allow_publish_for_anonymous;
    bool allow_history_for_client;
    bool allow_history_for_subscriber;
    bool allow_history_for_anonymous;
    bool allow_presence_for_client;
    bool allow_presence_for_subscriber;
    bool allow_presence_for_anonymous;

    uint32_t history_size;        /* publications; 0: no history */
    uint64_t history_ttl_ns;      /* of a publication; not 0 where there is history */
    uint64_t history_meta_ttl_ns; /* of offset and epoch, once nothing else is left of it */
    bool force_recovery;
    bool allow_recovery;
    bool force_positioning;
    bool allow_positioning;
    enum policy_recovery_mode force_recovery_mode;

    bool presence;
    bool join_leave;
    bool force_push_join_leave;

    enum policy_durability durability;
    uint64_t idempotency_ttl_ns; /* how long a key is remembered */
    enum policy_slow_consumer slow_consumer;
};

struct policy_table {
    const struct policy *policies; /* [0]: without a namespace; policies[i].index == i */
    size_t policy_count;           /* at least 1 */
    size_t name_size_max;          /* bytes of a channel's name */
    bool insecure;                 /* development: everything is allowed */
};

static inline bool policy_has_history(const struct policy *policy)
{
    return policy->history_size > 0;
}

/* Is a publication accepted only when it is stored? */
static inline bool policy_is_durable(const struct policy *policy)
{
    return policy->durability >= POLICY_DURABILITY_PROCESS;
}

/* The policy of a channel; NULL when its name has a namespace that nobody configured. */
NODISCARD const struct policy *policy_find(const struct policy_table *table, struct bytes channel);

/*
 * For homes, who are asked by reactors that have judged the name: a namespace that was configured
 * when they did, and may be no more. NULL: it never was.
 */
NODISCARD const struct policy *policy_recall(const struct policy_table *table,
                                             struct bytes channel);

/* A channel's name without `$` and namespace. */
NODISCARD struct bytes policy_rest(struct bytes channel);

#endif /* CHAT_POLICY_H */
