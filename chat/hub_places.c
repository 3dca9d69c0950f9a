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
#include "chat/users.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"

enum {
    NS_PER_MS = 1000000,
    PLACES_PER_SESSION = 4, /* one or two are had, the others are on their way back */
};

/* A place on its way: its answer waits for the gateway, or it goes back, when the bus has room. */
struct hub_place {
    struct post_place place;
    uint32_t next; /* behind it in its queue, or among the free ones: index + 1; 0: the last */
};

/* Oldest first: index + 1; 0: nobody. */
struct place_queue {
    uint32_t first;
    uint32_t last;
};

struct hub_places {
    struct quota *quotas[QUOTA_KIND_COUNT];
    struct hub_place *pool;   /* `count_max`; what of it was never used costs nothing */
    uint32_t used_count;      /* from there on they were never used */
    uint32_t free;            /* of those before: index + 1; 0: none */
    struct place_queue told;  /* answers for the gateway */
    struct place_queue *back; /* not yet posted, for each home */
    uint32_t back_count;      /* in all of them */
    uint32_t out_count;       /* asked for, told, or had; with `back_count` at most `count_max` */
    uint32_t count_max;
    uint32_t asked_count; /* of them not answered */
};

/* -- places on their way ----------------------------------------------------------------------- */

/* There is room: each one is counted in `out_count` or `back_count`. */
static void push(struct hub_places *places, struct place_queue *queue,
                 const struct post_place *place)
{
    uint32_t number = places->free;
    if (number != 0) {
        places->free = places->pool[number - 1].next;
    } else {
        CHECK(places->used_count < places->count_max);
        number = ++places->used_count;
    }
    places->pool[number - 1] = (struct hub_place){.place = *place};
    if (queue->first == 0) {
        queue->first = number;
    } else {
        places->pool[queue->last - 1].next = number;
    }
    queue->last = number;
}

/* NULL: it is empty. */
static const struct post_place *first(const struct hub_places *places,
                                      const struct place_queue *queue)
{
    return queue->first == 0 ? NULL : &places->pool[queue->first - 1].place;
}

static void pop(struct hub_places *places, struct place_queue *queue)
{
    const uint32_t number = queue->first;
    struct hub_place *popped = &places->pool[number - 1];
    queue->first = popped->next;
    popped->next = places->free;
    places->free = number;
}

/* -- all of them ------------------------------------------------------------------------------- */

int hub_places_create(const struct hub_options *options, struct hub_places **places)
{
    struct hub_places *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->count_max = PLACES_PER_SESSION * options->session_count_max;
    created->pool = calloc(created->count_max, sizeof(*created->pool));
    created->back = calloc(options->reactor_count, sizeof(*created->back));
    const uint32_t keys = options->session_count_max * options->reactor_count;
    bool is_whole = created->pool != NULL && created->back != NULL;
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
    CHECK(places->told.first == 0);
    for (int kind = 0; kind < QUOTA_KIND_COUNT; kind++) {
        quota_destroy(places->quotas[kind]);
    }
    free(places->back);
    free(places->pool);
    free(places);
}

void hub_places_change(struct hub_places *places, const struct hub_options *options)
{
    for (int kind = 0; kind < QUOTA_KIND_COUNT; kind++) {
        quota_change(places->quotas[kind], &options->place_limits[kind]);
    }
}

struct quota *hub_quota(const struct hub *hub, enum quota_kind kind)
{
    return hub->places->quotas[kind];
}

static uint32_t now_ms(const struct hub *hub)
{
    return (uint32_t)(hub->now_ns / NS_PER_MS);
}

uint16_t hub_home_of(const struct hub *hub, const struct quota_key *key)
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
    const uint16_t home = hub_home_of(hub, address);
    if (!may_ask(hub, home)) {
        return false;
    }
    const struct ids_handle asker = {conn.slot, conn.generation, conn.reactor};
    ask(hub, QUOTA_ADDRESS, address, asker, home);
    return true;
}

