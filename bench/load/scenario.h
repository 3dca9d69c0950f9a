/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_SCENARIO_H
#define BENCH_LOAD_SCENARIO_H
/*
 * What clients do once they are connected: a struct of functions, one file each.
 * All run on the worker's thread, all but begin() on its reactor. NULL: nothing is to be done.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/bytes.h"

struct client;
struct worker;

/* What somebody sent, as it came to one client. */
struct scenario_delivery {
    struct bytes payload; /* for a session the JSON data of a publication, without its quotes */
    struct bytes message; /* what it came in, or empty when that held more */
    uint64_t offset;      /* of a publication in its channel; 0: none is known */
    bool is_recovered;    /* it was missed, and is given with the answer to a subscribe */
};

struct scenario_ops {
    /* Before the first connection. 0 or -ENOMEM. */
    int (*begin)(struct worker *worker);

    /* The client is ready: shaken hands, and subscribed where it has a session. */
    void (*on_ready)(struct client *client);

    /*
     * The bytes of a message are those that somebody else in the room got and verified: all that
     * there is to do is done. False: read it.
     */
    bool (*recognises)(struct client *client, struct bytes message);

    void (*on_delivery)(struct client *client, const struct scenario_delivery *delivery);

    /*
     * A session came back to its channel: it is given what it missed, each by an on_delivery(), or
     * nothing (`recovered` is false), and then what it missed is not to be waited for.
     */
    void (*on_recovery)(struct client *client, bool recovered);

    /* A session was told to subscribe again, and does so: an on_recovery() follows. */
    void (*on_unsubscribed)(struct client *client);

    /* Its connection has ended, and may be made again. `was_ready`: on_ready had been called. */
    void (*on_closed)(struct client *client, bool was_ready);

    /* Once in each iteration: does what is due. Returns when it wants to be called again, ns. */
    uint64_t (*tick)(struct worker *worker, uint64_t now_ns);

    /* After the drain, before everybody leaves: counts what is missing. */
    void (*finish)(struct worker *worker);

    /* Frees what begin() made, also when that failed. */
    void (*end)(struct worker *worker);
};

extern const struct scenario_ops scenario_traffic_ops; /* echo, fanout, chat */
extern const struct scenario_ops scenario_connect_ops;
extern const struct scenario_ops scenario_idle_ops;

#endif /* BENCH_LOAD_SCENARIO_H */
