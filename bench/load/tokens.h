/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_TOKENS_H
#define BENCH_LOAD_TOKENS_H
/*
 * The file of --tokens: what sessions show who they are with, one a line. They take turns.
 *
 * Owner     main; read before any other thread begins, then constant.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    TOKENS_SIZE_MAX = 4096,  /* bytes of one */
    TOKENS_ERROR_SIZE = 256, /* bytes with the NUL */
};

/* Zeroed: there are none. */
struct tokens {
    char *text;
    struct bytes *lines; /* of `text`; empty ones are left out */
    size_t count;
};

/* 0, or -errno and one line in `error`; then `tokens` is zeroed. */
NODISCARD int tokens_read(const char *path, struct tokens *tokens, char error[TOKENS_ERROR_SIZE]);
void tokens_free(struct tokens *tokens);

/* The one of this client; empty where there are none. */
NODISCARD struct bytes tokens_of(const struct tokens *tokens, uint32_t client);

#endif /* BENCH_LOAD_TOKENS_H */
