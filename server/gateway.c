/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a peer: opening, deadlines, the end. Requests are in gateway_http.c, frames in
 * gateway_frames.c, close frames in gateway_close.c.
 */
#include "server/gateway.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/hub.h"
#include "core/check.h"
#include "core/slab.h"
#include "proto/close.h"
#include "proto/codes.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "server/config.h"
#include "server/gateway_state.h"
#include "server/listening.h"

enum { PING_SIZE_MAX = 16 }; /* bytes of the protocol's ping */

/* -- deadlines --------------------------------------------------------------------------------- */

uint32_t gateway_now_ms(const struct gateway *gateway)
{
    const uint64_t elapsed_ns = reactor_now(gateway->reactor) - gateway->began_ns;
    const uint32_t now_ms = (uint32_t)(elapsed_ns / GATEWAY_NS_PER_MS) + 1;
    return now_ms == 0 ? 1 : now_ms;
}

uint32_t gateway_after_ns(const struct gateway *gateway, uint64_t delay_ns)
{
    const uint32_t at = gateway_now_ms(gateway) + (uint32_t)(delay_ns / GATEWAY_NS_PER_MS);
    return at == 0 ? 1 : at;
}

/* How long until `deadline`, at most 0 when it is due. The clock wraps after 49 days. */
static int32_t time_left(uint32_t deadline, uint32_t now_ms)
{
    return (int32_t)(deadline - now_ms);
}

static bool is_due(uint32_t deadline, uint32_t now_ms)
{
    return deadline != 0 && time_left(deadline, now_ms) <= 0;
}

void gateway_arm(struct gateway *gateway, struct peer *peer)
{
    const uint32_t deadlines[] = {peer->phase_deadline, peer->message_deadline, peer->resume_at};
    const uint32_t now_ms = gateway_now_ms(gateway);
    int32_t nearest = INT32_MAX;

    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++) {
        if (deadlines[i] != 0 && time_left(deadlines[i], now_ms) < nearest) {
            nearest = time_left(deadlines[i], now_ms);
        }
    }
    if (nearest == INT32_MAX) {
        timerwheel_cancel(reactor_timers(gateway->reactor), &peer->timer);
        return;
    }
    const uint64_t delay_ns = nearest > 0 ? (uint64_t)nearest * GATEWAY_NS_PER_MS : 0;
    timerwheel_arm(reactor_timers(gateway->reactor), &peer->timer,
                   reactor_now(gateway->reactor) + delay_ns);
}

/* xorshift64: only spreads pings, so it need not be unpredictable. */
static uint64_t next_random(struct gateway *gateway)
{
    gateway->random ^= gateway->random << 13;
    gateway->random ^= gateway->random >> 7;
    gateway->random ^= gateway->random << 17;
    return gateway->random;
}

void gateway_expect_connect(struct gateway *gateway, struct peer *peer)
{
    peer->phase_deadline =
        gateway_after_ns(gateway, gateway->options.config->client.stale_close_delay_ns);
    gateway_arm(gateway, peer);
}

void gateway_begin_pings(struct gateway *gateway, struct peer *peer)
{
    const uint64_t interval_ns = gateway->options.config->client.ping_interval_ns;

    peer->is_connected = true;
    gateway_debug(gateway, peer, "connected",
                  log_text("compression", conn_mark(peer->conn) ? "yes" : "no"), GATEWAY_NO_FIELD);
    /* Somewhere in the first interval, so that who came together is not pinged together. */
    peer->phase_deadline = gateway_after_ns(gateway, next_random(gateway) % interval_ns);
    gateway_arm(gateway, peer);
}

bool gateway_take_pong(struct gateway *gateway, struct peer *peer)
{
    const struct config *config = gateway->options.config;

    if (!peer->ping_sent) {
        return false;
    }
    peer->ping_sent = false;
    /* The next ping is counted from the last one, not from its pong: the rhythm stays. */
    const uint64_t rest_ns = config->client.ping_interval_ns - config->client.pong_timeout_ns;
    peer->phase_deadline += (uint32_t)(rest_ns / GATEWAY_NS_PER_MS);
    if (peer->phase_deadline == 0) {
        peer->phase_deadline = 1;
    }
    gateway_arm(gateway, peer);
    return true;
}

