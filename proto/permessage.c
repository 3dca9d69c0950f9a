/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/permessage.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST /* what goes in is not written to */
#include <zlib.h>

#include "core/check.h"

enum {
    WINDOW_BITS_MIN = 9,
    WINDOW_BITS_MAX = 15,
    LEVEL_MAX = 9,
    MEMORY_LEVEL = 8,          /* zlib's own default */
    AFTER_A_BLOCK = 0x80,      /* in z_stream.data_type, see inflate() in zlib.h */
    BUFFER_SIZE_MIN = 1 << 13, /* bytes */
};

/* Section 7.2.1: what a sync flush ends with, and no message carries. */
static const uint8_t tail[PERMESSAGE_TAIL_SIZE] = {0x00, 0x00, 0xff, 0xff};

struct permessage_inflater {
    z_stream zlib;
    uint8_t *buffer;
    size_t capacity; /* bytes */
    size_t size;     /* bytes of the message so far */
};

struct permessage_deflater {
    z_stream zlib;
    const uint8_t *target;
    bool is_full;
};

/* -- in ---------------------------------------------------------------------------------------- */

struct permessage_inflater *permessage_inflater_create(void)
{
    struct permessage_inflater *inflater = calloc(1, sizeof(*inflater));
    if (inflater == NULL) {
        return NULL;
    }
    if (inflateInit2(&inflater->zlib, -WINDOW_BITS_MAX) != Z_OK) {
        free(inflater);
        return NULL;
    }
    return inflater;
}

void permessage_inflater_destroy(struct permessage_inflater *inflater)
{
    if (inflater != NULL) {
        (void)inflateEnd(&inflater->zlib); /* says only that there was something to free */
        free(inflater->buffer);
        free(inflater);
    }
}

void permessage_inflater_rest(struct permessage_inflater *inflater)
{
    if (inflater->capacity > PERMESSAGE_KEPT_SIZE_MAX) {
        free(inflater->buffer);
        inflater->buffer = NULL;
        inflater->capacity = 0;
    }
}

/* Room for a step, by doubling. */
static bool make_room(struct permessage_inflater *inflater)
{
    if (inflater->capacity - inflater->size >= PERMESSAGE_STEP_SIZE) {
        return true;
    }
    const size_t capacity = inflater->capacity == 0 ? BUFFER_SIZE_MIN : 2 * inflater->capacity;
    uint8_t *const grown = realloc(inflater->buffer, capacity);
    if (grown == NULL) {
        return false;
    }
    inflater->buffer = grown;
    inflater->capacity = capacity;
    return true;
}

/* One byte above the limit is enough to know that it is broken. */
static size_t step_size(const struct permessage_inflater *inflater, size_t size_max)
{
    const size_t left = size_max + 1 - inflater->size;
    return left < PERMESSAGE_STEP_SIZE ? left : PERMESSAGE_STEP_SIZE;
}

static enum permessage_verdict judge(int result)
{
    switch (result) {
    case Z_OK:
    case Z_STREAM_END:
    case Z_BUF_ERROR: /* nothing was left to do */
        return PERMESSAGE_OK;
    case Z_MEM_ERROR:
        return PERMESSAGE_NO_MEMORY;
    case Z_DATA_ERROR:
    case Z_NEED_DICT:
        return PERMESSAGE_INVALID;
    default:
        NEVER("a result that inflate() does not have");
    }
}

static void begin_stream(struct permessage_inflater *inflater)
{
    const int result = inflateReset(&inflater->zlib);
    CHECK(result == Z_OK);
}

/* All of `in`, and all that comes of it. */
static enum permessage_verdict take(struct permessage_inflater *inflater, struct bytes in,
                                    size_t size_max)
{
    z_stream *const zlib = &inflater->zlib;
    zlib->next_in = in.data;
    zlib->avail_in = (uInt)in.size;

    do {
        if (!make_room(inflater)) {
            return PERMESSAGE_NO_MEMORY;
        }
        const size_t step = step_size(inflater, size_max);
        zlib->next_out = inflater->buffer + inflater->size;
        zlib->avail_out = (uInt)step;
        const int result = inflate(zlib, Z_SYNC_FLUSH);
        const enum permessage_verdict verdict = judge(result);
        if (verdict != PERMESSAGE_OK) {
            return verdict;
        }
        inflater->size += step - zlib->avail_out;
        if (inflater->size > size_max) {
            return PERMESSAGE_TOO_BIG;
        }
        if (result == Z_STREAM_END) {
            begin_stream(inflater); /* section 7.2.3.4: behind a last block */
        }
    } while (zlib->avail_in > 0 || zlib->avail_out == 0);
    return PERMESSAGE_OK;
}

