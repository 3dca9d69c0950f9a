/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/post.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "server/archive_private.h"

_Static_assert((int)ARCHIVE_NAME_SIZE_MAX == (int)WIRE_CHANNEL_SIZE_MAX &&
                   (int)ARCHIVE_VALUE_SIZE_MAX == (int)WIRE_VALUE_SIZE_MAX &&
                   (int)ARCHIVE_PAGE_COUNT_MAX == (int)WIRE_READ_COUNT_MAX,
               "what chat may ask is what the wire may carry");
_Static_assert((int)ARCHIVE_RUN_COUNT_MAX < (int)WIRE_ENTRY_COUNT_MAX &&
                   (int)ARCHIVE_RUN_SIZE_MAX + (int)WIRE_VALUE_SIZE_MAX +
                           ((int)ARCHIVE_RUN_COUNT_MAX + 1) *
                               (WIRE_ENTRY_SIZE_MIN + WIRE_CHANNEL_SIZE_MAX) <
                       (int)WIRE_BODY_SIZE_MAX,
               "a run is one batch of the wire");

/* -- answers ----------------------------------------------------------------------------------- */

static void answer_batch(struct archive *archive, struct archive_batch *batch)
{
    const struct post post = {.kind = POST_ARCHIVE_APPENDED, .archive_batch = {batch}};
    const struct bus_post packed = post_pack(&post);
    bus_answer(archive->options.bus, archive->options.port, batch->from, &packed);
}

static void answer_page(struct archive *archive, struct archive_page *page)
{
    const struct post post = {.kind = POST_ARCHIVE_PAGE, .archive_page = {page}};
    const struct bus_post packed = post_pack(&post);
    bus_answer(archive->options.bus, archive->options.port, page->from, &packed);
}

static void count_run(struct archive *archive, const struct archive_batch *batch,
                      const struct archive_run *run)
{
    struct metrics *metrics = archive->options.metrics;
    if (run->result != ARCHIVE_DONE) {
        metrics_add(
            metrics,
            run->result == ARCHIVE_UNKNOWN ? METRIC_STORE_RUNS_LOST : METRIC_STORE_RUNS_REFUSED, 1);
        return;
    }
    metrics_add(metrics, METRIC_STORE_RUNS_OK, 1);
    for (uint32_t i = 0; i < run->count; i++) {
        const struct archive_entry *entry = &batch->entries[run->first + i];
        if (entry->kind == ARCHIVE_APPEND) {
            metrics_add(metrics, METRIC_STORE_APPENDS, 1);
            metrics_add(metrics, METRIC_STORE_BYTES, entry->value.size);
        }
    }
}

void archive_end_run(struct archive *archive, struct archive_batch *batch, uint32_t index,
                     enum archive_result result)
{
    struct archive_run *run = &batch->runs[index];
    run->result = result;
    count_run(archive, batch, run);
    CHECK(batch->open_runs > 0);
    batch->open_runs--;
    if (batch->open_runs == 0) {
        CHECK(batch->next_run == batch->run_count);
        if (list_is_linked(&batch->link)) {
            list_remove(&batch->link);
            archive->waiting--;
        }
        answer_batch(archive, batch);
    }
}

void archive_end_page(struct archive *archive, struct archive_page *page,
                      enum archive_result result)
{
    page->result = result;
    if (list_is_linked(&page->link)) {
        list_remove(&page->link);
        archive->waiting--;
    }
    metrics_add(archive->options.metrics, METRIC_STORE_PAGES, 1);
    answer_page(archive, page);
}

/* -- questions --------------------------------------------------------------------------------- */

static struct job *take_job(struct archive *archive)
{
    if (archive->free_job == archive->options.questions_max) {
        return NULL;
    }
    struct job *job = &archive->jobs[archive->free_job];
    archive->free_job = job->next_free;
    archive->job_count++;
    return job;
}

void archive_give_job(struct archive *archive, struct job *job)
{
    CHECK(archive->job_count > 0);
    *job = (struct job){.next_free = archive->free_job};
    archive->free_job = (uint32_t)(job - archive->jobs);
    archive->job_count--;
}

static uint64_t tag_of(const struct archive *archive, const struct job *job)
{
    return (uint64_t)(job - archive->jobs);
}

static enum wire_kind wire_kind_of(enum archive_kind kind)
{
    switch (kind) {
    case ARCHIVE_APPEND:
        return WIRE_APPEND;
    case ARCHIVE_RESET:
        return WIRE_RESET;
    case ARCHIVE_TRIM:
        return WIRE_TRIM;
    case ARCHIVE_REMOVE:
        return WIRE_REMOVE;
    }
    NEVER("an entry of no kind");
}

