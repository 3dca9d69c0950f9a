/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole, and sessions. Commands are in hub_commands.c, rooms in hub_rooms.c, how a session
 * comes into one in hub_subscribe.c, posts in hub_posts.c, the encoding of what clients are told in
 * hub_reply.c.
 */
#include "chat/hub.h"

#include <errno.h>
#include <stdlib.h>

#include "chat/channel.h"
#include "chat/hub_state.h"
#include "chat/leases.h"
#include "chat/ledger.h"
#include "chat/membership.h"
#include "chat/outbox.h"
#include "chat/policy.h"
#include "chat/revocations.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "chat/users.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"
#include "core/slab.h"
#include "core/timerwheel.h"

enum {
    UUID_VERSION = 0x40, /* RFC 9562: version 4 ... */
    UUID_VARIANT = 0x80, /* ... and its variant */
};

static const uint64_t herald_tick_ns = 1000000;

static int open_parts(struct hub *hub)
{
    struct hub_options *options = &hub->options;

    if (policy_places_init(&hub->policies, options->policies) != 0) {
        return -ENOMEM;
    }
    options->policies = &hub->policies.table;
    hub->sessions = slab_create(sizeof(struct session), options->session_count_max);
    if (hub->sessions == NULL) {
        return -ENOMEM;
    }
    hub->questions =
        slab_create(hub_question_size(options->reactor_count), options->question_count_max);
    hub->timers = timerwheel_create(0, herald_tick_ns);
    hub->expiries = timerwheel_create(0, TIMERWHEEL_TICK_NS_DEFAULT);
    hub->users = users_create(&options->key);
    hub->leases = leases_create(&options->key, options->session_count_max);
    int result = hub_places_create(options, &hub->places);
    if (result != 0) {
        return result;
    }
    hub->revocations = revocations_create(&options->key, options->revocation_count_max);
    if (hub->questions == NULL || hub->timers == NULL || hub->expiries == NULL ||
        hub->users == NULL || hub->leases == NULL || hub->revocations == NULL) {
        return -ENOMEM;
    }
    result = roster_create(options->reactor, options->room_count_max, &hub->roster);
    if (result != 0) {
        return result;
    }
    const struct channel_options channels = {
        .reactor = options->reactor,
        .channel_count_max = options->channel_count_max,
        .tail_count_max = options->tail_count_max,
        .tail_bytes_max = options->tail_bytes_max,
        .history_bytes_max = options->history_bytes_max,
        .archive = options->archive,
        .store_timeout_ns = options->store_timeout_ns,
        .store_bytes_max = options->store_bytes_max,
        .page_bytes_max = options->page_bytes_max,
        .key = options->key,
        .policies = options->policies,
        .bus = options->bus,
        .pool = options->pool,
        .metrics = options->metrics,
        .outbox = options->outbox,
        .roster = hub->roster,
        .fill_random = options->fill_random,
        .random_context = options->random_context,
    };
    return channel_home_create(&channels, &hub->home);
}

int hub_create(const struct hub_options *options, struct hub **hub)
{
    CHECK(options->reactor < options->reactor_count);
    CHECK(options->policies != NULL);
    CHECK(options->policies->name_size_max <= UINT8_MAX);
    CHECK(options->fill_random != NULL);

    struct hub *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    list_init(&created->recovering);
    list_init(&created->unasked);
    list_init(&created->settled);
    created->reply = (struct hub_reply){.outbox = options->outbox, .metrics = options->metrics};
    const int result = open_parts(created);
    if (result != 0) {
        hub_destroy(created);
        return result;
    }
    *hub = created;
    return 0;
}

void hub_learn(struct hub *hub, const struct policy_table *policies)
{
    policy_places_learn(&hub->policies, policies);
}

void hub_change(struct hub *hub, const struct hub_options *options)
{
    policy_places_change(&hub->policies, options->policies);
    hub->options = *options;
    hub->options.policies = &hub->policies.table;
    hub_places_change(hub->places, options);
    leases_change(hub->leases);
    channel_home_renew(hub->home);
}

void hub_forget(struct hub *hub)
{
    channel_home_forget(hub->home);
}

void hub_destroy(struct hub *hub)
{
    if (hub == NULL) {
        return;
    }
    CHECK(hub->sessions == NULL || slab_count(hub->sessions) == 0);
    channel_home_destroy(hub->home);
    roster_destroy(hub->roster);
    slab_destroy(hub->questions);
    slab_destroy(hub->sessions);
    revocations_destroy(hub->revocations);
    users_destroy(hub->users);
    hub_places_destroy(hub->places);
    leases_destroy(hub->leases);
    timerwheel_destroy(hub->expiries);
    timerwheel_destroy(hub->timers);
    policy_places_deinit(&hub->policies);
    free(hub->leaves);
    free(hub);
}

/* -- sessions ---------------------------------------------------------------------------------- */

struct session *hub_open(struct hub *hub, struct conn_id conn)
{
    uint32_t slot;
    struct session *session = slab_take(hub->sessions, &slot);
    if (session == NULL) {
        return NULL;
    }
    session->conn = conn;
    session->slot = slot;
    session->state = SESSION_NEW;
    hub->options.fill_random(hub->options.random_context, session->id, sizeof(session->id));
    session->id[6] = (uint8_t)((session->id[6] & 0x0f) | UUID_VERSION);
    session->id[8] = (uint8_t)((session->id[8] & 0x3f) | UUID_VARIANT);
    return session;
}

