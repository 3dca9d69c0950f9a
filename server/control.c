/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "chat/post.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/cpu.h"
#include "core/log.h"
#include "core/logger.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"
#include "core/monotime.h"
#include "core/ring.h"
#include "core/thread.h"
#include "net/backend_choose.h"
#include "net/reactor.h"
#include "proto/simd.h"
#include "server/archive.h"
#include "server/config.h"
#include "server/jwks_source.h"
#include "server/listening.h"
#include "server/overload.h"
#include "server/policies.h"
#include "server/reload.h"
#include "server/service.h"
#include "server/settings.h"
#include "server/shard.h"
#include "server/site.h"
#include "server/store_program.h"
#include "server/token.h"
#include "server/token_keys.h"

enum {
    NAME_SIZE = 32,
    POLL_MS = 100, /* how soon a post that found no room is tried again */
    EXIT_INTERRUPTED = 130,
    STORE_QUESTIONS_MAX = 8192, /* open at the store, a power of two */
    STORE_FLAG_SIZE = 16,
    NODE_NAME_SIZE = 96,
    NODE_UID_SIZE = 33, /* 128 bits in hex */
};

static const uint64_t end_time_ns = 10 * MONOTIME_NS_PER_S; /* of the store and the threads */

/* What the durable store needs; all zero without one. */
struct store_part {
    struct archive *archive;
    struct thread thread;
    char program[STORE_PROGRAM_PATH_SIZE];
    char write_buffer[STORE_FLAG_SIZE]; /* the flags' values, MiB */
    char block_cache[STORE_FLAG_SIZE];
    char free_space[STORE_FLAG_SIZE];
    const char *arguments[7];
    bool is_running;
};

/* What fetches key sets, where an endpoint is configured. */
struct source_part {
    struct jwks_source *source;
    struct thread thread;
    bool is_running;
};

/* One reactor's part of what the control keeps. */
struct member {
    struct shard *shard;
    struct token_verifier *verifier; /* NULL: no key is configured */
    struct claims_verifier claims;   /* how the hub knows it */
    struct thread thread;
    struct log *log;
    char name[NAME_SIZE];   /* of the thread */
    char number[NAME_SIZE]; /* for the metrics' label */
    bool is_running;
    bool is_told;     /* the present order was posted */
    uint8_t answered; /* POST_DESERTED, then POST_DRAINED */
};

struct control {
    const struct config *config;
    struct logger *logger;
    struct log *log; /* of the main thread */
    const struct backend_ops *backend;
    const struct simd_ops *simd;
    struct bus *bus;
    const struct config_source *config_source;
    struct settings *settings; /* those at the start, until they are the reload's */
    struct site site;
    struct service service;
    struct listening listening;
    struct reload reload;
    struct overload overload;
    struct table_key key;
    char node_name[NODE_NAME_SIZE];
    char node_uid[NODE_UID_SIZE];
    struct member *members;
    struct store_part store;
    struct source_part source;
    struct metrics *metrics;               /* one for each member, and the archive's */
    const struct metrics **all_metrics;    /* pointers to them, for the site */
    struct metrics_namespaces *namespaces; /* for the site, too */
    const char **metric_names;
    int wake_fd;
    int signal_fd;
    char *error;
    size_t error_size;
};

static int fail(struct control *control, int result, const char *what)
{
    (void)snprintf(control->error, control->error_size, "%s: %s", what, strerror(-result));
    return result;
}

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
        return fail(control, -blocked, "signals");
    }
    control->signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    if (control->signal_fd < 0) {
        return fail(control, -errno, "signalfd");
    }
    control->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (control->wake_fd < 0) {
        return fail(control, -errno, "eventfd");
    }
    return 0;
}

static int load_settings(struct control *control)
{
    control->settings =
        settings_create(control->config, NULL, NULL, control->error, control->error_size);
    return control->settings == NULL ? -EINVAL : 0;
}

static bool has_store(const struct control *control)
{
    return control->config->store.engine == CONFIG_STORE_ROCKSDB;
}

/* Behind the reactors and the control. */
static size_t archive_port(const struct control *control)
{
    return control->config->reactor.count + 1;
}

