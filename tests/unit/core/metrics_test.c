/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics: every value of the enum appears in the text, once, with the sum over the threads; each
 * family says HELP and TYPE once; the borders of the loop histogram from a table; and a thread that
 * counts while another renders (for ThreadSanitizer).
 */
#include "core/metrics.h"

#include <check.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics_text.h"
#include "core/thread.h"

static char *render(const struct metrics *const *all, const char *const *names, size_t count)
{
    struct metrics_text text = {.data = NULL};
    metrics_render(all, names, count, &text);
    ck_assert(!text.failed);
    ck_assert_ptr_nonnull(text.data);
    ck_assert_uint_eq(strlen(text.data), text.size);
    ck_assert_int_eq(text.data[text.size - 1], '\n');
    return text.data;
}

static size_t occurrences(const char *text, const char *wanted)
{
    size_t count = 0;
    for (const char *at = strstr(text, wanted); at != NULL; at = strstr(at + 1, wanted)) {
        count++;
    }
    return count;
}

START_TEST(renders_each_value_once)
{
    static struct metrics one;
    static struct metrics two;
    const struct metrics *const all[] = {&one, &two};
    const char *const names[] = {NULL, NULL};
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        metrics_add(&one, (enum metrics_id)id, 1000000);
        metrics_add(&two, (enum metrics_id)id, id);
    }
    char *text = render(all, names, 2);
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        char wanted[32];
        (void)snprintf(wanted, sizeof(wanted), " %u\n", 1000000 + id);
        ck_assert_msg(occurrences(text, wanted) == 1, "value %u is missing or double", id);
    }
    /* No other samples than these, and three histograms, each with its sum and count. */
    ck_assert_uint_eq(occurrences(text, "\n") - occurrences(text, "# "),
                      METRIC_COUNT + 3 * (METRICS_BUCKET_COUNT + 2));
    free(text);
}
END_TEST

static const struct {
    const char *why;
    enum metrics_id id;
    const char *sample;
} samples[] = {
    {"gauge", METRIC_CONNECTIONS_OPEN, "\nparley_connections_open 7\n"},
    {"counter", METRIC_BYTES_SENT, "\nparley_bytes_sent_total 7\n"},
    {"first of a family", METRIC_CLOSED_BY_CLIENT,
     "\nparley_connections_closed_total{reason=\"client\"} 7\n"},
    {"last of a family", METRIC_CLOSED_SHUTDOWN,
     "\nparley_connections_closed_total{reason=\"shutdown\"} 7\n"},
    {"path", METRIC_HTTP_PAGE, "\nparley_http_requests_total{path=\"page\"} 7\n"},
    {"refusal", METRIC_REJECTED_MESSAGE_TOO_BIG,
     "\nparley_rejected_total{reason=\"message_too_big\"} 7\n"},
    {"opcode", METRIC_FRAMES_RECEIVED_PONG, "\nparley_frames_received_total{opcode=\"pong\"} 7\n"},
    {"kind", METRIC_FRAMES_SENT_PUSH, "\nparley_frames_sent_total{kind=\"push\"} 7\n"},
    {"method", METRIC_COMMANDS_SUB_REFRESH, "\nparley_commands_total{method=\"sub_refresh\"} 7\n"},
    {"first code", METRIC_ERRORS_100, "\nparley_errors_total{code=\"100\"} 7\n"},
    {"code by number", (enum metrics_id)(METRIC_ERRORS_100 + 9),
     "\nparley_errors_total{code=\"109\"} 7\n"},
    {"last code", METRIC_ERRORS_113, "\nparley_errors_total{code=\"113\"} 7\n"},
    {"the last one", METRIC_LOG_DROPPED, "\nparley_log_dropped_total 7\n"},
};

START_TEST(names_and_labels)
{
    static struct metrics metrics;
    const struct metrics *const all[] = {&metrics};
    const char *const names[] = {NULL};
    metrics_add(&metrics, samples[_i].id, 7);
    char *text = render(all, names, 1);
    ck_assert_msg(strstr(text, samples[_i].sample) != NULL, "%s: no %s", samples[_i].why,
                  samples[_i].sample);
    free(text);
}
END_TEST

