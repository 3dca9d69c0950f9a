/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_SEQUENCE_H
#define BENCH_LOAD_SEQUENCE_H
/*
 * What one receiver has got of one sender: finds what is lost, late and there twice.
 *
 * Pure values, 16 bytes: there is one for each receiver and sender.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

/* Zeroed: nothing has come; number 0 is next. */
struct sequence {
    uint64_t missing;      /* bit i: number next - 1 - i was skipped and has not come since */
    uint32_t next;         /* above the highest number so far */
    uint32_t excused : 31; /* from `next` on, while it is open: they are not waited for any more */
    bool is_open : 1;      /* it goes on with what comes first, and what is skipped is not missed */
};

enum sequence_verdict {
    SEQUENCE_IN_ORDER,
    SEQUENCE_AFTER_GAP, /* numbers before it are missing; they may still come */
    SEQUENCE_LATE,      /* it was missing: reordered, not lost */
    SEQUENCE_DUPLICATE, /* it, or one so old that it is not known any more, was there before */
};

/*
 * Takes a number. `skipped`: how many were jumped over by it (SEQUENCE_AFTER_GAP), or, where it was
 * open (SEQUENCE_IN_ORDER), how many more than were excused, which may be less than none; else 0.
 */
NODISCARD enum sequence_verdict sequence_take(struct sequence *sequence, uint32_t number,
                                              int64_t *skipped);

/* The receiver has missed something, and knows it: it goes on with whatever comes next. */
void sequence_open(struct sequence *sequence);

/*
 * The same, and nothing below `sent` is waited for, as far as it has not come. Returns how many
 * that are which were not excused before.
 */
NODISCARD uint32_t sequence_excuse(struct sequence *sequence, uint32_t sent);

#endif /* BENCH_LOAD_SEQUENCE_H */
