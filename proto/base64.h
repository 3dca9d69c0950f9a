/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_BASE64_H
#define PROTO_BASE64_H
/*
 * Base64, RFC 4648, read strictly: one text for each sequence of bytes, so that nothing can be
 * written in two ways. No white space, no character of the other alphabet, no bits behind the end.
 *
 * Pure: no I/O, no allocation. ANY_THREAD.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/annot.h"
#include "core/bytes.h"

enum base64_kind {
    BASE64_URL,    /* section 5, without padding: as JOSE writes it (RFC 7515, section 2) */
    BASE64_PADDED, /* section 4, with the padding that it needs */
};

/* The most bytes that a text of `size` characters can stand for. */
static inline size_t base64_size_max(size_t size)
{
    return size / 4 * 3 + size % 4 * 3 / 4;
}

/*
 * Writes the bytes to `target`, which has room for base64_size_max(text.size) and may be the place
 * where the text is. False when it is not base64; what is at `target` is of no use then.
 */
NODISCARD bool base64_decode(enum base64_kind kind, struct bytes text, uint8_t *target,
                             size_t *size);

#endif /* PROTO_BASE64_H */
