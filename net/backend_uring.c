/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring: multishot accept, multishot receive into a ring of small buffers that are given back
 * right after parsing (one receive may fill several, which are then one piece), and sends that wait
 * in the submission queue for the one system call of an iteration, which is the wait.
 *
 * Everything that the kernel may still touch is counted in backend_conn.in_flight; a dropped
 * connection is closed, and its slot free, when that is 0. Completions carry kind, slot and
 * generation. The `again` list has what the next wait() does first: receives to be armed again
 * (buffers had run out; by then the reactor has given them all back) and BACKEND_CLOSED.
 *
 * A send is quiet unless the reactor waits for its end: it is done while it is submitted, and makes
 * a completion only if it could not write everything. So after a submission, and with every
 * completion read, the quiet sends without one are known to be done. What is left of the others,
 * and all of a connection that is slow, goes by sends that wait for room in the kernel. An echo
 * costs one system call that way, for the end of a send does not end the wait.
 *
 * Accepted sockets and listeners are blocking on purpose: on a non-blocking one the kernel reports
 * -EAGAIN instead of waiting by itself. A shared listener is not, and is polled: a poll is a place
 * in its line (backend_socket.h). Of accepts in several rings the kernel would serve the first one
 * always, and one that is cancelled may have a client already. A poll that was cancelled says so
 * even if it had been woken, so whatever it says a turn follows.
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
    SUBMISSION_COUNT = 1024, /* 64 bytes each; where more are due it takes another call */
    COMPLETION_COUNT = 8192,
    BUSY_COUNT = 32, /* completions that make the next wait a busy one, and that it waits for */
    BUSY_WAIT_NS = 20000, /* but no longer than this */
};

/* The private header cannot know the size of a ring. */
struct whole {
    struct backend backend; /* first: what free() gets */
    struct io_uring ring;
};

/* Completions that were made and not read yet. */
static bool has_unread(const struct backend *backend)
{
    return io_uring_cq_ready(backend->ring) > 0 || io_uring_cq_has_overflow(backend->ring);
}

/* The one system call. When busy it waits a moment for several completions instead of for one. */
static void enter_kernel(struct backend *backend, uint64_t timeout_ns)
{
    int result = 0;
    if (timeout_ns == 0 || has_unread(backend)) {
        result = io_uring_submit_and_get_events(backend->ring);
    } else if (timeout_ns == UINT64_MAX && backend->last_count < BUSY_COUNT) {
        result = io_uring_submit_and_wait(backend->ring, 1);
    } else {
        const bool is_busy = backend->last_count >= BUSY_COUNT;
        if (is_busy && timeout_ns > BUSY_WAIT_NS) {
            timeout_ns = BUSY_WAIT_NS;
        }
        struct __kernel_timespec timeout = {.tv_sec = (long long)(timeout_ns / MONOTIME_NS_PER_S),
                                            .tv_nsec = (long long)(timeout_ns % MONOTIME_NS_PER_S)};
        struct io_uring_cqe *cqe = NULL;
        result = io_uring_submit_and_wait_timeout(backend->ring, &cqe, is_busy ? BUSY_COUNT : 1,
                                                  &timeout, NULL);
    }
    CHECK(result >= 0 || result == -ETIME || result == -EINTR || result == -EAGAIN ||
          result == -EBUSY);
    backend_uring_submit_all(backend); /* normally there is nothing left to do */
}

static size_t uring_wait(struct backend *backend, uint64_t timeout_ns,
                         struct backend_completion *completions, size_t max)
{
    backend->accepted = 0;
    backend_uring_join(backend);
    size_t count = backend_uring_note_again(backend, completions, max);
    count += backend_uring_note_quiet(backend, &completions[count], max - count);
    const uint64_t rest_ns = backend_uring_rest(backend);
    timeout_ns = rest_ns < timeout_ns ? rest_ns : timeout_ns;
    enter_kernel(backend, count > 0 ? 0 : timeout_ns);

    struct io_uring_cqe *cqe = NULL;
    unsigned head = 0;
    unsigned seen = 0;
    io_uring_for_each_cqe(backend->ring, head, cqe)
    {
        if (count == max) {
            break;
        }
        count += backend_uring_note(backend, cqe, &completions[count], max - count);
        seen++;
    }
    io_uring_cq_advance(backend->ring, seen);
    backend->last_count = seen;
    if (!has_unread(backend)) {
        backend->quiet_known = backend->quiet_end; /* all the others failed, and said so */
    }
    return count + backend_uring_note_quiet(backend, &completions[count], max - count);
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
    backend->now_ns = monotime_read();
    return backend->now_ns;
}

