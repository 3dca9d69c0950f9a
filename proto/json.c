/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json.h"

#include <string.h>

#include "core/check.h"
#include "proto/json_text.h"

_Static_assert(JSON_DEPTH_MAX <= 64, "json_skip_value keeps one bit for each level");

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

static void skip_space(struct json_reader *reader)
{
    while (reader->at != reader->end && is_space(*reader->at)) {
        reader->at++;
    }
}

/* The reader is at a quote. */
static enum json_verdict scan_string(struct json_reader *reader, struct json_string *string)
{
    const uint8_t *const start = reader->at + 1;
    const uint8_t *at = start;
    bool escaped = false;

    for (;;) {
        at = json_text_find_special(at, reader->end);
        if (at == reader->end || *at < JSON_TEXT_FIRST_PRINTABLE) {
            return JSON_BAD_STRING;
        }
        if (*at == '"') {
            break;
        }
        const size_t size = json_text_escape_size(at, reader->end);
        if (size == 0) {
            return JSON_BAD_STRING;
        }
        escaped = true;
        at += size;
    }
    *string = (struct json_string){{start, (size_t)(at - start)}, escaped};
    reader->at = at + 1;
    return JSON_OK;
}

static const uint8_t *skip_digits(const uint8_t *at, const uint8_t *end)
{
    while (at != end && is_digit(*at)) {
        at++;
    }
    return at;
}

/* `at` is where at least one digit must be. Gives the byte after the last one, NULL if none. */
static const uint8_t *need_digits(const uint8_t *at, const uint8_t *end)
{
    const uint8_t *const after = skip_digits(at, end);
    return after != at ? after : NULL;
}

/* The end of the number that begins at `at`, or NULL. RFC 8259 section 6. */
static const uint8_t *find_number_end(const uint8_t *at, const uint8_t *end)
{
    if (at != end && *at == '-') {
        at++;
    }
    if (at != end && *at == '0') {
        at++; /* A digit after a leading zero is found by whoever looks for a comma. */
    } else {
        at = need_digits(at, end);
    }
    if (at != NULL && at != end && *at == '.') {
        at = need_digits(at + 1, end);
    }
    if (at != NULL && at != end && (*at | 0x20) == 'e') {
        at++;
        if (at != end && (*at == '+' || *at == '-')) {
            at++;
        }
        at = need_digits(at, end);
    }
    return at;
}

static enum json_verdict scan_number(struct json_reader *reader, struct bytes *number)
{
    const uint8_t *const after = find_number_end(reader->at, reader->end);
    if (after == NULL || after - reader->at > JSON_NUMBER_SIZE_MAX) {
        return JSON_BAD_NUMBER;
    }
    *number = (struct bytes){reader->at, (size_t)(after - reader->at)};
    reader->at = after;
    return JSON_OK;
}

static enum json_verdict scan_word(struct json_reader *reader, const char *word, size_t size)
{
    if ((size_t)(reader->end - reader->at) < size || memcmp(reader->at, word, size) != 0) {
        return JSON_BAD_SYNTAX;
    }
    reader->at += size;
    return JSON_OK;
}

static enum json_verdict scan_constant(struct json_reader *reader)
{
    switch (*reader->at) {
    case 't':
        return scan_word(reader, "true", 4);
    case 'f':
        return scan_word(reader, "false", 5);
    default:
        return scan_word(reader, "null", 4);
    }
}

void json_reader_init(struct json_reader *reader, struct bytes text, uint32_t depth_max)
{
    CHECK(reader != NULL);
    CHECK(text.data != NULL || text.size == 0);
    CHECK(depth_max >= 1);
    CHECK(depth_max <= JSON_DEPTH_MAX);

    /* An empty view may be NULL, and NULL + 0 is not C. */
    static const uint8_t nothing = 0;
    const uint8_t *const data = text.data != NULL ? text.data : &nothing;
    *reader = (struct json_reader){.at = data, .end = data + text.size, .depth_max = depth_max};
}

enum json_type json_peek(struct json_reader *reader)
{
    skip_space(reader);
    if (reader->at == reader->end) {
        return JSON_NOTHING;
    }
    switch (*reader->at) {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return *reader->at == '-' || is_digit(*reader->at) ? JSON_NUMBER : JSON_NOTHING;
    }
}

/* JSON_OK if a value of `type` begins here. */
static enum json_verdict expect(struct json_reader *reader, enum json_type type)
{
    const enum json_type found = json_peek(reader);
    if (found == type) {
        return JSON_OK;
    }
    return found == JSON_NOTHING ? JSON_BAD_SYNTAX : JSON_WRONG_TYPE;
}

