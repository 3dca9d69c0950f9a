/* SPDX-License-Identifier: Apache-2.0 */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/monotime.h"
#include "net/conn_private.h"
#include "net/reactor_private.h"
#include "net/tls.h"

enum {
    FLUSH_SENDS_MAX = 8,        /* per connection and iteration; the rest in the next one */
    PENDING_CAPACITY_MIN = 240, /* bytes */
    APPEND_ROOM_MIN = 900,      /* bytes of a packet that small messages share */
};

static uint32_t now_ms(const struct conn *conn)
{
    return (uint32_t)(conn->reactor->now_ns / MONOTIME_NS_PER_MS);
}

static const struct conn_handler *handler_of(const struct conn *conn)
{
    return conn->reactor->listeners[conn->listener].handler;
}

void conn_arm(struct conn *conn, uint64_t delay_ns)
{
    timerwheel_arm(conn->reactor->conn_timers, &conn->timer, conn->reactor->now_ns + delay_ns);
}

/* --- Ending -------------------------------------------------------------------------------- */

/* What on_close gets: 0 or -errno. */
static void set_reason(struct conn *conn, int reason)
{
    enum { ERROR_MAX = (1 << 12) - 1 };
    CHECK(reason <= 0 && reason >= -ERROR_MAX);
    conn->error = (unsigned)-reason & (unsigned)ERROR_MAX;
}

/* The sweep of this iteration drops it. */
static void die(struct conn *conn, bool reset)
{
    CHECK(conn->state < CONN_STATE_DYING);
    conn->state = CONN_STATE_DYING;
    conn->reset = reset;
    reactor_touch(conn->reactor, conn);
}

void conn_fail(struct conn *conn, int reason)
{
    if (conn->state >= CONN_STATE_DYING) {
        return;
    }
    if (conn->state == CONN_STATE_OPEN) {
        set_reason(conn, reason);
    }
    die(conn, true);
}

void conn_abort(struct conn *conn, int reason)
{
    if (conn->state >= CONN_STATE_DYING) {
        return;
    }
    set_reason(conn, reason);
    die(conn, true);
}

void conn_begin_closing(struct conn *conn, int reason, uint64_t delay_ns)
{
    CHECK(conn->state == CONN_STATE_OPEN);
    conn->state = CONN_STATE_CLOSING;
    set_reason(conn, reason);
    if (conn->paused || conn->held) {
        conn->paused = false;
        conn->held = false;
        conn->reactor->ops->receive(conn->reactor->backend, &conn->io, true);
    }
    conn_arm(conn, delay_ns);
    reactor_touch(conn->reactor, conn);
}

void conn_close(struct conn *conn, uint32_t linger_ms)
{
    if (conn->state != CONN_STATE_OPEN) {
        return;
    }
    if (linger_ms == 0 || conn->held) {
        conn_abort(conn, 0);
        return;
    }
    conn_begin_closing(conn, 0, linger_ms * MONOTIME_NS_PER_MS);
}

void conn_hang_up(struct conn *conn)
{
    if (conn->held) {
        conn_abort(conn, 0);
        return;
    }
    if (conn->state == CONN_STATE_FINISHED) {
        die(conn, false);
        return;
    }
    conn->ended = true; /* whether it was, or will be, matters to nobody: see conn_flush() */
    if (conn->state == CONN_STATE_OPEN) {
        conn_begin_closing(conn, 0, conn->reactor->options.write_stall_ns);
    }
}

/* Input that came before the end of it, and was not delivered yet, is kept. */
static bool holds_input(const struct conn *conn)
{
    return conn_is_shaking(conn) ? conn->pending != NULL : conn->paused || conn->held;
}

/* The end of input, after everything before it was delivered. */
static void end_input(struct conn *conn)
{
    if (conn_is_shaking(conn) && conn->state <= CONN_STATE_CLOSING) {
        outq_clear(conn->reactor->nodes, &conn->outq); /* it never will be open */
        reactor_touch(conn->reactor, conn);
    }
    switch ((enum conn_state)conn->state) {
    case CONN_STATE_OPEN:
        conn_begin_closing(conn, -ESHUTDOWN, conn->reactor->options.write_stall_ns);
        break;
    case CONN_STATE_FINISHED:
        die(conn, false);
        break;
    case CONN_STATE_CLOSING: /* the flush goes on, and ends it after our FIN */
    case CONN_STATE_DYING:
    case CONN_STATE_DROPPED:
        break;
    }
}

