/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one byte with a count of chunk sizes, the sizes, and then what a client sends. The head,
 * fed in chunks of those sizes, over and over, gets the same verdict and the same request as in
 * one piece, and no byte is looked at more than four times. Then the handshake: its verdict, its
 * answer, and that an origin that is allowed is one that is valid. And what it offers: what is
 * taken with one window is taken with every smaller one.
 */
#include "proto/upgrade.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/http.h"
#include "proto/offer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct http_limits limits = {
    .head_size_max = 1024, .header_count_max = 16, .target_size_max = 200};

/* The head at an address of its own; `*copy` goes to the caller, who frees it. */
static enum http_verdict read_copy(struct http_reader *reader, struct bytes head,
                                   struct http_request *request, uint8_t **copy)
{
    *copy = malloc(head.size + (head.size == 0));
    CHECK(*copy != NULL);
    if (head.size > 0) {
        memcpy(*copy, head.data, head.size);
    }
    return http_read_head(reader, (struct bytes){*copy, head.size}, &limits, request);
}

static void check_same(struct bytes a, const uint8_t *a_base, struct bytes b, const uint8_t *b_base)
{
    CHECK(a.size == b.size);
    CHECK(a.data - a_base == b.data - b_base);
}

static void check_requests(const struct http_request *a, const uint8_t *a_base,
                           const struct http_request *b, const uint8_t *b_base)
{
    CHECK(a->method == b->method && a->body == b->body && a->close == b->close);
    CHECK(a->content_length == b->content_length);
    CHECK(a->head_size == b->head_size);
    CHECK(a->header_count == b->header_count && a->header_count >= 1);
    check_same(a->path, a_base, b->path, b_base);
    check_same(a->query, a_base, b->query, b_base);
    check_same(a->host, a_base, b->host, b_base);
    for (uint32_t i = 0; i < a->header_count; i++) {
        check_same(a->headers[i].name, a_base, b->headers[i].name, b_base);
        check_same(a->headers[i].value, a_base, b->headers[i].value, b_base);
        CHECK(http_is_token(a->headers[i].name));
    }
}

static void try_offers(const struct http_request *request)
{
    static const char begin[] = "permessage-deflate; server_no_context_takeover; "
                                "client_no_context_takeover";
    static const char window[] = "; server_max_window_bits=";
    char answer[OFFER_ANSWER_SIZE_MAX];
    enum offer_verdict before = offer_judge(request, OFFER_WINDOW_BITS_MAX, answer);

    for (unsigned bits = OFFER_WINDOW_BITS_MAX; bits >= OFFER_WINDOW_BITS_MIN; bits--) {
        const enum offer_verdict verdict = offer_judge(request, bits, answer);
        /* A smaller window of ours can only be more welcome; nothing else depends on it. */
        CHECK(verdict == before || (before == OFFER_DECLINED && verdict == OFFER_ACCEPTED));
        before = verdict;
        if (verdict == OFFER_ACCEPTED) {
            CHECK(memcmp(answer, begin, sizeof(begin) - 1) == 0);
            const char *const rest = answer + sizeof(begin) - 1;
            CHECK(*rest == '\0' || (memcmp(rest, window, sizeof(window) - 1) == 0 &&
                                    (unsigned)atoi(rest + sizeof(window) - 1) == bits));
        }
    }
}

static void try_upgrade(const struct http_request *request)
{
    static const uint8_t listed[] = "https://a";
    static const char *const protocols[] = {"a", "centrifuge-json"};
    const struct bytes allowed = {listed, sizeof(listed) - 1};
    uint8_t *const target = malloc(UPGRADE_RESPONSE_SIZE_MAX);
    struct upgrade upgrade;
    CHECK(target != NULL);

    const enum upgrade_verdict verdict = upgrade_judge(request, &upgrade);
    size_t size = 1;
    if (verdict == UPGRADE_OK) {
        CHECK(request->close && request->body == HTTP_BODY_NONE);
        const int chosen = upgrade_choose_protocol(&upgrade, protocols, 2);
        size =
            upgrade_write_response(&upgrade, chosen < 0 ? NULL : protocols[chosen], NULL, target);
        const bool is_listed = upgrade_origin_is_allowed(&upgrade, &allowed, 1);
        const bool is_own = upgrade_origin_is_allowed(&upgrade, NULL, 0);
        CHECK(upgrade.origin.data == NULL || upgrade_origin_is_valid(upgrade.origin) ||
              !(is_listed || is_own));
    } else if (verdict != UPGRADE_NONE) {
        size = upgrade_write_refusal(verdict, target);
        CHECK(memmem(target, size, "\r\nConnection: close\r\n", 21) != NULL);
    }
    CHECK(size > 0 && size <= UPGRADE_RESPONSE_SIZE_MAX);
    free(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size < 1 + (size_t)(data[0] & 15)) {
        return 0;
    }
    const size_t count = data[0] & 15;
    const uint8_t *const sizes = data + 1;
    const struct bytes wire = {data + 1 + count, size - 1 - count};

    struct http_reader reader = {0};
    struct http_request whole;
    uint8_t *whole_copy = NULL;
    const enum http_verdict verdict = read_copy(&reader, wire, &whole, &whole_copy);
    CHECK(reader.looked_at <= 2 * wire.size);

    struct http_reader split_reader = {0};
    struct http_request split;
    uint8_t *split_copy = NULL;
    enum http_verdict split_verdict = HTTP_NEED_MORE;
    size_t at = 0;
    for (size_t i = 0; split_verdict == HTTP_NEED_MORE && at < wire.size; i++) {
        const size_t want = count > 0 ? sizes[i % count] + (i % count == 0) : 1;
        at += want < wire.size - at ? want : wire.size - at;
        free(split_copy);
        split_verdict =
            read_copy(&split_reader, (struct bytes){wire.data, at}, &split, &split_copy);
    }
    CHECK(split_verdict == verdict);
    CHECK(split_reader.looked_at <= 4 * at);
    if (verdict == HTTP_OK) {
        check_requests(&whole, whole_copy, &split, split_copy);
        try_upgrade(&split);
        try_offers(&split);
    } else if (verdict != HTTP_NEED_MORE) {
        CHECK(http_status_for(verdict) >= 400);
    }
    free(whole_copy);
    free(split_copy);
    return 0;
}
