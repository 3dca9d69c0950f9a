/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sweep.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/check.h"
#include "core/monotime.h"
#include "core/thread.h"
#include "store/walltime.h"

enum {
    SLICE = 4,            /* streams of one step */
    SCAN_COUNT_MAX = 256, /* records that are looked at in one, before the next round */
    ROUND_MIN_MS = 1000,
    ROUND_MAX_MS = 60000,
    GARBAGE_SHARE = 8, /* reclaims when one of so many records was deleted */
    REST_FACTOR = 10,
};

/* What was deleted since the engine reclaimed last. */
struct garbage {
    uint64_t records;
    uint64_t from; /* streams */
    uint64_t to;
};

struct slice {
    size_t count;
    size_t sizes[SLICE];
    bool skips[SLICE];
    uint8_t names[SLICE][WIRE_CHANNEL_SIZE_MAX];
};

struct sweep {
    struct sweep_options options;
    struct walltime walltime;
    uint64_t now_ms;
    uint64_t next_ns;
    uint64_t due_ms; /* the earliest that this round has seen; UINT64_MAX: nothing */
    struct slice slice;
    uint8_t cursor[WIRE_CHANNEL_SIZE_MAX]; /* the last channel that was looked at */
    size_t cursor_size;                    /* 0: a round begins */

    struct garbage garbage;
    struct garbage reclaimed; /* by the thread */
    struct thread thread;
    bool is_reclaiming;
    uint64_t reclaim_began_ns;
    uint64_t reclaim_next_ns;
    _Atomic bool has_reclaimed; /* release by the thread at its end, acquire by the owner */
};

/* --- Reclaiming --- */

static void reclaim(void *context)
{
    struct sweep *const sweep = context;
    sweep->options.ops->reclaim(sweep->options.engine, sweep->reclaimed.from, sweep->reclaimed.to);
    atomic_store_explicit(&sweep->has_reclaimed, true, memory_order_release);
}

static void end_reclaiming(struct sweep *sweep, uint64_t now_ns)
{
    thread_join(&sweep->thread);
    sweep->is_reclaiming = false;
    sweep->reclaim_next_ns = now_ns + REST_FACTOR * (now_ns - sweep->reclaim_began_ns);
}

/* At the end of a round. A thread that cannot be had is tried again after the next one. */
static void maybe_reclaim(struct sweep *sweep, uint64_t now_ns)
{
    if (sweep->is_reclaiming && atomic_load_explicit(&sweep->has_reclaimed, memory_order_acquire)) {
        end_reclaiming(sweep, now_ns);
    }
    if (sweep->is_reclaiming || sweep->garbage.records == 0 || now_ns < sweep->reclaim_next_ns) {
        return;
    }
    struct wire_stats stats = {.records = 0};
    sweep->options.ops->stats(sweep->options.engine, &stats);
    if (sweep->garbage.records < stats.records / GARBAGE_SHARE) {
        return;
    }
    sweep->reclaimed = sweep->garbage;
    sweep->reclaim_began_ns = now_ns;
    atomic_store_explicit(&sweep->has_reclaimed, false, memory_order_relaxed); /* no thread yet */
    if (thread_start("reclaim", THREAD_NOT_PINNED, reclaim, sweep, &sweep->thread) == 0) {
        sweep->is_reclaiming = true;
        sweep->garbage = (struct garbage){.records = 0};
    }
}

static void add_garbage(struct sweep *sweep, uint64_t stream_id, uint64_t records)
{
    struct garbage *const garbage = &sweep->garbage;
    if (garbage->records == 0 || stream_id < garbage->from) {
        garbage->from = stream_id;
    }
    if (garbage->records == 0 || stream_id > garbage->to) {
        garbage->to = stream_id;
    }
    garbage->records += records;
}

/* --- One stream --- */

static bool is_past(struct sweep *sweep, uint64_t time_ms, uint64_t keep_ms)
{
    const uint64_t age_ms = sweep->now_ms > time_ms ? sweep->now_ms - time_ms : 0;
    if (age_ms >= keep_ms) {
        return true;
    }
    const uint64_t due_ms = keep_ms < UINT64_MAX - time_ms ? time_ms + keep_ms : UINT64_MAX;
    sweep->due_ms = due_ms < sweep->due_ms ? due_ms : sweep->due_ms;
    return false;
}

struct scan {
    struct sweep *sweep;
    uint64_t keep_ms;
    uint64_t first; /* the first record that stays */
};

static bool scan_record(void *context, const struct wire_record *record)
{
    struct scan *const scan = context;
    if (record->offset != scan->first || !is_past(scan->sweep, record->time_ms, scan->keep_ms)) {
        return false;
    }
    scan->first++;
    return true;
}

/* The first record that is not too old, as far as one look goes. */
static uint64_t first_to_keep(struct sweep *sweep, const struct record_meta *meta,
                              char error[static ENGINE_ERROR_SIZE])
{
    const struct wire_stream *const stream = &meta->stream;
    if (stream->first > stream->top ||
        is_past(sweep, stream->last_time_ms, stream->keep.record_ms)) {
        return stream->top + 1;
    }
    struct scan scan = {sweep, stream->keep.record_ms, stream->first};
    struct engine_range range = {
        .stream_id = meta->stream_id, .from = stream->first, .to = stream->top};
    if (range.to - range.from >= SCAN_COUNT_MAX) {
        range.to = range.from + SCAN_COUNT_MAX - 1;
    }
    const struct engine_visitor visitor = {scan_record, &scan};
    if (sweep->options.ops->read(sweep->options.engine, range, visitor, error) != ENGINE_OK) {
        return stream->first; /* whoever opens it finds out what is wrong */
    }
    if (scan.first > range.to) {
        sweep->due_ms = 0; /* there may be more */
    }
    return scan.first;
}

