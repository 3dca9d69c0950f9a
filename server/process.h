/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_PROCESS_H
#define SERVER_PROCESS_H
/*
 * What is true of the process as a whole, for Prometheus: its version, its start, its CPU time and
 * memory as the kernel counts them, and how many connections it may have.
 *
 * The names without `parley_` are those that Prometheus' own clients use. ANY_THREAD.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

enum { PROCESS_TEXT_SIZE = 1536 }; /* bytes: enough, with the NUL */

struct process {
    uint64_t started_s;     /* Unix time */
    uint64_t memory_budget; /* bytes */
    uint32_t connection_limit;
};

/* Returns the bytes of the text without its NUL. What cannot be found out is left out. */
size_t process_render(const struct process *process, char text[static PROCESS_TEXT_SIZE]);

#endif /* SERVER_PROCESS_H */
