/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: what a load balancer says first. Split at every byte it asks for more until it says what
 * it says of the whole, and the same address; nothing outside of it is looked at.
 */
#include "net/proxy.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum proxy_verdict read_copy(const uint8_t *data, size_t size, struct proxy_header *header)
{
    uint8_t *copy = malloc(size + (size == 0));
    CHECK(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    const enum proxy_verdict verdict = proxy_read((struct bytes){copy, size}, header);
    free(copy);
    return verdict;
}

static bool is_same(const struct proxy_header *a, const struct proxy_header *b)
{
    char texts[2][ADDRESS_TEXT_SIZE_MAX] = {"", ""};
    if (a->size != b->size || a->has_address != b->has_address) {
        return false;
    }
    if (a->has_address) {
        CHECK(address_format(&a->client, texts[0]) > 0);
        CHECK(address_format(&b->client, texts[1]) > 0);
    }
    return strcmp(texts[0], texts[1]) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header whole;
    memset(&whole, 0, sizeof(whole));
    const enum proxy_verdict verdict = read_copy(data, size, &whole);
    const size_t end = size < PROXY_V2_SIZE_MAX + 1 ? size : PROXY_V2_SIZE_MAX + 1;
    bool is_decided = false;

    for (size_t cut = 0; cut <= end; cut++) {
        struct proxy_header header;
        memset(&header, 0, sizeof(header));
        const enum proxy_verdict part = read_copy(data, cut, &header);
        CHECK(part == verdict || (part == PROXY_NEED_MORE && !is_decided));
        is_decided = is_decided || part != PROXY_NEED_MORE;
        CHECK(part != PROXY_OK || is_same(&header, &whole));
    }
    CHECK(verdict == PROXY_NEED_MORE || is_decided);
    CHECK(verdict != PROXY_OK || (whole.size <= size && whole.size <= PROXY_V2_SIZE_MAX));
    CHECK(verdict != PROXY_NEED_MORE || size < PROXY_V2_SIZE_MAX);
    return 0;
}
