/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests: read, routed, answered, or upgraded. Several may be pipelined on one connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/hub.h"
#include "core/check.h"
#include "proto/offer.h"
#include "proto/upgrade.h"
#include "server/config.h"
#include "server/gateway_state.h"
#include "server/listening.h"
#include "server/site.h"

enum {
    STATUS_TIMEOUT = 408,
    STATUS_UNAVAILABLE = 503,
};

/* The sub-protocols that mean what we speak. A client that offers none means the same. */
static const char *const protocols[] = {"centrifuge-json"};

static bool is_internal(const struct gateway *gateway, const struct peer *peer)
{
    return gateway_listener(gateway, peer)->is_internal;
}

/* Queues `head` and `body` as one packet; false when the connection is lost over it. */
static enum conn_queued queue(struct gateway *gateway, struct peer *peer, struct bytes head,
                              struct bytes body) ON_REACTOR
{
    struct packet *packet = packet_create(reactor_packets(gateway->reactor), head.size + body.size);
    if (packet == NULL) {
        gateway_give_up(gateway, peer);
        return CONN_TOO_SLOW;
    }
    struct span target = packet_span(packet);
    memcpy(target.data, head.data, head.size);
    if (body.size > 0) {
        memcpy(target.data + head.size, body.data, body.size);
    }
    /*
     * In the lane of the replies, which would overtake the 101 otherwise; but what streams of a
     * back end are answered is in the other one, and then everything is.
     */
    const enum conn_lane lane = peer->request == NULL ? CONN_URGENT : CONN_NORMAL;
    const enum conn_queued queued = conn_queue(peer->conn, packet, lane);
    packet_unref(packet);
    if (queued == CONN_TOO_SLOW) {
        conn_abort(peer->conn, -ENOBUFS);
    } else if (queued == CONN_QUEUED_HIGH) {
        conn_pause(peer->conn); /* until on_drained: who asks for pages has to read them */
    }
    return queued;
}

static bool say(struct gateway *gateway, struct peer *peer, struct bytes head, struct bytes body)
    ON_REACTOR
{
    return queue(gateway, peer, head, body) != CONN_TOO_SLOW;
}

enum conn_queued gateway_say(struct gateway *gateway, struct peer *peer,
                             const struct http_response *response, struct bytes body)
{
    uint8_t head[HTTP_RESPONSE_SIZE_MAX];
    struct http_response sized = *response;
    sized.body_size = body.size;
    const size_t size = http_write_response(&sized, (struct span){head, sizeof(head)});
    CHECK(size > 0);
    return queue(gateway, peer, (struct bytes){head, size}, body);
}

static void close_after_answer(struct peer *peer) ON_REACTOR
{
    peer->state = PEER_CLOSING;
    conn_close(peer->conn, GATEWAY_HTTP_LINGER_MS);
}

void gateway_refuse(struct gateway *gateway, struct peer *peer,
                    const struct http_response *response, struct bytes body)
{
    CHECK(response->close);
    gateway_debug(gateway, peer, "refused", log_uint("status", response->status), GATEWAY_NO_FIELD);
    if (gateway_say(gateway, peer, response, body) != CONN_TOO_SLOW) {
        close_after_answer(peer);
    }
}

static void refuse(struct gateway *gateway, struct peer *peer, unsigned status) ON_REACTOR
{
    const struct http_response response = {
        .status = status,
        .extra = status == STATUS_UNAVAILABLE ? GATEWAY_RETRY_AFTER : NULL,
        .close = true,
    };
    gateway_refuse(gateway, peer, &response, (struct bytes){NULL, 0});
}

/* It said nothing, or nothing more: there is nothing to answer. */
static void end_silence(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    if (conn_queued_bytes(peer->conn) > 0) { /* it is still reading the last answer */
        if (peer->is_sent_away) {
            gateway_expect_last_request(gateway, peer);
        } else {
            gateway_expect_request(gateway, peer);
        }
        return;
    }
    peer->is_idle = true;
    close_after_answer(peer);
    if (peer->is_sent_away) {
        conn_hang_up(peer->conn); /* browsers keep what they opened ahead, whatever we say */
    }
}

void gateway_head_timeout(struct gateway *gateway, struct peer *peer)
{
    if (peer->http.scanned == 0) {
        end_silence(gateway, peer);
        return;
    }
    metrics_add(gateway->options.metrics, METRIC_REJECTED_HEAD_TIMEOUT, 1);
    refuse(gateway, peer, STATUS_TIMEOUT);
}

static void refuse_head(struct gateway *gateway, struct peer *peer, enum http_verdict fault)
    ON_REACTOR
{
    const bool too_big = fault == HTTP_HEAD_TOO_BIG || fault == HTTP_URI_TOO_LONG;

    metrics_add(gateway->options.metrics,
                too_big ? METRIC_REJECTED_HEAD_TOO_BIG : METRIC_REJECTED_BAD_REQUEST, 1);
    refuse(gateway, peer, http_status_for(fault));
}

