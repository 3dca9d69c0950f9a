/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parley-store-bench: what a durable message costs, through the real child and its socketpair,
 * beside a bare append-only log with fdatasync on the same disk in the same run.
 *
 * Method   200-byte messages, one per batch, to 100,000 channels chosen by Zipf's law (s = 1), text
 *          of random words (it compresses like chat, to about a half). The channels are made
 *          before anything is measured. Each channel keeps its last 100 messages, and is trimmed
 *          to that when it has 150.
 *   paced      an open loop at 10,000 a second: a message is due at its time, whatever happened
 *              to the ones before, and its latency counts from when it was due.
 *   saturated  as many as the queue of the store takes, for the same time.
 *   reads      the last 50 of a channel, as the server asks for them, one question at a time, on a
 *              store that is quiet, and again while 10,000 a second are written.
 *   open       kill -9, and how long the next child needs, with a million messages in the log.
 *   bare       an O_APPEND file: what has come within a millisecond is written and fdatasync'ed.
 * Bytes    sectors that the disk of the directory has written, from /sys/dev/block, over the bytes
 *          of the messages. Others who write to the disk count too: keep the machine quiet.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "core/check.h"
#include "core/monotime.h"
#include "store/store.h"

enum {
    CHANNELS = 100000,
    VALUE_SIZE = 200,
    VALUES = 4096, /* different messages; written in turn */
    PACED_PER_S = 10000,
    KEPT = 100,
    TRIM_EVERY = 50,
    OPEN_QUESTIONS = 65536,
    COMPLETIONS = 512,
    READS = 2000,
    MILLION = 1000000,
    WAIT_S = 60,
    SECTOR_SIZE = 512,
};

struct bench {
    struct store *store;
    const char *path;
    const char *program;
    const char *const *arguments; /* of parley-store serve */
    uint64_t random;
    uint32_t *ranks; /* a table of channels, each as often as Zipf's law says */
    uint64_t *tops;
    uint64_t *firsts;
    uint8_t (*values)[VALUE_SIZE];
    uint64_t *due_ns; /* by tag modulo OPEN_QUESTIONS */
    uint32_t *latency_us;
    uint64_t latency_count;
    uint64_t latency_max;
    uint64_t tags;
    uint64_t done;
    bool page_came;
    struct store_completion *completions;
    enum wire_durability durability;
};

enum { RANKS = 1 << 20 };

static uint64_t next_random(struct bench *bench)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return bench->random;
}

static void *allocate(size_t count, size_t size)
{
    void *const memory = calloc(count, size);
    CHECK(memory != NULL);
    return memory;
}

/* --- What is written --- */

static void make_values(struct bench *bench)
{
    static const char *const words[] = {"the",   "meeting", "is",    "at",    "nine",   "tomorrow",
                                        "can",   "you",     "bring", "what",  "coffee", "we",
                                        "sent",  "it",      "to",    "their", "office", "and",
                                        "maybe", "later",   "this",  "week",  "thanks", "again"};
    for (int i = 0; i < VALUES; i++) {
        char text[VALUE_SIZE + 32];
        size_t size = (size_t)snprintf(text, sizeof(text), "{\"id\":\"%016" PRIx64 "\",\"text\":\"",
                                       next_random(bench));
        while (size < VALUE_SIZE) {
            const char *const word = words[next_random(bench) % (sizeof(words) / sizeof(words[0]))];
            size += (size_t)snprintf(text + size, sizeof(text) - size, "%s ", word);
        }
        memcpy(bench->values[i], text, VALUE_SIZE);
    }
}

static void make_ranks(struct bench *bench)
{
    double total = 0;
    for (int i = 1; i <= CHANNELS; i++) {
        total += 1.0 / i;
    }
    double sum = 0;
    uint32_t at = 0;
    for (uint32_t i = 1; i <= CHANNELS; i++) {
        sum += 1.0 / i;
        const uint32_t end = (uint32_t)(sum / total * RANKS);
        while (at < end && at < RANKS) {
            bench->ranks[at++] = i - 1;
        }
    }
    while (at < RANKS) {
        bench->ranks[at++] = (uint32_t)(next_random(bench) % CHANNELS);
    }
}

static struct bytes name_of(uint32_t channel, char name[static 24])
{
    return (struct bytes){(const uint8_t *)name,
                          (size_t)snprintf(name, 24, "room:%08" PRIu32, channel)};
}

