/* SPDX-License-Identifier: Apache-2.0 */
/*
 * report, from made-up runs: the text has the numbers that follow from them, the JSON is read with
 * proto/json, the page with the marks of its parts; and what cannot be written leaves nothing.
 */
#include "bench/load/report.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/load/options.h"
#include "bench/load/tally.h"
#include "proto/json.h"

static const struct report_point points[] = {
    {.at_s = 1,
     .seconds = 1,
     .sent = 100,
     .received = 1000,
     .connects = 5,
     .p50_ns = 1,
     .connected = 10},
    {.at_s = 2, .seconds = 1, .sent = 400, .received = 4000, .p50_ns = 2, .connected = 10},
    {.at_s = 4, .seconds = 2, .sent = 400, .received = 4000, .p50_ns = 3, .connected = 10},
    {.at_s = 4.01, .seconds = 0.01, .sent = 100, .received = 1000, .connected = 10},
};

static const struct report_step steps[] = {
    {.rate = 1000, .sent_rate = 999, .p99_ns = 1500000},
    {.rate = 2000,
     .sent_rate = 1700,
     .p99_ns = 90000000,
     .lost = 3,
     .fault = REPORT_FAULT_MESSAGES},
};

enum { PATH_SIZE = 256, DEPTH_MAX = 8 };

static struct tally *tally;
static struct options options; /* of each report; a test may change them */
static char folder[PATH_SIZE];

static void setup(void)
{
    tally = calloc(1, sizeof(*tally));
    ck_assert_ptr_nonnull(tally);
    (void)snprintf(folder, sizeof(folder), "/tmp/report_test.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static const char *in_folder(const char *name)
{
    static char path[4 * PATH_SIZE];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* Files in the folder; each of them goes. */
static size_t empty_folder(void)
{
    size_t count = 0;
    DIR *names = opendir(folder);
    ck_assert_ptr_nonnull(names);
    for (const struct dirent *entry = readdir(names); entry != NULL; entry = readdir(names)) {
        if (entry->d_name[0] != '.') {
            ck_assert_int_eq(remove(in_folder(entry->d_name)), 0);
            count++;
        }
    }
    (void)closedir(names);
    return count;
}

static void teardown(void)
{
    (void)empty_folder();
    (void)rmdir(folder);
    free(tally);
}

/* 1000 messages in 4 s, 10 deliveries each, latencies of 1 .. 10000 µs. */
static struct report made_up(void)
{
    tally_add(tally, TALLY_CONNECTS, 10);
    tally_add(tally, TALLY_SENT, 1000);
    tally_add(tally, TALLY_RECEIVED, 10000);
    tally_add(tally, TALLY_EXPECTED, 10000);
    tally_add(tally, TALLY_BYTES_SENT, 64000);
    tally_add(tally, TALLY_BYTES_RECEIVED, 640000);
    for (uint64_t us = 1; us <= 10000; us++) {
        histogram_add(&tally->latency, us * 1000);
    }
    options = (struct options){
        .scenario = OPTIONS_FANOUT,
        .url = "ws://127.0.0.1:8000/connection/websocket",
        .connections = 10,
        .threads = 2,
        .rate = 250,
        .size_text = "20-512",
        .publishers = 3,
        .rooms = 1,
        .channel = "bench-",
        .warmup_ns = 1500000000,
        .duration_ns = 4000000000,
        .seed = 18446744073709551615U,
        .cpus = {1, 3},
        .cpu_count = 2,
    };
    return (struct report){
        .options = &options,
        .command_line = "parley-bench fanout",
        .backend = "epoll",
        .tally = tally,
        .tls_fault = "",
        .seconds = 4,
        .generator = {.user_ns = 800000000, .system_ns = 1200000000},
        .busiest_ns = 1600000000,
        .has_server = true,
        .server = {.user_ns = 30000000, .system_ns = 50000000, .user_bytes = 70000},
        .server_user_bytes_before = 20000,
        .kernel_bytes_before = 1000000,
        .kernel_bytes_after = 1100000,
        .connect_seconds = 0.5,
    };
}

/* Runs of blanks are one, so that a table may change its columns. */
static char *text_of(const struct report *report)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    report_write_text(report, out);
    ck_assert_int_eq(fclose(out), 0);

    char *target = text;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at != ' ' || at[1] != ' ') {
            *target++ = *at;
        }
    }
    *target = '\0';
    return text;
}

