/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_RELOAD_H
#define SERVER_RELOAD_H
/*
 * SIGHUP, or POST /api/reload: everything is read again, and what may change without a restart
 * changes, for who is connected, too. Nobody is dropped.
 *
 *   read     the configuration, keys, certificates: a new struct settings. What will not do is
 *            named in the log, and everything stays as it was
 *   merge    options that need a restart keep their values, and are named (config_change.h)
 *   hand     each reactor is posted the new one, and says when it has taken it; twice, for when
 *            one lets somebody into a new namespace, all have to know it
 *   free     the old one, when all have
 *
 * One round at a time: who wants another meanwhile gets it when this one is over, once.
 *
 * Owner     the control. Thread: main, whose port on the bus posts.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

struct blob;
struct blob_pool;
struct bus;
struct config_changes;
struct config_source;
struct listening;
struct log;
struct logger;
struct metrics;
struct metrics_namespaces;
struct settings;

struct reload_options {
    const struct config_source *source;
    struct listening *listening;
    struct bus *bus;
    struct logger *logger; /* whose level may change */
    struct log *log;
    struct metrics *metrics;                     /* of the main thread */
    const struct metrics_namespaces *namespaces; /* that are counted for */
    size_t reactor_count;                        /* their ports come first, then ours */
};

enum reload_asked {
    RELOAD_NOT_ASKED = 0,
    RELOAD_ASKED,    /* gets the answer of the next round */
    RELOAD_IN_ROUND, /* of the present one */
    RELOAD_ANSWERED, /* it is to be posted */
};

/* Somebody on a reactor. */
struct reload_asker {
    enum reload_asked state;
    struct blob *answer; /* RELOAD_ANSWERED: a share; NULL: no memory */
    uint16_t error;      /* likewise: enum codes_error */
};

struct reload {
    struct reload_options options;
    struct settings *present;    /* what reactors have, or are given */
    struct settings *past;       /* what some of them may still have; NULL: no round is under way */
    bool is_final;               /* the second time: all of it is to be used */
    size_t told;                 /* reactors that were posted it */
    size_t taken;                /* that have taken it */
    struct reload_asker *askers; /* by reactor */
    struct blob_pool *pool;      /* of answers */
    bool is_wanted;              /* a round is to begin when this one is over */
    struct config_changes *changes; /* of the present round, or the last */
};

/* `present`: what the reactors begin with, the reload's from now on. -ENOMEM: it is not. */
NODISCARD int reload_init(struct reload *reload, const struct reload_options *options,
                          struct settings *present);

/* When no reactor runs any more. Zeroed: nothing. */
void reload_deinit(struct reload *reload);

/* Everything is to be read again. */
void reload_want(struct reload *reload);

/* POST_RELOAD: likewise, and this reactor is posted what becomes of it. */
void reload_ask(struct reload *reload, size_t reactor);

/* POST_SETTINGS_TAKEN. */
void reload_take(struct reload *reload);

/* Nothing is wanted and nothing under way; answers may still have to be posted. */
NODISCARD bool reload_is_over(const struct reload *reload);

/* Does what can be done now. False: there was no room to post; call it again soon. */
NODISCARD bool reload_go_on(struct reload *reload);

#endif /* SERVER_RELOAD_H */
