/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/directory.h"

#include <errno.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/slab.h"
#include "core/table.h"

/* What a slot holds: a pointer, for the objects differ in size. */
struct place {
    void *object;
};

struct directory {
    struct table *by_name;
    struct slab *places; /* objects are struct place */
    struct bytes (*name_of)(const void *object);
    uint16_t reactor;
};

int directory_create(uint16_t reactor, uint32_t count_max,
                     struct bytes (*name_of)(const void *object), struct directory **directory)
{
    CHECK(count_max > 0);
    CHECK(name_of != NULL);

    struct directory *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->name_of = name_of;
    created->reactor = reactor;
    created->by_name = table_create(name_of);
    if (created->by_name == NULL) {
        goto free_created;
    }
    created->places = slab_create(sizeof(struct place), count_max);
    if (created->places == NULL) {
        goto destroy_table;
    }
    *directory = created;
    return 0;

destroy_table:
    table_destroy(created->by_name);
free_created:
    free(created);
    return -ENOMEM;
}

void directory_destroy(struct directory *directory)
{
    if (directory == NULL) {
        return;
    }
    CHECK(directory_count(directory) == 0);
    table_destroy(directory->by_name);
    slab_destroy(directory->places);
    free(directory);
}

void *directory_find(const struct directory *directory, uint64_t hash, struct bytes name)
{
    return table_find(directory->by_name, hash, name);
}

int directory_add(struct directory *directory, uint64_t hash, void *object, uint32_t *slot)
{
    uint32_t taken = 0;
    struct place *place = slab_take(directory->places, &taken);
    if (place == NULL) {
        return -ENOMEM;
    }
    place->object = object;
    if (table_insert(directory->by_name, hash, object) != 0) {
        slab_give(directory->places, taken);
        return -ENOMEM;
    }
    *slot = taken;
    return 0;
}

void directory_remove(struct directory *directory, uint64_t hash, const void *object, uint32_t slot)
{
    CHECK(directory_slot(directory, slot) == object);
    const void *removed = table_remove(directory->by_name, hash, directory->name_of(object));
    CHECK(removed == object);
    slab_give(directory->places, slot);
}

struct ids_handle directory_handle(const struct directory *directory, uint32_t slot)
{
    return (struct ids_handle){
        .slot = slot,
        .generation = slab_generation(directory->places, slot),
        .reactor = directory->reactor,
    };
}

void *directory_at(const struct directory *directory, struct ids_handle handle)
{
    CHECK(handle.reactor == directory->reactor);
    const struct place *place = slab_find(directory->places, handle.slot, handle.generation);
    return place == NULL ? NULL : place->object;
}

void *directory_slot(const struct directory *directory, uint32_t slot)
{
    const struct place *place = slab_at(directory->places, slot);
    return place == NULL ? NULL : place->object;
}

uint32_t directory_slot_end(const struct directory *directory)
{
    return slab_slot_end(directory->places);
}

size_t directory_count(const struct directory *directory)
{
    return slab_count(directory->places);
}
