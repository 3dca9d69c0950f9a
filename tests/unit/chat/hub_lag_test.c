/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Members that do not read, by the policy of their channel: who has to subscribe again is told so
 * once, behind what it has got, and is a member no more; nobody else notices anything.
 */
#include "chat/hub.h"
#include "tests/unit/chat/hub_world.h"

static void subscribe(struct client *client, uint32_t id, const char *channel)
{
    ask(client, "{\"id\":%u,\"subscribe\":{\"channel\":\"%s\"}}", id, channel);
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, id);
}

static void publish(struct client *client, uint32_t id, const char *channel, int number)
{
    ask(client, "{\"id\":%u,\"publish\":{\"channel\":\"%s\",\"data\":%d}}", id, channel, number);
    settle();
    (void)hear(client, EVENT_PUBLISHED, id);
}

static void hear_unsubscribed(struct client *client, const char *channel)
{
    const struct event event = hear(client, EVENT_UNSUBSCRIBE_PUSH, 0);
    ck_assert(is_text(event.channel, channel));
    ck_assert_uint_eq(event.code, CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
}

static uint64_t subscriptions(uint16_t reactor)
{
    hub_gauge(world.reactors[reactor].hub);
    return metric(reactor, METRIC_SUBSCRIPTIONS);
}

START_TEST(who_lags_subscribes_again)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *writer = connected_client(0);
    struct client *one = connected_client(0);
    struct client *slow = connected_client(0);
    struct client *two = connected_client(0);
    subscribe(one, 2, "a");
    subscribe(slow, 2, "a");
    subscribe(two, 2, "a");

    publish(writer, 2, "a", 1);
    slow->lags = true;
    publish(writer, 3, "a", 2);
    publish(writer, 4, "a", 3);
    hear_publication(slow, "a", "1");
    hear_unsubscribed(slow, "a");
    hear_nothing(slow);
    ck_assert_uint_eq(slow->lag_count, 1);
    ck_assert_int_eq(slow->lag_policy, POLICY_SLOW_RESYNC);
    ck_assert_uint_eq(metric(0, METRIC_LAGS_RESYNC), 1);
    ck_assert_uint_eq(subscriptions(0), 2);

    slow->lags = false;
    subscribe(slow, 3, "a");
    ck_assert_uint_eq(subscriptions(0), 3);
    publish(writer, 5, "a", 4);
    hear_publication(slow, "a", "4");
    hear_nothing(slow);
    for (int i = 1; i <= 4; i++) {
        char data[16];
        (void)snprintf(data, sizeof(data), "%d", i);
        hear_publication(one, "a", data);
        hear_publication(two, "a", data);
    }
    hear_nothing(one);
    hear_nothing(two);
    close_world();
}
END_TEST

/* Members leave a room while it is being delivered to. */
START_TEST(all_but_some_lag_at_once)
{
    enum { CLIENTS = 100 };
    open_world((struct world_options){.hub_count = 1});
    struct client *writer = connected_client(0);
    struct client *clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = connected_client(0);
        subscribe(clients[i], 2, "other");
        subscribe(clients[i], 3, "a");
        clients[i]->lags = i % 7 != 3;
    }
    publish(writer, 2, "a", 1);
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i]->lags) {
            hear_unsubscribed(clients[i], "a");
        } else {
            hear_publication(clients[i], "a", "1");
        }
        hear_nothing(clients[i]);
        clients[i]->lags = false;
    }
    publish(writer, 3, "other", 2);
    publish(writer, 4, "a", 3);
    for (int i = 0; i < CLIENTS; i++) {
        hear_publication(clients[i], "other", "2");
        if (i % 7 == 3) {
            hear_publication(clients[i], "a", "3");
        }
        hear_nothing(clients[i]);
    }
    close_world();
}
END_TEST

/* The room goes with its last member, and so does the interest of its reactor. */
START_TEST(the_last_member_lags)
{
    char name[NAME_SIZE];
    open_world((struct world_options){.hub_count = 2});
    (void)name_at(name, 0, 0);
    struct client *writer = connected_client(0);
    struct client *slow = connected_client(1);
    struct client *slower = connected_client(1);
    subscribe(slow, 2, name);
    subscribe(slower, 2, name);
    slow->lags = true;
    slower->lags = true;
    publish(writer, 2, name, 1);
    hear_unsubscribed(slow, name);
    hear_unsubscribed(slower, name);
    hub_gauge(world.reactors[0].hub);
    hub_gauge(world.reactors[1].hub);
    ck_assert_uint_eq(metric(1, METRIC_ROOMS), 0);
    ck_assert_uint_eq(metric(0, METRIC_CHANNELS), 0);

    publish(writer, 3, name, 2);
    hear_nothing(slow);
    slow->lags = false;
    subscribe(slow, 3, name);
    publish(writer, 4, name, 3);
    hear_publication(slow, name, "3");
    hear_nothing(slow);
    hear_nothing(slower);
    close_world();
}
END_TEST

