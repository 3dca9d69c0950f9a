/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place for each connection among those of its address. Whose address it is, is known when it is
 * accepted, or by its PROXY header; behind a proxy that speaks HTTP not before its upgrade. The
 * home of the address is asked at once, and until it answers no request is: the head stays where it
 * is and is read again. Nor does a handshake of TLS begin: who is refused costs no signature.
 */
#include <errno.h>
#include <string.h>

#include "chat/hub.h"
#include "chat/quota.h"
#include "net/cidr.h"
#include "server/config.h"
#include "server/gateway_state.h"
#include "server/listening.h"

enum { STATUS_TOO_MANY_REQUESTS = 429 };

_Static_assert(QUOTA_KEY_SIZE == sizeof((struct client_address){0}.ip),
               "an address is its own key");

static const struct cidr this_machine[] = {
    {.ip = {[10] = 0xff, [11] = 0xff, [12] = 127}, .prefix = 104},
    {.ip = {[15] = 1}, .prefix = 128},
};

static bool is_limited(const struct gateway *gateway, const struct peer *peer)
{
    const struct listening_item *listener = gateway_listener(gateway, peer);
    const struct config_networks *free_of_limits =
        &gateway->options.config->client.unlimited_addresses;
    const uint8_t *ip = peer->client.ip;

    if (listener->is_internal || client_address_is_trusted(&peer->client, listener->trusted)) {
        return false;
    }
    return free_of_limits->count > 0
               ? !cidr_any_has(free_of_limits->items, free_of_limits->count, ip)
               : !cidr_any_has(this_machine, sizeof(this_machine) / sizeof(this_machine[0]), ip);
}

struct quota_key gateway_limit_key(const struct peer *peer)
{
    struct quota_key key;
    cidr_limit_key(peer->client.ip, key.bytes);
    return key;
}

static void ask(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    const struct quota_key key = gateway_limit_key(peer);
    peer->place = hub_ask_place(gateway->options.hub, &key, conn_id_of(peer->conn))
                      ? PEER_PLACE_ASKED
                      : PEER_PLACE_WANTED;
}

void gateway_want_place(struct gateway *gateway, struct peer *peer)
{
    if (peer->place == PEER_PLACE_NONE && is_limited(gateway, peer)) {
        ask(gateway, peer);
    }
}

void gateway_place_arrival(struct gateway *gateway, struct peer *peer)
{
    gateway_want_place(gateway, peer);
    if (peer->place == PEER_PLACE_NONE || !conn_is_tls(peer->conn)) {
        return;
    }
    conn_hold(peer->conn);
    if (peer->place == PEER_PLACE_WANTED) {
        gateway_wait_for_hub(gateway, peer); /* no request will come that asks again */
    }
}

bool gateway_ask_again(struct gateway *gateway, struct peer *peer)
{
    ask(gateway, peer);
    return peer->place == PEER_PLACE_ASKED;
}

bool gateway_waits_for_place(struct gateway *gateway, struct peer *peer)
{
    if (peer->place == PEER_PLACE_WANTED) {
        ask(gateway, peer);
    }
    if (peer->place == PEER_PLACE_NONE || peer->place == PEER_PLACE_HELD) {
        return false;
    }
    conn_pause(peer->conn);
    if (peer->place == PEER_PLACE_WANTED) {
        gateway_wait_for_hub(gateway, peer);
    }
    return true;
}

static void turn_away(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    gateway_log(gateway, peer, "refused", log_text("reason", "limit of its address"),
                log_uint("status", STATUS_TOO_MANY_REQUESTS));
    if (conn_is_held(peer->conn)) {
        conn_abort(peer->conn, -ECONNREFUSED);
        return;
    }
    const struct http_response response = {
        .status = STATUS_TOO_MANY_REQUESTS,
        .extra = GATEWAY_RETRY_AFTER,
        .close = true,
    };
    conn_resume(peer->conn);
    gateway_refuse(gateway, peer, &response, (struct bytes){NULL, 0});
}

void gateway_take_places(struct gateway *gateway)
{
    struct hub_place_answer answer;

    while (hub_next_placed(gateway->options.hub, &answer)) {
        struct conn *conn = reactor_conn(gateway->reactor, answer.conn);
        struct peer *peer = conn == NULL ? NULL : conn_user(conn);
        if (peer == NULL) {
            if (!answer.is_refused) {
                hub_give_place(gateway->options.hub, &answer.key);
            }
            continue;
        }
        peer->place = answer.is_refused ? PEER_PLACE_NONE : PEER_PLACE_HELD;
        if (conn_is_closing(conn)) {
            continue;
        }
        if (answer.is_refused) {
            turn_away(gateway, peer);
        } else {
            conn_admit(conn);
            conn_resume(conn);
        }
    }
}

void gateway_give_place(struct gateway *gateway, struct peer *peer)
{
    if (peer->place == PEER_PLACE_HELD) {
        const struct quota_key key = gateway_limit_key(peer);
        hub_give_place(gateway->options.hub, &key);
        peer->place = PEER_PLACE_NONE;
    }
}
