/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_MEMORY_H
#define SERVER_MEMORY_H
/*
 * How much memory this process has, and how much it may have: what /proc and the control groups
 * say.
 *
 * Sources   proc(5), cgroups(7): version 2 (memory.max) and 1 (memory.limit_in_bytes). A limit of a
 *           group counts for everything below it. ANY_THREAD; reads files, so not in a reactor's
 *           iteration but for a scrape.
 */
#include <stdint.h>

#include "core/annot.h"

/* Bytes that are resident; 0: the kernel does not say. */
NODISCARD uint64_t memory_resident(void);

/* Bytes: the machine's, or the least limit of a control group that we are in; never 0. */
NODISCARD uint64_t memory_limit(void);

/* The same with other roots than "" (for tests): ROOT/proc/..., ROOT/sys/fs/cgroup/... */
NODISCARD uint64_t memory_limit_below(const char *root);

#endif /* SERVER_MEMORY_H */
