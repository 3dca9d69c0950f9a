/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/revocations.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/claims.h"
#include "core/check.h"

enum { TEXT_SIZE_MAX = 4096 }; /* bytes: no claim is longer */

struct item {
    uint64_t issued_before_s;
    uint64_t expires_ns;
    size_t size;   /* of the key */
    uint8_t key[]; /* its kind, then its text */
};

struct revocations {
    struct table_key key;
    struct table *table; /* values are struct item */
    uint32_t count_max;
};

static struct bytes key_of(const void *value)
{
    const struct item *item = value;
    return (struct bytes){item->key, item->size};
}

struct revocations *revocations_create(const struct table_key *key, uint32_t count_max)
{
    struct revocations *created = malloc(sizeof(*created));
    if (created == NULL) {
        return NULL;
    }
    *created = (struct revocations){*key, table_create(key_of), count_max};
    if (created->table == NULL) {
        free(created);
        return NULL;
    }
    return created;
}

static void take_out(struct revocations *revocations, struct item *item)
{
    const struct bytes key = key_of(item);
    (void)table_remove(revocations->table, table_hash(&revocations->key, key), key);
    free(item);
}

/* Some that has expired by then; NULL: none. */
static struct item *find_expired(const struct revocations *revocations, uint64_t now_ns)
{
    size_t cursor = 0;
    struct item *item = table_next(revocations->table, &cursor);
    while (item != NULL && item->expires_ns > now_ns) {
        item = table_next(revocations->table, &cursor);
    }
    return item;
}

void revocations_destroy(struct revocations *revocations)
{
    if (revocations == NULL) {
        return;
    }
    for (struct item *item = find_expired(revocations, UINT64_MAX); item != NULL;
         item = find_expired(revocations, UINT64_MAX)) {
        take_out(revocations, item);
    }
    table_destroy(revocations->table);
    free(revocations);
}

static struct item *make(enum revocations_kind kind, struct bytes text)
{
    CHECK(text.size > 0);
    struct item *item = calloc(1, sizeof(*item) + 1 + text.size);
    if (item != NULL) {
        item->size = 1 + text.size;
        item->key[0] = (uint8_t)kind;
        memcpy(item->key + 1, text.data, text.size);
    }
    return item;
}

static struct item *find(const struct revocations *revocations, enum revocations_kind kind,
                         struct bytes text)
{
    uint8_t key[1 + TEXT_SIZE_MAX];

    if (text.size == 0 || text.size > TEXT_SIZE_MAX || table_count(revocations->table) == 0) {
        return NULL;
    }
    key[0] = (uint8_t)kind;
    memcpy(key + 1, text.data, text.size);
    const struct bytes wanted = {key, 1 + text.size};
    return table_find(revocations->table, table_hash(&revocations->key, wanted), wanted);
}

static uint64_t later(uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

/* By issue time, what is forbidden stays so: no order allows it again. */
static void replace(struct item *item, const struct revocations_entry *entry, uint64_t now_ns)
{
    if (entry->kind == REVOCATIONS_ISSUED_TO && item->expires_ns > now_ns) {
        item->issued_before_s = later(item->issued_before_s, entry->issued_before_s);
        item->expires_ns = later(item->expires_ns, entry->expires_ns);
        return;
    }
    item->issued_before_s = entry->issued_before_s;
    item->expires_ns = entry->expires_ns;
}

int revocations_add(struct revocations *revocations, const struct revocations_entry *entry,
                    uint64_t now_ns)
{
    struct item *item = find(revocations, entry->kind, entry->text);
    if (item != NULL) {
        replace(item, entry, now_ns);
        return 0;
    }
    if (table_count(revocations->table) >= revocations->count_max) {
        struct item *expired = find_expired(revocations, now_ns);
        if (expired == NULL) {
            return -ENOSPC;
        }
        take_out(revocations, expired);
    }
    item = make(entry->kind, entry->text);
    if (item == NULL) {
        return -ENOMEM;
    }
    item->issued_before_s = entry->issued_before_s;
    item->expires_ns = entry->expires_ns;
    const int result =
        table_insert(revocations->table, table_hash(&revocations->key, key_of(item)), item);
    if (result != 0) {
        free(item);
    }
    return result;
}

void revocations_remove(struct revocations *revocations, enum revocations_kind kind,
                        struct bytes text)
{
    struct item *item = find(revocations, kind, text);
    if (item != NULL) {
        take_out(revocations, item);
    }
}

static const struct item *find_valid(const struct revocations *revocations,
                                     enum revocations_kind kind, struct bytes text, uint64_t now_ns)
{
    const struct item *item = find(revocations, kind, text);
    return item != NULL && item->expires_ns > now_ns ? item : NULL;
}

bool revocations_forbid(const struct revocations *revocations, const struct claims *claims,
                        uint64_t now_ns)
{
    if (find_valid(revocations, REVOCATIONS_USER, claims->user, now_ns) != NULL ||
        find_valid(revocations, REVOCATIONS_TOKEN, claims->id, now_ns) != NULL) {
        return true;
    }
    const struct item *issued =
        find_valid(revocations, REVOCATIONS_ISSUED_TO, claims->user, now_ns);
    return issued != NULL && claims->issued_at_s < issued->issued_before_s;
}

size_t revocations_count(const struct revocations *revocations)
{
    return table_count(revocations->table);
}
