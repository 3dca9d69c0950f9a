/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_OVERLOAD_H
#define SERVER_OVERLOAD_H
/*
 * What is refused when memory is short, in this order (LIMITS.md row 43):
 *
 *   from 90 % of overload.memory_budget on   new connections: 503, and /ready says so
 *   from 95 %                                new subscriptions, too: error 106
 *   from 100 %                               the longest queues, too: 3008
 *
 * Each ends when 5 % of the budget less are in use. Nothing is dropped silently: all is counted in
 * parley_rejected_total.
 *
 * Owner     the control, which looks at what is resident and tells the reactors by posts. Thread:
 *           main. Not here: what a reactor does about it (shard.c, gateway, hub).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/post.h"
#include "core/annot.h"

struct bus;
struct log;

enum { OVERLOAD_LOOK_MS = 250 }; /* milliseconds between two looks */

struct overload {
    struct bus *bus;
    struct log *log;
    uint64_t budget;      /* bytes */
    size_t reactor_count; /* their ports come first, then ours */
    size_t next;          /* reactor that is told next; reactor_count: all have been */
    enum post_overload_level level;
    uint64_t look_ns; /* when to look again */
    uint64_t trim_ns; /* when to give free memory back to the kernel, at the earliest */
};

void overload_init(struct overload *overload, struct bus *bus, struct log *log, uint64_t budget,
                   size_t reactor_count);

/* The level that follows `level` when so much of the budget is in use. Pure. */
NODISCARD enum post_overload_level overload_level(enum post_overload_level level, uint64_t used,
                                                  uint64_t budget);

/* Looks when it is time, and posts what there is room for: to be called every OVERLOAD_LOOK_MS. */
void overload_step(struct overload *overload, uint64_t now_ns);

#endif /* SERVER_OVERLOAD_H */
