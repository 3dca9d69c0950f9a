/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/net/fixture.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/monotime.h"
#include "core/timerwheel.h"
#include "net/conn_private.h"
#include "tests/net/plug_tls.h"

enum { TURNS_MAX = 30000, SHAKE_TURNS = 30 };

uint8_t fixture_byte(uint64_t i)
{
    return (uint8_t)(i * 2654435761U >> 13);
}

bool fixture_is_stream(const uint8_t *data, uint64_t begin, size_t size)
{
    bool is_stream = true;
    for (size_t i = 0; i < size; i++) {
        is_stream = is_stream && data[i] == fixture_byte(begin + i);
    }
    return is_stream;
}

/* --- Upcalls --------------------------------------------------------------------------------- */

static void *on_open(struct conn *conn)
{
    struct fixture *fixture = conn_handler_context(conn);
    if (fixture->turn_away) {
        return NULL;
    }
    struct fixture_peer *peer = calloc(1, sizeof(*peer));
    ck_assert_ptr_nonnull(peer);
    ck_assert_uint_lt(fixture->peer_count, FIXTURE_PEER_MAX);
    fixture->peers[fixture->peer_count++] = peer;
    peer->fixture = fixture;
    peer->conn = conn;
    peer->id = conn_id_of(conn);
    /* Who is dialled has a user from the start. */
    ck_assert(conn_user(conn) == NULL || conn_listener(conn) == 1);
    if (fixture->holds) {
        conn_hold(conn);
    }
    return peer;
}

void fixture_record(struct fixture_peer *peer, struct bytes bytes)
{
    if (peer->capacity - peer->size < bytes.size) {
        peer->capacity = 2 * (peer->size + bytes.size);
        peer->bytes = realloc(peer->bytes, peer->capacity);
        ck_assert_ptr_nonnull(peer->bytes);
    }
    if (bytes.size > 0) {
        memcpy(peer->bytes + peer->size, bytes.data, bytes.size);
    }
    peer->size += bytes.size;
}

static size_t on_bytes(struct conn *conn, struct span in)
{
    struct fixture_peer *peer = conn_user(conn);
    ck_assert_uint_gt(in.size, 0);
    ck_assert_uint_eq(peer->close_calls, 0);
    ck_assert(!conn_is_closing(conn));
    ck_assert(!conn_is_paused(conn));
    peer->bytes_calls++;
    if (peer->fixture->on_bytes != NULL) {
        return peer->fixture->on_bytes(peer, in);
    }
    fixture_record(peer, (struct bytes){in.data, in.size});
    /* The callee may write to what it was given. */
    memset(in.data, 0xee, in.size);
    return in.size;
}

static void on_drained(struct conn *conn)
{
    struct fixture_peer *peer = conn_user(conn);
    ck_assert_uint_eq(peer->close_calls, 0);
    peer->drained_calls++;
    if (peer->fixture->on_drained != NULL) {
        peer->fixture->on_drained(peer);
    }
}

static void on_proxied(struct conn *conn, const struct address *client)
{
    const struct fixture_peer *peer = conn_user(conn);
    ck_assert_uint_eq(peer->bytes_calls, 0);
    peer->fixture->proxied = *client;
    if (peer->fixture->holds_proxied) {
        conn_hold(conn);
    }
}

static void on_close(struct conn *conn, int reason)
{
    struct fixture_peer *peer = conn_user(conn);
    ck_assert_uint_eq(peer->close_calls, 0);
    ck_assert_int_le(reason, 0);
    peer->close_calls++;
    peer->reason = reason;
    peer->conn = NULL;
}

static void on_timer(struct timerwheel_timer *timer, void *context)
{
    struct fixture *fixture = context;
    (void)timer;
    fixture->fired++;
    fixture->fired_ns = reactor_now(fixture->reactor);
}

/* --- Life ------------------------------------------------------------------------------------ */

struct reactor_options fixture_options(void)
{
    return (struct reactor_options){
        .index = 3,
        .conn_count_max = 1024,
        .queue_bytes_low = 64 * 1024,
        .queue_bytes_high = 256 * 1024,
        .queue_bytes_max = 8 * 1024 * 1024,
        .queue_bytes_max_large = 8 * 1024 * 1024,
        .pending_max = 4096,
        .write_stall_ns = 60 * MONOTIME_NS_PER_S,
        .tls_handshake_ns = 60 * MONOTIME_NS_PER_S,
        .receive_budget_bytes = 64 * 1024,
        .receive_buffer_count = 64,
        .receive_buffer_size = 2048,
    };
}

