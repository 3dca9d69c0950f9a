/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat/archive_post.h"
#include "chat/post.h"
#include "core/bus.h"
#include "core/check.h"

enum {
    POSTS_MAX = 16,
    DEATH_IN = 40,   /* batches */
    REFUSE_IN = 100, /* runs */
};

void sim_archive_begin(struct sim_archive *archive, struct sim_world *world, struct bus *bus,
                       size_t port)
{
    *archive = (struct sim_archive){.world = world, .bus = bus, .port = port};
    list_init(&archive->batches);
    list_init(&archive->pages);
}

static uint64_t now(const struct sim_archive *archive)
{
    return archive->world->net.now_ns;
}

/* -- the store --------------------------------------------------------------------------------- */

static struct sim_stored *find(struct sim_archive *archive, struct bytes name)
{
    for (size_t i = 0; i < archive->stream_count; i++) {
        struct sim_stored *stored = &archive->streams[i];
        if (stored->name_size == name.size && memcmp(stored->name, name.data, name.size) == 0) {
            return stored;
        }
    }
    CHECK(archive->stream_count < SIM_CHANNEL_MAX);
    struct sim_stored *stored = &archive->streams[archive->stream_count++];
    CHECK(name.size <= sizeof(stored->name));
    memcpy(stored->name, name.data, name.size);
    stored->name_size = name.size;
    return stored;
}

static void forget_records(struct sim_stored *stored)
{
    for (size_t i = 0; i < stored->capacity; i++) {
        free(stored->records[i].data);
    }
    free(stored->records);
    stored->records = NULL;
    stored->capacity = 0;
}

/* What is left out of a run when it is not taken: nothing, for it is judged before. */
static enum archive_result judge(const struct sim_stored *stored, const struct archive_batch *batch,
                                 const struct archive_run *run)
{
    struct sim_stored after = *stored;

    for (uint32_t i = 0; i < run->count; i++) {
        const struct archive_entry *entry = &batch->entries[run->first + i];
        if (entry->kind == ARCHIVE_RESET) {
            after = (struct sim_stored){.exists = true, .epoch = run->epoch, .top = entry->offset};
            continue;
        }
        if (!after.exists) {
            return ARCHIVE_ABSENT;
        }
        if (entry->kind != ARCHIVE_REMOVE && after.epoch != run->epoch) {
            return ARCHIVE_CONFLICT;
        }
        if (entry->kind == ARCHIVE_APPEND && entry->offset != after.top + 1) {
            return ARCHIVE_CONFLICT;
        }
        if (entry->kind == ARCHIVE_TRIM && entry->offset > after.top + 1) {
            return ARCHIVE_CONFLICT;
        }
        after.top += entry->kind == ARCHIVE_APPEND;
        after.exists = entry->kind != ARCHIVE_REMOVE;
    }
    return ARCHIVE_DONE;
}

static void append(struct sim_archive *archive, struct sim_stored *stored, struct bytes value)
{
    if (stored->top >= stored->capacity) {
        const size_t capacity = 2 * stored->top + 16;
        stored->records = realloc(stored->records, capacity * sizeof(*stored->records));
        CHECK(stored->records != NULL);
        memset(stored->records + stored->capacity, 0,
               (capacity - stored->capacity) * sizeof(*stored->records));
        stored->capacity = capacity;
    }
    struct sim_record *record = &stored->records[stored->top];
    *record = (struct sim_record){
        .data = malloc(value.size), .size = value.size, .time_ns = now(archive)};
    CHECK(record->data != NULL);
    memcpy(record->data, value.data, value.size);
    stored->top++;

    char head[32] = "";
    uint32_t number;
    memcpy(head, value.data, value.size < sizeof(head) - 1 ? value.size : sizeof(head) - 1);
    if (sscanf(head, "{\"p\":%" SCNu32 ",", &number) == 1) {
        sim_model_store(&archive->world->model, number);
    }
}

