/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Questions to every reactor, for `presence`, `presence_stats`, and what back ends want of all:
 * each says its part, and with the last one the answer is put together.
 *
 * A question that is open has one credit at each of the others. So there are never more than
 * bus.reserve of them, and each one ends, for an answer is never refused; when the session has gone
 * meanwhile, with nothing.
 */
#include <stdlib.h>

#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/outbox.h"
#include "chat/permission.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/presence.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/slab.h"
#include "proto/command.h"

/* One command that waits for what the other reactors say. */
struct question {
    struct hub_asker asker;
    uint16_t missing; /* parts that are still to come */
    uint16_t part_count;
    uint8_t what;  /* enum post_what */
    uint8_t error; /* enum codes_error, of some reactor: most often it had no memory */
    struct blob *parts[];
};

size_t hub_question_size(uint16_t reactor_count)
{
    return sizeof(struct question) + reactor_count * sizeof(struct blob *);
}

static struct presence_limits limits_of(const struct hub *hub)
{
    return (struct presence_limits){
        .count_max = hub->options.presence_max_list,
        .bytes_max = hub->options.page_bytes_max,
    };
}

/* Who is in a channel here, or how many. NULL: nobody, and the same with an error: no memory. */
static enum codes_error list_members(struct hub *hub, uint64_t hash, struct bytes channel,
                                     enum post_what what, struct blob **part)
{
    const struct presence_limits limits = limits_of(hub);
    struct room *room = roster_find(hub->roster, hash, channel);

    *part = NULL;
    if (room == NULL || room->member_count == 0) {
        return CODES_ERROR_NONE;
    }
    *part = what == POST_HOW_MANY ? presence_users(room, hub->sessions, hub->options.pool)
                                  : presence_list(room, hub->sessions, &limits, hub->options.pool);
    if (room->herald != NULL) {
        hub_news_changed(hub, room);
    }
    return *part != NULL ? CODES_ERROR_NONE : CODES_ERROR_INTERNAL;
}

/* What this reactor says, or does. */
static enum codes_error make_part(struct hub *hub, uint64_t hash, const struct blob *blob,
                                  enum post_what what, struct blob **part)
{
    enum codes_error error = CODES_ERROR_NONE;

    *part = NULL;
    switch (what) {
    case POST_WHO:
    case POST_HOW_MANY:
        error = list_members(hub, hash, blob_bytes(blob), what, part);
        break;
    case POST_CHANNELS:
        error = hub_list_channels(hub, blob_bytes(blob), part);
        break;
    case POST_ORDER:
        error = hub_obey(hub, blob);
        break;
    }
    if (error == CODES_ERROR_INTERNAL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
    }
    return error;
}

/* -- who asks ---------------------------------------------------------------------------------- */

static void reply_to_session(struct hub *hub, const struct question *question,
                             struct presence_parts parts)
{
    const uint32_t command = question->asker.number;
    struct session *session = hub_session(hub, question->asker.handle);

    if (session == NULL) {
        return;
    }
    if (question->error != CODES_ERROR_NONE) {
        hub_reply_error(&hub->reply, session, command, (enum codes_error)question->error);
    } else if (question->what == POST_HOW_MANY) {
        const struct presence_numbers numbers = presence_count(parts);
        hub_reply_presence_stats(&hub->reply, session, command, &numbers);
    } else {
        const struct presence_limits limits = limits_of(hub);
        hub_reply_presence(&hub->reply, session, command, parts, &limits);
    }
}

static void reply(struct hub *hub, const struct question *question)
{
    const struct presence_parts parts = {question->parts, question->part_count};

    if (!question->asker.is_api) {
        reply_to_session(hub, question, parts);
    } else if (question->error != CODES_ERROR_NONE) {
        hub_api_refuse(hub, question->asker, (enum codes_error)question->error);
    } else {
        const struct presence_limits limits = limits_of(hub);
        hub_api_take_parts(hub, question->asker, (enum post_what)question->what, parts, &limits);
    }
}

