/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/slab.h"

enum {
    FIRST_CAPACITY = 4,   /* members */
    SHRINK_CAPACITY = 64, /* members; smaller arrays are not worth giving back */
};

struct roster {
    struct table *by_name; /* values are struct room * */
    struct slab *rooms;    /* objects are struct room *, for a room's size depends on its name */
    uint16_t reactor;
};

static struct bytes name_of(const void *value)
{
    return room_name(value);
}

int roster_create(uint16_t reactor, uint32_t room_count_max, struct roster **roster)
{
    CHECK(room_count_max > 0);

    struct roster *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->reactor = reactor;
    created->by_name = table_create(name_of);
    if (created->by_name == NULL) {
        goto free_created;
    }
    created->rooms = slab_create(sizeof(struct room *), room_count_max);
    if (created->rooms == NULL) {
        goto destroy_table;
    }
    *roster = created;
    return 0;

destroy_table:
    table_destroy(created->by_name);
free_created:
    free(created);
    return -ENOMEM;
}

void roster_destroy(struct roster *roster)
{
    if (roster == NULL) {
        return;
    }
    CHECK(slab_count(roster->rooms) == 0);
    table_destroy(roster->by_name);
    slab_destroy(roster->rooms);
    free(roster);
}

struct room *roster_find(struct roster *roster, uint64_t hash, struct bytes name)
{
    return table_find(roster->by_name, hash, name);
}

struct room *roster_open(struct roster *roster, uint64_t hash, struct bytes name, uint16_t home)
{
    CHECK(name.size > 0 && name.size <= UINT8_MAX);

    struct room *room = calloc(1, sizeof(*room) + name.size);
    if (room == NULL) {
        return NULL;
    }
    room->hash = hash;
    room->home = home;
    room->state = ROOM_JOINING;
    room->name_size = (uint8_t)name.size;
    memcpy(room->name, name.data, name.size);

    struct room **place = slab_take(roster->rooms, &room->slot);
    if (place == NULL) {
        goto free_room;
    }
    *place = room;
    if (table_insert(roster->by_name, hash, room) != 0) {
        goto give_slot;
    }
    return room;

give_slot:
    slab_give(roster->rooms, room->slot);
free_room:
    free(room);
    return NULL;
}

void roster_close(struct roster *roster, struct room *room)
{
    CHECK(room->member_count == 0);

    struct room *removed = table_remove(roster->by_name, room->hash, room_name(room));
    CHECK(removed == room);
    slab_give(roster->rooms, room->slot);
    free(room->members);
    free(room);
}

struct ids_handle roster_handle(const struct roster *roster, const struct room *room)
{
    return (struct ids_handle){
        .slot = room->slot,
        .generation = slab_generation(roster->rooms, room->slot),
        .reactor = roster->reactor,
    };
}

struct room *roster_at(struct roster *roster, struct ids_handle handle)
{
    CHECK(handle.reactor == roster->reactor);
    struct room **place = slab_find(roster->rooms, handle.slot, handle.generation);
    return place == NULL ? NULL : *place;
}

struct room *roster_slot(struct roster *roster, uint32_t slot)
{
    struct room **place = slab_at(roster->rooms, slot);
    CHECK(place != NULL);
    return *place;
}

static int resize(struct room *room, uint32_t capacity)
{
    struct roster_member *members = realloc(room->members, capacity * sizeof(*members));
    if (members == NULL) {
        return -ENOMEM;
    }
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
    return 0;
}

bool roster_remove(struct room *room, uint32_t index)
{
    CHECK(index < room->member_count);
    const uint32_t last = --room->member_count;

    room->members[index] = room->members[last];
    if (room->member_capacity > SHRINK_CAPACITY && room->member_count < room->member_capacity / 4) {
        /* Shrinking in place; if it fails, the larger array is as good. */
        (void)resize(room, room->member_capacity / 2);
    }
    return index != last;
}

size_t roster_count(const struct roster *roster)
{
    return slab_count(roster->rooms);
}
