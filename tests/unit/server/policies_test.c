/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policies: what a configuration allows is what permission_judge() then says, namespace by
 * namespace; and each option is where the policy has it.
 */
#include "server/policies.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/permission.h"
#include "core/metrics_namespace.h"
#include "server/config.h"

static const char text[] = "client: {insecure: false}\n"
                           "channel:\n"
                           "  max_length: 20\n"
                           "  without_namespace: {allow_subscribe_for_client: true,\n"
                           "                      allow_subscribe_for_anonymous: true}\n"
                           "  namespaces:\n"
                           "    - {name: open, allow_publish_for_client: true,\n"
                           "       allow_publish_for_anonymous: true}\n"
                           "    - {name: digits, channel_regex: '^[0-9]+$',\n"
                           "       allow_subscribe_for_client: true,\n"
                           "       allow_subscribe_for_anonymous: true}\n"
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
    {"digits:42", PERMISSION_SUBSCRIBE, false, PERMISSION_GRANTED},
    {"digits:4x", PERMISSION_SUBSCRIBE, false, PERMISSION_BAD_NAME},
    {"digits:", PERMISSION_SUBSCRIBE, false, PERMISSION_BAD_NAME},
    {"twenty-one-characters", PERMISSION_SUBSCRIBE, false, PERMISSION_BAD_NAME},
};

START_TEST(judges_as_configured)
{
    char error[CONFIG_ERROR_SIZE];
    struct config config;
    ck_assert_int_eq(config_load_memory("t", (struct bytes){(const uint8_t *)text, strlen(text)},
                                        &config, error, sizeof(error)),
                     0);
    struct policies policies = {0};
    ck_assert_int_eq(policies_init(&policies, &config), 0);

    const struct permission_subject subject = {
        .subscribed = cases[_i].subscribed,
    };
    const struct bytes channel = {(const uint8_t *)cases[_i].channel, strlen(cases[_i].channel)};
    ck_assert_msg(permission_judge(&policies.table, subject, channel, cases[_i].verb).verdict ==
                      cases[_i].verdict,
                  "%s", cases[_i].channel);
    policies_deinit(&policies);
    ck_assert_ptr_null(policies.list);
    config_destroy(&config);
}
END_TEST

START_TEST(nothing_configured_allows_nothing)
{
    struct config config;
    config_init_defaults(&config);
    struct policies policies = {0};
    ck_assert_int_eq(policies_init(&policies, &config), 0);
    const struct permission_subject anybody = {.subscribed = true};
    const struct bytes channel = {(const uint8_t *)"room", 4};
    ck_assert_int_eq(
        permission_judge(&policies.table, anybody, channel, PERMISSION_SUBSCRIBE).verdict,
        PERMISSION_DENIED);
    ck_assert_int_eq(
        permission_judge(&policies.table, anybody, channel, PERMISSION_PUBLISH).verdict,
        PERMISSION_DENIED);
    policies_deinit(&policies);
    config_destroy(&config);
}
END_TEST

static const char two[] =
    "client: {insecure: true}\n"
    "store: {engine: rocksdb, path: /tmp/s}\n"
    "channel:\n"
    "  max_length: 99\n"
    "  without_namespace: {history_size: 7, history_ttl: 1m, force_recovery: true, presence: "
    "true,\n"
    "                      allow_history_for_client: true, allow_presence_for_subscriber: true,\n"
    "                      allow_positioning: true, slow_consumer: drop, durability: none,\n"
    "                      idempotency_ttl: 8m}\n"
    "  namespaces:\n"
    "    - {name: a, history_size: 8, history_ttl: 2m, history_meta_ttl: 1h, allow_recovery: "
    "true,\n"
    "       force_positioning: true, force_recovery_mode: cache, join_leave: true,\n"
    "       force_push_join_leave: true, slow_consumer: latest, durability: power,\n"
    "       allow_history_for_subscriber: true, allow_history_for_anonymous: true,\n"
    "       allow_presence_for_client: true, allow_presence_for_anonymous: true}\n";

