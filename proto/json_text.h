/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_JSON_TEXT_H
#define PROTO_JSON_TEXT_H
/*
 * What is between the quotes of a JSON string, RFC 8259 section 7: where it ends, its escapes.
 *
 * Pure. ANY_THREAD. For json.c and json_writer.c; others read strings through json.h.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/annot.h"
#include "core/bytes.h"

#define JSON_TEXT_EVERY_BYTE(value) (UINT64_C(0x0101010101010101) * (value))

enum {
    JSON_TEXT_WORD_SIZE = 8,
    JSON_TEXT_FIRST_PRINTABLE = 0x20,
};

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the lowest byte of a word is the first");

enum json_text_verdict {
    JSON_TEXT_OK = 0,
    JSON_TEXT_BAD_ESCAPE,
    JSON_TEXT_LONE_SURROGATE,
};

/* Bytes of the escape that begins at `at`: 2, or 6 for a code unit; 0 if it is not an escape. */
NODISCARD size_t json_text_escape_size(const uint8_t *at, const uint8_t *end);

/*
 * Writes the text that `raw` stands for: at most raw.size bytes to `target`, which may be where
 * raw is. JSON_TEXT_OK sets *size; after a fault what is in the target is of no use.
 */
NODISCARD enum json_text_verdict json_text_decode(struct bytes raw, uint8_t *target, size_t *size);

/*
 * The high bit of each byte that is zero. A borrow may mark a byte above a real zero too, so only
 * the lowest mark is to be believed, and that is the only one we use.
 */
static inline uint64_t json_text_zero_bytes(uint64_t word)
{
    return (word - JSON_TEXT_EVERY_BYTE(0x01)) & ~word & JSON_TEXT_EVERY_BYTE(0x80);
}

/*
 * The first byte that cannot stand for itself in a string, or `end`. Eight bytes at a time in
 * general registers: the strings of chat are short, so wider vectors would mostly run their tails.
 */
static inline const uint8_t *json_text_find_special(const uint8_t *at, const uint8_t *end)
{
    while (end - at >= JSON_TEXT_WORD_SIZE) {
        uint64_t word;
        memcpy(&word, at, sizeof(word));
        const uint64_t control = (word - JSON_TEXT_EVERY_BYTE(JSON_TEXT_FIRST_PRINTABLE)) & ~word &
                                 JSON_TEXT_EVERY_BYTE(0x80);
        const uint64_t marks = control |
                               json_text_zero_bytes(word ^ JSON_TEXT_EVERY_BYTE((uint64_t)'"')) |
                               json_text_zero_bytes(word ^ JSON_TEXT_EVERY_BYTE((uint64_t)'\\'));
        if (marks != 0) {
            return at + (__builtin_ctzll(marks) >> 3);
        }
        at += JSON_TEXT_WORD_SIZE;
    }
    while (at != end && *at >= JSON_TEXT_FIRST_PRINTABLE && *at != '"' && *at != '\\') {
        at++;
    }
    return at;
}

#endif /* PROTO_JSON_TEXT_H */
