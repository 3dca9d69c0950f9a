/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of an answer that come in each order there is: the text is the same, and has them in the
 * order in which they were expected. What is too big, and what comes too late.
 */
#include "server/api_answer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics.h"

static struct metrics metrics;

static struct bytes view(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static uint32_t expect(struct api_answer *answer, enum api_method method, enum api_part_kind kind)
{
    uint32_t part = 0;
    ck_assert_int_eq(api_answer_expect(answer, method, kind, &part), 0);
    return part;
}

static void ck_text(const struct api_answer *answer, const char *expected)
{
    const struct bytes text = api_answer_text(answer);
    ck_assert_msg(text.size == strlen(expected) && memcmp(text.data, expected, text.size) == 0,
                  "%.*s, and not %s", (int)text.size, (const char *)text.data, expected);
}

static struct api_answer begun(enum api_form form, uint32_t bytes_max)
{
    struct api_answer answer;
    api_answer_init(&answer, &metrics, bytes_max);
    api_answer_begin(&answer, form);
    return answer;
}

static const char *const forms[] = {
    [API_FORM_ONE] = "{\"result\":{\"a\":1}}",
    [API_FORM_BATCH] = "{\"replies\":[{\"publish\":{\"a\":1}}]}",
    [API_FORM_STREAM] = "{\"publish\":{\"a\":1}}\n",
};

START_TEST(has_a_form)
{
    struct api_answer answer = begun((enum api_form)_i, 1000);
    api_answer_take(&answer, expect(&answer, API_PUBLISH, API_PART_WHOLE), CODES_ERROR_NONE,
                    view("{\"a\":1}"));
    ck_assert_uint_eq(api_answer_count(&answer), 0);
    api_answer_end(&answer);
    ck_text(&answer, forms[_i]);
    api_answer_deinit(&answer);
}
END_TEST

static const char *const errors[] = {
    [API_FORM_ONE] = "{\"error\":{\"code\":102,\"message\":\"unknown channel\"}}",
    [API_FORM_BATCH] = "{\"replies\":[{\"error\":{\"code\":102,\"message\":\"unknown channel\"}}]}",
    [API_FORM_STREAM] = "{\"error\":{\"code\":102,\"message\":\"unknown channel\"}}\n",
};

START_TEST(or_an_error)
{
    struct api_answer answer = begun((enum api_form)_i, 1000);
    const uint64_t before = metrics_read(&metrics, METRIC_API_ERRORS_HISTORY);
    api_answer_take(&answer, expect(&answer, API_HISTORY, API_PART_WHOLE),
                    CODES_ERROR_UNKNOWN_CHANNEL, view(""));
    api_answer_end(&answer);
    ck_text(&answer, errors[_i]);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_API_ERRORS_HISTORY), before + 1);
    api_answer_deinit(&answer);
}
END_TEST

START_TEST(is_empty_as_a_batch_may_be)
{
    struct api_answer answer = begun(API_FORM_BATCH, 1000);
    api_answer_end(&answer);
    ck_text(&answer, "{\"replies\":[]}");
    api_answer_deinit(&answer);
}
END_TEST

enum { PARTS = 4 };

/* Parts 0 to 3 in the order of permutation `number`, of 24. */
static void order_of(int number, int order[PARTS])
{
    int left[PARTS] = {0, 1, 2, 3};
    for (int i = 0; i < PARTS; i++) {
        const int index = number % (PARTS - i);
        number /= PARTS - i;
        order[i] = left[index];
        memmove(left + index, left + index + 1, sizeof(*left) * (size_t)(PARTS - i - index - 1));
    }
}

/* A publish, a broadcast to two channels, and a publish. */
START_TEST(keeps_the_order)
{
    struct api_answer answer = begun(API_FORM_BATCH, 1000);
    uint32_t parts[PARTS];
    int order[PARTS];
    parts[0] = expect(&answer, API_PUBLISH, API_PART_WHOLE);
    (void)expect(&answer, API_BROADCAST, API_PART_BEGIN);
    parts[1] = expect(&answer, API_BROADCAST, API_PART_ITEM);
    parts[2] = expect(&answer, API_BROADCAST, API_PART_ITEM);
    (void)expect(&answer, API_BROADCAST, API_PART_END);
    parts[3] = expect(&answer, API_PUBLISH, API_PART_WHOLE);
    ck_assert_uint_eq(api_answer_count(&answer), 6);

    order_of(_i, order);
    for (int i = 0; i < PARTS; i++) {
        char text[16];
        (void)snprintf(text, sizeof(text), "{\"n\":%d}", order[i]);
        api_answer_take(&answer, parts[order[i]], CODES_ERROR_NONE, view(text));
        /* Again is nothing, whether it waits or is in the text. */
        api_answer_take(&answer, parts[order[i]], CODES_ERROR_INTERNAL, view("{}"));
    }
    ck_assert_uint_eq(api_answer_count(&answer), 0);
    api_answer_end(&answer);
    ck_text(&answer, "{\"replies\":[{\"publish\":{\"n\":0}},{\"broadcast\":{\"responses\":["
                     "{\"result\":{\"n\":1}},{\"result\":{\"n\":2}}]}},{\"publish\":{\"n\":3}}]}");
    api_answer_deinit(&answer);
}
END_TEST

