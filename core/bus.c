/* SPDX-License-Identifier: Apache-2.0 */
#include "core/bus.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/ring.h"

enum { LINES_APART = 128 }; /* bytes: processors fetch cache lines in pairs */

_Static_assert(sizeof(struct bus_post) == RING_SLOT_SIZE, "a post is a slot");

/* What a port knows about another one. Only the port's own thread touches it. */
struct peer {
    struct ring *out;      /* from the port to this peer; NULL for itself */
    struct ring *in;       /* the peer's `out` towards the port */
    uint32_t asks_open;    /* asked there, answer not taken yet: at most the reserve */
    uint32_t answers_owed; /* asks taken from there and not answered yet */
    bool has_unpublished;  /* is in the port's `unpublished` list */
};

struct port {
    /* Everybody who flushes to the port looks here; only its thread sets it to 1. */
    alignas(LINES_APART) _Atomic uint32_t sleeping;
    void (*wake)(void *context); /* these two never change after the threads have started */
    void *wake_context;

    /* The port's thread only; the counters are also read by others. */
    alignas(LINES_APART) struct peer *peers;
    uint16_t *unpublished; /* ports with posts of ours that they cannot see yet */
    size_t unpublished_count;
    size_t next; /* the peer to be served first by bus_take() */
    _Atomic uint64_t posts;
    _Atomic uint64_t wakes;
    _Atomic uint64_t refusals;
};

struct bus {
    struct port *ports;
    size_t port_count;
    size_t reserve;
};

/* Relaxed, and not one instruction: only the owner writes, the others only want a number. */
static void count_up(_Atomic uint64_t *counter)
{
    const uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + 1, memory_order_relaxed);
}

/*
 * Between "published" and "is it asleep?" there, and "asleep" and "is there anything?" here.
 * Two seq_cst fences are totally ordered: whichever comes second, its thread sees what the other
 * wrote before the first. Without them each may read the old value, and a wake-up is lost.
 * ThreadSanitizer does not model fences (gcc says so: -Wtsan), and need not: posts are ordered by
 * the acquire and release of the ring.
 */
static void fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

static struct port *port_at(const struct bus *bus, size_t index)
{
    CHECK(bus != NULL);
    CHECK(index < bus->port_count);

    return &bus->ports[index];
}

static bool create_port(struct port *port, size_t port_count)
{
    atomic_init(&port->sleeping, 0);
    atomic_init(&port->posts, 0);
    atomic_init(&port->wakes, 0);
    atomic_init(&port->refusals, 0);
    port->peers = calloc(port_count, sizeof(*port->peers));
    port->unpublished = calloc(port_count, sizeof(*port->unpublished));
    return port->peers != NULL && port->unpublished != NULL;
}

static bool create_rings(struct bus *bus, size_t slot_count)
{
    for (size_t from = 0; from < bus->port_count; from++) {
        for (size_t to = 0; to < bus->port_count; to++) {
            if (from == to) {
                continue;
            }
            struct ring *ring = ring_create(slot_count);
            if (ring == NULL) {
                return false;
            }
            bus->ports[from].peers[to].out = ring;
            bus->ports[to].peers[from].in = ring;
        }
    }
    return true;
}

struct bus *bus_create(size_t port_count, size_t slot_count, size_t reserve)
{
    CHECK(port_count > 0);
    CHECK(port_count <= BUS_PORT_COUNT_MAX);
    CHECK(slot_count >= 2);
    CHECK((slot_count & (slot_count - 1)) == 0);
    CHECK(reserve > 0);
    CHECK(2 * reserve < slot_count);

    struct bus *bus = calloc(1, sizeof(*bus));
    if (bus == NULL) {
        return NULL;
    }
    bus->reserve = reserve;
    bus->ports = aligned_alloc(LINES_APART, port_count * sizeof(*bus->ports));
    if (bus->ports == NULL) {
        free(bus);
        return NULL;
    }
    memset(bus->ports, 0, port_count * sizeof(*bus->ports));
    bus->port_count = port_count;
    for (size_t i = 0; i < port_count; i++) {
        if (!create_port(&bus->ports[i], port_count)) {
            goto destroy_bus;
        }
    }
    if (create_rings(bus, slot_count)) {
        return bus;
    }

destroy_bus:
    bus_destroy(bus);
    return NULL;
}

