/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_PROXY_H
#define NET_PROXY_H
/*
 * The PROXY protocol, versions 1 and 2 (HAProxy's doc/proxy-protocol.txt): the few bytes with which
 * a load balancer says, before anything else, for whom it connects.
 *
 * Pure. Whether a header may come, and from whom, is not decided here: it is never guessed, for
 * whoever may choose to send one chooses who he is.
 * Bounds    PROXY_V1_SIZE_MAX and PROXY_V2_SIZE_MAX; what is longer is bad as soon as that is seen.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "net/address.h"

enum {
    PROXY_V1_SIZE_MAX = 107, /* bytes, the CR LF included */
    PROXY_V2_SIZE_MAX = 536, /* bytes, the 16 of its own header included */
};

enum proxy_verdict {
    PROXY_OK = 0,
    PROXY_NEED_MORE, /* not a fault: come again with the same bytes and more behind them */
    PROXY_BAD,       /* no header, or not a good one */
};

struct proxy_header {
    size_t size;           /* bytes that it took; what follows is the client's */
    bool has_address;      /* false: the proxy speaks for itself, or does not know */
    struct address client; /* if has_address */
};

/* `header` means something only after PROXY_OK. */
NODISCARD enum proxy_verdict proxy_read(struct bytes in, struct proxy_header *header);

#endif /* NET_PROXY_H */
