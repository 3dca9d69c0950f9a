/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages: echo, fanout and chat, which differ in who is in a room with whom and in how a message
 * looks on the wire, and in nothing else. In an echo each connection is alone in its room.
 *
 * Open loop: a worker's publishers take turns in a schedule that the seed fixes. Nothing that the
 * server does changes it, and a message's latency is counted from its place in it. A publisher
 * that is not connected when its turn comes leaves it out, and that is an error.
 * Closed loop: a message is sent when one of the publisher's window has come back from everybody.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench/load/client.h"
#include "bench/load/payload.h"
#include "bench/load/renewal.h"
#include "bench/load/run.h"
#include "bench/load/scenario.h"
#include "bench/load/splitmix.h"
#include "bench/load/transcript.h"
#include "bench/load/worker.h"
#include "core/check.h"
#include "core/monotime.h"
#include "net/reactor.h"

enum {
    SENDS_PER_TICK = 256,       /* then what has come is looked at */
    TRANSCRIPT_MEMBERS_MIN = 4, /* of a room, on one worker */
    TRANSCRIPT_LINES_MIN = 32,
    TRANSCRIPT_LINES_MAX = 8192,
    TRANSCRIPT_LINE_SIZE = 128,              /* bytes kept for each line */
    TRANSCRIPTS_SIZE_MAX = 32 * 1024 * 1024, /* bytes of a worker, where the least is less */
};
#define LATE_SEND_NS MONOTIME_NS_PER_MS

/* -- who and when ------------------------------------------------------------------------------ */

/* Of the first `count` clients, how many are this worker's. */
static uint32_t share_of(const struct run *run, uint32_t count, uint32_t worker)
{
    const uint32_t threads = run->options->threads;
    return worker < count ? (count - worker + threads - 1) / threads : 0;
}

/*
 * The time of the worker's message with this index. Its publishers take turns, one in each
 * interval, at a moment in it that the seed decides.
 */
static uint64_t due_at(const struct run *run, uint32_t worker, uint64_t index)
{
    const struct options *options = run->options;
    const uint32_t share = share_of(run, options->publishers, worker);
    const double interval_ns =
        (double)MONOTIME_NS_PER_S * options->publishers / (options->rate * share);
    const uint64_t random = splitmix(options->seed ^ splitmix(index * options->threads + worker));
    const double jitter = (double)(random >> 11) * 0x1p-53;

    return atomic_load_explicit(&run->start_ns, memory_order_relaxed) +
           (uint64_t)(((double)index + jitter) * interval_ns);
}

/* The same, as a receiver knows the message. */
static uint64_t due_of(const struct run *run, struct payload_stamp stamp)
{
    const uint32_t worker = stamp.sender % run->options->threads;
    const uint32_t share = share_of(run, run->options->publishers, worker);

    return due_at(run, worker,
                  (uint64_t)stamp.number * share + stamp.sender / run->options->threads);
}

/* -- sending ----------------------------------------------------------------------------------- */

static struct run_slot *slot_of(const struct run *run, struct payload_stamp stamp)
{
    const uint32_t window = run->options->window;
    return &run->slots[(size_t)stamp.sender * window + stamp.number % window];
}

/* Who has to get what this client sends. */
static uint32_t receivers_of(const struct client *client)
{
    const struct run *run = client->worker->run;
    const uint32_t members = atomic_load_explicit(
        &run->member_counts[run_room_of(run, client->index)], memory_order_relaxed);
    return run->options->excludes_sender && members > 0 ? members - 1 : members;
}

static void send_message(struct client *client, uint64_t now_ns) ON_REACTOR
{
    struct worker *worker = client->worker;
    const struct run *run = worker->run;
    const struct options *options = run->options;
    const struct payload_stamp stamp = {.sender = client->index, .number = client->number};
    const uint32_t size = payload_sizes_pick(&options->sizes, stamp, options->seed);
    const uint32_t receivers = receivers_of(client);

    if (options->window > 0) {
        struct run_slot *slot = slot_of(run, stamp);
        atomic_store_explicit(&slot->sent_ns, now_ns, memory_order_relaxed);
        /* Pairs with the decrement in complete(), on the thread of a receiver. */
        atomic_store_explicit(&slot->left, receivers, memory_order_release);
    }
    client->number++;
    atomic_store_explicit(&run->numbers[client->index], client->number, memory_order_relaxed);
    tally_add(&worker->tally, TALLY_SENT, 1);
    tally_add(&worker->tally, TALLY_EXPECTED, receivers);
    payload_write(run->source, stamp, size, worker->scratch + 1);
    client_send(client, (struct span){worker->scratch + 1, size});
}

