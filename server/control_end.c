/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How it ends: reactors drain, close what is left, and exit, each when all have done what comes
 * before; the threads behind them in between.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "chat/post.h"
#include "core/bus.h"
#include "core/log.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"
#include "core/monotime.h"
#include "server/archive.h"
#include "server/control_state.h"
#include "server/settings.h"
#include "server/shard.h"
#include "server/token.h"

enum { EXIT_INTERRUPTED = 130 };

static const uint64_t end_time_ns = 10 * MONOTIME_NS_PER_S; /* of the store and the threads */

uint64_t control_stop_time_ns(const struct config *config)
{
    return config->shutdown.timeout_ns + config->store.timeout_ns + end_time_ns;
}

/* -- orders to all reactors -------------------------------------------------------------------- */

/* Posts to every running reactor that has not got this order yet. True when all have it. */
static bool order_all(struct control *control, enum post_kind kind)
{
    const size_t count = control->config->reactor.count;
    const struct post post = {.kind = (uint8_t)kind};
    const struct bus_post packed = post_pack(&post);
    bool all = true;

    for (size_t i = 0; i < count; i++) {
        struct control_member *member = &control->members[i];
        if (member->is_running && !member->is_told) {
            member->is_told = bus_tell(control->bus, count, i, &packed) == BUS_POSTED;
            all = all && member->is_told;
        }
    }
    bus_flush(control->bus, count);
    return all;
}

static bool all_answered(const struct control *control, enum post_kind kind)
{
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        if (control->members[i].is_running && control->members[i].answered != kind) {
            return false;
        }
    }
    return true;
}

static void exit_at_once(struct control *control)
{
    log_write(control->log, LOG_WARN, "second signal: exiting at once", NULL, 0);
    logger_stop(control->logger);
    _exit(EXIT_INTERRUPTED);
}

/* A thread behind the control: what it was given is answered, or dropped, when this returns. */
static void stop_thread(struct control *control, size_t thread_port, struct thread *thread)
{
    const struct post post = {.kind = POST_EXIT};
    const struct bus_post packed = post_pack(&post);
    const size_t port = control->config->reactor.count;
    while (bus_tell(control->bus, port, thread_port, &packed) != BUS_POSTED) {
        (void)control_wait(control, CONTROL_POLL_MS);
    }
    bus_flush(control->bus, port);
    thread_join(thread);
}

/* What all reactors together have counted. */
static uint64_t count_all(const struct control *control, enum metrics_id id)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        sum += metrics_read(&control->metrics[i], id);
    }
    return sum;
}

static void report_drain(const struct control *control, const char *event)
{
    const struct log_field fields[] = {
        log_uint("told", count_all(control, METRIC_DRAIN_TOLD)),
        log_uint("waiting", count_all(control, METRIC_DRAIN_WAITING)),
        log_uint("open", count_all(control, METRIC_CONNECTIONS_OPEN)),
        log_uint("cut", count_all(control, METRIC_DRAIN_CUT)),
    };
    log_write(control->log, LOG_INFO, event, fields, sizeof(fields) / sizeof(fields[0]));
}

static void forget_orders(struct control *control)
{
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        control->members[i].is_told = false;
    }
}

static void order_and_wait(struct control *control, enum post_kind order, enum post_kind answer)
{
    uint64_t report_ns = monotime_read() + MONOTIME_NS_PER_S;

    forget_orders(control);
    while (!order_all(control, order) || !all_answered(control, answer)) {
        const uint32_t signal_number = control_wait(control, CONTROL_POLL_MS);
        if (signal_number != 0 && signal_number != SIGHUP) {
            exit_at_once(control);
        }
        const bool has_posted = reload_go_on(&control->reload); /* who has asked is answered */
        (void)has_posted;                                       /* the next turn comes soon */
        if (monotime_read() >= report_ns) {
            report_drain(control, "draining");
            report_ns += MONOTIME_NS_PER_S;
        }
    }
}

static void drain_members(struct control *control)
{
    order_and_wait(control, POST_STOP, POST_DESERTED);
    order_and_wait(control, POST_CLOSE, POST_DRAINED);
    report_drain(control, "drained");
}

void control_stop(struct control *control)
{
    drain_members(control);
    /* Before the reactors end, who then still take what these have posted. */
    if (control->store.is_running) {
        stop_thread(control, control_archive_port(control), &control->store.thread);
    }
    if (control->source.is_running) {
        stop_thread(control, control_source_port(control), &control->source.thread);
    }
    forget_orders(control);
    while (!order_all(control, POST_EXIT)) {
        (void)control_wait(control, CONTROL_POLL_MS);
    }
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        if (control->members[i].is_running) {
            thread_join(&control->members[i].thread);
        }
    }
}

void control_deinit(struct control *control)
{
    archive_destroy(control->store.archive);
    jwks_source_destroy(control->source.source);
    for (size_t i = 0; control->members != NULL && i < control->config->reactor.count; i++) {
        shard_destroy(control->members[i].shard);
        token_verifier_destroy(control->members[i].verifier);
    }
    settings_destroy(control->settings);
    reload_deinit(&control->reload);
    service_deinit(&control->service);
    listening_deinit(&control->listening);
    free(control->metric_names);
    for (size_t i = 0; control->metrics != NULL && i < control->config->reactor.count; i++) {
        metrics_namespace_close(&control->metrics[i]);
    }
    free(control->namespaces);
    free(control->all_metrics);
    free(control->metrics);
    free(control->members);
    bus_destroy(control->bus);
    if (control->wake_fd >= 0) {
        (void)close(control->wake_fd);
    }
    if (control->signal_fd >= 0) {
        (void)close(control->signal_fd);
    }
}
