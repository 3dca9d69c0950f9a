/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "core/bus.h"
#include "core/check.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "server/archive_private.h"

/* -- states ------------------------------------------------------------------------------------ */

/* A value of the log is short, and the file that is damaged stands at the end of a reason. */
static void log_reason(struct archive *archive, enum log_level level, const char *event,
                       const char *reason)
{
    const size_t size = strlen(reason);
    const size_t first = size < LOG_STRING_SIZE_MAX ? size : LOG_STRING_SIZE_MAX;
    const struct log_field fields[] = {
        log_text("path", archive->options.path),
        log_bytes("because", (struct bytes){(const uint8_t *)reason, first}),
        log_text("and", reason + first),
    };
    log_write(archive->options.log, level, event, fields, size > first ? 3 : 2);
}

void archive_take_line(void *context, const char *line)
{
    log_reason(context, LOG_WARN, "store: complains", line);
}

static void log_state(struct archive *archive, enum store_state state)
{
    const struct store_view view = store_look(archive->store);
    const struct log_field fields[] = {
        log_uint("child", (uint64_t)view.child),
        log_uint("open_us", view.open_us),
        log_uint("starts", view.starts),
        log_text("path", archive->options.path),
    };
    switch (state) {
    case STORE_STARTING:
        log_write(archive->options.log, LOG_INFO, "store: starting again", fields, 1);
        return;
    case STORE_READY:
        log_write(archive->options.log, LOG_INFO,
                  archive->was_ready ? "store: ready again" : "store: ready", fields, 4);
        archive->was_ready = true;
        return;
    case STORE_DOWN:
        log_reason(archive, LOG_ERROR, "store: down", view.reason);
        return;
    }
    NEVER("a state of no store");
}

void archive_take_change(struct archive *archive, enum store_state state)
{
    log_state(archive, state);
    archive->is_ready = state == STORE_READY;
    archive->figures = (struct wire_stats){.streams = 0};
    if (state == STORE_READY) {
        archive->down_ns = 0;
        archive->was_down = false;
        archive->is_full = false;
    } else if (state == STORE_DOWN) {
        archive->down_ns = archive->down_ns == 0 ? archive->now_ns : archive->down_ns;
        archive->was_down = true;
    }
}

/* -- figures ----------------------------------------------------------------------------------- */

bool archive_asked_figures(const struct archive *archive, uint64_t tag)
{
    return tag == archive->options.questions_max; /* the others are those of jobs */
}

static void ask_figures(struct archive *archive)
{
    if (!archive->is_ready || archive->asks_figures || archive->now_ns < archive->figures_ns) {
        return;
    }
    archive->figures_ns = archive->now_ns + ARCHIVE_FIGURES_MS * MONOTIME_NS_PER_MS;
    archive->asks_figures =
        store_ask_stats(archive->store, archive->options.questions_max) == STORE_QUEUED;
}

void archive_take_space(struct archive *archive, bool is_full)
{
    if (is_full && !archive->is_full) {
        const struct log_field fields[] = {log_text("path", archive->options.path)};
        log_write(archive->options.log, LOG_ERROR, "store: no space left, nothing is appended",
                  fields, 1);
    } else if (!is_full && archive->is_full) {
        log_write(archive->options.log, LOG_INFO, "store: there is space again", NULL, 0);
    }
    archive->is_full = is_full;
}

void archive_take_figures(struct archive *archive, const struct wire_stats *figures)
{
    struct metrics *const metrics = archive->options.metrics;
    const struct wire_stats *const before = &archive->figures;
    archive->asks_figures = false;
    if (figures == NULL) {
        return;
    }
    archive_take_space(archive, figures->is_full != 0);
    metrics_set(metrics, METRIC_STORE_TABLE_BYTES, figures->disk_bytes);
    metrics_add(metrics, METRIC_STORE_EXPIRED_PUBLICATIONS,
                figures->expired_records - before->expired_records);
    metrics_add(metrics, METRIC_STORE_EXPIRED_CHANNELS,
                figures->expired_streams - before->expired_streams);
    metrics_add(metrics, METRIC_STORE_DAMAGED_TABLES,
                figures->damaged_tables - before->damaged_tables);
    metrics_add(metrics, METRIC_STORE_DAMAGED_CHANNELS,
                figures->damaged_streams - before->damaged_streams);
    archive->figures = *figures;
}

/* -- all that is known ------------------------------------------------------------------------- */

static enum archive_state judge(const struct archive *archive, const struct store_view *view)
{
    if (archive->store != NULL && view->damaged) {
        return ARCHIVE_UNREPAIRED;
    }
    if (archive->store == NULL || view->state == STORE_DOWN) {
        return ARCHIVE_DOWN;
    }
    if (view->state == STORE_STARTING) {
        return archive->was_down ? ARCHIVE_DOWN : ARCHIVE_STARTING;
    }
    if (view->oldest_ns != 0 && archive->now_ns - view->oldest_ns >= archive->options.timeout_ns) {
        return ARCHIVE_SLOW;
    }
    return archive->is_full ? ARCHIVE_FULL : ARCHIVE_READY;
}

void archive_watch(struct archive *archive)
{
    struct metrics *metrics = archive->options.metrics;
    struct store_view view = {.reason = ""};
    if (archive->store != NULL) {
        view = store_look(archive->store);
    }
    const enum archive_state state = judge(archive, &view);
    const enum archive_state before = archive_state(archive);
    atomic_store_explicit(&archive->state, (uint32_t)state, memory_order_relaxed);
    if (state == ARCHIVE_SLOW && before != ARCHIVE_SLOW) {
        const struct log_field fields[] = {log_uint("questions", view.questions)};
        log_write(archive->options.log, LOG_ERROR, "store: does not answer in time", fields, 1);
    }
    ask_figures(archive);
    metrics_set(metrics, METRIC_STORE_READY, state == ARCHIVE_READY ? 1 : 0);
    metrics_set(metrics, METRIC_STORE_STARTS, view.starts);
    metrics_set(metrics, METRIC_STORE_QUESTIONS, view.questions);
    metrics_set(metrics, METRIC_STORE_QUEUE_BYTES, view.queue_bytes);
    metrics_set(metrics, METRIC_STORE_WAITING, archive->waiting);
    metrics_set(metrics, METRIC_BUS_POSTS, bus_posts(archive->options.bus, archive->options.port));
    metrics_set(metrics, METRIC_BUS_WAKES, bus_wakes(archive->options.bus, archive->options.port));
    metrics_set(metrics, METRIC_LOG_DROPPED, log_dropped(archive->options.log));
    log_report_suppressed(archive->options.log);
}
