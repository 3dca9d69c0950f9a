/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscriptions that the server makes. Those of a connection token, and the personal channel, come
 * in the reply to `connect`, all together: it is said when each of them knows what it missed, and
 * from then on all of them are members. So nothing is lost and nothing comes before the reply.
 *
 * What was read for one of them is kept until the last one knows. Meanwhile more may have been
 * published there: then it is read again, a few times. Who has not everything after that is given
 * what there is and told to come again, from there on.
 */
#include <stdlib.h>

#include "chat/claims.h"
#include "chat/grant.h"
#include "chat/hub_state.h"
#include "chat/hub_wishes.h"
#include "chat/membership.h"
#include "chat/page.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/check.h"
#include "core/metrics.h"
#include "proto/command.h"

enum { ROUNDS_MAX = 4 }; /* in which something is read again */

/* A connect that has not been answered. It is there until its session is pulled or closed. */
struct hub_arrival {
    struct list_link settled; /* the hub's, once it has been answered */
    struct session *session;
    uint32_t command;
    uint32_t ttl_s; /* for the reply; 0: the token does not end */
    uint32_t round_count;
    bool is_whole;        /* every subscription has been asked for */
    bool waits_for_place; /* among its user's connections */
    bool is_over;         /* answered */
};

/* -- the answer -------------------------------------------------------------------------------- */

static void settle(struct hub *hub, struct session *session, enum session_state state)
{
    session->state = (uint8_t)state;
    session->arrival->is_over = true;
    list_push_back(&hub->settled, &session->arrival->settled);
}

static void turn_away(struct hub *hub, struct session *session)
{
    settle(hub, session, SESSION_REFUSED);
    while (session->subscription_count > 0) {
        hub_leave_room(hub, session, session->subscription_count - 1U);
    }
}

void hub_fail_arrival(struct hub *hub, struct session *session, enum codes_error error)
{
    CHECK(session->state == SESSION_ARRIVING);
    hub_reply_error(&hub->reply, session, session->arrival->command, error);
    turn_away(hub, session);
}

static struct roster_waiter *waiter_of(const struct hub *hub, const struct session *session,
                                       uint32_t index, struct room **room)
{
    const struct session_subscription *subscription = &session->subscriptions[index];
    *room = roster_slot(hub->roster, subscription->room);
    CHECK(subscription->is_waiting);
    return &(*room)->waiters[subscription->member];
}

/* Has its page been overtaken by what was published since? One that is cut would not be longer. */
static bool is_overtaken(const struct room *room, const struct roster_waiter *waiter)
{
    return waiter->page != NULL && !waiter->is_cut &&
           page_first(waiter->page) + page_count(waiter->page) - 1 < room_position(room);
}

/* It is to be read what the waiter missed; for the first time, or again. */
static void read_again(struct hub *hub, struct hub_arrival *arrival, struct room *room,
                       struct roster_waiter *waiter)
{
    arrival->round_count += waiter->knew;
    waiter->knew = false;
    if (waiter->page != NULL) {
        blob_drop(waiter->page, hub->options.pool);
        waiter->page = NULL;
        waiter->is_cut = false;
    }
    hub_wish(hub, room);
}

/* Does each of them know what it missed? Otherwise it is seen to. */
static bool all_know(struct hub *hub, struct session *session)
{
    struct hub_arrival *arrival = session->arrival;
    bool know = true;

    for (uint32_t i = 0; i < session->subscription_count; i++) {
        struct room *room;
        struct roster_waiter *waiter = waiter_of(hub, session, i, &room);
        if (room->state != ROOM_JOINED) {
            know = false;
            continue;
        }
        const bool is_short = hub_judge(hub, room, waiter, NULL).verdict == RECOVERY_READ ||
                              is_overtaken(room, waiter);
        if (!is_short) {
            waiter->knew = true;
        } else if (!waiter->knew || arrival->round_count < ROUNDS_MAX) {
            know = false;
            read_again(hub, arrival, room, waiter);
        }
    }
    return know;
}

