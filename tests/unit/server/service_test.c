/* SPDX-License-Identifier: Apache-2.0 */
/*
 * service, and notify below it: a socket stands in for the service manager's, a table of metrics
 * for the reactors, and the test's own clock decides what is due.
 */
#include "server/service.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/metrics.h"

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

enum { REACTORS = 2 };

struct scene {
    struct metrics metrics[REACTORS];
    struct service service;
    char path[64];
    int manager; /* what the manager reads from */
    unsigned wakes[REACTORS];
    bool is_stuck; /* the second reactor does not turn */
};

static void wake(void *context, size_t reactor)
{
    struct scene *scene = context;
    scene->wakes[reactor]++;
    if (reactor == 0 || !scene->is_stuck) {
        metrics_observe(&scene->metrics[reactor].loop, 1000);
    }
}

static int listen_at(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t size = strlen(name);
    memcpy(address.sun_path, name, size);
    if (name[0] == '@') {
        address.sun_path[0] = '\0';
    }
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    const socklen_t length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size + (name[0] == '@' ? 0 : 1));
    ck_assert_int_eq(bind(fd, (const struct sockaddr *)&address, length), 0);
    return fd;
}

static void begin(struct scene *scene, const char *watchdog)
{
    memset(scene, 0, sizeof(*scene));
    (void)snprintf(scene->path, sizeof(scene->path), "/tmp/parley-notify-%d", (int)getpid());
    (void)unlink(scene->path);
    scene->manager = listen_at(scene->path);
    ck_assert_int_eq(setenv("NOTIFY_SOCKET", scene->path, 1), 0);
    (void)unsetenv("WATCHDOG_PID");
    ck_assert_int_eq(
        watchdog == NULL ? unsetenv("WATCHDOG_USEC") : setenv("WATCHDOG_USEC", watchdog, 1), 0);
    const struct service_options options = {
        .metrics = scene->metrics,
        .reactor_count = REACTORS,
        .wake = wake,
        .context = scene,
        .stop_time_ns = 40 * S,
    };
    ck_assert_int_eq(service_init(&scene->service, &options), 0);
}

static void end(struct scene *scene)
{
    service_deinit(&scene->service);
    (void)close(scene->manager);
    (void)unlink(scene->path);
}

/* The next datagram, or "" when there is none. */
static const char *heard(const struct scene *scene)
{
    static char lines[512];
    const ssize_t size = recv(scene->manager, lines, sizeof(lines) - 1, 0);
    lines[size > 0 ? size : 0] = '\0';
    return lines;
}

static void tick(struct scene *scene, uint64_t now_ns)
{
    service_tick(&scene->service, now_ns, ARCHIVE_READY);
}

START_TEST(is_ready_when_the_store_is)
{
    static struct scene scene;
    begin(&scene, NULL);

    service_tick(&scene.service, 1 * S, ARCHIVE_STARTING);
    ck_assert_str_eq(heard(&scene), "EXTEND_TIMEOUT_USEC=10000000\n"
                                    "STATUS=Starting: the store is being opened");
    ck_assert_uint_eq(service_due_ns(&scene.service), 1 * S + 100 * MS);
    service_tick(&scene.service, 1 * S + 50 * MS, ARCHIVE_READY);
    ck_assert_str_eq(heard(&scene), ""); /* not due */
    service_tick(&scene.service, 2 * S, ARCHIVE_DOWN);
    ck_assert_str_eq(heard(&scene), "STATUS=Starting: the store is down");
    metrics_add(&scene.metrics[0], METRIC_CONNECTIONS_OPEN, 3);
    metrics_add(&scene.metrics[1], METRIC_CONNECTIONS_OPEN, 4);
    metrics_add(&scene.metrics[1], METRIC_CHANNELS, 5);
    metrics_add(&scene.metrics[0], METRIC_SUBSCRIPTIONS, 6);
    service_tick(&scene.service, 3 * S, ARCHIVE_READY);
    ck_assert_str_eq(heard(&scene),
                     "READY=1\nSTATUS=7 connections, 5 channels, 6 subscriptions; ready");
    service_tick(&scene.service, 8 * S, ARCHIVE_FULL);
    ck_assert_str_eq(heard(&scene), "STATUS=7 connections, 5 channels, 6 subscriptions; "
                                    "the store has no space left");
    ck_assert_uint_eq(scene.wakes[0], 0); /* nobody watches */
    end(&scene);
}
END_TEST

