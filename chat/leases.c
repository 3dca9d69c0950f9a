/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/leases.h"

#include <errno.h>
#include <stdlib.h>

#include "chat/session.h"
#include "core/check.h"
#include "core/slab.h"

enum {
    WISH_MAX = 64, /* commands in a lease */
    AT_ONCE = 64,  /* timers */
};

_Static_assert(sizeof(struct lease) <= 96, "as leases.h promises");

static const uint64_t tick_ns = 1000000;
static const uint64_t life_ns = 100000000;   /* of a lease, and to remember what was used of it */
static const uint64_t short_ns = 1000000000; /* after a refusal */

struct lease_waiter {
    struct list_link link; /* in lease->waiters, or leases->woken */
    struct session *session;
    struct lease *lease; /* NULL: woken */
};

struct leases {
    struct table_key key;
    struct table *tables[QUOTA_KIND_COUNT];
    struct slab *leases;
    struct slab *waiters;
    struct timerwheel *timers;
    struct list_link ready;     /* leases with something for who waits */
    struct list_link due;       /* leases whose home is to be asked, by the same link */
    struct list_link woken;     /* waiters of limits that have changed */
    const struct session *turn; /* leases_next() gave it */
    uint32_t asked_count;
};

static struct bytes view(const struct quota_key *key)
{
    return (struct bytes){key->bytes, sizeof(key->bytes)};
}

static struct bytes key_of(const void *value)
{
    const struct lease *lease = value;
    return view(&lease->key);
}

struct leases *leases_create(const struct table_key *key, uint32_t session_count_max)
{
    struct leases *leases = calloc(1, sizeof(*leases));
    if (leases == NULL) {
        return NULL;
    }
    leases->key = *key;
    list_init(&leases->ready);
    list_init(&leases->due);
    list_init(&leases->woken);
    leases->leases = slab_create(sizeof(struct lease), QUOTA_KIND_COUNT * session_count_max);
    leases->waiters = slab_create(sizeof(struct lease_waiter), session_count_max);
    leases->timers = timerwheel_create(0, tick_ns);
    bool is_whole = leases->leases != NULL && leases->waiters != NULL && leases->timers != NULL;
    for (int kind = 0; kind < QUOTA_KIND_COUNT; kind++) {
        leases->tables[kind] = table_create(key_of);
        is_whole = is_whole && leases->tables[kind] != NULL;
    }
    if (!is_whole) {
        leases_destroy(leases);
        return NULL;
    }
    return leases;
}

void leases_destroy(struct leases *leases)
{
    if (leases == NULL) {
        return;
    }
    CHECK(leases->waiters == NULL || slab_count(leases->waiters) == 0);
    for (int kind = 0; kind < QUOTA_KIND_COUNT; kind++) {
        table_destroy(leases->tables[kind]);
    }
    timerwheel_destroy(leases->timers);
    slab_destroy(leases->waiters);
    slab_destroy(leases->leases);
    free(leases);
}

/* -- one of them ------------------------------------------------------------------------------- */

static void set(struct leases *leases, struct lease *lease, enum lease_state state,
                uint64_t timer_ns)
{
    leases->asked_count -= lease->state == LEASE_ASKED;
    leases->asked_count += state == LEASE_ASKED;
    lease->state = (uint8_t)state;
    if (state == LEASE_ASKED) {
        timerwheel_cancel(leases->timers, &lease->timer);
    } else {
        timerwheel_arm(leases->timers, &lease->timer, timer_ns);
    }
}

static void set_ready(struct leases *leases, struct lease *lease)
{
    const bool is_ready = lease->left > 0 && lease->waiter_count > 0;

    if (list_is_linked(&lease->ready)) {
        list_remove(&lease->ready);
    }
    if (is_ready) {
        list_push_back(&leases->ready, &lease->ready);
    }
}

