/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two or three hubs on one bus: subscribing and publishing where the home is elsewhere, what comes
 * too late, a full bus, and gaps. Who runs when is the test's to choose.
 */
#include <signal.h>

#include "chat/hub.h"
#include "tests/unit/chat/hub_world.h"

static char name[NAME_SIZE]; /* of a channel whose home is reactor 0 */

static void subscribe(struct client *client, uint32_t id)
{
    ask(client, "{\"id\":%u,\"subscribe\":{\"channel\":\"%s\"}}", id, name);
}

static void unsubscribe(struct client *client, uint32_t id)
{
    ask(client, "{\"id\":%u,\"unsubscribe\":{\"channel\":\"%s\"}}", id, name);
}

static void publish(struct client *client, uint32_t id, int number)
{
    ask(client, "{\"id\":%u,\"publish\":{\"channel\":\"%s\",\"data\":%d}}", id, name, number);
}

static void hear_number(struct client *client, int number)
{
    char data[16];
    (void)snprintf(data, sizeof(data), "%d", number);
    hear_publication(client, name, data);
}

static void open_two(size_t slots)
{
    open_world(
        (struct world_options){.hub_count = 2, .slots = slots, .reserve = slots > 0 ? 2 : 0});
    (void)name_at(name, 0, 0);
}

/* -- questions and answers --------------------------------------------------------------------- */

START_TEST(subscribes_at_a_home_elsewhere)
{
    open_two(0);
    struct client *one = connected_client(1);
    struct client *two = connected_client(1);

    subscribe(one, 5);
    subscribe(two, 6);
    (void)run(1);
    ck_assert_uint_eq(bus_posts(world.bus, 1), 1); /* one question for the room, not for each */
    hear_nothing(one);
    (void)run(0);
    hear_nothing(one);
    (void)run(1);
    (void)hear(one, EVENT_SUBSCRIBED, 5);
    (void)hear(two, EVENT_SUBSCRIBED, 6);

    /* The room is there now: no question for a third. */
    struct client *three = connected_client(1);
    subscribe(three, 7);
    subscribe(three, 8);
    (void)run(1);
    (void)hear(three, EVENT_SUBSCRIBED, 7);
    hear_error(three, 8, CODES_ERROR_ALREADY_SUBSCRIBED);
    ck_assert_uint_eq(bus_posts(world.bus, 1), 1);
    close_world();
}
END_TEST

START_TEST(is_subscribed_already_while_waiting)
{
    open_two(0);
    struct client *client = connected_client(1);
    subscribe(client, 5);
    subscribe(client, 6);
    (void)run(1);
    hear_error(client, 6, CODES_ERROR_ALREADY_SUBSCRIBED);
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 5);
    hear_nothing(client);
    close_world();
}
END_TEST

/* The reply to a publish comes when the home has accepted it, subscribed or not. */
START_TEST(publishes_to_a_home_elsewhere)
{
    open_two(0);
    struct client *there = connected_client(0);
    struct client *here = connected_client(1);
    struct client *stranger = connected_client(1);
    subscribe(there, 2);
    subscribe(here, 2);
    settle();
    (void)hear(there, EVENT_SUBSCRIBED, 2);
    (void)hear(here, EVENT_SUBSCRIBED, 2);

    publish(here, 3, 33);
    publish(stranger, 4, 44);
    (void)run(1);
    hear_nothing(here);
    (void)run(0);
    hear_number(there, 33);
    hear_number(there, 44);
    hear_nothing(here);
    (void)run(1);
    (void)hear(here, EVENT_PUBLISHED, 3);
    hear_number(here, 33);
    hear_number(here, 44);
    hear_nothing(here);
    (void)hear(stranger, EVENT_PUBLISHED, 4);
    hear_nothing(stranger);
    ck_assert_uint_eq(metric(0, METRIC_PUBLICATIONS), 2);
    ck_assert_uint_eq(metric(1, METRIC_PUBLICATIONS), 0);
    close_world();
}
END_TEST

