/* SPDX-License-Identifier: Apache-2.0 */
#include "server/archive.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "chat/archive_post.h"
#include "chat/post.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "server/archive_private.h"

enum {
    POSTS_MAX = 64,             /* taken at once */
    COMPLETIONS_MAX = 32,       /* likewise */
    QUEUE_BYTES_MAX = 32 << 20, /* not sent to the child */
    BACKOFF_MIN_MS = 50,
    BACKOFF_MAX_MS = 5000,
    LOOK_MS = 100, /* how often what waits is looked at, and whether the store is slow */
    CREATE_AGAIN_MS = 1000,
    FULL_MS = 10000,  /* after the last refusal for want of space: then it may have some again */
    CLOSE_MS = 10000, /* that the child may take to store what it has and to end */
};

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

static void end_run(struct archive *archive, struct archive_batch *batch, uint32_t index,
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

static void end_page(struct archive *archive, struct archive_page *page, enum archive_result result)
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

static void give_job(struct archive *archive, struct job *job)
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
            give_job(archive, job);
        }
        if (verdict != STORE_TOO_BIG && !gives_up(archive, batch->taken_ns)) {
            return false;
        }
        batch->next_run++;
        end_run(archive, batch, index, ARCHIVE_REFUSED); /* the last one: batch is gone */
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
        give_job(archive, job);
    }
    if (verdict != STORE_TOO_BIG && !gives_up(archive, page->taken_ns)) {
        return false;
    }
    end_page(archive, page, ARCHIVE_REFUSED);
    return true;
}

/* In the order in which they came; the first one that finds no room keeps the others waiting. */
static void go_on(struct archive *archive)
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

/* -- what the store says ----------------------------------------------------------------------- */

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
    const bool was_full = archive->full_until_ns != 0;
    if (committed->result == WIRE_NO_SPACE) {
        archive->full_until_ns = archive->now_ns + FULL_MS * MONOTIME_NS_PER_MS;
    } else if (committed->result == WIRE_DONE) {
        archive->full_until_ns = 0;
    }
    if (archive->full_until_ns != 0 && !was_full) {
        const struct log_field fields[] = {log_text("path", archive->options.path)};
        log_write(archive->options.log, LOG_ERROR, "store: no space left, nothing is appended",
                  fields, 1);
    } else if (archive->full_until_ns == 0 && was_full) {
        log_write(archive->options.log, LOG_INFO, "store: there is space again", NULL, 0);
    }
    metrics_observe(&archive->options.metrics->store, archive->now_ns - job.began_ns);
    end_run(archive, job.batch, job.run, result_of(committed->result));
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
    end_page(archive, page, copied ? result_of(from->result) : ARCHIVE_REFUSED);
}

/* The child took the question with it. A page is asked for again, a run may be stored. */
static void take_loss(struct archive *archive, struct job job)
{
    if (job.batch != NULL) {
        end_run(archive, job.batch, job.run, ARCHIVE_UNKNOWN);
        return;
    }
    list_push_front(&archive->pages, &job.page->link);
    archive->waiting++;
}

static void take_completion(struct archive *archive, const struct store_completion *completion)
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
    give_job(archive, place);
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

static bool work_store(struct archive *archive)
{
    struct store_completion completions[COMPLETIONS_MAX];
    size_t count;
    bool worked = false;
    do {
        count = store_step(archive->store, archive->now_ns, completions, COMPLETIONS_MAX);
        for (size_t i = 0; i < count; i++) {
            take_completion(archive, &completions[i]);
        }
        worked = worked || count > 0;
    } while (count == COMPLETIONS_MAX);
    return worked;
}

/* -- the loop ---------------------------------------------------------------------------------- */