struct lease *leases_of(struct leases *leases, enum quota_kind kind, const struct quota_key *key)
{
    const uint64_t hash = table_hash(&leases->key, view(key));
    struct lease *lease = table_find(leases->tables[kind], hash, view(key));
    if (lease != NULL) {
        return lease;
    }
    uint32_t slot;
    lease = slab_take(leases->leases, &slot);
    if (lease == NULL) {
        return NULL;
    }
    lease->key = *key;
    lease->slot = slot;
    lease->kind = (uint8_t)kind;
    list_init(&lease->waiters);
    if (table_insert(leases->tables[kind], hash, lease) != 0) {
        slab_give(leases->leases, slot);
        return NULL;
    }
    set(leases, lease, LEASE_NONE, 0);
    return lease;
}

static void forget(struct leases *leases, struct lease *lease)
{
    const struct bytes key = view(&lease->key);
    CHECK(lease->waiter_count == 0 && lease->state != LEASE_ASKED);
    CHECK(!list_is_linked(&lease->ready));
    timerwheel_cancel(leases->timers, &lease->timer);
    (void)table_remove(leases->tables[lease->kind], table_hash(&leases->key, key), key);
    slab_give(leases->leases, lease->slot);
}

uint32_t leases_wish(const struct lease *lease)
{
    const uint32_t least = lease->wish > 0 ? lease->wish : 1;
    const uint32_t wish = lease->waiter_count > least ? lease->waiter_count : least;
    return wish < WISH_MAX ? wish : WISH_MAX;
}

void leases_ask(struct leases *leases, struct lease *lease)
{
    CHECK(lease->state == LEASE_NONE);
    set(leases, lease, LEASE_ASKED, 0);
}

void leases_put_off(struct leases *leases, struct lease *lease, uint64_t at_ns)
{
    CHECK(lease->state == LEASE_NONE);
    set(leases, lease, LEASE_LATER, at_ns);
}

void leases_lend(struct leases *leases, struct lease *lease, uint32_t count, uint64_t now_ns)
{
    CHECK(lease->state == LEASE_ASKED);
    CHECK(count > 0 && count <= WISH_MAX);
    lease->size = (uint8_t)count;
    lease->left = (uint8_t)count;
    set(leases, lease, LEASE_HELD, now_ns + life_ns);
    set_ready(leases, lease);
}

void leases_refuse(struct leases *leases, struct lease *lease, uint64_t at_ns, uint64_t now_ns)
{
    CHECK(lease->state == LEASE_ASKED);
    lease->wish = 1;
    lease->short_until_ns = now_ns + short_ns;
    set(leases, lease, LEASE_LATER, at_ns);
}

bool leases_is_short(const struct lease *lease, uint64_t now_ns)
{
    return now_ns < lease->short_until_ns;
}

/* -- who spends, who waits --------------------------------------------------------------------- */

bool leases_have(const struct leases *leases, const struct lease *lease,
                 const struct session *session)
{
    return lease->left > 0 && (lease->waiter_count == 0 || leases->turn == session);
}

void leases_spend(struct leases *leases, struct lease *lease, uint64_t now_ns)
{
    CHECK(lease->state == LEASE_HELD && lease->left > 0);
    if (--lease->left > 0) {
        return;
    }
    /* Used up before its time. Who waits for more is seen to in the next iteration. */
    lease->wish = (uint8_t)(lease->size < WISH_MAX / 2 ? 2 * lease->size : WISH_MAX);
    set(leases, lease, LEASE_NONE, lease->waiter_count > 0 ? now_ns : now_ns + life_ns);
    set_ready(leases, lease);
}

static struct lease_waiter *waiter_of(const struct leases *leases, const struct session *session)
{
    return session->waiter == 0 ? NULL : slab_at(leases->waiters, session->waiter - 1);
}

