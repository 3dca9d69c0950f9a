/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzing the JSON reader. The input is copied to a block of exactly its size, and then
 *   - a reader that asks for everything by its type comes to the verdict of the validator, whether
 *     or not a text is valid, but for integers that do not fit;
 *   - each string, decoded and written again, decodes to the same;
 *   - a valid text is valid when it is compacted, has no '\n', and cannot be compacted further.
 */
#include "proto/json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/json_writer.h"

enum { DEPTH = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *allocate(size_t size)
{
    uint8_t *block = malloc(size + (size == 0));
    CHECK(block != NULL);
    return block;
}

static uint8_t *copy_of(const uint8_t *data, size_t size)
{
    uint8_t *copy = allocate(size);
    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

static void write_and_read_again(struct bytes text)
{
    const size_t room = text.size * JSON_WRITER_ESCAPE_SIZE_MAX + 2;
    uint8_t *block = allocate(room);
    struct json_writer writer;
    json_writer_init(&writer, (struct span){block, room});
    json_writer_string(&writer, text);
    CHECK(json_writer_fits(&writer));

    struct json_reader reader;
    struct json_string again;
    size_t size = 0;
    json_reader_init(&reader, json_writer_bytes(&writer), 1);
    CHECK(json_read_string(&reader, &again) == JSON_OK);
    CHECK(json_end_line(&reader) == JSON_OK);
    CHECK(json_decode_string(again, block + 1, &size) == JSON_OK);
    CHECK(size == text.size);
    CHECK(size == 0 || memcmp(block + 1, text.data, size) == 0);
    free(block);
}

static void check_string(struct json_string string)
{
    uint8_t *block = allocate(string.raw.size);
    size_t size = 0;
    const enum json_verdict verdict = json_decode_string(string, block, &size);
    CHECK(verdict == JSON_OK || (verdict == JSON_BAD_UNICODE && string.escaped));
    if (verdict == JSON_OK) {
        CHECK(string.escaped ? size < string.raw.size : size == string.raw.size);
        write_and_read_again((struct bytes){block, size});
    }
    free(block);
}

/* As an integer if it is one that fits, else the way that takes any number. */
static enum json_verdict walk_number(struct json_reader *reader)
{
    const struct json_reader before = *reader;
    int64_t number = 0;
    const enum json_verdict verdict = json_read_int64(reader, &number);
    if (verdict != JSON_OUT_OF_RANGE) {
        return verdict;
    }
    *reader = before;
    return json_skip_value(reader);
}

static enum json_verdict walk(struct json_reader *reader)
{
    struct json_string string;
    struct bytes raw;
    bool boolean;
    enum json_verdict verdict;
    switch (json_peek(reader)) {
    case JSON_OBJECT:
        verdict = json_open_object(reader);
        while (verdict == JSON_OK && (verdict = json_next_member(reader, &string)) == JSON_OK) {
            check_string(string);
            verdict = walk(reader);
        }
        return verdict == JSON_END ? JSON_OK : verdict;
    case JSON_ARRAY:
        verdict = json_open_array(reader);
        while (verdict == JSON_OK && (verdict = json_next_element(reader)) == JSON_OK) {
            verdict = walk(reader);
        }
        return verdict == JSON_END ? JSON_OK : verdict;
    case JSON_STRING:
        verdict = json_read_string(reader, &string);
        if (verdict == JSON_OK) {
            check_string(string);
        }
        return verdict;
    case JSON_NUMBER:
        return walk_number(reader);
    case JSON_BOOL:
        return json_read_bool(reader, &boolean);
    case JSON_NULL:
    case JSON_NOTHING:
        return json_read_raw(reader, &raw);
    }
    NEVER("a type that is not one");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *copy = copy_of(data, size);
    const enum json_verdict verdict = json_validate((struct bytes){copy, size}, DEPTH);

    struct json_reader reader;
    json_reader_init(&reader, (struct bytes){copy, size}, DEPTH);
    enum json_verdict walked = walk(&reader);
    if (walked == JSON_OK && json_peek(&reader) != JSON_NOTHING) {
        walked = JSON_BAD_SYNTAX;
    }
    if (walked == JSON_OK && reader.at != reader.end) {
        walked = JSON_BAD_SYNTAX;
    }
    CHECK(walked == verdict);

    const size_t compact = json_compact((struct span){copy, size});
    CHECK(compact <= size);
    if (verdict == JSON_OK) {
        uint8_t *shorter = copy_of(copy, compact);
        CHECK(memchr(shorter, '\n', compact) == NULL);
        CHECK(json_validate((struct bytes){shorter, compact}, DEPTH) == JSON_OK);
        CHECK(json_compact((struct span){shorter, compact}) == compact);
        CHECK(memcmp(shorter, copy, compact) == 0);
        free(shorter);
    }
    free(copy);
    return 0;
}
