/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream beside a model that is as simple as can be: an array of all that was ever published, and
 * the first index that is kept. At random, from seeds; then each border by itself.
 */
#include "chat/stream.h"

#include <signal.h>

#include "core/blob.h"
#include "tests/unit/chat/testing.h"

enum {
    PUBLISHED_MAX = 4096,
    CAPACITY_MIN = 4, /* of the array of what is kept */
    PLACE_SIZE = 16,  /* bytes in that array, stream.h */
};

static struct {
    struct blob_pool *pool;
    struct stream stream;
    struct blob *blobs[PUBLISHED_MAX + 1]; /* by offset; 0 is none */
    uint64_t times[PUBLISHED_MAX + 1];
    uint64_t first; /* that is kept; top + 1: none */
    uint64_t now_ns;
} world;

static void open_world(void)
{
    memset(&world, 0, sizeof(world));
    world.first = 1;
    world.pool = blob_pool_create(1 << 24);
    ck_assert_ptr_nonnull(world.pool);
}

static void drop_before(uint64_t offset)
{
    stream_drop_before(&world.stream, offset, world.pool);
    if (offset > world.first) {
        world.first = offset <= world.stream.top ? offset : world.stream.top + 1;
    }
}

static void close_world(void)
{
    drop_before(world.stream.top + 1);
    ck_assert_ptr_null(world.stream.items);
    ck_assert_uint_eq(world.stream.capacity, 0);
    ck_assert_uint_eq(world.stream.bytes, 0);
    ck_assert_uint_eq(blob_pool_count(world.pool), 0);
    blob_pool_destroy(world.pool);
}

/* The stream has the only share: what it drops is gone. */
static void append(size_t size)
{
    struct blob *blob = blob_create(world.pool, size);
    ck_assert_ptr_nonnull(blob);
    ck_assert_int_eq(stream_reserve(&world.stream), 0);
    stream_append(&world.stream, blob, world.now_ns);
    blob_drop(blob, world.pool);
    ck_assert_uint_le(world.stream.top, PUBLISHED_MAX);
    world.blobs[world.stream.top] = blob;
    world.times[world.stream.top] = world.now_ns;
}

/* Everything that the header promises, against the model. */
static void compare(uint64_t top)
{
    const struct stream *stream = &world.stream;
    ck_assert_uint_eq(stream->top, top);
    ck_assert_uint_eq(stream_first(stream), world.first);
    ck_assert_uint_eq(stream->count, top + 1 - world.first);
    size_t bytes = 0;
    for (uint64_t offset = world.first; offset <= top; offset++) {
        const struct blob *blob = stream_at(stream, offset);
        if (blob != world.blobs[offset]) { /* Check takes a note of each ck_assert(): too many */
            ck_abort_msg("another blob at %llu", (unsigned long long)offset);
        }
        bytes += PLACE_SIZE + sizeof(*blob) + blob->capacity;
    }
    ck_assert_uint_eq(stream->bytes, bytes);
    ck_assert_uint_eq(blob_pool_count(world.pool), stream->count);
    if (stream->count > 0) {
        ck_assert_uint_eq(stream_last_time(stream), world.times[top]);
        ck_assert_uint_ge(stream->capacity, stream->count);
        ck_assert_uint_eq(stream->capacity & (stream->capacity - 1), 0);
    } else {
        ck_assert_ptr_null(stream->items); /* an empty one costs nothing */
    }
}

static uint64_t first_since(uint64_t time_ns)
{
    uint64_t offset = world.first;
    while (offset <= world.stream.top && world.times[offset] < time_ns) {
        offset++;
    }
    return offset;
}

START_TEST(is_empty_at_first)
{
    open_world();
    ck_assert_uint_eq(stream_first(&world.stream), 1);
    ck_assert_uint_eq(stream_first_since(&world.stream, 0), 1);
    ck_assert_uint_eq(stream_first_since(&world.stream, UINT64_MAX), 1);
    drop_before(0);
    drop_before(1);
    drop_before(77);
    compare(0);
    close_world();
}
END_TEST