int leases_wait(struct leases *leases, struct lease *lease, struct session *session)
{
    struct lease_waiter *waiter = waiter_of(leases, session);
    uint32_t slot;

    if (waiter != NULL && waiter->lease == lease) {
        return 0;
    }
    leases_stop_waiting(leases, session);
    waiter = slab_take(leases->waiters, &slot);
    if (waiter == NULL) {
        return -ENOMEM;
    }
    waiter->session = session;
    waiter->lease = lease;
    session->waiter = slot + 1;
    list_push_back(&lease->waiters, &waiter->link);
    lease->waiter_count++;
    set_ready(leases, lease);
    return 0;
}

void leases_stop_waiting(struct leases *leases, struct session *session)
{
    struct lease_waiter *waiter = waiter_of(leases, session);
    if (waiter == NULL) {
        return;
    }
    list_remove(&waiter->link);
    if (waiter->lease != NULL) {
        waiter->lease->waiter_count--;
        set_ready(leases, waiter->lease);
    }
    slab_give(leases->waiters, session->waiter - 1);
    session->waiter = 0;
}

struct session *leases_next(struct leases *leases)
{
    struct list_link *link = list_first(&leases->woken);

    if (link == NULL && !list_is_empty(&leases->ready)) {
        link = list_first(&LIST_OWNER(list_first(&leases->ready), struct lease, ready)->waiters);
        CHECK(link != NULL);
    }
    struct session *session =
        link == NULL ? NULL : LIST_OWNER(link, struct lease_waiter, link)->session;
    leases->turn = session;
    if (session != NULL) {
        leases_stop_waiting(leases, session);
    }
    return session;
}

static void wake_all(struct leases *leases, struct lease *lease)
{
    struct list_link *link;

    while ((link = list_pop_front(&lease->waiters)) != NULL) {
        LIST_OWNER(link, struct lease_waiter, link)->lease = NULL;
        list_push_back(&leases->woken, link);
    }
    lease->waiter_count = 0;
    lease->left = 0;
    lease->short_until_ns = 0;
    set_ready(leases, lease);
}

void leases_change(struct leases *leases)
{
    const uint32_t end = slab_slot_end(leases->leases);

    for (uint32_t slot = 0; slot < end; slot++) {
        struct lease *lease = slab_at(leases->leases, slot);
        if (lease == NULL) {
            continue;
        }
        wake_all(leases, lease);
        if (lease->state != LEASE_ASKED) {
            forget(leases, lease);
        }
    }
}

/* -- time -------------------------------------------------------------------------------------- */

struct expiry {
    struct leases *leases;
    uint64_t now_ns;
};

static void fire(struct timerwheel_timer *timer, void *context)
{
    const struct expiry *expiry = context;
    struct leases *leases = expiry->leases;
    struct lease *lease = LIST_OWNER(timer, struct lease, timer);

    if (lease->state == LEASE_HELD) { /* what is left of it is lost */
        lease->wish = (uint8_t)(lease->size - lease->left);
        lease->left = 0;
        set_ready(leases, lease);
        set(leases, lease, LEASE_NONE, expiry->now_ns + life_ns);
    } else if (lease->waiter_count == 0 && !leases_is_short(lease, expiry->now_ns)) {
        forget(leases, lease);
        return;
    } else {
        set(leases, lease, LEASE_NONE, lease->short_until_ns);
    }
    if (lease->waiter_count > 0) {
        list_push_back(&leases->due, &lease->ready);
    }
}

struct lease *leases_due(struct leases *leases, uint64_t now_ns)
{
    struct expiry expiry = {leases, now_ns};

    while (list_is_empty(&leases->due)) {
        if (timerwheel_expire(leases->timers, now_ns, fire, &expiry, AT_ONCE) == 0) {
            return NULL;
        }
    }
    return LIST_OWNER(list_pop_front(&leases->due), struct lease, ready);
}

uint64_t leases_due_ns(const struct leases *leases)
{
    if (!list_is_empty(&leases->ready) || !list_is_empty(&leases->woken)) {
        return 0;
    }
    return timerwheel_next_ns(leases->timers);
}

bool leases_are_quiet(const struct leases *leases)
{
    return leases->asked_count == 0;
}
