/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_UTF8_H
#define PROTO_UTF8_H
/*
 * UTF-8 validation (RFC 3629) of a text that arrives in pieces of any size.
 *
 * A text is invalid with its first impossible byte: ed a0 at once, not after a third byte. A
 * piece may end inside a character; utf8_is_complete() says whether the text may.
 *
 * Pure, ANY_THREAD. Inline, because a chat message is one piece and one indirect call is all
 * that it needs. Masked payloads: mask_apply_utf8() in mask.h does both in one pass.
 */
#include <stdbool.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/simd.h"

enum utf8_verdict {
    UTF8_VALID = 0, /* so far: the text can still become valid, and is if it is complete */
    UTF8_INVALID,   /* no continuation can be valid; the state stays invalid for good */
};

/* Where a text stands. All zero is the start of a text. */
struct utf8_state {
    uint32_t pending; /* as simd.h describes it */
};

/* Goes on with the text. After UTF8_INVALID every further piece is UTF8_INVALID too. */
NODISCARD static inline enum utf8_verdict utf8_check(const struct simd_ops *ops,
                                                     struct utf8_state *state, struct bytes piece)
{
    if (state->pending == SIMD_UTF8_BAD) {
        return UTF8_INVALID;
    }
    state->pending = ops->validate(piece.data, piece.size, state->pending);
    return state->pending == SIMD_UTF8_BAD ? UTF8_INVALID : UTF8_VALID;
}

/* True if the text may end here: everything so far is valid and no character is half done. */
NODISCARD static inline bool utf8_is_complete(struct utf8_state state)
{
    return state.pending == 0;
}

#endif /* PROTO_UTF8_H */