/* All that is said of one subscription; false: it has to come again for the rest. */
static bool write_one(struct hub *hub, const struct session *session, uint32_t index,
                      struct json_writer *writer, size_t *left)
{
    struct room *room;
    const struct roster_waiter *waiter = waiter_of(hub, session, index, &room);
    struct recovery_answer answer = hub_judge(hub, room, waiter, NULL);
    struct hub_told told = {.page = waiter->page};

    if (answer.verdict == RECOVERY_READ) {
        answer.verdict = RECOVERY_COMPLETE; /* after so many rounds, with nothing */
    }
    hub_describe(hub, room, waiter, answer, &told);
    const size_t size = told.result.publications.size;
    if (size <= *left) {
        *left -= size;
    } else if (*left == hub->options.page_bytes_max) {
        *left = 0; /* the first ones always fit, as in a page: else it would never have them */
    } else {
        told.result.publications = (struct bytes){NULL, 0};
        told.has_all = false;
    }
    if (index > 0) {
        json_writer_text(writer, ",");
    }
    event_write_subscription(writer, room_name(room), &told.result);
    return told.has_all;
}

/* The object `subs` of the reply; the client's queue has room for so many publications. */
static bool write_all(struct hub *hub, const struct session *session, struct json_writer *writer)
{
    size_t left = hub->options.page_bytes_max;
    bool has_all = true;

    json_writer_text(writer, "{");
    for (uint32_t i = 0; i < session->subscription_count; i++) {
        has_all = write_one(hub, session, i, writer, &left) && has_all;
    }
    json_writer_text(writer, "}");
    return has_all;
}

/* -1: no memory for some; the others are members all the same. */
static int admit_all(struct hub *hub, struct session *session)
{
    for (uint32_t i = 0; i < session->subscription_count; i++) {
        struct room *room;
        struct roster_waiter *waiter = waiter_of(hub, session, i, &room);
        struct blob *page = waiter->page;
        hub_count_recovery(hub, room, hub_judge(hub, room, waiter, NULL).verdict);
        waiter->page = NULL;
        const uint32_t place = (uint32_t)(waiter - room->waiters);
        const int result = membership_admit(hub->sessions, room, place);
        if (page != NULL) {
            blob_drop(page, hub->options.pool);
        }
        if (result != 0) {
            return -1;
        }
        hub_news_changed(hub, room);
    }
    return 0;
}

/* Everything about its subscriptions is known now. */
static void answer(struct hub *hub, struct session *session)
{
    struct hub_arrival *arrival = session->arrival;
    struct json_writer writer;

    if (session->subscription_count == 0) {
        hub_greet(hub, session, arrival->command, arrival->ttl_s, (struct bytes){NULL, 0});
        settle(hub, session, SESSION_CONNECTED);
        return;
    }
    json_writer_init(&writer, (struct span){NULL, 0});
    (void)write_all(hub, session, &writer); /* measures */
    const size_t size = writer.size;
    uint8_t *subs = malloc(size);
    if (subs == NULL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        hub_fail_arrival(hub, session, CODES_ERROR_INTERNAL);
        return;
    }
    json_writer_init(&writer, (struct span){subs, size});
    const bool has_all = write_all(hub, session, &writer);
    CHECK(json_writer_fits(&writer));
    if (admit_all(hub, session) != 0) {
        hub_fail_arrival(hub, session, CODES_ERROR_INTERNAL);
    } else {
        hub->recovery_bytes += size;
        hub_greet(hub, session, arrival->command, arrival->ttl_s, json_writer_bytes(&writer));
        settle(hub, session, SESSION_CONNECTED);
        if (!has_all) {
            hub_reply_disconnect(&hub->reply, session, CODES_DISCONNECT_INSUFFICIENT_STATE);
        }
    }
    free(subs);
}

void hub_arrive(struct hub *hub, struct session *session)
{
    CHECK(session->state == SESSION_ARRIVING);
    if (session->arrival->is_whole && !session->arrival->waits_for_place && !session->is_ending &&
        all_know(hub, session)) {
        answer(hub, session);
    }
}

