/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table: random inserts, removals and finds compared with a plain array (every key is always
 * either in both or in neither); growth and shrinking; refusals; and hash flooding (LIMITS row 47)
 * counted in probes, not in time: keys that collide under a zero key must cost no more than any
 * others under a key that their maker did not know.
 */
#include "core/table.h"

#include <check.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_SIZE_MAX = 24 };

struct item {
    uint64_t number; /* the key of number tables */
    char name[NAME_SIZE_MAX];
    size_t name_size;
    bool is_in; /* for the model */
};

static const struct table_key zero_key = {0, 0};
static const struct table_key secret_key = {0x243f6a8885a308d3, 0x13198a2e03707344};

static struct bytes name_of(const void *value)
{
    const struct item *item = value;
    return (struct bytes){(const uint8_t *)item->name, item->name_size};
}

static struct bytes number_of(const void *value)
{
    const struct item *item = value;
    return (struct bytes){(const uint8_t *)&item->number, sizeof(item->number)};
}

/* By hand: the floods below try millions of names. */
static void set_name(struct item *item, char first, uint64_t number)
{
    item->number = number;
    item->name[0] = first;
    item->name_size = 1;
    for (uint64_t rest = number; rest > 0; rest >>= 4) {
        item->name[item->name_size] = "0123456789abcdef"[rest & 15];
        item->name_size++;
    }
}

static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static const struct {
    const char *why;
    const char *name;
    size_t size;
} odd_names[] = {
    {"empty", "", 0},          {"one zero byte", "\0", 1}, {"two zero bytes", "\0\0", 2},
    {"a prefix", "room", 4},   {"and more", "room:1", 6},  {"other case", "Room", 4},
    {"inner zero", "a\0b", 3}, {"up to it", "a", 1},
};

enum { ODD_COUNT = sizeof(odd_names) / sizeof(odd_names[0]) };

START_TEST(keeps_odd_names_apart)
{
    struct item items[ODD_COUNT] = {{0}};
    struct table *table = table_create(name_of);
    ck_assert_ptr_nonnull(table);
    for (size_t i = 0; i < ODD_COUNT; i++) {
        memcpy(items[i].name, odd_names[i].name, odd_names[i].size);
        items[i].name_size = odd_names[i].size;
        const struct bytes key = name_of(&items[i]);
        const uint64_t hash = table_hash(&secret_key, key);
        ck_assert_msg(table_find(table, hash, key) == NULL, "%s", odd_names[i].why);
        ck_assert_int_eq(table_insert(table, hash, &items[i]), 0);
    }
    for (size_t i = 0; i < ODD_COUNT; i++) {
        const struct bytes key = name_of(&items[i]);
        ck_assert_ptr_eq(table_find(table, table_hash(&secret_key, key), key), &items[i]);
    }
    table_destroy(table);
}
END_TEST

/* The hash says the same for all, so only the keys themselves are different. */
START_TEST(survives_equal_hashes)
{
    enum { COUNT = 100 };
    static struct item items[COUNT];
    struct table *table = table_create(name_of);
    for (size_t i = 0; i < COUNT; i++) {
        set_name(&items[i], 'n', i);
        ck_assert_int_eq(table_insert(table, 42, &items[i]), 0);
    }
    /* From the middle, so that the cluster must close up on both sides. */
    for (size_t i = 0; i < COUNT; i++) {
        const size_t victim = (i * 37 + 50) % COUNT;
        const struct bytes key = name_of(&items[victim]);
        ck_assert_ptr_eq(table_remove(table, 42, key), &items[victim]);
        ck_assert_ptr_null(table_find(table, 42, key));
        ck_assert_ptr_null(table_remove(table, 42, key));
        ck_assert_uint_eq(table_count(table), COUNT - 1 - i);
    }
    table_destroy(table);
}
END_TEST

START_TEST(empty_table_answers)
{
    struct table *table = table_create(name_of);
    size_t cursor = 0;
    ck_assert_ptr_null(table_find(table, 1, (struct bytes){NULL, 0}));
    ck_assert_ptr_null(table_remove(table, 1, (struct bytes){NULL, 0}));
    ck_assert_ptr_null(table_next(table, &cursor));
    ck_assert_uint_eq(table_count(table), 0);
    table_destroy(table);
    table_destroy(NULL);
}
END_TEST

