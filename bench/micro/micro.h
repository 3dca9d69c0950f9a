/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_MICRO_MICRO_H
#define BENCH_MICRO_MICRO_H
/*
 * Micro-benchmarks are written in C against this table.
 * register.cc, which is C++ for that, hands each row to Google Benchmark.
 */
#include <stddef.h>
#include <stdint.h>

struct micro_case {
    const char *name; /* "folder/module/what/size" */

    /* Untimed. The result is the case's until teardown. NULL: this machine cannot run it. */
    void *(*setup)(const struct micro_case *row);
    void (*run)(void *context, uint64_t iterations);
    void (*teardown)(void *context);
    uint64_t size;                /* for setup: bytes, members, entries, as the case likes */
    int variant;                  /* likewise */
    int text;                     /* likewise */
    uint64_t bytes_per_iteration; /* 0: do not report bytes per second */
};

/* One list per *_bench.c, ended by a row whose name is NULL. */
extern const struct micro_case simd_micro_cases[];
extern const struct micro_case frame_micro_cases[];
extern const struct micro_case command_micro_cases[];
extern const struct micro_case table_micro_cases[];
extern const struct micro_case stream_micro_cases[];
extern const struct micro_case event_micro_cases[];
extern const struct micro_case ring_micro_cases[];
extern const struct micro_case roster_micro_cases[];
extern const struct micro_case timerwheel_micro_cases[];
extern const struct micro_case permessage_micro_cases[];

/* Makes the compiler believe `value` is used. */
static inline void micro_keep(uint64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

/* Marsaglia's xorshift: the same numbers on every machine. The state must not be 0. */
static inline uint32_t micro_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

#endif /* BENCH_MICRO_MICRO_H */
