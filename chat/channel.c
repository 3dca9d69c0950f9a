/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat/directory.h"
#include "chat/outbox.h"
#include "chat/post.h"
#include "chat/publication.h"
#include "chat/roster.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/list.h"
#include "core/metrics.h"

/* One reactor's interest. It is up to date while next == top + 1. */
struct interest {
    uint64_t next;          /* offset of the next publication to tell it */
    struct ids_handle room; /* its room: room.reactor is the reactor */
    bool gap;               /* fell off the tail: owed one POST_GAP and nothing after it */
};

struct channel {
    uint64_t hash;
    uint64_t top;       /* offset of the last publication, 0: none yet */
    struct blob **tail; /* publications [top - tail_count + 1, top], a ring of tail_count_max */
    size_t tail_bytes;
    struct list_link lagging; /* in home->lagging while anybody lags */
    struct interest *interests;
    uint32_t tail_first; /* index of the oldest in `tail` */
    uint32_t tail_count;
    uint16_t interest_count;
    uint16_t interest_capacity;
    uint32_t slot;
    uint8_t name_size;
    uint8_t name[];
};

struct channel_home {
    struct channel_options options;
    struct directory *channels; /* objects are struct channel */
    struct list_link lagging;   /* channels that someone lags in */
};

static struct bytes name_of(const void *value)
{
    const struct channel *channel = value;
    return (struct bytes){channel->name, channel->name_size};
}

int channel_home_create(const struct channel_options *options, struct channel_home **home)
{
    CHECK(options->tail_count_max > 0);

    struct channel_home *created = calloc(1, sizeof(*created));
    if (created == NULL) {
        return -ENOMEM;
    }
    created->options = *options;
    list_init(&created->lagging);
    const int result =
        directory_create(options->reactor, options->channel_count_max, name_of, &created->channels);
    if (result != 0) {
        free(created);
        return result;
    }
    *home = created;
    return 0;
}

/* -- the tail ---------------------------------------------------------------------------------- */

static void tail_drop_oldest(struct channel_home *home, struct channel *channel)
{
    CHECK(channel->tail_count > 0);
    struct blob *oldest = channel->tail[channel->tail_first];

    channel->tail_bytes -= blob_bytes(oldest).size;
    channel->tail_first = (channel->tail_first + 1) % home->options.tail_count_max;
    channel->tail_count--;
    blob_drop(oldest, home->options.pool);
}

static void tail_clear(struct channel_home *home, struct channel *channel)
{
    while (channel->tail_count > 0) {
        tail_drop_oldest(home, channel);
    }
    free(channel->tail);
    channel->tail = NULL;
    channel->tail_first = 0;
}

static uint64_t tail_first_offset(const struct channel *channel)
{
    return channel->top - channel->tail_count + 1;
}

static struct blob *tail_at(const struct channel_home *home, const struct channel *channel,
                            uint64_t offset)
{
    CHECK(offset >= tail_first_offset(channel) && offset <= channel->top);
    const uint64_t index = channel->tail_first + (offset - tail_first_offset(channel));
    return channel->tail[index % home->options.tail_count_max];
}

static bool is_lagging(const struct channel *channel, const struct interest *interest)
{
    return interest->gap || interest->next <= channel->top;
}

/* Who needed what has left the tail lost it, and is going to be told so. */
static void mark_gaps(struct channel_home *home, struct channel *channel)
{
    for (size_t i = 0; i < channel->interest_count; i++) {
        struct interest *interest = &channel->interests[i];
        if (!interest->gap && interest->next < tail_first_offset(channel)) {
            interest->gap = true;
            metrics_add(home->options.metrics, METRIC_GAPS, 1);
        }
    }
}

/* Keeps the publication at `top` for those who lag. Takes one share of its own. */
static void tail_append(struct channel_home *home, struct channel *channel, struct blob *blob)
{
    if (channel->tail == NULL) {
        channel->tail = calloc(home->options.tail_count_max, sizeof(struct blob *));
    }
    if (channel->tail != NULL) {
        const uint32_t index =
            (channel->tail_first + channel->tail_count) % home->options.tail_count_max;
        blob_share(blob, 1);
        channel->tail[index] = blob;
        channel->tail_count++;
        channel->tail_bytes += blob_bytes(blob).size;
    }
    mark_gaps(home, channel);
}

