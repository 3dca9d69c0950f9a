/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A home and the reactors interested in its channels, in one thread on a real bus with tiny rings.
 *
 * Reactor 0 is the home. The others only listen: a test takes their posts whenever it likes and
 * keeps, for each room, the numbers that were published. So it can starve who it wants, and then
 * ask: in order? each once? a gap exactly once, and nothing behind it? nothing leaked?
 */
#include "chat/channel.h"

#include <errno.h>
#include <stdio.h>

#include "chat/outbox.h"
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
static const struct table_key key = {11, 22};

static void open_world(uint32_t tail_count_max, size_t tail_bytes_max)
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
        .bus = world.bus,
        .pool = world.sides[0].pool,
        .metrics = &metrics,
        .outbox = world.outbox,
        .roster = world.roster,
    };
    ck_assert_int_eq(channel_home_create(&options, &world.home), 0);
}

/* -- listening --------------------------------------------------------------------------------- */

static struct ear *find_ear(struct side *side, struct ids_handle room)
{
    for (size_t i = 0; i < side->ear_count; i++) {
        if (ids_handle_equal(side->ears[i].room, room)) {
            return &side->ears[i];
        }
    }
    return NULL;
}

static struct ear *new_ear(uint16_t reactor, uint32_t slot)
{
    struct side *side = &world.sides[reactor];
    ck_assert_uint_lt(side->ear_count, COUNT(side->ears));
    struct ear *ear = &side->ears[side->ear_count++];
    *ear = (struct ear){.room = {slot, 1, reactor}};
    return ear;
}

/* What was published is a number: all that the event in the frame has in its data. */
static uint64_t number_in(const struct blob *blob)
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

static void hear(struct side *side, const struct post *post)
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
    }
    blob_drop(post->publication.blob, side->pool);
}

/* Takes at most so many posts of a reactor. Returns how many there were. */
static size_t take(uint16_t reactor, size_t max)
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
static void deliver(void)
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
        }
        hear(&world.sides[0], &post);
    }
    outbox_clear(world.outbox);
}

static void collect(void)
{
    for (int i = 0; i < SIDE_COUNT; i++) {
        (void)blob_pool_collect(world.sides[i].pool);
    }
}

/* Until nothing is left anywhere. Every turn moves something, or it is the last. */
static void settle(void)
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

static void close_world(void)
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

static struct ids_handle join(const char *name, struct ids_handle room)
{
    struct ids_handle channel = {0};
    ck_assert_int_eq(
        channel_add_interest(world.home, table_hash(&key, view(name)), view(name), room, &channel),
        0);
    ck_assert_uint_eq(channel.reactor, 0);
    return channel;
}

static void leave(struct ids_handle channel, struct ids_handle room)
{
    channel_remove_interest(world.home, channel, room);
}

/* As if a publisher on reactor `from` had asked: a string, the number padded to `size` bytes. */
static void publish_sized(uint16_t from, const char *name, uint64_t number, size_t size)
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
    struct blob *blob = publication_create(world.sides[from].pool, view(name), text, view(""));
    ck_assert_ptr_nonnull(blob);
    channel_publish(world.home, table_hash(&key, view(name)), (uint16_t)strlen(name), blob);
    world.published++;
}

static void publish(const char *name, uint64_t number)
{
    publish_sized((uint16_t)(number % SIDE_COUNT), name, number, 0);
}

static void publish_range(const char *name, uint64_t first, uint64_t last)
{
    for (uint64_t number = first; number <= last; number++) {
        publish(name, number);
    }
}

static void heard_range(const struct ear *ear, uint64_t first, uint64_t last)
{
    ck_assert_uint_eq(ear->count, last + 1 - first);
    for (size_t i = 0; i < ear->count; i++) {
        ck_assert_uint_eq(ear->heard[i], first + i);
    }
}

/* A room on the home's own reactor. */
static struct room *open_room(const char *name)
{
    struct room *room = roster_open(world.roster, table_hash(&key, view(name)), view(name), 0);
    ck_assert_ptr_nonnull(room);
    struct side *side = &world.sides[0];
    side->ears[side->ear_count++] = (struct ear){.room = roster_handle(world.roster, room)};
    return room;
}

/* -- tests ------------------------------------------------------------------------------------- */

