/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_MASK_H
#define PROTO_MASK_H
/*
 * Unmasking of a frame's payload (RFC 6455 section 5.3), in place, in pieces of any size, alone
 * or together with UTF-8 validation in one pass over the bytes.
 *
 * Masking is its own inverse: a client and the tests mask with the same functions.
 * Pure, ANY_THREAD. Inline for the reason given in utf8.h.
 */
#include <string.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "proto/simd.h"
#include "proto/utf8.h"

/* Where a payload stands. A value; one per frame. */
struct mask {
    uint32_t key; /* wire order in memory, turned so that its first byte is the next one to use */
};

/* The start of a payload. `key` is the four bytes of the frame header. */
static inline struct mask mask_start(const uint8_t key[4])
{
    struct mask mask;
    memcpy(&mask.key, key, sizeof(mask.key));
    return mask;
}

/* Moves on by that many payload bytes which somebody else unmasked. */
static inline void mask_skip(struct mask *mask, size_t size)
{
    const unsigned turn = 8 * (unsigned)(size % 4);
    mask->key = mask->key >> turn | mask->key << ((32 - turn) % 32);
}

/* Unmasks the next bytes of the payload. */
static inline void mask_apply(const struct simd_ops *ops, struct mask *mask, struct span piece)
{
    ops->unmask(piece.data, piece.size, mask->key);
    mask_skip(mask, piece.size);
}

/*
 * Unmasks the next bytes and validates them as the next bytes of the text, as utf8_check() would.
 * The bytes are unmasked whatever the verdict.
 */
NODISCARD static inline enum utf8_verdict mask_apply_utf8(const struct simd_ops *ops,
                                                          struct mask *mask,
                                                          struct utf8_state *text,
                                                          struct span piece)
{
    if (text->pending == SIMD_UTF8_BAD) {
        mask_apply(ops, mask, piece);
        return UTF8_INVALID;
    }
    text->pending = ops->unmask_validate(piece.data, piece.size, mask->key, text->pending);
    mask_skip(mask, piece.size);
    return text->pending == SIMD_UTF8_BAD ? UTF8_INVALID : UTF8_VALID;
}

#endif /* PROTO_MASK_H */
