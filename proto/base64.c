/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base64.h"

enum { NO_DIGIT = 64 };

static uint32_t digit_of(enum base64_kind kind, uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z') {
        return byte - (uint32_t)'A';
    }
    if (byte >= 'a' && byte <= 'z') {
        return byte - (uint32_t)'a' + 26;
    }
    if (byte >= '0' && byte <= '9') {
        return byte - (uint32_t)'0' + 52;
    }
    if (byte == (kind == BASE64_URL ? '-' : '+')) {
        return 62;
    }
    return byte == (kind == BASE64_URL ? '_' : '/') ? 63 : NO_DIGIT;
}

/* The text without its padding; false when it has not the padding that it needs. */
static bool strip_padding(struct bytes *text)
{
    if (text->size % 4 != 0) {
        return false;
    }
    for (int i = 0; i < 2 && text->size > 0 && text->data[text->size - 1] == '='; i++) {
        text->size--;
    }
    return true;
}

bool base64_decode(enum base64_kind kind, struct bytes text, uint8_t *target, size_t *size)
{
    uint32_t bits = 0;  /* read and not written; the lowest `count` of them */
    uint32_t count = 0; /* 0, 2, 4 or 6 after each character */
    size_t written = 0;

    if (kind == BASE64_PADDED && !strip_padding(&text)) {
        return false;
    }
    for (size_t i = 0; i < text.size; i++) {
        const uint32_t digit = digit_of(kind, text.data[i]);
        if (digit == NO_DIGIT) {
            return false;
        }
        bits = (bits << 6) | digit;
        count += 6;
        if (count >= 8) {
            count -= 8;
            target[written++] = (uint8_t)(bits >> count);
            bits &= (UINT32_C(1) << count) - 1;
        }
    }
    /* 6 bits are less than a byte: a single character at the end. */
    if (count == 6 || bits != 0) {
        return false;
    }
    *size = written;
    return true;
}
