/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/cidr: what is read, what is in a block, what limits count by.
 */
#include "net/cidr.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void ip_of(const char *text, uint8_t ip[ADDRESS_IP_SIZE])
{
    struct cidr cidr;
    ck_assert_msg(cidr_parse(text, &cidr) == 0, "%s", text);
    ck_assert_uint_eq(cidr.prefix, 128);
    memcpy(ip, cidr.ip, ADDRESS_IP_SIZE);
}

static const struct {
    const char *text;
    const char *formatted; /* NULL: refused */
} texts[] = {
    {"10.0.0.0/8", "10.0.0.0/8"},
    {"0.0.0.0/0", "0.0.0.0/0"},
    {"192.0.2.1", "192.0.2.1/32"},
    {"192.0.2.1/32", "192.0.2.1/32"},
    {"2001:DB8::/32", "2001:db8::/32"},
    {"::/0", "::/0"},
    {"::1", "::1/128"},
    {"::ffff:10.0.0.0/104", "10.0.0.0/8"},
    {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128"},
    {"", NULL},
    {"/8", NULL},
    {"10.0.0.0/", NULL},
    {"10.0.0.0/33", NULL},
    {"10.0.0.0/08", NULL},
    {"10.0.0.0/+8", NULL},
    {"10.0.0.0/8 ", NULL},
    {" 10.0.0.0/8", NULL},
    {"10.0.0.1/8", NULL},
    {"10.0.0.0/7/8", NULL},
    {"10.0.0/8", NULL},
    {"::/129", NULL},
    {"2001:db8::1/64", NULL},
    {"localhost", NULL},
    {"10.0.0.0/255.0.0.0", NULL},
    {"2001:0db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000", NULL},
};

START_TEST(reads_and_writes)
{
    struct cidr cidr = {{1}, 2};
    const struct cidr before = cidr;
    if (texts[_i].formatted == NULL) {
        ck_assert_msg(cidr_parse(texts[_i].text, &cidr) != 0, "%s", texts[_i].text);
        ck_assert_mem_eq(&cidr, &before, sizeof(cidr));
        return;
    }
    char text[CIDR_TEXT_SIZE_MAX];
    ck_assert_msg(cidr_parse(texts[_i].text, &cidr) == 0, "%s", texts[_i].text);
    ck_assert_uint_eq(cidr_format(&cidr, text), strlen(text));
    ck_assert_str_eq(text, texts[_i].formatted);
}
END_TEST

START_TEST(has)
{
    const struct {
        const char *block;
        const char *ip;
        bool is_in;
    } cases[] = {
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.1.1", true},
        {"10.0.0.0/8", "::10.1.1.1", false},
        {"192.0.2.0/25", "192.0.2.127", true},
        {"192.0.2.0/25", "192.0.2.128", false},
        {"0.0.0.0/0", "1.2.3.4", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "1.2.3.4", true},
        {"::1", "::1", true},
        {"::1", "::2", false},
        {"2001:db8::/32", "2001:db8:ffff::", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"2001:db8::/33", "2001:db8:8000::", false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cidr cidr;
        uint8_t ip[ADDRESS_IP_SIZE];
        ck_assert_int_eq(cidr_parse(cases[i].block, &cidr), 0);
        ip_of(cases[i].ip, ip);
        ck_assert_msg(cidr_has(&cidr, ip) == cases[i].is_in, "%s %s", cases[i].block, cases[i].ip);
    }
}
END_TEST

START_TEST(any_has)
{
    struct cidr cidrs[2];
    uint8_t ip[ADDRESS_IP_SIZE];
    ck_assert_int_eq(cidr_parse("10.0.0.0/8", &cidrs[0]), 0);
    ck_assert_int_eq(cidr_parse("::1", &cidrs[1]), 0);
    ip_of("::1", ip);
    ck_assert(cidr_any_has(cidrs, 2, ip));
    ck_assert(!cidr_any_has(cidrs, 1, ip));
    ck_assert(!cidr_any_has(NULL, 0, ip));
}
END_TEST

START_TEST(limits_count_by)
{
    const struct {
        const char *ip;
        const char *key;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
        {"2001:db8:1:2::", "2001:db8:1:2::"},
        {"2001:db8:1:3::", "2001:db8:1:3::"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t ip[ADDRESS_IP_SIZE];
        uint8_t key[ADDRESS_IP_SIZE];
        uint8_t expected[ADDRESS_IP_SIZE];
        ip_of(cases[i].ip, ip);
        ip_of(cases[i].key, expected);
        cidr_limit_key(ip, key);
        ck_assert_msg(memcmp(key, expected, sizeof(key)) == 0, "%s", cases[i].ip);
    }
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("cidr");
    tcase_add_loop_test(cases, reads_and_writes, 0, (int)(sizeof(texts) / sizeof(texts[0])));
    tcase_add_test(cases, has);
    tcase_add_test(cases, any_has);
    tcase_add_test(cases, limits_count_by);

    Suite *suite = suite_create("net/cidr");
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
