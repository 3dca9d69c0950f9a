/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What other reactors post to this one: questions to the homes here (hub_home.c), publications for
 * the rooms here (hub_rooms.c), and what sessions here are answered.
 */
#include <string.h>

#include "chat/channel.h"
#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/ledger.h"
#include "chat/post.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/check.h"

struct blob *hub_copy_name(struct hub *hub, struct bytes name)
{
    struct blob *copy = blob_create(hub->options.pool, name.size);
    if (copy != NULL) {
        if (name.size > 0) {
            memcpy(copy->data, name.data, name.size);
        }
        copy->end = (uint32_t)name.size;
    }
    return copy;
}

void hub_ask(struct hub *hub, uint16_t home, const struct post *post)
{
    if (home == hub->options.reactor) {
        struct post here = *post;
        here.from = home;
        here.role = BUS_TELL; /* nobody's credit */
        hub_take(hub, &here);
        return;
    }
    const struct bus_post packed = post_pack(post);
    const enum bus_result asked = bus_ask(hub->options.bus, hub->options.reactor, home, &packed);
    CHECK(asked == BUS_POSTED);
}

void hub_answer(struct hub *hub, const struct post *asked, const struct post *post)
{
    if (asked->from == hub->options.reactor) {
        hub_take(hub, post);
        return;
    }
    const struct bus_post packed = post_pack(post);
    if (asked->role == BUS_ASK) {
        bus_answer(hub->options.bus, hub->options.reactor, asked->from, &packed);
        return;
    }
    const enum bus_result told =
        bus_tell(hub->options.bus, hub->options.reactor, asked->from, &packed);
    CHECK(told == BUS_POSTED); /* hub_go_on_with_ledger() has looked */
}

static void take_publish_answer(struct hub *hub, const struct post *post)
{
    const struct post_publish_answer *reply = &post->publish_answer;
    if (reply->is_api) {
        hub_api_take_published(hub, reply);
        return;
    }
    struct session *session = hub_session(hub, reply->session);
    if (session == NULL) {
        return; /* the publisher has gone; the publication has not */
    }
    if (reply->error != 0) {
        hub_reply_error(&hub->reply, session, reply->command, (enum codes_error)reply->error);
    } else if (reply->is_rpc) {
        hub_reply_published(&hub->reply, session, reply->command, reply->epoch, reply->offset);
    } else {
        hub_reply_empty(&hub->reply, session, reply->command, EVENT_EMPTY_PUBLISH);
    }
}

static void take_page(struct hub *hub, const struct post *post)
{
    const struct post_page *page = &post->page;

    if (page->command != 0 || page->is_api) {
        struct session *session = page->is_api ? NULL : hub_session(hub, page->asker);
        if (page->is_api) {
            hub_api_take_page(hub, page);
        } else if (session != NULL) {
            hub_answer_history(hub, session, page);
        }
        if (page->blob != NULL) {
            blob_drop(page->blob, hub->options.pool);
        }
        return;
    }
    struct room *room = roster_at(hub->roster, page->asker);
    if (room != NULL && room->asked_from != 0) {
        hub_take_recovered(hub, room, page->blob);
    } else if (page->blob != NULL) {
        blob_drop(page->blob, hub->options.pool); /* everybody has gone meanwhile */
    }
}

void hub_take(struct hub *hub, const struct post *post)
{
    switch ((enum post_kind)post->kind) {
    case POST_PUBLISH:
        hub_take_publish(hub, post);
        return;
    case POST_PUBLISH_ANSWER:
        take_publish_answer(hub, post);
        return;
    case POST_INTEREST:
        hub_take_interest(hub, post);
        return;
    case POST_INTEREST_ANSWER:
        hub_take_interest_answer(hub, post);
        return;
    case POST_HISTORY:
        hub_take_history(hub, post);
        return;
    case POST_RECOVER:
        hub_take_recover(hub, post);
        return;
    case POST_PAGE:
        take_page(hub, post);
        return;
    case POST_LEAVE:
        channel_remove_interest(hub->home, post->leave.channel, post->leave.room);
        return;
    case POST_PUBLICATION:
        hub_take_publication(hub, post);
        return;
    case POST_GAP:
        hub_lose_room(hub, post->gap.room);
        return;
    case POST_LATER:
        return; /* only the credit is back */
    case POST_ARCHIVE_APPENDED:
    case POST_ARCHIVE_PAGE:
        hub_take_from_archive(hub, post);
        return;
    case POST_PRESENCE:
        hub_take_presence(hub, post);
        return;
    case POST_PRESENCE_PART:
        hub_take_presence_part(hub, post);
        return;
    case POST_PLACE:
    case POST_PLACE_ANSWER:
    case POST_PLACE_BACK:
        hub_take_place(hub, post);
        return;
    case POST_LEASE:
    case POST_LEASE_ANSWER:
        hub_take_lease(hub, post);
        return;
    case POST_NEWS:
        hub_take_news(hub, post);
        return;
    case POST_NEWS_COPY:
        hub_take_news_copy(hub, post);
        return;
    default: /* the control's, and what the archive is asked */
        break;
    }
    NEVER("a post that is not the hub's");
}

void hub_flush(struct hub *hub)
{
    struct ledger *ledger = channel_ledger(hub->home);
    if (ledger != NULL) {
        ledger_flush(ledger);
    }
}

void hub_catch_up(struct hub *hub)
{
    struct ids_handle lost;

    hub_expire(hub);
    hub_tell_news(hub);
    hub_post_leaves(hub);
    hub_post_places(hub);
    hub_ask_leases(hub);
    hub_go_on_with_ledger(hub);
    while (channel_next_lost(hub->home, &lost)) {
        hub_lose_room(hub, lost);
    }
    channel_catch_up(hub->home);
}
