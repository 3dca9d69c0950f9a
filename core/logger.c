/* SPDX-License-Identifier: Apache-2.0 */
#include "core/logger.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/check.h"
#include "core/log_private.h"
#include "core/monotime.h"

struct logger *logger_create(const struct logger_options *options)
{
    CHECK(options != NULL);
    CHECK(options->fd >= 0);

    struct logger *logger = calloc(1, sizeof(*logger));
    if (logger == NULL) {
        return NULL;
    }
    logger->options = *options;
    if (options->clock_ms == NULL) {
        logger->options.clock_ms = monotime_realtime_ms;
    }
    logger->wake_fd = -1;
    atomic_init(&logger->level, (uint32_t)options->level);
    atomic_init(&logger->first, NULL);
    atomic_init(&logger->sleeping, 0);
    atomic_init(&logger->stopping, 0);
    return logger;
}

void logger_destroy(struct logger *logger)
{
    if (logger == NULL) {
        return;
    }
    logger_stop(logger);
    (void)logger_drain(logger); /* how many there were is nobody's question any more */
    struct log *log = atomic_load_explicit(&logger->first, memory_order_acquire);
    while (log != NULL) {
        struct log *next = log->next;
        free(log->records);
        free(log);
        log = next;
    }
    if (logger->wake_fd >= 0) {
        (void)close(logger->wake_fd); /* Linux frees it even if it complains */
    }
    free(logger);
}

void logger_set_level(struct logger *logger, enum log_level level)
{
    CHECK(logger != NULL);
    /* Relaxed: pairs with the load of log_is_on(), which orders nothing. */
    atomic_store_explicit(&logger->level, (uint32_t)level, memory_order_relaxed);
}

struct log *logger_attach(struct logger *logger, const char *thread)
{
    CHECK(logger != NULL);
    CHECK(thread != NULL);

    struct log *log = aligned_alloc(LOG_PRIVATE_LINES_APART, sizeof(*log));
    if (log == NULL) {
        return NULL;
    }
    memset(log, 0, sizeof(*log));
    log->records = malloc(LOG_RECORD_COUNT * sizeof(*log->records));
    if (log->records == NULL) {
        free(log);
        return NULL;
    }
    log->logger = logger;
    (void)snprintf(log->thread, sizeof(log->thread), "%s", thread); /* cut on purpose */
    atomic_init(&log->tail, 0);
    atomic_init(&log->head, 0);
    atomic_init(&log->dropped, 0);

    log->next = atomic_load_explicit(&logger->first, memory_order_relaxed);
    /* Release: pairs with the acquire of those who walk the list. */
    while (!atomic_compare_exchange_weak_explicit(&logger->first, &log->next, log,
                                                  memory_order_release, memory_order_relaxed)) {
    }
    return log;
}

/* Writes what has gathered. A descriptor that takes nothing now loses it: we never wait twice. */
static void write_lines(struct logger *logger)
{
    size_t done = 0;
    while (done < logger->line_size) {
        const ssize_t written =
            write(logger->options.fd, logger->lines + done, logger->line_size - done);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            break;
        }
        done += (size_t)written;
    }
    logger->line_size = 0;
}

static void print(struct logger *logger, const struct log *log, const struct log_record *record)
{
    if (sizeof(logger->lines) - logger->line_size < LOG_PRIVATE_LINE_MAX) {
        write_lines(logger);
    }
    logger->line_size += log_line_write(logger->options.format, log->thread, record,
                                        logger->lines + logger->line_size);
}

/* One line about what the ring could not hold, as soon as that is known. */
static void print_dropped(struct logger *logger, struct log *log)
{
    const uint64_t dropped = log_dropped(log);
    if (dropped == log->dropped_told) {
        return;
    }
    const struct log_record record = {
        .time_ms = logger->options.clock_ms(),
        .event = "log_dropped",
        .level = LOG_WARN,
        .field_count = 1,
        .fields = {{.key = "count", .type = LOG_FIELD_UINT, .number = dropped - log->dropped_told}},
    };
    log->dropped_told = dropped;
    print(logger, log, &record);
}

static size_t drain_one(struct logger *logger, struct log *log)
{
    const uint64_t begin = atomic_load_explicit(&log->head, memory_order_relaxed);
    /* Acquire: pairs with the store of end_record(). */
    const uint64_t end = atomic_load_explicit(&log->tail, memory_order_acquire);
    for (uint64_t head = begin; head < end; head++) {
        print(logger, log, &log->records[head % LOG_RECORD_COUNT]);
        /* Release: pairs with the acquire of begin_record(); the slot may be written again. */
        atomic_store_explicit(&log->head, head + 1, memory_order_release);
    }
    print_dropped(logger, log);
    return (size_t)(end - begin);
}

size_t logger_drain(struct logger *logger)
{
    CHECK(logger != NULL);

    size_t count = 0;
    for (struct log *log = atomic_load_explicit(&logger->first, memory_order_acquire); log != NULL;
         log = log->next) {
        count += drain_one(logger, log);
    }
    write_lines(logger);
    return count;
}

/* seq_cst: after `sleeping` was set, so that a writer sees that or we see its record. */
static bool has_records(const struct logger *logger)
{
    for (const struct log *log = atomic_load_explicit(&logger->first, memory_order_seq_cst);
         log != NULL; log = log->next) {
        if (atomic_load_explicit(&log->tail, memory_order_seq_cst) !=
            atomic_load_explicit(&log->head, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static void run(void *context)
{
    struct logger *logger = context;

    while (atomic_load_explicit(&logger->stopping, memory_order_seq_cst) == 0) {
        (void)logger_drain(logger); /* it loops anyway */
        atomic_store_explicit(&logger->sleeping, 1, memory_order_seq_cst);
        if (!has_records(logger) &&
            atomic_load_explicit(&logger->stopping, memory_order_seq_cst) == 0) {
            uint64_t wakes = 0;
            /* Interrupted or not, the next turn looks again. */
            const ssize_t size = read(logger->wake_fd, &wakes, sizeof(wakes));
            (void)size;
        }
        atomic_store_explicit(&logger->sleeping, 0, memory_order_seq_cst);
    }
    (void)logger_drain(logger);
}

int logger_start(struct logger *logger)
{
    CHECK(logger != NULL);
    CHECK(logger->is_running == 0);

    if (logger->wake_fd < 0) {
        logger->wake_fd = eventfd(0, EFD_CLOEXEC);
        if (logger->wake_fd < 0) {
            return -errno;
        }
    }
    atomic_store_explicit(&logger->stopping, 0, memory_order_seq_cst);
    const int result = thread_start("log", THREAD_NOT_PINNED, run, logger, &logger->thread);
    logger->is_running = result == 0;
    return result;
}

void logger_stop(struct logger *logger)
{
    CHECK(logger != NULL);

    if (logger->is_running == 0) {
        return;
    }
    atomic_store_explicit(&logger->stopping, 1, memory_order_seq_cst);
    const uint64_t one = 1;
    /* Whatever `sleeping` says: the counter is kept if the thread is not waiting yet. */
    const ssize_t written = write(logger->wake_fd, &one, sizeof(one));
    CHECK(written == (ssize_t)sizeof(one));
    thread_join(&logger->thread);
    logger->is_running = 0;
}