START_TEST(everybody_hears_all_in_order)
{
    open_world(1000, 1 << 20);
    struct room *room = open_room("r");
    struct ear *ears[SIDE_COUNT] = {&world.sides[0].ears[0], new_ear(1, 7), new_ear(2, 7)};
    struct ids_handle channel = {0};
    uint64_t state = 88172645463325252;

    for (int i = 0; i < SIDE_COUNT; i++) {
        channel = join("r", ears[i]->room);
    }
    ck_assert_uint_eq(channel_count(world.home), 1);
    for (uint64_t number = 1; number <= 900; number++) {
        publish("r", number);
        deliver();
        /* Reactor 1 reads a little at a time, 2 hardly at all: both lag, and each on its own. */
        (void)take(1, chance_below(&state, 3));
        (void)take(2, chance_below(&state, 40) == 0 ? 5 : 0);
        if (chance_below(&state, 4) == 0) {
            channel_catch_up(world.home);
        }
    }
    ck_assert(channel_is_lagging(world.home));
    settle();
    for (int i = 0; i < SIDE_COUNT; i++) {
        heard_range(ears[i], 1, 900);
        ck_assert_uint_eq(ears[i]->gaps, 0);
        leave(channel, ears[i]->room);
    }
    ck_assert_uint_eq(channel_count(world.home), 0);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_PUBLICATIONS), 900);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 0);
    ck_assert_uint_gt(metrics_read(&metrics, METRIC_BUS_FULL), 0);
    roster_close(world.roster, room);
    close_world();
}
END_TEST

START_TEST(nobody_interested)
{
    open_world(10, 1 << 20);
    publish_range("r", 1, 20);
    collect();
    ck_assert_uint_eq(channel_count(world.home), 0);
    ck_assert(!channel_is_lagging(world.home));
    for (int i = 0; i < SIDE_COUNT; i++) {
        ck_assert_uint_eq(blob_pool_count(world.sides[i].pool), 0);
    }
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_PUBLICATIONS), 20);
    close_world();
}
END_TEST

/* Interest begins with the next publication, and channels do not hear each other. */
START_TEST(from_the_next_one_on)
{
    open_world(10, 1 << 20);
    struct ear *a = new_ear(1, 1);
    struct ear *b = new_ear(1, 2);
    struct ear *late = new_ear(2, 1);
    (void)join("a", a->room);
    (void)join("b", b->room);
    publish_range("a", 1, 3);
    (void)join("a", late->room);
    publish("b", 100);
    publish_range("a", 4, 5);
    settle();
    heard_range(a, 1, 5);
    heard_range(b, 100, 100);
    heard_range(late, 4, 5);
    close_world();
}
END_TEST

/* Whoever lags is served from the tail; no later one overtakes, not even when there is room. */
START_TEST(catches_up_from_the_tail)
{
    open_world(100, 1 << 20);
    struct ear *ear = new_ear(1, 1);
    (void)join("r", ear->room);

    publish_range("r", 1, TELLS);
    ck_assert(!channel_is_lagging(world.home));
    publish_range("r", TELLS + 1, 50);
    ck_assert(channel_is_lagging(world.home));
    ck_assert_uint_eq(take(1, SIZE_MAX), TELLS);
    publish("r", 51); /* the ring is empty now */
    ck_assert_uint_eq(take(1, SIZE_MAX), 0);
    channel_catch_up(world.home);
    ck_assert_uint_eq(take(1, SIZE_MAX), TELLS);
    ck_assert(channel_is_lagging(world.home));
    settle();
    heard_range(ear, 1, 51);

    /* Caught up: the tail holds nothing any more, and what comes goes straight through. */
    for (int i = 0; i < SIDE_COUNT; i++) {
        ck_assert_uint_eq(blob_pool_count(world.sides[i].pool), 0);
    }
    publish("r", 52);
    ck_assert(!channel_is_lagging(world.home));
    settle();
    heard_range(ear, 1, 52);
    close_world();
}
END_TEST

/* The tail is exactly so long: one publication less is no gap, one more is. */
START_TEST(the_tail_has_a_length)
{
    enum { TAIL = 8 };
    const uint64_t last = TELLS + TAIL + (uint64_t)_i;
    open_world(TAIL, 1 << 20);
    struct ear *slow = new_ear(1, 1);
    struct ear *quick = new_ear(2, 1);
    (void)join("r", slow->room);
    (void)join("r", quick->room);

    for (uint64_t number = 1; number <= last; number++) {
        publish("r", number);
        (void)take(2, SIZE_MAX);
    }
    settle();
    heard_range(quick, 1, last);
    ck_assert_uint_eq(quick->gaps, 0);
    ck_assert_uint_eq(channel_count(world.home), 1);
    if (_i == 0) {
        heard_range(slow, 1, last);
        ck_assert_uint_eq(slow->gaps, 0);
        ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 0);
    } else {
        heard_range(slow, 1, TELLS);
        ck_assert_uint_eq(slow->gaps, 1);
        ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 1);
        /* It is no longer interested until it asks again. */
        publish("r", last + 1);
        settle();
        heard_range(slow, 1, TELLS);
        heard_range(quick, 1, last + 1);
        ck_assert_uint_eq(slow->gaps, 1);
        struct ear *again = new_ear(1, 2);
        (void)join("r", again->room);
        publish("r", last + 2);
        settle();
        heard_range(again, last + 2, last + 2);
    }
    close_world();
}
END_TEST

