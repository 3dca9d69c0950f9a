/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_RENEWAL_H
#define BENCH_LOAD_RENEWAL_H
/*
 * Connections of traffic that are cut on purpose, with a reset, and made again: one after the
 * other (--reconnects), or nearly all at once (--storm). And who takes part in a room meanwhile:
 * with --recover also who is away, for it has to be given what it misses.
 *
 * Threads   the worker's, on its reactor.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

struct client;
struct worker;

void renewal_begin(struct worker *worker);

/* Cuts who is due to be cut. Returns when it wants to be called again, ns. */
NODISCARD uint64_t renewal_tick(struct worker *worker, uint64_t now_ns) ON_REACTOR;

/* As of scenario_ops. */
void renewal_on_ready(struct client *client);
void renewal_on_recovery(struct client *client, bool recovered) ON_REACTOR;
void renewal_on_unsubscribed(struct client *client);
void renewal_on_closed(struct client *client, bool was_ready) ON_REACTOR;

/* After the drain: how long who was struck by a storm took to be back. */
void renewal_finish(struct worker *worker);

#endif /* BENCH_LOAD_RENEWAL_H */