static bool has_source(const struct control *control)
{
    return jwks_source_is_needed(&control->config->client);
}

/* Behind the archive, where there is one. */
static size_t source_port(const struct control *control)
{
    return archive_port(control) + (has_store(control) ? 1 : 0);
}

/* The reactors' are the first; then those of the threads behind the control, as their ports are. */
static struct metrics *metrics_of_port(struct control *control, size_t port)
{
    CHECK(port > control->config->reactor.count);
    return &control->metrics[port - 1];
}

/* Another name in each life, and one for people: HOST_PORT. */
static void name_node(struct control *control)
{
    char host[NODE_NAME_SIZE / 2] = "";
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
    const size_t working = count + (has_store(control) ? 1 : 0) +
                           (has_source(control) ? 1 : 0); /* threads that count */

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
        return fail(control, -ENOMEM, "start");
    }
    /* Rings between all ports, as they are until the end: no thread counts yet. */
    metrics_set(&control->metrics[0], METRIC_MEMORY_BUS,
                (working + 1) * working * control->config->bus.slots * RING_SLOT_SIZE);
    if (count_namespaces(control) != 0) {
        return fail(control, -ENOMEM, "start");
    }
    for (size_t i = 0; i < counting; i++) {
        control->all_metrics[i] = &control->metrics[i];
    }
    for (size_t i = 0; i < count; i++) {
        struct member *member = &control->members[i];
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

static int create_verifier(struct control *control, struct member *member, struct metrics *metrics)
{
    const struct token_verifier_options options = {
        .keys = control->settings->keys,
        .now_ms = read_clock,
        .metrics = metrics,
        .bus = control->bus,
        .port = (uint16_t)(member - control->members),
        .source_port = has_source(control) ? (uint16_t)source_port(control) : 0,
    };
    member->verifier = token_verifier_create(&options);
    if (member->verifier == NULL) {
        return fail(control, -ENOMEM, member->name);
    }
    member->claims = token_verifier_seam(member->verifier);
    return 0;
}

static int create_member(struct control *control, size_t index)
{
    struct member *member = &control->members[index];
    member->log = logger_attach(control->logger, member->name);
    int result = create_verifier(control, member, &control->metrics[index]);
    if (result != 0) {
        return result;
    }

    struct shard_options options = {
        .config = control->config,
        .api_key = &control->settings->api_key,
        .policies = &control->settings->policies.table,
        .tokens = member->verifier,
        .verifier = token_keys_is_empty(control->settings->keys) ? NULL : &member->claims,
        .site = &control->site,
        .listening = &control->listening,
        .simd = control->simd,
        .backend = control->backend,
        .archive = has_store(control) ? (uint16_t)archive_port(control) : 0,
        .bus = control->bus,
        .index = (uint16_t)index,
        .key = control->key,
        .metrics = &control->metrics[index],
        .log = member->log,
        .fill_random = fill_random,
    };
    fill_random(NULL, &options.seed, sizeof(options.seed));
    result = shard_create(&options, &member->shard);
    if (result != 0) {
        return fail(control, result, member->name);
    }
    bus_port_on_wake(control->bus, index, wake_reactor, shard_reactor(member->shard));
    return listening_open(&control->listening, member->shard, control->error, control->error_size);
}

static int start_members(struct control *control)
{
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        const int result = create_member(control, i);
        if (result != 0) {
            return result;
        }
    }
    bus_port_on_wake(control->bus, control->config->reactor.count, wake_control, control);
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        struct member *member = &control->members[i];
        const int cpu = control->config->reactor.pin ? cpu_nth((int)i) : THREAD_NOT_PINNED;
        const int result =
            thread_start(member->name, cpu, shard_run, member->shard, &member->thread);
        if (result != 0) {
            return fail(control, result, member->name);
        }
        member->is_running = true;
    }
    return 0;
}

static void describe_store(struct control *control)
{
    const struct config_store *config = &control->config->store;
    struct store_part *store = &control->store;
    const struct {
        const char *flag;
        char *value;
        uint32_t bytes;
    } flags[] = {
        {"--write-buffer", store->write_buffer, config->write_buffer_size},
        {"--block-cache", store->block_cache, config->block_cache_size},
        {"--free", store->free_space, config->min_free_space},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        (void)snprintf(flags[i].value, STORE_FLAG_SIZE, "%u", flags[i].bytes >> 20);
        store->arguments[2 * i] = flags[i].flag;
        store->arguments[2 * i + 1] = flags[i].value;
    }
}

