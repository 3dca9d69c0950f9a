/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_METRICS_H
#define CORE_METRICS_H
/*
 * Counters and gauges of one thread, indexed by enum, and the text that Prometheus reads.
 *
 * Owner     a thread owns one `struct metrics` (zeroed memory is a valid start) and alone writes
 *           it; so an addition is a plain load and store, and costs no locked instruction.
 * Threads   metrics_read and metrics_render: any. Each value is right, but values read together
 *           need not be of one moment. All accesses are relaxed: they order nothing.
 * Labels    are fixed here, one enum value per (family, label value), so that no input can make
 *           the text grow (LIMITS row 24).
 */
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

struct metrics_namespace; /* core/metrics_namespace.h */
struct metrics_text;      /* core/metrics_text.h */

/* The order is that of the text: the values of one family stay together. */
enum metrics_id {
    METRIC_CONNECTIONS_OPEN = 0, /* gauge */
    METRIC_CONNECTIONS_ACCEPTED,

    METRIC_CLOSED_BY_CLIENT, /* close handshake or FIN from there */
    METRIC_CLOSED_BY_SERVER, /* we had a reason: a rule was broken, or a limit */
    METRIC_CLOSED_ERROR,     /* reset, or another error of the socket */
    METRIC_CLOSED_TIMEOUT,
    METRIC_CLOSED_SLOW,
    METRIC_CLOSED_SHUTDOWN,

    METRIC_DRAIN_WAITING, /* gauge: connections that a drain has not told yet */
    METRIC_DRAIN_TOLD,
    METRIC_DRAIN_CUT, /* of them: they did not read it in time */

    METRIC_HANDSHAKES, /* accepted upgrades */

    METRIC_COMPRESSION_ACCEPTED, /* what became of offers */
    METRIC_COMPRESSION_DECLINED,
    METRIC_COMPRESSION_MALFORMED,

    METRIC_TLS_HANDSHAKES, /* that succeeded */

    METRIC_TOKENS_REJECTED_TOO_LONG, /* in the order of enum token_reason */
    METRIC_TOKENS_REJECTED_MALFORMED,
    METRIC_TOKENS_REJECTED_BAD_ALGORITHM,
    METRIC_TOKENS_REJECTED_UNAVAILABLE,
    METRIC_TOKENS_REJECTED_UNKNOWN_KEY,
    METRIC_TOKENS_REJECTED_BAD_SIGNATURE,
    METRIC_TOKENS_REJECTED_BAD_CLAIMS,
    METRIC_TOKENS_REJECTED_WRONG_KIND,
    METRIC_TOKENS_REJECTED_WRONG_ISSUER,
    METRIC_TOKENS_REJECTED_WRONG_AUDIENCE,
    METRIC_TOKENS_REJECTED_NOT_YET,
    METRIC_TOKENS_REJECTED_EXPIRED,

    METRIC_JWKS_FETCHES_OK,
    METRIC_JWKS_FETCHES_FAILED,

    METRIC_HTTP_HEALTH,
    METRIC_HTTP_METRICS,
    METRIC_HTTP_PAGE,
    METRIC_HTTP_API, /* also those without a key */
    METRIC_HTTP_OTHER,

    METRIC_REJECTED_HEAD_TOO_BIG,
    METRIC_REJECTED_BAD_REQUEST,
    METRIC_REJECTED_BAD_UPGRADE,
    METRIC_REJECTED_BAD_ORIGIN,
    METRIC_REJECTED_HEAD_TIMEOUT,
    METRIC_REJECTED_MAX_CONNECTIONS,
    METRIC_REJECTED_ACCEPT_ERROR,
    METRIC_REJECTED_PROTOCOL_ERROR,
    METRIC_REJECTED_INVALID_UTF8,
    METRIC_REJECTED_INVALID_DEFLATE,
    METRIC_REJECTED_MESSAGE_TOO_BIG,
    METRIC_REJECTED_TOO_MANY_FRAGMENTS,
    METRIC_REJECTED_MESSAGE_TIMEOUT,
    METRIC_REJECTED_CONTROL_RATE,
    METRIC_REJECTED_COMMAND_RATE,
    METRIC_REJECTED_AUTH_TIMEOUT,
    METRIC_REJECTED_BAD_COMMAND,
    METRIC_REJECTED_UNKNOWN_CHANNEL,
    METRIC_REJECTED_CHANNEL_NAME,
    METRIC_REJECTED_CHANNEL_LIMIT,
    METRIC_REJECTED_PERMISSION_DENIED,
    METRIC_REJECTED_SLOW_CONSUMER,
    METRIC_REJECTED_WRITE_STALL,
    METRIC_REJECTED_NO_PONG,
    METRIC_REJECTED_OUT_OF_MEMORY,
    METRIC_REJECTED_PROXY_UNTRUSTED, /* nobody that may speak for others */
    METRIC_REJECTED_PROXY_BAD,       /* no PROXY header, or not a good one */
    METRIC_REJECTED_PROXY_TIMEOUT,
    METRIC_REJECTED_TLS_HANDSHAKE, /* it failed; not: the client left meanwhile */
    METRIC_REJECTED_TLS_TIMEOUT,
    METRIC_REJECTED_TLS_FAULT, /* after the handshake */
    METRIC_REJECTED_REVOKED,   /* a genuine token, or its user, was forbidden */
    METRIC_REJECTED_API_KEY,
    METRIC_REJECTED_API_REQUESTS, /* too many at a time */
    METRIC_REJECTED_BODY_TOO_BIG,
    METRIC_REJECTED_BODY_TIMEOUT,
    METRIC_REJECTED_DRAINING,
    METRIC_REJECTED_OVERLOAD_CONNECTION,
    METRIC_REJECTED_OVERLOAD_SUBSCRIPTION,
    METRIC_REJECTED_OVERLOAD_QUEUE,

