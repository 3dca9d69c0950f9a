/* SPDX-License-Identifier: Apache-2.0 */
#include "net/reactor.h"

#include <errno.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/monotime.h"
#include "core/thread.h"
#include "net/conn.h"
#include "net/conn_private.h"
#include "net/reactor_private.h"
#include "net/tls.h"
#include "net/tls_config.h"

enum { TIMERS_PER_SWEEP = 4096 }; /* of each wheel; the rest in the next iteration */

/* --- Lists --------------------------------------------------------------------------------- */

struct conn *reactor_at(const struct reactor *reactor, uint32_t slot)
{
    struct conn *conn = slab_at(reactor->conns, slot);
    CHECK(conn != NULL);
    return conn;
}

void reactor_touch(struct reactor *reactor, struct conn *conn)
{
    if (conn->touched) {
        return;
    }
    conn->touched = true;
    conn->touched_next = REACTOR_SLOT_NONE;
    if (reactor->touched.first == REACTOR_SLOT_NONE) {
        reactor->touched.first = conn->io.slot;
    } else {
        reactor_at(reactor, reactor->touched.last)->touched_next = conn->io.slot;
    }
    reactor->touched.last = conn->io.slot;
}

void reactor_ready(struct reactor *reactor, struct conn *conn)
{
    if (conn->ready) {
        return;
    }
    conn->ready = true;
    conn->ready_next = REACTOR_SLOT_NONE;
    if (reactor->ready.first == REACTOR_SLOT_NONE) {
        reactor->ready.first = conn->io.slot;
    } else {
        reactor_at(reactor, reactor->ready.last)->ready_next = conn->io.slot;
    }
    reactor->ready.last = conn->io.slot;
}

/* Takes the whole list; its first slot. */
static uint32_t take_list(struct reactor_list *list)
{
    const uint32_t first = list->first;
    list->first = REACTOR_SLOT_NONE;
    return first;
}

/* --- Phase 1 ------------------------------------------------------------------------------- */

bool reactor_has_leftover(const struct reactor *reactor)
{
    return reactor->touched.first != REACTOR_SLOT_NONE ||
           reactor->ready.first != REACTOR_SLOT_NONE || reactor->timers_left;
}

/* How long until a timer may be due, at most `timeout_ns`. */
static uint64_t until_timer(const struct reactor *reactor, uint64_t timeout_ns)
{
    const uint64_t own_ns = timerwheel_next_ns(reactor->conn_timers);
    uint64_t next_ns = timerwheel_next_ns(reactor->timers);
    next_ns = own_ns < next_ns ? own_ns : next_ns;
    if (next_ns == TIMERWHEEL_NEVER) {
        return timeout_ns;
    }
    const uint64_t now_ns = reactor->ops->now(reactor->backend);
    const uint64_t delay_ns = next_ns > now_ns ? next_ns - now_ns : 0;
    return delay_ns < timeout_ns ? delay_ns : timeout_ns;
}

void reactor_wait(struct reactor *reactor, uint64_t timeout_ns)
{
    CHECK(reactor_is_current(reactor));
    CHECK(reactor->completion_count == 0);

    if (reactor_has_leftover(reactor)) {
        timeout_ns = 0;
    }
    if (timeout_ns > 0) {
        timeout_ns = until_timer(reactor, timeout_ns);
    }
    reactor->completion_count = (uint32_t)reactor->ops->wait(
        reactor->backend, timeout_ns, reactor->completions, BACKEND_COMPLETION_MAX);
    CHECK(reactor->completion_count <= BACKEND_COMPLETION_MAX);
    reactor->now_ns = reactor->ops->now(reactor->backend);
    reactor->work = (struct reactor_work){.completions = reactor->completion_count};
}

/* --- Phase 3 ------------------------------------------------------------------------------- */

/* What a completion brought, up to the budget; beyond it only what left the kernel already. */
static void receive_from(struct reactor *reactor, struct conn *conn,
                         struct backend_completion *completion) ON_REACTOR
{
    size_t budget = reactor->options.receive_budget_bytes;

    while (conn->state < CONN_STATE_DYING) {
        struct span in = {0};
        const ssize_t size =
            reactor->ops->take(reactor->backend, &conn->io, completion, budget, &in);
        if (size == -EAGAIN) {
            break;
        }
        if (size < 0) {
            conn_fail(conn, (int)size);
            break;
        }
        in.size = (size_t)size;
        conn_receive(conn, in);
        if (size == 0) {
            break;
        }
        budget -= in.size < budget ? in.size : budget;
    }
    reactor->ops->give_back(reactor->backend, &conn->io, completion);
}

