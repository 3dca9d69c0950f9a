/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The archive's thread with the real parley-store: this thread is a home (port 0) and the control
 * (port 1), the archive is port 2. Children are killed by their process id; each wait has an end.
 */
#include "server/archive.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat/archive_post.h"
#include "chat/post.h"
#include "core/bus.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "core/thread.h"

enum { HOME = 0, CONTROL = 1, ARCHIVE = 2, WAIT_S = 60, EPOCH = 77 };

/* Nobody is refused for a child that only takes its time to start. */
#define PATIENT (WAIT_S / 2 * MONOTIME_NS_PER_S)

static char root[256];
static char path[320];
static const char *const *arguments; /* more for the child */
static struct metrics metrics;
static struct bus *bus;
static struct archive *archive;
static struct thread thread;

static void begin(const char *program, uint64_t timeout_ns)
{
    const struct archive_options options = {
        .program = program,
        .path = path,
        .arguments = arguments,
        .bus = bus,
        .port = ARCHIVE,
        .timeout_ns = timeout_ns,
        .questions_max = 64,
        .metrics = &metrics,
    };
    ck_assert_int_eq(archive_create(&options, &archive), 0);
    bus_port_on_wake(bus, ARCHIVE, archive_wake, archive);
    ck_assert_int_eq(thread_start("archive", THREAD_NOT_PINNED, archive_run, archive, &thread), 0);
}

static void end(void)
{
    const struct post post = {.kind = POST_EXIT};
    const struct bus_post packed = post_pack(&post);
    ck_assert_int_eq(bus_tell(bus, CONTROL, ARCHIVE, &packed), BUS_POSTED);
    bus_flush(bus, CONTROL);
    thread_join(&thread);
    archive_destroy(archive);
}

static void set_up(void)
{
    const char *const parent = getenv("TMPDIR");
    (void)snprintf(root, sizeof(root), "%.200s/archive_test.XXXXXX",
                   parent != NULL ? parent : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(root));
    (void)snprintf(path, sizeof(path), "%s/store", root);
    arguments = NULL;
    memset(&metrics, 0, sizeof(metrics));
    bus = bus_create(3, 64, 16);
    ck_assert_ptr_nonnull(bus);
}

static void tear_down(void)
{
    char command[320];
    bus_destroy(bus);
    (void)snprintf(command, sizeof(command), "rm -rf %s", root);
    ck_assert_int_eq(system(command), 0);
}

static void ask(const struct post *post)
{
    const struct bus_post packed = post_pack(post);
    ck_assert_int_eq(bus_ask(bus, HOME, ARCHIVE, &packed), BUS_POSTED);
    bus_flush(bus, HOME);
}

/* The next answer; the test fails when none comes. */
static struct post hear(void)
{
    const uint64_t end_ns = monotime_read() + WAIT_S * MONOTIME_NS_PER_S;
    struct bus_post packed;
    while (bus_take(bus, HOME, &packed, 1) == 0) {
        ck_assert(monotime_read() < end_ns);
        (void)usleep(200);
    }
    return post_unpack(&packed);
}

static struct bytes text(const char *value)
{
    return (struct bytes){(const uint8_t *)value, strlen(value)};
}

static void add(struct archive_batch *batch, enum archive_kind kind, uint64_t offset,
                const char *value)
{
    archive_post_add_entry(
        batch, (struct archive_entry){.kind = kind, .offset = offset, .value = text(value)});
}

static struct archive_batch *hear_batch(void)
{
    const struct post post = hear();
    ck_assert_uint_eq(post.kind, POST_ARCHIVE_APPENDED);
    return post.archive_batch.batch;
}

/* Publications from `first` on, of one channel, the very first with its reset. */
static struct archive_batch *appends(const char *channel, uint64_t first, uint32_t count)
{
    struct archive_batch *batch = archive_post_create_batch(1, count + 1);
    ck_assert_ptr_nonnull(batch);
    archive_post_add_run(batch, (struct archive_run){.channel = text(channel), .epoch = EPOCH});
    if (first == 1) {
        add(batch, ARCHIVE_RESET, 0, "");
    }
    for (uint32_t i = 0; i < count; i++) {
        add(batch, ARCHIVE_APPEND, first + i, "value");
    }
    return batch;
}