static void take_post(struct archive *archive, const struct post *post)
{
    switch ((enum post_kind)post->kind) {
    case POST_ARCHIVE_APPEND: {
        struct archive_batch *batch = post->archive_batch.batch;
        CHECK(batch->run_count > 0);
        batch->from = post->from;
        batch->taken_ns = archive->now_ns;
        batch->next_run = 0;
        batch->open_runs = batch->run_count;
        list_push_back(&archive->batches, &batch->link);
        archive->waiting++;
        return;
    }
    case POST_ARCHIVE_READ: {
        struct archive_page *page = post->archive_page.page;
        page->from = post->from;
        page->taken_ns = archive->now_ns;
        list_push_back(&archive->pages, &page->link);
        archive->waiting++;
        return;
    }
    case POST_EXIT:
        archive->is_exiting = true;
        return;
    case POST_OVERLOAD:
    case POST_PUBLISH:
    case POST_PUBLISH_ANSWER:
    case POST_INTEREST:
    case POST_INTEREST_ANSWER:
    case POST_LEAVE:
    case POST_HISTORY:
    case POST_RECOVER:
    case POST_PAGE:
    case POST_LATER:
    case POST_PRESENCE:
    case POST_PRESENCE_PART:
    case POST_PLACE:
    case POST_PLACE_ANSWER:
    case POST_PLACE_BACK:
    case POST_LEASE:
    case POST_LEASE_ANSWER:
    case POST_NEWS:
    case POST_NEWS_COPY:
    case POST_PUBLICATION:
    case POST_GAP:
    case POST_STOP:
    case POST_SETTINGS:
    case POST_SETTINGS_TAKEN:
    case POST_RELOAD:
    case POST_KEY_SET:
    case POST_WANT_KEYS:
    case POST_DESERTED:
    case POST_CLOSE:
    case POST_DRAINED:
    case POST_ARCHIVE_APPENDED:
    case POST_ARCHIVE_PAGE:
        break;
    }
    NEVER("a post that is not the archive's");
}

static bool take_posts(struct archive *archive)
{
    struct bus_post posts[POSTS_MAX];
    const size_t count = bus_take(archive->options.bus, archive->options.port, posts, POSTS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct post post = post_unpack(&posts[i]);
        take_post(archive, &post);
    }
    return count > 0;
}

static void create_store(struct archive *archive)
{
    if (archive->store != NULL || archive->now_ns < archive->create_ns) {
        return;
    }
    const struct store_options options = {
        .program = archive->options.program,
        .path = archive->options.path,
        .arguments = archive->options.arguments,
        .queue_bytes_max = QUEUE_BYTES_MAX,
        .questions_max = archive->options.questions_max,
        .backoff_min_ms = BACKOFF_MIN_MS,
        .backoff_max_ms = BACKOFF_MAX_MS,
        .on_line = archive_take_line,
        .line_context = archive,
    };
    const int result = store_create(&options, archive->now_ns, &archive->store);
    const struct log_field fields[] = {
        log_text("program", archive->options.program),
        log_text("path", archive->options.path),
        log_text("because", result == 0 ? "" : strerrordesc_np(-result)),
    };
    /* Who comes long after this is not kept waiting. */
    archive->down_ns = archive->down_ns == 0 ? archive->now_ns : archive->down_ns;
    if (result == 0) {
        log_write(archive->options.log, LOG_INFO, "store: starting", fields, 2);
        return;
    }
    archive->create_ns = archive->now_ns + CREATE_AGAIN_MS * MONOTIME_NS_PER_MS;
    log_write(archive->options.log, LOG_ERROR, "store: cannot be started", fields, 3);
}

/* One turn. False: nothing was to do. */
static bool step(struct archive *archive)
{
    archive->now_ns = monotime_read();
    create_store(archive);
    bool worked = take_posts(archive);
    go_on(archive);
    if (archive->store != NULL) {
        worked = work_store(archive) || worked;
        go_on(archive); /* answers have made room */
    }
    archive_watch(archive);
    if (archive->store != NULL) {
        store_flush(archive->store);
    }
    bus_flush(archive->options.bus, archive->options.port);
    return worked;
}

