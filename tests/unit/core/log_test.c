/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log from both ends, into a memory file and with a clock of the test's own: formats and
 * escapes from a table in logfmt and JSON, levels, the rate limit, a full ring, cut fields, and two
 * threads that write while the logger's thread prints and sleeps (for ThreadSanitizer, and for
 * wake-ups: the test waits for a line that only a wake-up can bring).
 */
#include "core/log.h"

#include <check.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/logger.h"
#include "core/thread.h"

/* 2026-01-31 12:00:00.007 UTC */
#define TEST_TIME_MS UINT64_C(1769860800007)

enum { TEXT_SIZE_MAX = 1 << 20 };

static uint64_t clock_of_test_ms;

static uint64_t read_test_clock(void)
{
    return clock_of_test_ms;
}

/* For several threads: each reading is a second later, so that no rate limit bites. */
static _Thread_local uint64_t fast_clock_ms = TEST_TIME_MS;

static uint64_t read_fast_clock(void)
{
    fast_clock_ms += 1000;
    return fast_clock_ms;
}

struct scene {
    int fd;
    struct logger *logger;
    struct log *log;
    char text[TEXT_SIZE_MAX];
};

static struct scene scene; /* Check runs each test in a process of its own */

static void scene_open(enum logger_format format, uint64_t (*clock_ms)(void))
{
    clock_of_test_ms = TEST_TIME_MS;
    scene.fd = memfd_create("log", MFD_CLOEXEC);
    ck_assert_int_ge(scene.fd, 0);
    const struct logger_options options = {
        .format = format, .level = LOG_INFO, .fd = scene.fd, .clock_ms = clock_ms};
    scene.logger = logger_create(&options);
    ck_assert_ptr_nonnull(scene.logger);
    scene.log = logger_attach(scene.logger, "main");
    ck_assert_ptr_nonnull(scene.log);
}

static void scene_close(void)
{
    logger_destroy(scene.logger);
    (void)close(scene.fd);
}

/* Everything printed so far. */
static const char *scene_text(void)
{
    const ssize_t size = pread(scene.fd, scene.text, sizeof(scene.text) - 1, 0);
    ck_assert_int_ge(size, 0);
    scene.text[size] = '\0';
    return scene.text;
}

static size_t line_count(const char *text, const char *wanted)
{
    size_t count = 0;
    for (const char *at = strstr(text, wanted); at != NULL; at = strstr(at + 1, wanted)) {
        count++;
    }
    return count;
}

#define LOGFMT_START "time=2026-01-31T12:00:00.007Z level=warn event=hello thread=main"
#define JSON_START                                                                                 \
    "{\"time\":\"2026-01-31T12:00:00.007Z\",\"level\":\"warn\",\"event\":\"hello\","               \
    "\"thread\":\"main\""

