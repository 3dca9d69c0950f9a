/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's half of the handshake against the server's half, cut at every byte, and a table of
 * answers that are none.
 */
#include "proto/upgrade_client.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/http.h"
#include "proto/upgrade.h"

/* The nonce and the answer of RFC 6455 section 1.3. */
static const struct upgrade_client_request sample = {
    .host = "server.example.com",
    .path = "/chat?a=b",
    .nonce = "the sample nonce",
};
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

START_TEST(is_understood_by_the_server)
{
    const struct http_limits limits = {
        .head_size_max = 1024, .header_count_max = 16, .target_size_max = 100};
    struct upgrade_client_request request = sample;
    struct http_reader reader = {0};
    struct http_request head;
    struct upgrade upgrade;
    uint8_t text[1024];
    uint8_t answer[UPGRADE_RESPONSE_SIZE_MAX + 4];
    size_t head_size = 0;
    unsigned status = 0;
    request.protocol = "centrifuge-json";
    request.extra = "X-A: 1\r\nX-B: 2\r\n";

    const size_t size = upgrade_client_write(&request, (struct span){text, sizeof(text)});
    ck_assert_uint_gt(size, 0);
    ck_assert_int_eq(http_read_head(&reader, (struct bytes){text, size}, &limits, &head), HTTP_OK);
    ck_assert_uint_eq(head.head_size, size);
    ck_assert_int_eq(upgrade_judge(&head, &upgrade), UPGRADE_OK);
    ck_assert_ptr_nonnull(http_next_header(&head, "X-B", NULL));

    const size_t answered = upgrade_write_response(&upgrade, "centrifuge-json", NULL, answer);
    memcpy(answer + answered, "\x81\x00", 2); /* a frame behind it */
    for (size_t cut = 0; cut <= answered + 2; cut++) {
        uint8_t *piece = malloc(cut + (cut == 0)); /* its exact size, for AddressSanitizer */
        ck_assert_ptr_nonnull(piece);
        memcpy(piece, answer, cut);
        const enum upgrade_client_verdict verdict =
            upgrade_client_read((struct bytes){piece, cut}, &request, &head_size, &status);
        ck_assert_int_eq(verdict, cut < answered ? UPGRADE_CLIENT_NEED_MORE : UPGRADE_CLIENT_OK);
        ck_assert_uint_eq(head_size, cut < answered ? 0 : answered);
        free(piece);
    }
    ck_assert_uint_eq(status, 0);
}
END_TEST

START_TEST(fits_or_is_not_written)
{
    uint8_t text[1024];
    const size_t size = upgrade_client_write(&sample, (struct span){text, sizeof(text)});
    uint8_t *exact = malloc(size + 1);
    ck_assert_ptr_nonnull(exact);
    ck_assert_uint_eq(upgrade_client_write(&sample, (struct span){exact, size + 1}), size);
    ck_assert_uint_eq(upgrade_client_write(&sample, (struct span){exact, size}), 0);
    free(exact);
}
END_TEST

#define LINES "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define KEY   "Sec-WebSocket-Accept: " ACCEPT "\r\n"

static const struct {
    const char *why;
    enum upgrade_client_verdict verdict;
    unsigned status;
    const char *answer;
} answers[] = {
    {"plain", UPGRADE_CLIENT_OK, 0, "HTTP/1.1 101 Switching Protocols\r\n" LINES KEY "\r\n"},
    {"no reason phrase", UPGRADE_CLIENT_OK, 0, "HTTP/1.1 101\r\n" LINES KEY "\r\n"},
    {"other case, more tokens", UPGRADE_CLIENT_OK, 0,
     "HTTP/1.1 101 X\r\nUPGRADE: WebSocket\r\nconnection: keep-alive, upgrade\r\n" KEY "\r\n"},
    {"refused", UPGRADE_CLIENT_REFUSED, 404, "HTTP/1.1 404 Not Found\r\n\r\n"},
    {"refused by 1.0", UPGRADE_CLIENT_REFUSED, 503, "HTTP/1.0 503 Busy\r\nA: b\r\n\r\n"},
    {"wrong accept", UPGRADE_CLIENT_BAD_ANSWER, 0,
     "HTTP/1.1 101 X\r\n" LINES "Sec-WebSocket-Accept: x3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"},
    {"no accept", UPGRADE_CLIENT_BAD_ANSWER, 0, "HTTP/1.1 101 X\r\n" LINES "\r\n"},
    {"accept twice", UPGRADE_CLIENT_BAD_ANSWER, 0, "HTTP/1.1 101 X\r\n" LINES KEY KEY "\r\n"},
    {"no upgrade", UPGRADE_CLIENT_BAD_ANSWER, 0,
     "HTTP/1.1 101 X\r\nConnection: Upgrade\r\n" KEY "\r\n"},
    {"no connection", UPGRADE_CLIENT_BAD_ANSWER, 0,
     "HTTP/1.1 101 X\r\nUpgrade: websocket\r\n" KEY "\r\n"},
    {"an extension", UPGRADE_CLIENT_BAD_ANSWER, 0,
     "HTTP/1.1 101 X\r\n" LINES KEY "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"},
    {"a sub-protocol", UPGRADE_CLIENT_BAD_ANSWER, 0,
     "HTTP/1.1 101 X\r\n" LINES KEY "Sec-WebSocket-Protocol: chat\r\n\r\n"},
    {"no HTTP", UPGRADE_CLIENT_BAD_ANSWER, 0, "SSH-2.0-OpenSSH_9.2 1 2 3\r\n\r\n"},
    {"no status", UPGRADE_CLIENT_BAD_ANSWER, 0, "HTTP/1.1 1x1 X\r\n\r\n"},
    {"four digits", UPGRADE_CLIENT_BAD_ANSWER, 0, "HTTP/1.1 1010 X\r\n\r\n"},
    {"empty", UPGRADE_CLIENT_BAD_ANSWER, 0, "\r\n\r\n"},
    {"no colon", UPGRADE_CLIENT_BAD_ANSWER, 0, "HTTP/1.1 101 X\r\n" LINES KEY "abc\r\n\r\n"},
    {"a name with a space", UPGRADE_CLIENT_BAD_ANSWER, 0,
     "HTTP/1.1 101 X\r\n" LINES KEY "a b: c\r\n\r\n"},
    {"bare line feed", UPGRADE_CLIENT_BAD_ANSWER, 0,
     "HTTP/1.1 101 X\r\n" LINES KEY "a: c\nd: e\r\n\r\n"},
    {"not whole", UPGRADE_CLIENT_NEED_MORE, 0, "HTTP/1.1 101 X\r\n" LINES KEY "\r"},
};