static void send_ping(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    if (conn_queue(peer->conn, gateway->ping, CONN_URGENT) == CONN_TOO_SLOW) {
        gateway_too_slow(gateway, peer->conn);
        return;
    }
    metrics_add(gateway->options.metrics, METRIC_FRAMES_SENT_PING, 1);
    peer->ping_sent = true;
    peer->phase_deadline =
        gateway_after_ns(gateway, gateway->options.config->client.pong_timeout_ns);
}

/* What it means that the deadline of the present phase has come. */
static void phase_is_over(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    struct metrics *metrics = gateway->options.metrics;

    peer->phase_deadline = 0;
    switch ((enum peer_state)peer->state) {
    case PEER_HTTP:
        gateway_head_timeout(gateway, peer);
        return;
    case PEER_API:
        gateway_api_timeout(gateway, peer);
        return;
    case PEER_CHAT:
        if (!peer->is_connected) {
            metrics_add(metrics, METRIC_REJECTED_AUTH_TIMEOUT, 1);
            gateway_end(gateway, peer, CODES_DISCONNECT_STALE);
        } else if (peer->ping_sent) {
            metrics_add(metrics, METRIC_REJECTED_NO_PONG, 1);
            gateway_end(gateway, peer, CODES_DISCONNECT_NO_PONG);
        } else {
            send_ping(gateway, peer);
        }
        return;
    case PEER_ECHO:
    case PEER_CLOSING:
        return;
    }
    NEVER("a peer without a state");
}

void gateway_fire(struct timerwheel_timer *timer, void *context)
{
    struct gateway *gateway = context;
    struct peer *peer = LIST_OWNER(timer, struct peer, timer);
    const uint32_t now_ms = gateway_now_ms(gateway);

    if (conn_is_closing(peer->conn)) {
        return;
    }
    if (is_due(peer->message_deadline, now_ms)) {
        metrics_add(gateway->options.metrics, METRIC_REJECTED_MESSAGE_TIMEOUT, 1);
        gateway_end(gateway, peer, CLOSE_POLICY_VIOLATION);
        return;
    }
    if (is_due(peer->resume_at, now_ms)) {
        peer->resume_at = 0;
        gateway_wait_for_hub(gateway, peer);
    }
    if (is_due(peer->phase_deadline, now_ms)) {
        phase_is_over(gateway, peer);
    }
    if (!conn_is_closing(peer->conn)) {
        gateway_arm(gateway, peer);
    }
}

/* -- commands that wait ------------------------------------------------------------------------ */

/* Of those that wait, the ones that have gone. */
static void forget_gone(struct gateway *gateway) ON_REACTOR
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < gateway->waiting_count; i++) {
        if (reactor_conn(gateway->reactor, gateway->waiting[i]) != NULL) {
            gateway->waiting[kept++] = gateway->waiting[i];
        }
    }
    gateway->waiting_count = kept;
}

void gateway_wait_for_hub(struct gateway *gateway, struct peer *peer)
{
    if (peer->waits_for_hub) {
        return;
    }
    if (gateway->waiting_count == gateway->options.conn_count_max) {
        forget_gone(gateway);
    }
    CHECK(gateway->waiting_count < gateway->options.conn_count_max);
    peer->waits_for_hub = true;
    gateway->waiting[gateway->waiting_count++] = conn_id_of(peer->conn);
}

bool gateway_is_waiting(const struct gateway *gateway)
{
    return gateway->waiting_count > 0;
}

bool gateway_has_answers(const struct gateway *gateway)
{
    return gateway->has_answers;
}

static bool go_on(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    if (peer->place == PEER_PLACE_WANTED) {
        return gateway_ask_again(gateway, peer);
    }
    return peer->state == PEER_API ? gateway_go_on_api(gateway, peer)
                                   : gateway_read_held(gateway, peer);
}

