/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway itself: what a configuration says for it, and what all its peers share. Their lives
 * are in gateway_peer.c, the other files in gateway_state.h.
 */
#include "server/gateway.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/slab.h"
#include "proto/event.h"
#include "proto/frame.h"
#include "server/config.h"
#include "server/gateway_state.h"
#include "server/listening.h"

enum { PING_SIZE_MAX = 16 }; /* bytes of the protocol's ping */

static void take_limits(struct gateway *gateway, const struct config *config)
{
    gateway->http_limits = (struct http_limits){
        .head_size_max = config->http_server.max_header_bytes,
        .header_count_max = config->http_server.max_headers,
        .target_size_max = config->http_server.max_uri,
    };
    for (int compression = 0; compression < 2; compression++) {
        gateway->chat_limits[compression] = (struct stream_limits){
            .message_size_max = config->websocket.message_size_limit,
            .fragment_count_max = config->websocket.max_fragments,
            .compression = compression != 0,
        };
        gateway->echo_limits[compression] = (struct stream_limits){
            .message_size_max = config->echo.message_size_limit,
            .fragment_count_max = UINT32_MAX,
            .compression = compression != 0,
        };
    }
    gateway->command_rate = (struct limits_rate){
        .per_second = config->client.command_rate,
        .burst = config->client.command_burst,
    };
    gateway->control_rate = (struct limits_rate){
        .per_second = config->client.control_rate,
        .burst = config->client.control_burst,
    };
    gateway->limits_commands =
        config->client.user_command_rate > 0 || config->client.address_command_rate > 0;
}

static void take_api(struct gateway *gateway, const struct config *config,
                     const struct api_key *api_key)
{
    gateway->api_options = (struct api_request_options){
        .hub = gateway->options.hub,
        .simd = gateway->options.simd,
        .site = gateway->options.site,
        .desk = gateway->options.desk,
        .metrics = gateway->options.metrics,
        .body_bytes_max = config->http_api.max_body_bytes,
        .answer_bytes_max = config->http_api.max_answer_bytes,
        .in_flight_max = config->http_api.max_in_flight,
    };
    gateway->api_gate = (struct api_gate){
        .insecure = config->http_api.insecure,
        .body_bytes_max = config->http_api.max_body_bytes,
    };
    if (api_key != NULL) {
        gateway->api_gate.key = *api_key;
    }
}

int gateway_create(const struct gateway_options *options, struct gateway **gateway)
{
    CHECK(options->config != NULL);
    CHECK(options->conn_count_max > 0);

    struct gateway *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    created->random = options->seed | 1;
    gateway_set_handler(created);
    take_limits(created, options->config);
    take_api(created, options->config, options->api_key);
    created->options.api_key = NULL;
    created->peers = slab_create(sizeof(struct peer), options->conn_count_max);
    if (created->peers == NULL) {
        goto free_created;
    }
    created->waiting = calloc(options->conn_count_max, sizeof(*created->waiting));
    if (created->waiting == NULL) {
        goto destroy_peers;
    }
    *gateway = created;
    return 0;

destroy_peers:
    slab_destroy(created->peers);
free_created:
    free(created);
    return -ENOMEM;
}

void gateway_change(struct gateway *gateway, const struct config *config,
                    const struct api_key *api_key)
{
    gateway->options.config = config;
    take_limits(gateway, config);
    take_api(gateway, config, api_key);
}

void gateway_refuse_connections(struct gateway *gateway, bool refuses)
{
    gateway->refuses_connections = refuses;
}

int gateway_attach(struct gateway *gateway, struct reactor *reactor)
{
    gateway->reactor = reactor;
    gateway->began_ns = reactor_now(reactor);

    uint8_t frame[FRAME_HEADER_SIZE_MAX + PING_SIZE_MAX];
    uint8_t text[PING_SIZE_MAX];
    struct json_writer writer;
    json_writer_init(&writer, (struct span){text, sizeof(text)});
    event_write_ping(&writer);
    CHECK(json_writer_fits(&writer));
    const struct bytes ping = json_writer_bytes(&writer);
    const size_t header_size = frame_write_header(FRAME_TEXT, ping.size, frame);
    memcpy(frame + header_size, ping.data, ping.size);
    gateway->ping = gateway_packet(gateway, (struct bytes){frame, header_size + ping.size});
    return gateway->ping == NULL ? -ENOMEM : 0;
}

void gateway_detach(struct gateway *gateway)
{
    if (gateway->ping != NULL) {
        packet_unref(gateway->ping);
        gateway->ping = NULL;
    }
}

void gateway_destroy(struct gateway *gateway)
{
    if (gateway == NULL) {
        return;
    }
    CHECK(slab_count(gateway->peers) == 0);
    CHECK(gateway->ping == NULL);
    free(gateway->waiting);
    slab_destroy(gateway->peers);
    free(gateway);
}

const struct conn_handler *gateway_handler(const struct gateway *gateway)
{
    return &gateway->handler;
}

void gateway_stop_listening(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->options.listening->count; i++) {
        if (!gateway->options.listening->items[i].is_internal) {
            reactor_close_listener(gateway->reactor, (int)i);
        }
    }
}

uint32_t gateway_client_count(const struct gateway *gateway)
{
    return gateway->client_count;
}

size_t gateway_count(const struct gateway *gateway)
{
    return slab_count(gateway->peers);
}

size_t gateway_bytes(const struct gateway *gateway)
{
    return slab_bytes(gateway->peers);
}

struct packet *gateway_packet(struct gateway *gateway, struct bytes bytes)
{
    struct packet *packet = packet_create(reactor_packets(gateway->reactor), bytes.size);
    if (packet != NULL) {
        memcpy(packet_span(packet).data, bytes.data, bytes.size);
    }
    return packet;
}
