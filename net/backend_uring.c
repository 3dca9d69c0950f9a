/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring: multishot accept, multishot receive into a ring of small buffers that are given back
 * right after parsing, and sends that wait in the submission queue for the one system call of an
 * iteration, which is the wait.
 *
 * Everything that the kernel may still touch is counted in backend_conn.in_flight; a dropped
 * connection is closed, and its slot free, when that is 0. Completions carry kind, slot and
 * generation. The `again` list has what the next wait() does first: receives to be armed again
 * (buffers had run out; by then the reactor has given them all back) and BACKEND_CLOSED.
 *
 * Accepted sockets and listeners are blocking on purpose: on a non-blocking one the kernel reports
 * -EAGAIN instead of waiting by itself.
 */
#include "net/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/check.h"
#include "core/monotime.h"
#include "core/slab.h"
#include "net/backend_socket.h"
#include "net/backend_uring_private.h"

enum {
    SUBMISSION_COUNT = 2048,
    COMPLETION_COUNT = 8192,
    MESSAGE_COUNT = 512, /* vectored sends between two submissions */
    VECTOR_COUNT = 8192, /* their pieces */
    BUSY_COUNT = 32,     /* completions that make the next wait a busy one, and that it waits for */
    BUSY_WAIT_NS = 20000, /* but no longer than this */
    SHED_MAX = 64,
    SUBMIT_TRIES = 64,
};

/* backend_conn.flags */
enum {
    FLAG_ARMED = 1,      /* a receive is with the kernel */
    FLAG_PAUSED = 2,     /* the reactor does not want bytes */
    FLAG_LISTED = 4,     /* in the again list */
    FLAG_DROPPED = 8,    /* to be closed when nothing is in flight */
    FLAG_ENDED = 16,     /* FIN or an error: receive no more */
    FLAG_SENDING = 32,   /* a send is with the kernel */
    FLAG_CANCELLED = 64, /* the armed receive was cancelled and did not end yet */
};

/* The top byte of a request's user data. */
enum request_kind { REQUEST_NONE, REQUEST_RECEIVE, REQUEST_SEND, REQUEST_ACCEPT, REQUEST_WAKE };

struct uring_listener {
    int fd; /* -1: none */
    bool on;
    bool armed; /* a multishot accept is with the kernel */
};

struct backend {
    struct io_uring ring;
    struct backend_uring_buffers buffers;
    struct slab *conns;
    int wake_fd;
    int reserve_fd;       /* see backend_socket_reserve(); -1: none */
    uint32_t again_first; /* slots; UINT32_MAX: empty */
    uint32_t again_last;
    uint32_t last_count; /* completions of the last wait */
    bool entered;
    struct uring_listener listeners[BACKEND_LISTENER_MAX];
    /* What vectored sends point to until they are submitted; the kernel keeps no pointer to it. */
    uint32_t message_count;
    uint32_t vector_count;
    struct msghdr messages[MESSAGE_COUNT];
    struct iovec vectors[VECTOR_COUNT];
};

static uint64_t tag(enum request_kind kind, uint32_t slot, uint16_t generation)
{
    return (uint64_t)kind << 56 | (uint64_t)generation << 32 | slot;
}

static uint64_t conn_tag(enum request_kind kind, const struct backend_conn *conn)
{
    return tag(kind, conn->slot, conn->generation);
}

static struct backend_conn *conn_at(const struct backend *backend, uint32_t slot)
{
    struct backend_conn *conn = slab_at(backend->conns, slot);
    CHECK(conn != NULL);
    return conn;
}

static void list_again(struct backend *backend, struct backend_conn *conn)
{
    if ((conn->flags & FLAG_LISTED) != 0) {
        return;
    }
    conn->flags |= FLAG_LISTED;
    conn->next = UINT32_MAX;
    if (backend->again_first == UINT32_MAX) {
        backend->again_first = conn->slot;
    } else {
        conn_at(backend, backend->again_last)->next = conn->slot;
    }
    backend->again_last = conn->slot;
}

/* --- Submitting ---------------------------------------------------------------------------- */

/* All of it is with the kernel now: what the vectored sends pointed to is free. */
static void reset_scratch(struct backend *backend)
{
    CHECK(io_uring_sq_ready(&backend->ring) == 0);
    backend->message_count = 0;
    backend->vector_count = 0;
}

/* In the middle of an iteration, when room ran out; normally the wait submits. */
static void submit_all(struct backend *backend)
{
    CHECK(backend->entered);
    for (int i = 0; i < SUBMIT_TRIES && io_uring_sq_ready(&backend->ring) > 0; i++) {
        const int result = io_uring_submit(&backend->ring);
        CHECK(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY);
    }
    reset_scratch(backend);
}

