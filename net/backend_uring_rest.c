/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that rest. An armed receive costs the kernel some 600 bytes more than an armed poll,
 * and most connections of a chat are silent most of the time. So a hand goes round over all slots,
 * once in each rest_ns: it marks whom it sees, whoever speaks is unmarked, and whom it finds marked
 * gets a poll in place of the receive. The poll's end arms the receive again, so the first message
 * after a rest costs one more turn through the kernel.
 */
#include "core/slab.h"
#include "net/backend_uring_private.h"

enum { VISITS_PER_WAIT = 256 };

static void visit(struct backend *backend, struct backend_conn *conn)
{
    const uint8_t not_now = BACKEND_URING_PAUSED | BACKEND_URING_DROPPED | BACKEND_URING_POLLING |
                            BACKEND_URING_CANCELLED;

    if ((conn->flags & BACKEND_URING_ARMED) == 0 || (conn->flags & not_now) != 0) {
        return;
    }
    if (conn->recent) {
        conn->recent = false;
        return;
    }
    conn->flags |= BACKEND_URING_CANCELLED;
    backend_uring_submit_cancel(backend,
                                backend_uring_tag_conn(BACKEND_URING_REQUEST_RECEIVE, conn));
}

uint64_t backend_uring_rest(struct backend *backend)
{
    if (backend->rest_ns == 0 || backend->receiving == 0) {
        return UINT64_MAX;
    }
    if (backend->hand_left == 0 && backend->now_ns >= backend->round_ns) {
        backend->hand_left = slab_slot_end(backend->conns);
        backend->round_ns = backend->now_ns + backend->rest_ns;
    }
    for (int i = 0; i < VISITS_PER_WAIT && backend->hand_left > 0; i++) {
        struct backend_conn *conn = slab_at(backend->conns, --backend->hand_left);
        if (conn != NULL) {
            visit(backend, conn);
        }
    }
    return backend->hand_left > 0 ? 0 : backend->round_ns - backend->now_ns;
}
