/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disks that lie, fill up, get slow or fail, and directories that are no stores. What is damaged is
 * named and never returned as a message; the parent stays alive and says why.
 */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/monotime.h"
#include "store/store.h"
#include "tests/store/driver.h"

enum { OUTPUT_SIZE = 4096, VALUE_SIZE = 200 };

static struct driver driver;

static void setup(void)
{
    driver_open(&driver);
}

static void teardown(void)
{
    driver_close(&driver);
}

/* A value that follows from its offset and does not compress to nothing. */
static struct bytes value_of(uint64_t offset, uint8_t value[static VALUE_SIZE])
{
    uint64_t random = offset * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (int i = 0; i < VALUE_SIZE; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        value[i] = (uint8_t)('a' + random % 26);
    }
    return (struct bytes){value, VALUE_SIZE};
}

static struct store_completion append_some(const char *channel, uint64_t first, size_t count,
                                           enum wire_durability durability)
{
    static struct wire_entry entries[1000];
    static uint8_t values[1000][VALUE_SIZE];
    ck_assert_uint_le(count, 1000);
    for (size_t i = 0; i < count; i++) {
        entries[i] = driver_append(channel, 1, first + i, "");
        entries[i].value = value_of(first + i, values[i]);
    }
    return driver_commit(&driver, durability, entries, count);
}

static void reset(const char *channel)
{
    const struct wire_entry entry = driver_entry(WIRE_RESET, channel, 1, 0);
    const struct store_completion answer = driver_commit(&driver, WIRE_DURABLE_POWER, &entry, 1);
    ck_assert_int_eq(answer.event, STORE_COMMITTED);
    ck_assert_int_eq(answer.committed.result, WIRE_DONE);
}

/* The first file of the store whose name ends like this, the largest one. */
static void find_file(const char *end, char name[static DRIVER_PATH_SIZE * 2])
{
    DIR *const directory = opendir(driver.path);
    off_t largest = -1;
    ck_assert_ptr_nonnull(directory);
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        const size_t size = strlen(entry->d_name);
        char path[DRIVER_PATH_SIZE * 2];
        struct stat status;
        (void)snprintf(path, sizeof(path), "%s/%.200s", driver.path, entry->d_name);
        if (size > strlen(end) && strcmp(entry->d_name + size - strlen(end), end) == 0 &&
            stat(path, &status) == 0 && status.st_size > largest) {
            largest = status.st_size;
            memcpy(name, path, sizeof(path));
        }
    }
    (void)closedir(directory);
    ck_assert_msg(largest > 0, "no file *%s", end);
}

/* Flips 20 bytes in the middle of a file. */
static void flip(const char *path)
{
    struct stat status;
    uint8_t bytes[20];
    const int fd = open(path, O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(fstat(fd, &status), 0);
    ck_assert_int_eq(pread(fd, bytes, sizeof(bytes), status.st_size / 2), sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] ^= 0xff;
    }
    ck_assert_int_eq(pwrite(fd, bytes, sizeof(bytes), status.st_size / 2), sizeof(bytes));
    ck_assert_int_eq(close(fd), 0);
}

static void until_either_reason(const char *part, const char *other)
{
    const uint64_t end = monotime_read() + 30 * MONOTIME_NS_PER_S;
    const char *reason = store_look(driver.store).reason;
    while (strstr(reason, part) == NULL && strstr(reason, other) == NULL) {
        ck_assert_msg(monotime_read() < end, "not \"%s\" but \"%s\"", part, reason);
        driver_work(&driver, 20);
        reason = store_look(driver.store).reason;
    }
}

static void until_reason(const char *part)
{
    until_either_reason(part, part);
}

static void expect_tool(const char *command, int status, const char *part)
{
    char arguments[DRIVER_PATH_SIZE + 64];
    char output[OUTPUT_SIZE];
    (void)snprintf(arguments, sizeof(arguments), command, driver.path);
    const int got = driver_tool(arguments, output, sizeof(output));
    ck_assert_msg(got == status, "status %d of %s: %s", got, arguments, output);
    ck_assert_msg(strstr(output, part) != NULL, "no \"%s\" in: %s", part, output);
}