/* --- Listeners ----------------------------------------------------------------------------- */

/* The kernel then waits by itself, instead of saying -EAGAIN. */
static int make_blocking(int fd)
{
    const int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0 ? -errno : 0;
}

static int uring_listen(struct backend *backend, uint32_t listener,
                        const struct backend_listening *listening)
{
    CHECK(listener < BACKEND_LISTENER_MAX);
    CHECK(backend->listeners[listener].fd < 0);
    const int result = listening->is_shared ? 0 : make_blocking(listening->fd);
    if (result != 0) {
        return result;
    }
    backend->listeners[listener] = (struct backend_socket_listener){
        .fd = listening->fd, .kept = listening->kept, .shared = listening->is_shared};
    return 0;
}

static void uring_accept(struct backend *backend, uint32_t listener, bool on)
{
    CHECK(listener < BACKEND_LISTENER_MAX);
    struct backend_socket_listener *found = &backend->listeners[listener];
    if (found->fd < 0 || found->on == on) {
        return;
    }
    found->on = on;
    if (on && found->shared) {
        backend->is_to_join = true;
    } else if (on && !found->armed) {
        backend_uring_submit_accept(backend, listener);
    } else if (!on && found->armed) {
        backend_uring_submit_cancel(backend,
                                    backend_uring_tag(BACKEND_URING_REQUEST_ACCEPT, listener, 0));
    }
}

static void uring_unlisten(struct backend *backend, uint32_t listener)
{
    CHECK(listener < BACKEND_LISTENER_MAX);
    struct backend_socket_listener *found = &backend->listeners[listener];
    CHECK(found->fd >= 0);
    if (found->armed && backend->entered) {
        backend_uring_submit_cancel(backend,
                                    backend_uring_tag(BACKEND_URING_REQUEST_ACCEPT, listener, 0));
        backend_uring_submit_all(
            backend); /* before the number of the descriptor means something else */
    }
    (void)close(found->fd);
    found->fd = -1;
    found->on = false;
}

static void uring_refuse(struct backend *backend, int fd)
{
    (void)backend;
    backend_socket_close(fd, true);
}

/* --- Connections --------------------------------------------------------------------------- */

static int uring_adopt(struct backend *backend, int fd)
{
    (void)backend;
    return make_blocking(fd);
}

static int uring_attach(struct backend *backend, struct backend_conn *conn)
{
    conn->flags = 0;
    conn->in_flight = 0;
    conn->quiet = false;
    conn->slow = false;
    conn->recent = true;
    backend_uring_submit_receive(backend, conn);
    return 0;
}

/* The reactor is done with what the last take() showed. */
static void take_home(struct backend *backend)
{
    while (backend->lent_count > 0) {
        backend_uring_ring_give(&backend->buffers, backend->lent++);
        backend->lent_count--;
    }
}

/*
 * They left the kernel already, whatever `max` is. Buffers that lie side by side are one piece, and
 * nearly all do: they are given back in the order in which they were filled.
 */
static ssize_t uring_take(struct backend *backend, struct backend_conn *conn,
                          struct backend_completion *completion, size_t max, struct span *bytes)
{
    struct backend_uring_buffers *buffers = &backend->buffers;
    (void)conn;
    (void)max;
    const int32_t result = completion->result;
    if (result <= 0) {
        completion->result = -EAGAIN;
        return result;
    }
    CHECK(completion->buffer < buffers->count);
    uint16_t last = completion->buffer;
    int32_t size = (int32_t)buffers->size;
    while (size < result && buffers->follower[last] == last + 1) {
        size += (int32_t)buffers->size;
        last++;
    }
    const bool is_all = size >= result;
    size = is_all ? result : size;

    take_home(backend);
    backend->lent = completion->buffer;
    backend->lent_count = (uint16_t)(last - backend->lent + 1);
    bytes->data = buffers->memory + (size_t)backend->lent * buffers->size;
    bytes->size = (size_t)size;
    completion->result = is_all ? -EAGAIN : result - size;
    completion->buffer = is_all ? BACKEND_URING_BUFFER_NONE : buffers->follower[last];
    return size;
}

