/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Completions of the kernel, made into those of the reactor; see backend_uring.c.
 */
#include <errno.h>
#include <liburing.h>
#include <sys/socket.h>

#include "core/check.h"
#include "core/slab.h"
#include "net/backend_socket.h"
#include "net/backend_uring_private.h"

static struct backend_conn *conn_at(const struct backend *backend, uint32_t slot)
{
    struct backend_conn *conn = slab_at(backend->conns, slot);
    CHECK(conn != NULL);
    return conn;
}

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
    CHECK((conn->flags & BACKEND_URING_LISTED) == 0);
    backend_socket_close(conn->fd, false); /* how was decided in drop() */
    conn->fd = -1;
    *completion = completion_of(conn, BACKEND_CLOSED, 0);
    return 1;
}

/* What was armed has come to its end. */
static void note_disarmed(struct backend *backend, struct backend_conn *conn)
{
    CHECK((conn->flags & BACKEND_URING_ARMED) != 0 && conn->in_flight > 0);
    if ((conn->flags & BACKEND_URING_POLLING) == 0) {
        CHECK(backend->receiving > 0);
        backend->receiving--;
    }
    conn->in_flight--;
    conn->flags &=
        (uint8_t) ~(BACKEND_URING_ARMED | BACKEND_URING_CANCELLED | BACKEND_URING_POLLING);
}

/* Whether it has nothing armed that it should have. */
static bool wants_receive(const struct backend_conn *conn)
{
    return (conn->flags & (BACKEND_URING_ARMED | BACKEND_URING_ENDED | BACKEND_URING_PAUSED)) == 0;
}

/* Whoever rested has something to receive, or was cancelled. Returns the completions made. */
static size_t note_polled(struct backend *backend, struct backend_conn *conn, int result,
                          struct backend_completion *completion)
{
    note_disarmed(backend, conn);
    conn->recent = result != -ECANCELED; /* an error is the receive's to report */
    if ((conn->flags & BACKEND_URING_DROPPED) != 0) {
        return settle_dropped(conn, completion);
    }
    if (wants_receive(conn)) {
        backend_uring_submit_again(backend, conn);
    }
    return 0;
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
        note_disarmed(backend, conn);
    }
    if (result > 0 || result == -ENOBUFS) {
        conn->recent = true;
    }
    const bool is_lull =
        result == -ENOBUFS || result == -ECANCELED || result == -EINTR || result == -EAGAIN;
    if (result <= 0 && !is_lull) {
        conn->flags |= BACKEND_URING_ENDED;
    }
    if (result <= 0 || (conn->flags & BACKEND_URING_DROPPED) != 0) {
        if (buffer != BACKEND_URING_BUFFER_NONE) {
            backend_uring_ring_give_all(&backend->buffers, buffer, result > 0 ? (size_t)result : 0);
            buffer = BACKEND_URING_BUFFER_NONE;
        }
    }
    if ((conn->flags & BACKEND_URING_DROPPED) != 0) {
        return settle_dropped(conn, completion);
    }
    if (wants_receive(conn)) {
        backend_uring_submit_again(backend, conn);
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
    CHECK((conn->flags & BACKEND_URING_SENDING) != 0 && conn->in_flight > 0);
    conn->flags &= (uint8_t)~BACKEND_URING_SENDING;
    conn->in_flight--;
    if ((conn->flags & BACKEND_URING_DROPPED) != 0) {
        return settle_dropped(conn, completion);
    }
    if (result == -EINTR || result == -EAGAIN) {
        result = 0;
    }
    *completion = completion_of(conn, BACKEND_SENT, result);
    return 1;
}

/* It was not written whole: what is left, and all until the queue is empty, is to wait for room. */
static size_t note_quiet_failed(struct backend *backend, uint32_t index, int result,
                                struct backend_completion *completion)
{
    CHECK(index >= backend->quiet_known && index < backend->quiet_end);
    struct backend_uring_quiet *quiet = &backend->quiet[index];
    struct backend_conn *conn = conn_at(backend, quiet->slot);
    CHECK(conn->quiet);
    quiet->slot = UINT32_MAX;
    conn->quiet = false;
    conn->slow = true;
    return note_sent(conn, result, completion);
}

size_t backend_uring_note_quiet(struct backend *backend, struct backend_completion *completions,
                                size_t max)
{
    size_t count = 0;
    while (backend->quiet_begin < backend->quiet_known && count < max) {
        const struct backend_uring_quiet *quiet = &backend->quiet[backend->quiet_begin++];
        if (quiet->slot != UINT32_MAX) {
            struct backend_conn *conn = conn_at(backend, quiet->slot);
            CHECK(conn->quiet);
            count += note_sent(conn, quiet->size, &completions[count]);
        }
    }
    if (backend->quiet_begin == backend->quiet_end) {
        backend->quiet_begin = 0;
        backend->quiet_known = 0;
        backend->quiet_end = 0;
    }
    return count;
}

