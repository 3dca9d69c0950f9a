/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_RELOAD_H
#define SERVER_RELOAD_H
/*
 * SIGHUP: what is read again while the server goes on, and nobody is dropped for it. Now that is
 * certificates, clients' authorities and ticket keys, and the files that keys of tokens are in.
 *
 * All or nothing: a file that will not do is named in the log, and everything stays as it was.
 * Reactors hear of it by posts; connections keep what they began with, and the last
 * of them frees it.
 *
 * Owner     the control. Thread: main, whose port on the bus posts.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/annot.h"

struct bus;
struct config_client;
struct listening;
struct log;
struct token_keys;

struct reload {
    struct listening *listening;
    const struct config_client *client;
    struct token_keys **keys; /* the present ones; their owner's */
    struct bus *bus;
    struct log *log;
    size_t reactor_count; /* their ports come first, then ours */
    size_t next; /* post of the present round; reactors x (listeners + 1): all are posted */
};

/* `options`: all but `next`. Nothing is under way then. */
void reload_init(struct reload *reload, const struct reload *options);

/* Reads everything again. A round that is not over yet begins again with what was read now. */
void reload_begin(struct reload *reload);

/* Posts what there is room for. False: call it again soon. */
NODISCARD bool reload_go_on(struct reload *reload);

#endif /* SERVER_RELOAD_H */
