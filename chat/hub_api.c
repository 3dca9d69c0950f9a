/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/hub_api.h"

#include "chat/hub_state.h"
#include "chat/idempotency.h"
#include "chat/identity.h"
#include "chat/order.h"
#include "chat/outbox.h"
#include "chat/page.h"
#include "chat/permission.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/publication.h"
#include "chat/stream.h"
#include "core/blob.h"
#include "core/check.h"
#include "core/metrics.h"
#include "proto/api_result.h"

enum { AROUND_LIST = 256 }; /* bytes of a result that are not publications, or members */

/* -- who asks ---------------------------------------------------------------------------------- */

static struct hub_asker asker_of(struct hub_api_asker asker)
{
    return (struct hub_asker){
        .handle = {asker.conn.slot, asker.conn.generation, asker.conn.reactor},
        .number = asker.part,
        .is_api = true,
    };
}

static struct conn_id conn_of(struct ids_handle handle)
{
    return (struct conn_id){handle.slot, handle.generation, handle.reactor};
}

/* -- answers ----------------------------------------------------------------------------------- */

void hub_api_refuse(struct hub *hub, struct hub_asker asker, enum codes_error error)
{
    CHECK(error != CODES_ERROR_NONE);
    outbox_answer(hub->options.outbox, conn_of(asker.handle), asker.number, (uint16_t)error, 0);
}

/* Because of that member, whose name is told if there is room. NULL: of none. */
static void refuse(struct hub *hub, struct hub_asker asker, enum codes_error error,
                   const char *member)
{
    struct json_writer writer;

    if (member == NULL) {
        hub_api_refuse(hub, asker, error);
        return;
    }
    json_writer_init(&writer, outbox_begin(hub->options.outbox));
    api_result_write_fault(&writer, error, member);
    outbox_answer(hub->options.outbox, conn_of(asker.handle), asker.number, (uint16_t)error,
                  json_writer_fits(&writer) ? json_writer_bytes(&writer).size : 0);
}

static struct json_writer begin(struct hub *hub, size_t list_size)
{
    struct json_writer writer;
    json_writer_init(&writer, outbox_begin_long(hub->options.outbox, list_size + AROUND_LIST));
    return writer;
}

/* What was written is the result; if there was no room for it, to try again later. */
static void commit(struct hub *hub, struct hub_asker asker, const struct json_writer *writer)
{
    if (!json_writer_fits(writer)) {
        hub_api_refuse(hub, asker, CODES_ERROR_INTERNAL);
        return;
    }
    outbox_answer(hub->options.outbox, conn_of(asker.handle), asker.number, CODES_ERROR_NONE,
                  json_writer_bytes(writer).size);
}

void hub_api_take_published(struct hub *hub, const struct post_publish_answer *answer)
{
    const struct hub_asker asker = {.handle = answer->session, .number = answer->command};
    if (answer->error != CODES_ERROR_NONE) {
        hub_api_refuse(hub, asker, (enum codes_error)answer->error);
        return;
    }
    uint8_t epoch[STREAM_EPOCH_SIZE];
    struct event_accepted result = {.offset = 0};
    if (answer->epoch != 0) {
        stream_write_epoch(answer->epoch, epoch);
        result = (struct event_accepted){{epoch, sizeof(epoch)}, answer->offset};
    }
    struct json_writer writer = begin(hub, 0);
    api_result_write_published(&writer, &result);
    commit(hub, asker, &writer);
}

static void take_done(struct hub *hub, struct hub_asker asker)
{
    struct json_writer writer = begin(hub, 0);
    api_result_write_done(&writer);
    commit(hub, asker, &writer);
}

void hub_api_take_page(struct hub *hub, const struct post_page *page)
{
    const struct hub_asker asker = {.handle = page->asker, .number = page->command};
    if (page->error != CODES_ERROR_NONE) {
        hub_api_refuse(hub, asker, (enum codes_error)page->error);
        return;
    }
    if (page->is_removal) {
        take_done(hub, asker);
        return;
    }
    uint8_t epoch[STREAM_EPOCH_SIZE];
    stream_write_epoch(page->epoch, epoch);
    struct event_history result = {.epoch = {epoch, sizeof(epoch)}, .offset = page->top};
    if (page->blob != NULL) {
        result.publications = page_text(page->blob);
    }
    struct json_writer writer = begin(hub, result.publications.size);
    api_result_write_history(&writer, &result);
    commit(hub, asker, &writer);
}

