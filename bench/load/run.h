/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_RUN_H
#define BENCH_LOAD_RUN_H
/*
 * What the threads of one run share.
 *
 * Owner     the main thread, which conducts it (conductor.h): it moves the phase on, and the
 *           workers follow.
 * Threads   everything here is constant during the run, or atomic.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/load/options.h"
#include "bench/load/storm.h"
#include "core/annot.h"

struct backend_ops;
struct payload_source;
struct simd_ops;
struct tls_config;
struct tokens;
struct worker;

enum run_phase {
    RUN_CONNECT, /* connections are made */
    RUN_LOAD,    /* from start_ns on: warm-up, then measured */
    RUN_DRAIN,   /* nothing new is sent */
    RUN_CLOSE,   /* everybody leaves */
};

/* A message under way in a closed loop: the publisher's number modulo its window. */
struct run_slot {
    _Atomic uint64_t sent_ns;
    _Atomic uint32_t left; /* deliveries that have not come */
};

struct run {
    const struct options *options;
    const struct backend_ops *backend;
    const struct simd_ops *simd;
    struct payload_source *source;
    struct tls_config *tls;      /* NULL: not over TLS */
    const struct tokens *tokens; /* NULL: nobody signs in */
    struct worker **workers;     /* options->threads of them */

    _Atomic uint32_t phase;      /* enum run_phase; release, so that the times are seen */
    _Atomic uint64_t start_ns;   /* of the load */
    _Atomic uint64_t measure_ns; /* messages due from here */
    _Atomic uint64_t end_ns;     /* to here are measured */
    _Atomic uint32_t stopped;    /* workers that have sent all that they will */
    struct storm storm;

    struct run_slot *slots;          /* closed loop: [publisher][window] */
    _Atomic uint32_t *completed;     /* closed loop: messages that everybody has, by publisher */
    _Atomic uint32_t *numbers;       /* messages sent, by publisher */
    _Atomic uint32_t *member_counts; /* who takes part, by room */
};

/* Which room somebody is in, and where among its publishers a publisher is. */
static inline uint32_t run_room_of(const struct run *run, uint32_t index)
{
    return index % run->options->rooms;
}

static inline uint32_t run_place_of(const struct run *run, uint32_t publisher)
{
    return publisher / run->options->rooms;
}

/* Publishers of one room, at most. */
static inline uint32_t run_publishers_per_room(const struct run *run)
{
    return (run->options->publishers + run->options->rooms - 1) / run->options->rooms;
}

#endif /* BENCH_LOAD_RUN_H */
