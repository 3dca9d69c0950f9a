/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a presence: lists that are bounded in members and in bytes, written and put together to
 * the byte; numbers put together from users that are on several reactors.
 */
#include "chat/presence.h"

#include <stdio.h>

#include "chat/policy.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/slab.h"
#include "proto/json_writer.h"
#include "tests/unit/chat/testing.h"

enum { MEMBER_SIZE = 88 }; /* bytes: "id":{"client":"id"} */

static const struct policy policy = {.presence = true};

struct place {
    struct slab *sessions;
    struct roster *roster;
    struct blob_pool *pool;
    struct room *room;
};

/* Members 1 .. count, whose ids are all their number. */
static void open_place(struct place *place, uint32_t count)
{
    place->sessions = slab_create(sizeof(struct session), 1000);
    ck_assert_ptr_nonnull(place->sessions);
    ck_assert_int_eq(roster_create(0, 4, &place->roster), 0);
    place->pool = blob_pool_create(1 << 20);
    ck_assert_ptr_nonnull(place->pool);
    place->room = roster_open(place->roster, 1, view("x"), &policy, 0);
    ck_assert_ptr_nonnull(place->room);
    for (uint32_t i = 1; i <= count; i++) {
        uint32_t slot;
        struct session *session = slab_take(place->sessions, &slot);
        ck_assert_ptr_nonnull(session);
        memset(session->id, (int)i, sizeof(session->id));
        ck_assert_int_eq(roster_add(place->room, (struct roster_member){.session = slot}), 0);
    }
}

static void close_place(struct place *place)
{
    while (place->room->member_count > 0) {
        slab_give(place->sessions, place->room->members[0].session);
        (void)roster_remove(place->room, 0);
    }
    roster_close(place->roster, place->room);
    roster_destroy(place->roster);
    slab_destroy(place->sessions);
    blob_pool_destroy(place->pool);
}

static struct blob *list_of(struct place *place, struct presence_limits limits)
{
    struct blob *blob = presence_list(place->room, place->sessions, &limits, place->pool);
    ck_assert_ptr_nonnull(blob);
    return blob;
}

/* The bytes of the lists together, and a copy that the caller frees. */
static char *write_parts(struct blob *const *list, size_t count, struct presence_limits limits)
{
    const struct presence_parts parts = {list, count};
    struct json_writer writer;
    json_writer_init(&writer, (struct span){NULL, 0});
    presence_write(&writer, parts, &limits);
    const size_t size = writer.size;
    uint8_t *text = calloc(1, size + 1);
    ck_assert_ptr_nonnull(text);
    json_writer_init(&writer, (struct span){text, size});
    presence_write(&writer, parts, &limits);
    ck_assert(json_writer_fits(&writer));
    return (char *)text;
}

START_TEST(lists_to_the_byte)
{
    const struct presence_limits plenty = {.count_max = 10, .bytes_max = 10000};
    struct place place;
    open_place(&place, 2);
    struct blob *blob = list_of(&place, plenty);
    char *text = write_parts(&blob, 1, plenty);
    ck_assert_str_eq(text, "\"01010101-0101-0101-0101-010101010101\":{\"client\":"
                           "\"01010101-0101-0101-0101-010101010101\"},"
                           "\"02020202-0202-0202-0202-020202020202\":{\"client\":"
                           "\"02020202-0202-0202-0202-020202020202\"}");
    ck_assert_uint_eq(strlen(text), 2 * MEMBER_SIZE + 1);
    free(text);
    blob_drop(blob, place.pool);
    close_place(&place);
}
END_TEST

/* Those that the others were told of come first. */
START_TEST(the_sample_is_who_was_told_of)
{
    const struct presence_limits one = {.count_max = 1, .bytes_max = 10000};
    struct place place;
    open_place(&place, 5);
    place.room->members[3].is_told = true;
    struct blob *blob = list_of(&place, one);
    char *text = write_parts(&blob, 1, one);
    ck_assert_int_eq(strncmp(text, "\"04040404-", 10), 0);
    ck_assert_uint_eq(strlen(text), MEMBER_SIZE);
    free(text);
    blob_drop(blob, place.pool);
    close_place(&place);
}
END_TEST

static const struct {
    const char *why;
    struct presence_limits each;
    struct presence_limits together;
    size_t count;
} bounds[] = {
    {"all of three times four", {10, 10000}, {100, 10000}, 12},
    {"two of each", {2, 10000}, {100, 10000}, 6},
    {"five in all", {10, 10000}, {5, 10000}, 5},
    {"what fits, of each", {10, 3 * (MEMBER_SIZE + 1)}, {100, 10000}, 9},
    {"a byte less", {10, 3 * (MEMBER_SIZE + 1) - 1}, {100, 10000}, 6},
    {"what fits, in all", {10, 10000}, {100, 7 * (MEMBER_SIZE + 1)}, 7},
    {"a byte less, in all", {10, 10000}, {100, 7 * (MEMBER_SIZE + 1) - 1}, 6},
    {"nothing fits", {10, MEMBER_SIZE}, {100, 10000}, 0},
};