static int start_archive(struct control *control)
{
    struct store_part *store = &control->store;
    if (!has_store(control)) {
        return 0;
    }
    int result = store_program_find(store->program);
    if (result != 0) {
        return fail(control, result, store->program);
    }
    describe_store(control);
    const struct archive_options options = {
        .program = store->program,
        .path = control->config->store.path,
        .arguments = store->arguments,
        .bus = control->bus,
        .port = (uint16_t)archive_port(control),
        .timeout_ns = control->config->store.timeout_ns,
        .questions_max = STORE_QUESTIONS_MAX,
        .metrics = metrics_of_port(control, archive_port(control)),
        .log = logger_attach(control->logger, "archive"),
    };
    result = archive_create(&options, &store->archive);
    if (result == 0) {
        bus_port_on_wake(control->bus, options.port, archive_wake, store->archive);
        control->site.archive = store->archive;
        result =
            thread_start("archive", THREAD_NOT_PINNED, archive_run, store->archive, &store->thread);
    }
    if (result != 0) {
        return fail(control, result, "archive");
    }
    store->is_running = true;
    return 0;
}

static uint64_t stop_time_ns(const struct config *config)
{
    return config->shutdown.timeout_ns + config->store.timeout_ns + end_time_ns;
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
        .stop_time_ns = stop_time_ns(config),
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
    return result == 0 ? 0 : fail(control, result, "reload");
}

static int start_listening(struct control *control)
{
    const int result =
        listening_init(&control->listening, control->config, control->error, control->error_size);
    overload_init(&control->overload, control->bus, control->log,
                  control->config->overload.memory_budget, control->config->reactor.count);
    return result != 0 ? result
                       : listening_claim(&control->listening, control->error, control->error_size);
}

static int start_source(struct control *control)
{
    struct source_part *part = &control->source;
    if (!has_source(control)) {
        return 0;
    }
    const struct jwks_source_options options = {
        .config = &control->config->client,
        .bus = control->bus,
        .port = (uint16_t)source_port(control),
        .reactor_count = (uint16_t)control->config->reactor.count,
        .metrics = metrics_of_port(control, source_port(control)),
        .log = logger_attach(control->logger, "jwks"),
    };
    part->source = jwks_source_create(&options);
    if (part->source == NULL) {
        return fail(control, -ENOMEM, "jwks");
    }
    bus_port_on_wake(control->bus, options.port, jwks_source_wake, part->source);
    const int result =
        thread_start("jwks", THREAD_NOT_PINNED, jwks_source_run, part->source, &part->thread);
    if (result != 0) {
        return fail(control, result, "jwks");
    }
    part->is_running = true;
    return 0;
}

static int start(struct control *control)
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
        result = start_archive(control);
    }
    if (result == 0) {
        result = start_source(control);
    }
    if (result == 0) {
        result = start_members(control);
    }
    if (result == 0) {
        start_service(control);
    }
    return result;
}

static void announce(struct control *control)
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

/* -- end --------------------------------------------------------------------------------------- */

/* Posts to every running reactor that has not got this order yet. True when all have it. */
static bool order_all(struct control *control, enum post_kind kind)
{
    const size_t count = control->config->reactor.count;
    const struct post post = {.kind = (uint8_t)kind};
    const struct bus_post packed = post_pack(&post);
    bool all = true;

    for (size_t i = 0; i < count; i++) {
        struct member *member = &control->members[i];
        if (member->is_running && !member->is_told) {
            member->is_told = bus_tell(control->bus, count, i, &packed) == BUS_POSTED;
            all = all && member->is_told;
        }
    }
    bus_flush(control->bus, count);
    return all;
}

