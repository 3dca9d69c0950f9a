/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parley-store-bench: what a durable message costs, through the real child and its socketpair,
 * beside a bare append-only log with fdatasync on the same disk in the same run.
 *
 * Method   messages (messages.h) one per batch. The channels are made before anything is measured.
 *          Each keeps its last 100 messages, and is trimmed to that when it has 150.
 *   paced      an open loop at 10,000 a second: a message is due at its time, whatever happened
 *              to the ones before, and its latency counts from when it was due.
 *   saturated  as many as the queue of the store takes, for the same time.
 *   reads      the last 50 of a channel, as the server asks for them, one question at a time, on a
 *              store that is quiet, and again while 10,000 a second are written. By turns with it
 *              a bare process (bare.h) is asked, for what the way there and back costs.
 *   open       kill -9, and how long the next child needs, with a million messages in the log.
 *   bare       an O_APPEND file: what has come within a millisecond is written and fdatasync'ed.
 * Bytes    sectors that the disk of the directory has written, from /sys/dev/block, over the bytes
 *          of the messages. Others who write to the disk count too: keep the machine quiet.
 */
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/store/bare.h"
#include "bench/store/figures.h"
#include "bench/store/messages.h"
#include "core/check.h"
#include "core/monotime.h"
#include "store/store.h"

enum {
    PACED_PER_S = 10000,
    KEPT = 100,
    TRIM_EVERY = 50,
    OPEN_QUESTIONS = 65536,
    COMPLETIONS = 512,
    READS = 2000,
    MILLION = 1000000,
    COMMITS_MAX = 4 * MILLION,
    WAIT_S = 60,
};

struct bench {
    struct store *store;
    const char *path;
    const char *program;
    const char *const *arguments; /* of parley-store serve */
    struct messages *messages;
    struct bare_process bare;
    struct latencies commits;
    uint64_t tops[CHANNELS];
    uint64_t firsts[CHANNELS];
    uint64_t due_ns[OPEN_QUESTIONS]; /* by tag modulo OPEN_QUESTIONS */
    uint64_t tags;
    uint64_t done;
    bool page_came;
    struct store_completion completions[COMPLETIONS];
    enum wire_durability durability;
};

/* --- The store --- */

static bool submit(struct bench *bench, uint64_t due_ns)
{
    const uint32_t channel = messages_choose(bench->messages);
    char name[CHANNEL_NAME_SIZE];
    struct wire_entry entries[2];
    size_t count = 1;
    entries[0] = (struct wire_entry){.kind = WIRE_APPEND,
                                     .offset = bench->tops[channel] + 1,
                                     .epoch = 1,
                                     .time_ms = due_ns / MONOTIME_NS_PER_MS,
                                     .channel = channel_name(channel, name),
                                     .value = messages_text(bench->messages, bench->tags)};
    if (entries[0].offset >= bench->firsts[channel] + KEPT + TRIM_EVERY) {
        entries[1] = entries[0];
        entries[1].kind = WIRE_TRIM;
        entries[1].offset = entries[0].offset - KEPT + 1;
        entries[1].value = (struct bytes){NULL, 0};
        count = 2;
    }
    if (store_commit(bench->store, bench->tags, bench->durability, entries, count) !=
        STORE_QUEUED) {
        return false;
    }
    if (count == 2) {
        bench->firsts[channel] = entries[1].offset;
    }
    bench->tops[channel]++;
    bench->due_ns[bench->tags % OPEN_QUESTIONS] = due_ns;
    bench->tags++;
    return true;
}

static void take(struct bench *bench, const struct store_completion *completion, uint64_t now_ns)
{
    if (completion->event == STORE_PAGE) {
        CHECK(completion->page.result == WIRE_DONE);
        bench->page_came = true;
        return;
    }
    if (completion->event == STORE_CHANGED) {
        return;
    }
    if (completion->event != STORE_COMMITTED || completion->committed.result != WIRE_DONE) {
        (void)fprintf(stderr, "the store answers %d, %d: %s\n", (int)completion->event,
                      (int)completion->committed.result, store_look(bench->store).reason);
        exit(EXIT_FAILURE);
    }
    bench->done++;
    latencies_note(&bench->commits, now_ns - bench->due_ns[completion->tag % OPEN_QUESTIONS]);
}

static void work(struct bench *bench, int timeout_us)
{
    struct pollfd poll_fds[] = {{.fd = store_fd(bench->store), .events = POLLIN},
                                {.fd = bench->bare.fd, .events = POLLIN}};
    const struct timespec timeout = {.tv_nsec = timeout_us * 1000L};
    store_flush(bench->store);
    (void)ppoll(poll_fds, 2, &timeout, NULL);
    if (poll_fds[1].revents != 0) {
        bare_process_hear(&bench->bare);
    }
    size_t count = COMPLETIONS;
    while (count == COMPLETIONS) {
        const uint64_t now_ns = monotime_read();
        count = store_step(bench->store, now_ns, bench->completions, COMPLETIONS);
        for (size_t i = 0; i < count; i++) {
            take(bench, &bench->completions[i], now_ns);
        }
    }
}

