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

enum { PENDING_CAPACITY_MIN = 240 }; /* bytes */

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

void conn_die(struct conn *conn, bool reset)
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
    conn_die(conn, true);
}

void conn_abort(struct conn *conn, int reason)
{
    if (conn->state >= CONN_STATE_DYING) {
        return;
    }
    set_reason(conn, reason);
    conn_die(conn, true);
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
        conn_die(conn, false);
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
        conn_die(conn, false);
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
        conn_die(conn, true);
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
    const uint32_t waited_ms = reactor_now_ms(conn->reactor) - conn->progress_ms;
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
    if (conn->state >= CONN_STATE_DYING) {
        return; /* and must not come into the list again: it may be freed in this iteration */
    }
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

int conn_peer(const struct conn *conn, struct address *address)
{
    return conn->reactor->ops->peer(conn->reactor->backend, &conn->io, address);
}
