/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor on epoll: edge-triggered, one recv and one send for what has come from a connection.
 */
#include "bench/load/floor.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/check.h"

enum {
    EVENT_COUNT = 256,
    RECEIVE_SIZE = 256 * 1024, /* bytes */
    BATCH_SIZE_MIN = 4096,
};

struct floor_conn {
    int fd;
    uint32_t index;   /* in floor.conns */
    bool is_full;     /* the kernel takes no more until EPOLLOUT */
    bool is_answered; /* FLOOR_CONNECT: it has had its reply */
    uint8_t *left;    /* what it did not take; NULL: nothing */
    size_t left_begin;
    size_t left_end;
    size_t left_capacity;
};

struct floor_epoll {
    const struct floor_options *options;
    int epoll_fd;
    struct floor_conn **conns;
    uint32_t conn_count;
    uint32_t conn_capacity;
    uint8_t *batch; /* fan-out: what has come in this iteration */
    size_t batch_size;
    size_t batch_capacity;
    uint8_t received[RECEIVE_SIZE];
};

static void close_conn(struct floor_epoll *floor, struct floor_conn *conn)
{
    CHECK(floor->conns != NULL && floor->conn_count > 0);
    struct floor_conn *last = floor->conns[--floor->conn_count];

    floor->conns[conn->index] = last;
    last->index = conn->index;
    (void)close(conn->fd);
    free(conn->left);
    free(conn);
}

/* Room for `size` more bytes behind `used`. */
static bool grow(uint8_t **data, size_t *capacity, size_t used, size_t size)
{
    if (*capacity - used >= size) {
        return true;
    }
    size_t wanted = 2 * (used + size);
    wanted = wanted < BATCH_SIZE_MIN ? BATCH_SIZE_MIN : wanted;
    uint8_t *grown = realloc(*data, wanted);
    if (grown == NULL) {
        return false;
    }
    *data = grown;
    *capacity = wanted;
    return true;
}

/* False: it is to be closed. */
static bool keep(struct floor_conn *conn, const uint8_t *data, size_t size)
{
    if (conn->left_end - conn->left_begin + size > FLOOR_QUEUE_MAX ||
        !grow(&conn->left, &conn->left_capacity, conn->left_end, size)) {
        return false;
    }
    memcpy(conn->left + conn->left_end, data, size);
    conn->left_end += size;
    return true;
}

/* What the kernel took at once; negative: it is to be closed. */
static ssize_t send_some(struct floor_conn *conn, const uint8_t *data, size_t size)
{
    const ssize_t sent = send(conn->fd, data, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        return -1;
    }
    conn->is_full = sent < (ssize_t)size;
    return sent < 0 ? 0 : sent;
}

static bool send_all(struct floor_conn *conn, const uint8_t *data, size_t size)
{
    ssize_t sent = 0;
    if (conn->left_end == conn->left_begin) {
        sent = send_some(conn, data, size);
    }
    return sent >= 0 && ((size_t)sent == size || keep(conn, data + sent, size - (size_t)sent));
}

static bool send_left(struct floor_conn *conn)
{
    conn->is_full = false;
    while (conn->left_begin < conn->left_end && !conn->is_full) {
        const ssize_t sent =
            send_some(conn, conn->left + conn->left_begin, conn->left_end - conn->left_begin);
        if (sent < 0) {
            return false;
        }
        conn->left_begin += (size_t)sent;
    }
    if (conn->left_begin == conn->left_end) {
        conn->left_begin = 0;
        conn->left_end = 0;
    }
    return true;
}

/* `size` bytes are in `floor->received`. False: it is to be closed. */
static bool take_bytes(struct floor_epoll *floor, struct floor_conn *conn, size_t size)
{
    switch (floor->options->kind) {
    case FLOOR_ECHO:
        return send_all(conn, floor->received, size);
    case FLOOR_FANOUT:
        if (!grow(&floor->batch, &floor->batch_capacity, floor->batch_size, size)) {
            return false;
        }
        memcpy(floor->batch + floor->batch_size, floor->received, size);
        floor->batch_size += size;
        return true;
    case FLOOR_CONNECT:
        if (conn->is_answered) {
            return true;
        }
        conn->is_answered = true;
        return send_all(conn, (const uint8_t *)FLOOR_REPLY, FLOOR_REPLY_SIZE);
    }
    NEVER("a kind of floor that there is not");
}

