/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a home keeps of its channels and when that goes: a history by number and age, a tail for who
 * lags, positions; and all of it together below its bound.
 */
#include "chat/channel_private.h"
#include "chat/ledger.h"
#include "core/check.h"
#include "core/list.h"
#include "core/metrics.h"

static const uint64_t expiry_interval_ns = 100000000; /* how often to look for what is too old */

/* The first publication that the channel's history has, whatever is kept besides. */
uint64_t channel_history_first(const struct channel_home *home, const struct channel *channel)
{
    const struct stream *stream = &channel->stream;
    const struct policy *policy = channel->policy;

    if (!channel_has_history(channel)) {
        return stream->top + 1;
    }
    uint64_t first = stream_first(stream);
    if (home->now_ns >= policy->history_ttl_ns) {
        first = stream_first_since(stream, home->now_ns - policy->history_ttl_ns + 1);
    }
    return stream->top - first + 1 <= policy->history_size ? first
                                                           : stream->top - policy->history_size + 1;
}

/* The first publication that somebody who lags has not got yet. */
static uint64_t lagging_first(const struct channel *channel)
{
    uint64_t first = channel->stream.top + 1;
    for (size_t i = 0; i < channel->interest_count; i++) {
        if (!channel->interests[i].gap && channel->interests[i].next < first) {
            first = channel->interests[i].next;
        }
    }
    return first;
}

void channel_mark_gaps(struct channel_home *home, struct channel *channel)
{
    for (size_t i = 0; i < channel->interest_count; i++) {
        struct interest *interest = &channel->interests[i];
        if (!interest->gap && (interest->next < stream_first(&channel->stream) ||
                               interest->heard + 1 < stream_first(&channel->news))) {
            interest->gap = true;
            metrics_add(home->options.metrics, METRIC_GAPS, 1);
        }
    }
}

/* Drops what neither the history nor who lags needs, or may have. */
void channel_trim(struct channel_home *home, struct channel *channel)
{
    const struct channel_options *options = &home->options;
    const struct stream *stream = &channel->stream;
    const uint64_t history = channel_history_first(home, channel);
    const uint64_t lagging = lagging_first(channel);

    channel_drop_before(home, channel, history < lagging ? history : lagging);
    while (stream_first(stream) < history &&
           (stream->count > options->tail_count_max || stream->bytes > options->tail_bytes_max)) {
        channel_drop_before(home, channel, stream_first(stream) + 1);
    }
    channel_mark_gaps(home, channel);
}

/* The publication after `top` is kept, or skipped: 0, or -ENOMEM and only skipping is possible. */
int channel_keep(struct channel_home *home, struct channel *channel, struct blob *blob,
                 uint64_t time_ns)
{
    const size_t bytes = channel->stream.bytes;
    const int result = stream_reserve(&channel->stream);
    if (result == 0) {
        stream_append(&channel->stream, blob, time_ns);
        home->history_bytes += channel->stream.bytes - bytes;
    }
    return result;
}

void channel_skip(struct channel_home *home, struct channel *channel)
{
    channel_drop_before(home, channel, channel->stream.top + 1);
    stream_skip(&channel->stream);
    channel->is_partial = channel->book != NULL;
}

static struct channel *oldest(const struct list_link *list)
{
    struct list_link *link = list_first(list);
    return link == NULL ? NULL : LIST_OWNER(link, struct channel, age);
}

/* Ask before the channel may close. */
static struct channel *younger(const struct list_link *list, const struct channel *channel)
{
    struct list_link *link = list_after(list, &channel->age);
    return link == NULL ? NULL : LIST_OWNER(link, struct channel, age);
}

static bool is_expired(const struct channel_home *home, const struct channel *channel,
                       uint64_t ttl_ns)
{
    return channel != NULL && home->now_ns >= channel->used_ns &&
           home->now_ns - channel->used_ns >= ttl_ns;
}

