/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is interested in a channel, one reactor each, and how each of them has every publication once
 * and in order: at once, or from what is kept, when there is room again; or is told of a gap.
 */
#include <errno.h>
#include <stdlib.h>

#include "chat/channel_private.h"
#include "chat/directory.h"
#include "chat/outbox.h"
#include "chat/post.h"
#include "chat/roster.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"

static struct interest *find_interest(struct channel *channel, uint16_t reactor)
{
    for (size_t i = 0; i < channel->interest_count; i++) {
        if (channel->interests[i].room.reactor == reactor) {
            return &channel->interests[i];
        }
    }
    return NULL;
}

static struct interest *append_interest(struct channel *channel)
{
    if (channel->interest_count == channel->interest_capacity) {
        const size_t capacity =
            channel->interest_capacity == 0 ? 1 : 2U * channel->interest_capacity;
        struct interest *grown = realloc(channel->interests, capacity * sizeof(*grown));
        if (grown == NULL) {
            return NULL;
        }
        channel->interests = grown;
        channel->interest_capacity = (uint16_t)capacity;
    }
    return &channel->interests[channel->interest_count++];
}

int channel_add_interest(struct channel_home *home, uint64_t hash, struct bytes name,
                         struct ids_handle room, struct channel_interest *answer)
{
    struct channel *channel = channel_find_or_open(home, hash, name);
    if (channel == NULL) {
        return -ENOMEM;
    }
    struct interest *interest = find_interest(channel, room.reactor);
    if (interest == NULL) {
        interest = append_interest(channel);
    }
    if (interest != NULL) {
        *interest = (struct interest){
            .next = channel->stream.top + 1,
            .heard = channel->news.top,
            .room = room,
        };
        *answer = (struct channel_interest){
            .channel = directory_handle(home->channels, channel->slot),
            .position = channel_position_of(channel),
        };
    }
    channel_settle(home, channel);
    channel_shrink(home);
    return interest != NULL ? 0 : -ENOMEM;
}

static void drop_interest(struct channel *channel, struct interest *interest)
{
    *interest = channel->interests[channel->interest_count - 1];
    channel->interest_count--;
}

/* The interest that a room has in a channel, or NULL: it is not there any more. */
struct interest *channel_interest_of(struct channel *channel, struct ids_handle room)
{
    struct interest *interest = channel == NULL ? NULL : find_interest(channel, room.reactor);
    return interest != NULL && ids_handle_equal(interest->room, room) ? interest : NULL;
}

void channel_remove_interest(struct channel_home *home, struct ids_handle handle,
                             struct ids_handle room)
{
    struct channel *channel = directory_at(home->channels, handle);
    struct interest *interest = channel_interest_of(channel, room);
    if (interest == NULL) {
        return;
    }
    drop_interest(channel, interest);
    channel_trim(home, channel);
    channel_settle(home, channel);
}

/* -- the next publication ---------------------------------------------------------------------- */

static bool tell_publication(struct channel_home *home, struct ids_handle room, struct blob *blob,
                             uint64_t offset)
{
    struct post post = {
        .kind = POST_PUBLICATION,
        .publication = {.blob = blob, .room = room, .offset = offset},
    };
    const struct bus_post packed = post_pack(&post);

    if (bus_tell(home->options.bus, home->options.reactor, room.reactor, &packed) != BUS_POSTED) {
        metrics_add(home->options.metrics, METRIC_BUS_FULL, 1);
        return false;
    }
    blob_share(blob, 1);
    return true;
}

/* True when the interest has its next publication, which is this one. */
static bool send_to(struct channel_home *home, struct channel *channel, struct interest *interest,
                    struct blob *blob)
{
    if (interest->room.reactor != home->options.reactor) {
        return tell_publication(home, interest->room, blob, interest->next);
    }
    struct room *room = roster_at(home->options.roster, interest->room);
    CHECK(room != NULL);
    CHECK(room->hash == channel->hash);
    CHECK(room->top + 1 == interest->next);
    room->top = interest->next;
    blob_share(blob, 1);
    outbox_publish(home->options.outbox, room, interest->room, blob);
    return true;
}