/* Reads until a short read says that there is no more. False: it is to be closed. */
static bool receive(struct floor_epoll *floor, struct floor_conn *conn)
{
    for (;;) {
        const ssize_t size = recv(conn->fd, floor->received, RECEIVE_SIZE, 0);
        if (size <= 0) {
            return size < 0 && (errno == EAGAIN || errno == EINTR);
        }
        if (!take_bytes(floor, conn, (size_t)size)) {
            return false;
        }
        if ((size_t)size < RECEIVE_SIZE) {
            return true;
        }
    }
}

static void send_batch(struct floor_epoll *floor)
{
    for (uint32_t i = floor->conn_count; i-- > 0;) { /* closing moves the last one */
        if (!send_all(floor->conns[i], floor->batch, floor->batch_size)) {
            close_conn(floor, floor->conns[i]);
        }
    }
    floor->batch_size = 0;
}

static bool add_conn(struct floor_epoll *floor, int fd)
{
    struct floor_conn *conn = calloc(1, sizeof(*conn));
    if (conn == NULL) {
        return false;
    }
    *conn = (struct floor_conn){.fd = fd, .index = floor->conn_count};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                .data.ptr = conn};
    if (floor->conn_count == floor->conn_capacity) {
        const uint32_t capacity = 2 * floor->conn_capacity + 64;
        struct floor_conn **grown = realloc(floor->conns, capacity * sizeof(struct floor_conn *));
        if (grown == NULL) {
            free(conn);
            return false;
        }
        floor->conns = grown;
        floor->conn_capacity = capacity;
    }
    if (epoll_ctl(floor->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(conn);
        return false;
    }
    floor->conns[floor->conn_count++] = conn;
    return true;
}

static void accept_all(struct floor_epoll *floor)
{
    for (;;) {
        const int fd =
            accept4(floor->options->listener_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            return;
        }
        if (floor->conn_count == floor->options->conn_count_max || !add_conn(floor, fd)) {
            (void)close(fd);
        }
    }
}

static void serve(struct floor_epoll *floor, const struct epoll_event *event)
{
    struct floor_conn *conn = event->data.ptr;

    /* After a reset nothing can be read or sent: what a recv would say is known. */
    if ((event->events & EPOLLERR) != 0 ||
        ((event->events & EPOLLOUT) != 0 && conn->is_full && !send_left(conn))) {
        close_conn(floor, conn);
        return;
    }
    if ((event->events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) != 0 && !receive(floor, conn)) {
        close_conn(floor, conn);
    }
}

static void loop(struct floor_epoll *floor)
{
    struct epoll_event events[EVENT_COUNT];

    for (;;) {
        const int count = epoll_wait(floor->epoll_fd, events, EVENT_COUNT, -1);
        bool accepts = false;
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == &floor->options->stop_fd) {
                return;
            }
            if (events[i].data.ptr == floor) {
                accepts = true;
            } else {
                serve(floor, &events[i]);
            }
        }
        if (floor->batch_size > 0) {
            send_batch(floor);
        }
        if (accepts) {
            accept_all(floor);
        }
    }
}

/* Listener and stop are told from connections by where they point. */
static int begin(struct floor_epoll *floor)
{
    union {
        const int *read;
        void *pointer;
    } stop = {.read = &floor->options->stop_fd};
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = floor};
    struct epoll_event stopping = {.events = EPOLLIN, .data.ptr = stop.pointer};

    floor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (floor->epoll_fd < 0 ||
        epoll_ctl(floor->epoll_fd, EPOLL_CTL_ADD, floor->options->listener_fd, &listening) != 0 ||
        epoll_ctl(floor->epoll_fd, EPOLL_CTL_ADD, floor->options->stop_fd, &stopping) != 0) {
        return -errno;
    }
    return 0;
}

int floor_run_epoll(const struct floor_options *options)
{
    struct floor_epoll *floor = calloc(1, sizeof(*floor));
    if (floor == NULL) {
        return -ENOMEM;
    }
    floor->options = options;
    const int result = begin(floor);
    if (result == 0) {
        loop(floor);
    }
    while (floor->conn_count > 0) {
        close_conn(floor, floor->conns[floor->conn_count - 1]);
    }
    if (floor->epoll_fd >= 0) {
        (void)close(floor->epoll_fd);
    }
    free(floor->conns);
    free(floor->batch);
    free(floor);
    return result;
}
