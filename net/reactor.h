/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_REACTOR_H
#define NET_REACTOR_H
/*
 * One reactor: the back end, the connections and the timers of one thread, and four of the seven
 * phases of its loop: wait (1), receive (3), flush (6), sweep (7).
 *
 * Owner     whoever created it. It owns its connections and the listeners given to it.
 * Threads   created on any thread before it runs; then everything but reactor_wake() on the thread
 *           between reactor_enter() and reactor_leave(). Destroyed after that, by any thread.
 * Failures  only creating and listening can fail. Accept errors are counted, backed off (10 to 100
 *           ms) and never fatal. At conn_count_max accepting stops until a connection was freed;
 *           what the kernel had already accepted by then is reset.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/conn_id.h"
#include "net/backend_choose.h"

struct blob_pool;
struct conn;
struct conn_handler;
struct metrics;
struct packet_pool;
struct reactor; /* opaque */
struct timerwheel;
struct timerwheel_timer;
struct tls_config;

struct reactor_options {
    const struct backend_ops *backend; /* from backend_choose(), or a simulated one */
    void *backend_context;             /* the simulation's world; else NULL */
    uint16_t index;                    /* of this reactor; in every conn_id */
    uint32_t conn_count_max;           /* > 0 */
    uint32_t conn_count_reserved;      /* of them, for listeners that say so; less than max */
    uint32_t queue_bytes_low;          /* <= high <= max */
    uint32_t queue_bytes_high;
    uint32_t queue_bytes_max;
    uint32_t queue_bytes_max_large; /* after conn_set_large(); >= max */
    uint32_t pending_max;           /* bytes a handler may leave unconsumed */
    uint64_t write_stall_ns;        /* > 0; without progress for so long: -ETIMEDOUT */
    uint64_t tls_handshake_ns;     /* > 0 where TLS is used; from accept or dial until it is done */
    uint32_t receive_budget_bytes; /* > 0, per connection and iteration */
    uint32_t receive_buffer_count; /* io_uring: a power of two, 256 to 1024 are good */
    uint32_t receive_buffer_size;  /* bytes; 2048 is good */
    uint64_t rest_ns; /* io_uring: a connection silent for so long takes less memory; 0: none */
    struct blob_pool *blobs; /* of this thread, for packets; may be NULL */
    struct metrics *metrics; /* of this thread; may be NULL. Counts bytes, accepts, opens */
    /* A timer of reactor_timers() is due; called in reactor_sweep(). NULL when none is used. */
    void (*on_timer)(struct timerwheel_timer *timer, void *context);
    void *context; /* given to on_timer; reactor_user() */
};

/* 0 and `reactor`, or -errno. The options are copied. */
NODISCARD int reactor_create(const struct reactor_options *options, struct reactor **reactor);

/* Resets what is still open, without upcalls. NULL: nothing. */
void reactor_destroy(struct reactor *reactor);

/* From here on this thread is the reactor. The kernel ties a ring to the thread that enters. */
void reactor_enter(struct reactor *reactor) BECOMES_REACTOR;
void reactor_leave(struct reactor *reactor) STOPS_BEING_REACTOR;
NODISCARD bool reactor_is_current(const struct reactor *reactor);

/*
 * Takes over a listening, non-blocking descriptor; its clients get these upcalls. Before or after
 * reactor_enter(). Returns the listener's index, or -errno (the descriptor is then the caller's).
 */
NODISCARD int reactor_listen(struct reactor *reactor, int fd, const struct conn_handler *handler);

struct reactor_listening {
    const struct conn_handler *handler;
    struct tls_config *tls; /* of a server; NULL: none. A reference of its own is taken */
    uint64_t
        proxy_timeout_ns; /* for the PROXY header that begins each connection; 0: there is none */
    bool is_reserved;     /* its connections may use conn_count_reserved */
    bool is_shared;       /* other reactors have copies of the descriptor; it stays non-blocking */
};

/* The same with options. */
NODISCARD int reactor_listen_with(struct reactor *reactor, int fd,
                                  const struct reactor_listening *listening);

