/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/load/client_private.h"
#include "bench/load/floor.h"
#include "bench/load/session.h"
#include "core/check.h"
#include "net/conn.h"
#include "net/dialer.h"
#include "net/reactor.h"
#include "proto/close.h"
#include "proto/upgrade_client.h"

enum { REQUEST_SIZE_MAX = 4096 }; /* bytes */

/* -- the handshake ----------------------------------------------------------------------------- */

static struct upgrade_client_request request_of(const struct client *client)
{
    const struct options *options = client_options(client);
    struct upgrade_client_request request = {
        .host = options->target.host,
        .path = options->target.path,
        .protocol = options->subprotocol,
        .compression = options->compress,
        .extra = options->extra_head[0] == '\0' ? NULL : options->extra_head,
    };
    memcpy(request.nonce, client->nonce, sizeof(request.nonce));
    return request;
}

static void send_request(struct client *client) ON_REACTOR
{
    uint8_t head[REQUEST_SIZE_MAX];
    const uint64_t random[2] = {worker_random(client->worker), worker_random(client->worker)};
    memcpy(client->nonce, random, sizeof(client->nonce));

    const struct upgrade_client_request request = request_of(client);
    const size_t size = upgrade_client_write(&request, (struct span){head, sizeof(head)});
    CHECK(size > 0);
    client_queue_bytes(client, (struct bytes){head, size});
}

static void become_ready(struct client *client) ON_REACTOR
{
    struct worker *worker = client->worker;

    CHECK(worker->dialling > 0);
    worker->dialling--;
    client->state = CLIENT_READY;
    tally_add(&worker->tally, TALLY_CONNECTED, 1);
    tally_add(&worker->tally, TALLY_CONNECTS, 1);
    if (worker->scenario->on_ready != NULL) {
        worker->scenario->on_ready(client);
    }
}

static void begin_frames(struct client *client) ON_REACTOR
{
    stream_init(&client->stream, &client->worker->limits);
    if (!client_has_session(client)) {
        become_ready(client);
        return;
    }
    client->state = CLIENT_OPENING;
    client->command = 0;
    client_send_commands(client, session_write_opening);
}

void client_is_subscribed(struct client *client)
{
    if (client->state == CLIENT_OPENING) {
        become_ready(client);
    }
}

/* Bytes of `in` that were the head of the answer; 0: not whole yet, or the end of it. */
static size_t read_answer(struct client *client, struct span in) ON_REACTOR
{
    const struct upgrade_client_request request = request_of(client);
    size_t head_size = 0;
    unsigned status = 0;

    switch (upgrade_client_read((struct bytes){in.data, in.size}, &request, &head_size, &status)) {
    case UPGRADE_CLIENT_OK:
        begin_frames(client);
        return head_size;
    case UPGRADE_CLIENT_NEED_MORE:
        return 0;
    case UPGRADE_CLIENT_REFUSED:
        client_fail(client, CAUSE_STATUS, status);
        return 0;
    case UPGRADE_CLIENT_BAD_ANSWER:
        client_fail(client, CAUSE_HANDSHAKE, 0);
        return 0;
    }
    NEVER("a verdict that there is not");
}

/* The floor's answer to a request, for which read_answer() has a real one to read. */
static size_t read_floor_reply(struct client *client, struct span in) ON_REACTOR
{
    const size_t size = in.size < FLOOR_REPLY_SIZE ? in.size : FLOOR_REPLY_SIZE;

    if (in.size > FLOOR_REPLY_SIZE || memcmp(in.data, FLOOR_REPLY, size) != 0) {
        client_fail(client, CAUSE_FLOOR, 0);
        return in.size;
    }
    if (in.size < FLOOR_REPLY_SIZE) {
        return 0;
    }
    become_ready(client);
    return in.size;
}

/* -- upcalls ----------------------------------------------------------------------------------- */

static void *on_open(struct conn *conn) ON_REACTOR
{
    struct client *client = conn_user(conn);

    client->conn = conn;
    client->state = CLIENT_HANDSHAKE;
    client->close_code = 0;
    client->has_failed = false;
    client->worker->dialling++;
    conn_set_large(conn, true);
    if (client_is_tcp(client) && client_options(client)->scenario != OPTIONS_CONNECT) {
        become_ready(client);
    } else {
        send_request(client);
    }
    return client;
}

static size_t on_bytes(struct conn *conn, struct span in) ON_REACTOR
{
    struct client *client = conn_user(conn);
    size_t used = 0;

    if (client_is_tcp(client)) {
        used = client->state == CLIENT_HANDSHAKE ? read_floor_reply(client, in)
                                                 : client_read_pieces(client, in);
    } else {
        if (client->state == CLIENT_HANDSHAKE) {
            used = read_answer(client, in);
        }
        if (client->state != CLIENT_HANDSHAKE && !conn_is_closing(conn)) {
            used += client_read_frames(client, (struct span){in.data + used, in.size - used});
        }
    }
    tally_add(&client->worker->tally, TALLY_BYTES_RECEIVED, used);
    return used;
}

