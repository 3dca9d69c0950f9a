/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies from a table, sized and in chunks: what they are, and how much of the input is theirs.
 * Each is read as one piece, and cut at each byte, from a heap copy of exactly its size.
 */
#include "proto/http_body.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/http.h"

enum { BODY_SIZE_MAX = 512 };

static const struct {
    const char *why;
    enum http_body kind;
    uint64_t length; /* HTTP_BODY_SIZED */
    const char *wire;
    enum http_body_verdict verdict;
    const char *body;
    const char *rest; /* what is not the body's; only after HTTP_BODY_END */
} cases[] = {
    {"none", HTTP_BODY_NONE, 0, "POST /", HTTP_BODY_END, "", "POST /"},
    {"an empty one", HTTP_BODY_SIZED, 0, "POST /", HTTP_BODY_END, "", "POST /"},
    {"sized", HTTP_BODY_SIZED, 5, "hello", HTTP_BODY_END, "hello", ""},
    {"and another request", HTTP_BODY_SIZED, 5, "helloPOST", HTTP_BODY_END, "hello", "POST"},
    {"cut off", HTTP_BODY_SIZED, 6, "hello", HTTP_BODY_NEED_MORE, "hello", NULL},
    {"no chunk", HTTP_BODY_CHUNKED, 0, "0\r\n\r\nPOST", HTTP_BODY_END, "", "POST"},
    {"a chunk", HTTP_BODY_CHUNKED, 0, "5\r\nhello\r\n0\r\n\r\n", HTTP_BODY_END, "hello", ""},
    {"two", HTTP_BODY_CHUNKED, 0, "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nx", HTTP_BODY_END, "hello", "x"},
    {"hex", HTTP_BODY_CHUNKED, 0, "A\r\n0123456789\r\nb\r\n0123456789a\r\n00000000\r\n\r\n",
     HTTP_BODY_END, "01234567890123456789a", ""},
    {"line ends are data", HTTP_BODY_CHUNKED, 0, "4\r\n\r\n\r\n\r\n0\r\n\r\n", HTTP_BODY_END,
     "\r\n\r\n", ""},
    {"not over", HTTP_BODY_CHUNKED, 0, "5\r\nhello\r\n0\r\n\r", HTTP_BODY_NEED_MORE, "hello", NULL},
    {"no size", HTTP_BODY_CHUNKED, 0, "\r\nhello", HTTP_BODY_BAD_CHUNK, "", NULL},
    {"no hex", HTTP_BODY_CHUNKED, 0, "g\r\n", HTTP_BODY_BAD_CHUNK, "", NULL},
    {"a prefix", HTTP_BODY_CHUNKED, 0, "0x5\r\nhello", HTTP_BODY_BAD_CHUNK, "", NULL},
    {"a sign", HTTP_BODY_CHUNKED, 0, "+5\r\nhello", HTTP_BODY_BAD_CHUNK, "", NULL},
    {"a space", HTTP_BODY_CHUNKED, 0, "5 \r\nhello", HTTP_BODY_BAD_CHUNK, "", NULL},
    {"an extension", HTTP_BODY_CHUNKED, 0, "5;a=b\r\nhello", HTTP_BODY_BAD_CHUNK, "", NULL},
    {"nine digits", HTTP_BODY_CHUNKED, 0, "000000005\r\nhello", HTTP_BODY_BAD_CHUNK, "", NULL},
    {"a bare LF", HTTP_BODY_CHUNKED, 0, "5\nhello", HTTP_BODY_BAD_CHUNK, "", NULL},
    {"a bare CR", HTTP_BODY_CHUNKED, 0, "5\rhello", HTTP_BODY_BAD_CHUNK, "", NULL},
    {"longer than it says", HTTP_BODY_CHUNKED, 0, "4\r\nhello\r\n0\r\n\r\n", HTTP_BODY_BAD_CHUNK,
     "hell", NULL},
    {"a trailer", HTTP_BODY_CHUNKED, 0, "0\r\nA: b\r\n\r\n", HTTP_BODY_BAD_CHUNK, "", NULL},
};

/* Feeds `in` to its end, or a verdict. Returns what is not used up. */
static size_t feed(struct http_body_reader *reader, struct bytes in, char *body,
                   enum http_body_verdict *verdict)
{
    struct bytes piece;
    for (;;) {
        *verdict = http_body_next(reader, &in, &piece);
        if (*verdict != HTTP_BODY_PIECE) {
            return in.size;
        }
        ck_assert_uint_gt(piece.size, 0);
        ck_assert_uint_lt(strlen(body) + piece.size, BODY_SIZE_MAX);
        (void)strncat(body, (const char *)piece.data, piece.size);
    }
}

static void read_cut(int index, size_t cut)
{
    const size_t size = strlen(cases[index].wire);
    const struct http_request request = {.body = cases[index].kind,
                                         .content_length = cases[index].length};
    struct http_body_reader reader;
    enum http_body_verdict verdict;
    char body[BODY_SIZE_MAX] = "";
    uint8_t *first = malloc(cut + 1);
    uint8_t *second = malloc(size - cut + 1);
    ck_assert(first != NULL && second != NULL);
    memcpy(first, cases[index].wire, cut);
    memcpy(second, cases[index].wire + cut, size - cut);

    http_body_begin(&reader, &request);
    size_t rest = feed(&reader, (struct bytes){first, cut}, body, &verdict);
    if (verdict == HTTP_BODY_NEED_MORE) {
        ck_assert_uint_eq(rest, 0);
        rest = feed(&reader, (struct bytes){second, size - cut}, body, &verdict);
    } else {
        rest += size - cut;
    }
    ck_assert_msg(verdict == cases[index].verdict, "%s, cut at %zu: %d", cases[index].why, cut,
                  (int)verdict);
    ck_assert_str_eq(body, cases[index].body);
    ck_assert(http_body_is_over(&reader) == (verdict == HTTP_BODY_END));
    if (cases[index].rest != NULL) {
        ck_assert_uint_eq(rest, strlen(cases[index].rest));
    }
    free(first);
    free(second);
}

START_TEST(reads)
{
    for (size_t cut = 0; cut <= strlen(cases[_i].wire); cut++) {
        read_cut(_i, cut);
    }
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("http_body");
    tcase_add_loop_test(tests, reads, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    Suite *suite = suite_create("proto/http_body");
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
