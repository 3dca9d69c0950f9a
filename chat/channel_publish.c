/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is published to the channels here: whether it is new, by its key and its version; its place;
 * and what becomes of it. Who gets it: channel_interest.c.
 */
#include "chat/channel_private.h"
#include "chat/directory.h"
#include "chat/idempotency.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/publication.h"
#include "core/blob.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"

/* Gives the publication its place, sends it out, and keeps it where that is wanted and possible. */
void channel_send_out(struct channel_home *home, struct channel *channel, struct blob *blob,
                      uint64_t time_ns)
{
    const uint64_t offset = channel->stream.top + 1;

    publication_finish(blob, channel_name(channel), channel_has_history(channel) ? offset : 0);
    const bool lagging = channel_fan_out(home, channel, blob, offset);
    const bool needed = channel_has_history(channel) || lagging || channel->stream.count > 0;
    if (!needed || channel_keep(home, channel, blob, time_ns) != 0) {
        channel_skip(home, channel);
    }
    channel_trim(home, channel);
    if (lagging && !list_is_linked(&channel->lagging)) {
        list_push_back(&home->lagging, &channel->lagging);
    }
    if (!channel_has_history(channel)) {
        return;
    }
    if (channel->stream.count > 0) {
        channel_set_age(home, channel, &channel_age_of(home, channel)->kept);
    } else {
        channel_settle(home, channel); /* the store had it so long that it is too old */
    }
}

/* False: no memory for what a channel with history has to keep; nothing has happened. */
static bool reserve(struct channel_home *home, struct channel *channel,
                    const struct post_publish *publish)
{
    if (!channel_has_history(channel)) {
        return true;
    }
    if (stream_reserve(&channel->stream) != 0) {
        return false;
    }
    if (publish->key_size == 0) {
        return true;
    }
    const struct idempotency_key key = publication_key(publish->blob, publish->key_size);
    return channel_add_key(home, channel, &key, channel->stream.top + 1, 0) == 0;
}

/* What its key says of a publication. With IDEMPOTENCY_REPEAT *position is where it is. */
static enum idempotency_verdict judge(struct channel_home *home, struct channel *channel,
                                      const struct post_publish *publish,
                                      struct channel_position *position)
{
    if (publish->key_size == 0 || channel == NULL) {
        return IDEMPOTENCY_NEW;
    }
    const struct idempotency_key key = publication_key(publish->blob, publish->key_size);
    position->epoch = channel->stream.epoch;
    return channel_judge_key(home, channel, &key, &position->top);
}

static void count_publication(struct channel_home *home, const struct policy *policy)
{
    metrics_add(home->options.metrics, METRIC_PUBLICATIONS, 1);
    metrics_add_for(home->options.metrics, policy->counts_as, NAMESPACE_PUBLICATIONS, 1);
}

/* What it is the state of has been published already, or something newer. */
static bool is_superseded(const struct channel *channel, const struct post_publish *publish)
{
    return channel != NULL && publish->version > 0 && publish->version <= channel->version &&
           (publish->version_epoch == 0 || publish->version_epoch == channel->version_epoch);
}

static enum codes_error publish_new(struct channel_home *home, const struct policy *policy,
                                    struct channel *channel, const struct post_publish *publish,
                                    struct channel_position *position)
{
    CHECK(channel == NULL || channel->book == NULL);

    if (is_superseded(channel, publish)) {
        metrics_add(home->options.metrics, METRIC_SUPERSEDED, 1);
        *position = channel_position_of(channel);
        return CODES_ERROR_NONE;
    }
    if (channel != NULL) {
        if (!reserve(home, channel, publish)) {
            metrics_add(home->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
            channel_settle(home, channel); /* it may be a new one, remembered for nobody yet */
            return CODES_ERROR_INTERNAL;
        }
        channel_send_out(home, channel, publish->blob, home->now_ns);
        if (publish->version > 0) {
            channel->version = publish->version;
            channel->version_epoch = publish->version_epoch;
        }
    }
    count_publication(home, policy);
    *position =
        channel == NULL ? (struct channel_position){.epoch = 0} : channel_position_of(channel);
    channel_shrink(home); /* the channel itself may go */
    return CODES_ERROR_NONE;
}

/* For who is there now, and without a place in the history that the channel has. */
static enum codes_error pass(struct channel_home *home, const struct policy *policy,
                             const struct post_publish *publish, struct channel_position *position)
{
    const struct bytes name = publication_channel(publish->blob, publish->name_size);
    struct channel *channel = directory_find(home->channels, publish->hash, name);

    CHECK(publish->key_size == 0);
    if (channel != NULL) {
        channel_pass(home, channel, publish->blob);
    }
    count_publication(home, policy);
    *position = (struct channel_position){.epoch = 0};
    return CODES_ERROR_NONE;
}

static enum codes_error publish(struct channel_home *home, const struct post_publish *publish,
                                struct channel_position *position)
{
    const struct bytes name = publication_channel(publish->blob, publish->name_size);
    const struct policy *policy = policy_recall(home->options.policies, name);
    CHECK(policy != NULL);

    if (publish->skips_history && policy_has_history(policy)) {
        return pass(home, policy, publish, position);
    }
    /* Without history, a channel that nobody is interested in needs not even to be there. */
    struct channel *channel = policy_has_history(policy)
                                  ? channel_find_or_open(home, publish->hash, name)
                                  : directory_find(home->channels, publish->hash, name);
    if (channel == NULL && policy_has_history(policy)) {
        metrics_add(home->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    switch (judge(home, channel, publish, position)) {
    case IDEMPOTENCY_NEW:
        return publish_new(home, policy, channel, publish, position);
    case IDEMPOTENCY_REPEAT:
        metrics_add(home->options.metrics, METRIC_REPEATS, 1);
        return CODES_ERROR_NONE;
    case IDEMPOTENCY_CONFLICT:
        return CODES_ERROR_BAD_REQUEST;
    }
    NEVER("a verdict that is not one");
}

enum codes_error channel_publish(struct channel_home *home, const struct post_publish *asked,
                                 struct channel_position *position)
{
    const enum codes_error error = publish(home, asked, position);
    blob_drop(asked->blob, home->options.pool);
    return error;
}
