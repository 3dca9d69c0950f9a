/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the chat: command by command to the hub. What has to wait is kept, and its connection
 * is not read meanwhile.
 */
#include <stdlib.h>
#include <string.h>

#include "chat/hub.h"
#include "core/check.h"
#include "proto/codes.h"
#include "proto/command.h"
#include "proto/frame.h"
#include "server/compression.h"
#include "server/config.h"
#include "server/gateway_state.h"

static void count_command(struct gateway *gateway, enum command_method method)
{
    static const enum metrics_id ids[COMMAND_METHOD_COUNT] = {
        [COMMAND_PONG] = METRIC_COMMANDS_PING,
        [COMMAND_CONNECT] = METRIC_COMMANDS_CONNECT,
        [COMMAND_SUBSCRIBE] = METRIC_COMMANDS_SUBSCRIBE,
        [COMMAND_UNSUBSCRIBE] = METRIC_COMMANDS_UNSUBSCRIBE,
        [COMMAND_PUBLISH] = METRIC_COMMANDS_PUBLISH,
        [COMMAND_PRESENCE] = METRIC_COMMANDS_PRESENCE,
        [COMMAND_PRESENCE_STATS] = METRIC_COMMANDS_PRESENCE_STATS,
        [COMMAND_HISTORY] = METRIC_COMMANDS_HISTORY,
        [COMMAND_PING] = METRIC_COMMANDS_PING,
        [COMMAND_SEND] = METRIC_COMMANDS_SEND,
        [COMMAND_RPC] = METRIC_COMMANDS_RPC,
        [COMMAND_REFRESH] = METRIC_COMMANDS_REFRESH,
        [COMMAND_SUB_REFRESH] = METRIC_COMMANDS_SUB_REFRESH,
    };
    metrics_add(gateway->options.metrics, ids[method], 1);
}

static void end_bad_command(struct gateway *gateway, struct peer *peer, uint16_t code) ON_REACTOR
{
    metrics_add(gateway->options.metrics, METRIC_REJECTED_BAD_COMMAND, 1);
    gateway_end(gateway, peer, code);
}

/* What was wrong with the token that such a command may show, if anything was. */
static void log_token(const struct gateway *gateway, const struct peer *peer,
                      enum command_method method) ON_REACTOR
{
    if (method == COMMAND_CONNECT || method == COMMAND_REFRESH) {
        gateway_log_token(gateway, peer, CLAIMS_CONNECTION);
    } else if (method == COMMAND_SUBSCRIBE || method == COMMAND_SUB_REFRESH) {
        gateway_log_token(gateway, peer, CLAIMS_SUBSCRIPTION);
    }
}

static void apply(struct gateway *gateway, struct peer *peer, const struct command *command)
    ON_REACTOR
{
    count_command(gateway, command->method);
    if (command->method == COMMAND_PONG) {
        if (!gateway_take_pong(gateway, peer)) {
            end_bad_command(gateway, peer, CODES_DISCONNECT_BAD_REQUEST);
        }
        return;
    }
    const uint16_t code = hub_apply(gateway->options.hub, peer->session, command);
    log_token(gateway, peer, command->method);
    if (code != 0) {
        end_bad_command(gateway, peer, code);
        return;
    }
    if (!peer->is_connected && hub_has_admitted(peer->session)) {
        gateway_begin_pings(gateway, peer);
    }
}

/* Reads and applies commands until there are none, or one has to wait; that one is not touched. */
static enum gateway_run run_commands(struct gateway *gateway, struct peer *peer,
                                     struct command_reader *reader) ON_REACTOR
{
    for (;;) {
        const enum gateway_run stop =
            gateway_admit(gateway, peer, command_reader_is_at_pong(reader));
        if (stop != GATEWAY_RUN_DONE || peer->state != PEER_CHAT) {
            return stop;
        }
        struct command command;
        const enum command_verdict verdict = command_next(reader, &command);
        if (verdict == COMMAND_END) {
            return GATEWAY_RUN_DONE;
        }
        if (verdict != COMMAND_OK) {
            end_bad_command(gateway, peer, CODES_DISCONNECT_BAD_REQUEST);
            return GATEWAY_RUN_DONE;
        }
        apply(gateway, peer, &command);
        if (peer->state == PEER_CHAT && hub_is_arriving(peer->session)) {
            peer->waits_for_reply = true;
            return GATEWAY_RUN_WAITS_REPLY;
        }
        if (peer->state != PEER_CHAT || command_reader_rest(reader).size == 0) {
            return GATEWAY_RUN_DONE;
        }
    }
}

/* Keeps what is left of a message. Its connection is not read until it has been worked off. */
static void hold(struct gateway *gateway, struct peer *peer, struct span rest) ON_REACTOR
{
    CHECK(peer->held == NULL);
    if (rest.size == 0) {
        conn_pause(peer->conn);
        return;
    }
    peer->held = malloc(sizeof(*peer->held) + rest.size);
    if (peer->held == NULL) {
        gateway_give_up(gateway, peer);
        return;
    }
    peer->held->offset = 0;
    peer->held->size = rest.size;
    memcpy(peer->held->text, rest.data, rest.size);
    conn_pause(peer->conn);
}

/* Nothing is held: if it is paused, then for what it sent compressed. False: others go first. */
static bool read_on(struct gateway *gateway, struct peer *peer) ON_REACTOR
{
    struct compression *compression = gateway->options.compression;

    if (!conn_is_paused(peer->conn)) {
        return true;
    }
    if (compression != NULL &&
        !compression_admit(compression, gateway->options.config->websocket.message_size_limit)) {
        return false;
    }
    conn_resume(peer->conn);
    return true;
}

bool gateway_read_held(struct gateway *gateway, struct peer *peer)
{
    if (peer->waits_for_reply || peer->state != PEER_CHAT || conn_is_closing(peer->conn)) {
        return true;
    }
    if (peer->held == NULL) {
        return read_on(gateway, peer);
    }
    struct command_reader reader;
    command_reader_init(&reader, (struct span){peer->held->text + peer->held->offset,
                                               peer->held->size - peer->held->offset});
    const enum gateway_run stop = run_commands(gateway, peer, &reader);
    const size_t left = command_reader_rest(&reader).size;
    if (stop != GATEWAY_RUN_DONE && left > 0) {
        peer->held->offset = peer->held->size - left;
        return stop != GATEWAY_RUN_WAITS_HUB;
    }
    free(peer->held);
    peer->held = NULL;
    if (stop == GATEWAY_RUN_DONE) {
        conn_resume(peer->conn);
    }
    return true;
}

void gateway_take_commands(struct gateway *gateway, struct peer *peer,
                           const struct stream_event *event)
{
    if (event->opcode != FRAME_TEXT) {
        end_bad_command(gateway, peer, CODES_DISCONNECT_INAPPROPRIATE_PROTOCOL);
        return;
    }
    struct command_reader reader;
    command_reader_init(&reader, event->payload);
    const enum gateway_run stop = run_commands(gateway, peer, &reader);
    if (stop == GATEWAY_RUN_DONE) {
        return;
    }
    hold(gateway, peer, command_reader_rest(&reader));
    if (stop == GATEWAY_RUN_WAITS_HUB) {
        gateway_wait_for_hub(gateway, peer);
    }
}
