/* SPDX-License-Identifier: Apache-2.0 */
#include "server/shard.h"

#include "version.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/claims.h"
#include "chat/herald.h"
#include "chat/hub.h"
#include "chat/outbox.h"
#include "chat/post.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"
#include "core/monotime.h"
#include "net/conn.h"
#include "net/reactor.h"
#include "net/tls_memory.h"
#include "server/compression.h"
#include "server/config.h"
#include "server/delivery.h"
#include "server/drain.h"
#include "server/gateway.h"
#include "server/listening.h"
#include "server/reload_desk.h"
#include "server/settings.h"
#include "server/shed.h"
#include "server/token.h"
#include "server/token_keys.h"

enum {
    NS_PER_MS = 1000000,
    NS_PER_S = 1000000000,
    POSTS_PER_ITERATION = 256, /* the rest in the next one, without sleeping */
    WAITING_NS =
        50 * NS_PER_MS,       /* while somebody waits for the archive, for whom time may run out */
    RETRY_NS = NS_PER_MS,     /* while something waits for room on the bus */
    ROOM_COUNT_MAX = 1 << 24, /* per reactor */
    TAIL_COUNT_MAX = 1024,    /* publications of one channel, for reactors that lag */
    TAIL_BYTES_MAX = 4 << 20, /* of them */
    OUTBOX_ENTRIES_MAX = 1 << 18, /* messages and publications of one iteration */
    OUTBOX_TEXT_MAX = 64 << 20,   /* bytes of messages of one iteration */
    PAGE_QUEUE_MIN = 1 << 20,     /* bytes */
    PAGE_BYTES_MAX = 256 << 10,   /* of history in one answer */
    PENDING_MAX = 256 << 10,      /* bytes: a receive buffer, and a head of the largest size */
    RECEIVE_BUDGET = 256 << 10,   /* bytes per connection and iteration */
    INTERNAL_CONN_COUNT = 4,      /* beyond connection_limit, for /health and /metrics */
};

static const uint64_t rest_ns = UINT64_C(2) * NS_PER_S; /* silent for so long: it rests */
static const size_t blob_bytes_max = (size_t)1
                                     << 32; /* of publications on their way, per reactor */

struct shard {
    struct shard_options options;
    struct blob_pool *pool;
    struct compression *compression; /* NULL: off */
    struct outbox *outbox;
    struct hub *hub;
    struct gateway *gateway;
    struct reactor *reactor;
    struct delivery delivery;
    struct delivery_times times;
    struct drain drain;
    struct reload_desk desk;
    uint64_t slow_turn_ns; /* log.slow_turn */
    uint64_t report_ns;    /* when to look again at what follows */
    uint64_t reported_accept_errors;
    uint64_t reported_gaps;
    uint64_t reported_deliveries; /* as of the last iteration */
    uint32_t posts;               /* taken in this iteration */
    bool has_posts;               /* the bus had more than one iteration takes */
    bool is_deserted;             /* POST_DESERTED was posted */
    bool is_drained;              /* POST_DRAINED was posted */
    bool is_exiting;              /* POST_EXIT came */
    bool sheds;                   /* POST_OVERLOAD came: the longest queues are to go */
    bool owes_taken;              /* POST_SETTINGS came, and is not answered yet */
};

static uint32_t conn_count_max(const struct config *config)
{
    const uint32_t clients =
        (config->client.connection_limit + config->reactor.count - 1) / config->reactor.count;
    return clients + INTERNAL_CONN_COUNT;
}

/* A page is less than what makes a queue long, and only the first of several fills it. */
static uint32_t page_bytes(const struct config *config)
{
    const uint32_t size = config->client.queue_max_size / 2;
    return size < PAGE_BYTES_MAX ? size : PAGE_BYTES_MAX;
}

/* Of commands; a rate that is off has no burst either. */
static struct limits_rate command_rate(uint32_t per_second, uint32_t burst)
{
    return (struct limits_rate){.per_second = per_second, .burst = per_second == 0 ? 0 : burst};
}