START_TEST(flipped_bytes_in_the_log)
{
    char name[DRIVER_PATH_SIZE * 2];
    driver_start(&driver, NULL);
    reset("a");
    for (uint64_t i = 0; i < 20; i++) {
        (void)append_some("a", 1 + 500 * i, 500, WIRE_DURABLE_POWER);
    }
    driver_stop(&driver);
    find_file(".log", name);
    flip(name);
    driver_start(&driver, NULL);
    driver_until_state(&driver, STORE_DOWN);
    until_reason("Corruption");
    /* It is tried again and again, and the reason can be read at any time. */
    const uint32_t starts = store_look(driver.store).starts;
    const uint64_t end = monotime_read() + 30 * MONOTIME_NS_PER_S;
    while (store_look(driver.store).starts < starts + 3) {
        driver_work(&driver, 20);
        const struct store_view view = store_look(driver.store);
        ck_assert_msg(strstr(view.reason, "Corruption") != NULL, "\"%s\"", view.reason);
        ck_assert_uint_lt(monotime_read(), end);
    }
    driver_until_state(&driver, STORE_DOWN);
    driver_stop(&driver);
    expect_tool("verify --path %s", 3, "Corruption");
}
END_TEST

/* The end of the log is torn, as a power cut leaves it: what is before it is there. */
START_TEST(torn_tail_of_the_log)
{
    char name[DRIVER_PATH_SIZE * 2];
    struct stat status;
    driver_start(&driver, NULL);
    reset("a");
    (void)append_some("a", 1, 500, WIRE_DURABLE_POWER);
    (void)append_some("a", 501, 500, WIRE_DURABLE_POWER);
    driver_stop(&driver);
    find_file(".log", name);
    ck_assert_int_eq(stat(name, &status), 0);
    ck_assert_int_eq(truncate(name, status.st_size - 50), 0);
    driver_start(&driver, NULL);
    ck_assert_uint_eq(driver_look(&driver, "a").stream.top, 500);
    /* And again, with a second log behind the torn one. */
    (void)append_some("a", 501, 10, WIRE_DURABLE_POWER);
    driver_stop(&driver);
    driver_start(&driver, NULL);
    ck_assert_uint_eq(driver_look(&driver, "a").stream.top, 510);
}
END_TEST

/* Enough for tables; then one of them is hurt: some channels are damaged, the others are right. */
START_TEST(flipped_bytes_in_a_table)
{
    static const char *const small[] = {"--write-buffer", "1", NULL};
    char name[DRIVER_PATH_SIZE * 2];
    char channel[24];
    driver_start(&driver, small);
    for (uint64_t i = 0; i < 20; i++) {
        (void)snprintf(channel, sizeof(channel), "room %d", (int)i);
        reset(channel);
        for (uint64_t j = 0; j < 2; j++) {
            ck_assert_int_eq(append_some(channel, 1 + 1000 * j, 1000, WIRE_DURABLE_PROCESS).event,
                             STORE_COMMITTED);
        }
    }
    driver_stop(&driver);
    expect_tool("verify --path %s", 0, "20 channels, 40000 records, 0 damages");
    find_file(".sst", name);
    flip(name);
    expect_tool("verify --path %s", 1, "damaged: channel \"room ");
    expect_tool("verify --json --path %s", 1, "\"damage\":");

    driver_start(&driver, small);
    int damaged = 0;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(channel, sizeof(channel), "room %d", i);
        for (uint64_t since = 0; since < 2000; since += 1000) {
            struct wire_page page =
                driver_read(&driver, (struct wire_read){.channel = driver_text(channel),
                                                        .since = since,
                                                        .count_max = 1000,
                                                        .bytes_max = WIRE_PAGE_BYTES_MAX});
            struct wire_record record;
            ck_assert(page.result == WIRE_DONE || page.result == WIRE_DAMAGED);
            damaged += page.result == WIRE_DAMAGED;
            ck_assert_uint_eq(page.count, page.result == WIRE_DONE ? 1000 : 0);
            while (wire_next_record(&page.records, &record)) {
                uint8_t value[VALUE_SIZE];
                const struct bytes wanted = value_of(record.offset, value);
                ck_assert_uint_eq(record.value.size, wanted.size);
                ck_assert_int_eq(memcmp(record.value.data, wanted.data, wanted.size), 0);
            }
        }
    }
    ck_assert_int_gt(damaged, 0);
    ck_assert_int_lt(damaged, 40);
    /* A new life goes on, unless the engine has met the damage itself, and then it says so. */
    const struct wire_entry again = driver_entry(WIRE_RESET, channel, 2, 0);
    const struct store_completion answer = driver_commit(&driver, WIRE_DURABLE_POWER, &again, 1);
    if (answer.event != STORE_COMMITTED) {
        ck_assert_int_eq(answer.event, STORE_LOST);
        until_reason("Corruption");
    }
}
END_TEST