/* The first one of a worker is kept for the report. */
static void keep_tls_fault(struct worker *worker, const char *fault)
{
    if (!atomic_load_explicit(&worker->has_tls_fault, memory_order_relaxed)) {
        (void)snprintf(worker->tls_fault, sizeof(worker->tls_fault), "%s", fault);
        /* Pairs with the acquire in conductor.c. */
        atomic_store_explicit(&worker->has_tls_fault, true, memory_order_release);
    }
}

/* The connection ended, and we did not want it to. `reason`: as of on_close(). */
static void add_end_cause(struct client *client, int reason, bool was_ready) ON_REACTOR
{
    struct tally *tally = &client->worker->tally;

    if (conn_tls_fault(client->conn) != NULL) {
        keep_tls_fault(client->worker, conn_tls_fault(client->conn));
        tally_add_cause(tally, CAUSE_TLS, 0);
    } else if (client->close_code != 0 || was_ready) {
        tally_add_cause(tally, CAUSE_CLOSED,
                        client->close_code == 0 ? CLOSE_ABNORMAL : client->close_code);
    } else {
        tally_add_cause(tally, CAUSE_SYSTEM, reason == 0 ? ESHUTDOWN : (uint32_t)-reason);
    }
}

static void on_close(struct conn *conn, int reason) ON_REACTOR
{
    struct client *client = conn_user(conn);
    struct worker *worker = client->worker;
    const bool is_news = client->state == CLIENT_READY; /* else it was counted, or is wanted */
    const bool was_opening = client->state == CLIENT_HANDSHAKE || client->state == CLIENT_OPENING;

    if (was_opening) {
        CHECK(worker->dialling > 0);
        worker->dialling--;
        tally_add(&worker->tally, TALLY_CONNECT_FAILED, 1);
    } else {
        tally_subtract(&worker->tally, TALLY_CONNECTED, 1);
    }
    if (is_news) {
        tally_add(&worker->tally, TALLY_CLOSED, 1);
    }
    if ((was_opening || is_news) && !client->has_failed) {
        add_end_cause(client, reason, is_news);
    }
    const bool was_ready = is_news || client->state == CLIENT_CLOSED;
    free(stream_take_assembly(&client->stream).data);
    client->conn = NULL;
    client->state = CLIENT_GONE;
    if (worker->scenario->on_closed != NULL) {
        worker->scenario->on_closed(client, was_ready);
    }
}

void client_set_handler(struct worker *worker, struct conn_handler *handler)
{
    *handler = (struct conn_handler){
        .on_open = on_open, .on_bytes = on_bytes, .on_close = on_close, .context = worker};
}

/* -- life -------------------------------------------------------------------------------------- */

/* 127.0.0.2 and up: each source address has ports of its own. Of ::1 there is only one. */
static struct address source_of(const struct client *client)
{
    const uint32_t sources = client_options(client)->sources;
    const struct address *target = &client_options(client)->target.address;
    struct address source = {0};

    if (sources > 0 && target->any.sa_family == AF_INET && address_is_loopback(target)) {
        const uint32_t at = (uint32_t)(worker_random(client->worker) % sources);
        source.v4 = (struct sockaddr_in){.sin_family = AF_INET,
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + at)};
        source.size = sizeof(source.v4);
    }
    return source;
}

int client_dial(struct client *client)
{
    CHECK(client->state == CLIENT_GONE);
    const struct dialer_options options = {.target = client_options(client)->target.address,
                                           .source = source_of(client)};
    int fd = -1;
    const int result = dialer_open(&options, &fd);
    if (result != 0) {
        return result;
    }
    client->stream = (struct stream){0};
    client->dialled_ns = reactor_now(client->worker->reactor);
    return reactor_dial(client->worker->reactor, fd, client->worker->dialer, client) == NULL
               ? -ENOBUFS
               : 0;
}

/* From here on whatever happens to the connection is wanted. */
static void begin_leaving(struct client *client) ON_REACTOR
{
    if (client->state == CLIENT_HANDSHAKE || client->state == CLIENT_OPENING) {
        client->worker->dialling--;
        tally_add(&client->worker->tally, TALLY_CONNECTED, 1); /* on_close takes it back */
    }
    client->state = CLIENT_LEAVING;
}

void client_leave(struct client *client, bool reset)
{
    if (client->state == CLIENT_GONE || client->state == CLIENT_CLOSED ||
        client->state == CLIENT_LEAVING) {
        return;
    }
    const bool has_frames = !client_is_tcp(client) && client->state != CLIENT_HANDSHAKE;
    begin_leaving(client);
    if (reset || !has_frames) {
        conn_close(client->conn, 0);
        return;
    }
    static const uint8_t normal[2] = {0x03, 0xe8}; /* 1000 */
    client_queue_frame(client, FRAME_CLOSE, (struct bytes){normal, sizeof(normal)});
    conn_close(client->conn, CLIENT_LINGER_MS);
}

void client_fail(struct client *client, enum cause_kind kind, uint32_t code)
{
    if (!conn_is_closing(client->conn)) {
        tally_add(&client->worker->tally, TALLY_ERRORS, 1);
        tally_add_cause(&client->worker->tally, kind, code);
        client->has_failed = true;
        conn_abort(client->conn, -EPROTO);
    }
}
