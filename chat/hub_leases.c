/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of a user, and of an address, where they are limited: before one is read, a lease of its
 * user and one of its address have to have something left. Who lends is the home of the key, where
 * its connections are counted, too (hub_places.c).
 *
 * Each reactor has one lease of a key at a time, and one question. What comes meanwhile waits, in
 * its order, and so it does when the home has nothing: then it is asked again at the time it said.
 */
#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/identity.h"
#include "chat/leases.h"
#include "chat/post.h"
#include "chat/quota.h"
#include "chat/session.h"
#include "chat/users.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"

_Static_assert(METRIC_COMMAND_WAITS_ADDRESS + QUOTA_USER == METRIC_COMMAND_WAITS_USER,
               "in the order of enum quota_kind");
_Static_assert(METRIC_DRY_RUN_ADDRESS_COMMANDS + QUOTA_USER == METRIC_DRY_RUN_USER_COMMANDS,
               "likewise");

enum { SHARES_PER_REACTOR = 2 }; /* of what a home has: one for each, and as much is left */

static const uint64_t ns_per_ms = 1000000;
static const uint64_t retry_ns = 5000000; /* when there was no credit */

static bool is_limited(const struct hub *hub, enum quota_kind kind)
{
    return hub->options.place_limits[kind].commands.burst > 0;
}

/* -- who asks ---------------------------------------------------------------------------------- */

static void ask(struct hub *hub, struct lease *lease)
{
    const uint16_t home = hub_home_of(hub, &lease->key);
    const struct post post = {
        .kind = POST_LEASE,
        .lease = {.key = lease->key, .count = leases_wish(lease), .kind = lease->kind},
    };

    if (home != hub->options.reactor &&
        bus_credits(hub->options.bus, hub->options.reactor, home) == 0) {
        leases_put_off(hub->leases, lease, hub->now_ns + retry_ns);
        return;
    }
    leases_ask(hub->leases, lease);
    hub->allowance = 0; /* hub_is_ready() has to look again */
    hub_ask(hub, home, &post);
}

void hub_ask_leases(struct hub *hub)
{
    struct lease *lease;

    while ((lease = leases_due(hub->leases, hub->now_ns)) != NULL) {
        ask(hub, lease);
    }
}

/* Is there a command for the session? If nobody was asked for it yet, the home is now. */
static bool is_lent(struct hub *hub, const struct session *session, struct lease *lease)
{
    if (lease->state == LEASE_NONE) {
        ask(hub, lease);
    }
    return leases_have(hub->leases, lease, session);
}

/* What the command costs: nothing, or one of a lease for each key. False: no memory. */
static bool find(struct hub *hub, const struct session *session, const struct quota_key *address,
                 struct lease *costs[static QUOTA_KIND_COUNT])
{
    bool is_found = true;

    if (address != NULL && is_limited(hub, QUOTA_ADDRESS)) {
        costs[QUOTA_ADDRESS] = leases_of(hub->leases, QUOTA_ADDRESS, address);
        is_found = costs[QUOTA_ADDRESS] != NULL;
    }
    if (session->identity != NULL && session->identity->has_place && is_limited(hub, QUOTA_USER)) {
        costs[QUOTA_USER] = leases_of(hub->leases, QUOTA_USER, &session->identity->user->key);
        is_found = is_found && costs[QUOTA_USER] != NULL;
    }
    return is_found;
}

/* Because of that lease: NULL, of none. */
static struct hub_spending spending_of(const struct hub *hub, enum hub_verdict verdict,
                                       const struct lease *lease)
{
    struct hub_spending spending = {.verdict = verdict};
    if (lease != NULL) {
        spending.of = (enum quota_kind)lease->kind;
        spending.is_short = leases_is_short(lease, hub->now_ns);
    }
    return spending;
}

struct hub_spending hub_spend(struct hub *hub, struct session *session,
                              const struct quota_key *address)
{
    struct lease *costs[QUOTA_KIND_COUNT] = {NULL};
    const struct lease *scarce = NULL;
    struct lease *missing = NULL;

    if (!find(hub, session, address, costs)) {
        return (struct hub_spending){.verdict = HUB_SPENDS_LATER};
    }
    for (int kind = 0; kind < QUOTA_KIND_COUNT; kind++) {
        if (costs[kind] == NULL) {
            continue;
        }
        if (!is_lent(hub, session, costs[kind])) {
            missing = costs[kind];
        }
        if (leases_is_short(costs[kind], hub->now_ns)) {
            scarce = costs[kind];
        }
    }
    if (missing != NULL) {
        const bool waits = leases_wait(hub->leases, missing, session) == 0;
        return spending_of(hub, waits ? HUB_WAITS_TO_SPEND : HUB_SPENDS_LATER, missing);
    }
    leases_stop_waiting(hub->leases, session);
    for (int kind = 0; kind < QUOTA_KIND_COUNT; kind++) {
        if (costs[kind] != NULL) {
            leases_spend(hub->leases, costs[kind], hub->now_ns);
        }
    }
    return spending_of(hub, HUB_SPENT, scarce);
}

bool hub_next_to_spend(struct hub *hub, struct conn_id *conn)
{
    const struct session *session = leases_next(hub->leases);

    if (session != NULL) {
        *conn = session->conn;
    }
    return session != NULL;
}

/* -- at home, and back ------------------------------------------------------------------------- */

static void lend(struct hub *hub, const struct post *post)
{
    struct quota *quota = hub_quota(hub, (enum quota_kind)post->lease.kind);
    const struct quota_loan loan =
        quota_lend(quota, &post->lease.key, post->lease.count,
                   (uint32_t)SHARES_PER_REACTOR * hub->options.reactor_count,
                   (uint32_t)(hub->now_ns / ns_per_ms));
    struct post answer = {.kind = POST_LEASE_ANSWER, .lease = post->lease};

    if (loan.count == 0) {
        metrics_add(hub->options.metrics, METRIC_COMMAND_WAITS_ADDRESS + post->lease.kind, 1);
    }
    metrics_add(hub->options.metrics, METRIC_DRY_RUN_ADDRESS_COMMANDS + post->lease.kind,
                loan.excess);
    answer.lease.count = loan.count;
    answer.lease.wait_ms = loan.wait_ms;
    hub_answer(hub, post, &answer);
}

void hub_take_lease(struct hub *hub, const struct post *post)
{
    const struct post_lease *told = &post->lease;

    if (post->kind == POST_LEASE) {
        lend(hub, post);
        return;
    }
    CHECK(post->kind == POST_LEASE_ANSWER);
    struct lease *lease = leases_of(hub->leases, (enum quota_kind)told->kind, &told->key);
    CHECK(lease != NULL); /* it stays while its home is asked */
    if (told->count > 0) {
        leases_lend(hub->leases, lease, told->count, hub->now_ns);
    } else {
        leases_refuse(hub->leases, lease, hub->now_ns + told->wait_ms * ns_per_ms, hub->now_ns);
    }
}
