/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has no offset: who came and went in the channels here, and publications that are not to be
 * kept. Passed on to every interested reactor, in its place between those that have an offset. It
 * is kept only while a reactor lags, and of too much the oldest goes, which is a gap for who needed
 * it.
 */
#include "chat/channel.h"
#include "chat/channel_private.h"
#include "chat/directory.h"
#include "chat/outbox.h"
#include "chat/post.h"
#include "chat/publication.h"
#include "chat/roster.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/metrics.h"

enum { NEWS_BYTES_MAX = 256 << 10 }; /* of a channel, kept for reactors that lag */

/* Kept instead of a time: the offset that it comes behind, and what it is. */
struct mark {
    uint64_t place;
    bool passes; /* a publication; else joins and leaves */
};

static uint64_t pack_mark(struct mark mark)
{
    return mark.place << 1 | (mark.passes ? 1 : 0);
}

static struct mark mark_at(const struct stream *news, uint64_t number)
{
    const uint64_t packed = stream_time_at(news, number);
    return (struct mark){.place = packed >> 1, .passes = (packed & 1) != 0};
}

static bool post_to(struct channel_home *home, struct ids_handle room, struct blob *blob,
                    bool passes)
{
    struct post post = {.kind = POST_NEWS_COPY, .news = {.blob = blob, .target = room}};
    if (passes) {
        post = (struct post){.kind = POST_PUBLICATION, .publication = {.blob = blob, .room = room}};
    }
    const struct bus_post packed = post_pack(&post);
    if (bus_tell(home->options.bus, home->options.reactor, room.reactor, &packed) != BUS_POSTED) {
        metrics_add(home->options.metrics, METRIC_BUS_FULL, 1);
        return false;
    }
    return true;
}

/* For the members on this reactor. */
static void put_out(struct channel_home *home, struct ids_handle handle, struct blob *blob,
                    bool passes)
{
    if (passes) {
        struct room *room = roster_at(home->options.roster, handle);
        CHECK(room != NULL);
        outbox_pass(home->options.outbox, room, handle, blob);
    } else {
        outbox_tell(home->options.outbox, handle, blob);
    }
}

/* True when the interest has its next news, which is this. */
static bool send_to(struct channel_home *home, struct interest *interest, struct blob *blob,
                    bool passes)
{
    if (interest->room.reactor == home->options.reactor) {
        put_out(home, interest->room, blob, passes);
    } else if (!post_to(home, interest->room, blob, passes)) {
        return false;
    }
    blob_share(blob, 1);
    interest->heard++;
    return true;
}

/* Nobody needs what is kept any more, or nobody can have it. */
void channel_drop_news(struct channel_home *home, struct channel *channel)
{
    stream_drop_before(&channel->news, channel->news.top + 1, home->options.pool);
}

uint64_t channel_news_place(const struct channel *channel, const struct interest *interest)
{
    return interest->heard == channel->news.top
               ? UINT64_MAX
               : mark_at(&channel->news, interest->heard + 1).place;
}

bool channel_send_news(struct channel_home *home, struct channel *channel,
                       struct interest *interest)
{
    const uint64_t number = interest->heard + 1;
    return send_to(home, interest, stream_at(&channel->news, number),
                   mark_at(&channel->news, number).passes);
}

/* The next news, kept for who lags if there is memory. */
static void keep(struct channel_home *home, struct channel *channel, struct blob *blob, bool passes)
{
    struct stream *news = &channel->news;

    if (stream_reserve(news) == 0) {
        stream_append(news, blob, pack_mark((struct mark){channel->stream.top, passes}));
    } else {
        channel_drop_news(home, channel);
        stream_skip(news);
    }
    while (news->count > home->options.tail_count_max || news->bytes > NEWS_BYTES_MAX) {
        stream_drop_before(news, stream_first(news) + 1, home->options.pool);
    }
    channel_mark_gaps(home, channel);
    if (!list_is_linked(&channel->lagging)) {
        list_push_back(&home->lagging, &channel->lagging);
    }
}

static void tell(struct channel_home *home, struct channel *channel, struct blob *blob, bool passes)
{
    bool lags = false;

    for (size_t i = 0; i < channel->interest_count; i++) {
        struct interest *interest = &channel->interests[i];
        /* Who is behind stays behind until channel_catch_up: nothing later must overtake. */
        const bool is_next = !interest->gap && interest->heard == channel->news.top &&
                             interest->next == channel->stream.top + 1;
        lags = !(is_next && send_to(home, interest, blob, passes)) || lags;
    }
    if (lags) {
        keep(home, channel, blob, passes);
    } else {
        channel_drop_news(home, channel);
        stream_skip(&channel->news);
    }
}

void channel_tell_news(struct channel_home *home, struct ids_handle handle, struct blob *blob)
{
    struct channel *channel = directory_at(home->channels, handle);

    if (channel != NULL) {
        tell(home, channel, blob, false);
    }
    blob_drop(blob, home->options.pool);
}

void channel_pass(struct channel_home *home, struct channel *channel, struct blob *blob)
{
    publication_finish(blob, channel_name(channel), 0);
    tell(home, channel, blob, true);
}
