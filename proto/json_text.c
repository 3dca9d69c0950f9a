/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_text.h"

#include "core/check.h"

enum {
    UNICODE_ESCAPE_SIZE = 6, /* \uXXXX */
    HIGH_SURROGATE_FIRST = 0xd800,
    LOW_SURROGATE_FIRST = 0xdc00,
    LOW_SURROGATE_LAST = 0xdfff,
};

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static int hex_value(uint8_t byte)
{
    if (is_digit(byte)) {
        return byte - '0';
    }
    const uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The code unit of the \uXXXX at `at`, or -1 if there is none. */
static int32_t read_code_unit(const uint8_t *at, const uint8_t *end)
{
    if (end - at < UNICODE_ESCAPE_SIZE || at[0] != '\\' || at[1] != 'u') {
        return -1;
    }
    int32_t unit = 0;
    for (size_t i = 2; i < UNICODE_ESCAPE_SIZE; i++) {
        const int digit = hex_value(at[i]);
        if (digit < 0) {
            return -1;
        }
        unit = unit * 16 + digit;
    }
    return unit;
}

/* What the two bytes `\` and `letter` stand for, or 0. */
static uint8_t unescape(uint8_t letter)
{
    switch (letter) {
    case '"':
    case '\\':
    case '/':
        return letter;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

static size_t write_utf8(uint32_t point, uint8_t *target)
{
    if (point < 0x80) {
        target[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        target[0] = (uint8_t)(0xc0 | point >> 6);
        target[1] = (uint8_t)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        target[0] = (uint8_t)(0xe0 | point >> 12);
        target[1] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
        target[2] = (uint8_t)(0x80 | (point & 0x3f));
        return 3;
    }
    target[0] = (uint8_t)(0xf0 | point >> 18);
    target[1] = (uint8_t)(0x80 | (point >> 12 & 0x3f));
    target[2] = (uint8_t)(0x80 | (point >> 6 & 0x3f));
    target[3] = (uint8_t)(0x80 | (point & 0x3f));
    return 4;
}

/* The code point of the one or two \uXXXX at `*at`, which is moved behind them. */
static enum json_text_verdict read_code_point(const uint8_t **at, const uint8_t *end,
                                              uint32_t *point)
{
    const int32_t first = read_code_unit(*at, end);
    if (first < 0) {
        return JSON_TEXT_BAD_ESCAPE;
    }
    *at += UNICODE_ESCAPE_SIZE;
    *point = (uint32_t)first;
    if (first < HIGH_SURROGATE_FIRST || first > LOW_SURROGATE_LAST) {
        return JSON_TEXT_OK;
    }
    const int32_t second = read_code_unit(*at, end);
    if (first >= LOW_SURROGATE_FIRST || second < LOW_SURROGATE_FIRST ||
        second > LOW_SURROGATE_LAST) {
        return JSON_TEXT_LONE_SURROGATE;
    }
    *at += UNICODE_ESCAPE_SIZE;
    *point = 0x10000 + ((uint32_t)(first - HIGH_SURROGATE_FIRST) << 10) +
             (uint32_t)(second - LOW_SURROGATE_FIRST);
    return JSON_TEXT_OK;
}

size_t json_text_escape_size(const uint8_t *at, const uint8_t *end)
{
    if (end - at >= 2 && unescape(at[1]) != 0) {
        return 2;
    }
    return read_code_unit(at, end) >= 0 ? UNICODE_ESCAPE_SIZE : 0;
}

enum json_text_verdict json_text_decode(struct bytes raw, uint8_t *target, size_t *size)
{
    CHECK(target != NULL || raw.size == 0);
    CHECK(size != NULL);
    if (raw.size == 0) {
        *size = 0;
        return JSON_TEXT_OK;
    }

    const uint8_t *at = raw.data;
    const uint8_t *const end = at + raw.size;
    size_t written = 0;
    while (at != end) {
        const uint8_t *const special = json_text_find_special(at, end);
        /* The two may overlap: decoding never runs ahead of reading, but it falls behind. */
        memmove(target + written, at, (size_t)(special - at));
        written += (size_t)(special - at);
        at = special;
        if (at == end) {
            break;
        }
        if (*at != '\\' || end - at < 2) {
            return JSON_TEXT_BAD_ESCAPE;
        }
        const uint8_t simple = unescape(at[1]);
        if (simple != 0) {
            target[written++] = simple;
            at += 2;
            continue;
        }
        uint32_t point;
        const enum json_text_verdict verdict = read_code_point(&at, end, &point);
        if (verdict != JSON_TEXT_OK) {
            return verdict;
        }
        written += write_utf8(point, target + written);
    }
    *size = written;
    return JSON_TEXT_OK;
}
