/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which channels have subscribers, and how many: each reactor lists its rooms, and who asked adds
 * them up.
 *
 * A part is  |count|size|name|count|size|name|...   with a number of 32 bits and a size of 8.
 */
#include <stdlib.h>
#include <string.h>

#include "chat/hub_state.h"
#include "chat/roster.h"
#include "core/blob.h"
#include "core/check.h"
#include "core/metrics.h"
#include "proto/json_writer.h"

enum { AROUND_NAME = sizeof(uint32_t) + 1 };

struct line {
    struct bytes name;
    uint32_t count;
};

/* '*' is any text, '?' any character. Goes back to the last '*' only: that is always enough. */
static bool matches(struct bytes pattern, struct bytes text)
{
    size_t p = 0;
    size_t star = SIZE_MAX;
    size_t after = 0; /* where the text goes on behind what the star stands for */

    for (size_t t = 0; t < text.size;) {
        if (p < pattern.size && pattern.data[p] == '*') {
            star = p++;
            after = t;
        } else if (p < pattern.size &&
                   (pattern.data[p] == '?' || pattern.data[p] == text.data[t])) {
            p++;
            t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++after;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.data[p] == '*') {
        p++;
    }
    return p == pattern.size;
}

static bool is_listed(const struct room *room, struct bytes pattern)
{
    return room != NULL && room->member_count > 0 &&
           (pattern.size == 0 || matches(pattern, room_name(room)));
}

enum codes_error hub_list_channels(struct hub *hub, struct bytes pattern, struct blob **part)
{
    size_t size = 0;
    *part = NULL;
    for (uint32_t slot = 0; slot < roster_slot_end(hub->roster); slot++) {
        const struct room *room = roster_peek(hub->roster, slot);
        size += is_listed(room, pattern) ? (size_t)AROUND_NAME + room->name_size : 0U;
    }
    if (size > hub->options.list_bytes_max) {
        return CODES_ERROR_LIMIT_EXCEEDED;
    }
    *part = size == 0 ? NULL : blob_create(hub->options.pool, size);
    if (*part == NULL) {
        return size == 0 ? CODES_ERROR_NONE : CODES_ERROR_INTERNAL;
    }
    uint8_t *at = (*part)->data;
    for (uint32_t slot = 0; slot < roster_slot_end(hub->roster); slot++) {
        const struct room *room = roster_peek(hub->roster, slot);
        if (is_listed(room, pattern)) {
            memcpy(at, &room->member_count, sizeof(room->member_count));
            at[sizeof(room->member_count)] = room->name_size;
            memcpy(at + AROUND_NAME, room->name, room->name_size);
            at += AROUND_NAME + room->name_size;
        }
    }
    (*part)->end = (uint32_t)size;
    return CODES_ERROR_NONE;
}

/* -- together ---------------------------------------------------------------------------------- */

/* The lines of all parts, into `lines` if that is not NULL. How many there are. */
static size_t read_lines(struct presence_parts parts, struct line *lines)
{
    size_t count = 0;
    for (size_t i = 0; i < parts.count; i++) {
        const uint8_t *at = parts.list[i]->data;
        const uint8_t *const end = at + blob_bytes(parts.list[i]).size;
        while (at < end) {
            const struct bytes name = {at + AROUND_NAME, at[sizeof(uint32_t)]};
            if (lines != NULL) {
                lines[count].name = name;
                memcpy(&lines[count].count, at, sizeof(uint32_t));
            }
            count++;
            at += AROUND_NAME + name.size;
        }
    }
    return count;
}

static int compare(const void *a, const void *b)
{
    const struct line *left = a;
    const struct line *right = b;
    const size_t size = left->name.size < right->name.size ? left->name.size : right->name.size;
    const int order = memcmp(left->name.data, right->name.data, size);
    return order != 0 ? order
                      : (left->name.size > right->name.size) - (left->name.size < right->name.size);
}

/* Each channel once, with the sum of its lines. How many are left. */
static size_t add_up(struct line *lines, size_t count)
{
    size_t kept = 0;
    qsort(lines, count, sizeof(*lines), compare);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && compare(&lines[kept - 1], &lines[i]) == 0) {
            lines[kept - 1].count += lines[i].count;
        } else {
            lines[kept++] = lines[i];
        }
    }
    return kept;
}

size_t hub_channels_size(struct presence_parts parts)
{
    enum { AROUND = sizeof("\"\":{\"num_clients\":4294967295},") };
    size_t size = 0;
    for (size_t i = 0; i < parts.count; i++) {
        /* A name is ASCII, of which '"' and '\\' take two bytes. */
        size += 2 * blob_bytes(parts.list[i]).size;
    }
    return size + read_lines(parts, NULL) * AROUND;
}

bool hub_write_channels(struct json_writer *writer, struct presence_parts parts)
{
    const size_t count = read_lines(parts, NULL);
    struct line *lines = malloc((count + 1) * sizeof(*lines));
    if (lines == NULL) {
        return false;
    }
    (void)read_lines(parts, lines);
    const size_t kept = add_up(lines, count);
    for (size_t i = 0; i < kept; i++) {
        json_writer_text(writer, i > 0 ? "," : "");
        json_writer_string(writer, lines[i].name);
        json_writer_text(writer, ":{\"num_clients\":");
        json_writer_uint64(writer, lines[i].count);
        json_writer_text(writer, "}");
    }
    free(lines);
    return true;
}
