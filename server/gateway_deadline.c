/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer has to do by when, pings among it, and what becomes of who does not. */
#include "chat/hub.h"
#include "core/check.h"
#include "proto/close.h"
#include "proto/codes.h"
#include "server/config.h"
#include "server/gateway_state.h"

/* For a request that its client has sent already, or is about to: it does not know that we end. */
static const uint64_t last_request_ns = UINT64_C(250) * GATEWAY_NS_PER_MS;

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

static void expect_head(struct gateway *gateway, struct peer *peer, uint64_t timeout_ns)
{
    peer->phase_deadline = gateway_after_ns(gateway, timeout_ns);
    gateway_arm(gateway, peer);
}

/* An idle connection is of no use to anybody, unless a back end keeps it for its next request. */
void gateway_expect_request(struct gateway *gateway, struct peer *peer)
{
    const struct config *config = gateway->options.config;

    peer->is_idle = peer->request != NULL;
    expect_head(gateway, peer,
                peer->is_idle ? config->http_api.idle_timeout_ns
                              : config->http_server.handshake_timeout_ns);
}

/* Somebody who is cut off while it asks does not know whether it was heard. */
void gateway_expect_last_request(struct gateway *gateway, struct peer *peer)
{
    peer->is_idle = peer->http.scanned == 0;
    expect_head(gateway, peer,
                peer->is_idle ? last_request_ns
                              : gateway->options.config->websocket.close_timeout_ns);
}

void gateway_expect_rest(struct gateway *gateway, struct peer *peer)
{
    const struct config *config = gateway->options.config;

    peer->is_idle = false;
    expect_head(gateway, peer,
                peer->is_sent_away ? config->websocket.close_timeout_ns
                                   : config->http_server.handshake_timeout_ns);
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
        } else if (peer->ping_sent && peer->held != NULL) {
            /* It is not read, for its commands have to wait: its pong may be behind them. */
            peer->phase_deadline =
                gateway_after_ns(gateway, gateway->options.config->client.pong_timeout_ns);
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
