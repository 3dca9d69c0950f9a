/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_WORKER_H
#define BENCH_LOAD_WORKER_H
/*
 * One thread of the generator: a reactor, its share of the clients, and what they have counted.
 *
 * Owner     the run. Worker w has the clients w, w + threads, w + 2 * threads, ...
 * Threads   created and destroyed by the main thread; worker_run() on its own. Others may read
 *           the tally and poke it.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "bench/load/client.h"
#include "bench/load/scenario.h"
#include "bench/load/tally.h"
#include "core/annot.h"
#include "core/thread.h"
#include "net/conn.h"
#include "proto/stream.h"

struct permessage_inflater;
struct run;
struct transcript;

enum { WORKER_TLS_FAULT_SIZE = 128 }; /* bytes with the NUL */

struct worker {
    struct run *run;
    const struct scenario_ops *scenario;
    struct reactor *reactor;
    struct conn_handler handler;
    struct stream_limits limits;
    struct permessage_inflater *inflater; /* NULL: nothing comes compressed */
    int dialer;
    uint32_t index;
    struct thread thread;

    struct client *clients;
    uint32_t client_count;
    uint32_t dialled; /* clients that were dialled for the first time */
    uint32_t *again;  /* clients to be dialled again, by place in `clients` */
    uint32_t again_count;
    uint64_t again_ns; /* from when on; 0: at once */
    uint32_t dialling; /* connections that are not ready yet */
    uint64_t random;   /* masks, nonces */
    uint8_t *scratch;  /* room for one message as JSON, quotes included */
    size_t scratch_size;

    struct {
        uint32_t publisher_count;        /* the first of the clients */
        uint64_t next;                   /* open loop: messages sent so far, over all of them */
        struct transcript **transcripts; /* of each room; NULL: rooms are too small for it */
        uint32_t whole;                  /* so many clients, the first ones, wait for nothing */
        bool has_stopped;                /* it is among run->stopped */
    } traffic;
    struct {
        uint64_t count;  /* connections that --reconnects has cut so far */
        uint32_t next;   /* client that it cuts next, of those that do not publish */
        bool has_struck; /* the storm */
    } renewal;
    _Atomic bool poked;         /* another worker has completed a message of ours */
    _Atomic bool waits;         /* for what was sent to one of its clients */
    _Atomic bool done;          /* nothing more will be counted */
    _Atomic bool has_tls_fault; /* `tls_fault` is there, and will not change */
    char tls_fault[WORKER_TLS_FAULT_SIZE];
    struct tally tally;
};

/* NULL: no memory, or no reactor; `error` is -errno then. */
NODISCARD struct worker *worker_create(struct run *run, uint32_t index,
                                       const struct scenario_ops *scenario, int *error);
void worker_destroy(struct worker *worker);

/* The body of its thread. */
void worker_run(void *worker);

/* As soon as that may be. At most once while it is gone. */
void worker_dial_again(struct worker *worker, const struct client *client) ON_REACTOR;

/* Ends its sleep. ANY_THREAD. */
void worker_wake(struct worker *worker);

NODISCARD uint64_t worker_random(struct worker *worker);

/* In each phase until that one has begun. */
NODISCARD bool worker_is_before(const struct worker *worker, uint32_t phase);

#endif /* BENCH_LOAD_WORKER_H */
