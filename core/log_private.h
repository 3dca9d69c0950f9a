/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_LOG_PRIVATE_H
#define CORE_LOG_PRIVATE_H
/*
 * What log.c (writes), logger.c (takes) and log_line.c (formats) share. Nobody else includes it.
 */
#include <stdalign.h>
#include <stdatomic.h>

#include "core/log.h"
#include "core/logger.h"
#include "core/thread.h"

enum {
    LOG_PRIVATE_TEXT_SIZE = 512, /* bytes for all strings of a record; what is more is cut */
    LOG_PRIVATE_RATE_COUNT = 32, /* event texts of the current second that are counted */
    LOG_PRIVATE_NAME_MAX = 64,   /* bytes printed of an event's and a key's name */
    LOG_PRIVATE_LINE_MAX = 8192, /* bytes; more than the longest line, every byte escaped */
    LOG_PRIVATE_LINES_APART = 128,
};

struct log_record {
    uint64_t time_ms;
    const char *event;
    enum log_level level;
    uint32_t field_count;
    uint32_t text_size;
    struct log_record_field {
        const char *key;
        enum log_field_type type;
        uint32_t text_at; /* strings: offset and size in `text` */
        uint32_t text_size;
        uint64_t number;
    } fields[LOG_FIELD_COUNT_MAX];
    uint8_t text[LOG_PRIVATE_TEXT_SIZE];
};

struct log_rate {
    const char *event; /* NULL: the entry is free */
    enum log_level level;
    uint64_t since_ms;
    uint64_t suppressed;
    uint32_t written;
};

/* A ring of records, one producer (the thread) and one consumer (who drains). */
struct log {
    struct logger *logger;
    struct log *next; /* in logger->first */
    char thread[THREAD_NAME_SIZE_MAX];
    struct log_record *records; /* LOG_RECORD_COUNT */

    alignas(LOG_PRIVATE_LINES_APART) _Atomic uint64_t tail; /* the writer's */
    _Atomic uint64_t dropped;
    struct log_rate rates[LOG_PRIVATE_RATE_COUNT];

    alignas(LOG_PRIVATE_LINES_APART) _Atomic uint64_t head; /* the printer's */
    uint64_t dropped_told;
};

struct logger {
    struct logger_options options;
    _Atomic uint32_t level;      /* enum log_level; of `options` at the start */
    _Atomic(struct log *) first; /* of all writing sides; only ever pushed to */
    _Atomic uint32_t sleeping;   /* 1: the thread waits for wake_fd */
    _Atomic uint32_t stopping;
    int wake_fd; /* eventfd, -1 until the first start */
    int is_running;
    struct thread thread;
    size_t line_size; /* bytes of `lines` that wait to be written */
    char lines[2 * LOG_PRIVATE_LINE_MAX];
};

/* Writes one line, with its end, and returns its size; `target` has LOG_PRIVATE_LINE_MAX bytes. */
NODISCARD size_t log_line_write(enum logger_format format, const char *thread,
                                const struct log_record *record, char *target);

#endif /* CORE_LOG_PRIVATE_H */
