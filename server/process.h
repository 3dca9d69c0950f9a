/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H
/*
 * What is true of the process as a whole, for Prometheus: its version, its start, its CPU time and
 * memory as the kernel counts them, and how many connections it may have.
 *
 * The names without `parley_` are those that Prometheus' own clients use. ANY_THREAD.
 */
#include <stdint.h>

struct memory_limit;
struct metrics_text;

struct process {
    uint64_t started_s;                /* Unix time */
    uint64_t memory_budget;            /* bytes */
    const struct memory_limit *memory; /* of which the budget is a part */
    uint32_t connection_limit;
};

/* Goes behind what the text has. What cannot be found out is left out. */
void process_render(const struct process *process, struct metrics_text *text);

#endif /* SERVER_PROCESS_H */