static const struct {
    const char *why;
    const char *value;
    size_t size;
    const char *logfmt; /* the value as printed */
    const char *json;
} strings[] = {
    {"plain", "127.0.0.1:8000", 14, "127.0.0.1:8000", "\"127.0.0.1:8000\""},
    {"empty", "", 0, "\"\"", "\"\""},
    {"space", "a b", 3, "\"a b\"", "\"a b\""},
    {"equals sign", "a=b", 3, "\"a=b\"", "\"a=b\""},
    {"quote and backslash", "a\"b\\", 4, "\"a\\\"b\\\\\"", "\"a\\\"b\\\\\""},
    {"a forged line", "x\nlevel=error", 13, "\"x\\nlevel=error\"", "\"x\\nlevel=error\""},
    {"carriage return", "\r", 1, "\"\\u000d\"", "\"\\u000d\""},
    {"escape sequence", "\x1b[2J", 4, "\"\\u001b[2J\"", "\"\\u001b[2J\""},
    {"zero byte", "a\0b", 3, "\"a\\u0000b\"", "\"a\\u0000b\""},
    {"delete", "\x7f", 1, "\"\\u007f\"", "\"\\u007f\""},
    {"C1 control", "\xc2\x9b", 2, "\"\\u009b\"", "\"\\u009b\""},
    {"letters of others", "\xc3\xa9\xe2\x82\xac", 5, "\"\xc3\xa9\xe2\x82\xac\"",
     "\"\xc3\xa9\xe2\x82\xac\""},
    {"four bytes", "\xf0\x9f\x98\x80", 4, "\"\xf0\x9f\x98\x80\"", "\"\xf0\x9f\x98\x80\""},
    {"right to left override", "\xe2\x80\xae", 3, "\"\\u202e\"", "\"\\u202e\""},
    {"line separator", "\xe2\x80\xa8", 3, "\"\\u2028\"", "\"\\u2028\""},
    {"byte order mark", "\xef\xbb\xbf", 3, "\"\\ufeff\"", "\"\\ufeff\""},
    {"lone continuation", "\x80", 1, "\"\\ufffd\"", "\"\\ufffd\""},
    {"cut off", "a\xe2\x82", 3, "\"a\\ufffd\\ufffd\"", "\"a\\ufffd\\ufffd\""},
    {"overlong", "\xc0\xaf", 2, "\"\\ufffd\\ufffd\"", "\"\\ufffd\\ufffd\""},
    {"overlong, 3 bytes", "\xe0\x80\xaf", 3, "\"\\ufffd\\ufffd\\ufffd\"",
     "\"\\ufffd\\ufffd\\ufffd\""},
    {"surrogate", "\xed\xa0\x80", 3, "\"\\ufffd\\ufffd\\ufffd\"", "\"\\ufffd\\ufffd\\ufffd\""},
    {"above the last", "\xf4\x90\x80\x80", 4, "\"\\ufffd\\ufffd\\ufffd\\ufffd\"",
     "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
};

static void assert_line(const char *start, const char *separator, const char *value,
                        const char *end)
{
    char expected[512];
    (void)snprintf(expected, sizeof(expected), "%s%s%s%s\n", start, separator, value, end);
    ck_assert_str_eq(scene_text(), expected);
}

static void write_string(const char *value, size_t size)
{
    /* An exact-size heap copy: a read past the value is seen by ASan. */
    uint8_t *copy = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, value, size);
    const struct log_field field = log_bytes("k", (struct bytes){copy, size});
    log_write(scene.log, LOG_WARN, "hello", &field, 1);
    free(copy); /* the log has its own */
    ck_assert_uint_eq(logger_drain(scene.logger), 1);
}

START_TEST(escapes_in_logfmt)
{
    scene_open(LOGGER_LOGFMT, read_test_clock);
    write_string(strings[_i].value, strings[_i].size);
    assert_line(LOGFMT_START, " k=", strings[_i].logfmt, "");
    scene_close();
}
END_TEST

START_TEST(escapes_in_json)
{
    scene_open(LOGGER_JSON, read_test_clock);
    write_string(strings[_i].value, strings[_i].size);
    assert_line(JSON_START, ",\"k\":", strings[_i].json, "}");
    scene_close();
}
END_TEST

START_TEST(prints_numbers)
{
    const struct log_field fields[] = {log_int("low", INT64_MIN), log_int("zero", 0),
                                       log_uint("high", UINT64_MAX), log_text("none", NULL)};
    scene_open(LOGGER_LOGFMT, read_test_clock);
    log_write(scene.log, LOG_WARN, "hello", fields, 4);
    ck_assert_uint_eq(logger_drain(scene.logger), 1);
    assert_line(LOGFMT_START, " ",
                "low=-9223372036854775808 zero=0 high=18446744073709551615 none=\"\"", "");
    scene_close();
    scene_open(LOGGER_JSON, read_test_clock);
    log_write(scene.log, LOG_WARN, "hello", fields, 3);
    ck_assert_uint_eq(logger_drain(scene.logger), 1);
    assert_line(JSON_START, ",",
                "\"low\":-9223372036854775808,\"zero\":0,\"high\":18446744073709551615", "}");
    scene_close();
}
END_TEST

START_TEST(a_line_without_fields)
{
    scene_open(LOGGER_LOGFMT, read_test_clock);
    log_write(scene.log, LOG_WARN, "hello", NULL, 0);
    ck_assert_uint_eq(logger_drain(scene.logger), 1);
    assert_line(LOGFMT_START, "", "", "");
    ck_assert_uint_eq(logger_drain(scene.logger), 0);
    scene_close();
}
END_TEST

