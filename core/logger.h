/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_LOGGER_H
#define CORE_LOGGER_H
/*
 * The printing side of the log: takes the records of all threads and writes lines.
 *
 *   time=2026-01-31T12:00:00.000Z level=info event=listening thread=main address=127.0.0.1:8000
 *   {"time":"...","level":"info","event":"listening","thread":"main","address":"127.0.0.1:8000"}
 *
 * Strings of strangers cannot forge or hide a line: control characters, marks that turn the
 * direction of text and bytes that are not UTF-8 are escaped or replaced (LIMITS row 60).
 *
 * Owner     `struct logger` owns the rings and its thread; logger_destroy() frees each `struct log`
 *           too. The descriptor stays the caller's.
 * Threads   logger_attach: any. start, stop, destroy: the thread that created it, and nobody writes
 *           any more at destroy. logger_drain: one thread at a time, and not while the logger's own
 *           thread runs. Without that thread (tests, simulation) somebody drains by hand.
 * Failures  a write to the descriptor that fails loses the text: there is nobody to tell.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/log.h"

enum logger_format {
    LOGGER_LOGFMT = 0,
    LOGGER_JSON,
};

struct logger_options {
    enum logger_format format;
    enum log_level level;       /* lower levels are not written; see logger_set_level() */
    int fd;                     /* where lines go */
    uint64_t (*clock_ms)(void); /* ms since 1970; NULL: monotime_realtime_ms */
};

struct logger; /* opaque */

/* NULL when memory is out. */
NODISCARD struct logger *logger_create(const struct logger_options *options);

/* Stops the thread if it runs, drains, frees everything. NULL: nothing. */
void logger_destroy(struct logger *logger);

/* A writing side called `thread` (cut to 15 bytes). NULL, which is a valid log: memory is out. */
NODISCARD struct log *logger_attach(struct logger *logger, const char *thread) ANY_THREAD;

/* From now on, for the writing sides of all threads. */
void logger_set_level(struct logger *logger, enum log_level level) ANY_THREAD;

/* The logger's own thread. 0 or -errno. */
NODISCARD int logger_start(struct logger *logger);

/* Ends that thread after a last drain. Nothing when it does not run. */
void logger_stop(struct logger *logger);

/* Prints what the rings hold now; returns how many records. */
size_t logger_drain(struct logger *logger);

#endif /* CORE_LOGGER_H */
