/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_CHAT_CHANNEL_WORLD_H
#define TESTS_UNIT_CHAT_CHANNEL_WORLD_H
/*
 * A home and the reactors interested in its channels, in one thread on a real bus with tiny rings.
 *
 * Reactor 0 is the home. The others only listen: a test takes their posts whenever it likes and
 * keeps, for each room, the numbers that were published. So it can starve who it wants.
 */
#include <stdio.h>

#include "chat/channel.h"
#include "chat/outbox.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/publication.h"
#include "chat/roster.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/metrics.h"
#include "proto/event.h"
#include "tests/unit/chat/testing.h"

enum {
    SIDE_COUNT = 3,
    SLOTS = 16, /* of a ring */
    RESERVE = 2,
    TELLS = SLOTS - 2 * RESERVE, /* that fit into an empty ring */
    HEARD_MAX = 4096,
};

/* What one room of one reactor has got. */
struct ear {
    struct ids_handle room;
    uint64_t heard[HEARD_MAX];
    size_t count;
    size_t gaps;
    uint64_t top; /* the offset that came last, or from which on they come */
};

struct side {
    struct blob_pool *pool;
    struct ear ears[8];
    size_t ear_count;
    size_t lost; /* posts for rooms that are not there (any more) */
};

struct world {
    struct bus *bus;
    struct side sides[SIDE_COUNT];
    struct outbox *outbox;
    struct roster *roster;
    struct channel_home *home;
    uint64_t published;
};

static struct metrics metrics;
static struct world world;

/*
 * Without a namespace: no history. `h:` has five publications for ten seconds, and so has `d:`,
 * which is durable where there is an archive. A test may change what is configured.
 */
static struct policy policies[] = {
    {.index = 0},
    {
        .name = {(const uint8_t *)"h", 1},
        .index = 1,
        .history_size = 5,
        .history_ttl_ns = 10000000000,
        .history_meta_ttl_ns = 60000000000,
    },
    {
        .name = {(const uint8_t *)"d", 1},
        .index = 2,
        .history_size = 5,
        .history_ttl_ns = 10000000000,
        .history_meta_ttl_ns = 60000000000,
        .durability = POLICY_DURABILITY_PROCESS,
        .idempotency_ttl_ns = 60000000000,
    },
};
static const struct policy_table policy_table = {
    .policies = policies,
    .policy_count = COUNT(policies),
    .name_size_max = 255,
};
static uint64_t epochs; /* the next one is one more */

static inline void fill_epoch(void *context, void *target, size_t size)
{
    (void)context;
    ck_assert_uint_eq(size, sizeof(epochs));
    epochs++;
    memcpy(target, &epochs, size);
}
static const struct table_key key = {11, 22};

/* `archive`: a side that stores; 0: none does. */
static inline void open_world_with(uint32_t tail_count_max, size_t tail_bytes_max,
                                   size_t history_bytes_max, uint16_t archive)
{
    const struct outbox_options outbox = {200, 128 * 1024, 1};

    memset(&world, 0, sizeof(world));
    memset(&metrics, 0, sizeof(metrics));
    world.bus = bus_create(SIDE_COUNT, SLOTS, RESERVE);
    ck_assert_ptr_nonnull(world.bus);
    ck_assert_int_eq(outbox_create(&outbox, &world.outbox), 0);
    ck_assert_int_eq(roster_create(0, 100, &world.roster), 0);
    for (int i = 0; i < SIDE_COUNT; i++) {
        world.sides[i].pool = blob_pool_create(1 << 22);
        ck_assert_ptr_nonnull(world.sides[i].pool);
    }
    const struct channel_options options = {
        .reactor = 0,
        .channel_count_max = 4,
        .tail_count_max = tail_count_max,
        .tail_bytes_max = tail_bytes_max,
        .history_bytes_max = history_bytes_max,
        .archive = archive,
        .store_timeout_ns = 5000000000,
        .store_bytes_max = 1 << 20,
        .page_bytes_max = 4096,
        .key = key,
        .policies = &policy_table,
        .fill_random = fill_epoch,
        .bus = world.bus,
        .pool = world.sides[0].pool,
        .metrics = &metrics,
        .outbox = world.outbox,
        .roster = world.roster,
    };
    ck_assert_int_eq(channel_home_create(&options, &world.home), 0);
}

static inline void open_world_of(uint32_t tail_count_max, size_t tail_bytes_max,
                                 size_t history_bytes_max)
{
    open_world_with(tail_count_max, tail_bytes_max, history_bytes_max, 0);
}

