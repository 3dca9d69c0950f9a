/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_BACKEND_URING_PRIVATE_H
#define NET_BACKEND_URING_PRIVATE_H
/*
 * The inside of the io_uring back end, shared by
 *   backend_uring.c         the struct of functions, and what the reactor asks
 *   backend_uring_submit.c  requests to the kernel
 *   backend_uring_note.c    completions of the kernel
 *   backend_uring_rest.c    connections that have been silent for long
 *   backend_uring_ring.c    a ring with its receive buffers: set-up and end
 *   backend_uring_probe.c   whether it works here
 * Private to them.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/annot.h"
#include "net/backend.h"
#include "net/backend_socket.h"

struct io_uring;
struct io_uring_buf_ring;
struct io_uring_cqe;
struct io_uring_sqe;

enum {
    BACKEND_URING_MESSAGE_COUNT = 512, /* vectored sends between two submissions */
    BACKEND_URING_VECTOR_COUNT = 8192, /* their pieces */
    BACKEND_URING_QUIET_COUNT = 8192,  /* quiet sends that are not reported yet */
    BACKEND_URING_BUFFER_GROUP = 0,
    BACKEND_URING_BUFFER_NONE = UINT16_MAX, /* no buffer has this number */
};

struct backend_uring_options {
    uint32_t submission_count; /* entries, powers of two */
    uint32_t completion_count;
    uint32_t buffer_count;
    uint32_t buffer_size; /* bytes, each */
};

struct backend_uring_buffers {
    struct io_uring_buf_ring *ring; /* shared with the kernel */
    size_t ring_size;               /* bytes */
    uint8_t *memory;                /* buffer i begins at i * size */
    uint16_t *follower;             /* of each buffer: which was given right after it */
    uint16_t newest;                /* the last one given */
    uint32_t count;
    uint32_t size; /* bytes, each */
};

/*
 * A disabled ring, to be enabled by the thread that will use it, and its buffers, all with the
 * kernel. 0, or -errno, nothing open, and `what` says which step failed.
 */
NODISCARD int backend_uring_ring_open(const struct backend_uring_options *options,
                                      struct io_uring *ring, struct backend_uring_buffers *buffers,
                                      const char **what);

/* The calling thread is the one that may submit from now on. 0 or -errno. */
NODISCARD int backend_uring_ring_enable(struct io_uring *ring);

/* After that nothing is in flight, and nothing of it is mapped. */
void backend_uring_ring_close(struct io_uring *ring, struct backend_uring_buffers *buffers);

/*
 * Whether one receive can fill several buffers here, in their order (IORING_RECVSEND_BUNDLE, Linux
 * 6.10). A message of 16 KiB is then not one call in the kernel for each buffer.
 */
NODISCARD bool backend_uring_probe_bundle(void);

/* Asks for that in a multishot receive. */
void backend_uring_submit_bundle(struct io_uring_sqe *sqe);

/*
 * Whether sends can be quiet here: one that writes everything makes no completion, and one that
 * cannot does not wait, but says how far it came.
 */
NODISCARD bool backend_uring_probe_quiet(void);

/* Gives one buffer to the kernel, which fills them in the order in which they are given. */
void backend_uring_ring_give(struct backend_uring_buffers *buffers, uint16_t index);

/* The same for all that hold `size` bytes from `first` on; at least that one. */
void backend_uring_ring_give_all(struct backend_uring_buffers *buffers, uint16_t first,
                                 size_t size);

/* backend_conn.flags */
enum {
    BACKEND_URING_ARMED = 1,      /* a receive is with the kernel, or a poll in its place */
    BACKEND_URING_PAUSED = 2,     /* the reactor does not want bytes */
    BACKEND_URING_LISTED = 4,     /* in the again list */
    BACKEND_URING_DROPPED = 8,    /* to be closed when nothing is in flight */
    BACKEND_URING_ENDED = 16,     /* FIN or an error: receive no more */
    BACKEND_URING_SENDING = 32,   /* a send is with the kernel */
    BACKEND_URING_CANCELLED = 64, /* what is armed was cancelled and did not end yet */
    BACKEND_URING_POLLING = 128,  /* what is armed is a poll: it rests */
};

/* The top byte of a request's user data. */
enum backend_uring_request {
    BACKEND_URING_REQUEST_NONE,
    BACKEND_URING_REQUEST_RECEIVE,
    BACKEND_URING_REQUEST_SEND,
    BACKEND_URING_REQUEST_QUIET, /* a quiet send; instead of a slot: the index in `quiet` */
    BACKEND_URING_REQUEST_ACCEPT,
    BACKEND_URING_REQUEST_WAKE
};