static struct io_uring_sqe *next_request(struct backend *backend)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&backend->ring);
    if (sqe == NULL) {
        submit_all(backend);
        sqe = io_uring_get_sqe(&backend->ring);
    }
    CHECK(sqe != NULL);
    return sqe;
}

static void arm_receive(struct backend *backend, struct backend_conn *conn)
{
    CHECK((conn->flags & (FLAG_ARMED | FLAG_DROPPED)) == 0);
    struct io_uring_sqe *sqe = next_request(backend);
    io_uring_prep_recv_multishot(sqe, conn->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BACKEND_URING_BUFFER_GROUP;
    io_uring_sqe_set_data64(sqe, conn_tag(REQUEST_RECEIVE, conn));
    conn->flags |= FLAG_ARMED;
    conn->in_flight++;
}

static void cancel(struct backend *backend, uint64_t user_data)
{
    struct io_uring_sqe *sqe = next_request(backend);
    io_uring_prep_cancel64(sqe, user_data, 0);
    io_uring_sqe_set_data64(sqe, tag(REQUEST_NONE, 0, 0));
}

static void arm_accept(struct backend *backend, uint32_t index)
{
    struct uring_listener *listener = &backend->listeners[index];
    struct io_uring_sqe *sqe = next_request(backend);
    io_uring_prep_multishot_accept(sqe, listener->fd, NULL, NULL, SOCK_CLOEXEC);
    io_uring_sqe_set_data64(sqe, tag(REQUEST_ACCEPT, index, 0));
    listener->armed = true;
}

static void arm_wake(struct backend *backend)
{
    struct io_uring_sqe *sqe = next_request(backend);
    io_uring_prep_poll_multishot(sqe, backend->wake_fd, POLLIN);
    io_uring_sqe_set_data64(sqe, tag(REQUEST_WAKE, 0, 0));
}

/* --- Completions --------------------------------------------------------------------------- */

static struct backend_completion completion_of(const struct backend_conn *conn,
                                               enum backend_event event, int32_t result)
{
    return (struct backend_completion){.event = event,
                                       .slot = conn->slot,
                                       .generation = conn->generation,
                                       .result = result,
                                       .buffer = BACKEND_URING_BUFFER_NONE};
}

/* After the end of a request of a dropped connection. Returns the completions made: 0 or 1. */
static size_t settle_dropped(struct backend_conn *conn, struct backend_completion *completion)
{
    if (conn->in_flight > 0) {
        return 0;
    }
    CHECK((conn->flags & FLAG_LISTED) == 0);
    backend_socket_close(conn->fd, false); /* how was decided in drop() */
    conn->fd = -1;
    *completion = completion_of(conn, BACKEND_CLOSED, 0);
    return 1;
}

static size_t note_received(struct backend *backend, struct backend_conn *conn,
                            const struct io_uring_cqe *cqe, struct backend_completion *completion)
{
    const int result = cqe->res;
    uint16_t buffer = BACKEND_URING_BUFFER_NONE;

    if ((cqe->flags & IORING_CQE_F_BUFFER) != 0) {
        buffer = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
    }
    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        CHECK((conn->flags & FLAG_ARMED) != 0 && conn->in_flight > 0);
        conn->in_flight--;
        conn->flags &= (uint8_t) ~(FLAG_ARMED | FLAG_CANCELLED);
    }
    const bool is_lull =
        result == -ENOBUFS || result == -ECANCELED || result == -EINTR || result == -EAGAIN;
    if (result <= 0 && !is_lull) {
        conn->flags |= FLAG_ENDED;
    }
    if (result <= 0 || (conn->flags & FLAG_DROPPED) != 0) {
        if (buffer != BACKEND_URING_BUFFER_NONE) {
            backend_uring_ring_give(&backend->buffers, buffer);
            buffer = BACKEND_URING_BUFFER_NONE;
        }
    }
    if ((conn->flags & FLAG_DROPPED) != 0) {
        return settle_dropped(conn, completion);
    }
    if ((conn->flags & (FLAG_ARMED | FLAG_ENDED | FLAG_PAUSED)) == 0) {
        list_again(backend, conn);
    }
    if (is_lull) {
        return 0;
    }
    *completion = completion_of(conn, BACKEND_RECEIVED, result);
    completion->buffer = buffer;
    return 1;
}