static void ask_batch(struct archive_batch *batch)
{
    ask(&(struct post){.kind = POST_ARCHIVE_APPEND, .archive_batch = {batch}});
}

static enum archive_result append(const char *channel, uint64_t first, uint32_t count)
{
    ask_batch(appends(channel, first, count));
    struct archive_batch *batch = hear_batch();
    const enum archive_result result = batch->runs[0].result;
    archive_post_destroy_batch(batch);
    return result;
}

static struct archive_page *read_page(const char *channel, enum archive_range range, uint64_t since,
                                      uint32_t count_max)
{
    struct archive_page *page = archive_post_create_page(text(channel));
    ck_assert_ptr_nonnull(page);
    page->range = range;
    page->since = since;
    page->count_max = count_max;
    ask(&(struct post){.kind = POST_ARCHIVE_READ, .archive_page = {page}});
    const struct post post = hear();
    ck_assert_uint_eq(post.kind, POST_ARCHIVE_PAGE);
    ck_assert_ptr_eq(post.archive_page.page, page);
    return page;
}

/* The process id of our child: the one whose parent we are. */
static pid_t find_child(void)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "/proc/self/task");
    DIR *tasks = opendir(name);
    ck_assert_ptr_nonnull(tasks);
    long child = 0;
    for (struct dirent *entry = readdir(tasks); entry != NULL; entry = readdir(tasks)) {
        char children[320];
        (void)snprintf(children, sizeof(children), "/proc/self/task/%s/children", entry->d_name);
        FILE *file = fopen(children, "r");
        if (file != NULL) {
            long found = 0;
            if (fscanf(file, "%ld", &found) == 1) {
                child = found;
            }
            (void)fclose(file);
        }
    }
    (void)closedir(tasks);
    return (pid_t)child;
}

/* The process id that a program has written to this file, or writes soon. */
static pid_t read_pid(const char *name)
{
    const uint64_t end_ns = monotime_read() + WAIT_S * MONOTIME_NS_PER_S;
    char file_name[320];
    int pid = 0;
    char end_of_line = 0;
    (void)snprintf(file_name, sizeof(file_name), "%s/%s", root, name);
    while (end_of_line != '\n') {
        FILE *file = fopen(file_name, "r");
        if (file != NULL) {
            (void)!fscanf(file, "%d%c", &pid, &end_of_line);
            (void)fclose(file);
        }
        ck_assert(monotime_read() < end_ns);
        (void)usleep(1000);
    }
    return (pid_t)pid;
}

static void wait_for(enum archive_state state)
{
    const uint64_t end_ns = monotime_read() + WAIT_S * MONOTIME_NS_PER_S;
    while (archive_state(archive) != state) {
        ck_assert_msg(monotime_read() < end_ns, "state %d instead of %d",
                      (int)archive_state(archive), (int)state);
        (void)usleep(1000);
    }
}

START_TEST(stores_and_pages)
{
    begin(PARLEY_STORE_PROGRAM, PATIENT);
    ck_assert_int_eq(append("a", 1, 5), ARCHIVE_DONE);
    ck_assert_int_eq(append("a", 6, 4), ARCHIVE_DONE);
    ck_assert_int_eq(append("a", 6, 1), ARCHIVE_CONFLICT);

    struct archive_page *page = read_page("a", ARCHIVE_NEWEST, 3, 100);
    ck_assert_int_eq(page->result, ARCHIVE_DONE);
    ck_assert(page->epoch == EPOCH && page->top == 9 && page->first == 1 && !page->more);
    ck_assert_uint_eq(page->record_count, 3);
    ck_assert_uint_eq(page->records[0].offset, 7);
    ck_assert_uint_lt(page->records[2].age_ms, 60000);
    ck_assert_uint_eq(page->records[2].value.size, 5);
    ck_assert_int_eq(memcmp(page->records[2].value.data, "value", 5), 0);
    archive_post_destroy_page(page);

    page = read_page("a", ARCHIVE_SINCE, 2, 2);
    ck_assert(page->record_count == 2 && page->records[0].offset == 3 && page->more);
    archive_post_destroy_page(page);
    page = read_page("none", ARCHIVE_NEWEST, 3, 100);
    ck_assert_int_eq(page->result, ARCHIVE_ABSENT);
    archive_post_destroy_page(page);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_STORE_APPENDS), 9);
    ck_assert_int_eq(archive_state(archive), ARCHIVE_READY);
    end();

    /* The next server finds it. */
    begin(PARLEY_STORE_PROGRAM, PATIENT);
    page = read_page("a", ARCHIVE_NEWEST, 100, 100);
    ck_assert(page->result == ARCHIVE_DONE && page->record_count == 9 && page->top == 9);
    archive_post_destroy_page(page);
    end();
}
END_TEST

