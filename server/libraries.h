/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LIBRARIES_H
#define SERVER_LIBRARIES_H
/*
 * The libraries in use, as they are here and not as they were when this was built: their versions
 * for --version, and which of them is older than it may be (LIMITS.md row 65). ANY_THREAD.
 *
 * Not here  liburing, which cannot be asked; PCRE2, which is channel_regex.c's; RocksDB, which is
 *           parley-store's: CMake asks for them.
 *           What a distribution mends without a new number cannot be seen.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/annot.h"

enum {
    LIBRARIES_SIZE_MAX = 512,
    LIBRARIES_ERROR_SIZE = 128,
};

struct library {
    const char *name;
    const char *version;
    const char *least; /* the oldest that will do; NULL: any */
};

/* One line each, with its end; cut where it does not fit. */
void libraries_describe(char target[static LIBRARIES_SIZE_MAX]);

/* False: one is too old; which, and what is wanted, stands in `error`. */
NODISCARD bool libraries_are_new(char error[static LIBRARIES_ERROR_SIZE]);

/* The same for any: numbers with dots between them are compared, from the left. */
NODISCARD bool libraries_check(const struct library *libraries, size_t count,
                               char error[static LIBRARIES_ERROR_SIZE]);

#endif /* SERVER_LIBRARIES_H */
