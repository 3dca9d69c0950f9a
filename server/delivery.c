/* SPDX-License-Identifier: Apache-2.0 */
#include "server/delivery.h"

#include <string.h>

#include "chat/hub.h"
#include "chat/outbox.h"
#include "chat/roster.h"
#include "core/blob.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"
#include "net/conn.h"
#include "net/packet.h"
#include "net/reactor.h"
#include "proto/codes.h"
#include "proto/frame.h"
#include "server/compression.h"
#include "server/gateway.h"

/* The connection of an entry, if it still takes anything. */
static struct conn *find_conn(const struct delivery *delivery, struct conn_id id) ON_REACTOR
{
    struct conn *conn = reactor_conn(delivery->reactor, id);
    return conn == NULL || conn_is_closing(conn) ? NULL : conn;
}

/* -- messages ---------------------------------------------------------------------------------- */

/* How many entries from `first` on go into one frame, and the bytes of that frame's payload. */
static size_t gather(const struct delivery *delivery, size_t first, size_t *size)
{
    const size_t end = outbox_count(delivery->outbox);
    const struct outbox_entry *entry = outbox_at(delivery->outbox, first);
    size_t count = 1;

    *size = entry->size;
    while (first + count < end && count < delivery->messages_per_frame_max) {
        const struct outbox_entry *next = outbox_at(delivery->outbox, first + count);
        if (next->kind != OUTBOX_MESSAGE || next->in_order != entry->in_order ||
            !conn_id_equal(next->conn, entry->conn)) {
            break;
        }
        *size += 1 + next->size; /* '\n' */
        count++;
    }
    return count;
}

static struct packet *join(const struct delivery *delivery, size_t first, size_t count, size_t size)
{
    uint8_t header[FRAME_HEADER_SIZE_MAX];
    const size_t header_size = frame_write_header(FRAME_TEXT, size, header);
    struct packet *packet = packet_create(reactor_packets(delivery->reactor), header_size + size);
    if (packet == NULL) {
        return NULL;
    }
    uint8_t *at = packet_span(packet).data;
    memcpy(at, header, header_size);
    at += header_size;
    for (size_t i = 0; i < count; i++) {
        const struct bytes text =
            outbox_text(delivery->outbox, outbox_at(delivery->outbox, first + i));
        if (i > 0) {
            *at++ = '\n';
        }
        memcpy(at, text.data, text.size);
        at += text.size;
    }
    return packet;
}

/* Between messages of one frame. */
static const struct bytes separator = {(const uint8_t *)"\n", 1};

/* The same compressed; NULL: it goes as it is. */
static struct packet *join_compressed(const struct delivery *delivery, size_t first, size_t count,
                                      size_t size)
{
    struct compression *compression = delivery->compression;

    if (!compression_begin(compression, size)) {
        return NULL;
    }
    compression_open(compression);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) {
            compression_add(compression, separator);
        }
        const struct outbox_entry *entry = outbox_at(delivery->outbox, first + i);
        compression_add(compression, outbox_text(delivery->outbox, entry));
    }
    compression_close(compression, FRAME_TEXT);
    return compression_finish(compression, reactor_packets(delivery->reactor));
}