START_TEST(is_no_subscriber_while_waiting)
{
    char talk[NAME_SIZE + 8];
    open_two(0);
    for (int i = 0;; i++) {
        (void)snprintf(talk, sizeof(talk), "talk:%d", i);
        if (ids_home_of(table_hash(&world_key, view(talk)), 2) == 0) {
            break;
        }
    }
    struct client *client = connected_client(1);
    ask(client, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", talk);
    ask(client, "{\"id\":3,\"publish\":{\"channel\":\"%s\",\"data\":1}}", talk);
    settle();
    hear_error(client, 3, CODES_ERROR_PERMISSION_DENIED);
    (void)hear(client, EVENT_SUBSCRIBED, 2);
    ask(client, "{\"id\":4,\"publish\":{\"channel\":\"%s\",\"data\":1}}", talk);
    settle();
    (void)hear(client, EVENT_PUBLISHED, 4);
    (void)hear(client, EVENT_PUBLICATION, 0);
    hear_nothing(client);
    close_world();
}
END_TEST

/* -- while an answer is on its way ------------------------------------------------------------- */

START_TEST(unsubscribes_while_waiting)
{
    open_two(0);
    struct client *client = connected_client(1);
    subscribe(client, 5);
    unsubscribe(client, 6);
    (void)run(1);
    (void)hear(client, EVENT_SUBSCRIBED, 5);
    (void)hear(client, EVENT_UNSUBSCRIBED, 6);
    ck_assert_uint_eq(client->session->subscription_count, 0);
    ck_assert(!hub_is_quiet(hub_of(client)));
    settle();
    hear_nothing(client);
    ck_assert_uint_eq(hub_count_live(world.reactors[0].hub), 0);
    ck_assert_uint_eq(hub_count_live(world.reactors[1].hub), 1);
    close_world();
}
END_TEST

START_TEST(changes_its_mind_while_waiting)
{
    open_two(0);
    struct client *client = connected_client(1);
    subscribe(client, 5);
    unsubscribe(client, 6);
    subscribe(client, 7);
    (void)run(1);
    (void)hear(client, EVENT_SUBSCRIBED, 5);
    (void)hear(client, EVENT_UNSUBSCRIBED, 6);
    hear_nothing(client);
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 7);
    publish(client, 8, 1);
    settle();
    (void)hear(client, EVENT_PUBLISHED, 8);
    hear_number(client, 1); /* once, though it subscribed twice */
    hear_nothing(client);
    close_world();
}
END_TEST

START_TEST(hangs_up_while_waiting)
{
    open_two(0);
    struct client *gone = connected_client(1);
    struct client *stays = connected_client(1);
    subscribe(gone, 5);
    publish(gone, 6, 1);
    (void)run(1);
    hang_up(gone);
    settle();
    ck_assert_uint_eq(gone->read, gone->size);
    ck_assert_uint_eq(hub_count_live(world.reactors[0].hub), 0);
    ck_assert_uint_eq(hub_count_live(world.reactors[1].hub), 1);
    ck_assert_uint_eq(metric(0, METRIC_PUBLICATIONS), 1); /* that was on its way already */
    hear_nothing(stays);
    close_world();
}
END_TEST

/* Of two that wait in one room, one goes. */
START_TEST(one_of_two_hangs_up_while_waiting)
{
    open_two(0);
    struct client *gone = connected_client(1);
    struct client *stays = connected_client(1);
    subscribe(gone, 5);
    subscribe(stays, 6);
    (void)run(1);
    hang_up(gone);
    settle();
    (void)hear(stays, EVENT_SUBSCRIBED, 6);
    publish(stays, 7, 1);
    settle();
    (void)hear(stays, EVENT_PUBLISHED, 7);
    hear_number(stays, 1);
    close_world();
}
END_TEST

/* The answer names a session that is gone, and whose place somebody else has taken. */
START_TEST(stale_answers_are_dropped)
{
    open_two(0);
    struct client *gone = connected_client(1);
    publish(gone, 6, 1);
    (void)run(1);
    const uint32_t slot = gone->session->slot;
    hang_up(gone);
    struct client *heir = connected_client(1);
    ck_assert_uint_eq(heir->session->slot, slot);
    settle();
    hear_nothing(heir);
    ck_assert_uint_eq(bus_credits_min(world.bus, 1, 2), 8); /* the credit is back all the same */
    close_world();
}
END_TEST