static enum json_verdict open_container(struct json_reader *reader, enum json_type type)
{
    const enum json_verdict verdict = expect(reader, type);
    if (verdict != JSON_OK) {
        return verdict;
    }
    if (reader->depth == reader->depth_max) {
        return JSON_TOO_DEEP;
    }
    reader->depth++;
    reader->fresh = true;
    reader->at++;
    return JSON_OK;
}

/* Steps over the comma, if there must be one, or over the end of what is open. */
static enum json_verdict next_item(struct json_reader *reader, uint8_t closer)
{
    CHECK(reader->depth > 0);
    skip_space(reader);
    if (reader->at == reader->end) {
        return JSON_BAD_SYNTAX;
    }
    const bool fresh = reader->fresh;
    reader->fresh = false;
    if (*reader->at == closer) {
        reader->at++;
        reader->depth--;
        return JSON_END;
    }
    if (fresh) {
        return JSON_OK;
    }
    if (*reader->at != ',') {
        return JSON_BAD_SYNTAX;
    }
    reader->at++;
    return JSON_OK;
}

enum json_verdict json_open_object(struct json_reader *reader)
{
    return open_container(reader, JSON_OBJECT);
}

enum json_verdict json_next_member(struct json_reader *reader, struct json_string *key)
{
    enum json_verdict verdict = next_item(reader, '}');
    if (verdict != JSON_OK) {
        return verdict;
    }
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != '"') {
        return JSON_BAD_SYNTAX;
    }
    verdict = scan_string(reader, key);
    if (verdict != JSON_OK) {
        return verdict;
    }
    skip_space(reader);
    if (reader->at == reader->end || *reader->at != ':') {
        return JSON_BAD_SYNTAX;
    }
    reader->at++;
    return JSON_OK;
}

enum json_verdict json_open_array(struct json_reader *reader)
{
    return open_container(reader, JSON_ARRAY);
}

enum json_verdict json_next_element(struct json_reader *reader)
{
    return next_item(reader, ']');
}

enum json_verdict json_read_string(struct json_reader *reader, struct json_string *string)
{
    const enum json_verdict verdict = expect(reader, JSON_STRING);
    return verdict == JSON_OK ? scan_string(reader, string) : verdict;
}

/* An integer of at most `max`, or of at most `negative_max` below zero. */
static enum json_verdict read_integer(struct json_reader *reader, uint64_t max,
                                      uint64_t negative_max, uint64_t *magnitude, bool *negative)
{
    enum json_verdict verdict = expect(reader, JSON_NUMBER);
    if (verdict != JSON_OK) {
        return verdict;
    }
    struct bytes number;
    verdict = scan_number(reader, &number);
    if (verdict != JSON_OK) {
        return verdict;
    }

    const bool minus = number.data[0] == '-';
    const uint64_t limit = minus ? negative_max : max;
    uint64_t value = 0;
    for (size_t i = minus ? 1 : 0; i < number.size; i++) {
        if (!is_digit(number.data[i])) {
            return JSON_OUT_OF_RANGE; /* a fraction or an exponent */
        }
        const uint64_t digit = number.data[i] - (uint64_t)'0';
        if (value > limit / 10 || digit > limit - value * 10) {
            return JSON_OUT_OF_RANGE;
        }
        value = value * 10 + digit;
    }
    *magnitude = value;
    *negative = minus;
    return JSON_OK;
}

enum json_verdict json_read_uint32(struct json_reader *reader, uint32_t *value)
{
    uint64_t magnitude;
    bool negative;
    const enum json_verdict verdict = read_integer(reader, UINT32_MAX, 0, &magnitude, &negative);
    if (verdict == JSON_OK) {
        *value = (uint32_t)magnitude;
    }
    return verdict;
}

enum json_verdict json_read_uint64(struct json_reader *reader, uint64_t *value)
{
    bool negative;
    return read_integer(reader, UINT64_MAX, 0, value, &negative);
}

enum json_verdict json_read_int32(struct json_reader *reader, int32_t *value)
{
    uint64_t magnitude;
    bool negative;
    const enum json_verdict verdict =
        read_integer(reader, INT32_MAX, (uint64_t)INT32_MAX + 1, &magnitude, &negative);
    if (verdict == JSON_OK) {
        *value = (int32_t)(negative ? -(int64_t)magnitude : (int64_t)magnitude);
    }
    return verdict;
}