enum { ROOMS = 10, ROOM_RECORDS = 2000 };

static const char *const small_tables[] = {"--write-buffer", "1", "--sweep", "100000", NULL};

static const char *room_name(int number)
{
    static char name[24];
    (void)snprintf(name, sizeof(name), "room %d", number);
    return name;
}

/* Rooms in tables, so few that the engine has no reason yet to merge them. */
static void fill_rooms(uint64_t at_once)
{
    driver_start(&driver, small_tables);
    for (int i = 0; i < ROOMS; i++) {
        reset(room_name(i));
    }
    for (uint64_t first = 1; first <= ROOM_RECORDS; first += at_once) {
        for (int i = 0; i < ROOMS; i++) {
            ck_assert_int_eq(
                append_some(room_name(i), first, at_once, WIRE_DURABLE_PROCESS).committed.result,
                WIRE_DONE);
        }
    }
    driver_stop(&driver);
}

/* Writes until the engine has merged all its tables, and has met what is hurt. */
static void write_until_repaired(void)
{
    uint64_t top = 0;
    for (uint64_t epoch = 1; driver_stats(&driver).damaged_tables == 0; epoch++) {
        struct store_completion answer = {.event = STORE_LOST};
        ck_assert_uint_lt(epoch, 500);
        for (int i = 0; i < 10 && answer.event == STORE_LOST; i++) {
            answer = append_some("writer", top + 1, 500, WIRE_DURABLE_PROCESS);
            if (answer.event != STORE_COMMITTED) {
                driver_until_state(&driver, STORE_READY);
            }
            top = driver_look(&driver, "writer").stream.top;
        }
    }
}

/* As it was, or gone, or a new life in which nothing was said; how many of the latter two. */
static int count_new_lives(void)
{
    int new_lives = 0;
    for (int i = 0; i < ROOMS; i++) {
        struct wire_page page =
            driver_read(&driver, (struct wire_read){.channel = driver_text(room_name(i)),
                                                    .count_max = ROOM_RECORDS,
                                                    .bytes_max = WIRE_PAGE_BYTES_MAX});
        const bool is_new = page.result == WIRE_ABSENT || page.stream.epoch != 1;
        struct wire_record record;
        ck_assert_int_eq(page.result, is_new ? page.result : WIRE_DONE);
        ck_assert_int_ne(page.result, WIRE_DAMAGED);
        ck_assert_uint_eq(page.count, is_new ? 0 : ROOM_RECORDS);
        ck_assert_uint_eq(page.stream.top, page.count);
        while (wire_next_record(&page.records, &record)) {
            uint8_t value[VALUE_SIZE];
            const struct bytes wanted = value_of(record.offset, value);
            ck_assert_uint_eq(record.value.size, wanted.size);
            ck_assert_int_eq(memcmp(record.value.data, wanted.data, wanted.size), 0);
        }
        new_lives += is_new;
    }
    return new_lives;
}

/* A compaction meets a damaged block: the store gets rid of it, and goes on. */
START_TEST(damage_is_repaired)
{
    char name[DRIVER_PATH_SIZE * 2];
    fill_rooms(100); /* so that tables overlap, and none is moved without being read */
    find_file(".sst", name);
    flip(name);
    driver_start(&driver, small_tables);
    reset("writer");
    write_until_repaired();
    const struct wire_stats stats = driver_stats(&driver);
    ck_assert_uint_eq(stats.damaged_tables, 1);
    const int new_lives = count_new_lives();
    ck_assert_int_ge(new_lives, 1);
    ck_assert_int_le(new_lives, 3);
    ck_assert_uint_eq(stats.damaged_streams, (uint64_t)new_lives);
    ck_assert_uint_eq(store_look(driver.store).starts, 2);
    driver_stop(&driver);
    expect_tool("verify --path %s", 0, " 0 damages");
}
END_TEST