static void take_channels(struct hub *hub, struct hub_asker asker, struct presence_parts parts)
{
    struct json_writer writer = begin(hub, hub_channels_size(parts));
    api_result_write_channels_begin(&writer);
    const bool written = hub_write_channels(&writer, parts);
    api_result_write_channels_end(&writer);
    if (written) {
        commit(hub, asker, &writer);
    } else {
        hub_api_refuse(hub, asker, CODES_ERROR_INTERNAL);
    }
}

void hub_api_take_parts(struct hub *hub, struct hub_asker asker, enum post_what what,
                        struct presence_parts parts, const struct presence_limits *limits)
{
    if (what == POST_CHANNELS) {
        take_channels(hub, asker, parts);
        return;
    }
    struct json_writer writer = begin(hub, what == POST_WHO ? presence_size(parts, limits) : 0);
    if (what == POST_WHO) {
        api_result_write_presence_begin(&writer);
        presence_write(&writer, parts, limits);
        api_result_write_presence_end(&writer);
    } else if (what == POST_HOW_MANY) {
        const struct presence_numbers numbers = presence_count(parts);
        api_result_write_presence_stats(&writer, numbers.client_count, numbers.user_count);
    } else {
        api_result_write_done(&writer);
    }
    commit(hub, asker, &writer);
}

/* -- questions --------------------------------------------------------------------------------- */

/* CODES_ERROR_NONE, or why there is no such channel: that is all that a back end is asked. */
static enum codes_error judge(struct hub *hub, struct bytes channel)
{
    const struct permission_subject back_end = {.is_back_end = true};
    return hub_error_for(
        hub,
        permission_judge(hub->options.policies, back_end, channel, PERMISSION_PUBLISH).verdict);
}

/*
 * Where nothing is kept, nothing says what was published before; and the version of what is stored
 * is not stored with it.
 */
static enum codes_error judge_publish(const struct policy *policy,
                                      const struct api_publish *publish, const char **member)
{
    const bool is_kept = policy_has_history(policy) && !publish->skip_history;

    if (publish->key.size > 0) {
        *member = "idempotency_key";
        if (publish->key.size > IDEMPOTENCY_KEY_SIZE_MAX) {
            return CODES_ERROR_BAD_REQUEST;
        }
        if (!is_kept) {
            return CODES_ERROR_NOT_AVAILABLE;
        }
    }
    if (publish->version > 0 && (!is_kept || policy_is_durable(policy))) {
        *member = "version";
        return CODES_ERROR_NOT_AVAILABLE;
    }
    *member = NULL;
    return CODES_ERROR_NONE;
}

static uint64_t hash_epoch(const struct hub *hub, struct bytes epoch)
{
    return epoch.size == 0 ? 0 : table_hash(&hub->options.key, epoch) | 1;
}

static enum codes_error publish_to(struct hub *hub, struct hub_asker asker, struct bytes channel,
                                   const struct api_publish *publish, const char **member)
{
    enum codes_error error = judge(hub, channel);
    if (error == CODES_ERROR_NONE) {
        error = judge_publish(policy_find(hub->options.policies, channel), publish, member);
    }
    if (error != CODES_ERROR_NONE) {
        return error;
    }
    const struct publication_source source = {
        .channel = channel,
        .data = publish->data,
        .tags = publish->tags,
        .key = publish->key,
        .now_ns = hub->now_ns,
        .skips_history = publish->skip_history,
        .version = publish->version,
        .version_epoch = hash_epoch(hub, publish->version_epoch),
    };
    return hub_ask_publish(hub, asker, &source, table_hash(&hub->options.key, channel));
}

void hub_api_publish(struct hub *hub, struct hub_api_asker asker, struct bytes channel,
                     const struct api_publish *publish)
{
    const char *member = NULL;

    hub_use_allowance(hub);
    const enum codes_error error = publish_to(hub, asker_of(asker), channel, publish, &member);
    if (error != CODES_ERROR_NONE) {
        refuse(hub, asker_of(asker), error, member);
    }
}

