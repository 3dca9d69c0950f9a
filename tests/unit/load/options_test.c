/* SPDX-License-Identifier: Apache-2.0 */
/*
 * options: what a command line becomes, and each that is refused with its line.
 */
#include "bench/load/options.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/monotime.h"

#define URL      "ws://127.0.0.1:1/"
#define X25      "xxxxxxxxxxxxxxxxxxxxxxxxx"
#define TOO_LONG X25 X25 X25 X25 "x" /* for a sub-protocol or a channel */

enum { WORD_COUNT_MAX = 10, WORD_SIZE_MAX = 128 };

static struct options options; /* its texts point into `words_kept` */
static char words_kept[WORD_COUNT_MAX][WORD_SIZE_MAX];
static char error[OPTIONS_ERROR_SIZE];

static enum options_outcome parse(const char *const words[WORD_COUNT_MAX])
{
    char name[] = "parley-bench";
    char *argv[WORD_COUNT_MAX + 2] = {name};
    int count = 0;

    for (; count < WORD_COUNT_MAX && words[count] != NULL; count++) {
        (void)snprintf(words_kept[count], WORD_SIZE_MAX, "%s", words[count]);
        argv[count + 1] = words_kept[count];
    }
    return options_parse(count + 1, argv, &options, error);
}

static const struct {
    const char *words[WORD_COUNT_MAX];
    const char *said;
} bad[] = {
    {{}, "no scenario"},
    {{"ech", URL}, "scenario: expected echo, fanout"},
    {{"echo"}, "no URL"},
    {{"echo", "http://127.0.0.1/"}, "URL: "},
    {{"echo", "ws://exa mple.org/"}, "URL: "},
    {{"echo", URL, "-c", "0"}, "--connections: expected a number from 1"},
    {{"echo", URL, "-r", "1", "-w", "1"}, "exclude each other"},
    {{"echo", URL, "-s", "15"}, "--size: "},
    {{"echo", URL, "--script", "klingon"}, "--script: "},
    {{"echo", URL, "--header", "nothing"}, "--header: "},
    {{"echo", URL, "--header", "a b: c"}, "--header: "},
    {{"echo", URL, "--header", "host: c"}, "--header: expected one that the handshake"},
    {{"echo", URL, "--subprotocol", "a b"}, "--subprotocol: "},
    {{"echo", URL, "--subprotocol", TOO_LONG}, "--subprotocol: "},
    {{"echo", "tcp://127.0.0.1:1", "-s", "20-30"}, "tcp:// wants one --size"},
    {{"chat", "tcp://127.0.0.1:1"}, "tcp:// has no messages"},
    {{"echo", URL, "--cpu", "1,x"}, "--cpu: "},
    {{"floor", "--fanout", "--connect"}, "at most one of --fanout and --connect"},
    {{"connect", "tcp://127.0.0.1:1", "--session"}, "tcp:// has no messages"},
    {{"echo", URL, "--no-such-flag"}, "no-such-flag"},
    {{"echo", URL, "--tls-insecure"}, "are for wss:"},
    {{"echo", "wss://127.0.0.1:1/", "--tls-insecure", "--ca", "x"}, "exclude each other"},
    {{"echo", URL, "--recover"}, "--recover is for chat"},
    {{"idle", URL, "-r", "5"}, "--rate is for echo, fanout and chat"},
    {{"idle", URL, "--rooms", "5"}, "--rooms needs --session"},
    {{"echo", URL, "--rooms", "5"}, "--rooms is for chat, connect and idle"},
    {{"echo", URL, "--burst", "5"}, "--burst needs --window"},
    {{"echo", URL, "--p99", "5"}, "--p99 needs --find-max"},
    {{"echo", URL, "-d", "0"}, "--duration: expected more than 0 seconds"},
    {{"chat", URL, "-c", "5", "--rooms", "6"}, "--rooms: expected at most --connections"},
    {{"chat", URL, "-c", "5", "--publishers", "5", "--reconnects", "1"}, "and all do"},
    {{"echo", URL, "--json", "x", "--html", "x"}, "expected two files"},
    {{"floor", "-c", "5"}, "--connections is for echo, fanout, chat, connect and idle"},
    {{"chat", URL, "--storm", "1"}, "--storm needs --recover"},
    {{"chat", URL, "--storm", "9", "--recover"}, "--storm: expected that all may"},
    {{"chat", URL, "--storm", "1", "--recover", "-w", "1"}, "neither --window"},
    {{"chat", URL, "--channel", "a b"}, "--channel: "},
    {{"chat", URL, "--dials", "0"}, "--dials: "},
};

START_TEST(refuses)
{
    ck_assert_int_eq(parse(bad[_i].words), OPTIONS_BAD);
    ck_assert_msg(strstr(error, bad[_i].said) != NULL, "\"%s\" is not in \"%s\"", bad[_i].said,
                  error);
}
END_TEST

START_TEST(has_defaults)
{
    ck_assert_int_eq(parse((const char *const[WORD_COUNT_MAX]){"echo", URL}), OPTIONS_RUN);
    ck_assert_uint_eq(options.connections, 100);
    ck_assert_uint_eq(options.publishers, 100);
    ck_assert_uint_eq(options.rooms, 100);
    ck_assert_double_eq(options.rate, 1000);
    ck_assert_uint_eq(options.window, 0);
    ck_assert_str_eq(options.size_text, "64");
    ck_assert_uint_eq(options.duration_ns, 10 * MONOTIME_NS_PER_S);
    ck_assert_uint_eq(options.sources, 0);

    ck_assert_int_eq(
        parse((const char *const[WORD_COUNT_MAX]){"fanout", URL, "-c", "2500", "-w", "4"}),
        OPTIONS_RUN);
    ck_assert_uint_eq(options.publishers, 1);
    ck_assert_uint_eq(options.rooms, 1);
    ck_assert_double_eq(options.rate, 0);
    ck_assert_uint_eq(options.sources, 3);

    ck_assert_int_eq(parse((const char *const[WORD_COUNT_MAX]){"chat", URL, "--rooms", "7"}),
                     OPTIONS_RUN);
    ck_assert_uint_eq(options.publishers, 7);
    ck_assert_uint_eq(options.rooms, 7);

    ck_assert_int_eq(
        parse((const char *const[WORD_COUNT_MAX]){"connect", URL, "--session", "--tokens", "file"}),
        OPTIONS_RUN);
    ck_assert_str_eq(options.tokens_file, "file");
    ck_assert_double_eq(options.rate, 0);
    ck_assert_uint_eq(options.sources, 64);
}
END_TEST

START_TEST(joins_headers)
{
    ck_assert_int_eq(
        parse((const char *const[WORD_COUNT_MAX]){"idle", URL, "--header", "A: b", "--header",
                                                  "X-C: d: e", "--subprotocol", "v1.chat"}),
        OPTIONS_RUN);
    ck_assert_str_eq(options.extra_head, "A: b\r\nX-C: d: e\r\n");
    ck_assert_str_eq(options.subprotocol, "v1.chat");
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("options");
    tcase_add_loop_test(cases, refuses, 0, sizeof(bad) / sizeof(bad[0]));
    tcase_add_test(cases, has_defaults);
    tcase_add_test(cases, joins_headers);
    Suite *suite = suite_create("load/options");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