static void ck_has(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) != NULL, "no \"%s\" in:\n%s", part, text);
}

static void ck_has_not(const char *text, const char *part)
{
    ck_assert_msg(strstr(text, part) == NULL, "\"%s\" in:\n%s", part, text);
}

START_TEST(text_has_the_numbers)
{
    static const char *const parts[] = {
        "fanout, ws://127.0.0.1:8000/connection/websocket\n",
        "10 connections, 2 threads on epoll, 250 messages/s asked for, 4.0 s\n",
        "connected in 0.50 s, 20/s\n",
        " messages 250.0 /s 1000\n",
        " deliveries 2500.0 /s 10000\n",
        " bytes out 16000.0 /s 64000\n",
        " bytes in 160000.0 /s 640000\n",
        " p50 5.0", /* the buckets are not finer than this */
        " p90 9.0",
        " p99 9.9",
        " p99.9 10.00 ms\n",
        " p99.99 10.00 ms\n",
        " max 10.00 ms\n",
        " mean 5.00 ms\n",
        "faults: none\n",
        " per message 80.000 µs (user 30.000, kernel 50.000)\n",
        " per delivery 8.000 µs (user 3.000, kernel 5.000)\n",
        " in all 0.02 CPUs\n",
        " user, server 5000 bytes\n",
        " kernel, both ends 10000 bytes\n",
        "generator: 25.0 % of its threads, the busiest 40.0 %, 0 sent late (0.00 %)\n",
    };
    const struct report report = made_up();
    char *text = text_of(&report);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        ck_has(text, parts[i]);
    }
    ck_has_not(text, "WARNING");
    ck_has_not(text, "knee");
    ck_has_not(text, "by interval");
    ck_has_not(text, " x ");
    ck_has_not(text, "STOPPED");
    ck_assert(report_is_clean(&report));
    free(text);
}
END_TEST

static const struct {
    const char *name;
    enum tally_id id;
} faults[] = {
    {" lost 3\n", TALLY_LOST},           {" duplicated 3\n", TALLY_DUPLICATED},
    {" reordered 3\n", TALLY_REORDERED}, {" corrupted 3\n", TALLY_CORRUPTED},
    {" errors 3\n", TALLY_ERRORS},       {" not connected 3\n", TALLY_CONNECT_FAILED},
    {" closed 3\n", TALLY_CLOSED},
};

START_TEST(each_fault_shows)
{
    const struct report report = made_up();
    tally_add(tally, faults[_i].id, 3);
    char *text = text_of(&report);

    ck_assert(!report_is_clean(&report));
    ck_has(text, faults[_i].name);
    ck_has_not(text, "faults: none");
    free(text);
}
END_TEST

static void add_causes(enum cause_kind kind, uint32_t code, int count)
{
    for (int i = 0; i < count; i++) {
        tally_add_cause(tally, kind, code);
    }
}

START_TEST(text_has_the_causes)
{
    struct report report = made_up();
    add_causes(CAUSE_CLOSED, 1006, 7);
    add_causes(CAUSE_CLOSED, 3008, 9);
    add_causes(CAUSE_SYSTEM, ECONNREFUSED, 2);
    add_causes(CAUSE_STATUS, 503, 1);
    add_causes(CAUSE_TLS, 0, 1);
    report.tls_fault = "self-signed certificate";
    char *text = text_of(&report);

    ck_has(text, " 7 x closed with 1006 (without a code)\n");
    ck_has(text, " 9 x closed with 3008\n");
    ck_has(text, " 2 x Connection refused\n");
    ck_has(text, " 1 x HTTP status 503 and not 101\n");
    ck_has(text, " 1 x TLS: self-signed certificate\n");
    free(text);
}
END_TEST

START_TEST(text_says_that_it_was_stopped)
{
    struct report report = made_up();
    report.signal = SIGINT;
    char *text = text_of(&report);
    ck_has(text, "STOPPED by SIGINT");
    free(text);
}
END_TEST