START_TEST(lists_are_bounded)
{
    struct place place;
    struct blob *parts[3];
    open_place(&place, 4);
    for (int i = 0; i < COUNT(parts); i++) {
        parts[i] = list_of(&place, bounds[_i].each);
    }
    char *text = write_parts(parts, COUNT(parts), bounds[_i].together);
    const size_t commas = bounds[_i].count > 0 ? bounds[_i].count - 1 : 0;
    ck_assert_msg(strlen(text) == bounds[_i].count * MEMBER_SIZE + commas, "%s: %zu bytes",
                  bounds[_i].why, strlen(text));
    free(text);
    for (int i = 0; i < COUNT(parts); i++) {
        blob_drop(parts[i], place.pool);
    }
    close_place(&place);
}
END_TEST

START_TEST(memory_may_be_out)
{
    const struct presence_limits plenty = {.count_max = 10, .bytes_max = 10000};
    struct place place;
    open_place(&place, 4);
    struct blob_pool *small = blob_pool_create(32);
    ck_assert_ptr_nonnull(small);
    ck_assert_ptr_null(presence_list(place.room, place.sessions, &plenty, small));
    ck_assert_ptr_null(presence_users(place.room, place.sessions, small));
    blob_pool_destroy(small);
    close_place(&place);
}
END_TEST

/* -- numbers ----------------------------------------------------------------------------------- */

START_TEST(counts_a_room)
{
    struct place place;
    open_place(&place, 7);
    struct blob *blob = presence_users(place.room, place.sessions, place.pool);
    ck_assert_ptr_nonnull(blob);
    const struct presence_numbers numbers = presence_count((struct presence_parts){&blob, 1});
    ck_assert_uint_eq(numbers.client_count, 7);
    ck_assert_uint_eq(numbers.user_count, 1); /* nobody has signed in: all are the one nobody */
    blob_drop(blob, place.pool);
    close_place(&place);
}
END_TEST

/* What reactors would say whose clients have signed in: a number, and hashes that rise. */
static struct blob *users(struct blob_pool *pool, const uint64_t *numbers, size_t count)
{
    struct blob *blob = blob_create(pool, count * sizeof(*numbers));
    ck_assert_ptr_nonnull(blob);
    memcpy(blob->data, numbers, count * sizeof(*numbers));
    blob->end = (uint32_t)(count * sizeof(*numbers));
    return blob;
}

START_TEST(a_user_is_one_on_all_reactors)
{
    static const uint64_t first[] = {10, 1, 5, 9, UINT64_MAX};
    static const uint64_t second[] = {20, 0, 5, 6};
    static const uint64_t third[] = {3, 5, UINT64_MAX};
    struct blob_pool *pool = blob_pool_create(1 << 16);
    ck_assert_ptr_nonnull(pool);
    struct blob *parts[] = {
        users(pool, first, COUNT(first)),
        users(pool, second, COUNT(second)),
        users(pool, third, COUNT(third)),
    };
    const struct presence_numbers numbers =
        presence_count((struct presence_parts){parts, COUNT(parts)});
    ck_assert_uint_eq(numbers.client_count, 33);
    ck_assert_uint_eq(numbers.user_count, 6); /* 0 1 5 6 9 and the largest */
    for (int i = 0; i < COUNT(parts); i++) {
        blob_drop(parts[i], pool);
    }
    const struct presence_numbers nobody = presence_count((struct presence_parts){NULL, 0});
    ck_assert_uint_eq(nobody.client_count, 0);
    ck_assert_uint_eq(nobody.user_count, 0);
    blob_pool_destroy(pool);
}
END_TEST

int main(void)
{
    TCase *lists = tcase_create("lists");
    tcase_add_test(lists, lists_to_the_byte);
    tcase_add_test(lists, the_sample_is_who_was_told_of);
    tcase_add_loop_test(lists, lists_are_bounded, 0, COUNT(bounds));
    tcase_add_test(lists, memory_may_be_out);
    TCase *numbers = tcase_create("numbers");
    tcase_add_test(numbers, counts_a_room);
    tcase_add_test(numbers, a_user_is_one_on_all_reactors);
    Suite *suite = suite_create("chat/presence");
    suite_add_tcase(suite, lists);
    suite_add_tcase(suite, numbers);
    return run_suite(suite);
}
