/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_JSON_WRITER_H
#define PROTO_JSON_WRITER_H
/*
 * Appends JSON to the caller's memory.
 *
 * Pure: no I/O, no allocation. ANY_THREAD.
 * Never writes outside its target: what does not fit is only counted, and from then on everything
 * is. So a writer with an empty target measures, and json_writer_fits() is asked once, at the end.
 * Text is expected to be valid UTF-8 and passes through; braces and commas are the caller's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    JSON_WRITER_INTEGER_SIZE_MAX = 20, /* bytes: UINT64_MAX and INT64_MIN */
    JSON_WRITER_ESCAPE_SIZE_MAX = 6,   /* bytes that one byte of a string can become */
};

struct json_writer {
    uint8_t *data;
    size_t capacity; /* bytes */
    size_t size;     /* bytes needed so far, even if they did not fit */
};

void json_writer_init(struct json_writer *writer, struct span target);

/* Did everything fit? If not, the target is of no use, and `size` says what is needed. */
NODISCARD bool json_writer_fits(const struct json_writer *writer);

/* What was written. Only when it fits. */
NODISCARD struct bytes json_writer_bytes(const struct json_writer *writer);

void json_writer_raw(struct json_writer *writer, struct bytes raw);
void json_writer_text(struct json_writer *writer, const char *text); /* as it is, up to the NUL */
void json_writer_string(struct json_writer *writer, struct bytes text); /* quoted and escaped */
void json_writer_uint64(struct json_writer *writer, uint64_t value);
void json_writer_int64(struct json_writer *writer, int64_t value);
void json_writer_bool(struct json_writer *writer, bool value);

#endif /* PROTO_JSON_WRITER_H */
