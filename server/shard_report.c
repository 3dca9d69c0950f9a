/* SPDX-License-Identifier: Apache-2.0 */
/* What of an iteration goes to metrics and the log. */
#include "chat/hub.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "net/reactor.h"
#include "net/tls_memory.h"
#include "server/delivery.h"
#include "server/gateway.h"
#include "server/shard_state.h"

/* Once a second, as far as anything happens: what is counted elsewhere and somebody has to see. */
static void log_news(struct shard *shard)
{
    struct metrics *metrics = shard->options.metrics;
    struct log *log = shard->options.log;

    if (reactor_now(shard->reactor) < shard->report_ns) {
        return;
    }
    shard->report_ns = reactor_now(shard->reactor) + SHARD_NS_PER_S;
    log_report_suppressed(log);
    const uint64_t accept_errors = metrics_read(metrics, METRIC_REJECTED_ACCEPT_ERROR);
    if (accept_errors != shard->reported_accept_errors) {
        const struct log_field fields[] = {log_uint("total", accept_errors)};
        log_write(log, LOG_WARN, "accept failed", fields, 1);
        shard->reported_accept_errors = accept_errors;
    }
    const uint64_t gaps = metrics_read(metrics, METRIC_GAPS);
    if (gaps != shard->reported_gaps) {
        const struct log_field fields[] = {log_uint("total", gaps)};
        log_write(log, LOG_WARN, "a reactor lagged too far: subscribers were told", fields, 1);
        shard->reported_gaps = gaps;
    }
}

/* What was delivered is on its way: the back end has it, or the kernel. */
static void observe_deliveries(struct shard *shard, uint64_t now_ns) ON_REACTOR
{
    struct delivery_times *times = &shard->times;

    for (uint32_t i = 0; i < times->count; i++) {
        const uint64_t taken_ns = times->taken_ns[i];
        metrics_observe(&shard->options.metrics->delivery,
                        now_ns > taken_ns ? now_ns - taken_ns : 0);
    }
    times->count = 0;
}

/* Everybody whom this reactor serves waited for so long: with what it did one can look for why. */
static void report_slow(struct shard *shard, uint64_t spent_ns, uint64_t deliveries) ON_REACTOR
{
    const struct reactor_work work = reactor_work(shard->reactor);
    const struct log_field fields[] = {
        log_uint("ms", spent_ns / SHARD_NS_PER_MS),
        log_uint("completions", work.completions),
        log_uint("posts", shard->posts),
        log_uint("timers", work.timers),
        log_uint("deliveries", deliveries),
        log_uint("connections", reactor_conn_count(shard->reactor)),
    };
    metrics_add(shard->options.metrics, METRIC_SLOW_TURNS, 1);
    log_write(shard->options.log, LOG_WARN, "slow turn", fields,
              sizeof(fields) / sizeof(fields[0]));
}

static void gauge_memory(struct shard *shard) ON_REACTOR
{
    struct metrics *metrics = shard->options.metrics;
    const struct reactor_memory memory = reactor_memory(shard->reactor);

    metrics_set(metrics, METRIC_MEMORY_CONNECTIONS, memory.conns + gateway_bytes(shard->gateway));
    metrics_set(metrics, METRIC_MEMORY_SEND_QUEUES, memory.queues);
    metrics_set(metrics, METRIC_MEMORY_PUBLICATIONS, blob_pool_bytes(shard->pool));
    metrics_set(metrics, METRIC_MEMORY_TLS, tls_memory_taken());
}

void shard_report(struct shard *shard, uint64_t began_ns)
{
    struct metrics *metrics = shard->options.metrics;

    metrics_set(metrics, METRIC_BUS_POSTS, bus_posts(shard->options.bus, shard->options.index));
    metrics_set(metrics, METRIC_BUS_WAKES, bus_wakes(shard->options.bus, shard->options.index));
    metrics_set(metrics, METRIC_LOG_DROPPED, log_dropped(shard->options.log));
    hub_gauge(shard->hub);
    gauge_memory(shard);
    log_news(shard);
    const uint64_t spent_ns = monotime_read() - began_ns;
    const uint64_t deliveries = metrics_read(metrics, METRIC_DELIVERIES);
    metrics_observe(&metrics->loop, spent_ns);
    if (spent_ns > shard->slow_turn_ns) {
        report_slow(shard, spent_ns, deliveries - shard->reported_deliveries);
    }
    shard->reported_deliveries = deliveries;
    observe_deliveries(shard, reactor_now(shard->reactor) + spent_ns);
}
