/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/conductor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/load/conductor_private.h"
#include "bench/load/progress.h"
#include "bench/load/stop.h"
#include "core/monotime.h"

enum { POLL_MS = 10 }; /* how often the main thread looks */
#define POINT_NS       MONOTIME_NS_PER_S
#define BLIND_DELAY_NS (500 * MONOTIME_NS_PER_MS)
#define START_DELAY_NS (20 * MONOTIME_NS_PER_MS) /* for all workers to see the phase */

/* -- looking ----------------------------------------------------------------------------------- */

static void pause_ms(unsigned ms)
{
    const struct timespec time = {.tv_nsec = (long)(ms * MONOTIME_NS_PER_MS)};
    (void)nanosleep(&time, NULL);
}

/* Not any more when somebody has asked for the end. */
static void sleep_until(const struct conductor *conductor, uint64_t time_ns)
{
    (void)stop_wait_until(conductor->stop, time_ns); /* the loops look at is_stopped() */
}

static bool is_stopped(const struct conductor *conductor)
{
    return conductor->stop->signal != 0;
}

/* Of a thread that is running, or has ended and was not joined. */
static uint64_t cpu_time_of(const struct worker *worker)
{
    clockid_t clock;
    struct timespec time = {0};
    if (pthread_getcpuclockid(worker->thread.handle, &clock) != 0 ||
        clock_gettime(clock, &time) != 0) {
        return 0;
    }
    return (uint64_t)time.tv_sec * MONOTIME_NS_PER_S + (uint64_t)time.tv_nsec;
}

static void read_sample(struct conductor *conductor, struct sample *sample)
{
    memset(&sample->tally, 0, sizeof(sample->tally));
    for (uint32_t i = 0; i < conductor->options.threads; i++) {
        tally_merge(&sample->tally, &conductor->run.workers[i]->tally);
        sample->thread_ns[i] = cpu_time_of(conductor->run.workers[i]);
    }
    if (conductor->server.count > 0 && procstat_read(&conductor->server, &sample->server) != 0) {
        (void)fprintf(stderr, "parley-bench: the server's process has gone\n");
        conductor->server.count = 0;
        conductor->report.has_server = false;
    }
    if (procstat_read_self(&sample->generator) != 0) {
        sample->generator = (struct procstat){0};
    }
    sample->at_ns = monotime_read();
}

static uint64_t count_of(const struct conductor *conductor, enum tally_id id)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < conductor->options.threads; i++) {
        count += tally_read(&conductor->run.workers[i]->tally, id);
    }
    return count;
}

static void take_point(struct conductor *conductor)
{
    struct report *report = &conductor->report;
    struct histogram *latency = calloc(1, sizeof(*latency));
    read_sample(conductor, conductor->now);
    const struct tally *now = &conductor->now->tally;
    const struct tally *last = &conductor->last->tally;
    const uint64_t start_ns = atomic_load_explicit(&conductor->run.start_ns, memory_order_relaxed);

    if (latency != NULL && report->point_count < CONDUCTOR_POINT_COUNT_MAX) {
        histogram_subtract(&now->latency, &last->latency, latency);
        conductor->points[report->point_count++] = (struct report_point){
            .at_s = (double)(conductor->now->at_ns - start_ns) / (double)MONOTIME_NS_PER_S,
            .seconds = (double)(conductor->now->at_ns - conductor->last->at_ns) /
                       (double)MONOTIME_NS_PER_S,
            .sent = tally_read(now, TALLY_SENT) - tally_read(last, TALLY_SENT),
            .received = tally_read(now, TALLY_RECEIVED) - tally_read(last, TALLY_RECEIVED),
            .connects = tally_read(now, TALLY_CONNECTS) - tally_read(last, TALLY_CONNECTS),
            .p50_ns = histogram_percentile(latency, 0.5),
            .p99_ns = histogram_percentile(latency, 0.99),
            .max_ns = atomic_load_explicit(&latency->max_ns, memory_order_relaxed),
            .connected = tally_read(now, TALLY_CONNECTED),
        };
        progress_show(conductor->progress, &conductor->points[report->point_count - 1]);
    }
    free(latency);
    struct sample *swap = conductor->last;
    conductor->last = conductor->now;
    conductor->now = swap;
}

