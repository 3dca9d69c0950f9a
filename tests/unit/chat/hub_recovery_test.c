/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Coming back to a channel with history, on its home's reactor (0) and on another one: what the
 * reply says, to the byte, and that with what comes live nothing is missing and nothing twice, at
 * whatever moment something is published, left, lost or asked.
 */
#include "tests/unit/chat/history_world.h"

/* Somebody who keeps the room there, so that the next one comes to a room that is joined. */
static struct client *resident(uint16_t reactor)
{
    struct client *client = connected_client(reactor);
    subscribe(client, 2);
    settle();
    hear_subscribed(client, 2, published);
    return client;
}

/* -- one that comes back ----------------------------------------------------------------------- */

START_TEST(is_given_what_it_missed)
{
    const uint16_t reactor = (uint16_t)(_i % 2);
    open_history(2, 5);
    struct client *stays = _i >= 2 ? resident(reactor) : NULL;
    struct client *client = connected_client(reactor);
    come_back(client, 7, 2);
    settle();
    hear_recovered(client, 7, 3, 5);
    publish_to(7);
    settle();
    hear_numbers(client, 6, 7);
    if (stays != NULL) {
        hear_numbers(stays, 6, 7);
    }
    ck_assert_uint_eq(metric(reactor, METRIC_RECOVERIES_COMPLETE), 1);
    ck_assert_uint_eq(metric(reactor, METRIC_RECOVERIES_IMPOSSIBLE), 0);
    close_world();
}
END_TEST

/* The first one there asks for the room; with a room the answer is there at once. */
START_TEST(missed_nothing)
{
    const uint16_t reactor = (uint16_t)_i;
    open_history(2, 5);
    struct client *first = connected_client(reactor);
    come_back(first, 7, 5);
    settle();
    hear_recovered(first, 7, 6, 5);

    const uint64_t posts = bus_posts(world.bus, reactor);
    struct client *second = connected_client(reactor);
    come_back(second, 8, 5);
    (void)run(reactor);
    hear_recovered(second, 8, 6, 5);
    ck_assert_uint_eq(bus_posts(world.bus, reactor), posts);
    publish_to(6);
    settle();
    hear_numbers(first, 6, 6);
    hear_numbers(second, 6, 6);
    close_world();
}
END_TEST

START_TEST(comes_to_what_is_empty)
{
    const uint16_t reactor = (uint16_t)_i;
    open_history(2, 0);
    struct client *client = connected_client(reactor);
    come_back(client, 7, 0);
    settle();
    hear_recovered(client, 7, 1, 0);
    publish_to(1);
    settle();
    hear_numbers(client, 1, 1);
    close_world();
}
END_TEST

/* Twelve were published, and ten may be missed. */
static const struct {
    const char *why;
    const char *recover; /* what the subscribe says of it; NULL: the epoch, and `since` */
    int since;
    int first; /* what it is given, up to 12; 0: recovered is not true */
} cases[] = {
    {"all that it may", NULL, 2, 3},
    {"one more than it may", NULL, 1, 0},
    {"much more", NULL, 0, 0},
    {"one", NULL, 11, 12},
    {"none", NULL, 12, 13},
    {"from the future", NULL, 13, 0},
    {"from the end of all offsets", "\"offset\":18446744073709551615", 0, 0},
    {"any epoch will do", "\"offset\":10", 0, 11},
    {"an empty epoch", "\"offset\":10,\"epoch\":\"\"", 0, 11},
    {"another life", "\"offset\":10,\"epoch\":\"0123456789abcdef\"", 0, 0},
    {"another life, as far", "\"offset\":12,\"epoch\":\"0123456789abcdef\"", 0, 0},
    {"not one of our epochs", "\"offset\":10,\"epoch\":\"AbCd\"", 0, 0},
    {"no position at all", "\"epoch\":\"\"", 0, 0},
};

