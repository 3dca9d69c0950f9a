/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring: one thread for the rules (what is seen when, full, empty, wrapping), then two threads
 * that pass numbered slots in batches of changing sizes; run under ThreadSanitizer as well. The
 * stress ends after a fixed number of slots; a slot lost, torn or out of order fails it.
 */
#include "core/ring.h"

#include <check.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/monotime.h"
#include "core/thread.h"

struct slot {
    uint64_t words[RING_SLOT_SIZE / 8];
};

_Static_assert(sizeof(struct slot) == RING_SLOT_SIZE, "a slot of the ring");

static struct slot slot_numbered(uint64_t number)
{
    struct slot slot;
    for (size_t i = 0; i < RING_SLOT_SIZE / 8; i++) {
        slot.words[i] = number * 8 + i;
    }
    return slot;
}

static bool is_numbered(const struct slot *slot, uint64_t number)
{
    const struct slot expected = slot_numbered(number);
    return memcmp(slot, &expected, sizeof(expected)) == 0;
}

static void put(struct ring *ring, uint64_t number)
{
    const struct slot slot = slot_numbered(number);
    ck_assert(ring_put(ring, &slot));
}

START_TEST(shows_only_what_is_published)
{
    struct ring *ring = ring_create(4);
    struct slot out[4];
    ck_assert(!ring_publish(ring));
    put(ring, 0);
    put(ring, 1);
    ck_assert(ring_has_unpublished(ring));
    ck_assert(ring_is_empty(ring));
    ck_assert_uint_eq(ring_take(ring, out, 4), 0);
    ck_assert(ring_publish(ring));
    ck_assert(!ring_publish(ring));
    ck_assert(!ring_has_unpublished(ring));
    ck_assert(!ring_is_empty(ring));
    put(ring, 2);
    ck_assert_uint_eq(ring_take(ring, out, 4), 2);
    ck_assert(is_numbered(&out[0], 0));
    ck_assert(is_numbered(&out[1], 1));
    ck_assert(ring_is_empty(ring));
    ring_destroy(ring);
}
END_TEST

static const struct {
    const char *why;
    size_t slot_count;
    size_t before; /* slots that have gone through already: where in memory it starts */
} fills[] = {
    {"two slots", 2, 0},
    {"two slots, wrapped", 2, 3},
    {"from the start", 8, 0},
    {"wrapping in the middle", 8, 5},
    {"starting at the last slot", 8, 7},
    {"after several rounds", 8, 83},
};

START_TEST(fills_and_empties)
{
    const size_t slot_count = fills[_i].slot_count;
    struct ring *ring = ring_create(slot_count);
    struct slot out;
    for (size_t i = 0; i < fills[_i].before; i++) {
        put(ring, i);
        ck_assert(ring_publish(ring));
        ck_assert_uint_eq(ring_take(ring, &out, 1), 1);
    }
    for (size_t i = 0; i < slot_count; i++) {
        ck_assert_uint_ge(ring_room(ring, 1), 1);
        put(ring, i);
    }
    ck_assert_uint_eq(ring_room(ring, 1), 0);
    const struct slot refused = slot_numbered(99);
    ck_assert_msg(!ring_put(ring, &refused), "%s", fills[_i].why);
    ck_assert(ring_publish(ring));
    ck_assert(!ring_put(ring, &refused));

    /* Exact size: one slot more would be seen by ASan. */
    struct slot *taken = calloc(slot_count > 0 ? slot_count : 1, sizeof(*taken));
    ck_assert_ptr_nonnull(taken);
    ck_assert_uint_eq(ring_take(ring, taken, 0), 0);
    ck_assert_uint_eq(ring_take(ring, taken, 1), 1);
    ck_assert_uint_eq(ring_room(ring, 1), 1);
    ck_assert_uint_eq(ring_take(ring, taken + 1, slot_count - 1), slot_count - 1);
    for (size_t i = 0; i < slot_count; i++) {
        ck_assert(is_numbered(&taken[i], i));
    }
    ck_assert_uint_eq(ring_take(ring, taken, slot_count), 0);
    ck_assert_uint_eq(ring_room(ring, slot_count), slot_count);
    free(taken);
    ring_destroy(ring);
}
END_TEST

/* Where others keep the cores busy each turn takes as long as they let it, so there are fewer. */
enum { STRESS_COUNT = 300000, STRESS_S = 40, BATCH_MAX = 24 };

struct stress {
    struct ring *ring;
    _Atomic uint64_t count; /* of slots; the producer ends earlier when its time is over */
    uint64_t taken;         /* written by the consumer, read after the join */
    uint64_t wrong;
};

static void consume(void *context)
{
    struct stress *stress = context;
    struct slot out[BATCH_MAX];
    uint64_t random = 2463534242;
    while (stress->taken < atomic_load_explicit(&stress->count, memory_order_relaxed)) {
        random = random * 6364136223846793005 + 1442695040888963407;
        const size_t count = ring_take(stress->ring, out, (random >> 40) % BATCH_MAX + 1);
        for (size_t i = 0; i < count; i++) {
            stress->wrong += is_numbered(&out[i], stress->taken + i) ? 0 : 1;
        }
        stress->taken += count;
        if (count == 0) {
            (void)sched_yield();
        }
    }
}

static const struct {
    const char *why;
    size_t slot_count;
} stresses[] = {{"nearly always full", 2}, {"often full", 16}, {"seldom full", 1024}};

START_TEST(two_threads)
{
    struct stress stress = {.ring = ring_create(stresses[_i].slot_count), .count = STRESS_COUNT};
    const uint64_t end_ns = monotime_read() + STRESS_S * MONOTIME_NS_PER_S;
    struct thread consumer;
    ck_assert_int_eq(thread_start("consumer", THREAD_NOT_PINNED, consume, &stress, &consumer), 0);
    uint64_t random = 521288629;
    uint64_t sent = 0;
    while (sent < STRESS_COUNT && monotime_read() < end_ns) {
        random = random * 6364136223846793005 + 1442695040888963407;
        const uint64_t end = sent + (random >> 40) % BATCH_MAX + 1;
        while (sent < end && sent < STRESS_COUNT) {
            const struct slot slot = slot_numbered(sent);
            if (!ring_put(stress.ring, &slot)) {
                break;
            }
            sent++;
        }
        if (!ring_publish(stress.ring)) {
            (void)sched_yield();
        }
    }
    atomic_store_explicit(&stress.count, sent, memory_order_relaxed);
    thread_join(&consumer);
    ck_assert_uint_eq(stress.taken, sent);
    ck_assert_msg(stress.wrong == 0, "%s", stresses[_i].why);
    ck_assert(ring_is_empty(stress.ring));
    ring_destroy(stress.ring);
}
END_TEST

int main(void)
{
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, shows_only_what_is_published);
    tcase_add_loop_test(rules, fills_and_empties, 0, (int)(sizeof(fills) / sizeof(fills[0])));
    TCase *stress = tcase_create("stress");
    tcase_set_timeout(stress, 120);
    tcase_add_loop_test(stress, two_threads, 0, (int)(sizeof(stresses) / sizeof(stresses[0])));
    Suite *suite = suite_create("core/ring");
    suite_add_tcase(suite, rules);
    suite_add_tcase(suite, stress);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
