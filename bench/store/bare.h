/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STORE_BARE_H
#define BENCH_STORE_BARE_H
/*
 * What a durable message and a question would cost if there were no store: the floors of
 * parley-store-bench, measured in the same run.
 *   log      an O_APPEND file: what has come is written and fdatasync'ed.
 *   process  another process, at the other end of a socketpair: it reads a question of the size of
 *            ours and writes an answer of the size of ours, and does nothing else.
 */
#include <stdint.h>
#include <sys/types.h>

#include "bench/store/messages.h"

/* Writes `count` messages from number `from` on to `fd`, with a key and a checksum's room each. */
void bare_write(int fd, const struct messages *messages, uint64_t from, uint64_t count);

struct bare_process {
    pid_t pid;
    int fd;
    size_t owed; /* bytes of the answer that have not come */
};

/* Ends the program where there is no process to be had. */
void bare_process_start(struct bare_process *process);

/* One question at a time. */
void bare_process_ask(struct bare_process *process);

/* Takes what has come of the answer; `owed` is 0 when that is all. */
void bare_process_hear(struct bare_process *process);

void bare_process_end(struct bare_process *process);
#endif
