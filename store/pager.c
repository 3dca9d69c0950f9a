/* SPDX-License-Identifier: Apache-2.0 */
#include "store/pager.h"

#include <stdio.h>

#include "core/check.h"

struct pager {
    const struct wire_read *read;
    uint8_t *room;
    size_t begin; /* [begin, end) of the room: `count` records */
    size_t end;
    uint32_t count;
    uint32_t moves;
    uint64_t expected;       /* the offset that must come next */
    bool slides;             /* it is a window */
    bool more;               /* records are left that did not fit */
    bool gap;                /* another one came */
    bool again;              /* the window did not get to the end */
    struct record_meta meta; /* what the read has found, or the one before it */
};

static uint64_t first_of_newest(uint64_t count, uint64_t first, uint64_t top)
{
    const uint64_t kept = top + 1 - first;
    return first + (kept > count ? kept - count : 0);
}

static uint64_t begin_page(void *context, const struct record_meta *meta)
{
    struct pager *const pager = context;
    const struct wire_read *const read = pager->read;
    const struct wire_stream *const stream = &meta->stream;
    const bool was_read = pager->meta.stream_id == meta->stream_id;
    const uint64_t seen = was_read ? pager->meta.stream.top : 0;
    const uint64_t top = seen > stream->top ? seen : stream->top; /* not below `first` - 1 */
    const uint64_t since = read->since < UINT64_MAX - 1 ? read->since : UINT64_MAX - 2;
    if (read->newest) {
        pager->expected = first_of_newest(read->since, stream->first, top);
    } else {
        pager->expected = since >= stream->first ? since + 1 : stream->first;
    }
    return pager->expected;
}

static size_t size_at(const struct pager *pager, size_t at)
{
    struct bytes rest = {pager->room + at, pager->end - at};
    struct wire_record record;
    CHECK(wire_next_record(&rest, &record));
    return WIRE_RECORD_SIZE_MIN + record.value.size;
}

static bool window_is_stuck(const struct pager *pager, size_t size)
{
    return pager->end + size > PAGER_ROOM_SIZE || pager->moves == PAGER_MOVES_MAX;
}

/* Whether another record is too much for the page that has `count` of them in `size` bytes. */
static bool page_is_full(const struct wire_read *read, uint32_t count, size_t size)
{
    return count == read->count_max || (count > 0 && size > read->bytes_max);
}

static bool take_record(void *context, const struct wire_record *record)
{
    struct pager *const pager = context;
    const size_t size = WIRE_RECORD_SIZE_MIN + record->value.size;
    if (record->offset != pager->expected) {
        pager->gap = true;
        return false;
    }
    if (pager->slides && window_is_stuck(pager, size)) {
        pager->again = true;
        return false;
    }
    if (!pager->slides &&
        page_is_full(pager->read, pager->count, pager->end - pager->begin + size)) {
        pager->more = true;
        return false;
    }
    pager->end += wire_write_record(record, pager->room + pager->end);
    pager->count++;
    pager->expected++;
    if (pager->slides && pager->count > pager->read->since) {
        pager->begin += size_at(pager, pager->begin);
        pager->count--;
        pager->moves++;
    }
    return true;
}

static enum engine_result read_once(struct pager *pager, const struct engine_ops *ops,
                                    struct engine *engine, char error[static ENGINE_ERROR_SIZE])
{
    const struct engine_reading reading = {begin_page, {take_record, pager}};
    pager->begin = pager->end = pager->count = pager->moves = 0;
    pager->again = false;
    struct record_meta meta = {.stream_id = 0};
    const enum engine_result result =
        ops->read_channel(engine, pager->read->channel, reading, &meta, error);
    pager->meta = meta;
    return result;
}

/* Of a window that has all the newest ones, those that the page may have. */
static void cut(struct pager *pager)
{
    const size_t end = pager->end;
    const uint32_t count = pager->count;
    size_t at = pager->begin;
    for (pager->count = 0; pager->count < count; pager->count++) {
        const size_t size = size_at(pager, at);
        if (page_is_full(pager->read, pager->count, at + size - pager->begin)) {
            pager->more = true;
            break;
        }
        at += size;
    }
    CHECK(at <= end);
    pager->end = at;
}

struct wire_page pager_fill(const struct engine_ops *ops, struct engine *engine,
                            const struct wire_read *read, uint8_t *room,
                            char error[static ENGINE_ERROR_SIZE])
{
    struct pager pager = {.read = read, .room = room, .slides = read->newest};
    enum engine_result result = read_once(&pager, ops, engine, error);
    if (result == ENGINE_OK && pager.again) {
        pager.slides = false;
        result = read_once(&pager, ops, engine, error);
    }
    const struct record_meta *const meta = &pager.meta;
    struct wire_page page = {.result = engine_wire_result(result), .stream = meta->stream};
    if (result != ENGINE_OK) {
        return page;
    }
    if (pager.gap || (!pager.more && pager.expected <= meta->stream.top)) {
        (void)snprintf(error, ENGINE_ERROR_SIZE, "record %llu of stream %llu is missing",
                       (unsigned long long)pager.expected, (unsigned long long)meta->stream_id);
        page.result = WIRE_DAMAGED;
        return page;
    }
    if (pager.slides) {
        cut(&pager);
    }
    page.more = pager.more;
    page.count = pager.count;
    page.records = (struct bytes){room + pager.begin, pager.end - pager.begin};
    return page;
}