/* Sizes are those of the configuration at the start, where they cannot change. */
static struct hub_options hub_options_of(const struct shard *shard, const struct config *config,
                                         const struct policy_table *policies)
{
    const struct shard_options *options = &shard->options;
    const char *personal_namespace =
        config->client.subscribe_to_user_personal_channel.personal_channel_namespace;
    return (struct hub_options){
        .key = options->key,
        .reactor = options->index,
        .reactor_count = (uint16_t)config->reactor.count,
        .session_count_max = conn_count_max(config),
        .room_count_max = ROOM_COUNT_MAX,
        .channel_count_max = ROOM_COUNT_MAX,
        .tail_count_max = options->tail_count_max > 0 ? options->tail_count_max : TAIL_COUNT_MAX,
        .tail_bytes_max = TAIL_BYTES_MAX,
        .history_bytes_max = config->channel.history_memory_max / config->reactor.count,
        .history_count_max = config->client.history_max_publication_limit,
        .recovery_count_max = config->client.recovery_max_publication_limit,
        .archive = options->archive,
        .store_timeout_ns = config->store.timeout_ns,
        .store_bytes_max = config->store.queue_max_size,
        .list_bytes_max = config->http_api.max_answer_bytes,
        .revocation_count_max = config->http_api.max_revocations,
        .page_bytes_max = page_bytes(config),
        .presence_max_list = config->client.presence_max_list,
        .news_batch_max = config->client.max_messages_per_frame < HERALD_BATCH_MAX
                              ? config->client.max_messages_per_frame
                              : HERALD_BATCH_MAX,
        .question_count_max = config->bus.reserve,
        .channel_limit = (uint16_t)config->client.channel_limit,
        .ping_interval_s = (uint32_t)(config->client.ping_interval_ns / NS_PER_S),
        .anonymous_allowed =
            config->client.insecure || config->client.allow_anonymous_connect_without_token,
        .verifier = options->tokens == NULL ? NULL : token_verifier_seam(options->tokens),
        .expired_close_delay_ns = config->client.expired_close_delay_ns,
        .expired_sub_close_delay_ns = config->client.expired_sub_close_delay_ns,
        .place_limits =
            {
                [QUOTA_ADDRESS] =
                    {
                        .count_max = config->client.address_connection_limit,
                        .rate =
                            {
                                .per_second = config->client.address_handshake_rate,
                                .burst = config->client.address_handshake_burst,
                            },
                        .commands = command_rate(config->client.address_command_rate,
                                                 config->client.address_command_burst),
                        .dry_run = config->client.address_limits_dry_run,
                    },
                [QUOTA_USER] =
                    {
                        .count_max = config->client.user_connection_limit,
                        .commands = command_rate(config->client.user_command_rate,
                                                 config->client.user_command_burst),
                        .dry_run = config->client.user_limits_dry_run,
                    },
            },
        .personal_channels = config->client.subscribe_to_user_personal_channel.enabled,
        .personal_namespace = {(const uint8_t *)personal_namespace, strlen(personal_namespace)},
        .version = "parley " PARLEY_VERSION,
        .policies = policies,
        .bus = options->bus,
        .pool = shard->pool,
        .metrics = options->metrics,
        .outbox = shard->outbox,
        .fill_random = options->fill_random,
        .random_context = options->random_context,
    };
}

static int create_hub(struct shard *shard)
{
    const struct hub_options hub =
        hub_options_of(shard, shard->options.config, shard->options.policies);
    return hub_create(&hub, &shard->hub);
}

/* For pages, echoes and back ends: no less than a client of the chat may have. */
static uint32_t large_queue(const struct config *config)
{
    uint32_t size =
        PAGE_QUEUE_MIN + (config->channel.namespaces.count + 1) * METRICS_NAMESPACE_TEXT_SIZE;
    if (size < config->client.queue_max_size) {
        size = config->client.queue_max_size;
    }
    if (size < 2 * config->http_api.max_answer_bytes) {
        size = 2 * config->http_api.max_answer_bytes;
    }
    return size < config->echo.queue_max_size ? config->echo.queue_max_size : size;
}