/* One that did not fit costs itself only, in its turn or before it. */
START_TEST(has_a_limit)
{
    char large[600];
    memset(large, '1', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    struct api_answer answer = begun(API_FORM_STREAM, 1000);
    const uint32_t first = expect(&answer, API_PUBLISH, API_PART_WHOLE);
    const uint32_t second = expect(&answer, API_PUBLISH, API_PART_WHOLE);
    const uint32_t third = expect(&answer, API_PUBLISH, API_PART_WHOLE);
    api_answer_take(&answer, second, CODES_ERROR_NONE, view(large));
    api_answer_take(&answer, third, CODES_ERROR_NONE, view(large));
    api_answer_take(&answer, first, CODES_ERROR_NONE, view("{}"));
    const struct bytes text = api_answer_text(&answer);
    static const char end[] = "1}\n{\"error\":{\"code\":106,\"message\":\"limit exceeded\"}}\n";
    ck_assert_uint_gt(text.size, sizeof(large));
    ck_assert_uint_lt(text.size, 1000);
    ck_assert_int_eq(memcmp(text.data + text.size - strlen(end), end, strlen(end)), 0);
    /* What has been sent makes room. */
    api_answer_clear(&answer);
    api_answer_take(&answer, expect(&answer, API_PUBLISH, API_PART_WHOLE), CODES_ERROR_NONE,
                    view(large));
    ck_assert_uint_gt(api_answer_text(&answer).size, sizeof(large));
    api_answer_deinit(&answer);
}
END_TEST

/* An error in other words than the code's, in its turn and before it. */
START_TEST(an_error_has_its_own_words)
{
    struct api_answer answer = begun(API_FORM_BATCH, 1000);
    const uint32_t first = expect(&answer, API_RELOAD, API_PART_WHOLE);
    const uint32_t last = expect(&answer, API_RELOAD, API_PART_WHOLE);
    api_answer_take(&answer, last, CODES_ERROR_BAD_REQUEST, view("{\"code\":107,\"b\":2}"));
    api_answer_take(&answer, first, CODES_ERROR_BAD_REQUEST, view("{\"code\":107,\"a\":1}"));
    api_answer_end(&answer);
    ck_text(&answer, "{\"replies\":[{\"error\":{\"code\":107,\"a\":1}},"
                     "{\"error\":{\"code\":107,\"b\":2}}]}");
    api_answer_deinit(&answer);
}
END_TEST

/* What was expected for one request is not taken for the next. */
START_TEST(forgets)
{
    struct api_answer answer = begun(API_FORM_STREAM, 1000);
    uint32_t old[40];
    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
        old[i] = expect(&answer, API_PUBLISH, API_PART_WHOLE);
    }
    api_answer_take(&answer, old[20], CODES_ERROR_NONE, view("{\"kept\":true}"));
    api_answer_begin(&answer, API_FORM_ONE);
    const uint32_t part = expect(&answer, API_INFO, API_PART_WHOLE);
    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
        api_answer_take(&answer, old[i], CODES_ERROR_NONE, view("{\"old\":true}"));
    }
    ck_assert_uint_eq(api_answer_text(&answer).size, 0);
    api_answer_take(&answer, part, CODES_ERROR_NONE, view("{}"));
    ck_text(&answer, "{\"result\":{}}");
    api_answer_deinit(&answer);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("api_answer");
    tcase_add_loop_test(tests, has_a_form, 0, 3);
    tcase_add_loop_test(tests, or_an_error, 0, 3);
    tcase_add_loop_test(tests, keeps_the_order, 0, 24);
    tcase_add_test(tests, is_empty_as_a_batch_may_be);
    tcase_add_test(tests, has_a_limit);
    tcase_add_test(tests, an_error_has_its_own_words);
    tcase_add_test(tests, forgets);
    Suite *suite = suite_create("server/api_answer");
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