START_TEST(text_has_the_steps)
{
    struct report report = made_up();
    report.steps = steps;
    report.step_count = 2;
    report.knee_rate = 1000;
    report.is_knee_exact = true;
    char *text = text_of(&report);
    ck_has(text, " 1000 999 1.50 0 passed\n");
    ck_has(text, " 2000 1700 90.00 3 faults\n");
    ck_has(text, "knee: 1000 messages/s\n");
    ck_has_not(text, "WARNING");
    free(text);

    const struct report_step late[] = {
        steps[0], steps[1], {.rate = 1500, .fault = REPORT_FAULT_GENERATOR}};
    report.steps = late;
    report.step_count = 3;
    report.is_knee_exact = false;
    text = text_of(&report);
    ck_has(text, "knee: 1000 messages/s or more: the search ended early\n");
    ck_has(text, "WARNING: above it the generator was the limit");
    free(text);
    report.steps = steps;
    report.step_count = 2;

    report.knee_rate = 0;
    text = text_of(&report);
    ck_has(text, "knee: none");
    free(text);
}
END_TEST

START_TEST(text_has_the_spread)
{
    struct report report = made_up();
    report.points = points;
    report.point_count = sizeof(points) / sizeof(points[0]);
    char *text = text_of(&report);

    /* 100, 400 and 200 a second; the last interval is too short to count. */
    ck_has(text, " messages 100.0 / 200.0 / 400.0 /s\n");
    ck_has(text, " deliveries 1000.0 / 2000.0 / 4000.0 /s\n");
    ck_has(text, " connects 0.0 / 0.0 / 5.0 /s\n");
    free(text);
}
END_TEST

static const struct report_storm storm = {
    .struck = 8,
    .away_seconds = 1.5,
    .seconds = 2,
    .server = {.user_ns = 10000000, .system_ns = 30000000},
    .generator = {.user_ns = 50000000, .system_ns = 20000000},
};

START_TEST(text_has_the_storm)
{
    struct report report = made_up();
    char *text = text_of(&report);
    ck_has_not(text, "storm");
    ck_has_not(text, "recover");
    free(text);

    options.recovers = true;
    report.storm = &storm;
    tally_add(tally, TALLY_RECOVERED, 6);
    tally_add(tally, TALLY_NOT_RECOVERED, 2);
    tally_add(tally, TALLY_GIVEN, 600);
    tally_add(tally, TALLY_RESUBSCRIBED, 3);
    for (uint64_t ms = 1; ms <= 8; ms++) {
        histogram_add(&tally->back, ms * 100000000);
    }
    histogram_add(&tally->recovered, 2000000000);
    histogram_add(&tally->live[STORM_RETURN], 1000000);
    text = text_of(&report);
    ck_has(text, " recovered 6\n");
    ck_has(text, " not recovered 2\n");
    ck_has(text, " publications given 600\n");
    ck_has(text, " told to come again 3\n");
    ck_has(text, " late, p99 2.00 s\n");
    ck_has(text, "storm: 8 cut, away for 1.50 s; 8 are back\n");
    ck_has(text, " back, 50 % 40");
    ck_has(text, " back, last 800.00 ms\n");
    ck_has(text, " live, before: p50 0.000 ms, p99 0.000 ms, max 0.000 ms of 0\n");
    ck_has(text, " live, return: p50 1.000 ms, p99 1.000 ms, max 1.000 ms of 1\n");
    ck_has(text, " server CPU 0.040 s (user 0.010, kernel 0.030), 5000.0 µs for each\n");
    ck_has(text, " our CPU 0.070 s\n");
    ck_assert_msg(report_is_clean(&report), "who was told has lost nothing");
    free(text);
}
END_TEST

START_TEST(text_says_less_when_less_is_known)
{
    struct report report = made_up();
    report.has_server = false;
    report.kernel_bytes_before = 0;
    options.rate = 0;
    options.window = 16;
    char *text = text_of(&report);

    ck_has(text, " 16 in flight, 4.0 s\n");
    ck_has_not(text, "server CPU");
    ck_has_not(text, "memory");
    free(text);
}
END_TEST

START_TEST(memory_may_be_less_than_before)
{
    struct report report = made_up();
    report.kernel_bytes_after = 900000;
    char *text = text_of(&report);

    ck_has(text, " kernel, both ends -10000 bytes\n");
    free(text);
}
END_TEST

