/* SPDX-License-Identifier: Apache-2.0 */
/* A connection's queue, and how it is sent: what is queued goes out with the next flush. */
#include <errno.h>
#include <string.h>

#include "core/check.h"
#include "net/conn.h"
#include "net/conn_private.h"
#include "net/reactor_private.h"
#include "net/tls.h"

enum {
    FLUSH_SENDS_MAX = 8,   /* per connection and iteration; the rest in the next one */
    APPEND_ROOM_MIN = 900, /* bytes of a packet that small messages share */
};

bool conn_has_output(const struct conn *conn)
{
    if (conn->tls == NULL) {
        return !outq_is_empty(&conn->outq);
    }
    return tls_output_size(conn->tls) > 0 ||
           (tls_is_open(conn->tls) && !outq_is_empty(&conn->outq));
}

uint32_t conn_queued_bytes(const struct conn *conn)
{
    const size_t encrypted = conn->tls == NULL ? 0 : tls_output_size(conn->tls);
    return conn->outq.bytes + (uint32_t)encrypted;
}

bool conn_is_blocked(const struct conn *conn)
{
    return conn->sending && !conn->io.quiet;
}

/* The kernel looks at bytes of the queue. With TLS it never does: it looks at ciphertext. */
static bool lends_queue(const struct conn *conn)
{
    return conn->sending && conn->tls == NULL;
}

/* How much the queue may hold when a packet comes: of a flow, or another one. */
static uint32_t bytes_max_for(const struct conn *conn, bool is_flow) ON_REACTOR
{
    const struct reactor_options *options = &conn->reactor->options;

    if (conn->large || !conn_is_blocked(conn)) {
        return options->queue_bytes_max_large;
    }
    return is_flow ? options->queue_bytes_high : options->queue_bytes_max;
}

static bool has_room(const struct conn *conn, size_t size, bool is_flow) ON_REACTOR
{
    const uint32_t bytes_max = bytes_max_for(conn, is_flow);
    const uint32_t bytes = conn_queued_bytes(conn);
    return bytes <= bytes_max && size <= bytes_max - bytes;
}

/* Something was put into the queue. */
static enum conn_queued note_queued(struct conn *conn) ON_REACTOR
{
    reactor_touch(conn->reactor, conn);
    if (conn_queued_bytes(conn) > conn->reactor->options.queue_bytes_high) {
        conn->was_high = true;
        return CONN_QUEUED_HIGH;
    }
    return CONN_QUEUED;
}

/* Puts it into the queue, for which there is room. */
static enum conn_queued push(struct conn *conn, struct packet *packet, enum conn_lane lane)
    ON_REACTOR
{
    struct outq *outq = &conn->outq;

    if (outq_is_empty(outq) && !conn_has_output(conn)) {
        conn->progress_ms = reactor_now_ms(conn->reactor);
    }
    if (outq_push(conn->reactor->nodes, outq, packet, lane == CONN_URGENT) != 0) {
        return CONN_TOO_SLOW;
    }
    return note_queued(conn);
}

enum conn_queued conn_queue(struct conn *conn, struct packet *packet, enum conn_lane lane)
{
    const bool is_flow = packet_flow(packet) != 0;

    if (conn->state != CONN_STATE_OPEN) {
        return CONN_QUEUED;
    }
    if (conn_is_blocked(conn) && packet_is_replaceable(packet) &&
        outq_replace(&conn->outq, packet)) {
        return CONN_QUEUED;
    }
    if (!has_room(conn, packet_bytes(packet).size + CONN_PACKET_COST, is_flow)) {
        return is_flow ? CONN_LAGS : CONN_TOO_SLOW;
    }
    return push(conn, packet, lane);
}

enum conn_queued conn_queue_latest(struct conn *conn, struct packet *packet, size_t *dropped)
{
    *dropped = 0;
    if (conn->state != CONN_STATE_OPEN) {
        return CONN_QUEUED;
    }
    *dropped = conn_drop_flow(conn, packet_flow(packet));
    if (!has_room(conn, packet_bytes(packet).size + CONN_PACKET_COST, false)) {
        return CONN_TOO_SLOW;
    }
    return push(conn, packet, CONN_NORMAL);
}

/*
 * Where one message follows another, more may: the next ones find room in the packet of this one.
 * As much again as waits already, so that many messages are few packets; 0: it is the first one.
 */
static size_t room_behind(const struct conn *conn)
{
    if (conn->outq.normal == NULL) {
        return 0;
    }
    const size_t room = conn->outq.bytes < PACKET_POOLED_MAX ? conn->outq.bytes : PACKET_POOLED_MAX;
    return room < APPEND_ROOM_MIN ? APPEND_ROOM_MIN : room;
}

enum conn_queued conn_append(struct conn *conn, struct bytes head, struct bytes body)
{
    const size_t size = head.size + body.size;

