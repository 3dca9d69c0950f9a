/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_TRANSCRIPT_H
#define BENCH_LOAD_TRANSCRIPT_H
/*
 * What was said in one room lately, byte for byte, as the first member of this worker got it and
 * verified it. The others get the same bytes, nearly always in the same order: for them one
 * comparison is the whole proof, instead of reading JSON and a checksum again.
 *
 * Owner     a worker; one for each of its rooms that is large enough.
 * Full      the oldest lines go. Who is so far behind reads its messages for itself.
 */
#include <stddef.h>
#include <stdint.h>

#include "bench/load/payload.h"
#include "core/annot.h"
#include "core/bytes.h"

struct transcript; /* opaque */

struct transcript_line {
    struct payload_stamp stamp;
    uint64_t due_ns; /* from when on its latency counts */
    uint64_t offset; /* in its channel; 0: none is known */
};

/* Remembers at most so many lines (a power of two), and bytes of them. NULL: no memory. */
NODISCARD struct transcript *transcript_create(size_t line_count, size_t size);
void transcript_destroy(struct transcript *transcript); /* NULL: nothing */

/*
 * The line with this index, if it is still there and has just these bytes; else NULL. Borrowed
 * until the next note.
 */
NODISCARD const struct transcript_line *transcript_find(const struct transcript *transcript,
                                                        uint64_t index, struct bytes message);

/*
 * A verified message: notes it, unless the same is there already. Returns the index of the line
 * that a member who got it will hear next.
 */
NODISCARD uint64_t transcript_note(struct transcript *transcript, struct bytes message,
                                   struct transcript_line line);

#endif /* BENCH_LOAD_TRANSCRIPT_H */
