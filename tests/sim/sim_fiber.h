/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_FIBER_H
#define TESTS_SIM_SIM_FIBER_H
/*
 * Stacks that take turns on one thread: each reactor of the simulated server runs its own loop,
 * shard_run(), on one, and gives way to the scheduler wherever the real one would ask the kernel.
 *
 * Owner     who created it. Threads: one. The sanitizers are told of each change of stacks.
 * Life      runs only inside of sim_fiber_resume(), until it yields or its function returns. One
 *           that has not returned may be abandoned, never destroyed.
 */
#include <stdbool.h>

#include "core/annot.h"

struct sim_fiber; /* opaque */

/* NULL: no memory. */
NODISCARD struct sim_fiber *sim_fiber_create(void (*run)(void *context), void *context);
void sim_fiber_destroy(struct sim_fiber *fiber); /* NULL: nothing */

/* From the scheduler: goes on with it until it yields or returns. */
void sim_fiber_resume(struct sim_fiber *fiber);

/* From inside of it. */
void sim_fiber_yield(struct sim_fiber *fiber);

NODISCARD bool sim_fiber_has_returned(const struct sim_fiber *fiber);

#endif /* TESTS_SIM_SIM_FIBER_H */
