/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One record -> one line of text, in logfmt or JSON.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "core/check.h"
#include "core/log_private.h"

enum {
    CODE_POINT_NONE = 0x110000, /* above the last one: not UTF-8 */
    NUMBER_SIZE_MAX = 24,       /* bytes: the longest 64-bit number, sign, zero */
    TIME_SIZE_MAX = 64,
};

struct line {
    char *data;
    size_t size;
};

/* The longest line fits (see LOG_PRIVATE_LINE_MAX), so running out is a bug. */
static void add(struct line *line, const char *text, size_t size)
{
    CHECK(size <= LOG_PRIVATE_LINE_MAX - line->size);
    memcpy(line->data + line->size, text, size);
    line->size += size;
}

static void add_text(struct line *line, const char *text)
{
    add(line, text, strlen(text));
}

static void add_unicode_escape(struct line *line, uint32_t code_point)
{
    char text[NUMBER_SIZE_MAX];
    const int size = snprintf(text, sizeof(text), "\\u%04" PRIx32, code_point);
    CHECK(size == 6); /* only code points of the first plane are escaped */
    add(line, text, (size_t)size);
}

/*
 * The code point at the front of `in` and how many bytes it has; CODE_POINT_NONE and 1 where it is
 * not UTF-8 (RFC 3629). core/ is below proto/, whose fast validator this could not use.
 */
static uint32_t decode(struct bytes in, size_t *size)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint8_t first = in.data[0];
    *size = 1;
    if (first < 0x80) {
        return first;
    }
    const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || in.size < length) {
        return CODE_POINT_NONE;
    }
    uint32_t value = first & (0xffU >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((in.data[i] & 0xc0) != 0x80) {
            return CODE_POINT_NONE;
        }
        value = value << 6 | (in.data[i] & 0x3fU);
    }
    const bool is_surrogate = value >= 0xd800 && value <= 0xdfff;
    if (value < smallest[length] || is_surrogate || value >= CODE_POINT_NONE) {
        return CODE_POINT_NONE;
    }
    *size = length;
    return value;
}

/* Controls, line ends of Unicode, and marks that turn text around and so hide what is there. */
static bool must_escape(uint32_t code_point)
{
    return code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0) ||
           (code_point >= 0x200e && code_point <= 0x200f) ||
           (code_point >= 0x2028 && code_point <= 0x202e) ||
           (code_point >= 0x2066 && code_point <= 0x2069) || code_point == 0xfeff;
}

static void add_quoted(struct line *line, struct bytes in)
{
    add(line, "\"", 1);
    size_t size = 0;
    for (size_t at = 0; at < in.size; at += size) {
        const uint32_t code_point = decode((struct bytes){in.data + at, in.size - at}, &size);
        if (code_point == '"' || code_point == '\\') {
            add(line, "\\", 1);
            add(line, (const char *)in.data + at, 1);
        } else if (code_point == '\n') {
            add(line, "\\n", 2);
        } else if (code_point == CODE_POINT_NONE) {
            add(line, "\\ufffd", 6);
        } else if (must_escape(code_point)) {
            add_unicode_escape(line, code_point);
        } else {
            add(line, (const char *)in.data + at, size);
        }
    }
    add(line, "\"", 1);
}

static bool is_bare(struct bytes in)
{
    for (size_t i = 0; i < in.size; i++) {
        const uint8_t byte = in.data[i];
        if (byte <= 0x20 || byte >= 0x7f || byte == '"' || byte == '=' || byte == '\\') {
            return false;
        }
    }
    return in.size > 0;
}

/* The name of an event, a thread or a key, which are literals but may be long. */
static struct bytes name_of(const char *name)
{
    return (struct bytes){(const uint8_t *)name, strnlen(name, LOG_PRIVATE_NAME_MAX)};
}

static void add_string(struct line *line, enum logger_format format, struct bytes value)
{
    if (format == LOGGER_LOGFMT && is_bare(value)) {
        add(line, (const char *)value.data, value.size);
    } else {
        add_quoted(line, value);
    }
}

static void add_key(struct line *line, enum logger_format format, const char *key)
{
    switch (format) {
    case LOGGER_LOGFMT: {
        const struct bytes name = name_of(key);
        add(line, " ", line->size > 0 ? 1 : 0);
        add(line, (const char *)name.data, name.size);
        add(line, "=", 1);
        return;
    }
    case LOGGER_JSON:
        add(line, line->size > 1 ? "," : "", line->size > 1 ? 1 : 0);
        add_quoted(line, name_of(key));
        add(line, ":", 1);
        return;
    }
    NEVER("a format of no kind");
}

static void add_time(struct line *line, enum logger_format format, uint64_t time_ms)
{
    const time_t seconds = (time_t)(time_ms / 1000);
    struct tm date;
    char text[TIME_SIZE_MAX];

    const struct tm *filled = gmtime_r(&seconds, &date);
    CHECK(filled != NULL);
    const size_t size = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &date);
    CHECK(size > 0);
    const int rest =
        snprintf(text + size, sizeof(text) - size, ".%03uZ", (unsigned)(time_ms % 1000));
    CHECK(rest == 5);
    add_key(line, format, "time");
    add_string(line, format, (struct bytes){(const uint8_t *)text, size + (size_t)rest});
}

static void add_field(struct line *line, enum logger_format format, const struct log_record *record,
                      size_t index)
{
    const struct log_record_field *field = &record->fields[index];
    char number[NUMBER_SIZE_MAX];

    add_key(line, format, field->key);
    switch (field->type) {
    case LOG_FIELD_STRING:
        add_string(line, format, (struct bytes){record->text + field->text_at, field->text_size});
        return;
    case LOG_FIELD_INT:
        (void)snprintf(number, sizeof(number), "%" PRId64, (int64_t)field->number);
        add_text(line, number);
        return;
    case LOG_FIELD_UINT:
        (void)snprintf(number, sizeof(number), "%" PRIu64, field->number);
        add_text(line, number);
        return;
    }
    NEVER("a field of no type");
}

size_t log_line_write(enum logger_format format, const char *thread,
                      const struct log_record *record, char *target)
{
    CHECK(thread != NULL);
    CHECK(record != NULL);
    CHECK(target != NULL);

    struct line line = {.data = target, .size = 0};
    if (format == LOGGER_JSON) {
        add(&line, "{", 1);
    }
    add_time(&line, format, record->time_ms);
    add_key(&line, format, "level");
    add_string(&line, format, name_of(log_level_name(record->level)));
    add_key(&line, format, "event");
    add_string(&line, format, name_of(record->event));
    add_key(&line, format, "thread");
    add_string(&line, format, name_of(thread));
    for (size_t i = 0; i < record->field_count; i++) {
        add_field(&line, format, record, i);
    }
    if (format == LOGGER_JSON) {
        add(&line, "}", 1);
    }
    add(&line, "\n", 1);
    return line.size;
}