static size_t note_sent(struct backend_conn *conn, int result,
                        struct backend_completion *completion)
{
    CHECK((conn->flags & FLAG_SENDING) != 0 && conn->in_flight > 0);
    conn->flags &= (uint8_t)~FLAG_SENDING;
    conn->in_flight--;
    if ((conn->flags & FLAG_DROPPED) != 0) {
        return settle_dropped(conn, completion);
    }
    if (result == -EINTR || result == -EAGAIN) {
        result = 0;
    }
    *completion = completion_of(conn, BACKEND_SENT, result);
    return 1;
}

static size_t note_accepted(struct backend *backend, uint32_t index, const struct io_uring_cqe *cqe,
                            struct backend_completion *completion)
{
    struct uring_listener *listener = &backend->listeners[index];
    const int result = cqe->res;

    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        listener->armed = false;
    }
    const bool is_lull = result == -ECANCELED || result == -EINTR || result == -EAGAIN;
    if (listener->fd >= 0 && !listener->armed && listener->on && (result >= 0 || is_lull)) {
        arm_accept(backend, index);
    }
    if (is_lull || (result < 0 && listener->fd < 0)) {
        return 0;
    }
    if (backend_socket_is_exhausted(result)) {
        (void)backend_socket_shed(&backend->reserve_fd, listener->fd, SHED_MAX);
    }
    *completion =
        (struct backend_completion){.event = result < 0 ? BACKEND_ACCEPT_FAILED : BACKEND_ACCEPTED,
                                    .slot = index,
                                    .result = result};
    return 1;
}

/* Returns the completions made: 0 or 1. */
static size_t note(struct backend *backend, const struct io_uring_cqe *cqe,
                   struct backend_completion *completion)
{
    const enum request_kind kind = (enum request_kind)(cqe->user_data >> 56);
    const uint32_t slot = (uint32_t)cqe->user_data;

    switch (kind) {
    case REQUEST_NONE:
        return 0;
    case REQUEST_WAKE:
        if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
            arm_wake(backend);
        }
        return 0;
    case REQUEST_ACCEPT:
        return note_accepted(backend, slot, cqe, completion);
    case REQUEST_RECEIVE:
    case REQUEST_SEND:
        break;
    }
    struct backend_conn *conn = slab_find(backend->conns, slot, (uint16_t)(cqe->user_data >> 32));
    CHECK(conn != NULL); /* its slot is not free before this arrived */
    return kind == REQUEST_RECEIVE ? note_received(backend, conn, cqe, completion)
                                   : note_sent(conn, cqe->res, completion);
}

/* What is known without the kernel. Visits each listed connection once. */
static size_t take_again(struct backend *backend, struct backend_completion *completions,
                         size_t max)
{
    size_t count = 0;
    while (backend->again_first != UINT32_MAX && count < max) {
        struct backend_conn *conn = conn_at(backend, backend->again_first);
        backend->again_first = conn->next;
        conn->flags &= (uint8_t)~FLAG_LISTED;
        if ((conn->flags & FLAG_DROPPED) != 0) {
            count += settle_dropped(conn, &completions[count]);
        } else if ((conn->flags & (FLAG_ARMED | FLAG_ENDED | FLAG_PAUSED)) == 0) {
            arm_receive(backend, conn);
        }
    }
    return count;
}

/* The one system call. When busy it waits a moment for several completions instead of for one. */
static void enter_kernel(struct backend *backend, uint64_t timeout_ns)
{
    int result = 0;
    if (timeout_ns == 0 || io_uring_cq_ready(&backend->ring) > 0) {
        result = io_uring_submit_and_get_events(&backend->ring);
    } else if (timeout_ns == UINT64_MAX && backend->last_count < BUSY_COUNT) {
        result = io_uring_submit_and_wait(&backend->ring, 1);
    } else {
        const bool is_busy = backend->last_count >= BUSY_COUNT;
        if (is_busy && timeout_ns > BUSY_WAIT_NS) {
            timeout_ns = BUSY_WAIT_NS;
        }
        struct __kernel_timespec timeout = {.tv_sec = (long long)(timeout_ns / MONOTIME_NS_PER_S),
                                            .tv_nsec = (long long)(timeout_ns % MONOTIME_NS_PER_S)};
        struct io_uring_cqe *cqe = NULL;
        result = io_uring_submit_and_wait_timeout(&backend->ring, &cqe, is_busy ? BUSY_COUNT : 1,
                                                  &timeout, NULL);
    }
    CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
          result == -EBUSY);
    submit_all(backend); /* normally there is nothing left to do */
}

static size_t uring_wait(struct backend *backend, uint64_t timeout_ns,
                         struct backend_completion *completions, size_t max)
{
    size_t count = take_again(backend, completions, max);
    enter_kernel(backend, count > 0 ? 0 : timeout_ns);

