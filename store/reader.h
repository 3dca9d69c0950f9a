/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_READER_H
#define STORE_READER_H
/*
 * Answers reads on a thread of its own, from a socket of its own, so that no read waits for a
 * commit and its disk, and no commit for a read.
 *
 * Owner     of the thread and its memory; engine and sockets are borrowed.
 * Threads   the functions: one. The thread itself calls read_channel() only.
 * Order     an answer is of one moment after its question came: of all that was committed then,
 *           and so of every batch that had its answer before. The questions are answered in order.
 * Full      while an answer waits for room in the socket no question is taken; the socket pushes
 *           back.
 */
#include <stdbool.h>

#include "core/annot.h"
#include "store/engine.h"

struct reader; /* opaque */

struct reader_options {
    const struct engine_ops *ops;
    struct engine *engine;
    int fd;       /* a stream socket, blocking */
    int owner_fd; /* another one: nothing more comes from it when what came here was no read */
};

/* NULL: no memory, or no thread. */
NODISCARD struct reader *reader_start(const struct reader_options *options);

/* Answers what has come, and ends. False: something that came was no read. NULL: true. */
NODISCARD bool reader_end(struct reader *reader);

#endif /* STORE_READER_H */
