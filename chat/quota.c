/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/quota.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/list.h"
#include "core/slab.h"

enum {
    IDLE_COUNT_MAX = 1 << 16,
    AGED_AT_ONCE = 2, /* keys per call: more than come */
    MS_PER_S = 1000,
};

struct entry {
    struct quota_key key;
    struct list_link idle; /* in quota->idle while it has no connection */
    struct limits_bucket bucket;
    struct limits_bucket commands;
    uint32_t count;        /* connections */
    uint32_t slot : 31;    /* its own */
    uint32_t has_lent : 1; /* `commands` says something */
};

_Static_assert(sizeof(struct entry) == 56, "as quota.h promises");

struct quota {
    struct quota_limits limits;
    struct table_key key;
    struct table *table;
    struct slab *entries;
    struct list_link idle; /* who has been so longest comes first */
    uint32_t idle_count;
    uint64_t forgotten;
};

static struct bytes view(const struct quota_key *key)
{
    return (struct bytes){key->bytes, sizeof(key->bytes)};
}

static struct bytes key_of(const void *value)
{
    const struct entry *entry = value;
    return view(&entry->key);
}

static bool has_rate(const struct quota *quota)
{
    return quota->limits.rate.burst > 0;
}

static bool limits_commands(const struct quota *quota)
{
    return quota->limits.commands.burst > 0;
}

static void check_limits(const struct quota_limits *limits)
{
    CHECK(limits->count_max > 0);
    CHECK((limits->rate.per_second > 0) == (limits->rate.burst > 0));
    CHECK((limits->commands.per_second > 0) == (limits->commands.burst > 0));
}

struct quota *quota_create(const struct table_key *key, const struct quota_limits *limits,
                           uint32_t key_count_max)
{
    check_limits(limits);
    CHECK(key_count_max < INT32_MAX - IDLE_COUNT_MAX);

    struct quota *quota = calloc(1, sizeof(*quota));
    if (quota == NULL) {
        return NULL;
    }
    quota->limits = *limits;
    quota->key = *key;
    list_init(&quota->idle);
    quota->table = table_create(key_of);
    const uint32_t idle_count_max = has_rate(quota) || limits_commands(quota) ? IDLE_COUNT_MAX : 0;
    quota->entries = slab_create(sizeof(struct entry), key_count_max + idle_count_max);
    if (quota->table == NULL || quota->entries == NULL) {
        quota_destroy(quota);
        return NULL;
    }
    return quota;
}

void quota_destroy(struct quota *quota)
{
    if (quota != NULL) {
        table_destroy(quota->table);
        slab_destroy(quota->entries);
        free(quota);
    }
}

void quota_change(struct quota *quota, const struct quota_limits *limits)
{
    check_limits(limits);
    CHECK((limits->rate.burst > 0) == (quota->limits.rate.burst > 0));
    quota->limits = *limits;
}

struct quota_key quota_key_of(const struct table_key *key, struct bytes name)
{
    const struct table_key other = {~key->k0, ~key->k1};
    const uint64_t halves[] = {table_hash(key, name), table_hash(&other, name)};
    struct quota_key result;

    _Static_assert(sizeof(halves) == sizeof(result.bytes), "both halves");
    memcpy(result.bytes, halves, sizeof(result.bytes));
    return result;
}

/* It is full by now, whatever was in it. */
static bool is_full(const struct limits_bucket *bucket, const struct limits_rate *rate,
                    uint32_t now_ms)
{
    const uint64_t elapsed_ms = now_ms - bucket->filled_ms;
    return elapsed_ms * rate->per_second >= (uint64_t)rate->burst * MS_PER_S;
}

/* Is there nothing to remember of it any more? */
static bool is_forgettable(const struct quota *quota, const struct entry *entry, uint32_t now_ms)
{
    const struct quota_limits *limits = &quota->limits;
    const bool has_come = has_rate(quota) && !is_full(&entry->bucket, &limits->rate, now_ms);
    const bool has_spoken = limits_commands(quota) && entry->has_lent &&
                            !is_full(&entry->commands, &limits->commands, now_ms);
    return !has_come && !has_spoken;
}

/* Out of those that have no connection, if it is one of them. */
static void wake(struct quota *quota, struct entry *entry)
{
    if (list_is_linked(&entry->idle)) {
        list_remove(&entry->idle);
        quota->idle_count--;
    }
}

static void forget(struct quota *quota, struct entry *entry)
{
    CHECK(entry->count == 0);
    wake(quota, entry);
    const struct bytes key = view(&entry->key);
    const void *removed = table_remove(quota->table, table_hash(&quota->key, key), key);
    CHECK(removed == entry);
    slab_give(quota->entries, entry->slot);
}

static struct entry *oldest(struct quota *quota)
{
    struct list_link *link = list_first(&quota->idle);
    return link == NULL ? NULL : LIST_OWNER(link, struct entry, idle);
}