START_TEST(runs_do_not_depend_on_each_other)
{
    begin(PARLEY_STORE_PROGRAM, PATIENT);
    ck_assert_int_eq(append("a", 1, 1), ARCHIVE_DONE);
    struct archive_batch *batch = archive_post_create_batch(3, 4);
    const char *const channels[] = {"a", "gone", "c"};
    for (int i = 0; i < 3; i++) {
        archive_post_add_run(
            batch,
            (struct archive_run){.channel = text(channels[i]), .epoch = EPOCH, .power = true});
        if (i == 2) {
            add(batch, ARCHIVE_RESET, 0, "");
        }
        add(batch, ARCHIVE_APPEND, i == 0 ? 2 : 1, "value");
    }
    ask_batch(batch);
    ck_assert_ptr_eq(hear_batch(), batch);
    ck_assert_int_eq(batch->runs[0].result, ARCHIVE_DONE);
    ck_assert_int_eq(batch->runs[1].result, ARCHIVE_ABSENT);
    ck_assert_int_eq(batch->runs[2].result, ARCHIVE_DONE);
    archive_post_destroy_batch(batch);
    end();
}
END_TEST

/* Batches that are under way at a death end; what is said to be stored is. */
START_TEST(survives_its_child)
{
    enum { ROUNDS = 6, BATCHES = 8 };
    uint64_t next = 1;
    begin(PARLEY_STORE_PROGRAM, PATIENT);
    ck_assert_int_eq(append("a", next++, 1), ARCHIVE_DONE);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t stored = next - 1;
        bool unknown = false;
        for (uint64_t i = 0; i < BATCHES; i++) {
            ask_batch(appends("a", next + i, 1));
            if (i == (uint64_t)round) {
                ck_assert_int_eq(kill(find_child(), SIGKILL), 0);
            }
        }
        for (uint64_t i = 0; i < BATCHES; i++) {
            struct archive_batch *batch = hear_batch();
            ck_assert_uint_eq(batch->entries[0].offset, next + i);
            const enum archive_result result = batch->runs[0].result;
            ck_assert(result == ARCHIVE_DONE || result == ARCHIVE_UNKNOWN ||
                      result == ARCHIVE_CONFLICT);
            unknown = unknown || result == ARCHIVE_UNKNOWN;
            stored = result == ARCHIVE_DONE ? next + i : stored;
            archive_post_destroy_batch(batch);
        }
        struct archive_page *page = read_page("a", ARCHIVE_NEWEST, 100, 100);
        ck_assert_int_eq(page->result, ARCHIVE_DONE);
        ck_assert_uint_ge(page->top, stored);
        ck_assert_uint_lt(page->top, next + BATCHES);
        ck_assert(unknown || page->top == stored);
        next = page->top + 1;
        archive_post_destroy_page(page);
        wait_for(ARCHIVE_READY);
    }
    ck_assert_uint_ge(metrics_read(&metrics, METRIC_STORE_STARTS), 2);
    end();
}
END_TEST