static const struct {
    const char *why;
    uint64_t used_ns;    /* of two threads in four seconds */
    uint64_t busiest_ns; /* of the one that used the most */
    uint64_t late;       /* of 1000 */
    bool bound;
} loads[] = {
    {"idle", 0, 0, 0, false},
    {"busy", 7100000000, 3550000000, 0, false},
    {"nothing left", 7300000000, 3600000000, 0, true},
    {"one has nothing left", 4000000000, 3700000000, 0, true},
    {"a few are late", 0, 0, 10, false},
    {"late", 0, 0, 11, true},
};

START_TEST(knows_when_the_generator_is_the_limit)
{
    struct report report = made_up();
    report.generator = (struct procstat){.user_ns = loads[_i].used_ns};
    report.busiest_ns = loads[_i].busiest_ns;
    tally_add(tally, TALLY_LATE_SENDS, loads[_i].late);
    char *text = text_of(&report);

    ck_assert_msg(report_is_generator_bound(&report) == loads[_i].bound, "%s", loads[_i].why);
    ck_assert_msg((strstr(text, "\nWARNING: ") != NULL) == loads[_i].bound, "%s", loads[_i].why);
    free(text);
}
END_TEST

/* Nothing was sent, nobody connected, it took no time. */
static struct report empty(void)
{
    options = (struct options){.url = "", .size_text = "64", .channel = ""};
    return (struct report){
        .options = &options,
        .command_line = "",
        .backend = "uring",
        .tally = tally,
        .tls_fault = "",
        .has_server = true,
    };
}

START_TEST(text_of_nothing)
{
    const struct report report = empty();
    char *text = text_of(&report);

    ck_has(text, "latency: nothing was timed\n");
    ck_has(text, " messages 0.0 /s 0\n");
    ck_has_not(text, "nan");
    ck_has_not(text, "inf");
    ck_assert(report_is_clean(&report));
    ck_assert(!report_is_generator_bound(&report));
    free(text);
}
END_TEST

/* The whole file, with a NUL behind it. */
static char *content_of(const char *path)
{
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    const long size = ftell(file);
    ck_assert_int_ge(size, 0);
    rewind(file);
    char *content = calloc(1, (size_t)size + 1);
    ck_assert_ptr_nonnull(content);
    ck_assert_uint_eq(fread(content, 1, (size_t)size, file), (size_t)size);
    (void)fclose(file);
    ck_assert_uint_eq(strlen(content), (size_t)size);
    return content;
}

static char *json_of(const struct report *report)
{
    const char *path = in_folder("report.json");
    ck_assert_int_eq(report_write_json(report, path), 0);
    char *json = content_of(path);
    ck_assert_int_eq(json_validate((struct bytes){(uint8_t *)json, strlen(json)}, DEPTH_MAX),
                     JSON_OK);
    return json;
}

/* What stands at "results/lost", as it is written. */
static struct bytes value_at(struct bytes json, const char *path)
{
    const size_t name_size = strcspn(path, "/");
    struct json_reader reader;
    json_reader_init(&reader, json, DEPTH_MAX);
    ck_assert_int_eq(json_open_object(&reader), JSON_OK);
    for (;;) {
        struct json_string key;
        struct bytes value;
        ck_assert_msg(json_next_member(&reader, &key) == JSON_OK, "no %s", path);
        ck_assert_int_eq(json_read_raw(&reader, &value), JSON_OK);
        if (key.raw.size == name_size && memcmp(key.raw.data, path, name_size) == 0) {
            return path[name_size] == '\0' ? value : value_at(value, path + name_size + 1);
        }
    }
}

static void ck_value(const char *json, const char *path, const char *expected)
{
    const struct bytes value = value_at((struct bytes){(const uint8_t *)json, strlen(json)}, path);
    ck_assert_msg(value.size == strlen(expected) && memcmp(value.data, expected, value.size) == 0,
                  "%s is %.*s and not %s", path, (int)value.size, (const char *)value.data,
                  expected);
}