static void sleep_until_news(struct archive *archive)
{
    if (!bus_may_sleep(archive->options.bus, archive->options.port)) {
        return;
    }
    struct pollfd polled[] = {
        {.fd = archive->wake_fd, .events = POLLIN},
        {.fd = archive->store == NULL ? -1 : store_fd(archive->store), .events = POLLIN},
    };
    const bool looks = archive->waiting > 0 || archive->job_count > 0 || archive->store == NULL ||
                       archive_state(archive) != ARCHIVE_READY;
    (void)poll(polled, sizeof(polled) / sizeof(polled[0]), looks ? LOOK_MS : ARCHIVE_FIGURES_MS);
    bus_awake(archive->options.bus, archive->options.port);
    uint64_t count;
    const ssize_t size = read(archive->wake_fd, &count, sizeof(count));
    (void)size; /* empty when the store was it */
}

/* What has no answer when the end has come: nobody knows, or nobody ever had it. */
static void give_up_all(struct archive *archive)
{
    archive->now_ns = UINT64_MAX; /* whoever waits has waited long enough */
    for (uint32_t i = 0; i < archive->options.questions_max; i++) {
        struct job *const place = &archive->jobs[i];
        if (place->batch == NULL && place->page == NULL) {
            continue;
        }
        const struct job job = *place;
        give_job(archive, place);
        if (job.batch != NULL) {
            end_run(archive, job.batch, job.run, ARCHIVE_UNKNOWN);
        } else {
            end_page(archive, job.page, ARCHIVE_REFUSED);
        }
    }
    go_on(archive);
    bus_flush(archive->options.bus, archive->options.port);
}

void archive_run(void *context)
{
    struct archive *archive = context;
    uint64_t end_ns = UINT64_MAX;

    for (;;) {
        if (!step(archive)) {
            const bool has_open = archive->waiting > 0 || archive->job_count > 0;
            if (archive->is_exiting && (!has_open || archive->now_ns >= end_ns)) {
                break;
            }
            sleep_until_news(archive);
        }
        if (archive->is_exiting && end_ns == UINT64_MAX) {
            end_ns = archive->now_ns + archive->options.timeout_ns;
        }
    }
    const bool well = store_close(archive->store, CLOSE_MS);
    archive->store = NULL;
    archive->is_ready = false;
    log_write(archive->options.log, well ? LOG_INFO : LOG_ERROR,
              well ? "store: closed" : "store: did not end well", NULL, 0);
    give_up_all(archive);
}

/* -- start and end ----------------------------------------------------------------------------- */

void archive_wake(void *context)
{
    const struct archive *archive = context;
    const uint64_t one = 1;
    /* Only a full counter refuses, and then it is readable already. */
    const ssize_t written = write(archive->wake_fd, &one, sizeof(one));
    (void)written;
}

enum archive_state archive_state(const struct archive *archive)
{
    return (enum archive_state)atomic_load_explicit(&archive->state, memory_order_relaxed);
}

int archive_create(const struct archive_options *options, struct archive **archive)
{
    CHECK(options->questions_max > 0 &&
          (options->questions_max & (options->questions_max - 1)) == 0);
    CHECK(options->timeout_ns > 0);
    if (access(options->program, X_OK) != 0) {
        return -errno;
    }
    struct archive *const created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    list_init(&created->batches);
    list_init(&created->pages);
    created->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const int error = created->wake_fd < 0 ? -errno : -ENOMEM;
    created->jobs = calloc(options->questions_max, sizeof(created->jobs[0]));
    created->entries = calloc(ARCHIVE_RUN_COUNT_MAX + 1, sizeof(created->entries[0]));
    if (created->wake_fd < 0 || created->jobs == NULL || created->entries == NULL) {
        archive_destroy(created);
        return error;
    }
    for (uint32_t i = 0; i < options->questions_max; i++) {
        created->jobs[i].next_free = i + 1;
    }
    *archive = created;
    return 0;
}

void archive_destroy(struct archive *archive)
{
    if (archive == NULL) {
        return;
    }
    CHECK(archive->store == NULL);
    if (archive->wake_fd >= 0) {
        (void)close(archive->wake_fd);
    }
    free(archive->jobs);
    free(archive->entries);
    free(archive);
}
