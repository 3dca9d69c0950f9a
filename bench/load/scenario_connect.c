/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshakes: each client connects, shakes hands (and subscribes, with --session), is cut with a
 * reset, and begins again. A reset leaves no TIME_WAIT behind, which would use up the ports.
 * Its latency is from the dial to the end of the handshake.
 */
#include "bench/load/client.h"
#include "bench/load/run.h"
#include "bench/load/scenario.h"
#include "bench/load/worker.h"
#include "core/monotime.h"
#include "net/reactor.h"

static void on_ready(struct client *client) ON_REACTOR
{
    struct worker *worker = client->worker;
    const struct run *run = worker->run;

    if (!worker_is_before(worker, RUN_LOAD)) {
        const uint64_t now_ns = reactor_now(worker->reactor);
        if (client->dialled_ns >= atomic_load_explicit(&run->measure_ns, memory_order_relaxed) &&
            now_ns < atomic_load_explicit(&run->end_ns, memory_order_relaxed)) {
            histogram_add(&worker->tally.latency, now_ns - client->dialled_ns);
        }
    }
    client_leave(client, true);
}

static void on_closed(struct client *client, bool was_ready) ON_REACTOR
{
    (void)was_ready;
    if (worker_is_before(client->worker, RUN_DRAIN)) {
        worker_dial_again(client->worker, client);
    }
}

const struct scenario_ops scenario_connect_ops = {
    .on_ready = on_ready,
    .on_closed = on_closed,
};
