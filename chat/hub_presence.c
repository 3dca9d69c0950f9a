/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands `presence` and `presence_stats`: a question to every other reactor, which says who
 * is in its room; with the last part the answer is put together.
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
    bool wants_numbers; /* presence_stats */
    bool has_failed;    /* some reactor had no memory for its part */
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

/* What this reactor says. True and NULL: nobody is here. False: no memory. */
static bool make_part(struct hub *hub, uint64_t hash, struct bytes channel, bool wants_numbers,
                      struct blob **part)
{
    const struct presence_limits limits = limits_of(hub);
    struct room *room = roster_find(hub->roster, hash, channel);

    *part = NULL;
    if (room == NULL || room->member_count == 0) {
        return true;
    }
    *part = wants_numbers ? presence_users(room, hub->sessions, hub->options.pool)
                          : presence_list(room, hub->sessions, &limits, hub->options.pool);
    if (*part == NULL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
    }
    if (room->herald != NULL) {
        hub_news_changed(hub, room);
    }
    return *part != NULL;
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
    if (question->has_failed) {
        hub_reply_error(&hub->reply, session, command, CODES_ERROR_INTERNAL);
    } else if (question->wants_numbers) {
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
    } else if (question->has_failed) {
        hub_api_refuse(hub, question->asker, CODES_ERROR_INTERNAL);
    } else if (question->wants_numbers) {
        const struct presence_numbers numbers = presence_count(parts);
        hub_api_take_presence_stats(hub, question->asker, &numbers);
    } else {
        const struct presence_limits limits = limits_of(hub);
        hub_api_take_presence(hub, question->asker, parts, &limits);
    }
}

/* A part came in, which may be nothing; with the last one the question is answered and gone. */
static void add_part(struct hub *hub, uint32_t slot, struct blob *part, bool has_failed)
{
    struct question *question = slab_at(hub->questions, slot);

    CHECK(question != NULL);
    CHECK(question->missing > 0);
    question->has_failed = question->has_failed || has_failed;
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

/* Takes one share of the name. */
static void ask(struct hub *hub, uint16_t reactor, struct blob *name, uint64_t hash, uint32_t slot)
{
    const struct question *question = slab_at(hub->questions, slot);
    const struct post post = {
        .kind = POST_PRESENCE,
        .presence =
            {
                .blob = name,
                .hash = hash,
                .question = slot,
                .wants_numbers = question->wants_numbers,
            },
    };
    const struct bus_post packed = post_pack(&post);
    const enum bus_result asked = bus_ask(hub->options.bus, hub->options.reactor, reactor, &packed);
    CHECK(asked == BUS_POSTED); /* hub_is_ready() has seen a credit for each */
}

enum codes_error hub_ask_presence(struct hub *hub, struct hub_asker asker, struct bytes channel,
                                  uint64_t hash, bool wants_numbers)
{
    uint32_t slot = 0;
    struct blob *name = hub_copy_name(hub, channel);
    struct question *question = name == NULL ? NULL : slab_take(hub->questions, &slot);
    if (question == NULL) {
        if (name != NULL) {
            blob_drop(name, hub->options.pool);
        }
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    question->asker = asker;
    question->missing = hub->options.reactor_count;
    question->wants_numbers = wants_numbers;

    for (uint16_t i = 0; i < hub->options.reactor_count; i++) {
        if (i != hub->options.reactor) {
            blob_share(name, 1);
            ask(hub, i, name, hash, slot);
        }
    }
    blob_drop(name, hub->options.pool);
    struct blob *own;
    const bool made = make_part(hub, hash, channel, wants_numbers, &own);
    add_part(hub, slot, own, !made);
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
        error = hub_ask_presence(hub, hub_asker_of(hub, session, command->id), channel, hash,
                                 command->method == COMMAND_PRESENCE_STATS);
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
    part.presence_part.has_failed =
        !make_part(hub, post->presence.hash, blob_bytes(post->presence.blob),
                   post->presence.wants_numbers, &part.presence_part.blob);
    blob_drop(post->presence.blob, hub->options.pool);
    const struct bus_post packed = post_pack(&part);
    bus_answer(hub->options.bus, hub->options.reactor, post->from, &packed);
}

void hub_take_presence_part(struct hub *hub, const struct post *post)
{
    const struct post_presence_part *part = &post->presence_part;
    add_part(hub, part->question, part->blob, part->has_failed);
}
