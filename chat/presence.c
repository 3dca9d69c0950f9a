/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list is  |count|size text|size text|...   with numbers of 32 bits.
 * Users are  |client count|hash|hash|...      with 64 bits each; the hashes rise.
 */
#include "chat/presence.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "chat/herald.h"
#include "chat/policy.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/check.h"
#include "core/slab.h"
#include "proto/event.h"
#include "proto/json_writer.h"

static const struct session *session_of(struct slab *sessions, const struct roster_member *member)
{
    const struct session *session = slab_at(sessions, member->session);
    CHECK(session != NULL);
    return session;
}

/* As the policy says now, unless its token has said otherwise. */
static bool is_present(const struct room *room, const struct roster_member *member)
{
    return member->traits.is_shown || (room->policy->presence && !member->traits.is_hidden);
}

/* -- lists ------------------------------------------------------------------------------------- */

static void write_member(struct json_writer *writer, const struct session *session,
                         const struct roster_member *member)
{
    uint8_t id[SESSION_ID_TEXT_SIZE];
    const struct session_subscription *subscription = &session->subscriptions[member->subscription];
    const struct event_client_info info =
        session_describe(session->id, session_cards(session, subscription), id);
    event_write_member(writer, &info);
}

static size_t member_size(const struct session *session, const struct roster_member *member)
{
    struct json_writer measure;
    json_writer_init(&measure, (struct span){NULL, 0});
    write_member(&measure, session, member);
    return measure.size;
}

/* A list that is being written. */
struct list {
    struct blob *blob;     /* NULL: only measured */
    struct herald *herald; /* for the members in it; NULL: nobody is told when they leave */
    struct slab *sessions;
    const struct presence_limits *limits;
    uint32_t count;
    size_t bytes; /* of the texts, and a comma for each */
    size_t size;  /* of the blob */
};

/* False: it is full, or there is no memory to remember that the member is in it. */
static bool list_add(struct list *list, struct roster_member *member)
{
    const struct session *session = session_of(list->sessions, member);
    const uint32_t size = (uint32_t)member_size(session, member);

    if (list->count == list->limits->count_max ||
        list->bytes + size + 1 > list->limits->bytes_max ||
        (list->herald != NULL && !herald_mark_known(list->herald, member))) {
        return false;
    }
    if (list->blob != NULL) {
        struct json_writer writer;
        memcpy(list->blob->data + list->size, &size, sizeof(size));
        json_writer_init(&writer,
                         (struct span){list->blob->data + list->size + sizeof(size), size});
        write_member(&writer, session, member);
        CHECK(json_writer_fits(&writer));
    }
    list->count++;
    list->bytes += size + 1;
    list->size += sizeof(size) + size;
    return true;
}

/* Those that the others were told of first: where there are too many, they are the sample. */
static void list_fill(struct list *list, struct room *room)
{
    for (int told = 1; told >= 0; told--) {
        for (uint32_t i = 0; i < room->member_count; i++) {
            struct roster_member *member = &room->members[i];
            if (member->is_told != (told == 1) || !is_present(room, member)) {
                continue;
            }
            if (!list_add(list, member)) {
                return;
            }
        }
    }
}

struct blob *presence_list(struct room *room, struct slab *sessions,
                           const struct presence_limits *limits, struct blob_pool *pool)
{
    struct list measured = {
        .herald = room->herald,
        .sessions = sessions,
        .limits = limits,
        .size = sizeof(uint32_t),
    };

    list_fill(&measured, room);
    /* The same members, who are remembered by now; no more, though there may be memory again. */
    const struct presence_limits measured_limits = {measured.count, limits->bytes_max};
    struct list list = {
        .blob = blob_create(pool, measured.size),
        .sessions = sessions,
        .limits = &measured_limits,
        .size = sizeof(uint32_t),
    };
    if (list.blob == NULL) {
        return NULL;
    }
    list_fill(&list, room);
    CHECK(list.size == measured.size);
    memcpy(list.blob->data, &list.count, sizeof(list.count));
    list.blob->end = (uint32_t)list.size;
    return list.blob;
}

