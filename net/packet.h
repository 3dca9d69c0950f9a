/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_PACKET_H
#define NET_PACKET_H
/*
 * Bytes on their way out: one reactor's handle, counted by connections with a plain integer.
 * Its bytes are inline, in memory that it took over, or those of a blob of which it holds a share.
 *
 * Owner     whoever holds a reference. packet_create() and packet_of_*() give the first one;
 *           each queue takes its own. The last packet_unref() frees it, and drops what it has.
 * Threads   those of its reactor: a packet never leaves it.
 * Memory    those of at most PACKET_POOLED_MAX bytes come from free lists of the pool.
 * Failures  NULL when memory is out.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

enum { PACKET_POOLED_MAX = 4096 - 32 }; /* bytes */

struct blob;
struct blob_pool;
struct packet;      /* opaque */
struct packet_pool; /* opaque; one per reactor */

/* `blobs` is the pool of this thread, which drops of blobs name. May be NULL. */
NODISCARD struct packet_pool *packet_pool_create(struct blob_pool *blobs);

/* CHECKs that no packet of it is alive. NULL: nothing. */
void packet_pool_destroy(struct packet_pool *pool);

/* Live packets. */
NODISCARD size_t packet_pool_count(const struct packet_pool *pool);

/* Of live packets: one that was shortened counts as what it is now. Blobs are their own pool's. */
NODISCARD size_t packet_pool_bytes(const struct packet_pool *pool);

/* One reference, and `size` bytes to be written through packet_span() before it is queued. */
NODISCARD struct packet *packet_create(struct packet_pool *pool, size_t size);

/* One reference. Takes over one share of the blob; on NULL the share is still the caller's. */
NODISCARD struct packet *packet_of_blob(struct packet_pool *pool, struct blob *blob);

/*
 * One reference. Takes over `memory`, which malloc() gave, and shows the `size` bytes that begin
 * `begin` behind it; on NULL the memory is still the caller's.
 */
NODISCARD struct packet *packet_of_memory(struct packet_pool *pool, uint8_t *memory, uint8_t begin,
                                          size_t size);

/* The writable bytes of a packet_create(); CHECKs that it is one. */
NODISCARD struct span packet_span(struct packet *packet);

/* Makes a packet_create() shorter: what was written is less than what was asked for. */
void packet_shorten(struct packet *packet, size_t size);

/* Appends both, if they find room inline and nobody else sees it. False: nothing changed. */
NODISCARD bool packet_append(struct packet *packet, struct bytes head, struct bytes body);

/*
 * Only the newest of such packets is worth sending (the answer to the last ping): while a send
 * waits for the reader, a queue that holds one of which no byte was handed over puts the new one in
 * its place.
 */
void packet_set_replaceable(struct packet *packet);
NODISCARD bool packet_is_replaceable(const struct packet *packet);

/*
 * Before it is queued: it belongs to a flow (> 0), of which a queue that is not read may be rid
 * (conn_drop_flow), and stands for so many messages of it (at most UINT16_MAX are counted). It is
 * the packet that knows, and not each queue, so that a flow costs nothing where nobody is slow.
 */
void packet_set_flow(struct packet *packet, uint32_t flow, size_t message_count);
NODISCARD uint32_t packet_flow(const struct packet *packet); /* 0: of none */
NODISCARD uint32_t packet_message_count(const struct packet *packet);

NODISCARD struct bytes packet_bytes(const struct packet *packet);

void packet_ref(struct packet *packet);

/* NULL: nothing. */
void packet_unref(struct packet *packet);

#endif /* NET_PACKET_H */
