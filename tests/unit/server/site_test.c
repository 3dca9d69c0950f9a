/* SPDX-License-Identifier: Apache-2.0 */
/*
 * site: which path is what, from a table for both listeners; and the answers to what is no upgrade.
 */
#include "server/site.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/http.h"
#include "server/memory.h"

static struct metrics all_zero;
static const struct metrics *const metrics[] = {&all_zero};
static const char *const names[] = {"0"};

static const struct memory_limit memory;

static struct site site_with(bool echo_enabled)
{
    return (struct site){
        .metrics = metrics,
        .metric_names = names,
        .metric_count = 1,
        .process = {.memory = &memory},
        .echo_enabled = echo_enabled,
    };
}

static struct bytes view(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static const struct {
    const char *why;
    const char *path;
    bool internal;
    bool echo;
    enum site_target target;
} paths[] = {
    {"the page", "/", false, false, SITE_PAGE},
    {"its script", "/chat.js", false, false, SITE_PAGE},
    {"the SDK", "/centrifuge.js", false, false, SITE_PAGE},
    {"clients", "/connection/websocket", false, false, SITE_CHAT},
    {"echo, off", "/echo", false, false, SITE_NOT_FOUND},
    {"echo, on", "/echo", false, true, SITE_ECHO},
    {"a longer path", "/echo/", false, true, SITE_NOT_FOUND},
    {"a shorter path", "/connection/websocke", false, false, SITE_NOT_FOUND},
    {"other case", "/Echo", false, true, SITE_NOT_FOUND},
    {"health is internal", "/health", false, false, SITE_NOT_FOUND},
    {"metrics are internal", "/metrics", false, false, SITE_NOT_FOUND},
    {"health", "/health", true, false, SITE_PAGE},
    {"metrics", "/metrics", true, false, SITE_PAGE},
    {"readiness", "/ready", true, false, SITE_PAGE},
    {"readiness is internal", "/ready", false, false, SITE_NOT_FOUND},
    {"no clients inside", "/connection/websocket", true, false, SITE_NOT_FOUND},
    {"no echo inside", "/echo", true, true, SITE_NOT_FOUND},
    {"no page inside", "/", true, false, SITE_NOT_FOUND},
    {"the API", "/api/publish", true, false, SITE_API},
    {"its streams", "/api", true, false, SITE_API},
    {"a path like it", "/apis", true, false, SITE_NOT_FOUND},
    {"the API is internal", "/api/publish", false, false, SITE_NOT_FOUND},
};

START_TEST(finds)
{
    const struct site site = site_with(paths[_i].echo);
    ck_assert_msg(site_find(&site, view(paths[_i].path), paths[_i].internal) == paths[_i].target,
                  "%s", paths[_i].why);
}
END_TEST

static const struct {
    const char *why;
    const char *path;
    enum http_method method;
    bool internal;
    enum site_state state;
    unsigned status;
    const char *has; /* at the start of the body; NULL: anything */
    enum metrics_id count;
} answers[] = {
    {"the page", "/", HTTP_GET, false, SITE_SERVING, 200, "<!doctype html>", METRIC_HTTP_PAGE},
    {"its head", "/", HTTP_HEAD, false, SITE_SERVING, 200, NULL, METRIC_HTTP_PAGE},
    {"nobody posts", "/", HTTP_POST, false, SITE_SERVING, 405, NULL, METRIC_HTTP_OTHER},
    {"nor asks for options", "/health", HTTP_OPTIONS, true, SITE_SERVING, 405, NULL,
     METRIC_HTTP_OTHER},
    {"nothing there", "/nothing", HTTP_GET, false, SITE_SERVING, 404, NULL, METRIC_HTTP_OTHER},
    {"no upgrade", "/connection/websocket", HTTP_GET, false, SITE_SERVING, 426, NULL,
     METRIC_HTTP_OTHER},
    {"serving", "/health", HTTP_GET, true, SITE_SERVING, 200, "ok\n", METRIC_HTTP_HEALTH},
    {"still", "/health", HTTP_GET, true, SITE_DRAINING, 200, "ok\n", METRIC_HTTP_HEALTH},
    {"ready", "/ready", HTTP_GET, true, SITE_SERVING, 200, "ready\n", METRIC_HTTP_HEALTH},
    {"not while draining", "/ready", HTTP_GET, true, SITE_DRAINING, 503, "draining\n",
     METRIC_HTTP_HEALTH},
    {"nor without memory", "/ready", HTTP_GET, true, SITE_OVERLOADED, 503, "overloaded",
     METRIC_HTTP_HEALTH},
    {"metrics", "/metrics", HTTP_GET, true, SITE_SERVING, 200, "# HELP parley_",
     METRIC_HTTP_METRICS},
    {"not inside", "/", HTTP_GET, true, SITE_SERVING, 404, NULL, METRIC_HTTP_OTHER},
};

START_TEST(answers_what_is_no_upgrade)
{
    const struct site site = site_with(false);
    const struct http_request request = {
        .method = answers[_i].method,
        .path = view(answers[_i].path),
    };
    struct site_answer answer;
    site_answer(&site, &request, answers[_i].internal, answers[_i].state, &answer);

    ck_assert_msg(answer.status == answers[_i].status, "%s", answers[_i].why);
    ck_assert_int_eq(answer.count, answers[_i].count);
    ck_assert_ptr_nonnull(answer.content_type);
    ck_assert_uint_gt(answer.body.size, 0);
    if (answers[_i].has != NULL) {
        const size_t size = strlen(answers[_i].has);
        ck_assert_uint_ge(answer.body.size, size);
        ck_assert_mem_eq(answer.body.data, answers[_i].has, size);
    }
    ck_assert_int_eq(answer.allocated != NULL, answer.count == METRIC_HTTP_METRICS);
    free(answer.allocated);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("site");
    tcase_add_loop_test(cases, finds, 0, (int)(sizeof(paths) / sizeof(paths[0])));
    tcase_add_loop_test(cases, answers_what_is_no_upgrade, 0,
                        (int)(sizeof(answers) / sizeof(answers[0])));
    Suite *suite = suite_create("server/site");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
