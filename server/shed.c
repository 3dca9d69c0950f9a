/* SPDX-License-Identifier: Apache-2.0 */
#include "server/shed.h"

#include <errno.h>
#include <malloc.h>

#include "core/metrics.h"
#include "net/conn.h"
#include "net/reactor.h"
#include "server/gateway.h"
#include "server/memory.h"

enum { BYTES_MIN = 16 << 10 }; /* less is nobody's fault */

enum { STEPS = 64 }; /* in the budget */

void shed_init(struct shed *shed, const struct memory_limit *memory, uint64_t budget)
{
    *shed = (struct shed){.memory = memory, .budget = budget, .step = budget / STEPS};
}

bool shed_is_due(struct shed *shed, uint64_t moved)
{
    if (shed->memory == NULL || moved < shed->moved + shed->step) {
        shed->moved = moved < shed->moved ? moved : shed->moved;
        return false;
    }
    shed->moved = moved;
    if (memory_used(shed->memory) < shed->budget) {
        return false;
    }
    /* What has just gone is in use until the allocator gives it back. */
    (void)malloc_trim(0);
    return memory_used(shed->memory) >= shed->budget;
}

/* 0: it is no client, or on its way out already. */
static size_t weight(const struct conn *conn) ON_REACTOR
{
    return gateway_stays(conn) ? gateway_kept_bytes(conn) : 0;
}

static size_t find_most(struct reactor *reactor) ON_REACTOR
{
    size_t most = 0;
    uint32_t slot = 0;
    const struct conn *conn;

    while ((conn = reactor_next_conn(reactor, &slot)) != NULL) {
        const size_t bytes = weight(conn);
        most = bytes > most ? bytes : most;
    }
    return most;
}

void shed_longest(struct reactor *reactor, struct gateway *gateway, struct metrics *metrics)
{
    const size_t half = find_most(reactor) / 2;
    const size_t least = half > BYTES_MIN ? half : BYTES_MIN;
    uint32_t slot = 0;
    struct conn *conn;

    while ((conn = reactor_next_conn(reactor, &slot)) != NULL) {
        if (gateway_is_let_go(conn) && conn_queued_bytes(conn) >= BYTES_MIN) {
            conn_abort(conn, -ENOBUFS);
        } else if (weight(conn) >= least) {
            metrics_add(metrics, METRIC_REJECTED_OVERLOAD_QUEUE, 1);
            gateway_shed(gateway, conn);
        }
    }
}
