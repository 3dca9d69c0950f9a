/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "bench/load/run.h"
#include "bench/load/splitmix.h"
#include "core/check.h"
#include "core/monotime.h"
#include "net/reactor.h"
#include "proto/permessage.h"

enum {
    QUEUE_BYTES_MAX = 256 * 1024 * 1024, /* per connection: the schedule does not wait */
    QUEUE_BYTES_HIGH = 64 * 1024 * 1024,
    RECEIVE_BUDGET = 256 * 1024, /* bytes per connection and iteration */
    RECEIVE_BUFFER_COUNT = 512,
    RECEIVE_BUFFER_SIZE = 4096,          /* bytes */
    MESSAGE_SIZE_MAX = 64 * 1024 * 1024, /* bytes */
    SPARE_CONN_COUNT = 64,               /* ended, but not yet out of the kernel's hands */
    COMMAND_SIZE_MAX = 512,              /* bytes of a publish around its data */
};
#define STALL_NS (60 * MONOTIME_NS_PER_S)
#define REST_NS  (2 * MONOTIME_NS_PER_S)
#define IDLE_NS  (20 * MONOTIME_NS_PER_MS) /* how late a new phase is noticed, at most */

uint64_t worker_random(struct worker *worker)
{
    worker->random ^= worker->random << 13;
    worker->random ^= worker->random >> 7;
    worker->random ^= worker->random << 17;
    return worker->random;
}

bool worker_is_before(const struct worker *worker, uint32_t phase)
{
    return atomic_load_explicit(&worker->run->phase, memory_order_acquire) < phase;
}

void worker_wake(struct worker *worker)
{
    reactor_wake(worker->reactor);
}

/* -- the loop ---------------------------------------------------------------------------------- */

void worker_dial_again(struct worker *worker, const struct client *client)
{
    CHECK(worker->again_count < worker->client_count);
    worker->again[worker->again_count++] = (uint32_t)(client - worker->clients);
}

static void dial_client(struct worker *worker, uint32_t index) ON_REACTOR
{
    const int result = client_dial(&worker->clients[index]);
    if (result != 0) {
        tally_add(&worker->tally, TALLY_CONNECT_FAILED, 1);
        tally_add_cause(&worker->tally, CAUSE_SYSTEM, (uint32_t)-result);
    }
}

/* The first connection of each client, and those that are to be renewed, a few at a time. */
static void dial(struct worker *worker, uint64_t now_ns) ON_REACTOR
{
    const struct options *options = worker->run->options;
    const uint32_t most =
        options->scenario == OPTIONS_CONNECT ? worker->client_count : options->dials;
    while (worker->dialled < worker->client_count && worker->dialling < most) {
        dial_client(worker, worker->dialled++);
    }
    while (worker->again_count > 0 && worker->dialling < most && now_ns >= worker->again_ns) {
        dial_client(worker, worker->again[--worker->again_count]);
    }
}

static void leave_all(struct worker *worker) ON_REACTOR
{
    for (uint32_t i = 0; i < worker->client_count; i++) {
        client_leave(&worker->clients[i], false);
    }
}

/* The work of one iteration; how long the next one may sleep. */
static uint64_t step(struct worker *worker) ON_REACTOR
{
    const uint64_t now_ns = monotime_read();
    uint64_t due_ns = UINT64_MAX;
    if (worker->scenario->tick != NULL) {
        due_ns = worker->scenario->tick(worker, now_ns);
    }

    dial(worker, now_ns);
    if (due_ns <= now_ns) {
        return 0;
    }
    return due_ns - now_ns < IDLE_NS ? due_ns - now_ns : IDLE_NS;
}

static void iterate(struct worker *worker, bool works) ON_REACTOR
{
    const uint64_t sleep_ns = works ? step(worker) : IDLE_NS;

    reactor_flush(worker->reactor);
    reactor_wait(worker->reactor, sleep_ns);
    reactor_receive(worker->reactor);
    reactor_flush(worker->reactor);
    reactor_sweep(worker->reactor);
}