static bool policies_equal(const struct policy *a, const struct policy *b)
{
    return a->name.size == b->name.size && memcmp(a->name.data, b->name.data, a->name.size) == 0 &&
           a->index == b->index && a->allow_history_for_client == b->allow_history_for_client &&
           a->allow_history_for_subscriber == b->allow_history_for_subscriber &&
           a->allow_history_for_anonymous == b->allow_history_for_anonymous &&
           a->allow_presence_for_client == b->allow_presence_for_client &&
           a->allow_presence_for_subscriber == b->allow_presence_for_subscriber &&
           a->allow_presence_for_anonymous == b->allow_presence_for_anonymous &&
           a->history_size == b->history_size && a->history_ttl_ns == b->history_ttl_ns &&
           a->history_meta_ttl_ns == b->history_meta_ttl_ns &&
           a->force_recovery == b->force_recovery && a->allow_recovery == b->allow_recovery &&
           a->force_positioning == b->force_positioning &&
           a->allow_positioning == b->allow_positioning &&
           a->force_recovery_mode == b->force_recovery_mode && a->presence == b->presence &&
           a->join_leave == b->join_leave && a->force_push_join_leave == b->force_push_join_leave &&
           a->slow_consumer == b->slow_consumer && a->durability == b->durability &&
           a->idempotency_ttl_ns == b->idempotency_ttl_ns;
}

START_TEST(each_option_has_its_place)
{
    static const struct policy expected[] = {
        {
            .name = {(const uint8_t *)"", 0},
            .allow_history_for_client = true,
            .allow_presence_for_subscriber = true,
            .history_size = 7,
            .history_ttl_ns = UINT64_C(60000000000),
            .history_meta_ttl_ns = UINT64_C(2592000000000000),
            .force_recovery = true,
            .allow_positioning = true,
            .presence = true,
            .durability = POLICY_DURABILITY_NONE,
            .idempotency_ttl_ns = UINT64_C(480000000000),
            .slow_consumer = POLICY_SLOW_DROP,
        },
        {
            .name = {(const uint8_t *)"a", 1},
            .index = 1,
            .allow_history_for_subscriber = true,
            .allow_history_for_anonymous = true,
            .allow_presence_for_client = true,
            .allow_presence_for_anonymous = true,
            .history_size = 8,
            .history_ttl_ns = UINT64_C(120000000000),
            .history_meta_ttl_ns = UINT64_C(3600000000000),
            .allow_recovery = true,
            .force_positioning = true,
            .force_recovery_mode = POLICY_RECOVERY_CACHE,
            .join_leave = true,
            .force_push_join_leave = true,
            .durability = POLICY_DURABILITY_POWER,
            .idempotency_ttl_ns = UINT64_C(300000000000),
            .slow_consumer = POLICY_SLOW_LATEST,
        },
    };
    char error[CONFIG_ERROR_SIZE];
    struct config config;
    ck_assert_msg(config_load_memory("t", (struct bytes){(const uint8_t *)two, strlen(two)},
                                     &config, error, sizeof(error)) == 0,
                  "%s", error);
    struct policies policies = {0};
    ck_assert_int_eq(policies_init(&policies, &config), 0);
    ck_assert_uint_eq(policies.table.policy_count, 2);
    ck_assert_uint_eq(policies.table.name_size_max, 99);
    ck_assert(policies.table.insecure);
    for (int i = 0; i < 2; i++) {
        ck_assert_msg(policies_equal(&policies.table.policies[i], &expected[i]), "policy %d", i);
    }
    policies_deinit(&policies);
    config_destroy(&config);
}
END_TEST

/* By name: the table of the metrics has another order, and lacks one. */
START_TEST(counts_by_name)
{
    char error[CONFIG_ERROR_SIZE];
    struct config config;
    ck_assert_int_eq(config_load_memory("t", (struct bytes){(const uint8_t *)text, strlen(text)},
                                        &config, error, sizeof(error)),
                     0);
    struct policies policies = {0};
    ck_assert_int_eq(policies_init(&policies, &config), 0);
    struct metrics_namespaces *namespaces = metrics_namespace_create(3);
    ck_assert_ptr_nonnull(namespaces);
    static const char *const names[] = {"", "members", "open"};
    for (size_t i = 0; i < 3; i++) {
        metrics_namespace_name(namespaces, i,
                               (struct bytes){(const uint8_t *)names[i], strlen(names[i])});
    }
    policies_count_as(&policies, namespaces);
    static const uint16_t places[] = {0, 2, 0, 1}; /* none, open, digits, members */
    ck_assert_uint_eq(policies.table.policy_count, 4);
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(policies.table.policies[i].counts_as, places[i]);
    }
    free(namespaces);
    policies_deinit(&policies);
    config_destroy(&config);
}
END_TEST

