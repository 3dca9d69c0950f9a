/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_BACKEND_SOCKET_H
#define NET_BACKEND_SOCKET_H
/*
 * What the io_uring and the epoll back end do alike, with plain system calls on descriptors.
 * Private to net/backend_*.c.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

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

#endif /* NET_BACKEND_SOCKET_H */
