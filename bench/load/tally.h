/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_TALLY_H
#define BENCH_LOAD_TALLY_H
/*
 * What one worker has counted and timed.
 *
 * Owner     a worker; it alone writes. Zeroed: nothing yet. Some 200 KiB: on the heap.
 * Threads   the main thread reads at any time, for the progress line and the plots; every counter
 *           is a relaxed atomic.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "bench/load/histogram.h"
#include "bench/load/storm.h"
#include "core/annot.h"

enum tally_id {
    TALLY_CONNECTED,      /* gauge: handshakes done, not closed since */
    TALLY_CONNECTS,       /* handshakes done, and subscribed where the scenario subscribes */
    TALLY_CONNECT_FAILED, /* refused, reset or timed out before that */
    TALLY_SENT,           /* messages */
    TALLY_RECEIVED,       /* deliveries: each message once for each receiver */
    TALLY_EXPECTED,       /* deliveries that the messages sent have to cause */
    TALLY_ACKNOWLEDGED,   /* replies to publishes (chat) */
    TALLY_BYTES_SENT,     /* of frames, headers included */
    TALLY_BYTES_RECEIVED,
    TALLY_LOST, /* expected, and not there when the run ended */
    TALLY_DUPLICATED,
    TALLY_REORDERED,
    TALLY_CORRUPTED,     /* not what anybody sent, or for somebody else */
    TALLY_ERRORS,        /* error replies, broken frames and handshakes */
    TALLY_CLOSED,        /* by the server, or by the network, before we wanted it */
    TALLY_LATE_SENDS,    /* sent more than a millisecond after their time: the generator's fault */
    TALLY_RECOVERED,     /* subscriptions that came back and were given all that they had missed */
    TALLY_NOT_RECOVERED, /* that were told that this is not possible: they begin anew */
    TALLY_GIVEN,         /* publications that were given to those who recovered */
    TALLY_RESUBSCRIBED,  /* told by the server to subscribe again, and did */
    TALLY_COUNT,
};

enum { TALLY_CODE_COUNT_MAX = 16 };

/* How many connections the server closed with a code; 1006 stands for "without one". */
struct tally_code {
    _Atomic uint32_t code; /* 0: unused */
    _Atomic uint32_t count;
};

struct tally {
    _Atomic uint64_t counts[TALLY_COUNT];
    struct tally_code codes[TALLY_CODE_COUNT_MAX];
    struct histogram latency;   /* of the measured part of the run */
    struct histogram recovered; /* the same of what was given by a recovery, which is late */
    struct histogram live[STORM_PART_COUNT]; /* of `latency` that of who stayed in a storm */
    struct histogram back; /* how long the struck took to be back, from when they might */
};

static inline uint64_t tally_read(const struct tally *tally, enum tally_id id)
{
    return atomic_load_explicit(&tally->counts[id], memory_order_relaxed);
}

/* A plain load and store: there is one writer. */
static inline void tally_add(struct tally *tally, enum tally_id id, uint64_t count)
{
    atomic_store_explicit(&tally->counts[id], tally_read(tally, id) + count, memory_order_relaxed);
}

static inline void tally_subtract(struct tally *tally, enum tally_id id, uint64_t count)
{
    atomic_store_explicit(&tally->counts[id], tally_read(tally, id) - count, memory_order_relaxed);
}

/* Where all places are taken by other codes, it counts as the last of them. */
void tally_add_code(struct tally *tally, uint16_t code);

/* Adds what is in `from`, histogram and codes too. */
void tally_merge(struct tally *tally, const struct tally *from);

#endif /* BENCH_LOAD_TALLY_H */
