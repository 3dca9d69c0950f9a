/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted by namespace: names become labels, values are summed over threads, and the text
 * of a namespace has a limit.
 */
#include "core/metrics_namespace.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics_text.h"

static struct bytes text_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static struct metrics_namespaces *three(void)
{
    struct metrics_namespaces *namespaces = metrics_namespace_create(3);
    ck_assert_ptr_nonnull(namespaces);
    metrics_namespace_name(namespaces, 0, text_of(""));
    metrics_namespace_name(namespaces, 1, text_of("news"));
    metrics_namespace_name(namespaces, 2, text_of("new"));
    return namespaces;
}

START_TEST(finds_places_by_name)
{
    struct metrics_namespaces *namespaces = three();
    ck_assert_uint_eq(metrics_namespace_find(namespaces, text_of("")), 0);
    ck_assert_uint_eq(metrics_namespace_find(namespaces, text_of("news")), 1);
    ck_assert_uint_eq(metrics_namespace_find(namespaces, text_of("new")), 2);
    ck_assert_uint_eq(metrics_namespace_find(namespaces, text_of("newsy")), 0);
    free(namespaces);
}
END_TEST

START_TEST(sums_over_threads)
{
    struct metrics_namespaces *namespaces = three();
    static struct metrics threads[3]; /* the last one counts no namespaces */
    const struct metrics *const all[] = {&threads[0], &threads[1], &threads[2]};
    ck_assert_int_eq(metrics_namespace_open(&threads[0], 3), 0);
    ck_assert_int_eq(metrics_namespace_open(&threads[1], 3), 0);

    metrics_add_for(&threads[0], 1, NAMESPACE_PUBLICATIONS, 5);
    metrics_add_for(&threads[1], 1, NAMESPACE_PUBLICATIONS, 2);
    metrics_add_for(&threads[2], 1, NAMESPACE_PUBLICATIONS, 100);
    metrics_add_for(&threads[0], 3, NAMESPACE_PUBLICATIONS, 100); /* a place that is not there */
    metrics_add_for(&threads[0], 0, NAMESPACE_RECOVERIES_IMPOSSIBLE, 4);
    metrics_add_for(&threads[1], 2, NAMESPACE_SUBSCRIPTIONS, 9);
    metrics_subtract_for(&threads[1], 2, NAMESPACE_SUBSCRIPTIONS, 1);

    struct metrics_text text = {.data = NULL};
    metrics_namespace_render(namespaces, all, 3, &text);
    ck_assert(!text.failed);
    static const char *const wanted[] = {
        "\nparley_namespace_publications_total{namespace=\"(none)\"} 0\n",
        "\nparley_namespace_publications_total{namespace=\"news\"} 7\n",
        "\nparley_namespace_publications_total{namespace=\"new\"} 0\n",
        "\nparley_namespace_recoveries_total{namespace=\"(none)\",recovered=\"true\"} 0\n",
        "\nparley_namespace_recoveries_total{namespace=\"(none)\",recovered=\"false\"} 4\n",
        "\nparley_namespace_subscriptions{namespace=\"new\"} 8\n",
        "\n# TYPE parley_namespace_subscriptions gauge\n",
    };
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        ck_assert_msg(strstr(text.data, wanted[i]) != NULL, "no %s in %s", wanted[i], text.data);
    }
    free(text.data);
    metrics_namespace_close(&threads[0]);
    metrics_namespace_close(&threads[1]);
    free(namespaces);
}
END_TEST

/* So much is what a connection that asks for the text has room for. */
START_TEST(a_text_has_a_limit)
{
    char name[METRICS_NAMESPACE_NAME_SIZE];
    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    static struct metrics metrics; /* in a frame ASan aligns it to less than it wants */
    const struct metrics *const all[] = {&metrics};
    ck_assert_int_eq(metrics_namespace_open(&metrics, 3), 0);
    for (uint32_t place = 0; place < 3; place++) {
        for (unsigned id = 0; id < NAMESPACE_METRIC_COUNT; id++) {
            metrics_add_for(&metrics, place, (enum metrics_namespace_id)id, UINT64_MAX);
        }
    }
    size_t sizes[2];
    for (size_t count = 2; count <= 3; count++) {
        struct metrics_namespaces *namespaces = metrics_namespace_create(count);
        ck_assert_ptr_nonnull(namespaces);
        for (uint32_t place = 0; place < count; place++) {
            metrics_namespace_name(namespaces, place, text_of(name));
        }
        struct metrics_text text = {.data = NULL};
        metrics_namespace_render(namespaces, all, 1, &text);
        sizes[count - 2] = text.size;
        free(text.data);
        free(namespaces);
    }
    ck_assert_uint_gt(sizes[1] - sizes[0], METRICS_NAMESPACE_TEXT_SIZE / 2);
    ck_assert_uint_le(sizes[1] - sizes[0], METRICS_NAMESPACE_TEXT_SIZE);
    metrics_namespace_close(&metrics);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core/metrics_namespace");
    TCase *namespaces = tcase_create("namespaces");
    tcase_add_test(namespaces, finds_places_by_name);
    tcase_add_test(namespaces, sums_over_threads);
    tcase_add_test(namespaces, a_text_has_a_limit);
    suite_add_tcase(suite, namespaces);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