/* A table that cannot even be opened: the store opens without it. */
START_TEST(table_without_an_end_is_repaired)
{
    char name[DRIVER_PATH_SIZE * 2];
    struct stat status;
    fill_rooms(1000);
    find_file(".sst", name);
    ck_assert_int_eq(stat(name, &status), 0);
    const int fd = open(name, O_WRONLY);
    const uint8_t zeros[64] = {0};
    ck_assert_int_eq(pwrite(fd, zeros, sizeof(zeros), status.st_size - 64), sizeof(zeros));
    ck_assert_int_eq(close(fd), 0);
    driver_start(&driver, small_tables);
    const struct wire_stats stats = driver_stats(&driver);
    ck_assert_uint_eq(stats.damaged_tables, 1);
    const int new_lives = count_new_lives();
    ck_assert(new_lives >= 1 && new_lives <= ROOMS);
    ck_assert_uint_eq(stats.damaged_streams, (uint64_t)new_lives);
    driver_stop(&driver);
    expect_tool("verify --path %s", 0, " 0 damages");
}
END_TEST

static void note(const char *table, int tries)
{
    char name[DRIVER_PATH_SIZE + 16];
    (void)snprintf(name, sizeof(name), "%s/DAMAGED", driver.path);
    FILE *const file = fopen(name, "w");
    ck_assert_ptr_nonnull(file);
    (void)fprintf(file, "%d 0 0 Corruption: somebody says so of %s", tries, table);
    ck_assert_int_eq(fclose(file), 0);
}

static void copy_store(const char *from)
{
    char command[DRIVER_PATH_SIZE * 4];
    char output[OUTPUT_SIZE];
    (void)snprintf(command, sizeof(command), "rm -rf %s && cp -r %s %s", driver.path, from,
                   driver.path);
    ck_assert_msg(driver_run(command, output, sizeof(output)) == 0, "%s: %s", command, output);
}

/* Once it has opened, or said that it cannot. */
static bool is_repaired(void)
{
    const uint64_t end = monotime_read() + 30 * MONOTIME_NS_PER_S;
    for (;;) {
        const struct store_view view = store_look(driver.store);
        if (view.state == STORE_READY || view.damaged) {
            return view.state == STORE_READY;
        }
        ck_assert_msg(monotime_read() < end, "%s", view.reason);
        driver_work(&driver, 20);
    }
}

/* Whatever a table is for: the store goes on without it, and says nothing wrong. */
START_TEST(any_table_may_be_damaged)
{
    char whole[DRIVER_PATH_SIZE];
    int tables = 0;
    int repaired = 0;
    fill_rooms(100);
    memcpy(whole, driver.path, sizeof(whole));
    (void)snprintf(driver.path, sizeof(driver.path), "%.200s/copy", driver.root);
    DIR *const directory = opendir(whole);
    ck_assert_ptr_nonnull(directory);
    for (const struct dirent *entry = readdir(directory); entry != NULL;
         entry = readdir(directory)) {
        char name[DRIVER_PATH_SIZE * 2];
        if (strstr(entry->d_name, ".sst") == NULL) {
            continue;
        }
        tables++;
        copy_store(whole);
        (void)snprintf(name, sizeof(name), "%s/%.200s", driver.path, entry->d_name);
        flip(name);
        note(entry->d_name, 0);
        driver_start(&driver, small_tables);
        if (is_repaired()) {
            (void)count_new_lives();
            ck_assert_uint_eq(driver_stats(&driver).damaged_tables, 1);
            repaired++;
            driver_stop(&driver);
            expect_tool("verify --path %s", 0, " 0 damages");
        } else {
            until_reason("cannot be done without");
            driver_stop(&driver);
        }
    }
    (void)closedir(directory);
    /* The one that says what is in the others is for people. */
    ck_assert_int_ge(repaired, 2);
    ck_assert_int_ge(repaired, tables - 1);
}
END_TEST