static void load(const char *configured, struct config *config)
{
    char error[CONFIG_ERROR_SIZE];
    const struct bytes bytes = {(const uint8_t *)configured, strlen(configured)};
    ck_assert_msg(config_load_memory("t", bytes, config, error, sizeof(error)) == 0, "%s", error);
}

/* One configuration after the other: what is in each place, and "-" before what is removed. */
static const struct {
    const char *text;
    const char *places;
    const char *error; /* NULL: none */
} lives[] = {
    {"channel: {namespaces: [{name: a}, {name: b, history_size: 3, history_ttl: 1s}]}", " a b",
     NULL},
    {"channel: {namespaces: [{name: c}, {name: b, history_size: 4, history_ttl: 1s}]}", " -a b c",
     NULL},
    {"channel: {namespaces: [{name: c}]}", " -a -b c", NULL},
    {"channel: {namespaces: [{name: b}]}", NULL, "channel.namespaces[b]: had another durability"},
    {"channel: {namespaces: [{name: a, durability: none}]}", NULL,
     "channel.namespaces[a]: had another durability"},
    {"channel: {namespaces: [{name: b, history_size: 1, history_ttl: 1s, channel_regex: '^x$'}]}",
     " -a b -c", NULL},
    {"channel: {namespaces: [{name: a}, {name: d}]}", " a -b -c d", NULL},
};

START_TEST(places_stay)
{
    struct policies past;
    struct config config;

    load("{}", &config);
    ck_assert_int_eq(policies_init(&past, &config), 0);
    config_destroy(&config);
    for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++) {
        char error[CONFIG_ERROR_SIZE] = "";
        char places[64] = "";
        struct policies policies;
        load(lives[i].text, &config);
        const int result = policies_init_after(&policies, &config, &past, error, sizeof(error));
        config_destroy(&config); /* names are the policies' own */
        if (lives[i].error != NULL) {
            ck_assert_int_eq(result, -EBUSY);
            ck_assert_msg(strstr(error, lives[i].error) == error, "%s", error);
            continue;
        }
        ck_assert_msg(result == 0, "%s", error);
        policies_deinit(&past);
        past = policies;
        for (size_t place = 1; place < past.table.policy_count; place++) {
            const struct policy *policy = &past.table.policies[place];
            ck_assert_uint_eq(policy->index, place);
            (void)sprintf(places + strlen(places), " %s%.*s", policy->is_removed ? "-" : "",
                          (int)policy->name.size, (const char *)policy->name.data);
        }
        ck_assert_str_eq(places, lives[i].places);
    }
    policies_deinit(&past);
}
END_TEST

/* Names that nobody ever had again are too many at last; the places are as they were. */
START_TEST(there_are_so_many_places)
{
    struct policies past;
    struct config config;
    char error[CONFIG_ERROR_SIZE] = "";
    int result = 0;

    load("{}", &config);
    ck_assert_int_eq(policies_init(&past, &config), 0);
    config_destroy(&config);
    int count = 0;
    for (; result == 0; count++) {
        char text_of_one[64];
        struct policies policies;
        (void)sprintf(text_of_one, "channel: {namespaces: [{name: n%d}]}", count);
        load(text_of_one, &config);
        result = policies_init_after(&policies, &config, &past, error, sizeof(error));
        config_destroy(&config);
        if (result == 0) {
            policies_deinit(&past);
            past = policies;
        }
    }
    ck_assert_int_eq(result, -ENOSPC);
    ck_assert_int_eq(count, POLICY_PLACES_MAX);
    ck_assert_uint_eq(past.table.policy_count, POLICY_PLACES_MAX);
    policies_deinit(&past);
}
END_TEST

int main(void)
{
    TCase *judged = tcase_create("policies");
    tcase_add_loop_test(judged, judges_as_configured, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(judged, nothing_configured_allows_nothing);
    tcase_add_test(judged, each_option_has_its_place);
    tcase_add_test(judged, counts_by_name);
    tcase_add_test(judged, places_stay);
    tcase_add_test(judged, there_are_so_many_places);
    Suite *suite = suite_create("server/policies");
    suite_add_tcase(suite, judged);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
