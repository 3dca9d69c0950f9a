/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/sheet.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"

enum {
    DOUBLE_SIZE = 32,
    LINE_DEPTH_MAX = 2, /* what is no deeper begins a line */
};

static void begin_value(struct sheet *sheet, const char *name)
{
    if (!sheet->fresh) {
        json_writer_text(&sheet->writer, ",");
    }
    sheet->fresh = false;
    if (sheet->depth > 0 && sheet->depth <= LINE_DEPTH_MAX) {
        json_writer_text(&sheet->writer, sheet->depth == 1 ? "\n" : "\n ");
    }
    if (name != NULL) {
        json_writer_text(&sheet->writer, "\"");
        json_writer_text(&sheet->writer, name);
        json_writer_text(&sheet->writer, "\":");
    }
}

void sheet_open(struct sheet *sheet, const char *name, const char *bracket)
{
    begin_value(sheet, name);
    json_writer_text(&sheet->writer, bracket);
    sheet->depth++;
    sheet->fresh = true;
}

void sheet_close(struct sheet *sheet, const char *bracket)
{
    sheet->depth--;
    sheet->fresh = false;
    json_writer_text(&sheet->writer, bracket);
}

void sheet_add_uint64(struct sheet *sheet, const char *name, uint64_t value)
{
    begin_value(sheet, name);
    json_writer_uint64(&sheet->writer, value);
}

void sheet_add_bool(struct sheet *sheet, const char *name, bool value)
{
    begin_value(sheet, name);
    json_writer_bool(&sheet->writer, value);
}

void sheet_add_null(struct sheet *sheet, const char *name)
{
    begin_value(sheet, name);
    json_writer_text(&sheet->writer, "null");
}

void sheet_add_double(struct sheet *sheet, const char *name, double value)
{
    CHECK(isfinite(value));
    char text[DOUBLE_SIZE];
    (void)snprintf(text, sizeof(text), "%.10g", value);
    begin_value(sheet, name);
    json_writer_text(&sheet->writer, text);
}

void sheet_add_string(struct sheet *sheet, const char *name, const char *text)
{
    begin_value(sheet, name);
    json_writer_string(&sheet->writer, (struct bytes){(const uint8_t *)text, strlen(text)});
}

void sheet_add_text(struct sheet *sheet, const char *name, const char *text)
{
    if (text == NULL) {
        sheet_add_null(sheet, name);
    } else {
        sheet_add_string(sheet, name, text);
    }
}
