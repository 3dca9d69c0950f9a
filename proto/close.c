/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/close.h"

#include <string.h>

#include "core/check.h"

bool close_code_may_be_received(uint32_t code)
{
    if (code >= 3000) {
        return code <= 4999;
    }
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

/* No default: the compiler then asks for every verdict somebody adds. */
enum close_code close_code_for(enum stream_verdict fault)
{
    switch (fault) {
    case STREAM_PROTOCOL_ERROR:
        return CLOSE_PROTOCOL_ERROR;
    case STREAM_INVALID_UTF8:
        return CLOSE_INVALID_PAYLOAD;
    case STREAM_TOO_BIG:
        return CLOSE_MESSAGE_TOO_BIG;
    case STREAM_TOO_MANY_FRAGMENTS:
        return CLOSE_POLICY_VIOLATION;
    case STREAM_NEED_MORE:
    case STREAM_NEED_ROOM:
    case STREAM_MESSAGE:
    case STREAM_PING:
    case STREAM_PONG:
    case STREAM_CLOSE:
        break;
    }
    NEVER("a verdict that is not a fault");
}

/* How much of valid UTF-8 fits, without half a character at the end. */
static size_t reason_size(struct bytes reason)
{
    size_t size = reason.size;
    if (size > CLOSE_REASON_SIZE_MAX) {
        size = CLOSE_REASON_SIZE_MAX;
        while (size > 0 && (reason.data[size] & 0xc0) == 0x80) {
            size--;
        }
    }
    return size;
}

size_t close_write(uint32_t code, struct bytes reason, uint8_t *target)
{
    CHECK(code == CLOSE_NO_STATUS || close_code_may_be_received(code));
    CHECK(reason.data != NULL || reason.size == 0);
    CHECK(target != NULL);

    uint8_t payload[FRAME_CONTROL_PAYLOAD_MAX];
    size_t size = 0;
    if (code != CLOSE_NO_STATUS) {
        payload[0] = (uint8_t)(code >> 8);
        payload[1] = (uint8_t)code;
        size = reason_size(reason);
        if (size > 0) {
            memcpy(payload + 2, reason.data, size);
        }
        size += 2;
    }
    return frame_write_control(FRAME_CLOSE, (struct bytes){payload, size}, target);
}