/* A part came in, which may be nothing; with the last one the question is answered and gone. */
static void add_part(struct hub *hub, uint32_t slot, struct blob *part, uint8_t error)
{
    struct question *question = slab_at(hub->questions, slot);

    CHECK(question != NULL);
    CHECK(question->missing > 0);
    question->error = question->error != CODES_ERROR_NONE ? question->error : error;
    if (part != NULL) {
        question->parts[question->part_count++] = part;
    }
    if (--question->missing > 0) {
        return;
    }
    reply(hub, question);
    for (size_t i = 0; i < question->part_count; i++) {
        blob_drop(question->parts[i], hub->options.pool);
    }
    slab_give(hub->questions, slot);
}

/* Takes one share of the blob. */
static void ask(struct hub *hub, uint16_t reactor, struct blob *blob, uint64_t hash, uint32_t slot)
{
    const struct question *question = slab_at(hub->questions, slot);
    const struct post post = {
        .kind = POST_PRESENCE,
        .presence =
            {
                .blob = blob,
                .hash = hash,
                .question = slot,
                .what = question->what,
            },
    };
    const struct bus_post packed = post_pack(&post);
    const enum bus_result asked = bus_ask(hub->options.bus, hub->options.reactor, reactor, &packed);
    CHECK(asked == BUS_POSTED); /* hub_is_ready() has seen a credit for each */
}

enum codes_error hub_ask_everybody(struct hub *hub, struct hub_asker asker, enum post_what what,
                                   struct blob *blob, uint64_t hash)
{
    uint32_t slot = 0;
    struct question *question = blob == NULL ? NULL : slab_take(hub->questions, &slot);
    if (question == NULL) {
        if (blob != NULL) {
            blob_drop(blob, hub->options.pool);
        }
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    question->asker = asker;
    question->missing = hub->options.reactor_count;
    question->what = (uint8_t)what;

    for (uint16_t i = 0; i < hub->options.reactor_count; i++) {
        if (i != hub->options.reactor) {
            blob_share(blob, 1);
            ask(hub, i, blob, hash, slot);
        }
    }
    struct blob *own;
    const enum codes_error error = make_part(hub, hash, blob, what, &own);
    blob_drop(blob, hub->options.pool);
    add_part(hub, slot, own, (uint8_t)error);
    return CODES_ERROR_NONE;
}

uint16_t hub_apply_presence(struct hub *hub, struct session *session, const struct command *command)
{
    const struct bytes channel = command->presence.channel;
    if (channel.size == 0) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    const uint64_t hash = table_hash(&hub->options.key, channel);
    enum codes_error error = hub_may(hub, session, channel, hash, PERMISSION_PRESENCE);
    if (error == CODES_ERROR_NONE) {
        error =
            hub_ask_everybody(hub, hub_asker_of(hub, session, command->id),
                              command->method == COMMAND_PRESENCE_STATS ? POST_HOW_MANY : POST_WHO,
                              hub_copy_name(hub, channel), hash);
    }
    if (error != CODES_ERROR_NONE) {
        hub_reply_error(&hub->reply, session, command->id, error);
    }
    return 0;
}

/* -- posts ------------------------------------------------------------------------------------- */

void hub_take_presence(struct hub *hub, const struct post *post)
{
    struct post part = {
        .kind = POST_PRESENCE_PART,
        .presence_part = {.question = post->presence.question},
    };
    part.presence_part.error =
        (uint8_t)make_part(hub, post->presence.hash, post->presence.blob,
                           (enum post_what)post->presence.what, &part.presence_part.blob);
    blob_drop(post->presence.blob, hub->options.pool);
    const struct bus_post packed = post_pack(&part);
    bus_answer(hub->options.bus, hub->options.reactor, post->from, &packed);
}

void hub_take_presence_part(struct hub *hub, const struct post *post)
{
    const struct post_presence_part *part = &post->presence_part;
    add_part(hub, part->question, part->blob, part->error);
}
