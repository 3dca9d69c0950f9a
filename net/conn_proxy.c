/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a connection that waits for its PROXY header, before anything else is looked at. The
 * bytes behind it go where they would have gone without one.
 */
#include <errno.h>
#include <stdlib.h>

#include "core/check.h"
#include "net/conn.h"
#include "net/conn_private.h"
#include "net/proxy.h"
#include "net/reactor_private.h"

bool conn_wants_proxy(const struct conn *conn)
{
    return conn->proxy_due;
}

void conn_proxy_fail(struct conn *conn, enum metrics_id why)
{
    reactor_count(conn->reactor, why, 1);
    conn_fail(conn, -EPROTO);
}

/* The header is taken: the handler hears whom it is from, and the next wait begins. */
static void accept_header(struct conn *conn, const struct proxy_header *header) ON_REACTOR
{
    const struct reactor *reactor = conn->reactor;
    const struct conn_handler *handler = reactor->listeners[conn->listener].handler;

    conn->proxy_due = false;
    timerwheel_cancel(reactor->conn_timers, &conn->timer);
    if (conn->tls != NULL) {
        conn_arm(conn, reactor->options.tls_handshake_ns);
    } else if (conn->paused) {
        reactor->ops->receive(reactor->backend, &conn->io, false);
    }
    if (header->has_address && handler->on_proxied != NULL) {
        handler->on_proxied(conn, &header->client);
    }
}

bool conn_proxy_receive(struct conn *conn, struct span *in)
{
    struct proxy_header header;
    struct bytes all = {in->data, in->size};

    if (conn->state != CONN_STATE_OPEN) {
        return false;
    }
    const size_t held = conn->pending == NULL ? 0 : conn->pending->end;
    if (conn->pending != NULL) {
        /* So much is never kept without a verdict, therefore it is enough for one. */
        const size_t wanted = in->size < PROXY_V2_SIZE_MAX ? in->size : PROXY_V2_SIZE_MAX;
        if (conn_keep(conn, in->data, wanted) != 0) {
            conn_fail(conn, -ENOMEM);
            return false;
        }
        all = (struct bytes){conn->pending->data, conn->pending->end};
    }
    switch (proxy_read(all, &header)) {
    case PROXY_BAD:
        conn_proxy_fail(conn, METRIC_REJECTED_PROXY_BAD);
        return false;
    case PROXY_NEED_MORE:
        if (conn->pending == NULL && conn_keep(conn, in->data, in->size) != 0) {
            conn_fail(conn, -ENOMEM);
        }
        return false;
    case PROXY_OK:
        break;
    }
    CHECK(header.size > held);
    free(conn->pending);
    conn->pending = NULL;
    in->data += header.size - held;
    in->size -= header.size - held;
    accept_header(conn, &header);
    return in->size > 0;
}
