/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands about users as orders: moments become seconds from now, a list of clients their ids, and
 * what cannot be done is refused.
 */
#include "server/api_order.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOW = 1000000 };

static struct bytes view(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static bool is_text(struct bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.data, text, bytes.size) == 0;
}

static struct order made_of(struct api_command command, struct api_order *made)
{
    ck_assert_int_eq(api_order_make(made, &command, NOW), CODES_ERROR_NONE);
    return made->order;
}

static const struct {
    const char *why;
    int64_t expire_at_s;
    bool has_ttl;
    uint64_t ttl_s;
} moments[] = {
    {"never", 0, false, 0},
    {"in a minute", NOW + 60, true, 60},
    {"now", NOW, true, 0},
    {"long ago", 1, true, 0},
    {"at the end of time", INT64_MAX, true, API_ORDER_TTL_MAX_S},
};

START_TEST(has_an_end)
{
    struct api_order made;
    const struct order order = made_of(
        (struct api_command){
            .method = API_BLOCK_USER,
            .user = {.user = view("u"), .expire_at_s = moments[_i].expire_at_s},
        },
        &made);
    ck_assert_msg(order.has_ttl == moments[_i].has_ttl && order.ttl_s == moments[_i].ttl_s, "%s",
                  moments[_i].why);
    ck_assert_uint_eq(order.issued_before_s, NOW);
}
END_TEST

START_TEST(says_how_to_disconnect)
{
    struct api_order made;
    struct order order =
        made_of((struct api_command){.method = API_DISCONNECT, .user = {.user = view("u")}}, &made);
    ck_assert_uint_eq(order.code, CODES_DISCONNECT_FORCE);
    ck_assert(is_text(order.reason, "force disconnect"));
    ck_assert_uint_eq(order.kept.size, 0);

    char list[] = "[\"01234567-89ab-cdef-0123-456789abcdef\", \"nobody\"]";
    order = made_of((struct api_command){.method = API_DISCONNECT,
                                         .user = {.user = view("u"),
                                                  .has_disconnect = true,
                                                  .code = 4000,
                                                  .reason = view("bye"),
                                                  .whitelist = view(list)}},
                    &made);
    ck_assert_uint_eq(order.code, 4000);
    ck_assert(is_text(order.reason, "bye"));
    ck_assert(is_text(order.kept, "01234567-89ab-cdef-0123-456789abcdef"));
}
END_TEST

START_TEST(says_what_is_overridden)
{
    struct api_order made;
    const struct order order =
        made_of((struct api_command){.method = API_SUBSCRIBE,
                                     .user = {.user = view("u"),
                                              .channel = view("x"),
                                              .overrides = {.presence = {true, true},
                                                            .force_recovery = {true, false}}}},
                &made);
    ck_assert_int_eq(order.overrides.presence, CLAIMS_ON);
    ck_assert_int_eq(order.overrides.force_recovery, CLAIMS_OFF);
    ck_assert_int_eq(order.overrides.join_leave, CLAIMS_KEEP);
    ck_assert_int_eq(order.overrides.force_positioning, CLAIMS_KEEP);
    ck_assert_int_eq(order.overrides.force_push_join_leave, CLAIMS_KEEP);
}
END_TEST

START_TEST(refuses)
{
    struct api_order made;
    char one[] = "[1]";
    struct api_command command = {.method = API_DISCONNECT,
                                  .user = {.user = view("u"), .whitelist = view(one)}};
    ck_assert_int_eq(api_order_make(&made, &command, NOW), CODES_ERROR_BAD_REQUEST);

    static char many[(API_ORDER_KEPT_MAX + 1) * (API_ORDER_ID_SIZE + 3) + 2];
    size_t size = 0;
    many[size++] = '[';
    for (int i = 0; i <= API_ORDER_KEPT_MAX; i++) {
        size +=
            (size_t)snprintf(many + size, sizeof(many) - size, "%s\"%036d\"", i > 0 ? "," : "", i);
    }
    many[size++] = ']';
    command.user.whitelist = (struct bytes){(const uint8_t *)many, size};
    ck_assert_int_eq(api_order_make(&made, &command, NOW), CODES_ERROR_LIMIT_EXCEEDED);
}
END_TEST

/* A token has no user, whatever else was said. */
START_TEST(revokes_a_token)
{
    struct api_order made;
    const struct order order =
        made_of((struct api_command){.method = API_REVOKE_TOKEN,
                                     .user = {.user = view("u"), .uid = view("t")}},
                &made);
    ck_assert_uint_eq(order.user.size, 0);
    ck_assert(is_text(order.token_id, "t"));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("api_order");
    tcase_add_loop_test(tests, has_an_end, 0, (int)(sizeof(moments) / sizeof(moments[0])));
    tcase_add_test(tests, says_how_to_disconnect);
    tcase_add_test(tests, says_what_is_overridden);
    tcase_add_test(tests, refuses);
    tcase_add_test(tests, revokes_a_token);
    Suite *suite = suite_create("server/api_order");
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
