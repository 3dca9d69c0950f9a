/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/renewal.h"

#include "bench/load/client.h"
#include "bench/load/run.h"
#include "bench/load/storm.h"
#include "bench/load/worker.h"
#include "core/check.h"
#include "core/monotime.h"
#include "net/reactor.h"

static bool recovers(const struct client *client)
{
    return client->worker->run->options->recovers;
}

/* -- who takes part ---------------------------------------------------------------------------- */

static void takes_part(const struct client *client)
{
    const struct run *run = client->worker->run;

    (void)atomic_fetch_add_explicit(&run->member_counts[run_room_of(run, client->index)], 1,
                                    memory_order_relaxed);
}

static void takes_no_part(const struct client *client)
{
    const struct run *run = client->worker->run;

    (void)atomic_fetch_sub_explicit(&run->member_counts[run_room_of(run, client->index)], 1,
                                    memory_order_relaxed);
}

/* The server cannot give what it missed: who waits for all that was sent must not wait for that. */
static void excuse_missed(struct client *client)
{
    const struct run *run = client->worker->run;
    uint32_t sender = run_room_of(run, client->index);

    for (; sender < run->options->publishers; sender += run->options->rooms) {
        const uint32_t sent = atomic_load_explicit(&run->numbers[sender], memory_order_relaxed);
        const uint32_t more = sequence_excuse(&client->sequences[run_place_of(run, sender)], sent);
        tally_subtract(&client->worker->tally, TALLY_EXPECTED, more);
    }
}

/* -- cutting ----------------------------------------------------------------------------------- */

void renewal_begin(struct worker *worker)
{
    worker->renewal.next = worker->traffic.publisher_count;
}

/* Without recovery it forgets what it has: its next life begins with whatever comes first. */
static void cut(struct client *client) ON_REACTOR
{
    client_leave(client, true);
    client->was_cut = true;
    if (!recovers(client)) {
        const uint32_t places = run_publishers_per_room(client->worker->run);
        takes_no_part(client);
        client->is_new = true;
        for (uint32_t i = 0; i < places; i++) {
            client->sequences[i] = (struct sequence){0};
            sequence_open(&client->sequences[i]);
        }
    }
}

/* Those of this worker, all in one iteration. */
static void strike(struct worker *worker, uint64_t now_ns) ON_REACTOR
{
    struct storm *storm = &worker->run->storm;

    for (uint32_t i = 0; i < worker->client_count; i++) {
        struct client *client = &worker->clients[i];
        if (!storm_strikes(storm, client->index)) {
            continue;
        }
        if (client->state == CLIENT_READY) {
            client->is_away = true;
            cut(client);
        } else {
            storm_is_back(storm, now_ns); /* it was not there to be struck */
        }
    }
    worker->again_ns = storm_return_ns(storm);
    worker->renewal.has_struck = true;
}

/* Publishers stay. */
static void cut_due(struct worker *worker, uint64_t now_ns) ON_REACTOR
{
    const struct options *options = worker->run->options;
    const uint64_t start_ns = atomic_load_explicit(&worker->run->start_ns, memory_order_relaxed);
    const uint32_t first = worker->traffic.publisher_count;
    const uint32_t count = worker->client_count - first;

    if (options->reconnect_rate <= 0 || count == 0) {
        return;
    }
    const double due = (double)(now_ns - start_ns) / (double)MONOTIME_NS_PER_S *
                       options->reconnect_rate / options->threads;
    while ((double)worker->renewal.count < due) {
        struct client *client = &worker->clients[worker->renewal.next];
        worker->renewal.next = first + (worker->renewal.next - first + 1) % count;
        worker->renewal.count++;
        if (client->state == CLIENT_READY) {
            cut(client);
        }
    }
}

uint64_t renewal_tick(struct worker *worker, uint64_t now_ns)
{
    const struct storm *storm = &worker->run->storm;

    cut_due(worker, now_ns);
    if (storm->struck_count == 0 || worker->renewal.has_struck) {
        return UINT64_MAX;
    }
    if (now_ns < storm_strike_ns(storm)) {
        return storm_strike_ns(storm);
    }
    strike(worker, now_ns);
    return worker->again_ns;
}

/* -- coming back ------------------------------------------------------------------------------- */

void renewal_on_ready(struct client *client)
{
    if (!(client->was_cut && recovers(client))) {
        takes_part(client); /* else it has done so all the time */
    }
}

void renewal_on_recovery(struct client *client, bool recovered)
{
    if (!recovered) {
        client->is_new = true;
        excuse_missed(client);
    }
    client->back_ns = reactor_now(client->worker->reactor);
    if (client->is_away) {
        client->is_away = false;
        storm_is_back(&client->worker->run->storm, client->back_ns);
    }
}

void renewal_on_unsubscribed(struct client *client)
{
    struct storm *storm = &client->worker->run->storm;

    if (client->back_ns > 0 && storm_strikes(storm, client->index)) {
        client->is_away = true; /* it was given a part, and comes for the next */
        storm_is_away(storm);
    }
}

void renewal_on_closed(struct client *client, bool was_ready)
{
    if (was_ready) {
        takes_no_part(client);
    } else if (client->was_cut) {
        worker_dial_again(client->worker, client);
    }
}

void renewal_finish(struct worker *worker)
{
    const struct storm *storm = &worker->run->storm;
    const uint64_t return_ns = storm_return_ns(storm);

    for (uint32_t i = 0; i < worker->client_count; i++) {
        const struct client *client = &worker->clients[i];
        if (storm_strikes(storm, client->index) && !client->is_away &&
            client->back_ns >= return_ns) {
            histogram_add(&worker->tally.back, client->back_ns - return_ns);
        }
    }
}
