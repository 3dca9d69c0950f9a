/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_CHAT_ARCHIVE_WORLD_H
#define TESTS_UNIT_CHAT_ARCHIVE_WORLD_H
/*
 * Who stores, for hub_world.h: what it is given is stored at once, in arrays, and stays there for
 * the next page that is asked for, or until the test has it lost. It never refuses, unless there is
 * no memory for a page.
 */
#include "chat/archive_post.h"
#include "tests/unit/chat/hub_world.h"

enum {
    STREAM_COUNT_MAX = 16,
    RECORD_COUNT_MAX = 64, /* of a stream, those included that have gone */
    RECORD_SIZE_MAX = 6144,
};

struct stream_record {
    uint32_t tag;
    size_t size;
    uint8_t data[RECORD_SIZE_MAX];
};

struct stored_stream {
    char name[NAME_SIZE]; /* empty: nobody's yet */
    bool exists;
    uint64_t epoch;
    uint64_t top;
    uint64_t first;
    struct stream_record records[RECORD_COUNT_MAX]; /* by offset - 1 */
};

static struct stored_stream streams[STREAM_COUNT_MAX];

static inline void forget_streams(void)
{
    for (int i = 0; i < STREAM_COUNT_MAX; i++) {
        streams[i].name[0] = '\0';
        streams[i].exists = false;
    }
}

static inline struct stored_stream *stream_named(struct bytes name)
{
    ck_assert_uint_lt(name.size, NAME_SIZE);
    for (int i = 0; i < STREAM_COUNT_MAX; i++) {
        if (streams[i].name[0] == '\0') {
            memcpy(streams[i].name, name.data, name.size);
            streams[i].name[name.size] = '\0';
        }
        if (is_text(name, streams[i].name)) {
            return &streams[i];
        }
    }
    ck_abort_msg("too many streams");
    return NULL;
}

static inline void store_entry(struct stored_stream *stream, const struct archive_run *run,
                               const struct archive_entry *entry)
{
    if (entry->kind == ARCHIVE_RESET) {
        ck_assert_uint_eq(entry->offset, 0);
        stream->exists = true;
        stream->epoch = run->epoch;
        stream->top = 0;
        stream->first = 1;
        return;
    }
    ck_assert(stream->exists && (stream->epoch == run->epoch || entry->kind == ARCHIVE_REMOVE));
    if (entry->kind == ARCHIVE_REMOVE) {
        stream->exists = false;
    } else if (entry->kind == ARCHIVE_TRIM) {
        ck_assert_uint_le(entry->offset, stream->top + 1);
        stream->first = entry->offset;
    } else {
        ck_assert_uint_eq(entry->offset, stream->top + 1);
        ck_assert_uint_lt(stream->top, RECORD_COUNT_MAX);
        ck_assert_uint_le(entry->value.size, RECORD_SIZE_MAX);
        struct stream_record *record = &stream->records[stream->top++];
        record->tag = entry->tag;
        record->size = entry->value.size;
        memcpy(record->data, entry->value.data, entry->value.size);
    }
}

/* It has nothing any more. */
static inline void lose_streams(void)
{
    for (int i = 0; i < STREAM_COUNT_MAX; i++) {
        streams[i].exists = false;
    }
}

static inline void store_batch(struct archive_batch *batch)
{
    for (uint32_t i = 0; i < batch->run_count; i++) {
        struct archive_run *run = &batch->runs[i];
        struct stored_stream *stream = stream_named(run->channel);
        if (!stream->exists && batch->entries[run->first].kind != ARCHIVE_RESET) {
            run->result = ARCHIVE_ABSENT;
            continue;
        }
        for (uint32_t k = 0; k < run->count; k++) {
            store_entry(stream, run, &batch->entries[run->first + k]);
        }
        run->result = ARCHIVE_DONE;
    }
}

static inline void fill_page(struct archive_page *page)
{
    const struct stored_stream *stream =
        stream_named((struct bytes){page->channel, page->channel_size});
    page->result = stream->exists ? ARCHIVE_DONE : ARCHIVE_ABSENT;
    if (!stream->exists) {
        return;
    }
    page->epoch = stream->epoch;
    page->top = stream->top;
    page->first = stream->first;
    uint64_t from = page->range == ARCHIVE_SINCE ? page->since + 1 : stream->first;
    from = from < stream->first ? stream->first : from;
    if (page->range == ARCHIVE_NEWEST && stream->top + 1 - from > page->since) {
        from = stream->top + 1 - page->since;
    }
    size_t size = 0;
    for (uint64_t offset = from; offset <= stream->top; offset++) {
        size += stream->records[offset - 1].size;
    }
    if (from > stream->top) {
        return;
    }
    if (!archive_post_reserve(page, (uint32_t)(stream->top + 1 - from), size)) {
        page->result = ARCHIVE_REFUSED;
        return;
    }
    for (uint64_t offset = from; offset <= stream->top; offset++) {
        const struct stream_record *record = &stream->records[offset - 1];
        archive_post_add_record(page, (struct archive_record){
                                          .offset = offset,
                                          .tag = record->tag,
                                          .value = {record->data, record->size},
                                      });
    }
}

/* One turn. Returns how many posts it took. */
static inline size_t archive_turn(uint16_t port)
{
    struct bus_post packed;
    size_t taken = 0;
    while (bus_take(world.bus, port, &packed, 1) == 1) {
        struct post post = post_unpack(&packed);
        const uint16_t from = post.from;
        if (post.kind == POST_ARCHIVE_APPEND) {
            store_batch(post.archive_batch.batch);
            post.kind = POST_ARCHIVE_APPENDED;
        } else {
            ck_assert_uint_eq(post.kind, POST_ARCHIVE_READ);
            fill_page(post.archive_page.page);
            post.kind = POST_ARCHIVE_PAGE;
        }
        packed = post_pack(&post);
        bus_answer(world.bus, port, from, &packed);
        taken++;
    }
    bus_flush(world.bus, port);
    return taken;
}

#endif /* TESTS_UNIT_CHAT_ARCHIVE_WORLD_H */