static void take_posts(struct control *control)
{
    struct bus_post posts[16];
    const size_t port = control->config->reactor.count;
    const size_t count = bus_take(control->bus, port, posts, sizeof(posts) / sizeof(posts[0]));

    for (size_t i = 0; i < count; i++) {
        if (posts[i].kind == POST_SETTINGS_TAKEN) {
            reload_take(&control->reload);
        } else if (posts[i].kind == POST_RELOAD) {
            reload_ask(&control->reload, posts[i].from);
        } else {
            CHECK(posts[i].kind == POST_DESERTED || posts[i].kind == POST_DRAINED);
            control->members[posts[i].from].answered = posts[i].kind;
        }
    }
}

static bool all_answered(const struct control *control, enum post_kind kind)
{
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        if (control->members[i].is_running && control->members[i].answered != kind) {
            return false;
        }
    }
    return true;
}

/* Returns the signal that came, or 0. */
static uint32_t take_signal(struct control *control)
{
    struct signalfd_siginfo info;
    const ssize_t size = read(control->signal_fd, &info, sizeof(info));
    return size == (ssize_t)sizeof(info) ? info.ssi_signo : 0;
}

/* Tells the service manager what is due. Returns how long to sleep then; -1: for ever. */
static int tick(struct control *control, int timeout_ms)
{
    const uint64_t now_ns = monotime_read();
    const struct archive *archive = control->site.archive;

    service_tick(&control->service, now_ns,
                 archive == NULL ? ARCHIVE_READY : archive_state(archive));
    const uint64_t due_ns = service_due_ns(&control->service);
    if (due_ns == UINT64_MAX) {
        return timeout_ms;
    }
    const uint64_t until_ms = due_ns > now_ns ? (due_ns - now_ns) / MONOTIME_NS_PER_MS + 1 : 0;
    return timeout_ms < 0 || until_ms < (uint64_t)timeout_ms ? (int)until_ms : timeout_ms;
}

/* Sleeps until a signal or a post may be there. Returns the signal, or 0. */
static uint32_t wait_for_news(struct control *control, int timeout_ms)
{
    struct pollfd polled[] = {
        {.fd = control->signal_fd, .events = POLLIN},
        {.fd = control->wake_fd, .events = POLLIN},
    };
    const size_t port = control->config->reactor.count;

    timeout_ms = tick(control, timeout_ms);
    if (bus_may_sleep(control->bus, port)) {
        (void)poll(polled, sizeof(polled) / sizeof(polled[0]), timeout_ms);
        bus_awake(control->bus, port);
        uint64_t count;
        const ssize_t size = read(control->wake_fd, &count, sizeof(count));
        (void)size;
    }
    take_posts(control);
    return take_signal(control);
}

static void exit_at_once(struct control *control)
{
    log_write(control->log, LOG_WARN, "second signal: exiting at once", NULL, 0);
    logger_stop(control->logger);
    _exit(EXIT_INTERRUPTED);
}

/* A thread behind the control: what it was given is answered, or dropped, when this returns. */
static void stop_thread(struct control *control, size_t thread_port, struct thread *thread)
{
    const struct post post = {.kind = POST_EXIT};
    const struct bus_post packed = post_pack(&post);
    const size_t port = control->config->reactor.count;
    while (bus_tell(control->bus, port, thread_port, &packed) != BUS_POSTED) {
        (void)wait_for_news(control, POLL_MS);
    }
    bus_flush(control->bus, port);
    thread_join(thread);
}

/* What all reactors together have counted. */
static uint64_t count_all(const struct control *control, enum metrics_id id)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        sum += metrics_read(&control->metrics[i], id);
    }
    return sum;
}

static void report_drain(const struct control *control, const char *event)
{
    const struct log_field fields[] = {
        log_uint("told", count_all(control, METRIC_DRAIN_TOLD)),
        log_uint("waiting", count_all(control, METRIC_DRAIN_WAITING)),
        log_uint("open", count_all(control, METRIC_CONNECTIONS_OPEN)),
        log_uint("cut", count_all(control, METRIC_DRAIN_CUT)),
    };
    log_write(control->log, LOG_INFO, event, fields, sizeof(fields) / sizeof(fields[0]));
}

static void forget_orders(struct control *control)
{
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        control->members[i].is_told = false;
    }
}

