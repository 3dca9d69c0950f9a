/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/channel_private.h"
#include "chat/directory.h"
#include "chat/ledger.h"
#include "chat/policy.h"
#include "core/check.h"
#include "core/list.h"

static struct bytes name_of(const void *value)
{
    return channel_name(value);
}

int channel_home_create(const struct channel_options *options, struct channel_home **home)
{
    CHECK(options->tail_count_max > 0);
    CHECK(options->policies->policy_count > 0);

    struct channel_home *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    list_init(&created->lagging);
    created->ages = calloc(POLICY_PLACES_MAX, sizeof(*created->ages));
    int result = -ENOMEM;
    if (created->ages == NULL) {
        goto free_created;
    }
    for (size_t i = 0; i < POLICY_PLACES_MAX; i++) {
        list_init(&created->ages[i].kept);
        list_init(&created->ages[i].keyed);
        list_init(&created->ages[i].idle);
    }
    result =
        directory_create(options->reactor, options->channel_count_max, name_of, &created->channels);
    if (result != 0) {
        goto free_ages;
    }
    result = channel_create_ledger(created);
    if (result != 0) {
        goto free_directory;
    }
    *home = created;
    return 0;

free_directory:
    directory_destroy(created->channels);
free_ages:
    free(created->ages);
free_created:
    free(created);
    return result;
}

/* -- opening and closing ----------------------------------------------------------------------- */

void channel_set_age(struct channel_home *home, struct channel *channel, struct list_link *list)
{
    if (list_is_linked(&channel->age)) {
        list_remove(&channel->age);
    }
    if (list != NULL) {
        channel->used_ns = home->now_ns;
        list_push_back(list, &channel->age);
    }
}

/* What the channel itself counts as: it is there because of its history only. */
static size_t cost_of(const struct channel *channel)
{
    return channel_has_history(channel) ? sizeof(*channel) + channel->name_size : 0;
}

/* Epoch 0 is none. */
uint64_t channel_new_epoch(struct channel_home *home)
{
    uint64_t epoch = 0;
    home->options.fill_random(home->options.random_context, &epoch, sizeof(epoch));
    return epoch == 0 ? 1 : epoch;
}

static struct channel *open_channel(struct channel_home *home, uint64_t hash, struct bytes name)
{
    CHECK(name.size > 0 && name.size <= UINT8_MAX);
    const struct policy *policy = policy_recall(home->options.policies, name);
    CHECK(policy != NULL); /* who asked has judged the name */

    struct channel *channel = calloc(1, sizeof(*channel) + name.size);
    if (channel == NULL) {
        return NULL;
    }
    channel->hash = hash;
    channel->policy = policy;
    channel->name_size = (uint8_t)name.size;
    memcpy(channel->name, name.data, name.size);

    if (directory_add(home->channels, hash, channel, &channel->slot) != 0) {
        free(channel);
        return NULL;
    }
    if (channel_open_book(home, channel) != 0) {
        directory_remove(home->channels, hash, channel, channel->slot);
        free(channel);
        return NULL;
    }
    if (policy_has_history(policy)) {
        channel->stream.epoch = channel->book == NULL ? channel_new_epoch(home) : 0;
        home->history_bytes += cost_of(channel);
    }
    return channel;
}

struct channel *channel_find_or_open(struct channel_home *home, uint64_t hash, struct bytes name)
{
    struct channel *channel = directory_find(home->channels, hash, name);
    return channel != NULL ? channel : open_channel(home, hash, name);
}

void channel_drop_before(struct channel_home *home, struct channel *channel, uint64_t offset)
{
    const size_t bytes = channel->stream.bytes;
    stream_drop_before(&channel->stream, offset, home->options.pool);
    home->history_bytes -= bytes - channel->stream.bytes;
}

void channel_close(struct channel_home *home, struct channel *channel)
{
    CHECK(channel->interest_count == 0);

    channel_drop_news(home, channel);
    channel_drop_before(home, channel, channel->stream.top + 1);
    home->history_bytes -= cost_of(channel);
    if (list_is_linked(&channel->lagging)) {
        list_remove(&channel->lagging);
    }
    channel_set_age(home, channel, NULL);
    ledger_close(home->ledger, channel->book);
    channel_forget_keys(home, channel);
    directory_remove(home->channels, channel->hash, channel, channel->slot);
    free(channel->interests);
    free(channel);
}

/* The store has what there is to know of it, or more than we do: it will be asked again. */
static bool is_dispensable(const struct channel *channel)
{
    return channel->book != NULL && (channel->is_partial || !ledger_is_loaded(channel->book));
}

/* Nobody is interested, or nothing is kept any more: what is still to be remembered? */
void channel_settle(struct channel_home *home, struct channel *channel)
{
    const bool is_busy = channel->book != NULL && !ledger_is_idle(channel->book);

    if (channel->interest_count == 0 && !is_busy && is_dispensable(channel)) {
        channel_close(home, channel);
        return;
    }
    if (channel->stream.count > 0 && channel_has_history(channel)) {
        return; /* it has its place among those that expire */
    }
    channel_expire_keys(home, channel);
    if (is_busy || (channel->interest_count > 0 && channel->keys == NULL)) {
        channel_set_age(home, channel, NULL);
    } else if (channel->interest_count > 0) {
        channel_set_age(home, channel, &channel_age_of(home, channel)->keyed);
    } else if (channel_has_history(channel)) {
        channel_set_age(home, channel, &channel_age_of(home, channel)->idle);
    } else {
        channel_close(home, channel);
    }
}

void channel_home_forget(struct channel_home *home)
{
    for (uint32_t slot = 0; slot < directory_slot_end(home->channels); slot++) {
        struct channel *channel = directory_slot(home->channels, slot);
        if (channel != NULL) {
            channel->interest_count = 0;
            channel_close(home, channel);
        }
    }
    ledger_destroy(home->ledger);
    home->ledger = NULL;
    home->renew_end = 0;
    CHECK(home->history_bytes == 0);
}

void channel_home_destroy(struct channel_home *home)
{
    if (home == NULL) {
        return;
    }
    channel_home_forget(home);
    directory_destroy(home->channels);
    free(home->ages);
    free(home);
}

size_t channel_count(const struct channel_home *home)
{
    return directory_count(home->channels);
}

size_t channel_history_bytes(const struct channel_home *home)
{
    return home->history_bytes;
}
