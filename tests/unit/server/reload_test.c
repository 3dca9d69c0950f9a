/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control's side of a reload, with ports that the test itself plays: every reactor is told
 * twice before anything of the old is freed, a full ring is tried again, who asks is answered by
 * the round that began after the question, and a bad file is no round at all.
 */
#include "server/reload.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "chat/post.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"
#include "proto/codes.h"
#include "server/args.h"
#include "server/config_source.h"
#include "server/listening.h"
#include "server/settings.h"

enum { REACTORS = 2, SLOTS = 64, RESERVE = 8 };

struct world {
    char file[32];
    struct args args;
    struct config_source source;
    struct config config; /* at the start */
    struct listening listening;
    struct bus *bus;
    struct logger *logger;
    struct metrics_namespaces *namespaces;
    struct reload reload;
};

/* Not in a frame, which under ASan is aligned to less. */
static struct metrics metrics;

static void write_file(const struct world *world, const char *text)
{
    FILE *out = fopen(world->file, "w");
    ck_assert_ptr_nonnull(out);
    ck_assert_int_ge(fputs(text, out), 0);
    ck_assert_int_eq(fclose(out), 0);
}

static void open_world(struct world *world)
{
    char error[CONFIG_ERROR_SIZE] = "";

    *world = (struct world){.file = "/tmp/reload_test_XXXXXX"};
    const int fd = mkstemp(world->file);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(close(fd), 0);
    world->args.config_file = world->file;
    world->source = (struct config_source){
        .args = &world->args,
        .facts = {.cpu_count = REACTORS, .open_files_max = 1000, .memory_max = 1 << 30},
    };
    write_file(world, "client: {channel_limit: 1}");
    ck_assert_msg(config_source_read(&world->source, &world->config, error, sizeof(error)) == 0,
                  "%s", error);
    world->listening.config = &world->config;
    world->bus = bus_create(REACTORS + 1, SLOTS, RESERVE);
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    const struct logger_options logger = {.level = LOG_INFO, .fd = null};
    world->logger = logger_create(&logger);
    world->namespaces = metrics_namespace_create(1);
    const struct reload_options options = {
        .source = &world->source,
        .listening = &world->listening,
        .bus = world->bus,
        .logger = world->logger,
        .metrics = &metrics,
        .namespaces = world->namespaces,
        .reactor_count = REACTORS,
    };
    struct settings *first = settings_create(&world->config, NULL, NULL, error, sizeof(error));
    ck_assert_ptr_nonnull(first);
    ck_assert_int_eq(reload_init(&world->reload, &options, first), 0);
}

static void close_world(struct world *world)
{
    reload_deinit(&world->reload);
    free(world->namespaces);
    logger_destroy(world->logger);
    bus_destroy(world->bus);
    config_destroy(&world->config);
    ck_assert_int_eq(unlink(world->file), 0);
}

/* The next post for this reactor. */
static struct post take(struct world *world, size_t reactor)
{
    struct bus_post packed;
    ck_assert_uint_eq(bus_take(world->bus, reactor, &packed, 1), 1);
    return post_unpack(&packed);
}

static void assert_nothing(struct world *world)
{
    struct bus_post packed;
    for (size_t i = 0; i < REACTORS; i++) {
        ck_assert_uint_eq(bus_take(world->bus, i, &packed, 1), 0);
    }
}

/* Both reactors take what they are posted, which is this step. */
static const struct settings *take_step(struct world *world, bool is_final)
{
    const struct settings *settings = NULL;
    for (size_t i = 0; i < REACTORS; i++) {
        const struct post post = take(world, i);
        ck_assert_int_eq(post.kind, POST_SETTINGS);
        ck_assert_int_eq(post.settings.is_final, is_final);
        settings = post.settings.settings;
        ck_assert(!reload_is_over(&world->reload));
        reload_take(&world->reload);
    }
    return settings;
}

