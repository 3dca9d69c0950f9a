/* SPDX-License-Identifier: Apache-2.0 */
#include "core/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LINE_SIZE_MAX = 512 };

void check_failed(const char *condition, const char *file, int line)
{
    char text[LINE_SIZE_MAX];

    /* One write, so that two threads that fail together do not mix their lines. */
    int size = snprintf(text, sizeof(text), "check failed: %s (%s:%d)\n", condition, file, line);
    if (size >= (int)sizeof(text)) {
        text[sizeof(text) - 2] = '\n';
        size = (int)sizeof(text) - 1;
    }
    if (size > 0 && write(STDERR_FILENO, text, (size_t)size) < 0) {
        abort(); /* Nobody can be told; the core dump still shows where. */
    }
    abort();
}
