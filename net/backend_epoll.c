/* SPDX-License-Identifier: Apache-2.0 */
/*
 * epoll, edge-triggered: each connection is registered once, for everything, and never again. What
 * the edges said is remembered in flags, so that reading and writing can stop and go on at will.
 *
 * A connection that is readable but was not read to the end (budget, pause) gets no new edge: it
 * goes to the `again` list, which the next wait() turns into completions before it asks the kernel.
 * Listeners are level-triggered: what was not accepted comes again. A shared one is registered
 * (EPOLLEXCLUSIVE) while this reactor stands in its line (backend_socket.h): who stayed there after
 * its turn would get them all. An event that is not read yet is lost with its registration, so who
 * leaves the line for want of room, or after an error, has a last turn.
 */
#include "net/backend.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/check.h"
#include "core/monotime.h"
#include "core/slab.h"
#include "net/backend_socket.h"

enum {
    EVENTS_PER_WAIT = 256, /* each becomes two completions at most */
    ACCEPTS_PER_EVENT = 64,
    RECEIVE_BUFFER_SIZE = 64 * 1024, /* bytes */
};

_Static_assert(BACKEND_COMPLETION_MAX >= 2 * EVENTS_PER_WAIT, "an event finds room");

/* backend_conn.flags */
enum {
    FLAG_READABLE = 1, /* recv() did not yet say that there is no more */
    FLAG_PAUSED = 2,   /* the reactor does not want bytes */
    FLAG_LISTED = 4,   /* in the again list */
    FLAG_DROPPED = 8,  /* closed; BACKEND_CLOSED is due */
    FLAG_FULL = 16,    /* the last send was short: no room until EPOLLOUT */
    FLAG_WAITS = 32,   /* the reactor waits for room */
    FLAG_HANGING = 64, /* FIN or reset is on its way: read until it comes out */
};

enum token_kind { TOKEN_CONN, TOKEN_LISTENER, TOKEN_WAKE };

struct backend {
    struct slab *conns;
    uint32_t conn_count_max;
    int epoll_fd;
    int wake_fd;
    int reserve_fd;       /* see backend_socket_reserve(); -1: none */
    bool is_coarse;       /* the kernel has no epoll_pwait2 */
    bool is_to_move;      /* into the line of a shared listener, or out of it */
    uint32_t accepted;    /* by this wait: not yet in `conns` */
    uint32_t again_first; /* slots; UINT32_MAX: empty */
    uint32_t again_last;
    struct backend_socket_listener listeners[BACKEND_LISTENER_MAX];
    struct epoll_event events[EVENTS_PER_WAIT];
    uint8_t receive_buffer[RECEIVE_BUFFER_SIZE];
};

/* What the kernel gives back with an event. */
static uint64_t token(enum token_kind kind, uint32_t slot, uint16_t generation)
{
    return (uint64_t)kind << 48 | (uint64_t)generation << 32 | slot;
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

/* --- Waiting ------------------------------------------------------------------------------- */

static struct backend_completion completion_of(const struct backend_conn *conn,
                                               enum backend_event event)
{
    return (struct backend_completion){
        .event = event, .slot = conn->slot, .generation = conn->generation};
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
            completions[count++] = completion_of(conn, BACKEND_CLOSED);
        } else if ((conn->flags & FLAG_READABLE) != 0 && (conn->flags & FLAG_PAUSED) == 0) {
            completions[count++] = completion_of(conn, BACKEND_RECEIVED);
        }
    }
    return count;
}

static size_t note_conn_event(struct backend *backend, const struct epoll_event *event,
                              struct backend_completion *completions)
{
    const uint32_t slot = (uint32_t)event->data.u64;
    const uint16_t generation = (uint16_t)(event->data.u64 >> 32);
    struct backend_conn *conn = slab_find(backend->conns, slot, generation);
    size_t count = 0;