/* Everything of the schedule that is due. */
static uint64_t send_due(struct worker *worker, uint64_t now_ns) ON_REACTOR
{
    const uint64_t end_ns = atomic_load_explicit(&worker->run->end_ns, memory_order_relaxed);

    for (int sends = 0; worker->traffic.publisher_count > 0; sends++) {
        const uint64_t due_ns = due_at(worker->run, worker->index, worker->traffic.next);
        if (due_ns >= end_ns) {
            break;
        }
        if (due_ns > now_ns) {
            return due_ns;
        }
        if (sends == SENDS_PER_TICK) {
            return now_ns;
        }
        struct client *client =
            &worker->clients[worker->traffic.next++ % worker->traffic.publisher_count];
        if (now_ns - due_ns > LATE_SEND_NS) {
            tally_add(&worker->tally, TALLY_LATE_SENDS, 1);
        }
        if (client->state == CLIENT_READY) {
            send_message(client, now_ns);
        } else {
            client->number++; /* its turn is over */
            tally_add(&worker->tally, TALLY_ERRORS, 1);
            tally_add_cause(&worker->tally, CAUSE_TURN, 0);
        }
    }
    return UINT64_MAX;
}

/* Closed loop: fills the window up, a burst at a time. */
static void refill(struct client *client) ON_REACTOR
{
    const struct run *run = client->worker->run;
    const struct options *options = run->options;

    while (client->state == CLIENT_READY) {
        const uint32_t completed =
            atomic_load_explicit(&run->completed[client->index], memory_order_acquire);
        if (client->number - completed + options->burst > options->window) {
            return;
        }
        const uint64_t now_ns = monotime_read();
        for (uint32_t i = 0; i < options->burst && client->state == CLIENT_READY; i++) {
            send_message(client, now_ns);
        }
    }
}

static bool is_sending(const struct worker *worker)
{
    return !worker_is_before(worker, RUN_LOAD) && worker_is_before(worker, RUN_DRAIN);
}

/*
 * Is something due to it? To who is still there, or was cut and should be back. Who is new is not
 * asked, for nobody knows with what it had to begin.
 */
static bool is_owed(const struct client *client)
{
    return !client->is_new && (client->state == CLIENT_READY || client->was_cut);
}

/* How many of this sender have not come that are behind all that have. */
static uint32_t owed_by(const struct client *client, uint32_t sender)
{
    const struct run *run = client->worker->run;
    const uint32_t sent = atomic_load_explicit(&run->numbers[sender], memory_order_relaxed);
    const uint32_t got = client->sequences[run_place_of(run, sender)].next;

    if (run->options->excludes_sender && sender == client->index) {
        return 0;
    }
    return sent > got ? sent - got : 0;
}

static bool has_all(const struct client *client)
{
    const struct run *run = client->worker->run;
    uint32_t sender = run_room_of(run, client->index);

    for (; is_owed(client) && sender < run->options->publishers; sender += run->options->rooms) {
        if (owed_by(client, sender) > 0 ||
            client->sequences[run_place_of(run, sender)].missing != 0) {
            return false;
        }
    }
    return true;
}

/*
 * Counts of what was expected do not tell: who was cut does not get what was on its way, and who
 * comes back gets what was sent before it was known to be there.
 */
static void look_who_waits(struct worker *worker)
{
    struct run *run = worker->run;

    if (!worker->traffic.has_stopped) {
        worker->traffic.has_stopped = true;
        /* Pairs with the acquire below: the numbers of what was sent are final. */
        (void)atomic_fetch_add_explicit(&run->stopped, 1, memory_order_release);
    }
    if (atomic_load_explicit(&run->stopped, memory_order_acquire) < run->options->threads) {
        return;
    }
    while (worker->traffic.whole < worker->client_count &&
           has_all(&worker->clients[worker->traffic.whole])) {
        worker->traffic.whole++;
    }
    if (worker->traffic.whole == worker->client_count) {
        atomic_store_explicit(&worker->waits, false, memory_order_relaxed);
    }
}

static uint64_t tick(struct worker *worker, uint64_t now_ns) ON_REACTOR
{
    const struct options *options = worker->run->options;

    if (!worker_is_before(worker, RUN_DRAIN)) {
        look_who_waits(worker);
    }
    if (!is_sending(worker)) {
        return UINT64_MAX;
    }
    const uint64_t start_ns = atomic_load_explicit(&worker->run->start_ns, memory_order_relaxed);
    if (now_ns < start_ns) {
        return start_ns;
    }
    const uint64_t renewal_ns = renewal_tick(worker, now_ns);
    if (options->window == 0) {
        const uint64_t due_ns = send_due(worker, now_ns);
        return due_ns < renewal_ns ? due_ns : renewal_ns;
    }
    if (atomic_exchange_explicit(&worker->poked, false, memory_order_acquire)) {
        for (uint32_t i = 0; i < worker->traffic.publisher_count; i++) {
            refill(&worker->clients[i]);
        }
    }
    return renewal_ns;
}