    METRIC_REJECTED_ADDRESS_CONNECTIONS, /* limits of an address, or a user */
    METRIC_REJECTED_ADDRESS_HANDSHAKES,
    METRIC_REJECTED_USER_CONNECTIONS,
    METRIC_REJECTED_USER_CONNECTS,
    METRIC_REJECTED_ADDRESS_COMMANDS,
    METRIC_REJECTED_USER_COMMANDS,

    METRIC_DRY_RUN_ADDRESS_CONNECTIONS, /* what would have been refused, in the same order */
    METRIC_DRY_RUN_ADDRESS_HANDSHAKES,
    METRIC_DRY_RUN_USER_CONNECTIONS,
    METRIC_DRY_RUN_USER_CONNECTS,
    METRIC_DRY_RUN_ADDRESS_COMMANDS,
    METRIC_DRY_RUN_USER_COMMANDS,

    METRIC_COMMAND_WAITS_ADDRESS,
    METRIC_COMMAND_WAITS_USER,

    METRIC_LIMITED_ADDRESSES, /* gauge: known to the limits, like the next one */
    METRIC_LIMITED_USERS,
    METRIC_LIMITS_FORGOTTEN,

    METRIC_FRAMES_RECEIVED_TEXT,
    METRIC_FRAMES_RECEIVED_BINARY,
    METRIC_FRAMES_RECEIVED_CLOSE,
    METRIC_FRAMES_RECEIVED_PING,
    METRIC_FRAMES_RECEIVED_PONG,

    METRIC_FRAMES_SENT_REPLY,
    METRIC_FRAMES_SENT_PUSH,
    METRIC_FRAMES_SENT_ECHO,
    METRIC_FRAMES_SENT_CLOSE,
    METRIC_FRAMES_SENT_PING, /* the protocol's own pings, which are text, too */
    METRIC_FRAMES_SENT_PONG,

    METRIC_BYTES_RECEIVED,
    METRIC_BYTES_SENT,

    METRIC_INFLATE_COMPRESSED, /* bytes */
    METRIC_INFLATE_PLAIN,
    METRIC_INFLATE_WAITS,
    METRIC_DEFLATE_PLAIN,
    METRIC_DEFLATE_COMPRESSED,
    METRIC_DEFLATE_OVER_BUDGET, /* messages that were worth it */
    METRIC_DEFLATE_NO_GAIN,

    METRIC_COMMANDS_CONNECT,
    METRIC_COMMANDS_SUBSCRIBE,
    METRIC_COMMANDS_UNSUBSCRIBE,
    METRIC_COMMANDS_PUBLISH,
    METRIC_COMMANDS_PRESENCE,
    METRIC_COMMANDS_PRESENCE_STATS,
    METRIC_COMMANDS_HISTORY,
    METRIC_COMMANDS_PING, /* a client's `ping`, or its `{}` */
    METRIC_COMMANDS_SEND,
    METRIC_COMMANDS_RPC,
    METRIC_COMMANDS_REFRESH,
    METRIC_COMMANDS_SUB_REFRESH,

