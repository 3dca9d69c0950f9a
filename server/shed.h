/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SHED_H
#define SERVER_SHED_H
/*
 * Who goes first when memory is all in use: clients whose queues are at least half as long as the
 * longest of this reactor. They are told 3008. Phase 4. ON the reactor.
 */
#include "core/annot.h"

struct gateway;
struct metrics;
struct reactor;

void shed_longest(struct reactor *reactor, struct gateway *gateway, struct metrics *metrics)
    ON_REACTOR;

#endif /* SERVER_SHED_H */
