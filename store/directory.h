/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H
/*
 * Judges the store's directory before an engine touches it, so that people get a sentence about
 * the directory and not one about the inside of a database.
 *
 * Threads   any; looks at the file system, changes nothing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/annot.h"

enum directory_verdict {
    DIRECTORY_STORE = 0, /* a database lies in it; whether it is ours, its content says */
    DIRECTORY_EMPTY,     /* there, and nothing in it */
    DIRECTORY_MISSING,
    DIRECTORY_FOREIGN, /* other things lie in it, or it is no directory */
    DIRECTORY_LOCKED,  /* a process has it open */
    DIRECTORY_REFUSED, /* the system does not let us look: `error` says why */
};

/* `error` gets one sentence, without the path, for everything that is not STORE or EMPTY. */
NODISCARD enum directory_verdict directory_judge(const char *path, bool look_at_lock, char *error,
                                                 size_t error_size);

#endif /* STORE_DIRECTORY_H */