START_TEST(tells_of_reloads_and_the_end)
{
    static struct scene scene;
    begin(&scene, NULL);

    service_reloading(&scene.service, 1 * S); /* before it is ready: nothing to tell */
    ck_assert_str_eq(heard(&scene), "");
    tick(&scene, 1 * S);
    (void)heard(&scene);
    service_reloading(&scene.service, 1 * S + 5000);
    ck_assert_str_eq(heard(&scene), "RELOADING=1\nMONOTONIC_USEC=1000005");
    service_reloaded(&scene.service);
    ck_assert_str_eq(heard(&scene), "READY=1");
    service_reloaded(&scene.service);
    ck_assert_str_eq(heard(&scene), "");
    metrics_add(&scene.metrics[0], METRIC_CONNECTIONS_OPEN, 3);
    metrics_set(&scene.metrics[1], METRIC_DRAIN_WAITING, 2);
    service_stopping(&scene.service, 2 * S);
    ck_assert_str_eq(heard(&scene), "STOPPING=1\nEXTEND_TIMEOUT_USEC=40000000\n"
                                    "STATUS=Draining: 3 connections, 0 told, 2 to be told");
    metrics_add(&scene.metrics[0], METRIC_DRAIN_TOLD, 1);
    ck_assert_uint_eq(service_due_ns(&scene.service), 3 * S);
    tick(&scene, 3 * S);
    ck_assert_str_eq(heard(&scene), "STATUS=Draining: 3 connections, 1 told, 2 to be told");
    end(&scene);
}
END_TEST

START_TEST(is_alive_while_every_reactor_turns)
{
    static struct scene scene;
    begin(&scene, "400000");

    tick(&scene, 1 * S);
    (void)heard(&scene);
    ck_assert_str_eq(heard(&scene), "WATCHDOG=1");
    ck_assert_uint_eq(service_due_ns(&scene.service), 1 * S + 100 * MS);
    tick(&scene, 1 * S + 100 * MS);
    ck_assert_str_eq(heard(&scene), "WATCHDOG=1");
    scene.is_stuck = true;
    tick(&scene, 1 * S + 200 * MS); /* it had been woken before, and turned */
    ck_assert_str_eq(heard(&scene), "WATCHDOG=1");
    tick(&scene, 1 * S + 300 * MS);
    ck_assert_str_eq(heard(&scene), "");
    tick(&scene, 1 * S + 400 * MS);
    ck_assert_str_eq(heard(&scene), "");
    scene.is_stuck = false;
    tick(&scene, 1 * S + 500 * MS);
    ck_assert_str_eq(heard(&scene), "");
    tick(&scene, 1 * S + 600 * MS);
    ck_assert_str_eq(heard(&scene), "WATCHDOG=1");
    ck_assert_uint_eq(scene.wakes[0], 7);
    ck_assert_uint_eq(scene.wakes[1], 7);
    end(&scene);
}
END_TEST

/* A manager that has gone costs nothing. */
START_TEST(is_not_held_up)
{
    static struct scene scene;
    begin(&scene, "1000000");

    for (uint64_t i = 0; i < 2000; i++) {
        tick(&scene, i * S); /* it does not read */
    }
    (void)close(scene.manager);
    tick(&scene, 3000 * S);
    service_stopping(&scene.service, 3001 * S);
    scene.manager = dup(STDERR_FILENO);
    end(&scene);
}
END_TEST