    CHECK(head.size > 0);
    if (conn->state != CONN_STATE_OPEN) {
        return CONN_QUEUED;
    }
    if (!lends_queue(conn) && has_room(conn, size, false) && outq_append(&conn->outq, head, body)) {
        return note_queued(conn);
    }
    const size_t room = room_behind(conn);
    struct packet *packet = packet_create(conn->reactor->packets, size < room ? room : size);
    if (packet == NULL) {
        return CONN_TOO_SLOW;
    }
    packet_shorten(packet, size);
    memcpy(packet_span(packet).data, head.data, head.size);
    if (body.size > 0) {
        memcpy(packet_span(packet).data + head.size, body.data, body.size);
    }
    const enum conn_queued queued = conn_queue(conn, packet, CONN_NORMAL);
    packet_unref(packet);
    return queued;
}

size_t conn_drop_flow(struct conn *conn, uint32_t flow)
{
    CHECK(flow > 0);
    return outq_drop_normal(conn->reactor->nodes, &conn->outq, flow);
}

void conn_drop_queue(struct conn *conn)
{
    (void)outq_drop_normal(conn->reactor->nodes, &conn->outq, 0);
}

void conn_set_large(struct conn *conn, bool large)
{
    conn->large = large;
}

void conn_set_mark(struct conn *conn, bool mark)
{
    conn->marked = mark;
}

bool conn_mark(const struct conn *conn)
{
    return conn->marked;
}

/* The kernel took bytes. */
static void account_sent(struct conn *conn, size_t written) ON_REACTOR
{
    if (written == 0) {
        return;
    }
    conn->progress_ms = reactor_now_ms(conn->reactor);
    reactor_count(conn->reactor, METRIC_BYTES_SENT, written);
    if (conn->tls == NULL) {
        outq_advance(conn->reactor->nodes, &conn->outq, written);
    } else {
        tls_advance(conn->tls, written);
    }
    if (conn->was_high && conn_queued_bytes(conn) <= conn->reactor->options.queue_bytes_low) {
        conn->was_high = false;
        conn->drained_due = true;
        reactor_ready(conn->reactor, conn);
    }
}

void conn_sent(struct conn *conn, int32_t result)
{
    CHECK(conn->sending);
    conn->sending = false;
    if (conn->state >= CONN_STATE_DYING) {
        return;
    }
    if (result < 0) {
        conn_fail(conn, result);
        return;
    }
    account_sent(conn, (size_t)result);
    const bool has_more = conn_has_output(conn);
    if (!has_more) {
        conn->io.slow = false;
    }
    if (has_more || conn->state == CONN_STATE_CLOSING) {
        reactor_touch(conn->reactor, conn);
    }
}

/* One send. False when no more makes sense now. */
static bool send_once(struct conn *conn) ON_REACTOR
{
    struct iovec pieces[BACKEND_IOVEC_MAX];
    size_t count = 0;
    bool is_rest = false; /* something stays in the queue, and waits for this send */
    if (conn->tls == NULL) {
        count = outq_gather(&conn->outq, pieces, BACKEND_IOVEC_MAX);
        is_rest = count == BACKEND_IOVEC_MAX;
    } else {
        count = conn_tls_gather(conn, pieces, BACKEND_IOVEC_MAX);
        is_rest = !outq_is_empty(&conn->outq) && tls_is_open(conn->tls);
    }
    if (count == 0) {
        return false; /* encrypting failed */
    }
    conn->io.awaited = conn->state != CONN_STATE_OPEN || conn->was_high || is_rest;
    const ssize_t sent = conn->reactor->ops->send(conn->reactor->backend, &conn->io, pieces, count);
    if (sent >= 0) {
        account_sent(conn, (size_t)sent);
        return conn_has_output(conn);
    }
    if (sent != -EINPROGRESS && sent != -EAGAIN) {
        conn_fail(conn, (int)sent);
        return false;
    }
    conn->sending = true;
    if (!conn->io.quiet && conn->state == CONN_STATE_OPEN && !timerwheel_is_armed(&conn->timer)) {
        conn_arm(conn, conn->reactor->options.write_stall_ns);
    }
    return false;
}

void conn_flush(struct conn *conn)
{
    if (conn->sending || conn->state > CONN_STATE_CLOSING) {
        return;
    }
    if (conn->tls != NULL && conn->state == CONN_STATE_CLOSING && outq_is_empty(&conn->outq)) {
        tls_finish(conn->tls);
    }
    if (conn_has_output(conn)) {
        int sends = 1;
        while (send_once(conn)) {
            if (sends == FLUSH_SENDS_MAX) {
                reactor_touch(conn->reactor, conn);
                return;
            }
            sends++;
        }
    }
    /* With TLS the queue may have to wait for the handshake, which goes on. */
    if (conn->state != CONN_STATE_CLOSING || conn_has_output(conn) || !outq_is_empty(&conn->outq)) {
        return;
    }
    const int result = conn->reactor->ops->shutdown(conn->reactor->backend, &conn->io);
    if (result != 0) {
        conn_fail(conn, result);
    } else if (conn->ended) {
        conn_die(conn, false);
    } else {
        conn->state = CONN_STATE_FINISHED;
    }
}