    METRIC_ERRORS_100, /* PROTOCOL.md section 4; 100 .. 113 are METRIC_ERRORS_100 + code - 100 */
    METRIC_ERRORS_101,
    METRIC_ERRORS_102,
    METRIC_ERRORS_103,
    METRIC_ERRORS_104,
    METRIC_ERRORS_105,
    METRIC_ERRORS_106,
    METRIC_ERRORS_107,
    METRIC_ERRORS_108,
    METRIC_ERRORS_109,
    METRIC_ERRORS_110,
    METRIC_ERRORS_111,
    METRIC_ERRORS_112,
    METRIC_ERRORS_113,

    METRIC_API_COMMANDS_PUBLISH, /* in the order of enum api_method, and so are their errors */
    METRIC_API_COMMANDS_BROADCAST,
    METRIC_API_COMMANDS_PRESENCE,
    METRIC_API_COMMANDS_PRESENCE_STATS,
    METRIC_API_COMMANDS_HISTORY,
    METRIC_API_COMMANDS_HISTORY_REMOVE,
    METRIC_API_COMMANDS_CHANNELS,
    METRIC_API_COMMANDS_INFO,
    METRIC_API_COMMANDS_RPC,
    METRIC_API_COMMANDS_SUBSCRIBE,
    METRIC_API_COMMANDS_UNSUBSCRIBE,
    METRIC_API_COMMANDS_DISCONNECT,
    METRIC_API_COMMANDS_REFRESH,
    METRIC_API_COMMANDS_BLOCK_USER,
    METRIC_API_COMMANDS_UNBLOCK_USER,
    METRIC_API_COMMANDS_REVOKE_TOKEN,
    METRIC_API_COMMANDS_INVALIDATE_USER_TOKENS,
    METRIC_API_COMMANDS_RELOAD,

    METRIC_API_ERRORS_PUBLISH,
    METRIC_API_ERRORS_BROADCAST, /* of it, or one of its publications */
    METRIC_API_ERRORS_PRESENCE,
    METRIC_API_ERRORS_PRESENCE_STATS,
    METRIC_API_ERRORS_HISTORY,
    METRIC_API_ERRORS_HISTORY_REMOVE,
    METRIC_API_ERRORS_CHANNELS,
    METRIC_API_ERRORS_INFO,
    METRIC_API_ERRORS_RPC,
    METRIC_API_ERRORS_SUBSCRIBE,
    METRIC_API_ERRORS_UNSUBSCRIBE,
    METRIC_API_ERRORS_DISCONNECT,
    METRIC_API_ERRORS_REFRESH,
    METRIC_API_ERRORS_BLOCK_USER,
    METRIC_API_ERRORS_UNBLOCK_USER,
    METRIC_API_ERRORS_REVOKE_TOKEN,
    METRIC_API_ERRORS_INVALIDATE_USER_TOKENS,
    METRIC_API_ERRORS_RELOAD,
    METRIC_API_ERRORS_UNKNOWN, /* there is no such method, or it cannot be read */

    METRIC_TOKENS_VALID,
    METRIC_TOKENS_EXPIRED,
    METRIC_TOKENS_INVALID,
    METRIC_TOKENS_UNAVAILABLE, /* the key was not there yet */

    METRIC_EXPIRED_CONNECTIONS,
    METRIC_EXPIRED_SUBSCRIPTIONS,

    METRIC_PUBLICATIONS, /* accepted at home */
    METRIC_DELIVERIES,   /* packet references queued */
    METRIC_GAPS,
    METRIC_REPEATS,
    METRIC_SUPERSEDED,
    METRIC_RECOVERIES_COMPLETE,
    METRIC_RECOVERIES_IMPOSSIBLE,
    METRIC_NEWS_FRAMES, /* of joins and leaves, counted where the members are */
    METRIC_NEWS_DELIVERIES,
    METRIC_NEWS_JOINS, /* told of in them */
    METRIC_NEWS_LEAVES,
    METRIC_HISTORY_EVICTED,
    METRIC_HISTORY_BYTES, /* gauge, at home */

    METRIC_LAGS_RESYNC, /* in the order of enum policy_slow_consumer */
    METRIC_LAGS_LATEST,
    METRIC_LAGS_DROP,
    METRIC_LAGS_DISCONNECT,

    METRIC_LAG_MISSED, /* publications */

    METRIC_CHANNELS,      /* gauge, at home */
    METRIC_ROOMS,         /* gauge */
    METRIC_SESSIONS,      /* gauge */
    METRIC_USERS,         /* gauge, at home; who has no id is none */
    METRIC_SUBSCRIPTIONS, /* gauge */

    METRIC_BUS_POSTS,
    METRIC_BUS_WAKES,
    METRIC_BUS_FULL,