enum { MODEL_COUNT = 4000, MODEL_STEPS = 160000 };

static void assert_model(const struct table *table, const struct item *items, size_t live)
{
    size_t cursor = 0;
    size_t visited = 0;
    for (const struct item *item = table_next(table, &cursor); item != NULL;
         item = table_next(table, &cursor)) {
        ck_assert(item->is_in);
        visited++;
    }
    ck_assert_uint_eq(visited, live);
    for (size_t i = 0; i < MODEL_COUNT; i++) {
        const struct bytes key = number_of(&items[i]);
        const void *found = table_find(table, table_hash_u64(&secret_key, items[i].number), key);
        ck_assert_ptr_eq(found, items[i].is_in ? &items[i] : NULL);
    }
}

START_TEST(equals_a_model)
{
    static struct item items[MODEL_COUNT];
    struct table *table = table_create(number_of);
    uint64_t random = 88172645463325252;
    size_t live = 0;
    for (size_t i = 0; i < MODEL_COUNT; i++) {
        items[i].number = i * 8; /* regular, as counters are */
    }
    for (size_t step = 0; step < MODEL_STEPS; step++) {
        struct item *item = &items[random_next(&random) % MODEL_COUNT];
        const uint64_t hash = table_hash_u64(&secret_key, item->number);
        /* Fills up, then empties, so that it grows and shrinks a few times. */
        const bool filling = step / 20000 % 2 == 0;
        if (!item->is_in && (filling || step % 16 == 0)) {
            ck_assert_int_eq(table_insert(table, hash, item), 0);
            item->is_in = true;
            live++;
        } else if (item->is_in && (!filling || step % 16 == 0)) {
            ck_assert_ptr_eq(table_remove(table, hash, number_of(item)), item);
            item->is_in = false;
            live--;
        }
        ck_assert_uint_eq(table_count(table), live);
        if (step % 20000 == 0) {
            assert_model(table, items, live);
        }
    }
    assert_model(table, items, live);
    table_destroy(table);
}
END_TEST

START_TEST(refuses_a_null)
{
    struct table *table = table_create(number_of);
    ck_assert_int_eq(table_insert(table, 1, NULL), 0); /* does not return */
}
END_TEST

#ifdef FULL_CHECKS
START_TEST(refuses_a_key_twice)
{
    struct item item = {.number = 7};
    struct table *table = table_create(number_of);
    const uint64_t hash = table_hash_u64(&secret_key, 7);
    ck_assert_int_eq(table_insert(table, hash, &item), 0);
    ck_assert_int_eq(table_insert(table, hash, &item), 0); /* does not return */
}
END_TEST

static void add_refusals(TCase *rules)
{
    tcase_add_test_raise_signal(rules, refuses_a_null, SIGABRT);
    tcase_add_test_raise_signal(rules, refuses_a_key_twice, SIGABRT);
}
#else
static void add_refusals(TCase *rules)
{
    tcase_add_test_raise_signal(rules, refuses_a_null, SIGABRT);
}
#endif

/* --- Flooding --------------------------------------------------------------------------------- */

enum {
    FLOOD_COUNT = 100000,    /* names, and as many numbers */
    FLOOD_ZERO_COUNT = 4000, /* under the zero key each insert walks past all before it */
    COLLIDING_BITS = 5,
};

/*
 * Where table.c starts to look. If that changes, these keys collide no more, and the test says
 * so: it demands first that they do collide under the zero key.
 */
static bool collides(uint64_t hash)
{
    return (hash * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - COLLIDING_BITS) == 5;
}

static uint64_t hash_item(const struct table_key *key, const struct item *item, bool by_name)
{
    return by_name ? table_hash(key, name_of(item)) : table_hash_u64(key, item->number);
}