static inline void open_world(uint32_t tail_count_max, size_t tail_bytes_max)
{
    open_world_of(tail_count_max, tail_bytes_max, 64 * 1024);
}

/* -- listening --------------------------------------------------------------------------------- */

static inline struct ear *find_ear(struct side *side, struct ids_handle room)
{
    for (size_t i = 0; i < side->ear_count; i++) {
        if (ids_handle_equal(side->ears[i].room, room)) {
            return &side->ears[i];
        }
    }
    return NULL;
}

static inline struct ear *new_ear(uint16_t reactor, uint32_t slot)
{
    struct side *side = &world.sides[reactor];
    ck_assert_uint_lt(side->ear_count, COUNT(side->ears));
    struct ear *ear = &side->ears[side->ear_count++];
    *ear = (struct ear){.room = {slot, 1, reactor}};
    return ear;
}

/* What was published is a number: all that the event in the frame has in its data. */
static inline uint64_t number_in(const struct blob *blob)
{
    const struct bytes frame = blob_bytes(blob);
    ck_assert_uint_gt(frame.size, 2);
    const size_t skip = frame.data[1] == 126 ? 4 : 2;
    const struct bytes payload = {frame.data + skip, frame.size - skip};
    uint8_t *copy = copy_of(payload);
    struct event_reader reader;
    struct event event;
    event_reader_init(&reader, (struct span){copy, payload.size});
    ck_assert_int_eq(event_next(&reader, &event), EVENT_OK);
    ck_assert_int_eq(event.kind, EVENT_PUBLICATION);
    uint64_t number = 0;
    for (size_t i = 1; event.data.data[i] >= '0' && event.data.data[i] <= '9'; i++) {
        number = 10 * number + (uint64_t)(event.data.data[i] - '0');
    }
    free(copy);
    return number;
}

static inline void hear(struct side *side, const struct post *post)
{
    if (post->kind == POST_GAP) {
        struct ear *ear = find_ear(side, post->gap.room);
        if (ear == NULL) {
            side->lost++;
            return;
        }
        ear->gaps++;
        return;
    }
    ck_assert_uint_eq(post->kind, POST_PUBLICATION);
    struct ear *ear = find_ear(side, post->publication.room);
    if (ear == NULL) {
        side->lost++;
    } else {
        ck_assert_uint_eq(ear->gaps, 0); /* nothing comes behind a gap */
        ck_assert_uint_lt(ear->count, HEARD_MAX);
        ear->heard[ear->count++] = number_in(post->publication.blob);
        if (post->publication.offset != 0) {
            ck_assert_uint_eq(post->publication.offset, ear->top + 1);
            ear->top++;
        }
    }
    blob_drop(post->publication.blob, side->pool);
}

/* Takes at most so many posts of a reactor. Returns how many there were. */
static inline size_t take(uint16_t reactor, size_t max)
{
    size_t taken = 0;
    bus_flush(world.bus, 0);
    while (taken < max) {
        struct bus_post packed;
        if (bus_take(world.bus, reactor, &packed, 1) == 0) {
            break;
        }
        ck_assert_uint_eq(packed.role, BUS_TELL);
        const struct post post = post_unpack(&packed);
        hear(&world.sides[reactor], &post);
        taken++;
    }
    return taken;
}

/* The home's own members: what the outbox has for the rooms of its roster. */
static inline void deliver(void)
{
    for (size_t i = 0; i < outbox_count(world.outbox); i++) {
        struct outbox_entry *entry = outbox_at(world.outbox, i);
        ck_assert_int_eq(entry->kind, OUTBOX_PUBLICATION);
        const struct post post = {
            .kind = POST_PUBLICATION,
            .publication = {.blob = entry->blob, .room = entry->room},
        };
        struct room *room = roster_at(world.roster, entry->room);
        if (room != NULL) {
            room->outbox_last = 0;
            room->outbox_count = 0;
            room->outbox_passing = 0;
        }
        hear(&world.sides[0], &post);
    }
    outbox_clear(world.outbox);
}

static inline void collect(void)
{
    for (int i = 0; i < SIDE_COUNT; i++) {
        (void)blob_pool_collect(world.sides[i].pool);
    }
}

/* Until nothing is left anywhere. Every turn moves something, or it is the last. */
static inline void settle(void)
{
    for (int turn = 0; turn < 10000; turn++) {
        deliver();
        size_t moved = 0;
        for (uint16_t reactor = 1; reactor < SIDE_COUNT; reactor++) {
            moved += take(reactor, SIZE_MAX);
        }
        channel_catch_up(world.home);
        if (moved == 0 && !channel_is_lagging(world.home)) {
            break;
        }
    }
    ck_assert(!channel_is_lagging(world.home));
    collect();
}