/* -- receiving --------------------------------------------------------------------------------- */

/* A message has come back from everybody: its publisher may go on, on whatever thread it is. */
static void complete(struct client *client, struct payload_stamp stamp) ON_REACTOR
{
    struct worker *worker = client->worker;
    struct run *run = worker->run;
    struct run_slot *slot = slot_of(run, stamp);

    if (atomic_fetch_sub_explicit(&slot->left, 1, memory_order_acq_rel) != 1) {
        return;
    }
    (void)atomic_fetch_add_explicit(&run->completed[stamp.sender], 1, memory_order_release);
    const uint32_t owner = stamp.sender % run->options->threads;
    if (owner != worker->index) {
        atomic_store_explicit(&run->workers[owner]->poked, true, memory_order_release);
        worker_wake(run->workers[owner]);
    } else if (is_sending(worker)) {
        refill(&worker->clients[stamp.sender / run->options->threads]);
    }
}

static void time_delivery(struct client *client, uint64_t due_ns, bool is_recovered) ON_REACTOR
{
    struct worker *worker = client->worker;
    const struct run *run = worker->run;

    if (due_ns < atomic_load_explicit(&run->measure_ns, memory_order_relaxed) ||
        due_ns >= atomic_load_explicit(&run->end_ns, memory_order_relaxed)) {
        return;
    }
    const uint64_t now_ns = reactor_now(worker->reactor);
    const uint64_t latency_ns = now_ns > due_ns ? now_ns - due_ns : 0;
    if (is_recovered) {
        histogram_add(&worker->tally.recovered, latency_ns);
        return;
    }
    histogram_add(&worker->tally.latency, latency_ns);
    if (run->storm.struck_count > 0 && !storm_strikes(&run->storm, client->index)) {
        histogram_add(&worker->tally.live[storm_part_of(&run->storm, due_ns, now_ns)], latency_ns);
    }
}

/* Sent by somebody in this room? */
static bool is_for(const struct client *client, struct payload_stamp stamp)
{
    const struct run *run = client->worker->run;

    return stamp.sender < run->options->publishers &&
           run_room_of(run, stamp.sender) == run_room_of(run, client->index) &&
           stamp.number < atomic_load_explicit(&run->numbers[stamp.sender], memory_order_relaxed);
}

static uint64_t due_ns_of(const struct run *run, struct payload_stamp stamp)
{
    return run->options->window > 0
               ? atomic_load_explicit(&slot_of(run, stamp)->sent_ns, memory_order_relaxed)
               : due_of(run, stamp);
}

/* A message that is what was sent. False: it is one too many, and does not count for anything. */
static bool place(struct client *client, struct payload_stamp stamp)
{
    struct tally *tally = &client->worker->tally;
    struct sequence *sequence = &client->sequences[run_place_of(client->worker->run, stamp.sender)];
    int64_t skipped = 0;

    switch (sequence_take(sequence, stamp.number, &skipped)) {
    case SEQUENCE_IN_ORDER:
        if (client->worker->run->options->recovers) {
            /* The server said that they are lost; below none: some came that were excused. */
            tally_subtract(tally, TALLY_EXPECTED, (uint64_t)skipped);
        }
        break;
    case SEQUENCE_AFTER_GAP:
        tally_add(tally, TALLY_LOST, (uint64_t)skipped);
        break;
    case SEQUENCE_LATE:
        tally_subtract(tally, TALLY_LOST, 1);
        tally_add(tally, TALLY_REORDERED, 1);
        break;
    case SEQUENCE_DUPLICATE:
        tally_add(tally, TALLY_DUPLICATED, 1);
        return false; /* its slot may be another message's by now */
    }
    return true;
}

static void account(struct client *client, const struct transcript_line *line, bool is_recovered)
    ON_REACTOR
{
    struct worker *worker = client->worker;

    client->position.offset = line->offset;
    tally_add(&worker->tally, TALLY_RECEIVED, 1);
    if (!place(client, line->stamp)) {
        return;
    }
    time_delivery(client, line->due_ns, is_recovered);
    if (worker->run->options->window > 0) {
        complete(client, line->stamp);
    }
}

static struct transcript *transcript_of(const struct client *client)
{
    const struct worker *worker = client->worker;

