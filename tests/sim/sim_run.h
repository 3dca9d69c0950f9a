/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_RUN_H
#define TESTS_SIM_SIM_RUN_H
/*
 * One seed, from the first connection to the last freed byte: talking, with faults; quiet, when
 * everything that is owed must have come; idle, when only pings go; and the end of the server.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

struct sim_stats;

/* True: every property held. What did not is on stderr, and memory is then not given back. */
NODISCARD bool sim_run_seed(uint64_t seed, bool is_verbose, struct sim_stats *stats);

#endif /* TESTS_SIM_SIM_RUN_H */