/* Values of 128 bytes, all strings of a record together 512, eight fields: the rest is cut. */
START_TEST(cuts_what_is_too_long)
{
    char value[300];
    memset(value, '\1', sizeof(value)); /* six bytes each when printed: the longest line */
    struct log_field fields[LOG_FIELD_COUNT_MAX + 1];
    for (size_t i = 0; i < LOG_FIELD_COUNT_MAX + 1; i++) {
        const char *key = i < LOG_FIELD_COUNT_MAX ? "kept" : "left_out";
        fields[i] = log_bytes(key, (struct bytes){(const uint8_t *)value, sizeof(value)});
    }
    scene_open(LOGGER_JSON, read_test_clock);
    log_write(scene.log, LOG_WARN, "hello", fields, 1);
    ck_assert_uint_eq(logger_drain(scene.logger), 1);
    ck_assert_uint_eq(line_count(scene_text(), "\\u0001"), LOG_STRING_SIZE_MAX);
    log_write(scene.log, LOG_WARN, "hello", fields, LOG_FIELD_COUNT_MAX + 1);
    ck_assert_uint_eq(logger_drain(scene.logger), 1);
    ck_assert_uint_eq(line_count(scene_text(), "\\u0001"), LOG_STRING_SIZE_MAX + 512);
    ck_assert_uint_eq(line_count(scene_text(), "\"kept\":"), 1 + LOG_FIELD_COUNT_MAX);
    ck_assert_uint_eq(line_count(scene_text(), "left_out"), 0);
    ck_assert_uint_eq(line_count(scene_text(), "\n"), 2);
    scene_close();
}
END_TEST

static const struct {
    const char *why;
    enum log_level level;
    bool is_on;
    const char *name;
} levels[] = {
    {"below", LOG_DEBUG, false, "debug"},
    {"the level itself", LOG_INFO, true, "info"},
    {"above", LOG_WARN, true, "warn"},
    {"highest", LOG_ERROR, true, "error"},
};

START_TEST(levels_decide)
{
    scene_open(LOGGER_LOGFMT, read_test_clock);
    ck_assert_int_eq(log_is_on(scene.log, levels[_i].level), levels[_i].is_on);
    log_write(scene.log, levels[_i].level, "hello", NULL, 0);
    ck_assert_uint_eq(logger_drain(scene.logger), levels[_i].is_on ? 1 : 0);
    char wanted[32];
    (void)snprintf(wanted, sizeof(wanted), " level=%s ", levels[_i].name);
    ck_assert_uint_eq(line_count(scene_text(), wanted), levels[_i].is_on ? 1 : 0);
    scene_close();

    enum log_level level = LOG_ERROR;
    ck_assert(log_level_from_name(levels[_i].name, &level));
    ck_assert_int_eq(level, levels[_i].level);
    ck_assert_str_eq(log_level_name(level), levels[_i].name);
}
END_TEST

START_TEST(refuses_other_level_names)
{
    static const char *const names[] = {"", "Info", "information", "warning", "0"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        enum log_level level = LOG_WARN;
        ck_assert(!log_level_from_name(names[i], &level));
        ck_assert_int_eq(level, LOG_WARN);
    }
}
END_TEST

START_TEST(no_log_is_a_log)
{
    ck_assert(!log_is_on(NULL, LOG_ERROR));
    log_write(NULL, LOG_ERROR, "hello", NULL, 0);
    log_report_suppressed(NULL);
    ck_assert_uint_eq(log_dropped(NULL), 0);
    logger_destroy(NULL);
}
END_TEST

/* --- Rates and rings -------------------------------------------------------------------------- */

START_TEST(limits_each_event)
{
    scene_open(LOGGER_LOGFMT, read_test_clock);
    for (size_t i = 0; i < 25; i++) {
        log_write(scene.log, LOG_WARN, "often", NULL, 0);
        clock_of_test_ms += 10;
    }
    log_write(scene.log, LOG_INFO, "seldom", NULL, 0);
    (void)logger_drain(scene.logger); /* the text says how many */
    ck_assert_uint_eq(line_count(scene_text(), "event=often"), LOG_RATE_PER_S);
    ck_assert_uint_eq(line_count(scene_text(), "event=seldom"), 1);
    ck_assert_uint_eq(line_count(scene_text(), "suppressed"), 0);

    clock_of_test_ms = TEST_TIME_MS + 999;
    log_report_suppressed(scene.log);
    (void)logger_drain(scene.logger);
    ck_assert_uint_eq(line_count(scene_text(), "suppressed"), 0);
    clock_of_test_ms = TEST_TIME_MS + 1000;
    log_report_suppressed(scene.log);
    log_report_suppressed(scene.log);
    (void)logger_drain(scene.logger);
    ck_assert_uint_eq(
        line_count(scene_text(), "level=warn event=often thread=main suppressed=15\n"), 1);
    ck_assert_uint_eq(line_count(scene_text(), "suppressed"), 1);
    log_write(scene.log, LOG_WARN, "often", NULL, 0); /* a new second */
    ck_assert_uint_eq(logger_drain(scene.logger), 1);
    scene_close();
}
END_TEST

