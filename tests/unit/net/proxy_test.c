/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/proxy: headers of both versions in every prefix, from copies of their exact size, with bytes
 * of a TLS record behind them.
 */
#include "net/proxy.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#define V2         "\r\n\r\n\0\r\nQUIT\n"
#define TCP4       "\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb"
#define ONES       "\xff\xff\xff\xff\xff\xff\xff\xff"
#define TEN        "0123456789"
#define TEXT(text) (text), sizeof(text) - 1

static const struct {
    const char *why;
    const char *bytes;
    size_t size;
    enum proxy_verdict verdict;
    const char *client; /* NULL: it says none */
} cases[] = {
    /* Version 1. */
    {"tcp4", TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"), PROXY_OK, "192.0.2.1:56324"},
    {"tcp6", TEXT("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n"), PROXY_OK, "[2001:db8::1]:0"},
    {"tcp6, mapped", TEXT("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), PROXY_OK,
     "[::ffff:192.0.2.1]:1"},
    {"the longest",
     TEXT("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     PROXY_OK, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"},
    {"unknown", TEXT("PROXY UNKNOWN\r\n"), PROXY_OK, NULL},
    {"unknown, with more", TEXT("PROXY UNKNOWN a b c d e f\r\n"), PROXY_OK, NULL},
    {"unknown, 107 bytes", TEXT("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN "1\r\n"),
     PROXY_OK, NULL},
    {"108 bytes", TEXT("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN "12\r\n"), PROXY_BAD,
     NULL},
    {"no end", TEXT("PROXY UNKNOWN " TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN), PROXY_BAD, NULL},
    {"unknowns", TEXT("PROXY UNKNOWNS\r\n"), PROXY_BAD, NULL},
    {"bare LF", TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n"), PROXY_BAD, NULL},
    {"lower case", TEXT("proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD, NULL},
    {"another family", TEXT("PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD, NULL},
    {"no ports", TEXT("PROXY TCP4 192.0.2.1 192.0.2.2\r\n"), PROXY_BAD, NULL},
    {"a port less", TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n"), PROXY_BAD, NULL},
    {"a word more", TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n"), PROXY_BAD, NULL},
    {"two spaces", TEXT("PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD, NULL},
    {"a space at the end", TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n"), PROXY_BAD, NULL},
    {"a tab", TEXT("PROXY TCP4 192.0.2.1\t192.0.2.2 1 2\r\n"), PROXY_BAD, NULL},
    {"leading zero", TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n"), PROXY_BAD, NULL},
    {"a port too large", TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n"), PROXY_BAD, NULL},
    {"a port of six digits", TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 1 100000\r\n"), PROXY_BAD, NULL},
    {"a port with a sign", TEXT("PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n"), PROXY_BAD, NULL},
    {"six as four", TEXT("PROXY TCP4 ::1 ::1 1 2\r\n"), PROXY_BAD, NULL},
    {"four as six", TEXT("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"), PROXY_BAD, NULL},
    {"a zero byte", TEXT("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n"), PROXY_BAD, NULL},
    {"no address", TEXT("PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n"), PROXY_BAD, NULL},
    /* Version 2. */
    {"tcp4", TEXT(V2 "\x21\x11\x00\x0c" TCP4), PROXY_OK, "192.0.2.1:56324"},
    {"tcp6", TEXT(V2 "\x21\x21\x00\x24" ONES ONES ONES ONES "\x00\x50\x01\xbb"), PROXY_OK,
     "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80"},
    {"with extensions", TEXT(V2 "\x21\x11\x00\x10" TCP4 "\x04\x00\x01x"), PROXY_OK,
     "192.0.2.1:56324"},
    {"local", TEXT(V2 "\x20\x00\x00\x00"), PROXY_OK, NULL},
    {"local, with an address", TEXT(V2 "\x20\x11\x00\x0c" TCP4), PROXY_OK, NULL},
    {"unspecified",
     TEXT(V2 "\x21\x00\x00\x04"
             "abcd"),
     PROXY_OK, NULL},
    {"unix",
     TEXT(V2 "\x21\x31\x00\x01"
             "a"),
     PROXY_OK, NULL},
    {"tcp4, too short",
     TEXT(V2 "\x21\x11\x00\x0b"
             "\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01"),
     PROXY_BAD, NULL},
    {"tcp6, too short", TEXT(V2 "\x21\x21\x00\x0c" TCP4), PROXY_BAD, NULL},
    {"datagrams", TEXT(V2 "\x21\x12\x00\x0c" TCP4), PROXY_BAD, NULL},
    {"a command that is none", TEXT(V2 "\x22\x11\x00\x0c" TCP4), PROXY_BAD, NULL},
    {"version 1", TEXT(V2 "\x11\x11\x00\x0c" TCP4), PROXY_BAD, NULL},
    {"521 bytes", TEXT(V2 "\x21\x11\x02\x09" TCP4), PROXY_BAD, NULL},
    {"the greatest size", TEXT(V2 "\x21\x11\xff\xff" TCP4), PROXY_BAD, NULL},
    {"a signature that is none", TEXT("\r\n\r\n\0\r\nQUIT\r\x21\x11\x00\x0c" TCP4), PROXY_BAD,
     NULL},
    /* What is something else. */
    {"TLS", TEXT("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), PROXY_BAD, NULL},
    {"HTTP", TEXT("GET / HTTP/1.1\r\n\r\n"), PROXY_BAD, NULL},
    {"POST", TEXT("POST / HTTP/1.1\r\n\r\n"), PROXY_BAD, NULL},
};

static enum proxy_verdict read_copy(const uint8_t *bytes, size_t size, struct proxy_header *header)
{
    uint8_t *copy = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, size);
    const enum proxy_verdict verdict = proxy_read((struct bytes){copy, size}, header);
    free(copy);
    return verdict;
}

static void expect(const char *why, const struct proxy_header *header, size_t size,
                   const char *client)
{
    char text[ADDRESS_TEXT_SIZE_MAX];
    ck_assert_msg(header->size == size, "%s: %zu", why, header->size);
    ck_assert_msg(header->has_address == (client != NULL), "%s", why);
    if (client != NULL) {
        (void)address_format(&header->client, text);
        ck_assert_msg(strcmp(text, client) == 0, "%s: %s", why, text);
    }
}

START_TEST(reads)
{
    static const uint8_t behind[] = {0x16, 0x03, 0x01, '\r', '\n'};
    const uint8_t *bytes = (const uint8_t *)cases[_i].bytes;
    const size_t size = cases[_i].size;
    const char *why = cases[_i].why;
    uint8_t all[1024];
    struct proxy_header header;

    ck_assert_msg(read_copy(bytes, size, &header) == cases[_i].verdict, "%s", why);
    if (cases[_i].verdict != PROXY_OK) {
        return;
    }
    expect(why, &header, size, cases[_i].client);
    memcpy(all, bytes, size);
    memcpy(all + size, behind, sizeof(behind));
    ck_assert_int_eq(read_copy(all, size + sizeof(behind), &header), PROXY_OK);
    expect(why, &header, size, cases[_i].client);
    for (size_t cut = 0; cut < size; cut++) {
        ck_assert_msg(read_copy(bytes, cut, &header) == PROXY_NEED_MORE, "%s: %zu", why, cut);
    }
}
END_TEST

/* 536 bytes are a header, one more is none. */
START_TEST(the_longest)
{
    uint8_t bytes[PROXY_V2_SIZE_MAX + 1] = V2 "\x21\x11\x02\x08" TCP4;
    struct proxy_header header;
    ck_assert_int_eq(read_copy(bytes, PROXY_V2_SIZE_MAX - 1, &header), PROXY_NEED_MORE);
    ck_assert_int_eq(read_copy(bytes, PROXY_V2_SIZE_MAX, &header), PROXY_OK);
    expect("the longest", &header, PROXY_V2_SIZE_MAX, "192.0.2.1:56324");
    bytes[15]++;
    ck_assert_int_eq(read_copy(bytes, 16, &header), PROXY_BAD);
}
END_TEST

int main(void)
{
    TCase *headers = tcase_create("headers");
    tcase_add_loop_test(headers, reads, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(headers, the_longest);

    Suite *suite = suite_create("net/proxy");
    suite_add_tcase(suite, headers);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
