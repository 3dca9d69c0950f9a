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
 *
 * It stops at SIGTERM or SIGINT. A connection that does not take what it is sent has at most
 * FLOOR_QUEUE_MAX bytes waiting, then it is closed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

enum { FLOOR_QUEUE_MAX = 64 * 1024 * 1024 }; /* bytes */

struct floor_options {
    int listener_fd; /* non-blocking; stays the caller's */
    int stop_fd;     /* readable: stop (a signalfd or an eventfd) */
    bool fanout;
    uint32_t conn_count_max;
};

/* 0 when it was stopped, or -errno when it could not begin. */
NODISCARD int floor_run_epoll(const struct floor_options *options);
NODISCARD int floor_run_uring(const struct floor_options *options);

#endif /* BENCH_LOAD_FLOOR_H */
