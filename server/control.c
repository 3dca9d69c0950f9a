/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "chat/post.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/log.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "net/tls_memory.h"
#include "server/archive.h"
#include "server/control_state.h"
#include "server/settings.h"

static void take_posts(struct control *control)
{
    struct bus_post posts[16];
    const size_t port = control->config->reactor.count;
    const size_t count = bus_take(control->bus, port, posts, sizeof(posts) / sizeof(posts[0]));

    for (size_t i = 0; i < count; i++) {
        if (posts[i].kind == POST_SETTINGS_TAKEN) {
            reload_take(&control->reload);
        } else if (posts[i].kind == POST_RELOAD) {
            reload_ask(&control->reload, posts[i].from);
        } else {
            CHECK(posts[i].kind == POST_DESERTED || posts[i].kind == POST_DRAINED);
            control->members[posts[i].from].answered = posts[i].kind;
        }
    }
}

/* Returns the signal that came, or 0. */
static uint32_t take_signal(struct control *control)
{
    struct signalfd_siginfo info;
    const ssize_t size = read(control->signal_fd, &info, sizeof(info));
    return size == (ssize_t)sizeof(info) ? info.ssi_signo : 0;
}

/* Tells the service manager what is due. Returns how long to sleep then; -1: for ever. */
static int tick(struct control *control, int timeout_ms)
{
    const uint64_t now_ns = monotime_read();
    const struct archive *archive = control->site.archive;

    service_tick(&control->service, now_ns,
                 archive == NULL ? ARCHIVE_READY : archive_state(archive));
    const uint64_t due_ns = service_due_ns(&control->service);
    if (due_ns == UINT64_MAX) {
        return timeout_ms;
    }
    const uint64_t until_ms = due_ns > now_ns ? (due_ns - now_ns) / MONOTIME_NS_PER_MS + 1 : 0;
    return timeout_ms < 0 || until_ms < (uint64_t)timeout_ms ? (int)until_ms : timeout_ms;
}

uint32_t control_wait(struct control *control, int timeout_ms)
{
    struct pollfd polled[] = {
        {.fd = control->signal_fd, .events = POLLIN},
        {.fd = control->wake_fd, .events = POLLIN},
    };
    const size_t port = control->config->reactor.count;

    timeout_ms = tick(control, timeout_ms);
    if (bus_may_sleep(control->bus, port)) {
        (void)poll(polled, sizeof(polled) / sizeof(polled[0]), timeout_ms);
        bus_awake(control->bus, port);
        uint64_t count;
        const ssize_t size = read(control->wake_fd, &count, sizeof(count));
        (void)size;
    }
    take_posts(control);
    return take_signal(control);
}

/* What there is to do while it serves. Returns how long to sleep before the next call. */
static int look_after(struct control *control, uint32_t signal_number)
{
    const int look_ms = overload_step(&control->overload, monotime_read());
    if (signal_number == SIGHUP) {
        reload_want(&control->reload);
    }
    if (!reload_is_over(&control->reload)) {
        service_reloading(&control->service, monotime_read());
    }
    const bool has_posted = reload_go_on(&control->reload);
    if (reload_is_over(&control->reload)) {
        service_set_stop_time(&control->service,
                              control_stop_time_ns(control->reload.present->config));
        service_reloaded(&control->service);
    }
    metrics_set(&control->metrics[control->site.metric_count - 1], METRIC_MEMORY_TLS,
                tls_memory_taken());
    if (!has_posted) {
        return CONTROL_POLL_MS;
    }
    return look_ms;
}

int control_run(const struct config_source *source, const struct config *config,
                struct logger *logger, char *error, size_t error_size)
{
    struct control control = {
        .config_source = source,
        .config = config,
        .logger = logger,
        .log = logger_attach(logger, "main"),
        .wake_fd = -1,
        .signal_fd = -1,
        .error = error,
        .error_size = error_size,
    };

    const int result = control_start(&control);
    if (result == 0) {
        control_announce(&control);
        uint32_t signal_number = 0;
        while (signal_number == 0 || signal_number == SIGHUP) {
            signal_number = control_wait(&control, look_after(&control, signal_number));
        }
        const struct log_field fields[] = {log_text("signal", strsignal((int)signal_number))};
        log_write(control.log, LOG_INFO, "stopping", fields, 1);
        service_stopping(&control.service, monotime_read());
    }
    if (control.members != NULL) {
        control_stop(&control);
    }
    control_deinit(&control);
    return result;
}
