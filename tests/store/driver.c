/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/store/driver.h"

#include <check.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "core/monotime.h"

enum { WAIT_S = 60, COMPLETIONS = 64 };

/* Adds to the options of a sanitizer, for the programs that are started from now on. */
static void add_option(const char *name, const char *option)
{
    const char *const before = getenv(name);
    char text[512];
    if (before == NULL || strstr(before, option) == NULL) {
        (void)snprintf(text, sizeof(text), "%.400s%s%s", before != NULL ? before : "",
                       before != NULL ? ":" : "", option);
        ck_assert_int_eq(setenv(name, text, 1), 0);
    }
}

void driver_open(struct driver *driver)
{
    /* The shim may come before the runtime, and RocksDB's own threads are not ours to judge. */
    add_option("ASAN_OPTIONS", "verify_asan_link_order=0");
    add_option("TSAN_OPTIONS", "ignore_noninstrumented_modules=1");
    const char *const parent = getenv("TMPDIR");
    *driver = (struct driver){.store = NULL};
    (void)snprintf(driver->root, sizeof(driver->root), "%.200s/parley-store-XXXXXX",
                   parent != NULL ? parent : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(driver->root));
    (void)snprintf(driver->path, sizeof(driver->path), "%.240s/store", driver->root);
    driver->bytes = malloc(DRIVER_BYTES_MAX);
    ck_assert_ptr_nonnull(driver->bytes);
}

void driver_close(struct driver *driver)
{
    char command[DRIVER_PATH_SIZE + 32];
    driver_stop(driver);
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", driver->root);
    ck_assert_int_eq(system(command), 0);
    free(driver->bytes);
}

void driver_start(struct driver *driver, const char *const *arguments)
{
    const struct store_options options = {
        .program = PARLEY_STORE_PROGRAM,
        .path = driver->path,
        .arguments = arguments,
        .queue_bytes_max = 8 << 20,
        .questions_max = 4096,
        .backoff_min_ms = 5,
        .backoff_max_ms = 100,
    };
    ck_assert_ptr_null(driver->store);
    ck_assert_int_eq(store_create(&options, monotime_read(), &driver->store), 0);
}

void driver_stop(struct driver *driver)
{
    const bool down = driver->store != NULL && store_look(driver->store).state == STORE_DOWN;
    ck_assert(store_close(driver->store, 20000) || down);
    driver->store = NULL;
}

/* Copies what an answer views, for the view ends with the next step. */
static void keep(struct driver *driver, const struct store_completion *completion)
{
    driver->answer = *completion;
    driver->answered = true;
    if (completion->event == STORE_PAGE && completion->page.records.size > 0) {
        struct bytes *const records = &driver->answer.page.records;
        ck_assert_uint_le(records->size, DRIVER_BYTES_MAX);
        memcpy(driver->bytes, records->data, records->size);
        records->data = driver->bytes;
    }
}

void driver_work(struct driver *driver, int ms)
{
    struct store_completion completions[COMPLETIONS];
    struct pollfd poll_fd = {.fd = store_fd(driver->store), .events = POLLIN};
    store_flush(driver->store);
    (void)poll(&poll_fd, 1, ms);
    size_t count = COMPLETIONS;
    while (count == COMPLETIONS) {
        count = store_step(driver->store, monotime_read(), completions, COMPLETIONS);
        for (size_t i = 0; i < count; i++) {
            if (completions[i].tag == DRIVER_TAG) {
                keep(driver, &completions[i]);
            } else if (driver->on_completion != NULL) {
                driver->on_completion(driver->context, &completions[i]);
            }
        }
    }
}

static uint64_t deadline(void)
{
    return monotime_read() + WAIT_S * MONOTIME_NS_PER_S;
}

void driver_until_state(struct driver *driver, enum store_state state)
{
    const uint64_t end = deadline();
    while (store_look(driver->store).state != state) {
        const struct store_view view = store_look(driver->store);
        ck_assert_msg(monotime_read() < end, "state %d (%s), not %d", (int)view.state, view.reason,
                      (int)state);
        driver_work(driver, 20);
    }
}

void driver_until_quiet(struct driver *driver)
{
    const uint64_t end = deadline();
    while (store_look(driver->store).questions > 0) {
        ck_assert_msg(monotime_read() < end, "questions are still open");
        driver_work(driver, 20);
    }
}

static void wait_for_answer(struct driver *driver, enum store_verdict verdict)
{
    const uint64_t end = deadline();
    ck_assert_int_eq(verdict, STORE_QUEUED);
    driver->answered = false;
    while (!driver->answered) {
        ck_assert_msg(monotime_read() < end, "no answer; %s", store_look(driver->store).reason);
        driver_work(driver, 20);
    }
}

struct store_completion driver_commit(struct driver *driver, enum wire_durability durability,
                                      const struct wire_entry *entries, size_t count)
{
    wait_for_answer(driver, store_commit(driver->store, DRIVER_TAG, durability, entries, count));
    return driver->answer;
}

struct wire_page driver_read(struct driver *driver, struct wire_read read)
{
    wait_for_answer(driver, store_read(driver->store, DRIVER_TAG, &read));
    ck_assert_int_eq(driver->answer.event, STORE_PAGE);
    return driver->answer.page;
}

struct wire_page driver_look(struct driver *driver, const char *channel)
{
    const struct wire_read none = {
        .channel = driver_text(channel), .since = 0, .count_max = 1, .newest = true};
    return driver_read(driver, none);
}

struct wire_stats driver_stats(struct driver *driver)
{
    wait_for_answer(driver, store_ask_stats(driver->store, DRIVER_TAG));
    ck_assert_int_eq(driver->answer.event, STORE_STATS);
    return driver->answer.stats;
}

struct bytes driver_text(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

struct wire_entry driver_entry(enum wire_kind kind, const char *channel, uint64_t epoch,
                               uint64_t offset)
{
    return (struct wire_entry){.kind = kind,
                               .offset = offset,
                               .epoch = epoch,
                               .time_ms = 1000 + offset,
                               .channel = driver_text(channel)};
}

struct wire_entry driver_append(const char *channel, uint64_t epoch, uint64_t offset,
                                const char *value)
{
    struct wire_entry entry = driver_entry(WIRE_APPEND, channel, epoch, offset);
    entry.value = driver_text(value);
    return entry;
}

int driver_run(const char *command, char *output, size_t output_size)
{
    char line[1024];
    (void)snprintf(line, sizeof(line), "%.1000s 2>&1", command);
    FILE *const pipe = popen(line, "r");
    ck_assert_ptr_nonnull(pipe);
    const size_t got = fread(output, 1, output_size - 1, pipe);
    output[got] = '\0';
    while (fgetc(pipe) != EOF) {
    }
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int driver_tool(const char *arguments, char *output, size_t output_size)
{
    char command[900];
    (void)snprintf(command, sizeof(command), "%.300s %.500s", PARLEY_STORE_PROGRAM, arguments);
    return driver_run(command, output, output_size);
}
