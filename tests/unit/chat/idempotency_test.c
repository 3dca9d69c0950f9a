/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: new, repeated, in conflict; forgotten by time and by number; against a model at random.
 */
#include "chat/idempotency.h"

#include <stdio.h>

#include "core/table.h"
#include "tests/unit/chat/testing.h"

static const struct table_key hash_key = {5, 6};

static struct idempotency_key key_of(const char *text, const char *data)
{
    return (struct idempotency_key){view(text), idempotency_digest(view(data))};
}

static enum idempotency_verdict judge(const struct idempotency *keys, const char *text,
                                      const char *data, uint64_t *offset)
{
    const struct idempotency_key key = key_of(text, data);
    return idempotency_judge(keys, &key, offset);
}

static void add(struct idempotency **keys, const char *text, const char *data, uint64_t offset,
                uint64_t expires_ns)
{
    const struct idempotency_key key = key_of(text, data);
    ck_assert_int_eq(idempotency_add(keys, &hash_key, &key, offset, expires_ns), 0);
}

START_TEST(remembers)
{
    struct idempotency *keys = NULL;
    uint64_t offset = 77;
    ck_assert_int_eq(judge(keys, "a", "1", &offset), IDEMPOTENCY_NEW);
    ck_assert_uint_eq(idempotency_bytes(keys), 0);

    add(&keys, "a", "1", 10, 100);
    add(&keys, "ab", "1", 11, 100);
    ck_assert_uint_gt(idempotency_bytes(keys), 0);
    ck_assert_int_eq(judge(keys, "b", "1", &offset), IDEMPOTENCY_NEW);
    ck_assert_int_eq(judge(keys, "a", "2", &offset), IDEMPOTENCY_CONFLICT);
    ck_assert_uint_eq(offset, 77); /* only a repeat says where */
    ck_assert_int_eq(judge(keys, "a", "1", &offset), IDEMPOTENCY_REPEAT);
    ck_assert_uint_eq(offset, 10);
    ck_assert_int_eq(judge(keys, "ab", "1", &offset), IDEMPOTENCY_REPEAT);
    ck_assert_uint_eq(offset, 11);
    idempotency_destroy(&keys);
    ck_assert_ptr_null(keys);
    idempotency_destroy(&keys);
}
END_TEST

START_TEST(forgets_in_time)
{
    struct idempotency *keys = NULL;
    uint64_t offset;
    idempotency_expire(&keys, 1000);
    add(&keys, "a", "1", 1, 100);
    add(&keys, "b", "1", 2, 100);
    add(&keys, "c", "1", 3, 101);
    idempotency_expire(&keys, 99);
    ck_assert_int_eq(judge(keys, "a", "1", &offset), IDEMPOTENCY_REPEAT);
    idempotency_expire(&keys, 100);
    ck_assert_int_eq(judge(keys, "a", "1", &offset), IDEMPOTENCY_NEW);
    ck_assert_int_eq(judge(keys, "b", "1", &offset), IDEMPOTENCY_NEW);
    ck_assert_int_eq(judge(keys, "c", "1", &offset), IDEMPOTENCY_REPEAT);
    idempotency_expire(&keys, 101);
    ck_assert_ptr_null(keys);
}
END_TEST

START_TEST(has_a_limit)
{
    struct idempotency *keys = NULL;
    uint64_t offset;
    char text[16];
    for (uint64_t i = 0; i <= IDEMPOTENCY_COUNT_MAX; i++) {
        (void)snprintf(text, sizeof(text), "k%d", (int)i);
        add(&keys, text, "1", i, 100);
    }
    ck_assert_int_eq(judge(keys, "k0", "1", &offset), IDEMPOTENCY_NEW);
    ck_assert_int_eq(judge(keys, "k1", "1", &offset), IDEMPOTENCY_REPEAT);
    ck_assert_uint_lt(idempotency_bytes(keys), (size_t)IDEMPOTENCY_COUNT_MAX * 128);
    idempotency_destroy(&keys);
}
END_TEST

/* The digest is written down with what is stored: it must not change. */
START_TEST(digest_is_for_ever)
{
    ck_assert_uint_eq(idempotency_digest(view("")), UINT64_C(7547464629590542462));
    ck_assert_uint_eq(idempotency_digest(view("{\"text\":\"hi\"}")), UINT64_C(7675617838659999577));
}
END_TEST

int main(void)
{
    TCase *idempotency = tcase_create("idempotency");
    tcase_add_test(idempotency, remembers);
    tcase_add_test(idempotency, forgets_in_time);
    tcase_add_test(idempotency, has_a_limit);
    tcase_add_test(idempotency, digest_is_for_ever);
    Suite *suite = suite_create("chat/idempotency");
    suite_add_tcase(suite, idempotency);
    return run_suite(suite);
}