static int create_reactor(struct shard *shard)
{
    const struct shard_options *options = &shard->options;
    const struct config *config = options->config;
    /* The marks are below both maxima, so that an echo is paused before its queue is full. */
    const uint32_t queue_least = config->echo.queue_max_size < config->client.queue_max_size
                                     ? config->echo.queue_max_size
                                     : config->client.queue_max_size;
    const struct reactor_options reactor = {
        .backend = options->backend,
        .backend_context = options->backend_context,
        .index = options->index,
        .conn_count_max = conn_count_max(config),
        .conn_count_reserved = INTERNAL_CONN_COUNT,
        .queue_bytes_low = queue_least / 8,
        .queue_bytes_high = queue_least / 2,
        .queue_bytes_max = config->client.queue_max_size,
        .queue_bytes_max_large = large_queue(config),
        .pending_max = PENDING_MAX,
        .write_stall_ns = config->client.write_stall_timeout_ns,
        .tls_handshake_ns = config->http_server.tls.handshake_timeout_ns,
        .receive_budget_bytes = RECEIVE_BUDGET,
        .receive_buffer_count = config->reactor.receive_buffers,
        .receive_buffer_size = config->reactor.receive_buffer_size,
        .rest_ns = rest_ns,
        .blobs = shard->pool,
        .metrics = options->metrics,
        .on_timer = gateway_fire,
        .context = shard->gateway,
    };
    return reactor_create(&reactor, &shard->reactor);
}

static int create_gateway(struct shard *shard)
{
    const struct shard_options *options = &shard->options;
    const struct gateway_options gateway = {
        .config = options->config,
        .api_key = options->api_key,
        .simd = options->simd,
        .site = options->site,
        .listening = options->listening,
        .hub = shard->hub,
        .outbox = shard->outbox,
        .desk = &shard->desk,
        .compression = shard->compression,
        .tokens = options->tokens,
        .metrics = options->metrics,
        .log = options->log,
        .conn_count_max = conn_count_max(options->config),
        .seed = options->seed,
    };
    return gateway_create(&gateway, &shard->gateway);
}

static int create_parts(struct shard *shard)
{
    const struct outbox_options outbox = {
        .entry_count_max = OUTBOX_ENTRIES_MAX,
        .text_size_max = OUTBOX_TEXT_MAX,
        .conn_count_max = conn_count_max(shard->options.config),
    };
    /* Whatever the homes keep may have been made here. */
    shard->pool =
        blob_pool_create(blob_bytes_max + shard->options.config->channel.history_memory_max);
    if (shard->pool == NULL) {
        return -ENOMEM;
    }
    const struct config_websocket *websocket = &shard->options.config->websocket;
    int result = outbox_create(&outbox, &shard->outbox);
    if (result == 0 && websocket->compression) {
        result = compression_create(websocket, shard->options.metrics, &shard->compression);
    }
    if (result == 0) {
        result = create_hub(shard);
    }
    if (result == 0) {
        result = create_gateway(shard);
    }
    if (result == 0) {
        result = create_reactor(shard);
    }
    if (result == 0) {
        result = gateway_attach(shard->gateway, shard->reactor);
    }
    return result;
}

int shard_create(const struct shard_options *options, struct shard **shard)
{
    CHECK(options->config->reactor.count > 0);
    CHECK(options->index < options->config->reactor.count);

    struct shard *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    created->slow_turn_ns = options->config->log.slow_turn_ns;
    created->desk = (struct reload_desk){
        .bus = options->bus,
        .port = options->index,
        .control = (uint16_t)options->config->reactor.count,
    };
    const int result = create_parts(created);
    if (result != 0) {
        shard_destroy(created);
        return result;
    }
    created->delivery = (struct delivery){
        .outbox = created->outbox,
        .hub = created->hub,
        .reactor = created->reactor,
        .gateway = created->gateway,
        .pool = created->pool,
        .metrics = options->metrics,
        .compression = created->compression,
        .times = &created->times,
        .messages_per_frame_max = options->config->client.max_messages_per_frame,
    };
    created->drain = (struct drain){
        .config = options->config,
        .reactor = created->reactor,
        .gateway = created->gateway,
        .hub = created->hub,
        .metrics = options->metrics,
        .seed = options->seed,
    };
    /* They go with the first reload: what came out of them is where it belongs. */
    created->options.api_key = NULL;
    created->options.policies = NULL;
    *shard = created;
    return 0;
}

void shard_destroy(struct shard *shard)
{
    if (shard == NULL) {
        return;
    }
    if (shard->gateway != NULL) {
        gateway_detach(shard->gateway);
    }
    reactor_destroy(shard->reactor);
    gateway_destroy(shard->gateway);
    hub_destroy(shard->hub);
    outbox_destroy(shard->outbox);
    compression_destroy(shard->compression);
    blob_pool_destroy(shard->pool);
    free(shard);
}

