/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/transcript.h"

#include <stdlib.h>
#include <string.h>

#include "bench/load/splitmix.h"
#include "core/check.h"

struct entry {
    struct transcript_line line;
    size_t start; /* in `bytes` */
    size_t size;
    uint64_t by_stamp; /* nothing of the line's: index of the last one with a stamp of this hash */
};

/* Indices count from the beginning of the run; an entry stands at its index modulo line_count. */
struct transcript {
    struct entry *entries;
    uint8_t *bytes;
    size_t line_count;
    size_t size;    /* of `bytes` */
    uint64_t first; /* oldest line that is still there */
    uint64_t next;  /* behind the newest */
    size_t end;     /* where the next line's bytes begin */
};

struct transcript *transcript_create(size_t line_count, size_t size)
{
    CHECK(line_count > 0 && (line_count & (line_count - 1)) == 0 && size > 0);
    struct transcript *transcript = malloc(sizeof(*transcript));
    if (transcript == NULL) {
        return NULL;
    }
    *transcript = (struct transcript){.entries = calloc(line_count, sizeof(struct entry)),
                                      .bytes = malloc(size),
                                      .line_count = line_count,
                                      .size = size};
    if (transcript->entries == NULL || transcript->bytes == NULL) {
        transcript_destroy(transcript);
        return NULL;
    }
    return transcript;
}

void transcript_destroy(struct transcript *transcript)
{
    if (transcript != NULL) {
        free(transcript->entries);
        free(transcript->bytes);
        free(transcript);
    }
}

static struct entry *entry_at(const struct transcript *transcript, uint64_t index)
{
    return &transcript->entries[index & (transcript->line_count - 1)];
}

const struct transcript_line *transcript_find(const struct transcript *transcript, uint64_t index,
                                              struct bytes message)
{
    if (index < transcript->first || index >= transcript->next) {
        return NULL;
    }
    const struct entry *entry = entry_at(transcript, index);
    if (entry->size != message.size ||
        memcmp(transcript->bytes + entry->start, message.data, message.size) != 0) {
        return NULL;
    }
    return &entry->line;
}

/* Forgets lines until [start, start + size) and the next line's entry are nobody's. */
static void make_room(struct transcript *transcript, size_t start, size_t size)
{
    while (transcript->first < transcript->next) {
        const struct entry *oldest = entry_at(transcript, transcript->first);
        const bool is_in_the_way =
            oldest->start < start + size && start < oldest->start + oldest->size;
        if (!is_in_the_way && transcript->next - transcript->first < transcript->line_count) {
            return;
        }
        transcript->first++;
    }
}

static void append(struct transcript *transcript, struct bytes message, struct transcript_line line)
{
    if (transcript->end + message.size > transcript->size) {
        /* What stands from here to the end of the ring is older than what stands at its start. */
        make_room(transcript, transcript->end, transcript->size - transcript->end);
        transcript->end = 0;
    }
    make_room(transcript, transcript->end, message.size);
    struct entry *entry = entry_at(transcript, transcript->next);
    entry->line = line;
    entry->start = transcript->end;
    entry->size = message.size;
    memcpy(transcript->bytes + transcript->end, message.data, message.size);
    transcript->end += message.size;
    transcript->next++;
}

uint64_t transcript_note(struct transcript *transcript, struct bytes message,
                         struct transcript_line line)
{
    CHECK(message.size > 0);
    if (message.size > transcript->size) {
        return transcript->next;
    }
    const uint64_t hash = splitmix((uint64_t)line.stamp.sender << 32 | line.stamp.number);
    uint64_t *index = &entry_at(transcript, hash)->by_stamp;
    if (transcript_find(transcript, *index, message) == NULL) {
        append(transcript, message, line);
        *index = transcript->next - 1;
    }
    return *index + 1;
}
