/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a connection that stands between its socket and its queue or handler when it speaks
 * TLS.
 *
 * In        ciphertext that came is decrypted at once, so that nothing but a record that is not
 *           whole stays encrypted; what a paused handler does not take is kept like that of a plain
 *           connection. Only before the handshake is ciphertext kept: when this iteration has no
 *           costly step left.
 * Out       packets leave the queue when they are encrypted, and count as ciphertext from then on
 *           until the kernel took them. So conn_queued_bytes(), the marks and the write stall speak
 *           of what the peer has not read, and conn_drop_queue() drops all that was not encrypted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/monotime.h"
#include "net/conn.h"
#include "net/conn_private.h"
#include "net/reactor_private.h"
#include "net/tls.h"
#include "net/tls_config.h"

enum {
    OUTPUT_MAX = 64 * 1024,  /* bytes of ciphertext that packets become ahead of the kernel */
    WAITING_MAX = 16 * 1024, /* bytes of a handshake that wait for their turn */
};
#define ALERT_LINGER_NS MONOTIME_NS_PER_S /* for the peer to read what was wrong */

bool conn_is_shaking(const struct conn *conn)
{
    return conn->tls != NULL && tls_is_shaking(conn->tls);
}

/* Something was read: the flush sends the answer. `before` is what the output was until then. */
static void note_output(struct conn *conn, size_t before)
{
    const size_t after = tls_output_size(conn->tls);
    if (before == 0 && after > 0) {
        conn->progress_ms = (uint32_t)(conn->reactor->now_ns / MONOTIME_NS_PER_MS);
    }
    if (after > before) {
        reactor_touch(conn->reactor, conn);
    }
}

int conn_tls_begin(struct conn *conn, struct tls_config *config)
{
    conn->tls = tls_create(config);
    if (conn->tls == NULL) {
        return -ENOMEM;
    }
    if (!tls_config_is_server(config)) {
        /* The first flight; it waits for the connect as everything does. */
        size_t size = 0;
        const struct span room = {conn->reactor->tls_scratch, TLS_RECORD_SIZE_MAX};
        if (tls_read(conn->tls, room, &size) != TLS_NEED_MORE) {
            return -ENOMEM; /* nothing was received that could be wrong */
        }
    }
    conn->progress_ms = (uint32_t)(conn->reactor->now_ns / MONOTIME_NS_PER_MS);
    conn_arm(conn, conn->reactor->options.tls_handshake_ns);
    return 0;
}

/* --- Ends ------------------------------------------------------------------------------------ */

static enum metrics_id metric_for(const struct conn *conn)
{
    if (tls_fault(conn->tls) == TLS_FAULT_TIMEOUT) {
        return METRIC_REJECTED_TLS_TIMEOUT;
    }
    return tls_is_open(conn->tls) ? METRIC_REJECTED_TLS_FAULT : METRIC_REJECTED_TLS_HANDSHAKE;
}

/* Nothing can be said any more but the alert that is in the output. */
static void end_failed(struct conn *conn)
{
    if (conn->state > CONN_STATE_CLOSING) {
        return;
    }
    reactor_count(conn->reactor, metric_for(conn), 1);
    outq_clear(conn->reactor->nodes, &conn->outq);
    if (tls_output_size(conn->tls) == 0) {
        conn_fail(conn, -EPROTO);
        return;
    }
    reactor_touch(conn->reactor, conn);
    if (conn->state == CONN_STATE_OPEN) {
        conn_begin_closing(conn, -EPROTO, ALERT_LINGER_NS);
    }
}

void conn_tls_expire(struct conn *conn)
{
    tls_give_up(conn->tls);
    reactor_count(conn->reactor, metric_for(conn), 1);
    conn_fail(conn, -EPROTO);
}

/* The handshake is done. */
static void begin_data(struct conn *conn) ON_REACTOR
{
    struct reactor *reactor = conn->reactor;

    reactor_count(reactor, METRIC_TLS_HANDSHAKES, 1);
    reactor_touch(reactor, conn);
    if (conn->state != CONN_STATE_OPEN) {
        return; /* its timer says how long it may close */
    }
    timerwheel_cancel(reactor->conn_timers, &conn->timer);
    conn->progress_ms = (uint32_t)(reactor->now_ns / MONOTIME_NS_PER_MS);
    if (conn->sending) {
        conn_arm(conn, reactor->options.write_stall_ns);
    }
    if (conn->paused) {
        reactor->ops->receive(reactor->backend, &conn->io, false);
    }
}

/* --- In -------------------------------------------------------------------------------------- */

/* What is left of the input is of use to somebody. */
static bool wants_input(const struct conn *conn)
{
    return conn->state == CONN_STATE_OPEN ||
           (conn->state == CONN_STATE_CLOSING && conn_is_shaking(conn));
}