/* Nothing is in flight: the slot is free for another. */
static void free_conn(struct reactor *reactor, struct conn *conn)
{
    CHECK(conn->state == CONN_STATE_DROPPED);
    CHECK(!conn->touched);
    CHECK(!conn->ready);
    conn_release(conn);
    slab_give(reactor->conns, conn->io.slot);
    if (reactor->options.metrics != NULL) {
        metrics_subtract(reactor->options.metrics, METRIC_CONNECTIONS_OPEN, 1);
    }
    reactor_accept_settle(reactor);
}

static void dispatch(struct reactor *reactor, struct backend_completion *completion) ON_REACTOR
{
    if (completion->event == BACKEND_ACCEPTED) {
        reactor_accept_take(reactor, completion->slot, completion->result);
        return;
    }
    if (completion->event == BACKEND_ACCEPT_FAILED) {
        reactor_accept_failed(reactor);
        return;
    }
    struct conn *conn = slab_find(reactor->conns, completion->slot, completion->generation);
    if (conn == NULL) {
        if (completion->event == BACKEND_RECEIVED) {
            reactor->ops->give_back(reactor->backend, NULL, completion);
        }
        return;
    }
    switch (completion->event) {
    case BACKEND_RECEIVED:
        receive_from(reactor, conn, completion);
        break;
    case BACKEND_SENT:
        conn_sent(conn, completion->result);
        break;
    case BACKEND_CLOSED:
        free_conn(reactor, conn);
        break;
    case BACKEND_ACCEPTED:
    case BACKEND_ACCEPT_FAILED:
        NEVER("were dealt with above");
    }
}

void reactor_receive(struct reactor *reactor)
{
    reactor->handshakes_left = REACTOR_HANDSHAKES_MAX;
    uint32_t slot = take_list(&reactor->ready);
    while (slot != REACTOR_SLOT_NONE) {
        struct conn *conn = reactor_at(reactor, slot);
        slot = conn->ready_next;
        conn->ready = false;
        conn_serve(conn);
    }
    for (uint32_t i = 0; i < reactor->completion_count; i++) {
        dispatch(reactor, &reactor->completions[i]);
    }
    reactor->completion_count = 0;
}

/* --- Phase 6 ------------------------------------------------------------------------------- */

void reactor_flush(struct reactor *reactor)
{
    struct metrics *metrics = reactor->options.metrics;
    uint32_t slot = take_list(&reactor->touched);
    while (slot != REACTOR_SLOT_NONE) {
        struct conn *conn = reactor_at(reactor, slot);
        slot = conn->touched_next;
        conn->touched = false;
        if (conn->state < CONN_STATE_DYING) {
            if (metrics != NULL) {
                metrics_observe_bytes(&metrics->queues, conn_queued_bytes(conn));
            }
            conn_flush(conn);
        } else {
            reactor_touch(reactor, conn); /* for the sweep */
        }
    }
}

/* --- Phase 7 ------------------------------------------------------------------------------- */

/* The capability is the caller's: the analysis does not see it through a function pointer. */
static void fire_conn_timer(struct timerwheel_timer *timer, void *context) ON_REACTOR
{
    struct reactor *reactor = context;
    if (timer == &reactor->accept_timer) {
        reactor_accept_settle(reactor);
        return;
    }
    conn_expire(LIST_OWNER(timer, struct conn, timer));
}

static void fire_timers(struct reactor *reactor)
{
    const struct reactor_options *options = &reactor->options;
    size_t fired = timerwheel_expire(reactor->conn_timers, reactor->now_ns, fire_conn_timer,
                                     reactor, TIMERS_PER_SWEEP);
    reactor->timers_left = fired == TIMERS_PER_SWEEP;
    reactor->work.timers += (uint32_t)fired;
    if (options->on_timer == NULL) {
        return;
    }
    fired = timerwheel_expire(reactor->timers, reactor->now_ns, options->on_timer, options->context,
                              TIMERS_PER_SWEEP);
    reactor->timers_left = reactor->timers_left || fired == TIMERS_PER_SWEEP;
    reactor->work.timers += (uint32_t)fired;
}

static void drop_conn(struct reactor *reactor, struct conn *conn)
{
    CHECK(conn->state == CONN_STATE_DYING);
    conn->state = CONN_STATE_DROPPED;
    timerwheel_cancel(reactor->conn_timers, &conn->timer);
    if (conn->user != NULL) {
        reactor->listeners[conn->listener].handler->on_close(conn, -(int)conn->error);
    }
    /* Only now, so that on_close can still ask where the client was. */
    reactor->ops->drop(reactor->backend, &conn->io, conn->reset);
}

