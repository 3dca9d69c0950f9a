/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who came and who went: what the heralds of the rooms here have to say goes to the channels'
 * homes, and from there to every interested reactor.
 */
#include "chat/channel.h"
#include "chat/herald.h"
#include "chat/hub_state.h"
#include "chat/outbox.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/roster.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/timerwheel.h"

enum { HERALDS_AT_ONCE = 16 }; /* each has room in a roomy outbox */

static const uint64_t retry_ns = 1000000; /* when the bus is full, or memory is out */

static struct herald_limits limits_of(const struct hub *hub)
{
    return (struct herald_limits){
        .told_max = hub->options.presence_max_list,
        .batch_max = hub->options.news_batch_max,
        .reactor_count = hub->options.reactor_count,
    };
}

static void schedule(struct hub *hub, struct room *room)
{
    const struct herald_limits limits = limits_of(hub);
    struct herald *herald = room->herald;

    if (herald_has_news(room, &limits)) {
        timerwheel_arm(hub->timers, &herald->timer, herald_due_ns(room, &limits));
    } else {
        timerwheel_cancel(hub->timers, &herald->timer);
    }
}

void hub_news_changed(struct hub *hub, struct room *room)
{
    if (room->herald == NULL && room->discreet_count == room->member_count) {
        return; /* there is nobody of whom anything is told */
    }
    if (room->herald == NULL) {
        room->herald = herald_create(hub->timers, room->slot);
    }
    if (room->herald != NULL) { /* else nobody was told of, and it is tried again next time */
        schedule(hub, room);
    }
}

bool hub_news_are_owed(const struct hub *hub, const struct room *room)
{
    return !hub->is_draining && room->herald != NULL && room->herald->leave_count > 0;
}

/* Takes the share of the blob if it could be posted. */
static bool post_to_home(struct hub *hub, struct ids_handle channel, struct blob *blob)
{
    if (channel.reactor == hub->options.reactor) {
        channel_tell_news(hub->home, channel, blob);
        return true;
    }
    const struct post post = {.kind = POST_NEWS, .news = {.blob = blob, .target = channel}};
    const struct bus_post packed = post_pack(&post);
    return bus_tell(hub->options.bus, hub->options.reactor, channel.reactor, &packed) == BUS_POSTED;
}

/* False: not now. */
static bool speak(struct hub *hub, struct room *room)
{
    const struct herald_limits limits = limits_of(hub);
    struct herald_batch batch;

    herald_choose(room, &limits, &batch);
    if (batch.leave_count + batch.join_count == 0) {
        return false;
    }
    struct blob *blob = herald_write(room, &batch, hub->sessions, hub->options.pool);
    if (blob == NULL) {
        return false;
    }
    if (!post_to_home(hub, room->channel, blob)) {
        blob_drop(blob, hub->options.pool);
        return false;
    }
    herald_spoke(room, &batch, hub->now_ns);
    metrics_add(hub->options.metrics, METRIC_NEWS_FRAMES, 1);
    metrics_add(hub->options.metrics, METRIC_NEWS_JOINS, batch.join_count);
    metrics_add(hub->options.metrics, METRIC_NEWS_LEAVES, batch.leave_count);
    return true;
}

static void fire(struct timerwheel_timer *timer, void *context)
{
    struct hub *hub = context;
    struct herald *herald = LIST_OWNER(timer, struct herald, timer);
    struct room *room = roster_slot(hub->roster, herald->room);

    CHECK(room->herald == herald);
    if (hub->is_draining) {
        hub_room_maybe_left(hub, room); /* it may have stayed for what is not told any more */
        return;
    }
    if (!speak(hub, room)) {
        timerwheel_arm(hub->timers, timer, hub->now_ns + retry_ns);
        return;
    }
    schedule(hub, room);
    hub_room_maybe_left(hub, room);
}

void hub_tell_news(struct hub *hub)
{
    size_t fired = HERALDS_AT_ONCE;
    while (fired == HERALDS_AT_ONCE && outbox_is_roomy(hub->options.outbox)) {
        fired = timerwheel_expire(hub->timers, hub->now_ns, fire, hub, HERALDS_AT_ONCE);
    }
}

/* -- posts ------------------------------------------------------------------------------------- */

void hub_take_news(struct hub *hub, const struct post *post)
{
    if (hub->is_draining) {
        blob_drop(post->news.blob, hub->options.pool);
    } else {
        channel_tell_news(hub->home, post->news.target, post->news.blob);
    }
}

void hub_take_news_copy(struct hub *hub, const struct post *post)
{
    if (roster_at(hub->roster, post->news.target) != NULL) {
        outbox_tell(hub->options.outbox, post->news.target, post->news.blob);
    } else {
        blob_drop(post->news.blob, hub->options.pool); /* everybody has left meanwhile */
    }
}