static enum site_state site_state(const struct gateway *gateway)
{
    if (gateway->draining) {
        return SITE_DRAINING;
    }
    return gateway->refuses_connections ? SITE_OVERLOADED : SITE_SERVING;
}

static void answer_page(struct gateway *gateway, struct peer *peer,
                        const struct http_request *request) ON_REACTOR
{
    struct site_answer answer;
    site_answer(gateway->options.site, request, is_internal(gateway, peer), site_state(gateway),
                &answer);
    metrics_add(gateway->options.metrics, answer.count, 1);

    uint8_t head[HTTP_RESPONSE_SIZE_MAX];
    const bool closes = request->close || request->body != HTTP_BODY_NONE || peer->is_sent_away ||
                        (gateway->draining && !is_internal(gateway, peer));
    const struct http_response response = {
        .status = answer.status,
        .content_type = answer.content_type,
        .extra = answer.status == STATUS_UNAVAILABLE ? GATEWAY_RETRY_AFTER : answer.extra,
        .body_size = answer.body.size,
        .close = closes,
    };
    const size_t size = http_write_response(&response, (struct span){head, sizeof(head)});
    CHECK(size > 0);
    if (request->method == HTTP_HEAD) {
        answer.body.size = 0;
    }
    const bool said = say(gateway, peer, (struct bytes){head, size}, answer.body);
    free(answer.allocated);
    if (said && closes) {
        close_after_answer(peer);
    }
}

static void refuse_upgrade(struct gateway *gateway, struct peer *peer, enum upgrade_verdict fault)
    ON_REACTOR
{
    uint8_t response[UPGRADE_RESPONSE_SIZE_MAX];
    const size_t size = upgrade_write_refusal(fault, response);

    metrics_add(gateway->options.metrics, METRIC_REJECTED_BAD_UPGRADE, 1);
    gateway_debug(gateway, peer, "refused", log_text("reason", "no good WebSocket handshake"),
                  GATEWAY_NO_FIELD);
    if (say(gateway, peer, (struct bytes){response, size}, (struct bytes){NULL, 0})) {
        close_after_answer(peer);
    }
}

static bool origin_is_good(const struct gateway *gateway, const struct upgrade *upgrade)
{
    const struct config_origins *origins = &gateway->options.config->client.allowed_origins;
    return upgrade_origin_is_allowed(upgrade, origins->items, origins->count);
}

/* Whether permessage-deflate is used; if so, `answer` says it. No offer costs the handshake. */
static bool accept_compression(struct gateway *gateway, const struct http_request *request,
                               char answer[OFFER_ANSWER_SIZE_MAX])
{
    struct metrics *metrics = gateway->options.metrics;

    if (gateway->options.compression == NULL) {
        return false;
    }
    const unsigned window_bits = gateway->options.config->websocket.compression_window_bits;
    switch (offer_judge(request, window_bits, answer)) {
    case OFFER_ACCEPTED:
        metrics_add(metrics, METRIC_COMPRESSION_ACCEPTED, 1);
        return true;
    case OFFER_DECLINED:
        metrics_add(metrics, METRIC_COMPRESSION_DECLINED, 1);
        return false;
    case OFFER_MALFORMED:
        metrics_add(metrics, METRIC_COMPRESSION_MALFORMED, 1);
        return false;
    case OFFER_NONE:
        return false;
    }
    NEVER("an offer without a verdict");
}

/* Says 101. False when it could not be said; the connection is then closing. */
static bool switch_protocols(struct gateway *gateway, struct peer *peer,
                             const struct upgrade *upgrade, const char *extension, bool is_chat)
    ON_REACTOR
{
    const char *protocol = NULL;
    if (is_chat) {
        const int chosen = upgrade_choose_protocol(upgrade, protocols, 1);
        protocol = chosen < 0 ? NULL : protocols[chosen];
    }
    uint8_t response[UPGRADE_RESPONSE_SIZE_MAX];
    const size_t size = upgrade_write_response(upgrade, protocol, extension, response);
    if (size == 0) {
        gateway_give_up(gateway, peer);
        return false;
    }
    return say(gateway, peer, (struct bytes){response, size}, (struct bytes){NULL, 0});
}

static void become_stream(struct gateway *gateway, struct peer *peer, bool compression,
                          bool is_chat) ON_REACTOR
{
    const uint32_t now_ms = gateway_now_ms(gateway);

    gateway_close_api(gateway, peer); /* what it asked before lies where the stream will */
    stream_init(&peer->stream,
                is_chat ? &gateway->chat_limits[compression] : &gateway->echo_limits[compression]);
    conn_set_mark(peer->conn, compression);
    peer->is_stream = true;
    peer->phase_deadline = 0;
    limits_fill(&peer->commands, &gateway->command_rate, now_ms);
    limits_fill(&peer->controls, &gateway->control_rate, now_ms);
    metrics_add(gateway->options.metrics, METRIC_HANDSHAKES, 1);
    if (is_chat) {
        peer->state = PEER_CHAT;
        conn_set_large(peer->conn, false);
        gateway_expect_connect(gateway, peer);
    } else {
        peer->state = PEER_ECHO;
        gateway_arm(gateway, peer);
    }
}

