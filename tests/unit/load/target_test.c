/* SPDX-License-Identifier: Apache-2.0 */
/*
 * target_parse: what it reads, and what it refuses without changing anything. target_resolve, as
 * far as it asks nobody on the network.
 */
#include "bench/load/target.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *url;
    enum target_scheme scheme;
    const char *address;
    const char *host;
    const char *path;
    const char *name;
} good[] = {
    {"ws://127.0.0.1:8000/echo", TARGET_WS, "127.0.0.1:8000", "127.0.0.1:8000", "/echo",
     "127.0.0.1"},
    {"ws://127.0.0.1", TARGET_WS, "127.0.0.1:80", "127.0.0.1", "/", "127.0.0.1"},
    {"ws://localhost:81/", TARGET_WS, "127.0.0.1:81", "localhost:81", "/", "localhost"},
    {"ws://localhost/a?b=c&d", TARGET_WS, "127.0.0.1:80", "localhost", "/a?b=c&d", "localhost"},
    {"ws://127.0.0.1:8000?q", TARGET_WS, "127.0.0.1:8000", "127.0.0.1:8000", "/?q", "127.0.0.1"},
    {"ws://[::1]:8000/x", TARGET_WS, "[::1]:8000", "[::1]:8000", "/x", "::1"},
    {"ws://[::1]/", TARGET_WS, "[::1]:80", "[::1]", "/", "::1"},
    {"tcp://127.0.0.1:7000", TARGET_TCP, "127.0.0.1:7000", "127.0.0.1:7000", "/", "127.0.0.1"},
    {"wss://localhost/a", TARGET_WSS, "127.0.0.1:443", "localhost", "/a", "localhost"},
    {"wss://[::1]:8443/", TARGET_WSS, "[::1]:8443", "[::1]:8443", "/", "::1"},
};

static const struct {
    const char *url;
    const char *host;
    const char *name;
    unsigned port;
} names[] = {
    {"ws://example.org/", "example.org", "example.org", 80},
    {"wss://chat.example.org:8443/x", "chat.example.org:8443", "chat.example.org", 8443},
    {"wss://a-b_c", "a-b_c", "a-b_c", 443},
    {"tcp://localhosts:7000", "localhosts:7000", "localhosts", 7000},
};

START_TEST(reads_names)
{
    char error[TARGET_ERROR_SIZE];
    struct target target;

    ck_assert_msg(target_parse(names[_i].url, &target, error), "%s: %s", names[_i].url, error);
    ck_assert_uint_eq(target.address.size, 0);
    ck_assert_str_eq(target.host, names[_i].host);
    ck_assert_str_eq(target.name, names[_i].name);
    ck_assert_uint_eq(target.port, names[_i].port);
}
END_TEST

START_TEST(resolves)
{
    char error[TARGET_ERROR_SIZE] = "";
    char text[ADDRESS_TEXT_SIZE_MAX];
    struct target target;

    /* An address as inet_aton(3) knows it and we do not: the resolver needs to ask nobody. */
    ck_assert(target_parse("ws://127.1:8000/", &target, error));
    ck_assert_uint_eq(target.address.size, 0);
    ck_assert_msg(target_resolve(&target, error), "%s", error);
    (void)address_format(&target.address, text);
    ck_assert_str_eq(text, "127.0.0.1:8000");
    ck_assert(target_resolve(&target, error));

    /* No name at all, so it does not ask for it either. */
    ck_assert(target_parse("ws://a..b/", &target, error));
    ck_assert(!target_resolve(&target, error));
    ck_assert_msg(strncmp(error, "a..b: ", 6) == 0, "%s", error);
}
END_TEST

START_TEST(reads)
{
    char error[TARGET_ERROR_SIZE];
    char text[ADDRESS_TEXT_SIZE_MAX];
    struct target target;

    ck_assert_msg(target_parse(good[_i].url, &target, error), "%s: %s", good[_i].url, error);
    ck_assert_int_eq(target.scheme, good[_i].scheme);
    (void)address_format(&target.address, text);
    ck_assert_str_eq(text, good[_i].address);
    ck_assert_str_eq(target.host, good[_i].host);
    ck_assert_str_eq(target.path, good[_i].path);
    ck_assert_str_eq(target.name, good[_i].name);
}
END_TEST

#define LONG "1111111111111111111111111111111111111111111111111111111111111111"
static const char *const bad[] = {
    "",
    "127.0.0.1:8000",
    "http://127.0.0.1:8000/",
    "wss://",
    "ws://example.org:http/",
    "ws://exa\"mple.org/",
    "ws://[example.org]/",
    "ws://[::1]8000/",
    "ws://",
    "ws:///echo",
    "ws://:8000/",
    "ws://127.0.0.1:0/",
    "ws://127.0.0.1:65536/",
    "ws://127.0.0.1:/",
    "ws://user@127.0.0.1/",
    "ws://127.0.0.1/a b",
    "ws://127.0.0.1/a\nb",
    "ws://127.0.0.1/#a",
    "ws://127.0.0.1/\xc3\xa4",
    "tcp://127.0.0.1",
    "tcp://127.0.0.1:7000/",
    /* Longer than any name. */
    "ws://" LONG LONG LONG LONG "/",
};

START_TEST(refuses)
{
    char error[TARGET_ERROR_SIZE] = "";
    struct target target;
    struct target before;
    memset(&target, 0x55, sizeof(target));
    before = target;

    ck_assert_msg(!target_parse(bad[_i], &target, error), "%s", bad[_i]);
    ck_assert_int_eq(memcmp(&target, &before, sizeof(target)), 0);
    ck_assert_ptr_nonnull(strstr(error, "expected "));
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("target");
    tcase_add_loop_test(cases, reads, 0, sizeof(good) / sizeof(good[0]));
    tcase_add_loop_test(cases, reads_names, 0, sizeof(names) / sizeof(names[0]));
    tcase_add_test(cases, resolves);
    tcase_add_loop_test(cases, refuses, 0, sizeof(bad) / sizeof(bad[0]));
    Suite *suite = suite_create("load/target");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
