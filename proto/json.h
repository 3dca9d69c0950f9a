/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H
/*
 * JSON, RFC 8259: a pull reader over received bytes. The writer is json_writer.h.
 *
 * Pure: no I/O, no allocation, no state but the caller's. ANY_THREAD.
 * Reader    never copies and never reads outside the text. Its depth is bounded by construction.
 *           Text is expected to be valid UTF-8 (utf8.h); if it is not, what comes out is not
 *           either, and nothing worse happens.
 * Strict    the grammar of RFC 8259 and nothing beside it: no comments, no trailing commas, no NaN,
 *           no raw control characters. An escaped lone surrogate is within the grammar, so it
 *           passes where text is only validated, and is refused where it is decoded. Numbers
 *           longer than JSON_NUMBER_SIZE_MAX are refused: some readers cannot take them.
 * Not here: which names a message has (fields.h), duplicate names.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    JSON_DEPTH_MAX = 64,         /* open objects and arrays; the highest depth_max there can be */
    JSON_NUMBER_SIZE_MAX = 1024, /* bytes; a double needs at most 24 */
};

/* What the bytes turned out to be. Everything after JSON_END is a fault of who wrote them. */
enum json_verdict {
    JSON_OK = 0,
    JSON_END,           /* the object or the array ends here; it is closed */
    JSON_BAD_SYNTAX,    /* not JSON, cut off, or something behind the value */
    JSON_BAD_STRING,    /* a raw control character, an unknown escape, or no closing quote */
    JSON_BAD_NUMBER,    /* not a JSON number, or above JSON_NUMBER_SIZE_MAX */
    JSON_BAD_UNICODE,   /* an escaped lone surrogate in text that has to be decoded */
    JSON_TOO_DEEP,      /* deeper than depth_max */
    JSON_WRONG_TYPE,    /* JSON, but not the type that was asked for */
    JSON_OUT_OF_RANGE,  /* a number, but not an integer, or not one that fits */
    JSON_DUPLICATE_KEY, /* said by fields.h */
};

enum json_type {
    JSON_OBJECT = 0,
    JSON_ARRAY,
    JSON_STRING,
    JSON_NUMBER,
    JSON_BOOL,
    JSON_NULL,
    JSON_NOTHING, /* no value begins here, or the text is over */
};

/*
 * The reader. Visible so that it can live on the stack; only json.c looks inside.
 * After a verdict that is a fault, it must not be used any more.
 */
struct json_reader {
    const uint8_t *at;  /* the next byte */
    const uint8_t *end; /* one past the last */
    uint32_t depth;     /* objects and arrays open now */
    uint32_t depth_max; /* at most JSON_DEPTH_MAX */
    bool fresh;         /* just opened: no comma before the first item */
};

/* What is between the quotes, as it was received. */
struct json_string {
    struct bytes raw;
    bool escaped; /* raw is not the text: json_decode_string() */
};

void json_reader_init(struct json_reader *reader, struct bytes text, uint32_t depth_max);

/* Skips white space and says what begins there. */
NODISCARD enum json_type json_peek(struct json_reader *reader);

/*
 * Open, then ask for the next member or element until JSON_END. After JSON_OK exactly one value
 * must be read or skipped before the next question.
 */
NODISCARD enum json_verdict json_open_object(struct json_reader *reader);
NODISCARD enum json_verdict json_next_member(struct json_reader *reader, struct json_string *key);
NODISCARD enum json_verdict json_open_array(struct json_reader *reader);
NODISCARD enum json_verdict json_next_element(struct json_reader *reader);

/* One value each. The output stays untouched unless the verdict is JSON_OK. */
NODISCARD enum json_verdict json_read_string(struct json_reader *reader,
                                             struct json_string *string);
NODISCARD enum json_verdict json_read_uint32(struct json_reader *reader, uint32_t *value);
NODISCARD enum json_verdict json_read_uint64(struct json_reader *reader, uint64_t *value);
NODISCARD enum json_verdict json_read_int32(struct json_reader *reader, int32_t *value);
NODISCARD enum json_verdict json_read_int64(struct json_reader *reader, int64_t *value);
NODISCARD enum json_verdict json_read_bool(struct json_reader *reader, bool *value);

/* Validates one value of any type and steps over it. */
NODISCARD enum json_verdict json_skip_value(struct json_reader *reader);

/* The same, and gives what was stepped over, without white space around it. */
NODISCARD enum json_verdict json_read_raw(struct json_reader *reader, struct bytes *raw);

/*
 * After a whole value, in texts that are joined by '\n': steps over one '\n', or finds the end of
 * the text. Nothing else may stand there, not even white space.
 */
NODISCARD enum json_verdict json_end_line(struct json_reader *reader);

/*
 * Writes the text that `string` stands for. `target` has room for string.raw.size bytes, and may
 * be the place where string.raw is. JSON_OK sets *size, which is never above string.raw.size.
 */
NODISCARD enum json_verdict json_decode_string(struct json_string string, uint8_t *target,
                                               size_t *size);

/* Is `text` one JSON value, with nothing but white space around it? */
NODISCARD enum json_verdict json_validate(struct bytes text, uint32_t depth_max);

/*
 * Removes white space outside strings, in place, and returns the new size. A raw '\n' cannot be
 * inside a string, so none is left. The bytes behind the new end are not changed.
 */
NODISCARD size_t json_compact(struct span text);

#endif /* PROTO_JSON_H */