static bool submit(struct bench *bench, uint64_t due_ns)
{
    const uint32_t channel = bench->ranks[next_random(bench) % RANKS];
    char name[24];
    struct wire_entry entries[2];
    size_t count = 1;
    entries[0] = (struct wire_entry){.kind = WIRE_APPEND,
                                     .offset = bench->tops[channel] + 1,
                                     .epoch = 1,
                                     .time_ms = due_ns / MONOTIME_NS_PER_MS,
                                     .channel = name_of(channel, name),
                                     .value = {bench->values[bench->tags % VALUES], VALUE_SIZE}};
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
    if (bench->latency_count < bench->latency_max) {
        const uint64_t ns = now_ns - bench->due_ns[completion->tag % OPEN_QUESTIONS];
        bench->latency_us[bench->latency_count++] = (uint32_t)(ns / MONOTIME_NS_PER_US);
    }
}

static void work(struct bench *bench, int timeout_us)
{
    struct pollfd poll_fd = {.fd = store_fd(bench->store), .events = POLLIN};
    const struct timespec timeout = {.tv_nsec = timeout_us * 1000L};
    store_flush(bench->store);
    (void)ppoll(&poll_fd, 1, &timeout, NULL);
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

/* --- Figures --- */

static int compare_u32(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Of latencies; sorts them. */
static double percentile_ms(uint32_t *us, uint64_t count, double part)
{
    qsort(us, count, sizeof(us[0]), compare_u32);
    return count == 0 ? 0 : us[(uint64_t)((double)(count - 1) * part)] / 1000.0;
}

/* Sectors that were written to the disk under the directory; 0 where that cannot be had. */
static uint64_t sectors_written(const char *path)
{
    struct stat status;
    char name[128];
    uint64_t sectors = 0;
    if (stat(path, &status) != 0) {
        return 0;
    }
    (void)snprintf(name, sizeof(name), "/sys/dev/block/%u:%u/stat", major(status.st_dev),
                   minor(status.st_dev));
    FILE *const file = fopen(name, "r");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%*u %*u %*u %*u %*u %*u %" SCNu64, &sectors) != 1) {
        sectors = 0;
    }
    (void)fclose(file);
    return sectors;
}

static void report(const struct bench *bench, const char *what, uint64_t messages, double seconds,
                   uint64_t sectors)
{
    (void)printf("%-28s %9.0f messages/s", what, (double)messages / seconds);
    if (bench->latency_count > 0) {
        (void)printf("   durable after p50 %6.2f ms, p99 %6.2f ms",
                     percentile_ms(bench->latency_us, bench->latency_count, 0.5),
                     percentile_ms(bench->latency_us, bench->latency_count, 0.99));
    }
    if (sectors > 0) {
        (void)printf("   %.2f device bytes per byte",
                     (double)sectors * SECTOR_SIZE / ((double)messages * VALUE_SIZE));
    }
    (void)printf("\n");
    (void)fflush(stdout);
}

static double seconds_since(uint64_t began_ns)
{
    return (double)(monotime_read() - began_ns) / (double)MONOTIME_NS_PER_S;
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
    struct wire_entry *const entries = allocate(AT_ONCE, sizeof(entries[0]));
    char(*const names)[24] = allocate(AT_ONCE, sizeof(names[0]));
    for (uint32_t i = 0; i < CHANNELS;) {
        for (uint32_t j = 0; j < AT_ONCE; j++) {
            entries[j] = (struct wire_entry){
                .kind = WIRE_RESET, .epoch = 1, .channel = name_of(i + j, names[j])};
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
    free(names);
    free(entries);
}

static void run_paced(struct bench *bench, double seconds)
{
    const uint64_t began_ns = monotime_read();
    const uint64_t interval_ns = MONOTIME_NS_PER_S / PACED_PER_S;
    const uint64_t wanted = (uint64_t)(seconds * PACED_PER_S);
    const uint64_t sectors = sectors_written(bench->path);
    bench->latency_count = 0;
    bench->latency_max = wanted;
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
    report(bench, "paced, power", wanted, seconds_since(began_ns),
           sectors_written(bench->path) - sectors);
}

static void run_saturated(struct bench *bench, double seconds, const char *what)
{
    const uint64_t began_ns = monotime_read();
    const uint64_t end_ns = began_ns + (uint64_t)(seconds * 1e9);
    const uint64_t sectors = sectors_written(bench->path);
    const uint64_t done = bench->done;
    bench->latency_count = 0;
    bench->latency_max = UINT64_C(4) * MILLION;
    while (monotime_read() < end_ns) {
        const uint64_t now_ns = monotime_read();
        for (int i = 0; i < 256 && submit(bench, now_ns); i++) {
        }
        work(bench, store_look(bench->store).questions > OPEN_QUESTIONS / 2 ? 1000 : 0);
    }
    until_quiet(bench);
    const uint64_t messages = bench->done - done;
    report(bench, what, messages, seconds_since(began_ns), sectors_written(bench->path) - sectors);
}

/* `paced`: between questions messages are written as they come due. */
static void run_reads(struct bench *bench, bool paced)
{
    uint32_t *const us = allocate(READS, sizeof(us[0]));
    uint64_t next_ns = monotime_read();
    bench->latency_max = 0;
    for (int i = 0; i < READS; i++) {
        char name[24];
        const struct wire_read read = {.channel =
                                           name_of(bench->ranks[next_random(bench) % RANKS], name),
                                       .since = 50,
                                       .count_max = 50,
                                       .bytes_max = WIRE_PAGE_BYTES_MAX,
                                       .newest = true};
        bench->page_came = false;
        const uint64_t began_ns = monotime_read();
        CHECK(store_read(bench->store, 0, &read) == STORE_QUEUED);
        while (!bench->page_came) {
            while (paced && next_ns <= monotime_read() && submit(bench, next_ns)) {
                next_ns += MONOTIME_NS_PER_S / PACED_PER_S;
            }
            work(bench, paced ? 100 : 1000);
        }
        us[i] = (uint32_t)((monotime_read() - began_ns) / MONOTIME_NS_PER_US);
    }
    until_quiet(bench);
    (void)printf("%-28s last 50: p50 %.0f us, p99 %.0f us\n",
                 paced ? "reads while 10,000/s come" : "reads, quiet",
                 1000 * percentile_ms(us, READS, 0.5), 1000 * percentile_ms(us, READS, 0.99));
    free(us);
}

static void run_open(struct bench *bench)
{
    const uint64_t until = bench->done + MILLION;
    bench->latency_max = 0;
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

/* --- The bare log --- */

static uint64_t write_bare(int fd, const struct bench *bench, uint64_t from, uint64_t count)
{
    static uint8_t block[(16 << 20)];
    size_t size = 0;
    for (uint64_t i = 0; i < count; i++) {
        memset(block + size, 0x5a, 24); /* a key and a checksum, as a log would have them */
        memcpy(block + size + 24, bench->values[(from + i) % VALUES], VALUE_SIZE);
        size += 24 + VALUE_SIZE;
    }
    CHECK(write(fd, block, size) == (ssize_t)size);
    CHECK(fdatasync(fd) == 0);
    return monotime_read();
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
    bench->latency_count = 0;
    while (seconds_since(began_ns) < seconds) {
        uint64_t count = 1000;
        if (paced) {
            (void)usleep(1000);
            count = (monotime_read() - began_ns) / interval_ns - sent;
        }
        const uint64_t now_ns = write_bare(fd, bench, sent, count);
        for (uint64_t i = 0; paced && i < count; i++) {
            const uint64_t due_ns = began_ns + (sent + i) * interval_ns;
            bench->latency_us[bench->latency_count++] = (uint32_t)((now_ns - due_ns) / 1000);
        }
        sent += count;
    }
    report(bench, paced ? "bare log, paced" : "bare log, 1000 a write", sent,
           seconds_since(began_ns), sectors_written(bench->path) - sectors);
    (void)close(fd);
    (void)unlink(name);
}

int main(int argc, char **argv)
{
    struct bench bench = {.random = UINT64_C(0x2545f4914f6cdd1d), .durability = WIRE_DURABLE_POWER};
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
    bench.ranks = allocate(RANKS, sizeof(bench.ranks[0]));
    bench.tops = allocate(CHANNELS, sizeof(bench.tops[0]));
    bench.firsts = allocate(CHANNELS, sizeof(bench.firsts[0]));
    bench.values = allocate(VALUES, VALUE_SIZE);
    bench.due_ns = allocate(OPEN_QUESTIONS, sizeof(bench.due_ns[0]));
    bench.latency_us = allocate(UINT64_C(4) * MILLION, sizeof(bench.latency_us[0]));
    bench.completions = allocate(COMPLETIONS, sizeof(bench.completions[0]));
    make_values(&bench);
    make_ranks(&bench);
    start_store(&bench);
    make_channels(&bench);
    run_bare(&bench, seconds / 4, true);
    run_bare(&bench, seconds / 4, false);
    run_paced(&bench, seconds);
    run_saturated(&bench, seconds, "saturated, power");
    bench.durability = WIRE_DURABLE_PROCESS;
    run_saturated(&bench, seconds / 2, "saturated, process");
    bench.durability = WIRE_DURABLE_POWER;
    run_reads(&bench, false);
    run_reads(&bench, true);
    run_open(&bench);
    run_reads(&bench, false);
    return store_close(bench.store, 30000) ? EXIT_SUCCESS : EXIT_FAILURE;
}
