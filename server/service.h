/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SERVICE_H
#define SERVER_SERVICE_H
/*
 * What a service manager is told, and when: ready, how it goes, alive, ending.
 *
 * READY     when everything listens and the store is open. While it is being opened the manager is
 *           asked for patience; while it cannot be opened it is not, so that a start with a store
 *           that never comes fails where somebody sees it.
 * WATCHDOG  only when every reactor has turned since the last time. Who sleeps has nothing to do
 *           and is woken for it, so that it turns once. How often a reactor has turned is the
 *           count of its loop histogram, so that nothing is added to the loop.
 *
 * Owner     the control. The main thread, or whoever runs it.
 * Not here  the way there (notify.h); signals and posts (control.c).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "server/archive.h"
#include "server/notify.h"

struct log;
struct metrics;

struct service_options {
    const struct metrics *metrics; /* of the reactors, one after the other */
    size_t reactor_count;
    void (*wake)(void *context, size_t reactor); /* makes it turn */
    void *context;
    struct log *log;       /* NULL: none */
    uint64_t stop_time_ns; /* how long an end may take, for the manager's patience */
};

enum service_phase {
    SERVICE_NONE = 0, /* nobody wants to hear anything */
    SERVICE_STARTING,
    SERVICE_READY,
    SERVICE_RELOADING,
    SERVICE_STOPPING,
};

/* Zeroed: SERVICE_NONE. */
struct service {
    struct service_options options;
    struct notify notify;
    enum service_phase phase;
    uint64_t *turns; /* by reactor: when they were last looked at */
    bool has_woken;  /* all of them, then */
    uint64_t status_due_ns;
    uint64_t dog_due_ns; /* UINT64_MAX without a watchdog */
};

/* 0, also when there is no manager; or -errno: $NOTIFY_SOCKET cannot be reached, or no memory. */
NODISCARD int service_init(struct service *service, const struct service_options *options);
void service_deinit(struct service *service);

/* Does something when service_due_ns() has come. `store` is ARCHIVE_READY where there is none. */
void service_tick(struct service *service, uint64_t now_ns, enum archive_state store);

/* UINT64_MAX: never. */
NODISCARD uint64_t service_due_ns(const struct service *service);

/* SIGHUP came, and was carried out, well or not. Only while it is ready. */
void service_reloading(struct service *service, uint64_t now_ns);
void service_reloaded(struct service *service);

/* Another configuration: an end may take so long now. */
void service_set_stop_time(struct service *service, uint64_t stop_time_ns);

/* A signal to end came. */
void service_stopping(struct service *service, uint64_t now_ns);

#endif /* SERVER_SERVICE_H */