static int begin_listening(struct fixture *fixture, uint64_t proxy_timeout_ns, bool is_shared)
{
    const int fd = fixture->plug->listen(fixture->world);
    const struct reactor_listening listening = {
        .handler = &fixture->handler,
        .tls = fixture->plug->is_tls ? plug_tls_server() : NULL,
        .proxy_timeout_ns = proxy_timeout_ns,
        .is_shared = is_shared,
    };
    ck_assert_int_ge(reactor_listen_with(fixture->reactor, fd, &listening), 0);
    return fd;
}

int fixture_listen(struct fixture *fixture, bool is_shared)
{
    return begin_listening(fixture, 0, is_shared);
}

static struct fixture *prepare(const struct plug *plug, const struct reactor_options *options,
                               uint64_t proxy_timeout_ns, bool is_shared)
{
    struct fixture *fixture = aligned_alloc(64, (sizeof(*fixture) + 63) / 64 * 64);
    ck_assert_ptr_nonnull(fixture);
    memset(fixture, 0, sizeof(*fixture));
    fixture->plug = plug;
    fixture->world = plug->create();
    fixture->handler = (struct conn_handler){.on_open = on_open,
                                             .on_bytes = on_bytes,
                                             .on_drained = on_drained,
                                             .on_proxied = on_proxied,
                                             .on_close = on_close,
                                             .context = fixture};

    struct reactor_options mine = *options;
    mine.backend = plug->is_tls ? plug->base->ops : plug->ops;
    mine.backend_context = plug->is_tls ? plug_tls_inner(fixture->world) : fixture->world;
    mine.metrics = &fixture->metrics;
    mine.on_timer = on_timer;
    mine.context = fixture;
    ck_assert_int_eq(reactor_create(&mine, &fixture->reactor), 0);
    fixture->listener = begin_listening(fixture, proxy_timeout_ns, is_shared);
    ck_assert_ptr_eq(reactor_user(fixture->reactor), fixture);
    return fixture;
}

ROLE_TRUSTED struct fixture *fixture_begin(const struct plug *plug,
                                           const struct reactor_options *options)
{
    return fixture_begin_proxied(plug, options, 0);
}

ROLE_TRUSTED struct fixture *fixture_begin_proxied(const struct plug *plug,
                                                   const struct reactor_options *options,
                                                   uint64_t timeout_ns)
{
    struct fixture *fixture = prepare(plug, options, timeout_ns, false);
    reactor_enter(fixture->reactor);
    ck_assert(reactor_is_current(fixture->reactor));
    return fixture;
}

ROLE_TRUSTED struct fixture *fixture_begin_shared(const struct plug *plug,
                                                  const struct reactor_options *options)
{
    struct fixture *fixture = prepare(plug, options, 0, true);
    reactor_enter(fixture->reactor);
    return fixture;
}

ROLE_TRUSTED void fixture_end(struct fixture *fixture)
{
    reactor_leave(fixture->reactor);
    reactor_destroy(fixture->reactor);
    fixture->plug->destroy(fixture->world);
    for (size_t i = 0; i < fixture->peer_count; i++) {
        free(fixture->peers[i]->bytes);
        free(fixture->peers[i]);
    }
    free(fixture);
}

void fixture_turn(struct fixture *fixture)
{
    reactor_wait(fixture->reactor, MONOTIME_NS_PER_MS);
    reactor_receive(fixture->reactor);
    reactor_flush(fixture->reactor);
    reactor_sweep(fixture->reactor);
    if (fixture->plug->is_tls) {
        fixture->plug->push_all(fixture->world);
    }
}

void fixture_until(struct fixture *fixture, bool (*fact)(struct fixture *fixture))
{
    int turns = 0;
    while (!fact(fixture)) {
        fixture_turn(fixture);
        ck_assert_msg(turns++ < TURNS_MAX, "it never became so");
    }
}

/*
 * With TLS: until both sides have done the handshake, and the client has read all that the server
 * said since `before`: who closes with unread tickets resets.
 */
