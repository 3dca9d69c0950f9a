/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of back ends, /api on the internal listener: their bodies and deadlines, and their
 * answers onto the connection. Who may is api_gate.h, what they ask api_request.h.
 *
 * A connection has one at a time: what was sent behind it is not read until it is answered, as RFC
 * 9112 section 9.3.2 wants it of requests that change something.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "server/api_gate.h"
#include "server/api_request.h"
#include "server/config.h"
#include "server/gateway_state.h"
#include "server/site.h"

enum { CHUNK_HEAD_SIZE = 16 }; /* bytes: the size of a chunk, CR LF */

static const char json_type[] = "application/json";
static const char lines_type[] = "application/x-ndjson";
static const char last_chunk[] = "0\r\n\r\n";
static const struct bytes nothing = {NULL, 0};

/* -- refusals ---------------------------------------------------------------------------------- */

static void count_refusal(struct gateway *gateway, unsigned status)
{
    struct metrics *metrics = gateway->options.metrics;

    switch (status) {
    case 401:
    case 403:
        metrics_add(metrics, METRIC_REJECTED_API_KEY, 1);
        return;
    case 408:
        metrics_add(metrics, METRIC_REJECTED_BODY_TIMEOUT, 1);
        return;
    case 413:
        metrics_add(metrics, METRIC_REJECTED_BODY_TOO_BIG, 1);
        return;
    case 503:
        metrics_add(metrics, METRIC_REJECTED_API_REQUESTS, 1);
        return;
    default:
        metrics_add(metrics, METRIC_REJECTED_BAD_REQUEST, 1);
    }
}

/* Its body is not read, so the connection is of no more use. `why` is a line. */
static void refuse(struct gateway *gateway, struct peer *peer, unsigned status, const char *why)
    ON_REACTOR
{
    const struct bytes line = {(const uint8_t *)why, strlen(why)};
    const struct http_response response = {
        .status = status,
        .content_type = "text/plain; charset=utf-8",
        .extra = status == 503   ? GATEWAY_RETRY_AFTER
                 : status == 405 ? "Allow: POST\r\n"
                                 : NULL,
        .close = true,
    };
    count_refusal(gateway, status);
    gateway_log(gateway, peer, "back end refused", log_uint("status", status),
                log_bytes("why", (struct bytes){line.data, line.size - 1}));
    gateway_refuse(gateway, peer, &response, line);
}

/* -- answers ----------------------------------------------------------------------------------- */

/* Who does not read its answers is not read, and nothing is asked for it, until on_drained. */
static void hold_if_high(struct peer *peer, enum conn_queued queued) ON_REACTOR
{
    if (queued == CONN_TOO_SLOW) {
        conn_abort(peer->conn, -ENOBUFS);
    } else if (queued == CONN_QUEUED_HIGH) {
        peer->request->is_held = true;
        conn_pause(peer->conn);
    }
}

static void queue_text(struct peer *peer, struct bytes head, struct bytes body) ON_REACTOR
{
    if (!conn_is_closing(peer->conn)) {
        hold_if_high(peer, conn_append(peer->conn, head, body));
    }
}

/* What there is of a stream's answer, as a chunk. */
static void send_chunk(struct peer *peer) ON_REACTOR
{
    const struct bytes text = api_answer_text(&peer->request->answer);
    char head[CHUNK_HEAD_SIZE];

    if (text.size == 0) {
        return;
    }
    const int size = snprintf(head, sizeof(head), "%zx\r\n", text.size);
    CHECK(size > 0 && (size_t)size < sizeof(head));
    queue_text(peer, (struct bytes){(const uint8_t *)head, (size_t)size}, text);
    queue_text(peer, (struct bytes){(const uint8_t *)"\r\n", 2}, nothing);
    api_answer_clear(&peer->request->answer);
}

/* The request is over; what becomes of the connection is the caller's. */
static void leave(struct gateway *gateway, struct peer *peer)
{
    CHECK(peer->state == PEER_API);
    CHECK(gateway->api_count > 0);
    gateway->api_count--;
    peer->state = PEER_HTTP;
}

static void end_request(struct gateway *gateway, struct peer *peer, bool closes) ON_REACTOR
{
    const bool is_held = peer->request->is_held;

    leave(gateway, peer);
    api_request_begin(peer->request, API_FORM_ONE, API_INFO); /* nothing is kept of the last one */
    if (closes) {
        peer->state = PEER_CLOSING;
        conn_close(peer->conn, GATEWAY_HTTP_LINGER_MS);
        return;
    }
    gateway_expect_request(gateway, peer);
    if (!is_held) {
        conn_resume(peer->conn); /* what was sent behind it */
    }
}

static void answer(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    struct api_answer *answer = &peer->request->answer;
    const bool closes = peer->closes_after_answer;

    api_answer_end(answer);
    if (answer->failed) {
        gateway_give_up(gateway, peer);
        return;
    }
    if (answer->form == API_FORM_STREAM) {
        send_chunk(peer);
        queue_text(peer, (struct bytes){(const uint8_t *)last_chunk, sizeof(last_chunk) - 1},
                   nothing);
    } else {
        const struct http_response response = {
            .status = 200,
            .content_type = json_type,
            .close = closes,
        };
        peer->request->is_held =
            gateway_say(gateway, peer, &response, api_answer_text(answer)) == CONN_QUEUED_HIGH;
    }
    if (!conn_is_closing(peer->conn)) {
        end_request(gateway, peer, closes);
    }
}

