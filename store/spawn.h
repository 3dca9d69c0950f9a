/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_SPAWN_H
#define STORE_SPAWN_H
/*
 * Starts a program with two socketpairs as its descriptors 3 and 4 and a pipe as its stderr, keeps
 * the last line that it said there, and hands over each.
 *
 * Owner     of the child and of four descriptors, from spawn_start() until spawn_reap() says true
 *           or spawn_kill().
 * Threads   one: the child is told when the thread that started it ends.
 * Not here  what is said over the sockets (wire.h), when to start again (store.h).
 */
#include <stdbool.h>
#include <sys/types.h>

#include "core/annot.h"

enum {
    SPAWN_LINE_SIZE = 256,
    SPAWN_SOCKETS = 2,
    SPAWN_NOT_REPAIRED = 6, /* exit status of parley-store: CHILD_NOT_REPAIRED */
};

struct spawn {
    pid_t pid;                  /* 0: there is no child */
    int pid_fd;                 /* readable when it has ended */
    int sockets[SPAWN_SOCKETS]; /* non-blocking */
    int errors;                 /* non-blocking; its stderr */
    char line[SPAWN_LINE_SIZE]; /* the last complete line of stderr, without its newline */
    char part[SPAWN_LINE_SIZE]; /* what came after it */
    int status;                 /* as for WEXITSTATUS(), of the one that was reaped last */
    /* Told each line; NULL: nobody is. To be set after spawn_start(). */
    void (*on_line)(void *context, const char *line);
    void *context;
};

/* `arguments` as for execv(), ended by NULL. 0, or -errno and nothing is open. */
NODISCARD int spawn_start(struct spawn *spawn, const char *program, char *const arguments[]);

/* Reads what the child has written to stderr. */
void spawn_read_errors(struct spawn *spawn);

/* Whether the child has ended; then `how` gets a few words ("exit status 3", "signal 6 (...)"). */
NODISCARD bool spawn_reap(struct spawn *spawn, char *how, size_t how_size);

/* Closes our ends of the sockets: the child stores what has come and ends by itself. */
void spawn_close_sockets(struct spawn *spawn);

/* Ends the child at once. It still has to be reaped. */
void spawn_kill(struct spawn *spawn);

/* Closes all descriptors. */
void spawn_close(struct spawn *spawn);

#endif /* STORE_SPAWN_H */
