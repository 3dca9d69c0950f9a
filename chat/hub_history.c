/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command `history`: what a client may read goes as a question to the channel's home, which
 * answers with a page.
 */
#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/page.h"
#include "chat/permission.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/stream.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "proto/command.h"

void hub_answer_history(struct hub *hub, struct session *session, const struct post_page *page)
{
    if (page->error != CODES_ERROR_NONE) {
        hub_reply_error(&hub->reply, session, page->command, (enum codes_error)page->error);
        return;
    }
    uint8_t epoch[STREAM_EPOCH_SIZE];
    stream_write_epoch(page->epoch, epoch);
    struct event_history result = {.epoch = {epoch, sizeof(epoch)}, .offset = page->top};
    if (page->blob != NULL) {
        result.publications = page_text(page->blob);
    }
    hub_reply_history(&hub->reply, session, page->command, &result);
}

/* CODES_ERROR_NONE, or an epoch that no channel can have. */
static enum codes_error read_query(const struct hub *hub, const struct command_history *history,
                                   struct channel_query *query)
{
    const uint32_t most = hub->options.history_count_max;
    const bool all = history->limit < 0 || (uint32_t)history->limit > most;

    *query = (struct channel_query){
        .order = history->reverse ? PAGE_REVERSE : PAGE_FORWARD,
        .has_since = history->has_since,
        .has_epoch = history->since_epoch.size > 0,
        .count_max = all ? most : (uint32_t)history->limit,
        .since = history->since_offset,
    };
    return query->has_epoch && !stream_read_epoch(history->since_epoch, &query->epoch)
               ? CODES_ERROR_UNRECOVERABLE_POSITION
               : CODES_ERROR_NONE;
}

enum codes_error hub_ask_history(struct hub *hub, struct hub_asker asker,
                                 const struct command_history *history, uint64_t hash)
{
    struct channel_query query;
    const enum codes_error error = read_query(hub, history, &query);
    if (error != CODES_ERROR_NONE) {
        return error;
    }
    struct blob *name = hub_copy_name(hub, history->channel);
    if (name == NULL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    const unsigned flags = (query.order == PAGE_REVERSE ? POST_HISTORY_REVERSE : 0U) |
                           (query.has_since ? POST_HISTORY_SINCE : 0U) |
                           (query.has_epoch ? POST_HISTORY_EPOCH : 0U) |
                           (asker.is_api ? POST_HISTORY_API : 0U);
    const struct post post = {
        .kind = POST_HISTORY,
        .history =
            {
                .blob = name,
                .hash = hash,
                .session = asker.handle,
                .since = query.since,
                .epoch = query.epoch,
                .command = asker.number,
                .count_max = query.count_max,
                .flags = (uint8_t)flags,
            },
    };
    hub_ask(hub, ids_home_of(hash, hub->options.reactor_count), &post);
    return CODES_ERROR_NONE;
}

uint16_t hub_apply_history(struct hub *hub, struct session *session, const struct command *command)
{
    const struct command_history *history = &command->history;
    if (history->channel.size == 0) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    const uint64_t hash = table_hash(&hub->options.key, history->channel);
    enum codes_error error = hub_may(hub, session, history->channel, hash, PERMISSION_HISTORY);
    if (error == CODES_ERROR_NONE) {
        error = hub_ask_history(hub, hub_asker_of(hub, session, command->id), history, hash);
    }
    if (error != CODES_ERROR_NONE) {
        hub_reply_error(&hub->reply, session, command->id, error);
    }
    return 0;
}