static void read_all(struct conn *conn) ON_REACTOR
{
    const struct span room = {conn->reactor->tls_scratch, TLS_RECORD_SIZE_MAX};

    while (wants_input(conn)) {
        const bool was_shaking = conn_is_shaking(conn);
        size_t size = 0;
        const enum tls_verdict verdict = tls_read(conn->tls, room, &size);
        if (was_shaking && tls_is_open(conn->tls)) {
            begin_data(conn);
        }
        switch (verdict) {
        case TLS_BYTES:
            if (conn->state == CONN_STATE_OPEN) {
                conn_deliver(conn, (struct span){room.data, size});
            }
            break;
        case TLS_NEED_MORE:
            return;
        case TLS_ENDED:
            conn_end_input(conn);
            return;
        case TLS_FAILED:
            end_failed(conn);
            return;
        }
    }
}

static void decrypt(struct conn *conn, struct bytes in) ON_REACTOR
{
    struct reactor *reactor = conn->reactor;
    const size_t before = tls_output_size(conn->tls);
    const bool was_shaking = conn_is_shaking(conn);

    tls_feed(conn->tls, in);
    read_all(conn);
    tls_feed(conn->tls, (struct bytes){NULL, 0});
    /* What made us answer is what costs: keys and signatures. */
    if (was_shaking && tls_output_size(conn->tls) > before && reactor->handshakes_left > 0) {
        reactor->handshakes_left--;
    }
    if (conn->state <= CONN_STATE_CLOSING) {
        note_output(conn, before);
    }
}

void conn_tls_serve(struct conn *conn)
{
    struct conn_pending *pending = conn->pending;
    if (pending != NULL) {
        if (conn->reactor->handshakes_left == 0) {
            conn->feed_due = true;
            reactor_ready(conn->reactor, conn);
            return;
        }
        conn->pending = NULL; /* from here on it may hold plaintext */
        decrypt(conn,
                (struct bytes){pending->data + pending->begin, pending->end - pending->begin});
        free(pending);
    }
    if (conn->ended && conn->state == CONN_STATE_OPEN) {
        conn_end_input(conn);
    }
}

/* More than WAITING_MAX is no reason to fail: it then has its turn at once. */
static bool has_to_wait(const struct conn *conn, size_t size)
{
    const struct conn_pending *pending = conn->pending;
    const size_t held = pending == NULL ? 0 : pending->end - pending->begin;
    return conn_is_shaking(conn) && (pending != NULL || conn->reactor->handshakes_left == 0) &&
           held + size <= WAITING_MAX;
}

void conn_tls_receive(struct conn *conn, struct span in)
{
    if (!wants_input(conn)) {
        return;
    }
    if (has_to_wait(conn, in.size)) {
        if (conn_keep(conn, in.data, in.size) != 0) {
            conn_fail(conn, -ENOMEM);
            return;
        }
        conn->feed_due = true;
        reactor_ready(conn->reactor, conn);
        return;
    }
    struct conn_pending *pending = conn_is_shaking(conn) ? conn->pending : NULL;
    if (pending != NULL) {
        conn->pending = NULL;
        decrypt(conn,
                (struct bytes){pending->data + pending->begin, pending->end - pending->begin});
        free(pending);
    }
    decrypt(conn, (struct bytes){in.data, in.size});
}

/* --- Out ------------------------------------------------------------------------------------- */

/* The next record: one big piece as it lies, or small ones joined. */
static struct bytes join(uint8_t *scratch, const struct iovec *pieces, size_t count)
{
    size_t used = 0;

    if (count == 1 || pieces[0].iov_len >= TLS_RECORD_SIZE_MAX) {
        const size_t size = pieces[0].iov_len;
        return (struct bytes){pieces[0].iov_base,
                              size < TLS_RECORD_SIZE_MAX ? size : TLS_RECORD_SIZE_MAX};
    }
    for (size_t i = 0; i < count && used < TLS_RECORD_SIZE_MAX; i++) {
        const size_t room = TLS_RECORD_SIZE_MAX - used;
        const size_t size = pieces[i].iov_len < room ? pieces[i].iov_len : room;
        memcpy(scratch + used, pieces[i].iov_base, size);
        used += size;
    }
    return (struct bytes){scratch, used};
}

size_t conn_tls_gather(struct conn *conn, struct iovec *pieces, size_t max)
{
    struct tls *tls = conn->tls;

    CHECK(!conn->sending);
    while (tls_is_open(tls) && !outq_is_empty(&conn->outq) &&
           tls_output_size(tls) + TLS_RECORD_SIZE_MAX + TLS_RECORD_COST_MAX <= OUTPUT_MAX) {
        const size_t count = outq_gather(&conn->outq, pieces, max);
        const struct bytes plaintext = join(conn->reactor->tls_scratch, pieces, count);
        if (!tls_write(tls, plaintext)) {
            conn_fail(conn, -ENOMEM);
            return 0;
        }
        outq_advance(conn->reactor->nodes, &conn->outq, plaintext.size);
    }
    if (conn->state == CONN_STATE_CLOSING && outq_is_empty(&conn->outq)) {
        tls_finish(tls); /* goes with the last record */
    }
    return tls_gather(tls, pieces, max);
}

/* --- Questions ------------------------------------------------------------------------------- */

bool conn_is_tls(const struct conn *conn)
{
    return conn->tls != NULL;
}

const char *conn_tls_fault(const struct conn *conn)
{
    if (conn->tls == NULL || tls_fault(conn->tls) == TLS_FAULT_NONE) {
        return NULL;
    }
    return tls_fault_text(conn->tls);
}