static size_t note_accepted(struct backend *backend, uint32_t index, const struct io_uring_cqe *cqe,
                            struct backend_completion *completion)
{
    struct backend_socket_listener *listener = &backend->listeners[index];
    const int result = cqe->res;

    if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
        listener->armed = false;
    }
    const bool is_lull = result == -ECANCELED || result == -EINTR || result == -EAGAIN;
    if (listener->fd >= 0 && !listener->armed && listener->on && (result >= 0 || is_lull)) {
        backend_uring_submit_accept(backend, index);
    }
    if (is_lull || (result < 0 && listener->fd < 0)) {
        return 0;
    }
    if (backend_socket_is_exhausted(result)) {
        (void)backend_socket_shed(&backend->reserve_fd, listener->fd, BACKEND_SOCKET_SHED_MAX);
    }
    backend->accepted += result >= 0;
    *completion =
        (struct backend_completion){.event = result < 0 ? BACKEND_ACCEPT_FAILED : BACKEND_ACCEPTED,
                                    .slot = index,
                                    .result = result};
    return 1;
}

/* A shared listener's turn, whatever its poll says: see backend_uring.c. */
static size_t note_turn(struct backend *backend, uint32_t index, int result,
                        struct backend_completion *completions, size_t max)
{
    struct backend_socket_listener *listener = &backend->listeners[index];

    listener->armed = false;
    backend->is_to_join = true;
    if (listener->fd < 0) {
        return 0;
    }
    if (result < 0 && result != -ECANCELED) {
        completions[0] = (struct backend_completion){
            .event = BACKEND_ACCEPT_FAILED, .slot = index, .result = result};
        return 1;
    }
    const uint32_t taken = slab_count(backend->conns) + backend->accepted;
    const uint32_t limit = backend->conn_count_max;
    const size_t room =
        backend_socket_room(backend->listeners, index, limit > taken ? limit - taken : 0);
    const struct backend_socket_accept accept = {.fd = listener->fd,
                                                 .listener = index,
                                                 .flags = SOCK_CLOEXEC,
                                                 .max = room < max ? room : max,
                                                 .reserve = &backend->reserve_fd};
    const size_t count = backend_socket_accept(&accept, completions);
    backend->accepted += (uint32_t)count;
    return count;
}

size_t backend_uring_note(struct backend *backend, const struct io_uring_cqe *cqe,
                          struct backend_completion *completions, size_t max)
{
    const enum backend_uring_request kind = (enum backend_uring_request)(cqe->user_data >> 56);
    const uint32_t slot = (uint32_t)cqe->user_data;

    switch (kind) {
    case BACKEND_URING_REQUEST_NONE:
        return 0;
    case BACKEND_URING_REQUEST_WAKE:
        if ((cqe->flags & IORING_CQE_F_MORE) == 0) {
            backend_uring_submit_wake(backend);
        }
        return 0;
    case BACKEND_URING_REQUEST_ACCEPT:
        return backend->listeners[slot].shared
                   ? note_turn(backend, slot, cqe->res, completions, max)
                   : note_accepted(backend, slot, cqe, completions);
    case BACKEND_URING_REQUEST_QUIET:
        return note_quiet_failed(backend, slot, cqe->res, completions);
    case BACKEND_URING_REQUEST_RECEIVE:
    case BACKEND_URING_REQUEST_SEND:
        break;
    }
    struct backend_conn *conn = slab_find(backend->conns, slot, (uint16_t)(cqe->user_data >> 32));
    CHECK(conn != NULL); /* its slot is not free before this arrived */
    if (kind == BACKEND_URING_REQUEST_SEND) {
        return note_sent(conn, cqe->res, completions);
    }
    return (conn->flags & BACKEND_URING_POLLING) != 0
               ? note_polled(backend, conn, cqe->res, completions)
               : note_received(backend, conn, cqe, completions);
}

size_t backend_uring_note_again(struct backend *backend, struct backend_completion *completions,
                                size_t max)
{
    size_t count = 0;
    while (backend->again_first != UINT32_MAX && count < max) {
        struct backend_conn *conn = conn_at(backend, backend->again_first);
        backend->again_first = conn->next;
        conn->flags &= (uint8_t)~BACKEND_URING_LISTED;
        if ((conn->flags & BACKEND_URING_DROPPED) != 0) {
            count += settle_dropped(conn, &completions[count]);
        } else if (wants_receive(conn) && conn->recent) {
            backend_uring_submit_receive(backend, conn);
        } else if (wants_receive(conn)) {
            backend_uring_submit_poll(backend, conn);
        }
    }
    return count;
}
