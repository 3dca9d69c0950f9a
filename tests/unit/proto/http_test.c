/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads from a table give the verdict beside them whole, at every split in two, and byte by byte,
 * from exact-size memory that moves at each call; a strict prefix only asks for more. Then every
 * byte value at every kind of place, the limits to the byte, and the cost: how many bytes are
 * looked at for a head of a million bytes that comes byte by byte.
 */
#include "proto/http.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct http_limits plain = {
    .head_size_max = 8192, .header_count_max = 64, .target_size_max = 4096};

#define H "Host: a\r\n"

static const struct {
    const char *why;
    enum http_verdict verdict;
    const char *head;
} heads[] = {
    {"shortest", HTTP_OK, "GET / HTTP/1.1\r\nHost:a\r\n\r\n"},
    {"several headers", HTTP_OK,
     "GET /a?b HTTP/1.1\r\nAccept: */*\r\n" H "User-Agent: x y\r\n\r\n"},
    {"empty value", HTTP_OK, "GET / HTTP/1.1\r\nX:\r\n" H "\r\n"},
    {"white space around a value", HTTP_OK, "GET / HTTP/1.1\r\nX: \t 1 \t\r\n" H "\r\n"},
    {"bytes above 127 in a value", HTTP_OK, "GET / HTTP/1.1\r\nX: \xc3\xa9\xff\r\n" H "\r\n"},
    {"two slashes", HTTP_OK, "GET //a HTTP/1.1\r\n" H "\r\n"},
    {"POST with a length", HTTP_OK, "POST /a HTTP/1.1\r\n" H "Content-Length: 12\r\n\r\n"},
    {"POST in chunks", HTTP_OK, "POST /a HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n"},
    {"OPTIONS", HTTP_OK, "OPTIONS /a HTTP/1.1\r\n" H "\r\n"},
    {"HEAD", HTTP_OK, "HEAD /a HTTP/1.1\r\n" H "\r\n"},
    {"host with port", HTTP_OK, "GET / HTTP/1.1\r\nHost: [::1]:8000\r\n\r\n"},

    {"empty line first", HTTP_BAD_REQUEST, "\r\nGET / HTTP/1.1\r\n" H "\r\n"},
    {"TLS", HTTP_BAD_REQUEST, "\x16\x03\x01"},
    {"bare LF after the request", HTTP_BAD_REQUEST, "GET / HTTP/1.1\n" H "\r\n"},
    {"bare LF after a header", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\nHost: a\n\r\n"},
    {"bare LF at the end", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\n" H "\n"},
    {"CR inside a value", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n"},
    {"two CRs", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"},
    {"folded line", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"},
    {"folded with a tab", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\n" H "X: a\r\n\tb: c\r\n\r\n"},
    {"space before the first header", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
    {"space before the colon", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
    {"no colon", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\n" H "X\r\n\r\n"},
    {"no name", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\n" H ": x\r\n\r\n"},
    {"no host", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\nX: y\r\n\r\n"},
    {"nothing but the request line", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\n\r\n"},
    {"two hosts", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\n" H H "\r\n"},
    {"two hosts in one", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"},
    {"empty host", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
    {"host with a path", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
    {"host with a user", HTTP_BAD_REQUEST, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},

    {"absolute target", HTTP_BAD_REQUEST, "GET http://a/ HTTP/1.1\r\n" H "\r\n"},
    {"absolute ws target", HTTP_BAD_REQUEST, "GET ws://a/ HTTP/1.1\r\n" H "\r\n"},
    {"authority target", HTTP_BAD_REQUEST, "GET a:80 HTTP/1.1\r\n" H "\r\n"},
    {"CONNECT", HTTP_BAD_REQUEST, "CONNECT a:80 HTTP/1.1\r\n" H "\r\n"},
    {"asterisk target", HTTP_BAD_REQUEST, "OPTIONS * HTTP/1.1\r\n" H "\r\n"},
    {"empty target", HTTP_BAD_REQUEST, "GET  HTTP/1.1\r\n" H "\r\n"},
    {"fragment in the target", HTTP_BAD_REQUEST, "GET /a#b HTTP/1.1\r\n" H "\r\n"},
    {"space in the target", HTTP_BAD_REQUEST, "GET /a b HTTP/1.1\r\n" H "\r\n"},
    {"tab for space", HTTP_BAD_REQUEST, "GET\t/\tHTTP/1.1\r\n" H "\r\n"},
    {"two spaces", HTTP_BAD_REQUEST, "GET /  HTTP/1.1\r\n" H "\r\n"},
    {"space at the end", HTTP_BAD_REQUEST, "GET / HTTP/1.1 \r\n" H "\r\n"},
    {"HTTP/0.9", HTTP_BAD_REQUEST, "GET /\r\n\r\n"},
    {"version in small letters", HTTP_BAD_REQUEST, "GET / http/1.1\r\n" H "\r\n"},
    {"no digits in the version", HTTP_BAD_REQUEST, "GET / HTTP/1.x\r\n" H "\r\n"},
    {"longer version", HTTP_BAD_REQUEST, "GET / HTTP/1.10\r\n" H "\r\n"},
    {"method with a colon", HTTP_BAD_REQUEST, "GE:T / HTTP/1.1\r\n" H "\r\n"},
    {"small method", HTTP_BAD_REQUEST, "get / HTTP/1.1\r\n" H "\r\n"},

    {"HTTP/1.0", HTTP_BAD_VERSION, "GET / HTTP/1.0\r\n" H "\r\n"},
    {"HTTP/2.0", HTTP_BAD_VERSION, "GET / HTTP/2.0\r\n" H "\r\n"},
    {"DELETE", HTTP_UNKNOWN_METHOD, "DELETE / HTTP/1.1\r\n" H "\r\n"},
    {"GETS", HTTP_UNKNOWN_METHOD, "GETS / HTTP/1.1\r\n" H "\r\n"},
    {"Get", HTTP_UNKNOWN_METHOD, "Get / HTTP/1.1\r\n" H "\r\n"},

    {"two lengths", HTTP_BAD_REQUEST,
     "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n"},
    {"two equal lengths", HTTP_BAD_REQUEST,
     "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"},
    {"length list", HTTP_BAD_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n"},
    {"length with a sign", HTTP_BAD_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n"},
    {"negative length", HTTP_BAD_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"},
    {"hexadecimal length", HTTP_BAD_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n"},
    {"empty length", HTTP_BAD_REQUEST, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"},
    {"length in two words", HTTP_BAD_REQUEST,
     "POST / HTTP/1.1\r\n" H "Content-Length: 1 2\r\n\r\n"},
    {"length that overflows", HTTP_BAD_REQUEST,
     "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n"},
    {"length and chunks", HTTP_BAD_REQUEST,
     "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"chunks and length", HTTP_BAD_REQUEST,
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"},
    {"chunked twice", HTTP_BAD_REQUEST,
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {"other encoding", HTTP_BAD_REQUEST, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n"},
    {"encoding list", HTTP_BAD_REQUEST,
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"},
    {"nearly chunked", HTTP_BAD_REQUEST,
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"},
    {"connection is no list of tokens", HTTP_BAD_REQUEST,
     "GET / HTTP/1.1\r\n" H "Connection: a b\r\n\r\n"},
};

/* One call, with memory of exactly that size. */
static enum http_verdict read_copy(struct http_reader *reader, const void *head, size_t size,
                                   const struct http_limits *limits)
{
    uint8_t *const copy = malloc(size + (size == 0));
    if (copy == NULL) { /* no ck_assert here: each is a system call */
        abort();
    }
    memcpy(copy, head, size);
    struct http_request request;
    const enum http_verdict verdict =
        http_read_head(reader, (struct bytes){copy, size}, limits, &request);
    if (verdict == HTTP_OK) {
        ck_assert_uint_le(request.head_size, size);
        ck_assert_uint_le(request.header_count, limits->header_count_max);
        for (uint32_t i = 0; i < request.header_count; i++) { /* all views are into the copy */
            ck_assert(request.headers[i].name.data > copy);
            ck_assert(request.headers[i].value.data + request.headers[i].value.size <= copy + size);
        }
    }
    free(copy);
    return verdict;
}

static enum http_verdict read_whole(const void *head, size_t size, const struct http_limits *limits)
{
    struct http_reader reader = {0};
    return read_copy(&reader, head, size, limits);
}

/* As many calls as there are pieces, until it is settled. */
static enum http_verdict read_pieces(const void *head, size_t size, size_t piece,
                                     const struct http_limits *limits)
{
    struct http_reader reader = {0};
    enum http_verdict verdict = HTTP_NEED_MORE;

    for (size_t end = 0; verdict == HTTP_NEED_MORE && end < size;) {
        end = size - end < piece ? size : end + piece;
        verdict = read_copy(&reader, head, end, limits);
    }
    return verdict;
}

START_TEST(judges_however_cut)
{
    const char *const head = heads[_i].head;
    const size_t size = strlen(head);

    ck_assert_msg(read_whole(head, size, &plain) == heads[_i].verdict, "%s", heads[_i].why);
    for (size_t piece = 1; piece < size; piece++) {
        ck_assert_msg(read_pieces(head, size, piece, &plain) == heads[_i].verdict, "%s in %zus",
                      heads[_i].why, piece);
    }
    for (size_t cut = 0; cut < size; cut++) {
        struct http_reader reader = {0};
        enum http_verdict verdict = read_copy(&reader, head, cut, &plain);
        if (heads[_i].verdict == HTTP_OK) {
            ck_assert_int_eq(verdict, HTTP_NEED_MORE);
        }
        if (verdict == HTTP_NEED_MORE) {
            verdict = read_copy(&reader, head, size, &plain);
        }
        ck_assert_msg(verdict == heads[_i].verdict, "%s at %zu", heads[_i].why, cut);
    }
}
END_TEST

static void check_text(struct bytes text, const char *expected)
{
    ck_assert_uint_eq(text.size, strlen(expected));
    ck_assert_mem_eq(text.data, expected, text.size);
}

START_TEST(gives_the_request)
{
    static const char head[] = "POST /api/publish?x=1?&y HTTP/1.1\r\nhOST: example.org:8000\r\n"
                               "content-length:  000123 \r\nX-Key: a  b\r\nx-key:c\r\n"
                               "Connection: keep-alive, Close\r\n\r\nbody";
    struct http_reader reader = {0};
    struct http_request request;
    const struct bytes in = {(const uint8_t *)head, sizeof(head) - 1};

    ck_assert_int_eq(http_read_head(&reader, in, &plain, &request), HTTP_OK);
    ck_assert_int_eq(request.method, HTTP_POST);
    check_text(request.path, "/api/publish");
    check_text(request.query, "x=1?&y");
    check_text(request.host, "example.org:8000");
    ck_assert_int_eq(request.body, HTTP_BODY_SIZED);
    ck_assert_uint_eq(request.content_length, 123);
    ck_assert(request.close);
    ck_assert_uint_eq(request.header_count, 5);
    ck_assert_uint_eq(request.head_size, in.size - 4);
    const struct http_header *header = http_next_header(&request, "X-KEY", NULL);
    check_text(header->value, "a  b");
    header = http_next_header(&request, "X-KEY", header);
    check_text(header->value, "c");
    ck_assert_ptr_null(http_next_header(&request, "X-KEY", header));
    ck_assert_ptr_null(http_next_header(&request, "X-KE", NULL));
}
END_TEST

START_TEST(knows_methods_bodies_and_close)
{
    static const struct {
        const char *head;
        enum http_method method;
        enum http_body body;
        bool close;
    } cases[] = {
        {"GET / HTTP/1.1\r\n" H "\r\n", HTTP_GET, HTTP_BODY_NONE, false},
        {"HEAD / HTTP/1.1\r\n" H "Connection: keep-alive\r\n\r\n", HTTP_HEAD, HTTP_BODY_NONE,
         false},
        {"OPTIONS / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", HTTP_OPTIONS, HTTP_BODY_NONE,
         true},
        {"GET / HTTP/1.1\r\n" H "Upgrade: h2c\r\n\r\n", HTTP_GET, HTTP_BODY_NONE, true},
        {"POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", HTTP_POST, HTTP_BODY_SIZED, false},
        {"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", HTTP_POST, HTTP_BODY_CHUNKED,
         false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http_reader reader = {0};
        struct http_request request;
        const struct bytes in = {(const uint8_t *)cases[i].head, strlen(cases[i].head)};
        ck_assert_int_eq(http_read_head(&reader, in, &plain, &request), HTTP_OK);
        ck_assert_int_eq(request.method, cases[i].method);
        ck_assert_int_eq(request.body, cases[i].body);
        ck_assert(request.close == cases[i].close);
        ck_assert_uint_eq(request.query.size, 0);
    }
}
END_TEST

/* Requests behind each other in one buffer, with the same reader. */
START_TEST(reads_pipelined_requests)
{
    static const char wire[] =
        "GET /0 HTTP/1.1\r\n" H "\r\nGET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n";

    for (size_t piece = 1; piece < sizeof(wire); piece++) {
        struct http_reader reader = {0};
        size_t from = 0;
        size_t count = 0;
        for (size_t end = 0; end < sizeof(wire) - 1;) {
            end = sizeof(wire) - 1 - end < piece ? sizeof(wire) - 1 : end + piece;
            struct http_request request;
            while (from < end) {
                const struct bytes in = {(const uint8_t *)wire + from, end - from};
                if (http_read_head(&reader, in, &plain, &request) != HTTP_OK) {
                    break;
                }
                ck_assert_uint_eq(request.path.data[1], '0' + count);
                from += request.head_size;
                count++;
            }
        }
        ck_assert_uint_eq(count, 3);
    }
}
END_TEST

/* What may stand there, said once more and apart: in a method's tail, a target, a name, a value. */
START_TEST(judges_every_byte_everywhere)
{
    static const char *const templates[] = {
        "GE@ / HTTP/1.1\r\n" H "\r\n", "GET /@ HTTP/1.1\r\n" H "\r\n",
        "GET / HTTP/1.1\r\n" H "X@Y: z\r\n\r\n", "GET / HTTP/1.1\r\n" H "X: y@z\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"};
    static const char token[] = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (int byte = 0; byte < 256; byte++) {
        const bool is_token = memchr(token, byte, sizeof(token) - 1) != NULL;
        const bool is_alpha = is_token && memchr(token, byte, 15) == NULL;
        const bool expected[5] = {
            is_token,
            byte > 32 && byte < 127 && byte != '#',
            is_token || byte == ':', /* which ends the name */
            byte == 9 || (byte >= 32 && byte != 127),
            is_alpha || (byte != 0 && byte < 127 && strchr("-._~!$&'()*+;=%:[]", byte) != NULL),
        };
        for (size_t i = 0; i < 5; i++) {
            char head[64];
            strcpy(head, templates[i]);
            *strchr(head, '@') = (char)byte;
            const enum http_verdict verdict = read_whole(head, strlen(templates[i]), &plain);
            const enum http_verdict good = i == 0 && byte != 'T' ? HTTP_UNKNOWN_METHOD : HTTP_OK;
            ck_assert_msg(verdict == (expected[i] ? good : HTTP_BAD_REQUEST), "%zu: %02x", i, byte);
        }
    }
}
END_TEST

/* A head of exactly `size` bytes, filled up in one header. */
static char *make_head(size_t size)
{
    static const char begin[] = "GET / HTTP/1.1\r\n" H "X: ";
    char *const head = malloc(size);
    ck_assert_ptr_nonnull(head);
    ck_assert_uint_gt(size, sizeof(begin) + 4);
    memset(head, 'x', size);
    memcpy(head, begin, sizeof(begin) - 1);
    memcpy(head + size - 4, "\r\n\r\n", 4);
    return head;
}

START_TEST(limits_the_head)
{
    for (size_t size = 8190; size <= 8195; size++) {
        char *const head = make_head(size);
        const enum http_verdict expected = size <= 8192 ? HTTP_OK : HTTP_HEAD_TOO_BIG;
        ck_assert_int_eq(read_whole(head, size, &plain), expected);
        ck_assert_int_eq(read_pieces(head, size, 1, &plain), expected);
        ck_assert_int_eq(read_pieces(head, size, 4096, &plain), expected);
        ck_assert_int_eq(read_pieces(head, size, 8191, &plain), expected);
        free(head);
    }
    char *const head = make_head(10000);
    ck_assert_int_eq(read_whole(head, 8191, &plain), HTTP_NEED_MORE);
    ck_assert_int_eq(read_whole(head, 8192, &plain), HTTP_HEAD_TOO_BIG); /* it cannot end in time */
    /* A fault behind the limit is not seen, whole or not. */
    head[9000] = '\n';
    ck_assert_int_eq(read_whole(head, 10000, &plain), HTTP_HEAD_TOO_BIG);
    ck_assert_int_eq(read_pieces(head, 10000, 7, &plain), HTTP_HEAD_TOO_BIG);
    head[8000] = '\n';
    ck_assert_int_eq(read_whole(head, 10000, &plain), HTTP_BAD_REQUEST);
    ck_assert_int_eq(read_pieces(head, 10000, 7, &plain), HTTP_BAD_REQUEST);
    free(head);
}
END_TEST

START_TEST(limits_the_headers)
{
    for (size_t count = 62; count <= 67; count++) {
        char head[2048] = "GET / HTTP/1.1\r\n" H;
        for (size_t i = 1; i < count; i++) {
            strcat(head, "X: y\r\n");
        }
        strcat(head, "\r\n");
        const enum http_verdict expected = count <= 64 ? HTTP_OK : HTTP_HEAD_TOO_BIG;
        ck_assert_int_eq(read_whole(head, strlen(head), &plain), expected);
        ck_assert_int_eq(read_pieces(head, strlen(head), 1, &plain), expected);
    }
}
END_TEST

START_TEST(limits_the_target)
{
    static const struct http_limits limits[] = {
        {.head_size_max = 8192, .header_count_max = 64, .target_size_max = 100},
        {.head_size_max = 64, .header_count_max = 64, .target_size_max = 100},
    };
    static const char *const methods[] = {"GET", "OPTIONS", "PROPFIND"};

    for (size_t m = 0; m < 3; m++) {
        const enum http_verdict fits = m < 2 ? HTTP_OK : HTTP_UNKNOWN_METHOD;
        for (size_t size = 1; size <= 300; size++) {
            char head[512] = "";
            strcat(head, methods[m]);
            strcat(head, " /");
            memset(head + strlen(methods[m]) + 2, 'a', size - 1);
            strcat(head, " HTTP/1.1\r\n" H "\r\n");
            const size_t head_size = strlen(head);
            const size_t line_size = head_size - strlen("\r\n" H "\r\n");
            /* The line's limit is the target's with the longest method that we know. */
            const bool is_short = size <= 100 && line_size <= strlen("OPTIONS ") + 100 + 9;
            const enum http_verdict expected = is_short ? fits : HTTP_URI_TOO_LONG;
            ck_assert_int_eq(read_whole(head, head_size, &limits[0]), expected);
            ck_assert_int_eq(read_pieces(head, head_size, 1, &limits[0]), expected);
            /* Where the head may not be that long, that comes first. */
            const bool is_read = m == 2 ? line_size + 2 <= 64 : head_size <= 64;
            const enum http_verdict small = is_read ? fits : HTTP_HEAD_TOO_BIG;
            ck_assert_int_eq(read_whole(head, head_size, &limits[1]), small);
            ck_assert_int_eq(read_pieces(head, head_size, 1, &limits[1]), small);
        }
    }
    /* Whoever never ends the line need not be heard out. */
    char endless[200] = "GET /";
    memset(endless + 5, 'a', sizeof(endless) - 5);
    ck_assert_int_eq(read_whole(endless, 118, &limits[0]), HTTP_NEED_MORE);
    ck_assert_int_eq(read_whole(endless, 119, &limits[0]), HTTP_URI_TOO_LONG);
    ck_assert_int_eq(read_pieces(endless, 200, 1, &limits[0]), HTTP_URI_TOO_LONG);
}
END_TEST

/* A million bytes, one more at each call: as one long line, and as lines of different lengths. */
START_TEST(looks_at_each_byte_a_few_times)
{
    enum { SIZE = 1000000 };
    static const struct http_limits big = {
        .head_size_max = SIZE, .header_count_max = 64, .target_size_max = SIZE};
    static const size_t line_sizes[] = {0, 17000, 300000};

    for (size_t l = 0; l < 3; l++) {
        for (size_t step = 1; step <= SIZE; step = step == 1 ? SIZE : SIZE + 1) {
            char *const head = make_head(SIZE);
            for (size_t at = 1000; line_sizes[l] > 0 && at < SIZE - 10; at += line_sizes[l]) {
                memcpy(head + at, "\r\nX: ", 5);
            }
            struct http_reader reader = {0};
            struct http_request request;
            enum http_verdict verdict = HTTP_NEED_MORE;
            size_t end = 0; /* no ck_assert in here: each is a system call */
            while (verdict == HTTP_NEED_MORE && end < SIZE) {
                end += step;
                const struct bytes in = {(const uint8_t *)head, end};
                verdict = http_read_head(&reader, in, &big, &request);
            }
            ck_assert_int_eq(verdict, HTTP_OK);
            ck_assert_uint_eq(end, SIZE);
            /* Found the line's end, read the line; and once more if it came in pieces. */
            ck_assert_uint_le(reader.looked_at, (step == 1 ? 4 : 2) * SIZE);
            free(head);
        }
    }
}
END_TEST

START_TEST(takes_lists_apart)
{
    static const struct {
        const char *list;
        const char *elements; /* each in brackets */
    } cases[] = {
        {"", "[]"},       {"a", "[a]"}, {"a,b", "[a][b]"}, {" a ,\tb c ,", "[a][b c][]"},
        {",,", "[][][]"}, {"  ", "[]"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bytes list = {(const uint8_t *)cases[i].list, strlen(cases[i].list)};
        struct bytes element;
        char text[64] = "";
        while (http_next_element(&list, &element)) {
            strcat(text, "[");
            strncat(text, (const char *)element.data, element.size);
            strcat(text, "]");
        }
        ck_assert_str_eq(text, cases[i].elements);
        ck_assert(!http_next_element(&list, &element));
    }
}
END_TEST

START_TEST(compares_names_without_case)
{
    const struct bytes name = {(const uint8_t *)"HoSt", 4};
    ck_assert(http_name_is(name, "host"));
    ck_assert(http_name_is(name, "HOST"));
    ck_assert(!http_name_is(name, "hos"));
    ck_assert(!http_name_is(name, "hosts"));
    ck_assert(!http_name_is((struct bytes){(const uint8_t *)"H[", 2}, "H{"));
    ck_assert(!http_is_token((struct bytes){name.data, 0}));
    ck_assert(http_is_token(name));
}
END_TEST

START_TEST(writes_responses)
{
    static const struct {
        struct http_response response;
        const char *head;
    } cases[] = {
        {{.status = 200, .content_type = "text/plain", .body_size = 3},
         "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n"},
        {{.status = 503, .extra = "Retry-After: 1\r\n", .close = true},
         "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\n"
         "Connection: close\r\n\r\n"},
        {{.status = 204}, "HTTP/1.1 204 No Content\r\n\r\n"},
        {{.status = 200, .body_size = UINT64_MAX},
         "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const size_t size = strlen(cases[i].head);
        for (size_t room = 1; room <= size + 3; room++) {
            uint8_t *const target = malloc(room);
            ck_assert_ptr_nonnull(target);
            const size_t written =
                http_write_response(&cases[i].response, (struct span){target, room});
            ck_assert_uint_eq(written, room > size ? size : 0);
            ck_assert(written == 0 || memcmp(target, cases[i].head, size) == 0);
            free(target);
        }
    }
}
END_TEST

START_TEST(each_fault_has_its_status)
{
    ck_assert_uint_eq(http_status_for(HTTP_BAD_REQUEST), 400);
    ck_assert_uint_eq(http_status_for(HTTP_URI_TOO_LONG), 414);
    ck_assert_uint_eq(http_status_for(HTTP_HEAD_TOO_BIG), 431);
    ck_assert_uint_eq(http_status_for(HTTP_UNKNOWN_METHOD), 501);
    ck_assert_uint_eq(http_status_for(HTTP_BAD_VERSION), 505);
}
END_TEST

int main(void)
{
    TCase *http = tcase_create("http");
    tcase_add_loop_test(http, judges_however_cut, 0, (int)(sizeof(heads) / sizeof(heads[0])));
    tcase_add_test(http, gives_the_request);
    tcase_add_test(http, knows_methods_bodies_and_close);
    tcase_add_test(http, reads_pipelined_requests);
    tcase_add_test(http, judges_every_byte_everywhere);
    tcase_add_test(http, limits_the_head);
    tcase_add_test(http, limits_the_headers);
    tcase_add_test(http, limits_the_target);
    tcase_add_test(http, looks_at_each_byte_a_few_times);
    tcase_add_test(http, takes_lists_apart);
    tcase_add_test(http, compares_names_without_case);
    tcase_add_test(http, writes_responses);
    tcase_add_test(http, each_fault_has_its_status);
    Suite *suite = suite_create("proto/http");
    suite_add_tcase(suite, http);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