static bool may_read(const struct peer *peer) ON_REACTOR
{
    return peer->state == PEER_API && !conn_is_closing(peer->conn) &&
           !peer->request->body.has_ended && !api_request_is_full(peer->request);
}

/* When what it is expected to send has to be here. */
static void set_deadline(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    const struct config_http_api *config = &gateway->options.config->http_api;
    struct api_request *request = peer->request;

    if (!may_read(peer)) {
        peer->phase_deadline = 0; /* it waits for us */
        request->timed_line = UINT32_MAX;
    } else if (!api_body_is_partial(&request->body)) {
        peer->phase_deadline = gateway_after_ns(gateway, config->idle_timeout_ns);
        request->timed_line = UINT32_MAX;
    } else if (request->timed_line != request->body.line_count) {
        peer->phase_deadline = gateway_after_ns(gateway, config->body_timeout_ns);
        request->timed_line = request->body.line_count;
    } else {
        return; /* a body, or a line, has one deadline */
    }
    gateway_arm(gateway, peer);
}

bool gateway_go_on_api(struct gateway *gateway, struct peer *peer)
{
    const enum api_progress progress = api_request_go_on(peer->request);

    if (progress == API_IS_DONE) {
        answer(gateway, peer);
        return true;
    }
    if (progress == API_HAS_FAILED) {
        gateway_give_up(gateway, peer);
        return true;
    }
    if (progress == API_WAITS_HUB) {
        gateway_wait_for_hub(gateway, peer);
    }
    if (peer->request->answer.form == API_FORM_STREAM) {
        send_chunk(peer);
    }
    if (conn_is_paused(peer->conn) && may_read(peer)) {
        conn_resume(peer->conn);
        set_deadline(gateway, peer);
    }
    return progress != API_WAITS_HUB;
}

/* In phase 3 of the next iteration: while answers are delivered nobody may ask anything. */
static void go_on_soon(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    gateway_wait_for_hub(gateway, peer);
    gateway->has_answers = true;
}

void gateway_take_answer(struct gateway *gateway, struct conn *conn, uint32_t part,
                         enum codes_error error, struct bytes result)
{
    struct peer *peer = conn_user(conn);

    if (peer->state != PEER_API) {
        return;
    }
    const bool goes_on = api_request_take(peer->request, part, error, result);
    if (peer->request->answer.failed) {
        gateway_give_up(gateway, peer);
        return;
    }
    if (peer->request->answer.form == API_FORM_STREAM) {
        send_chunk(peer);
    }
    if (goes_on && !conn_is_closing(conn)) {
        go_on_soon(gateway, peer);
    }
}

void gateway_release_api(struct gateway *gateway, struct peer *peer)
{
    peer->request->is_held = false;
    peer->request->timed_line = UINT32_MAX; /* nobody read meanwhile */
    (void)gateway_go_on_api(gateway, peer);
}

/* -- bodies ------------------------------------------------------------------------------------ */

/* The rest of a stream is not read any more; what has been asked is answered. */
static void break_off(struct gateway *gateway, struct peer *peer, enum codes_error error) ON_REACTOR
{
    peer->closes_after_answer = true;
    peer->reads_no_more = true;
    if (api_request_break_off(peer->request, error) != 0) {
        gateway_give_up(gateway, peer);
        return;
    }
    (void)gateway_go_on_api(gateway, peer);
}

/* Likewise, and it is nobody's fault. */
static void stop_reading(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    peer->closes_after_answer = true;
    peer->reads_no_more = true;
    api_body_stop(&peer->request->body);
    (void)gateway_go_on_api(gateway, peer);
}

/* The body is at fault: what that costs before it was read, or where a stream has got to. */
static void fail_body(struct gateway *gateway, struct peer *peer, unsigned status,
                      enum codes_error error, const char *why) ON_REACTOR
{
    if (peer->request->answer.form == API_FORM_STREAM) {
        count_refusal(gateway, status);
        break_off(gateway, peer, error);
        return;
    }
    leave(gateway, peer);
    refuse(gateway, peer, status, why);
}

void gateway_api_timeout(struct gateway *gateway, struct peer *peer)
{
    if (!may_read(peer)) { /* by an answer since the deadline was set */
        set_deadline(gateway, peer);
        return;
    }
    if (!api_body_is_partial(&peer->request->body)) {
        stop_reading(gateway, peer); /* between two lines */
        return;
    }
    fail_body(gateway, peer, 408, CODES_ERROR_BAD_REQUEST, "the body took too long\n");
}

