/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_BACKEND_SIM_H
#define TESTS_SIM_BACKEND_SIM_H
/*
 * The third back end: a reactor's kernel made of sim_net.h, with its clock.
 *
 * Chance decides what the two real ones decide by nature: whether a send is done at once (epoll)
 * or later (io_uring, which reads the bytes later, too), how much of it, in how many pieces bytes
 * come in, in which order completions come, whether one more comes after a drop, and when a drop
 * is over. What take() lends is an exact-size heap copy, so that AddressSanitizer sees.
 *
 * Sleeping  wait() calls `sleep` of the seat, always, once: the simulation goes on there with
 *           something else, and comes back when the reactor would wake up, or at any time.
 * Threads   one, for all reactors.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "net/backend.h"

struct sim_net;

/* Where a reactor sits in the world: what reactor_options.backend_context points to. */
struct backend_sim_seat {
    struct sim_net *net;
    void (*sleep)(struct backend_sim_seat *seat);
    void *context;           /* the simulation's */
    struct backend *backend; /* written by create() */

    /* Of the wait() under way; for `sleep` and for who decides when it ends. */
    uint64_t sleep_until_ns; /* UINT64_MAX: without limit; at most now: need not sleep */
    bool is_woken;           /* wake() was called */
};

extern const struct backend_ops backend_sim_ops;

/* Would the wait() under way come back by itself now? */
NODISCARD bool backend_sim_is_awake(const struct backend_sim_seat *seat);

#endif /* TESTS_SIM_BACKEND_SIM_H */