static void tail_make_room(struct channel_home *home, struct channel *channel, size_t size)
{
    while (channel->tail_count == home->options.tail_count_max ||
           (channel->tail_count > 0 && channel->tail_bytes + size > home->options.tail_bytes_max)) {
        tail_drop_oldest(home, channel);
    }
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

static struct channel *open_channel(struct channel_home *home, uint64_t hash, struct bytes name)
{
    CHECK(name.size > 0 && name.size <= UINT8_MAX);

    struct channel *channel = calloc(1, sizeof(*channel) + name.size);
    if (channel == NULL) {
        return NULL;
    }
    channel->hash = hash;
    channel->name_size = (uint8_t)name.size;
    memcpy(channel->name, name.data, name.size);

    if (directory_add(home->channels, hash, channel, &channel->slot) != 0) {
        free(channel);
        return NULL;
    }
    return channel;
}

static void close_channel(struct channel_home *home, struct channel *channel)
{
    CHECK(channel->interest_count == 0);

    tail_clear(home, channel);
    if (list_is_linked(&channel->lagging)) {
        list_remove(&channel->lagging);
    }
    directory_remove(home->channels, channel->hash, channel, channel->slot);
    free(channel->interests);
    free(channel);
}

void channel_home_destroy(struct channel_home *home)
{
    if (home == NULL) {
        return;
    }
    for (uint32_t slot = 0; slot < directory_slot_end(home->channels); slot++) {
        struct channel *channel = directory_slot(home->channels, slot);
        if (channel != NULL) {
            channel->interest_count = 0;
            close_channel(home, channel);
        }
    }
    directory_destroy(home->channels);
    free(home);
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
                         struct ids_handle room, struct ids_handle *handle)
{
    struct channel *channel = directory_find(home->channels, hash, name);
    if (channel == NULL) {
        channel = open_channel(home, hash, name);
        if (channel == NULL) {
            return -ENOMEM;
        }
    }
    struct interest *interest = find_interest(channel, room.reactor);
    if (interest == NULL) {
        interest = append_interest(channel);
        if (interest == NULL) {
            if (channel->interest_count == 0) {
                close_channel(home, channel);
            }
            return -ENOMEM;
        }
    }
    *interest = (struct interest){.next = channel->top + 1, .room = room};
    *handle = directory_handle(home->channels, channel->slot);
    return 0;
}

static void drop_interest(struct channel *channel, struct interest *interest)
{
    *interest = channel->interests[channel->interest_count - 1];
    channel->interest_count--;
}

void channel_remove_interest(struct channel_home *home, struct ids_handle handle,
                             struct ids_handle room)
{
    struct channel *channel = directory_at(home->channels, handle);
    if (channel == NULL) {
        return;
    }
    struct interest *interest = find_interest(channel, room.reactor);
    if (interest == NULL || !ids_handle_equal(interest->room, room)) {
        return;
    }
    drop_interest(channel, interest);
    if (channel->interest_count == 0) {
        close_channel(home, channel);
    }
}

/* -- publishing -------------------------------------------------------------------------------- */

static bool tell_publication(struct channel_home *home, struct ids_handle room, struct blob *blob)
{
    struct post post = {.kind = POST_PUBLICATION, .publication = {.blob = blob, .room = room}};
    const struct bus_post packed = post_pack(&post);

    if (bus_tell(home->options.bus, home->options.reactor, room.reactor, &packed) != BUS_POSTED) {
        metrics_add(home->options.metrics, METRIC_BUS_FULL, 1);
        return false;
    }
    blob_share(blob, 1);
    return true;
}

/* True when the interest has the publication, or will never need it. */
static bool send_to(struct channel_home *home, struct channel *channel, struct interest *interest,
                    struct blob *blob)
{
    if (interest->room.reactor != home->options.reactor) {
        return tell_publication(home, interest->room, blob);
    }
    struct room *room = roster_at(home->options.roster, interest->room);
    CHECK(room != NULL);
    CHECK(room->hash == channel->hash);
    blob_share(blob, 1);
    outbox_publish(home->options.outbox, room, interest->room, blob);
    return true;
}

static void fan_out(struct channel_home *home, struct channel *channel, struct blob *blob)
{
    bool lagging = false;

    for (size_t i = 0; i < channel->interest_count; i++) {
        struct interest *interest = &channel->interests[i];
        /* Who is behind stays behind until channel_catch_up: a later one must not overtake. */
        if (!interest->gap && interest->next == channel->top &&
            send_to(home, channel, interest, blob)) {
            interest->next++;
        }
        lagging = lagging || is_lagging(channel, interest);
    }
    /* A tail that nobody needs any more still has to end at `top` until it is cleared. */
    if (lagging || channel->tail_count > 0) {
        tail_append(home, channel, blob);
        if (!list_is_linked(&channel->lagging)) {
            list_push_back(&home->lagging, &channel->lagging);
        }
    }
}

void channel_publish(struct channel_home *home, uint64_t hash, uint16_t name_size,
                     struct blob *blob)
{
    struct channel *channel =
        directory_find(home->channels, hash, publication_channel(blob, name_size));

    metrics_add(home->options.metrics, METRIC_PUBLICATIONS, 1);
    if (channel != NULL) {
        /* Before the offset is given: the tail is the range that ends at `top`. */
        tail_make_room(home, channel, blob_bytes(blob).size);
        channel->top++;
        publication_finish(blob, name_of(channel), channel->top);
        fan_out(home, channel, blob);
    }
    blob_drop(blob, home->options.pool);
}

/* -- catching up ------------------------------------------------------------------------------- */

static bool tell_gap(struct channel_home *home, struct ids_handle room)
{
    struct post post = {.kind = POST_GAP, .gap = {.room = room}};
    const struct bus_post packed = post_pack(&post);
    return bus_tell(home->options.bus, home->options.reactor, room.reactor, &packed) == BUS_POSTED;
}

/* Returns true when nobody lags in the channel any more. It may have closed then. */
static bool catch_up(struct channel_home *home, struct channel *channel)
{
    bool lagging = false;

    for (size_t i = 0; i < channel->interest_count;) {
        struct interest *interest = &channel->interests[i];
        while (!interest->gap && interest->next <= channel->top &&
               send_to(home, channel, interest, tail_at(home, channel, interest->next))) {
            interest->next++;
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
        if (channel->interest_count == 0) {
            close_channel(home, channel);
        } else {
            tail_clear(home, channel);
            list_remove(&channel->lagging);
        }
    }
}

bool channel_is_lagging(const struct channel_home *home)
{
    return !list_is_empty(&home->lagging);
}

size_t channel_count(const struct channel_home *home)
{
    return directory_count(home->channels);
}
