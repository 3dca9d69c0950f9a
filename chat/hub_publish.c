/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command `publish`, and the rpc of that name, which may carry an idempotency key and is told
 * where its publication is.
 */
#include <string.h>

#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/publication.h"
#include "chat/session.h"
#include "core/metrics.h"
#include "proto/command.h"

_Static_assert(HUB_INFO_SIZE_MAX >= JSON_WRITER_ESCAPE_SIZE_MAX * IDENTITY_USER_SIZE_MAX +
                                        2 * IDENTITY_JSON_SIZE_MAX + 128,
               "a user, two infos, a client id and their names");

/* Who publishes, and as whom in that channel. Good until the next one. */
static struct bytes write_info(struct hub *hub, const struct session *session, struct bytes channel,
                               uint64_t hash)
{
    uint8_t id[SESSION_ID_TEXT_SIZE];
    const int index = hub_find(hub, session, channel, hash);
    const struct session_subscription *subscription =
        index < 0 ? NULL : &session->subscriptions[index];
    const struct event_client_info info =
        session_describe(session->id, session_cards(session, subscription), id);
    struct json_writer writer;

    json_writer_init(&writer, (struct span){hub->info, sizeof(hub->info)});
    event_write_client_info(&writer, &info);
    CHECK(json_writer_fits(&writer));
    return json_writer_bytes(&writer);
}

/* CODES_ERROR_NONE, or why it is refused before its home is asked. */
static enum codes_error judge(struct hub *hub, const struct session *session,
                              const struct command_publish *publish, uint64_t hash)
{
    const enum codes_error error =
        hub_may(hub, session, publish->channel, hash, PERMISSION_PUBLISH);
    if (error != CODES_ERROR_NONE || publish->key.size == 0) {
        return error;
    }
    if (publish->key.size > IDEMPOTENCY_KEY_SIZE_MAX) {
        return CODES_ERROR_BAD_REQUEST;
    }
    /* Where nothing is kept, nothing says what was published before. */
    return policy_has_history(policy_find(hub->options.policies, publish->channel))
               ? CODES_ERROR_NONE
               : CODES_ERROR_NOT_AVAILABLE;
}

enum codes_error hub_ask_publish(struct hub *hub, struct hub_asker asker,
                                 const struct publication_source *source, uint64_t hash)
{
    struct blob *blob = publication_create(hub->options.pool, source);
    if (blob == NULL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    const struct post post = {
        .kind = POST_PUBLISH,
        .publish =
            {
                .blob = blob,
                .hash = hash,
                .session = asker.handle,
                .command = asker.number,
                .name_size = (uint16_t)source->channel.size,
                .key_size = (uint8_t)source->key.size,
                .is_rpc = asker.is_rpc,
                .is_api = asker.is_api,
                .skips_history = source->skips_history,
                .version = source->version,
                .version_epoch = source->version_epoch,
            },
    };
    hub_ask(hub, ids_home_of(hash, hub->options.reactor_count), &post);
    return CODES_ERROR_NONE;
}

static enum codes_error ask_for(struct hub *hub, const struct session *session,
                                const struct command *command,
                                const struct command_publish *publish, uint64_t hash)
{
    const struct publication_source source = {
        .channel = publish->channel,
        .data = publish->data,
        .info = write_info(hub, session, publish->channel, hash),
        .key = publish->key,
        .now_ns = hub->now_ns,
    };
    struct hub_asker asker = hub_asker_of(hub, session, command->id);
    asker.is_rpc = command->method == COMMAND_RPC;
    return hub_ask_publish(hub, asker, &source, hash);
}

static uint16_t apply(struct hub *hub, struct session *session, const struct command *command,
                      const struct command_publish *publish)
{
    if (publish->channel.size == 0 || publish->data.size == 0) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    const uint64_t hash = table_hash(&hub->options.key, publish->channel);
    enum codes_error error = judge(hub, session, publish, hash);
    if (error == CODES_ERROR_NONE) {
        error = ask_for(hub, session, command, publish, hash);
    }
    if (error != CODES_ERROR_NONE) {
        hub_reply_error(&hub->reply, session, command->id, error);
    }
    return 0;
}

uint16_t hub_apply_publish(struct hub *hub, struct session *session, const struct command *command)
{
    return apply(hub, session, command, &command->publish);
}

uint16_t hub_apply_rpc(struct hub *hub, struct session *session, const struct command *command)
{
    static const char method[] = "publish";
    const struct command_rpc *rpc = &command->rpc;
    struct command_publish publish;

    if (rpc->method.size != sizeof(method) - 1 ||
        memcmp(rpc->method.data, method, rpc->method.size) != 0) {
        hub_reply_error(&hub->reply, session, command->id, CODES_ERROR_NOT_AVAILABLE);
        return 0;
    }
    if (rpc->data.size == 0 || command_read_publish(rpc->data, &publish) != COMMAND_OK) {
        hub_reply_error(&hub->reply, session, command->id, CODES_ERROR_BAD_REQUEST);
        return 0;
    }
    return apply(hub, session, command, &publish);
}
