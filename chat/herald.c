/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/herald.h"

#include <stdlib.h>
#include <string.h>

#include "core/blob.h"
#include "core/check.h"
#include "core/slab.h"
#include "proto/event.h"
#include "proto/frame.h"

enum {
    PUSHES_PER_TOLD = 64, /* a second, to all of a room together, for each of told_max */
    FIRST_CAPACITY = 4,   /* leaves */
};

static const uint64_t pause_ns_max = 1000000000;

static struct herald_leave *leave_at(const struct herald *herald, uint32_t index)
{
    CHECK(index < herald->leave_count);
    return &herald->leaves[(herald->leave_first + index) % herald->leave_capacity];
}

/* The oldest ones have been told, or nobody is there to be told. */
static void forget_leaves(struct herald *herald, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        card_unref(leave_at(herald, i)->cards.conn);
        card_unref(leave_at(herald, i)->cards.chan);
    }
    herald->leave_count -= count;
    herald->leave_first =
        herald->leave_count > 0 ? (herald->leave_first + count) % herald->leave_capacity : 0;
}

struct herald *herald_create(struct timerwheel *wheel, uint32_t room)
{
    struct herald *herald = calloc(1, sizeof(*herald));
    if (herald != NULL) {
        herald->wheel = wheel;
        herald->room = room;
    }
    return herald;
}

void herald_destroy(struct herald *herald)
{
    if (herald == NULL) {
        return;
    }
    timerwheel_cancel(herald->wheel, &herald->timer);
    forget_leaves(herald, herald->leave_count);
    free(herald->leaves);
    free(herald);
}

/* -- those who left ---------------------------------------------------------------------------- */

/* Makes room for the leaves of `more` members besides those that are known already. */
static bool reserve_leaves(struct herald *herald, uint32_t more)
{
    const uint32_t needed = herald->leave_count + herald->known_count + more;
    if (needed <= herald->leave_capacity) {
        return true;
    }
    CHECK(needed <= UINT32_MAX / 2);
    const uint32_t capacity = needed < FIRST_CAPACITY ? FIRST_CAPACITY : 2 * needed;
    struct herald_leave *leaves = malloc(capacity * sizeof(*leaves));
    if (leaves == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < herald->leave_count; i++) {
        leaves[i] = *leave_at(herald, i);
    }
    free(herald->leaves);
    herald->leaves = leaves;
    herald->leave_first = 0;
    herald->leave_capacity = capacity;
    return true;
}

bool herald_mark_known(struct herald *herald, struct roster_member *member)
{
    if (!member->is_known && !member->traits.is_discreet) {
        if (!reserve_leaves(herald, 1)) {
            return false;
        }
        member->is_known = true;
        herald->known_count++;
    }
    return true;
}

void herald_remember(struct herald *herald, const struct roster_member *member,
                     const struct session *session)
{
    if (!member->is_known) {
        CHECK(!member->is_told);
        return;
    }
    CHECK(herald->known_count > 0);
    CHECK(herald->told_count >= (member->is_told ? 1 : 0));
    CHECK(herald->leave_count < herald->leave_capacity);
    herald->told_count -= member->is_told ? 1 : 0;
    herald->known_count--;
    herald->leave_count++;
    struct herald_leave *leave = leave_at(herald, herald->leave_count - 1);
    memcpy(leave->id, session->id, SESSION_ID_SIZE);
    leave->cards = session_cards(session, &session->subscriptions[member->subscription]);
    (void)card_ref(leave->cards.conn);
    (void)card_ref(leave->cards.chan);
}

/* -- how often --------------------------------------------------------------------------------- */

static uint32_t least(uint64_t a, uint64_t b)
{
    return (uint32_t)(a < b ? a : b);
}

/* How many there are in the channel, about: its connections are spread over the reactors. */
static uint64_t channel_size(const struct room *room, const struct herald_limits *limits)
{
    return (uint64_t)room->member_count * limits->reactor_count;
}

/* As long as it takes a room of this size to be told a whole frame within the rate. */
static uint64_t pause_ns(const struct room *room, const struct herald_limits *limits)
{
    const uint64_t rate = (uint64_t)PUSHES_PER_TOLD * limits->told_max;
    const uint64_t pushes = channel_size(room, limits) * limits->batch_max;
    return pushes >= rate ? pause_ns_max : pushes * pause_ns_max / rate;
}

/* Where the pause cannot grow any more, frames become shorter. */
static uint32_t batch_size(const struct room *room, const struct herald_limits *limits)
{
    const uint64_t rate = (uint64_t)PUSHES_PER_TOLD * limits->told_max;
    const uint64_t size = channel_size(room, limits);
    const uint64_t count = size == 0 ? limits->batch_max : rate / size;
    return count == 0 ? 1 : least(count, limits->batch_max);
}

