/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offers from a table get the verdict and the answer beside them, read as the server reads them;
 * every window at every window of ours; every byte value at every place of a good offer, against a
 * judgement made apart from the code; long ones in one pass.
 */
#include "proto/offer.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct http_limits limits = {
    .head_size_max = 16384, .header_count_max = 64, .target_size_max = 4096};

#define HEADER  "Sec-WebSocket-Extensions: "
#define DEFLATE "permessage-deflate"
#define ANSWER  DEFLATE "; server_no_context_takeover; client_no_context_takeover"
#define WINDOW  ANSWER "; server_max_window_bits=12"

static enum offer_verdict judge(const char *headers, unsigned window_bits,
                                char answer[OFFER_ANSWER_SIZE_MAX])
{
    struct http_reader reader = {0};
    struct http_request request;
    char head[10000];

    const int size =
        snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n", headers);
    ck_assert(size > 0 && (size_t)size < sizeof(head));
    const struct bytes in = {(const uint8_t *)head, (size_t)size};
    ck_assert_int_eq(http_read_head(&reader, in, &limits, &request), HTTP_OK);
    strcpy(answer, "untouched");
    const enum offer_verdict verdict = offer_judge(&request, window_bits, answer);
    ck_assert((strcmp(answer, "untouched") == 0) == (verdict != OFFER_ACCEPTED));
    return verdict;
}

