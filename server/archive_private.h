/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_ARCHIVE_PRIVATE_H
#define SERVER_ARCHIVE_PRIVATE_H
/*
 * The archive from inside, for its files only.
 *
 *   archive.c           the loop: posts, the store, sleep; start and end
 *   archive_jobs.c      batches and pages: what waits, what the store has, answers to the homes
 *   archive_answers.c   what the store says of them
 *   archive_watch.c     how the store is: its states, its figures, what it complains of
 */
#include <stdatomic.h>
#include <stdbool.h>

#include "chat/archive_post.h"
#include "core/list.h"
#include "server/archive.h"
#include "store/store.h"

enum { ARCHIVE_FIGURES_MS = 5000 }; /* how often the store is asked for its figures */

/* A question that the store has: a run of a batch, or a page. */
struct job {
    struct archive_batch *batch; /* NULL: a page */
    struct archive_page *page;
    uint32_t run;
    uint32_t next_free;
    uint64_t began_ns;
};

struct archive {
    struct archive_options options;
    struct store *store; /* NULL: it could not even be created; tried again at create_ns */
    uint64_t create_ns;
    uint64_t down_ns; /* since when; 0: it is not down */
    uint64_t now_ns;
    int wake_fd;
    bool is_exiting;
    bool is_full;  /* nothing is appended, for want of space */
    bool is_ready; /* the store's process is, and takes questions */
    bool was_ready;
    bool was_down;            /* and not ready since */
    _Atomic uint32_t state;   /* enum archive_state; relaxed: it orders nothing */
    struct list_link batches; /* not all of their runs were given to the store */
    struct list_link pages;   /* not given to the store */
    size_t waiting;           /* in both */
    struct job *jobs;         /* questions_max */
    uint32_t free_job;        /* the first free one; questions_max: none */
    uint32_t job_count;
    struct wire_entry *entries; /* ARCHIVE_RUN_COUNT_MAX + 1, of the run that is given */
    bool asks_figures;          /* and has no answer yet */
    uint64_t figures_ns;        /* when to ask again */
    struct wire_stats figures;  /* what the process that is there has counted */
};

/* archive_jobs.c */

/* Gives the store what waits, as far as there is room; who has waited for too long is refused. */
void archive_go_on(struct archive *archive);
/* A run, or a page, has its result. When it was the last of its batch, that is answered: gone. */
void archive_end_run(struct archive *archive, struct archive_batch *batch, uint32_t index,
                     enum archive_result result);
void archive_end_page(struct archive *archive, struct archive_page *page,
                      enum archive_result result);
/* The store has it no longer; the place is free. */
void archive_give_job(struct archive *archive, struct job *job);
/* At the end: answers all that has no answer. */
void archive_give_up_all(struct archive *archive);

/* archive_answers.c */

void archive_take_completion(struct archive *archive, const struct store_completion *completion);

/* archive_watch.c */

/* The store has another state. */
void archive_take_change(struct archive *archive, enum store_state state);
/* Whether there is space; told when it changes. */
void archive_take_space(struct archive *archive, bool is_full);
/* The answer to what archive_watch() has asked; NULL: there is none. */
void archive_take_figures(struct archive *archive, const struct wire_stats *figures);
/* Is this the tag of that question? */
NODISCARD bool archive_asked_figures(const struct archive *archive, uint64_t tag);
/* The child complains; context is the archive. */
void archive_take_line(void *context, const char *line);
/* What others may know: the state and the gauges. */
void archive_watch(struct archive *archive);

#endif /* SERVER_ARCHIVE_PRIVATE_H */