START_TEST(the_next_event_reports_too)
{
    scene_open(LOGGER_LOGFMT, read_test_clock);
    for (size_t i = 0; i < LOG_RATE_PER_S + 3; i++) {
        log_write(scene.log, LOG_WARN, "often", NULL, 0);
    }
    clock_of_test_ms -= 5000; /* somebody set the clock back: the second is over as well */
    log_write(scene.log, LOG_WARN, "other", NULL, 0);
    ck_assert_uint_eq(logger_drain(scene.logger), LOG_RATE_PER_S + 2);
    ck_assert_uint_eq(line_count(scene_text(), "event=often thread=main suppressed=3\n"), 1);
    scene_close();
}
END_TEST

/* More events in a second than the table counts: none is lost, and no count is. */
START_TEST(many_events)
{
    enum { EVENT_COUNT = 100 };
    static char names[EVENT_COUNT][16];
    scene_open(LOGGER_LOGFMT, read_test_clock);
    for (size_t i = 0; i < LOG_RATE_PER_S + 5; i++) {
        log_write(scene.log, LOG_WARN, "often", NULL, 0);
    }
    for (size_t i = 0; i < EVENT_COUNT; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "event_%zu", i);
        clock_of_test_ms += 1;
        log_write(scene.log, LOG_WARN, names[i], NULL, 0);
    }
    (void)logger_drain(scene.logger); /* the text says how many */
    ck_assert_uint_eq(line_count(scene_text(), "event=event_"), EVENT_COUNT);
    ck_assert_uint_eq(line_count(scene_text(), "event=often thread=main suppressed=5\n"), 1);
    scene_close();
}
END_TEST

START_TEST(a_full_ring_drops_and_says_so)
{
    static char names[LOG_RECORD_COUNT + 7][16];
    scene_open(LOGGER_LOGFMT, read_fast_clock);
    for (size_t i = 0; i < LOG_RECORD_COUNT + 7; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "e%zu", i);
        log_write(scene.log, LOG_WARN, names[i], NULL, 0);
    }
    ck_assert_uint_eq(log_dropped(scene.log), 7);
    ck_assert_uint_eq(logger_drain(scene.logger), LOG_RECORD_COUNT);
    ck_assert_uint_eq(line_count(scene_text(), "event=e"), LOG_RECORD_COUNT);
    ck_assert_uint_eq(line_count(scene_text(), "event=e255 "), 1);
    ck_assert_uint_eq(line_count(scene_text(), "event=e256 "), 0);
    ck_assert_uint_eq(line_count(scene_text(), "event=log_dropped thread=main count=7\n"), 1);
    log_write(scene.log, LOG_WARN, "again", NULL, 0);
    ck_assert_uint_eq(logger_drain(scene.logger), 1);
    ck_assert_uint_eq(line_count(scene_text(), "log_dropped"), 1);
    scene_close();
}
END_TEST

START_TEST(a_broken_sink_stops_nobody)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    const struct logger_options options = {.fd = ends[1], .clock_ms = read_fast_clock};
    struct logger *logger = logger_create(&options);
    struct log *log = logger_attach(logger, "main");
    for (size_t i = 0; i < 5120; i++) { /* far more than a pipe holds */
        log_write(log, LOG_ERROR, "hello", NULL, 0);
        if (i % 100 == 0) {
            (void)logger_drain(logger);
        }
    }
    ck_assert_uint_eq(log_dropped(log), 0);
    logger_destroy(logger);
    (void)close(ends[0]);
    (void)close(ends[1]);
}
END_TEST