void gateway_resume(struct gateway *gateway)
{
    uint32_t done = 0;

    gateway->has_answers = false;
    while (done < gateway->waiting_count) {
        struct conn *conn = reactor_conn(gateway->reactor, gateway->waiting[done]);
        struct peer *peer = conn == NULL ? NULL : conn_user(conn);
        if (peer != NULL) {
            if (!go_on(gateway, peer)) {
                break;
            }
            peer->waits_for_hub = false;
        }
        done++;
    }
    gateway->waiting_count -= done;
    memmove(gateway->waiting, gateway->waiting + done,
            gateway->waiting_count * sizeof(*gateway->waiting));
}

void gateway_open_settled(struct gateway *gateway)
{
    struct conn_id id;

    while (hub_next_settled(gateway->options.hub, &id)) {
        struct conn *conn = reactor_conn(gateway->reactor, id);
        struct peer *peer = conn == NULL ? NULL : conn_user(conn);
        if (peer == NULL || peer->state != PEER_CHAT || !peer->waits_for_reply) {
            continue;
        }
        peer->waits_for_reply = false;
        if (hub_has_admitted(peer->session)) {
            gateway_begin_pings(gateway, peer);
        }
        if (peer->held != NULL) {
            gateway_wait_for_hub(gateway, peer);
        } else {
            conn_resume(conn);
        }
    }
}

/* -- upcalls ----------------------------------------------------------------------------------- */

static struct gateway *gateway_of(const struct conn *conn) ON_REACTOR
{
    return conn_handler_context(conn);
}

const struct listening_item *gateway_listener(const struct gateway *gateway,
                                              const struct peer *peer)
{
    return &gateway->options.listening->items[peer->listener];
}

static void *on_open(struct conn *conn) ON_REACTOR
{
    struct gateway *gateway = gateway_of(conn);
    if (gateway->refuses_connections && conn_is_tls(conn)) {
        metrics_add(gateway->options.metrics, METRIC_REJECTED_OVERLOAD_CONNECTION, 1);
        return NULL; /* a handshake costs more than who is there already can spare */
    }
    uint32_t slot = 0;
    struct peer *peer = slab_take(gateway->peers, &slot);
    if (peer == NULL) {
        return NULL;
    }
    peer->conn = conn;
    peer->slot = slot;
    peer->state = PEER_HTTP;
    peer->listener = (uint8_t)conn_listener(conn);
    struct address address;
    if (conn_peer(conn, &address) == 0) {
        peer->client = client_address_of(&address);
    }
    const struct listening_item *listener = gateway_listener(gateway, peer);
    if (listener->wants_proxy && !client_address_is_trusted(&peer->client, listener->trusted)) {
        metrics_add(gateway->options.metrics, METRIC_REJECTED_PROXY_UNTRUSTED, 1);
        gateway_log(gateway, peer, "proxy refused", log_uint("listener", peer->listener),
                    log_text("reason", "not one of trusted_proxies"));
        slab_give(gateway->peers, slot);
        return NULL;
    }
    conn_set_large(conn, true); /* for pages; a client of the chat gets what is configured */
    peer->phase_deadline =
        gateway_after_ns(gateway, gateway->options.config->http_server.handshake_timeout_ns);
    gateway_arm(gateway, peer);
    gateway->client_count += !listener->is_internal;
    if (!listener->wants_proxy) {
        gateway_place_arrival(gateway, peer);
    }
    return peer;
}

static void on_proxied(struct conn *conn, const struct address *client) ON_REACTOR
{
    struct peer *peer = conn_user(conn);
    peer->client = client_address_of(client);
    gateway_place_arrival(gateway_of(conn), peer);
}

static size_t on_bytes(struct conn *conn, struct span in) ON_REACTOR
{
    struct gateway *gateway = gateway_of(conn);
    struct peer *peer = conn_user(conn);

    switch ((enum peer_state)peer->state) {
    case PEER_HTTP:
    case PEER_API:
        return gateway_read_http(gateway, peer, in);
    case PEER_ECHO:
    case PEER_CHAT:
        return gateway_read_frames(gateway, peer, in);
    case PEER_CLOSING:
        return in.size;
    }
    NEVER("a peer without a state");
}