void bus_destroy(struct bus *bus)
{
    if (bus == NULL) {
        return;
    }
    for (size_t i = 0; i < bus->port_count; i++) {
        struct port *port = &bus->ports[i];
        for (size_t to = 0; port->peers != NULL && to < bus->port_count; to++) {
            ring_destroy(port->peers[to].out);
        }
        free(port->peers);
        free(port->unpublished);
    }
    free(bus->ports);
    free(bus);
}

void bus_port_on_wake(struct bus *bus, size_t port, void (*wake)(void *context), void *context)
{
    struct port *self = port_at(bus, port);
    self->wake = wake;
    self->wake_context = context;
}

size_t bus_port_count(const struct bus *bus)
{
    CHECK(bus != NULL);

    return bus->port_count;
}

/* Into a ring that is known to have room. */
static void put(struct bus *bus, size_t from, size_t to, const struct bus_post *post,
                enum bus_role role)
{
    struct port *self = &bus->ports[from];
    struct peer *peer = &self->peers[to];
    struct bus_post copy = *post;
    copy.from = (uint16_t)from;
    copy.role = (uint8_t)role;
    const bool done = ring_put(peer->out, &copy);
    CHECK(done);
    count_up(&self->posts);
    if (!peer->has_unpublished) {
        peer->has_unpublished = true;
        self->unpublished[self->unpublished_count] = (uint16_t)to;
        self->unpublished_count++;
    }
}

/*
 * Tells leave two reserves alone, one for asks and one for answers: whatever is in the ring, so
 * many of each still fit.
 */
bool bus_has_room(struct bus *bus, size_t from, size_t to)
{
    struct port *self = port_at(bus, from);
    CHECK(to < bus->port_count);
    CHECK(to != from);
    return ring_room(self->peers[to].out, 2 * bus->reserve + 1) > 2 * bus->reserve;
}

enum bus_result bus_tell(struct bus *bus, size_t from, size_t to, const struct bus_post *post)
{
    struct port *self = port_at(bus, from);
    CHECK(to < bus->port_count);
    CHECK(to != from);
    CHECK(post != NULL);

    if (!bus_has_room(bus, from, to)) {
        count_up(&self->refusals);
        return BUS_FULL;
    }
    put(bus, from, to, post, BUS_TELL);
    return BUS_POSTED;
}

enum bus_result bus_ask(struct bus *bus, size_t from, size_t to, const struct bus_post *post)
{
    struct port *self = port_at(bus, from);
    CHECK(to < bus->port_count);
    CHECK(to != from);
    CHECK(post != NULL);

    if (self->peers[to].asks_open == bus->reserve) {
        count_up(&self->refusals);
        return BUS_FULL;
    }
    CHECK(ring_room(self->peers[to].out, 1) > 0);
    self->peers[to].asks_open++;
    put(bus, from, to, post, BUS_ASK);
    return BUS_POSTED;
}

void bus_answer(struct bus *bus, size_t from, size_t to, const struct bus_post *post)
{
    struct port *self = port_at(bus, from);
    CHECK(to < bus->port_count);
    CHECK(to != from);
    CHECK(post != NULL);
    CHECK(self->peers[to].answers_owed > 0);
    CHECK(ring_room(self->peers[to].out, 1) > 0);

    self->peers[to].answers_owed--;
    put(bus, from, to, post, BUS_ANSWER);
}

/* The port may have gone to sleep before it could see what we published. */
static void wake_if_asleep(struct port *self, struct port *other)
{
    /* Relaxed: the fence before has ordered it. */
    if (atomic_load_explicit(&other->sleeping, memory_order_relaxed) == 0) {
        return;
    }
    /*
     * Of several that come now one wakes. Relaxed: who loses has published before its fence, and
     * the winner's wake makes the sleeper look again, behind a fence of its own.
     */
    if (atomic_exchange_explicit(&other->sleeping, 0, memory_order_relaxed) == 0 ||
        other->wake == NULL) {
        return;
    }
    count_up(&self->wakes);
    other->wake(other->wake_context);
}

