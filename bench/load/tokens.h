/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_TOKENS_H
#define BENCH_LOAD_TOKENS_H
/*
 * The connection tokens (JWT) that sessions sign in with: those of a file, one in each line.
 *
 * Owner     the run. Immutable once read, so any thread may ask.
 * Failures  -errno; a line that is no token is -EINVAL. `error` then has the file, the line's
 *           number and what was expected, never the token.
 */
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    TOKENS_SIZE_MAX = 4096,    /* bytes of one */
    TOKENS_FILE_MAX = 1 << 28, /* bytes */
    TOKENS_ERROR_SIZE = 320,   /* bytes, with the NUL */
};

struct tokens; /* opaque */

NODISCARD int tokens_read(const char *path, struct tokens **tokens, char error[TOKENS_ERROR_SIZE]);

/* NULL: nothing. */
void tokens_destroy(struct tokens *tokens);

/* They are given out by turns: that of client number `index`. */
NODISCARD struct bytes tokens_of(const struct tokens *tokens, uint32_t index);

#endif /* BENCH_LOAD_TOKENS_H */