START_TEST(each_family_is_explained_once)
{
    char *text = render(NULL, NULL, 0);
    size_t families = 0;
    for (const char *line = text; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncmp(line, "# HELP ", 7) != 0) {
            continue;
        }
        families++;
        char name[64];
        ck_assert_int_eq(sscanf(line, "# HELP %62s ", name), 1);
        ck_assert_int_eq(strncmp(name, "parley_", 7), 0);
        char wanted[128];
        (void)snprintf(wanted, sizeof(wanted), "# HELP %s ", name);
        ck_assert_uint_eq(occurrences(text, wanted), 1);
        (void)snprintf(wanted, sizeof(wanted), "\n# TYPE %s ", name);
        ck_assert_uint_eq(occurrences(text, wanted), 1);
        /* TYPE comes right after HELP. */
        ck_assert_int_eq(strncmp(strchr(line, '\n'), wanted, strlen(wanted)), 0);
        /* A counter is called so. */
        (void)snprintf(wanted, sizeof(wanted), "# TYPE %s counter\n", name);
        const bool is_total = strstr(name, "_total") != NULL;
        ck_assert_msg(occurrences(text, wanted) == (is_total ? 1 : 0), "%s", name);
    }
    ck_assert_uint_eq(families, occurrences(text, "# TYPE "));
    ck_assert_uint_gt(families, 15);
    free(text);
}
END_TEST

START_TEST(gauges_go_up_and_down)
{
    static struct metrics opener;
    static struct metrics other;
    const struct metrics *const all[] = {&opener, &other};
    const char *const names[] = {NULL, NULL};
    metrics_add(&opener, METRIC_SESSIONS, 5);
    metrics_subtract(&opener, METRIC_SESSIONS, 2);
    ck_assert_uint_eq(metrics_read(&opener, METRIC_SESSIONS), 3);
    metrics_set(&other, METRIC_SESSIONS, 9);
    metrics_set(&other, METRIC_SESSIONS, 1);
    char *text = render(all, names, 2);
    ck_assert_ptr_nonnull(strstr(text, "\nparley_sessions 4\n"));
    free(text);
}
END_TEST

static const struct {
    const char *why;
    uint64_t duration_ns;
    const char *first_bucket; /* the lowest one that counts it */
    const char *not_in;       /* the one before; NULL: none */
} loops[] = {
    {"nothing", 0, "le=\"1e-06\"} 1\n", NULL},
    {"exactly 1 us", 1000, "le=\"1e-06\"} 1\n", NULL},
    {"just above", 1001, "le=\"2e-06\"} 1\n", "le=\"1e-06\"} 0\n"},
    {"exactly 2 us", 2000, "le=\"2e-06\"} 1\n", "le=\"1e-06\"} 0\n"},
    {"1 ms", 1000000, "le=\"0.001024\"} 1\n", "le=\"0.000512\"} 0\n"},
    {"the last bound", 4194304000, "le=\"4.194304\"} 1\n", "le=\"2.097152\"} 0\n"},
    {"above it", 4194304001, "le=\"+Inf\"} 1\n", "le=\"4.194304\"} 0\n"},
    {"an hour", UINT64_C(3600000000000), "le=\"+Inf\"} 1\n", "le=\"4.194304\"} 0\n"},
};

START_TEST(sorts_loops_into_buckets)
{
    static struct metrics metrics;
    const struct metrics *const all[] = {&metrics};
    const char *const names[] = {"0"};
    metrics_observe(&metrics.loop, loops[_i].duration_ns);
    char *text = render(all, names, 1);
    ck_assert_msg(strstr(text, loops[_i].first_bucket) != NULL, "%s", loops[_i].why);
    ck_assert(loops[_i].not_in == NULL || strstr(text, loops[_i].not_in) != NULL);
    ck_assert_ptr_nonnull(strstr(text, "le=\"+Inf\"} 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nparley_loop_seconds_count{reactor=\"0\"} 1\n"));
    char sum[96];
    (void)snprintf(sum, sizeof(sum), "\nparley_loop_seconds_sum{reactor=\"0\"} %.9f\n",
                   (double)loops[_i].duration_ns / 1e9);
    ck_assert_ptr_nonnull(strstr(text, sum));
    ck_assert_uint_eq(occurrences(text, "parley_loop_seconds_bucket"), METRICS_BUCKET_COUNT);
    free(text);
}
END_TEST

static const struct {
    uint64_t bytes;
    const char *first_bucket; /* the lowest one that counts it */
    const char *not_in;       /* the one before; NULL: none */
} sizes[] = {
    {0, "le=\"64\"} 1\n", NULL},
    {64, "le=\"64\"} 1\n", NULL},
    {65, "le=\"128\"} 1\n", "le=\"64\"} 0\n"},
    {128, "le=\"128\"} 1\n", "le=\"64\"} 0\n"},
    {129, "le=\"256\"} 1\n", "le=\"128\"} 0\n"},
    {65536, "le=\"65536\"} 1\n", "le=\"32768\"} 0\n"},
    {268435456, "le=\"268435456\"} 1\n", "le=\"134217728\"} 0\n"},
    {268435457, "le=\"+Inf\"} 1\n", "le=\"268435456\"} 0\n"},
    {UINT64_C(1) << 50, "le=\"+Inf\"} 1\n", "le=\"268435456\"} 0\n"},
};

