/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/channel_private.h"
#include "chat/directory.h"
#include "chat/ledger.h"
#include "chat/outbox.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/publication.h"
#include "chat/roster.h"
#include "chat/stream.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/list.h"
#include "core/metrics.h"
#include "core/metrics_namespace.h"

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

static struct age *age_of(struct channel_home *home, const struct channel *channel)
{
    return &home->ages[channel->policy->index];
}

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
    if (channel->interest_count > 0 || is_busy) {
        channel_set_age(home, channel, NULL);
    } else if (channel_has_history(channel)) {
        channel_set_age(home, channel, &age_of(home, channel)->idle);
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

/* -- interest ---------------------------------------------------------------------------------- */

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

/* -- publishing -------------------------------------------------------------------------------- */

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

/* Sends the publication of an offset to who has all before it. Returns true if somebody lags. */
static bool fan_out(struct channel_home *home, struct channel *channel, struct blob *blob,
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

/* Gives the publication its place, sends it out, and keeps it where that is wanted and possible. */
void channel_send_out(struct channel_home *home, struct channel *channel, struct blob *blob,
                      uint64_t time_ns)
{
    const uint64_t offset = channel->stream.top + 1;

    publication_finish(blob, channel_name(channel), channel_has_history(channel) ? offset : 0);
    const bool lagging = fan_out(home, channel, blob, offset);
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
        channel_set_age(home, channel, &age_of(home, channel)->kept);
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

size_t channel_count(const struct channel_home *home)
{
    return directory_count(home->channels);
}

size_t channel_history_bytes(const struct channel_home *home)
{
    return home->history_bytes;
}
