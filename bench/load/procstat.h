/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_PROCSTAT_H
#define BENCH_LOAD_PROCSTAT_H
/*
 * What the kernel knows of processes: CPU time and memory, from /proc.
 *
 * Threads   the main thread: it reads files.
 * CPU       the total is exact (schedstat of every thread); user and system are the kernel's own
 *           split of it (stat, in ticks), so their sum is scaled to the total.
 * Memory    user: private dirty bytes (smaps_rollup). Kernel memory has no owner in /proc: it is
 *           that of the whole machine (slab and kernel stacks, page tables), to be compared before
 *           and after by who knows what else has changed.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/annot.h"

enum { PROCSTAT_PID_COUNT_MAX = 64 };

struct procstat_pids {
    pid_t pids[PROCSTAT_PID_COUNT_MAX];
    size_t count;
};

struct procstat {
    uint64_t user_ns;
    uint64_t system_ns;
    uint64_t user_bytes;
};

/* Adds all descendants of these processes, as far as there is room. */
void procstat_add_children(struct procstat_pids *pids);

/* The sum over them. 0 or -errno: -ESRCH when one has gone. */
NODISCARD int procstat_read(const struct procstat_pids *pids, struct procstat *stat);

/* Of the calling process, without memory. */
NODISCARD int procstat_read_self(struct procstat *stat);

/* Slab, kernel stacks and page tables of the machine, in bytes; 0 where it cannot be told. */
NODISCARD uint64_t procstat_kernel_bytes(void);

/* "AMD EPYC 9B45 (2 CPUs)", "Linux 6.18.44". Constant length, always terminated. */
enum { PROCSTAT_TEXT_SIZE = 128 };
void procstat_machine(char machine[PROCSTAT_TEXT_SIZE], char kernel[PROCSTAT_TEXT_SIZE]);

#endif /* BENCH_LOAD_PROCSTAT_H */
