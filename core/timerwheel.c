/* SPDX-License-Identifier: Apache-2.0 */
#include "core/timerwheel.h"

#include <stdlib.h>

#include "core/check.h"

/*
 * A tick has eight digits of six bits. A timer hangs on the level of the highest digit in which
 * its deadline differs from the current tick, in the slot of that digit. So on every level only
 * slots after the current digit are in use, the lowest level in use has the earliest timers, and
 * nothing ever wraps. When the current tick reaches a slot above level 0, its timers move down.
 *
 * Source: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 7.
 */

enum {
    LEVEL_COUNT = 8,
    DIGIT_BITS = 6,
    SLOT_COUNT = 1 << DIGIT_BITS,
};

_Static_assert(LEVEL_COUNT *DIGIT_BITS == 64 - 16, "with ticks of 2^16 ns and more, all fit");

struct timerwheel {
    uint64_t start_ns;
    uint64_t tick_ns;
    uint64_t tick;          /* current: everything up to here has been moved to `due` */
    uint64_t tick_began_ns; /* when it did */
    size_t count;
    struct list_link due;         /* fired next, in the order of their deadlines */
    struct list_link late;        /* armed for a tick that is over; due from the next call on */
    uint64_t in_use[LEVEL_COUNT]; /* bit i: slot i has timers */
    struct list_link slots[LEVEL_COUNT][SLOT_COUNT];
};

static struct timerwheel_timer *timer_of(struct list_link *link)
{
    return LIST_OWNER(link, struct timerwheel_timer, link);
}

static unsigned digit_of(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (level * DIGIT_BITS)) & (SLOT_COUNT - 1);
}

struct timerwheel *timerwheel_create(uint64_t now_ns, uint64_t tick_ns)
{
    CHECK(tick_ns >= TIMERWHEEL_TICK_NS_MIN);

    struct timerwheel *wheel = calloc(1, sizeof(*wheel));
    if (wheel == NULL) {
        return NULL;
    }
    wheel->start_ns = now_ns;
    wheel->tick_ns = tick_ns;
    wheel->tick_began_ns = now_ns;
    list_init(&wheel->due);
    list_init(&wheel->late);
    for (unsigned level = 0; level < LEVEL_COUNT; level++) {
        for (unsigned slot = 0; slot < SLOT_COUNT; slot++) {
            list_init(&wheel->slots[level][slot]);
        }
    }
    return wheel;
}

void timerwheel_destroy(struct timerwheel *wheel)
{
    free(wheel);
}

/* Rounded up: at the beginning of that tick the deadline has passed. */
static uint64_t deadline_to_tick(const struct timerwheel *wheel, uint64_t deadline_ns)
{
    if (deadline_ns <= wheel->start_ns) {
        return 0;
    }
    const uint64_t ns = deadline_ns - wheel->start_ns;
    return ns / wheel->tick_ns + (ns % wheel->tick_ns != 0);
}

/* `deadline_tick` is after the current tick. */
static void hang_up(struct timerwheel *wheel, struct timerwheel_timer *timer)
{
    DCHECK(timer->deadline_tick > wheel->tick);
    const unsigned highest_bit = 63 - (unsigned)__builtin_clzll(timer->deadline_tick ^ wheel->tick);
    const unsigned level = highest_bit / DIGIT_BITS;
    const unsigned slot = digit_of(timer->deadline_tick, level);
    list_push_back(&wheel->slots[level][slot], &timer->link);
    wheel->in_use[level] |= UINT64_C(1) << slot;
}

void timerwheel_arm(struct timerwheel *wheel, struct timerwheel_timer *timer, uint64_t deadline_ns)
{
    CHECK(wheel != NULL);
    CHECK(timer != NULL);

    timerwheel_cancel(wheel, timer);
    wheel->count++;
    timer->deadline_tick = deadline_to_tick(wheel, deadline_ns);
    if (timer->deadline_tick <= wheel->tick) {
        list_push_back(&wheel->late, &timer->link);
    } else {
        hang_up(wheel, timer);
    }
}

/* Clears the bit of a slot whose last timer has gone. `head` may also be `due` or `late`. */
static void forget_slot(struct timerwheel *wheel, const struct list_link *head)
{
    if (head == &wheel->due || head == &wheel->late) {
        return;
    }
    const size_t index = (size_t)(head - &wheel->slots[0][0]);
    DCHECK(index / SLOT_COUNT < LEVEL_COUNT);
    wheel->in_use[index / SLOT_COUNT] &= ~(UINT64_C(1) << index % SLOT_COUNT);
}