void hub_place_arrival(struct hub *hub, struct session *session, const struct post_place *answer)
{
    if (session->state != SESSION_ARRIVING) {
        return; /* it was refused for something else, or its connection ends */
    }
    session->arrival->waits_for_place = false;
    if (!answer->is_refused) {
        hub_arrive(hub, session);
    } else if (answer->verdict == QUOTA_FULL) {
        hub_reply_disconnect(&hub->reply, session, CODES_DISCONNECT_CONNECTION_LIMIT);
        turn_away(hub, session);
    } else { /* later there may be one */
        hub_fail_arrival(hub, session,
                         answer->verdict == QUOTA_TOO_FAST ? CODES_ERROR_TOO_MANY_REQUESTS
                                                           : CODES_ERROR_INTERNAL);
    }
}

/* -- connect ----------------------------------------------------------------------------------- */

enum codes_error hub_subscribe_for(struct hub *hub, struct session *session, struct bytes channel,
                                   const struct grant_source *source,
                                   const struct command_subscribe *wanted)
{
    const struct hub_entry entry = {
        .wanted = wanted,
        .grant = grant_create(source),
        .origin = session->state == SESSION_ARRIVING ? ROSTER_BY_CONNECT : ROSTER_BY_SERVER,
    };
    if (entry.grant == NULL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    const enum codes_error error =
        hub_join(hub, session, channel, table_hash(&hub->options.key, channel), &entry);
    if (error != CODES_ERROR_NONE) {
        hub_drop_grant(hub, entry.grant);
    }
    return error;
}

/* It waits for all of them, and a place of its user's. One that is refused refuses the whole. */
static enum codes_error begin(struct hub *hub, struct session *session, uint32_t command,
                              uint32_t ttl_s, const struct hub_wishes *wishes)
{
    struct hub_arrival *arrival = calloc(1, sizeof(*arrival));
    if (arrival == NULL) {
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return CODES_ERROR_INTERNAL;
    }
    arrival->session = session;
    arrival->command = command;
    arrival->ttl_s = ttl_s;
    session->arrival = arrival;
    session->state = SESSION_ARRIVING;
    if (session_user(session).size > 0) {
        arrival->waits_for_place = true;
        hub_ask_place_of_user(hub, session);
    }
    for (size_t i = 0; i < wishes->count && !arrival->is_over; i++) {
        const struct hub_wish *wish = &wishes->list[i];
        const enum codes_error error =
            hub_subscribe_for(hub, session, wish->channel, &wish->source, &wish->wanted);
        if (error != CODES_ERROR_NONE && !arrival->is_over) {
            hub_fail_arrival(hub, session, error);
        }
    }
    arrival->is_whole = true;
    if (!arrival->is_over) {
        hub_arrive(hub, session);
    }
    return CODES_ERROR_NONE;
}

enum codes_error hub_begin_arrival(struct hub *hub, struct session *session,
                                   const struct command *command, const struct claims *claims,
                                   uint32_t ttl_s)
{
    struct hub_wishes wishes;
    enum codes_error error =
        hub_wishes_collect(hub, session, claims, command->connect.subs, &wishes);
    if (error != CODES_ERROR_NONE) {
        return error;
    }
    if (wishes.count == 0 && session_user(session).size == 0) {
        session->state = SESSION_CONNECTED;
        hub_greet(hub, session, command->id, ttl_s, (struct bytes){NULL, 0});
    } else {
        error = begin(hub, session, command->id, ttl_s, &wishes);
    }
    hub_wishes_free(&wishes);
    return error;
}

/* -- who waits outside ------------------------------------------------------------------------- */

bool hub_is_arriving(const struct session *session)
{
    return session->state == SESSION_ARRIVING;
}

bool hub_next_settled(struct hub *hub, struct conn_id *conn)
{
    struct list_link *link = list_first(&hub->settled);
    if (link == NULL) {
        return false;
    }
    struct session *session = LIST_OWNER(link, struct hub_arrival, settled)->session;
    *conn = session->conn;
    hub_forget_arrival(session);
    return true;
}

void hub_forget_arrival(struct session *session)
{
    struct hub_arrival *arrival = session->arrival;
    if (arrival != NULL) {
        if (list_is_linked(&arrival->settled)) {
            list_remove(&arrival->settled);
        }
        free(arrival);
        session->arrival = NULL;
    }
}