enum json_verdict json_read_int64(struct json_reader *reader, int64_t *value)
{
    uint64_t magnitude;
    bool negative;
    const enum json_verdict verdict =
        read_integer(reader, INT64_MAX, (uint64_t)INT64_MAX + 1, &magnitude, &negative);
    if (verdict == JSON_OK) {
        /* Negating before the conversion is what makes the smallest value come out right. */
        *value = (int64_t)(negative ? UINT64_C(0) - magnitude : magnitude);
    }
    return verdict;
}

enum json_verdict json_read_bool(struct json_reader *reader, bool *value)
{
    enum json_verdict verdict = expect(reader, JSON_BOOL);
    if (verdict != JSON_OK) {
        return verdict;
    }
    const bool is_true = *reader->at == 't';
    verdict = scan_constant(reader);
    if (verdict == JSON_OK) {
        *value = is_true;
    }
    return verdict;
}

/* Steps over a scalar, or into an object or array and notes which it was. */
static enum json_verdict skip_or_open(struct json_reader *reader, uint64_t *arrays)
{
    struct json_string string;
    struct bytes number;

    const enum json_type type = json_peek(reader);
    switch (type) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        *arrays = *arrays << 1 | (type == JSON_ARRAY ? 1 : 0);
        return open_container(reader, type);
    case JSON_STRING:
        return scan_string(reader, &string);
    case JSON_NUMBER:
        return scan_number(reader, &number);
    case JSON_BOOL:
    case JSON_NULL:
        return scan_constant(reader);
    case JSON_NOTHING:
        return JSON_BAD_SYNTAX;
    }
    NEVER("a type that is not one");
}

enum json_verdict json_skip_value(struct json_reader *reader)
{
    const uint32_t outside = reader->depth;
    uint64_t arrays = 0; /* bit 0: what is innermost is an array; bit 1: what is around it; ... */
    struct json_string key;

    for (;;) {
        enum json_verdict verdict = skip_or_open(reader, &arrays);
        if (verdict != JSON_OK) {
            return verdict;
        }
        /* To the next value, out of everything that ends before it. */
        do {
            if (reader->depth == outside) {
                return JSON_OK;
            }
            verdict =
                (arrays & 1) != 0 ? json_next_element(reader) : json_next_member(reader, &key);
            if (verdict == JSON_END) {
                arrays >>= 1;
            }
        } while (verdict == JSON_END);
        if (verdict != JSON_OK) {
            return verdict;
        }
    }
}

enum json_verdict json_read_raw(struct json_reader *reader, struct bytes *raw)
{
    skip_space(reader);
    const uint8_t *const start = reader->at;
    const enum json_verdict verdict = json_skip_value(reader);
    if (verdict == JSON_OK) {
        *raw = (struct bytes){start, (size_t)(reader->at - start)};
    }
    return verdict;
}

enum json_verdict json_end_line(struct json_reader *reader)
{
    CHECK(reader->depth == 0);
    if (reader->at == reader->end) {
        return JSON_OK;
    }
    if (*reader->at != '\n') {
        return JSON_BAD_SYNTAX;
    }
    reader->at++;
    return JSON_OK;
}

enum json_verdict json_decode_string(struct json_string string, uint8_t *target, size_t *size)
{
    switch (json_text_decode(string.raw, target, size)) {
    case JSON_TEXT_OK:
        return JSON_OK;
    case JSON_TEXT_BAD_ESCAPE:
        return JSON_BAD_STRING;
    case JSON_TEXT_LONE_SURROGATE:
        return JSON_BAD_UNICODE;
    }
    NEVER("a verdict that is not one");
}

enum json_verdict json_validate(struct bytes text, uint32_t depth_max)
{
    struct json_reader reader;
    json_reader_init(&reader, text, depth_max);
    const enum json_verdict verdict = json_skip_value(&reader);
    if (verdict != JSON_OK) {
        return verdict;
    }
    skip_space(&reader);
    return reader.at == reader.end ? JSON_OK : JSON_BAD_SYNTAX;
}

size_t json_compact(struct span text)
{
    CHECK(text.data != NULL || text.size == 0);
    size_t size = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.size; i++) {
        const uint8_t byte = text.data[i];
        if (!quoted && is_space(byte)) {
            continue;
        }
        text.data[size++] = byte;
        if (byte == '"') {
            quoted = !quoted;
        } else if (quoted && byte == '\\' && i + 1 < text.size) {
            text.data[size++] = text.data[++i];
        }
    }
    return size;
}