void timerwheel_cancel(struct timerwheel *wheel, struct timerwheel_timer *timer)
{
    CHECK(wheel != NULL);
    CHECK(timer != NULL);

    if (!timerwheel_is_armed(timer)) {
        return;
    }
    /* With one neighbour on both sides it is alone, and the neighbour is the head. */
    struct list_link *neighbour = timer->link.next;
    const bool is_alone = neighbour == timer->link.prev;
    list_remove(&timer->link);
    if (is_alone) {
        forget_slot(wheel, neighbour);
    }
    CHECK(wheel->count > 0);
    wheel->count--;
}

bool timerwheel_is_armed(const struct timerwheel_timer *timer)
{
    CHECK(timer != NULL);

    return list_is_linked(&timer->link);
}

/* The first slot in use: false when there is none. `tick` is where its time begins. */
static bool first_slot(const struct timerwheel *wheel, unsigned *level, uint64_t *tick)
{
    for (unsigned i = 0; i < LEVEL_COUNT; i++) {
        if (wheel->in_use[i] != 0) {
            const uint64_t slot = (uint64_t)__builtin_ctzll(wheel->in_use[i]);
            const uint64_t above = wheel->tick >> ((i + 1) * DIGIT_BITS);
            *level = i;
            *tick = (above << DIGIT_BITS | slot) << (i * DIGIT_BITS);
            return true;
        }
    }
    return false;
}

/* Goes to the beginning of a slot: its timers are due there, or move down. */
static void enter_slot(struct timerwheel *wheel, unsigned level, uint64_t tick)
{
    const unsigned slot = digit_of(tick, level);
    DCHECK(tick > wheel->tick);
    wheel->tick = tick;
    wheel->in_use[level] &= ~(UINT64_C(1) << slot);

    struct list_link moved;
    list_init(&moved);
    list_splice_back(&moved, &wheel->slots[level][slot]);
    if (level == 0) {
        list_splice_back(&wheel->due, &moved);
        return;
    }
    for (struct list_link *link = list_pop_front(&moved); link != NULL;
         link = list_pop_front(&moved)) {
        struct timerwheel_timer *timer = timer_of(link);
        if (timer->deadline_tick == tick) {
            list_push_back(&wheel->due, link);
        } else {
            hang_up(wheel, timer);
        }
    }
}

/* Everything up to `tick` goes to `due`. */
static void advance(struct timerwheel *wheel, uint64_t tick)
{
    list_splice_back(&wheel->due, &wheel->late);
    unsigned level = 0;
    uint64_t slot_tick = 0;
    while (first_slot(wheel, &level, &slot_tick) && slot_tick <= tick) {
        enter_slot(wheel, level, slot_tick);
    }
    if (tick > wheel->tick) {
        wheel->tick = tick;
    }
    wheel->tick_began_ns = wheel->start_ns + wheel->tick * wheel->tick_ns;
}

/* Nothing is due, and the current tick is not over: so with most calls, for a tick is long. */
static bool is_idle(const struct timerwheel *wheel, uint64_t now_ns)
{
    return now_ns - wheel->tick_began_ns < wheel->tick_ns && list_is_empty(&wheel->due) &&
           list_is_empty(&wheel->late);
}

size_t timerwheel_expire(struct timerwheel *wheel, uint64_t now_ns,
                         void (*fire)(struct timerwheel_timer *timer, void *context), void *context,
                         size_t max)
{
    CHECK(wheel != NULL);
    CHECK(fire != NULL);

    if (is_idle(wheel, now_ns)) {
        return 0;
    }
    /* Rounded down: a tick that has begun is over for deadlines, which were rounded up. */
    const uint64_t tick =
        now_ns > wheel->start_ns ? (now_ns - wheel->start_ns) / wheel->tick_ns : 0;
    advance(wheel, tick);

    size_t fired = 0;
    while (fired < max) {
        struct list_link *link = list_pop_front(&wheel->due);
        if (link == NULL) {
            break;
        }
        CHECK(wheel->count > 0);
        wheel->count--;
        fired++;
        fire(timer_of(link), context);
    }
    return fired;
}

uint64_t timerwheel_next_ns(const struct timerwheel *wheel)
{
    CHECK(wheel != NULL);

    if (wheel->count == 0) {
        return TIMERWHEEL_NEVER;
    }
    unsigned level = 0;
    uint64_t tick = wheel->tick;
    if (list_is_empty(&wheel->due) && list_is_empty(&wheel->late)) {
        const bool is_found = first_slot(wheel, &level, &tick);
        CHECK(is_found);
    }
    /* A deadline close to UINT64_MAX may round up past it. */
    if (tick > (UINT64_MAX - wheel->start_ns) / wheel->tick_ns) {
        return TIMERWHEEL_NEVER;
    }
    return wheel->start_ns + tick * wheel->tick_ns;
}

size_t timerwheel_count(const struct timerwheel *wheel)
{
    CHECK(wheel != NULL);

    return wheel->count;
}
