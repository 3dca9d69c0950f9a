/* SPDX-License-Identifier: Apache-2.0 */
/*
 * siphash_13 against values made elsewhere: Python 3.11 hashes bytes with it, under a key that
 * PYTHONHASHSEED gives (0: a zero key; 12345: the second one here). The empty input is the first
 * vector of SipHash-1-3 under the key 00 01 .. 0f. Input: byte i is i modulo 256.
 */
#include "core/siphash.h"

#include <check.h>
#include <stdlib.h>

static const struct siphash_key zero_key = {0, 0};
static const struct siphash_key seeded_key = {0x25556dc46dc3dca0, 0xfc3ee4dbd06f6c90};

static const struct {
    const char *why;
    size_t size;
    uint64_t under_zero_key;
    uint64_t under_seeded_key;
} cases[] = {
    {"one byte", 1, 0x68a914128e01e473, 0xddb5fc492fbdf63a},
    {"rest of 7", 7, 0x2f098ab0c751325a, 0x831edfe12fee6ffd},
    {"one word", 8, 0xead411e67ebe2eea, 0x354edb093928c942},
    {"one word and one byte", 9, 0x75927f9d95124362, 0x09a5e47bf18abecc},
    {"one word and 7", 15, 0xf30eb725bb91c9ea, 0xbe8dc664d017b99e},
    {"two words", 16, 0x8972188433a5c5b7, 0x2e932605ea370595},
    {"two words and one byte", 17, 0x4883c49a2c009c1d, 0x76887087110a4b41},
    {"63", 63, 0x385d3e39e5f37359, 0x171afa1ac779cd10},
    {"64", 64, 0x75e05fd5bbc870c6, 0x02bf7cdeb211db1c},
    {"65", 65, 0x9551550c825974c6, 0x0e99c85f31af6807},
    {"the size's last value", 255, 0x5dc1f93ea135eb43, 0xf3fc552f3d95e356},
    {"the size comes round", 256, 0x31ae646afba70308, 0x7f44c191c4004df9},
    {"long", 1000, 0x498f889ac054d2d8, 0xed8af613e8645802},
};

START_TEST(hashes)
{
    for (size_t offset = 0; offset < 8; offset++) {
        /* Exact size, and every alignment. */
        uint8_t *memory = malloc(offset + cases[_i].size);
        ck_assert_ptr_nonnull(memory);
        for (size_t i = 0; i < cases[_i].size; i++) {
            memory[offset + i] = (uint8_t)i;
        }
        const struct bytes in = {memory + offset, cases[_i].size};
        ck_assert_msg(siphash_13(zero_key, in) == cases[_i].under_zero_key, "%s", cases[_i].why);
        ck_assert_msg(siphash_13(seeded_key, in) == cases[_i].under_seeded_key, "%s",
                      cases[_i].why);
        free(memory);
    }
}
END_TEST

START_TEST(hashes_nothing)
{
    const struct siphash_key counting = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
    ck_assert_uint_eq(siphash_13(counting, (struct bytes){NULL, 0}), 0xabac0158050fc4dc);
}
END_TEST

int main(void)
{
    TCase *vectors = tcase_create("vectors");
    tcase_add_loop_test(vectors, hashes, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(vectors, hashes_nothing);
    Suite *suite = suite_create("core/siphash");
    suite_add_tcase(suite, vectors);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
