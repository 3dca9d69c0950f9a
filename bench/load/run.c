/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/run.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/load/progress.h"
#include "bench/load/report.h"
#include "bench/load/scenario.h"
#include "bench/load/tally.h"
#include "bench/load/tokens.h"
#include "bench/load/worker.h"
#include "core/check.h"
#include "core/cpu.h"
#include "core/monotime.h"
#include "net/backend_choose.h"
#include "net/tls_config.h"
#include "proto/simd.h"

enum {
    POLL_MS = 10, /* how often the main thread looks */
    POINT_COUNT_MAX = 86400,
    FIND_STEP_COUNT_MAX = 40,
};
#define POINT_NS        MONOTIME_NS_PER_S
#define BLIND_DELAY_NS  (500 * MONOTIME_NS_PER_MS)
#define START_DELAY_NS  (20 * MONOTIME_NS_PER_MS) /* for all workers to see the phase */
#define FIND_FACTOR     1.5  /* from one rate to the next, while all goes well */
#define FIND_CLOSE      1.05 /* this near is near enough */
#define FIND_SENT_SHARE 0.95 /* of the rate must have been sent, or it was none */
#define FIND_RATE_MIN   0.1

/* What a run was like at one moment. */
struct sample {
    struct tally tally; /* all workers together */
    struct procstat server;
    struct procstat generator;
    uint64_t at_ns;
};

/* A run with what the main thread knows of it. */
struct conductor {
    struct run run;
    const struct options *options;
    struct procstat_pids server;
    struct progress *progress;
    struct sample *before; /* the measured part began */
    struct sample *after;  /* it ended */
    struct sample *last;   /* the last point was taken */
    struct sample *now;
    struct tally *total; /* with what is known only at the end */
    struct report report;
    struct report_storm storm;   /* of the report, where there is one */
    struct sample *storm_before; /* those that it struck might come back */
    struct sample *storm_after;  /* all were back, or the measured part ended */
    struct report_point *points;
    uint32_t started; /* threads */
};

/* -- looking ----------------------------------------------------------------------------------- */

static void pause_ms(unsigned ms)
{
    const struct timespec time = {.tv_nsec = (long)(ms * MONOTIME_NS_PER_MS)};
    (void)nanosleep(&time, NULL);
}

static void sleep_until(uint64_t time_ns)
{
    const struct timespec time = {.tv_sec = (time_t)(time_ns / MONOTIME_NS_PER_S),
                                  .tv_nsec = (long)(time_ns % MONOTIME_NS_PER_S)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) {
    }
}

