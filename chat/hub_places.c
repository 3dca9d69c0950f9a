/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Places: each connection has one among those of its address, and one among those of its user. Who
 * gives them out is the home of the address, or the user, so limits are exact whatever reactors the
 * connections came to. It is asked before the handshake, or the connect, is answered.
 *
 * What is asked comes back as a post, also where the home is here; the gateway hears of addresses
 * by hub_next_placed(). Whoever has gone meanwhile gives back what was given.
 */
#include <errno.h>
#include <stdlib.h>

#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/identity.h"
#include "chat/ids.h"
#include "chat/post.h"
#include "chat/quota.h"
#include "chat/session.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"

enum {
    NS_PER_MS = 1000000,
    PLACES_PER_SESSION = 4, /* one or two are had, the others are on their way back */
};

/* A place that is given back and found no room on the bus. */
struct hub_place {
    struct quota_key key;
    uint8_t kind; /* enum quota_kind */
};

/* A connection that was answered, for the gateway. */
struct hub_placed {
    struct list_link link;
    struct post_place answer;
};

struct hub_places {
    struct quota *quotas[QUOTA_KIND_COUNT];
    struct hub_place *back; /* not yet posted; what of it was never used costs nothing */
    uint32_t back_count;
    uint32_t out_count; /* asked for, or had; with `back_count` at most `count_max` */
    uint32_t count_max;
    uint32_t asked_count;    /* of them not answered */
    struct list_link placed; /* objects are struct hub_placed */
};

int hub_places_create(const struct hub_options *options, struct hub_places **places)
{
    struct hub_places *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    list_init(&created->placed);
    created->count_max = PLACES_PER_SESSION * options->session_count_max;
    created->back = calloc(created->count_max, sizeof(*created->back));
    const uint32_t keys = options->session_count_max * options->reactor_count;
    bool is_whole = created->back != NULL;
    for (int kind = 0; kind < QUOTA_KIND_COUNT; kind++) {
        created->quotas[kind] = quota_create(&options->key, &options->place_limits[kind], keys);
        is_whole = is_whole && created->quotas[kind] != NULL;
    }
    if (!is_whole) {
        hub_places_destroy(created);
        return -ENOMEM;
    }
    *places = created;
    return 0;
}

void hub_places_destroy(struct hub_places *places)
{
    if (places == NULL) {
        return;
    }
    CHECK(list_is_empty(&places->placed));
    for (int kind = 0; kind < QUOTA_KIND_COUNT; kind++) {
        quota_destroy(places->quotas[kind]);
    }
    free(places->back);
    free(places);
}

void hub_places_change(struct hub_places *places, const struct hub_options *options)
{
    for (int kind = 0; kind < QUOTA_KIND_COUNT; kind++) {
        quota_change(places->quotas[kind], &options->place_limits[kind]);
    }
}

static uint32_t now_ms(const struct hub *hub)
{
    return (uint32_t)(hub->now_ns / NS_PER_MS);
}

static uint16_t home_of(const struct hub *hub, const struct quota_key *key)
{
    const struct bytes bytes = {key->bytes, sizeof(key->bytes)};
    return ids_home_of(table_hash(&hub->options.key, bytes), hub->options.reactor_count);
}

/* -- who asks ---------------------------------------------------------------------------------- */

static bool may_ask(const struct hub *hub, uint16_t home)
{
    const struct hub_places *places = hub->places;
    return places->out_count + places->back_count < places->count_max &&
           (home == hub->options.reactor ||
            bus_credits(hub->options.bus, hub->options.reactor, home) > 0);
}

static void ask(struct hub *hub, enum quota_kind kind, const struct quota_key *key,
                struct ids_handle asker, uint16_t home)
{
    const struct post post = {
        .kind = POST_PLACE,
        .place = {.key = *key, .asker = asker, .kind = (uint8_t)kind},
    };
    hub->places->out_count++;
    hub->places->asked_count++;
    hub->allowance = 0; /* hub_is_ready() has to look again */
    hub_ask(hub, home, &post);
}

bool hub_ask_place(struct hub *hub, const struct quota_key *address, struct conn_id conn)
{
    const uint16_t home = home_of(hub, address);
    if (!may_ask(hub, home)) {
        return false;
    }
    const struct ids_handle asker = {conn.slot, conn.generation, conn.reactor};
    ask(hub, QUOTA_ADDRESS, address, asker, home);
    return true;
}

static struct quota_key key_of_user(const struct hub *hub, const struct session *session)
{
    return quota_key_of(&hub->options.key, session_user(session));
}

void hub_ask_place_of_user(struct hub *hub, struct session *session)
{
    const struct quota_key key = key_of_user(hub, session);
    const uint16_t home = home_of(hub, &key);

    if (may_ask(hub, home)) {
        ask(hub, QUOTA_USER, &key, hub_handle(hub, session), home);
    } else {
        hub_fail_arrival(hub, session, CODES_ERROR_INTERNAL);
    }
}

/* -- what goes back ---------------------------------------------------------------------------- */

static void give(struct hub *hub, enum quota_kind kind, const struct quota_key *key)
{
    struct hub_places *places = hub->places;
    CHECK(places->out_count > 0);
    places->out_count--;
    if (home_of(hub, key) == hub->options.reactor) {
        quota_give(places->quotas[kind], key, now_ms(hub));
        return;
    }
    CHECK(places->back_count < places->count_max);
    places->back[places->back_count++] = (struct hub_place){*key, (uint8_t)kind};
}

void hub_give_place(struct hub *hub, const struct quota_key *address)
{
    give(hub, QUOTA_ADDRESS, address);
}