static uint32_t untold_count(const struct room *room, const struct herald_limits *limits)
{
    const uint32_t told = room->herald->told_count;
    const uint32_t there = least(room->member_count - room->discreet_count, limits->told_max);
    CHECK(told <= room->member_count);
    return told < there ? there - told : 0;
}

bool herald_has_news(const struct room *room, const struct herald_limits *limits)
{
    return room->herald->leave_count > 0 || untold_count(room, limits) > 0;
}

uint64_t herald_due_ns(const struct room *room, const struct herald_limits *limits)
{
    return room->herald->spoke_ns == 0 ? 0 : room->herald->spoke_ns + pause_ns(room, limits);
}

/* -- what -------------------------------------------------------------------------------------- */

void herald_choose(const struct room *room, const struct herald_limits *limits,
                   struct herald_batch *batch)
{
    CHECK(limits->batch_max > 0 && limits->batch_max <= HERALD_BATCH_MAX);
    const uint32_t size = batch_size(room, limits);

    batch->leave_count = least(room->herald->leave_count, size);
    batch->join_count = 0;
    uint32_t wanted = least(untold_count(room, limits), size - batch->leave_count);
    if (wanted > 0 && !reserve_leaves(room->herald, wanted)) {
        return;
    }
    /* From the end, where those are that came last. */
    for (uint32_t i = room->member_count; i > 0 && wanted > 0; i--) {
        if (!room->members[i - 1].is_told && !room->members[i - 1].traits.is_discreet) {
            batch->joins[batch->join_count++] = i - 1;
            wanted--;
        }
    }
}

static void write_push(struct json_writer *writer, const struct room *room,
                       const uint8_t id[SESSION_ID_SIZE], struct session_cards cards, bool is_join)
{
    uint8_t text[SESSION_ID_TEXT_SIZE];
    const struct event_client_info info = session_describe(id, cards, text);

    if (writer->size > 0) {
        json_writer_text(writer, "\n");
    }
    if (is_join) {
        event_write_join_push(writer, room_name(room), &info);
    } else {
        event_write_leave_push(writer, room_name(room), &info);
    }
}

static void write_batch(struct json_writer *writer, const struct room *room,
                        const struct herald_batch *batch, struct slab *sessions)
{
    for (uint32_t i = 0; i < batch->leave_count; i++) {
        const struct herald_leave *leave = leave_at(room->herald, i);
        write_push(writer, room, leave->id, leave->cards, false);
    }
    for (uint32_t i = 0; i < batch->join_count; i++) {
        const struct roster_member *member = &room->members[batch->joins[i]];
        const struct session *session = slab_at(sessions, member->session);
        CHECK(session != NULL);
        write_push(writer, room, session->id,
                   session_cards(session, &session->subscriptions[member->subscription]), true);
    }
}

struct blob *herald_write(const struct room *room, const struct herald_batch *batch,
                          struct slab *sessions, struct blob_pool *pool)
{
    uint8_t header[FRAME_HEADER_SIZE_MAX];
    struct json_writer writer;

    CHECK(batch->leave_count + batch->join_count > 0);
    json_writer_init(&writer, (struct span){NULL, 0});
    write_batch(&writer, room, batch, sessions);
    const size_t size = writer.size;
    const size_t header_size = frame_write_header(FRAME_TEXT, size, header);
    struct blob *blob = blob_create(pool, header_size + size);
    if (blob == NULL) {
        return NULL;
    }
    memcpy(blob->data, header, header_size);
    json_writer_init(&writer, (struct span){blob->data + header_size, size});
    write_batch(&writer, room, batch, sessions);
    CHECK(json_writer_fits(&writer));
    blob->end = (uint32_t)(header_size + size);
    return blob;
}

void herald_spoke(struct room *room, const struct herald_batch *batch, uint64_t now_ns)
{
    struct herald *herald = room->herald;

    CHECK(batch->leave_count <= herald->leave_count);
    forget_leaves(herald, batch->leave_count);
    for (uint32_t i = 0; i < batch->join_count; i++) {
        CHECK(batch->joins[i] < room->member_count);
        struct roster_member *member = &room->members[batch->joins[i]];
        const bool marked = herald_mark_known(herald, member);
        CHECK(marked); /* herald_choose() made room */
        CHECK(!member->is_told);
        member->is_told = true;
        herald->told_count++;
    }
    herald->spoke_ns = now_ns == 0 ? 1 : now_ns;
}
