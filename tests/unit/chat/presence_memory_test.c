/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of who is there, while memory is out for a moment: it has fewer of them, who are those
 * that are remembered as known, or there is none.
 */
#include "chat/herald.h"
#include "chat/policy.h"
#include "chat/presence.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/slab.h"
#include "core/timerwheel.h"
#include "tests/unit/chat/testing.h"
#include "tests/unit/failing_memory.h"

enum { MEMBERS = 40 };

static const struct policy policy = {.presence = true, .join_leave = true};
static const struct presence_limits plenty = {.count_max = 1000, .bytes_max = 1 << 20};

/* Returns whether anything has failed. */
static bool list_with(uint64_t fails_at)
{
    struct roster *roster;
    struct slab *sessions = slab_create(sizeof(struct session), MEMBERS);
    struct timerwheel *wheel = timerwheel_create(0, TIMERWHEEL_TICK_NS_DEFAULT);
    struct blob_pool *pool = blob_pool_create(1 << 20);
    ck_assert_int_eq(roster_create(0, 4, &roster), 0);
    struct room *room = roster_open(roster, 1, view("x"), &policy, 0);
    room->herald = herald_create(wheel, room->slot);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        uint32_t slot;
        ck_assert_ptr_nonnull(slab_take(sessions, &slot));
        ck_assert_int_eq(roster_add(room, (struct roster_member){.session = slot}), 0);
    }

    fail_from(fails_at, false);
    struct blob *blob = presence_list(room, sessions, &plenty, pool);
    const bool has_failed = memory.failed > 0;
    fail_from(0, false);
    if (blob == NULL) {
        ck_assert(has_failed);
    } else {
        uint32_t count;
        memcpy(&count, blob->data, sizeof(count));
        ck_assert_uint_eq(count, room->herald->known_count);
        ck_assert(has_failed || count == MEMBERS);
        blob_drop(blob, pool);
    }

    herald_destroy(room->herald);
    room->herald = NULL;
    while (room->member_count > 0) {
        slab_give(sessions, room->members[0].session);
        (void)roster_remove(room, 0);
    }
    roster_close(roster, room);
    roster_destroy(roster);
    timerwheel_destroy(wheel);
    slab_destroy(sessions);
    blob_pool_destroy(pool);
    return has_failed;
}

START_TEST(has_those_who_are_known)
{
    uint64_t fails_at = 1;
    while (list_with(fails_at)) {
        fails_at++;
    }
    ck_assert_uint_gt(fails_at, 3); /* it is about something */
}
END_TEST

int main(void)
{
    TCase *out = tcase_create("memory");
    tcase_add_test(out, has_those_who_are_known);
    Suite *suite = suite_create("chat/presence: memory");
    suite_add_tcase(suite, out);
    return run_suite(suite);
}
