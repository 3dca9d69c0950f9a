/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/check.h"
#include "core/monotime.h"
#include "store/store_private.h"

enum {
    FRAME_SIZE_MAX = WIRE_HEADER_SIZE + WIRE_BODY_SIZE_MAX,
    READS_QUEUE_MAX = 1 << 20, /* bytes; some thousand reads */
    KILLED_MS = 1000,          /* that a killed child may take to be gone, until it is given up */
};

/* --- The child --- */

void store_set_state(struct store *store, enum store_state state)
{
    if (store->state != state) {
        store->state = state;
        store->changed = true;
    }
}

static int watch(const struct store *store, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data = {.fd = fd}};
    return epoll_ctl(store->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : -errno;
}

static void flush_lane(struct store *store, struct lane *lane)
{
    const bool waited = lane->waits;
    lane_flush(lane);
    if (lane->waits != waited) {
        struct epoll_event event = {.events = EPOLLIN | (lane->waits ? (uint32_t)EPOLLOUT : 0),
                                    .data = {.fd = lane->fd}};
        (void)epoll_ctl(store->epoll, EPOLL_CTL_MOD, lane->fd, &event);
    }
}

/* Arms the timer for the next start, and doubles the pause after that. */
static void schedule_start(struct store *store)
{
    const uint32_t pause_ms = store->backoff_ms;
    const struct itimerspec when = {
        .it_value = {.tv_sec = pause_ms / 1000, .tv_nsec = (long)(pause_ms % 1000) * 1000000 + 1}};
    (void)timerfd_settime(store->timer, 0, &when, NULL);
    store->backoff_ms =
        pause_ms > store->options.backoff_max_ms / 2 ? store->options.backoff_max_ms : 2 * pause_ms;
}

static int start_child(struct store *store)
{
    /* execv() wants strings that it promises not to write to. */
    char *arguments[STORE_ARGUMENTS_MAX + 6];
    memcpy(arguments, store->arguments, sizeof(arguments));
    int result = spawn_start(&store->spawn, store->options.program, arguments);
    if (result != 0) {
        return result;
    }
    store->spawn.on_line = store->options.on_line;
    store->spawn.context = store->options.line_context;
    store->starts++;
    result = watch(store, store->spawn.errors, EPOLLIN);
    result = result != 0 ? result : watch(store, store->spawn.pid_fd, EPOLLIN);
    for (int i = 0; i < LANE_COUNT; i++) {
        lane_begin(&store->lanes[i], store->spawn.sockets[i]);
        result = result != 0 ? result : watch(store, store->spawn.sockets[i], EPOLLIN);
    }
    return result;
}

void store_start_again(struct store *store)
{
    uint64_t expirations = 0;
    if (store->state != STORE_DOWN ||
        read(store->timer, &expirations, sizeof(expirations)) != sizeof(expirations)) {
        return;
    }
    if (store->burying) {
        /* It had this long to end by itself, so that we learn how; two at a time must not be. */
        spawn_kill(&store->spawn);
        schedule_start(store);
        return;
    }
    const int result = start_child(store);
    if (result != 0) {
        (void)snprintf(store->reason, sizeof(store->reason), "%.200s cannot be started: %s",
                       store->options.program, strerror(-result));
        store->burying = store->spawn.pid > 0;
        schedule_start(store);
        return;
    }
    store_set_state(store, STORE_STARTING);
}

void store_lose_child(struct store *store)
{
    if (store->burying) {
        return;
    }
    spawn_read_errors(&store->spawn);
    (void)snprintf(store->reason, sizeof(store->reason), "parley-store ended%s%.250s",
                   store->spawn.line[0] == '\0' ? "" : ": ", store->spawn.line);
    if (store->state == STORE_READY &&
        store->now_ns - store->ready_ns >
            store->options.backoff_max_ms * (uint64_t)MONOTIME_NS_PER_MS) {
        store->backoff_ms = store->options.backoff_min_ms;
    }
    store->burying = true;
    spawn_close_sockets(&store->spawn);
    store_set_state(store, STORE_DOWN);
    schedule_start(store);
}

