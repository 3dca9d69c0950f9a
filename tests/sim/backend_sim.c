/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/backend_sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "net/address.h"
#include "tests/sim/sim_collect.h"

enum { PORT_BASE = 1 << 14 }; /* of clients */

static struct sim_random *chance(const struct backend *backend)
{
    return &backend->net->random;
}

static struct sim_link *link_of(const struct backend *backend, const struct backend_conn *conn)
{
    struct sim_link *link = sim_net_link(backend->net, conn->fd);
    CHECK(link->server.backend == backend);
    CHECK(link->server.slot == conn->slot);
    CHECK(link->server.generation == conn->generation);
    return link;
}

/* -- waiting ----------------------------------------------------------------------------------- */

bool backend_sim_is_awake(const struct backend_sim_seat *seat)
{
    return seat->is_woken || seat->sleep_until_ns <= seat->net->now_ns ||
           sim_collect_has_news(seat->backend);
}

static size_t sim_wait(struct backend *backend, uint64_t timeout_ns,
                       struct backend_completion *completions, size_t max)
{
    struct backend_sim_seat *seat = backend->seat;
    const uint64_t now_ns = backend->net->now_ns;

    CHECK(max > 0);
    seat->sleep_until_ns = timeout_ns > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + timeout_ns;
    seat->sleep(seat);
    seat->sleep_until_ns = 0;
    seat->is_woken = false;
    return sim_collect(backend, completions, max);
}

static void sim_wake(struct backend *backend)
{
    backend->seat->is_woken = true;
}

static uint64_t sim_now(struct backend *backend)
{
    return backend->net->now_ns;
}

/* -- listeners --------------------------------------------------------------------------------- */

static int sim_listen(struct backend *backend, uint32_t listener,
                      const struct backend_listening *listening)
{
    CHECK(!listening->is_shared);
    CHECK(listener < BACKEND_LISTENER_MAX);
    CHECK(backend->listeners[listener].number < 0);
    CHECK(sim_net_listener(backend->net, listening->fd)->is_open);
    backend->listeners[listener] =
        (struct backend_listener){.number = listening->fd, .kept = listening->kept};
    return 0;
}

static void sim_accept(struct backend *backend, uint32_t listener, bool on)
{
    CHECK(listener < BACKEND_LISTENER_MAX);
    CHECK(backend->listeners[listener].number >= 0);
    backend->listeners[listener].on = on;
}

static void reset_by_server(struct sim_link *link)
{
    link->server_is_gone = true;
    link->client_is_reset = true;
    link->down.end = link->down.arrived; /* what is under way is lost */
}

static void sim_unlisten(struct backend *backend, uint32_t listener)
{
    CHECK(listener < BACKEND_LISTENER_MAX);
    struct sim_listener *closed =
        sim_net_listener(backend->net, backend->listeners[listener].number);
    CHECK(closed->is_open);
    closed->is_open = false;
    for (size_t i = 0; i < closed->waiting_count; i++) {
        reset_by_server(sim_net_link(backend->net, closed->waiting[i]));
    }
    closed->waiting_count = 0;
    backend->listeners[listener].number = -1;
}

static void sim_refuse(struct backend *backend, int fd)
{
    struct sim_link *link = sim_net_link(backend->net, fd);
    CHECK(link->server.backend == NULL);
    CHECK(!link->server_is_gone);
    reset_by_server(link);
}

/* -- connections ------------------------------------------------------------------------------- */

static int sim_attach(struct backend *backend, struct backend_conn *conn)
{
    struct sim_net *net = backend->net;
    struct sim_link *link = sim_net_link(net, conn->fd);

    CHECK(link->server.backend == NULL);
    CHECK(!link->server_is_gone);
    if (net->attach_fails_in > 0 && sim_random_once_in(&net->random, net->attach_fails_in)) {
        sim_stats_add(net->stats, SIM_ATTACH_FAILURES, 1);
        return -ENOMEM;
    }
    link->server = (struct sim_server_side){
        .backend = backend,
        .slot = conn->slot,
        .generation = conn->generation,
        .is_receiving = true,
    };
    if (backend->link_count == backend->link_capacity) {
        backend->link_capacity = 2 * backend->link_capacity + 16;
        backend->links = realloc(backend->links, backend->link_capacity * sizeof(*backend->links));
        CHECK(backend->links != NULL);
    }
    backend->links[backend->link_count++] = link;
    return 0;
}

static void take_back(struct sim_link *link)
{
    free(link->server.taken);
    link->server.taken = NULL;
}

static ssize_t sim_take(struct backend *backend, struct backend_conn *conn,
                        struct backend_completion *completion, size_t max, struct span *bytes)
{
    struct sim_link *link = link_of(backend, conn);
    struct sim_pipe *up = &link->up;

    CHECK(link->server.has_received);
    CHECK(!link->server.is_dropped);
    take_back(link);
    if (max == 0 || completion->buffer == 0) {
        return -EAGAIN;
    }
    /* Paused meanwhile: what epoll would keep, io_uring has received already. */
    if (!link->server.is_receiving && sim_random_once_in(chance(backend), 2)) {
        completion->buffer = 0;
        return -EAGAIN;
    }
    completion->buffer--;
    const size_t there = up->arrived - up->begin;
    if (there > 0) {
        const size_t size = sim_random_part(chance(backend), there < max ? there : max);
        link->server.taken = malloc(size);
        CHECK(link->server.taken != NULL);
        memcpy(link->server.taken, up->data + up->begin, size);
        up->begin += size;
        *bytes = (struct span){link->server.taken, size};
        return (ssize_t)size;
    }
    if (link->server_is_reset) {
        link->server.error_taken = true;
        return -ECONNRESET;
    }
    if (up->fin_arrived) {
        link->server.fin_taken = true;
        return 0;
    }
    return -EAGAIN;
}

