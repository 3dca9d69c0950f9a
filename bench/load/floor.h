/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_FLOOR_H
#define BENCH_LOAD_FLOOR_H
/*
 * The floor: the least that any server can cost. Raw TCP, one thread, straight on epoll or
 * io_uring, none of our layers between; what a WebSocket server costs above it is its own.
 *
 *   echo      what a connection sends comes back to it
 *   fan-out   what a connection sends goes to all of them, it too, in one send for each and
 *             iteration
 *   connect   the first bytes of a connection are answered with FLOOR_REPLY, all others ignored:
 *             accept, read, write and close, which nobody who shakes hands can do without
 *
 * It stops at SIGTERM or SIGINT. A connection that does not take what it is sent has at most
 * FLOOR_QUEUE_MAX bytes waiting, then it is closed.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

/* As long as the head of an answer 101 with nothing in it that need not be. */
#define FLOOR_REPLY                                                                                \
    "HTTP/1.1 101 Switching Protocols\r\n"                                                         \
    "Upgrade: websocket\r\n"                                                                       \
    "Connection: Upgrade\r\n"                                                                      \
    "Sec-WebSocket-Accept: this+is+only+the+floor+0000=\r\n"                                       \
    "\r\n"

enum {
    FLOOR_QUEUE_MAX = 64 * 1024 * 1024,         /* bytes */
    FLOOR_REPLY_SIZE = sizeof(FLOOR_REPLY) - 1, /* bytes */
};

enum floor_kind { FLOOR_ECHO, FLOOR_FANOUT, FLOOR_CONNECT };

struct floor_options {
    int listener_fd; /* non-blocking; stays the caller's */
    int stop_fd;     /* readable: stop (a signalfd or an eventfd) */
    enum floor_kind kind;
    uint32_t conn_count_max;
};

/* 0 when it was stopped, or -errno when it could not begin. */
NODISCARD int floor_run_epoll(const struct floor_options *options);
NODISCARD int floor_run_uring(const struct floor_options *options);

#endif /* BENCH_LOAD_FLOOR_H */
