/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_CHILD_H
#define STORE_CHILD_H
/*
 * The loop of the child process: questions from a socket, one group commit at a time, answers.
 *
 * A group is what has come within linger_us of its first batch, or group_bytes_max of it. It is
 * synced when any batch of it asks for that; all are answered after. Lookups are answered at once,
 * of what is committed; reads by reader.h, whatever the loop is doing. Between groups what is too
 * old is swept. When the socket ends, what has come is committed, and the loop returns.
 *
 * Threads   one, and what reader.h and sweep.h have.
 * Failures  after a commit that failed the loop ends, and the group has no answer: an engine that
 *           could not write cannot say what it wrote. Whoever starts the program again learns it.
 * Damage    a table that the engine cannot read, as a commit says, is noted, and repaired before
 *           the store is opened the next time (opening.h).
 * Full      while answers wait for room in the socket, no question is taken.
 * Not here  flags (main.c), what is allowed in a stream (gather.h).
 */
#include <stdint.h>

#include "core/annot.h"
#include "store/engine.h"

struct child_options {
    const struct engine_ops *ops;
    struct engine_options engine;
    int fd;                   /* a stream socket, of all but the reads; stays the caller's */
    int reads_fd;             /* another one, blocking; likewise */
    uint32_t group_bytes_max; /* of frames; one frame is always taken */
    uint32_t linger_us;       /* 0: commit what is there */
    uint32_t streams_max;     /* channels whose state is kept in memory */
    uint32_t sweep_per_s;     /* streams that are looked at for their age; at least 1 */
    uint64_t free_bytes_min;  /* of the file system, below which nothing is appended */
};

enum child_end {
    CHILD_ENDED = 0,   /* the socket ended; everything is stored and closed */
    CHILD_NOT_OPENED,  /* the engine did not open: one line on stderr says why */
    CHILD_NOT_TALKING, /* the socket failed, or said what is no question */
    CHILD_NO_MEMORY,
    CHILD_NOT_REPAIRED, /* the store is damaged; tried in vain, as often as that is tried */
    CHILD_NOT_STORED,   /* a commit failed: what the disk has of it, the next open finds out */
};

NODISCARD enum child_end child_run(const struct child_options *options);

#endif /* STORE_CHILD_H */