static void uring_give_back(struct backend *backend, struct backend_conn *conn,
                            struct backend_completion *completion)
{
    (void)conn;
    take_home(backend);
    if (completion->buffer != BACKEND_URING_BUFFER_NONE) {
        backend_uring_ring_give_all(&backend->buffers, completion->buffer,
                                    completion->result > 0 ? (size_t)completion->result : 0);
        completion->buffer = BACKEND_URING_BUFFER_NONE;
    }
}

static void uring_receive(struct backend *backend, struct backend_conn *conn, bool on)
{
    if (on) {
        conn->flags &= (uint8_t)~BACKEND_URING_PAUSED;
        conn->recent = true;
        if ((conn->flags & (BACKEND_URING_ARMED | BACKEND_URING_ENDED)) == 0) {
            backend_uring_submit_again(backend, conn);
        }
        return;
    }
    conn->flags |= BACKEND_URING_PAUSED;
    if ((conn->flags & BACKEND_URING_ARMED) != 0 && (conn->flags & BACKEND_URING_CANCELLED) == 0) {
        conn->flags |= BACKEND_URING_CANCELLED;
        backend_uring_submit_cancel(backend,
                                    backend_uring_tag_conn(BACKEND_URING_REQUEST_RECEIVE, conn));
    }
}

static ssize_t uring_send(struct backend *backend, struct backend_conn *conn,
                          const struct iovec *pieces, size_t count)
{
    CHECK(count > 0 && count <= BACKEND_IOVEC_MAX);
    CHECK((conn->flags & (BACKEND_URING_SENDING | BACKEND_URING_DROPPED)) == 0);
    backend_uring_submit_send(backend, conn, pieces, count);
    return -EINPROGRESS;
}

static int uring_shutdown(struct backend *backend, struct backend_conn *conn)
{
    (void)backend;
    return backend_socket_shutdown(conn->fd);
}

static void uring_drop(struct backend *backend, struct backend_conn *conn, bool reset)
{
    CHECK((conn->flags & BACKEND_URING_DROPPED) == 0);
    conn->flags |= BACKEND_URING_DROPPED;
    if (reset) {
        const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        /* Where it fails the peer sees a FIN: less clear, as final. */
        (void)setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    }
    if (conn->in_flight == 0) {
        backend_uring_submit_again(backend, conn);
        return;
    }
    /* Each by its name. By its descriptor the kernel looks at every request that the ring has. */
    if ((conn->flags & BACKEND_URING_ARMED) != 0) {
        backend_uring_submit_cancel(backend,
                                    backend_uring_tag_conn(BACKEND_URING_REQUEST_RECEIVE, conn));
    }
    if ((conn->flags & BACKEND_URING_SENDING) != 0 && !conn->quiet) {
        backend_uring_submit_cancel(backend,
                                    backend_uring_tag_conn(BACKEND_URING_REQUEST_SEND, conn));
    }
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
    struct whole *whole = calloc(1, sizeof(*whole));
    if (whole == NULL) {
        return -ENOMEM;
    }
    struct backend *created = &whole->backend;
    created->ring = &whole->ring;
    const struct backend_uring_options ring = {
        .submission_count = SUBMISSION_COUNT,
        .completion_count = COMPLETION_COUNT,
        .buffer_count = options->receive_buffer_count,
        .buffer_size = options->receive_buffer_size,
    };
    const char *what = NULL;
    int result = 0;
    created->conns = options->conns;
    created->conn_count_max = options->conn_count_max;
    created->rest_ns = options->rest_ns;
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
    result = backend_uring_ring_open(&ring, created->ring, &created->buffers, &what);
    if (result != 0) {
        goto close_wake;
    }
    created->can_be_quiet = backend_uring_probe_quiet();
    created->can_bundle = backend_uring_probe_bundle();
    backend_uring_submit_wake(created);
    backend_socket_reserve(&created->reserve_fd);
    *backend = created;
    return 0;

close_wake:
    (void)close(created->wake_fd);
free_created:
    free(whole);
    return result;
}

static void uring_destroy(struct backend *backend)
{
    backend_uring_ring_close(backend->ring, &backend->buffers);
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
    CHECK(backend_uring_ring_enable(backend->ring) == 0);
    /* Saves a look-up in each call; without it everything works all the same. */
    (void)io_uring_register_ring_fd(backend->ring);
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
    .adopt = uring_adopt,
    .attach = uring_attach,
    .take = uring_take,
    .give_back = uring_give_back,
    .receive = uring_receive,
    .send = uring_send,
    .shutdown = uring_shutdown,
    .drop = uring_drop,
    .peer = uring_peer,
};
