/* SPDX-License-Identifier: Apache-2.0 */
#ifndef PROTO_PERMESSAGE_H
#define PROTO_PERMESSAGE_H
/*
 * permessage-deflate (RFC 7692 section 7.2) for messages that know nothing of each other: no
 * context takeover. So one of each serves all connections of a thread.
 *
 * Owner     whoever created it; used by one thread at a time.
 * Memory    zlib's, taken at creation: about 40 KiB to inflate, up to 256 KiB to deflate. The
 *           inflater has a buffer besides, which grows with what comes out of a message.
 * Input     is hostile: every step gives at most 4 KiB, so a bomb costs what the limit allows and
 *           not what it would have become.
 * Output    ends as zlib's sync flush does, never with a last block (section 7.2.3.4): that is
 *           allowed too, and there are clients that hang on it.
 * Not here  what is worth compressing, and budgets (server/compression.h).
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    PERMESSAGE_TAIL_SIZE = 4,           /* bytes that go out of a message and come back in */
    PERMESSAGE_STEP_SIZE = 4096,        /* bytes that one step of inflating gives at most */
    PERMESSAGE_KEPT_SIZE_MAX = 1 << 16, /* bytes of its buffer that an inflater at rest keeps */
};

enum permessage_verdict {
    PERMESSAGE_OK = 0,
    PERMESSAGE_INVALID, /* 1007: no DEFLATE blocks, or not whole ones */
    PERMESSAGE_TOO_BIG, /* 1009 */
    PERMESSAGE_NO_MEMORY,
};

struct permessage_inflater; /* opaque */
struct permessage_deflater; /* opaque */

/* NULL: no memory. */
NODISCARD struct permessage_inflater *permessage_inflater_create(void);
void permessage_inflater_destroy(struct permessage_inflater *inflater); /* NULL: nothing */

/*
 * A whole message, from first to last frame, of at most UINT32_MAX bytes. It may become `size_max`
 * bytes (below UINT32_MAX). `message` is the inflater's, good until the next call, and may be
 * written to.
 */
NODISCARD enum permessage_verdict permessage_inflate(struct permessage_inflater *inflater,
                                                     struct bytes compressed, size_t size_max,
                                                     struct span *message);

/* Gives back what a long message needed. Its message is gone. */
void permessage_inflater_rest(struct permessage_inflater *inflater);

/* `level` 1 to 9, `window_bits` 9 to 15. NULL: no memory. */
NODISCARD struct permessage_deflater *permessage_deflater_create(unsigned level,
                                                                 unsigned window_bits);
void permessage_deflater_destroy(struct permessage_deflater *deflater); /* NULL: nothing */

/*
 * A message piece by piece, into `target`, which is the caller's and has to have room for the tail
 * of PERMESSAGE_TAIL_SIZE besides. The end gives the bytes of the message, without the tail, or 0:
 * it did not fit.
 */
void permessage_deflate_begin(struct permessage_deflater *deflater, struct span target);
void permessage_deflate_add(struct permessage_deflater *deflater, struct bytes piece);
NODISCARD size_t permessage_deflate_end(struct permessage_deflater *deflater);

#endif /* PROTO_PERMESSAGE_H */
