/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/fields.h"

#include <string.h>

#include "core/check.h"
#include "proto/json_text.h"

_Static_assert(FIELDS_COUNT_MAX <= 32, "fields_read remembers what it has seen in 32 bits");

size_t fields_find(const struct fields_table *table, struct json_string name)
{
    uint8_t decoded[FIELDS_NAME_SIZE_MAX * JSON_WRITER_ESCAPE_SIZE_MAX];
    struct bytes text = name.raw;
    if (name.escaped) {
        /* A name that is longer than this, or that cannot be decoded, is none that we know. */
        size_t size;
        if (text.size > sizeof(decoded) || json_text_decode(text, decoded, &size) != JSON_TEXT_OK) {
            return table->count;
        }
        text = (struct bytes){decoded, size};
    }
    size_t index = 0;
    while (index < table->count && (table->rows[index].name_size != text.size ||
                                    memcmp(table->rows[index].name, text.data, text.size) != 0)) {
        index++;
    }
    return index;
}

/* The same bytes, to write to: `view` is inside `message`, which the caller lent us for that. */
static uint8_t *writable(struct span message, struct bytes view)
{
    const size_t offset = (size_t)(view.data - message.data);
    CHECK(offset <= message.size);
    CHECK(view.size <= message.size - offset);
    return message.data + offset;
}

static enum json_verdict read_text(struct json_reader *reader, struct span message,
                                   struct bytes *text)
{
    struct json_string string;
    enum json_verdict verdict = json_read_string(reader, &string);
    if (verdict != JSON_OK) {
        return verdict;
    }
    *text = string.raw;
    if (string.escaped) {
        verdict = json_decode_string(string, writable(message, string.raw), &text->size);
    }
    return verdict;
}

static enum json_verdict read_raw(struct json_reader *reader, struct span message,
                                  struct bytes *raw)
{
    const enum json_verdict verdict = json_read_raw(reader, raw);
    if (verdict == JSON_OK && memchr(raw->data, '\n', raw->size) != NULL) {
        raw->size = json_compact((struct span){writable(message, *raw), raw->size});
    }
    return verdict;
}

static enum json_verdict read_raw_of(struct json_reader *reader, struct span message,
                                     enum json_type type, struct bytes *raw)
{
    const enum json_type found = json_peek(reader);
    if (found != type) {
        return found == JSON_NOTHING ? JSON_BAD_SYNTAX : JSON_WRONG_TYPE;
    }
    return read_raw(reader, message, raw);
}

/* Reads one value to `member`, which has the type that belongs to row->kind. */
static enum json_verdict read_value(struct json_reader *reader, struct span message,
                                    const struct fields_row *row, void *target)
{
    void *const member = (uint8_t *)target + row->offset;
    switch (row->kind) {
    case FIELDS_STRING:
        return read_text(reader, message, member);
    case FIELDS_RAW:
        return read_raw(reader, message, member);
    case FIELDS_RAW_OBJECT:
        return read_raw_of(reader, message, JSON_OBJECT, member);
    case FIELDS_RAW_ARRAY:
        return read_raw_of(reader, message, JSON_ARRAY, member);
    case FIELDS_RAW_ITEMS:
        break;
    case FIELDS_UINT32:
        return json_read_uint32(reader, member);
    case FIELDS_INT32:
        return json_read_int32(reader, member);
    case FIELDS_UINT64:
        return json_read_uint64(reader, member);
    case FIELDS_INT64:
        return json_read_int64(reader, member);
    case FIELDS_BOOL:
        return json_read_bool(reader, member);
    case FIELDS_OBJECT:
        *(bool *)member = true;
        return fields_read(reader, message, row->inner, target);
    }
    NEVER("a kind that cannot be read");
}