/* The last one left while publications were on their way: the next room does not get them. */
START_TEST(stale_publications_are_dropped)
{
    open_two(0);
    struct client *home = connected_client(0);
    struct client *client = connected_client(1);
    subscribe(client, 5);
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 5);
    publish(home, 2, 1);
    (void)run(0);
    unsubscribe(client, 6);
    subscribe(client, 7);
    publish(home, 3, 2);
    (void)run(0);
    settle();
    publish(home, 4, 3);
    settle();
    (void)hear(client, EVENT_UNSUBSCRIBED, 6);
    (void)hear(client, EVENT_SUBSCRIBED, 7);
    hear_number(client, 3);
    hear_nothing(client);
    close_world();
}
END_TEST

/* The room closes between the outbox and its delivery. */
START_TEST(leaves_before_the_delivery)
{
    open_two(0);
    struct client *home = connected_client(0);
    subscribe(home, 5);
    (void)run(0);
    (void)hear(home, EVENT_SUBSCRIBED, 5);
    publish(home, 6, 1);
    unsubscribe(home, 7);
    subscribe(home, 8);
    publish(home, 9, 2);
    (void)run(0);
    (void)hear(home, EVENT_PUBLISHED, 6);
    (void)hear(home, EVENT_UNSUBSCRIBED, 7);
    (void)hear(home, EVENT_SUBSCRIBED, 8);
    (void)hear(home, EVENT_PUBLISHED, 9);
    hear_number(home, 2);
    hear_nothing(home);
    close_world();
}
END_TEST

/* -- a full bus -------------------------------------------------------------------------------- */

enum { TELLS = 12 }; /* that fit into a ring of 16 slots with two reserves of 2 */

/* More leaves than fit: the rest wait, and the hub is not quiet before they are gone. */
START_TEST(leaves_wait_for_room)
{
    enum { ROOMS = 16 };
    open_two(16);
    struct client *clients[2] = {connected_client(1), connected_client(1)};
    for (int i = 0; i < ROOMS; i++) {
        (void)name_at(name, 0, i);
        subscribe(clients[i % 2], 5);
        settle();
        (void)hear(clients[i % 2], EVENT_SUBSCRIBED, 5);
    }
    ck_assert_uint_eq(hub_count_live(world.reactors[0].hub), ROOMS);

    hang_up(clients[0]);
    hang_up(clients[1]);
    struct hub *hub = world.reactors[1].hub;
    ck_assert_uint_eq(hub_count_live(hub), ROOMS);
    ck_assert(hub_has_backlog(hub));
    (void)run(1);
    (void)run(1);
    ck_assert_uint_eq(hub_count_live(hub), ROOMS - TELLS);
    ck_assert(hub_has_backlog(hub));
    ck_assert(!hub_is_quiet(hub));
    (void)run(0);
    ck_assert_uint_eq(hub_count_live(world.reactors[0].hub), ROOMS - TELLS);
    (void)run(1);
    ck_assert(!hub_has_backlog(hub));
    ck_assert(hub_is_quiet(hub));
    (void)run(0);
    ck_assert_uint_eq(hub_count_live(world.reactors[0].hub), 0);
    close_world();
}
END_TEST

/* A question needs no room among the tells: it overtakes the leave of the room before it. */
START_TEST(comes_back_before_the_leave_was_posted)
{
    enum { ROOMS = 16 };
    open_two(16);
    struct client *clients[2] = {connected_client(1), connected_client(1)};
    struct client *back = connected_client(1);
    for (int i = 0; i < ROOMS; i++) {
        (void)name_at(name, 0, i);
        subscribe(clients[i % 2], 5);
        settle();
    }
    hang_up(clients[0]);
    hang_up(clients[1]);
    (void)run(1); /* 12 leaves; hang_up went from the last room to the first */
    for (int i = 0; i < 2; i++) {
        (void)name_at(name, 0, i);
        subscribe(back, 10 + (uint32_t)i);
    }
    (void)run(1);
    settle();
    (void)hear(back, EVENT_SUBSCRIBED, 10);
    (void)hear(back, EVENT_SUBSCRIBED, 11);
    ck_assert_uint_eq(hub_count_live(world.reactors[0].hub), 2);
    for (int i = 0; i < 2; i++) {
        (void)name_at(name, 0, i);
        publish(back, 20, i);
        settle();
        (void)hear(back, EVENT_PUBLISHED, 20);
        hear_number(back, i);
    }
    hear_nothing(back);
    close_world();
}
END_TEST

