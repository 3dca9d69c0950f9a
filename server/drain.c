/* SPDX-License-Identifier: Apache-2.0 */
#include "server/drain.h"

#include "chat/hub.h"
#include "core/check.h"
#include "core/metrics.h"
#include "net/conn.h"
#include "net/reactor.h"
#include "server/config.h"
#include "server/gateway.h"

enum { LAST_NS = 1000 * 1000000 }; /* at least, for the internal listener's last answers */

static const uint64_t ns_per_s = 1000000000;

/* -- paced ------------------------------------------------------------------------------------- */

static void count_one(struct conn *conn, void *context) ON_REACTOR
{
    struct drain *drain = context;
    drain->remaining += gateway_stays(conn) ? 1 : 0;
}

static void count_remaining(struct drain *drain) ON_REACTOR
{
    drain->remaining = 0;
    drain->slot = 0;
    reactor_each_conn(drain->reactor, count_one, drain);
}

/* When the last one should be told, so that it has the time to answer. */
static uint64_t told_by_ns(const struct drain *drain, uint64_t now_ns)
{
    const uint64_t left_ns = drain->deadline_ns > now_ns ? drain->deadline_ns - now_ns : 0;
    const uint64_t answer_ns = drain->config->websocket.close_timeout_ns;
    return now_ns + left_ns - (answer_ns < left_ns / 2 ? answer_ns : left_ns / 2);
}

static void begin_paced(struct drain *drain) ON_REACTOR
{
    const uint64_t now_ns = reactor_now(drain->reactor);
    const uint64_t interval_ns =
        ns_per_s * drain->config->reactor.count / drain->config->shutdown.close_rate;

    drain->phase = DRAIN_PACED;
    gateway_stop_listening(drain->gateway);
    metrics_add(drain->metrics, METRIC_DRAIN_TOLD, gateway_end_requests(drain->gateway, true));
    count_remaining(drain);
    pace_begin(&drain->pace, now_ns, told_by_ns(drain, now_ns), interval_ns, drain->seed);
}

/* Goes once around all connections. Those who came meanwhile are in the next count. */
static struct conn *find_next(struct drain *drain) ON_REACTOR
{
    struct conn *conn = reactor_next_conn(drain->reactor, &drain->slot);
    while (conn != NULL && !gateway_stays(conn)) {
        conn = reactor_next_conn(drain->reactor, &drain->slot);
    }
    return conn;
}

static void tell_who_is_due(struct drain *drain) ON_REACTOR
{
    const uint64_t now_ns = reactor_now(drain->reactor);

    while (drain->remaining > 0 && pace_take(&drain->pace, now_ns, drain->remaining)) {
        struct conn *conn = find_next(drain);
        if (conn == NULL) {
            count_remaining(drain);
            continue;
        }
        gateway_say_goodbye(drain->gateway, conn);
        metrics_add(drain->metrics, METRIC_DRAIN_TOLD, 1);
        drain->remaining--;
    }
    if (drain->remaining == 0) {
        count_remaining(drain);
    }
    if (drain->remaining == 0) {
        drain->phase = DRAIN_TOLD;
        hub_drain(drain->hub);
    }
}

/* -- the end ----------------------------------------------------------------------------------- */

static void cut(struct conn *conn, void *context) ON_REACTOR
{
    struct drain *drain = context;
    if (conn_queued_bytes(conn) > 0 || conn_is_blocked(conn)) {
        metrics_add(drain->metrics, METRIC_DRAIN_CUT, 1);
    }
    conn_abort(conn, 0);
}

static void cut_client(struct conn *conn, void *context) ON_REACTOR
{
    if (gateway_is_client(conn)) {
        cut(conn, context);
    }
}

/* Once: they go in the sweeps that follow, and nobody comes any more. */
static void cut_when_due(struct drain *drain, void (*cut_one)(struct conn *conn, void *context))
    ON_REACTOR
{
    if (!drain->has_cut && reactor_now(drain->reactor) >= drain->deadline_ns) {
        drain->has_cut = true;
        reactor_each_conn(drain->reactor, cut_one, drain);
    }
}

void drain_end(struct drain *drain)
{
    CHECK(drain->phase == DRAIN_DESERTED);
    const uint64_t least_ns = reactor_now(drain->reactor) + LAST_NS;

    drain->phase = DRAIN_LAST;
    drain->has_cut = false;
    drain->deadline_ns = drain->deadline_ns > least_ns ? drain->deadline_ns : least_ns;
    reactor_stop_listening(drain->reactor);
    (void)gateway_end_requests(drain->gateway, false);
}

void drain_begin(struct drain *drain)
{
    CHECK(drain->phase == DRAIN_NONE);
    const struct config_shutdown *shutdown = &drain->config->shutdown;
    const uint64_t now_ns = reactor_now(drain->reactor);

    drain->phase = DRAIN_GRACE;
    drain->grace_end_ns = now_ns + shutdown->grace_ns;
    drain->deadline_ns = now_ns + shutdown->timeout_ns;
    gateway_drain(drain->gateway);
}

void drain_step(struct drain *drain)
{
    const uint64_t now_ns = reactor_now(drain->reactor);

    if (drain->phase == DRAIN_NONE) {
        return;
    }
    if (drain->phase == DRAIN_GRACE && now_ns >= drain->grace_end_ns) {
        begin_paced(drain);
    }
    if (drain->phase == DRAIN_PACED) {
        tell_who_is_due(drain);
    }
    if (drain->phase == DRAIN_TOLD) {
        cut_when_due(drain, cut_client);
    }
    if (drain->phase == DRAIN_TOLD && gateway_client_count(drain->gateway) == 0) {
        drain->phase = DRAIN_DESERTED;
    }
    if (drain->phase == DRAIN_LAST) {
        cut_when_due(drain, cut);
    }
    metrics_set(drain->metrics, METRIC_DRAIN_WAITING, drain->remaining);
}

uint64_t drain_due_ns(const struct drain *drain)
{
    switch (drain->phase) {
    case DRAIN_NONE:
        return UINT64_MAX;
    case DRAIN_GRACE:
        return drain->grace_end_ns;
    case DRAIN_PACED:
        return pace_due_ns(&drain->pace);
    case DRAIN_TOLD:
        if (gateway_client_count(drain->gateway) == 0) {
            return 0; /* the last one has gone in a sweep, behind drain_step() */
        }
        return drain->has_cut ? UINT64_MAX : drain->deadline_ns;
    case DRAIN_DESERTED:
        return UINT64_MAX; /* drain_end() */
    case DRAIN_LAST:
        return drain->has_cut ? UINT64_MAX : drain->deadline_ns;
    }
    NEVER("a phase that nobody knows");
}

bool drain_is_deserted(const struct drain *drain)
{
    return drain->phase == DRAIN_DESERTED || drain->phase == DRAIN_LAST;
}

bool drain_is_over(const struct drain *drain)
{
    return drain->phase == DRAIN_LAST && reactor_conn_count(drain->reactor) == 0;
}
