/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_BUS_H
#define CORE_BUS_H
/*
 * How threads speak: ports 0 .. n-1, one bounded ring per ordered pair of ports, posts by value.
 *
 * Three ways to post, made so that nothing can wait in a circle and an answer is never refused:
 *   tell    one-way; needs a free slot beyond two reserves
 *   ask     wants exactly one answer; needs one of `reserve` credits (from -> to), which comes back
 *           when the asker takes the answer. As many slots of the ring are kept for asks, so a
 *           credit is all it needs: how full the ring is of tells does not matter.
 *   answer  uses the other reserve. The asks of A towards B that have no answer are at most
 *           `reserve`, and the ring B -> A keeps that many slots for answers: there is room.
 *
 * Sleep and wake: a consumer that found nothing stores sleeping = 1, fences (seq_cst), looks once
 * more, then blocks. A producer publishes (release), fences (seq_cst), then reads `sleeping` and
 * wakes. One of the two sees the other. The bus does not know how a thread blocks: each port
 * brings its own wake function, which must be safe from any thread and must not be lost when it
 * comes before the block (an eventfd; a condition variable with a flag).
 *
 * Owner     who created it; it must outlive the threads of all ports.
 * Threads   a port belongs to one thread; a function may be called by the thread of the port that
 *           it is given first (`from`, `to`, `port`), the counters by ANY_THREAD.
 * Order     posts of one port to another arrive in the order in which they were posted.
 * Failures  full is a value; the caller says what it means. Posting to oneself is a bug: CHECK.
 */
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

enum {
    BUS_BODY_SIZE = 56,            /* bytes */
    BUS_PORT_COUNT_MAX = 1024,     /* ports */
    BUS_SLOT_COUNT_DEFAULT = 1024, /* per ring */
    BUS_RESERVE_DEFAULT = 256,     /* slots and credits per ring */
};

enum bus_role {
    BUS_TELL = 1,
    BUS_ASK,
    BUS_ANSWER,
};

/* One cache line. `from` and `role` are written by the bus, the rest is the caller's. */
struct bus_post {
    uint16_t from; /* port */
    uint8_t role;  /* enum bus_role */
    uint8_t kind;
    uint32_t word;
    alignas(8) uint8_t body[BUS_BODY_SIZE];
};

_Static_assert(sizeof(struct bus_post) == 64, "one post is one slot");

enum bus_result {
    BUS_POSTED = 0,
    BUS_FULL, /* no slot for a tell, no credit for an ask; nothing was posted */
};

struct bus; /* opaque */

/*
 * `slot_count` is a power of two; 0 < 2 * `reserve` < `slot_count`; `port_count` >= 1.
 * NULL when memory is out.
 */
NODISCARD struct bus *bus_create(size_t port_count, size_t slot_count, size_t reserve);

/* Frees rings and ports; posts inside are forgotten, so drain them before. NULL: nothing. */
void bus_destroy(struct bus *bus);

/* How to wake the thread of this port. Before the threads start. Without it nobody is woken. */
void bus_port_on_wake(struct bus *bus, size_t port, void (*wake)(void *context), void *context);

NODISCARD size_t bus_port_count(const struct bus *bus);

/* Posts are seen by the other side after bus_flush(). */
NODISCARD enum bus_result bus_tell(struct bus *bus, size_t from, size_t to,
                                   const struct bus_post *post);
NODISCARD enum bus_result bus_ask(struct bus *bus, size_t from, size_t to,
                                  const struct bus_post *post);

/* Would a tell be posted now? Until `from` posts something else, it still would. */
NODISCARD bool bus_has_room(struct bus *bus, size_t from, size_t to);

/* Exactly one per ask taken by `from` out of port `to`; more is a CHECK failure. Never refused. */
void bus_answer(struct bus *bus, size_t from, size_t to, const struct bus_post *post);

/* Publishes everything that `from` posted, once per destination, and wakes who sleeps. */
void bus_flush(struct bus *bus, size_t from);

/* Something was posted by `from` and not flushed. */
NODISCARD bool bus_has_unpublished(const struct bus *bus, size_t from);

/*
 * Takes up to `max` posts for `to`, starting after the port that was served last, so that no
 * ring starves. Credits of answers taken here are back when this returns.
 */
NODISCARD size_t bus_take(struct bus *bus, size_t to, struct bus_post *out, size_t max);

/*
 * Says that `port` is about to block. True: block, and call bus_awake() after. False: there is
 * something to take or to flush; do not block (and bus_awake() is not needed).
 */
NODISCARD bool bus_may_sleep(struct bus *bus, size_t port);
void bus_awake(struct bus *bus, size_t port);

/* Asks of `from` to `to` that may still be posted before answers are taken. */
NODISCARD size_t bus_credits(const struct bus *bus, size_t from, size_t to);

/* The least of them over the first `count` ports; SIZE_MAX when no other port is among them. */
NODISCARD size_t bus_credits_min(const struct bus *bus, size_t from, size_t count);

/* Since the start, of this port: posts made, wakes caused, posts refused. */
NODISCARD uint64_t bus_posts(const struct bus *bus, size_t port) ANY_THREAD;
NODISCARD uint64_t bus_wakes(const struct bus *bus, size_t port) ANY_THREAD;
NODISCARD uint64_t bus_refusals(const struct bus *bus, size_t port) ANY_THREAD;

#endif /* CORE_BUS_H */
