/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Goodbye: close frames, and what they say.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/outbox.h"
#include "core/check.h"
#include "core/log.h"
#include "proto/close.h"
#include "proto/codes.h"
#include "server/config.h"
#include "server/gateway_state.h"
#include "server/listening.h"

enum {
    SLOW_LINGER_MS = 1000, /* for the 3008 to somebody who does not read */
};

/* Why we close. The client's own code comes back without a reason: it may be any, or nobody's. */
static const char *own_reason(const struct peer *peer, uint16_t code)
{
    if (peer->closed_by_client) {
        return "";
    }
    switch (code) {
    case CLOSE_PROTOCOL_ERROR:
        return "protocol error";
    case CLOSE_INVALID_PAYLOAD:
        return "invalid payload";
    case CLOSE_POLICY_VIOLATION:
        return "policy violation";
    case CLOSE_MESSAGE_TOO_BIG:
        return "message too big";
    default:
        CHECK(code >= CODES_DISCONNECT_CLOSED);
        return codes_disconnect_text((enum codes_disconnect)code);
    }
}

/* False: there is no room or no memory for it. */
static bool queue_close(struct gateway *gateway, struct conn *conn, uint16_t code,
                        struct bytes reason) ON_REACTOR
{
    uint8_t frame[CLOSE_FRAME_SIZE_MAX];
    const size_t size = close_write(code, reason, frame);
    struct packet *packet = gateway_packet(gateway, (struct bytes){frame, size});
    if (packet == NULL) {
        return false;
    }
    const bool queued = conn_queue(conn, packet, CONN_NORMAL) != CONN_TOO_SLOW;
    packet_unref(packet);
    if (queued) {
        metrics_add(gateway->options.metrics, METRIC_FRAMES_SENT_CLOSE, 1);
    }
    return queued;
}

static struct bytes view(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

void gateway_say_close(struct gateway *gateway, struct conn *conn, uint16_t code)
{
    if (!conn_is_closing(conn)) {
        gateway_say_close_with(gateway, conn, code, view(own_reason(conn_user(conn), code)));
    }
}

void gateway_say_close_with(struct gateway *gateway, struct conn *conn, uint16_t code,
                            struct bytes reason)
{
    struct peer *peer = conn_user(conn);

    if (conn_is_closing(conn)) {
        return;
    }
    if (peer->closed_by_client) {
        gateway_debug(gateway, peer, "client closes", log_uint("code", code), GATEWAY_NO_FIELD);
    } else if (peer->is_sent_away) {
        gateway_debug(gateway, peer, "closing", log_uint("code", code),
                      log_bytes("reason", reason));
    } else {
        gateway_log(gateway, peer, "closing", log_uint("code", code), log_bytes("reason", reason));
    }
    peer->state = PEER_CLOSING;
    if (queue_close(gateway, conn, code, reason)) {
        const uint64_t timeout_ns = gateway->options.config->websocket.close_timeout_ns;
        conn_close(conn, (uint32_t)(timeout_ns / GATEWAY_NS_PER_MS));
    } else {
        gateway_too_slow(gateway, conn);
    }
}

void gateway_too_slow(struct gateway *gateway, struct conn *conn)
{
    struct peer *peer = conn_user(conn);

    if (conn_is_closing(conn)) {
        return;
    }
    metrics_add(gateway->options.metrics, METRIC_REJECTED_SLOW_CONSUMER, 1);
    gateway_log(gateway, peer, "too slow", log_uint("code", CODES_DISCONNECT_SLOW),
                log_uint("queued_bytes", conn_queued_bytes(conn)));
    peer->state = PEER_CLOSING;
    /* What it has not begun to read it never will: it is told so, if it ever reads again. */
    conn_drop_queue(conn);
    if (queue_close(gateway, conn, CODES_DISCONNECT_SLOW,
                    view(codes_disconnect_text(CODES_DISCONNECT_SLOW)))) {
        conn_close(conn, SLOW_LINGER_MS);
    } else {
        conn_abort(conn, -ENOBUFS);
    }
}

void gateway_end(struct gateway *gateway, struct peer *peer, uint16_t code)
{
    if (peer->state == PEER_CHAT) {
        /* By way of the outbox: its replies of this iteration are there, and go first. */
        outbox_disconnect(gateway->options.outbox, conn_id_of(peer->conn), code);
        peer->state = PEER_CLOSING;
        return;
    }
    gateway_say_close(gateway, peer->conn, code);
}

void gateway_give_up(struct gateway *gateway, struct peer *peer)
{
    metrics_add(gateway->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
    conn_abort(peer->conn, -ENOMEM);
}

void gateway_drain(struct gateway *gateway)
{
    gateway->draining = true;
}

bool gateway_is_client(const struct conn *conn)
{
    return !gateway_listener(conn_handler_context(conn), conn_user(conn))->is_internal;
}

bool gateway_stays(const struct conn *conn)
{
    const struct peer *peer = conn_user(conn);
    const bool goes = peer->state == PEER_CLOSING || peer->is_sent_away || conn_is_closing(conn);
    return gateway_is_client(conn) && !goes;
}

bool gateway_is_let_go(const struct conn *conn)
{
    const struct peer *peer = conn_user(conn);
    return gateway_is_client(conn) && peer->is_stream && conn_is_closing(conn);
}

void gateway_say_goodbye(struct gateway *gateway, struct conn *conn)
{
    struct peer *peer = conn_user(conn);

    peer->is_sent_away = true;
    if (peer->state == PEER_HTTP) {
        gateway_expect_last_request(gateway, peer);
    } else if (peer->state == PEER_API) {
        gateway_drain_api(gateway, peer);
    } else {
        gateway_end(gateway, peer, CODES_DISCONNECT_SHUTDOWN);
    }
}

/* Who is to be sent away, and how many were. */
struct requesters {
    struct gateway *gateway;
    bool are_clients;
    uint32_t count;
};

static void end_requests_of(struct conn *conn, void *context) ON_REACTOR
{
    struct requesters *requesters = context;
    const struct peer *peer = conn_user(conn);

    if (peer->is_stream || gateway_is_client(conn) != requesters->are_clients) {
        return;
    }
    if (!conn_is_closing(conn)) {
        gateway_say_goodbye(requesters->gateway, conn);
        requesters->count++;
    } else if (peer->is_idle) {
        conn_hang_up(conn); /* it had been silent for too long, and we wait for its FIN */
    }
}

uint32_t gateway_end_requests(struct gateway *gateway, bool of_clients)
{
    struct requesters requesters = {.gateway = gateway, .are_clients = of_clients};
    reactor_each_conn(gateway->reactor, end_requests_of, &requesters);
    return requesters.count;
}

void gateway_shed(struct gateway *gateway, struct conn *conn)
{
    struct peer *peer = conn_user(conn);

    gateway_too_slow(gateway, conn);
    if (peer->is_stream) {
        gateway_free_assembly(peer);
    }
    free(peer->held);
    peer->held = NULL;
}

size_t gateway_kept_bytes(const struct conn *conn)
{
    const struct peer *peer = conn_user(conn);
    const size_t said = peer->is_stream ? stream_assembly(&peer->stream).size : 0;
    const size_t held = peer->held != NULL ? peer->held->size : 0;
    return conn_queued_bytes(conn) + said + held;
}
