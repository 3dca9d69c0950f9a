/* SPDX-License-Identifier: Apache-2.0 */
/* How a server comes to be: parts in the order in which they need each other, then the threads. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "core/bus.h"
#include "core/check.h"
#include "core/cpu.h"
#include "core/log.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"
#include "core/monotime.h"
#include "core/ring.h"
#include "net/backend_choose.h"
#include "net/reactor.h"
#include "proto/simd.h"
#include "server/config_source.h"
#include "server/control_state.h"
#include "server/policies.h"
#include "server/settings.h"
#include "server/shard.h"
#include "server/token.h"
#include "server/token_keys.h"

/* getrandom() blocks only until the machine has entropy once, and then never fails. */
static void fill_random(void *context, void *target, size_t size)
{
    (void)context;
    uint8_t *at = target;

    while (size > 0) {
        const ssize_t got = getrandom(at, size, 0);
        CHECK(got > 0 || errno == EINTR);
        if (got > 0) {
            at += got;
            size -= (size_t)got;
        }
    }
}

static void wake_reactor(void *context)
{
    reactor_wake(context);
}

static void wake_member(void *context, size_t index)
{
    const struct control *control = context;
    reactor_wake(shard_reactor(control->members[index].shard));
}

static void wake_control(void *context)
{
    const struct control *control = context;
    const uint64_t one = 1;
    /* Only a full counter refuses, and then it is readable already. */
    const ssize_t written = write(control->wake_fd, &one, sizeof(one));
    (void)written;
}

/* -- start ------------------------------------------------------------------------------------- */

static int choose(struct control *control)
{
    static const enum backend_kind kinds[] = {
        [CONFIG_BACKEND_AUTO] = BACKEND_AUTO,
        [CONFIG_BACKEND_URING] = BACKEND_URING,
        [CONFIG_BACKEND_EPOLL] = BACKEND_EPOLL,
    };
    static const enum cpu_simd levels[] = {
        [CONFIG_SIMD_AUTO] = CPU_SIMD_AVX512,   [CONFIG_SIMD_SCALAR] = CPU_SIMD_SCALAR,
        [CONFIG_SIMD_SSE4] = CPU_SIMD_SSE4,     [CONFIG_SIMD_AVX2] = CPU_SIMD_AVX2,
        [CONFIG_SIMD_AVX512] = CPU_SIMD_AVX512,
    };
    char reason[BACKEND_REASON_SIZE];

    const int result =
        backend_choose(kinds[control->config->reactor.backend], &control->backend, reason);
    if (result != 0) {
        (void)snprintf(control->error, control->error_size, "reactor.backend: %s", reason);
        return result;
    }
    control->simd = simd_choose(levels[control->config->reactor.simd]);
    const struct log_field fields[] = {
        log_text("backend", backend_name(control->backend)),
        log_text("reason", reason),
        log_text("simd", cpu_simd_name(control->simd->level)),
        log_uint("reactors", control->config->reactor.count),
    };
    log_write(control->log, LOG_INFO, "chosen", fields, sizeof(fields) / sizeof(fields[0]));
    return 0;
}

static int open_descriptors(struct control *control)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    if (!control->config->development) {
        (void)sigaddset(&signals, SIGHUP); /* else it ends with its terminal */
    }
    const int blocked = pthread_sigmask(SIG_BLOCK, &signals, NULL);
    if (blocked != 0) {
        return control_fail(control, -blocked, "signals");
    }
    control->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (control->signal_fd < 0) {
        return control_fail(control, -errno, "signalfd");
    }
    control->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (control->wake_fd < 0) {
        return control_fail(control, -errno, "eventfd");
    }
    return 0;
}

static int load_settings(struct control *control)
{
    control->settings =
        settings_create(control->config, NULL, NULL, control->error, control->error_size);
    return control->settings == NULL ? -EINVAL : 0;
}

/* Another name in each life, and one for people: HOST_PORT. */
static void name_node(struct control *control)
{
    char host[CONTROL_NODE_NAME_SIZE / 2] = "";
    uint64_t random[2];

    fill_random(NULL, random, sizeof(random));
    (void)snprintf(control->node_uid, sizeof(control->node_uid), "%016" PRIx64 "%016" PRIx64,
                   random[0], random[1]);
    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(control->node_name, sizeof(control->node_name), "%s_%u", host,
                   (unsigned)control->config->http_server.port);
}