static void order_and_wait(struct control *control, enum post_kind order, enum post_kind answer)
{
    uint64_t report_ns = monotime_read() + MONOTIME_NS_PER_S;

    forget_orders(control);
    while (!order_all(control, order) || !all_answered(control, answer)) {
        const uint32_t signal_number = wait_for_news(control, POLL_MS);
        if (signal_number != 0 && signal_number != SIGHUP) {
            exit_at_once(control);
        }
        const bool has_posted = reload_go_on(&control->reload); /* who has asked is answered */
        (void)has_posted;                                       /* the next turn comes soon */
        if (monotime_read() >= report_ns) {
            report_drain(control, "draining");
            report_ns += MONOTIME_NS_PER_S;
        }
    }
}

static void drain_members(struct control *control)
{
    order_and_wait(control, POST_STOP, POST_DESERTED);
    order_and_wait(control, POST_CLOSE, POST_DRAINED);
    report_drain(control, "drained");
}

static void stop_members(struct control *control)
{
    drain_members(control);
    /* Before the reactors end, who then still take what these have posted. */
    if (control->store.is_running) {
        stop_thread(control, archive_port(control), &control->store.thread);
    }
    if (control->source.is_running) {
        stop_thread(control, source_port(control), &control->source.thread);
    }
    forget_orders(control);
    while (!order_all(control, POST_EXIT)) {
        (void)wait_for_news(control, POLL_MS);
    }
    for (size_t i = 0; i < control->config->reactor.count; i++) {
        if (control->members[i].is_running) {
            thread_join(&control->members[i].thread);
        }
    }
}

static void deinit(struct control *control)
{
    archive_destroy(control->store.archive);
    jwks_source_destroy(control->source.source);
    for (size_t i = 0; control->members != NULL && i < control->config->reactor.count; i++) {
        shard_destroy(control->members[i].shard);
        token_verifier_destroy(control->members[i].verifier);
    }
    if (control->reload.present == NULL) {
        settings_destroy(control->settings); /* it was not given away */
    }
    reload_deinit(&control->reload);
    service_deinit(&control->service);
    listening_deinit(&control->listening);
    free(control->metric_names);
    for (size_t i = 0; control->metrics != NULL && i < control->config->reactor.count; i++) {
        metrics_namespace_close(&control->metrics[i]);
    }
    free(control->namespaces);
    free(control->all_metrics);
    free(control->metrics);
    free(control->members);
    bus_destroy(control->bus);
    if (control->wake_fd >= 0) {
        (void)close(control->wake_fd);
    }
    if (control->signal_fd >= 0) {
        (void)close(control->signal_fd);
    }
}

/* What there is to do while it serves. Returns how long to sleep before the next call. */
static int look_after(struct control *control, uint32_t signal_number)
{
    overload_step(&control->overload, monotime_read());
    if (signal_number == SIGHUP) {
        reload_want(&control->reload);
    }
    if (!reload_is_over(&control->reload)) {
        service_reloading(&control->service, monotime_read());
    }
    const bool has_posted = reload_go_on(&control->reload);
    if (reload_is_over(&control->reload)) {
        service_set_stop_time(&control->service, stop_time_ns(control->reload.present->config));
        service_reloaded(&control->service);
    }
    if (!has_posted) {
        return POLL_MS;
    }
    return OVERLOAD_LOOK_MS;
}

int control_run(const struct config_source *source, const struct config *config,
                struct logger *logger, char *error, size_t error_size)
{
    struct control control = {
        .config_source = source,
        .config = config,
        .logger = logger,
        .log = logger_attach(logger, "main"),
        .wake_fd = -1,
        .signal_fd = -1,
        .error = error,
        .error_size = error_size,
    };

    const int result = start(&control);
    if (result == 0) {
        announce(&control);
        uint32_t signal_number = 0;
        while (signal_number == 0 || signal_number == SIGHUP) {
            signal_number = wait_for_news(&control, look_after(&control, signal_number));
        }
        const struct log_field fields[] = {log_text("signal", strsignal((int)signal_number))};
        log_write(control.log, LOG_INFO, "stopping", fields, 1);
        service_stopping(&control.service, monotime_read());
    }
    if (control.members != NULL) {
        stop_members(&control);
    }
    deinit(&control);
    return result;
}