/* A send whose success makes no completion. */
struct backend_uring_quiet {
    uint32_t slot; /* not free before this is settled; UINT32_MAX: a completion told the result */
    int32_t size;  /* bytes */
};

struct backend {
    struct io_uring *ring;
    struct backend_uring_buffers buffers;
    struct slab *conns;
    uint32_t conn_count_max;
    int wake_fd;
    int reserve_fd;       /* see backend_socket_reserve(); -1: none */
    uint32_t again_first; /* slots; UINT32_MAX: empty */
    uint32_t again_last;
    uint32_t last_count; /* completions of the last wait */
    bool entered;
    bool can_be_quiet; /* see backend_uring_probe_quiet() */
    bool can_bundle;   /* see backend_uring_probe_bundle() */
    uint16_t lent;     /* first buffer that the last take() showed */
    uint16_t lent_count;
    bool is_to_join;   /* a line, or several: see backend_uring_join() */
    uint32_t accepted; /* by this wait: not yet in `conns` */
    struct backend_socket_listener listeners[BACKEND_LISTENER_MAX];
    uint64_t now_ns;    /* as the reactor has last read it */
    uint64_t rest_ns;   /* see backend_uring_rest.c; 0: nobody rests */
    uint64_t round_ns;  /* when the hand may go round again */
    uint32_t hand_left; /* slots that it has still to visit, from the last down */
    uint32_t receiving; /* armed receives that are no polls */
    /* What vectored sends point to until they are submitted; the kernel keeps no pointer to it. */
    uint32_t message_count;
    uint32_t vector_count;
    struct msghdr messages[BACKEND_URING_MESSAGE_COUNT];
    struct iovec vectors[BACKEND_URING_VECTOR_COUNT];
    /*
     * In the order of send(): reported up to quiet_begin, known to be done up to quiet_known. All 0
     * again when everything is reported, so that an index is good as long as anybody has it.
     */
    uint32_t quiet_begin;
    uint32_t quiet_known;
    uint32_t quiet_end;
    struct backend_uring_quiet quiet[BACKEND_URING_QUIET_COUNT];
};

/* What the kernel gives back with a completion. */
static inline uint64_t backend_uring_tag(enum backend_uring_request kind, uint32_t slot,
                                         uint16_t generation)
{
    return (uint64_t)kind << 56 | (uint64_t)generation << 32 | slot;
}

static inline uint64_t backend_uring_tag_conn(enum backend_uring_request kind,
                                              const struct backend_conn *conn)
{
    return backend_uring_tag(kind, conn->slot, conn->generation);
}

/* The next wait() looks at it first. */
void backend_uring_submit_again(struct backend *backend, struct backend_conn *conn);

/* In the middle of an iteration, when room ran out; normally the wait submits. */
void backend_uring_submit_all(struct backend *backend);

/* An empty request. */
struct io_uring_sqe *backend_uring_submit_next(struct backend *backend);

void backend_uring_submit_receive(struct backend *backend, struct backend_conn *conn);
void backend_uring_submit_send(struct backend *backend, struct backend_conn *conn,
                               const struct iovec *pieces, size_t count);
void backend_uring_submit_poll(struct backend *backend, struct backend_conn *conn);
void backend_uring_submit_accept(struct backend *backend, uint32_t listener);
/* Takes the last place in the line of each shared listener that is on. */
void backend_uring_join(struct backend *backend);
void backend_uring_submit_wake(struct backend *backend);
void backend_uring_submit_cancel(struct backend *backend, uint64_t user_data);

/* What is known without the kernel. Visits each listed connection once; completions made. */
size_t backend_uring_note_again(struct backend *backend, struct backend_completion *completions,
                                size_t max);

/* Quiet sends that are known to be done. Completions made. */
size_t backend_uring_note_quiet(struct backend *backend, struct backend_completion *completions,
                                size_t max);

/* The hand goes on. In how many ns, at most, it wants to be called again. */
uint64_t backend_uring_rest(struct backend *backend);

/* What the kernel says. Completions made: 0 or 1; up to `max` (>= 1) of a shared listener. */
size_t backend_uring_note(struct backend *backend, const struct io_uring_cqe *cqe,
                          struct backend_completion *completions, size_t max);

#endif /* NET_BACKEND_URING_PRIVATE_H */
