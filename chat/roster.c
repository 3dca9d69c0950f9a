/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/directory.h"
#include "chat/herald.h"
#include "core/check.h"

enum {
    FIRST_CAPACITY = 4,   /* members */
    SHRINK_CAPACITY = 64, /* members; smaller arrays are not worth giving back */
};

struct roster {
    struct directory *rooms; /* objects are struct room */
    size_t bytes;            /* of rooms and their members */
};

static struct bytes name_of(const void *value)
{
    return room_name(value);
}

int roster_create(uint16_t reactor, uint32_t room_count_max, struct roster **roster)
{
    struct roster *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    const int result = directory_create(reactor, room_count_max, name_of, &created->rooms);
    if (result != 0) {
        free(created);
        return result;
    }
    *roster = created;
    return 0;
}

void roster_destroy(struct roster *roster)
{
    if (roster == NULL) {
        return;
    }
    directory_destroy(roster->rooms);
    free(roster);
}

struct room *roster_find(struct roster *roster, uint64_t hash, struct bytes name)
{
    return directory_find(roster->rooms, hash, name);
}

struct room *roster_open(struct roster *roster, uint64_t hash, struct bytes name,
                         const struct policy *policy, uint16_t home)
{
    CHECK(name.size > 0 && name.size <= UINT8_MAX);

    struct room *room = calloc(1, sizeof(*room) + name.size);
    if (room == NULL) {
        return NULL;
    }
    room->roster = roster;
    room->hash = hash;
    room->policy = policy;
    room->home = home;
    room->state = ROOM_JOINING;
    room->name_size = (uint8_t)name.size;
    memcpy(room->name, name.data, name.size);

    if (directory_add(roster->rooms, hash, room, &room->slot) != 0) {
        free(room);
        return NULL;
    }
    roster->bytes += sizeof(*room) + name.size;
    return room;
}

void roster_close(struct roster *roster, struct room *room)
{
    CHECK(room->member_count == 0);
    CHECK(room->waiter_count == 0);

    if (list_is_linked(&room->recovering)) {
        list_remove(&room->recovering);
    }
    directory_remove(roster->rooms, room->hash, room, room->slot);
    herald_destroy(room->herald);
    roster->bytes -= room->member_capacity * sizeof(*room->members);
    roster->bytes -= sizeof(*room) + room->name_size;
    free(room->members);
    free(room);
}

struct ids_handle roster_handle(const struct roster *roster, const struct room *room)
{
    return directory_handle(roster->rooms, room->slot);
}

struct room *roster_at(struct roster *roster, struct ids_handle handle)
{
    return directory_at(roster->rooms, handle);
}

struct room *roster_slot(struct roster *roster, uint32_t slot)
{
    struct room *room = directory_slot(roster->rooms, slot);
    CHECK(room != NULL);
    return room;
}

uint32_t roster_slot_end(const struct roster *roster)
{
    return directory_slot_end(roster->rooms);
}

const struct room *roster_peek(const struct roster *roster, uint32_t slot)
{
    return directory_slot(roster->rooms, slot);
}

static int resize(struct room *room, uint32_t capacity)
{
    struct roster_member *members = realloc(room->members, capacity * sizeof(*members));
    if (members == NULL) {
        return -ENOMEM;
    }
    room->roster->bytes -= room->member_capacity * sizeof(*members);
    room->roster->bytes += capacity * sizeof(*members);
    room->members = members;
    room->member_capacity = capacity;
    return 0;
}

int roster_add(struct room *room, struct roster_member member)
{
    if (room->member_count == room->member_capacity) {
        CHECK(room->member_capacity <= UINT32_MAX / 2);
        const uint32_t capacity =
            room->member_capacity == 0 ? FIRST_CAPACITY : 2 * room->member_capacity;
        if (resize(room, capacity) != 0) {
            return -ENOMEM;
        }
    }
    room->members[room->member_count++] = member;
    room->discreet_count += member.traits.is_discreet;
    return 0;
}

bool roster_remove(struct room *room, uint32_t index)
{
    CHECK(index < room->member_count);
    const uint32_t last = --room->member_count;

    room->discreet_count -= room->members[index].traits.is_discreet;
    room->members[index] = room->members[last];
    if (room->member_capacity > SHRINK_CAPACITY && room->member_count < room->member_capacity / 4) {
        /* Shrinking in place; if it fails, the larger array is as good. */
        (void)resize(room, room->member_capacity / 2);
    }
    return index != last;
}

int roster_add_waiter(struct room *room, struct roster_waiter waiter)
{
    if (room->waiter_count == room->waiter_capacity) {
        CHECK(room->waiter_capacity <= UINT32_MAX / 2);
        const uint32_t capacity =
            room->waiter_capacity == 0 ? FIRST_CAPACITY : 2 * room->waiter_capacity;
        struct roster_waiter *grown = realloc(room->waiters, capacity * sizeof(*grown));
        if (grown == NULL) {
            return -ENOMEM;
        }
        room->waiters = grown;
        room->waiter_capacity = capacity;
    }
    room->waiters[room->waiter_count++] = waiter;
    return 0;
}

bool roster_remove_waiter(struct room *room, uint32_t index)
{
    CHECK(index < room->waiter_count);
    const uint32_t last = --room->waiter_count;

    room->waiters[index] = room->waiters[last];
    if (last == 0) {
        free(room->waiters);
        room->waiters = NULL;
        room->waiter_capacity = 0;
    }
    return index != last;
}

size_t roster_count(const struct roster *roster)
{
    return directory_count(roster->rooms);
}

size_t roster_bytes(const struct roster *roster)
{
    return roster->bytes;
}
