/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one byte of limits, one with a count of chunk sizes, the sizes, and then what a client
 * sends. In chunks of those sizes, over and over, with the best SIMD of this machine, it gives the
 * same events as in one piece with none.
 */
#include "tests/unit/proto/stream_feed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct stream_limits limits[] = {
        {.message_size_max = 65536, .fragment_count_max = 64},
        {.message_size_max = 16, .fragment_count_max = 3},
        {.message_size_max = 125, .fragment_count_max = 1},
        {.message_size_max = STREAM_MESSAGE_SIZE_LIMIT, .fragment_count_max = UINT32_MAX},
        {.message_size_max = 65536, .fragment_count_max = 64, .compression = true},
        {.message_size_max = 16, .fragment_count_max = 3, .compression = true},
        {.message_size_max = 65536, .fragment_count_max = 64, .from_server = true},
        {.message_size_max = 65536,
         .fragment_count_max = 64,
         .from_server = true,
         .compression = true},
    };
    if (size < 2 || size < 2 + (size_t)(data[1] & 15)) {
        return 0;
    }
    const struct stream_limits *const chosen = &limits[(data[0] & 3) + (data[0] >> 1 & 4)];
    const size_t count = data[1] & 15;
    const uint8_t *const sizes = data + 2;
    const uint8_t *const wire = data + 2 + count;
    const size_t wire_size = size - 2 - count;

    struct feed whole;
    feed_start(&whole, chosen, simd_choose(CPU_SIMD_SCALAR));
    feed_bytes(&whole, wire, wire_size);

    struct feed split;
    feed_start(&split, chosen, simd_choose(CPU_SIMD_AVX512));
    split.doubles = (data[0] & 4) != 0;
    size_t at = 0;
    for (size_t i = 0; at < wire_size; i++) {
        const size_t want = count > 0 ? sizes[i % count] + (i % count == 0) : 1;
        const size_t part = want < wire_size - at ? want : wire_size - at;
        feed_bytes(&split, wire + at, part);
        at += part;
    }

    CHECK(whole.event_count == split.event_count);
    CHECK(whole.hash == split.hash);
    CHECK(whole.kept_size == split.kept_size);
    CHECK(whole.stream.is_over == split.stream.is_over);
    CHECK(stream_is_mid_message(&whole.stream) == stream_is_mid_message(&split.stream));
    CHECK(split.stream.is_over || whole.stream.assembled == split.stream.assembled);
    feed_end(&whole);
    feed_end(&split);
    return 0;
}
