/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/idempotency.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/list.h"
#include "core/table.h"

struct entry {
    struct list_link link; /* in the order in which they expire */
    uint64_t hash;
    uint64_t digest;
    uint64_t offset;
    uint64_t expires_ns;
    uint8_t size;
    uint8_t text[];
};

struct idempotency {
    struct table_key hash_key;
    struct table *entries;
    struct list_link oldest_first;
    size_t bytes;
};

static struct bytes text_of(const void *value)
{
    const struct entry *entry = value;
    return (struct bytes){entry->text, entry->size};
}

static size_t cost_of(const struct entry *entry)
{
    enum { SLOTS = 2 * 16 }; /* bytes: the table is at least half full, as a rule */
    return sizeof(*entry) + entry->size + SLOTS;
}

uint64_t idempotency_digest(struct bytes data)
{
    /* Written down beside what is stored: these two never change. */
    static const struct siphash_key key = {0x7061726c65792d31, 0x6964656d706f7465};
    return siphash_13(key, data);
}

static struct entry *find(const struct idempotency *keys, struct bytes text)
{
    return keys == NULL ? NULL : table_find(keys->entries, table_hash(&keys->hash_key, text), text);
}

enum idempotency_verdict idempotency_judge(const struct idempotency *keys,
                                           const struct idempotency_key *key, uint64_t *offset)
{
    CHECK(key->text.size > 0 && key->text.size <= IDEMPOTENCY_KEY_SIZE_MAX);

    const struct entry *entry = find(keys, key->text);
    if (entry == NULL) {
        return IDEMPOTENCY_NEW;
    }
    if (entry->digest != key->digest) {
        return IDEMPOTENCY_CONFLICT;
    }
    *offset = entry->offset;
    return IDEMPOTENCY_REPEAT;
}

static struct entry *oldest(const struct idempotency *keys)
{
    struct list_link *link = list_first(&keys->oldest_first);
    return link == NULL ? NULL : LIST_OWNER(link, struct entry, link);
}

static void forget(struct idempotency *keys, struct entry *entry)
{
    const void *removed = table_remove(keys->entries, entry->hash, text_of(entry));
    CHECK(removed == entry);
    keys->bytes -= cost_of(entry);
    list_remove(&entry->link);
    free(entry);
}

static void forget_until(struct idempotency *keys, uint64_t now_ns)
{
    const struct list_link *head = &keys->oldest_first;
    struct list_link *next;

    for (struct list_link *link = list_first(head); link != NULL; link = next) {
        struct entry *entry = LIST_OWNER(link, struct entry, link);
        if (entry->expires_ns > now_ns) {
            return;
        }
        next = list_after(head, link);
        forget(keys, entry);
    }
}

static struct idempotency *create(const struct table_key *hash_key)
{
    struct idempotency *keys = calloc(1, sizeof(*keys));
    if (keys == NULL) {
        return NULL;
    }
    keys->hash_key = *hash_key;
    keys->bytes = sizeof(*keys);
    list_init(&keys->oldest_first);
    keys->entries = table_create(text_of);
    if (keys->entries == NULL) {
        free(keys);
        return NULL;
    }
    return keys;
}

static int add(struct idempotency *keys, const struct idempotency_key *key, uint64_t offset,
               uint64_t expires_ns)
{
    struct entry *entry = malloc(sizeof(*entry) + key->text.size);
    if (entry == NULL) {
        return -ENOMEM;
    }
    *entry = (struct entry){
        .hash = table_hash(&keys->hash_key, key->text),
        .digest = key->digest,
        .offset = offset,
        .expires_ns = expires_ns,
        .size = (uint8_t)key->text.size,
    };
    memcpy(entry->text, key->text.data, key->text.size);
    if (table_insert(keys->entries, entry->hash, entry) != 0) {
        free(entry);
        return -ENOMEM;
    }
    keys->bytes += cost_of(entry);
    list_push_back(&keys->oldest_first, &entry->link);
    return 0;
}

/* With the last key they go themselves. */
static void destroy_if_empty(struct idempotency **keys)
{
    if (table_count((*keys)->entries) == 0) {
        table_destroy((*keys)->entries);
        free(*keys);
        *keys = NULL;
    }
}

int idempotency_add(struct idempotency **keys, const struct table_key *hash_key,
                    const struct idempotency_key *key, uint64_t offset, uint64_t expires_ns)
{
    CHECK(key->text.size > 0 && key->text.size <= IDEMPOTENCY_KEY_SIZE_MAX);

    struct idempotency *present = *keys != NULL ? *keys : create(hash_key);
    if (present == NULL) {
        return -ENOMEM;
    }
    const int result = add(present, key, offset, expires_ns);
    if (table_count(present->entries) > IDEMPOTENCY_COUNT_MAX) {
        forget(present, oldest(present));
    }
    *keys = present;
    destroy_if_empty(keys);
    return result;
}

void idempotency_settle(struct idempotency *keys, struct bytes text, uint64_t offset)
{
    struct entry *entry = find(keys, text);
    if (entry != NULL) {
        entry->offset = offset;
    }
}

void idempotency_remove(struct idempotency **keys, struct bytes text)
{
    struct entry *entry = find(*keys, text);
    if (entry != NULL) {
        forget(*keys, entry);
        destroy_if_empty(keys);
    }
}

void idempotency_expire(struct idempotency **keys, uint64_t now_ns)
{
    if (*keys == NULL) {
        return;
    }
    forget_until(*keys, now_ns);
    destroy_if_empty(keys);
}

void idempotency_destroy(struct idempotency **keys)
{
    idempotency_expire(keys, UINT64_MAX);
    CHECK(*keys == NULL);
}

size_t idempotency_bytes(const struct idempotency *keys)
{
    return keys == NULL ? 0 : keys->bytes;
}