START_TEST(as_the_model_does)
{
    uint64_t state = 88172645463325252 + 2 * (uint64_t)_i;
    uint64_t top = 0;
    open_world();
    while (top < 1500) {
        /* Phases in which it grows, and phases in which it shrinks. */
        const uint32_t grows = (top / 100) % 2 == 0 ? 8 : 3;
        const uint32_t what = chance_below(&state, 10);
        world.now_ns += chance_below(&state, 3); /* often the same */
        if (what < grows) {
            append(chance_below(&state, 300));
            top++;
        } else if (world.stream.count == 0 && what == 9) {
            stream_skip(&world.stream);
            world.first = ++top + 1;
        } else {
            drop_before(world.first + chance_below(&state, 4));
        }
        compare(top);
        const uint64_t time = world.now_ns - chance_below(&state, 40) % (world.now_ns + 1);
        ck_assert_uint_eq(stream_first_since(&world.stream, time), first_since(time));
    }
    close_world();
}
END_TEST

/* As a history of a fixed size does: the array goes round many times, and stays as it is. */
START_TEST(wraps_around)
{
    enum { KEPT = 6 };
    open_world();
    for (uint64_t top = 1; top <= 100; top++) {
        append(10);
        drop_before(top < KEPT ? 1 : top - KEPT + 1);
        compare(top);
        ck_assert_uint_le(world.stream.capacity, 8);
    }
    close_world();
}
END_TEST

/* Doubles as it must; what is not needed any more goes back. */
START_TEST(grows_and_shrinks)
{
    open_world();
    for (uint64_t top = 1; top <= 1000; top++) {
        const uint32_t before = world.stream.capacity;
        const bool was_full = world.stream.count == before;
        append(0);
        const uint32_t grown = before == 0 ? CAPACITY_MIN : 2 * before;
        ck_assert_uint_eq(world.stream.capacity, was_full ? grown : before);
    }
    compare(1000);
    uint64_t offset = 2;
    while (world.stream.count > 257) {
        drop_before(offset++);
        ck_assert_uint_eq(world.stream.capacity, 1024);
    }
    /* It is not at the border of the next size then: one more, and one less, move nothing. */
    drop_before(offset++);
    ck_assert_uint_eq(world.stream.capacity, 512);
    append(0);
    ck_assert_uint_eq(world.stream.capacity, 512);
    drop_before(offset);
    ck_assert_uint_eq(world.stream.capacity, 512);
    compare(1001);
    close_world();
}
END_TEST

/* One at a time down to nothing: at each step the array is at most four times too large. */
START_TEST(shrinks_to_nothing)
{
    open_world();
    for (int i = 0; i < 1000; i++) {
        append(0);
    }
    for (uint64_t offset = 2; offset <= 1000; offset++) {
        drop_before(offset);
        compare(1000);
        ck_assert(world.stream.capacity == CAPACITY_MIN ||
                  world.stream.count > world.stream.capacity / 4);
    }
    drop_before(1001);
    compare(1000);
    append(0); /* and begins again behind what was */
    compare(1001);
    close_world();
}
END_TEST

START_TEST(finds_by_time)
{
    static const uint64_t times[] = {10, 10, 20, 20, 20, 35, UINT64_MAX};
    static const struct {
        const char *why;
        uint64_t time;
        uint64_t first; /* of those that are kept: the first is not */
    } borders[] = {
        {"before all", 0, 2},           {"just before the first", 9, 2}, {"at the first", 10, 2},
        {"just behind it", 11, 3},      {"just before the run", 19, 3},  {"at the run", 20, 3},
        {"just behind the run", 21, 6}, {"just before one", 34, 6},      {"at one", 35, 6},
        {"behind it", 36, 7},           {"at the last", UINT64_MAX, 7},
    };
    open_world();
    for (int i = 0; i < COUNT(times); i++) {
        world.now_ns = times[i];
        append(1);
    }
    drop_before(2);
    for (int i = 0; i < COUNT(borders); i++) {
        ck_assert_msg(stream_first_since(&world.stream, borders[i].time) == borders[i].first, "%s",
                      borders[i].why);
    }
    close_world();
    open_world();
    world.now_ns = 5;
    append(1);
    append(1);
    ck_assert_uint_eq(stream_first_since(&world.stream, 6), 3); /* top + 1: none */
    close_world();
}
END_TEST

/* It has a share of its own; and who holds another one keeps the bytes. */
START_TEST(takes_a_share)
{
    open_world();
    struct blob *blob = blob_create(world.pool, 5);
    ck_assert_int_eq(stream_reserve(&world.stream), 0);
    stream_append(&world.stream, blob, 0);
    blob_share(blob, 1);
    blob_drop(blob, world.pool);
    blob_drop(blob, world.pool);
    ck_assert_uint_eq(blob_pool_count(world.pool), 1);
    blob_share(stream_at(&world.stream, 1), 1);
    stream_drop_before(&world.stream, 2, world.pool);
    ck_assert_uint_eq(blob_pool_count(world.pool), 1);
    blob_drop(blob, world.pool);
    close_world();
}
END_TEST

