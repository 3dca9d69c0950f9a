/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rules: what a configuration allows is what permission_judge() then says, namespace by namespace.
 */
#include "server/rules.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"

static const char text[] = "client: {insecure: false}\n"
                           "channel:\n"
                           "  max_length: 20\n"
                           "  without_namespace: {allow_subscribe_for_client: true,\n"
                           "                      allow_subscribe_for_anonymous: true}\n"
                           "  namespaces:\n"
                           "    - {name: open, allow_publish_for_client: true,\n"
                           "       allow_publish_for_anonymous: true}\n"
                           "    - {name: members, allow_publish_for_subscriber: true,\n"
                           "       allow_publish_for_anonymous: true}\n";

static const struct {
    const char *channel;
    enum permission_verb verb;
    bool subscribed;
    enum permission_verdict verdict;
} cases[] = {
    {"plain", PERMISSION_SUBSCRIBE, false, PERMISSION_GRANTED},
    {"plain", PERMISSION_PUBLISH, true, PERMISSION_DENIED},
    {"open:a", PERMISSION_SUBSCRIBE, false, PERMISSION_DENIED},
    {"open:a", PERMISSION_PUBLISH, false, PERMISSION_GRANTED},
    {"members:a", PERMISSION_PUBLISH, false, PERMISSION_DENIED},
    {"members:a", PERMISSION_PUBLISH, true, PERMISSION_GRANTED},
    {"other:a", PERMISSION_SUBSCRIBE, false, PERMISSION_UNKNOWN_NAMESPACE},
    {"twenty-one-characters", PERMISSION_SUBSCRIBE, false, PERMISSION_BAD_NAME},
};

START_TEST(judges_as_configured)
{
    char error[CONFIG_ERROR_SIZE];
    struct config config;
    ck_assert_int_eq(config_load_memory("t", (struct bytes){(const uint8_t *)text, strlen(text)},
                                        &config, error, sizeof(error)),
                     0);
    struct rules rules = {0};
    ck_assert_int_eq(rules_init(&rules, &config), 0);

    const struct permission_subject subject = {
        .anonymous = true,
        .subscribed = cases[_i].subscribed,
    };
    const struct bytes channel = {(const uint8_t *)cases[_i].channel, strlen(cases[_i].channel)};
    ck_assert_msg(permission_judge(&rules.table, subject, channel, cases[_i].verb) ==
                      cases[_i].verdict,
                  "%s", cases[_i].channel);
    rules_deinit(&rules);
    ck_assert_ptr_null(rules.namespaces);
    config_destroy(&config);
}
END_TEST

START_TEST(nothing_configured_allows_nothing)
{
    struct config config;
    config_init_defaults(&config);
    struct rules rules = {0};
    ck_assert_int_eq(rules_init(&rules, &config), 0);
    const struct permission_subject anybody = {.anonymous = true, .subscribed = true};
    const struct bytes channel = {(const uint8_t *)"room", 4};
    ck_assert_int_eq(permission_judge(&rules.table, anybody, channel, PERMISSION_SUBSCRIBE),
                     PERMISSION_DENIED);
    ck_assert_int_eq(permission_judge(&rules.table, anybody, channel, PERMISSION_PUBLISH),
                     PERMISSION_DENIED);
    rules_deinit(&rules);
    config_destroy(&config);
}
END_TEST

int main(void)
{
    TCase *judged = tcase_create("rules");
    tcase_add_loop_test(judged, judges_as_configured, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(judged, nothing_configured_allows_nothing);
    Suite *suite = suite_create("server/rules");
    suite_add_tcase(suite, judged);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