void reactor_sweep(struct reactor *reactor)
{
    fire_timers(reactor);

    uint32_t slot = take_list(&reactor->touched);
    while (slot != REACTOR_SLOT_NONE) {
        struct conn *conn = reactor_at(reactor, slot);
        slot = conn->touched_next;
        conn->touched = false;
        if (conn->state == CONN_STATE_DYING) {
            drop_conn(reactor, conn);
        } else {
            reactor_touch(reactor, conn); /* queued by a timer: the next flush */
        }
    }
}

/* --- Life ---------------------------------------------------------------------------------- */

static void check_options(const struct reactor_options *options)
{
    CHECK(options->backend != NULL);
    CHECK(options->conn_count_max > 0 && options->conn_count_max < UINT32_MAX);
    CHECK(options->conn_count_reserved < options->conn_count_max);
    CHECK(options->queue_bytes_low <= options->queue_bytes_high);
    CHECK(options->queue_bytes_high <= options->queue_bytes_max);
    CHECK(options->queue_bytes_max <= options->queue_bytes_max_large);
    CHECK(options->receive_budget_bytes > 0);
    CHECK(options->write_stall_ns > 0);
}

/* Frees what there is; reactor_create() comes here with parts missing. */
static void free_parts(struct reactor *reactor)
{
    if (reactor->backend != NULL) {
        reactor->ops->destroy(reactor->backend);
    }
    outq_pool_destroy(reactor->nodes);
    packet_pool_destroy(reactor->packets);
    timerwheel_destroy(reactor->conn_timers);
    timerwheel_destroy(reactor->timers);
    slab_destroy(reactor->conns);
    for (uint32_t i = 0; i < reactor->listener_count; i++) {
        tls_config_unref(reactor->listeners[i].tls);
    }
    free(reactor->tls_scratch);
    free(reactor);
}

int reactor_create(const struct reactor_options *options, struct reactor **reactor)
{
    CHECK(options != NULL);
    CHECK(reactor != NULL);
    check_options(options);

    struct reactor *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    created->ops = options->backend;
    created->touched.first = REACTOR_SLOT_NONE;
    created->ready.first = REACTOR_SLOT_NONE;
    created->conns = slab_create(sizeof(struct conn), options->conn_count_max);
    created->packets = packet_pool_create(options->blobs);
    created->nodes = outq_pool_create();
    if (created->conns == NULL || created->packets == NULL || created->nodes == NULL) {
        free_parts(created);
        return -ENOMEM;
    }
    const struct backend_options backend = {
        .conns = created->conns,
        .context = options->backend_context,
        .conn_count_max = options->conn_count_max,
        .receive_buffer_count = options->receive_buffer_count,
        .receive_buffer_size = options->receive_buffer_size,
        .rest_ns = options->rest_ns,
    };
    const int result = created->ops->create(&backend, &created->backend);
    if (result != 0) {
        free_parts(created);
        return result;
    }
    created->now_ns = created->ops->now(created->backend);
    created->timers = timerwheel_create(created->now_ns, TIMERWHEEL_TICK_NS_DEFAULT);
    created->conn_timers = timerwheel_create(created->now_ns, TIMERWHEEL_TICK_NS_DEFAULT);
    if (created->timers == NULL || created->conn_timers == NULL) {
        free_parts(created);
        return -ENOMEM;
    }
    *reactor = created;
    return 0;
}

void reactor_destroy(struct reactor *reactor)
{
    if (reactor == NULL) {
        return;
    }
    CHECK(reactor->thread == 0);
    for (uint32_t i = 0; i < reactor->listener_count; i++) {
        reactor_accept_unlisten(reactor, i);
    }
    const uint32_t end = slab_slot_end(reactor->conns);
    for (uint32_t slot = 0; slot < end; slot++) {
        struct conn *conn = slab_at(reactor->conns, slot);
        if (conn != NULL && conn->state != CONN_STATE_DROPPED) {
            reactor->ops->drop(reactor->backend, &conn->io, true);
        }
    }
    /* The kernel looks at no queued byte any more once the back end is gone. */
    reactor->ops->destroy(reactor->backend);
    reactor->backend = NULL;
    for (uint32_t slot = 0; slot < end; slot++) {
        struct conn *conn = slab_at(reactor->conns, slot);
        if (conn != NULL) {
            conn_release(conn);
        }
    }
    free_parts(reactor);
}

void reactor_enter(struct reactor *reactor) ROLE_TRUSTED
{
    CHECK(reactor->thread == 0);
    reactor->thread = thread_self();
    reactor->ops->enter(reactor->backend);
}

