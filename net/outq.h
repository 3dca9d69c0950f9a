/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_OUTQ_H
#define NET_OUTQ_H
/*
 * What one connection still has to send: two lanes of packet references, and how far the kernel
 * got. Urgent packets go first; a packet of which a byte was handed over is finished before.
 *
 * Owner     a connection; it holds one reference to each packet in it.
 * Memory    16 bytes per queued packet, from a pool per reactor; nothing when it is empty.
 * Sending   outq_gather() covers a prefix of the order in which packets go. Until the
 *           outq_advance() that follows, packets may be pushed, but no second gather be made.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/annot.h"
#include "core/bytes.h"

struct outq_node;
struct outq_pool; /* opaque; one per reactor */
struct packet;

/* Zeroed: empty. */
struct outq {
    struct outq_node *urgent; /* the last one; its next is the first one */
    struct outq_node *normal;
    uint32_t bytes;       /* not yet written, plus CONN_PACKET_COST for each packet */
    uint32_t begun_bytes; /* of the packet under way that are written already */
    uint16_t covered;     /* urgent packets in the last gather, until its advance */
    uint16_t lent;        /* normal packets in it */
    bool normal_is_begun; /* the packet under way is the first normal one */
};

NODISCARD struct outq_pool *outq_pool_create(void);
/* CHECKs that every node came back. NULL: nothing. */
void outq_pool_destroy(struct outq_pool *pool);

/* Of what stands in queues, without the packets. */
NODISCARD size_t outq_pool_bytes(const struct outq_pool *pool);

NODISCARD static inline bool outq_is_empty(const struct outq *outq)
{
    return outq->urgent == NULL && outq->normal == NULL;
}

/* Takes a reference. 0, or -ENOMEM and nothing changed. */
NODISCARD int outq_push(struct outq_pool *pool, struct outq *outq, struct packet *packet,
                        bool urgent);

/*
 * Puts the bytes behind those of the last normal packet, if that is nobody else's and has room for
 * both. Not while a gather is not advanced yet. False: nothing changed.
 */
NODISCARD bool outq_append(struct outq *outq, struct bytes head, struct bytes body);

/* The first `max` (> 0) packets as pieces; how many. */
NODISCARD size_t outq_gather(struct outq *outq, struct iovec *pieces, size_t max);

/* `written` bytes of what was gathered last are out: drops the packets that are done. */
void outq_advance(struct outq_pool *pool, struct outq *outq, size_t written);

/*
 * Puts the packet in the place of one that packet_is_replaceable() and waits in the urgent lane,
 * not begun and behind a gather that is not advanced yet. False: there is none.
 */
NODISCARD bool outq_replace(struct outq *outq, struct packet *packet);

/*
 * Drops the normal packets of a flow (0: all of them), but for one that was begun and those in a
 * gather that is not advanced yet. Returns how many messages of flows these were.
 */
size_t outq_drop_normal(struct outq_pool *pool, struct outq *outq, uint32_t flow);

/* Drops everything. */
void outq_clear(struct outq_pool *pool, struct outq *outq);

#endif /* NET_OUTQ_H */