/* With a window of 12 bits of ours. `answer` is NULL where none is given. */
static const struct {
    const char *why;
    enum offer_verdict verdict;
    const char *answer;
    const char *headers;
} offers[] = {
    {"no header", OFFER_NONE, NULL, "X: y"},
    {"an empty header", OFFER_NONE, NULL, HEADER},
    {"another extension", OFFER_NONE, NULL, HEADER "x-webkit-deflate-frame"},
    {"another one with parameters", OFFER_NONE, NULL, HEADER "a; b; c=1; d=\"2\", e"},
    {"nothing else", OFFER_ACCEPTED, ANSWER, HEADER DEFLATE},
    {"as Chromium does", OFFER_ACCEPTED, ANSWER, HEADER DEFLATE "; client_max_window_bits"},
    {"as Firefox does", OFFER_ACCEPTED, ANSWER, HEADER DEFLATE},
    {"as Python does", OFFER_ACCEPTED, WINDOW,
     HEADER DEFLATE "; server_max_window_bits=12; client_max_window_bits=12"},
    {"no takeover", OFFER_ACCEPTED, ANSWER,
     HEADER DEFLATE "; server_no_context_takeover; client_no_context_takeover"},
    {"without case", OFFER_ACCEPTED, WINDOW, HEADER "PerMessage-Deflate;Server_Max_Window_Bits=15"},
    {"the largest window", OFFER_ACCEPTED, WINDOW, HEADER DEFLATE "; server_max_window_bits=15"},
    {"a smaller window than ours", OFFER_DECLINED, NULL,
     HEADER DEFLATE "; server_max_window_bits=11"},
    {"window 8 of the server", OFFER_DECLINED, NULL, HEADER DEFLATE "; server_max_window_bits=8"},
    {"window 8 of the client", OFFER_ACCEPTED, ANSWER, HEADER DEFLATE "; client_max_window_bits=8"},
    {"a window without a value", OFFER_DECLINED, NULL, HEADER DEFLATE "; server_max_window_bits"},
    {"a window of 16", OFFER_DECLINED, NULL, HEADER DEFLATE "; client_max_window_bits=16"},
    {"a window of 7", OFFER_DECLINED, NULL, HEADER DEFLATE "; client_max_window_bits=7"},
    {"a window of 0", OFFER_DECLINED, NULL, HEADER DEFLATE "; client_max_window_bits=0"},
    {"a leading zero", OFFER_DECLINED, NULL, HEADER DEFLATE "; client_max_window_bits=09"},
    {"a window of three digits", OFFER_DECLINED, NULL,
     HEADER DEFLATE "; client_max_window_bits=100"},
    {"a window that wraps", OFFER_DECLINED, NULL,
     HEADER DEFLATE "; client_max_window_bits=4294967311"},
    {"a window with a sign", OFFER_DECLINED, NULL, HEADER DEFLATE "; client_max_window_bits=+9"},
    {"a window in words", OFFER_DECLINED, NULL, HEADER DEFLATE "; client_max_window_bits=ten"},
    {"a flag with a value", OFFER_DECLINED, NULL, HEADER DEFLATE "; server_no_context_takeover=1"},
    {"the other flag with a value", OFFER_DECLINED, NULL,
     HEADER DEFLATE "; client_no_context_takeover=true"},
    {"an unknown parameter", OFFER_DECLINED, NULL, HEADER DEFLATE "; mux"},
    {"a parameter twice", OFFER_DECLINED, NULL,
     HEADER DEFLATE "; client_max_window_bits; client_max_window_bits=10"},
    {"a flag twice", OFFER_DECLINED, NULL,
     HEADER DEFLATE "; server_no_context_takeover; SERVER_NO_CONTEXT_TAKEOVER"},
    {"quoted", OFFER_ACCEPTED, WINDOW, HEADER DEFLATE "; server_max_window_bits=\"13\""},
    {"quoted with backslashes", OFFER_ACCEPTED, WINDOW,
     HEADER DEFLATE "; server_max_window_bits=\"\\1\\3\""},
    {"space everywhere", OFFER_ACCEPTED, WINDOW,
     HEADER " \t " DEFLATE " \t;\t server_max_window_bits = \t14 , x ; y "},
    {"the second fits", OFFER_ACCEPTED, ANSWER,
     HEADER DEFLATE "; server_max_window_bits=10, " DEFLATE},
    {"the first that fits", OFFER_ACCEPTED, WINDOW,
     HEADER "a, " DEFLATE "; mux, " DEFLATE "; server_max_window_bits=15, " DEFLATE},
    {"in the second header", OFFER_ACCEPTED, ANSWER, HEADER "a\r\n" HEADER DEFLATE},
    {"none of two fits", OFFER_DECLINED, NULL,
     HEADER DEFLATE "; server_max_window_bits=8, " DEFLATE "; mux"},
    {"a comma in quotes", OFFER_MALFORMED, NULL, HEADER "a; b=\"c,d\", " DEFLATE},
    {"a token in quotes of another one", OFFER_ACCEPTED, ANSWER, HEADER "a; b=\"cd\", " DEFLATE},
    {"empty elements", OFFER_ACCEPTED, ANSWER, HEADER ", ," DEFLATE ", "},
    {"no name", OFFER_MALFORMED, NULL, HEADER "; b"},
    {"no parameter", OFFER_MALFORMED, NULL, HEADER DEFLATE ";"},
    {"no parameter between", OFFER_MALFORMED, NULL, HEADER DEFLATE ";; mux"},
    {"no value", OFFER_MALFORMED, NULL, HEADER DEFLATE "; client_max_window_bits="},
    {"an empty quoted value", OFFER_MALFORMED, NULL,
     HEADER DEFLATE "; client_max_window_bits=\"\""},
    {"an open quote", OFFER_MALFORMED, NULL, HEADER DEFLATE "; client_max_window_bits=\"12"},
    {"a backslash at the end", OFFER_MALFORMED, NULL, HEADER DEFLATE "; a=\"12\\"},
    {"a quoted space", OFFER_MALFORMED, NULL, HEADER DEFLATE "; a=\"1 2\""},
    {"something behind the quote", OFFER_MALFORMED, NULL, HEADER DEFLATE "; a=\"12\"3"},
    {"two words", OFFER_MALFORMED, NULL, HEADER DEFLATE " please"},
    {"two values", OFFER_MALFORMED, NULL, HEADER DEFLATE "; a=1=2"},
    {"malformed behind what fits", OFFER_MALFORMED, NULL, HEADER DEFLATE ", ="},
    {"malformed in the second header", OFFER_MALFORMED, NULL, HEADER DEFLATE "\r\n" HEADER "="},
    {"eight", OFFER_ACCEPTED, ANSWER, HEADER "a,b,c,d,e,f,g," DEFLATE},
    {"nine", OFFER_MALFORMED, NULL, HEADER DEFLATE ",b,c,d,e,f,g,h,i"},
    {"nine in two headers", OFFER_MALFORMED, NULL, HEADER DEFLATE ",b,c,d,e\r\n" HEADER "f,g,h,i"},
    {"eight parameters", OFFER_NONE, NULL, HEADER "a;b;c;d;e;f;g;h;i"},
    {"nine parameters", OFFER_MALFORMED, NULL, HEADER DEFLATE ", a;b;c;d;e;f;g;h;i;j"},
};

START_TEST(judges_offers)
{
    char answer[OFFER_ANSWER_SIZE_MAX];
    const enum offer_verdict verdict = judge(offers[_i].headers, 12, answer);

    ck_assert_msg(verdict == offers[_i].verdict, "%s: %d", offers[_i].why, (int)verdict);
    if (offers[_i].answer != NULL) {
        ck_assert_msg(strcmp(answer, offers[_i].answer) == 0, "%s: %s", offers[_i].why, answer);
    }
}
END_TEST