START_TEST(judges_answers)
{
    const size_t size = strlen(answers[_i].answer);
    uint8_t *text = malloc(size);
    size_t head_size = 77;
    unsigned status = 0;
    ck_assert_ptr_nonnull(text);
    memcpy(text, answers[_i].answer, size);

    ck_assert_msg(upgrade_client_read((struct bytes){text, size}, &sample, &head_size, &status) ==
                      answers[_i].verdict,
                  "%s", answers[_i].why);
    ck_assert_uint_eq(status, answers[_i].status);
    ck_assert_uint_eq(head_size, answers[_i].verdict == UPGRADE_CLIENT_OK ? size : 77);
    free(text);
}
END_TEST

START_TEST(insists_on_its_protocol)
{
    static const char answer[] = "HTTP/1.1 101 X\r\n" LINES KEY "\r\n";
    struct upgrade_client_request request = sample;
    size_t head_size;
    unsigned status;
    request.protocol = "chat";
    ck_assert_int_eq(upgrade_client_read((struct bytes){(const uint8_t *)answer, strlen(answer)},
                                         &request, &head_size, &status),
                     UPGRADE_CLIENT_BAD_ANSWER);
}
END_TEST

/* Where permessage-deflate was offered without context takeover. */
static const struct {
    const char *why;
    bool agrees;
    const char *headers;
} agreements[] = {
    {"nothing", false, ""},
    {"an empty header", false, "Sec-WebSocket-Extensions:\r\n"},
    {"as parleyd does", true,
     "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
     "client_no_context_takeover\r\n"},
    {"the client may", true,
     "Sec-WebSocket-Extensions: permessage-deflate;server_no_context_takeover\r\n"},
    {"a window of its own", true,
     "Sec-WebSocket-Extensions: Permessage-Deflate; server_max_window_bits=10 ; "
     "server_no_context_takeover\r\n"},
    {"with context takeover", false, "Sec-WebSocket-Extensions: permessage-deflate\r\n"},
    {"a window of ours", false,
     "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
     "client_max_window_bits=10\r\n"},
    {"a window without bits", false,
     "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
     "server_max_window_bits=\r\n"},
    {"another extension", false, "Sec-WebSocket-Extensions: x; server_no_context_takeover\r\n"},
    {"two", false,
     "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover, x\r\n"},
    {"twice", false,
     "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"
     "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover\r\n"},
};

START_TEST(insists_on_compression)
{
    struct upgrade_client_request request = sample;
    uint8_t text[1024];
    char answer[1024];
    size_t head_size;
    unsigned status;
    request.compression = true;
    const size_t size = upgrade_client_write(&request, (struct span){text, sizeof(text)});
    ck_assert_ptr_nonnull(memmem(text, size, "\r\nSec-WebSocket-Extensions: permessage-deflate; ",
                                 strlen("\r\nSec-WebSocket-Extensions: permessage-deflate; ")));
    (void)snprintf(answer, sizeof(answer), "HTTP/1.1 101 X\r\n" LINES KEY "%s\r\n",
                   agreements[_i].headers);
    ck_assert_msg(upgrade_client_read((struct bytes){(const uint8_t *)answer, strlen(answer)},
                                      &request, &head_size, &status) ==
                      (agreements[_i].agrees ? UPGRADE_CLIENT_OK : UPGRADE_CLIENT_BAD_ANSWER),
                  "%s", agreements[_i].why);
}
END_TEST

START_TEST(bounds_the_head)
{
    const size_t size = UPGRADE_CLIENT_HEAD_SIZE_MAX;
    uint8_t *text = malloc(size);
    size_t head_size;
    unsigned status;
    ck_assert_ptr_nonnull(text);
    memset(text, 'a', size);
    ck_assert_int_eq(
        upgrade_client_read((struct bytes){text, size - 1}, &sample, &head_size, &status),
        UPGRADE_CLIENT_NEED_MORE);
    ck_assert_int_eq(upgrade_client_read((struct bytes){text, size}, &sample, &head_size, &status),
                     UPGRADE_CLIENT_BAD_ANSWER);
    free(text);
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("upgrade_client");
    tcase_add_test(cases, is_understood_by_the_server);
    tcase_add_test(cases, fits_or_is_not_written);
    tcase_add_loop_test(cases, judges_answers, 0, sizeof(answers) / sizeof(answers[0]));
    tcase_add_test(cases, insists_on_its_protocol);
    tcase_add_loop_test(cases, insists_on_compression, 0,
                        (int)(sizeof(agreements) / sizeof(agreements[0])));
    tcase_add_test(cases, bounds_the_head);
    Suite *suite = suite_create("proto/upgrade_client");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
