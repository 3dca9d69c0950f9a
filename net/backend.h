/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_BACKEND_H
#define NET_BACKEND_H
/*
 * What a reactor wants of the kernel: a struct of functions with three implementations, io_uring,
 * epoll, and the simulated one of tests/sim. Private to net/ and tests/.
 *
 * Shape     wait() collects completions, plain values, into an array. Nothing is acted on until
 *           the reactor goes through the array, so what one handler does cannot surprise another.
 *           Each completion names its connection by slot and generation.
 * Life      a connection is attach()ed once and drop()ped once. Between drop() and the
 *           BACKEND_CLOSED that it causes, completions may still arrive and are to be ignored
 *           (give_back them). After BACKEND_CLOSED nothing of it is in flight: the slot is free.
 * Threads   all on the reactor's thread, but for wake().
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "net/backend_choose.h"

struct address;
struct backend; /* each back end defines its own */
struct slab;

/* The back end's part of a connection, the first member of `struct conn`. */
struct backend_conn {
    int fd;                /* the reactor writes it; in the simulation its own handle */
    uint32_t slot;         /* in backend_options.conns; the reactor writes it */
    uint32_t next;         /* slot, in a list of the back end */
    uint16_t generation;   /* the reactor writes it */
    uint8_t flags;         /* the back end's own */
    uint8_t in_flight : 4; /* kernel operations; the back end's own */
    bool awaited : 1;      /* the reactor writes it before send(): see there */
    bool quiet : 1;        /* the last send is; the back end writes it: see send() */
    bool slow : 1;   /* a quiet send was cut short; the reactor clears it when its queue is empty */
    bool recent : 1; /* something has come lately; the back end's own */
};

_Static_assert(sizeof(struct backend_conn) == 16, "part of every connection");

enum backend_event {
    BACKEND_ACCEPTED,      /* slot: the listener; result: the descriptor, now the reactor's */
    BACKEND_ACCEPT_FAILED, /* slot: the listener; result: -errno; accepting is off until accept() */
    BACKEND_RECEIVED,      /* take() has bytes, an end or an error */
    BACKEND_SENT,          /* result: bytes that a pending send wrote (0: try again), or -errno */
    BACKEND_CLOSED,        /* after drop(): nothing is in flight any more */
};

struct backend_completion {
    enum backend_event event;
    uint32_t slot;
    int32_t result;
    uint16_t generation;
    uint16_t buffer; /* the back end's own */
};

struct backend_options {
    struct slab *conns;            /* objects begin with a struct backend_conn; borrowed */
    void *context;                 /* the simulation's world; NULL for the others */
    uint32_t conn_count_max;       /* more need not be accepted; see backend_listening.kept */
    uint32_t receive_buffer_count; /* io_uring: a power of two */
    uint32_t receive_buffer_size;  /* bytes, each */
    uint64_t rest_ns; /* io_uring: who is silent for so long costs less memory; 0: nobody */
};

struct backend_listening {
    int fd;
    uint32_t kept;  /* of conn_count_max, places that it leaves to others */
    bool is_shared; /* others accept from the same socket */
};

enum {
    BACKEND_IOVEC_MAX = 128,     /* per send() */
    BACKEND_LISTENER_MAX = 8,    /* per reactor */
    BACKEND_COMPLETION_MAX = 512 /* that a reactor asks for at once */
};

struct backend_ops {
    const char *name;

    /* 0 or -errno, with `backend` untouched. */
    int (*create)(const struct backend_options *options, struct backend **backend);
    /* Connections that were not CLOSED are the caller's to close, afterwards. */
    void (*destroy)(struct backend *backend);

    /* The thread that calls it is the one for everything below, but for wake(). */
    void (*enter)(struct backend *backend);

    /* Nanoseconds, monotonic; the time of the last wait() is read again by each call. */
    uint64_t (*now)(struct backend *backend);

