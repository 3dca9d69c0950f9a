/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rooms by name, handle and slot; stale handles; the maximum; members against a model, through
 * growing and shrinking.
 */
#include "chat/roster.h"

#include <stdio.h>

#include "chat/policy.h"
#include "tests/unit/chat/testing.h"

static const struct table_key key = {1, 2};
static const struct policy policy;

static struct roster *new_roster(uint32_t room_count_max)
{
    struct roster *roster = NULL;
    ck_assert_int_eq(roster_create(3, room_count_max, &roster), 0);
    return roster;
}

static struct room *open_room(struct roster *roster, const char *name)
{
    const struct bytes bytes = view(name);
    uint8_t *copy = copy_of(bytes);
    const struct bytes lent = {copy, bytes.size};
    struct room *room = roster_open(roster, table_hash(&key, lent), lent, &policy, 5);
    free(copy); /* the room has its own */
    return room;
}

static struct room *find_room(struct roster *roster, const char *name)
{
    return roster_find(roster, table_hash(&key, view(name)), view(name));
}

START_TEST(opens_and_closes)
{
    struct roster *roster = new_roster(10);
    ck_assert_ptr_null(find_room(roster, "a"));
    struct room *room = open_room(roster, "a");
    ck_assert_ptr_nonnull(room);
    ck_assert_uint_eq(room->hash, table_hash(&key, view("a")));
    ck_assert_uint_eq(room->home, 5);
    ck_assert_uint_eq(room->state, ROOM_JOINING);
    ck_assert_uint_eq(room->member_count, 0);
    ck_assert_uint_eq(room->outbox_last, 0);
    ck_assert_ptr_eq(room->policy, &policy);
    ck_assert(is_text(room_name(room), "a"));
    ck_assert_uint_eq(roster_count(roster), 1);

    const struct ids_handle handle = roster_handle(roster, room);
    ck_assert_uint_eq(handle.reactor, 3);
    ck_assert_uint_ne(handle.generation, 0);
    ck_assert_ptr_eq(roster_at(roster, handle), room);
    ck_assert_ptr_eq(roster_slot(roster, room->slot), room);
    ck_assert_ptr_eq(find_room(roster, "a"), room);
    ck_assert_ptr_null(find_room(roster, "b"));

    roster_close(roster, room);
    ck_assert_uint_eq(roster_count(roster), 0);
    ck_assert_ptr_null(roster_at(roster, handle));
    ck_assert_ptr_null(find_room(roster, "a"));

    /* The next tenant of the slot is somebody else, even under the same name. */
    room = open_room(roster, "a");
    ck_assert_uint_eq(room->slot, handle.slot);
    ck_assert_ptr_null(roster_at(roster, handle));
    ck_assert(!ids_handle_equal(roster_handle(roster, room), handle));
    roster_close(roster, room);
    roster_destroy(roster);
    roster_destroy(NULL);
}
END_TEST

START_TEST(refuses_above_the_maximum)
{
    struct roster *roster = new_roster(2);
    struct room *a = open_room(roster, "a");
    struct room *b = open_room(roster, "b");
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_nonnull(b);

    ck_assert_ptr_null(open_room(roster, "c"));
    ck_assert_uint_eq(roster_count(roster), 2);
    ck_assert_ptr_null(find_room(roster, "c"));
    ck_assert_ptr_eq(find_room(roster, "a"), a);
    ck_assert_ptr_eq(find_room(roster, "b"), b);

    roster_close(roster, a);
    a = open_room(roster, "c");
    ck_assert_ptr_nonnull(a);
    roster_close(roster, a);
    roster_close(roster, b);
    roster_destroy(roster);
}
END_TEST

START_TEST(holds_names_of_every_size)
{
    struct roster *roster = new_roster(255);
    struct room *rooms[256];
    char name[256];

    for (size_t size = 1; size <= 255; size++) {
        memset(name, 'n', size);
        name[size] = '\0';
        rooms[size] = open_room(roster, name);
        ck_assert_ptr_nonnull(rooms[size]);
        ck_assert_uint_eq(room_name(rooms[size]).size, size);
    }
    for (size_t size = 1; size <= 255; size++) {
        memset(name, 'n', size);
        name[size] = '\0';
        ck_assert_ptr_eq(find_room(roster, name), rooms[size]);
        roster_close(roster, rooms[size]);
    }
    roster_destroy(roster);
}
END_TEST

START_TEST(members_come_and_go)
{
    enum { MEMBER_MAX = 1000, TURNS = 12000 };
    static struct roster_member model[MEMBER_MAX];
    uint64_t state = 362436069;
    uint32_t count = 0;
    bool grew = false;
    struct roster *roster = new_roster(1);
    struct room *room = open_room(roster, "a");

    for (uint32_t turn = 0; turn < TURNS; turn++) {
        /* Waves: mostly in, then mostly out, so that the array grows and shrinks. */
        const bool wants_in = chance_below(&state, 4) > 0 ? turn / 2000 % 2 == 0 : turn % 2 == 0;
        if (wants_in && count < MEMBER_MAX) {
            const struct roster_member member = {
                .conn = {turn, 1, 3},
                .session = turn,
                .subscription = turn + 7,
            };
            ck_assert_int_eq(roster_add(room, member), 0);
            model[count++] = member;
        } else if (!wants_in && count > 0) {
            const uint32_t index = chance_below(&state, count);
            count--;
            ck_assert_int_eq(roster_remove(room, index), index != count);
            model[index] = model[count];
        }
        ck_assert_uint_eq(room->member_count, count);
        ck_assert_uint_ge(room->member_capacity, count);
        ck_assert_uint_le(room->member_capacity, count < 16 ? 64 : 4 * count + 4);
        grew = grew || count > 500;
        for (uint32_t i = 0; i < count && turn % 100 == 0; i++) {
            ck_assert_uint_eq(room->members[i].session, model[i].session);
            ck_assert_uint_eq(room->members[i].subscription, model[i].subscription);
            ck_assert(conn_id_equal(room->members[i].conn, model[i].conn));
        }
    }
    ck_assert(grew);
    while (room->member_count > 0) {
        ck_assert(!roster_remove(room, room->member_count - 1));
    }
    ck_assert_uint_gt(roster_bytes(roster), 0); /* with room for members, which goes with it */
    roster_close(roster, room);
    ck_assert_uint_eq(roster_bytes(roster), 0);
    roster_destroy(roster);
}
END_TEST

int main(void)
{
    TCase *roster = tcase_create("roster");
    tcase_add_test(roster, opens_and_closes);
    tcase_add_test(roster, refuses_above_the_maximum);
    tcase_add_test(roster, holds_names_of_every_size);
    tcase_add_test(roster, members_come_and_go);
    Suite *suite = suite_create("chat/roster");
    suite_add_tcase(suite, roster);
    return run_suite(suite);
}
