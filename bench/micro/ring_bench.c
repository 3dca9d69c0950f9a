/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ring and bus, both sides in one thread: the instructions and the copies, without the cache line
 * that travels between two cores. Per post, in batches of 1 or 16. "wake" has a sleeper that each
 * flush wakes by a function that only counts: what the kernel's part costs is not in it.
 */
#include "core/ring.h"

#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "core/bus.h"
#include "core/check.h"

enum { SLOT_COUNT = 1024, BATCH_MAX = 16 };

struct ring_pair {
    struct ring *ring;
    struct bus *bus;
    uint64_t batch;
    uint64_t wakes;
    struct bus_post posts[BATCH_MAX];
};

static void count_wake(void *context)
{
    struct ring_pair *pair = context;
    pair->wakes++;
}

static void *pair_setup(const struct micro_case *row)
{
    struct ring_pair *pair = aligned_alloc(_Alignof(struct ring_pair), sizeof(*pair));
    CHECK(pair != NULL);
    CHECK(row->size >= 1);
    CHECK(row->size <= BATCH_MAX);
    memset(pair, 0, sizeof(*pair));
    pair->ring = ring_create(SLOT_COUNT);
    pair->bus = bus_create(2, BUS_SLOT_COUNT_DEFAULT, BUS_RESERVE_DEFAULT);
    pair->batch = row->size;
    CHECK(pair->ring != NULL);
    CHECK(pair->bus != NULL);
    bus_port_on_wake(pair->bus, 1, count_wake, pair);
    return pair;
}

static void pair_teardown(void *context)
{
    struct ring_pair *pair = context;
    ring_destroy(pair->ring);
    bus_destroy(pair->bus);
    free(pair);
}

static void ring_run(void *context, uint64_t iterations)
{
    struct ring_pair *pair = context;
    const struct bus_post post = {.kind = 1};

    for (uint64_t done = 0; done < iterations; done += pair->batch) {
        for (uint64_t i = 0; i < pair->batch; i++) {
            const bool put = ring_put(pair->ring, &post);
            CHECK(put);
        }
        (void)ring_publish(pair->ring); /* there is something new */
        const size_t taken = ring_take(pair->ring, pair->posts, BATCH_MAX);
        CHECK(taken == pair->batch);
    }
}

static void post_batch(struct ring_pair *pair)
{
    const struct bus_post post = {.kind = 1};

    for (uint64_t i = 0; i < pair->batch; i++) {
        const enum bus_result result = bus_tell(pair->bus, 0, 1, &post);
        CHECK(result == BUS_POSTED);
    }
    bus_flush(pair->bus, 0);
}

static void take_batch(struct ring_pair *pair)
{
    const size_t taken = bus_take(pair->bus, 1, pair->posts, BATCH_MAX);
    CHECK(taken == pair->batch);
}

static void tell_run(void *context, uint64_t iterations)
{
    struct ring_pair *pair = context;
    for (uint64_t done = 0; done < iterations; done += pair->batch) {
        post_batch(pair);
        take_batch(pair);
    }
}

static void wake_run(void *context, uint64_t iterations)
{
    struct ring_pair *pair = context;
    const uint64_t wakes_before = pair->wakes;
    for (uint64_t done = 0; done < iterations; done += pair->batch) {
        const bool sleeps = bus_may_sleep(pair->bus, 1);
        CHECK(sleeps);
        post_batch(pair);
        bus_awake(pair->bus, 1);
        take_batch(pair);
    }
    CHECK(pair->wakes == wakes_before + iterations / pair->batch);
}

#define CASE(label, what, batch)                                                                   \
    {                                                                                              \
        .name = "core/" label "/" #batch, .setup = pair_setup, .run = what##_run,                  \
        .teardown = pair_teardown, .size = (batch)                                                 \
    }

const struct micro_case ring_micro_cases[] = {
    CASE("ring/put_take", ring, 1),
    CASE("ring/put_take", ring, 16),
    CASE("bus/tell", tell, 1),
    CASE("bus/tell", tell, 16),
    CASE("bus/wake", wake, 1),
    CASE("bus/wake", wake, 16),
    {.name = NULL},
};
