/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address: texts that are read and come back the same, texts that are refused, and the 16 bytes by
 * which clients are counted.
 */
#include "net/address.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *text;
    const char *back; /* NULL: the same */
    uint16_t port;
    bool is_loopback;
} good_cases[] = {
    {"127.0.0.1:8000", NULL, 8000, true},
    {"127.255.0.9:1", NULL, 1, true},
    {"0.0.0.0:0", NULL, 0, false},
    {"192.0.2.1:65535", NULL, 65535, false},
    {"192.0.2.1:00080", "192.0.2.1:80", 80, false},
    {"[::1]:8000", NULL, 8000, true},
    {"[::]:80", NULL, 80, false},
    {"[2001:DB8::1]:443", "[2001:db8::1]:443", 443, false},
    {"[::ffff:127.0.0.1]:5", NULL, 5, true},
    {"[::ffff:10.0.0.1]:5", NULL, 5, false},
    {"[2001:db8:1111:2222:3333:4444:5555:6666]:65535", NULL, 65535, false},
};

START_TEST(reads_and_writes)
{
    struct address address;
    char text[ADDRESS_TEXT_SIZE_MAX];
    const char *back = good_cases[_i].back == NULL ? good_cases[_i].text : good_cases[_i].back;

    ck_assert_int_eq(address_parse(good_cases[_i].text, &address), 0);
    ck_assert_uint_eq(address_port(&address), good_cases[_i].port);
    ck_assert_int_eq(address_is_loopback(&address), good_cases[_i].is_loopback);
    ck_assert_uint_eq(address_format(&address, text), strlen(back));
    ck_assert_str_eq(text, back);
}
END_TEST

static const char *const bad_texts[] = {
    "",
    ":",
    ":80",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.1:000080",
    "127.0.0.1:+80",
    "127.0.0.1:80 ",
    " 127.0.0.1:80",
    "127.0.0.1:8o",
    "127.0.0:80",
    "127.0.0.256:80",
    "localhost:80",
    "::1:80",
    "[::1]",
    "[::1]80",
    "[::1:80",
    "[]:80",
    "[::g]:80",
    "[::1]:-1",
    "[127.0.0.1]:80",
    "1111111111111111111111111111111111111111111111111:80",
};

START_TEST(refuses)
{
    /* An exact-size heap copy lets AddressSanitizer see a read behind the text. */
    char *text = strdup(bad_texts[_i]);
    struct address address = {.size = 77};
    ck_assert_ptr_nonnull(text);
    ck_assert_int_eq(address_parse(text, &address), -EINVAL);
    ck_assert_uint_eq(address.size, 77);
    free(text);
}
END_TEST

START_TEST(one_client_is_one_key)
{
    struct address v4;
    struct address mapped;
    struct address other;
    uint8_t a[ADDRESS_IP_SIZE];
    uint8_t b[ADDRESS_IP_SIZE];

    ck_assert_int_eq(address_parse("192.0.2.7:1", &v4), 0);
    ck_assert_int_eq(address_parse("[::ffff:192.0.2.7]:2", &mapped), 0);
    ck_assert_int_eq(address_parse("192.0.2.8:1", &other), 0);
    address_ip(&v4, a);
    address_ip(&mapped, b);
    ck_assert_mem_eq(a, b, sizeof(a));
    address_ip(&other, b);
    ck_assert_mem_ne(a, b, sizeof(a));
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("address");
    tcase_add_loop_test(cases, reads_and_writes, 0,
                        (int)(sizeof(good_cases) / sizeof(good_cases[0])));
    tcase_add_loop_test(cases, refuses, 0, (int)(sizeof(bad_texts) / sizeof(bad_texts[0])));
    tcase_add_test(cases, one_client_is_one_key);
    Suite *suite = suite_create("net/address");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
