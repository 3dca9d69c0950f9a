/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table_find (with its hash) of names that are there, in a random order, and remove with insert.
 * At 100k entries the slots do not fit the second-level cache.
 */
#include "core/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "core/check.h"

struct entry {
    size_t size;
    char name[24];
};

struct filled {
    struct table *table;
    struct entry *entries;
    uint64_t count;
    uint32_t random;
};

static const struct table_key key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

static struct bytes entry_key(const void *value)
{
    const struct entry *entry = value;
    return (struct bytes){(const uint8_t *)entry->name, entry->size};
}

static void *filled_setup(const struct micro_case *row)
{
    struct filled *filled = malloc(sizeof(*filled));
    CHECK(filled != NULL);
    *filled = (struct filled){
        .table = table_create(entry_key),
        .entries = calloc(row->size, sizeof(struct entry)),
        .count = row->size,
        .random = 2463534242,
    };
    CHECK(filled->table != NULL);
    CHECK(filled->entries != NULL);
    for (uint64_t i = 0; i < filled->count; i++) {
        struct entry *entry = &filled->entries[i];
        entry->size = (size_t)snprintf(entry->name, sizeof(entry->name), "room:%u", (unsigned)i);
        const int inserted = table_insert(filled->table, table_hash(&key, entry_key(entry)), entry);
        CHECK(inserted == 0);
    }
    return filled;
}

static void filled_teardown(void *context)
{
    struct filled *filled = context;
    table_destroy(filled->table);
    free(filled->entries);
    free(filled);
}

static struct entry *any_entry(struct filled *filled)
{
    return &filled->entries[micro_random(&filled->random) % filled->count];
}

static void find_run(void *context, uint64_t iterations)
{
    struct filled *filled = context;
    for (uint64_t i = 0; i < iterations; i++) {
        const struct bytes name = entry_key(any_entry(filled));
        const void *found = table_find(filled->table, table_hash(&key, name), name);
        CHECK(found != NULL);
    }
}

static void replace_run(void *context, uint64_t iterations)
{
    struct filled *filled = context;
    for (uint64_t i = 0; i < iterations; i++) {
        const struct bytes name = entry_key(any_entry(filled));
        const uint64_t hash = table_hash(&key, name);
        void *removed = table_remove(filled->table, hash, name);
        CHECK(removed != NULL);
        const int inserted = table_insert(filled->table, hash, removed);
        CHECK(inserted == 0);
    }
}

#define CASE(what, entries)                                                                        \
    {                                                                                              \
        .name = "core/table/" #what "/" #entries, .setup = filled_setup, .run = what##_run,        \
        .teardown = filled_teardown, .size = (entries)                                             \
    }

const struct micro_case table_micro_cases[] = {
    CASE(find, 10),      CASE(find, 1000),      CASE(find, 100000), CASE(replace, 10),
    CASE(replace, 1000), CASE(replace, 100000), {.name = NULL},
};
