/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a reactor that begins connections. One that is still being made needs no state of
 * its own: the kernel lets a send wait until it is connected, and a receive says why it was not.
 */
#include <errno.h>
#include <unistd.h>

#include "core/check.h"
#include "net/conn.h"
#include "net/conn_private.h"
#include "net/reactor_private.h"
#include "net/tls_config.h"

int reactor_dialer(struct reactor *reactor, const struct conn_handler *handler)
{
    return reactor_dialer_tls(reactor, handler, NULL);
}

int reactor_dialer_tls(struct reactor *reactor, const struct conn_handler *handler,
                       struct tls_config *config)
{
    CHECK(handler != NULL);
    CHECK(config == NULL || !tls_config_is_server(config));
    const uint32_t index = reactor->listener_count;
    if (index == BACKEND_LISTENER_MAX) {
        return -ENOSPC;
    }
    const int result = reactor_prepare_tls(reactor, config);
    if (result != 0) {
        return result;
    }
    reactor->listeners[index] =
        (struct reactor_listener){.fd = -1, .handler = handler, .tls = config};
    reactor->listener_count++;
    return (int)index;
}

struct conn *reactor_dial(struct reactor *reactor, int fd, int dialer, void *user)
{
    CHECK(fd >= 0);
    CHECK(dialer >= 0 && (uint32_t)dialer < reactor->listener_count);
    CHECK(user != NULL);

    if (reactor->ops->adopt(reactor->backend, fd) != 0) {
        (void)close(fd);
        return NULL;
    }
    struct conn *conn = reactor_open_conn(reactor, (uint32_t)dialer, fd);
    if (conn == NULL) {
        return NULL;
    }
    reactor_count(reactor, METRIC_CONNECTIONS_OPEN, 1);
    conn->user = user;
    conn->user = reactor->listeners[dialer].handler->on_open(conn);
    if (conn->user == NULL) {
        conn_abort(conn, 0);
        return NULL;
    }
    return conn;
}