START_TEST(json_has_the_numbers)
{
    static const struct {
        const char *path;
        const char *value;
    } members[] = {
        {"format", "1"},
        {"command_line", "\"parley-bench fanout\""},
        {"options/scenario", "\"fanout\""},
        {"options/rate", "250"},
        {"options/seed", "18446744073709551615"},
        {"options/size", "\"20-512\""},
        {"options/script", "\"ascii\""},
        {"options/publishers", "3"},
        {"options/warmup_s", "1.5"},
        {"options/duration_s", "4"},
        {"options/subprotocol", "null"},
        {"options/cpus", "[1,3]"},
        {"stopped", "null"},
        {"results/clean", "true"},
        {"results/generator_bound", "false"},
        {"results/seconds", "4"},
        {"results/sent", "1000"},
        {"results/bytes_received", "640000"},
        {"results/received_per_s", "2500"},
        {"results/close_codes", "[[1006,7]]"},
        {"results/causes", "[{\"kind\":\"closed\",\"code\":1006,\"count\":7,\"text\":\"closed with "
                           "1006 (without a code)\"},{\"kind\":\"system\",\"code\":111,\"count\":1,"
                           "\"text\":\"Connection refused\"}]"},
        {"server/user_us_per_message", "30"},
        {"server/system_us_per_delivery", "5"},
        {"server/user_bytes_per_connection", "5000"},
        {"kernel_both_ends/bytes_per_connection", "10000"},
        {"generator/thread_share", "0.25"},
        {"generator/busiest_share", "0.4"},
        {"latency/count", "10000"},
        {"latency/mean_ns", "5000500"},
        {"latency/max_ns", "10000000"},
        {"latency/percentiles_ns/99.99", "10000000"},
        {"spread_per_s/sent/min", "100"},
        {"spread_per_s/received/median", "2000"},
        {"spread_per_s/sent/max", "400"},
        {"spread_per_s/connects/max", "5"},
        {"knee_rate", "1000"},
    };
    struct report report = made_up();
    report.points = points;
    report.point_count = sizeof(points) / sizeof(points[0]);
    report.steps = steps;
    report.step_count = sizeof(steps) / sizeof(steps[0]);
    report.knee_rate = 1000;
    add_causes(CAUSE_CLOSED, 1006, 7);
    add_causes(CAUSE_SYSTEM, ECONNREFUSED, 1);
    char *json = json_of(&report);

    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        ck_value(json, members[i].path, members[i].value);
    }
    ck_has(json, "{\"at_s\":4.01,\"seconds\":0.01,\"sent\":100,\"received\":1000,\"connects\":0,");
    ck_has(json, "{\"rate\":2000,\"sent_rate\":1700,\"p99_ns\":90000000,\"lost\":3,"
                 "\"passed\":false,\"fault\":\"faults\"}");
    /* 2026-11-27T13:00:00Z, in quotes. */
    ck_assert_uint_eq(value_at((struct bytes){(uint8_t *)json, strlen(json)}, "date").size, 22);
    free(json);
}
END_TEST

START_TEST(json_has_every_bucket)
{
    const struct report report = made_up();
    char *json = json_of(&report);
    struct json_reader reader;
    json_reader_init(&reader,
                     value_at((struct bytes){(uint8_t *)json, strlen(json)}, "latency/buckets"),
                     DEPTH_MAX);

    uint64_t sum = 0;
    uint64_t below = 0;
    ck_assert_int_eq(json_open_array(&reader), JSON_OK);
    while (json_next_element(&reader) == JSON_OK) {
        uint64_t end;
        uint64_t count;
        ck_assert_int_eq(json_open_array(&reader), JSON_OK);
        ck_assert_int_eq(json_next_element(&reader), JSON_OK);
        ck_assert_int_eq(json_read_uint64(&reader, &end), JSON_OK);
        ck_assert_int_eq(json_next_element(&reader), JSON_OK);
        ck_assert_int_eq(json_read_uint64(&reader, &count), JSON_OK);
        ck_assert_int_eq(json_next_element(&reader), JSON_END);
        ck_assert_uint_gt(end, below);
        ck_assert_uint_gt(count, 0);
        below = end;
        sum += count;
    }
    ck_assert_uint_eq(sum, 10000);
    ck_assert_uint_ge(below, 10000000);
    free(json);
}
END_TEST