START_TEST(says_whether_it_recovered)
{
    const int row = _i / 4;
    const uint16_t reactor = (uint16_t)(_i % 2);
    open_history(2, 12);
    if (_i % 4 >= 2) {
        (void)resident(reactor);
    }
    struct client *client = connected_client(reactor);
    if (cases[row].recover == NULL) {
        come_back(client, 7, cases[row].since);
    } else {
        ask(client, "{\"id\":7,\"subscribe\":{\"channel\":\"%s\",\"recover\":true,%s}}", name,
            cases[row].recover);
    }
    settle();
    if (cases[row].first > 0) {
        hear_recovered(client, 7, cases[row].first, 12);
    } else {
        hear_lost(client, 7, 12);
    }
    ck_assert_uint_eq(metric(reactor, METRIC_RECOVERIES_COMPLETE), cases[row].first > 0);
    ck_assert_uint_eq(metric(reactor, METRIC_RECOVERIES_IMPOSSIBLE), cases[row].first == 0);
    publish_to(14);
    settle();
    hear_numbers(client, 13, 14); /* live it goes on in any case */
    close_world();
}
END_TEST

/* What it missed is too old by now, or it is all that is not. */
START_TEST(comes_too_late)
{
    const uint16_t reactor = (uint16_t)(_i % 2);
    open_history(2, 3);
    if (_i >= 2) {
        (void)resident(reactor);
    }
    world.now_ns += 30 * second_ns;
    settle();
    publish_to(5);
    settle();
    world.now_ns += 30 * second_ns;
    struct client *clients[4];
    for (int i = 0; i < COUNT(clients); i++) {
        clients[i] = connected_client(reactor);
        come_back(clients[i], 7, 2 + i);
    }
    settle();
    hear_lost(clients[0], 7, 5);
    hear_recovered(clients[1], 7, 4, 5);
    hear_recovered(clients[2], 7, 5, 5);
    hear_recovered(clients[3], 7, 6, 5);
    close_world();
}
END_TEST

/* -- many -------------------------------------------------------------------------------------- */

/* Who waits for the same room shares one question, and each is given its own part of the page. */
START_TEST(many_share_one_question)
{
    enum { MANY = 30 };
    open_history(2, 12);
    struct client *stays = _i == 1 ? resident(1) : NULL;
    struct client *clients[MANY];
    const uint64_t posts = bus_posts(world.bus, 1);
    for (int i = 0; i < MANY; i++) {
        clients[i] = connected_client(1);
    }
    for (int i = 0; i < MANY; i++) {
        come_back(clients[i], 7, i % 15);
    }
    settle();
    ck_assert_uint_eq(bus_posts(world.bus, 1) - posts, _i == 1 ? 1 : 2); /* and the interest */
    for (int i = 0; i < MANY; i++) {
        const int since = i % 15;
        if (since < 2 || since > 12) {
            hear_lost(clients[i], 7, 12);
        } else {
            hear_recovered(clients[i], 7, since + 1, 12);
        }
        hear_nothing(clients[i]);
    }
    publish_to(13);
    settle();
    for (int i = 0; i < MANY; i++) {
        hear_numbers(clients[i], 13, 13);
    }
    if (stays != NULL) {
        hear_numbers(stays, 13, 13);
    }
    close_world();
}
END_TEST

/* One that needs more than what was asked for has another question, behind the first. */
START_TEST(needs_more_than_was_asked_for)
{
    open_history(2, 9);
    (void)resident(1);
    struct client *little = connected_client(1);
    struct client *more = connected_client(1);
    struct client *less = connected_client(1);
    const uint64_t posts = bus_posts(world.bus, 1);
    come_back(little, 7, 6);
    (void)run(1);
    ck_assert_uint_eq(bus_posts(world.bus, 1) - posts, 1);
    come_back(more, 8, 3);
    come_back(less, 9, 8);
    (void)run(1);
    ck_assert_uint_eq(bus_posts(world.bus, 1) - posts, 1); /* one at a time */
    (void)run(0);
    (void)run(1);
    hear_recovered(little, 7, 7, 9);
    hear_recovered(less, 9, 9, 9);
    hear_nothing(more);
    ck_assert_uint_eq(bus_posts(world.bus, 1) - posts, 2);
    settle();
    hear_recovered(more, 8, 4, 9);
    close_world();
}
END_TEST

