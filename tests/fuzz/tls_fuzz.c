/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one byte with a count of chunk sizes, the sizes, and then what a client sends to a TLS
 * server that knows nothing of it. In chunks of those sizes, over and over, it comes to the same
 * end as in one piece; the output stays in its bound, and plaintext never comes out of it: nobody
 * here can finish a handshake.
 */
#include "net/tls.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "net/tls_config.h"
#include "tests/unit/net/tls_files.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tls_config *config;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct tls_files files;
    char error[TLS_CONFIG_ERROR_SIZE];
    (void)argc;
    (void)argv;
    tls_files_make(&files);
    const struct tls_config_server_files names = {files.certificate, files.key};
    config = tls_config_create_server(
        &(struct tls_config_server){.certificates = &names, .certificate_count = 1}, error);
    CHECK(config != NULL);
    tls_files_remove(&files);
    return 0;
}

static enum tls_verdict feed(struct tls *tls, const uint8_t *wire, size_t size)
{
    uint8_t *copy = malloc(size + (size == 0));
    uint8_t room[256];
    size_t got = 0;
    CHECK(copy != NULL);
    if (size > 0) {
        memcpy(copy, wire, size);
    }
    tls_feed(tls, (struct bytes){copy, size});
    const enum tls_verdict verdict = tls_read(tls, (struct span){room, sizeof(room)}, &got);
    tls_feed(tls, (struct bytes){NULL, 0});
    free(copy);
    CHECK(verdict != TLS_BYTES);
    CHECK((verdict == TLS_FAILED) == (tls_fault(tls) != TLS_FAULT_NONE));
    CHECK(!tls_is_open(tls));
    CHECK(tls_output_size(tls) <= TLS_ANSWERS_MAX);
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size < 1 + (size_t)(data[0] & 15)) {
        return 0;
    }
    const size_t count = data[0] & 15;
    const uint8_t *const sizes = data + 1;
    const uint8_t *const wire = data + 1 + count;
    const size_t wire_size = size - 1 - count;

    struct tls *whole = tls_create(config);
    struct tls *split = tls_create(config);
    CHECK(whole != NULL && split != NULL);
    enum tls_verdict verdict = TLS_NEED_MORE;
    size_t at = 0;
    for (size_t i = 0; at < wire_size && verdict == TLS_NEED_MORE; i++) {
        const size_t want = count > 0 ? sizes[i % count] + (i % count == 0) : 1;
        const size_t part = want < wire_size - at ? want : wire_size - at;
        verdict = feed(split, wire + at, part);
        at += part;
    }
    if (wire_size > 0) {
        CHECK(feed(whole, wire, wire_size) == verdict);
        CHECK(tls_fault(whole) == tls_fault(split));
    }
    tls_destroy(whole);
    tls_destroy(split);
    return 0;
}
