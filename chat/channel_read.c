/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a home says of its channels' history: to who asks, and to who comes back.
 */
#include "chat/channel_private.h"
#include "chat/directory.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"

/* The range of a query, whose offset is one that there can be. */
static struct page_range range_of(const struct channel_query *query, uint64_t first, uint64_t top,
                                  uint32_t bytes_max)
{
    struct page_range range = {
        .from = first,
        .to = top,
        .order = query->order,
        .count_max = query->count_max,
        .bytes_max = bytes_max,
    };
    if (query->has_since && query->order == PAGE_FORWARD && query->since >= first) {
        range.from = query->since + 1;
    }
    if (query->has_since && query->order == PAGE_REVERSE && query->since <= top) {
        range.to = query->since < first ? first - 1 : query->since - 1;
    }
    return range;
}

static enum codes_error read_page(struct channel_home *home, const struct channel *channel,
                                  const struct channel_query *query, struct blob **page)
{
    const uint64_t top = channel->stream.top;
    const uint64_t since_max = query->order == PAGE_FORWARD ? top : top + 1;

    if (query->has_since &&
        ((query->has_epoch && query->epoch != channel->stream.epoch) || query->since > since_max)) {
        return CODES_ERROR_UNRECOVERABLE_POSITION;
    }
    *page = NULL;
    if (query->count_max > 0) {
        const struct page_range range = range_of(query, channel_history_first(home, channel), top,
                                                 home->options.page_bytes_max);
        *page = page_create(home->options.pool, &channel->stream, channel_name(channel), &range);
        if (*page == NULL) {
            metrics_add(home->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
            return CODES_ERROR_INTERNAL;
        }
    }
    return CODES_ERROR_NONE;
}

enum codes_error channel_read(struct channel_home *home, uint64_t hash, struct bytes name,
                              const struct channel_query *query, struct channel_reading *reading)
{
    struct channel *channel = channel_find_or_open(home, hash, name);
    if (channel == NULL) {
        metrics_add(home->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    CHECK(channel_has_history(channel));

    struct blob *page;
    const enum codes_error error = read_page(home, channel, query, &page);
    if (error == CODES_ERROR_NONE) {
        *reading = (struct channel_reading){.page = page, .position = channel_position_of(channel)};
        metrics_add_for(home->options.metrics, channel->policy->counts_as, NAMESPACE_HISTORY_READS,
                        1);
    }
    /* It may be a new one, remembered for nobody yet: names that are only read count, too. */
    channel_settle(home, channel);
    channel_shrink(home);
    return error;
}

struct blob *channel_recover(struct channel_home *home, struct ids_handle handle,
                             struct ids_handle room, uint64_t from, uint32_t count_max)
{
    struct channel *channel = directory_at(home->channels, handle);
    const struct interest *interest = channel_interest_of(channel, room);
    if (interest == NULL || interest->gap) {
        return NULL;
    }
    /* What the room has not been told yet will come to it, and to who waits there, later. */
    const uint64_t first = channel_history_first(home, channel);
    const uint64_t end = interest->next;
    struct page_range range = {
        .from = first > from ? first : from,
        .to = end - 1,
        .order = PAGE_FORWARD,
        .count_max = count_max,
        .bytes_max = home->options.page_bytes_max,
    };
    range.from = range.from < end ? range.from : end;
    struct blob *page =
        page_create(home->options.pool, &channel->stream, channel_name(channel), &range);
    if (page == NULL) {
        metrics_add(home->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
    }
    return page;
}