/* The same, and whether there is history. */
static enum codes_error judge_history(struct hub *hub, struct bytes channel)
{
    const enum codes_error error = judge(hub, channel);
    if (error != CODES_ERROR_NONE) {
        return error;
    }
    return policy_has_history(policy_find(hub->options.policies, channel))
               ? CODES_ERROR_NONE
               : CODES_ERROR_NOT_AVAILABLE;
}

static enum codes_error ask_removal(struct hub *hub, struct hub_asker asker, struct bytes channel)
{
    const enum codes_error error = judge_history(hub, channel);
    if (error != CODES_ERROR_NONE) {
        return error;
    }
    struct blob *name = hub_copy_name(hub, channel);
    if (name == NULL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    const uint64_t hash = table_hash(&hub->options.key, channel);
    const struct post post = {
        .kind = POST_HISTORY,
        .history =
            {
                .blob = name,
                .hash = hash,
                .session = asker.handle,
                .command = asker.number,
                .flags = POST_HISTORY_API | POST_HISTORY_REMOVE,
            },
    };
    hub_ask(hub, ids_home_of(hash, hub->options.reactor_count), &post);
    return CODES_ERROR_NONE;
}

static enum codes_error ask_history(struct hub *hub, struct hub_asker asker,
                                    const struct command_history *history)
{
    const enum codes_error error = judge_history(hub, history->channel);
    if (error != CODES_ERROR_NONE) {
        return error;
    }
    return hub_ask_history(hub, asker, history, table_hash(&hub->options.key, history->channel));
}

static enum codes_error ask_presence(struct hub *hub, struct hub_asker asker, struct bytes channel,
                                     enum post_what what)
{
    const enum codes_error error = judge(hub, channel);
    if (error != CODES_ERROR_NONE) {
        return error;
    }
    if (!policy_find(hub->options.policies, channel)->presence) {
        return CODES_ERROR_NOT_AVAILABLE;
    }
    return hub_ask_everybody(hub, asker, what, hub_copy_name(hub, channel),
                             table_hash(&hub->options.key, channel));
}

static enum codes_error ask(struct hub *hub, struct hub_asker asker,
                            const struct api_command *command)
{
    switch (command->method) {
    case API_PRESENCE:
        return ask_presence(hub, asker, command->presence.channel, POST_WHO);
    case API_PRESENCE_STATS:
        return ask_presence(hub, asker, command->presence.channel, POST_HOW_MANY);
    case API_HISTORY:
        return ask_history(hub, asker, &command->history);
    case API_HISTORY_REMOVE:
        return ask_removal(hub, asker, command->presence.channel);
    case API_CHANNELS:
        return hub_ask_everybody(hub, asker, POST_CHANNELS,
                                 hub_copy_name(hub, command->channels.channel), 0);
    case API_PUBLISH:
    case API_BROADCAST:
    case API_INFO:
    case API_RPC:
    case API_SUBSCRIBE:
    case API_UNSUBSCRIBE:
    case API_DISCONNECT:
    case API_REFRESH:
    case API_BLOCK_USER:
    case API_UNBLOCK_USER:
    case API_REVOKE_TOKEN:
    case API_INVALIDATE_USER_TOKENS:
    case API_RELOAD:
        break;
    }
    NEVER("a method that is not one question");
}

void hub_api_ask(struct hub *hub, struct hub_api_asker asker, const struct api_command *command)
{
    hub_use_allowance(hub);
    const enum codes_error error = ask(hub, asker_of(asker), command);
    if (error != CODES_ERROR_NONE) {
        hub_api_refuse(hub, asker_of(asker), error);
    }
}

static enum codes_error order_all(struct hub *hub, struct hub_asker asker,
                                  const struct order *order)
{
    enum codes_error error =
        order->channel.size > 0 ? judge(hub, order->channel) : CODES_ERROR_NONE;
    if (!identity_json_is_good(order->info) || !identity_json_is_good(order->data)) {
        error = CODES_ERROR_BAD_REQUEST;
    }
    return error != CODES_ERROR_NONE
               ? error
               : hub_ask_everybody(hub, asker, POST_ORDER, order_pack(hub->options.pool, order), 0);
}

void hub_api_order(struct hub *hub, struct hub_api_asker asker, const struct order *order)
{
    hub_use_allowance(hub);
    const enum codes_error error = order_all(hub, asker_of(asker), order);
    if (error != CODES_ERROR_NONE) {
        hub_api_refuse(hub, asker_of(asker), error);
    }
}