/* -- what is published meanwhile --------------------------------------------------------------- */

/* At home, all in one turn: what is in the outbox goes to whoever is a member at its end. */
START_TEST(joins_in_the_turn_of_a_publication)
{
    open_history(1, 3);
    struct client *stays = resident(0);
    struct client *missed_some = connected_client(0);
    struct client *missed_none = connected_client(0);
    struct client *is_new = connected_client(0);
    publish_to(4);
    come_back(missed_some, 7, 1);
    publish_to(5);
    come_back(missed_none, 8, 3);
    subscribe(is_new, 9);
    publish_to(6);
    (void)run(0);
    hear_recovered(missed_some, 7, 2, 3);
    hear_recovered(missed_none, 8, 4, 3);
    hear_subscribed(is_new, 9, 3);
    publish_to(7);
    (void)run(0);
    hear_numbers(stays, 4, 7);
    hear_numbers(missed_some, 4, 7);
    hear_numbers(missed_none, 4, 7);
    hear_numbers(is_new, 4, 7);
    close_world();
}
END_TEST

/* The same for the first one there: its room begins behind what was published before it. */
START_TEST(opens_the_room_between_publications)
{
    open_history(1, 3);
    struct client *client = connected_client(0);
    publish_to(4);
    come_back(client, 7, 2);
    publish_to(6);
    (void)run(0);
    hear_recovered(client, 7, 3, 4);
    hear_numbers(client, 5, 6);
    close_world();
}
END_TEST

/*
 * On another reactor: 4 is published before the home reads, 5 after it. However many of the posts
 * are taken at a time, one is given and the other comes, or both come.
 */
START_TEST(publications_around_the_answer)
{
    const size_t at_a_time = (size_t)_i + 1;
    open_history(2, 3);
    struct client *stays = resident(1);
    struct client *client = connected_client(1);
    struct client *latecomer = connected_client(1);
    come_back(client, 7, 1);
    (void)run(1); /* the question */
    publish_to(4);
    (void)run(0); /* the answer, behind 4 */
    publish_to(5);
    (void)run(0);
    come_back(latecomer, 8, 3);
    hear_nothing(client);
    (void)run_some(1, at_a_time);
    if (at_a_time == 1) {
        hear_nothing(client); /* 4 only, delivered to who was there */
        hear_numbers(stays, 4, 4);
        (void)run_some(1, at_a_time);
        hear_recovered(client, 7, 2, 4);
    } else {
        hear_recovered(client, 7, 2, 3);
        hear_number(client, 4);
        hear_number(stays, 4);
    }
    settle();
    publish_to(6);
    settle();
    hear_numbers(client, 5, 6);
    hear_numbers(stays, 5, 6);
    hear_recovered(latecomer, 8, 4, 3); /* it had missed nothing when it came */
    hear_numbers(latecomer, 4, 6);
    close_world();
}
END_TEST

/*
 * More was missed while they waited than one is given: who missed too much has lost something, and
 * is told. Of the page, which is as long as one may be, the other has the rest; and comes again.
 */
START_TEST(waits_too_long)
{
    open_history(2, 10);
    (void)resident(1);
    struct client *client = connected_client(1);
    struct client *other = connected_client(1);
    come_back(client, 7, 0);
    come_back(other, 8, 1);
    (void)run(1);
    publish_to(11);
    (void)run(0);
    (void)run_some(1, 1);
    (void)run(1);
    hear_lost(client, 7, 11);
    hear_recovered(other, 8, 2, 10);
    hear_unsubscribed(other);
    hear_nothing(other);
    come_back(other, 9, 10);
    settle();
    hear_recovered(other, 9, 11, 11);
    publish_to(12);
    settle();
    hear_numbers(client, 12, 12);
    hear_numbers(other, 12, 12);
    close_world();
}
END_TEST