    METRIC_MEMORY_CONNECTIONS, /* gauges, bytes, by pool */
    METRIC_MEMORY_SESSIONS,
    METRIC_MEMORY_ROOMS,
    METRIC_MEMORY_SEND_QUEUES,
    METRIC_MEMORY_PUBLICATIONS,
    METRIC_MEMORY_BUS,
    METRIC_MEMORY_TLS, /* of each thread, modulo 2^64: only the sum means something */

    METRIC_SLOW_TURNS, /* above log.slow_turn */

    METRIC_LOG_DROPPED,

    METRIC_STORE_READY,   /* gauge: 1 while the store takes what it is given */
    METRIC_STORE_STARTS,  /* of its process */
    METRIC_STORE_APPENDS, /* publications stored */
    METRIC_STORE_BYTES,   /* of them */
    METRIC_STORE_RUNS_OK, /* what of one channel goes together */
    METRIC_STORE_RUNS_REFUSED,
    METRIC_STORE_RUNS_LOST,
    METRIC_STORE_PAGES,                /* channels asked for */
    METRIC_STORE_QUESTIONS,            /* gauge: open */
    METRIC_STORE_QUEUE_BYTES,          /* gauge: not sent to the process yet */
    METRIC_STORE_WAITING,              /* gauge: batches and pages that the queue has no room for */
    METRIC_STORE_TABLE_BYTES,          /* gauge: of what lies on the disk, without the log */
    METRIC_STORE_EXPIRED_PUBLICATIONS, /* too old, of channels that nobody had open */
    METRIC_STORE_EXPIRED_CHANNELS,
    METRIC_STORE_DAMAGED_TABLES,   /* dropped */
    METRIC_STORE_DAMAGED_CHANNELS, /* that began anew */

    METRIC_RELOADS_DONE, /* of the configuration */
    METRIC_RELOADS_FAILED,
    METRIC_CONFIG_LOADED_S, /* gauge, Unix time: when the present one was read */

    METRIC_COUNT
};

enum {
    /* Bucket i counts times of up to 2^i us, or 2^i times 64 bytes; the last one all above. */
    METRICS_BUCKET_COUNT = 24,
    METRICS_BYTES_FIRST = 64, /* bytes, of the first bucket of sizes */
};

struct metrics_histogram {
    _Atomic uint64_t buckets[METRICS_BUCKET_COUNT];
    _Atomic uint64_t sum; /* ns or bytes */
};

struct metrics {
    alignas(64) _Atomic uint64_t values[METRIC_COUNT];
    struct metrics_histogram loop;        /* turns of a reactor */
    struct metrics_histogram store;       /* from a run's way into the store to its answer */
    struct metrics_histogram delivery;    /* from its publisher to its subscribers here */
    struct metrics_histogram queues;      /* bytes that a connection has to be sent */
    struct metrics_namespace *namespaces; /* NULL: they are not counted */
    size_t namespace_count;
};

/* Counters go up; gauges may also be set or go down. Owner only. */
static inline void metrics_set(struct metrics *metrics, enum metrics_id id, uint64_t value)
{
    atomic_store_explicit(&metrics->values[id], value, memory_order_relaxed);
}

static inline void metrics_add(struct metrics *metrics, enum metrics_id id, uint64_t count)
{
    /* One writer: nothing can come between the load and the store. */
    metrics_set(metrics, id,
                atomic_load_explicit(&metrics->values[id], memory_order_relaxed) + count);
}

static inline void metrics_subtract(struct metrics *metrics, enum metrics_id id, uint64_t count)
{
    metrics_set(metrics, id,
                atomic_load_explicit(&metrics->values[id], memory_order_relaxed) - count);
}

NODISCARD static inline uint64_t metrics_read(const struct metrics *metrics, enum metrics_id id)
{
    return atomic_load_explicit(&metrics->values[id], memory_order_relaxed);
}

/* Something took this long; a turn of a reactor's loop without its sleep. Owner only. */
void metrics_observe(struct metrics_histogram *histogram, uint64_t duration_ns);

/* Something has this size. Owner only. */
void metrics_observe_bytes(struct metrics_histogram *histogram, uint64_t bytes);

/* How often something was observed. */
NODISCARD uint64_t metrics_observed(const struct metrics_histogram *histogram) ANY_THREAD;

/*
 * The text format 0.0.4 of everything: values summed over the `count` threads of `all`, one loop
 * histogram per thread whose names[i] is not NULL, labelled reactor="<names[i]>", and one each of
 * the store, of deliveries and of queues. Goes behind what the text has.
 */
void metrics_render(const struct metrics *const *all, const char *const *names, size_t count,
                    struct metrics_text *text) ANY_THREAD;

#endif /* CORE_METRICS_H */