void store_bury_child(struct store *store)
{
    char how[64];
    if (store->spawn.pid <= 0 || !spawn_reap(&store->spawn, how, sizeof(how))) {
        return;
    }
    spawn_read_errors(&store->spawn);
    (void)snprintf(store->reason, sizeof(store->reason), "parley-store ended with %s%s%.200s", how,
                   store->spawn.line[0] == '\0' ? "" : ": ", store->spawn.line);
    store->damaged =
        WIFEXITED(store->spawn.status) && WEXITSTATUS(store->spawn.status) == SPAWN_NOT_REPAIRED;
    spawn_close(&store->spawn);
}

void store_flush(struct store *store)
{
    if (store->burying || store->spawn.pid <= 0) {
        return;
    }
    for (int i = 0; i < LANE_COUNT; i++) {
        flush_lane(store, &store->lanes[i]);
    }
}

/* --- Start and end --- */

static void store_free(struct store *store)
{
    spawn_close(&store->spawn);
    if (store->timer >= 0) {
        (void)close(store->timer);
    }
    if (store->epoll >= 0) {
        (void)close(store->epoll);
    }
    free(store->questions);
    for (int i = 0; i < LANE_COUNT; i++) {
        lane_free(&store->lanes[i]);
    }
    free(store);
}

static bool child_is_gone(struct store *store, uint32_t timeout_ms, bool *well)
{
    struct pollfd poll_fd = {.fd = store->spawn.pid_fd, .events = POLLIN};
    char how[64] = "";
    while (poll(&poll_fd, 1, (int)timeout_ms) < 0 && errno == EINTR) {
    }
    const bool gone = spawn_reap(&store->spawn, how, sizeof(how));
    *well = gone && strcmp(how, "exit status 0") == 0;
    return gone;
}

bool store_close(struct store *store, uint32_t timeout_ms)
{
    bool well = true;
    if (store == NULL) {
        return well;
    }
    spawn_close_sockets(&store->spawn);
    if (store->spawn.pid > 0 && !child_is_gone(store, timeout_ms, &well)) {
        spawn_kill(&store->spawn);
        (void)child_is_gone(store, KILLED_MS, &well);
    }
    store_free(store);
    return well;
}

static int store_open_files(struct store *store)
{
    store->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (store->epoll < 0) {
        return -errno;
    }
    store->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (store->timer < 0) {
        return -errno;
    }
    return watch(store, store->timer, EPOLLIN);
}

static void describe_arguments(struct store *store)
{
    size_t count = 0;
    store->arguments[count++] = store->options.program;
    store->arguments[count++] = "serve";
    store->arguments[count++] = "--path";
    store->arguments[count++] = store->options.path;
    const char *const *const more = store->options.arguments;
    for (size_t i = 0; more != NULL && more[i] != NULL; i++) {
        CHECK(i < STORE_ARGUMENTS_MAX);
        store->arguments[count++] = more[i];
    }
    store->arguments[count] = NULL;
}

int store_create(const struct store_options *options, uint64_t now_ns, struct store **store)
{
    CHECK(options->program != NULL && options->path != NULL);
    CHECK(options->queue_bytes_max >= FRAME_SIZE_MAX);
    CHECK(options->questions_max > 0 &&
          (options->questions_max & (options->questions_max - 1)) == 0);
    CHECK(options->backoff_min_ms > 0 && options->backoff_min_ms <= options->backoff_max_ms);

    struct store *const created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    created->now_ns = now_ns;
    created->epoll = created->timer = -1;
    created->backoff_ms = options->backoff_min_ms;
    created->spawn = (struct spawn){.pid_fd = -1, .sockets = {-1, -1}, .errors = -1};
    created->questions = calloc(options->questions_max, sizeof(created->questions[0]));
    int result = -ENOMEM;
    if (created->questions == NULL ||
        !lane_allocate(&created->lanes[LANE_BATCHES], options->queue_bytes_max) ||
        !lane_allocate(&created->lanes[LANE_READS], READS_QUEUE_MAX)) {
        goto free_created;
    }
    describe_arguments(created);
    result = store_open_files(created);
    if (result != 0) {
        goto free_created;
    }
    result = start_child(created);
    if (result != 0) {
        goto free_created;
    }
    *store = created;
    return 0;

free_created:
    if (created->spawn.pid > 0) {
        bool well;
        spawn_kill(&created->spawn);
        (void)child_is_gone(created, KILLED_MS, &well);
    }
    store_free(created);
    return result;
}
