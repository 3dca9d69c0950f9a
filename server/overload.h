/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_OVERLOAD_H
#define SERVER_OVERLOAD_H
/*
 * What is refused when memory is short, in this order (LIMITS.md row 43):
 *
 *   from 90 % of overload.memory_budget on   new connections: 503, and /ready says so
 *   from 95 %                                new subscriptions, too: error 106
 *   from 100 %                               the longest queues, too: 3008; the next longest when a
 *                                            second later that was not enough
 *
 * Each ends when 5 % of the budget less are in use. Nothing is dropped silently: all is counted in
 * parley_rejected_total.
 *
 * Owner     the control, which looks at what is in use (memory.h) and tells the reactors by posts.
 *           Thread: main. Not here: what a reactor does about it (shard.c, gateway, hub).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/post.h"
#include "core/annot.h"

struct bus;
struct log;
struct memory_limit;

struct overload_options {
    struct bus *bus;
    struct log *log;
    const struct memory_limit *memory; /* how to find out what is in use */
    uint64_t budget;                   /* bytes of that */
    size_t reactor_count;              /* their ports come first, then ours */
};

struct overload {
    struct overload_options options;
    size_t next; /* reactor that is told next; reactor_count: all have been */
    enum post_overload_level level;
    uint64_t look_ns; /* when to look again */
    uint64_t trim_ns; /* when to give free memory back to the kernel at the latest */
    uint64_t shed_ns; /* when the longest queues go again, at the earliest */
};

void overload_init(struct overload *overload, const struct overload_options *options);

/* The level that follows `level` when so much of the budget is in use. Pure. */
NODISCARD enum post_overload_level overload_level(enum post_overload_level level, uint64_t used,
                                                  uint64_t budget);

/* Looks when it is time, and posts what there is room for. Milliseconds to the next call. */
NODISCARD int overload_step(struct overload *overload, uint64_t now_ns);

#endif /* SERVER_OVERLOAD_H */
