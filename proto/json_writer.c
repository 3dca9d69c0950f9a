/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_writer.h"

#include <string.h>

#include "core/check.h"
#include "proto/json_text.h"

void json_writer_init(struct json_writer *writer, struct span target)
{
    CHECK(writer != NULL);
    CHECK(target.data != NULL || target.size == 0);
    *writer = (struct json_writer){.data = target.data, .capacity = target.size};
}

bool json_writer_fits(const struct json_writer *writer)
{
    return writer->size <= writer->capacity;
}

struct bytes json_writer_bytes(const struct json_writer *writer)
{
    CHECK(json_writer_fits(writer));
    return (struct bytes){writer->data, writer->size};
}

static void write_bytes(struct json_writer *writer, const void *data, size_t size)
{
    /* Once something did not fit, size is above capacity, and nothing fits any more. */
    if (size > 0 && writer->size <= writer->capacity && size <= writer->capacity - writer->size) {
        memcpy(writer->data + writer->size, data, size);
    }
    writer->size += size;
}

void json_writer_raw(struct json_writer *writer, struct bytes raw)
{
    write_bytes(writer, raw.data, raw.size);
}

void json_writer_text(struct json_writer *writer, const char *text)
{
    write_bytes(writer, text, strlen(text));
}

/* The letter of the short escape for a special byte, or 0. */
static char short_escape(uint8_t byte)
{
    switch (byte) {
    case '"':
    case '\\':
        return (char)byte;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static void write_escape(struct json_writer *writer, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    const char letter = short_escape(byte);
    if (letter != 0) {
        const char escape[] = {'\\', letter};
        write_bytes(writer, escape, sizeof(escape));
    } else {
        const char escape[] = {'\\', 'u', '0', '0', digits[byte >> 4], digits[byte & 0x0f]};
        write_bytes(writer, escape, sizeof(escape));
    }
}

void json_writer_string(struct json_writer *writer, struct bytes text)
{
    write_bytes(writer, "\"", 1);
    if (text.size > 0) {
        const uint8_t *at = text.data;
        const uint8_t *const end = at + text.size;
        for (;;) {
            const uint8_t *const special = json_text_find_special(at, end);
            write_bytes(writer, at, (size_t)(special - at));
            if (special == end) {
                break;
            }
            write_escape(writer, *special);
            at = special + 1;
        }
    }
    write_bytes(writer, "\"", 1);
}

void json_writer_uint64(struct json_writer *writer, uint64_t value)
{
    uint8_t digits[JSON_WRITER_INTEGER_SIZE_MAX];
    size_t start = sizeof(digits);
    do {
        digits[--start] = (uint8_t)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    write_bytes(writer, digits + start, sizeof(digits) - start);
}

void json_writer_int64(struct json_writer *writer, int64_t value)
{
    if (value < 0) {
        write_bytes(writer, "-", 1);
        json_writer_uint64(writer, UINT64_C(0) - (uint64_t)value);
    } else {
        json_writer_uint64(writer, (uint64_t)value);
    }
}

void json_writer_bool(struct json_writer *writer, bool value)
{
    json_writer_text(writer, value ? "true" : "false");
}
