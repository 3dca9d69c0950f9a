/* SPDX-License-Identifier: Apache-2.0 */
#include "server/compression.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/metrics.h"
#include "net/packet.h"
#include "server/config.h"

enum {
    BUDGET = 256 << 10, /* bytes of messages in one iteration: about a millisecond at level 1 */
    INFLATE_BUDGET = 1 << 20, /* bytes that may come of messages in one iteration */
    MESSAGE_COST = 1 << 9,    /* bytes that beginning counts for: zlib forgets what it knew */
};

struct compression {
    struct permessage_inflater *inflater;
    struct permessage_deflater *deflater;
    struct metrics *metrics;
    size_t size_min;       /* bytes */
    size_t budget;         /* bytes left in this iteration */
    size_t inflate_budget; /* likewise */
    size_t plain; /* bytes of the packet under way, uncompressed: its frames must be less */
    size_t used;  /* bytes of its frames in `frames` */
    bool is_full; /* they do not get shorter */
    uint8_t frames[BUDGET];
};

int compression_create(const struct config_websocket *config, struct metrics *metrics,
                       struct compression **compression)
{
    struct compression *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->metrics = metrics;
    created->size_min = config->compression_min_size;
    compression_refill(created);
    created->inflater = permessage_inflater_create();
    created->deflater =
        permessage_deflater_create(config->compression_level, config->compression_window_bits);
    if (created->inflater == NULL || created->deflater == NULL) {
        compression_destroy(created);
        return -ENOMEM;
    }
    *compression = created;
    return 0;
}

void compression_destroy(struct compression *compression)
{
    if (compression != NULL) {
        permessage_inflater_destroy(compression->inflater);
        permessage_deflater_destroy(compression->deflater);
        free(compression);
    }
}

void compression_set_min_size(struct compression *compression, uint32_t size_min)
{
    if (compression != NULL) {
        compression->size_min = size_min;
    }
}

void compression_refill(struct compression *compression)
{
    if (compression != NULL) {
        compression->budget = BUDGET;
        compression->inflate_budget = INFLATE_BUDGET;
    }
}

static void spend(struct compression *compression, size_t size)
{
    const size_t left = compression->inflate_budget;
    compression->inflate_budget = size < left ? left - size : 0;
}

enum permessage_verdict compression_inflate(struct compression *compression,
                                            struct bytes compressed, size_t size_max,
                                            struct span *message)
{
    const enum permessage_verdict verdict =
        permessage_inflate(compression->inflater, compressed, size_max, message);

    metrics_add(compression->metrics, METRIC_INFLATE_COMPRESSED, compressed.size);
    if (verdict == PERMESSAGE_OK) {
        metrics_add(compression->metrics, METRIC_INFLATE_PLAIN, message->size);
    }
    /* What failed may have cost all that was allowed. */
    spend(compression, MESSAGE_COST + (verdict == PERMESSAGE_OK ? message->size : size_max));
    return verdict;
}

void compression_rest(struct compression *compression)
{
    permessage_inflater_rest(compression->inflater);
}

bool compression_is_spent(const struct compression *compression)
{
    return compression->inflate_budget == 0;
}

bool compression_admit(struct compression *compression, size_t size_max)
{
    const size_t left = compression->inflate_budget;
    if (left < size_max && left < INFLATE_BUDGET) {
        return false;
    }
    spend(compression, size_max);
    return true;
}

bool compression_begin(struct compression *compression, size_t size)
{
    if (size < compression->size_min) {
        return false;
    }
    if (size + MESSAGE_COST > compression->budget) {
        metrics_add(compression->metrics, METRIC_DEFLATE_OVER_BUDGET, 1);
        return false;
    }
    compression->budget -= size + MESSAGE_COST;
    compression->plain = size;
    compression->used = 0;
    compression->is_full = false;
    return true;
}

/* The message goes behind the place of the longest header, and moves up when its own is known. */
void compression_open(struct compression *compression)
{
    const size_t begin = compression->used + FRAME_HEADER_SIZE_MAX;
    const size_t end = compression->plain + PERMESSAGE_TAIL_SIZE;

    compression->is_full = compression->is_full || begin >= end;
    if (!compression->is_full) {
        permessage_deflate_begin(compression->deflater,
                                 (struct span){compression->frames + begin, end - begin});
    }
}

void compression_add(struct compression *compression, struct bytes piece)
{
    if (!compression->is_full) {
        permessage_deflate_add(compression->deflater, piece);
    }
}

void compression_close(struct compression *compression, enum frame_opcode opcode)
{
    if (compression->is_full) {
        return;
    }
    const size_t size = permessage_deflate_end(compression->deflater);
    if (size == 0) {
        compression->is_full = true;
        return;
    }
    uint8_t *const header = compression->frames + compression->used;
    const size_t header_size = frame_write_header(opcode, size, header);
    frame_set_compressed(header);
    memmove(header + header_size, header + FRAME_HEADER_SIZE_MAX, size);
    compression->used += header_size + size;
}

struct packet *compression_finish(struct compression *compression, struct packet_pool *pool)
{
    if (compression->is_full || compression->used >= compression->plain) {
        metrics_add(compression->metrics, METRIC_DEFLATE_NO_GAIN, 1);
        return NULL;
    }
    struct packet *packet = packet_create(pool, compression->used);
    if (packet != NULL) {
        memcpy(packet_span(packet).data, compression->frames, compression->used);
        metrics_add(compression->metrics, METRIC_DEFLATE_PLAIN, compression->plain);
        metrics_add(compression->metrics, METRIC_DEFLATE_COMPRESSED, compression->used);
    }
    return packet;
}
