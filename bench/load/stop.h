/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_STOP_H
#define BENCH_LOAD_STOP_H
/*
 * SIGTERM and SIGINT: the first one asks for the end, and what there is until then is reported. The
 * second one ends the process as it is.
 *
 * Threads   the main thread; opened before any other begins, so that signals are blocked in all.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

struct stop {
    int fd;     /* readable: a signal has come */
    int signal; /* the first one, as stop_wait_until() has found it; 0: none */
};

/* 0 or -errno. */
NODISCARD int stop_open(struct stop *stop);
void stop_close(struct stop *stop);

/* Sleeps until then (core/monotime) or until a signal comes. True: one has, now or before. */
bool stop_wait_until(struct stop *stop, uint64_t time_ns);

#endif /* BENCH_LOAD_STOP_H */