static void assert_answer(struct world *world, size_t reactor, uint16_t error, const char *wanted)
{
    const struct post post = take(world, reactor);
    ck_assert_int_eq(post.kind, POST_RELOAD);
    ck_assert_uint_eq(post.reload.error, error);
    ck_assert_ptr_nonnull(post.reload.blob);
    const struct bytes text = blob_bytes(post.reload.blob);
    ck_assert_msg(memmem(text.data, text.size, wanted, strlen(wanted)) != NULL, "%.*s",
                  (int)text.size, (const char *)text.data);
    blob_drop(post.reload.blob, NULL);
}

START_TEST(tells_everybody_twice)
{
    struct world world;
    open_world(&world);
    ck_assert(reload_is_over(&world.reload));
    write_file(&world, "{client: {channel_limit: 2}, reactor: {count: 7}, log: {level: error}}");
    reload_want(&world.reload);
    ck_assert(reload_go_on(&world.reload));
    const struct settings *known = take_step(&world, false);
    ck_assert(reload_go_on(&world.reload));
    ck_assert_ptr_eq(take_step(&world, true), known);
    ck_assert_uint_eq(known->config->client.channel_limit, 2);
    ck_assert_uint_eq(known->config->reactor.count, REACTORS);
    ck_assert(reload_go_on(&world.reload));
    ck_assert(reload_is_over(&world.reload));
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_RELOADS_DONE), 1);
    struct log *log = logger_attach(world.logger, "t");
    ck_assert(!log_is_on(log, LOG_INFO));
    assert_nothing(&world);
    close_world(&world);
}
END_TEST

START_TEST(answers_the_next_round)
{
    struct world world;
    open_world(&world);
    write_file(&world, "client: {channel_limit: 3}");
    reload_ask(&world.reload, 0);
    ck_assert(reload_go_on(&world.reload));
    /* It has read the file: this one wants it read again. */
    reload_ask(&world.reload, 1);
    (void)take_step(&world, false);
    ck_assert(reload_go_on(&world.reload));
    (void)take_step(&world, true);
    write_file(&world, "channel_limit: 3");
    ck_assert(reload_go_on(&world.reload));
    assert_answer(&world, 0, 0, "{\"changed\":[\"client.channel_limit\"],\"needs_restart\":[]}");
    assert_answer(&world, 1, CODES_ERROR_BAD_REQUEST, ":1:1: ");
    ck_assert(reload_is_over(&world.reload));
    ck_assert_uint_eq(world.reload.present->config->client.channel_limit, 3);
    ck_assert_uint_eq(metrics_read(&metrics, METRIC_RELOADS_FAILED), 1);
    assert_nothing(&world);
    close_world(&world);
}
END_TEST

/* The second reactor takes nothing for a while. */
START_TEST(waits_for_room)
{
    struct world world;
    const struct bus_post filler = {.kind = POST_OVERLOAD};
    open_world(&world);
    size_t count = 0;
    while (bus_tell(world.bus, REACTORS, 1, &filler) == BUS_POSTED) {
        count++;
    }
    bus_flush(world.bus, REACTORS);
    reload_ask(&world.reload, 1);
    ck_assert(!reload_go_on(&world.reload));
    ck_assert_int_eq(take(&world, 0).kind, POST_SETTINGS);
    reload_take(&world.reload);
    ck_assert(!reload_go_on(&world.reload));
    for (; count > 0; count--) {
        ck_assert_int_eq(take(&world, 1).kind, POST_OVERLOAD);
    }
    ck_assert(reload_go_on(&world.reload));
    ck_assert(!take(&world, 1).settings.is_final);
    reload_take(&world.reload);
    ck_assert(reload_go_on(&world.reload));
    (void)take_step(&world, true);
    ck_assert(reload_go_on(&world.reload));
    assert_answer(&world, 1, 0, "\"changed\":[]");
    close_world(&world);
}
END_TEST

/* The server ends in the middle of it. */
START_TEST(may_end_at_any_time)
{
    struct world world;
    open_world(&world);
    reload_ask(&world.reload, 0);
    ck_assert(reload_go_on(&world.reload));
    close_world(&world);
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("reload");
    tcase_add_test(tests, tells_everybody_twice);
    tcase_add_test(tests, answers_the_next_round);
    tcase_add_test(tests, waits_for_room);
    tcase_add_test(tests, may_end_at_any_time);
    Suite *suite = suite_create("server/reload");
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
