/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_BACKEND_SOCKET_H
#define NET_BACKEND_SOCKET_H
/*
 * What the io_uring and the epoll back end do alike, with plain system calls on descriptors.
 * Private to net/backend_*.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "net/backend.h"

struct address;

/* Closes; with a reset: the peer sees RST, and what was not sent is dropped. */
void backend_socket_close(int fd, bool reset);

/* 0 or -errno. */
NODISCARD int backend_socket_shutdown(int fd);
NODISCARD int backend_socket_peer(int fd, struct address *address);

/* Whether errors of accept() mean that descriptors ran out. */
NODISCARD bool backend_socket_is_exhausted(int result);

/*
 * One descriptor in reserve, so that clients can be turned away when none is left: a connection
 * that cannot be accepted would otherwise stay readable for ever.
 */
void backend_socket_reserve(int *reserve);

/* Gives the reserve up, accepts and resets up to `max` clients, and takes it back. How many. */
uint32_t backend_socket_shed(int *reserve, int listener, uint32_t max);

enum {
    BACKEND_SOCKET_SHED_MAX = 64, /* at a time */
    /* Of a shared listener, at a time. A crowd is divided in parts that are no larger. */
    BACKEND_SOCKET_SHARE_MAX = 4,
};

/*
 * The reactors that share a listener stand in a line for its clients: the kernel wakes the first,
 * which leaves the line, takes its turn, and joins at the end in its next wait(). For that client
 * nobody else is woken. So whoever was, or may have been, takes one at least, if there is one:
 * else it would stay in the backlog until another one came.
 */
struct backend_socket_listener {
    int fd;        /* -1: none */
    uint32_t kept; /* places that it leaves to others */
    bool on;
    bool shared;
    bool armed; /* the kernel watches it; a shared one: it stands in the line */
};

/* How many clients a listener may take now; `places` is how many connections may be added. */
size_t backend_socket_room(const struct backend_socket_listener listeners[BACKEND_LISTENER_MAX],
                           uint32_t index, size_t places);

struct backend_socket_accept {
    int fd;            /* non-blocking */
    uint32_t listener; /* whose it is */
    int flags;         /* of accept4() */
    size_t max;        /* of completions */
    int *reserve;
};

/* Accepts what waits: ACCEPTED completions, at the end an ACCEPT_FAILED perhaps. How many. */
size_t backend_socket_accept(const struct backend_socket_accept *accept,
                             struct backend_completion *completions);

#endif /* NET_BACKEND_SOCKET_H */