    if (conn == NULL || (conn->flags & FLAG_DROPPED) != 0) {
        return 0;
    }
    if ((event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        conn->flags |= FLAG_HANGING;
    }
    if ((event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
        conn->flags |= FLAG_READABLE;
        if ((conn->flags & (FLAG_PAUSED | FLAG_LISTED)) == 0) {
            completions[count++] = completion_of(conn, BACKEND_RECEIVED);
        }
    }
    if ((event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
        const bool waits = (conn->flags & FLAG_WAITS) != 0;
        conn->flags &= (uint8_t) ~(FLAG_FULL | FLAG_WAITS);
        if (waits) {
            completions[count++] = completion_of(conn, BACKEND_SENT);
        }
    }
    return count;
}

/* Leaves the line of a shared listener, or forgets any. */
static void unwatch(struct backend *backend, struct backend_socket_listener *listener)
{
    if (listener->armed) {
        CHECK(epoll_ctl(backend->epoll_fd, EPOLL_CTL_DEL, listener->fd, NULL) == 0);
        listener->armed = false;
    }
}

/* Accepts what waits, but no more than there is room for. */
static size_t accept_clients(struct backend *backend, uint32_t index,
                             struct backend_completion *completions, size_t max)
{
    struct backend_socket_listener *listener = &backend->listeners[index];
    const size_t taken = (size_t)slab_count(backend->conns) + backend->accepted;
    const size_t limit = backend->conn_count_max;
    size_t most = backend_socket_room(backend->listeners, index, limit > taken ? limit - taken : 0);

    if (listener->shared) {
        unwatch(backend, listener);
        backend->is_to_move = true;
    }
    most = most < ACCEPTS_PER_EVENT ? most : ACCEPTS_PER_EVENT;
    const struct backend_socket_accept accept = {.fd = listener->fd,
                                                 .listener = index,
                                                 .flags = SOCK_NONBLOCK | SOCK_CLOEXEC,
                                                 .max = most < max ? most : max,
                                                 .reserve = &backend->reserve_fd};
    const size_t count = backend_socket_accept(&accept, completions);
    backend->accepted += (uint32_t)count;
    return count;
}

/* Takes the last place in the line of a shared listener. Completions: it could not. */
static size_t join_line(struct backend *backend, uint32_t index,
                        struct backend_completion *completion)
{
    struct backend_socket_listener *listener = &backend->listeners[index];
    struct epoll_event event = {.events = EPOLLIN | EPOLLEXCLUSIVE,
                                .data.u64 = token(TOKEN_LISTENER, index, 0)};
    if (epoll_ctl(backend->epoll_fd, EPOLL_CTL_ADD, listener->fd, &event) == 0) {
        listener->armed = true;
        return 0;
    }
    *completion = (struct backend_completion){
        .event = BACKEND_ACCEPT_FAILED, .slot = index, .result = -errno};
    return 1;
}

/* Of each shared listener that is on into its line, of others out of it: a completion each. */
static size_t move_in_lines(struct backend *backend, struct backend_completion *completions)
{
    size_t count = 0;

    for (uint32_t i = 0; i < BACKEND_LISTENER_MAX; i++) {
        const struct backend_socket_listener *listener = &backend->listeners[i];
        if (listener->fd < 0 || !listener->shared || listener->on == listener->armed) {
            continue;
        }
        count += listener->on ? join_line(backend, i, &completions[count])
                              : accept_clients(backend, i, &completions[count], 1);
    }
    backend->is_to_move = false;
    return count;
}

/* Rounded up: a timer must not be asked for before it is due. */
static int milliseconds(uint64_t timeout_ns)
{
    if (timeout_ns == UINT64_MAX) {
        return -1;
    }
    const uint64_t ms = timeout_ns / MONOTIME_NS_PER_MS + (timeout_ns % MONOTIME_NS_PER_MS != 0);
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

/* To the nanosecond from Linux 5.11 on, which a load generator wants; else to the millisecond. */
static int sleep_for_events(struct backend *backend, uint64_t timeout_ns, int max)
{
    if (!backend->is_coarse && timeout_ns > 0 && timeout_ns < UINT64_MAX) {
        const struct timespec timeout = {.tv_sec = (time_t)(timeout_ns / MONOTIME_NS_PER_S),
                                         .tv_nsec = (long)(timeout_ns % MONOTIME_NS_PER_S)};
        const int count = epoll_pwait2(backend->epoll_fd, backend->events, max, &timeout, NULL);
        if (count >= 0 || errno != ENOSYS) {
            return count;
        }
        backend->is_coarse = true;
    }
    return epoll_wait(backend->epoll_fd, backend->events, max, milliseconds(timeout_ns));
}

static size_t do_wait(struct backend *backend, uint64_t timeout_ns,
                      struct backend_completion *completions, size_t max)
{
    CHECK(max >= BACKEND_LISTENER_MAX);
    backend->accepted = 0;
    size_t count = backend->is_to_move ? move_in_lines(backend, completions) : 0;
    count += take_again(backend, completions + count, max - count);
    size_t event_max = (max - count) / 2;
    if (event_max == 0) {
        return count;
    }
    event_max = event_max < EVENTS_PER_WAIT ? event_max : EVENTS_PER_WAIT;
    const int events = sleep_for_events(backend, count > 0 ? 0 : timeout_ns, (int)event_max);
    if (events < 0) {
        CHECK(errno == EINTR);
        return count;
    }
    for (int i = 0; i < events; i++) {
        const struct epoll_event *event = &backend->events[i];
        const enum token_kind kind = (enum token_kind)(event->data.u64 >> 48);
        const size_t events_left = (size_t)(events - i) - 1;
        switch (kind) {
        case TOKEN_CONN:
            count += note_conn_event(backend, event, completions + count);
            break;
        case TOKEN_LISTENER:
            count += accept_clients(backend, (uint32_t)event->data.u64, completions + count,
                                    max - count - 2 * events_left);
            break;
        case TOKEN_WAKE: /* edge-triggered: nobody needs to read it */
            break;
        }
    }
    return count;
}

static void epoll_wake(struct backend *backend)
{
    const uint64_t one = 1;
    /* It fails only when the counter is at its end, and then it is signalled. */
    const ssize_t written = write(backend->wake_fd, &one, sizeof(one));
    (void)written;
}

static uint64_t epoll_now(struct backend *backend)
{
    (void)backend;
    return monotime_read();
}

/* --- Listeners ----------------------------------------------------------------------------- */

static int epoll_listen(struct backend *backend, uint32_t listener,
                        const struct backend_listening *listening)
{
    const bool shared = listening->is_shared;
    const int fd = listening->fd;
    CHECK(listener < BACKEND_LISTENER_MAX);
    CHECK(backend->listeners[listener].fd < 0);
    struct epoll_event event = {.events = 0, .data.u64 = token(TOKEN_LISTENER, listener, 0)};
    if (!shared && epoll_ctl(backend->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return -errno;
    }
    backend->listeners[listener] = (struct backend_socket_listener){
        .fd = fd, .kept = listening->kept, .shared = shared, .armed = !shared};
    return 0;
}

static void epoll_accept(struct backend *backend, uint32_t listener, bool on)
{
    CHECK(listener < BACKEND_LISTENER_MAX);
    struct backend_socket_listener *found = &backend->listeners[listener];
    if (found->fd < 0 || found->on == on) {
        return;
    }
    found->on = on;
    if (found->shared) {
        backend->is_to_move = true; /* in the next wait(); no EPOLL_CTL_MOD for what is exclusive */
        return;
    }
    struct epoll_event event = {.events = on ? EPOLLIN : 0,
                                .data.u64 = token(TOKEN_LISTENER, listener, 0)};
    CHECK(epoll_ctl(backend->epoll_fd, EPOLL_CTL_MOD, found->fd, &event) == 0);
}

static void epoll_unlisten(struct backend *backend, uint32_t listener)
{
    CHECK(listener < BACKEND_LISTENER_MAX);
    CHECK(backend->listeners[listener].fd >= 0);
    /* Others may have copies, with which it would be watched for ever. */
    unwatch(backend, &backend->listeners[listener]);
    (void)close(backend->listeners[listener].fd);
    backend->listeners[listener] = (struct backend_socket_listener){.fd = -1};
}

static void epoll_refuse(struct backend *backend, int fd)
{
    (void)backend;
    backend_socket_close(fd, true);
}

/* --- Connections --------------------------------------------------------------------------- */

static int epoll_adopt(struct backend *backend, int fd)
{
    (void)backend;
    (void)fd; /* non-blocking is what we want */
    return 0;
}

static int epoll_attach(struct backend *backend, struct backend_conn *conn)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.u64 = token(TOKEN_CONN, conn->slot, conn->generation)};
    conn->flags = 0;
    return epoll_ctl(backend->epoll_fd, EPOLL_CTL_ADD, conn->fd, &event) == 0 ? 0 : -errno;
}

static ssize_t epoll_take(struct backend *backend, struct backend_conn *conn,
                          struct backend_completion *completion, size_t max, struct span *bytes)
{
    (void)completion;
    if (max == 0 || (conn->flags & FLAG_READABLE) == 0 ||
        (conn->flags & (FLAG_PAUSED | FLAG_DROPPED)) != 0) {
        return -EAGAIN;
    }
    const size_t asked = max < RECEIVE_BUFFER_SIZE ? max : RECEIVE_BUFFER_SIZE;
    ssize_t size = recv(conn->fd, backend->receive_buffer, asked, 0);
    if (size < 0) {
        size = -errno;
    }
    if (size == -EINTR) {
        return -EAGAIN; /* still readable: give_back() lists it */
    }
    /* A short read empties the socket, and the next byte is a new edge; so is a FIN, unless its
     * edge came before. */
    if (size <= 0 || ((size_t)size < asked && (conn->flags & FLAG_HANGING) == 0)) {
        conn->flags &= (uint8_t)~FLAG_READABLE;
    }
    if (size > 0) {
        *bytes = (struct span){backend->receive_buffer, (size_t)size};
    }
    return size;
}

static void epoll_give_back(struct backend *backend, struct backend_conn *conn,
                            struct backend_completion *completion)
{
    (void)completion;
    if (conn == NULL || (conn->flags & FLAG_READABLE) == 0 ||
        (conn->flags & (FLAG_PAUSED | FLAG_DROPPED)) != 0) {
        return;
    }
    list_again(backend, conn);
}

static void epoll_receive(struct backend *backend, struct backend_conn *conn, bool on)
{
    if (!on) {
        conn->flags |= FLAG_PAUSED;
        return;
    }
    conn->flags &= (uint8_t)~FLAG_PAUSED;
    if ((conn->flags & FLAG_READABLE) != 0) {
        list_again(backend, conn);
    }
}

static ssize_t epoll_send(struct backend *backend, struct backend_conn *conn,
                          const struct iovec *pieces, size_t count)
{
    (void)backend;
    CHECK(count > 0 && count <= BACKEND_IOVEC_MAX);
    CHECK((conn->flags & FLAG_WAITS) == 0);
    if ((conn->flags & FLAG_FULL) != 0) {
        conn->flags |= FLAG_WAITS;
        return -EAGAIN;
    }
    union {
        const struct iovec *read;
        struct iovec *base;
    } vector = {.read = pieces};
    const struct msghdr message = {.msg_iov = vector.base, .msg_iovlen = count};
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += pieces[i].iov_len;
    }
    const ssize_t sent = count == 1 ? send(conn->fd, pieces->iov_base, size, MSG_NOSIGNAL)
                                    : sendmsg(conn->fd, &message, MSG_NOSIGNAL);
    if (sent < 0) {
        const int error = errno;
        if (error == EINTR) {
            return 0;
        }
        if (error == EAGAIN) {
            conn->flags |= FLAG_FULL | FLAG_WAITS;
        }
        return -error;
    }
    if ((size_t)sent < size) {
        conn->flags |= FLAG_FULL; /* the kernel owes an edge; asking again would be for nothing */
    }
    return sent;
}

static int epoll_shutdown(struct backend *backend, struct backend_conn *conn)
{
    (void)backend;
    return backend_socket_shutdown(conn->fd);
}

static void epoll_drop(struct backend *backend, struct backend_conn *conn, bool reset)
{
    CHECK((conn->flags & FLAG_DROPPED) == 0);
    /* The registration goes with the descriptor, of which nobody made a copy. */
    backend_socket_close(conn->fd, reset);
    conn->fd = -1;
    conn->flags |= FLAG_DROPPED;
    list_again(backend, conn);
}

static int epoll_peer(struct backend *backend, const struct backend_conn *conn,
                      struct address *address)
{
    (void)backend;
    return backend_socket_peer(conn->fd, address);
}

/* --- Life ---------------------------------------------------------------------------------- */

static void epoll_destroy(struct backend *backend)
{
    if (backend->epoll_fd >= 0) {
        (void)close(backend->epoll_fd);
    }
    if (backend->wake_fd >= 0) {
        (void)close(backend->wake_fd);
    }
    if (backend->reserve_fd >= 0) {
        (void)close(backend->reserve_fd);
    }
    free(backend);
}

static int do_create(const struct backend_options *options, struct backend **backend)
{
    CHECK(options->conns != NULL);
    struct backend *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->conns = options->conns;
    created->conn_count_max = options->conn_count_max;
    created->again_first = UINT32_MAX;
    created->reserve_fd = -1;
    for (size_t i = 0; i < BACKEND_LISTENER_MAX; i++) {
        created->listeners[i].fd = -1;
    }
    created->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    created->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.u64 = token(TOKEN_WAKE, 0, 0)};
    if (created->epoll_fd < 0 || created->wake_fd < 0 ||
        epoll_ctl(created->epoll_fd, EPOLL_CTL_ADD, created->wake_fd, &event) != 0) {
        const int result = -errno;
        epoll_destroy(created);
        return result;
    }
    backend_socket_reserve(&created->reserve_fd);
    *backend = created;
    return 0;
}

static void epoll_enter(struct backend *backend)
{
    (void)backend;
}

const struct backend_ops backend_epoll_ops = {
    .name = "epoll",
    .create = do_create,
    .destroy = epoll_destroy,
    .enter = epoll_enter,
    .now = epoll_now,
    .wait = do_wait,
    .wake = epoll_wake,
    .listen = epoll_listen,
    .accept = epoll_accept,
    .unlisten = epoll_unlisten,
    .refuse = epoll_refuse,
    .adopt = epoll_adopt,
    .attach = epoll_attach,
    .take = epoll_take,
    .give_back = epoll_give_back,
    .receive = epoll_receive,
    .send = epoll_send,
    .shutdown = epoll_shutdown,
    .drop = epoll_drop,
    .peer = epoll_peer,
};
