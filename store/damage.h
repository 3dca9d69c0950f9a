/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_DAMAGE_H
#define STORE_DAMAGE_H
/*
 * A note in the store's directory that a table of it is damaged, which the process that met it
 * leaves for the next one: file DAMAGED, with how often a repair was begun, and what the engine
 * said. Without it nobody would know, until a compaction meets the table again.
 *
 * Owner     of that file. People who have repaired a store by other means delete it.
 * Threads   one.
 * Failures  of the file system: the note is not there, and the damage is met again.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

enum { DAMAGE_REASON_SIZE = 512 };

struct damage {
    uint32_t tries;
    uint64_t table; /* the number of its file */
    /* Streams that are to begin anew when the table is gone; to_stream 0: none. */
    uint64_t from_stream;
    uint64_t to_stream;
    char reason[DAMAGE_REASON_SIZE];
};

/* What the engine said, if it names a table. */
NODISCARD bool damage_read(const char *reason, struct damage *damage);

/* False: there is no note. */
NODISCARD bool damage_find(const char *path, struct damage *damage);
/* Writes it so that it is on the disk. */
void damage_note(const char *path, const struct damage *damage);
void damage_forget(const char *path);

#endif /* STORE_DAMAGE_H */