/* From now on who is accepted there gets this one instead. The listener has TLS already. */
void reactor_renew_tls(struct reactor *reactor, int listener, struct tls_config *config) ON_REACTOR;

/*
 * The upcalls for connections that we begin. Returns an index for reactor_dial() and
 * conn_listener(), or -ENOSPC.
 */
NODISCARD int reactor_dialer(struct reactor *reactor, const struct conn_handler *handler);

/* The same with TLS, if `config` (of a client) is not NULL; a reference of its own is taken. */
NODISCARD int reactor_dialer_tls(struct reactor *reactor, const struct conn_handler *handler,
                                 struct tls_config *config);

/*
 * Takes over a descriptor of dialer_open(): a connection like an accepted one. on_open comes
 * before the return, and finds `user` in conn_user(). What is queued waits until it is connected;
 * a connect that fails comes as on_close with its -errno. NULL: no room, no memory, or on_open
 * did not want it; the descriptor is closed.
 */
NODISCARD struct conn *reactor_dial(struct reactor *reactor, int fd, int dialer, void *user)
    ON_REACTOR;

/* Closes one listener; its connections stay. Again: nothing. */
void reactor_close_listener(struct reactor *reactor, int listener) ON_REACTOR;

/* Closes the listeners; connections stay. */
void reactor_stop_listening(struct reactor *reactor) ON_REACTOR;

/*
 * Phase 1: sleeps at most timeout_ns (UINT64_MAX: no limit), not beyond the next timer and not at
 * all when there is leftover work; then collects completions and reads the clock.
 */
void reactor_wait(struct reactor *reactor, uint64_t timeout_ns) ON_REACTOR;

/* Phase 3: upcalls for what was collected. */
void reactor_receive(struct reactor *reactor) ON_REACTOR;

/* Phase 6: one send for each connection with a queue. */
void reactor_flush(struct reactor *reactor) ON_REACTOR;

/* Phase 7: timers, then on_close, then frees what is closed. */
void reactor_sweep(struct reactor *reactor) ON_REACTOR;

/* Work that will not announce itself: the next reactor_wait() will not sleep. */
NODISCARD bool reactor_has_leftover(const struct reactor *reactor) ON_REACTOR;

/* What the present iteration has done so far. */
struct reactor_work {
    uint32_t completions;
    uint32_t timers; /* fired */
};

NODISCARD struct reactor_work reactor_work(const struct reactor *reactor);

/* What connections take, and what waits to be sent to them, in bytes; without TLS and blobs. */
struct reactor_memory {
    size_t conns;
    size_t queues;
};

NODISCARD struct reactor_memory reactor_memory(const struct reactor *reactor);

/* Ends the present or next sleep. */
void reactor_wake(struct reactor *reactor) ANY_THREAD;

/* The clock as of the last reactor_wait(): nanoseconds, monotonic. */
NODISCARD uint64_t reactor_now(const struct reactor *reactor);

/* Where the reactor's owner arms timers of its own. */
NODISCARD struct timerwheel *reactor_timers(struct reactor *reactor);
NODISCARD struct packet_pool *reactor_packets(struct reactor *reactor);
NODISCARD void *reactor_user(const struct reactor *reactor);

/* NULL when the name is stale. */
NODISCARD struct conn *reactor_conn(struct reactor *reactor, struct conn_id id) ON_REACTOR;

/* Connections that exist, those that wait for the kernel after on_close included. */
NODISCARD uint32_t reactor_conn_count(const struct reactor *reactor);

/* Calls `fn` for each connection that has had on_open and not on_close. */
void reactor_each_conn(struct reactor *reactor, void (*fn)(struct conn *conn, void *context),
                       void *context) ON_REACTOR;

/*
 * The first of them from `slot` on, which moves behind it; from 0 on, all of them. What is closed
 * or opened in between has no effect on the others. NULL: the end.
 */
NODISCARD struct conn *reactor_next_conn(struct reactor *reactor, uint32_t *slot) ON_REACTOR;

#endif /* NET_REACTOR_H */