    struct io_uring_cqe *cqe = NULL;
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_for_each_cqe(&backend->ring, head, cqe)
    {
        if (count == max) {
            break;
        }
        count += note(backend, cqe, &completions[count]);
        seen++;
    }
    io_uring_cq_advance(&backend->ring, seen);
    backend->last_count = seen;
    return count;
}

static void uring_wake(struct backend *backend)
{
    const uint64_t one = 1;
    /* It fails only when the counter is at its end, and then it is signalled. */
    const ssize_t written = write(backend->wake_fd, &one, sizeof(one));
    (void)written;
}

static uint64_t uring_now(struct backend *backend)
{
    (void)backend;
    return monotime_read();
}

/* --- Listeners ----------------------------------------------------------------------------- */

static int uring_listen(struct backend *backend, uint32_t listener, int fd)
{
    CHECK(listener < BACKEND_LISTENER_MAX);
    CHECK(backend->listeners[listener].fd < 0);
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
        return -errno;
    }
    backend->listeners[listener] = (struct uring_listener){.fd = fd};
    return 0;
}

static void uring_accept(struct backend *backend, uint32_t listener, bool on)
{
    CHECK(listener < BACKEND_LISTENER_MAX);
    struct uring_listener *found = &backend->listeners[listener];
    if (found->fd < 0 || found->on == on) {
        return;
    }
    found->on = on;
    if (on && !found->armed) {
        arm_accept(backend, listener);
    } else if (!on && found->armed) {
        cancel(backend, tag(REQUEST_ACCEPT, listener, 0));
    }
}

static void uring_unlisten(struct backend *backend, uint32_t listener)
{
    CHECK(listener < BACKEND_LISTENER_MAX);
    struct uring_listener *found = &backend->listeners[listener];
    CHECK(found->fd >= 0);
    if (found->armed && backend->entered) {
        cancel(backend, tag(REQUEST_ACCEPT, listener, 0));
        submit_all(backend); /* before the number of the descriptor means something else */
    }
    (void)close(found->fd);
    found->fd = -1;
}

static void uring_refuse(struct backend *backend, int fd)
{
    (void)backend;
    backend_socket_close(fd, true);
}

/* --- Connections --------------------------------------------------------------------------- */

static int uring_attach(struct backend *backend, struct backend_conn *conn)
{
    conn->flags = 0;
    conn->in_flight = 0;
    arm_receive(backend, conn);
    return 0;
}

static ssize_t uring_take(struct backend *backend, struct backend_conn *conn,
                          struct backend_completion *completion, size_t max, struct span *bytes)
{
    (void)conn;
    (void)max; /* they left the kernel already */
    const int32_t result = completion->result;
    completion->result = -EAGAIN;
    if (result > 0) {
        CHECK(completion->buffer < backend->buffers.count);
        bytes->data = backend->buffers.memory + (size_t)completion->buffer * backend->buffers.size;
        bytes->size = (size_t)result;
    }
    return result;
}

static void uring_give_back(struct backend *backend, struct backend_conn *conn,
                            struct backend_completion *completion)
{
    (void)conn;
    if (completion->buffer != BACKEND_URING_BUFFER_NONE) {
        backend_uring_ring_give(&backend->buffers, completion->buffer);
        completion->buffer = BACKEND_URING_BUFFER_NONE;
    }
}

static void uring_receive(struct backend *backend, struct backend_conn *conn, bool on)
{
    if (on) {
        conn->flags &= (uint8_t)~FLAG_PAUSED;
        if ((conn->flags & (FLAG_ARMED | FLAG_ENDED)) == 0) {
            list_again(backend, conn);
        }
        return;
    }
    conn->flags |= FLAG_PAUSED;
    if ((conn->flags & FLAG_ARMED) != 0 && (conn->flags & FLAG_CANCELLED) == 0) {
        conn->flags |= FLAG_CANCELLED;
        cancel(backend, conn_tag(REQUEST_RECEIVE, conn));
    }
}

