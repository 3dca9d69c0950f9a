/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who came and went in the channels here: passed on to every interested reactor, in order. Like
 * publications, but with numbers of their own and no history: they are kept only while a reactor
 * lags, and of too many the oldest go, which is a gap for who needed them.
 */
#include "chat/channel.h"
#include "chat/channel_private.h"
#include "chat/directory.h"
#include "chat/outbox.h"
#include "chat/post.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/metrics.h"

enum { NEWS_COUNT_MAX = 64 }; /* frames of joins and leaves kept for reactors that lag */

/* True when the interest has its next news, which is this. */
static bool send_to(struct channel_home *home, struct interest *interest, struct blob *blob)
{
    if (interest->room.reactor == home->options.reactor) {
        outbox_tell(home->options.outbox, interest->room, blob);
    } else {
        const struct post post = {
            .kind = POST_NEWS_COPY,
            .news = {.blob = blob, .target = interest->room},
        };
        const struct bus_post packed = post_pack(&post);
        if (bus_tell(home->options.bus, home->options.reactor, interest->room.reactor, &packed) !=
            BUS_POSTED) {
            metrics_add(home->options.metrics, METRIC_BUS_FULL, 1);
            return false;
        }
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

bool channel_catch_up_news(struct channel_home *home, struct channel *channel,
                           struct interest *interest)
{
    while (interest->heard < channel->news.top &&
           send_to(home, interest, stream_at(&channel->news, interest->heard + 1))) {
    }
    return interest->heard == channel->news.top;
}

/* The next news, kept for who lags if there is memory. */
static void keep(struct channel_home *home, struct channel *channel, struct blob *blob)
{
    struct stream *news = &channel->news;

    if (news->count == NEWS_COUNT_MAX) {
        stream_drop_before(news, stream_first(news) + 1, home->options.pool);
    }
    if (stream_reserve(news) == 0) {
        stream_append(news, blob, home->now_ns);
    } else {
        channel_drop_news(home, channel);
        stream_skip(news);
    }
    channel_mark_gaps(home, channel);
    if (!list_is_linked(&channel->lagging)) {
        list_push_back(&home->lagging, &channel->lagging);
    }
}

void channel_tell_news(struct channel_home *home, struct ids_handle handle, struct blob *blob)
{
    struct channel *channel = directory_at(home->channels, handle);
    bool lags = false;

    for (size_t i = 0; channel != NULL && i < channel->interest_count; i++) {
        struct interest *interest = &channel->interests[i];
        /* Who is behind stays behind until channel_catch_up: later news must not overtake. */
        const bool is_next = !interest->gap && interest->heard == channel->news.top;
        lags = !(is_next && send_to(home, interest, blob)) || lags;
    }
    if (lags) {
        keep(home, channel, blob);
    } else if (channel != NULL) {
        channel_drop_news(home, channel);
        stream_skip(&channel->news);
    }
    blob_drop(blob, home->options.pool);
}