/* Pages and echoes are paused for what they are owed; a client of the chat for its commands. */
static void on_drained(struct conn *conn) ON_REACTOR
{
    const struct peer *peer = conn_user(conn);

    if (peer->state == PEER_CHAT) {
        hub_release(gateway_of(conn)->options.hub, peer->session);
    } else if (peer->state == PEER_API) {
        gateway_release_api(gateway_of(conn), conn_user(conn));
    } else {
        conn_resume(conn);
    }
}

void gateway_is_behind(struct gateway *gateway, struct conn *conn)
{
    const struct peer *peer = conn_user(conn);

    if (peer->state == PEER_CHAT) {
        hub_hold(gateway->options.hub, peer->session);
    }
}

static enum metrics_id closed_for(const struct peer *peer, int reason)
{
    switch (reason) {
    case 0:
        if (peer->is_sent_away) {
            return METRIC_CLOSED_SHUTDOWN;
        }
        return peer->closed_by_client ? METRIC_CLOSED_BY_CLIENT : METRIC_CLOSED_BY_SERVER;
    case -ECONNREFUSED:
        return METRIC_CLOSED_BY_SERVER;
    case -ESHUTDOWN:
        return METRIC_CLOSED_BY_CLIENT;
    case -ENOBUFS:
        return METRIC_CLOSED_SLOW;
    case -ETIMEDOUT:
        return METRIC_CLOSED_TIMEOUT;
    default:
        return METRIC_CLOSED_ERROR;
    }
}

static void on_close(struct conn *conn, int reason) ON_REACTOR
{
    struct gateway *gateway = gateway_of(conn);
    struct peer *peer = conn_user(conn);
    struct metrics *metrics = gateway->options.metrics;

    const enum metrics_id why = closed_for(peer, reason);
    metrics_add(metrics, why, 1);
    gateway_log_closed(gateway, peer, why, reason);
    if (reason == -ETIMEDOUT) {
        metrics_add(metrics, METRIC_REJECTED_WRITE_STALL, 1);
    }
    timerwheel_cancel(reactor_timers(gateway->reactor), &peer->timer);
    if (peer->session != NULL) {
        hub_close(gateway->options.hub, peer->session);
    }
    if (peer->is_stream) {
        gateway_free_assembly(peer);
    }
    gateway_close_api(gateway, peer);
    gateway_give_place(gateway, peer);
    free(peer->held);
    gateway->client_count -= !gateway_listener(gateway, peer)->is_internal;
    slab_give(gateway->peers, peer->slot);
}

const struct conn_handler *gateway_handler(const struct gateway *gateway)
{
    return &gateway->handler;
}

/* -- the gateway ------------------------------------------------------------------------------- */

static void take_limits(struct gateway *gateway, const struct config *config)
{
    gateway->http_limits = (struct http_limits){
        .head_size_max = config->http_server.max_header_bytes,
        .header_count_max = config->http_server.max_headers,
        .target_size_max = config->http_server.max_uri,
    };
    for (int compression = 0; compression < 2; compression++) {
        gateway->chat_limits[compression] = (struct stream_limits){
            .message_size_max = config->websocket.message_size_limit,
            .fragment_count_max = config->websocket.max_fragments,
            .compression = compression != 0,
        };
        gateway->echo_limits[compression] = (struct stream_limits){
            .message_size_max = config->echo.message_size_limit,
            .fragment_count_max = UINT32_MAX,
            .compression = compression != 0,
        };
    }
    gateway->command_rate = (struct limits_rate){
        .per_second = config->client.command_rate,
        .burst = config->client.command_burst,
    };
    gateway->control_rate = (struct limits_rate){
        .per_second = config->client.control_rate,
        .burst = config->client.control_burst,
    };
    gateway->limits_commands =
        config->client.user_command_rate > 0 || config->client.address_command_rate > 0;
}