void worker_run(void *context)
{
    struct worker *worker = context;

    /* A message is to be sent when it is due, not 50 us later. */
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    reactor_enter(worker->reactor);
    while (worker_is_before(worker, RUN_CLOSE)) {
        iterate(worker, true);
    }
    if (worker->scenario->finish != NULL) {
        worker->scenario->finish(worker);
    }
    atomic_store_explicit(&worker->done, true, memory_order_release); /* with what it counted */
    leave_all(worker);
    while (reactor_conn_count(worker->reactor) > 0) {
        iterate(worker, false); /* each has its second to leave in */
    }
    reactor_leave(worker->reactor);
}

/* -- life -------------------------------------------------------------------------------------- */

/* Times are the loop's own: no timer of the owner's is ever armed. */
static int create_reactor(struct worker *worker)
{
    const struct reactor_options options = {
        .backend = worker->run->backend,
        .index = (uint16_t)worker->index,
        .conn_count_max = 2 * worker->client_count + SPARE_CONN_COUNT,
        .queue_bytes_low = QUEUE_BYTES_HIGH / 2,
        .queue_bytes_high = QUEUE_BYTES_HIGH,
        .queue_bytes_max = QUEUE_BYTES_MAX,
        .queue_bytes_max_large = QUEUE_BYTES_MAX,
        .pending_max = MESSAGE_SIZE_MAX,
        .write_stall_ns = STALL_NS,
        .tls_handshake_ns = STALL_NS, /* --connect-timeout is for all of them together */
        .receive_budget_bytes = RECEIVE_BUDGET,
        .receive_buffer_count = RECEIVE_BUFFER_COUNT,
        .receive_buffer_size = RECEIVE_BUFFER_SIZE,
        .rest_ns = REST_NS,
        .context = worker,
    };
    int result = reactor_create(&options, &worker->reactor);
    if (result == 0) {
        client_set_handler(worker, &worker->handler);
        worker->dialer = reactor_dialer_tls(worker->reactor, &worker->handler, worker->run->tls);
        result = worker->dialer < 0 ? worker->dialer : 0;
    }
    return result;
}

static int create_clients(struct worker *worker)
{
    const struct options *options = worker->run->options;

    worker->client_count =
        (options->connections - worker->index + options->threads - 1) / options->threads;
    worker->clients = calloc(worker->client_count, sizeof(*worker->clients));
    worker->scratch_size = 2 * ((size_t)payload_sizes_max(&options->sizes) + COMMAND_SIZE_MAX);
    worker->scratch = malloc(worker->scratch_size);
    worker->again = calloc(worker->client_count, sizeof(*worker->again));
    worker->inflater = options->compress ? permessage_inflater_create() : NULL;
    if (worker->clients == NULL || worker->scratch == NULL || worker->again == NULL ||
        (options->compress && worker->inflater == NULL)) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < worker->client_count; i++) {
        worker->clients[i].worker = worker;
        worker->clients[i].index = i * options->threads + worker->index;
    }
    return 0;
}

struct worker *worker_create(struct run *run, uint32_t index, const struct scenario_ops *scenario,
                             int *error)
{
    CHECK(index < run->options->threads);
    struct worker *worker = calloc(1, sizeof(*worker));
    if (worker == NULL) {
        *error = -ENOMEM;
        return NULL;
    }
    worker->run = run;
    worker->index = index;
    worker->scenario = scenario;
    worker->random = splitmix(run->options->seed + index) | 1;
    worker->limits = (struct stream_limits){.message_size_max = MESSAGE_SIZE_MAX,
                                            .fragment_count_max = UINT32_MAX,
                                            .from_server = true,
                                            .compression = run->options->compress};
    *error = create_clients(worker);
    if (*error == 0 && scenario->begin != NULL) {
        *error = scenario->begin(worker);
    }
    if (*error == 0) {
        *error = create_reactor(worker);
    }
    if (*error != 0) {
        worker_destroy(worker);
        return NULL;
    }
    return worker;
}

void worker_destroy(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    reactor_destroy(worker->reactor);
    if (worker->clients != NULL && worker->scenario->end != NULL) {
        worker->scenario->end(worker);
    }
    permessage_inflater_destroy(worker->inflater);
    free(worker->clients);
    free(worker->again);
    free(worker->scratch);
    free(worker);
}