/* Nobody has to publish for it to be known, and to stay known. */
START_TEST(says_that_the_disk_is_full)
{
    static const char *const never_enough[] = {"--free", "4294967295", NULL};
    begin(PARLEY_STORE_PROGRAM, PATIENT);
    ck_assert_int_eq(append("a", 1, 3), ARCHIVE_DONE);
    end();

    arguments = never_enough;
    begin(PARLEY_STORE_PROGRAM, PATIENT);
    wait_for(ARCHIVE_FULL);
    ck_assert_int_eq(append("a", 4, 1), ARCHIVE_REFUSED);
    struct archive_page *page = read_page("a", ARCHIVE_NEWEST, 100, 100);
    ck_assert(page->result == ARCHIVE_DONE && page->record_count == 3);
    archive_post_destroy_page(page);
    /* What frees some is done all the same, and changes nothing. */
    struct archive_batch *batch = archive_post_create_batch(1, 1);
    archive_post_add_run(batch, (struct archive_run){.channel = text("a"), .epoch = EPOCH});
    add(batch, ARCHIVE_TRIM, 3, "");
    ask_batch(batch);
    ck_assert_ptr_eq(hear_batch(), batch);
    ck_assert_int_eq(batch->runs[0].result, ARCHIVE_DONE);
    archive_post_destroy_batch(batch);
    ck_assert_int_eq(archive_state(archive), ARCHIVE_FULL);
    end();

    arguments = NULL;
    begin(PARLEY_STORE_PROGRAM, PATIENT);
    ck_assert_int_eq(append("a", 4, 1), ARCHIVE_DONE);
    wait_for(ARCHIVE_READY);
    end();
}
END_TEST

START_TEST(refuses_in_time_when_there_is_no_store)
{
    begin("/bin/false", MONOTIME_NS_PER_S / 2);
    const uint64_t began_ns = monotime_read();
    ck_assert_int_eq(append("a", 1, 1), ARCHIVE_REFUSED);
    ck_assert_uint_lt(monotime_read() - began_ns, PATIENT);
    struct archive_page *page = read_page("a", ARCHIVE_NEWEST, 3, 100);
    ck_assert_int_eq(page->result, ARCHIVE_REFUSED);
    archive_post_destroy_page(page);
    wait_for(ARCHIVE_DOWN);

    /* Who comes late does not wait. */
    ck_assert_int_eq(append("a", 1, 1), ARCHIVE_REFUSED);
    ask_batch(appends("a", 1, 1));
    end();
    struct archive_batch *batch = hear_batch();
    ck_assert_int_eq(batch->runs[0].result, ARCHIVE_REFUSED);
    archive_post_destroy_batch(batch);
}
END_TEST

/* `sleep` takes what it is sent and never answers: the end does not wait for ever. */
START_TEST(ends_although_the_store_does_not_answer)
{
    char program[320];
    (void)snprintf(program, sizeof(program), "%s/silent", root);
    FILE *file = fopen(program, "w");
    ck_assert_ptr_nonnull(file);
    (void)fprintf(file, "#!/bin/sh\necho $$ >%s/started\nexec sleep 60\n", root);
    ck_assert_int_eq(fclose(file), 0);
    char command[480];
    (void)snprintf(command, sizeof(command), "chmod +x %s", program);
    ck_assert_int_eq(system(command), 0);

    begin(program, MONOTIME_NS_PER_S / 2);
    ask_batch(appends("a", 1, 1));
    ck_assert_int_eq(archive_state(archive), ARCHIVE_STARTING);
    ck_assert_int_eq(kill(read_pid("started"), SIGSTOP), 0);
    end();
    struct archive_batch *batch = hear_batch();
    ck_assert_int_eq(batch->runs[0].result, ARCHIVE_REFUSED);
    archive_post_destroy_batch(batch);
}
END_TEST

START_TEST(wants_a_program)
{
    const struct archive_options options = {
        .program = "/nowhere/parley-store",
        .path = path,
        .bus = bus,
        .port = ARCHIVE,
        .timeout_ns = 1,
        .questions_max = 64,
        .metrics = &metrics,
    };
    archive = NULL;
    ck_assert_int_eq(archive_create(&options, &archive), -ENOENT);
    ck_assert_ptr_null(archive);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("server/archive");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, stores_and_pages);
    tcase_add_test(tcase, runs_do_not_depend_on_each_other);
    tcase_add_test(tcase, survives_its_child);
    tcase_add_test(tcase, says_that_the_disk_is_full);
    tcase_add_test(tcase, refuses_in_time_when_there_is_no_store);
    tcase_add_test(tcase, ends_although_the_store_does_not_answer);
    tcase_add_test(tcase, wants_a_program);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