static void sim_give_back(struct backend *backend, struct backend_conn *conn,
                          struct backend_completion *completion)
{
    (void)completion;
    CHECK(conn != NULL); /* nothing is CLOSED here while a completion is with the reactor */
    struct sim_link *link = link_of(backend, conn);
    CHECK(link->server.has_received);
    link->server.has_received = false;
    take_back(link);
}

static void sim_receive(struct backend *backend, struct backend_conn *conn, bool on)
{
    link_of(backend, conn)->server.is_receiving = on;
}

static ssize_t send_now(struct backend *backend, struct sim_link *link, const struct iovec *pieces,
                        size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += pieces[i].iov_len;
    }
    const size_t room = sim_net_room(&link->down);
    if (room == 0) {
        link->server.wants_room = true;
        return -EAGAIN;
    }
    const size_t sent = sim_random_part(chance(backend), total < room ? total : room);
    size_t left = sent;
    for (size_t i = 0; left > 0; i++) {
        const size_t size = pieces[i].iov_len < left ? pieces[i].iov_len : left;
        const size_t put = sim_net_put(&link->down, pieces[i].iov_base, size);
        CHECK(put == size);
        left -= size;
    }
    sim_stats_add(backend->net->stats, SIM_PARTIAL_WRITES, sent < total);
    return (ssize_t)sent;
}

static ssize_t sim_send(struct backend *backend, struct backend_conn *conn,
                        const struct iovec *pieces, size_t count)
{
    struct sim_link *link = link_of(backend, conn);
    struct sim_net *net = backend->net;

    CHECK(count > 0 && count <= BACKEND_IOVEC_MAX);
    CHECK(!link->server.is_sending && !link->server.wants_room && !link->server.is_sent);
    CHECK(!link->server.is_dropped);
    CHECK(!link->down.fin_sent);
    for (size_t i = 0; i < count; i++) {
        CHECK(pieces[i].iov_len > 0);
    }
    if (link->server_is_reset) {
        return sim_random_once_in(&net->random, 2) ? -EPIPE : -ECONNRESET;
    }
    if (net->pending_sends_in == 0 || !sim_random_once_in(&net->random, net->pending_sends_in)) {
        return send_now(backend, link, pieces, count);
    }
    memcpy(link->server.pieces, pieces, count * sizeof(*pieces));
    link->server.piece_count = count;
    link->server.is_sending = true;
    sim_stats_add(net->stats, SIM_PENDING_SENDS, 1);
    return -EINPROGRESS;
}

static int sim_shutdown(struct backend *backend, struct backend_conn *conn)
{
    struct sim_link *link = link_of(backend, conn);
    CHECK(!link->server.is_sending && !link->server.wants_room);
    if (link->server_is_reset) {
        return -ENOTCONN;
    }
    link->down.fin_sent = true;
    return 0;
}

static void sim_drop(struct backend *backend, struct backend_conn *conn, bool reset)
{
    struct sim_link *link = link_of(backend, conn);
    CHECK(!link->server.is_dropped);
    link->server.is_dropped = true;
    link->server.is_receiving = false;
    link->server.wants_room = false;
    /* As TCP does: who closes without having read everything resets. */
    if (reset || link->up.arrived > link->up.begin || link->server.is_sending) {
        reset_by_server(link);
        return;
    }
    link->server_is_gone = true;
    link->down.fin_sent = true;
}

static int sim_peer(struct backend *backend, const struct backend_conn *conn,
                    struct address *address)
{
    (void)backend;
    *address = (struct address){.size = sizeof(address->v4)};
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons((uint16_t)(PORT_BASE + conn->fd % PORT_BASE));
    address->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return 0;
}

/* -- life -------------------------------------------------------------------------------------- */

static int sim_create(const struct backend_options *options, struct backend **backend)
{
    CHECK(options->context != NULL);
    CHECK(options->conns != NULL);

    struct backend *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->seat = options->context;
    created->seat->backend = created;
    created->net = created->seat->net;
    created->conns = options->conns;
    created->conn_count_max = options->conn_count_max;
    for (size_t i = 0; i < BACKEND_LISTENER_MAX; i++) {
        created->listeners[i].number = -1;
    }
    *backend = created;
    return 0;
}

static void sim_destroy(struct backend *backend)
{
    for (size_t i = 0; i < backend->link_count; i++) {
        struct sim_link *link = backend->links[i];
        if (!link->server_is_gone) {
            reset_by_server(link);
        }
        link->server.has_received = false;
        sim_collect_closed(backend, link);
    }
    free(backend->links);
    free(backend);
}

static void sim_enter(struct backend *backend)
{
    (void)backend;
}

/* Nobody dials in the simulated world: its clients are fibers. */
static int sim_adopt(struct backend *backend, int fd)
{
    (void)backend;
    (void)fd;
    return -EOPNOTSUPP;
}

const struct backend_ops backend_sim_ops = {
    .name = "simulated",
    .create = sim_create,
    .destroy = sim_destroy,
    .enter = sim_enter,
    .now = sim_now,
    .wait = sim_wait,
    .wake = sim_wake,
    .listen = sim_listen,
    .accept = sim_accept,
    .unlisten = sim_unlisten,
    .refuse = sim_refuse,
    .adopt = sim_adopt,
    .attach = sim_attach,
    .take = sim_take,
    .give_back = sim_give_back,
    .receive = sim_receive,
    .send = sim_send,
    .shutdown = sim_shutdown,
    .drop = sim_drop,
    .peer = sim_peer,
};