/* -- phases ------------------------------------------------------------------------------------ */

static void enter(struct conductor *conductor, enum run_phase phase)
{
    /* Pairs with the acquire in worker_is_before(). */
    atomic_store_explicit(&conductor->run.phase, (uint32_t)phase, memory_order_release);
    for (uint32_t i = 0; i < conductor->options.threads; i++) {
        worker_wake(conductor->run.workers[i]);
    }
}

/* Why it is, as far as that is known. */
static void explain_failed(const struct conductor *conductor)
{
    memset(conductor->total, 0, sizeof(*conductor->total));
    for (uint32_t i = 0; i < conductor->options.threads; i++) {
        tally_merge(conductor->total, &conductor->run.workers[i]->tally);
    }
    report_write_causes(&conductor->report, "parley-bench:", stderr);
}

/* What the first worker that has it says of TLS. */
static void find_tls_fault(struct conductor *conductor)
{
    for (uint32_t i = 0; i < conductor->options.threads && conductor->tls_fault[0] == '\0'; i++) {
        const struct worker *worker = conductor->run.workers[i];
        /* Pairs with the release in client.c: the text is there. */
        if (atomic_load_explicit(&worker->has_tls_fault, memory_order_acquire)) {
            memcpy(conductor->tls_fault, worker->tls_fault, sizeof(conductor->tls_fault));
        }
    }
}

/* Until everybody is connected, or has failed to be. 0 or -errno: nobody is, or not in time. */
static int connect_all(struct conductor *conductor)
{
    const struct options *options = &conductor->options;
    const uint64_t began_ns = monotime_read();
    uint64_t now_ns = began_ns;
    uint64_t connects = 0;
    uint64_t failed = 0;

    for (;; now_ns = monotime_read()) {
        connects = count_of(conductor, TALLY_CONNECTS);
        failed = count_of(conductor, TALLY_CONNECT_FAILED);
        conductor->report.connect_seconds = (double)(now_ns - began_ns) / (double)MONOTIME_NS_PER_S;
        if (connects + failed >= options->connections || is_stopped(conductor) ||
            now_ns - began_ns > options->connect_ns) {
            break;
        }
        progress_connecting(conductor->progress, connects, options->connections);
        sleep_until(conductor, now_ns + POLL_MS * MONOTIME_NS_PER_MS);
    }
    progress_end(conductor->progress);
    find_tls_fault(conductor);
    if (failed > 0) {
        (void)fprintf(stderr, "parley-bench: %llu of %u connections failed\n",
                      (unsigned long long)failed, options->connections);
        explain_failed(conductor);
    }
    if (connects + failed >= options->connections) {
        return connects > 0 ? 0 : -ENOTCONN;
    }
    (void)fprintf(stderr, "parley-bench: %llu of %u connected %s\n", (unsigned long long)connects,
                  options->connections,
                  is_stopped(conductor) ? "when it was stopped" : "within --connect-timeout");
    return is_stopped(conductor) ? -EINTR : -ETIMEDOUT;
}

static bool is_calm(const struct conductor *conductor)
{
    return storm_calm_ns(&conductor->run.storm) != 0;
}

/* Until a time. What there is to see of a storm before is looked at when it is there. */
static void watch_until(struct conductor *conductor, uint64_t time_ns)
{
    struct storm *storm = &conductor->run.storm;

    if (storm->struck_count > 0 && conductor->storm_before->at_ns == 0 &&
        storm_return_ns(storm) < time_ns) {
        sleep_until(conductor, storm_return_ns(storm));
        if (!is_stopped(conductor)) {
            read_sample(conductor, conductor->storm_before);
        }
    }
    if (conductor->storm_before->at_ns != 0 && conductor->storm_after->at_ns == 0) {
        while (!is_calm(conductor) && !is_stopped(conductor) &&
               monotime_read() + POLL_MS * MONOTIME_NS_PER_MS < time_ns) {
            sleep_until(conductor, monotime_read() + POLL_MS * MONOTIME_NS_PER_MS);
        }
        if (is_calm(conductor)) {
            read_sample(conductor, conductor->storm_after);
        }
    }
    sleep_until(conductor, time_ns);
}

