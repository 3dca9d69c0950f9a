/* SPDX-License-Identifier: Apache-2.0 */
#include "core/log.h"

#include <unistd.h>

#include "core/check.h"
#include "core/log_private.h"

enum { RATE_WINDOW_MS = 1000 };

static const struct {
    const char *name;
    enum log_level level;
} levels[] = {
    {"debug", LOG_DEBUG},
    {"info", LOG_INFO},
    {"warn", LOG_WARN},
    {"error", LOG_ERROR},
};

/* The logger's thread may be asleep. Both sides are seq_cst: one of the two sees the other. */
static void wake_logger(struct logger *logger)
{
    if (atomic_load_explicit(&logger->sleeping, memory_order_seq_cst) == 0 ||
        atomic_exchange_explicit(&logger->sleeping, 0, memory_order_seq_cst) == 0) {
        return;
    }
    const uint64_t one = 1;
    /* Fails only when the counter is full, and then the thread wakes anyway. */
    const ssize_t written = write(logger->wake_fd, &one, sizeof(one));
    (void)written;
}

static void copy_field(struct log_record *record, const struct log_field *field)
{
    struct log_record_field *copy = &record->fields[record->field_count];
    record->field_count++;
    *copy = (struct log_record_field){.key = field->key, .type = field->type};
    switch (field->type) {
    case LOG_FIELD_STRING: {
        const size_t room = sizeof(record->text) - record->text_size;
        size_t size = field->value.string.size;
        size = size < LOG_STRING_SIZE_MAX ? size : LOG_STRING_SIZE_MAX;
        size = size < room ? size : room;
        copy->text_at = record->text_size;
        copy->text_size = (uint32_t)size;
        if (size > 0) {
            memcpy(record->text + record->text_size, field->value.string.data, size);
        }
        record->text_size += (uint32_t)size;
        return;
    }
    case LOG_FIELD_INT:
        copy->number = (uint64_t)field->value.integer;
        return;
    case LOG_FIELD_UINT:
        copy->number = field->value.natural;
        return;
    }
    NEVER("a field of no type");
}

/* A free record at the tail, or NULL, and the drop is counted. */
static struct log_record *begin_record(struct log *log)
{
    const uint64_t tail = atomic_load_explicit(&log->tail, memory_order_relaxed);
    /* Acquire: pairs with the release of the drain; the slot has been read. */
    const uint64_t head = atomic_load_explicit(&log->head, memory_order_acquire);
    if (tail - head == LOG_RECORD_COUNT) {
        const uint64_t dropped = atomic_load_explicit(&log->dropped, memory_order_relaxed);
        atomic_store_explicit(&log->dropped, dropped + 1, memory_order_relaxed);
        return NULL;
    }
    return &log->records[tail % LOG_RECORD_COUNT];
}

static void end_record(struct log *log)
{
    const uint64_t tail = atomic_load_explicit(&log->tail, memory_order_relaxed);
    /* seq_cst is a release for the drain, and orders the store before the look at `sleeping`. */
    atomic_store_explicit(&log->tail, tail + 1, memory_order_seq_cst);
    wake_logger(log->logger);
}

static void report_rate(struct log *log, struct log_rate *rate, uint64_t now_ms)
{
    if (rate->suppressed > 0) {
        struct log_record *record = begin_record(log);
        if (record != NULL) {
            const struct log_field field = log_uint("suppressed", rate->suppressed);
            record->time_ms = now_ms;
            record->event = rate->event;
            record->level = rate->level;
            record->field_count = 0;
            record->text_size = 0;
            copy_field(record, &field);
            end_record(log);
        }
    }
    *rate = (struct log_rate){.event = NULL};
}

static void report_old_rates(struct log *log, uint64_t now_ms)
{
    for (size_t i = 0; i < LOG_PRIVATE_RATE_COUNT; i++) {
        struct log_rate *rate = &log->rates[i];
        /* Unsigned: a clock that was set back ends the window too. */
        if (rate->event != NULL && now_ms - rate->since_ms >= RATE_WINDOW_MS) {
            report_rate(log, rate, now_ms);
        }
    }
}

/* The entry of this event: its own, a free one, or the one of the oldest window. */
static struct log_rate *rate_of(struct log *log, enum log_level level, const char *event,
                                uint64_t now_ms)
{
    struct log_rate *best = &log->rates[0];
    for (size_t i = 0; i < LOG_PRIVATE_RATE_COUNT; i++) {
        struct log_rate *rate = &log->rates[i];
        if (rate->event == NULL) {
            best = best->event == NULL ? best : rate;
        } else if (rate->event == event || strcmp(rate->event, event) == 0) {
            return rate;
        } else if (best->event != NULL && rate->since_ms < best->since_ms) {
            best = rate;
        }
    }
    report_rate(log, best, now_ms);
    *best = (struct log_rate){.event = event, .level = level, .since_ms = now_ms};
    return best;
}

bool log_is_on(const struct log *log, enum log_level level)
{
    /* Relaxed: it orders nothing, and the next line may still see the old one. */
    return log != NULL &&
           level >= (enum log_level)atomic_load_explicit(&log->logger->level, memory_order_relaxed);
}

void log_write(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields, size_t count)
{
    CHECK(event != NULL);
    CHECK(fields != NULL || count == 0);

    if (!log_is_on(log, level)) {
        return;
    }
    const uint64_t now_ms = log->logger->options.clock_ms();
    report_old_rates(log, now_ms);
    struct log_rate *rate = rate_of(log, level, event, now_ms);
    if (rate->written == LOG_RATE_PER_S) {
        rate->suppressed++;
        return;
    }
    rate->written++;

    struct log_record *record = begin_record(log);
    if (record == NULL) {
        return;
    }
    record->time_ms = now_ms;
    record->event = event;
    record->level = level;
    record->field_count = 0;
    record->text_size = 0;
    for (size_t i = 0; i < count && i < LOG_FIELD_COUNT_MAX; i++) {
        copy_field(record, &fields[i]);
    }
    end_record(log);
}

void log_report_suppressed(struct log *log)
{
    if (log != NULL) {
        report_old_rates(log, log->logger->options.clock_ms());
    }
}

uint64_t log_dropped(const struct log *log)
{
    return log == NULL ? 0 : atomic_load_explicit(&log->dropped, memory_order_relaxed);
}

bool log_level_from_name(const char *name, enum log_level *level)
{
    CHECK(name != NULL);
    CHECK(level != NULL);

    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (strcmp(levels[i].name, name) == 0) {
            *level = levels[i].level;
            return true;
        }
    }
    return false;
}

const char *log_level_name(enum log_level level)
{
    for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
        if (levels[i].level == level) {
            return levels[i].name;
        }
    }
    NEVER("a level without a name");
}
