/* SPDX-License-Identifier: Apache-2.0 */
#include "core/table.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

/*
 * Linear probing: neighbours share cache lines, and the stored hash spares nearly every look at
 * a key. Removing shifts the cluster back instead of leaving a tombstone, so a table in which
 * things come and go for months is as good as a new one.
 */

enum { SLOT_COUNT_MIN = 16 };

struct entry {
    uint64_t hash;
    void *value; /* NULL: the slot is free */
};

struct table {
    struct entry *entries; /* NULL until the first insert */
    size_t slot_count;     /* a power of two, or 0 */
    size_t count;
    unsigned shift; /* 64 - log2(slot_count) */
    uint64_t probe_count;
    struct bytes (*key_of)(const void *value);
};

/*
 * The high bits of a multiple by an odd constant (2^64 / golden ratio) depend on all bits of the
 * hash. The low bits alone would not do: all channels of one home may have the same ones.
 */
static size_t slot_of(const struct table *table, uint64_t hash)
{
    return (size_t)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> table->shift);
}

static size_t slot_after(const struct table *table, size_t slot)
{
    return (slot + 1) & (table->slot_count - 1);
}

static bool keys_are_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The entry with this key, or NULL. */
static struct entry *entry_of(const struct table *table, uint64_t hash, struct bytes key)
{
    if (table->count == 0) {
        return NULL;
    }
    for (size_t slot = slot_of(table, hash); table->entries[slot].value != NULL;
         slot = slot_after(table, slot)) {
        struct entry *entry = &table->entries[slot];
        if (entry->hash == hash && keys_are_equal(table->key_of(entry->value), key)) {
            return entry;
        }
    }
    return NULL;
}

/* There is a free slot: the table is never more than 3/4 full. */
static void put(struct table *table, uint64_t hash, void *value)
{
    size_t slot = slot_of(table, hash);
    table->probe_count++;
    while (table->entries[slot].value != NULL) {
        slot = slot_after(table, slot);
        table->probe_count++;
    }
    table->entries[slot] = (struct entry){.hash = hash, .value = value};
}

/* -ENOMEM, and nothing changed, or 0. */
static int resize(struct table *table, size_t slot_count)
{
    struct entry *entries = calloc(slot_count, sizeof(*entries));
    if (entries == NULL) {
        return -ENOMEM;
    }
    struct entry *old_entries = table->entries;
    const size_t old_slot_count = table->slot_count;
    table->entries = entries;
    table->slot_count = slot_count;
    table->shift = 64 - (unsigned)__builtin_ctzll(slot_count);
    for (size_t i = 0; i < old_slot_count; i++) {
        if (old_entries[i].value != NULL) {
            put(table, old_entries[i].hash, old_entries[i].value);
        }
    }
    free(old_entries);
    return 0;
}

struct table *table_create(struct bytes (*key_of)(const void *value))
{
    CHECK(key_of != NULL);

    struct table *table = calloc(1, sizeof(*table));
    if (table != NULL) {
        table->key_of = key_of;
    }
    return table;
}

void table_destroy(struct table *table)
{
    if (table != NULL) {
        free(table->entries);
        free(table);
    }
}

void *table_find(const struct table *table, uint64_t hash, struct bytes key)
{
    CHECK(table != NULL);

    const struct entry *entry = entry_of(table, hash, key);
    return entry != NULL ? entry->value : NULL;
}

int table_insert(struct table *table, uint64_t hash, void *value)
{
    CHECK(table != NULL);
    CHECK(value != NULL);
    DCHECK(entry_of(table, hash, table->key_of(value)) == NULL);

    if (table->count + 1 > table->slot_count - table->slot_count / 4) {
        const size_t wanted = table->slot_count == 0 ? SLOT_COUNT_MIN : table->slot_count * 2;
        const int result = resize(table, wanted);
        if (result != 0) {
            return result;
        }
    }
    put(table, hash, value);
    table->count++;
    return 0;
}

/*
 * Frees a slot, and moves back what had to go past it: an entry further on in the cluster may
 * fill the hole unless its own first slot lies after the hole.
 */
static void close_gap(struct table *table, size_t hole)
{
    size_t slot = hole;
    for (;;) {
        slot = slot_after(table, slot);
        const struct entry *entry = &table->entries[slot];
        if (entry->value == NULL) {
            break;
        }
        const size_t mask = table->slot_count - 1;
        const size_t distance_home = (slot - slot_of(table, entry->hash)) & mask;
        const size_t distance_hole = (slot - hole) & mask;
        if (distance_home >= distance_hole) {
            table->entries[hole] = *entry;
            hole = slot;
        }
    }
    table->entries[hole] = (struct entry){.hash = 0, .value = NULL};
}

void *table_remove(struct table *table, uint64_t hash, struct bytes key)
{
    CHECK(table != NULL);

    struct entry *entry = entry_of(table, hash, key);
    if (entry == NULL) {
        return NULL;
    }
    void *value = entry->value;
    close_gap(table, (size_t)(entry - table->entries));
    table->count--;
    if (table->slot_count > SLOT_COUNT_MIN && table->count < table->slot_count / 8) {
        /* Without memory for the smaller one the larger one stays: as good, only larger. */
        (void)resize(table, table->slot_count / 2);
    }
    return value;
}

size_t table_count(const struct table *table)
{
    CHECK(table != NULL);

    return table->count;
}

void *table_next(const struct table *table, size_t *cursor)
{
    CHECK(table != NULL);
    CHECK(cursor != NULL);

    while (*cursor < table->slot_count) {
        void *value = table->entries[*cursor].value;
        (*cursor)++;
        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}

uint64_t table_probe_count(const struct table *table)
{
    CHECK(table != NULL);

    return table->probe_count;
}