START_TEST(compares_windows)
{
    for (unsigned ours = OFFER_WINDOW_BITS_MIN; ours <= OFFER_WINDOW_BITS_MAX; ours++) {
        for (unsigned asked = 0; asked < 110; asked++) {
            char header[100];
            char answer[OFFER_ANSWER_SIZE_MAX];
            char expected[OFFER_ANSWER_SIZE_MAX];
            (void)snprintf(header, sizeof(header), HEADER DEFLATE "; server_max_window_bits=%u",
                           asked);
            const bool fits = asked >= ours && asked <= 15;
            ck_assert_int_eq(judge(header, ours, answer), fits ? OFFER_ACCEPTED : OFFER_DECLINED);
            (void)snprintf(expected, sizeof(expected), ANSWER "; server_max_window_bits=%u", ours);
            ck_assert(!fits || strcmp(answer, expected) == 0);
        }
    }
}
END_TEST

/* One byte of the offer is another one: what that means follows from where it stands. */
START_TEST(judges_every_byte_everywhere)
{
    static const char good[] = DEFLATE ";client_max_window_bits=10";
    const size_t semicolon = strlen(DEFLATE);
    const size_t equals = (size_t)(strchr(good, '=') - good);

    for (size_t at = 0; at < strlen(good); at++) {
        for (unsigned byte = 33; byte < 127; byte++) {
            char header[200];
            char answer[OFFER_ANSWER_SIZE_MAX];
            (void)snprintf(header, sizeof(header), HEADER "%s", good);
            header[strlen(HEADER) + at] = (char)byte;
            const enum offer_verdict verdict = judge(header, 12, answer);
            const bool same = byte == (uint8_t)good[at] ||
                              ((byte ^ (uint8_t)good[at]) == 0x20 && good[at] >= 'a');
            const bool is_token = http_is_token((struct bytes){&(uint8_t){(uint8_t)byte}, 1});
            if (same) {
                ck_assert_int_eq(verdict, OFFER_ACCEPTED);
            } else if (is_token) {
                /* Another name, or another value. The window may still be one: 10 to 15. */
                const bool is_window = at == equals + 2 && byte >= '0' && byte <= '5';
                const enum offer_verdict other = at < semicolon    ? OFFER_NONE
                                                 : at == semicolon ? OFFER_MALFORMED
                                                                   : OFFER_DECLINED;
                ck_assert_int_eq(verdict, is_window ? OFFER_ACCEPTED : other);
            } else if (at == equals && byte == ',') {
                ck_assert_int_eq(verdict, OFFER_ACCEPTED); /* and another extension, 10 */
            } else {
                ck_assert_int_ne(verdict, OFFER_ACCEPTED);
            }
        }
    }
}
END_TEST

/* LIMITS.md row 2. */
START_TEST(survives_long_ones)
{
    static const struct {
        const char *begin;
        char fill;
        const char *end;
        enum offer_verdict verdict;
    } cases[] = {
        {DEFLATE, ' ', "", OFFER_ACCEPTED},
        {DEFLATE, ' ', "x", OFFER_MALFORMED},
        {DEFLATE, ',', "", OFFER_MALFORMED},
        {DEFLATE, ';', "", OFFER_MALFORMED},
        {DEFLATE "; b=\"", '\\', "", OFFER_MALFORMED},
        {DEFLATE "; b=\"", 'x', "\"", OFFER_DECLINED},
        {DEFLATE "; b=\"", '"', "", OFFER_MALFORMED},
        {"x", 'x', "", OFFER_NONE},
        {DEFLATE "; client_max_window_bits=", '1', "", OFFER_DECLINED},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char header[9000] = HEADER;
        char answer[OFFER_ANSWER_SIZE_MAX];
        strcat(header, cases[i].begin);
        memset(header + strlen(header), cases[i].fill, 8000);
        strcat(header, cases[i].end);
        ck_assert_msg(judge(header, 15, answer) == cases[i].verdict, "%zu", i);
    }
}
END_TEST

int main(void)
{
    TCase *offer = tcase_create("offer");
    tcase_add_loop_test(offer, judges_offers, 0, (int)(sizeof(offers) / sizeof(offers[0])));
    tcase_add_test(offer, compares_windows);
    tcase_add_test(offer, judges_every_byte_everywhere);
    tcase_add_test(offer, survives_long_ones);
    Suite *suite = suite_create("proto/offer");
    suite_add_tcase(suite, offer);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
