/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the kernel. They wait in the submission queue; see backend_uring.c.
 */
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "core/check.h"
#include "core/slab.h"
#include "net/backend_uring_private.h"

enum { SUBMIT_TRIES = 64 };

static struct backend_conn *conn_at(const struct backend *backend, uint32_t slot)
{
    struct backend_conn *conn = slab_at(backend->conns, slot);
    CHECK(conn != NULL);
    return conn;
}

void backend_uring_submit_again(struct backend *backend, struct backend_conn *conn)
{
    if ((conn->flags & BACKEND_URING_LISTED) != 0) {
        return;
    }
    conn->flags |= BACKEND_URING_LISTED;
    conn->next = UINT32_MAX;
    if (backend->again_first == UINT32_MAX) {
        backend->again_first = conn->slot;
    } else {
        conn_at(backend, backend->again_last)->next = conn->slot;
    }
    backend->again_last = conn->slot;
}

/* All of it is with the kernel now: what the vectored sends pointed to is free. */
static void reset_scratch(struct backend *backend)
{
    CHECK(io_uring_sq_ready(backend->ring) == 0);
    backend->message_count = 0;
    backend->vector_count = 0;
}

void backend_uring_submit_all(struct backend *backend)
{
    CHECK(backend->entered);
    for (int i = 0; i < SUBMIT_TRIES && io_uring_sq_ready(backend->ring) > 0; i++) {
        const int result = io_uring_submit(backend->ring);
        CHECK(result >= 0 || result == -EINTR || result == -EAGAIN || result == -EBUSY);
    }
    reset_scratch(backend);
}

struct io_uring_sqe *backend_uring_submit_next(struct backend *backend)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(backend->ring);
    if (sqe == NULL) {
        backend_uring_submit_all(backend);
        sqe = io_uring_get_sqe(backend->ring);
    }
    CHECK(sqe != NULL);
    return sqe;
}

void backend_uring_submit_bundle(struct io_uring_sqe *sqe)
{
    enum { RECVSEND_BUNDLE = 1 << 4 }; /* IORING_RECVSEND_BUNDLE; not in liburing 2.3 */
    sqe->ioprio |= RECVSEND_BUNDLE;
}

