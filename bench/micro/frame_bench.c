/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_read_header over 4096 headers, sizes mixed as in chat: nearly all short, a few 16-bit.
 * The mix is fixed by a seed and longer than a branch predictor learns by heart, so the number
 * is the cost on a busy connection and not the cost of one predicted path.
 */
#include "proto/frame.h"

#include <stdlib.h>

#include "bench/micro/micro.h"
#include "core/check.h"

enum { HEADER_COUNT = 4096 }; /* a power of two */

struct header_mix {
    uint64_t next; /* goes on where the last batch ended */
    uint8_t wire[HEADER_COUNT][FRAME_HEADER_SIZE_MAX];
};

static void *header_mix_setup(const struct micro_case *row)
{
    (void)row;
    struct header_mix *mix = calloc(1, sizeof(*mix));
    CHECK(mix != NULL);
    uint32_t state = 2463534242;
    for (size_t i = 0; i < HEADER_COUNT; i++) {
        const uint32_t random = micro_random(&state);
        const bool is_long = random % 16 == 0;
        mix->wire[i][0] = 0x81;
        mix->wire[i][1] = is_long ? 0xfe : (uint8_t)(0x80 | random % 126);
        mix->wire[i][2] = is_long ? 0x01 : 0x00;
    }
    return mix;
}

static void header_mix_run(void *context, uint64_t iterations)
{
    struct header_mix *mix = context;
    const struct frame_limits limits = {.payload_size_max = 1 << 20};
    struct frame_header header;

    for (uint64_t i = 0; i < iterations; i++) {
        const struct bytes in = {mix->wire[mix->next++ % HEADER_COUNT], FRAME_HEADER_SIZE_MAX};
        const enum frame_verdict verdict = frame_read_header(in, limits, &header);
        CHECK(verdict == FRAME_OK);
        micro_keep(header.payload_size);
    }
}

const struct micro_case frame_micro_cases[] = {
    {.name = "proto/frame/read_header/mix",
     .setup = header_mix_setup,
     .run = header_mix_run,
     .teardown = free},
    {.name = NULL},
};
