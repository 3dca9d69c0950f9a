/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may recover, and what: by the policy of the channel and what the client asks for; the latest
 * publication instead of all; and who reads slowly, for whom all of it waits.
 */
#include "tests/unit/chat/history_world.h"

/* -- what the policy allows -------------------------------------------------------------------- */

/* Five were published. */
static const struct {
    const char *why;
    const char *space;
    const char *asks;   /* besides the channel */
    const char *before; /* what the result says before the epoch, ... */
    const char *after;  /* ... and behind it; NULL: no epoch either */
} cases[] = {
    {"all is forced", "hist", "", "\"recoverable\":true,", ",\"offset\":5,\"positioned\":true"},
    {"nothing is asked for", "free", "", "", NULL},
    {"a position is asked for", "free", ",\"positioned\":true", "",
     ",\"offset\":5,\"positioned\":true"},
    {"recovery is asked for", "free", ",\"recoverable\":true", "\"recoverable\":true,",
     ",\"offset\":5,\"positioned\":true"},
    {"recovers what it did not ask to be able to", "free", ",\"recover\":true,\"offset\":3", "",
     NULL},
    {"a position, and recovers", "free", ",\"positioned\":true,\"recover\":true,\"offset\":3", "",
     ",\"offset\":5,\"positioned\":true"},
    {"positions are forced", "posi", "", "", ",\"offset\":5,\"positioned\":true"},
    {"and are all that is allowed", "posi",
     ",\"recoverable\":true,\"positioned\":true,\"recover\":true,\"offset\":3", "",
     ",\"offset\":5,\"positioned\":true"},
    {"the latest is forced", "last", "", "\"recoverable\":true,",
     ",\"offset\":5,\"positioned\":true"},
};

START_TEST(allows_what_the_policy_does)
{
    const int row = _i / 4;
    const uint16_t reactor = (uint16_t)(_i % 2);
    char line[512];
    open_history_of((struct world_options){.hub_count = 2}, cases[row].space, 5);
    if (_i % 4 >= 2) {
        subscribe(connected_client(reactor), 2); /* the room is there already */
        settle();
    }
    struct client *client = connected_client(reactor);
    ask(client, "{\"id\":7,\"subscribe\":{\"channel\":\"%s\"%s}}", name, cases[row].asks);
    settle();
    if (cases[row].after != NULL) {
        (void)snprintf(line, sizeof(line), "{\"id\":7,\"subscribe\":{%s\"epoch\":\"%s\"%s}}",
                       cases[row].before, epoch, cases[row].after);
    } else {
        (void)snprintf(line, sizeof(line), "{\"id\":7,\"subscribe\":{%s}}", cases[row].before);
    }
    hear_text(client, line);
    publish_to(6);
    settle();
    hear_numbers(client, 6, 6);
    ck_assert_uint_eq(metric(reactor, METRIC_RECOVERIES_COMPLETE), 0);
    ck_assert_uint_eq(metric(reactor, METRIC_RECOVERIES_IMPOSSIBLE), 0);
    close_world();
}
END_TEST

/* Allowed, and asked for: then it is as where it is forced. */
START_TEST(recovers_where_that_is_allowed)
{
    const uint16_t reactor = (uint16_t)_i;
    open_history_of((struct world_options){.hub_count = 2}, "free", 5);
    struct client *client = connected_client(reactor);
    come_back(client, 7, 3);
    settle();
    hear_recovered(client, 7, 4, 5);
    close_world();
}
END_TEST