/* Epoch and offset live on after the last record. */
static bool position_is_past(struct sweep *sweep, const struct wire_stream *stream)
{
    const uint64_t records_ms = stream->top > 0 ? stream->keep.record_ms : 0;
    return is_past(sweep, stream->last_time_ms, records_ms + stream->keep.position_ms);
}

static void sweep_stream(struct sweep *sweep, struct bytes channel,
                         char error[static ENGINE_ERROR_SIZE])
{
    struct record_meta meta = {.stream_id = 0};
    if (sweep->options.ops->find_stream(sweep->options.engine, channel, &meta, error) !=
            ENGINE_OK ||
        meta.stream.keep.record_ms == 0) {
        return;
    }
    const struct wire_stream *const stream = &meta.stream;
    const uint64_t first = first_to_keep(sweep, &meta, error);
    const bool goes = first == stream->top + 1 && position_is_past(sweep, stream);
    if (!goes && first == stream->first) {
        return;
    }
    const struct wire_entry entry = {
        .kind = goes ? WIRE_REMOVE : WIRE_TRIM,
        .offset = first,
        .epoch = stream->epoch,
        .channel = channel,
    };
    if (gather_add_entry(sweep->options.gather, &entry, error) != WIRE_DONE) {
        return;
    }
    const uint64_t records = first - stream->first;
    sweep->options.stats->expired_records += records;
    sweep->options.stats->expired_streams += goes;
    add_garbage(sweep, meta.stream_id, records + goes);
}

/* --- Rounds --- */

static bool take_channel(void *context, struct bytes channel, const struct record_meta *meta)
{
    struct slice *const slice = context;
    memcpy(slice->names[slice->count], channel.data, channel.size);
    slice->sizes[slice->count] = channel.size;
    slice->skips[slice->count] = meta == NULL || meta->stream.keep.record_ms == 0;
    slice->count++;
    return slice->count < SLICE;
}

static void end_round(struct sweep *sweep, uint64_t now_ns)
{
    uint64_t pause_ms = sweep->due_ms > sweep->now_ms ? sweep->due_ms - sweep->now_ms : 0;
    pause_ms = pause_ms < ROUND_MIN_MS ? ROUND_MIN_MS : pause_ms;
    pause_ms = pause_ms > ROUND_MAX_MS ? ROUND_MAX_MS : pause_ms;
    sweep->cursor_size = 0;
    sweep->due_ms = UINT64_MAX;
    sweep->next_ns = now_ns + pause_ms * MONOTIME_NS_PER_MS;
    maybe_reclaim(sweep, now_ns);
}

static uint64_t boot_ms(void)
{
    struct timespec time;
    CHECK(clock_gettime(CLOCK_BOOTTIME, &time) == 0);
    return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / MONOTIME_NS_PER_MS;
}

void sweep_step(struct sweep *sweep, uint64_t now_ns, char error[static ENGINE_ERROR_SIZE])
{
    CHECK(gather_is_empty(sweep->options.gather));
    struct slice *const slice = &sweep->slice;
    const struct engine_inspector inspector = {
        .on_channel = take_channel, .context = slice, .after = {sweep->cursor, sweep->cursor_size}};
    sweep->now_ms = walltime_read(&sweep->walltime, monotime_realtime_ms(), boot_ms());
    slice->count = 0;
    const enum engine_result result =
        sweep->options.ops->inspect(sweep->options.engine, &inspector, error);
    for (size_t i = 0; i < slice->count; i++) {
        if (!slice->skips[i]) {
            sweep_stream(sweep, (struct bytes){slice->names[i], slice->sizes[i]}, error);
        }
    }
    if (result != ENGINE_OK || slice->count < SLICE) {
        end_round(sweep, now_ns);
        return;
    }
    sweep->cursor_size = slice->sizes[SLICE - 1];
    memcpy(sweep->cursor, slice->names[SLICE - 1], sweep->cursor_size);
    sweep->next_ns = now_ns + SLICE * MONOTIME_NS_PER_S / sweep->options.streams_per_s;
}

uint64_t sweep_next_ns(const struct sweep *sweep)
{
    return sweep->next_ns;
}

struct sweep *sweep_create(const struct sweep_options *options)
{
    CHECK(options->streams_per_s > 0);
    struct sweep *const sweep = calloc(1, sizeof(*sweep));
    if (sweep != NULL) {
        sweep->options = *options;
        sweep->due_ms = UINT64_MAX;
        sweep->next_ns = monotime_read() + ROUND_MIN_MS * MONOTIME_NS_PER_MS;
    }
    return sweep;
}

void sweep_destroy(struct sweep *sweep)
{
    if (sweep == NULL) {
        return;
    }
    if (sweep->is_reclaiming) {
        sweep->options.ops->stop_reclaim(sweep->options.engine);
        thread_join(&sweep->thread);
    }
    free(sweep);
}
