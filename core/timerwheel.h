/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_TIMERWHEEL_H
#define CORE_TIMERWHEEL_H
/*
 * The timeouts of one thread: a hierarchical wheel of eight levels with 64 slots each.
 * Arm and cancel are O(1); a timer moves down at most seven times in its life.
 *
 * Owner     timers live in objects of the caller; cancel before such an object is freed.
 * Threads   one.
 * Units     nanoseconds of the caller's clock outside, ticks inside. Never early; late by less
 *           than one tick, plus how late the caller asks.
 * Failures  timerwheel_create() says NULL when memory is out. Nothing else can fail.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/list.h"

#define TIMERWHEEL_TICK_NS_DEFAULT UINT64_C(8000000)
#define TIMERWHEEL_TICK_NS_MIN     UINT64_C(65536) /* eight levels then hold every uint64_t */
#define TIMERWHEEL_NEVER           UINT64_MAX

struct timerwheel; /* opaque */

/* A zeroed timer is a timer that is not armed. */
struct timerwheel_timer {
    struct list_link link;
    uint64_t deadline_tick;
};

_Static_assert(sizeof(struct timerwheel_timer) == 24, "part of every connection");

/* `now_ns` is the start; a deadline before it is due at once. */
NODISCARD struct timerwheel *timerwheel_create(uint64_t now_ns, uint64_t tick_ns);

/* Timers still armed are forgotten, not fired. NULL: nothing. */
void timerwheel_destroy(struct timerwheel *wheel);

/* Arms, or arms again with another deadline. */
void timerwheel_arm(struct timerwheel *wheel, struct timerwheel_timer *timer, uint64_t deadline_ns);

/* Nothing when it is not armed. */
void timerwheel_cancel(struct timerwheel *wheel, struct timerwheel_timer *timer);

NODISCARD bool timerwheel_is_armed(const struct timerwheel_timer *timer);

/*
 * Fires what is due at `now_ns`, at most `max`; the rest stays due for the next call. A timer is
 * disarmed before its `fire`, which may arm or cancel any timer, its own too, and may free its
 * object. What it arms into the past is due at the next call, so this ends. Returns how many.
 */
size_t timerwheel_expire(struct timerwheel *wheel, uint64_t now_ns,
                         void (*fire)(struct timerwheel_timer *timer, void *context), void *context,
                         size_t max);

/* No timer is due before this time; not after `now_ns` when one is due; TIMERWHEEL_NEVER: none. */
NODISCARD uint64_t timerwheel_next_ns(const struct timerwheel *wheel);

/* How many timers are armed. */
NODISCARD size_t timerwheel_count(const struct timerwheel *wheel);

#endif /* CORE_TIMERWHEEL_H */