START_TEST(sorts_sizes_into_buckets)
{
    static struct metrics metrics;
    const struct metrics *const all[] = {&metrics};
    const char *const names[] = {NULL};
    metrics_observe_bytes(&metrics.queues, sizes[_i].bytes);
    char *text = render(all, names, 1);
    const char *queues = strstr(text, "# HELP parley_send_queue_bytes ");
    ck_assert_ptr_nonnull(queues);
    ck_assert_msg(strstr(queues, sizes[_i].first_bucket) != NULL, "%s", sizes[_i].first_bucket);
    ck_assert(sizes[_i].not_in == NULL || strstr(queues, sizes[_i].not_in) != NULL);
    char sum[96];
    (void)snprintf(sum, sizeof(sum), "\nparley_send_queue_bytes_sum %.9f\n",
                   (double)sizes[_i].bytes);
    ck_assert_ptr_nonnull(strstr(queues, sum));
    free(text);
}
END_TEST

START_TEST(one_histogram_per_reactor)
{
    static struct metrics metrics[3];
    const struct metrics *const all[] = {&metrics[0], &metrics[1], &metrics[2]};
    const char *const names[] = {"0", NULL, "1"};
    metrics_observe(&metrics[0].loop, 5000);
    metrics_observe(&metrics[0].loop, 5000);
    metrics_observe(&metrics[2].loop, 5000);
    metrics_observe(&metrics[1].store, 9000);
    char *text = render(all, names, 3);
    ck_assert_ptr_nonnull(strstr(text, "\nparley_loop_seconds_count{reactor=\"0\"} 2\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nparley_loop_seconds_count{reactor=\"1\"} 1\n"));
    ck_assert_uint_eq(occurrences(text, "parley_loop_seconds_count"), 2);
    ck_assert_uint_eq(occurrences(text, "\nparley_reactor_connections{reactor=\""), 2);
    ck_assert_uint_eq(occurrences(text, "# TYPE parley_loop_seconds histogram\n"), 1);
    ck_assert_ptr_nonnull(strstr(text, "\nparley_store_seconds_count 1\n"));
    ck_assert_ptr_nonnull(strstr(text, "\nparley_store_seconds_bucket{le=\"1.6e-05\"} 1\n"));
    ck_assert_uint_eq(occurrences(text, "parley_store_seconds_sum"), 1);
    free(text);
}
END_TEST

enum { COUNT_UP_TO = 200000 };

static void count_up(void *context)
{
    for (size_t i = 0; i < COUNT_UP_TO; i++) {
        metrics_add(context, METRIC_DELIVERIES, 1);
        metrics_observe(&((struct metrics *)context)->loop, i);
    }
}

START_TEST(renders_while_another_thread_counts)
{
    static struct metrics metrics;
    const struct metrics *const all[] = {&metrics};
    const char *const names[] = {"0"};
    struct thread thread;
    ck_assert_int_eq(thread_start("counter", THREAD_NOT_PINNED, count_up, &metrics, &thread), 0);
    uint64_t before = 0;
    for (size_t i = 0; i < 20; i++) {
        free(render(all, names, 1));
        const uint64_t now = metrics_read(&metrics, METRIC_DELIVERIES);
        ck_assert_uint_ge(now, before);
        before = now;
    }
    thread_join(&thread);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_DELIVERIES), COUNT_UP_TO);
}
END_TEST

int main(void)
{
    TCase *values = tcase_create("values");
    tcase_add_test(values, renders_each_value_once);
    tcase_add_loop_test(values, names_and_labels, 0, (int)(sizeof(samples) / sizeof(samples[0])));
    tcase_add_test(values, each_family_is_explained_once);
    tcase_add_test(values, gauges_go_up_and_down);
    TCase *histogram = tcase_create("histogram");
    tcase_add_loop_test(histogram, sorts_loops_into_buckets, 0,
                        (int)(sizeof(loops) / sizeof(loops[0])));
    tcase_add_loop_test(histogram, sorts_sizes_into_buckets, 0,
                        (int)(sizeof(sizes) / sizeof(sizes[0])));
    tcase_add_test(histogram, one_histogram_per_reactor);
    tcase_add_test(histogram, renders_while_another_thread_counts);
    Suite *suite = suite_create("core/metrics");
    suite_add_tcase(suite, values);
    suite_add_tcase(suite, histogram);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