static const struct {
    const char *why;
    const char *socket; /* "@": ours */
    const char *usec;
    const char *pid; /* "own": ours */
    int result;
    uint64_t watchdog_ns;
} environments[] = {
    {"no manager", NULL, "1000000", NULL, 0, 0},
    {"an empty name", "", "1000000", NULL, 0, 0},
    {"no path", "relative", NULL, NULL, -EAFNOSUPPORT, 0},
    {"too short", "/", NULL, NULL, -EAFNOSUPPORT, 0},
    {"nobody there", "/nonexistent/notify", NULL, NULL, -ENOENT, 0},
    {"too long",
     "/0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890"
     "1234567890123456789",
     NULL, NULL, -ENAMETOOLONG, 0},
    {"no watchdog", "@", NULL, NULL, 0, 0},
    {"a watchdog", "@", "30000000", NULL, 0, 30 * S},
    {"it is for us", "@", "30000000", "own", 0, 30 * S},
    {"it is for another", "@", "30000000", "1", 0, 0},
    {"no number", "@", "30s", NULL, 0, 0},
    {"no pid", "@", "30000000", "x", 0, 0},
    {"more than a day", "@", "99999999999999", NULL, 0, 0},
    {"more than there are", "@", "99999999999999999999999", NULL, 0, 0},
};

static void set(const char *key, const char *value)
{
    char own[32];
    (void)snprintf(own, sizeof(own), "%d", (int)getpid());
    if (value == NULL) {
        (void)unsetenv(key);
    } else {
        (void)setenv(key, strcmp(value, "own") == 0 ? own : value, 1);
    }
}

START_TEST(reads_the_environment)
{
    char ours[32];
    (void)snprintf(ours, sizeof(ours), "@parley-notify-%d", (int)getpid());
    const int manager = listen_at(ours);
    const char *const name = environments[_i].socket;
    struct notify notify;

    set("NOTIFY_SOCKET", name != NULL && strcmp(name, "@") == 0 ? ours : name);
    set("WATCHDOG_USEC", environments[_i].usec);
    set("WATCHDOG_PID", environments[_i].pid);
    ck_assert_msg(notify_open(&notify) == environments[_i].result, "%s", environments[_i].why);
    ck_assert_msg(notify.watchdog_ns == environments[_i].watchdog_ns, "%s", environments[_i].why);
    notify_send(&notify, "STATUS=x");
    notify_close(&notify);
    notify_close(&notify);
    (void)close(manager);
}
END_TEST

START_TEST(without_a_manager)
{
    static struct scene scene = {.is_stuck = false};
    const struct service_options options = {
        .metrics = scene.metrics, .reactor_count = REACTORS, .wake = wake, .context = &scene};

    (void)unsetenv("NOTIFY_SOCKET");
    ck_assert_int_eq(service_init(&scene.service, &options), 0);
    ck_assert_uint_eq(service_due_ns(&scene.service), UINT64_MAX);
    tick(&scene, 1 * S);
    service_reloading(&scene.service, 1 * S);
    service_reloaded(&scene.service);
    service_stopping(&scene.service, 1 * S);
    ck_assert_uint_eq(service_due_ns(&scene.service), UINT64_MAX);
    ck_assert_uint_eq(scene.wakes[0], 0);
    service_deinit(&scene.service);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("service");
    tcase_add_test(tcase, is_ready_when_the_store_is);
    tcase_add_test(tcase, tells_of_reloads_and_the_end);
    tcase_add_test(tcase, is_alive_while_every_reactor_turns);
    tcase_add_test(tcase, is_not_held_up);
    tcase_add_test(tcase, without_a_manager);
    tcase_add_loop_test(tcase, reads_the_environment, 0,
                        sizeof(environments) / sizeof(environments[0]));
    Suite *suite = suite_create("server/service");
    suite_add_tcase(suite, tcase);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