/* The history goes, and with it what somebody who lags would have needed; the position stays. */
static void forget_history(struct channel_home *home, struct channel *channel)
{
    channel_drop_before(home, channel, channel->stream.top + 1);
    channel_mark_gaps(home, channel);
    channel_settle(home, channel);
}

/* Too old is too old for the store, too. */
static void expire_history(struct channel_home *home, struct channel *channel)
{
    if (channel->book != NULL) {
        ledger_trim(home->ledger, channel->book, channel->stream.top + 1, true);
    }
    forget_history(home, channel);
}

enum codes_error channel_remove_history(struct channel_home *home, uint64_t hash, struct bytes name)
{
    struct channel *channel = channel_find_or_open(home, hash, name);
    if (channel == NULL) {
        metrics_add(home->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    CHECK(channel_has_history(channel));
    expire_history(home, channel); /* the channel itself may go */
    return CODES_ERROR_NONE;
}

/* There is no room for it, or what is left of it. Its keys go too, but for those under way. */
static void evict_history(struct channel_home *home, struct channel *channel)
{
    channel->is_partial = channel->book != NULL;
    if (channel->book == NULL || ledger_is_idle(channel->book)) {
        channel_forget_keys(home, channel);
    }
    forget_history(home, channel);
}

static void expire_position(struct channel_home *home, struct channel *channel)
{
    if (channel->book == NULL) {
        channel_close(home, channel);
        return;
    }
    channel_set_age(home, channel, NULL);
    if (ledger_is_idle(channel->book)) {
        ledger_remove(home->ledger, channel->book); /* and then it is settled */
    }
}

static void expire(struct channel_home *home)
{
    const struct policy_table *policies = home->options.policies;

    for (size_t i = 0; i < policies->policy_count; i++) {
        const struct policy *policy = &policies->policies[i];
        struct age *age = &home->ages[i];
        while (is_expired(home, oldest(&age->kept), policy->history_ttl_ns)) {
            expire_history(home, oldest(&age->kept));
        }
        while (is_expired(home, oldest(&age->keyed), policy->idempotency_ttl_ns)) {
            channel_settle(home, oldest(&age->keyed));
        }
        struct channel *channel = oldest(&age->idle);
        while (is_expired(home, channel, policy->history_meta_ttl_ns)) {
            struct channel *const next = younger(&age->idle, channel);
            expire_position(home, channel);
            channel = next;
        }
    }
}

void channel_home_tick(struct channel_home *home, uint64_t now_ns)
{
    CHECK(now_ns >= home->now_ns);
    home->now_ns = now_ns;
    if (home->ledger != NULL) {
        ledger_tick(home->ledger, now_ns);
        if (channel_is_renewing(home)) {
            channel_renew_books(home);
        }
    }
    if (now_ns >= home->expiry_ns) {
        home->expiry_ns = now_ns + expiry_interval_ns;
        expire(home);
    }
}

static struct channel *older(struct channel *a, struct channel *b)
{
    if (a == NULL) {
        return b;
    }
    return b != NULL && b->used_ns < a->used_ns ? b : a;
}

/* Of all channels that may lose something the one that was used least recently, or NULL. */
static struct channel *oldest_of_all(const struct channel_home *home)
{
    struct channel *found = NULL;
    for (size_t i = 0; i < home->options.policies->policy_count; i++) {
        const struct age *age = &home->ages[i];
        found = older(found, older(oldest(&age->kept), oldest(&age->idle)));
        found = older(found, oldest(&age->keyed));
    }
    return found;
}

/* All histories together are too large: one goes, or a position that has no history any more. */
void channel_shrink(struct channel_home *home)
{
    while (home->history_bytes > home->options.history_bytes_max) {
        struct channel *channel = oldest_of_all(home);
        if (channel == NULL) {
            return; /* what is left is in use */
        }
        if (channel->stream.count > 0 || channel->interest_count > 0) {
            evict_history(home, channel);
        } else {
            channel_close(home, channel);
        }
        metrics_add(home->options.metrics, METRIC_HISTORY_EVICTED, 1);
    }
}