void bus_flush(struct bus *bus, size_t from)
{
    struct port *self = port_at(bus, from);

    if (self->unpublished_count == 0) {
        return;
    }
    for (size_t i = 0; i < self->unpublished_count; i++) {
        const bool published = ring_publish(self->peers[self->unpublished[i]].out);
        CHECK(published);
    }
    fence();
    for (size_t i = 0; i < self->unpublished_count; i++) {
        const size_t to = self->unpublished[i];
        self->peers[to].has_unpublished = false;
        wake_if_asleep(self, &bus->ports[to]);
    }
    self->unpublished_count = 0;
}

bool bus_has_unpublished(const struct bus *bus, size_t from)
{
    return port_at(bus, from)->unpublished_count > 0;
}

/* Credits and debts, on the side that takes. */
static void settle(struct port *self, size_t from, const struct bus_post *posts, size_t count)
{
    struct peer *peer = &self->peers[from];
    for (size_t i = 0; i < count; i++) {
        CHECK(posts[i].from == from);
        if (posts[i].role == BUS_ASK) {
            peer->answers_owed++;
        } else if (posts[i].role == BUS_ANSWER) {
            CHECK(peer->asks_open > 0);
            peer->asks_open--;
        }
    }
}

size_t bus_take(struct bus *bus, size_t to, struct bus_post *out, size_t max)
{
    struct port *self = port_at(bus, to);
    CHECK(out != NULL || max == 0);

    size_t count = 0;
    const size_t first = self->next;
    for (size_t i = 0; i < bus->port_count && count < max; i++) {
        const size_t from = first + i < bus->port_count ? first + i : first + i - bus->port_count;
        if (from == to) {
            continue;
        }
        const size_t taken = ring_take(self->peers[from].in, out + count, max - count);
        if (taken > 0) {
            settle(self, from, out + count, taken);
            count += taken;
            self->next = from + 1 < bus->port_count ? from + 1 : 0;
        }
    }
    return count;
}

bool bus_may_sleep(struct bus *bus, size_t port)
{
    struct port *self = port_at(bus, port);

    if (self->unpublished_count > 0) {
        return false;
    }
    /* Relaxed: the fence after orders it. */
    atomic_store_explicit(&self->sleeping, 1, memory_order_relaxed);
    fence();
    for (size_t from = 0; from < bus->port_count; from++) {
        if (from != port && !ring_is_empty(self->peers[from].in)) {
            bus_awake(bus, port);
            return false;
        }
    }
    return true;
}

void bus_awake(struct bus *bus, size_t port)
{
    /* Relaxed: who still sees the 1 wakes once too often, which costs and breaks nothing. */
    atomic_store_explicit(&port_at(bus, port)->sleeping, 0, memory_order_relaxed);
}

size_t bus_credits(const struct bus *bus, size_t from, size_t to)
{
    const struct port *self = port_at(bus, from);
    CHECK(to < bus->port_count);

    return bus->reserve - self->peers[to].asks_open;
}

size_t bus_credits_min(const struct bus *bus, size_t from, size_t count)
{
    size_t credits = SIZE_MAX;

    CHECK(count <= bus->port_count);
    for (size_t to = 0; to < count; to++) {
        if (to != from && bus_credits(bus, from, to) < credits) {
            credits = bus_credits(bus, from, to);
        }
    }
    return credits;
}

uint64_t bus_posts(const struct bus *bus, size_t port)
{
    return atomic_load_explicit(&port_at(bus, port)->posts, memory_order_relaxed);
}

uint64_t bus_wakes(const struct bus *bus, size_t port)
{
    return atomic_load_explicit(&port_at(bus, port)->wakes, memory_order_relaxed);
}

uint64_t bus_refusals(const struct bus *bus, size_t port)
{
    return atomic_load_explicit(&port_at(bus, port)->refusals, memory_order_relaxed);
}
