/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_LOG_H
#define CORE_LOG_H
/*
 * The writing side of the log: one event is one record in a ring of the thread. Printing is
 * done elsewhere (logger.h).
 *
 * Writing never blocks: a full ring drops the record and counts it. Each event text gets at most
 * LOG_RATE_PER_S lines a second from one thread; then one line says suppressed=<how many>.
 *
 * Owner     the logger; a `struct log` lives until logger_destroy().
 * Threads   a `struct log` belongs to one thread. A NULL log is a valid log that does nothing.
 * Failures  none that the caller could do something about; log_dropped() counts.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    LOG_RATE_PER_S = 10,       /* lines per event text and thread */
    LOG_FIELD_COUNT_MAX = 8,   /* further fields are left out */
    LOG_STRING_SIZE_MAX = 128, /* bytes of one value; longer ones are cut */
    LOG_RECORD_COUNT = 256,    /* per thread */
};

enum log_level {
    LOG_DEBUG = 0,
    LOG_INFO,
    LOG_WARN,
    LOG_ERROR,
};

enum log_field_type {
    LOG_FIELD_STRING = 0,
    LOG_FIELD_INT,
    LOG_FIELD_UINT,
};

/* `key` must be a literal: letters, digits and underscores, living for ever. */
struct log_field {
    const char *key;
    enum log_field_type type;
    union {
        struct bytes string; /* copied by log_write */
        int64_t integer;
        uint64_t natural;
    } value;
};

static inline struct log_field log_bytes(const char *key, struct bytes value)
{
    return (struct log_field){key, LOG_FIELD_STRING, {.string = value}};
}

/* `value` may be NULL: an empty string. */
static inline struct log_field log_text(const char *key, const char *value)
{
    const size_t size = value != NULL ? strlen(value) : 0;
    return log_bytes(key, (struct bytes){(const uint8_t *)value, size});
}

static inline struct log_field log_int(const char *key, int64_t value)
{
    return (struct log_field){key, LOG_FIELD_INT, {.integer = value}};
}

static inline struct log_field log_uint(const char *key, uint64_t value)
{
    return (struct log_field){key, LOG_FIELD_UINT, {.natural = value}};
}

struct log; /* opaque: one thread's writing side, made by logger_attach() */

/* Whether a line of this level would be written: to spare the work of making its fields. */
NODISCARD bool log_is_on(const struct log *log, enum log_level level);

/*
 * `event` must be a literal: it is the name of the rate limit too. Fields are copied. A NULL log
 * does nothing.
 */
void log_write(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, size_t count);

/* Writes the suppressed=n lines whose second is over; log_write() does it too. Same thread. */
void log_report_suppressed(struct log *log);

/* Records dropped because the ring was full. */
NODISCARD uint64_t log_dropped(const struct log *log) ANY_THREAD;

NODISCARD bool log_level_from_name(const char *name, enum log_level *level);
NODISCARD const char *log_level_name(enum log_level level);

#endif /* CORE_LOG_H */
