/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a reactor that lets clients in: listeners, room, and what errors cost.
 */
#include <errno.h>
#include <unistd.h>

#include "core/check.h"
#include "core/monotime.h"
#include "net/conn.h"
#include "net/conn_private.h"
#include "net/reactor_private.h"
#include "net/tls_config.h"

enum {
    ACCEPT_BACKOFF_MIN_MS = 10,
    ACCEPT_BACKOFF_MAX_MS = 100,
};

/* Places that are not free for this listener: taken, or of shared ones that stand in their line. */
static uint32_t taken(const struct reactor *reactor, uint32_t listener)
{
    uint32_t count = slab_count(reactor->conns);
    for (uint32_t i = 0; i < reactor->listener_count; i++) {
        count +=
            i != listener && reactor->listeners[i].is_shared && reactor->listeners[i].accepting;
    }
    return count;
}

/* Listeners leave the reserve to those that say they need it. */
static uint32_t kept_by(const struct reactor *reactor, bool is_reserved)
{
    return is_reserved ? 0 : reactor->options.conn_count_reserved;
}

static bool has_room(const struct reactor *reactor, uint32_t listener)
{
    const uint32_t kept = kept_by(reactor, reactor->listeners[listener].is_reserved);
    return taken(reactor, listener) < reactor->options.conn_count_max - kept;
}

/* What a shared listener brings had a place when it was accepted: see backend_ops.listen. */
static bool fits(const struct reactor *reactor, uint32_t listener)
{
    return reactor->listeners[listener].is_shared
               ? taken(reactor, listener) < reactor->options.conn_count_max
               : has_room(reactor, listener);
}

void reactor_accept_settle(struct reactor *reactor)
{
    const bool waits = timerwheel_is_armed(&reactor->accept_timer);

    for (uint32_t i = 0; i < reactor->listener_count; i++) {
        struct reactor_listener *listener = &reactor->listeners[i];
        const bool wanted = !waits && has_room(reactor, i);
        if (listener->fd >= 0 && wanted != listener->accepting) {
            listener->accepting = wanted;
            reactor->ops->accept(reactor->backend, i, wanted);
        }
    }
}

void reactor_accept_failed(struct reactor *reactor)
{
    reactor_count(reactor, METRIC_REJECTED_ACCEPT_ERROR, 1);
    timerwheel_arm(reactor->conn_timers, &reactor->accept_timer,
                   reactor->now_ns + reactor->accept_backoff_ms * MONOTIME_NS_PER_MS);
    reactor->accept_backoff_ms *= 2;
    if (reactor->accept_backoff_ms > ACCEPT_BACKOFF_MAX_MS) {
        reactor->accept_backoff_ms = ACCEPT_BACKOFF_MAX_MS;
    }
    reactor_accept_settle(reactor);
}

struct conn *reactor_open_conn(struct reactor *reactor, uint32_t listener, int fd)
{
    uint32_t slot = 0;
    const bool has_place = fits(reactor, listener);
    struct conn *conn = has_place ? slab_take(reactor->conns, &slot) : NULL;
    if (conn == NULL) {
        reactor_count(reactor,
                      has_place ? METRIC_REJECTED_OUT_OF_MEMORY : METRIC_REJECTED_MAX_CONNECTIONS,
                      1);
        reactor->ops->refuse(reactor->backend, fd);
        return NULL;
    }
    conn->io.fd = fd;
    conn->io.slot = slot;
    conn->io.generation = slab_generation(reactor->conns, slot);
    conn->reactor = reactor;
    conn->listener = listener & 7;
    struct tls_config *config = reactor->listeners[listener].tls;
    conn->proxy_due = reactor->listeners[listener].proxy_timeout_ns > 0;
    if ((config != NULL && conn_tls_begin(conn, config) != 0) ||
        reactor->ops->attach(reactor->backend, &conn->io) != 0) {
        conn_release(conn);
        slab_give(reactor->conns, slot);
        reactor_count(reactor, METRIC_REJECTED_ACCEPT_ERROR, 1);
        reactor->ops->refuse(reactor->backend, fd);
        return NULL;
    }
    if (conn->proxy_due) {
        conn_arm(conn, reactor->listeners[listener].proxy_timeout_ns);
    }
    if (conn->tls != NULL) {
        reactor_touch(reactor, conn); /* a client speaks first */
    }
    return conn;
}

void reactor_accept_take(struct reactor *reactor, uint32_t listener, int fd)
{
    reactor->accept_backoff_ms = ACCEPT_BACKOFF_MIN_MS;
    if (reactor->listeners[listener].fd < 0) {
        reactor->ops->refuse(reactor->backend, fd);
        return;
    }
    struct conn *conn = reactor_open_conn(reactor, listener, fd);
    if (conn == NULL) {
        return;
    }
    reactor_count(reactor, METRIC_CONNECTIONS_ACCEPTED, 1);
    reactor_count(reactor, METRIC_CONNECTIONS_OPEN, 1);
    conn->user = reactor->listeners[listener].handler->on_open(conn);
    if (conn->user == NULL) {
        conn_abort(conn, 0);
    }
    reactor_accept_settle(reactor);
}

int reactor_accept_listen(struct reactor *reactor, int fd,
                          const struct reactor_listening *listening)
{
    CHECK(fd >= 0);
    const uint32_t index = reactor->listener_count;
    if (index == BACKEND_LISTENER_MAX) {
        return -ENOSPC;
    }
    int result = reactor_prepare_tls(reactor, listening->tls);
    if (result != 0) {
        return result;
    }
    const struct backend_listening wanted = {.fd = fd,
                                             .kept = kept_by(reactor, listening->is_reserved),
                                             .is_shared = listening->is_shared};
    result = reactor->ops->listen(reactor->backend, index, &wanted);
    if (result != 0) {
        tls_config_unref(listening->tls);
        return result;
    }
    reactor->listeners[index] = (struct reactor_listener){
        .fd = fd,
        .handler = listening->handler,
        .tls = listening->tls,
        .proxy_timeout_ns = listening->proxy_timeout_ns,
        .is_reserved = listening->is_reserved,
        .is_shared = listening->is_shared,
    };
    reactor->listener_count++;
    if (index == 0) {
        reactor->accept_backoff_ms = ACCEPT_BACKOFF_MIN_MS;
    }
    reactor_accept_settle(reactor);
    return (int)index;
}

void reactor_accept_unlisten(struct reactor *reactor, uint32_t listener)
{
    if (reactor->listeners[listener].fd < 0) {
        return;
    }
    reactor->ops->unlisten(reactor->backend, listener);
    reactor->listeners[listener].fd = -1;
    reactor->listeners[listener].accepting = false;
}
