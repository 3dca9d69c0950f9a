/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_CHAT_TESTING_H
#define TESTS_UNIT_CHAT_TESTING_H
/*
 * What the tests of chat/ have in common: views of text, chance from a seed, and how a suite runs.
 */
#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static inline struct bytes view(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline bool is_text(struct bytes bytes, const char *text)
{
    /* A view of nothing may be NULL, which memcmp() must not see. */
    return bytes.size == strlen(text) &&
           (bytes.size == 0 || memcmp(bytes.data, text, bytes.size) == 0);
}

/* A copy of exactly its size lets AddressSanitizer see a read behind it. */
static inline uint8_t *copy_of(struct bytes bytes)
{
    uint8_t *copy = malloc(bytes.size + (bytes.size == 0));
    ck_assert_ptr_nonnull(copy);
    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return copy;
}

/* xorshift64: the same numbers on every machine. The state is never 0. */
static inline uint64_t chance(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline uint32_t chance_below(uint64_t *state, uint32_t end)
{
    return (uint32_t)((chance(state) >> 32) % end);
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif /* TESTS_UNIT_CHAT_TESTING_H */