/* A gap is owed while the ring stays full, through more publications, and is told once. */
START_TEST(a_gap_is_told_once)
{
    open_world(4, 1 << 20);
    struct ear *ear = new_ear(1, 1);
    const struct ids_handle channel = join("r", ear->room);

    publish_range("r", 1, 200);
    for (int i = 0; i < 10; i++) {
        channel_catch_up(world.home); /* no room */
    }
    ck_assert(channel_is_lagging(world.home));
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 1);
    ck_assert_uint_eq(channel_count(world.home), 1);
    publish_range("r", 201, 210);
    settle();
    heard_range(ear, 1, TELLS);
    ck_assert_uint_eq(ear->gaps, 1);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 1);

    /* It was the only one: the channel has closed, and a leave on its way means nothing. */
    ck_assert_uint_eq(channel_count(world.home), 0);
    leave(channel, ear->room);
    struct ear *again = new_ear(1, 2);
    const struct ids_handle reopened = join("r", again->room);
    ck_assert(!ids_handle_equal(reopened, channel));
    leave(channel, again->room);
    leave(channel, ear->room);
    ck_assert_uint_eq(channel_count(world.home), 1);
    publish("r", 211);
    settle();
    heard_range(again, 211, 211);
    close_world();
}
END_TEST

/* Bytes bound the tail as the count does; one publication above all of them is kept alone. */
START_TEST(the_tail_has_a_weight)
{
    open_world(1000, 4096);
    struct ear *ear = new_ear(1, 1);
    (void)join("r", ear->room);

    publish_range("r", 1, TELLS);
    for (uint64_t number = TELLS + 1; number <= TELLS + 3; number++) {
        publish_sized(2, "r", number, 1000);
    }
    (void)blob_pool_collect(world.sides[2].pool);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 0);
    settle();
    heard_range(ear, 1, TELLS + 3);

    publish_range("r", TELLS + 4, 2 * TELLS + 3);
    publish_sized(2, "r", 2 * TELLS + 4, 4095); /* more than the tail may weigh */
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 0);
    settle();
    heard_range(ear, 1, 2 * TELLS + 4);

    publish_range("r", 2 * TELLS + 5, 3 * TELLS + 4);
    publish_sized(2, "r", 3 * TELLS + 5, 3000);
    publish_sized(2, "r", 3 * TELLS + 6, 3000); /* not both */
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), 1);
    settle();
    heard_range(ear, 1, 3 * TELLS + 4);
    ck_assert_uint_eq(ear->gaps, 1);
    close_world();
}
END_TEST

/* Who leaves while lagging takes its backlog along; the others' goes on. */
START_TEST(leaves_while_lagging)
{
    open_world(100, 1 << 20);
    struct ear *one = new_ear(1, 1);
    struct ear *two = new_ear(2, 1);
    const struct ids_handle channel = join("r", one->room);
    (void)join("r", two->room);
    publish_range("r", 1, 40);

    leave(channel, one->room);
    ck_assert(channel_is_lagging(world.home));
    settle();
    heard_range(one, 1, TELLS); /* what was on its way */
    heard_range(two, 1, 40);

    publish_range("r", 41, 80);
    leave(channel, two->room); /* the last, and it lags */
    ck_assert(!channel_is_lagging(world.home));
    ck_assert_uint_eq(channel_count(world.home), 0);
    settle();
    for (int i = 0; i < SIDE_COUNT; i++) {
        ck_assert_uint_eq(blob_pool_count(world.sides[i].pool), 0);
    }
    heard_range(two, 1, 40 + TELLS);
    close_world();
}
END_TEST