void conn_expire(struct conn *conn)
{
    if (conn->state == CONN_STATE_CLOSING || conn->state == CONN_STATE_FINISHED) {
        die(conn, true);
        return;
    }
    if (conn->state != CONN_STATE_OPEN) {
        return;
    }
    if (conn->proxy_due) {
        conn_proxy_fail(conn, METRIC_REJECTED_PROXY_TIMEOUT);
        return;
    }
    if (conn_is_shaking(conn)) {
        conn_tls_expire(conn);
        return;
    }
    if (!conn_has_output(conn)) {
        return;
    }
    /* progress_ms was rounded down: a millisecond more is never early. */
    const uint64_t stall_ns = conn->reactor->options.write_stall_ns + MONOTIME_NS_PER_MS;
    const uint32_t waited_ms = now_ms(conn) - conn->progress_ms;
    const uint64_t waited_ns = waited_ms * MONOTIME_NS_PER_MS;
    if (waited_ns >= stall_ns) {
        conn_fail(conn, -ETIMEDOUT);
        return;
    }
    conn_arm(conn, stall_ns - waited_ns);
}

void conn_release(struct conn *conn)
{
    timerwheel_cancel(conn->reactor->conn_timers, &conn->timer);
    outq_clear(conn->reactor->nodes, &conn->outq);
    free(conn->pending);
    conn->pending = NULL;
    tls_destroy(conn->tls);
    conn->tls = NULL;
}

/* --- Receiving ----------------------------------------------------------------------------- */

int conn_keep(struct conn *conn, const uint8_t *data, size_t size)
{
    struct conn_pending *pending = conn->pending;
    const size_t held = pending == NULL ? 0 : pending->end - pending->begin;

    if (pending == NULL || pending->capacity - pending->end < size) {
        /* Room for twice as much: bytes are copied about once, however they arrive. */
        size_t capacity = 2 * (held + size);
        if (capacity < PENDING_CAPACITY_MIN) {
            capacity = PENDING_CAPACITY_MIN;
        }
        struct conn_pending *grown =
            capacity > UINT32_MAX ? NULL : malloc(sizeof(*grown) + capacity);
        if (grown == NULL) {
            return -ENOMEM;
        }
        *grown = (struct conn_pending){.end = (uint32_t)held, .capacity = (uint32_t)capacity};
        if (pending != NULL) {
            memcpy(grown->data, pending->data + pending->begin, held);
            free(pending);
        }
        conn->pending = grown;
        pending = grown;
    }
    memcpy(pending->data + pending->end, data, size);
    pending->end += (uint32_t)size;
    return 0;
}

/* Whether the handler may leave so much. */
static void judge_rest(struct conn *conn, size_t rest)
{
    if (rest > conn->reactor->options.pending_max && !conn->paused) {
        conn_fail(conn, -EMSGSIZE);
    }
}

/* Offers what is pending. */
static void feed_pending(struct conn *conn)
{
    struct conn_pending *pending = conn->pending;
    const struct span in = {pending->data + pending->begin, pending->end - pending->begin};
    const size_t used = handler_of(conn)->on_bytes(conn, in);
    CHECK(used <= in.size);

    pending->begin += (uint32_t)used;
    if (pending->begin == pending->end || conn->state != CONN_STATE_OPEN) {
        free(pending);
        conn->pending = NULL;
        return;
    }
    judge_rest(conn, in.size - used);
}

void conn_deliver(struct conn *conn, struct span in)
{
    if (conn->paused || conn->pending != NULL) {
        if (conn_keep(conn, in.data, in.size) != 0) {
            conn_fail(conn, -ENOMEM);
        } else if (!conn->paused) {
            feed_pending(conn);
        }
        return;
    }
    const size_t used = handler_of(conn)->on_bytes(conn, in);
    CHECK(used <= in.size);
    if (used == in.size || conn->state != CONN_STATE_OPEN) {
        return;
    }
    if (conn_keep(conn, in.data + used, in.size - used) != 0) {
        conn_fail(conn, -ENOMEM);
        return;
    }
    judge_rest(conn, in.size - used);
}

void conn_end_input(struct conn *conn)
{
    conn->ended = true;
    if (conn->proxy_due) {
        conn_fail(conn, -ESHUTDOWN); /* a health check that only connects, or nobody */
        return;
    }
    if (!holds_input(conn)) {
        end_input(conn);
    }
}

