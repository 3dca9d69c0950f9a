/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: what a server answers to a handshake. Fed in growing pieces it asks for more until it
 * says what it says of the whole; nothing outside of it is looked at.
 */
#include "proto/upgrade_client.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Without and with an offer of compression. */
static const struct upgrade_client_request requests[] = {
    {.host = "a", .path = "/", .protocol = "chat", .nonce = "the sample nonce"},
    {.host = "a", .path = "/", .compression = true, .nonce = "the sample nonce"},
};

static enum upgrade_client_verdict read_copy(const struct upgrade_client_request *request,
                                             const uint8_t *data, size_t size, size_t *head_size)
{
    uint8_t *copy = malloc(size + (size == 0));
    unsigned status = 0;
    CHECK(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    const enum upgrade_client_verdict verdict =
        upgrade_client_read((struct bytes){copy, size}, request, head_size, &status);
    CHECK(status == 0 || verdict == UPGRADE_CLIENT_REFUSED);
    free(copy);
    return verdict;
}

static void read_pieces(const struct upgrade_client_request *request, const uint8_t *data,
                        size_t size)
{
    size_t whole_size = 0;
    const enum upgrade_client_verdict whole = read_copy(request, data, size, &whole_size);
    const size_t step = size / 64 + 1;

    for (size_t cut = 0; cut < size; cut += step) {
        size_t head_size = 0;
        const enum upgrade_client_verdict verdict = read_copy(request, data, cut, &head_size);
        CHECK(verdict == UPGRADE_CLIENT_NEED_MORE || verdict == whole);
        CHECK(head_size == 0 || head_size == whole_size);
    }
    CHECK(whole_size <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_pieces(&requests[0], data, size);
    read_pieces(&requests[1], data, size);
    return 0;
}