static uint64_t count_probes(const struct table_key *key, struct item *items, size_t count,
                             bool by_name)
{
    struct table *table = table_create(by_name ? name_of : number_of);
    ck_assert_ptr_nonnull(table);
    for (size_t i = 0; i < count; i++) {
        ck_assert_int_eq(table_insert(table, hash_item(key, &items[i], by_name), &items[i]), 0);
    }
    const uint64_t probes = table_probe_count(table);
    table_destroy(table);
    return probes;
}

static const struct {
    const char *why;
    bool by_name;
} floods[] = {{"names", true}, {"numbers", false}};

START_TEST(flood_costs_no_more_than_chance)
{
    const bool by_name = floods[_i].by_name;
    struct item *hostile = calloc(FLOOD_COUNT, sizeof(*hostile));
    struct item *honest = calloc(FLOOD_COUNT, sizeof(*honest));
    ck_assert_ptr_nonnull(hostile);
    ck_assert_ptr_nonnull(honest);

    size_t found = 0;
    for (uint64_t i = 0; found < FLOOD_COUNT; i++) {
        struct item item = {.number = 0};
        set_name(&item, 'r', i);
        if (collides(hash_item(&zero_key, &item, by_name))) {
            hostile[found] = item;
            found++;
        }
    }
    uint64_t random = 362436069;
    for (size_t i = 0; i < FLOOD_COUNT; i++) {
        set_name(&honest[i], 'r', random_next(&random));
    }

    /* They do what they were made for where the key is known... */
    const uint64_t zero_hostile = count_probes(&zero_key, hostile, FLOOD_ZERO_COUNT, by_name);
    const uint64_t zero_honest = count_probes(&zero_key, honest, FLOOD_ZERO_COUNT, by_name);
    ck_assert_msg(zero_hostile > 20 * zero_honest, "%s do not collide", floods[_i].why);
    /* ... and nothing where it is not. */
    for (uint64_t i = 0; i < 3; i++) {
        const struct table_key key = {secret_key.k0 + i, secret_key.k1 ^ random_next(&random)};
        const uint64_t flood = count_probes(&key, hostile, FLOOD_COUNT, by_name);
        const uint64_t chance = count_probes(&key, honest, FLOOD_COUNT, by_name);
        ck_assert_msg(flood * 2 <= chance * 3, "%s: %llu probes, by chance %llu", floods[_i].why,
                      (unsigned long long)flood, (unsigned long long)chance);
    }
    free(hostile);
    free(honest);
}
END_TEST

/* Channels of one home of eight have three bits of their hash in common. */
START_TEST(used_up_bits_do_no_harm)
{
    enum { COUNT = 20000 };
    struct item *same_home = calloc(COUNT, sizeof(*same_home));
    struct item *any_home = calloc(COUNT, sizeof(*any_home));
    ck_assert_ptr_nonnull(same_home);
    ck_assert_ptr_nonnull(any_home);
    size_t found = 0;
    for (uint64_t i = 0; found < COUNT; i++) {
        set_name(&same_home[found], 'c', i);
        found += table_hash(&secret_key, name_of(&same_home[found])) % 8 == 3 ? 1 : 0;
    }
    for (size_t i = 0; i < COUNT; i++) {
        set_name(&any_home[i], 'c', i);
    }
    const uint64_t same = count_probes(&secret_key, same_home, COUNT, true);
    const uint64_t any = count_probes(&secret_key, any_home, COUNT, true);
    ck_assert_uint_le(same * 2, any * 3);
    free(same_home);
    free(any_home);
}
END_TEST

int main(void)
{
    TCase *rules = tcase_create("rules");
    tcase_add_test(rules, keeps_odd_names_apart);
    tcase_add_test(rules, survives_equal_hashes);
    tcase_add_test(rules, empty_table_answers);
    tcase_add_test(rules, equals_a_model);
    add_refusals(rules);
    TCase *flooding = tcase_create("flooding");
    tcase_set_timeout(flooding, 120);
    tcase_add_loop_test(flooding, flood_costs_no_more_than_chance, 0,
                        (int)(sizeof(floods) / sizeof(floods[0])));
    tcase_add_test(flooding, used_up_bits_do_no_harm);
    Suite *suite = suite_create("core/table");
    suite_add_tcase(suite, rules);
    suite_add_tcase(suite, flooding);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
