/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream_next over what a busy client sends, per message: 64 masked frames in one read, with the
 * best variant of this machine. "chat" is ASCII of 8 to 125 bytes; "mixed" has one message of
 * 1 KiB in sixteen, and pings. The bytes are unmasked in place, so each round of 64 messages begins
 * with a fresh copy, which is in the number.
 */
#include "proto/stream.h"

#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "core/check.h"

enum stream_mix { MIX_CHAT, MIX_MIXED };
enum { ROUND = 64, WIRE_SIZE = ROUND * 1100 };

struct received {
    const struct simd_ops *simd;
    size_t size;
    uint8_t wire[WIRE_SIZE];
    uint8_t copy[WIRE_SIZE];
};

static void append_frame(struct received *received, enum frame_opcode opcode, size_t size)
{
    static const uint8_t key[4] = {0xa7, 0x31, 0x5c, 0x9d};
    uint8_t *at = received->wire + received->size;
    size_t header = 2;

    CHECK(received->size + size + 8 <= WIRE_SIZE);
    at[0] = (uint8_t)(0x80 | opcode);
    if (size <= 125) {
        at[1] = (uint8_t)(0x80 | size);
    } else {
        at[1] = 0xfe;
        at[2] = (uint8_t)(size >> 8);
        at[3] = (uint8_t)size;
        header = 4;
    }
    memcpy(at + header, key, sizeof(key));
    header += sizeof(key);
    for (size_t i = 0; i < size; i++) {
        at[header + i] = (uint8_t)(('a' + i % 26) ^ key[i % 4]);
    }
    received->size += header + size;
}

static void *received_setup(const struct micro_case *row)
{
    struct received *received = calloc(1, sizeof(*received));
    CHECK(received != NULL);
    received->simd = simd_choose(cpu_simd_best());
    uint32_t state = 2463534242;
    for (size_t i = 0; i < ROUND; i++) {
        const uint32_t random = micro_random(&state);
        const size_t small = 8 + random / 16 % 118;
        if (row->variant == MIX_MIXED && random % 16 == 0) {
            append_frame(received, FRAME_TEXT, 1024);
        } else if (row->variant == MIX_MIXED && random % 16 == 1) {
            append_frame(received, FRAME_PING, 4);
        } else {
            append_frame(received, FRAME_TEXT, small);
        }
    }
    return received;
}

static void next_run(void *context, uint64_t iterations)
{
    struct received *received = context;
    const struct stream_limits limits = {.message_size_max = 1 << 20, .fragment_count_max = 16};
    struct stream stream;
    struct stream_event event;

    stream_init(&stream, &limits);
    for (uint64_t done = 0; done < iterations; done += ROUND) {
        memcpy(received->copy, received->wire, received->size);
        struct span in = {received->copy, received->size};
        for (int i = 0; i < ROUND; i++) {
            const enum stream_verdict verdict = stream_next(&stream, received->simd, &in, &event);
            CHECK(verdict == STREAM_MESSAGE || verdict == STREAM_PING);
        }
        CHECK(in.size == 0);
    }
}

const struct micro_case stream_micro_cases[] = {
    {.name = "proto/stream/next/chat",
     .setup = received_setup,
     .run = next_run,
     .teardown = free,
     .variant = MIX_CHAT},
    {.name = "proto/stream/next/mixed",
     .setup = received_setup,
     .run = next_run,
     .teardown = free,
     .variant = MIX_MIXED},
    {.name = NULL},
};