void backend_uring_submit_receive(struct backend *backend, struct backend_conn *conn)
{
    CHECK((conn->flags & (BACKEND_URING_ARMED | BACKEND_URING_DROPPED)) == 0);
    struct io_uring_sqe *sqe = backend_uring_submit_next(backend);
    io_uring_prep_recv_multishot(sqe, conn->fd, NULL, 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = BACKEND_URING_BUFFER_GROUP;
    if (backend->can_bundle) {
        backend_uring_submit_bundle(sqe);
    }
    io_uring_sqe_set_data64(sqe, backend_uring_tag_conn(BACKEND_URING_REQUEST_RECEIVE, conn));
    conn->flags |= BACKEND_URING_ARMED;
    conn->in_flight++;
    backend->receiving++;
}

/* Its tag is a receive's, so that whoever cancels need not know which of the two it is. */
void backend_uring_submit_poll(struct backend *backend, struct backend_conn *conn)
{
    CHECK((conn->flags & (BACKEND_URING_ARMED | BACKEND_URING_DROPPED)) == 0);
    struct io_uring_sqe *sqe = backend_uring_submit_next(backend);
    io_uring_prep_poll_add(sqe, conn->fd, POLLIN);
    io_uring_sqe_set_data64(sqe, backend_uring_tag_conn(BACKEND_URING_REQUEST_RECEIVE, conn));
    conn->flags |= BACKEND_URING_ARMED | BACKEND_URING_POLLING;
    conn->in_flight++;
}

void backend_uring_submit_cancel(struct backend *backend, uint64_t user_data)
{
    struct io_uring_sqe *sqe = backend_uring_submit_next(backend);
    io_uring_prep_cancel64(sqe, user_data, 0);
    io_uring_sqe_set_data64(sqe, backend_uring_tag(BACKEND_URING_REQUEST_NONE, 0, 0));
}

void backend_uring_submit_accept(struct backend *backend, uint32_t index)
{
    struct backend_socket_listener *listener = &backend->listeners[index];
    struct io_uring_sqe *sqe = backend_uring_submit_next(backend);
    if (listener->shared) {
        io_uring_prep_poll_add(sqe, listener->fd, POLLIN | EPOLLEXCLUSIVE);
    } else {
        io_uring_prep_multishot_accept(sqe, listener->fd, NULL, NULL, SOCK_CLOEXEC);
    }
    io_uring_sqe_set_data64(sqe, backend_uring_tag(BACKEND_URING_REQUEST_ACCEPT, index, 0));
    listener->armed = true;
}

void backend_uring_join(struct backend *backend)
{
    for (uint32_t i = 0; backend->is_to_join && i < BACKEND_LISTENER_MAX; i++) {
        const struct backend_socket_listener *listener = &backend->listeners[i];
        if (listener->fd >= 0 && listener->shared && listener->on && !listener->armed) {
            backend_uring_submit_accept(backend, i);
        }
    }
    backend->is_to_join = false;
}

void backend_uring_submit_wake(struct backend *backend)
{
    struct io_uring_sqe *sqe = backend_uring_submit_next(backend);
    io_uring_prep_poll_multishot(sqe, backend->wake_fd, POLLIN);
    io_uring_sqe_set_data64(sqe, backend_uring_tag(BACKEND_URING_REQUEST_WAKE, 0, 0));
}

/* Takes it into the list of quiet sends, if it can be one. */
static bool list_quiet(struct backend *backend, const struct backend_conn *conn,
                       const struct iovec *pieces, size_t count)
{
    if (!backend->can_be_quiet || conn->awaited || conn->slow ||
        backend->quiet_end == BACKEND_URING_QUIET_COUNT) {
        return false;
    }
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += pieces[i].iov_len;
    }
    if (size > INT32_MAX) {
        return false;
    }
    backend->quiet[backend->quiet_end++] =
        (struct backend_uring_quiet){.slot = conn->slot, .size = (int32_t)size};
    return true;
}

void backend_uring_submit_send(struct backend *backend, struct backend_conn *conn,
                               const struct iovec *pieces, size_t count)
{
    if (backend->message_count == BACKEND_URING_MESSAGE_COUNT ||
        BACKEND_URING_VECTOR_COUNT - backend->vector_count < count) {
        backend_uring_submit_all(backend);
    }
    conn->quiet = list_quiet(backend, conn, pieces, count);
    const int flags = conn->quiet ? MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL : MSG_NOSIGNAL;
    struct io_uring_sqe *sqe = backend_uring_submit_next(backend);
    if (count == 1) {
        io_uring_prep_send(sqe, conn->fd, pieces->iov_base, pieces->iov_len, flags);
    } else {
        struct iovec *vector = &backend->vectors[backend->vector_count];
        struct msghdr *message = &backend->messages[backend->message_count];
        memcpy(vector, pieces, count * sizeof(*pieces));
        *message = (struct msghdr){.msg_iov = vector, .msg_iovlen = count};
        backend->vector_count += (uint32_t)count;
        backend->message_count++;
        io_uring_prep_sendmsg(sqe, conn->fd, message, (unsigned)flags);
    }
    if (conn->quiet) {
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        io_uring_sqe_set_data64(
            sqe, backend_uring_tag(BACKEND_URING_REQUEST_QUIET, backend->quiet_end - 1, 0));
    } else {
        io_uring_sqe_set_data64(sqe, backend_uring_tag_conn(BACKEND_URING_REQUEST_SEND, conn));
    }
    conn->flags |= BACKEND_URING_SENDING;
    conn->in_flight++;
}