void hub_give_place_of_user(struct hub *hub, struct session *session)
{
    if (session->identity != NULL && session->identity->has_place) {
        const struct quota_key key = key_of_user(hub, session);
        session->identity->has_place = false;
        give(hub, QUOTA_USER, &key);
    }
}

void hub_post_places(struct hub *hub)
{
    struct hub_places *places = hub->places;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < places->back_count; i++) {
        const struct hub_place place = places->back[i];
        const struct post post = {
            .kind = POST_PLACE_BACK,
            .place = {.key = place.key, .kind = place.kind},
        };
        const struct bus_post packed = post_pack(&post);
        if (bus_tell(hub->options.bus, hub->options.reactor, home_of(hub, &place.key), &packed) !=
            BUS_POSTED) {
            places->back[kept++] = place;
        }
    }
    places->back_count = kept;
}

/* -- at home ----------------------------------------------------------------------------------- */

static void count(const struct hub *hub, enum quota_kind kind, enum quota_verdict verdict)
{
    const bool is_dry = quota_lets_in(hub->places->quotas[kind], verdict);
    enum metrics_id id = METRIC_REJECTED_OUT_OF_MEMORY;

    switch (verdict) {
    case QUOTA_GRANTED:
        return;
    case QUOTA_FULL:
        if (kind == QUOTA_USER) {
            id = is_dry ? METRIC_DRY_RUN_USER_CONNECTIONS : METRIC_REJECTED_USER_CONNECTIONS;
        } else {
            id = is_dry ? METRIC_DRY_RUN_ADDRESS_CONNECTIONS : METRIC_REJECTED_ADDRESS_CONNECTIONS;
        }
        break;
    case QUOTA_TOO_FAST:
        id = is_dry ? METRIC_DRY_RUN_ADDRESS_HANDSHAKES : METRIC_REJECTED_ADDRESS_HANDSHAKES;
        break;
    case QUOTA_NO_MEMORY:
        break;
    }
    metrics_add(hub->options.metrics, id, 1);
}

static void judge(struct hub *hub, const struct post *post)
{
    struct quota *quota = hub->places->quotas[post->place.kind];
    const enum quota_verdict verdict = quota_take(quota, &post->place.key, now_ms(hub));
    struct post reply = {.kind = POST_PLACE_ANSWER, .place = post->place};

    count(hub, (enum quota_kind)post->place.kind, verdict);
    reply.place.is_refused = !quota_lets_in(quota, verdict);
    hub_answer(hub, post, &reply);
}

/* -- the answer -------------------------------------------------------------------------------- */

/* Keeps it until the gateway asks. Without memory nobody could be told: it is given back. */
static void keep_for_gateway(struct hub *hub, const struct post_place *answer)
{
    struct hub_placed *placed = calloc(1, sizeof(*placed));
    if (placed == NULL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        if (!answer->is_refused) {
            give(hub, QUOTA_ADDRESS, &answer->key);
        }
        return; /* it waits until handshake_timeout */
    }
    placed->answer = *answer;
    list_push_back(&hub->places->placed, &placed->link);
}

static void tell_session(struct hub *hub, const struct post_place *answer)
{
    struct session *session = hub_session(hub, answer->asker);

    if (session == NULL || session->identity == NULL) {
        if (!answer->is_refused) {
            give(hub, QUOTA_USER, &answer->key);
        }
        return;
    }
    session->identity->has_place = !answer->is_refused;
    hub_place_arrival(hub, session, answer->is_refused);
}

static void take_answer(struct hub *hub, const struct post *post)
{
    struct hub_places *places = hub->places;

    CHECK(places->asked_count > 0 && places->out_count > 0);
    places->asked_count--;
    places->out_count -= post->place.is_refused;
    if (post->place.kind == QUOTA_ADDRESS) {
        keep_for_gateway(hub, &post->place);
    } else {
        tell_session(hub, &post->place);
    }
}

void hub_take_place(struct hub *hub, const struct post *post)
{
    if (post->kind == POST_PLACE) {
        judge(hub, post);
    } else if (post->kind == POST_PLACE_ANSWER) {
        take_answer(hub, post);
    } else {
        CHECK(post->kind == POST_PLACE_BACK);
        quota_give(hub->places->quotas[post->place.kind], &post->place.key, now_ms(hub));
    }
}

bool hub_next_placed(struct hub *hub, struct hub_place_answer *answer)
{
    struct list_link *link = list_pop_front(&hub->places->placed);
    if (link == NULL) {
        return false;
    }
    struct hub_placed *placed = LIST_OWNER(link, struct hub_placed, link);
    const struct ids_handle asker = placed->answer.asker;
    *answer = (struct hub_place_answer){
        .key = placed->answer.key,
        .conn = {asker.slot, asker.generation, asker.reactor},
        .is_refused = placed->answer.is_refused,
    };
    free(placed);
    return true;
}

bool hub_places_are_posted(const struct hub *hub)
{
    return hub->places->back_count == 0;
}

bool hub_places_are_quiet(const struct hub *hub)
{
    const struct hub_places *places = hub->places;
    return places->asked_count == 0 && places->back_count == 0 && list_is_empty(&places->placed);
}

void hub_gauge_places(const struct hub *hub)
{
    struct quota *const *quotas = hub->places->quotas;

    metrics_set(hub->options.metrics, METRIC_LIMITED_ADDRESSES, quota_count(quotas[QUOTA_ADDRESS]));
    metrics_set(hub->options.metrics, METRIC_LIMITED_USERS, quota_count(quotas[QUOTA_USER]));
    metrics_set(hub->options.metrics, METRIC_LIMITS_FORGOTTEN,
                quota_forgotten(quotas[QUOTA_ADDRESS]));
}
