/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a peer: how it comes, waits, goes on, and ends. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/hub.h"
#include "core/check.h"
#include "core/slab.h"
#include "server/config.h"
#include "server/gateway_state.h"
#include "server/listening.h"

_Static_assert(LISTENING_MAX == 8, "the three bits of peer.listener");

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
    peer->listener = conn_listener(conn) & (LISTENING_MAX - 1);
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
    } else {
        gateway_close_api(gateway, peer);
    }
    gateway_give_place(gateway, peer);
    free(peer->held);
    gateway->client_count -= !gateway_listener(gateway, peer)->is_internal;
    slab_give(gateway->peers, peer->slot);
}

void gateway_set_handler(struct gateway *gateway)
{
    gateway->handler = (struct conn_handler){
        .on_open = on_open,
        .on_bytes = on_bytes,
        .on_drained = on_drained,
        .on_proxied = on_proxied,
        .on_close = on_close,
        .context = gateway,
    };
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
