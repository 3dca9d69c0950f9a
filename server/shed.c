/* SPDX-License-Identifier: Apache-2.0 */
#include "server/shed.h"

#include "core/metrics.h"
#include "net/conn.h"
#include "net/reactor.h"
#include "server/gateway.h"

enum { BYTES_MIN = 16 << 10 }; /* a shorter queue is nobody's fault */

void shed_longest(struct reactor *reactor, struct gateway *gateway, struct metrics *metrics)
{
    uint32_t longest = 0;
    uint32_t slot = 0;
    struct conn *conn;

    while ((conn = reactor_next_conn(reactor, &slot)) != NULL) {
        const uint32_t bytes = conn_queued_bytes(conn);
        longest = bytes > longest ? bytes : longest;
    }
    const uint32_t bytes_min = longest / 2 > BYTES_MIN ? longest / 2 : BYTES_MIN;
    slot = 0;
    while ((conn = reactor_next_conn(reactor, &slot)) != NULL) {
        if (conn_queued_bytes(conn) >= bytes_min && gateway_stays(conn)) {
            metrics_add(metrics, METRIC_REJECTED_OVERLOAD_QUEUE, 1);
            gateway_too_slow(gateway, conn);
        }
    }
}