void hub_ask_place_of_user(struct hub *hub, struct session *session)
{
    const struct quota_key *key = &session->identity->user->key;
    const uint16_t home = hub_home_of(hub, key);

    if (may_ask(hub, home)) {
        ask(hub, QUOTA_USER, key, hub_handle(hub, session), home);
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
    const uint16_t home = hub_home_of(hub, key);
    if (home == hub->options.reactor) {
        quota_give(places->quotas[kind], key, now_ms(hub));
        return;
    }
    const struct post_place place = {.key = *key, .kind = (uint8_t)kind};
    push(places, &places->back[home], &place);
    places->back_count++;
}

void hub_give_place(struct hub *hub, const struct quota_key *address)
{
    give(hub, QUOTA_ADDRESS, address);
}

void hub_give_place_of_user(struct hub *hub, struct session *session)
{
    if (session->identity != NULL && session->identity->has_place) {
        session->identity->has_place = false;
        give(hub, QUOTA_USER, &session->identity->user->key);
    }
}

/* As long as the home has room: where one finds none, those behind it find none either. */
static void post_back(struct hub *hub, uint16_t home)
{
    struct hub_places *places = hub->places;
    struct place_queue *queue = &places->back[home];
    const struct post_place *place;

    while ((place = first(places, queue)) != NULL) {
        const struct post post = {.kind = POST_PLACE_BACK, .place = *place};
        const struct bus_post packed = post_pack(&post);
        if (bus_tell(hub->options.bus, hub->options.reactor, home, &packed) != BUS_POSTED) {
            return;
        }
        pop(places, queue);
        places->back_count--;
    }
}

void hub_post_places(struct hub *hub)
{
    const uint16_t home_count = hub->options.reactor_count;

    for (uint16_t home = 0; home < home_count && hub->places->back_count > 0; home++) {
        post_back(hub, home);
    }
}

/* -- at home ----------------------------------------------------------------------------------- */

static void count(const struct hub *hub, enum quota_kind kind, enum quota_verdict verdict)
{
    static const struct {
        enum metrics_id full, too_fast;
    } ids[2][QUOTA_KIND_COUNT] = {
        {
            [QUOTA_ADDRESS] = {METRIC_REJECTED_ADDRESS_CONNECTIONS,
                               METRIC_REJECTED_ADDRESS_HANDSHAKES},
            [QUOTA_USER] = {METRIC_REJECTED_USER_CONNECTIONS, METRIC_REJECTED_USER_CONNECTS},
        },
        {
            [QUOTA_ADDRESS] = {METRIC_DRY_RUN_ADDRESS_CONNECTIONS,
                               METRIC_DRY_RUN_ADDRESS_HANDSHAKES},
            [QUOTA_USER] = {METRIC_DRY_RUN_USER_CONNECTIONS, METRIC_DRY_RUN_USER_CONNECTS},
        },
    };
    const bool is_dry = quota_lets_in(hub->places->quotas[kind], verdict);

    switch (verdict) {
    case QUOTA_GRANTED:
        return;
    case QUOTA_FULL:
        metrics_add(hub->options.metrics, ids[is_dry][kind].full, 1);
        return;
    case QUOTA_TOO_FAST:
        metrics_add(hub->options.metrics, ids[is_dry][kind].too_fast, 1);
        return;
    case QUOTA_NO_MEMORY:
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return;
    }
    NEVER("a verdict that is not one");
}

static void judge(struct hub *hub, const struct post *post)
{
    struct quota *quota = hub->places->quotas[post->place.kind];
    const enum quota_verdict verdict = quota_take(quota, &post->place.key, now_ms(hub));
    struct post reply = {.kind = POST_PLACE_ANSWER, .place = post->place};

    count(hub, (enum quota_kind)post->place.kind, verdict);
    reply.place.is_refused = !quota_lets_in(quota, verdict);
    reply.place.verdict = (uint8_t)verdict;
    hub_answer(hub, post, &reply);
}

/* -- the answer -------------------------------------------------------------------------------- */

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
    hub_place_arrival(hub, session, answer);
}

static void take_answer(struct hub *hub, const struct post *post)
{
    struct hub_places *places = hub->places;

    CHECK(places->asked_count > 0 && places->out_count > 0);
    places->asked_count--;
    if (post->place.kind == QUOTA_ADDRESS) {
        push(places, &places->told, &post->place);
    } else {
        places->out_count -= post->place.is_refused;
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
    struct hub_places *places = hub->places;
    const struct post_place *place = first(places, &places->told);

    if (place == NULL) {
        return false;
    }
    *answer = (struct hub_place_answer){
        .key = place->key,
        .conn = {place->asker.slot, place->asker.generation, place->asker.reactor},
        .is_refused = place->is_refused,
    };
    places->out_count -= place->is_refused;
    pop(places, &places->told);
    return true;
}

bool hub_places_are_posted(const struct hub *hub)
{
    return hub->places->back_count == 0;
}

bool hub_places_are_quiet(const struct hub *hub)
{
    const struct hub_places *places = hub->places;
    return places->asked_count == 0 && places->back_count == 0 && places->told.first == 0;
}

void hub_gauge_places(const struct hub *hub)
{
    struct quota *const *quotas = hub->places->quotas;

    metrics_set(hub->options.metrics, METRIC_USERS, quota_present(quotas[QUOTA_USER]));
    metrics_set(hub->options.metrics, METRIC_LIMITED_ADDRESSES, quota_count(quotas[QUOTA_ADDRESS]));
    metrics_set(hub->options.metrics, METRIC_LIMITED_USERS, quota_count(quotas[QUOTA_USER]));
    metrics_set(hub->options.metrics, METRIC_LIMITS_FORGOTTEN,
                quota_forgotten(quotas[QUOTA_ADDRESS]) + quota_forgotten(quotas[QUOTA_USER]));
}