/* Slower than the ring is long, but not than the tail: everything comes, in order. */
START_TEST(catches_up)
{
    open_two(16);
    struct client *home = connected_client(0);
    struct client *client = connected_client(1);
    subscribe(client, 5);
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 5);
    for (int i = 0; i < 90; i++) {
        publish(home, 2, i);
        (void)run(0);
        (void)hear(home, EVENT_PUBLISHED, 2);
    }
    ck_assert(hub_has_backlog(world.reactors[0].hub));
    settle();
    for (int i = 0; i < 90; i++) {
        hear_number(client, i);
    }
    hear_nothing(client);
    ck_assert_uint_eq(metric(0, METRIC_GAPS), 0);
    close_world();
}
END_TEST

/* -- gaps -------------------------------------------------------------------------------------- */

static struct client *members[3];
static struct client *home_client;

/* Three members on reactor 1, which slept while more was published than ring and tail can hold. */
static void open_gap(void)
{
    open_world((struct world_options){.hub_count = 2, .slots = 16, .reserve = 2, .tail_max = 4});
    (void)name_at(name, 0, 0);
    home_client = connected_client(0);
    for (int i = 0; i < 3; i++) {
        members[i] = connected_client(1);
        subscribe(members[i], 5);
    }
    subscribe(home_client, 5);
    settle();
    (void)hear(home_client, EVENT_SUBSCRIBED, 5);
    for (int i = 0; i < 3; i++) {
        (void)hear(members[i], EVENT_SUBSCRIBED, 5);
    }
    for (int i = 0; i < 40; i++) {
        publish(home_client, 2, i);
        (void)run(0);
        (void)hear(home_client, EVENT_PUBLISHED, 2);
        hear_number(home_client, i);
    }
    ck_assert_uint_eq(metric(0, METRIC_GAPS), 1);
}

static void hear_gap(struct client *client)
{
    const struct event event = hear(client, EVENT_UNSUBSCRIBE_PUSH, 0);
    ck_assert_uint_eq(event.code, 2500);
    ck_assert(is_text(event.channel, name));
}

START_TEST(a_gap_ends_the_subscription)
{
    open_gap();
    settle();
    for (int i = 0; i < 3; i++) {
        for (int number = 0; number < TELLS; number++) {
            hear_number(members[i], number);
        }
        hear_gap(members[i]);
        hear_nothing(members[i]);
        ck_assert_uint_eq(members[i]->session->subscription_count, 0);
    }
    ck_assert_uint_eq(hub_count_live(world.reactors[1].hub), 3); /* sessions */
    ck_assert_uint_eq(metric(0, METRIC_GAPS), 1);

    /* What the SDK does then, on the same connection. */
    subscribe(members[0], 6);
    settle();
    publish(home_client, 7, 100);
    settle();
    (void)hear(members[0], EVENT_SUBSCRIBED, 6);
    hear_number(members[0], 100);
    hear_nothing(members[0]);
    hear_nothing(members[1]);
    (void)hear(home_client, EVENT_PUBLISHED, 7);
    hear_number(home_client, 100);
    hear_nothing(home_client);
    close_world();
}
END_TEST

/* The room is gone when its gap arrives, or another room has its channel: neither minds. */
START_TEST(a_gap_for_a_room_that_is_gone)
{
    open_gap();
    (void)run_some(1, 1); /* makes room for the gap, which then waits behind eleven others */
    for (int i = 0; i < 3; i++) {
        unsubscribe(members[i], 6);
    }
    if (_i == 1) {
        subscribe(members[0], 7);
    }
    settle();
    publish(home_client, 3, 100);
    settle();
    for (int i = 0; i < 3; i++) {
        (void)hear(members[i], EVENT_PUBLICATION, 0); /* the one that was taken */
        (void)hear(members[i], EVENT_UNSUBSCRIBED, 6);
        if (_i == 1 && i == 0) {
            (void)hear(members[i], EVENT_SUBSCRIBED, 7);
            hear_number(members[i], 100);
        }
        hear_nothing(members[i]);
    }
    close_world();
}
END_TEST

/* -- order ------------------------------------------------------------------------------------- */

