/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is asked of the channels whose home is here; and the answers that had to wait for the
 * archive.
 */
#include "chat/channel.h"
#include "chat/hub_state.h"
#include "chat/ledger.h"
#include "chat/outbox.h"
#include "chat/post.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/metrics.h"

/* Whoever waits for the archive keeps no credit of the bus: others may go on. */
static void say_later(struct hub *hub, const struct post *asked)
{
    if (asked->role == BUS_ASK) {
        const struct post post = {.kind = POST_LATER};
        hub_answer(hub, asked, &post);
    }
}

/* The post as it is taken by who has to keep it: its answer will be a tell. */
static enum codes_error wait_turn(struct hub *hub, const struct post *post, bool *waits)
{
    struct post kept = *post;
    kept.role = BUS_TELL;
    const enum codes_error error = channel_wait_turn(hub->home, &kept, waits);
    if (*waits) {
        say_later(hub, post);
    }
    return error;
}

static void answer_publish(struct hub *hub, const struct post *asked, enum codes_error error,
                           const struct channel_position *position)
{
    const struct post reply = {
        .kind = POST_PUBLISH_ANSWER,
        .publish_answer =
            {
                .session = asked->publish.session,
                .epoch = position->epoch,
                .offset = position->top,
                .command = asked->publish.command,
                .error = error,
                .is_rpc = asked->publish.is_rpc,
                .is_api = asked->publish.is_api,
            },
    };
    hub_answer(hub, asked, &reply);
}

void hub_take_publish(struct hub *hub, const struct post *post)
{
    struct channel_position position = {.epoch = 0};
    bool waits = false;
    enum codes_error error = CODES_ERROR_NONE;
    if (!post->publish.skips_history) {
        error =
            wait_turn(hub, post, &waits); /* what skips it is not stored, and waits for nobody */
    }
    if (waits) {
        return;
    }
    if (error == CODES_ERROR_NONE) {
        error = channel_publish(hub->home, &post->publish, &position);
    } else {
        blob_drop(post->publish.blob, hub->options.pool);
    }
    answer_publish(hub, post, error, &position);
}

static void answer_interest(struct hub *hub, const struct post *asked, enum codes_error error,
                            const struct channel_interest *interest)
{
    const struct post reply = {
        .kind = POST_INTEREST_ANSWER,
        .interest_answer =
            {
                .room = asked->interest.room,
                .channel = interest->channel,
                .epoch = interest->position.epoch,
                .top = interest->position.top,
                .error = error,
            },
    };
    blob_drop(asked->interest.blob, hub->options.pool);
    hub_answer(hub, asked, &reply);
}

void hub_take_interest(struct hub *hub, const struct post *post)
{
    struct channel_interest interest = {.position = {.epoch = 0}};
    bool waits = false;
    enum codes_error error = wait_turn(hub, post, &waits);
    if (waits) {
        return;
    }
    if (error == CODES_ERROR_NONE &&
        channel_add_interest(hub->home, post->interest.hash, blob_bytes(post->interest.blob),
                             post->interest.room, &interest) != 0) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        error = CODES_ERROR_INTERNAL;
    }
    answer_interest(hub, post, error, &interest);
}

static void answer_history(struct hub *hub, const struct post *asked, enum codes_error error,
                           const struct channel_reading *reading)
{
    const struct post reply = {
        .kind = POST_PAGE,
        .page =
            {
                .asker = asked->history.session,
                .blob = reading->page,
                .epoch = reading->position.epoch,
                .top = reading->position.top,
                .command = asked->history.command,
                .error = error,
                .is_api = (asked->history.flags & POST_HISTORY_API) != 0,
                .is_removal = (asked->history.flags & POST_HISTORY_REMOVE) != 0,
            },
    };
    blob_drop(asked->history.blob, hub->options.pool);
    hub_answer(hub, asked, &reply);
}