struct ids_handle hub_handle(const struct hub *hub, const struct session *session)
{
    return (struct ids_handle){
        .slot = session->slot,
        .generation = slab_generation(hub->sessions, session->slot),
        .reactor = hub->options.reactor,
    };
}

struct session *hub_session(struct hub *hub, struct ids_handle handle)
{
    CHECK(handle.reactor == hub->options.reactor);
    return slab_find(hub->sessions, handle.slot, handle.generation);
}

void hub_untie(struct hub *hub, struct session *session, uint32_t index)
{
    const struct session_subscription gone = session->subscriptions[index];
    struct room *room = roster_slot(hub->roster, gone.room);

    if (gone.is_waiting && room->waiters[gone.member].page != NULL) {
        blob_drop(room->waiters[gone.member].page, hub->options.pool);
    }
    membership_remove(hub->sessions, hub->roster, session, index);
    hub_drop_grant(hub, gone.grant);
    hub->subscription_count--;
    metrics_subtract_for(hub->options.metrics, room->policy->counts_as, NAMESPACE_SUBSCRIPTIONS, 1);
    hub_news_changed(hub, room);
}

void hub_leave_room(struct hub *hub, struct session *session, uint32_t index)
{
    struct room *room = roster_slot(hub->roster, session->subscriptions[index].room);

    hub_untie(hub, session, index);
    hub_room_maybe_left(hub, room);
}

void hub_close(struct hub *hub, struct session *session)
{
    while (session->subscription_count > 0) {
        hub_leave_room(hub, session, session->subscription_count - 1U);
    }
    hub_forget_arrival(session);
    leases_stop_waiting(hub->leases, session);
    hub_sign_out(hub, session);
    session_deinit(session);
    slab_give(hub->sessions, session->slot);
}

void hub_tick(struct hub *hub, uint64_t now_ns)
{
    hub->now_ns = now_ns;
    hub->recovery_bytes = 0;
    channel_home_tick(hub->home, now_ns);
}

bool hub_is_ready(struct hub *hub)
{
    if (!outbox_is_roomy(hub->options.outbox)) {
        return false;
    }
    /*
     * A command asks each other reactor once at most, so as many commands as the scarcest credit
     * may pass before it is worth looking at all of them again.
     */
    if (hub->allowance == 0) {
        hub->allowance =
            bus_credits_min(hub->options.bus, hub->options.reactor, hub->options.reactor_count);
    }
    return hub->allowance > 0;
}

struct roster *hub_roster(struct hub *hub)
{
    return hub->roster;
}

void hub_gauge(struct hub *hub)
{
    struct metrics *metrics = hub->options.metrics;

    metrics_set(metrics, METRIC_CHANNELS, channel_count(hub->home));
    metrics_set(metrics, METRIC_HISTORY_BYTES, channel_history_bytes(hub->home));
    metrics_set(metrics, METRIC_ROOMS, roster_count(hub->roster));
    metrics_set(metrics, METRIC_SESSIONS, slab_count(hub->sessions));
    metrics_set(metrics, METRIC_SUBSCRIPTIONS, hub->subscription_count);
    metrics_set(metrics, METRIC_MEMORY_SESSIONS, slab_bytes(hub->sessions));
    metrics_set(metrics, METRIC_MEMORY_ROOMS, roster_bytes(hub->roster));
    hub_gauge_places(hub);
}

static struct ledger *ledger_of(const struct hub *hub)
{
    return channel_ledger(hub->home);
}

bool hub_has_backlog(const struct hub *hub)
{
    return hub->leave_count > 0 || !list_is_empty(&hub->recovering) ||
           !list_is_empty(&hub->unasked) || !list_is_empty(&hub->settled) ||
           !hub_places_are_posted(hub) || channel_is_lagging(hub->home) ||
           channel_is_renewing(hub->home) ||
           (ledger_of(hub) != NULL && ledger_has_backlog(ledger_of(hub)));
}

bool hub_is_waiting(const struct hub *hub)
{
    return ledger_of(hub) != NULL && ledger_item_count(ledger_of(hub)) > 0;
}

uint64_t hub_due_ns(const struct hub *hub)
{
    const uint64_t news_ns = timerwheel_next_ns(hub->timers);
    const uint64_t expiry_ns = timerwheel_next_ns(hub->expiries);
    const uint64_t lease_ns = leases_due_ns(hub->leases);
    const uint64_t due_ns = news_ns < expiry_ns ? news_ns : expiry_ns;
    return due_ns < lease_ns ? due_ns : lease_ns;
}

void hub_refuse_subscriptions(struct hub *hub, bool refuses)
{
    hub->refuses_subscriptions = refuses;
}

void hub_drain(struct hub *hub)
{
    hub->is_draining = true;
}

bool hub_is_quiet(const struct hub *hub)
{
    return slab_count(hub->sessions) == 0 && roster_count(hub->roster) == 0 &&
           hub->leave_count == 0 && slab_count(hub->questions) == 0 && hub_places_are_quiet(hub) &&
           leases_are_quiet(hub->leases) &&
           (ledger_of(hub) == NULL || ledger_is_quiet(ledger_of(hub)));
}

bool hub_has_given(const struct hub *hub)
{
    return ledger_of(hub) != NULL && ledger_has_given(ledger_of(hub));
}

size_t hub_count_live(const struct hub *hub)
{
    return channel_count(hub->home) + roster_count(hub->roster) + slab_count(hub->sessions) +
           slab_count(hub->questions) + hub->leave_count + users_count(hub->users) +
           timerwheel_count(hub->expiries) +
           (ledger_of(hub) == NULL ? 0 : ledger_item_count(ledger_of(hub)));
}