int shard_listen(struct shard *shard, size_t index, int fd)
{
    const struct config *config = shard->options.config;
    const struct listening_item *item = &shard->options.listening->items[index];
    const struct reactor_listening listening = {
        .handler = gateway_handler(shard->gateway),
        .tls = item->tls,
        .proxy_timeout_ns = item->wants_proxy ? config->http_server.proxy_timeout_ns : 0,
        .is_reserved = item->is_internal,
        .is_shared = item->is_shared,
    };
    const int listener = reactor_listen_with(shard->reactor, fd, &listening);

    CHECK(listener < 0 || (size_t)listener == index);
    return listener < 0 ? listener : 0;
}

/* -- draining ---------------------------------------------------------------------------------- */

static bool tell_control(struct shard *shard, enum post_kind kind) ON_REACTOR
{
    const struct post post = {.kind = (uint8_t)kind};
    const struct bus_post packed = post_pack(&post);
    const size_t control = shard->options.config->reactor.count;
    return bus_tell(shard->options.bus, shard->options.index, control, &packed) == BUS_POSTED;
}

/* No client is connected any more, and the control is to be told, once. */
static bool owes_deserted(const struct shard *shard) ON_REACTOR
{
    return !shard->is_deserted && drain_is_deserted(&shard->drain);
}

/* Until when the archive may answer: one that stands still does when it is ended, after this. */
static uint64_t archive_until_ns(const struct shard *shard)
{
    return hub_has_given(shard->hub)
               ? shard->drain.deadline_ns + shard->options.config->store.timeout_ns
               : 0;
}

/* Nobody is connected and nothing is left to be posted, likewise. */
static bool owes_drained(const struct shard *shard) ON_REACTOR
{
    return !shard->is_drained && drain_is_over(&shard->drain) && hub_is_quiet(shard->hub) &&
           reactor_now(shard->reactor) >= archive_until_ns(shard);
}

static void go_on_draining(struct shard *shard) ON_REACTOR
{
    drain_step(&shard->drain);
    if (owes_deserted(shard)) {
        shard->is_deserted = tell_control(shard, POST_DESERTED);
    }
    if (owes_drained(shard)) {
        shard->is_drained = tell_control(shard, POST_DRAINED);
    }
}

/* When it is to be called at the latest, if nothing happens. */
static uint64_t draining_due_ns(const struct shard *shard) ON_REACTOR
{
    if (!drain_is_over(&shard->drain)) {
        return drain_due_ns(&shard->drain);
    }
    const uint64_t archive_ns = archive_until_ns(shard);
    return archive_ns > reactor_now(shard->reactor) ? archive_ns : UINT64_MAX;
}

/* -- another configuration --------------------------------------------------------------------- */

static void renew_keys(struct shard *shard, const struct settings *settings)
{
    token_keys_ref(settings->keys);
    token_verifier_renew_keys(shard->options.tokens, settings->keys);
}

static void renew_tls(struct shard *shard, const struct settings *settings) ON_REACTOR
{
    for (size_t i = 0; i < LISTENING_MAX; i++) {
        if (settings->tls[i] != NULL) {
            reactor_renew_tls(shard->reactor, (int)i, settings->tls[i]);
        }
    }
}

/* Nobody looks at the one before any more when this returns. */
static void change(struct shard *shard, const struct settings *settings) ON_REACTOR
{
    const struct config *config = settings->config;

    renew_keys(shard, settings);
    renew_tls(shard, settings);
    const struct hub_options hub = hub_options_of(shard, config, &settings->policies.table);
    hub_change(shard->hub, &hub);
    gateway_change(shard->gateway, config, &settings->api_key);
    compression_set_min_size(shard->compression, config->websocket.compression_min_size);
    shard->delivery.messages_per_frame_max = config->client.max_messages_per_frame;
    shard->drain.config = config;
    shard->slow_turn_ns = config->log.slow_turn_ns;
}

static void take_settings(struct shard *shard, const struct settings *settings, bool is_final)
    ON_REACTOR
{
    if (is_final) {
        change(shard, settings);
    } else {
        hub_learn(shard->hub, &settings->policies.table);
    }
    shard->owes_taken = true;
}