/* -- bugs of the caller ------------------------------------------------------------------------ */

static void two_kept_of_three(void)
{
    open_world();
    append(1);
    append(1);
    append(1);
    drop_before(2);
}

START_TEST(what_was_dropped_is_not_there)
{
    two_kept_of_three();
    ck_assert_ptr_nonnull(stream_at(&world.stream, 1));
}
END_TEST

START_TEST(what_comes_is_not_there_yet)
{
    two_kept_of_three();
    ck_assert_ptr_nonnull(stream_at(&world.stream, 4));
}
END_TEST

START_TEST(skips_behind_nothing_only)
{
    two_kept_of_three();
    stream_skip(&world.stream);
}
END_TEST

START_TEST(appends_to_what_was_reserved)
{
    open_world();
    stream_append(&world.stream, blob_create(world.pool, 1), 0);
}
END_TEST

START_TEST(nothing_has_no_time)
{
    open_world();
    ck_assert_uint_eq(stream_last_time(&world.stream), 0);
}
END_TEST

/* -- epochs ------------------------------------------------------------------------------------ */

START_TEST(epochs_come_back)
{
    static const struct {
        uint64_t epoch;
        const char *text;
    } epochs[] = {
        {0, "0000000000000000"},
        {1, "0000000000000001"},
        {0x0123456789abcdef, "0123456789abcdef"},
        {UINT64_MAX, "ffffffffffffffff"},
        {UINT64_C(1) << 63, "8000000000000000"},
    };
    uint8_t text[STREAM_EPOCH_SIZE];
    uint64_t epoch;
    for (int i = 0; i < COUNT(epochs); i++) {
        stream_write_epoch(epochs[i].epoch, text);
        ck_assert(is_text((struct bytes){text, sizeof(text)}, epochs[i].text));
        epoch = 77;
        ck_assert(stream_read_epoch(view(epochs[i].text), &epoch));
        ck_assert_uint_eq(epoch, epochs[i].epoch);
    }
    uint64_t state = 88172645463325252;
    for (int i = 0; i < 1000; i++) {
        const uint64_t written = chance(&state);
        stream_write_epoch(written, text);
        ck_assert(stream_read_epoch((struct bytes){text, sizeof(text)}, &epoch));
        ck_assert_uint_eq(epoch, written);
    }
}
END_TEST

static const char *const no_epochs[] = {
    "",
    "0",
    "000000000000000",   /* 15 */
    "00000000000000000", /* 17 */
    "000000000000000A",  /* only as we write it: the same epoch has one text */
    "000000000000000g",
    "000000000000000/",
    "000000000000000:",
    "000000000000000`",
    " 000000000000001",
    "+000000000000001",
    "0x00000000000001",
    "00000000\2000000000", /* a byte above ASCII */
    "----------------",
};

START_TEST(refuses_what_is_no_epoch)
{
    uint64_t epoch = 77;
    uint8_t *copy = copy_of(view(no_epochs[_i]));
    ck_assert(!stream_read_epoch((struct bytes){copy, strlen(no_epochs[_i])}, &epoch));
    ck_assert_uint_eq(epoch, 77);
    free(copy);
}
END_TEST

int main(void)
{
    TCase *stream = tcase_create("stream");
    tcase_add_test(stream, is_empty_at_first);
    tcase_add_loop_test(stream, as_the_model_does, 0, 8);
    tcase_add_test(stream, wraps_around);
    tcase_add_test(stream, grows_and_shrinks);
    tcase_add_test(stream, shrinks_to_nothing);
    tcase_add_test(stream, finds_by_time);
    tcase_add_test(stream, takes_a_share);
    tcase_add_test_raise_signal(stream, what_was_dropped_is_not_there, SIGABRT);
    tcase_add_test_raise_signal(stream, what_comes_is_not_there_yet, SIGABRT);
    tcase_add_test_raise_signal(stream, skips_behind_nothing_only, SIGABRT);
    tcase_add_test_raise_signal(stream, appends_to_what_was_reserved, SIGABRT);
    tcase_add_test_raise_signal(stream, nothing_has_no_time, SIGABRT);
    tcase_add_test(stream, epochs_come_back);
    tcase_add_loop_test(stream, refuses_what_is_no_epoch, 0, COUNT(no_epochs));
    Suite *suite = suite_create("chat/stream");
    suite_add_tcase(suite, stream);
    return run_suite(suite);
}
