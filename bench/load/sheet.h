/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_SHEET_H
#define BENCH_LOAD_SHEET_H
/*
 * JSON that is written member by member: commas and lines are put here, so that who writes only
 * names what there is. A name is NULL in an array.
 *
 * Pure, ANY_THREAD; what does not fit in the target is counted and not written (proto/json_writer).
 */
#include <stdbool.h>
#include <stdint.h>

#include "proto/json_writer.h"

/* Begins as {.fresh = true} with json_writer_init(). */
struct sheet {
    struct json_writer writer;
    int depth;
    bool fresh; /* just opened: no comma */
};

/* `bracket`: "{" or "[", and the one that belongs to it. */
void sheet_open(struct sheet *sheet, const char *name, const char *bracket);
void sheet_close(struct sheet *sheet, const char *bracket);

void sheet_add_uint64(struct sheet *sheet, const char *name, uint64_t value);
void sheet_add_bool(struct sheet *sheet, const char *name, bool value);
void sheet_add_null(struct sheet *sheet, const char *name);
void sheet_add_double(struct sheet *sheet, const char *name, double value); /* finite */
void sheet_add_string(struct sheet *sheet, const char *name, const char *text);
void sheet_add_text(struct sheet *sheet, const char *name, const char *text); /* NULL: null */

#endif /* BENCH_LOAD_SHEET_H */