START_TEST(json_of_nothing)
{
    const struct report report = empty();
    char *json = json_of(&report);

    ck_value(json, "server/user_us_per_message", "null");
    ck_value(json, "kernel_both_ends", "null");
    ck_value(json, "latency/buckets", "[]");
    ck_value(json, "latency/percentiles_ns/50", "0");
    ck_value(json, "spread_per_s/sent/median", "0");
    ck_value(json, "points", "[]");
    ck_value(json, "steps", "null");
    ck_value(json, "knee_rate", "null");
    free(json);
}
END_TEST

START_TEST(json_says_null_when_it_is_not_known)
{
    struct report report = made_up();
    report.has_server = false;
    report.steps = steps;
    report.step_count = 1;
    report.signal = SIGINT;
    char *json = json_of(&report);
    ck_value(json, "stopped", "\"SIGINT\"");
    ck_value(json, "knee_is_exact", "false");

    ck_value(json, "server", "null");
    ck_value(json, "knee_rate", "null");
    free(json);
}
END_TEST

START_TEST(json_escapes_strings)
{
    struct report report = made_up();
    report.command_line = "bench \"a\\b\" </script>\n\x01 é";
    char *json = json_of(&report);
    ck_value(json, "command_line", "\"bench \\\"a\\\\b\\\" </script>\\n\\u0001 é\"");
    free(json);

    report.command_line = "not UTF-8: \xff\xc3";
    json = json_of(&report);
    ck_value(json, "command_line", "\"not UTF-8: ??\"");
    free(json);
}
END_TEST

START_TEST(page_holds_its_data)
{
    struct report report = made_up();
    report.command_line = "</script><script>alert(1)</script><!-- <b> \"q\"";
    report.points = points;
    report.point_count = sizeof(points) / sizeof(points[0]);
    const char *path = in_folder("report.html");
    ck_assert_int_eq(report_write_html(&report, path), 0);
    char *page = content_of(path);

    ck_assert_int_eq(strncmp(page, "<!doctype html>\n", 16), 0);
    ck_assert_str_eq(page + strlen(page) - 8, "</html>\n");
    ck_has(page, "var uPlot=");
    ck_has(page, "Copyright (c)");
    ck_has(page, "default-src 'none'");
    /* Nothing of the data ends its element, so nothing of it can run. */
    ck_has_not(page, "<script>alert");

    static const char mark[] = "type=\"application/json\">";
    const char *data = strstr(page, mark);
    ck_assert_ptr_nonnull(data);
    data += sizeof(mark) - 1;
    char *end = strstr(data, "</script>");
    ck_assert_ptr_nonnull(end);
    *end = '\0';
    ck_assert_ptr_null(strchr(data, '<'));
    ck_value(data, "options/scenario", "\"fanout\"");
    ck_value(data, "command_line",
             "\"\\u003c/script>\\u003cscript>alert(1)\\u003c/script>\\u003c!-- "
             "\\u003cb> \\\"q\\\"\"");
    free(page);
}
END_TEST

START_TEST(page_of_nothing)
{
    const struct report report = empty();
    const char *path = in_folder("report.html");
    ck_assert_int_eq(report_write_html(&report, path), 0);
    char *page = content_of(path);
    ck_has(page, "\"points\":[]");
    free(page);
}
END_TEST

static const struct {
    const char *why;
    int (*write)(const struct report *report, const char *path);
} forms[] = {
    {"JSON", report_write_json},
    {"page", report_write_html},
};

START_TEST(replaces_what_was_there)
{
    const struct report report = made_up();
    const char *path = in_folder("report");
    FILE *before = fopen(path, "we");
    ck_assert_ptr_nonnull(before);
    (void)fprintf(before, "what was there before");
    (void)fclose(before);

    ck_assert_msg(forms[_i].write(&report, path) == 0, "%s", forms[_i].why);
    char *content = content_of(path);
    ck_has(content, "\"scenario\":\"fanout\"");
    ck_has_not(content, "what was there before");
    free(content);
    ck_assert_uint_eq(empty_folder(), 1);
}
END_TEST