/* Those that are configured now: they have their places as long as the process runs. */
static int count_namespaces(struct control *control)
{
    const struct policy_table *table = &control->settings->policies.table;

    control->namespaces = metrics_namespace_create(table->policy_count);
    if (control->namespaces == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < table->policy_count; i++) {
        metrics_namespace_name(control->namespaces, i, table->policies[i].name);
    }
    policies_count_as(&control->settings->policies, control->namespaces);
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        if (metrics_namespace_open(&control->metrics[i], control->namespaces->count) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int allocate(struct control *control)
{
    const size_t count = control->config->reactor.count;
    const size_t working = count + (control_has_store(control) ? 1 : 0) +
                           (control_has_source(control) ? 1 : 0); /* threads that count */

    control->bus =
        bus_create(working + 1, control->config->bus.slots, control->config->bus.reserve);
    control->members = calloc(count, sizeof(*control->members));
    const size_t counting = working + 1; /* the main thread counts behind them */
    control->metrics = aligned_alloc(_Alignof(struct metrics), counting * sizeof(struct metrics));
    if (control->metrics != NULL) {
        memset(control->metrics, 0, counting * sizeof(struct metrics));
    }
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers is meant */
    control->all_metrics = calloc(counting, sizeof(*control->all_metrics));
    control->metric_names = calloc(counting, sizeof(*control->metric_names));
    if (control->bus == NULL || control->members == NULL || control->metrics == NULL ||
        control->all_metrics == NULL || control->metric_names == NULL) {
        return control_fail(control, -ENOMEM, "start");
    }
    /* Rings between all ports, as they are until the end: no thread counts yet. */
    metrics_set(&control->metrics[0], METRIC_MEMORY_BUS,
                (working + 1) * working * control->config->bus.slots * RING_SLOT_SIZE);
    if (count_namespaces(control) != 0) {
        return control_fail(control, -ENOMEM, "start");
    }
    for (size_t i = 0; i < counting; i++) {
        control->all_metrics[i] = &control->metrics[i];
    }
    for (size_t i = 0; i < count; i++) {
        struct control_member *member = &control->members[i];
        (void)snprintf(member->number, sizeof(member->number), "%zu", i);
        (void)snprintf(member->name, sizeof(member->name), "reactor-%zu", i);
        control->metric_names[i] = member->number;
    }
    control->site = (struct site){
        .metrics = control->all_metrics,
        .metric_names = control->metric_names,
        .metric_count = counting,
        .namespaces = control->namespaces,
        .node_name = control->node_name,
        .node_uid = control->node_uid,
        .process =
            {
                .started_s = (uint64_t)time(NULL),
                .memory_budget = control->config->overload.memory_budget,
                .memory = &control->memory,
                .connection_limit = control->config->client.connection_limit,
            },
        .echo_enabled = control->config->echo.enabled,
    };
    name_node(control);
    fill_random(NULL, &control->key, sizeof(control->key));
    return 0;
}

static uint64_t read_clock(void *context)
{
    (void)context;
    return monotime_realtime_ms();
}

static int create_verifier(struct control *control, struct control_member *member,
                           struct metrics *metrics)
{
    const struct token_verifier_options options = {
        .keys = control->reload.present->keys,
        .now_ms = read_clock,
        .metrics = metrics,
        .bus = control->bus,
        .port = (uint16_t)(member - control->members),
        .source_port = control_has_source(control) ? (uint16_t)control_source_port(control) : 0,
    };
    member->verifier = token_verifier_create(&options);
    return member->verifier == NULL ? control_fail(control, -ENOMEM, member->name) : 0;
}

static int create_member(struct control *control, size_t index)
{
    struct control_member *member = &control->members[index];
    member->log = logger_attach(control->logger, member->name);
    int result = create_verifier(control, member, &control->metrics[index]);
    if (result != 0) {
        return result;
    }

    struct shard_options options = {
        .config = control->config,
        .api_key = &control->reload.present->api_key,
        .policies = &control->reload.present->policies.table,
        .tokens = member->verifier,
        .site = &control->site,
        .listening = &control->listening,
        .simd = control->simd,
        .backend = control->backend,
        .archive = control_has_store(control) ? (uint16_t)control_archive_port(control) : 0,
        .bus = control->bus,
        .index = (uint16_t)index,
        .key = control->key,
        .metrics = &control->metrics[index],
        .log = member->log,
        .memory = &control->memory,
        .fill_random = fill_random,
    };
    fill_random(NULL, &options.seed, sizeof(options.seed));
    result = shard_create(&options, &member->shard);
    if (result != 0) {
        return control_fail(control, result, member->name);
    }
    bus_port_on_wake(control->bus, index, wake_reactor, shard_reactor(member->shard));
    return listening_open(&control->listening, member->shard, control->error, control->error_size);
}

/* Before any thread may post to them, for how one is woken is not looked up under a lock. */
static int create_members(struct control *control)
{
    bus_port_on_wake(control->bus, control->config->reactor.count, wake_control, control);
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        const int result = create_member(control, i);
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int start_members(struct control *control)
{
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        struct control_member *member = &control->members[i];
        const int cpu = control->config->reactor.pin ? cpu_nth((int)i) : THREAD_NOT_PINNED;
        const int result =
            thread_start(member->name, cpu, shard_run, member->shard, &member->thread);
        if (result != 0) {
            return control_fail(control, result, member->name);
        }
        member->is_running = true;
    }
    return 0;
}

/* Who cannot be reached is not told; the log is, for a manager that waits for us will end us. */
static void start_service(struct control *control)
{
    const struct config *config = control->config;
    const struct service_options options = {
        .metrics = control->metrics,
        .reactor_count = config->reactor.count,
        .wake = wake_member,
        .context = control,
        .log = control->log,
        .stop_time_ns = control_stop_time_ns(config),
    };
    const int result = service_init(&control->service, &options);
    if (result != 0) {
        const struct log_field fields[] = {log_text("error", strerror(-result))};
        log_write(control->log, LOG_WARN, "no way to NOTIFY_SOCKET", fields, 1);
    }
}

static int start_reload(struct control *control)
{
    const struct reload_options options = {
        .source = control->config_source,
        .listening = &control->listening,
        .bus = control->bus,
        .logger = control->logger,
        .log = control->log,
        .metrics = &control->metrics[control->site.metric_count - 1],
        .namespaces = control->namespaces,
        .reactor_count = control->config->reactor.count,
    };
    const int result = reload_init(&control->reload, &options, control->settings);
    if (result != 0) {
        return control_fail(control, result, "reload");
    }
    control->settings = NULL;
    return 0;
}

static int start_listening(struct control *control)
{
    const int result =
        listening_init(&control->listening, control->config, control->error, control->error_size);
    if (control->config->overload.is_auto) {
        control->memory = control->config_source->memory;
    }
    overload_init(&control->overload, &(struct overload_options){
                                          .bus = control->bus,
                                          .log = control->log,
                                          .memory = &control->memory,
                                          .budget = control->config->overload.memory_budget,
                                          .reactor_count = control->config->reactor.count,
                                      });
    return result != 0 ? result
                       : listening_claim(&control->listening, control->error, control->error_size);
}

int control_start(struct control *control)
{
    int result = open_descriptors(control);
    if (result == 0) {
        result = choose(control);
    }
    if (result == 0) {
        result = load_settings(control);
    }
    if (result == 0) {
        result = allocate(control);
    }
    if (result == 0) {
        result = start_reload(control);
    }
    if (result == 0) {
        result = start_listening(control);
    }
    if (result == 0) {
        result = create_members(control);
    }
    if (result == 0) {
        result = control_start_archive(control);
    }
    if (result == 0) {
        result = control_start_source(control);
    }
    if (result == 0) {
        result = start_members(control);
    }
    if (result == 0) {
        start_service(control);
    }
    return result;
}

void control_announce(const struct control *control)
{
    const struct config_http_server *http = &control->config->http_server;
    const bool v6 = strchr(http->address, ':') != NULL;

    if (control->config->development) {
        const struct log_field why[] = {
            log_text("because", "no configuration file"),
            log_text("so", "loopback only, client.insecure: everybody may do everything"),
        };
        log_write(control->log, LOG_WARN, "development mode", why, sizeof(why) / sizeof(why[0]));
    }
    const struct log_field fields[] = {
        log_text("address", http->address),
        log_uint("port", http->port),
        log_text("internal_address", http->internal_address),
        log_uint("internal_port", http->internal_port),
    };
    log_write(control->log, LOG_INFO, "listening", fields, sizeof(fields) / sizeof(fields[0]));
    for (size_t i = 2; i < control->listening.count; i++) {
        const struct listening_item *item = &control->listening.items[i];
        const struct log_field more[] = {
            log_text("at", item->path != NULL ? item->path : item->address),
            log_uint("port", item->port),
            log_text("for", item->is_internal ? "internal" : "clients"),
            log_text("tls", item->has_tls ? "yes" : "no"),
            log_text("proxy_protocol", item->wants_proxy ? "required" : "refused"),
        };
        log_write(control->log, LOG_INFO, "listening", more, sizeof(more) / sizeof(more[0]));
    }
    if (control->listening.inherited > 0) {
        const struct log_field sockets[] = {
            log_uint("inherited", control->listening.inherited),
            log_uint("opened", control->listening.count - control->listening.inherited),
        };
        log_write(control->log, LOG_INFO, "activated", sockets, 2);
    }
    (void)printf(v6 ? "chat page: %s://[%s]:%u/\n" : "chat page: %s://%s:%u/\n",
                 http->tls.enabled ? "https" : "http", http->address, (unsigned)http->port);
    (void)fflush(stdout);
}
