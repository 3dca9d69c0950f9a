/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions, and what happens at each limit of a hub: it says so, to who asked, and nothing else
 * has changed. hub_is_ready() is false before a promise could be broken.
 */
#include "chat/hub.h"

#include "tests/unit/chat/hub_world.h"

START_TEST(ids_are_of_version_4)
{
    open_world((struct world_options){.hub_count = 1});
    for (int i = 0; i < 100; i++) {
        const struct client *client = new_client(0);
        ck_assert_uint_eq(client->session->id[6] & 0xf0, 0x40);
        ck_assert_uint_eq(client->session->id[8] & 0xc0, 0x80);
        ck_assert(conn_id_equal(client->session->conn, client->conn));
        for (int j = 0; j < i; j++) {
            if (memcmp(world.clients[j].session->id, client->session->id, SESSION_ID_SIZE) == 0) {
                ck_abort_msg("the same id twice");
            }
        }
    }
    hub_gauge(world.reactors[0].hub);
    ck_assert_uint_eq(metric(0, METRIC_SESSIONS), 100);
    close_world();
}
END_TEST

START_TEST(sessions_run_out)
{
    open_world((struct world_options){.hub_count = 1});
    for (int i = 0; i < CLIENT_COUNT_MAX; i++) {
        (void)new_client(0);
    }
    const struct conn_id one_more = {.slot = 1};
    ck_assert_ptr_null(hub_open(world.reactors[0].hub, one_more));
    ck_assert_uint_eq(hub_count_live(world.reactors[0].hub), CLIENT_COUNT_MAX);
    hang_up(&world.clients[7]);
    struct session *session = hub_open(world.reactors[0].hub, one_more);
    ck_assert_ptr_nonnull(session);
    ck_assert_uint_eq(session->state, SESSION_NEW);
    hub_close(world.reactors[0].hub, session);
    close_world();
}
END_TEST

START_TEST(hangs_up_from_every_room)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *stays = connected_client(0);
    struct client *leaves = connected_client(0);
    for (uint32_t i = 0; i < 6; i++) {
        ask(leaves, "{\"id\":5,\"subscribe\":{\"channel\":\"c%u\"}}", i);
        ask(stays, "{\"id\":5,\"subscribe\":{\"channel\":\"c%u\"}}", i + 3);
    }
    settle();
    hub_gauge(hub_of(stays));
    ck_assert_uint_eq(metric(0, METRIC_ROOMS), 9);
    ck_assert_uint_eq(metric(0, METRIC_CHANNELS), 9);
    ck_assert_uint_eq(metric(0, METRIC_SUBSCRIPTIONS), 12);
    hang_up(leaves);
    ck_assert_uint_eq(hub_count_live(hub_of(stays)), 1 + 6 + 6);
    hub_gauge(hub_of(stays));
    ck_assert_uint_eq(metric(0, METRIC_SUBSCRIPTIONS), 6);

    for (uint32_t i = 0; i < 6; i++) {
        (void)hear(stays, EVENT_SUBSCRIBED, 5);
    }
    ask(stays, "{\"id\":6,\"publish\":{\"channel\":\"c4\",\"data\":1}}");
    settle();
    (void)hear(stays, EVENT_PUBLISHED, 6);
    hear_publication(stays, "c4", "1");
    hear_nothing(stays);
    close_world();
}
END_TEST

/* -- what runs out ----------------------------------------------------------------------------- */

/* For a home of its own, and for one elsewhere. */
START_TEST(rooms_run_out)
{
    char name[NAME_SIZE];
    const uint16_t home = (uint16_t)_i;
    open_world((struct world_options){.hub_count = 2, .room_max = 2});
    struct client *client = connected_client(1);
    for (int i = 0; i < 2; i++) {
        ask(client, "{\"id\":%d,\"subscribe\":{\"channel\":\"%s\"}}", 2 + i,
            name_at(name, home, i));
    }
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 2);
    (void)hear(client, EVENT_SUBSCRIBED, 3);
    const size_t live = hub_count_live(hub_of(client));
    ask(client, "{\"id\":4,\"subscribe\":{\"channel\":\"%s\"}}", name_at(name, home, 2));
    settle();
    hear_error(client, 4, CODES_ERROR_INTERNAL);
    ck_assert_uint_eq(hub_count_live(hub_of(client)), live);
    ck_assert_uint_eq(client->session->subscription_count, 2);

    ask(client, "{\"id\":5,\"unsubscribe\":{\"channel\":\"%s\"}}", name_at(name, home, 0));
    ask(client, "{\"id\":6,\"subscribe\":{\"channel\":\"%s\"}}", name_at(name, home, 2));
    settle();
    (void)hear(client, EVENT_UNSUBSCRIBED, 5);
    (void)hear(client, EVENT_SUBSCRIBED, 6);
    hear_nothing(client);
    close_world();
}
END_TEST

