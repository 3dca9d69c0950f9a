/* SPDX-License-Identifier: Apache-2.0 */
#include "server/service.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/check.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "server/site.h"

enum {
    LINES_SIZE = 256, /* bytes of one datagram */
    DOGS_IN_TIME = 4, /* so that one that is late costs nothing */
};

/* From a status to the next; and what is asked for while the store is being opened. */
static const uint64_t status_ns[] = {
    [SERVICE_STARTING] = 100 * MONOTIME_NS_PER_MS,
    [SERVICE_READY] = 5 * MONOTIME_NS_PER_S,
    [SERVICE_RELOADING] = 5 * MONOTIME_NS_PER_S,
    [SERVICE_STOPPING] = 1 * MONOTIME_NS_PER_S,
};
static const uint64_t patience_us = 10 * MONOTIME_NS_PER_S / MONOTIME_NS_PER_US;

int service_init(struct service *service, const struct service_options *options)
{
    CHECK(options->reactor_count > 0);

    *service = (struct service){.options = *options};
    const int result = notify_open(&service->notify);
    if (result != 0 || service->notify.fd < 0) {
        return result;
    }
    service->turns = calloc(options->reactor_count, sizeof(*service->turns));
    if (service->turns == NULL) {
        notify_close(&service->notify);
        return -ENOMEM;
    }
    service->phase = SERVICE_STARTING;
    service->dog_due_ns = service->notify.watchdog_ns > 0 ? 0 : UINT64_MAX;
    return 0;
}

void service_deinit(struct service *service)
{
    if (service->phase != SERVICE_NONE) {
        notify_close(&service->notify);
        free(service->turns);
    }
    *service = (struct service){.phase = SERVICE_NONE};
}

/* -- alive ------------------------------------------------------------------------------------- */

static void complain(const struct service *service, size_t reactor)
{
    const struct log_field fields[] = {log_uint("reactor", reactor)};
    log_write(service->options.log, LOG_WARN, "a reactor does not turn", fields, 1);
}

/* Has everybody turned since the last time? Then everybody is made to turn before the next one. */
static bool is_alive(struct service *service)
{
    bool alive = true;

    for (size_t i = 0; i < service->options.reactor_count; i++) {
        const uint64_t turns = metrics_observed(&service->options.metrics[i].loop);
        if (service->has_woken && turns == service->turns[i]) {
            alive = false;
            complain(service, i);
        }
        service->turns[i] = turns;
    }
    for (size_t i = 0; i < service->options.reactor_count; i++) {
        service->options.wake(service->options.context, i);
    }
    service->has_woken = true;
    return alive;
}

static void feed_the_dog(struct service *service, uint64_t now_ns)
{
    service->dog_due_ns = now_ns + service->notify.watchdog_ns / DOGS_IN_TIME;
    if (is_alive(service)) {
        notify_send(&service->notify, "WATCHDOG=1");
    }
}

/* -- how it goes ------------------------------------------------------------------------------- */

static uint64_t count(const struct service *service, enum metrics_id id)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < service->options.reactor_count; i++) {
        sum += metrics_read(&service->options.metrics[i], id);
    }
    return sum;
}

static void say_starting(const struct service *service, enum archive_state store)
{
    char lines[LINES_SIZE];
    char patience[64] = ""; /* the key and 20 digits */
    const struct bytes text = site_store_text(store);

    if (store == ARCHIVE_STARTING) {
        (void)snprintf(patience, sizeof(patience), "EXTEND_TIMEOUT_USEC=%" PRIu64 "\n",
                       patience_us);
    }
    (void)snprintf(lines, sizeof(lines), "%sSTATUS=Starting: %.*s", patience, (int)text.size,
                   (const char *)text.data);
    notify_send(&service->notify, lines);
}

/* In numbers, and what is wrong. `first` are lines before it. */
static void say_how_it_goes(const struct service *service, const char *first,
                            enum archive_state store)
{
    char lines[LINES_SIZE];
    const struct bytes text = site_store_text(store);

    (void)snprintf(lines, sizeof(lines),
                   "%sSTATUS=%" PRIu64 " connections, %" PRIu64 " channels, %" PRIu64
                   " subscriptions; %.*s",
                   first, count(service, METRIC_CONNECTIONS_OPEN), count(service, METRIC_CHANNELS),
                   count(service, METRIC_SUBSCRIPTIONS), (int)text.size, (const char *)text.data);
    notify_send(&service->notify, lines);
}

static void say_draining(const struct service *service, const char *first)
{
    char lines[LINES_SIZE];

    (void)snprintf(lines, sizeof(lines),
                   "%sSTATUS=Draining: %" PRIu64 " connections, %" PRIu64 " told, %" PRIu64
                   " to be told",
                   first, count(service, METRIC_CONNECTIONS_OPEN),
                   count(service, METRIC_DRAIN_TOLD), count(service, METRIC_DRAIN_WAITING));
    notify_send(&service->notify, lines);
}

static void say(struct service *service, enum archive_state store)
{
    switch (service->phase) {
    case SERVICE_NONE:
        return;
    case SERVICE_STARTING:
        if (store == ARCHIVE_STARTING || store == ARCHIVE_DOWN) {
            say_starting(service, store);
        } else {
            service->phase = SERVICE_READY;
            say_how_it_goes(service, "READY=1\n", store);
        }
        return;
    case SERVICE_READY:
    case SERVICE_RELOADING:
        say_how_it_goes(service, "", store);
        return;
    case SERVICE_STOPPING:
        say_draining(service, "");
        return;
    }
    NEVER("a phase that nobody knows");
}

uint64_t service_due_ns(const struct service *service)
{
    if (service->phase == SERVICE_NONE) {
        return UINT64_MAX;
    }
    return service->status_due_ns < service->dog_due_ns ? service->status_due_ns
                                                        : service->dog_due_ns;
}

void service_tick(struct service *service, uint64_t now_ns, enum archive_state store)
{
    if (service->phase == SERVICE_NONE) {
        return;
    }
    if (now_ns >= service->status_due_ns) {
        say(service, store);
        service->status_due_ns = now_ns + status_ns[service->phase];
    }
    if (now_ns >= service->dog_due_ns) {
        feed_the_dog(service, now_ns);
    }
}

/* -- what happens ------------------------------------------------------------------------------ */

void service_reloading(struct service *service, uint64_t now_ns)
{
    char lines[LINES_SIZE];

    if (service->phase == SERVICE_READY) {
        service->phase = SERVICE_RELOADING;
        (void)snprintf(lines, sizeof(lines), "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
                       now_ns / MONOTIME_NS_PER_US);
        notify_send(&service->notify, lines);
    }
}

void service_reloaded(struct service *service)
{
    if (service->phase == SERVICE_RELOADING) {
        service->phase = SERVICE_READY;
        notify_send(&service->notify, "READY=1");
    }
}

void service_set_stop_time(struct service *service, uint64_t stop_time_ns)
{
    service->options.stop_time_ns = stop_time_ns;
}

void service_stopping(struct service *service, uint64_t now_ns)
{
    char lines[LINES_SIZE];

    if (service->phase == SERVICE_NONE) {
        return;
    }
    service->phase = SERVICE_STOPPING;
    service->status_due_ns = now_ns + status_ns[SERVICE_STOPPING];
    (void)snprintf(lines, sizeof(lines), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\n",
                   service->options.stop_time_ns / MONOTIME_NS_PER_US);
    say_draining(service, lines);
}