static void age(struct quota *quota, uint32_t now_ms)
{
    for (int i = 0; i < AGED_AT_ONCE; i++) {
        struct entry *entry = oldest(quota);
        if (entry == NULL || !is_forgettable(quota, entry, now_ms)) {
            return;
        }
        forget(quota, entry);
    }
}

static struct entry *create(struct quota *quota, const struct quota_key *key, uint64_t hash,
                            uint32_t now_ms)
{
    uint32_t slot;
    struct entry *entry = slab_take(quota->entries, &slot);
    if (entry == NULL && quota->idle_count > 0) { /* who comes goes before who was here */
        quota->forgotten++;
        forget(quota, oldest(quota));
        entry = slab_take(quota->entries, &slot);
    }
    if (entry == NULL) {
        return NULL;
    }
    entry->key = *key;
    entry->slot = slot & INT32_MAX;
    if (has_rate(quota)) {
        limits_fill(&entry->bucket, &quota->limits.rate, now_ms);
    }
    if (table_insert(quota->table, hash, entry) != 0) {
        slab_give(quota->entries, slot);
        return NULL;
    }
    return entry;
}

/* Who has no connection is remembered as long as its bucket says something, and there is room. */
static void rest(struct quota *quota, struct entry *entry, uint32_t now_ms)
{
    if (is_forgettable(quota, entry, now_ms)) {
        forget(quota, entry);
        return;
    }
    if (quota->idle_count == IDLE_COUNT_MAX) {
        quota->forgotten++;
        forget(quota, oldest(quota));
    }
    list_push_back(&quota->idle, &entry->idle);
    quota->idle_count++;
}

static enum quota_verdict judge(const struct quota *quota, struct entry *entry, uint32_t now_ms)
{
    if (entry->count >= quota->limits.count_max) {
        return QUOTA_FULL;
    }
    if (has_rate(quota) && !limits_take(&entry->bucket, &quota->limits.rate, now_ms)) {
        return QUOTA_TOO_FAST;
    }
    return QUOTA_GRANTED;
}

bool quota_lets_in(const struct quota *quota, enum quota_verdict verdict)
{
    return verdict == QUOTA_GRANTED || (quota->limits.dry_run && verdict != QUOTA_NO_MEMORY);
}

enum quota_verdict quota_take(struct quota *quota, const struct quota_key *key, uint32_t now_ms)
{
    const uint64_t hash = table_hash(&quota->key, view(key));

    age(quota, now_ms);
    struct entry *entry = table_find(quota->table, hash, view(key));
    if (entry == NULL) {
        entry = create(quota, key, hash, now_ms);
    }
    if (entry == NULL) {
        return QUOTA_NO_MEMORY;
    }
    const enum quota_verdict verdict = judge(quota, entry, now_ms);
    if (quota_lets_in(quota, verdict)) {
        wake(quota, entry);
        entry->count++;
    } else if (entry->count == 0) {
        wake(quota, entry);
        rest(quota, entry, now_ms); /* who tries again and again is not the oldest */
    }
    return verdict;
}

void quota_give(struct quota *quota, const struct quota_key *key, uint32_t now_ms)
{
    struct entry *entry = table_find(quota->table, table_hash(&quota->key, view(key)), view(key));

    CHECK(entry != NULL);
    CHECK(entry->count > 0);
    age(quota, now_ms);
    if (--entry->count == 0) {
        rest(quota, entry, now_ms);
    }
}

/* What is to be lent of so many tokens. */
static uint32_t share(uint32_t tokens, uint32_t wanted, uint32_t one_in)
{
    const uint32_t part = tokens / one_in;
    const uint32_t most = part > 0 || tokens == 0 ? part : 1;
    return wanted < most ? wanted : most;
}

struct quota_loan quota_lend(struct quota *quota, const struct quota_key *key, uint32_t wanted,
                             uint32_t one_in, uint32_t now_ms)
{
    const struct limits_rate *rate = &quota->limits.commands;
    struct entry *entry = table_find(quota->table, table_hash(&quota->key, view(key)), view(key));

    CHECK(entry != NULL && entry->count > 0);
    CHECK(wanted > 0 && one_in > 0);
    if (!limits_commands(quota)) {
        return (struct quota_loan){.count = wanted};
    }
    if (!entry->has_lent) {
        entry->has_lent = true;
        limits_fill(&entry->commands, rate, now_ms);
    }
    const uint32_t tokens = limits_count(&entry->commands, rate, now_ms);
    const uint32_t count = share(tokens, wanted, one_in);
    limits_take_some(&entry->commands, count);
    if (count > 0) {
        return (struct quota_loan){.count = count};
    }
    if (quota->limits.dry_run) {
        return (struct quota_loan){.count = wanted, .excess = wanted};
    }
    return (struct quota_loan){.wait_ms = limits_wait_ms(&entry->commands, rate)};
}

uint32_t quota_count(const struct quota *quota)
{
    return slab_count(quota->entries);
}

uint32_t quota_present(const struct quota *quota)
{
    return quota_count(quota) - quota->idle_count;
}

uint64_t quota_forgotten(const struct quota *quota)
{
    return quota->forgotten;
}
