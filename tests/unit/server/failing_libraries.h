/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_SERVER_FAILING_LIBRARIES_H
#define TESTS_UNIT_SERVER_FAILING_LIBRARIES_H
/*
 * failing_memory.h for zlib and PCRE2, which take memory from whoever makes something of theirs: in
 * the copies of our libraries that a test is linked with, from there (cmake/tests.cmake). OpenSSL
 * and cjose have it from net/tls_memory.h.
 */
#include <check.h>
#include <zlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "tests/unit/failing_memory.h"

int memory_deflateInit2_(z_streamp zlib, int level, int method, int window_bits, int memory_level,
                         int strategy, const char *version, int size);
int memory_inflateInit2_(z_streamp zlib, int window_bits, const char *version, int size);
pcre2_match_data *memory_pcre2_match_data_create_8(uint32_t size, pcre2_general_context *general);

static void *take_items(void *unused, uInt count, uInt size)
{
    (void)unused;
    return memory_calloc(count, size);
}

static void *take(size_t size, void *unused)
{
    (void)unused;
    return memory_malloc(size);
}

static void give_back(void *unused, void *block)
{
    (void)unused;
    memory_free(block);
}

static void give_back_first(void *block, void *unused)
{
    (void)unused;
    memory_free(block);
}

int memory_deflateInit2_(z_streamp zlib, int level, int method, int window_bits, int memory_level,
                         int strategy, const char *version, int size)
{
    zlib->zalloc = take_items;
    zlib->zfree = give_back;
    return deflateInit2_(zlib, level, method, window_bits, memory_level, strategy, version, size);
}

int memory_inflateInit2_(z_streamp zlib, int window_bits, const char *version, int size)
{
    zlib->zalloc = take_items;
    zlib->zfree = give_back;
    return inflateInit2_(zlib, window_bits, version, size);
}

/* What it is made with is its own, and of no use afterwards. */
pcre2_match_data *memory_pcre2_match_data_create_8(uint32_t size, pcre2_general_context *general)
{
    ck_assert_ptr_null(general);
    general = pcre2_general_context_create(take, give_back_first, NULL);
    pcre2_match_data *match = general == NULL ? NULL : pcre2_match_data_create(size, general);
    pcre2_general_context_free(general);
    return match;
}

#endif /* TESTS_UNIT_SERVER_FAILING_LIBRARIES_H */