/* Everybody publishes from everywhere; everybody hears the same, in the same order. */
START_TEST(one_order_for_all)
{
    enum { HUBS = 3, EACH = 150 };
    uint64_t state = 6364136223846793005 + 2 * (uint64_t)_i;
    struct client *clients[HUBS];
    uint32_t said[HUBS] = {0};
    open_world(
        (struct world_options){.hub_count = HUBS, .slots = 16, .reserve = 3, .tail_max = 2000});
    (void)name_at(name, (uint16_t)(_i % HUBS), 0);
    for (uint16_t i = 0; i < HUBS; i++) {
        clients[i] = connected_client(i);
        subscribe(clients[i], 1);
    }
    settle();
    for (uint16_t i = 0; i < HUBS; i++) {
        (void)hear(clients[i], EVENT_SUBSCRIBED, 1);
    }
    while (said[0] + said[1] + said[2] < HUBS * EACH) {
        const uint32_t i = chance_below(&state, HUBS);
        if (said[i] < EACH && hub_is_ready(hub_of(clients[i]))) {
            said[i]++;
            publish(clients[i], said[i], (int)(1000 * i + said[i]));
        }
        (void)run_some((uint16_t)chance_below(&state, HUBS), chance_below(&state, 5));
    }
    settle();

    uint32_t answered[HUBS] = {0};
    uint32_t heard[HUBS] = {0};
    static int order[HUBS][HUBS * EACH];
    for (uint32_t i = 0; i < HUBS; i++) {
        struct event event;
        while (next_event(clients[i], &event)) {
            if (event.kind == EVENT_PUBLISHED) {
                ck_assert_uint_eq(event.id, ++answered[i]); /* one each, in order */
                continue;
            }
            ck_assert_int_eq(event.kind, EVENT_PUBLICATION);
            ck_assert_uint_lt(heard[i], HUBS * EACH);
            int number = 0;
            for (size_t digit = 0; digit < event.data.size; digit++) {
                number = 10 * number + event.data.data[digit] - '0';
            }
            order[i][heard[i]++] = number;
        }
        ck_assert_uint_eq(answered[i], EACH);
        ck_assert_uint_eq(heard[i], HUBS * EACH);
        ck_assert_mem_eq(order[i], order[0], sizeof(order[0]));
    }
    int last[HUBS] = {0, 1000, 2000};
    for (int i = 0; i < HUBS * EACH; i++) {
        ck_assert_int_eq(order[0][i], ++last[order[0][i] / 1000]);
    }
    ck_assert_uint_eq(metric((uint16_t)(_i % HUBS), METRIC_GAPS), 0);
    close_world();
}
END_TEST

START_TEST(other_posts_are_a_bug)
{
    open_two(0);
    const struct post post = {.kind = (uint8_t)(POST_STOP + _i)};
    hub_take(world.reactors[0].hub, &post);
}
END_TEST

int main(void)
{
    TCase *posts = tcase_create("posts");
    tcase_add_test(posts, subscribes_at_a_home_elsewhere);
    tcase_add_test(posts, is_subscribed_already_while_waiting);
    tcase_add_test(posts, publishes_to_a_home_elsewhere);
    tcase_add_test(posts, is_no_subscriber_while_waiting);
    tcase_add_test(posts, unsubscribes_while_waiting);
    tcase_add_test(posts, changes_its_mind_while_waiting);
    tcase_add_test(posts, hangs_up_while_waiting);
    tcase_add_test(posts, one_of_two_hangs_up_while_waiting);
    tcase_add_test(posts, stale_answers_are_dropped);
    tcase_add_test(posts, stale_publications_are_dropped);
    tcase_add_test(posts, leaves_before_the_delivery);
    tcase_add_test(posts, leaves_wait_for_room);
    tcase_add_test(posts, comes_back_before_the_leave_was_posted);
    tcase_add_test(posts, catches_up);
    tcase_add_test(posts, a_gap_ends_the_subscription);
    tcase_add_loop_test(posts, a_gap_for_a_room_that_is_gone, 0, 2);
    tcase_add_loop_test(posts, one_order_for_all, 0, 6);
    tcase_add_loop_test_raise_signal(posts, other_posts_are_a_bug, SIGABRT, 0, 4);
    Suite *suite = suite_create("chat/hub: posts");
    suite_add_tcase(suite, posts);
    return run_suite(suite);
}
