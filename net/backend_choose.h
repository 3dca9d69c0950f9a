/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_BACKEND_CHOOSE_H
#define NET_BACKEND_CHOOSE_H
/*
 * Which of the two kernel interfaces a reactor uses. What works is found out by trying it: ring
 * set-up, buffer ring, multishot receive on a socket pair. Versions are not compared.
 *
 * Threads   start-up.
 */
#include <stddef.h>

#include "core/annot.h"

struct backend_ops; /* net/backend.h, private to net */

enum backend_kind {
    BACKEND_AUTO, /* io_uring where it works, else epoll */
    BACKEND_URING,
    BACKEND_EPOLL,
};

enum {
    BACKEND_REASON_SIZE = 160, /* bytes of the longest reason, its NUL included */
};

/*
 * 0 and `ops`, or -errno when io_uring was forced and does not work. `reason` says for one log line
 * what was taken and why not the other.
 */
NODISCARD int backend_choose(enum backend_kind kind, const struct backend_ops **ops,
                             char reason[BACKEND_REASON_SIZE]);

/* "uring", "epoll", "simulated". */
NODISCARD const char *backend_name(const struct backend_ops *ops);

#endif /* NET_BACKEND_CHOOSE_H */
