/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/archive_post.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

struct archive_batch *archive_post_create_batch(uint32_t run_capacity, uint32_t entry_capacity)
{
    CHECK(run_capacity > 0 && entry_capacity >= run_capacity);

    struct archive_batch *const batch = calloc(1, sizeof(*batch));
    if (batch == NULL) {
        return NULL;
    }
    batch->runs = calloc(run_capacity, sizeof(batch->runs[0]));
    batch->entries = calloc(entry_capacity, sizeof(batch->entries[0]));
    batch->run_capacity = run_capacity;
    batch->entry_capacity = entry_capacity;
    if (batch->runs == NULL || batch->entries == NULL) {
        archive_post_destroy_batch(batch);
        return NULL;
    }
    return batch;
}

void archive_post_destroy_batch(struct archive_batch *batch)
{
    if (batch != NULL) {
        free(batch->runs);
        free(batch->entries);
        free(batch);
    }
}

struct archive_run *archive_post_add_run(struct archive_batch *batch, struct archive_run run)
{
    CHECK(batch->run_count < batch->run_capacity);

    struct archive_run *const added = &batch->runs[batch->run_count++];
    *added = run;
    added->first = batch->entry_count;
    added->count = 0;
    return added;
}

void archive_post_add_entry(struct archive_batch *batch, struct archive_entry entry)
{
    CHECK(batch->run_count > 0);
    CHECK(batch->entry_count < batch->entry_capacity);

    batch->entries[batch->entry_count++] = entry;
    batch->runs[batch->run_count - 1].count++;
}

struct archive_page *archive_post_create_page(struct bytes channel)
{
    CHECK(channel.size > 0 && channel.size <= ARCHIVE_NAME_SIZE_MAX);

    struct archive_page *const page = calloc(1, sizeof(*page));
    if (page != NULL) {
        page->channel_size = (uint8_t)channel.size;
        memcpy(page->channel, channel.data, channel.size);
    }
    return page;
}

void archive_post_destroy_page(struct archive_page *page)
{
    if (page != NULL) {
        free(page->records);
        free(page);
    }
}

/* The records, and behind them the bytes that they view. */
bool archive_post_reserve(struct archive_page *page, uint32_t count, size_t size)
{
    CHECK(page->records == NULL);
    page->records = malloc(count * sizeof(page->records[0]) + size);
    if (page->records == NULL) {
        return false;
    }
    page->record_capacity = count;
    page->bytes_room = size;
    page->bytes = (uint8_t *)&page->records[count];
    return true;
}

void archive_post_add_record(struct archive_page *page, struct archive_record record)
{
    CHECK(page->record_count < page->record_capacity);
    CHECK(record.value.size <= page->bytes_room);

    memcpy(page->bytes, record.value.data, record.value.size);
    record.value.data = page->bytes;
    page->bytes += record.value.size;
    page->bytes_room -= record.value.size;
    page->records[page->record_count++] = record;
}