static void try_upgrade(struct gateway *gateway, struct peer *peer,
                        const struct http_request *request, bool is_chat) ON_REACTOR
{
    struct upgrade upgrade;
    const enum upgrade_verdict verdict = upgrade_judge(request, &upgrade);
    if (verdict == UPGRADE_NONE) {
        answer_page(gateway, peer, request);
        return;
    }
    if (verdict != UPGRADE_OK) {
        refuse_upgrade(gateway, peer, verdict);
        return;
    }
    if (!origin_is_good(gateway, &upgrade)) {
        metrics_add(gateway->options.metrics, METRIC_REJECTED_BAD_ORIGIN, 1);
        gateway_log(gateway, peer, "origin refused", log_bytes("origin", upgrade.origin),
                    log_bytes("host", upgrade.host));
        refuse(gateway, peer, 403);
        return;
    }
    if (gateway->refuses_connections) {
        metrics_add(gateway->options.metrics, METRIC_REJECTED_OVERLOAD_CONNECTION, 1);
        refuse(gateway, peer, STATUS_UNAVAILABLE);
        return;
    }
    if (peer->is_sent_away) {
        metrics_add(gateway->options.metrics, METRIC_REJECTED_DRAINING, 1);
        refuse(gateway, peer, STATUS_UNAVAILABLE);
        return;
    }
    gateway_want_place(gateway, peer);
    if (gateway_waits_for_place(gateway, peer)) {
        return;
    }
    if (is_chat) {
        peer->session = hub_open(gateway->options.hub, conn_id_of(peer->conn));
        if (peer->session == NULL) {
            refuse(gateway, peer, STATUS_UNAVAILABLE);
            return;
        }
    }
    char answer[OFFER_ANSWER_SIZE_MAX];
    const bool compression = accept_compression(gateway, request, answer);
    if (switch_protocols(gateway, peer, &upgrade, compression ? answer : NULL, is_chat)) {
        become_stream(gateway, peer, compression, is_chat);
    }
}

static void route_request(struct gateway *gateway, struct peer *peer,
                          const struct http_request *request) ON_REACTOR
{
    switch (site_find(gateway->options.site, request->path, is_internal(gateway, peer))) {
    case SITE_CHAT:
        try_upgrade(gateway, peer, request, true);
        return;
    case SITE_ECHO:
        try_upgrade(gateway, peer, request, false);
        return;
    case SITE_API:
        gateway_begin_api(gateway, peer, request);
        return;
    case SITE_PAGE:
    case SITE_NOT_FOUND:
        answer_page(gateway, peer, request);
        return;
    }
    NEVER("a target without an answer");
}

/* A proxy may use one connection for many clients: who asks is known for a request, or for good. */
static void answer_request(struct gateway *gateway, struct peer *peer,
                           const struct http_request *request) ON_REACTOR
{
    const struct client_address sender = peer->client;

    peer->client =
        client_address_forwarded(&sender, request, gateway_listener(gateway, peer)->trusted);
    route_request(gateway, peer, request);
    if (peer->state == PEER_HTTP && peer->place == PEER_PLACE_NONE) {
        peer->client = sender;
    }
}

size_t gateway_read_http(struct gateway *gateway, struct peer *peer, struct span in)
{
    size_t consumed = 0;

    while (consumed < in.size) {
        const struct span rest = {in.data + consumed, in.size - consumed};
        if (peer->state == PEER_API) {
            consumed += gateway_read_api(gateway, peer, rest);
            if (peer->state != PEER_HTTP || conn_is_paused(peer->conn)) {
                return consumed;
            }
            continue;
        }
        if (gateway_waits_for_place(gateway, peer)) {
            return consumed;
        }
        if (peer->is_idle) {
            gateway_expect_rest(gateway, peer);
        }
        struct http_request request;
        const struct bytes head = {rest.data, rest.size};
        const enum http_verdict verdict =
            http_read_head(&peer->http, head, &gateway->http_limits, &request);
        if (verdict == HTTP_NEED_MORE) {
            return consumed;
        }
        if (verdict != HTTP_OK) {
            refuse_head(gateway, peer, verdict);
            return in.size;
        }
        answer_request(gateway, peer, &request);
        if (conn_is_closing(peer->conn)) {
            return in.size;
        }
        if (peer->state == PEER_HTTP && gateway_waits_for_place(gateway, peer)) {
            return consumed;
        }
        consumed += request.head_size;
        if (peer->state == PEER_API) {
            continue;
        }
        if (peer->state != PEER_HTTP) {
            const struct span frames = {in.data + consumed, in.size - consumed};
            return consumed + gateway_read_frames(gateway, peer, frames);
        }
        gateway_expect_request(gateway, peer);
        if (conn_is_paused(peer->conn)) {
            break;
        }
    }
    return consumed;
}