/* Whatever is asked for: without history there are no positions. */
START_TEST(no_history)
{
    const uint16_t reactor = (uint16_t)(_i % 2);
    const char *const spaces[] = {"talk", "latest"};
    open_world((struct world_options){.hub_count = 2, .reserve = 16});
    choose_name(spaces[_i / 2], 0, 0);
    for (int i = 0; i < 2; i++) { /* the second one comes to a room */
        struct client *client = connected_client(reactor);
        ask(client,
            "{\"id\":7,\"subscribe\":{\"channel\":\"%s\",\"recover\":true,\"recoverable\":true,"
            "\"positioned\":true,\"epoch\":\"0123456789abcdef\",\"offset\":3}}",
            name);
        settle();
        hear_text(client, "{\"id\":7,\"subscribe\":{}}");
        ask(client, "{\"id\":8,\"publish\":{\"channel\":\"%s\",\"data\":1}}", name);
        settle();
        (void)hear(client, EVENT_PUBLISHED, 8);
        const struct event event = hear(client, EVENT_PUBLICATION, 0);
        ck_assert_uint_eq(event.offset, 0);
    }
    close_world();
}
END_TEST

/* -- the latest -------------------------------------------------------------------------------- */

START_TEST(gives_the_latest)
{
    const uint16_t reactor = (uint16_t)(_i % 2);
    open_history_of((struct world_options){.hub_count = 2}, "last", 5);
    if (_i >= 2) {
        subscribe(connected_client(reactor), 2);
        settle();
    }
    struct client *has_it = connected_client(reactor);
    struct client *has_older = connected_client(reactor);
    struct client *has_none = connected_client(reactor);
    struct client *has_later = connected_client(reactor);
    struct client *of_another_life = connected_client(reactor);
    come_back(has_it, 7, 5);
    come_back(has_older, 7, 3);
    come_back(has_none, 7, 0);
    come_back(has_later, 7, 99);
    ask(of_another_life,
        "{\"id\":7,\"subscribe\":{\"channel\":\"%s\",\"recover\":true,"
        "\"epoch\":\"0123456789abcdef\",\"offset\":5}}",
        name);
    settle();
    hear_recovered(has_it, 7, 6, 5);
    hear_recovered(has_older, 7, 5, 5);
    hear_recovered(has_none, 7, 5, 5);
    hear_recovered(has_later, 7, 5, 5);
    hear_recovered(of_another_life, 7, 5, 5);
    publish_to(6);
    settle();
    hear_numbers(has_it, 6, 6);
    hear_numbers(has_older, 6, 6);
    hear_numbers(of_another_life, 6, 6);
    close_world();
}
END_TEST

START_TEST(there_is_no_latest)
{
    const uint16_t reactor = (uint16_t)_i;
    open_history_of((struct world_options){.hub_count = 2}, "last", 0);
    struct client *early = connected_client(reactor);
    come_back(early, 7, 0);
    settle();
    hear_lost(early, 7, 0);
    publish_to(2);
    settle();
    hear_numbers(early, 1, 2);

    world.now_ns += 60 * second_ns; /* it is too old by now */
    struct client *late = connected_client(reactor);
    struct client *has_it = connected_client(reactor);
    come_back(late, 7, 1);
    come_back(has_it, 7, 2);
    settle();
    hear_lost(late, 7, 2);
    hear_recovered(has_it, 7, 3, 2);
    close_world();
}
END_TEST

/* The latest is what was there when it came: what is in the outbox still comes live. */
START_TEST(the_latest_of_this_turn)
{
    open_history_of((struct world_options){.hub_count = 1}, "last", 3);
    subscribe(connected_client(0), 2);
    settle();
    struct client *client = connected_client(0);
    publish_to(5);
    come_back(client, 7, 1);
    publish_to(6);
    (void)run(0);
    hear_recovered(client, 7, 3, 3);
    hear_numbers(client, 4, 6);
    close_world();
}
END_TEST

/* -- who reads slowly -------------------------------------------------------------------------- */

