/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_FIELDS_H
#define PROTO_FIELDS_H
/*
 * JSON objects to structs and back, by one table for both directions.
 *
 * Pure: no I/O, no allocation. ANY_THREAD. For command.c and event.c, whose formats are the tables.
 * Reading   unknown names are skipped, but must be valid JSON. A known name twice is refused, and
 *           so is a value of another type. `null` is the same as nothing, but for FIELDS_RAW.
 *           Text with escapes is decoded in place, and newlines in raw values are removed in place,
 *           so the message can be read only once.
 * Writing   zero values are left out, as the protocol wants it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/json.h"
#include "proto/json_writer.h"

enum {
    FIELDS_COUNT_MAX = 32,     /* rows of a table: one bit for each */
    FIELDS_NAME_SIZE_MAX = 24, /* bytes of a name */
};

/* What is in the JSON, and in brackets the member that `offset` leads to. */
enum fields_kind {
    FIELDS_STRING = 0, /* (struct bytes) decoded, UTF-8 */
    FIELDS_RAW,        /* (struct bytes) any JSON value, validated, as text without '\n' */
    FIELDS_RAW_OBJECT, /* (struct bytes) the same, but it must be an object */
    FIELDS_RAW_ARRAY,  /* (struct bytes) the same, but it must be an array */
    FIELDS_RAW_ITEMS,  /* (struct bytes) what is between the brackets of one; is only written */
    FIELDS_UINT32,     /* (uint32_t) */
    FIELDS_INT32,      /* (int32_t) */
    FIELDS_UINT64,     /* (uint64_t) */
    FIELDS_INT64,      /* (int64_t) */
    FIELDS_BOOL,       /* (bool) */
    FIELDS_OBJECT,     /* (bool) is it there? What is in it goes by `inner` to the same struct */
};

struct fields_row {
    const char *name;
    size_t name_size; /* bytes, at most FIELDS_NAME_SIZE_MAX */
    enum fields_kind kind;
    size_t offset; /* bytes, from the start of the struct */
    const struct fields_table *inner;
};

struct fields_table {
    const struct fields_row *rows;
    size_t count; /* at most FIELDS_COUNT_MAX */
};

/* clang-format off */
#define FIELDS_ROW(type, member, name, kind) \
    {name, sizeof(name) - 1, kind, offsetof(type, member), NULL}
#define FIELDS_INNER(type, member, name, table) \
    {name, sizeof(name) - 1, FIELDS_OBJECT, offsetof(type, member), table}
#define FIELDS_TABLE(rows) {rows, sizeof(rows) / sizeof((rows)[0])}
/* clang-format on */

/* Which row has this name? table->count if none. */
NODISCARD size_t fields_find(const struct fields_table *table, struct json_string name);

/*
 * Reads the object that is next in `reader`, which reads `message`, into `target`, a struct of the
 * table's type. The caller has zeroed it. After a fault, what is in it is of no use.
 */
NODISCARD enum json_verdict fields_read(struct json_reader *reader, struct span message,
                                        const struct fields_table *table, void *target);

/* Writes the object, braces included. Raw values must not contain '\n'. */
void fields_write(struct json_writer *writer, const struct fields_table *table, const void *source);

#endif /* PROTO_FIELDS_H */
