/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/page.h"

#include <string.h>

#include "chat/publication.h"
#include "chat/stream.h"
#include "core/blob.h"
#include "core/check.h"

/* What a page begins with; behind it `count` times 32 bits, where each one ends in the text. */
struct head {
    uint64_t first;
    uint64_t top;
    uint32_t count;
    uint32_t order; /* enum page_order */
};

static struct head head_of(const struct blob *page)
{
    struct head head;
    memcpy(&head, page->data, sizeof(head));
    return head;
}

static size_t text_offset(uint32_t count)
{
    return sizeof(struct head) + count * sizeof(uint32_t);
}

/* Where the text of a place ends, from the begin of the text. */
static uint32_t end_of(const struct blob *page, uint32_t place)
{
    uint32_t end;
    memcpy(&end, page->data + text_offset(place), sizeof(end));
    return end;
}

static struct bytes item(const struct stream *stream, struct bytes channel, uint64_t offset)
{
    return publication_alone(stream_at(stream, offset), channel);
}

/* How many of the range fit, from the side that is not to be left out; and the text's size. */
static uint32_t count_items(const struct stream *stream, struct bytes channel,
                            const struct page_range *range, size_t *text_size)
{
    const uint64_t there = range->to - range->from + 1;
    uint32_t count = 0;

    *text_size = 0;
    while (count < range->count_max && count < there) {
        const uint64_t offset =
            range->order == PAGE_FORWARD ? range->from + count : range->to - count;
        const size_t comma = count > 0 ? 1 : 0;
        const size_t size = item(stream, channel, offset).size + comma;
        if (count > 0 && *text_size + size > range->bytes_max) {
            break;
        }
        *text_size += size;
        count++;
    }
    return count;
}

struct blob *page_create(struct blob_pool *pool, const struct stream *stream, struct bytes channel,
                         const struct page_range *range)
{
    size_t text_size;
    const uint32_t count = count_items(stream, channel, range, &text_size);
    struct blob *page = blob_create(pool, text_offset(count) + text_size);
    if (page == NULL) {
        return NULL;
    }
    const struct head head = {
        .first = range->order == PAGE_FORWARD ? range->from : range->to - count + 1,
        .top = stream->top,
        .count = count,
        .order = range->order,
    };
    memcpy(page->data, &head, sizeof(head));
    uint8_t *const text = page->data + text_offset(count);
    uint32_t end = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t offset =
            range->order == PAGE_REVERSE ? head.first + count - 1 - i : head.first + i;
        const struct bytes bytes = item(stream, channel, offset);
        if (i > 0) {
            text[end++] = ',';
        }
        memcpy(text + end, bytes.data, bytes.size);
        end += (uint32_t)bytes.size;
        memcpy(page->data + text_offset(i), &end, sizeof(end));
    }
    CHECK(end == text_size);
    page->end = (uint32_t)(text_offset(count) + text_size);
    return page;
}

uint32_t page_count(const struct blob *page)
{
    return head_of(page).count;
}

uint64_t page_first(const struct blob *page)
{
    return head_of(page).first;
}

uint64_t page_top(const struct blob *page)
{
    return head_of(page).top;
}

struct bytes page_text(const struct blob *page)
{
    const size_t begin = text_offset(page_count(page));
    return (struct bytes){page->data + begin, page->end - begin};
}

struct bytes page_part(const struct blob *page, uint64_t from, uint64_t to)
{
    const struct head head = head_of(page);
    CHECK(head.order == PAGE_FORWARD);
    CHECK(from >= head.first && to + 1 >= from && to < head.first + head.count);

    if (to < from) {
        return (struct bytes){NULL, 0};
    }
    const uint32_t place = (uint32_t)(from - head.first);
    const uint32_t begin = place == 0 ? 0 : end_of(page, place - 1) + 1; /* behind the comma */
    const uint32_t end = end_of(page, (uint32_t)(to - head.first));
    return (struct bytes){page_text(page).data + begin, end - begin};
}