START_TEST(leaves_nothing_when_it_cannot_write)
{
    const struct report report = made_up();
    char too_long[NAME_MAX + 2];
    memset(too_long, 'x', sizeof(too_long) - 1);
    too_long[sizeof(too_long) - 1] = '\0';

    ck_assert_int_eq(forms[_i].write(&report, in_folder("missing/report")), -ENOENT);
    ck_assert_int_eq(forms[_i].write(&report, in_folder(too_long)), -ENAMETOOLONG);
    ck_assert_int_eq(forms[_i].write(&report, ""), -ENOENT);
    ck_assert_uint_eq(empty_folder(), 0);

    /* A folder has that name: it stays, and nothing is beside it. */
    ck_assert_int_eq(mkdir(in_folder("report"), 0700), 0);
    ck_assert_int_eq(forms[_i].write(&report, in_folder("report")), -EISDIR);
    struct stat status;
    ck_assert_int_eq(stat(in_folder("report"), &status), 0);
    ck_assert(S_ISDIR(status.st_mode));
    ck_assert_uint_eq(empty_folder(), 1);
}
END_TEST

/* Before a run, so that none is lost. */
START_TEST(tries_whether_it_can_write)
{
    ck_assert_int_eq(report_try(in_folder("report")), 0);
    ck_assert_uint_eq(empty_folder(), 0);
    ck_assert_int_eq(report_try(in_folder("missing/report")), -ENOENT);
    ck_assert_int_eq(report_try(folder), -EISDIR);
    ck_assert_int_eq(report_try("/dev/null"), 0);
    ck_assert_uint_eq(empty_folder(), 0);
}
END_TEST

START_TEST(writes_to_devices)
{
    const struct report report = made_up();
    struct stat status;

    ck_assert_int_eq(forms[_i].write(&report, "/dev/null"), 0);
    ck_assert_int_eq(forms[_i].write(&report, "/dev/full"), -ENOSPC);
    ck_assert_int_eq(stat("/dev/null", &status), 0);
    ck_assert(S_ISCHR(status.st_mode));
}
END_TEST

static void add_text_tests(Suite *suite)
{
    TCase *text = tcase_create("text");
    tcase_add_checked_fixture(text, setup, teardown);
    tcase_add_test(text, text_has_the_numbers);
    tcase_add_loop_test(text, each_fault_shows, 0, sizeof(faults) / sizeof(faults[0]));
    tcase_add_test(text, text_has_the_causes);
    tcase_add_test(text, text_says_that_it_was_stopped);
    tcase_add_test(text, text_has_the_steps);
    tcase_add_test(text, text_has_the_spread);
    tcase_add_test(text, text_has_the_storm);
    tcase_add_test(text, text_says_less_when_less_is_known);
    tcase_add_test(text, memory_may_be_less_than_before);
    tcase_add_loop_test(text, knows_when_the_generator_is_the_limit, 0,
                        sizeof(loads) / sizeof(loads[0]));
    tcase_add_test(text, text_of_nothing);
    suite_add_tcase(suite, text);
}

static void add_file_tests(Suite *suite)
{
    const int form_count = (int)(sizeof(forms) / sizeof(forms[0]));
    TCase *json = tcase_create("json");
    tcase_add_checked_fixture(json, setup, teardown);
    tcase_add_test(json, json_has_the_numbers);
    tcase_add_test(json, json_has_every_bucket);
    tcase_add_test(json, json_of_nothing);
    tcase_add_test(json, json_says_null_when_it_is_not_known);
    tcase_add_test(json, json_escapes_strings);
    suite_add_tcase(suite, json);
    TCase *page = tcase_create("page");
    tcase_add_checked_fixture(page, setup, teardown);
    tcase_add_test(page, page_holds_its_data);
    tcase_add_test(page, page_of_nothing);
    suite_add_tcase(suite, page);
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_loop_test(files, replaces_what_was_there, 0, form_count);
    tcase_add_loop_test(files, leaves_nothing_when_it_cannot_write, 0, form_count);
    tcase_add_test(files, tries_whether_it_can_write);
    tcase_add_loop_test(files, writes_to_devices, 0, form_count);
    suite_add_tcase(suite, files);
}

int main(void)
{
    Suite *suite = suite_create("bench/load/report");
    add_text_tests(suite);
    add_file_tests(suite);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