static void take_piece(struct gateway *gateway, struct peer *peer, struct bytes piece) ON_REACTOR
{
    if (api_body_add(&peer->request->body, piece) != 0) {
        gateway_give_up(gateway, peer);
        return;
    }
    (void)gateway_go_on_api(gateway, peer);
    if (may_read(peer) && api_body_is_too_big(&peer->request->body)) {
        fail_body(gateway, peer, 413, CODES_ERROR_LIMIT_EXCEEDED,
                  "the body is above http_api.max_body_bytes\n");
        return;
    }
    /* Who is not read any more, for he has asked enough, sends nothing that would bring it here. */
    if (peer->state == PEER_API && !conn_is_closing(peer->conn) && !peer->request->body.has_ended &&
        http_body_is_over(&peer->request->reader)) {
        api_body_end(&peer->request->body);
        (void)gateway_go_on_api(gateway, peer);
    }
}

/* One step. False: it can take no more now. */
static bool read_on(struct gateway *gateway, struct peer *peer, struct bytes *in) ON_REACTOR
{
    struct api_request *request = peer->request;
    const size_t room = api_body_room(&request->body);
    struct bytes window = {in->data, in->size < room ? in->size : room};
    const size_t before = window.size;
    struct bytes piece;

    const enum http_body_verdict verdict = http_body_next(&request->reader, &window, &piece);
    in->data += before - window.size;
    in->size -= before - window.size;
    switch (verdict) {
    case HTTP_BODY_PIECE:
        take_piece(gateway, peer, piece);
        return true;
    case HTTP_BODY_NEED_MORE:
        return in->size > 0;
    case HTTP_BODY_END:
        api_body_end(&request->body);
        (void)gateway_go_on_api(gateway, peer);
        return true;
    case HTTP_BODY_BAD_CHUNK:
        fail_body(gateway, peer, 400, CODES_ERROR_BAD_REQUEST, "the body is not in chunks\n");
        return true;
    }
    NEVER("a verdict that is none");
}

size_t gateway_read_api(struct gateway *gateway, struct peer *peer, struct span in)
{
    struct bytes rest = {in.data, in.size};
    bool goes_on = true;

    while (goes_on && may_read(peer)) {
        goes_on = read_on(gateway, peer, &rest);
    }
    if (conn_is_closing(peer->conn) || peer->reads_no_more) {
        return in.size;
    }
    if (peer->state == PEER_API) {
        if (!may_read(peer)) {
            conn_pause(peer->conn); /* until it is answered, or there is room for more */
        }
        set_deadline(gateway, peer);
    }
    return in.size - rest.size;
}

/* -- requests ---------------------------------------------------------------------------------- */

static bool ensure_request(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    if (peer->request == NULL) {
        peer->request = api_request_create(&gateway->api_options, conn_id_of(peer->conn));
    }
    if (peer->request == NULL) {
        gateway_give_up(gateway, peer);
    }
    return peer->request != NULL;
}

void gateway_begin_api(struct gateway *gateway, struct peer *peer,
                       const struct http_request *request)
{
    static const uint8_t go_ahead[] = "HTTP/1.1 100 Continue\r\n\r\n";
    struct api_gate_target target;
    const char *why = NULL;
    unsigned status = api_gate_judge(&gateway->api_gate, request, &target, &why);
    if (status == 0 && gateway->api_count >= gateway->options.config->http_api.max_requests) {
        status = 503;
        why = "too many requests at a time\n";
    }

    metrics_add(gateway->options.metrics, METRIC_HTTP_API, 1);
    if (status != 0) {
        refuse(gateway, peer, status, why);
        return;
    }
    if (!ensure_request(gateway, peer)) {
        return;
    }
    gateway->api_count++;
    peer->state = PEER_API;
    peer->closes_after_answer = request->close || peer->is_sent_away;
    peer->phase_deadline = 0;
    api_request_begin(peer->request, target.form, target.method);
    http_body_begin(&peer->request->reader, request);
    if (target.expects_continue) {
        queue_text(peer, (struct bytes){go_ahead, sizeof(go_ahead) - 1}, nothing);
    }
    if (target.form == API_FORM_STREAM) {
        const struct http_response response = {
            .status = 200,
            .content_type = lines_type,
            .chunked = true,
            .close = peer->closes_after_answer,
        };
        hold_if_high(peer, gateway_say(gateway, peer, &response, nothing));
    }
    if (!conn_is_closing(peer->conn) && peer->is_sent_away) {
        gateway_drain_api(gateway, peer);
    }
    if (!conn_is_closing(peer->conn)) {
        (void)gateway_read_api(gateway, peer, (struct span){NULL, 0}); /* it may have no body */
    }
}

void gateway_close_api(struct gateway *gateway, struct peer *peer)
{
    if (peer->state == PEER_API) {
        CHECK(gateway->api_count > 0);
        gateway->api_count--;
    }
    api_request_destroy(peer->request);
}

void gateway_drain_api(struct gateway *gateway, struct peer *peer)
{
    peer->closes_after_answer = true;
    if (peer->request->answer.form == API_FORM_STREAM) {
        peer->reads_no_more = true;
        api_body_stop(&peer->request->body);
        go_on_soon(gateway, peer);
    }
}
