/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "chat/roster.h"
#include "core/check.h"

enum {
    MESSAGE_SIZE_MAX = 4096, /* bytes; the longest reply or push that is not a publication */
    ROOMY_ENTRIES = 64,      /* publications that fit whatever the messages were */
    ROOMY_TEXT = 16 * MESSAGE_SIZE_MAX,
    ENOUGH_TEXT = 4 << 20,    /* bytes; what is more waits for the next iteration */
    DISCONNECTS_PER_CONN = 2, /* the hub ends a connection once, and so does who reads it */
};

struct outbox {
    struct outbox_entry *entries;
    uint8_t *text;
    uint32_t count;
    uint32_t text_size;
    uint32_t disconnect_count;
    struct outbox_options options;
};

/* Address space only: a page costs memory once it is touched, and then stays, up to ENOUGH_TEXT. */
static void *reserve(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

static size_t disconnects_max(const struct outbox_options *options)
{
    return (size_t)options->conn_count_max * DISCONNECTS_PER_CONN;
}

static size_t entries_size(const struct outbox_options *options)
{
    return (options->entry_count_max + disconnects_max(options)) * sizeof(struct outbox_entry);
}

int outbox_create(const struct outbox_options *options, struct outbox **outbox)
{
    CHECK(options->entry_count_max > 2 * ROOMY_ENTRIES);
    CHECK(options->text_size_max > ROOMY_TEXT);
    CHECK(options->conn_count_max > 0);

    struct outbox *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    created->entries = reserve(entries_size(options));
    if (created->entries == NULL) {
        goto free_created;
    }
    created->text = reserve(options->text_size_max);
    if (created->text == NULL) {
        goto unmap_entries;
    }
    *outbox = created;
    return 0;

unmap_entries:
    (void)munmap(created->entries, entries_size(options));
free_created:
    free(created);
    return -ENOMEM;
}

void outbox_destroy(struct outbox *outbox)
{
    if (outbox == NULL) {
        return;
    }
    CHECK(outbox->count == 0);
    (void)munmap(outbox->text, outbox->options.text_size_max);
    (void)munmap(outbox->entries, entries_size(&outbox->options));
    free(outbox);
}

static bool has_entry(const struct outbox *outbox, uint32_t needed)
{
    const uint32_t used = outbox->count - outbox->disconnect_count;
    return outbox->options.entry_count_max - used >= needed;
}

bool outbox_is_roomy(const struct outbox *outbox)
{
    return has_entry(outbox, 2 * ROOMY_ENTRIES) && outbox->text_size < ENOUGH_TEXT &&
           outbox->options.text_size_max - outbox->text_size >= ROOMY_TEXT;
}

struct span outbox_begin(struct outbox *outbox)
{
    const size_t left = outbox->options.text_size_max - outbox->text_size;
    const size_t size = left < MESSAGE_SIZE_MAX ? left : MESSAGE_SIZE_MAX;
    const bool fits = has_entry(outbox, 1 + ROOMY_ENTRIES);
    return (struct span){outbox->text + outbox->text_size, fits ? size : 0};
}

struct span outbox_begin_long(struct outbox *outbox, size_t size)
{
    const size_t left = outbox->options.text_size_max - outbox->text_size;
    const bool fits = size <= left && has_entry(outbox, 1 + ROOMY_ENTRIES);
    return (struct span){outbox->text + outbox->text_size, fits ? size : 0};
}

void outbox_commit(struct outbox *outbox, struct conn_id conn, size_t size)
{
    CHECK(size > 0);
    CHECK(size <= outbox->options.text_size_max - outbox->text_size);
    CHECK(has_entry(outbox, 1));

    outbox->entries[outbox->count++] = (struct outbox_entry){
        .kind = OUTBOX_MESSAGE,
        .at = outbox->text_size,
        .size = (uint32_t)size,
        .conn = conn,
    };
    outbox->text_size += (uint32_t)size;
}

void outbox_commit_in_order(struct outbox *outbox, struct conn_id conn, size_t size)
{
    outbox_commit(outbox, conn, size);
    outbox->entries[outbox->count - 1].in_order = true;
}

void outbox_answer(struct outbox *outbox, struct conn_id conn, uint32_t part, uint16_t error,
                   size_t size)
{
    CHECK(size <= outbox->options.text_size_max - outbox->text_size);
    CHECK(has_entry(outbox, 1));

    outbox->entries[outbox->count++] = (struct outbox_entry){
        .kind = OUTBOX_ANSWER,
        .code = error,
        .at = outbox->text_size,
        .size = (uint32_t)size,
        .conn = conn,
        .part = part,
    };
    outbox->text_size += (uint32_t)size;
}

void outbox_disconnect(struct outbox *outbox, struct conn_id conn, uint16_t code)
{
    CHECK(outbox->disconnect_count < disconnects_max(&outbox->options));

    outbox->disconnect_count++;
    outbox->entries[outbox->count++] = (struct outbox_entry){
        .kind = OUTBOX_DISCONNECT,
        .code = code,
        .conn = conn,
    };
}

void outbox_disconnect_with(struct outbox *outbox, struct conn_id conn, uint16_t code,
                            struct bytes reason)
{
    const bool fits = reason.size <= outbox->options.text_size_max - outbox->text_size;
    const size_t size = fits ? reason.size : 0;

    outbox_disconnect(outbox, conn, code);
    struct outbox_entry *entry = &outbox->entries[outbox->count - 1];
    entry->has_reason = true;
    entry->at = outbox->text_size;
    entry->size = (uint32_t)size;
    if (size > 0) {
        memcpy(outbox->text + outbox->text_size, reason.data, size);
        outbox->text_size += (uint32_t)size;
    }
}

void outbox_publish(struct outbox *outbox, struct room *room, struct ids_handle handle,
                    struct blob *blob)
{
    CHECK(has_entry(outbox, 1));

    const uint32_t index = outbox->count++;
    outbox->entries[index] = (struct outbox_entry){
        .kind = OUTBOX_PUBLICATION,
        .room = handle,
        .blob = blob,
    };
    /* The room remembers its last entry of this iteration, so that a run becomes one packet. */
    if (room->outbox_last > 0) {
        outbox->entries[room->outbox_last - 1].next = index + 1;
    }
    room->outbox_last = index + 1;
    room->outbox_count++;
}

void outbox_pass(struct outbox *outbox, struct room *room, struct ids_handle handle,
                 struct blob *blob)
{
    outbox_publish(outbox, room, handle, blob);
    room->outbox_passing++;
}

void outbox_tell(struct outbox *outbox, struct ids_handle room, struct blob *blob)
{
    CHECK(has_entry(outbox, 1));
    outbox->entries[outbox->count++] = (struct outbox_entry){
        .kind = OUTBOX_NEWS,
        .room = room,
        .blob = blob,
    };
}

size_t outbox_count(const struct outbox *outbox)
{
    return outbox->count;
}

struct outbox_entry *outbox_at(struct outbox *outbox, size_t index)
{
    CHECK(index < outbox->count);
    return &outbox->entries[index];
}

struct bytes outbox_text(const struct outbox *outbox, const struct outbox_entry *entry)
{
    CHECK(entry->kind == OUTBOX_MESSAGE || entry->kind == OUTBOX_ANSWER || entry->has_reason);
    return (struct bytes){outbox->text + entry->at, entry->size};
}

void outbox_clear(struct outbox *outbox)
{
    if (outbox->text_size > ENOUGH_TEXT) {
        (void)madvise(outbox->text + ENOUGH_TEXT, outbox->text_size - ENOUGH_TEXT, MADV_DONTNEED);
    }
    outbox->count = 0;
    outbox->disconnect_count = 0;
    outbox->text_size = 0;
}
