/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_REACTOR_PRIVATE_H
#define NET_REACTOR_PRIVATE_H
/*
 * The inside of a reactor, shared by reactor*.c and conn*.c.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "core/slab.h"
#include "core/timerwheel.h"
#include "net/backend.h"
#include "net/outq.h"
#include "net/packet.h"
#include "net/reactor.h"

struct conn;
struct conn_handler;
struct tls_config;

enum { REACTOR_HANDSHAKES_MAX = 1 }; /* costly steps of TLS in one iteration: each is a signature */

#define REACTOR_SLOT_NONE UINT32_MAX

/* First in, first out, linked by slot through a field of the connections. */
struct reactor_list {
    uint32_t first; /* REACTOR_SLOT_NONE: empty */
    uint32_t last;
};

struct reactor_listener {
    int fd; /* -1: closed */
    const struct conn_handler *handler;
    struct tls_config *tls;    /* one reference; NULL: plain */
    uint64_t proxy_timeout_ns; /* 0: no PROXY header */
    bool is_reserved;
    bool is_shared;
    bool accepting;
};

struct reactor {
    struct reactor_options options;
    const struct backend_ops *ops;
    struct backend *backend;
    struct slab *conns;             /* struct conn */
    struct timerwheel *timers;      /* the owner's */
    struct timerwheel *conn_timers; /* the connections', and accept_timer */
    struct packet_pool *packets;
    struct outq_pool *nodes;
    uint64_t now_ns;
    struct reactor_list touched;
    struct reactor_list ready;
    struct timerwheel_timer accept_timer; /* armed: accepting waits after an error */
    uint32_t accept_backoff_ms;           /* the next one */
    uint32_t listener_count;
    struct reactor_listener listeners[BACKEND_LISTENER_MAX];
    uintptr_t thread;         /* thread_self(); 0: none has entered */
    uint8_t *tls_scratch;     /* TLS_RECORD_SIZE_MAX bytes for one step; NULL: nobody speaks TLS */
    uint32_t handshakes_left; /* of this iteration */
    bool timers_left;         /* more timers were due than one sweep fires */
    struct reactor_work work; /* of this iteration */
    uint32_t completion_count;
    struct backend_completion completions[BACKEND_COMPLETION_MAX];
};

/* The connection of a slot that is known to be live. */
struct conn *reactor_at(const struct reactor *reactor, uint32_t slot);

/* For the flush and the sweep of this iteration, or of the next one. */
void reactor_touch(struct reactor *reactor, struct conn *conn);

/* For upcalls in the next reactor_receive(). */
void reactor_ready(struct reactor *reactor, struct conn *conn);

/* reactor_accept.c: accepting is on while there is room and no error makes us wait. */
void reactor_accept_settle(struct reactor *reactor);

/*
 * Gives a new connection its slot, and counts it in nothing. NULL: no room, no memory or no luck;
 * the descriptor is closed.
 */
struct conn *reactor_open_conn(struct reactor *reactor, uint32_t listener, int fd);

/* A BACKEND_ACCEPTED. */
void reactor_accept_take(struct reactor *reactor, uint32_t listener, int fd) ON_REACTOR;

/* A BACKEND_ACCEPT_FAILED: accepting waits a little. */
void reactor_accept_failed(struct reactor *reactor);

/* The body of reactor_listen_with(). */
NODISCARD int reactor_accept_listen(struct reactor *reactor, int fd,
                                    const struct reactor_listening *listening);

/* Takes a reference for a listener or dialler, and what TLS needs. NULL: nothing. 0 or -ENOMEM. */
NODISCARD int reactor_prepare_tls(struct reactor *reactor, struct tls_config *config);

/* Closes a listener. Again: nothing. */
void reactor_accept_unlisten(struct reactor *reactor, uint32_t listener);

/* Of this iteration; it wraps. */
static inline uint32_t reactor_now_ms(const struct reactor *reactor)
{
    return (uint32_t)(reactor->now_ns / MONOTIME_NS_PER_MS);
}

static inline void reactor_count(struct reactor *reactor, enum metrics_id id, uint64_t count)
{
    if (reactor->options.metrics != NULL) {
        metrics_add(reactor->options.metrics, id, count);
    }
}

#endif /* NET_REACTOR_PRIVATE_H */