static void until_quiet(struct bench *bench)
{
    const uint64_t end_ns = monotime_read() + WAIT_S * MONOTIME_NS_PER_S;
    while (store_look(bench->store).questions > 0) {
        CHECK(monotime_read() < end_ns);
        work(bench, 1000);
    }
}

/* --- Phases --- */

static void start_store(struct bench *bench)
{
    const struct store_options options = {
        .program = bench->program,
        .path = bench->path,
        .arguments = bench->arguments,
        .queue_bytes_max = 16 << 20,
        .questions_max = OPEN_QUESTIONS,
        .backoff_min_ms = 1,
        .backoff_max_ms = 1000,
    };
    CHECK(store_create(&options, monotime_read(), &bench->store) == 0);
    const uint64_t end_ns = monotime_read() + WAIT_S * MONOTIME_NS_PER_S;
    while (store_look(bench->store).state != STORE_READY) {
        if (store_look(bench->store).state == STORE_DOWN || monotime_read() > end_ns) {
            (void)fprintf(stderr, "%s\n", store_look(bench->store).reason);
            exit(EXIT_FAILURE);
        }
        work(bench, 1000);
    }
}

static void make_channels(struct bench *bench)
{
    enum { AT_ONCE = 1000 };
    static struct wire_entry entries[AT_ONCE];
    static char names[AT_ONCE][CHANNEL_NAME_SIZE];
    for (uint32_t i = 0; i < CHANNELS;) {
        for (uint32_t j = 0; j < AT_ONCE; j++) {
            entries[j] = (struct wire_entry){
                .kind = WIRE_RESET, .epoch = 1, .channel = channel_name(i + j, names[j])};
        }
        if (store_commit(bench->store, 0, WIRE_DURABLE_PROCESS, entries, AT_ONCE) == STORE_QUEUED) {
            i += AT_ONCE;
        }
        work(bench, 0);
    }
    until_quiet(bench);
    for (uint32_t i = 0; i < CHANNELS; i++) {
        bench->firsts[i] = 1;
    }
}

static void run_paced(struct bench *bench, double seconds)
{
    const uint64_t began_ns = monotime_read();
    const uint64_t interval_ns = MONOTIME_NS_PER_S / PACED_PER_S;
    const uint64_t wanted = (uint64_t)(seconds * PACED_PER_S);
    const uint64_t sectors = sectors_written(bench->path);
    latencies_init(&bench->commits, wanted);
    for (uint64_t sent = 0; sent < wanted;) {
        const uint64_t due_ns = began_ns + sent * interval_ns;
        const uint64_t now_ns = monotime_read();
        if (due_ns <= now_ns && submit(bench, due_ns)) {
            sent++;
            continue;
        }
        work(bench, due_ns > now_ns ? (int)((due_ns - now_ns) / 1000) + 1 : 1000);
    }
    until_quiet(bench);
    report_messages("paced, power", wanted, seconds_since(began_ns),
                    sectors_written(bench->path) - sectors, &bench->commits);
    latencies_deinit(&bench->commits);
}

static void run_saturated(struct bench *bench, double seconds, const char *what)
{
    const uint64_t began_ns = monotime_read();
    const uint64_t end_ns = began_ns + (uint64_t)(seconds * 1e9);
    const uint64_t sectors = sectors_written(bench->path);
    const uint64_t done = bench->done;
    latencies_init(&bench->commits, COMMITS_MAX);
    while (monotime_read() < end_ns) {
        const uint64_t now_ns = monotime_read();
        for (int i = 0; i < 256 && submit(bench, now_ns); i++) {
        }
        work(bench, store_look(bench->store).questions > OPEN_QUESTIONS / 2 ? 1000 : 0);
    }
    until_quiet(bench);
    const uint64_t messages = bench->done - done;
    report_messages(what, messages, seconds_since(began_ns), sectors_written(bench->path) - sectors,
                    &bench->commits);
    latencies_deinit(&bench->commits);
}

/*
 * Until the page, or the whole answer of the bare process, is there; meanwhile messages are written
 * as they come due from `*next_ns` on, or none when that is 0.
 */
static uint64_t await_answer(struct bench *bench, uint64_t *next_ns)
{
    const uint64_t began_ns = monotime_read();
    while (!bench->page_came || bench->bare.owed > 0) {
        while (*next_ns != 0 && *next_ns <= monotime_read() && submit(bench, *next_ns)) {
            *next_ns += MONOTIME_NS_PER_S / PACED_PER_S;
        }
        work(bench, *next_ns != 0 ? 100 : 1000);
    }
    return monotime_read() - began_ns;
}

