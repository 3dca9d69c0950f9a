/* SPDX-License-Identifier: Apache-2.0 */
#include "net/backend.h"

#include <stdio.h>

#include "core/check.h"

int backend_choose(enum backend_kind kind, const struct backend_ops **ops,
                   char reason[BACKEND_REASON_SIZE])
{
    CHECK(ops != NULL);
    char why[BACKEND_REASON_SIZE] = "";

    if (kind == BACKEND_EPOLL) {
        (void)snprintf(reason, BACKEND_REASON_SIZE, "epoll, as configured");
        *ops = &backend_epoll_ops;
        return 0;
    }
    const int result = backend_uring_probe(why);
    if (result == 0) {
        (void)snprintf(reason, BACKEND_REASON_SIZE, "uring, which works here");
        *ops = &backend_uring_ops;
        return 0;
    }
    if (kind == BACKEND_URING) {
        (void)snprintf(reason, BACKEND_REASON_SIZE, "uring does not work: %.120s", why);
        return result;
    }
    (void)snprintf(reason, BACKEND_REASON_SIZE, "epoll, as uring does not work: %.110s", why);
    *ops = &backend_epoll_ops;
    return 0;
}

const char *backend_name(const struct backend_ops *ops)
{
    return ops->name;
}
