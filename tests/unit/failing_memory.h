/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_FAILING_MEMORY_H
#define TESTS_UNIT_FAILING_MEMORY_H
/*
 * LIMITS.md row 46: memory that is out where a test says so. For a test that is linked with copies
 * of our libraries which ask the functions below (cmake/tests.cmake), and included there once.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *memory_malloc(size_t size);
void *memory_calloc(size_t count, size_t size);
void *memory_realloc(void *old, size_t size);
void *memory_aligned_alloc(size_t alignment, size_t size);
char *memory_strndup(const char *text, size_t size);
char *memory_strdup(const char *text);
void memory_free(void *block);

static struct {
    uint64_t requests; /* since fail_from() */
    uint64_t fails_at; /* this one of them; 0: none */
    bool goes_on;      /* those behind it fail, too */
    bool is_spared;    /* for now: nothing fails, and nothing is counted as a request */
    uint64_t failed;
    int64_t blocks; /* not yet given back */
} memory;

static bool fails(void)
{
    if (memory.is_spared) {
        return false;
    }
    memory.requests++;
    const bool is_out =
        memory.fails_at != 0 &&
        (memory.goes_on ? memory.requests >= memory.fails_at : memory.requests == memory.fails_at);
    memory.failed += is_out;
    return is_out;
}

static void *counted(void *block)
{
    memory.blocks += block != NULL;
    return block;
}

void *memory_malloc(size_t size)
{
    return fails() ? NULL : counted(malloc(size));
}

void *memory_calloc(size_t count, size_t size)
{
    return fails() ? NULL : counted(calloc(count, size));
}

void *memory_realloc(void *old, size_t size)
{
    if (fails()) {
        return NULL;
    }
    memory.blocks -= old != NULL;
    return counted(realloc(old, size));
}

void *memory_aligned_alloc(size_t alignment, size_t size)
{
    return fails() ? NULL : counted(aligned_alloc(alignment, size));
}

char *memory_strndup(const char *text, size_t size)
{
    return fails() ? NULL : counted(strndup(text, size));
}

char *memory_strdup(const char *text)
{
    return fails() ? NULL : counted(strdup(text));
}

void memory_free(void *block)
{
    memory.blocks -= block != NULL;
    free(block);
}

static inline void fail_from(uint64_t fails_at, bool goes_on)
{
    memory.requests = 0;
    memory.failed = 0;
    memory.fails_at = fails_at;
    memory.goes_on = goes_on;
}

#endif /* TESTS_UNIT_FAILING_MEMORY_H */