static void take_api(struct gateway *gateway, const struct config *config,
                     const struct api_key *api_key)
{
    gateway->api_options = (struct api_request_options){
        .hub = gateway->options.hub,
        .simd = gateway->options.simd,
        .site = gateway->options.site,
        .desk = gateway->options.desk,
        .metrics = gateway->options.metrics,
        .body_bytes_max = config->http_api.max_body_bytes,
        .answer_bytes_max = config->http_api.max_answer_bytes,
        .in_flight_max = config->http_api.max_in_flight,
    };
    gateway->api_gate = (struct api_gate){
        .insecure = config->http_api.insecure,
        .body_bytes_max = config->http_api.max_body_bytes,
    };
    if (api_key != NULL) {
        gateway->api_gate.key = *api_key;
    }
}

int gateway_create(const struct gateway_options *options, struct gateway **gateway)
{
    CHECK(options->config != NULL);
    CHECK(options->conn_count_max > 0);

    struct gateway *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    created->random = options->seed | 1;
    created->handler = (struct conn_handler){
        .on_open = on_open,
        .on_bytes = on_bytes,
        .on_drained = on_drained,
        .on_proxied = on_proxied,
        .on_close = on_close,
        .context = created,
    };
    take_limits(created, options->config);
    take_api(created, options->config, options->api_key);
    created->options.api_key = NULL;
    created->peers = slab_create(sizeof(struct peer), options->conn_count_max);
    if (created->peers == NULL) {
        goto free_created;
    }
    created->waiting = calloc(options->conn_count_max, sizeof(*created->waiting));
    if (created->waiting == NULL) {
        goto destroy_peers;
    }
    *gateway = created;
    return 0;

destroy_peers:
    slab_destroy(created->peers);
free_created:
    free(created);
    return -ENOMEM;
}

void gateway_change(struct gateway *gateway, const struct config *config,
                    const struct api_key *api_key)
{
    gateway->options.config = config;
    take_limits(gateway, config);
    take_api(gateway, config, api_key);
}

void gateway_refuse_connections(struct gateway *gateway, bool refuses)
{
    gateway->refuses_connections = refuses;
}

int gateway_attach(struct gateway *gateway, struct reactor *reactor)
{
    gateway->reactor = reactor;
    gateway->began_ns = reactor_now(reactor);

    uint8_t frame[FRAME_HEADER_SIZE_MAX + PING_SIZE_MAX];
    uint8_t text[PING_SIZE_MAX];
    struct json_writer writer;
    json_writer_init(&writer, (struct span){text, sizeof(text)});
    event_write_ping(&writer);
    CHECK(json_writer_fits(&writer));
    const struct bytes ping = json_writer_bytes(&writer);
    const size_t header_size = frame_write_header(FRAME_TEXT, ping.size, frame);
    memcpy(frame + header_size, ping.data, ping.size);
    gateway->ping = gateway_packet(gateway, (struct bytes){frame, header_size + ping.size});
    return gateway->ping == NULL ? -ENOMEM : 0;
}

void gateway_detach(struct gateway *gateway)
{
    if (gateway->ping != NULL) {
        packet_unref(gateway->ping);
        gateway->ping = NULL;
    }
}

void gateway_destroy(struct gateway *gateway)
{
    if (gateway == NULL) {
        return;
    }
    CHECK(slab_count(gateway->peers) == 0);
    CHECK(gateway->ping == NULL);
    free(gateway->waiting);
    slab_destroy(gateway->peers);
    free(gateway);
}

void gateway_stop_listening(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->options.listening->count; i++) {
        if (!gateway->options.listening->items[i].is_internal) {
            reactor_close_listener(gateway->reactor, (int)i);
        }
    }
}

uint32_t gateway_client_count(const struct gateway *gateway)
{
    return gateway->client_count;
}

size_t gateway_count(const struct gateway *gateway)
{
    return slab_count(gateway->peers);
}

size_t gateway_bytes(const struct gateway *gateway)
{
    return slab_bytes(gateway->peers);
}

struct packet *gateway_packet(struct gateway *gateway, struct bytes bytes)
{
    struct packet *packet = packet_create(reactor_packets(gateway->reactor), bytes.size);
    if (packet != NULL) {
        memcpy(packet_span(packet).data, bytes.data, bytes.size);
    }
    return packet;
}
