/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_MEMORY_H
#define SERVER_MEMORY_H
/*
 * How much memory this process has, and how much it may have: what /proc and the control groups
 * say.
 *
 * Sources   proc(5), cgroups(7): version 2 (memory.max, memory.current) and 1
 *           (memory.limit_in_bytes, memory.usage_in_bytes). A limit of a group counts for all that
 *           is below it. ANY_THREAD; reads files, so a reactor asks rarely.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

/* Bytes that are resident; 0: the kernel does not say. */
NODISCARD uint64_t memory_resident(void);

enum { MEMORY_PATH_SIZE = 2048 };

/* Whose limit counts. */
struct memory_limit {
    uint64_t bytes;    /* 0: nobody looked, and what is resident counts */
    bool is_version_1; /* of the control groups */
    char group
        [MEMORY_PATH_SIZE]; /* the directory of the control group that has it; "": the machine */
};

/*
 * The machine's memory, or the least limit of a control group that we are in. `root` is "" but for
 * tests: ROOT/proc/..., ROOT/sys/fs/cgroup/...
 */
void memory_limit_find(struct memory_limit *limit, const char *root);

/*
 * Bytes that are in use of what the limit is for: what is resident here; of a group all that counts
 * in it, which includes other processes and what the kernel keeps for them (sockets, page tables),
 * but not the pages of files, which it would take back before it ends anybody.
 */
NODISCARD uint64_t memory_used(const struct memory_limit *limit);

#endif /* SERVER_MEMORY_H */