void conn_receive(struct conn *conn, struct span in)
{
    if (in.size == 0) {
        conn_end_input(conn);
        return;
    }
    reactor_count(conn->reactor, METRIC_BYTES_RECEIVED, in.size);
    if (conn->proxy_due && !conn_proxy_receive(conn, &in)) {
        return;
    }
    if (conn->held) {
        if (conn_keep(conn, in.data, in.size) != 0) {
            conn_fail(conn, -ENOMEM);
        }
        return;
    }
    if (conn->tls != NULL) {
        conn_tls_receive(conn, in);
    } else if (conn->state == CONN_STATE_OPEN) {
        conn_deliver(conn, in);
    }
}

void conn_serve(struct conn *conn)
{
    if (conn->drained_due) {
        conn->drained_due = false;
        if (conn->state == CONN_STATE_OPEN && handler_of(conn)->on_drained != NULL) {
            handler_of(conn)->on_drained(conn);
        }
    }
    if (conn->feed_due && !conn->proxy_due && !conn->held) {
        conn->feed_due = false;
        if (conn_is_shaking(conn)) {
            conn_tls_serve(conn);
            return;
        }
        if (conn->state == CONN_STATE_OPEN && !conn->paused && conn->pending != NULL) {
            feed_pending(conn);
        }
        if (conn->state == CONN_STATE_OPEN && !conn->paused && conn->ended) {
            end_input(conn);
        }
    }
}

void conn_pause(struct conn *conn)
{
    if (conn->state != CONN_STATE_OPEN || conn->paused) {
        return;
    }
    conn->paused = true;
    /* Else when that is done: it needs bytes. Of who is held none come. */
    if (!conn_is_shaking(conn) && !conn->proxy_due && !conn->held) {
        conn->reactor->ops->receive(conn->reactor->backend, &conn->io, false);
    }
}

void conn_resume(struct conn *conn)
{
    if (conn->state != CONN_STATE_OPEN || !conn->paused) {
        return;
    }
    conn->paused = false;
    if (!conn->held) {
        conn->reactor->ops->receive(conn->reactor->backend, &conn->io, true);
    }
    /* Asked even when nothing is pending yet: the handler may be in the middle of on_bytes. */
    conn->feed_due = true;
    reactor_ready(conn->reactor, conn);
}

bool conn_is_paused(const struct conn *conn)
{
    return conn->paused;
}

void conn_hold(struct conn *conn)
{
    CHECK(!conn->proxy_due && conn->pending == NULL);
    if (conn->state != CONN_STATE_OPEN || conn->held) {
        return;
    }
    conn->held = true;
    conn->reactor->ops->receive(conn->reactor->backend, &conn->io, false);
}

void conn_admit(struct conn *conn)
{
    if (conn->state != CONN_STATE_OPEN || !conn->held) {
        return;
    }
    conn->held = false;
    if (!conn->paused || conn_is_shaking(conn)) {
        conn->reactor->ops->receive(conn->reactor->backend, &conn->io, true);
    }
    conn->feed_due = true;
    reactor_ready(conn->reactor, conn);
}

bool conn_is_held(const struct conn *conn)
{
    return conn->held;
}

/* --- Sending ------------------------------------------------------------------------------- */

bool conn_has_output(const struct conn *conn)
{
    if (conn->tls == NULL) {
        return !outq_is_empty(&conn->outq);
    }
    return tls_output_size(conn->tls) > 0 ||
           (tls_is_open(conn->tls) && !outq_is_empty(&conn->outq));
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
        conn->progress_ms = now_ms(conn);
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
    conn->progress_ms = now_ms(conn);
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
        die(conn, false);
    } else {
        conn->state = CONN_STATE_FINISHED;
    }
}

/* --- Questions ----------------------------------------------------------------------------- */

bool conn_is_closing(const struct conn *conn)
{
    return conn->state != CONN_STATE_OPEN;
}

struct conn_id conn_id_of(const struct conn *conn)
{
    return (struct conn_id){.slot = conn->io.slot,
                            .generation = conn->io.generation,
                            .reactor = conn->reactor->options.index};
}

void *conn_user(const struct conn *conn)
{
    return conn->user;
}

void *conn_handler_context(const struct conn *conn)
{
    return handler_of(conn)->context;
}

unsigned conn_listener(const struct conn *conn)
{
    return conn->listener;
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

int conn_peer(const struct conn *conn, struct address *address)
{
    return conn->reactor->ops->peer(conn->reactor->backend, &conn->io, address);
}
