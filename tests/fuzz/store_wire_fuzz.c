/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: what one side of the store's socketpair says. Frames are taken from its start as long as
 * there are some, each body from an exact-size copy, by the reader of its type. What was read is
 * written again and must give the same bytes; a prefix of a complete frame only asks for more.
 */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "store/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[WIRE_BODY_SIZE_MAX];

static void check_again(struct bytes body, size_t size)
{
    CHECK(size == body.size);
    CHECK(memcmp(again, body.data, size) == 0);
}

static void try_batch(struct bytes body)
{
    static struct wire_entry entries[WIRE_ENTRY_COUNT_MAX];
    struct wire_batch batch;
    if (wire_read_batch(body, &batch) != WIRE_OK) {
        return;
    }
    const enum wire_durability durability = batch.durability;
    size_t count = 0;
    while (batch.count > 0) {
        if (wire_next_entry(&batch, &entries[count]) != WIRE_OK) {
            return;
        }
        count++;
    }
    CHECK(wire_batch_size(entries, count) == body.size);
    wire_write_batch(durability, entries, count, again);
    check_again(body, body.size);
}

static void try_page(struct bytes body)
{
    struct wire_page page;
    if (wire_read_page(body, &page) != WIRE_OK) {
        return;
    }
    size_t size = WIRE_PAGE_HEAD_SIZE;
    uint32_t count = 0;
    struct bytes records = page.records;
    struct wire_record record;
    while (wire_next_record(&records, &record)) {
        size += wire_write_record(&record, again + size);
        count++;
    }
    CHECK(count == page.count && records.size == 0);
    wire_write_page_head(&page, again);
    check_again(body, size);
}

static void try_small(enum wire_type type, struct bytes body)
{
    struct wire_committed committed;
    struct wire_read read;
    struct wire_stats stats;
    if (type == WIRE_COMMITTED && wire_read_committed(body, &committed) == WIRE_OK) {
        check_again(body, wire_write_committed(&committed, again));
    } else if (type == WIRE_READ && wire_read_read(body, &read) == WIRE_OK) {
        check_again(body, wire_write_read(&read, again));
    } else if (type == WIRE_STATS && wire_read_stats(body, &stats) == WIRE_OK) {
        check_again(body, wire_write_stats(&stats, again));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_header header;
    while (wire_read_header((struct bytes){data, size}, &header) == WIRE_OK) {
        const size_t frame = WIRE_HEADER_SIZE + header.body_size;
        struct wire_header none;
        CHECK(frame <= size);
        CHECK(wire_read_header((struct bytes){data, frame - 1}, &none) == WIRE_NEED_MORE);
        uint8_t *const copy = malloc(header.body_size + (header.body_size == 0));
        CHECK(copy != NULL);
        memcpy(copy, data + WIRE_HEADER_SIZE, header.body_size);
        const struct bytes body = {copy, header.body_size};
        if (header.type == WIRE_BATCH) {
            try_batch(body);
        } else if (header.type == WIRE_PAGE) {
            try_page(body);
        } else {
            try_small(header.type, body);
        }
        free(copy);
        data += frame;
        size -= frame;
    }
    return 0;
}