/* A reactor that lags: the page ends where it was told, and what it was not told yet comes. */
START_TEST(comes_to_a_reactor_that_lags)
{
    enum { TELLS = 12 }; /* that fit into a ring of 16 slots with two reserves of 2 */
    open_history_of((struct world_options){.hub_count = 2, .slots = 16, .reserve = 2}, "hist", 3);
    struct client *stays = resident(1);
    struct client *client = connected_client(1);
    come_back(client, 7, 1);
    (void)run(1);
    publish_to(18);
    ck_assert(hub_has_backlog(world.reactors[0].hub));
    (void)run(0);
    (void)run(1);
    hear_recovered(client, 7, 2, 3);
    hear_numbers(client, 4, 3 + TELLS);
    settle();
    hear_numbers(client, 4 + TELLS, 18);
    hear_numbers(stays, 4, 18);
    close_world();
}
END_TEST

/* It had more elsewhere than has come here: it waits for that, and gets nothing twice. */
START_TEST(is_ahead_of_a_reactor_that_lags)
{
    open_history_of((struct world_options){.hub_count = 2, .slots = 16, .reserve = 2}, "hist", 3);
    struct client *stays = resident(1);
    struct client *ahead = connected_client(1);
    struct client *liar = connected_client(1);
    publish_to(18);
    ck_assert(hub_has_backlog(world.reactors[0].hub));
    come_back(ahead, 7, 17);
    come_back(liar, 8, 19);
    (void)run(1);
    hear_nothing(ahead);
    hear_nothing(liar);
    settle();
    hear_recovered(ahead, 7, 18, 18);
    hear_lost(liar, 8, 3);
    hear_numbers(stays, 4, 18);
    publish_to(19);
    settle();
    hear_numbers(ahead, 19, 19);
    hear_numbers(liar, 4, 19);
    close_world();
}
END_TEST

/* A publication that never comes, which cannot be: it is noticed with the next one. */
START_TEST(is_lost_on_the_way)
{
    open_history(2, 3);
    struct client *client = resident(1);
    publish_to(4);
    (void)run(0);
    struct bus_post packed;
    ck_assert_uint_eq(bus_take(world.bus, 1, &packed, 1), 1);
    const struct post lost = post_unpack(&packed);
    ck_assert_uint_eq(lost.kind, POST_PUBLICATION);
    blob_drop(lost.publication.blob, world.reactors[1].pool);

    publish_to(5);
    settle();
    hear_unsubscribed(client);
    hear_nothing(client);
    ck_assert_uint_eq(metric(1, METRIC_GAPS), 1);
    come_back(client, 7, 3);
    settle();
    hear_recovered(client, 7, 4, 5);
    publish_to(6);
    settle();
    hear_numbers(client, 6, 6);
    close_world();
}
END_TEST

int main(void)
{
    TCase *one = tcase_create("one");
    tcase_add_loop_test(one, is_given_what_it_missed, 0, 4);
    tcase_add_loop_test(one, missed_nothing, 0, 2);
    tcase_add_loop_test(one, comes_to_what_is_empty, 0, 2);
    tcase_add_loop_test(one, says_whether_it_recovered, 0, 4 * COUNT(cases));
    tcase_add_loop_test(one, comes_too_late, 0, 4);
    TCase *many = tcase_create("many");
    tcase_add_loop_test(many, many_share_one_question, 0, 2);
    tcase_add_test(many, needs_more_than_was_asked_for);
    TCase *meanwhile = tcase_create("meanwhile");
    tcase_add_test(meanwhile, joins_in_the_turn_of_a_publication);
    tcase_add_test(meanwhile, opens_the_room_between_publications);
    tcase_add_loop_test(meanwhile, publications_around_the_answer, 0, 3);
    tcase_add_test(meanwhile, waits_too_long);
    tcase_add_test(meanwhile, comes_to_a_reactor_that_lags);
    tcase_add_test(meanwhile, is_ahead_of_a_reactor_that_lags);
    tcase_add_test(meanwhile, is_lost_on_the_way);
    Suite *suite = suite_create("chat/hub: recovery");
    suite_add_tcase(suite, one);
    suite_add_tcase(suite, many);
    suite_add_tcase(suite, meanwhile);
    return run_suite(suite);
}