/* Tried often enough: it stays closed, and says why, until somebody has seen to it. */
START_TEST(repair_has_an_end)
{
    char name[DRIVER_PATH_SIZE + 16];
    fill_rooms(1000);
    note("000001.sst", 3);
    driver_start(&driver, small_tables);
    driver_until_state(&driver, STORE_DOWN);
    until_reason("exit status 6");
    until_reason("could not be repaired");
    for (uint32_t starts = store_look(driver.store).starts;
         store_look(driver.store).starts < starts + 3;) {
        driver_work(&driver, 20);
        ck_assert(store_look(driver.store).damaged);
    }
    (void)snprintf(name, sizeof(name), "%s/DAMAGED", driver.path);
    ck_assert_int_eq(unlink(name), 0);
    driver_until_state(&driver, STORE_READY);
    ck_assert(!store_look(driver.store).damaged);
    ck_assert_int_eq(count_new_lives(), 0);
}
END_TEST

/* Noted in a store that somebody has open: who comes second has no business there. */
START_TEST(repair_is_not_for_others)
{
    char name[DRIVER_PATH_SIZE * 2];
    char who[64];
    struct driver second;
    fill_rooms(1000);
    find_file(".sst", name);
    driver_start(&driver, small_tables);
    driver_until_state(&driver, STORE_READY);
    note(strrchr(name, '/') + 1, 0);
    (void)snprintf(who, sizeof(who), "in use by process %d", store_look(driver.store).child);
    driver_open(&second);
    memcpy(second.path, driver.path, sizeof(second.path));
    driver_start(&second, small_tables);
    const uint64_t end = monotime_read() + 30 * MONOTIME_NS_PER_S;
    while (strstr(store_look(second.store).reason, who) == NULL) {
        ck_assert_msg(monotime_read() < end, "%s", store_look(second.store).reason);
        driver_work(&second, 20);
    }
    driver_close(&second);
    (void)snprintf(name, sizeof(name), "%.250s/DAMAGED", driver.path);
    ck_assert_int_eq(unlink(name), 0);
    ck_assert_int_eq(count_new_lives(), 0);
    driver_stop(&driver);
    expect_tool("verify --path %s", 0, " 0 damages");
}
END_TEST

START_TEST(directories_that_are_no_stores)
{
    char command[DRIVER_PATH_SIZE * 3];
    char output[OUTPUT_SIZE];
    expect_tool("stat --path %s", 3, "does not exist");
    ck_assert_int_eq(mkdir(driver.path, 0700), 0);
    expect_tool("stat --path %s", 3, "is empty");
    (void)snprintf(command, sizeof(command), "touch %s/photo.jpg", driver.path);
    ck_assert_int_eq(driver_run(command, output, sizeof(output)), 0);
    expect_tool("stat --path %s", 3, "files of others, such as photo.jpg");
    expect_tool("stat --path %s/photo.jpg", 3, "is not a directory");
    (void)snprintf(command, sizeof(command), "rm %s/photo.jpg; echo x > %s/CURRENT", driver.path,
                   driver.path);
    ck_assert_int_eq(driver_run(command, output, sizeof(output)), 0);
    expect_tool("verify --path %s", 3, "parley-store: ");
}
END_TEST

START_TEST(tool_looks_at_a_store)
{
    driver_start(&driver, NULL);
    reset("a");
    reset("a"); /* the engine knows of two entries, and we of one channel */
    ck_assert_int_eq(append_some("a", 1, 3, WIRE_DURABLE_POWER).committed.result, WIRE_DONE);
    expect_tool("stat --path %s", 3, "is in use by process");
    expect_tool("export --live --path %s a", 0, "\"offset\":3,\"epoch\":\"0000000000000001\"");
    driver_stop(&driver);
    expect_tool("stat --path %s", 0, "streams      1\nrecords      ");
    expect_tool("stat --json --path %s", 0, "{\"streams\":1,\"records_about\":");
    expect_tool("verify --path %s", 0, "1 channels, 3 records, 0 damages");
    expect_tool("export --path %s b", 1, "channel b does not exist");
    expect_tool("export --path %s", 2, "export wants one CHANNEL");
    expect_tool("--version --path %s", 0, "parley-store ");
    expect_tool("serve --path %s", 2, "descriptors 3 and 4");
}
END_TEST