static enum store_verdict give_run(struct archive *archive, const struct archive_batch *batch,
                                   const struct archive_run *run, const struct job *job)
{
    CHECK(run->count > 0 && run->count <= ARCHIVE_RUN_COUNT_MAX);
    const uint64_t now_ms = monotime_realtime_ms();
    size_t count = run->count;
    for (uint32_t i = 0; i < run->count; i++) {
        const struct archive_entry *entry = &batch->entries[run->first + i];
        archive->entries[i] = (struct wire_entry){
            .kind = wire_kind_of(entry->kind),
            .offset = entry->offset,
            .epoch = run->epoch,
            .time_ms = now_ms,
            .channel = run->channel,
            .flags = entry->tag,
            .value = entry->value,
        };
    }
    if (run->record_ms > 0) {
        archive->entries[count++] = (struct wire_entry){
            .kind = WIRE_KEEP,
            .epoch = run->epoch,
            .keep = {.record_ms = run->record_ms, .position_ms = run->position_ms},
            .channel = run->channel,
        };
    }
    return store_commit(archive->store, tag_of(archive, job),
                        run->power ? WIRE_DURABLE_POWER : WIRE_DURABLE_PROCESS, archive->entries,
                        count);
}

static enum store_verdict give_page(struct archive *archive, const struct archive_page *page,
                                    const struct job *job)
{
    const struct wire_read read = {
        .channel = {page->channel, page->channel_size},
        .since = page->since,
        .count_max = page->count_max,
        .bytes_max = ARCHIVE_PAGE_SIZE_MAX,
        .newest = page->range == ARCHIVE_NEWEST,
    };
    return store_read(archive->store, tag_of(archive, job), &read);
}

/* Has somebody who came at taken_ns waited long enough, or come too late to wait at all? */
static bool gives_up(const struct archive *archive, uint64_t taken_ns)
{
    const uint64_t timeout_ns = archive->options.timeout_ns;
    return archive->now_ns - taken_ns >= timeout_ns ||
           (archive->down_ns != 0 && archive->now_ns - archive->down_ns >= timeout_ns);
}

/* Gives the store the runs of a batch, as far as there is room. True: all of them have gone. */
static bool go_on_with_batch(struct archive *archive, struct archive_batch *batch)
{
    const uint32_t run_count = batch->run_count;
    while (batch->next_run < run_count) {
        const uint32_t index = batch->next_run;
        struct job *job = archive->is_ready ? take_job(archive) : NULL;
        enum store_verdict verdict = STORE_FULL;
        if (job != NULL) {
            verdict = give_run(archive, batch, &batch->runs[index], job);
        }
        if (verdict == STORE_QUEUED) {
            *job = (struct job){.batch = batch, .run = index, .began_ns = archive->now_ns};
            batch->next_run++;
            continue;
        }
        if (job != NULL) {
            archive_give_job(archive, job);
        }
        if (verdict != STORE_TOO_BIG && !gives_up(archive, batch->taken_ns)) {
            return false;
        }
        batch->next_run++;
        archive_end_run(archive, batch, index, ARCHIVE_REFUSED); /* the last one: batch is gone */
    }
    return true;
}

static bool go_on_with_page(struct archive *archive, struct archive_page *page)
{
    struct job *job = archive->is_ready ? take_job(archive) : NULL;
    enum store_verdict verdict = STORE_FULL;
    if (job != NULL) {
        verdict = give_page(archive, page, job);
    }
    if (verdict == STORE_QUEUED) {
        *job = (struct job){.page = page, .began_ns = archive->now_ns};
        return true;
    }
    if (job != NULL) {
        archive_give_job(archive, job);
    }
    if (verdict != STORE_TOO_BIG && !gives_up(archive, page->taken_ns)) {
        return false;
    }
    archive_end_page(archive, page, ARCHIVE_REFUSED);
    return true;
}

/* In the order in which they came; the first one that finds no room keeps the others waiting. */
void archive_go_on(struct archive *archive)
{
    struct list_link *link = list_first(&archive->batches);
    while (link != NULL) {
        struct archive_batch *batch = LIST_OWNER(link, struct archive_batch, link);
        struct list_link *const next = list_after(&archive->batches, link);
        if (!go_on_with_batch(archive, batch)) {
            break;
        }
        /* Answered ones have left the list; the others wait for the store and not for room. */
        if (list_first(&archive->batches) == link) {
            list_remove(link);
            archive->waiting--;
        }
        link = next;
    }
    link = list_first(&archive->pages);
    while (link != NULL) {
        struct list_link *const next = list_after(&archive->pages, link);
        if (!go_on_with_page(archive, LIST_OWNER(link, struct archive_page, link))) {
            break;
        }
        if (list_first(&archive->pages) == link) {
            list_remove(link);
            archive->waiting--;
        }
        link = next;
    }
}

/* What has no answer when the end has come: nobody knows, or nobody ever had it. */
void archive_give_up_all(struct archive *archive)
{
    archive->now_ns = UINT64_MAX; /* whoever waits has waited long enough */
    for (uint32_t i = 0; i < archive->options.questions_max; i++) {
        struct job *const place = &archive->jobs[i];
        if (place->batch == NULL && place->page == NULL) {
            continue;
        }
        const struct job job = *place;
        archive_give_job(archive, place);
        if (job.batch != NULL) {
            archive_end_run(archive, job.batch, job.run, ARCHIVE_UNKNOWN);
        } else {
            archive_end_page(archive, job.page, ARCHIVE_REFUSED);
        }
    }
    archive_go_on(archive);
    bus_flush(archive->options.bus, archive->options.port);
}
