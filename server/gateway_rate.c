/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast somebody may talk: commands of its connection, its user and its address, and control
 * frames. Who is above a rate of commands is not read, and after a while of that it has to go.
 */
#include "chat/hub.h"
#include "chat/quota.h"
#include "proto/close.h"
#include "proto/codes.h"
#include "server/gateway_state.h"

enum {
    OVER_RATE_MS_MAX = 5000, /* LIMITS.md row 29: then 3013 */
    QUIET_MS = 2000,         /* who said nothing for so long is not who talks too much */
    LATER_MS = 100,          /* until there may be memory */
};

static enum gateway_run wait_until(struct gateway *gateway, struct peer *peer, uint32_t at_ms)
    ON_REACTOR
{
    peer->resume_at = at_ms == 0 ? 1 : at_ms;
    gateway_arm(gateway, peer);
    return GATEWAY_RUN_WAITS_TOKENS;
}

/* Is it above a rate for too long? Then it is over. */
static bool end_above_rate(struct gateway *gateway, struct peer *peer, uint32_t now_ms,
                           enum metrics_id reason) ON_REACTOR
{
    if (peer->over_rate_since == 0) {
        peer->over_rate_since = now_ms;
    }
    if (now_ms - peer->over_rate_since < OVER_RATE_MS_MAX) {
        return false;
    }
    metrics_add(gateway->options.metrics, reason, 1);
    gateway_end(gateway, peer, CODES_DISCONNECT_TOO_MANY_REQUESTS);
    return true;
}

/* Its user, or its address, has no command for it now. */
static enum gateway_run wait_to_spend(struct gateway *gateway, struct peer *peer,
                                      const struct hub_spending *spending) ON_REACTOR
{
    const uint32_t now_ms = gateway_now_ms(gateway);

    limits_put_back(&peer->commands, &gateway->command_rate);
    if (spending->verdict == HUB_SPENDS_LATER) {
        return wait_until(gateway, peer, now_ms + LATER_MS);
    }
    if (peer->over_rate_since == 0) {
        peer->over_rate_since = now_ms;
    }
    if (!spending->is_short) { /* its home is asked */
        return wait_until(gateway, peer, now_ms + OVER_RATE_MS_MAX);
    }
    const enum metrics_id reason = spending->of == QUOTA_USER ? METRIC_REJECTED_USER_COMMANDS
                                                              : METRIC_REJECTED_ADDRESS_COMMANDS;
    return end_above_rate(gateway, peer, now_ms, reason)
               ? GATEWAY_RUN_DONE
               : wait_until(gateway, peer, peer->over_rate_since + OVER_RATE_MS_MAX);
}

/* What its next command costs its user and its address. */
static struct hub_spending spend(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    const bool is_free = peer->place != PEER_PLACE_HELD;
    const struct quota_key key =
        is_free ? (struct quota_key){.bytes = {0}} : gateway_limit_key(peer);
    return hub_spend(gateway->options.hub, peer->session, is_free ? NULL : &key);
}

enum gateway_run gateway_admit(struct gateway *gateway, struct peer *peer, bool is_pong)
{
    if (!hub_is_ready(gateway->options.hub)) {
        return GATEWAY_RUN_WAITS_HUB;
    }
    const uint32_t now_ms = gateway_now_ms(gateway);
    if (peer->held == NULL && now_ms - peer->commands.filled_ms >= QUIET_MS) {
        peer->over_rate_since = 0; /* others may have gone on talking for its address */
    }
    if (!limits_take(&peer->commands, &gateway->command_rate, now_ms)) {
        const uint32_t wait_ms = limits_wait_ms(&peer->commands, &gateway->command_rate);
        return end_above_rate(gateway, peer, now_ms, METRIC_REJECTED_COMMAND_RATE)
                   ? GATEWAY_RUN_DONE
                   : wait_until(gateway, peer, now_ms + wait_ms);
    }
    struct hub_spending spending = {.verdict = HUB_SPENT};
    if (gateway->limits_commands && !is_pong) {
        spending = spend(gateway, peer);
    }
    if (spending.verdict != HUB_SPENT) {
        return wait_to_spend(gateway, peer, &spending);
    }
    if (!spending.is_short && limits_is_half_full(&peer->commands, &gateway->command_rate)) {
        peer->over_rate_since = 0;
    }
    return GATEWAY_RUN_DONE;
}

void gateway_take_leases(struct gateway *gateway)
{
    struct conn_id id;

    while (hub_next_to_spend(gateway->options.hub, &id)) {
        struct conn *conn = reactor_conn(gateway->reactor, id);
        struct peer *peer = conn == NULL ? NULL : conn_user(conn);
        if (peer == NULL) {
            continue;
        }
        peer->resume_at = 0;
        if (!gateway_read_held(gateway, peer)) {
            gateway_wait_for_hub(gateway, peer);
        }
    }
}

bool gateway_admit_control(struct gateway *gateway, struct peer *peer)
{
    if (limits_take(&peer->controls, &gateway->control_rate, gateway_now_ms(gateway))) {
        return true;
    }
    metrics_add(gateway->options.metrics, METRIC_REJECTED_CONTROL_RATE, 1);
    gateway_end(gateway, peer, CLOSE_POLICY_VIOLATION);
    return false;
}
