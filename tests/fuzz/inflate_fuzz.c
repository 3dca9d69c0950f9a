/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one byte of limits, and what a peer says is a compressed message. It is inflated as zlib
 * does it in one shot, up to the limit and not a byte above; the message after it is not hurt. What
 * came of it is deflated in pieces, with every level and window, and comes back.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/check.h"
#include "proto/permessage.h"

enum { ROOM = 1 << 17 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* RFC 7692 section 7.2.2. The bytes, or -1: no whole blocks, or -2: more than there is room for. */
static long inflate_once(struct bytes compressed, uint8_t *target)
{
    uint8_t *const in = malloc(compressed.size + 4);
    CHECK(in != NULL);
    if (compressed.size > 0) {
        memcpy(in, compressed.data, compressed.size);
    }
    memcpy(in + compressed.size, "\x00\x00\xff\xff", 4);
    z_stream zlib = {
        .next_in = in, .avail_in = (uInt)compressed.size, .next_out = target, .avail_out = ROOM};
    CHECK(inflateInit2(&zlib, -15) == Z_OK);
    int result = Z_OK;
    for (int part = 0; part < 2; part++) {
        do {
            result = inflate(&zlib, Z_SYNC_FLUSH);
            if (result == Z_STREAM_END) {
                CHECK(inflateReset(&zlib) == Z_OK);
            }
        } while (result == Z_STREAM_END && zlib.avail_in > 0);
        zlib.avail_in += part == 0 && zlib.avail_in == 0 && zlib.avail_out > 0 ? 4 : 0;
    }
    const bool is_whole =
        result != Z_DATA_ERROR && zlib.avail_in == 0 && (zlib.data_type & 0x80) != 0;
    const long size = zlib.avail_out == 0 ? -2 : is_whole ? (long)(ROOM - zlib.avail_out) : -1;
    (void)inflateEnd(&zlib);
    free(in);
    return size;
}

static void check_next(struct permessage_inflater *inflater)
{
    static const struct bytes hello = {(const uint8_t *)"\xf2\x48\xcd\xc9\xc9\x07\x00", 7};
    struct span message;
    CHECK(permessage_inflate(inflater, hello, 5, &message) == PERMESSAGE_OK);
    CHECK(message.size == 5 && memcmp(message.data, "Hello", 5) == 0);
}

static void check_way_back(struct permessage_inflater *inflater, struct bytes message, uint8_t kind)
{
    const size_t room = 2 * message.size + 100;
    uint8_t *const target = malloc(room);
    struct permessage_deflater *const deflater =
        permessage_deflater_create(1 + kind % 9, 9 + kind % 7);
    CHECK(target != NULL && deflater != NULL);

    permessage_deflate_begin(deflater, (struct span){target, room});
    for (size_t at = 0; at < message.size;) {
        const size_t left = message.size - at;
        const size_t piece = left < 1000U + kind ? left : 1000U + kind;
        permessage_deflate_add(deflater, (struct bytes){message.data + at, piece});
        at += piece;
    }
    const size_t size = permessage_deflate_end(deflater);
    CHECK(size > 0);
    struct span back;
    CHECK(permessage_inflate(inflater, (struct bytes){target, size}, message.size, &back) ==
          PERMESSAGE_OK);
    CHECK(back.size == message.size);
    CHECK(back.size == 0 || memcmp(back.data, message.data, back.size) == 0);
    permessage_deflater_destroy(deflater);
    free(target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t limits[] = {0, 5, 4096, 65536};
    if (size < 1) {
        return 0;
    }
    const size_t limit = limits[data[0] & 3];
    const struct bytes compressed = {data + 1, size - 1};
    uint8_t *const expected = malloc(ROOM);
    struct permessage_inflater *const inflater = permessage_inflater_create();
    CHECK(expected != NULL && inflater != NULL);

    const long once = inflate_once(compressed, expected);
    struct span message = {NULL, 0};
    const enum permessage_verdict verdict =
        permessage_inflate(inflater, compressed, limit, &message);
    CHECK(verdict != PERMESSAGE_NO_MEMORY);
    if (verdict == PERMESSAGE_OK) {
        CHECK(once >= 0 && message.size == (size_t)once && message.size <= limit);
        CHECK(once == 0 || memcmp(message.data, expected, (size_t)once) == 0);
    } else if (verdict == PERMESSAGE_INVALID) {
        CHECK(once == -1); /* what is too big is found first */
    } else {
        CHECK(once < 0 || (size_t)once > limit);
    }
    permessage_inflater_rest(inflater);
    check_next(inflater);
    if (once >= 0) {
        check_way_back(inflater, (struct bytes){expected, (size_t)once}, data[0]);
    }
    permessage_inflater_destroy(inflater);
    free(expected);
    return 0;
}