/* A tail that outlives its last laggard must still end at the newest publication. */
START_TEST(publishes_after_the_laggard_left)
{
    open_world(100, 1 << 20);
    struct ear *slow = new_ear(1, 1);
    struct ear *quick = new_ear(2, 1);
    const struct ids_handle channel = join("r", slow->room);
    (void)join("r", quick->room);
    for (uint64_t number = 1; number <= TELLS + 5; number++) {
        publish("r", number);
        (void)take(2, SIZE_MAX);
    }
    leave(channel, slow->room);
    publish_range("r", TELLS + 6, TELLS + 10); /* nobody lags: these go straight to `quick` */
    struct ear *again = new_ear(1, 2);
    (void)take(1, SIZE_MAX);
    (void)join("r", again->room);
    for (uint64_t number = TELLS + 11; number <= 3 * TELLS; number++) {
        publish("r", number);
        (void)take(2, SIZE_MAX);
    }
    settle();
    heard_range(quick, 1, 3 * TELLS);
    heard_range(again, TELLS + 11, 3 * TELLS);
    close_world();
}
END_TEST

/* The leave of a room comes after the interest of its successor: it must not take that away. */
START_TEST(a_newer_interest_replaces)
{
    open_world(100, 1 << 20);
    struct ear *old = new_ear(1, 1);
    struct ear *new = new_ear(1, 2);
    const struct ids_handle channel = join("r", old->room);
    publish_range("r", 1, 3);
    ck_assert(ids_handle_equal(join("r", new->room), channel));
    publish_range("r", 4, 6);
    leave(channel, old->room);
    publish_range("r", 7, 9);
    settle();
    heard_range(old, 1, 3);
    heard_range(new, 4, 9);

    leave(channel, (struct ids_handle){2, 1, 2}); /* a reactor that never was interested */
    ck_assert_uint_eq(channel_count(world.home), 1);
    leave(channel, new->room);
    ck_assert_uint_eq(channel_count(world.home), 0);
    leave(channel, new->room);
    close_world();
}
END_TEST

/* What the old room lagged by, or its gap, is not the new one's. */
START_TEST(a_replaced_interest_owes_nothing)
{
    open_world(_i == 0 ? 100 : 4, 1 << 20);
    struct ear *old = new_ear(1, 1);
    struct ear *new = new_ear(1, 2);
    (void)join("r", old->room);
    publish_range("r", 1, 40);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_GAPS), (uint64_t)_i);
    (void)join("r", new->room);
    settle();
    heard_range(old, 1, TELLS);
    ck_assert_uint_eq(old->gaps, 0);
    ck_assert_uint_eq(new->count, 0);
    publish("r", 41);
    settle();
    heard_range(new, 41, 41);
    ck_assert_uint_eq(new->gaps, 0);
    close_world();
}
END_TEST

START_TEST(refuses_above_the_maximum)
{
    open_world(10, 1 << 20);
    static const char *const names[] = {"a", "b", "c", "d"};
    struct ids_handle channels[4];
    const struct ids_handle room = {1, 1, 1};
    for (int i = 0; i < COUNT(names); i++) {
        channels[i] = join(names[i], room);
    }
    struct ids_handle untouched = {77, 7, 7};
    ck_assert_int_eq(
        channel_add_interest(world.home, table_hash(&key, view("e")), view("e"), room, &untouched),
        -ENOMEM);
    ck_assert(ids_handle_equal(untouched, (struct ids_handle){77, 7, 7}));
    ck_assert_uint_eq(channel_count(world.home), 4);
    ck_assert(ids_handle_equal(join("a", (struct ids_handle){1, 1, 2}), channels[0]));

    leave(channels[3], room);
    ck_assert_uint_eq(channel_count(world.home), 3);
    (void)join("e", room);
    ck_assert_uint_eq(channel_count(world.home), 4);
    close_world();
}
END_TEST

/* -- at random --------------------------------------------------------------------------------- */

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
static const char *const names[NAME_COUNT] = {"x", "y", "z"};
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
        publish_sized((uint16_t)chance_below(state, SIDE_COUNT), names[i], 10 * top[i] + i,
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
    TCase *channel = tcase_create("channel");
    tcase_add_test(channel, everybody_hears_all_in_order);
    tcase_add_test(channel, nobody_interested);
    tcase_add_test(channel, from_the_next_one_on);
    tcase_add_test(channel, catches_up_from_the_tail);
    tcase_add_loop_test(channel, the_tail_has_a_length, 0, 2);
    tcase_add_test(channel, a_gap_is_told_once);
    tcase_add_test(channel, the_tail_has_a_weight);
    tcase_add_test(channel, leaves_while_lagging);
    tcase_add_test(channel, publishes_after_the_laggard_left);
    tcase_add_test(channel, a_newer_interest_replaces);
    tcase_add_loop_test(channel, a_replaced_interest_owes_nothing, 0, 2);
    tcase_add_test(channel, refuses_above_the_maximum);
    tcase_add_loop_test(channel, at_random, 0, 12);
    Suite *suite = suite_create("chat/channel");
    suite_add_tcase(suite, channel);
    return run_suite(suite);
}