/* It waits until it has read what it has; others do not, and no turn is made for it in vain. */
START_TEST(is_held)
{
    const uint16_t reactor = (uint16_t)(_i % 2);
    open_history(2, 5);
    struct client *slow = connected_client(reactor);
    struct client *other = connected_client(reactor);
    if (_i >= 2) {
        subscribe(connected_client(reactor), 2);
        settle();
    }
    hub_hold(hub_of(slow), slow->session);
    come_back(slow, 7, 2);
    come_back(other, 7, 3);
    settle();
    hear_nothing(slow);
    hear_recovered(other, 7, 4, 5);
    ck_assert(!hub_has_backlog(hub_of(slow)));
    const uint64_t posts = bus_posts(world.bus, 1);
    publish_to(7);
    settle();
    ck_assert_uint_eq(bus_posts(world.bus, 1), posts); /* nothing is asked for it */
    hear_nothing(slow);
    hear_numbers(other, 6, 7);

    hub_release(hub_of(slow), slow->session);
    ck_assert(hub_has_backlog(hub_of(slow)));
    settle();
    hear_recovered(slow, 7, 3, 7);
    publish_to(8);
    settle();
    hear_numbers(slow, 8, 8);
    hear_numbers(other, 8, 8);
    close_world();
}
END_TEST

/* What needs nothing to be read is said to it at once; whether there is an offset is asked. */
START_TEST(is_held_and_missed_nothing)
{
    const uint16_t reactor = (uint16_t)_i;
    open_history(2, 5);
    struct client *slow = connected_client(reactor);
    hub_hold(hub_of(slow), slow->session);
    come_back(slow, 7, 5);
    settle();
    hear_recovered(slow, 7, 6, 5);
    unsubscribe(slow, 8);
    come_back(slow, 9, 9);
    settle();
    (void)hear(slow, EVENT_UNSUBSCRIBED, 8);
    hear_nothing(slow);
    hub_release(hub_of(slow), slow->session);
    settle();
    hear_lost(slow, 9, 5);
    close_world();
}
END_TEST

/* Held while its question is under way: it is not given the answer, and asks again later. */
START_TEST(is_held_meanwhile)
{
    open_history(2, 5);
    subscribe(connected_client(1), 2);
    settle();
    struct client *slow = connected_client(1);
    struct client *other = connected_client(1);
    come_back(slow, 7, 2);
    come_back(other, 7, 4);
    (void)run(1);
    hub_hold(hub_of(slow), slow->session);
    settle();
    hear_nothing(slow);
    hear_recovered(other, 7, 5, 5);
    if (_i == 0) {
        hub_release(hub_of(slow), slow->session);
        settle();
        hear_recovered(slow, 7, 3, 5);
    } else if (_i == 1) {
        unsubscribe(slow, 8); /* or it goes, held */
        settle();
        (void)hear(slow, EVENT_SUBSCRIBED, 7);
        (void)hear(slow, EVENT_UNSUBSCRIBED, 8);
        hub_release(hub_of(slow), slow->session);
        settle();
    } else {
        hang_up(slow);
        settle();
    }
    close_world();
}
END_TEST

int main(void)
{
    TCase *policy = tcase_create("policy");
    tcase_add_loop_test(policy, allows_what_the_policy_does, 0, 4 * COUNT(cases));
    tcase_add_loop_test(policy, recovers_where_that_is_allowed, 0, 2);
    tcase_add_loop_test(policy, no_history, 0, 4);
    TCase *latest = tcase_create("latest");
    tcase_add_loop_test(latest, gives_the_latest, 0, 4);
    tcase_add_loop_test(latest, there_is_no_latest, 0, 2);
    tcase_add_test(latest, the_latest_of_this_turn);
    TCase *held = tcase_create("held");
    tcase_add_loop_test(held, is_held, 0, 4);
    tcase_add_loop_test(held, is_held_and_missed_nothing, 0, 2);
    tcase_add_loop_test(held, is_held_meanwhile, 0, 3);
    Suite *suite = suite_create("chat/hub: recovery by policy");
    suite_add_tcase(suite, policy);
    suite_add_tcase(suite, latest);
    suite_add_tcase(suite, held);
    return run_suite(suite);
}
