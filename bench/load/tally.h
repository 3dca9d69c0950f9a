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
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load/cause.h"
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

enum { TALLY_CAUSE_COUNT_MAX = 24 };

/* How often something went wrong for one reason. Read by tally_read_cause(). */
struct tally_cause {
    _Atomic uint64_t key; /* kind + 1 in the upper half, code in the lower; 0: unused */
    _Atomic uint64_t count;
};

struct tally {
    _Atomic uint64_t counts[TALLY_COUNT];
    struct tally_cause causes[TALLY_CAUSE_COUNT_MAX]; /* of errors, failed and closed ones */
    struct histogram latency;                         /* of the measured part of the run */
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

/* Once more for this reason. Where all places but one are taken, it is CAUSE_OTHER. */
void tally_add_cause(struct tally *tally, enum cause_kind kind, uint32_t code);

/* The reason at a place below TALLY_CAUSE_COUNT_MAX. False: there is none, and none behind it. */
struct tally_cause_row {
    enum cause_kind kind;
    uint32_t code;
    uint64_t count;
};
NODISCARD bool tally_read_cause(const struct tally *tally, size_t place,
                                struct tally_cause_row *row);

/* Adds what is in `from`, histograms and causes too. */
void tally_merge(struct tally *tally, const struct tally *from);

#endif /* BENCH_LOAD_TALLY_H */
