/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client id as text, and the array of subscriptions against a plain model of it.
 */
#include "chat/session.h"

#include "tests/unit/chat/testing.h"

START_TEST(writes_the_id)
{
    static const struct {
        uint8_t id[SESSION_ID_SIZE];
        const char *text;
    } cases[] = {
        {{0}, "00000000-0000-0000-0000-000000000000"},
        {{0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0x4c, 0xef, 0x80, 0x21, 0x43, 0x65, 0x87, 0xa9, 0xcb,
          0xed},
         "01234567-89ab-4cef-8021-436587a9cbed"},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
          0xff},
         "ffffffff-ffff-ffff-ffff-ffffffffffff"},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        struct session session = {0};
        memcpy(session.id, cases[i].id, sizeof(session.id));
        uint8_t *text = malloc(SESSION_ID_TEXT_SIZE);
        ck_assert_ptr_nonnull(text);
        session_write_id(&session, text);
        ck_assert(is_text((struct bytes){text, SESSION_ID_TEXT_SIZE}, cases[i].text));
        free(text);
    }
}
END_TEST

START_TEST(finds_nothing_in_an_empty_one)
{
    struct session session = {0};
    ck_assert_int_eq(session_find(&session, 0), -1);
    session_deinit(&session); /* nothing was allocated */
}
END_TEST

START_TEST(keeps_what_was_added)
{
    enum { ROOM_COUNT = 300, TURNS = 5000 };
    uint64_t state = 4101842887655102017;
    bool in[ROOM_COUNT] = {false};
    int count = 0;
    struct session session = {0};

    for (int turn = 0; turn < TURNS; turn++) {
        const uint32_t room = chance_below(&state, ROOM_COUNT);
        const int index = session_find(&session, room);
        ck_assert_int_eq(index >= 0, in[room]);
        if (index < 0) {
            const struct session_subscription added = {
                .room = room,
                .member = (room + 1000) & INT32_MAX,
                .is_waiting = room % 2,
            };
            ck_assert_int_eq(session_add(&session, added), 0);
            count++;
        } else {
            const bool was_last = index == session.subscription_count - 1;
            ck_assert_int_eq(session_remove(&session, (uint32_t)index), !was_last);
            count--;
        }
        in[room] = !in[room];
        ck_assert_int_eq(session.subscription_count, count);
        ck_assert_int_ge(session.subscription_capacity, count);
    }
    for (uint32_t room = 0; room < ROOM_COUNT; room++) {
        const int index = session_find(&session, room);
        ck_assert_int_eq(index >= 0, in[room]);
        if (index >= 0) {
            ck_assert_uint_eq(session.subscriptions[index].member, room + 1000);
            ck_assert(session.subscriptions[index].is_waiting == room % 2);
            (void)session_remove(&session, (uint32_t)index);
        }
    }
    ck_assert_uint_eq(session.subscription_count, 0);
    session_deinit(&session);
    ck_assert_ptr_null(session.subscriptions);
}
END_TEST

/* As many as client.channel_limit may ask for, and no memory is wasted on the first. */
START_TEST(holds_as_many_as_may_be_configured)
{
    enum { LIMIT_MAX = 32768 };
    struct session session = {0};

    for (uint32_t room = 0; room < LIMIT_MAX; room++) {
        ck_assert_int_eq(session_add(&session, (struct session_subscription){.room = room}), 0);
        ck_assert(room != 0 || session.subscription_capacity == 1);
    }
    ck_assert_int_eq(session_find(&session, LIMIT_MAX - 1), LIMIT_MAX - 1);
    ck_assert_int_eq(session_find(&session, LIMIT_MAX), -1);
    while (session.subscription_count > 0) {
        ck_assert(!session_remove(&session, session.subscription_count - 1U));
    }
    session_deinit(&session);
}
END_TEST

int main(void)
{
    TCase *session = tcase_create("session");
    tcase_add_test(session, writes_the_id);
    tcase_add_test(session, finds_nothing_in_an_empty_one);
    tcase_add_test(session, keeps_what_was_added);
    tcase_add_test(session, holds_as_many_as_may_be_configured);
    Suite *suite = suite_create("chat/session");
    suite_add_tcase(suite, session);
    return run_suite(suite);
}