START_TEST(only_the_lagging_subscription_ends)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *writer = connected_client(0);
    struct client *slow = connected_client(0);
    subscribe(slow, 2, "a");
    subscribe(slow, 3, "b");
    subscribe(slow, 4, "c");
    slow->lags = true;
    publish(writer, 2, "a", 1);
    slow->lags = false;
    publish(writer, 3, "b", 2);
    publish(writer, 4, "c", 3);
    publish(writer, 5, "a", 4);
    hear_unsubscribed(slow, "a");
    hear_publication(slow, "b", "2");
    hear_publication(slow, "c", "3");
    hear_nothing(slow);
    close_world();
}
END_TEST

/* What a client says that has not yet read that it is to subscribe again. */
START_TEST(it_says_something_meanwhile)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *writer = connected_client(0);
    struct client *leaving = connected_client(0);
    struct client *coming = connected_client(0);
    subscribe(leaving, 2, "a");
    subscribe(coming, 2, "a");
    leaving->lags = coming->lags = true;
    publish(writer, 2, "a", 1);
    leaving->lags = coming->lags = false;
    ask(leaving, "{\"id\":3,\"unsubscribe\":{\"channel\":\"a\"}}");
    ask(coming, "{\"id\":3,\"subscribe\":{\"channel\":\"a\"}}\n"
                "{\"id\":4,\"subscribe\":{\"channel\":\"a\"}}");
    publish(writer, 3, "a", 2);
    hear_unsubscribed(leaving, "a");
    (void)hear(leaving, EVENT_UNSUBSCRIBED, 3);
    hear_nothing(leaving);
    hear_unsubscribed(coming, "a");
    (void)hear(coming, EVENT_SUBSCRIBED, 3);
    hear_error(coming, 4, CODES_ERROR_ALREADY_SUBSCRIBED);
    hear_publication(coming, "a", "2");
    hear_nothing(coming);
    close_world();
}
END_TEST

static const struct {
    const char *why;
    const char *channel;
    enum policy_slow_consumer policy;
    enum metrics_id metric;
} stays[] = {
    {"of what waits the newest stays", "latest:a", POLICY_SLOW_LATEST, METRIC_LAGS_LATEST},
    {"what does not fit is lost", "drop:a", POLICY_SLOW_DROP, METRIC_LAGS_DROP},
    {"the connection ends", "cut:a", POLICY_SLOW_DISCONNECT, METRIC_LAGS_DISCONNECT},
};

/* What is then done with the queue is not the hub's: nothing changes for it. */
START_TEST(other_policies_change_nothing)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *writer = connected_client(0);
    struct client *slow = connected_client(0);
    subscribe(slow, 2, stays[_i].channel);
    slow->lags = true;
    publish(writer, 2, stays[_i].channel, 1);
    publish(writer, 3, stays[_i].channel, 2);
    hear_nothing(slow);
    ck_assert_uint_eq(slow->lag_count, 2);
    ck_assert_int_eq(slow->lag_policy, stays[_i].policy);
    for (enum metrics_id id = METRIC_LAGS_RESYNC; id <= METRIC_LAGS_DISCONNECT; id++) {
        ck_assert_uint_eq(metric(0, id), id == stays[_i].metric ? 2 : 0);
    }
    slow->lags = false;
    publish(writer, 4, stays[_i].channel, 3);
    hear_publication(slow, stays[_i].channel, "3");
    hear_nothing(slow);
    close_world();
}
END_TEST

/* No room in the outbox for the push: it costs the connection, and is not silent. */
START_TEST(no_room_to_be_told)
{
    open_world((struct world_options){.hub_count = 1, .entries = 140});
    struct client *writer = connected_client(0);
    struct client *clients[100];
    size_t told = 0;
    size_t ended = 0;
    for (int i = 0; i < 100; i++) {
        clients[i] = connected_client(0);
        subscribe(clients[i], 2, "a");
        clients[i]->lags = true;
    }
    publish(writer, 2, "a", 1);
    for (int i = 0; i < 100; i++) {
        if (clients[i]->disconnect_count == 0) {
            hear_unsubscribed(clients[i], "a");
            hear_nothing(clients[i]);
            told++;
        } else {
            ck_assert_uint_eq(clients[i]->disconnect_count, 1);
            ck_assert_uint_eq(clients[i]->disconnected, CODES_DISCONNECT_SERVER_ERROR);
            ended++;
        }
    }
    ck_assert_uint_gt(told, 0);
    ck_assert_uint_gt(ended, 0);
    close_world();
}
END_TEST

int main(void)
{
    TCase *cases = tcase_create("hub_lag");
    tcase_add_test(cases, who_lags_subscribes_again);
    tcase_add_test(cases, all_but_some_lag_at_once);
    tcase_add_test(cases, the_last_member_lags);
    tcase_add_test(cases, only_the_lagging_subscription_ends);
    tcase_add_test(cases, it_says_something_meanwhile);
    tcase_add_loop_test(cases, other_policies_change_nothing, 0, COUNT(stays));
    tcase_add_test(cases, no_room_to_be_told);
    Suite *suite = suite_create("chat/hub_lag");
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
