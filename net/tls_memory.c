/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include <stdlib.h>

/* Beside a block glibc keeps its size. */
#define BLOCK_COST sizeof(size_t)

/* OpenSSL hands no context to the functions below, so it cannot be anybody's member. */
static _Thread_local uint64_t taken;
static _Thread_local uint64_t refused;

static uint64_t cost_of(void *block)
{
    return block == NULL ? 0 : malloc_usable_size(block) + BLOCK_COST;
}

static void *take(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    if (size == 0) {
        return NULL; /* as OpenSSL's own says */
    }
    void *block = malloc(size);
    taken += cost_of(block);
    refused += block == NULL;
    return block;
}

static void give_back(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    taken -= cost_of(block);
    free(block);
}

static void *resize(void *block, size_t size, const char *file, int line)
{
    if (block == NULL) {
        return take(size, file, line);
    }
    if (size == 0) {
        give_back(block, file, line);
        return NULL;
    }
    const uint64_t before = cost_of(block);
    void *resized = realloc(block, size);
    if (resized != NULL) {
        taken += cost_of(resized) - before;
    }
    refused += resized == NULL;
    return resized;
}

bool tls_memory_count(void)
{
    return CRYPTO_set_mem_functions(take, resize, give_back) == 1;
}

uint64_t tls_memory_taken(void)
{
    return taken;
}

uint64_t tls_memory_refused(void)
{
    return refused;
}
