/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: one byte of limits, then a header. Every strict prefix of an accepted header only asks
 * for more; more bytes behind a judged header change nothing; and what the header says, written
 * again by frame_write_header(), is the same but for mask and fin.
 */
#include "proto/frame.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum frame_verdict read_copy(const uint8_t *data, size_t size, struct frame_limits limits,
                                    struct frame_header *header)
{
    uint8_t *const copy = malloc(size + (size == 0));
    CHECK(copy != NULL);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    const enum frame_verdict verdict =
        frame_read_header((struct bytes){copy, size}, limits, header);
    free(copy);
    return verdict;
}

static void check_accepted(const uint8_t *data, const struct frame_header *header)
{
    uint8_t written[FRAME_HEADER_SIZE_MAX];

    CHECK(memcmp(header->mask_key, data + header->header_size - 4, 4) == 0);
    const size_t size = frame_write_header(header->opcode, header->payload_size, written);
    CHECK(size + 4 == header->header_size);
    CHECK(written[0] == ((data[0] & 0x0f) | 0x80));
    CHECK((written[1] | 0x80) == data[1]);
    CHECK(memcmp(written + 2, data + 2, size - 2) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const struct frame_limits limits = {
        .payload_size_max = (1ULL << (data[0] & 63)) - 1,
        .rsv1_allowed = (data[0] & 64) != 0,
    };
    data++;
    size--;

    struct frame_header header = {0};
    const enum frame_verdict verdict = read_copy(data, size, limits, &header);
    bool is_settled = false;
    for (size_t part = 0; part <= size && part <= FRAME_HEADER_SIZE_MAX; part++) {
        struct frame_header ignored;
        const enum frame_verdict partial = read_copy(data, part, limits, &ignored);
        CHECK(partial == FRAME_NEED_MORE || partial == verdict);
        CHECK(!is_settled || partial == verdict);
        is_settled = partial != FRAME_NEED_MORE;
        CHECK(verdict != FRAME_OK || is_settled == (part >= header.header_size));
    }
    if (verdict == FRAME_OK) {
        CHECK(frame_opcode_is_control(header.opcode) ||
              header.payload_size <= limits.payload_size_max);
        check_accepted(data, &header);
    }
    return 0;
}