/* The home has no room for another channel: everybody who waits is told, and nothing is left. */
START_TEST(channels_run_out)
{
    char taken[NAME_SIZE];
    char name[NAME_SIZE];
    const uint16_t asker = (uint16_t)_i;
    open_world((struct world_options){.hub_count = 2, .channel_max = 1});
    struct client *first = connected_client(0);
    struct client *one = connected_client(asker);
    struct client *two = connected_client(asker);
    ask(first, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", name_at(taken, 0, 0));
    settle();
    (void)hear(first, EVENT_SUBSCRIBED, 2);

    ask(one, "{\"id\":3,\"subscribe\":{\"channel\":\"%s\"}}", name_at(name, 0, 1));
    ask(two, "{\"id\":4,\"subscribe\":{\"channel\":\"%s\"}}", name);
    settle();
    hear_error(one, 3, CODES_ERROR_INTERNAL);
    hear_error(two, 4, CODES_ERROR_INTERNAL);
    hear_nothing(one);
    ck_assert_uint_eq(one->session->subscription_count, 0);
    ck_assert_uint_eq(two->session->subscription_count, 0);

    hang_up(first);
    ask(two, "{\"id\":5,\"subscribe\":{\"channel\":\"%s\"}}", name);
    settle();
    (void)hear(two, EVENT_SUBSCRIBED, 5);
    ask(one, "{\"id\":6,\"publish\":{\"channel\":\"%s\",\"data\":1}}", name);
    settle();
    (void)hear(one, EVENT_PUBLISHED, 6);
    hear_publication(two, name, "1");
    hear_nothing(two);
    close_world();
}
END_TEST

/* Blobs for publications, and for the names in questions to other homes. */
START_TEST(memory_runs_out)
{
    char name[NAME_SIZE];
    open_world((struct world_options){.hub_count = 2, .pool_bytes = 300});
    struct client *client = connected_client(1);
    struct blob *hog = blob_create(world.reactors[1].pool, 200);
    ck_assert_ptr_nonnull(hog);
    const size_t live = hub_count_live(hub_of(client));

    ask(client, "{\"id\":2,\"publish\":{\"channel\":\"%s\",\"data\":1}}", name_at(name, 0, 0));
    ask(client, "{\"id\":3,\"publish\":{\"channel\":\"%s\",\"data\":1}}", name_at(name, 1, 0));
    ask(client, "{\"id\":4,\"subscribe\":{\"channel\":\"%s\"}}", name_at(name, 0, 0));
    settle();
    hear_error(client, 2, CODES_ERROR_INTERNAL);
    hear_error(client, 3, CODES_ERROR_INTERNAL);
    hear_error(client, 4, CODES_ERROR_INTERNAL);
    ck_assert_uint_eq(hub_count_live(hub_of(client)), live);
    ck_assert_uint_eq(bus_posts(world.bus, 1), 0);
    ck_assert_uint_gt(metric(1, METRIC_REJECTED_OUT_OF_MEMORY), 0);

    blob_drop(hog, world.reactors[1].pool);
    ask(client, "{\"id\":5,\"subscribe\":{\"channel\":\"%s\"}}", name);
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 5);
    hear_nothing(client);
    close_world();
}
END_TEST

