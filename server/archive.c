/* SPDX-License-Identifier: Apache-2.0 */
#include "server/archive.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "chat/post.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/log.h"
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
    CLOSE_MS = 10000, /* that the child may take to store what it has and to end */
};

/* -- the loop ---------------------------------------------------------------------------------- */

static bool work_store(struct archive *archive)
{
    struct store_completion completions[COMPLETIONS_MAX];
    size_t count;
    bool worked = false;
    do {
        count = store_step(archive->store, archive->now_ns, completions, COMPLETIONS_MAX);
        for (size_t i = 0; i < count; i++) {
            archive_take_completion(archive, &completions[i]);
        }
        worked = worked || count > 0;
    } while (count == COMPLETIONS_MAX);
    return worked;
}

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
    archive_go_on(archive);
    if (archive->store != NULL) {
        worked = work_store(archive) || worked;
        archive_go_on(archive); /* answers have made room */
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
    archive_give_up_all(archive);
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