/* What the control waits for. */
static void say_taken(struct shard *shard) ON_REACTOR
{
    if (shard->owes_taken) {
        shard->owes_taken = !tell_control(shard, POST_SETTINGS_TAKEN);
    }
}

/* -- the loop ---------------------------------------------------------------------------------- */

static void take_overload(struct shard *shard, enum post_overload_level level) ON_REACTOR
{
    gateway_refuse_connections(shard->gateway, level >= POST_OVERLOAD_CONNECTIONS);
    hub_refuse_subscriptions(shard->hub, level >= POST_OVERLOAD_SUBSCRIPTIONS);
    shard->sheds = level >= POST_OVERLOAD_QUEUES;
}

static void take_post(struct shard *shard, const struct bus_post *packed) ON_REACTOR
{
    const struct post post = post_unpack(packed);

    if (post.kind == POST_STOP) {
        drain_begin(&shard->drain);
    } else if (post.kind == POST_CLOSE) {
        drain_end(&shard->drain);
    } else if (post.kind == POST_EXIT) {
        shard->is_exiting = true;
        hub_forget(shard->hub);
    } else if (post.kind == POST_OVERLOAD) {
        take_overload(shard, post.overload.level);
    } else if (post.kind == POST_RELOAD) {
        reload_desk_take(&shard->desk, &post.reload, shard->outbox, shard->pool);
    } else if (post.kind == POST_SETTINGS) {
        take_settings(shard, post.settings.settings, post.settings.is_final);
    } else if (post.kind == POST_KEY_SET) {
        token_verifier_renew_set(shard->options.tokens, (enum claims_kind)post.key_set.kind,
                                 post.key_set.set);
    } else {
        hub_take(shard->hub, &post);
    }
}

static void take_posts(struct shard *shard) ON_REACTOR
{
    struct bus_post posts[OUTBOX_POSTS_MAX];
    const bool was_exiting = shard->is_exiting;
    size_t taken = 0;
    size_t count = 0;

    hub_tick(shard->hub, reactor_now(shard->reactor));
    do {
        if (!outbox_is_roomy(shard->outbox)) {
            break;
        }
        count = bus_take(shard->options.bus, shard->options.index, posts, OUTBOX_POSTS_MAX);
        for (size_t i = 0; i < count; i++) {
            take_post(shard, &posts[i]);
        }
        taken += count;
    } while (count == OUTBOX_POSTS_MAX && taken < POSTS_PER_ITERATION);
    shard->posts = (uint32_t)taken;

    /*
     * After POST_EXIT once more: everybody's last posts were there before it, but maybe not yet
     * when this looked into their rings.
     */
    shard->has_posts = count == OUTBOX_POSTS_MAX || shard->is_exiting != was_exiting;
    hub_catch_up(shard->hub);
    (void)blob_pool_collect(shard->pool);
}

/* How long phase 1 may sleep: not at all when something is left over. */
static uint64_t sleep_ns(const struct shard *shard, uint64_t wait_ns) ON_REACTOR
{
    if (shard->has_posts || outbox_count(shard->outbox) > 0 ||
        gateway_has_answers(shard->gateway) || reactor_has_leftover(shard->reactor)) {
        return 0;
    }
    const bool retries = hub_has_backlog(shard->hub) || gateway_is_waiting(shard->gateway) ||
                         shard->owes_taken || owes_deserted(shard) || owes_drained(shard);
    const uint64_t now_ns = reactor_now(shard->reactor);
    const uint64_t hub_ns = hub_due_ns(shard->hub);
    const uint64_t drain_ns = draining_due_ns(shard);
    const uint64_t due_ns = hub_ns < drain_ns ? hub_ns : drain_ns;
    const uint64_t until_ns = due_ns > now_ns ? due_ns - now_ns : 0;
    const uint64_t most_ns = until_ns < wait_ns ? until_ns : wait_ns;
    if (retries && most_ns > RETRY_NS) {
        return RETRY_NS;
    }
    return hub_is_waiting(shard->hub) && most_ns > WAITING_NS ? WAITING_NS : most_ns;
}

