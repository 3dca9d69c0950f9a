/* SPDX-License-Identifier: Apache-2.0 */
#include "core/metrics_text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum { TEXT_SIZE_FIRST = 32768 }; /* bytes; about one whole text */

static bool make_room(struct metrics_text *text, size_t size)
{
    if (text->failed) {
        return false;
    }
    if (text->capacity - text->size >= size) {
        return true;
    }
    size_t capacity = text->capacity == 0 ? TEXT_SIZE_FIRST : text->capacity * 2;
    while (capacity - text->size < size) {
        capacity *= 2;
    }
    char *data = realloc(text->data, capacity);
    if (data == NULL) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void metrics_text_add(struct metrics_text *text, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    CHECK(size >= 0);
    CHECK((size_t)size < sizeof(line));
    if (make_room(text, (size_t)size + 1)) {
        memcpy(text->data + text->size, line, (size_t)size + 1);
        text->size += (size_t)size;
    }
}

void metrics_text_begin(struct metrics_text *text, const char *name, const char *type,
                        const char *help)
{
    metrics_text_add(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}
