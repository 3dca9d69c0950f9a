/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames: messages to the echo or to gateway_commands.c; control frames answered.
 */
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/close.h"
#include "proto/frame.h"
#include "server/compression.h"
#include "server/config.h"
#include "server/gateway_state.h"

enum {
    ASSEMBLY_SIZE_MIN = 512,  /* bytes */
    ASSEMBLY_HEAD_SIZE = 16,  /* bytes before an assembly: an echo's header goes there */
    ASSEMBLY_AHEAD = 16,      /* times what has arrived, when so much is declared */
    ECHO_COPY_SIZE_MAX = 512, /* bytes; small echoes are joined, which is worth a copy */
};

/* -- the assembly ------------------------------------------------------------------------------ */

/* What realloc() gave for it, which has room for a header in front; NULL: there is none. */
static uint8_t *assembly_memory(struct span assembly)
{
    return assembly.data == NULL ? NULL : assembly.data - ASSEMBLY_HEAD_SIZE;
}

void gateway_free_assembly(struct peer *peer)
{
    free(assembly_memory(stream_take_assembly(&peer->stream)));
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Grows at least by doubling, so that each byte is copied a constant number of times. */
static bool give_room(struct gateway *gateway, struct peer *peer, const struct stream_event *event)
    ON_REACTOR
{
    const struct span present = stream_assembly(&peer->stream);
    const size_t ahead = smaller(event->room_declared, ASSEMBLY_AHEAD * event->room_needed);
    size_t room = larger(ASSEMBLY_SIZE_MIN, 2 * present.size);
    room = larger(room, larger(ahead, event->room_needed));
    room = smaller(room, peer->stream.limits->message_size_max);
    uint8_t *const grown = realloc(assembly_memory(present), ASSEMBLY_HEAD_SIZE + room);
    if (grown == NULL) {
        gateway_give_up(gateway, peer);
        return false;
    }
    stream_give_room(&peer->stream, grown + ASSEMBLY_HEAD_SIZE, room);
    return true;
}

/* -- echo -------------------------------------------------------------------------------------- */

/*
 * The assembly goes out as it is, the header in front of it. It was to grow by doubling: what is
 * behind the payload goes back, so that a queue does not hold more than it counts.
 */
static enum conn_queued queue_assembly(struct gateway *gateway, struct peer *peer,
                                       struct bytes header, size_t size) ON_REACTOR
{
    const struct span assembly = stream_take_assembly(&peer->stream);
    CHECK(header.size <= ASSEMBLY_HEAD_SIZE && size <= assembly.size);
    uint8_t *memory = assembly_memory(assembly);
    if (size < assembly.size) {
        uint8_t *const shrunk = realloc(memory, ASSEMBLY_HEAD_SIZE + size);
        memory = shrunk == NULL ? memory : shrunk;
    }
    const size_t begin = ASSEMBLY_HEAD_SIZE - header.size;
    memcpy(memory + begin, header.data, header.size);
    struct packet *packet = packet_of_memory(reactor_packets(gateway->reactor), memory,
                                             (uint8_t)begin, header.size + size);
    if (packet == NULL) {
        free(memory);
        return CONN_TOO_SLOW;
    }
    const enum conn_queued queued = conn_queue(peer->conn, packet, CONN_NORMAL);
    packet_unref(packet);
    return queued;
}

/* NULL: it goes as it is. */
static struct packet *compress_echo(struct gateway *gateway, const struct stream_event *event)
    ON_REACTOR
{
    struct compression *compression = gateway->options.compression;

    if (!compression_begin(compression, event->payload.size)) {
        return NULL;
    }
    compression_open(compression);
    compression_add(compression, (struct bytes){event->payload.data, event->payload.size});
    compression_close(compression, event->opcode);
    return compression_finish(compression, reactor_packets(gateway->reactor));
}

static enum conn_queued queue_echo(struct gateway *gateway, struct peer *peer,
                                   const struct stream_event *event) ON_REACTOR
{
    struct packet *packet = conn_mark(peer->conn) ? compress_echo(gateway, event) : NULL;
    if (packet != NULL) {
        const enum conn_queued queued = conn_queue(peer->conn, packet, CONN_NORMAL);
        packet_unref(packet);
        return queued;
    }
    uint8_t bytes[FRAME_HEADER_SIZE_MAX];
    const struct bytes header = {bytes,
                                 frame_write_header(event->opcode, event->payload.size, bytes)};
    const struct bytes payload = {event->payload.data, event->payload.size};
    return event->is_assembled && payload.size > ECHO_COPY_SIZE_MAX
               ? queue_assembly(gateway, peer, header, payload.size)
               : conn_append(peer->conn, header, payload);
}

static void take_echo_message(struct gateway *gateway, struct peer *peer,
                              const struct stream_event *event) ON_REACTOR
{
    const enum conn_queued queued = queue_echo(gateway, peer, event);
    metrics_add(gateway->options.metrics, METRIC_FRAMES_SENT_ECHO, 1);
    if (queued == CONN_TOO_SLOW) {
        gateway_too_slow(gateway, peer->conn);
    } else if (queued == CONN_QUEUED_HIGH) {
        conn_pause(peer->conn); /* until on_drained: who does not read is not read either */
    }
}

/* -- control frames ---------------------------------------------------------------------------- */

static void take_ping(struct gateway *gateway, struct peer *peer, struct span payload) ON_REACTOR
{
    uint8_t frame[FRAME_CONTROL_SIZE_MAX];
    const size_t size =
        frame_write_control(FRAME_PONG, (struct bytes){payload.data, payload.size}, frame);
    struct packet *packet = gateway_packet(gateway, (struct bytes){frame, size});
    if (packet == NULL) {
        gateway_give_up(gateway, peer);
        return;
    }
    /* To somebody who does not read, the last of many pings is all that is answered. */
    packet_set_replaceable(packet);
    if (conn_queue(peer->conn, packet, CONN_URGENT) == CONN_TOO_SLOW) {
        gateway_too_slow(gateway, peer->conn);
    } else {
        metrics_add(gateway->options.metrics, METRIC_FRAMES_SENT_PONG, 1);
    }
    packet_unref(packet);
}

/* RFC 6455 section 5.5.1: the answer carries the code that came. */
static void take_close(struct gateway *gateway, struct peer *peer, uint16_t code) ON_REACTOR
{
    metrics_add(gateway->options.metrics, METRIC_FRAMES_RECEIVED_CLOSE, 1);
    peer->closed_by_client = true;
    gateway_end(gateway, peer, code);
}

/* -- frames ------------------------------------------------------------------------------------ */

static enum metrics_id rejected_for(enum stream_verdict fault)
{
    switch (fault) {
    case STREAM_INVALID_UTF8:
        return METRIC_REJECTED_INVALID_UTF8;
    case STREAM_TOO_BIG:
        return METRIC_REJECTED_MESSAGE_TOO_BIG;
    case STREAM_TOO_MANY_FRAGMENTS:
        return METRIC_REJECTED_TOO_MANY_FRAGMENTS;
    case STREAM_PROTOCOL_ERROR:
        return METRIC_REJECTED_PROTOCOL_ERROR;
    case STREAM_NEED_MORE:
    case STREAM_NEED_ROOM:
    case STREAM_MESSAGE:
    case STREAM_PING:
    case STREAM_PONG:
    case STREAM_CLOSE:
        break;
    }
    NEVER("a verdict that is not a fault");
}

static void refuse_message(struct gateway *gateway, struct peer *peer, enum metrics_id reason,
                           enum close_code code) ON_REACTOR
{
    metrics_add(gateway->options.metrics, reason, 1);
    gateway_end(gateway, peer, (uint16_t)code);
}

/* What came compressed becomes what it was. False: it does not, and the peer is over. */
static bool inflate_message(struct gateway *gateway, struct peer *peer, struct stream_event *event)
    ON_REACTOR
{
    const struct bytes compressed = {event->payload.data, event->payload.size};
    struct utf8_state text = {0};

    switch (compression_inflate(gateway->options.compression, compressed,
                                peer->stream.limits->message_size_max, &event->payload)) {
    case PERMESSAGE_OK:
        break;
    case PERMESSAGE_INVALID:
        refuse_message(gateway, peer, METRIC_REJECTED_INVALID_DEFLATE, CLOSE_INVALID_PAYLOAD);
        return false;
    case PERMESSAGE_TOO_BIG:
        refuse_message(gateway, peer, METRIC_REJECTED_MESSAGE_TOO_BIG, CLOSE_MESSAGE_TOO_BIG);
        return false;
    case PERMESSAGE_NO_MEMORY:
        gateway_give_up(gateway, peer);
        return false;
    }
    const struct bytes payload = {event->payload.data, event->payload.size};
    if (event->opcode == FRAME_TEXT &&
        (utf8_check(gateway->options.simd, &text, payload) != UTF8_VALID ||
         !utf8_is_complete(text))) {
        refuse_message(gateway, peer, METRIC_REJECTED_INVALID_UTF8, CLOSE_INVALID_PAYLOAD);
        return false;
    }
    return true;
}

/* What came of its messages took long enough: the others first. */
static void take_turns(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    if (peer->state == PEER_CHAT && !conn_is_paused(peer->conn) && !conn_is_closing(peer->conn) &&
        compression_is_spent(gateway->options.compression)) {
        metrics_add(gateway->options.metrics, METRIC_INFLATE_WAITS, 1);
        conn_pause(peer->conn);
        gateway_wait_for_hub(gateway, peer);
    }
}

static void act_on_message(struct gateway *gateway, struct peer *peer,
                           const struct stream_event *event) ON_REACTOR
{
    if (peer->state == PEER_ECHO) {
        take_echo_message(gateway, peer, event);
    } else {
        gateway_take_commands(gateway, peer, event);
    }
}

static void take_message(struct gateway *gateway, struct peer *peer,
                         const struct stream_event *event) ON_REACTOR
{
    metrics_add(gateway->options.metrics,
                event->opcode == FRAME_TEXT ? METRIC_FRAMES_RECEIVED_TEXT
                                            : METRIC_FRAMES_RECEIVED_BINARY,
                1);
    if (!event->is_compressed) {
        act_on_message(gateway, peer, event);
    } else {
        struct stream_event inflated = *event;
        inflated.is_assembled = false; /* it lies in the inflater's buffer */
        if (inflate_message(gateway, peer, &inflated)) {
            act_on_message(gateway, peer, &inflated);
        }
        compression_rest(gateway->options.compression);
        take_turns(gateway, peer);
    }
    if (event->is_assembled) {
        gateway_free_assembly(peer); /* an idle connection keeps no buffer */
    }
}

static void take_event(struct gateway *gateway, struct peer *peer, enum stream_verdict verdict,
                       const struct stream_event *event) ON_REACTOR
{
    switch (verdict) {
    case STREAM_MESSAGE:
        take_message(gateway, peer, event);
        return;
    case STREAM_PING:
        metrics_add(gateway->options.metrics, METRIC_FRAMES_RECEIVED_PING, 1);
        if (gateway_admit_control(gateway, peer)) {
            take_ping(gateway, peer, event->payload);
        }
        return;
    case STREAM_PONG:
        metrics_add(gateway->options.metrics, METRIC_FRAMES_RECEIVED_PONG, 1);
        gateway_admit_control(gateway, peer); /* nobody asked: RFC 6455 section 5.5.3 allows it */
        return;
    case STREAM_CLOSE:
        take_close(gateway, peer, event->close_code);
        return;
    case STREAM_PROTOCOL_ERROR:
    case STREAM_INVALID_UTF8:
    case STREAM_TOO_BIG:
    case STREAM_TOO_MANY_FRAGMENTS:
        refuse_message(gateway, peer, rejected_for(verdict), close_code_for(verdict));
        return;
    case STREAM_NEED_MORE:
    case STREAM_NEED_ROOM:
        break;
    }
    NEVER("a verdict that the loop keeps to itself");
}

/* A message, or a control frame, that has begun must be whole in time. */
static void time_message(struct gateway *gateway, struct peer *peer, bool is_under_way)
{
    if (is_under_way == (peer->message_deadline != 0)) {
        return;
    }
    const struct config *config = gateway->options.config;
    peer->message_deadline = 0;
    if (is_under_way) {
        peer->message_deadline = gateway_after_ns(
            gateway, peer->state == PEER_ECHO ? config->echo.message_timeout_ns
                                              : config->websocket.message_timeout_ns);
    }
    gateway_arm(gateway, peer);
}

/* Whether on_bytes may go on with this peer in this iteration. */
static bool is_readable(const struct peer *peer) ON_REACTOR
{
    return (peer->state == PEER_CHAT || peer->state == PEER_ECHO) && peer->held == NULL &&
           !conn_is_closing(peer->conn) && !conn_is_paused(peer->conn);
}

size_t gateway_read_frames(struct gateway *gateway, struct peer *peer, struct span in)
{
    struct span rest = in;

    while (is_readable(peer)) {
        struct stream_event event;
        const enum stream_verdict verdict =
            stream_next(&peer->stream, gateway->options.simd, &rest, &event);
        if (verdict == STREAM_NEED_MORE) {
            time_message(gateway, peer, rest.size > 0 || stream_is_mid_message(&peer->stream));
            return in.size - rest.size;
        }
        if (verdict == STREAM_NEED_ROOM) {
            if (!give_room(gateway, peer, &event)) {
                return in.size;
            }
            continue;
        }
        take_event(gateway, peer, verdict, &event);
    }
    if (conn_is_closing(peer->conn) || peer->state == PEER_CLOSING) {
        return in.size;
    }
    /* Paused between two messages: what follows has not begun. */
    time_message(gateway, peer, false);
    return in.size - rest.size;
}