static void apply(struct sim_archive *archive, const struct archive_batch *batch,
                  const struct archive_run *run)
{
    struct sim_stored *stored = find(archive, run->channel);

    for (uint32_t i = 0; i < run->count; i++) {
        const struct archive_entry *entry = &batch->entries[run->first + i];
        switch (entry->kind) {
        case ARCHIVE_RESET:
        case ARCHIVE_REMOVE:
            forget_records(stored);
            stored->exists = entry->kind == ARCHIVE_RESET;
            stored->epoch = run->epoch;
            stored->top = entry->offset;
            stored->first = entry->offset + 1;
            break;
        case ARCHIVE_APPEND:
            append(archive, stored, entry->value);
            break;
        case ARCHIVE_TRIM:
            stored->first = entry->offset > stored->first ? entry->offset : stored->first;
            break;
        }
    }
}

/* -- batches ----------------------------------------------------------------------------------- */

static void answer(struct sim_archive *archive, size_t to, const struct post *post)
{
    const struct bus_post packed = post_pack(post);
    bus_answer(archive->bus, archive->port, to, &packed);
    bus_flush(archive->bus, archive->port);
}

static void answer_batch(struct sim_archive *archive, struct archive_batch *batch)
{
    list_remove(&batch->link);
    answer(archive, batch->from,
           &(struct post){.kind = POST_ARCHIVE_APPENDED, .archive_batch = {batch}});
}

static bool waited_too_long(const struct sim_archive *archive, uint64_t taken_ns)
{
    return now(archive) - taken_ns >= SIM_STORE_TIMEOUT;
}

static void take_run(struct sim_archive *archive, struct archive_batch *batch,
                     struct archive_run *run)
{
    if (waited_too_long(archive, batch->taken_ns) ||
        sim_random_once_in(&archive->world->random, REFUSE_IN)) {
        run->result = ARCHIVE_REFUSED;
        return;
    }
    run->result = judge(find(archive, run->channel), batch, run);
    if (run->result == ARCHIVE_DONE) {
        apply(archive, batch, run);
    }
}

/* Up to some run all is stored, and of nothing is it known. Pages are asked for again, later. */
static void die(struct sim_archive *archive)
{
    struct sim_random *random = &archive->world->random;
    bool stores = true;
    struct list_link *link;

    sim_stats_add(archive->world->stats, SIM_STORE_DEATHS, 1);
    sim_world_tell(archive->world, "the store dies");
    while ((link = list_first(&archive->batches)) != NULL) {
        struct archive_batch *batch = LIST_OWNER(link, struct archive_batch, link);
        for (uint32_t i = 0; i < batch->run_count; i++) {
            struct archive_run *run = &batch->runs[i];
            stores = stores && !sim_random_once_in(random, 3);
            if (stores && judge(find(archive, run->channel), batch, run) == ARCHIVE_DONE) {
                apply(archive, batch, run);
            }
            run->result = ARCHIVE_UNKNOWN;
        }
        answer_batch(archive, batch);
    }
    const uint64_t longest = sim_random_once_in(random, 4) ? 2 * SIM_STORE_TIMEOUT : SIM_S / 2;
    archive->down_until_ns = now(archive) + sim_random_range(random, 1, longest);
}

static void go_on_with_batch(struct sim_archive *archive, struct archive_batch *batch)
{
    struct sim_random *random = &archive->world->random;

    if (archive->world->is_talking && sim_random_once_in(random, DEATH_IN)) {
        die(archive);
        return;
    }
    for (uint32_t i = 0; i < batch->run_count; i++) {
        take_run(archive, batch, &batch->runs[i]);
    }
    answer_batch(archive, batch);
    archive->due_ns =
        now(archive) +
        sim_random_range(random, 1, sim_random_once_in(random, 20) ? SIM_S : 3 * SIM_MS);
}

/* -- pages ------------------------------------------------------------------------------------- */

