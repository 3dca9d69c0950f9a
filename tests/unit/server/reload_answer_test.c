/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a back end is told of a reload: names, as many as there is room for, and errors whose texts
 * have to be escaped, up to the longest.
 */
#include "server/reload_answer.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/blob.h"
#include "server/config.h"
#include "server/config_change.h"

/* Takes the blob. */
static void assert_says(struct blob *blob, const char *wanted)
{
    ck_assert_ptr_nonnull(blob);
    const struct bytes text = blob_bytes(blob);
    ck_assert_msg(text.size == strlen(wanted) && memcmp(text.data, wanted, text.size) == 0, "%.*s",
                  (int)text.size, (const char *)text.data);
}

static void fill(struct config_names *names, const char *text, size_t size, uint32_t count)
{
    memcpy(names->text, text, size);
    names->size = size;
    names->count = count;
}

START_TEST(names_options)
{
    struct blob_pool *pool = blob_pool_create(1 << 20);
    struct config_changes *changes = calloc(1, sizeof(*changes));
    ck_assert_ptr_nonnull(changes);

    struct blob *blob = reload_answer_changes(pool, changes);
    assert_says(blob, "{\"changed\":[],\"needs_restart\":[]}");
    blob_drop(blob, pool);
    fill(&changes->changed, "client.channel_limit\0log.level", 31, 2);
    fill(&changes->needs_restart, "reactor.count", 14, 1);
    changes->needs_restart.left_out = 3;
    blob = reload_answer_changes(pool, changes);
    assert_says(blob, "{\"changed\":[\"client.channel_limit\",\"log.level\"],"
                      "\"needs_restart\":[\"reactor.count\"],\"left_out\":3}");
    blob_drop(blob, pool);
    free(changes);
    blob_pool_destroy(pool);
}
END_TEST

START_TEST(has_room_for_the_most)
{
    struct blob_pool *pool = blob_pool_create(1 << 20);
    struct config_changes *changes = calloc(1, sizeof(*changes));
    ck_assert_ptr_nonnull(changes);
    for (size_t i = 0; i + 8 <= sizeof(changes->changed.text); i += 8) {
        memcpy(changes->changed.text + i, "log.abc", 8); /* the shortest name there could be */
        memcpy(changes->needs_restart.text + i, "log.abc", 8);
    }
    changes->changed.size = sizeof(changes->changed.text);
    changes->needs_restart.size = sizeof(changes->needs_restart.text);
    struct blob *blob = reload_answer_changes(pool, changes);
    ck_assert_ptr_nonnull(blob);
    blob_drop(blob, pool);
    free(changes);

    char why[CONFIG_ERROR_SIZE];
    memset(why, 1, sizeof(why));
    why[sizeof(why) - 1] = '\0';
    blob = reload_answer_error(pool, why);
    ck_assert_ptr_nonnull(blob);
    blob_drop(blob, pool);
    blob_pool_destroy(pool);
}
END_TEST

START_TEST(says_errors)
{
    struct blob_pool *pool = blob_pool_create(1 << 20);
    struct blob *blob = reload_answer_error(pool, "a.yaml:2:3: found \"x\"");
    assert_says(blob, "{\"code\":107,\"message\":\"a.yaml:2:3: found \\\"x\\\"\"}");
    blob_drop(blob, pool);
    blob_pool_destroy(pool);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("reload_answer");
    tcase_add_test(tests, names_options);
    tcase_add_test(tests, has_room_for_the_most);
    tcase_add_test(tests, says_errors);
    Suite *suite = suite_create("server/reload_answer");
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
