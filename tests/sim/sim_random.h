/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_RANDOM_H
#define TESTS_SIM_SIM_RANDOM_H
/*
 * The simulation's only source of chance: splitmix64 from one seed. A value, owned by who embeds
 * it. The same seed and the same questions give the same answers on every machine.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_random {
    uint64_t state;
};

static inline uint64_t sim_random_next(struct sim_random *random)
{
    uint64_t mixed = (random->state += 0x9e3779b97f4a7c15ULL);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
    return mixed ^ (mixed >> 31);
}

/* 0 .. count - 1; count > 0. */
static inline uint64_t sim_random_below(struct sim_random *random, uint64_t count)
{
    return sim_random_next(random) % count;
}

/* low .. high, both included. */
static inline uint64_t sim_random_range(struct sim_random *random, uint64_t low, uint64_t high)
{
    return low + sim_random_below(random, high - low + 1);
}

/* True once in `count` times. */
static inline bool sim_random_once_in(struct sim_random *random, uint64_t count)
{
    return sim_random_below(random, count) == 0;
}

/* How much of `size` (> 0) is done in one go: often all of it, else any part, at least 1. */
static inline size_t sim_random_part(struct sim_random *random, size_t size)
{
    return sim_random_once_in(random, 2) ? size : (size_t)sim_random_range(random, 1, size);
}

static inline void sim_random_fill(struct sim_random *random, void *target, size_t size)
{
    uint8_t *bytes = target;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)sim_random_next(random);
    }
}

#endif /* TESTS_SIM_SIM_RANDOM_H */
