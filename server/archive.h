/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ARCHIVE_H
#define SERVER_ARCHIVE_H
/*
 * The durable store as a port of the bus: takes the homes' batches and questions (archive_post.h),
 * gives them to the store's process (store/store.h), and answers when it has.
 *
 * Owner     of the store and its child, of batches and pages from the ask to the answer.
 * Threads   archive_run() is a thread of its own, and starts the child on it: the child ends when
 *           that thread does. archive_state(): ANY_THREAD. Everything else: who created it.
 * Order     runs of one home reach the store in their order.
 * Full      what the store's queue has no room for waits here, the homes' credits are its bound.
 *           Who has waited for timeout_ns is refused; while the child is down, everybody is who
 *           comes later than timeout_ns after its death.
 * Death     of the child: runs that it had are UNKNOWN (the home asks for the channel's page, which
 *           then says what was stored), others wait for the next child.
 * Not here  which offsets are given, and who is told (chat/ledger.h).
 */
#include <stdint.h>

#include "core/annot.h"

struct archive; /* opaque */
struct bus;
struct log;
struct metrics;

struct archive_options {
    const char *program;          /* path of parley-store */
    const char *path;             /* directory of the store */
    const char *const *arguments; /* more for the child, ended by NULL; or NULL */
    struct bus *bus;
    uint16_t port;
    uint64_t timeout_ns;
    uint32_t questions_max; /* that the store has and has not answered; a power of two */
    struct metrics *metrics;
    struct log *log; /* NULL: none. Used on the archive's thread. */
};

/* What /ready says of it. */
enum archive_state {
    ARCHIVE_STARTING = 0, /* the store is being opened; publishers wait */
    ARCHIVE_READY,
    ARCHIVE_DOWN,       /* the child died, or cannot open the store */
    ARCHIVE_FULL,       /* the disk has no space left: nothing is appended */
    ARCHIVE_UNREPAIRED, /* its files are damaged, and it could not repair them: it stays closed */
    ARCHIVE_SLOW,       /* the oldest question has waited for longer than timeout_ns */
};

/* 0 or -errno: -ENOENT or -EACCES when there is no such program. Does not start it yet. */
NODISCARD int archive_create(const struct archive_options *options, struct archive **archive);

/* After archive_run() has returned, or was never called. NULL: nothing. */
void archive_destroy(struct archive *archive);

/* The port's wake function: context is the archive. */
void archive_wake(void *archive) ANY_THREAD;

/*
 * The loop, for a thread of its own: until POST_EXIT has come and everything is answered. What the
 * child was given is stored then, and the child has ended.
 */
void archive_run(void *archive);

NODISCARD enum archive_state archive_state(const struct archive *archive) ANY_THREAD;

#endif /* SERVER_ARCHIVE_H */