bool channel_fan_out(struct channel_home *home, struct channel *channel, struct blob *blob,
                     uint64_t offset)
{
    bool lagging = false;

    for (size_t i = 0; i < channel->interest_count; i++) {
        struct interest *interest = &channel->interests[i];
        /* Who is behind stays behind until channel_catch_up: a later one must not overtake. */
        const bool is_next =
            !interest->gap && interest->next == offset && interest->heard == channel->news.top;
        if (is_next && send_to(home, channel, interest, blob)) {
            interest->next++;
        }
        lagging = lagging || interest->gap || interest->next <= offset;
    }
    return lagging;
}

/* -- another life ------------------------------------------------------------------------------ */

void channel_begin(struct channel_home *home, struct channel *channel, uint64_t epoch, uint64_t top)
{
    channel_drop_before(home, channel, channel->stream.top + 1);
    channel_forget_keys(home, channel);
    channel->stream.epoch = epoch;
    channel->stream.top = top;
    channel->is_partial = false;
    for (size_t i = 0; i < channel->interest_count; i++) {
        channel->interests[i].gap = true;
        metrics_add(home->options.metrics, METRIC_GAPS, 1);
    }
    home->has_lost = home->has_lost || find_interest(channel, home->options.reactor) != NULL;
    if (channel->interest_count > 0 && !list_is_linked(&channel->lagging)) {
        list_push_back(&home->lagging, &channel->lagging);
    }
}

/* -- catching up ------------------------------------------------------------------------------- */

/* Of who is here channel_next_lost() tells. */
static bool tell_gap(struct channel_home *home, struct ids_handle room)
{
    if (room.reactor == home->options.reactor) {
        return false;
    }
    struct post post = {.kind = POST_GAP, .gap = {.room = room}};
    const struct bus_post packed = post_pack(&post);
    return bus_tell(home->options.bus, home->options.reactor, room.reactor, &packed) == BUS_POSTED;
}

static bool is_lagging(const struct channel *channel, const struct interest *interest)
{
    return interest->gap || interest->next <= channel->stream.top ||
           interest->heard < channel->news.top;
}

/* What an interest has not got yet, in the order in which it was said, as far as there is room. */
static void send_rest(struct channel_home *home, struct channel *channel, struct interest *interest)
{
    bool sent = true;

    while (sent && is_lagging(channel, interest)) {
        const uint64_t next = interest->next;
        if (next <= channel->stream.top && next <= channel_news_place(channel, interest)) {
            sent = send_to(home, channel, interest, stream_at(&channel->stream, next));
            interest->next += sent;
        } else {
            sent = channel_send_news(home, channel, interest);
        }
    }
}

/* Returns true when nobody lags in the channel any more. */
static bool catch_up(struct channel_home *home, struct channel *channel)
{
    bool lagging = false;

    for (size_t i = 0; i < channel->interest_count;) {
        struct interest *interest = &channel->interests[i];
        if (!interest->gap) {
            send_rest(home, channel, interest);
        }
        if (interest->gap && tell_gap(home, interest->room)) {
            drop_interest(channel, interest); /* its reactor closes the room without a leave */
            continue;
        }
        lagging = lagging || is_lagging(channel, interest);
        i++;
    }
    return !lagging;
}

void channel_catch_up(struct channel_home *home)
{
    struct list_link *link = home->lagging.next;

    while (link != &home->lagging) {
        struct channel *channel = LIST_OWNER(link, struct channel, lagging);
        link = link->next;
        if (!catch_up(home, channel)) {
            continue;
        }
        list_remove(&channel->lagging);
        channel_drop_news(home, channel);
        channel_trim(home, channel);
        channel_settle(home, channel);
    }
}

bool channel_next_lost(struct channel_home *home, struct ids_handle *room)
{
    struct list_link *link = home->has_lost ? list_first(&home->lagging) : NULL;

    for (; link != NULL; link = list_after(&home->lagging, link)) {
        struct channel *channel = LIST_OWNER(link, struct channel, lagging);
        struct interest *own = find_interest(channel, home->options.reactor);
        if (own != NULL && own->gap) {
            *room = own->room;
            drop_interest(channel, own);
            return true;
        }
    }
    home->has_lost = false;
    return false;
}

bool channel_is_lagging(const struct channel_home *home)
{
    return !list_is_empty(&home->lagging);
}
