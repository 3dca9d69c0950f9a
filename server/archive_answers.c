/* SPDX-License-Identifier: Apache-2.0 */
#include "core/check.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "server/archive_private.h"

static enum archive_result result_of(enum wire_result result)
{
    switch (result) {
    case WIRE_DONE:
        return ARCHIVE_DONE;
    case WIRE_ABSENT:
        return ARCHIVE_ABSENT;
    case WIRE_CONFLICT:
        return ARCHIVE_CONFLICT;
    case WIRE_DAMAGED:
        return ARCHIVE_DAMAGED;
    case WIRE_NO_SPACE:
    case WIRE_FAILED:
        return ARCHIVE_REFUSED;
    }
    NEVER("no result of the wire");
}

static void take_committed(struct archive *archive, struct job job,
                           const struct wire_committed *committed)
{
    if (committed->result == WIRE_NO_SPACE) {
        archive_take_space(archive, true); /* its figures say when there is some again */
    }
    metrics_observe(&archive->options.metrics->store, archive->now_ns - job.began_ns);
    archive_end_run(archive, job.batch, job.run, result_of(committed->result));
}

/* Nothing is younger than now, whatever somebody has done to the clock. */
static uint64_t age_ms(uint64_t now_ms, uint64_t time_ms)
{
    return now_ms > time_ms ? now_ms - time_ms : 0;
}

static bool copy_records(struct archive_page *page, const struct wire_page *from, uint64_t now_ms)
{
    if (from->count == 0) {
        return true;
    }
    if (!archive_post_reserve(page, from->count, from->records.size)) {
        return false;
    }
    struct bytes rest = from->records;
    struct wire_record record;
    while (wire_next_record(&rest, &record)) {
        archive_post_add_record(page, (struct archive_record){
                                          .offset = record.offset,
                                          .tag = record.flags,
                                          .age_ms = age_ms(now_ms, record.time_ms),
                                          .value = record.value,
                                      });
    }
    return true;
}

static void take_page(struct archive *archive, struct archive_page *page,
                      const struct wire_page *from)
{
    const uint64_t now_ms = monotime_realtime_ms();
    page->more = from->more;
    page->epoch = from->stream.epoch;
    page->top = from->stream.top;
    page->first = from->stream.first;
    page->idle_ms = age_ms(now_ms, from->stream.last_time_ms);
    page->record_ms = from->stream.keep.record_ms;
    page->position_ms = from->stream.keep.position_ms;
    if (from->result == WIRE_DAMAGED) {
        const struct log_field fields[] = {
            log_bytes("channel", (struct bytes){page->channel, page->channel_size})};
        log_write(archive->options.log, LOG_ERROR, "store: a channel is damaged: it begins anew",
                  fields, 1);
    }
    const bool copied = copy_records(page, from, now_ms);
    archive_end_page(archive, page, copied ? result_of(from->result) : ARCHIVE_REFUSED);
}

/* The child took the question with it. A page is asked for again, a run may be stored. */
static void take_loss(struct archive *archive, struct job job)
{
    if (job.batch != NULL) {
        archive_end_run(archive, job.batch, job.run, ARCHIVE_UNKNOWN);
        return;
    }
    list_push_front(&archive->pages, &job.page->link);
    archive->waiting++;
}

void archive_take_completion(struct archive *archive, const struct store_completion *completion)
{
    if (completion->event == STORE_CHANGED) {
        archive_take_change(archive, completion->state);
        return;
    }
    if (archive_asked_figures(archive, completion->tag)) {
        archive_take_figures(archive, completion->event == STORE_STATS ? &completion->stats : NULL);
        return;
    }
    CHECK(completion->tag < archive->options.questions_max);
    struct job *const place = &archive->jobs[completion->tag];
    const struct job job = *place;
    archive_give_job(archive, place);
    switch (completion->event) {
    case STORE_COMMITTED:
        take_committed(archive, job, &completion->committed);
        return;
    case STORE_PAGE:
        take_page(archive, job.page, &completion->page);
        return;
    case STORE_LOST:
    case STORE_NOT_SENT:
        take_loss(archive, job);
        return;
    case STORE_STATS:
    case STORE_CHANGED:
        break;
    }
    NEVER("an answer to what was not asked");
}