static void read_sample(struct conductor *conductor, struct sample *sample)
{
    memset(&sample->tally, 0, sizeof(sample->tally));
    for (uint32_t i = 0; i < conductor->options->threads; i++) {
        tally_merge(&sample->tally, &conductor->run.workers[i]->tally);
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
    for (uint32_t i = 0; i < conductor->options->threads; i++) {
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

    if (latency != NULL && report->point_count < POINT_COUNT_MAX) {
        histogram_subtract(&now->latency, &last->latency, latency);
        conductor->points[report->point_count++] = (struct report_point){
            .at_s = (double)(conductor->now->at_ns - start_ns) / (double)MONOTIME_NS_PER_S,
            .seconds = (double)(conductor->now->at_ns - conductor->last->at_ns) /
                       (double)MONOTIME_NS_PER_S,
            .sent = tally_read(now, TALLY_SENT) - tally_read(last, TALLY_SENT),
            .received = tally_read(now, TALLY_RECEIVED) - tally_read(last, TALLY_RECEIVED),
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
    for (uint32_t i = 0; i < conductor->options->threads; i++) {
        worker_wake(conductor->run.workers[i]);
    }
}

/* Why it is, where that is known. */
static void explain_failed(const struct conductor *conductor)
{
    for (uint32_t i = 0; i < conductor->options->threads; i++) {
        const struct worker *worker = conductor->run.workers[i];
        /* Pairs with the release in client.c: the text is there. */
        if (atomic_load_explicit(&worker->has_fault, memory_order_acquire)) {
            (void)fprintf(stderr, "parley-bench: %s\n", worker->fault);
            return;
        }
    }
}

/* Until everybody is connected, or has failed to be. False: nobody is, or not in time. */
static bool connect_all(struct conductor *conductor)
{
    const struct options *options = conductor->options;
    const uint64_t began_ns = monotime_read();

    for (;;) {
        const uint64_t connects = count_of(conductor, TALLY_CONNECTS);
        const uint64_t failed = count_of(conductor, TALLY_CONNECT_FAILED);
        const uint64_t elapsed_ns = monotime_read() - began_ns;
        conductor->report.connect_seconds = (double)elapsed_ns / (double)MONOTIME_NS_PER_S;
        if (connects + failed >= options->connections) {
            if (failed > 0) {
                (void)fprintf(stderr, "parley-bench: %llu of %u connections failed\n",
                              (unsigned long long)failed, options->connections);
                explain_failed(conductor);
            }
            return connects > 0;
        }
        if (elapsed_ns > options->connect_ns) {
            (void)fprintf(stderr, "parley-bench: %llu of %u connected within --connect-timeout\n",
                          (unsigned long long)connects, options->connections);
            return false;
        }
        progress_connecting(conductor->progress, connects, options->connections);
        pause_ms(POLL_MS);
    }
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
        sleep_until(storm_return_ns(storm));
        read_sample(conductor, conductor->storm_before);
    }
    if (conductor->storm_before->at_ns != 0 && conductor->storm_after->at_ns == 0) {
        while (!is_calm(conductor) && monotime_read() + POLL_MS * MONOTIME_NS_PER_MS < time_ns) {
            pause_ms(POLL_MS);
        }
        if (is_calm(conductor)) {
            read_sample(conductor, conductor->storm_after);
        }
    }
    sleep_until(time_ns);
}

static void load(struct conductor *conductor)
{
    struct run *run = &conductor->run;
    const struct options *options = conductor->options;
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
    for (; point_ns < measure_ns; point_ns += POINT_NS) {
        sleep_until(point_ns);
        take_point(conductor);
    }
    sleep_until(measure_ns);
    read_sample(conductor, conductor->before);
    for (; point_ns < end_ns; point_ns += POINT_NS) {
        watch_until(conductor, point_ns);
        take_point(conductor);
    }
    watch_until(conductor, end_ns);
    read_sample(conductor, conductor->after);
    if (conductor->storm_after->at_ns == 0) {
        read_sample(conductor, conductor->storm_after);
    }
    enter(conductor, RUN_DRAIN);
}

/* Until everything that was sent has come, or it is too late for it. */
static void drain(struct conductor *conductor)
{
    const uint64_t began_ns = monotime_read();

    while (count_of(conductor, TALLY_RECEIVED) < count_of(conductor, TALLY_EXPECTED) &&
           monotime_read() - began_ns < conductor->options->drain_ns) {
        pause_ms(POLL_MS);
    }
    enter(conductor, RUN_CLOSE);
    for (uint32_t i = 0; i < conductor->options->threads; i++) {
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
        TALLY_EXPECTED, TALLY_BYTES_SENT, TALLY_BYTES_RECEIVED,
    };
    struct report *report = &conductor->report;
    const struct sample *before = conductor->before;
    const struct sample *after = conductor->after;

    memset(conductor->total, 0, sizeof(*conductor->total));
    for (uint32_t i = 0; i < conductor->options->threads; i++) {
        tally_merge(conductor->total, &conductor->run.workers[i]->tally);
    }
    for (size_t i = 0; i < sizeof(measured) / sizeof(measured[0]); i++) {
        const uint64_t count =
            tally_read(&after->tally, measured[i]) - tally_read(&before->tally, measured[i]);
        atomic_store_explicit(&conductor->total->counts[measured[i]], count, memory_order_relaxed);
    }
    report->seconds = (double)(after->at_ns - before->at_ns) / (double)MONOTIME_NS_PER_S;
    report->generator = difference(&before->generator, &after->generator);
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

    if (storm->struck_count == 0) {
        return;
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

static int write_files(const struct conductor *conductor)
{
    const struct options *options = conductor->options;
    int result = 0;

    if (options->json_file != NULL) {
        result = report_write_json(&conductor->report, options->json_file);
        if (result != 0) {
            (void)fprintf(stderr, "parley-bench: %s: %s\n", options->json_file, strerror(-result));
        }
    }
    if (result == 0 && options->html_file != NULL) {
        result = report_write_html(&conductor->report, options->html_file);
        if (result != 0) {
            (void)fprintf(stderr, "parley-bench: %s: %s\n", options->html_file, strerror(-result));
        }
    }
    return result;
}

/* -- life -------------------------------------------------------------------------------------- */

static const struct scenario_ops *scenario_of(const struct options *options)
{
    switch (options->scenario) {
    case OPTIONS_ECHO:
    case OPTIONS_FANOUT:
    case OPTIONS_CHAT:
        return &scenario_traffic_ops;
    case OPTIONS_CONNECT:
        return &scenario_connect_ops;
    case OPTIONS_IDLE:
        return &scenario_idle_ops;
    case OPTIONS_FLOOR:
        break;
    }
    NEVER("the floor is no load");
}

static int create_shared(struct run *run)
{
    const struct options *options = run->options;
    const size_t slot_count = (size_t)options->publishers * options->window;

    if (options->has_storm) {
        storm_init(&run->storm, options->connections, options->publishers);
    }
    run->source =
        payload_source_create(options->script, payload_sizes_max(&options->sizes), options->seed);
    run->slots = calloc(slot_count + 1, sizeof(*run->slots));
    run->completed = calloc(options->publishers, sizeof(*run->completed));
    run->numbers = calloc(options->publishers, sizeof(*run->numbers));
    run->member_counts = calloc(options->rooms, sizeof(*run->member_counts));
    run->workers = calloc(options->threads, sizeof(struct worker *));
    return run->source == NULL || run->slots == NULL || run->completed == NULL ||
                   run->numbers == NULL || run->member_counts == NULL || run->workers == NULL
               ? -ENOMEM
               : 0;
}

static int start_workers(struct conductor *conductor)
{
    struct run *run = &conductor->run;
    const struct options *options = conductor->options;
    int result = 0;

    for (uint32_t i = 0; i < options->threads; i++) {
        run->workers[i] = worker_create(run, i, scenario_of(options), &result);
        if (run->workers[i] == NULL) {
            return result;
        }
    }
    for (uint32_t i = 0; i < options->threads; i++) {
        const int cpu =
            options->cpu_count > 0 ? options->cpus[i % options->cpu_count] : THREAD_NOT_PINNED;
        result = thread_start("load", cpu, worker_run, run->workers[i], &run->workers[i]->thread);
        if (result != 0) {
            return result;
        }
        conductor->started++;
    }
    return 0;
}

/* For wss:// what TLS needs. 0 or -errno, and then the reason was printed. */
static int create_tls(struct run *run)
{
    const struct options *options = run->options;
    const struct tls_config_trust trust = {.host = options->target.name,
                                           .ca_file = options->ca_file,
                                           .insecure = options->tls_insecure};
    char error[TLS_CONFIG_ERROR_SIZE];

    if (options->target.scheme != TARGET_WSS) {
        return 0;
    }
    run->tls = tls_config_create_client(&trust, error);
    if (run->tls == NULL) {
        (void)fprintf(stderr, "parley-bench: %s\n", error);
        return -EINVAL;
    }
    return 0;
}

/* 0 or -errno, and then the reason was printed. */
static int read_tokens(struct run *run)
{
    char error[TOKENS_ERROR_SIZE];

    if (run->options->tokens_file == NULL) {
        return 0;
    }
    const int result = tokens_read(run->options->tokens_file, &run->tokens, error);
    if (result != 0) {
        (void)fprintf(stderr, "parley-bench: --tokens: %s\n", error);
    }
    return result;
}

static int create(struct conductor *conductor)
{
    char reason[BACKEND_REASON_SIZE];

    int result = backend_choose(conductor->options->backend, &conductor->run.backend, reason);
    if (result != 0) {
        (void)fprintf(stderr, "parley-bench: %s\n", reason);
        return result;
    }
    result = create_tls(&conductor->run);
    if (result == 0) {
        result = read_tokens(&conductor->run);
    }
    if (result != 0) {
        return result;
    }
    conductor->before = calloc(1, sizeof(struct sample));
    conductor->after = calloc(1, sizeof(struct sample));
    conductor->last = calloc(1, sizeof(struct sample));
    conductor->now = calloc(1, sizeof(struct sample));
    conductor->storm_before = calloc(1, sizeof(struct sample));
    conductor->storm_after = calloc(1, sizeof(struct sample));
    conductor->run.simd = simd_choose(cpu_simd_best());
    conductor->total = calloc(1, sizeof(*conductor->total));
    conductor->points = calloc(POINT_COUNT_MAX, sizeof(*conductor->points));
    conductor->progress = progress_create(stderr);
    if (conductor->before == NULL || conductor->after == NULL || conductor->last == NULL ||
        conductor->now == NULL || conductor->storm_before == NULL ||
        conductor->storm_after == NULL || conductor->total == NULL || conductor->points == NULL ||
        conductor->progress == NULL) {
        return -ENOMEM;
    }
    return create_shared(&conductor->run);
}

static void destroy(struct conductor *conductor)
{
    struct run *run = &conductor->run;

    atomic_store_explicit(&run->phase, (uint32_t)RUN_CLOSE, memory_order_release);
    for (uint32_t i = 0; i < conductor->started; i++) {
        worker_wake(run->workers[i]);
        thread_join(&run->workers[i]->thread);
    }
    for (uint32_t i = 0; run->workers != NULL && i < conductor->options->threads; i++) {
        worker_destroy(run->workers[i]);
    }
    payload_source_destroy(run->source);
    tls_config_unref(run->tls);
    tokens_destroy(run->tokens);
    free(run->slots);
    free(run->completed);
    free(run->numbers);
    free(run->member_counts);
    free(run->workers);
    progress_destroy(conductor->progress);
    free(conductor->before);
    free(conductor->after);
    free(conductor->last);
    free(conductor->now);
    free(conductor->storm_before);
    free(conductor->storm_after);
    free(conductor->total);
    free(conductor->points);
}

static void begin_report(struct conductor *conductor, const char *command_line)
{
    const struct options *options = conductor->options;

    conductor->server = options->server;
    procstat_add_children(&conductor->server);
    conductor->report = (struct report){
        .scenario = options_scenario_name(options->scenario),
        .url = options->url,
        .command_line = command_line,
        .backend = backend_name(conductor->run.backend),
        .tally = conductor->total,
        .connections = options->connections,
        .threads = options->threads,
        .rate = options->rate,
        .window = options->window,
        .seed = options->seed,
        .recovers = options->recovers,
        .has_server = conductor->server.count > 0,
        .points = conductor->points,
        .kernel_bytes_before = procstat_kernel_bytes(),
    };
    struct procstat server = {0};
    if (conductor->server.count > 0 && procstat_read(&conductor->server, &server) != 0) {
        (void)fprintf(stderr, "parley-bench: --server-pid: there is no such process\n");
        conductor->server.count = 0;
        conductor->report.has_server = false;
    }
    conductor->report.server_user_bytes_before = server.user_bytes;
}

/* One whole run. 0: the report is there, whatever it says. */
static int perform(struct conductor *conductor, const char *command_line)
{
    int result = create(conductor);
    if (result == 0) {
        begin_report(conductor, command_line);
        result = start_workers(conductor);
    }
    if (result != 0) {
        (void)fprintf(stderr, "parley-bench: cannot begin: %s\n", strerror(-result));
        return result;
    }
    if (!connect_all(conductor)) {
        return -ENOTCONN;
    }
    conductor->report.kernel_bytes_after = procstat_kernel_bytes();
    load(conductor);
    drain(conductor);
    progress_end(conductor->progress);
    settle(conductor);
    settle_storm(conductor);
    return 0;
}

/* What --find-max found before. */
struct knee {
    const struct report_step *steps;
    size_t step_count;
    double rate;
};

/* One whole run with its report. The exit status. */
static int report_one(struct conductor *conductor, const char *command_line,
                      const struct knee *knee)
{
    if (perform(conductor, command_line) != 0) {
        return EXIT_FAILURE;
    }
    if (knee != NULL) {
        conductor->report.steps = knee->steps;
        conductor->report.step_count = knee->step_count;
        conductor->report.knee_rate = knee->rate;
    }
    report_write_text(&conductor->report, stdout);
    return write_files(conductor) == 0 && report_is_clean(&conductor->report) ? EXIT_SUCCESS
                                                                              : EXIT_FAILURE;
}

/* -- the highest rate -------------------------------------------------------------------------- */

/* Tries one rate. Negative when there was no run. */
static int try_rate(const struct options *wanted, double rate, struct report_step *step)
{
    struct options options = *wanted;
    options.rate = rate;
    struct conductor conductor = {.options = &options, .run = {.options = &options}};

    const int result = perform(&conductor, "");
    if (result == 0) {
        const struct report *report = &conductor.report;
        const double sent = (double)tally_read(report->tally, TALLY_SENT) / report->seconds;
        const uint64_t p99_ns = histogram_percentile(&report->tally->latency, 0.99);
        *step = (struct report_step){
            .rate = rate,
            .sent_rate = sent,
            .p99_ns = p99_ns,
            .lost = tally_read(report->tally, TALLY_LOST),
            .passed = report_is_clean(report) && p99_ns <= wanted->p99_limit_ns &&
                      sent >= rate * FIND_SENT_SHARE,
        };
        (void)printf("%12.0f messages/s: p99 %.3f ms, %llu lost: %s\n", rate, (double)p99_ns / 1e6,
                     (unsigned long long)step->lost, step->passed ? "passed" : "failed");
        (void)fflush(stdout);
    }
    destroy(&conductor);
    return result;
}

/* Up by a factor until one fails, then halfway (in ratio) between the two. */
static int find_knee(const struct options *options, struct report_step *steps, size_t *step_count,
                     double *knee)
{
    double good = 0;
    double bad = 0;
    double rate = options->rate;

    while (*step_count < FIND_STEP_COUNT_MAX &&
           (bad <= 0 || good <= 0 || bad / good > FIND_CLOSE)) {
        struct report_step *step = &steps[*step_count];
        const int result = try_rate(options, rate, step);
        if (result != 0) {
            return result;
        }
        (*step_count)++;
        if (step->passed) {
            good = rate;
        } else {
            bad = rate;
        }
        if (bad <= 0) {
            rate = good * FIND_FACTOR;
        } else if (good <= 0) {
            rate = bad / FIND_FACTOR;
            if (rate < FIND_RATE_MIN) {
                break;
            }
        } else {
            rate = sqrt(good * bad);
        }
    }
    *knee = good;
    return 0;
}

/* The report is that of one more run, at the knee. */
static int find_max(const struct options *wanted, const char *command_line)
{
    struct report_step steps[FIND_STEP_COUNT_MAX];
    size_t step_count = 0;
    double knee = 0;

    if (find_knee(wanted, steps, &step_count, &knee) != 0) {
        return EXIT_FAILURE;
    }
    if (knee <= 0) {
        (void)printf("no rate passed\n");
        return EXIT_FAILURE;
    }
    struct options options = *wanted;
    options.rate = knee;
    struct conductor conductor = {.options = &options, .run = {.options = &options}};
    const int status =
        report_one(&conductor, command_line, &(struct knee){steps, step_count, knee});
    destroy(&conductor);
    return status;
}

int run_conduct(const struct options *options, const char *command_line)
{
    if (options->find_max) {
        return find_max(options, command_line);
    }
    struct conductor conductor = {.options = options, .run = {.options = options}};
    const int status = report_one(&conductor, command_line, NULL);
    destroy(&conductor);
    return status;
}
