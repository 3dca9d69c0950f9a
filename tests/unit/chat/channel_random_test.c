/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same world as in channel_test.c, at random from a seed: reactors join, leave, starve and
 * read; a model says which publication each of them must hear next.
 */
#include "chat/channel.h"
#include "tests/unit/chat/channel_world.h"

enum { NAME_COUNT = 3 };

/* One reactor's subscription to one channel, as the test knows it must be. */
struct listener {
    bool in;
    struct ids_handle room;
    struct ids_handle channel;
    uint64_t first; /* number of the first publication that is its */
    uint64_t next;  /* number that it has to hear next */
};

static struct listener listeners[SIDE_COUNT][NAME_COUNT];
/* One has a history, and some of what is published there skips it. */
static const char *const names[NAME_COUNT] = {"x", "y", "h:z"};
static uint64_t top[NAME_COUNT];
static uint32_t room_slot;

/* Numbers are 10 * n + channel, so that one in the wrong channel is seen. */
static void check_post(uint16_t reactor, const struct post *post)
{
    const bool is_gap = post->kind == POST_GAP;
    const struct ids_handle room = is_gap ? post->gap.room : post->publication.room;

    for (uint64_t i = 0; i < NAME_COUNT; i++) {
        struct listener *listener = &listeners[reactor][i];
        if (!listener->in || !ids_handle_equal(listener->room, room)) {
            continue;
        }
        if (is_gap) {
            ck_assert_uint_le(listener->next, top[i]);
            listener->in = false;
        } else {
            ck_assert_uint_eq(number_in(post->publication.blob), 10 * listener->next + i);
            listener->next++;
        }
    }
    if (!is_gap) {
        blob_drop(post->publication.blob, world.sides[reactor].pool);
    }
}

static size_t take_checked(uint16_t reactor, size_t max)
{
    size_t taken = 0;
    struct bus_post packed;
    bus_flush(world.bus, 0);
    while (taken < max && bus_take(world.bus, reactor, &packed, 1) == 1) {
        const struct post post = post_unpack(&packed);
        check_post(reactor, &post);
        taken++;
    }
    return taken;
}

static void act(uint64_t *state)
{
    const uint32_t i = chance_below(state, NAME_COUNT);
    const uint16_t reactor = (uint16_t)(1 + chance_below(state, SIDE_COUNT - 1));
    struct listener *listener = &listeners[reactor][i];

    switch (chance_below(state, 12)) {
    case 0:
        if (!listener->in) {
            listener->room = (struct ids_handle){room_slot++, 1, reactor};
            listener->channel = join(names[i], listener->room);
            listener->next = top[i] + 1;
            listener->in = true;
        }
        break;
    case 1:
        if (listener->in && chance_below(state, 3) == 0) {
            leave(listener->channel, listener->room);
            listener->in = false;
        }
        break;
    case 2:
        channel_catch_up(world.home);
        break;
    case 3:
    case 4:
    case 5:
        (void)take_checked(reactor, chance_below(state, 6));
        break;
    default:
        top[i]++;
        publish_number((struct post_publish){.skips_history = chance_below(state, 3) == 0},
                       (uint16_t)chance_below(state, SIDE_COUNT), names[i], 10 * top[i] + i,
                       chance_below(state, 600));
        break;
    }
}

START_TEST(at_random)
{
    uint64_t state = 1442695040888963407 + 2 * (uint64_t)_i;
    open_world(1 + (uint32_t)_i * 3, 2000 + 1000 * (size_t)_i);
    memset(listeners, 0, sizeof(listeners));
    memset(top, 0, sizeof(top));

    for (int turn = 0; turn < 30000; turn++) {
        act(&state);
    }
    size_t moved;
    int turns = 0;
    do {
        channel_catch_up(world.home);
        moved = take_checked(1, SIZE_MAX) + take_checked(2, SIZE_MAX);
        ck_assert_int_lt(turns++, 1000);
    } while (moved > 0 || channel_is_lagging(world.home));

    /* Whoever is in and was told no gap has heard everything. */
    for (uint16_t reactor = 1; reactor < SIDE_COUNT; reactor++) {
        for (int i = 0; i < NAME_COUNT; i++) {
            const struct listener *listener = &listeners[reactor][i];
            if (listener->in) {
                ck_assert_uint_eq(listener->next, top[i] + 1);
                leave(listener->channel, listener->room);
            }
        }
    }
    channel_home_tick(world.home, 100000000000); /* its history goes, and then its position */
    channel_home_tick(world.home, 200000000000);
    ck_assert_uint_eq(channel_count(world.home), 0);
    ck_assert_uint_gt(world.published, 10000);
    ck_assert_uint_gt(metrics_read(&metrics, METRIC_BUS_FULL), 0);
    ck_assert(_i > 8 || metrics_read(&metrics, METRIC_GAPS) > 0);
    collect();
    for (int i = 0; i < SIDE_COUNT; i++) {
        ck_assert_uint_eq(blob_pool_count(world.sides[i].pool), 0);
    }
    close_world();
}
END_TEST

int main(void)
{
    TCase *channel = tcase_create("channel at random");
    tcase_add_loop_test(channel, at_random, 0, 12);
    Suite *suite = suite_create("chat/channel at random");
    suite_add_tcase(suite, channel);
    return run_suite(suite);
}