/* --- Disks that fill up, and break --- */

static bool mount_small(void)
{
    if (mkdir(driver.path, 0700) != 0 || mount("tmpfs", driver.path, "tmpfs", 0, "size=16m") != 0) {
        (void)printf("skipped: a small tmpfs cannot be mounted: %s\n", strerror(errno));
        return false;
    }
    return true;
}

static void unmount_small(void)
{
    driver_stop(&driver);
    ck_assert_int_eq(umount(driver.path), 0);
}

/* Appends until something else than DONE comes; how many records were acknowledged. */
static uint64_t append_until_refused(struct store_completion *answer)
{
    uint64_t top = 0;
    *answer = append_some("a", 1, 100, WIRE_DURABLE_POWER);
    while (answer->event == STORE_COMMITTED && answer->committed.result == WIRE_DONE) {
        top += 100;
        ck_assert_uint_lt(top * VALUE_SIZE, 64 << 20);
        *answer = append_some("a", top + 1, 100, WIRE_DURABLE_POWER);
    }
    return top;
}

START_TEST(disk_gets_full)
{
    static const char *const arguments[] = {"--write-buffer", "1", "--free", "4", NULL};
    struct store_completion answer;
    if (!mount_small()) {
        return;
    }
    driver_start(&driver, arguments);
    reset("a");
    const int child = store_look(driver.store).child;
    const uint64_t top = append_until_refused(&answer);
    ck_assert_int_eq(answer.event, STORE_COMMITTED);
    ck_assert_int_eq(answer.committed.result, WIRE_NO_SPACE);
    ck_assert_uint_gt(top, 1000);
    until_reason("the disk is full: ");
    /* The child lives, what was acknowledged can be read, and trims are taken. */
    ck_assert_int_eq(store_look(driver.store).child, child);
    ck_assert_uint_eq(driver_look(&driver, "a").stream.top, top);
    const struct wire_entry remove_all = driver_entry(WIRE_REMOVE, "a", 1, 0);
    ck_assert_int_eq(driver_commit(&driver, WIRE_DURABLE_POWER, &remove_all, 1).committed.result,
                     WIRE_DONE);
    unmount_small();
}
END_TEST

/* Without the reserve the engine runs into the wall: its process may die, this one may not. */
START_TEST(disk_is_full_to_the_last_byte)
{
    static const char *const arguments[] = {"--write-buffer", "1", "--free", "0", NULL};
    struct store_completion answer;
    if (!mount_small()) {
        return;
    }
    driver_start(&driver, arguments);
    reset("a");
    const uint64_t top = append_until_refused(&answer);
    (void)printf("full after %llu records: event %d, result %d, \"%s\"\n", (unsigned long long)top,
                 (int)answer.event, (int)answer.committed.result, store_look(driver.store).reason);
    ck_assert_uint_gt(top, 1000);
    ck_assert_int_eq(answer.event, STORE_LOST);
    /*
     * Of what comes first nobody can be sure: the commit fails, or an assertion of the library that
     * does not name the cause. The next child may not open, or find room again in what it removes.
     */
    until_either_reason("No space left on device", "signal 6 (Aborted)");
    driver_stop(&driver);
    /* With more room everything that was acknowledged is there. */
    ck_assert_int_eq(mount("tmpfs", driver.path, "tmpfs", MS_REMOUNT, "size=64m"), 0);
    driver_start(&driver, arguments);
    driver_until_state(&driver, STORE_READY);
    ck_assert_uint_ge(driver_look(&driver, "a").stream.top, top);
    struct wire_page page =
        driver_read(&driver, (struct wire_read){.channel = driver_text("a"),
                                                .count_max = 16384,
                                                .bytes_max = WIRE_PAGE_BYTES_MAX});
    ck_assert_int_eq(page.result, WIRE_DONE);
    unmount_small();
}
END_TEST

static char control[DRIVER_PATH_SIZE];