/* -- users ------------------------------------------------------------------------------------- */

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Rising, each once. Returns how many are left. */
static size_t sort_out(uint64_t *hashes, size_t count)
{
    size_t kept = 0;

    qsort(hashes, count, sizeof(*hashes), compare_hashes);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || hashes[kept - 1] != hashes[i]) {
            hashes[kept++] = hashes[i];
        }
    }
    return kept;
}

struct blob *presence_users(const struct room *room, struct slab *sessions, struct blob_pool *pool)
{
    uint64_t client_count = 0;
    const size_t head = sizeof(client_count);
    uint64_t *hashes = malloc(room->member_count * sizeof(*hashes));
    if (hashes == NULL) {
        return NULL;
    }
    size_t count = 0;
    for (uint32_t i = 0; i < room->member_count; i++) {
        if (!is_present(room, &room->members[i])) {
            continue;
        }
        client_count++;
        const uint64_t hash = session_user_hash(session_of(sessions, &room->members[i]));
        if (count == 0 || hashes[count - 1] != hash) {
            hashes[count++] = hash;
        }
    }
    count = sort_out(hashes, count);
    struct blob *blob = blob_create(pool, head + count * sizeof(*hashes));
    if (blob != NULL) {
        memcpy(blob->data, &client_count, head);
        memcpy(blob->data + head, hashes, count * sizeof(*hashes));
        blob->end = (uint32_t)(head + count * sizeof(*hashes));
    }
    free(hashes);
    return blob;
}

/* -- together ---------------------------------------------------------------------------------- */

static uint32_t take_uint32(const uint8_t **at)
{
    uint32_t number;
    memcpy(&number, *at, sizeof(number));
    *at += sizeof(number);
    return number;
}

size_t presence_size(struct presence_parts parts, const struct presence_limits *limits)
{
    size_t size = 0;
    for (size_t i = 0; i < parts.count; i++) {
        size += blob_bytes(parts.list[i]).size;
    }
    return size < limits->bytes_max ? size : limits->bytes_max;
}

void presence_write(struct json_writer *writer, struct presence_parts parts,
                    const struct presence_limits *limits)
{
    uint32_t written = 0;
    size_t bytes = 0;

    for (size_t i = 0; i < parts.count; i++) {
        const uint8_t *at = parts.list[i]->data;
        for (uint32_t left = take_uint32(&at); left > 0; left--) {
            const uint32_t size = take_uint32(&at);
            bytes += size + 1;
            if (written == limits->count_max || bytes > limits->bytes_max) {
                return;
            }
            if (written > 0) {
                json_writer_text(writer, ",");
            }
            json_writer_raw(writer, (struct bytes){at, size});
            written++;
            at += size;
        }
    }
}

/* The next hash of a part, which is not read to its end. */
static uint64_t hash_of(const struct blob *part)
{
    uint64_t hash;
    memcpy(&hash, part->data + part->begin, sizeof(hash));
    return hash;
}

/* The least hash that is next in some part, taken from all that have it. False: none is left. */
static bool take_least(struct presence_parts parts)
{
    uint64_t least = UINT64_MAX;
    bool found = false;

    for (size_t i = 0; i < parts.count; i++) {
        if (parts.list[i]->begin < parts.list[i]->end) {
            const uint64_t hash = hash_of(parts.list[i]);
            least = hash < least ? hash : least;
            found = true;
        }
    }
    for (size_t i = 0; i < parts.count; i++) {
        if (parts.list[i]->begin < parts.list[i]->end && hash_of(parts.list[i]) == least) {
            parts.list[i]->begin += (uint32_t)sizeof(least);
        }
    }
    return found;
}

struct presence_numbers presence_count(struct presence_parts parts)
{
    struct presence_numbers numbers = {.client_count = 0};

    for (size_t i = 0; i < parts.count; i++) {
        numbers.client_count += (uint32_t)hash_of(parts.list[i]); /* the first number is no hash */
        parts.list[i]->begin += (uint32_t)sizeof(uint64_t);
    }
    while (take_least(parts)) {
        numbers.user_count++;
    }
    return numbers;
}