static void load(struct conductor *conductor)
{
    struct run *run = &conductor->run;
    const struct options *options = &conductor->options;
    /* Nothing says when a connection without a handshake was accepted: it gets time for that. */
    const bool is_blind = options->target.scheme == TARGET_TCP;
    const uint64_t start_ns = monotime_read() + (is_blind ? BLIND_DELAY_NS : START_DELAY_NS);
    const uint64_t measure_ns = start_ns + options->warmup_ns;
    const uint64_t end_ns = measure_ns + options->duration_ns;

    atomic_store_explicit(&run->start_ns, start_ns, memory_order_relaxed);
    atomic_store_explicit(&run->measure_ns, measure_ns, memory_order_relaxed);
    atomic_store_explicit(&run->end_ns, end_ns, memory_order_relaxed);
    storm_set_time(&run->storm, measure_ns + options->storm_ns, options->away_ns);
    read_sample(conductor, conductor->last);
    enter(conductor, RUN_LOAD);

    uint64_t point_ns = start_ns + POINT_NS;
    for (; point_ns < measure_ns && !is_stopped(conductor); point_ns += POINT_NS) {
        sleep_until(conductor, point_ns);
        take_point(conductor);
    }
    sleep_until(conductor, measure_ns);
    read_sample(conductor, conductor->before);
    for (; point_ns < end_ns && !is_stopped(conductor); point_ns += POINT_NS) {
        watch_until(conductor, point_ns);
        take_point(conductor);
    }
    watch_until(conductor, end_ns);
    if (is_stopped(conductor)) {
        atomic_store_explicit(&run->end_ns, monotime_read(), memory_order_relaxed);
    }
    read_sample(conductor, conductor->after);
    if (conductor->storm_after->at_ns == 0) {
        read_sample(conductor, conductor->storm_after);
    }
    enter(conductor, RUN_DRAIN);
}

