/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_address: whose request it is, from a table of what proxies and liars send.
 */
#include "server/client_address.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/cidr.h"
#include "proto/http.h"
#include "server/config.h"

/* Trusted are 10.0.0.0/8, 127.0.0.1 and 2001:db8::/32. */
static struct cidr networks[3];
static struct config_networks trusted = {networks, 3};

static void make_networks(void)
{
    ck_assert_int_eq(cidr_parse("10.0.0.0/8", &networks[0]), 0);
    ck_assert_int_eq(cidr_parse("127.0.0.1", &networks[1]), 0);
    ck_assert_int_eq(cidr_parse("2001:db8::/32", &networks[2]), 0);
}

/* "unix", or an address with a port. */
static struct client_address sender(const char *text)
{
    struct client_address client = {{0}, 0};
    struct address address;
    if (strcmp(text, "unix") == 0) {
        return client;
    }
    ck_assert_msg(address_parse(text, &address) == 0, "%s", text);
    return client_address_of(&address);
}

static const struct {
    const char *why;
    const char *sender;
    const char *headers; /* lines */
    const char *client;
} cases[] = {
    {"no header", "10.1.1.1:80", "", "10.1.1.1:80"},
    {"one entry", "10.1.1.1:80", "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"},
    {"by a unix socket", "unix", "X-Forwarded-For: 192.0.2.7\r\n", "192.0.2.7"},
    {"by a unix socket, no header", "unix", "", "unix"},
    {"not trusted", "192.0.2.1:80", "X-Forwarded-For: 192.0.2.7\r\nX-Real-IP: 192.0.2.7\r\n",
     "192.0.2.1:80"},
    {"what the client wrote is left of it", "127.0.0.1:80",
     "X-Forwarded-For: 198.51.100.1, 192.0.2.7\r\n", "192.0.2.7"},
    {"through two proxies", "127.0.0.1:80", "X-Forwarded-For: 1.1.1.1, 192.0.2.7, 10.2.2.2\r\n",
     "192.0.2.7"},
    {"two lines", "127.0.0.1:80",
     "X-Forwarded-For: 1.1.1.1, 192.0.2.7\r\nAccept: b\r\nx-forwarded-for: 10.2.2.2\r\n",
     "192.0.2.7"},
    {"all trusted", "127.0.0.1:80", "X-Forwarded-For: 10.3.3.3,10.2.2.2\r\n", "10.3.3.3"},
    {"IPv6", "[2001:db8::1]:80", "X-Forwarded-For: 2001:db9::5\r\n", "2001:db9::5"},
    {"with a port", "10.1.1.1:80", "X-Forwarded-For: 192.0.2.7:1234\r\n", "192.0.2.7"},
    {"IPv6 in brackets", "10.1.1.1:80", "X-Forwarded-For: [2001:db9::5]\r\n", "2001:db9::5"},
    {"IPv6 with a port", "10.1.1.1:80", "X-Forwarded-For: [2001:db9::5]:99\r\n", "2001:db9::5"},
    {"mapped", "10.1.1.1:80", "X-Forwarded-For: ::ffff:192.0.2.7\r\n", "192.0.2.7"},
    {"rubbish", "10.1.1.1:80", "X-Forwarded-For: 192.0.2.7, unknown\r\n", "10.1.1.1:80"},
    {"rubbish behind a proxy", "10.1.1.1:80", "X-Forwarded-For: _x, 10.2.2.2\r\n", "10.2.2.2"},
    {"an empty entry", "10.1.1.1:80", "X-Forwarded-For: 192.0.2.7, \r\n", "10.1.1.1:80"},
    {"a network", "10.1.1.1:80", "X-Forwarded-For: 192.0.2.0/24\r\n", "10.1.1.1:80"},
    {"an open bracket", "10.1.1.1:80", "X-Forwarded-For: [::1\r\n", "10.1.1.1:80"},
    {"nothing in brackets", "10.1.1.1:80", "X-Forwarded-For: []\r\n", "10.1.1.1:80"},
    {"X-Real-IP", "10.1.1.1:80", "X-Real-IP: 192.0.2.8\r\n", "192.0.2.8"},
    {"X-Real-IP is second", "10.1.1.1:80", "X-Real-IP: 192.0.2.8\r\nX-Forwarded-For: 192.0.2.7\r\n",
     "192.0.2.7"},
    {"X-Real-IP, rubbish", "10.1.1.1:80", "X-Real-IP: a\r\n", "10.1.1.1:80"},
};

START_TEST(is_found)
{
    static const struct http_limits limits = {8192, 64, 4096};
    char head[1024];
    char text[CLIENT_ADDRESS_TEXT_SIZE];
    struct http_reader reader = {0};
    struct http_request request;
    (void)snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", cases[_i].headers);
    const struct bytes in = {(const uint8_t *)head, strlen(head)};
    ck_assert_int_eq(http_read_head(&reader, in, &limits, &request), HTTP_OK);

    make_networks();
    const struct client_address from = sender(cases[_i].sender);
    const struct client_address client = client_address_forwarded(&from, &request, &trusted);
    client_address_format(&client, text);
    ck_assert_msg(strcmp(text, cases[_i].client) == 0, "%s: %s", cases[_i].why, text);
}
END_TEST

/* More entries than anybody has proxies: the last 32 are looked at. */
START_TEST(of_many_the_last)
{
    static const struct http_limits limits = {8192, 64, 4096};
    char head[4096] = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7";
    char text[CLIENT_ADDRESS_TEXT_SIZE];
    struct http_reader reader = {0};
    struct http_request request;
    for (int i = 0; i < 32; i++) {
        (void)snprintf(head + strlen(head), sizeof(head) - strlen(head), ", 10.9.9.%d", i);
    }
    (void)snprintf(head + strlen(head), sizeof(head) - strlen(head), "\r\n\r\n");
    const struct bytes in = {(const uint8_t *)head, strlen(head)};
    ck_assert_int_eq(http_read_head(&reader, in, &limits, &request), HTTP_OK);
    make_networks();
    const struct client_address from = sender("10.1.1.1:80");
    const struct client_address client = client_address_forwarded(&from, &request, &trusted);
    client_address_format(&client, text);
    ck_assert_str_eq(text, "10.9.9.0");
}
END_TEST

START_TEST(is_written)
{
    static const char *const texts[] = {"192.0.2.1:80", "[2001:db8::1]:80", "unix"};
    char text[CLIENT_ADDRESS_TEXT_SIZE];
    for (size_t i = 0; i < 3; i++) {
        const struct client_address client = sender(texts[i]);
        client_address_format(&client, text);
        ck_assert_str_eq(text, texts[i]);
        ck_assert(client_address_is_unix(&client) == (i == 2));
    }
}
END_TEST

int main(void)
{
    TCase *addresses = tcase_create("addresses");
    tcase_add_loop_test(addresses, is_found, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(addresses, of_many_the_last);
    tcase_add_test(addresses, is_written);

    Suite *suite = suite_create("server/client_address");
    suite_add_tcase(suite, addresses);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