void hub_take_history(struct hub *hub, const struct post *post)
{
    const struct post_history *asked = &post->history;
    const struct channel_query query = {
        .order = (asked->flags & POST_HISTORY_REVERSE) != 0 ? PAGE_REVERSE : PAGE_FORWARD,
        .has_since = (asked->flags & POST_HISTORY_SINCE) != 0,
        .has_epoch = (asked->flags & POST_HISTORY_EPOCH) != 0,
        .count_max = asked->count_max,
        .since = asked->since,
        .epoch = asked->epoch,
    };
    struct channel_reading reading = {.page = NULL};
    bool waits = false;
    enum codes_error error = wait_turn(hub, post, &waits);
    if (waits) {
        return;
    }
    const struct bytes name = blob_bytes(asked->blob);
    if (error == CODES_ERROR_NONE && (asked->flags & POST_HISTORY_REMOVE) != 0) {
        error = channel_remove_history(hub->home, asked->hash, name);
    } else if (error == CODES_ERROR_NONE) {
        error = channel_read(hub->home, asked->hash, name, &query, &reading);
    }
    answer_history(hub, post, error, &reading);
}

void hub_take_recover(struct hub *hub, const struct post *post)
{
    const struct post_recover *asked = &post->recover;
    const struct post reply = {
        .kind = POST_PAGE,
        .page =
            {
                .asker = asked->room,
                .blob = channel_recover(hub->home, asked->channel, asked->room, asked->from,
                                        asked->count_max),
            },
    };
    hub_answer(hub, post, &reply);
}

void hub_take_from_archive(struct hub *hub, const struct post *post)
{
    struct ledger *ledger = channel_ledger(hub->home);

    if (ledger == NULL) {
        return; /* hub_forget() was before it, and has freed what it names */
    }
    if (post->kind == POST_ARCHIVE_APPENDED) {
        ledger_take_batch(ledger, post->archive_batch.batch);
    } else {
        ledger_take_page(ledger, post->archive_page.page);
    }
}

/* -- what has waited for the archive ----------------------------------------------------------- */

/* What is done: answered; or a question that may be asked again, for its channel is known now. */
static void take_done(struct hub *hub, const struct ledger_answer *done)
{
    const struct post *post = &done->post;

    if (!done->is_question) {
        const struct channel_position position = {done->epoch, done->offset};
        answer_publish(hub, post, done->error, &position);
    } else if (done->error == CODES_ERROR_NONE) {
        hub_take(hub, post);
    } else if (post->kind == POST_PUBLISH) {
        const struct channel_position nowhere = {.epoch = 0};
        blob_drop(post->publish.blob, hub->options.pool);
        answer_publish(hub, post, done->error, &nowhere);
    } else if (post->kind == POST_INTEREST) {
        const struct channel_interest nothing = {.position = {.epoch = 0}};
        answer_interest(hub, post, done->error, &nothing);
    } else {
        const struct channel_reading nothing = {.page = NULL};
        answer_history(hub, post, done->error, &nothing);
    }
}

/* As far as there is room. */
static void answer_late(struct hub *hub, struct ledger *ledger)
{
    struct ledger_item *item = ledger_first_done(ledger);

    while (item != NULL && outbox_is_roomy(hub->options.outbox)) {
        struct ledger_item *const next = ledger_next_done(ledger, item);
        const struct ledger_answer done = ledger_look(item);
        if (done.post.from == hub->options.reactor ||
            bus_has_room(hub->options.bus, hub->options.reactor, done.post.from)) {
            take_done(hub, &done);
            ledger_forget(ledger, item);
        }
        item = next;
    }
}

void hub_go_on_with_ledger(struct hub *hub)
{
    struct ledger *ledger = channel_ledger(hub->home);
    if (ledger == NULL) {
        return;
    }
    size_t delivered = OUTBOX_POSTS_MAX;
    while (delivered == OUTBOX_POSTS_MAX && outbox_is_roomy(hub->options.outbox)) {
        delivered = ledger_deliver(ledger, OUTBOX_POSTS_MAX);
    }
    answer_late(hub, ledger);
}