/* Returns how many entries it was. */
static size_t deliver_messages(const struct delivery *delivery, size_t first) ON_REACTOR
{
    size_t size;
    const size_t count = gather(delivery, first, &size);
    const struct outbox_entry *entry = outbox_at(delivery->outbox, first);
    struct conn *conn = find_conn(delivery, entry->conn);
    if (conn == NULL) {
        return count;
    }
    struct packet *packet = conn_mark(conn) ? join_compressed(delivery, first, count, size) : NULL;
    if (packet == NULL) {
        packet = join(delivery, first, count, size);
    }
    if (packet == NULL) {
        metrics_add(delivery->metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        gateway_say_close(delivery->gateway, conn, CODES_DISCONNECT_SERVER_ERROR);
        return count;
    }
    const enum conn_lane lane = entry->in_order ? CONN_NORMAL : CONN_URGENT;
    const enum conn_queued queued = conn_queue(conn, packet, lane);
    if (queued == CONN_TOO_SLOW) {
        gateway_too_slow(delivery->gateway, conn);
    } else if (queued == CONN_QUEUED_HIGH) {
        gateway_is_behind(delivery->gateway, conn);
    }
    packet_unref(packet);
    metrics_add(delivery->metrics, METRIC_FRAMES_SENT_REPLY, 1);
    return count;
}

/* -- publications ------------------------------------------------------------------------------ */

/* The chain of a room's entries from `first` on: every blob of it copied into one packet. */
static struct packet *concatenate(const struct delivery *delivery, const struct outbox_entry *first)
{
    size_t size = 0;
    for (const struct outbox_entry *entry = first;;) {
        size += blob_bytes(entry->blob).size;
        if (entry->next == 0) {
            break;
        }
        entry = outbox_at(delivery->outbox, entry->next - 1);
    }
    struct packet *packet = packet_create(reactor_packets(delivery->reactor), size);
    if (packet == NULL) {
        return NULL;
    }
    uint8_t *at = packet_span(packet).data;
    for (const struct outbox_entry *entry = first;;) {
        const struct bytes bytes = blob_bytes(entry->blob);
        memcpy(at, bytes.data, bytes.size);
        at += bytes.size;
        if (entry->next == 0) {
            break;
        }
        entry = outbox_at(delivery->outbox, entry->next - 1);
    }
    return packet;
}

/* One packet for the chain from `first` on. A single blob is not copied: the packet views it. */
static struct packet *packet_for(const struct delivery *delivery, const struct outbox_entry *first)
{
    if (first->next != 0) {
        return concatenate(delivery, first);
    }
    struct packet *packet = packet_of_blob(reactor_packets(delivery->reactor), first->blob);
    if (packet != NULL) {
        blob_share(first->blob, 1); /* the entry's own share is dropped with the entry */
    }
    return packet;
}

static void note_time(struct delivery_times *times, uint64_t taken_ns)
{
    if (taken_ns > 0 && times->count < DELIVERY_TIMES_MAX) {
        times->taken_ns[times->count++] = taken_ns;
    }
}

/* Gives up the shares of a chain. */
static void drop_chain(const struct delivery *delivery, struct outbox_entry *first)
{
    for (struct outbox_entry *entry = first;;) {
        const uint32_t next = entry->next;
        note_time(delivery->times, entry->blob->made_ns);
        entry->kind = OUTBOX_TAKEN;
        blob_drop(entry->blob, delivery->pool);
        entry->blob = NULL;
        if (next == 0) {
            return;
        }
        entry = outbox_at(delivery->outbox, next - 1);
    }
}

/* No memory for a packet: the members lose publications, and are told so. */
static void give_up_room(const struct delivery *delivery, const struct room *room) ON_REACTOR
{
    metrics_add(delivery->metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
    for (uint32_t i = 0; i < room->member_count; i++) {
        struct conn *conn = find_conn(delivery, room->members[i].conn);
        if (conn != NULL) {
            gateway_say_close(delivery->gateway, conn, CODES_DISCONNECT_INSUFFICIENT_STATE);
        }
    }
}

/* What a room's members are given. */
struct fan_out {
    const struct delivery *delivery;
    const struct outbox_entry *first; /* of the chain; joins and leaves are one entry */
    struct packet *packet;            /* the whole chain */
    struct packet *compressed;        /* the same; NULL: not tried yet, or not worth it */
    struct packet *newest;            /* its last publication only, once somebody needs that */
    bool is_tried;                    /* to compress it */
    bool is_news;                     /* joins and leaves, for those that want them */
    size_t given;                     /* to so many */
    size_t missed;                    /* messages that were not given to somebody */
};

/* Bytes of a chain's messages, without their frames. */
static size_t chain_size(const struct delivery *delivery, const struct outbox_entry *entry)
{
    size_t size = frame_payload(blob_bytes(entry->blob)).size;
    while (entry->next != 0) {
        entry = outbox_at(delivery->outbox, entry->next - 1);
        size += frame_payload(blob_bytes(entry->blob)).size;
    }
    return size;
}

/* The chain compressed, as many publications in a message as may be. NULL: it goes as it is. */
static struct packet *compress_chain(const struct delivery *delivery,
                                     const struct outbox_entry *entry)
{
    struct compression *compression = delivery->compression;

    if (!compression_begin(compression, chain_size(delivery, entry))) {
        return NULL;
    }
    for (uint32_t count = 0;;) {
        if (count == 0) {
            compression_open(compression);
        } else {
            compression_add(compression, separator);
        }
        compression_add(compression, frame_payload(blob_bytes(entry->blob)));
        count++;
        if (entry->next == 0 || count == delivery->messages_per_frame_max) {
            compression_close(compression, FRAME_TEXT);
            count = 0;
        }
        if (entry->next == 0) {
            return compression_finish(compression, reactor_packets(delivery->reactor));
        }
        entry = outbox_at(delivery->outbox, entry->next - 1);
    }
}

/* For somebody who negotiated compression. */
static struct packet *compressed_of(struct fan_out *fan_out)
{
    if (!fan_out->is_tried) {
        fan_out->is_tried = true;
        fan_out->compressed = compress_chain(fan_out->delivery, fan_out->first);
        if (fan_out->compressed != NULL) {
            packet_set_flow(fan_out->compressed, packet_flow(fan_out->packet),
                            packet_message_count(fan_out->packet));
        }
    }
    return fan_out->compressed != NULL ? fan_out->compressed : fan_out->packet;
}

/* For who does not read it goes as it is: they are few. */
static struct packet *newest_of(const struct fan_out *fan_out)
{
    const struct outbox_entry *entry = fan_out->first;
    while (entry->next != 0) {
        entry = outbox_at(fan_out->delivery->outbox, entry->next - 1);
    }
    struct packet *packet = packet_for(fan_out->delivery, entry);
    if (packet != NULL) {
        packet_set_flow(packet, packet_flow(fan_out->packet), 1);
    }
    return packet;
}

static void give_newest(struct fan_out *fan_out, struct conn *conn) ON_REACTOR
{
    size_t dropped = 0;

    if (fan_out->newest == NULL) {
        fan_out->newest = newest_of(fan_out);
    }
    if (fan_out->newest == NULL ||
        conn_queue_latest(conn, fan_out->newest, &dropped) == CONN_TOO_SLOW) {
        gateway_too_slow(fan_out->delivery->gateway, conn);
        return;
    }
    fan_out->missed += dropped + packet_message_count(fan_out->packet) - 1;
}

/* There was no room for the packet. */
static void lag(struct fan_out *fan_out, struct conn *conn, enum policy_slow_consumer policy)
    ON_REACTOR
{
    switch (policy) {
    case POLICY_SLOW_RESYNC:
        fan_out->missed += conn_drop_flow(conn, packet_flow(fan_out->packet));
        fan_out->missed += packet_message_count(fan_out->packet);
        return;
    case POLICY_SLOW_LATEST:
        if (fan_out->is_news) {
            fan_out->missed++; /* who came or went takes no publication's place */
        } else {
            give_newest(fan_out, conn);
        }
        return;
    case POLICY_SLOW_DROP:
        fan_out->missed += packet_message_count(fan_out->packet);
        return;
    case POLICY_SLOW_DISCONNECT:
        gateway_too_slow(fan_out->delivery->gateway, conn);
        return;
    }
    NEVER("a policy that nobody knows");
}

/*
 * To every member, or to those that want news. Backwards, so that one which has to leave moves
 * nobody who is yet to come.
 */
static void give_to_all(struct fan_out *fan_out, struct room *room) ON_REACTOR
{
    const struct delivery *delivery = fan_out->delivery;

    for (uint32_t i = room->member_count; i > 0; i--) {
        const struct roster_member *member = &room->members[i - 1];
        struct conn *conn = fan_out->is_news && !member->traits.hears_news
                                ? NULL
                                : find_conn(delivery, member->conn);
        if (conn == NULL) {
            continue;
        }
        fan_out->given++;
        struct packet *packet = conn_mark(conn) ? compressed_of(fan_out) : fan_out->packet;
        const enum conn_queued queued = conn_queue(conn, packet, CONN_NORMAL);
        if (queued == CONN_LAGS) {
            lag(fan_out, conn, hub_lag(delivery->hub, room, i - 1));
        } else if (queued == CONN_TOO_SLOW) {
            gateway_too_slow(delivery->gateway, conn);
        }
    }
}

static void deliver_publications(const struct delivery *delivery, struct outbox_entry *first)
    ON_REACTOR
{
    struct room *room = roster_at(hub_roster(delivery->hub), first->room);
    if (room == NULL) {
        drop_chain(delivery, first); /* the last member left in this very iteration */
        return;
    }
    const size_t count = room->outbox_count;
    room->outbox_last = 0;
    room->outbox_count = 0;
    room->outbox_passing = 0;
    struct fan_out fan_out = {
        .delivery = delivery,
        .first = first,
        .packet = packet_for(delivery, first),
    };
    if (fan_out.packet == NULL) {
        give_up_room(delivery, room);
    } else {
        const size_t deliveries = count * room->member_count;
        const uint16_t place = room->policy->counts_as;
        packet_set_flow(fan_out.packet, room->slot + 1, count);
        give_to_all(&fan_out, room);
        metrics_add(delivery->metrics, METRIC_LAG_MISSED, fan_out.missed);
        metrics_add(delivery->metrics, METRIC_DELIVERIES, deliveries);
        metrics_add_for(delivery->metrics, place, NAMESPACE_DELIVERIES, deliveries);
        metrics_add(delivery->metrics, METRIC_FRAMES_SENT_PUSH, deliveries);
    }
    packet_unref(fan_out.packet);
    packet_unref(fan_out.compressed);
    packet_unref(fan_out.newest);
    drop_chain(delivery, first);
}

/* A frame of joins and leaves, to the members that want to know. */
static void deliver_news(const struct delivery *delivery, struct outbox_entry *entry) ON_REACTOR
{
    struct room *room = roster_at(hub_roster(delivery->hub), entry->room);
    struct packet *packet =
        room == NULL ? NULL : packet_of_blob(reactor_packets(delivery->reactor), entry->blob);
    if (packet == NULL) {
        blob_drop(entry->blob, delivery->pool);
        if (room != NULL) {
            give_up_room(delivery, room);
        }
        return;
    }
    struct fan_out fan_out = {
        .delivery = delivery,
        .first = entry,
        .packet = packet,
        .is_news = true,
    };
    packet_set_flow(packet, room->slot + 1, 1);
    give_to_all(&fan_out, room);
    packet_unref(fan_out.compressed);
    packet_unref(packet); /* and with the last reference the entry's share */
    metrics_add(delivery->metrics, METRIC_LAG_MISSED, fan_out.missed);
    metrics_add(delivery->metrics, METRIC_NEWS_DELIVERIES, fan_out.given);
    metrics_add(delivery->metrics, METRIC_FRAMES_SENT_PUSH, fan_out.given);
}

/* Those from entry `first` on. */
static void deliver_all_messages(const struct delivery *delivery, size_t first) ON_REACTOR
{
    for (size_t i = first; i < outbox_count(delivery->outbox);) {
        const bool is_message = outbox_at(delivery->outbox, i)->kind == OUTBOX_MESSAGE;
        i += is_message ? deliver_messages(delivery, i) : 1;
    }
}

void delivery_run(const struct delivery *delivery)
{
    const size_t count = outbox_count(delivery->outbox);

    /*
     * Publications go to who is a member now. So whatever was said in this iteration about who is
     * one goes before them, and behind those of earlier iterations. Who is found to lag meanwhile
     * is told afterwards.
     */
    deliver_all_messages(delivery, 0);
    for (size_t i = 0; i < outbox_count(delivery->outbox); i++) {
        struct outbox_entry *entry = outbox_at(delivery->outbox, i);
        struct conn *conn;
        switch (entry->kind) {
        case OUTBOX_PUBLICATION:
            deliver_publications(delivery, entry);
            break;
        case OUTBOX_NEWS:
            deliver_news(delivery, entry);
            break;
        case OUTBOX_DISCONNECT:
            conn = find_conn(delivery, entry->conn);
            if (conn != NULL && entry->has_reason) {
                gateway_say_close_with(delivery->gateway, conn, entry->code,
                                       outbox_text(delivery->outbox, entry));
            } else if (conn != NULL) {
                gateway_say_close(delivery->gateway, conn, entry->code);
            }
            break;
        case OUTBOX_ANSWER:
            conn = find_conn(delivery, entry->conn);
            if (conn != NULL) {
                gateway_take_answer(delivery->gateway, conn, entry->part,
                                    (enum codes_error)entry->code,
                                    outbox_text(delivery->outbox, entry));
            }
            break;
        case OUTBOX_MESSAGE:
        case OUTBOX_TAKEN:
            break;
        }
    }
    deliver_all_messages(delivery, count);
    outbox_clear(delivery->outbox);
}