static void shake(struct fixture *fixture, int client, const struct fixture_peer *peer,
                  uint64_t before) ON_REACTOR
{
    int turns = 0;
    while (fixture->plug->is_tls && peer->conn != NULL) {
        const uint64_t got = fixture->plug->shake(fixture->world, client);
        const uint64_t said = metrics_read(&fixture->metrics, METRIC_BYTES_SENT) - before;
        /* Others may be sent to, too: then turns must do. */
        if (got > 0 && (got >= said || turns >= SHAKE_TURNS) && !conn_is_shaking(peer->conn) &&
            conn_queued_bytes(peer->conn) == 0) {
            break;
        }
        fixture_turn(fixture);
        ck_assert_msg(turns++ < TURNS_MAX, "the handshake does not end");
    }
}

int fixture_connect(struct fixture *fixture, struct fixture_peer **peer)
{
    const size_t before = fixture->peer_count;
    const uint64_t sent_before = metrics_read(&fixture->metrics, METRIC_BYTES_SENT);
    const int client = fixture->plug->connect(fixture->world, fixture->listener);
    int turns = 0;
    while (fixture->peer_count == before) {
        fixture_turn(fixture);
        ck_assert_msg(turns++ < TURNS_MAX, "nobody accepted");
    }
    shake(fixture, client, fixture->peers[before], sent_before);
    if (peer != NULL) {
        *peer = fixture->peers[before];
    }
    return client;
}

void fixture_until_size(struct fixture *fixture, struct fixture_peer *peer, size_t size)
{
    int turns = 0;
    while (peer->size < size) {
        fixture_turn(fixture);
        ck_assert_msg(turns++ < TURNS_MAX, "%zu of %zu bytes arrived", peer->size, size);
    }
}

void fixture_until_closed(struct fixture *fixture, struct fixture_peer *peer)
{
    int turns = 0;
    while (peer->close_calls == 0) {
        fixture_turn(fixture);
        ck_assert_msg(turns++ < TURNS_MAX, "on_close never came");
    }
}

static bool is_empty(struct fixture *fixture)
{
    return reactor_conn_count(fixture->reactor) == 0;
}

void fixture_until_empty(struct fixture *fixture)
{
    fixture_until(fixture, is_empty);
    ck_assert_uint_eq(packet_pool_count(reactor_packets(fixture->reactor)), 0);
    ck_assert_uint_eq(metrics_read(&fixture->metrics, METRIC_CONNECTIONS_OPEN), 0);
}

/* --- Clients --------------------------------------------------------------------------------- */

void fixture_write(struct fixture *fixture, int client, const void *data, size_t size)
{
    const uint8_t *next = data;
    int turns = 0;
    while (size > 0) {
        const ssize_t written = fixture->plug->write(fixture->world, client, next, size);
        if (written == -EAGAIN) {
            fixture_turn(fixture);
            ck_assert_msg(turns++ < TURNS_MAX, "the server does not read");
            continue;
        }
        ck_assert_int_gt(written, 0);
        next += written;
        size -= (size_t)written;
    }
}

void fixture_read(struct fixture *fixture, int client, void *data, size_t size)
{
    uint8_t *next = data;
    int turns = 0;
    while (size > 0) {
        const ssize_t got = fixture->plug->read(fixture->world, client, next, size);
        if (got == -EAGAIN) {
            fixture_turn(fixture);
            ck_assert_msg(turns++ < TURNS_MAX, "%zu bytes are missing", size);
            continue;
        }
        ck_assert_int_gt(got, 0);
        next += got;
        size -= (size_t)got;
    }
}

size_t fixture_read_rest(struct fixture *fixture, int client, int *end)
{
    uint8_t scratch[4096];
    size_t size = 0;
    int turns = 0;
    for (;;) {
        const ssize_t got = fixture->plug->read(fixture->world, client, scratch, sizeof(scratch));
        if (got == -EAGAIN) {
            fixture_turn(fixture);
            ck_assert_msg(turns++ < TURNS_MAX, "it never ends");
            continue;
        }
        if (got <= 0) {
            *end = (int)got;
            return size;
        }
        size += (size_t)got;
    }
}

enum conn_queued fixture_queue(struct fixture_peer *peer, uint8_t first, size_t size,
                               enum conn_lane lane)
{
    struct packet *packet = packet_create(reactor_packets(peer->fixture->reactor), size);
    ck_assert_ptr_nonnull(packet);
    const struct span bytes = packet_span(packet);
    for (size_t i = 0; i < size; i++) {
        bytes.data[i] = (uint8_t)(first + i);
    }
    const enum conn_queued queued = conn_queue(peer->conn, packet, lane);
    packet_unref(packet);
    return queued;
}