/* One credit for each question that has no answer; with none left no command is taken. */
START_TEST(credits_run_out)
{
    enum { CREDITS = 4 };
    char name[NAME_SIZE];
    open_world((struct world_options){.hub_count = 3, .reserve = CREDITS});
    struct client *client = connected_client(1);
    struct client *elsewhere = connected_client(2);
    settle();
    uint32_t asked = 0;
    while (hub_is_ready(hub_of(client))) {
        ck_assert_uint_le(asked, 2 * CREDITS);
        ask(client, "{\"id\":%u,\"publish\":{\"channel\":\"%s\",\"data\":1}}", 10 + asked,
            name_at(name, 0, 0));
        asked++;
    }
    ck_assert_uint_eq(bus_credits(world.bus, 1, 0), 0);
    ck_assert_uint_ge(asked, CREDITS);
    ck_assert(hub_is_ready(hub_of(elsewhere)));

    /* The question has been read; its answer is on its way; only its arrival makes room. */
    bus_flush(world.bus, 1);
    ck_assert(!hub_is_ready(hub_of(client)));
    (void)run(0);
    ck_assert(!hub_is_ready(hub_of(client)));
    (void)run(1);
    ck_assert(hub_is_ready(hub_of(client)));
    for (uint32_t i = 0; i < asked; i++) {
        (void)hear(client, EVENT_PUBLISHED, 10 + i);
    }
    hear_nothing(client);
    close_world();
}
END_TEST

/* A command is not taken when its answer might find no room. After the delivery it is. */
START_TEST(the_outbox_runs_full)
{
    open_world((struct world_options){.hub_count = 1, .entries = 200});
    struct client *client = connected_client(0);
    uint32_t asked = 0;
    while (hub_is_ready(hub_of(client))) {
        ask(client, "{\"id\":%u,\"ping\":{}}", 10 + asked);
        asked++;
        ck_assert_uint_lt(asked, 1000);
    }
    ck_assert_uint_gt(asked, 50);
    deliver(&world.reactors[0]);
    ck_assert(hub_is_ready(hub_of(client)));
    for (uint32_t i = 0; i < asked; i++) {
        (void)hear(client, EVENT_PONG, 10 + i);
    }
    hear_nothing(client);
    close_world();
}
END_TEST

/*
 * One answer from a home is the answer to everybody who waits in that room, and all of them do not
 * fit into the outbox: those who find no room wait on, and get it in a later turn.
 */
START_TEST(too_many_answers_at_once)
{
    enum { CLIENTS = 250, ROOMS = 6 };
    char name[NAME_SIZE];
    open_world((struct world_options){.hub_count = 2, .entries = 200});
    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = connected_client(1);
        for (int room = 0; room < ROOMS; room++) {
            ask(client, "{\"id\":%d,\"subscribe\":{\"channel\":\"%s\"}}", 10 + room,
                name_at(name, 0, room));
        }
    }
    settle();

    for (int i = 0; i < CLIENTS; i++) {
        struct client *client = &world.clients[i];
        struct event event;
        uint32_t answers = 0;
        while (next_event(client, &event)) {
            answers += event.kind == EVENT_SUBSCRIBED;
        }
        if (answers != ROOMS || client->disconnect_count > 0) {
            ck_abort_msg("client %d: %u answers, %zu disconnects", i, answers,
                         client->disconnect_count);
        }
    }
    close_world();
}
END_TEST

/* A session whose connection is to be closed is told nothing more, though there is room again. */
START_TEST(nothing_after_the_end)
{
    open_world((struct world_options){.hub_count = 1, .entries = 200});
    struct client *client = connected_client(0);
    client->session->is_ending = true;
    ask(client, "{\"id\":2,\"ping\":{}}");
    deliver(&world.reactors[0]);
    hear_nothing(client);
    close_world();
}
END_TEST

int main(void)
{
    TCase *hub = tcase_create("hub");
    tcase_add_test(hub, ids_are_of_version_4);
    tcase_add_test(hub, sessions_run_out);
    tcase_add_test(hub, hangs_up_from_every_room);
    tcase_add_loop_test(hub, rooms_run_out, 0, 2);
    tcase_add_loop_test(hub, channels_run_out, 0, 2);
    tcase_add_test(hub, memory_runs_out);
    tcase_add_test(hub, credits_run_out);
    tcase_add_test(hub, the_outbox_runs_full);
    tcase_add_test(hub, too_many_answers_at_once);
    tcase_add_test(hub, nothing_after_the_end);
    Suite *suite = suite_create("chat/hub");
    suite_add_tcase(suite, hub);
    return run_suite(suite);
}
