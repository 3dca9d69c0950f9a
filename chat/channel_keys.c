/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was published to a channel under idempotency keys. They count as a part of its history.
 */
#include "chat/channel_private.h"
#include "chat/idempotency.h"

static uint64_t expires_ns(const struct channel_home *home, const struct channel *channel)
{
    return home->now_ns + channel->policy->idempotency_ttl_ns;
}

/* The keys hold another number of bytes than before. */
static void account(struct channel_home *home, const struct channel *channel, size_t before)
{
    home->history_bytes += idempotency_bytes(channel->keys) - before;
}

void channel_expire_keys(struct channel_home *home, struct channel *channel)
{
    const size_t before = idempotency_bytes(channel->keys);
    idempotency_expire(&channel->keys, home->now_ns);
    account(home, channel, before);
}

enum idempotency_verdict channel_judge_key(struct channel_home *home, struct channel *channel,
                                           const struct idempotency_key *key, uint64_t *offset)
{
    channel_expire_keys(home, channel);
    return idempotency_judge(channel->keys, key, offset);
}

int channel_add_key(struct channel_home *home, struct channel *channel,
                    const struct idempotency_key *key, uint64_t offset, uint64_t age_ns)
{
    if (age_ns >= channel->policy->idempotency_ttl_ns) {
        return 0; /* it would be forgotten by now */
    }
    const size_t before = idempotency_bytes(channel->keys);
    const int result = idempotency_add(&channel->keys, &home->options.key, key, offset,
                                       expires_ns(home, channel) - age_ns);
    account(home, channel, before);
    return result;
}

void channel_remove_key(struct channel_home *home, struct channel *channel, struct bytes text)
{
    const size_t before = idempotency_bytes(channel->keys);
    idempotency_remove(&channel->keys, text);
    account(home, channel, before);
}

void channel_forget_keys(struct channel_home *home, struct channel *channel)
{
    const size_t before = idempotency_bytes(channel->keys);
    idempotency_destroy(&channel->keys);
    account(home, channel, before);
}