/* --- Threads ---------------------------------------------------------------------------------- */

enum { WRITER_COUNT = 2, LINES_PER_WRITER = 3000, LINE_COUNT = WRITER_COUNT * LINES_PER_WRITER };

static void write_lines(void *context)
{
    for (uint64_t i = 0; i < LINES_PER_WRITER; i++) {
        const struct log_field field = log_uint("i", i);
        log_write(context, LOG_INFO, "line", &field, 1);
        if (i % 64 == 0) {
            (void)sched_yield();
        }
    }
}

START_TEST(threads_write_while_one_prints)
{
    struct log *logs[WRITER_COUNT];
    struct thread threads[WRITER_COUNT];
    scene_open(LOGGER_LOGFMT, read_fast_clock);
    ck_assert_int_eq(logger_start(scene.logger), 0);
    for (size_t i = 0; i < WRITER_COUNT; i++) {
        logs[i] = logger_attach(scene.logger, i == 0 ? "zero" : "one");
        ck_assert_ptr_nonnull(logs[i]);
        ck_assert_int_eq(
            thread_start("writer", THREAD_NOT_PINNED, write_lines, logs[i], &threads[i]), 0);
    }
    uint64_t dropped = 0;
    for (size_t i = 0; i < WRITER_COUNT; i++) {
        thread_join(&threads[i]);
        dropped += log_dropped(logs[i]);
    }
    logger_stop(scene.logger); /* with a last drain */
    const size_t lines = line_count(scene_text(), "event=line");
    ck_assert_uint_eq(lines + dropped, LINE_COUNT);
    ck_assert_uint_eq(line_count(scene_text(), "thread=zero i=0\n"), 1);
    ck_assert_uint_eq(line_count(scene_text(), "thread=one i=0\n"), 1);
    scene_close();
}
END_TEST

/* Each line is waited for before the next is written, so the printer sleeps in between. */
START_TEST(a_line_wakes_the_printer)
{
    enum { LINES = 200 };
    static char names[LINES][16];
    scene_open(LOGGER_LOGFMT, read_fast_clock);
    ck_assert_int_eq(logger_start(scene.logger), 0);
    for (size_t i = 0; i < LINES; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "event_%zu", i);
        log_write(scene.log, LOG_INFO, names[i], NULL, 0);
        char wanted[32];
        (void)snprintf(wanted, sizeof(wanted), "event=event_%zu ", i);
        for (size_t tries = 0; strstr(scene_text(), wanted) == NULL; tries++) {
            ck_assert_msg(tries < 600000, "a wake-up was lost");
            (void)usleep(50);
        }
    }
    logger_stop(scene.logger);
    logger_stop(scene.logger);                       /* nothing */
    ck_assert_int_eq(logger_start(scene.logger), 0); /* and again */
    scene_close();
}
END_TEST

int main(void)
{
    const int string_count = (int)(sizeof(strings) / sizeof(strings[0]));
    TCase *lines = tcase_create("lines");
    tcase_add_loop_test(lines, escapes_in_logfmt, 0, string_count);
    tcase_add_loop_test(lines, escapes_in_json, 0, string_count);
    tcase_add_test(lines, prints_numbers);
    tcase_add_test(lines, a_line_without_fields);
    tcase_add_test(lines, cuts_what_is_too_long);
    tcase_add_loop_test(lines, levels_decide, 0, (int)(sizeof(levels) / sizeof(levels[0])));
    tcase_add_test(lines, refuses_other_level_names);
    tcase_add_test(lines, no_log_is_a_log);
    TCase *rates = tcase_create("rates");
    tcase_add_test(rates, limits_each_event);
    tcase_add_test(rates, the_next_event_reports_too);
    tcase_add_test(rates, many_events);
    tcase_add_test(rates, a_full_ring_drops_and_says_so);
    tcase_add_test(rates, a_broken_sink_stops_nobody);
    TCase *threads = tcase_create("threads");
    tcase_set_timeout(threads, 120);
    tcase_add_test(threads, threads_write_while_one_prints);
    tcase_add_test(threads, a_line_wakes_the_printer);
    Suite *suite = suite_create("core/log");
    suite_add_tcase(suite, lines);
    suite_add_tcase(suite, rates);
    suite_add_tcase(suite, threads);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
