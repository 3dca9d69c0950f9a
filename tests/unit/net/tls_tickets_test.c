/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/tls_tickets: the clock is a parameter, so periods pass as the test says.
 */
#include "net/tls_tickets.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROTATION = 100 };

static struct tls_tickets with_secrets(const char *bytes)
{
    struct tls_tickets tickets = {.count = (uint32_t)strlen(bytes), .rotation_s = ROTATION};
    for (uint32_t i = 0; i < tickets.count; i++) {
        memset(tickets.secrets[i], bytes[i], TLS_TICKETS_SECRET_SIZE);
    }
    return tickets;
}

START_TEST(a_key_is_good_for_three_periods)
{
    const struct {
        uint64_t now_s;
        enum tls_tickets_age age;
    } cases[] = {
        {899, TLS_TICKETS_UNKNOWN}, /* two periods ahead of us */
        {900, TLS_TICKETS_OLD},     /* one: somebody else's clock */
        {1000, TLS_TICKETS_PRESENT}, {1099, TLS_TICKETS_PRESENT}, {1100, TLS_TICKETS_OLD},
        {1299, TLS_TICKETS_OLD},     {1300, TLS_TICKETS_UNKNOWN},
    };
    const struct tls_tickets tickets = with_secrets("a");
    struct tls_tickets_key made;
    ck_assert(tls_tickets_present(&tickets, 1050, &made));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tls_tickets_key found = {{0}, {0}, {0}};
        ck_assert_int_eq(tls_tickets_find(&tickets, cases[i].now_s, made.name, &found),
                         cases[i].age);
        if (cases[i].age != TLS_TICKETS_UNKNOWN) {
            ck_assert_mem_eq(&found, &made, sizeof(made));
        }
    }
}
END_TEST

START_TEST(keys_differ)
{
    const struct tls_tickets a = with_secrets("a");
    const struct tls_tickets b = with_secrets("b");
    struct tls_tickets_key keys[3];
    ck_assert(tls_tickets_present(&a, 1000, &keys[0]));
    ck_assert(tls_tickets_present(&a, 1100, &keys[1]));
    ck_assert(tls_tickets_present(&b, 1000, &keys[2]));
    for (size_t i = 0; i < 3; i++) {
        const struct tls_tickets_key *other = &keys[(i + 1) % 3];
        ck_assert_mem_ne(keys[i].name, other->name, sizeof(other->name));
        ck_assert_mem_ne(keys[i].cipher, other->cipher, sizeof(other->cipher));
        ck_assert_mem_ne(keys[i].mac, other->mac, sizeof(other->mac));
        ck_assert_mem_ne(keys[i].mac, keys[i].cipher, sizeof(other->mac));
    }
}
END_TEST

START_TEST(later_secrets_only_read)
{
    const struct tls_tickets before = with_secrets("a");
    const struct tls_tickets after = with_secrets("ba");
    struct tls_tickets_key made;
    struct tls_tickets_key found;
    ck_assert(tls_tickets_present(&before, 1000, &made));
    ck_assert_int_eq(tls_tickets_find(&after, 1000, made.name, &found), TLS_TICKETS_OLD);
    ck_assert(tls_tickets_present(&after, 1000, &made));
    ck_assert_int_eq(tls_tickets_find(&after, 1000, made.name, &found), TLS_TICKETS_PRESENT);
    ck_assert_int_eq(tls_tickets_find(&before, 1000, made.name, &found), TLS_TICKETS_UNKNOWN);
}
END_TEST

START_TEST(a_random_one_is_nobody_elses)
{
    struct tls_tickets here;
    struct tls_tickets there;
    struct tls_tickets_key made;
    struct tls_tickets_key found;
    ck_assert(tls_tickets_init_random(&here, ROTATION));
    ck_assert(tls_tickets_init_random(&there, ROTATION));
    ck_assert(tls_tickets_present(&here, 1, &made)); /* there are no periods before the first */
    ck_assert_int_eq(tls_tickets_find(&here, 1, made.name, &found), TLS_TICKETS_PRESENT);
    ck_assert_int_eq(tls_tickets_find(&there, 1, made.name, &found), TLS_TICKETS_UNKNOWN);
}
END_TEST

#define A "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"
#define B "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

static const struct {
    const char *why;
    const char *text;
    uint32_t count; /* 0: refused */
    const char *error;
} files[] = {
    {"one", A "\n", 1, NULL},
    {"no end of line", A, 1, NULL},
    {"comments, empty lines, CR", "# mine\r\n\r\n" A "\r\n# old\n" B "\n", 2, NULL},
    {"three", A "\n" B "\n" B "\n", 3, NULL},
    {"four", A "\n" B "\n" B "\n" B "\n", 0, "line 4 has more than three secrets"},
    {"empty", "", 0, "has no secret"},
    {"comments only", "# a\n# b\n", 0, "has no secret"},
    {"one digit less", "123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef\n", 0,
     "line 1 is not 64 hexadecimal digits"},
    {"one more", "# a\n" A "0\n", 0, "line 2 is not 64 hexadecimal digits"},
    {"no digits", "g123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef\n", 0,
     "line 1 is not 64 hexadecimal digits"},
    {"two on a line", A " " B "\n", 0, "line 1 is not 64 hexadecimal digits"},
    {"a long line", A A A A A A "\n", 0, "line 1 is not 64 hexadecimal digits"},
};

START_TEST(reads_files)
{
    char path[] = "/tmp/parley-tickets-XXXXXX";
    const int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    const size_t size = strlen(files[_i].text);
    ck_assert_int_eq(write(fd, files[_i].text, size), (ssize_t)size);
    ck_assert_int_eq(close(fd), 0);

    const struct tls_tickets before = with_secrets("z");
    struct tls_tickets tickets = before;
    char error[256] = "";
    const bool done = tls_tickets_init_file(&tickets, path, ROTATION, error, sizeof(error));
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_msg(done == (files[_i].count > 0), "%s: %s", files[_i].why, error);
    if (done) {
        ck_assert_uint_eq(tickets.count, files[_i].count);
        ck_assert_uint_eq(tickets.secrets[0][1], 0x23);
        ck_assert_uint_eq(tickets.secrets[0][15], 0xef);
    } else {
        ck_assert_msg(strstr(error, files[_i].error) != NULL, "%s: %s", files[_i].why, error);
        ck_assert_ptr_nonnull(strstr(error, path));
        ck_assert_mem_eq(&tickets, &before, sizeof(before));
    }
}
END_TEST

START_TEST(no_file)
{
    struct tls_tickets tickets;
    char error[256] = "";
    ck_assert(!tls_tickets_init_file(&tickets, "/nowhere/keys", ROTATION, error, sizeof(error)));
    ck_assert_str_eq(error,
                     "cannot use the ticket keys in \"/nowhere/keys\": No such file or directory");
}
END_TEST

int main(void)
{
    TCase *tickets = tcase_create("tickets");
    tcase_add_test(tickets, a_key_is_good_for_three_periods);
    tcase_add_test(tickets, keys_differ);
    tcase_add_test(tickets, later_secrets_only_read);
    tcase_add_test(tickets, a_random_one_is_nobody_elses);
    tcase_add_loop_test(tickets, reads_files, 0, (int)(sizeof(files) / sizeof(files[0])));
    tcase_add_test(tickets, no_file);

    Suite *suite = suite_create("net/tls_tickets");
    suite_add_tcase(suite, tickets);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
