/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_METRICS_TEXT_H
#define CORE_METRICS_TEXT_H
/*
 * A text that grows: what Prometheus reads is put together in it by those who have something to
 * say.
 *
 * Owner     the caller, who frees `data` with free(). Zeroed is a valid start. One thread.
 * Failures  once memory is out it stays `failed`, and what follows is ignored.
 */
#include <stdbool.h>
#include <stddef.h>

struct metrics_text {
    char *data;  /* with a NUL behind it; NULL: nothing yet */
    size_t size; /* bytes, without the NUL */
    size_t capacity;
    bool failed;
};

/* One line, or a few: at most 511 bytes at a time. */
__attribute__((format(printf, 2, 3))) void metrics_text_add(struct metrics_text *text,
                                                            const char *format, ...);

/* The two lines before a family's values. */
void metrics_text_begin(struct metrics_text *text, const char *name, const char *type,
                        const char *help);

#endif /* CORE_METRICS_TEXT_H */