static void ask_store(struct bench *bench)
{
    char name[CHANNEL_NAME_SIZE];
    const struct wire_read read = {.channel = channel_name(messages_choose(bench->messages), name),
                                   .since = 50,
                                   .count_max = 50,
                                   .bytes_max = WIRE_PAGE_BYTES_MAX,
                                   .newest = true};
    bench->page_came = false;
    CHECK(store_read(bench->store, 0, &read) == STORE_QUEUED);
}

/* The store and the bare process are asked by turns. */
static void run_reads(struct bench *bench, bool paced, const char *what, const char *bare_what)
{
    struct latencies store;
    struct latencies bare;
    uint64_t next_ns = paced ? monotime_read() : 0;
    latencies_init(&store, READS);
    latencies_init(&bare, READS);
    for (int i = 0; i < READS; i++) {
        ask_store(bench);
        latencies_note(&store, await_answer(bench, &next_ns));
        bare_process_ask(&bench->bare);
        latencies_note(&bare, await_answer(bench, &next_ns));
    }
    until_quiet(bench);
    report_questions(what, &store);
    report_questions(bare_what, &bare);
    latencies_deinit(&store);
    latencies_deinit(&bare);
}

static void run_open(struct bench *bench)
{
    const uint64_t until = bench->done + MILLION;
    while (bench->done < until) {
        for (int i = 0; i < 256 && submit(bench, 0); i++) {
        }
        work(bench, 100);
    }
    until_quiet(bench);
    CHECK(kill(store_look(bench->store).child, SIGKILL) == 0);
    while (store_look(bench->store).state != STORE_DOWN) {
        work(bench, 1000);
    }
    while (store_look(bench->store).state != STORE_READY) {
        work(bench, 1000);
    }
    (void)printf("%-28s %.2f s after kill -9 behind 1,000,000 messages\n", "open",
                 (double)store_look(bench->store).open_us / 1e6);
}

static void run_bare(struct bench *bench, double seconds, bool paced)
{
    char name[4096];
    (void)snprintf(name, sizeof(name), "%s.log", bench->path);
    const int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    const uint64_t began_ns = monotime_read();
    const uint64_t sectors = sectors_written(bench->path);
    const uint64_t interval_ns = MONOTIME_NS_PER_S / PACED_PER_S;
    uint64_t sent = 0;
    struct latencies latencies;
    latencies_init(&latencies, COMMITS_MAX);
    while (seconds_since(began_ns) < seconds) {
        uint64_t count = 1000;
        if (paced) {
            (void)usleep(1000);
            count = (monotime_read() - began_ns) / interval_ns - sent;
        }
        bare_write(fd, bench->messages, sent, count);
        const uint64_t now_ns = monotime_read();
        for (uint64_t i = 0; paced && i < count; i++) {
            latencies_note(&latencies, now_ns - (began_ns + (sent + i) * interval_ns));
        }
        sent += count;
    }
    report_messages(paced ? "bare log, paced" : "bare log, 1000 a write", sent,
                    seconds_since(began_ns), sectors_written(bench->path) - sectors, &latencies);
    latencies_deinit(&latencies);
    (void)close(fd);
    (void)unlink(name);
}

int main(int argc, char **argv)
{
    static struct bench bench = {.durability = WIRE_DURABLE_POWER};
    double seconds = 8;
    for (int option = getopt(argc, argv, "p:s:c:"); option != -1;
         option = getopt(argc, argv, "p:s:c:")) {
        bench.path = option == 'p' ? optarg : bench.path;
        bench.program = option == 'c' ? optarg : bench.program;
        seconds = option == 's' ? strtod(optarg, NULL) : seconds;
    }
    if (bench.path == NULL || bench.program == NULL || !(seconds > 0 && seconds <= 60)) {
        (void)fprintf(stderr,
                      "usage: parley-store-bench -c PARLEY_STORE -p NEW_DIR [-s SECONDS] "
                      "[-- OPTION_OF_SERVE...]\n"
                      "Measures a new store in NEW_DIR, SECONDS (8, at most 60) per phase.\n");
        return 2;
    }
    bench.arguments = (const char *const *)argv + optind;
    bare_process_start(&bench.bare); /* first: what is forked later would copy our pages */
    bench.messages = messages_create();
    start_store(&bench);
    make_channels(&bench);
    run_bare(&bench, seconds / 4, true);
    run_bare(&bench, seconds / 4, false);
    run_paced(&bench, seconds);
    run_saturated(&bench, seconds, "saturated, power");
    bench.durability = WIRE_DURABLE_PROCESS;
    run_saturated(&bench, seconds / 2, "saturated, process");
    bench.durability = WIRE_DURABLE_POWER;
    run_reads(&bench, false, "last 50, quiet", "  a bare process, quiet");
    run_reads(&bench, true, "last 50, while 10,000/s are written", "  a bare process meanwhile");
    run_open(&bench);
    run_reads(&bench, false, "last 50, nothing in a cache", "  a bare process");
    bare_process_end(&bench.bare);
    return store_close(bench.store, 30000) ? EXIT_SUCCESS : EXIT_FAILURE;
}