enum json_verdict fields_read(struct json_reader *reader, struct span message,
                              const struct fields_table *table, void *target)
{
    CHECK(table->count <= FIELDS_COUNT_MAX);
    uint32_t seen = 0; /* bit i: row i */
    struct json_string name;

    enum json_verdict verdict = json_open_object(reader);
    while (verdict == JSON_OK) {
        verdict = json_next_member(reader, &name);
        if (verdict != JSON_OK) {
            break;
        }
        const size_t index = fields_find(table, name);
        if (index == table->count) {
            verdict = json_skip_value(reader);
            continue;
        }
        const uint32_t bit = UINT32_C(1) << index;
        if ((seen & bit) != 0) {
            return JSON_DUPLICATE_KEY;
        }
        seen |= bit;
        const struct fields_row *const row = &table->rows[index];
        if (row->kind != FIELDS_RAW && json_peek(reader) == JSON_NULL) {
            verdict = json_skip_value(reader);
        } else {
            verdict = read_value(reader, message, row, target);
        }
    }
    return verdict == JSON_END ? JSON_OK : verdict;
}

/* The name and colon, after a comma unless it is the first. */
static void write_name(struct json_writer *writer, const struct fields_row *row, bool *first)
{
    json_writer_text(writer, *first ? "\"" : ",\"");
    json_writer_raw(writer, (struct bytes){(const uint8_t *)row->name, row->name_size});
    json_writer_text(writer, "\":");
    *first = false;
}

static bool is_zero(const struct fields_row *row, const void *member)
{
    switch (row->kind) {
    case FIELDS_STRING:
    case FIELDS_RAW:
    case FIELDS_RAW_OBJECT:
    case FIELDS_RAW_ARRAY:
    case FIELDS_RAW_ITEMS:
        return ((const struct bytes *)member)->size == 0;
    case FIELDS_UINT32:
        return *(const uint32_t *)member == 0;
    case FIELDS_INT32:
        return *(const int32_t *)member == 0;
    case FIELDS_UINT64:
        return *(const uint64_t *)member == 0;
    case FIELDS_INT64:
        return *(const int64_t *)member == 0;
    case FIELDS_BOOL:
    case FIELDS_OBJECT:
        return !*(const bool *)member;
    }
    NEVER("a kind that is not one");
}

static void write_value(struct json_writer *writer, const struct fields_row *row,
                        const void *source)
{
    const void *const member = (const uint8_t *)source + row->offset;
    switch (row->kind) {
    case FIELDS_STRING:
        json_writer_string(writer, *(const struct bytes *)member);
        return;
    case FIELDS_RAW:
    case FIELDS_RAW_OBJECT:
    case FIELDS_RAW_ARRAY:
        json_writer_raw(writer, *(const struct bytes *)member);
        return;
    case FIELDS_RAW_ITEMS:
        json_writer_text(writer, "[");
        json_writer_raw(writer, *(const struct bytes *)member);
        json_writer_text(writer, "]");
        return;
    case FIELDS_UINT32:
        json_writer_uint64(writer, *(const uint32_t *)member);
        return;
    case FIELDS_INT32:
        json_writer_int64(writer, *(const int32_t *)member);
        return;
    case FIELDS_UINT64:
        json_writer_uint64(writer, *(const uint64_t *)member);
        return;
    case FIELDS_INT64:
        json_writer_int64(writer, *(const int64_t *)member);
        return;
    case FIELDS_BOOL:
        json_writer_bool(writer, *(const bool *)member);
        return;
    case FIELDS_OBJECT:
        fields_write(writer, row->inner, source);
        return;
    }
    NEVER("a kind that is not one");
}

void fields_write(struct json_writer *writer, const struct fields_table *table, const void *source)
{
    bool first = true;
    json_writer_text(writer, "{");
    for (size_t i = 0; i < table->count; i++) {
        const struct fields_row *const row = &table->rows[i];
        if (!is_zero(row, (const uint8_t *)source + row->offset)) {
            write_name(writer, row, &first);
            write_value(writer, row, source);
        }
    }
    json_writer_text(writer, "}");
}
