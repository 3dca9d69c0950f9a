/* SPDX-License-Identifier: Apache-2.0 */
/* How the parts of a shard are made, in the order in which they need each other, and freed. */
#include <errno.h>
#include <stdlib.h>

#include "chat/hub.h"
#include "chat/outbox.h"
#include "core/blob.h"
#include "core/check.h"
#include "core/metrics_namespace.h"
#include "net/reactor.h"
#include "server/compression.h"
#include "server/config.h"
#include "server/gateway.h"
#include "server/listening.h"
#include "server/shard_state.h"

enum {
    OUTBOX_ENTRIES_MAX = 1 << 18, /* messages and publications of one iteration */
    OUTBOX_TEXT_MAX = 64 << 20,   /* bytes of messages of one iteration */
    PAGE_QUEUE_MIN = 1 << 20,     /* bytes */
    PENDING_MAX = 256 << 10,      /* bytes: a receive buffer, and a head of the largest size */
    RECEIVE_BUDGET = 256 << 10,   /* bytes per connection and iteration */
};

static const uint64_t rest_ns = UINT64_C(2) * SHARD_NS_PER_S; /* silent for so long: it rests */
/* Of publications on their way, per reactor. */
static const size_t blob_bytes_max = (size_t)1 << 32;

static int create_hub(struct shard *shard)
{
    const struct hub_options hub =
        shard_hub_options(shard, shard->options.config, shard->options.policies);
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
        .conn_count_max = shard_conn_count_max(config),
        .conn_count_reserved = SHARD_INTERNAL_CONNS,
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
        .conn_count_max = shard_conn_count_max(options->config),
        .seed = options->seed,
    };
    return gateway_create(&gateway, &shard->gateway);
}

static int create_parts(struct shard *shard)
{
    const struct outbox_options outbox = {
        .entry_count_max = OUTBOX_ENTRIES_MAX,
        .text_size_max = OUTBOX_TEXT_MAX,
        .conn_count_max = shard_conn_count_max(shard->options.config),
    };
    /* Whatever the homes keep may have been made here. */
    shard->pool =
        blob_pool_create(blob_bytes_max + shard->options.config->channel.history_memory_max);
    if (shard->pool == NULL) {
        return -ENOMEM;
    }
    shed_init(&shard->shed, shard->options.memory, shard->options.config->overload.memory_budget);
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
    };
    created->drain = (struct drain){
        .reactor = created->reactor,
        .gateway = created->gateway,
        .hub = created->hub,
        .metrics = options->metrics,
        .seed = options->seed,
    };
    shard_use_config(created, options->config);
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