static bool somebody_waits(const struct conductor *conductor)
{
    for (uint32_t i = 0; i < conductor->options.threads; i++) {
        if (atomic_load_explicit(&conductor->run.workers[i]->waits, memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

/* Until everything that was sent has come, or it is too late for it, or a signal comes now. */
static void drain(struct conductor *conductor)
{
    const uint64_t end_ns = monotime_read() + conductor->options.drain_ns;
    const bool was_stopped = is_stopped(conductor);

    while (somebody_waits(conductor) && monotime_read() < end_ns &&
           is_stopped(conductor) == was_stopped) {
        if (was_stopped) {
            pause_ms(POLL_MS); /* a second signal ends us */
        } else {
            sleep_until(conductor, monotime_read() + POLL_MS * MONOTIME_NS_PER_MS);
        }
    }
    enter(conductor, RUN_CLOSE);
    for (uint32_t i = 0; i < conductor->options.threads; i++) {
        /* Pairs with the release in worker_run(): what it counted is there. */
        while (!atomic_load_explicit(&conductor->run.workers[i]->done, memory_order_acquire)) {
            pause_ms(1);
        }
    }
}

/* -- the report -------------------------------------------------------------------------------- */

/* The kernel's split into user and system is a guess that it may take back: never below nothing. */
static uint64_t since(uint64_t before, uint64_t after)
{
    return after > before ? after - before : 0;
}

static struct procstat difference(const struct procstat *before, const struct procstat *after)
{
    return (struct procstat){.user_ns = since(before->user_ns, after->user_ns),
                             .system_ns = since(before->system_ns, after->system_ns),
                             .user_bytes = after->user_bytes};
}

/* Counts of the measured part; faults and latency of all of the run. */
static void settle(struct conductor *conductor)
{
    static const enum tally_id measured[] = {
        TALLY_CONNECTS, TALLY_SENT,       TALLY_RECEIVED,       TALLY_ACKNOWLEDGED,
        TALLY_EXPECTED, TALLY_BYTES_SENT, TALLY_BYTES_RECEIVED, TALLY_LATE_SENDS,
    };
    struct report *report = &conductor->report;
    const struct sample *before = conductor->before;
    const struct sample *after = conductor->after;

    memset(conductor->total, 0, sizeof(*conductor->total));
    for (uint32_t i = 0; i < conductor->options.threads; i++) {
        tally_merge(conductor->total, &conductor->run.workers[i]->tally);
    }
    for (size_t i = 0; i < sizeof(measured) / sizeof(measured[0]); i++) {
        const uint64_t count =
            tally_read(&after->tally, measured[i]) - tally_read(&before->tally, measured[i]);
        atomic_store_explicit(&conductor->total->counts[measured[i]], count, memory_order_relaxed);
    }
    report->seconds = (double)(after->at_ns - before->at_ns) / (double)MONOTIME_NS_PER_S;
    report->generator = difference(&before->generator, &after->generator);
    for (uint32_t i = 0; i < conductor->options.threads; i++) {
        const uint64_t used_ns = since(before->thread_ns[i], after->thread_ns[i]);
        report->busiest_ns = used_ns > report->busiest_ns ? used_ns : report->busiest_ns;
    }
    report->signal = conductor->stop->signal;
    report->server = difference(&before->server, &after->server);
}

static double seconds_between(uint64_t from_ns, uint64_t to_ns)
{
    return (double)(to_ns - from_ns) / (double)MONOTIME_NS_PER_S;
}

static void settle_storm(struct conductor *conductor)
{
    const struct storm *storm = &conductor->run.storm;
    const struct sample *before = conductor->storm_before;
    const struct sample *after = conductor->storm_after;

    if (storm->struck_count == 0 || before->at_ns == 0) {
        return; /* there is none, or it was stopped before that */
    }
    conductor->storm = (struct report_storm){
        .struck = storm->struck_count,
        .away_seconds = seconds_between(storm_strike_ns(storm), storm_return_ns(storm)),
        .seconds = seconds_between(before->at_ns, after->at_ns),
        .server = difference(&before->server, &after->server),
        .generator = difference(&before->generator, &after->generator),
    };
    conductor->report.storm = &conductor->storm;
}

static int read_server(struct conductor *conductor)
{
    const struct procstat_pids *given = &conductor->options.server;
    struct procstat server = {0};

    for (size_t i = 0; i < given->count; i++) {
        const struct procstat_pids one = {.pids = {given->pids[i]}, .count = 1};
        const int result = procstat_read(&one, &server);
        if (result != 0) {
            (void)fprintf(stderr, "parley-bench: --server-pid %d: %s\n", (int)given->pids[i],
                          strerror(-result));
            return result;
        }
    }
    conductor->server = *given;
    procstat_add_children(&conductor->server);
    if (conductor->server.count > 0 && procstat_read(&conductor->server, &server) == 0) {
        conductor->report.has_server = true;
        conductor->report.server_user_bytes_before = server.user_bytes;
    }
    return 0;
}

int conductor_perform(struct conductor *conductor)
{
    int result = read_server(conductor);
    conductor->report.kernel_bytes_before = procstat_kernel_bytes();
    if (result == 0) {
        result = conductor_start(conductor);
    }
    if (result == 0) {
        result = connect_all(conductor);
    }
    if (result == 0) {
        conductor->report.kernel_bytes_after = procstat_kernel_bytes();
        load(conductor);
        drain(conductor);
        progress_end(conductor->progress);
        find_tls_fault(conductor);
        settle(conductor);
        settle_storm(conductor);
    }
    conductor_end(conductor);
    return result;
}

struct report *conductor_report(struct conductor *conductor)
{
    return &conductor->report;
}