static ssize_t uring_send(struct backend *backend, struct backend_conn *conn,
                          const struct iovec *pieces, size_t count)
{
    CHECK(count > 0 && count <= BACKEND_IOVEC_MAX);
    CHECK((conn->flags & (FLAG_SENDING | FLAG_DROPPED)) == 0);

    if (backend->message_count == MESSAGE_COUNT || VECTOR_COUNT - backend->vector_count < count) {
        submit_all(backend);
    }
    struct io_uring_sqe *sqe = next_request(backend);
    if (count == 1) {
        io_uring_prep_send(sqe, conn->fd, pieces->iov_base, pieces->iov_len, MSG_NOSIGNAL);
    } else {
        struct iovec *vector = &backend->vectors[backend->vector_count];
        struct msghdr *message = &backend->messages[backend->message_count];
        memcpy(vector, pieces, count * sizeof(*pieces));
        *message = (struct msghdr){.msg_iov = vector, .msg_iovlen = count};
        backend->vector_count += (uint32_t)count;
        backend->message_count++;
        io_uring_prep_sendmsg(sqe, conn->fd, message, MSG_NOSIGNAL);
    }
    io_uring_sqe_set_data64(sqe, conn_tag(REQUEST_SEND, conn));
    conn->flags |= FLAG_SENDING;
    conn->in_flight++;
    return -EINPROGRESS;
}

static int uring_shutdown(struct backend *backend, struct backend_conn *conn)
{
    (void)backend;
    return backend_socket_shutdown(conn->fd);
}

static void uring_drop(struct backend *backend, struct backend_conn *conn, bool reset)
{
    CHECK((conn->flags & FLAG_DROPPED) == 0);
    conn->flags |= FLAG_DROPPED;
    if (reset) {
        const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        /* Where it fails the peer sees a FIN: less clear, as final. */
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    if (conn->in_flight == 0) {
        list_again(backend, conn);
        return;
    }
    struct io_uring_sqe *sqe = next_request(backend);
    io_uring_prep_cancel_fd(sqe, conn->fd, IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data64(sqe, tag(REQUEST_NONE, 0, 0));
}

static int uring_peer(struct backend *backend, const struct backend_conn *conn,
                      struct address *address)
{
    (void)backend;
    return backend_socket_peer(conn->fd, address);
}

/* --- Life ---------------------------------------------------------------------------------- */

static int uring_create(const struct backend_options *options, struct backend **backend)
{
    CHECK(options->conns != NULL);
    struct backend *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    const struct backend_uring_options ring = {
        .submission_count = SUBMISSION_COUNT,
        .completion_count = COMPLETION_COUNT,
        .buffer_count = options->receive_buffer_count,
        .buffer_size = options->receive_buffer_size,
    };
    const char *what = NULL;
    int result = 0;
    created->conns = options->conns;
    created->again_first = UINT32_MAX;
    created->reserve_fd = -1;
    for (size_t i = 0; i < BACKEND_LISTENER_MAX; i++) {
        created->listeners[i].fd = -1;
    }
    created->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (created->wake_fd < 0) {
        result = -errno;
        goto free_created;
    }
    result = backend_uring_ring_open(&ring, &created->ring, &created->buffers, &what);
    if (result != 0) {
        goto close_wake;
    }
    arm_wake(created);
    backend_socket_reserve(&created->reserve_fd);
    *backend = created;
    return 0;

close_wake:
    (void)close(created->wake_fd);
free_created:
    free(created);
    return result;
}

static void uring_destroy(struct backend *backend)
{
    backend_uring_ring_close(&backend->ring, &backend->buffers);
    /* Dropped connections whose completions nobody waits for. */
    const uint32_t end = slab_slot_end(backend->conns);
    for (uint32_t slot = 0; slot < end; slot++) {
        struct backend_conn *conn = slab_at(backend->conns, slot);
        if (conn != NULL && conn->fd >= 0) {
            backend_socket_close(conn->fd, false);
            conn->fd = -1;
        }
    }
    (void)close(backend->wake_fd);
    if (backend->reserve_fd >= 0) {
        (void)close(backend->reserve_fd);
    }
    free(backend);
}

static void uring_enter(struct backend *backend)
{
    CHECK(!backend->entered);
    CHECK(backend_uring_ring_enable(&backend->ring) == 0);
    /* Saves a look-up in each call; without it everything works all the same. */
    (void)io_uring_register_ring_fd(&backend->ring);
    backend->entered = true;
}

const struct backend_ops backend_uring_ops = {
    .name = "uring",
    .create = uring_create,
    .destroy = uring_destroy,
    .enter = uring_enter,
    .now = uring_now,
    .wait = uring_wait,
    .wake = uring_wake,
    .listen = uring_listen,
    .accept = uring_accept,
    .unlisten = uring_unlisten,
    .refuse = uring_refuse,
    .attach = uring_attach,
    .take = uring_take,
    .give_back = uring_give_back,
    .receive = uring_receive,
    .send = uring_send,
    .shutdown = uring_shutdown,
    .drop = uring_drop,
    .peer = uring_peer,
};