static void fill(struct sim_archive *archive, struct archive_page *page,
                 const struct sim_stored *stored)
{
    uint64_t from = page->range == ARCHIVE_SINCE ? page->since + 1 : stored->first;
    if (page->range == ARCHIVE_NEWEST && stored->top >= page->since &&
        stored->top - page->since + 1 > from) {
        from = stored->top - page->since + 1;
    }
    from = from < stored->first ? stored->first : from;
    const uint64_t there = from > stored->top ? 0 : stored->top - from + 1;
    const uint64_t most = sim_random_range(&archive->world->random, 1, 40); /* as if it were full */
    const uint64_t count = there < most ? there : most;

    page->result = ARCHIVE_DONE;
    page->more = count < there;
    page->epoch = stored->epoch;
    page->top = stored->top;
    page->first = stored->first;
    size_t size = 0;
    for (uint64_t i = 0; i < count; i++) {
        size += stored->records[from - 1 + i].size;
    }
    if (count > 0) {
        const bool reserved = archive_post_reserve(page, (uint32_t)count, size);
        CHECK(reserved);
    }
    for (uint64_t i = 0; i < count; i++) {
        const struct sim_record *record = &stored->records[from - 1 + i];
        archive_post_add_record(page, (struct archive_record){
                                          .offset = from + i,
                                          .age_ms = (now(archive) - record->time_ns) / SIM_MS,
                                          .value = {record->data, record->size},
                                      });
    }
}

static void go_on_with_page(struct sim_archive *archive, struct archive_page *page)
{
    const struct bytes name = {page->channel, page->channel_size};
    const struct sim_stored *stored = find(archive, name);

    if (waited_too_long(archive, page->taken_ns)) {
        page->result = ARCHIVE_REFUSED;
    } else if (!stored->exists) {
        page->result = ARCHIVE_ABSENT;
    } else {
        fill(archive, page, stored);
    }
    list_remove(&page->link);
    answer(archive, page->from, &(struct post){.kind = POST_ARCHIVE_PAGE, .archive_page = {page}});
}

/* -- running ----------------------------------------------------------------------------------- */

static bool take_posts(struct sim_archive *archive)
{
    struct bus_post posts[POSTS_MAX];
    const size_t count = bus_take(archive->bus, archive->port, posts, POSTS_MAX);

    for (size_t i = 0; i < count; i++) {
        const struct post post = post_unpack(&posts[i]);
        if (post.kind == POST_ARCHIVE_APPEND) {
            post.archive_batch.batch->from = post.from;
            post.archive_batch.batch->taken_ns = now(archive);
            list_push_back(&archive->batches, &post.archive_batch.batch->link);
        } else {
            CHECK(post.kind == POST_ARCHIVE_READ);
            post.archive_page.page->from = post.from;
            post.archive_page.page->taken_ns = now(archive);
            list_push_back(&archive->pages, &post.archive_page.page->link);
        }
    }
    return count > 0;
}

bool sim_archive_run_one(struct sim_archive *archive)
{
    if (take_posts(archive)) {
        return true;
    }
    if (now(archive) < archive->down_until_ns) {
        return false;
    }
    struct list_link *const page = list_first(&archive->pages);
    struct list_link *const batch = list_first(&archive->batches);
    if (page != NULL && (batch == NULL || sim_random_once_in(&archive->world->random, 2))) {
        go_on_with_page(archive, LIST_OWNER(page, struct archive_page, link));
        return true;
    }
    if (batch != NULL && now(archive) >= archive->due_ns) {
        go_on_with_batch(archive, LIST_OWNER(batch, struct archive_batch, link));
        return true;
    }
    return false;
}

uint64_t sim_archive_next_ns(const struct sim_archive *archive)
{
    if (list_is_empty(&archive->pages) && list_is_empty(&archive->batches)) {
        return UINT64_MAX;
    }
    if (now(archive) < archive->down_until_ns) {
        return archive->down_until_ns;
    }
    return archive->due_ns > now(archive) ? archive->due_ns : now(archive) + 1;
}

void sim_archive_finish(struct sim_archive *archive)
{
    archive->world->is_talking = false; /* it does not die now */
    archive->down_until_ns = 0;
    bool going_on = true;
    while (going_on) {
        archive->due_ns = 0;
        going_on = sim_archive_run_one(archive);
    }
}

void sim_archive_end(struct sim_archive *archive)
{
    for (size_t i = 0; i < archive->stream_count; i++) {
        forget_records(&archive->streams[i]);
    }
}