/* The child finds one or the other, never half of it. */
static void shim_says(const char *text)
{
    char next[DRIVER_PATH_SIZE];
    (void)snprintf(next, sizeof(next), "%.200s/next", driver.root);
    FILE *const file = fopen(next, "w");
    ck_assert_ptr_nonnull(file);
    (void)fputs(text, file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(rename(next, control), 0);
}

static void start_with_shim(void)
{
    (void)snprintf(control, sizeof(control), "%.200s/control", driver.root);
    shim_says("");
    ck_assert_int_eq(setenv("PARLEY_STORE_SHIM", control, 1), 0);
    ck_assert_int_eq(setenv("LD_PRELOAD", PARLEY_STORE_SHIM, 1), 0);
    driver_start(&driver, NULL);
    reset("a");
}

START_TEST(slow_disk)
{
    start_with_shim();
    ck_assert_int_eq(append_some("a", 1, 10, WIRE_DURABLE_POWER).committed.result, WIRE_DONE);
    shim_says("hold");
    struct wire_entry entry = driver_append("a", 1, 11, "x");
    ck_assert_int_eq(store_commit(driver.store, 5, WIRE_DURABLE_POWER, &entry, 1), STORE_QUEUED);
    /* Nobody waits but who asked for it: the parent's calls return. */
    for (int i = 0; i < 5; i++) {
        driver_work(&driver, 20);
        ck_assert_uint_eq(store_look(driver.store).questions, 1);
    }
    shim_says("slow 1100");
    driver_until_quiet(&driver);
    until_reason("the disk is slow: a commit took");
    ck_assert_int_eq(store_look(driver.store).state, STORE_READY);
    ck_assert_uint_eq(driver_look(&driver, "a").stream.top, 11);
}
END_TEST

START_TEST(disk_fails)
{
    static const char *const faults[] = {"eio", "enospc"};
    start_with_shim();
    ck_assert_int_eq(append_some("a", 1, 10, WIRE_DURABLE_POWER).committed.result, WIRE_DONE);
    shim_says(faults[_i]);
    const struct store_completion answer = append_some("a", 11, 10, WIRE_DURABLE_POWER);
    (void)printf("%s: event %d, \"%s\"\n", faults[_i], (int)answer.event,
                 store_look(driver.store).reason);
    ck_assert_int_eq(answer.event, STORE_LOST);
    /* Writes that fail end in one of the assertions of the library: the process aborts. */
    until_reason(_i == 0 ? "Input/output error" : "signal 6 (Aborted)");
    shim_says("");
    driver_until_state(&driver, STORE_READY);
    /* Sometimes it had been written, and only the answer did not come. */
    uint64_t top = driver_look(&driver, "a").stream.top;
    ck_assert(top == 10 || top == 20);
    const struct store_completion next = append_some("a", top + 1, 10, WIRE_DURABLE_POWER);
    ck_assert_int_eq(next.event, STORE_COMMITTED);
    ck_assert_int_eq(next.committed.result, WIRE_DONE);
    driver_stop(&driver);
    ck_assert_int_eq(unsetenv("LD_PRELOAD"), 0);
    expect_tool("verify --path %s", 0, "1 channels, ");
}
END_TEST

int main(void)
{
    TCase *const faults = tcase_create("faults");
    tcase_add_checked_fixture(faults, setup, teardown);
    tcase_add_test(faults, flipped_bytes_in_the_log);
    tcase_add_test(faults, torn_tail_of_the_log);
    tcase_add_test(faults, flipped_bytes_in_a_table);
    tcase_set_timeout(faults, 120);
    tcase_add_test(faults, damage_is_repaired);
    tcase_add_test(faults, any_table_may_be_damaged);
    tcase_add_test(faults, repair_has_an_end);
    tcase_add_test(faults, repair_is_not_for_others);
    tcase_add_test(faults, table_without_an_end_is_repaired);
    tcase_add_test(faults, directories_that_are_no_stores);
    tcase_add_test(faults, tool_looks_at_a_store);
    tcase_add_test(faults, disk_gets_full);
    tcase_add_test(faults, disk_is_full_to_the_last_byte);
    tcase_add_test(faults, slow_disk);
    tcase_add_loop_test(faults, disk_fails, 0, 2);
    Suite *const suite = suite_create("store faults");
    suite_add_tcase(suite, faults);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