static inline void close_world(void)
{
    deliver();
    for (uint16_t reactor = 1; reactor < SIDE_COUNT; reactor++) {
        while (take(reactor, SIZE_MAX) > 0) {
        }
    }
    channel_home_destroy(world.home);
    roster_destroy(world.roster);
    outbox_destroy(world.outbox);
    bus_destroy(world.bus);
    for (int i = 0; i < SIDE_COUNT; i++) {
        (void)blob_pool_collect(world.sides[i].pool);
    }
    for (int i = 0; i < SIDE_COUNT; i++) {
        ck_assert_uint_eq(blob_pool_count(world.sides[i].pool), 0);
        blob_pool_destroy(world.sides[i].pool);
    }
}

/* -- acting ------------------------------------------------------------------------------------ */

static inline struct ids_handle join(const char *name, struct ids_handle room)
{
    struct channel_interest interest;
    ck_assert_int_eq(
        channel_add_interest(world.home, table_hash(&key, view(name)), view(name), room, &interest),
        0);
    ck_assert_uint_eq(interest.channel.reactor, 0);
    if (room.reactor == 0) {
        roster_at(world.roster, room)->top = interest.position.top;
    } else {
        struct ear *ear = find_ear(&world.sides[room.reactor], room);
        if (ear != NULL) {
            ear->top = interest.position.top;
        }
    }
    return interest.channel;
}

static inline void leave(struct ids_handle channel, struct ids_handle room)
{
    channel_remove_interest(world.home, channel, room);
}

/* As if a publisher on reactor `from` had asked, in the way that `post` says. */
static inline enum codes_error publish_post(struct post_publish post, uint16_t from,
                                            const char *name, struct bytes data,
                                            struct channel_position *position)
{
    const struct publication_source source = {.channel = view(name), .data = data};
    struct blob *blob = publication_create(world.sides[from].pool, &source);
    ck_assert_ptr_nonnull(blob);
    post.blob = blob;
    post.hash = table_hash(&key, view(name));
    post.name_size = (uint16_t)strlen(name);
    return channel_publish(world.home, &post, position);
}

static inline enum codes_error publish_data(uint16_t from, const char *name, struct bytes data,
                                            struct channel_position *position)
{
    return publish_post((struct post_publish){.version = 0}, from, name, data, position);
}

/* A string, the number padded to `size` bytes. */
static inline struct channel_position publish_number(struct post_publish post, uint16_t from,
                                                     const char *name, uint64_t number, size_t size)
{
    char data[4096];
    memset(data, ' ', sizeof(data));
    const int digits = snprintf(data, sizeof(data), "\"%llu", (unsigned long long)number);
    ck_assert_int_gt(digits, 0);
    data[digits] = ' ';
    const size_t needed = (size_t)digits + 1 < size ? size : (size_t)digits + 1;
    ck_assert_uint_le(needed, sizeof(data));
    data[needed - 1] = '"';
    const struct bytes text = {(const uint8_t *)data, needed};
    struct channel_position position;
    ck_assert_int_eq(publish_post(post, from, name, text, &position), CODES_ERROR_NONE);
    world.published++;
    return position;
}

static inline void publish_sized(uint16_t from, const char *name, uint64_t number, size_t size)
{
    (void)publish_number((struct post_publish){.version = 0}, from, name, number, size);
}

static inline void publish(const char *name, uint64_t number)
{
    publish_sized((uint16_t)(number % SIDE_COUNT), name, number, 0);
}

static inline void publish_range(const char *name, uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        publish(name, number);
    }
}

static inline void heard_range(const struct ear *ear, uint64_t first, uint64_t last)
{
    ck_assert_uint_eq(ear->count, last + 1 - first);
    for (size_t i = 0; i < ear->count; i++) {
        ck_assert_uint_eq(ear->heard[i], first + i);
    }
}

/* A room on the home's own reactor. */
static inline struct room *open_room(const char *name)
{
    struct room *room =
        roster_open(world.roster, table_hash(&key, view(name)), view(name), &policies[0], 0);
    ck_assert_ptr_nonnull(room);
    struct side *side = &world.sides[0];
    side->ears[side->ear_count++] = (struct ear){.room = roster_handle(world.roster, room)};
    return room;
}

#endif /* TESTS_UNIT_CHAT_CHANNEL_WORLD_H */