enum permessage_verdict permessage_inflate(struct permessage_inflater *inflater,
                                           struct bytes compressed, size_t size_max,
                                           struct span *message)
{
    CHECK(compressed.size <= UINT32_MAX);
    CHECK(size_max < UINT32_MAX);

    inflater->size = 0;
    begin_stream(inflater);
    enum permessage_verdict verdict = take(inflater, compressed, size_max);
    if (verdict == PERMESSAGE_OK) {
        verdict = take(inflater, (struct bytes){tail, sizeof(tail)}, size_max);
    }
    if (verdict == PERMESSAGE_OK && (inflater->zlib.data_type & AFTER_A_BLOCK) == 0) {
        verdict = PERMESSAGE_INVALID; /* it ends inside a block: cut off, or not cut as it must */
    }
    if (verdict == PERMESSAGE_OK) {
        *message = (struct span){inflater->buffer, inflater->size};
    }
    return verdict;
}

/* -- out --------------------------------------------------------------------------------------- */

struct permessage_deflater *permessage_deflater_create(unsigned level, unsigned window_bits)
{
    CHECK(level >= 1 && level <= LEVEL_MAX);
    CHECK(window_bits >= WINDOW_BITS_MIN && window_bits <= WINDOW_BITS_MAX);

    struct permessage_deflater *deflater = calloc(1, sizeof(*deflater));
    if (deflater == NULL) {
        return NULL;
    }
    if (deflateInit2(&deflater->zlib, (int)level, Z_DEFLATED, -(int)window_bits, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        free(deflater);
        return NULL;
    }
    return deflater;
}

void permessage_deflater_destroy(struct permessage_deflater *deflater)
{
    if (deflater != NULL) {
        (void)deflateEnd(&deflater->zlib); /* says that a message was under way, which may be */
        free(deflater);
    }
}

void permessage_deflate_begin(struct permessage_deflater *deflater, struct span target)
{
    CHECK(target.size <= UINT32_MAX);

    const int result = deflateReset(&deflater->zlib);
    CHECK(result == Z_OK);
    deflater->target = target.data;
    deflater->zlib.next_out = target.data;
    deflater->zlib.avail_out = (uInt)target.size;
    deflater->is_full = false;
}

/* zlib has said all that it has to say when it leaves room. */
static void run(struct permessage_deflater *deflater, struct bytes piece, int flush)
{
    z_stream *const zlib = &deflater->zlib;

    if (deflater->is_full) {
        return;
    }
    zlib->next_in = piece.data;
    zlib->avail_in = (uInt)piece.size;
    const int result = deflate(zlib, flush);
    CHECK(result != Z_STREAM_ERROR);
    deflater->is_full = zlib->avail_out == 0;
}

void permessage_deflate_add(struct permessage_deflater *deflater, struct bytes piece)
{
    CHECK(piece.size <= UINT32_MAX);
    if (piece.size > 0) {
        run(deflater, piece, Z_NO_FLUSH);
    }
}

size_t permessage_deflate_end(struct permessage_deflater *deflater)
{
    run(deflater, (struct bytes){NULL, 0}, Z_SYNC_FLUSH);
    if (deflater->is_full) {
        return 0;
    }
    const size_t size = (size_t)(deflater->zlib.next_out - deflater->target);
    CHECK(size > PERMESSAGE_TAIL_SIZE);
    CHECK(memcmp(deflater->target + size - PERMESSAGE_TAIL_SIZE, tail, sizeof(tail)) == 0);
    return size - PERMESSAGE_TAIL_SIZE;
}