    return worker->traffic.transcripts == NULL
               ? NULL
               : worker->traffic.transcripts[run_room_of(worker->run, client->index)];
}

static bool recognises(struct client *client, struct bytes message) ON_REACTOR
{
    const struct transcript *transcript = transcript_of(client);
    const struct transcript_line *line =
        transcript == NULL ? NULL : transcript_find(transcript, client->heard, message);

    if (line == NULL) {
        return false;
    }
    client->heard++;
    account(client, line, false);
    return true;
}

static void on_delivery(struct client *client, const struct scenario_delivery *delivery) ON_REACTOR
{
    struct worker *worker = client->worker;
    struct transcript *transcript = transcript_of(client);
    struct transcript_line line = {.offset = delivery->offset};

    if (!payload_read(delivery->payload, &line.stamp) || !is_for(client, line.stamp)) {
        tally_add(&worker->tally, TALLY_RECEIVED, 1);
        tally_add(&worker->tally, TALLY_CORRUPTED, 1);
        return;
    }
    line.due_ns = due_ns_of(worker->run, line.stamp);
    if (transcript != NULL && delivery->message.size > 0) {
        client->heard = transcript_note(transcript, delivery->message, line);
    }
    account(client, &line, delivery->is_recovered);
}

/* -- begin and end ----------------------------------------------------------------------------- */

/* Lines of one transcript, so that all of them keep to the budget. 0: it would not pay. */
static size_t transcript_lines(const struct worker *worker)
{
    const uint32_t rooms = worker->run->options->rooms;
    size_t lines = TRANSCRIPT_LINES_MAX;

    if (worker->client_count / rooms < TRANSCRIPT_MEMBERS_MIN) {
        return 0;
    }
    while (lines > TRANSCRIPT_LINES_MIN &&
           lines * rooms * TRANSCRIPT_LINE_SIZE > TRANSCRIPTS_SIZE_MAX) {
        lines /= 2;
    }
    return lines;
}

static int create_transcripts(struct worker *worker)
{
    const uint32_t rooms = worker->run->options->rooms;
    const size_t lines = transcript_lines(worker);

    if (lines == 0) {
        return 0;
    }
    worker->traffic.transcripts = calloc(rooms, sizeof(struct transcript *));
    for (uint32_t i = 0; worker->traffic.transcripts != NULL && i < rooms; i++) {
        worker->traffic.transcripts[i] = transcript_create(lines, lines * TRANSCRIPT_LINE_SIZE);
        if (worker->traffic.transcripts[i] == NULL) {
            return -ENOMEM;
        }
    }
    return worker->traffic.transcripts == NULL ? -ENOMEM : 0;
}

static int begin(struct worker *worker)
{
    const struct options *options = worker->run->options;
    const uint32_t places = run_publishers_per_room(worker->run);

    for (uint32_t i = 0; i < worker->client_count; i++) {
        worker->clients[i].sequences = calloc(places, sizeof(struct sequence));
        if (worker->clients[i].sequences == NULL) {
            return -ENOMEM;
        }
    }
    worker->traffic.publisher_count = share_of(worker->run, options->publishers, worker->index);
    renewal_begin(worker);
    atomic_store_explicit(&worker->poked, true, memory_order_relaxed); /* the first windows */
    atomic_store_explicit(&worker->waits, true, memory_order_relaxed);
    return create_transcripts(worker);
}

static void end(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->client_count; i++) {
        free(worker->clients[i].sequences);
    }
    for (uint32_t i = 0; worker->traffic.transcripts != NULL && i < worker->run->options->rooms;
         i++) {
        transcript_destroy(worker->traffic.transcripts[i]);
    }
    free(worker->traffic.transcripts);
}

/* What was sent and has not come. What was jumped over was counted when that was seen. */
static void count_lost(struct worker *worker)
{
    const struct run *run = worker->run;

    for (uint32_t i = 0; i < worker->client_count; i++) {
        const struct client *client = &worker->clients[i];
        uint32_t sender = run_room_of(run, client->index);
        for (; is_owed(client) && sender < run->options->publishers;
             sender += run->options->rooms) {
            tally_add(&worker->tally, TALLY_LOST, owed_by(client, sender));
        }
    }
}

static void finish(struct worker *worker)
{
    count_lost(worker);
    renewal_finish(worker);
}

const struct scenario_ops scenario_traffic_ops = {
    .begin = begin,
    .on_ready = renewal_on_ready,
    .recognises = recognises,
    .on_delivery = on_delivery,
    .on_recovery = renewal_on_recovery,
    .on_unsubscribed = renewal_on_unsubscribed,
    .on_closed = renewal_on_closed,
    .tick = tick,
    .finish = finish,
    .end = end,
};