void reactor_leave(struct reactor *reactor) ROLE_TRUSTED
{
    CHECK(reactor_is_current(reactor));
    reactor->thread = 0;
}

bool reactor_is_current(const struct reactor *reactor)
{
    return reactor->thread == thread_self();
}

int reactor_listen(struct reactor *reactor, int fd, const struct conn_handler *handler)
{
    const struct reactor_listening listening = {.handler = handler};
    return reactor_listen_with(reactor, fd, &listening);
}

int reactor_listen_with(struct reactor *reactor, int fd, const struct reactor_listening *listening)
{
    CHECK(listening->tls == NULL || tls_config_is_server(listening->tls));
    CHECK(listening->handler != NULL);
    CHECK(listening->handler->on_open != NULL);
    CHECK(listening->handler->on_bytes != NULL);
    CHECK(listening->handler->on_close != NULL);
    return reactor_accept_listen(reactor, fd, listening);
}

int reactor_prepare_tls(struct reactor *reactor, struct tls_config *config)
{
    if (config == NULL) {
        return 0;
    }
    CHECK(reactor->options.tls_handshake_ns > 0);
    if (reactor->tls_scratch == NULL) {
        reactor->tls_scratch = malloc(TLS_RECORD_SIZE_MAX);
        if (reactor->tls_scratch == NULL) {
            return -ENOMEM;
        }
    }
    tls_config_ref(config);
    return 0;
}

void reactor_renew_tls(struct reactor *reactor, int listener, struct tls_config *config)
{
    CHECK(listener >= 0 && (uint32_t)listener < reactor->listener_count);
    CHECK(reactor->listeners[listener].tls != NULL);
    CHECK(tls_config_is_server(config));
    tls_config_ref(config);
    tls_config_unref(reactor->listeners[listener].tls);
    reactor->listeners[listener].tls = config;
}

void reactor_close_listener(struct reactor *reactor, int listener)
{
    CHECK(listener >= 0 && (uint32_t)listener < reactor->listener_count);
    reactor_accept_unlisten(reactor, (uint32_t)listener);
}

void reactor_stop_listening(struct reactor *reactor)
{
    for (uint32_t i = 0; i < reactor->listener_count; i++) {
        reactor_accept_unlisten(reactor, i);
    }
}

/* --- Questions ----------------------------------------------------------------------------- */

void reactor_wake(struct reactor *reactor)
{
    reactor->ops->wake(reactor->backend);
}

uint64_t reactor_now(const struct reactor *reactor)
{
    return reactor->now_ns;
}

struct reactor_work reactor_work(const struct reactor *reactor)
{
    return reactor->work;
}

struct reactor_memory reactor_memory(const struct reactor *reactor)
{
    return (struct reactor_memory){
        .conns = slab_bytes(reactor->conns),
        .queues = packet_pool_bytes(reactor->packets) + outq_pool_bytes(reactor->nodes),
    };
}

struct timerwheel *reactor_timers(struct reactor *reactor)
{
    return reactor->timers;
}

struct packet_pool *reactor_packets(struct reactor *reactor)
{
    return reactor->packets;
}

void *reactor_user(const struct reactor *reactor)
{
    return reactor->options.context;
}

/* Between on_open and on_close, as the handler sees it. */
static bool is_known(const struct conn *conn)
{
    return conn->state < CONN_STATE_DYING ||
           (conn->state == CONN_STATE_DYING && conn->user != NULL);
}

struct conn *reactor_conn(struct reactor *reactor, struct conn_id id)
{
    CHECK(id.reactor == reactor->options.index);
    struct conn *conn = slab_find(reactor->conns, id.slot, id.generation);
    return conn != NULL && is_known(conn) ? conn : NULL;
}

uint32_t reactor_conn_count(const struct reactor *reactor)
{
    return slab_count(reactor->conns);
}

void reactor_each_conn(struct reactor *reactor, void (*fn)(struct conn *conn, void *context),
                       void *context)
{
    uint32_t slot = 0;
    for (;;) {
        struct conn *conn = reactor_next_conn(reactor, &slot);
        if (conn == NULL) {
            return;
        }
        fn(conn, context);
    }
}

struct conn *reactor_next_conn(struct reactor *reactor, uint32_t *slot)
{
    const uint32_t end = slab_slot_end(reactor->conns);
    while (*slot < end) {
        struct conn *conn = slab_at(reactor->conns, (*slot)++);
        if (conn != NULL && is_known(conn)) {
            return conn;
        }
    }
    return NULL;
}
