/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_DRAIN_H
#define SERVER_DRAIN_H
/*
 * How the clients of one reactor are sent away.
 *
 *   grace    /ready says no; everything else goes on, also for who still comes, until load
 *            balancers have noticed (shutdown.grace)
 *   paced    the public listener is closed. Who speaks HTTP does not come back for being sent away,
 *            so all at once are: a request that has begun is answered, what is silent is closed a
 *            moment later. One WebSocket after the other is told 3001, behind everything that it is
 *            owed: as slowly as the time allows, not below shutdown.close_rate, so that those who
 *            come back elsewhere are no storm there
 *   told     nobody is left to be told; who was has the rest of shutdown.timeout to take what it is
 *            owed and to answer, then it is cut
 *   deserted no client is there any more. The internal listener stays, for /ready and /metrics are
 *            asked of any reactor and speak of all
 *   last     so it is on every reactor: the internal listener goes, too, and who asks there as who
 *            asked outside
 *
 * Owner     a shard. ON its reactor. A plain value; zeroed: no drain.
 * Not here  what still is under way in the hub, and who is told that it is over (shard.c); how far
 *           the other reactors are (control.c).
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "server/pace.h"

struct config;
struct gateway;
struct hub;
struct metrics;
struct reactor;

enum drain_phase {
    DRAIN_NONE = 0,
    DRAIN_GRACE,
    DRAIN_PACED,
    DRAIN_TOLD,
    DRAIN_DESERTED,
    DRAIN_LAST,
};

struct drain {
    const struct config *config;
    struct reactor *reactor;
    struct gateway *gateway;
    struct hub *hub;
    struct metrics *metrics;
    uint64_t seed;
    enum drain_phase phase;
    uint64_t grace_end_ns; /* of the reactor's clock, like all times here */
    uint64_t deadline_ns;
    struct pace pace;
    uint32_t slot;      /* where the search for the next one goes on */
    uint32_t remaining; /* not told yet; those who left by themselves since the last count, too */
    bool has_cut;       /* who was left at the deadline of this phase */
};

/* SIGTERM has come. */
void drain_begin(struct drain *drain) ON_REACTOR;

/* Once an iteration, after delivery. */
void drain_step(struct drain *drain) ON_REACTOR;

/* All reactors are deserted. */
void drain_end(struct drain *drain) ON_REACTOR;

/* When to call drain_step() at the latest if nothing happens; UINT64_MAX: any time. */
NODISCARD uint64_t drain_due_ns(const struct drain *drain) ON_REACTOR;

/* No client is connected any more, and none can be. */
NODISCARD bool drain_is_deserted(const struct drain *drain) ON_REACTOR;

/* The same of everybody. */
NODISCARD bool drain_is_over(const struct drain *drain) ON_REACTOR;

#endif /* SERVER_DRAIN_H */