static void wait(struct shard *shard, uint64_t wait_ns) ON_REACTOR
{
    struct bus *bus = shard->options.bus;
    const uint64_t timeout_ns = sleep_ns(shard, wait_ns);

    if (timeout_ns == 0 || !bus_may_sleep(bus, shard->options.index)) {
        reactor_wait(shard->reactor, 0);
        return;
    }
    reactor_wait(shard->reactor, timeout_ns);
    bus_awake(bus, shard->options.index);
}

/* Once a second, as far as anything happens: what is counted elsewhere and somebody has to see. */
static void report(struct shard *shard)
{
    struct metrics *metrics = shard->options.metrics;
    struct log *log = shard->options.log;

    if (reactor_now(shard->reactor) < shard->report_ns) {
        return;
    }
    shard->report_ns = reactor_now(shard->reactor) + NS_PER_S;
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
        log_uint("ms", spent_ns / NS_PER_MS),
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

static void update_metrics(struct shard *shard, uint64_t began_ns) ON_REACTOR
{
    struct metrics *metrics = shard->options.metrics;

    metrics_set(metrics, METRIC_BUS_POSTS, bus_posts(shard->options.bus, shard->options.index));
    metrics_set(metrics, METRIC_BUS_WAKES, bus_wakes(shard->options.bus, shard->options.index));
    metrics_set(metrics, METRIC_LOG_DROPPED, log_dropped(shard->options.log));
    hub_gauge(shard->hub);
    gauge_memory(shard);
    report(shard);
    const uint64_t spent_ns = monotime_read() - began_ns;
    const uint64_t deliveries = metrics_read(metrics, METRIC_DELIVERIES);
    metrics_observe(&metrics->loop, spent_ns);
    if (spent_ns > shard->slow_turn_ns) {
        report_slow(shard, spent_ns, deliveries - shard->reported_deliveries);
    }
    shard->reported_deliveries = deliveries;
    observe_deliveries(shard, reactor_now(shard->reactor) + spent_ns);
}

static void shed(struct shard *shard) ON_REACTOR
{
    if (shard->sheds) {
        shed_longest(shard->reactor, shard->gateway, shard->options.metrics);
        shard->sheds = false;
    }
}

/*
 * The seven phases. 1: sleep, then collect. 2: what other threads sent, bus -> chat. 3: commands
 * that waited, then bytes and frames, net -> chat. 4: the outbox, chat -> net. 5: publish posts,
 * wake sleepers, bus. 6: one send each, net. 7: timers, then free what was closed, net.
 */
void shard_step(struct shard *shard, uint64_t wait_ns)
{
    wait(shard, wait_ns); /* 1 */
    const uint64_t began_ns = monotime_read();
    compression_refill(shard->compression);
    take_posts(shard);                                   /* 2 */
    gateway_take_leases(shard->gateway);                 /* 3 */
    gateway_resume(shard->gateway);                      /* 3 */
    reactor_receive(shard->reactor);                     /* 3 */
    hub_recover(shard->hub);                             /* 3 */
    gateway_open_settled(shard->gateway);                /* 3 */
    gateway_take_places(shard->gateway);                 /* 3 */
    delivery_run(&shard->delivery);                      /* 4 */
    shed(shard);                                         /* 4 */
    hub_flush(shard->hub);                               /* 5 */
    go_on_draining(shard);                               /* 4: its posts go out in 5 */
    say_taken(shard);                                    /* likewise */
    bus_flush(shard->options.bus, shard->options.index); /* 5 */
    reactor_flush(shard->reactor);                       /* 6 */
    reactor_sweep(shard->reactor);                       /* 7 */
    update_metrics(shard, began_ns);
}

bool shard_is_done(const struct shard *shard)
{
    return shard->is_exiting && !shard->has_posts;
}

void shard_run(void *context)
{
    struct shard *shard = context;

    reactor_enter(shard->reactor);
    while (!shard_is_done(shard)) {
        shard_step(shard, UINT64_MAX);
    }
    reactor_leave(shard->reactor);
}

size_t shard_count_live(const struct shard *shard)
{
    /* What other threads gave back after the last iteration is not live. */
    (void)blob_pool_collect(shard->pool);
    return reactor_conn_count(shard->reactor) + gateway_count(shard->gateway) +
           hub_count_live(shard->hub) + blob_pool_count(shard->pool) + outbox_count(shard->outbox);
}

struct reactor *shard_reactor(struct shard *shard)
{
    return shard->reactor;
}