    /*
     * Submits what is outstanding, sleeps until something happens or timeout_ns is over (0: does
     * not sleep; UINT64_MAX: no limit), and fills at most `max` completions. Returns how many; 0
     * after a wake(), a signal or the timeout.
     */
    size_t (*wait)(struct backend *backend, uint64_t timeout_ns,
                   struct backend_completion *completions, size_t max);

    /* Ends the present or the next wait(). ANY_THREAD. */
    void (*wake)(struct backend *backend);

    /*
     * A listener; accepting begins off. 0 and takes the descriptor over, or -errno. A shared one
     * takes few clients at a time, and the next turn is somebody else's. While it is on, one place
     * is its own, for the kernel may have woken nobody but us for a client. For the same reason one
     * may still come from it after it was turned off.
     */
    int (*listen)(struct backend *backend, uint32_t listener,
                  const struct backend_listening *listening);
    /* Turns accepting on or off; asking for what is so already: nothing. */
    void (*accept)(struct backend *backend, uint32_t listener, bool on);
    /* Ends a listener for good, and closes it. */
    void (*unlisten)(struct backend *backend, uint32_t listener);
    /* Closes an accepted descriptor that was not attached, with a reset. */
    void (*refuse)(struct backend *backend, int fd);

    /* Makes a non-blocking descriptor of ours what accept() would have given. 0 or -errno. */
    int (*adopt)(struct backend *backend, int fd);

    /* Begins a connection, receiving. 0 or -errno; after -errno it is refuse()d, not dropped. */
    int (*attach)(struct backend *backend, struct backend_conn *conn);

    /*
     * The bytes of a BACKEND_RECEIVED, at most `max` of them at a time, but for those that left the
     * kernel already; they are valid until the next take() or give_back(). Returns their count; 0:
     * the peer's FIN, for good; -EAGAIN: no more in this completion, or max is 0; another -errno:
     * the connection failed. Not while paused.
     */
    ssize_t (*take)(struct backend *backend, struct backend_conn *conn,
                    struct backend_completion *completion, size_t max, struct span *bytes);

    /*
     * Once for each BACKEND_RECEIVED, after the last take(). What was not taken comes as another
     * BACKEND_RECEIVED, but for what left the kernel already: so take until -EAGAIN, unless the
     * connection ends. `conn` is NULL when stale.
     */
    void (*give_back)(struct backend *backend, struct backend_conn *conn,
                      struct backend_completion *completion);

    /* Stops (false) and restarts receiving. Completions already under way still come. */
    void (*receive)(struct backend *backend, struct backend_conn *conn, bool on);

    /*
     * Sends from 1 to BACKEND_IOVEC_MAX pieces. Returns the bytes written at once, maybe fewer;
     * -EINPROGRESS or -EAGAIN: a BACKEND_SENT will come, and no other send() is allowed until then;
     * another -errno: the connection failed. After -EINPROGRESS the bytes (not the iovecs) must
     * stay until the completion, and are in the same places until BACKEND_CLOSED if dropped.
     * Quiet is a pending send that the kernel will do in the next wait(), as far as it can without
     * waiting. That it was done whole is reported by this wait(), but does not end its sleep: a
     * reactor that has to act then says so by `awaited`. Not quiet is one that may take any time,
     * and one that was cut short.
     */
    ssize_t (*send)(struct backend *backend, struct backend_conn *conn, const struct iovec *pieces,
                    size_t count);

    /* Sends a FIN after everything sent. 0 or -errno. No send() is pending. */
    int (*shutdown)(struct backend *backend, struct backend_conn *conn);

    /* Ends it: with a reset, or as close() does. A BACKEND_CLOSED will come. Once. */
    void (*drop)(struct backend *backend, struct backend_conn *conn, bool reset);

    /* The client's address. 0 or -errno. */
    int (*peer)(struct backend *backend, const struct backend_conn *conn, struct address *address);
};

extern const struct backend_ops backend_uring_ops;
extern const struct backend_ops backend_epoll_ops;

/* Tries what backend_uring needs. 0, or -errno and what did not work. */
NODISCARD int backend_uring_probe(char reason[BACKEND_REASON_SIZE]);

#endif /* NET_BACKEND_H */
