/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letting clients in: no more than there is room for, and no error stops it for good.
 */
#include <errno.h>
#include <stdlib.h>

#include "tests/net/cases.h"
#include "tests/net/fixture.h"

START_TEST(turned_away_by_the_handler)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    int end = 0;

    fixture->turn_away = true;
    const int client = fixture->plug->connect(fixture->world, fixture->listener);
    ck_assert_uint_eq(fixture_read_rest(fixture, client, &end), 0);
    ck_assert_int_eq(end, -ECONNRESET);
    ck_assert_uint_eq(fixture->peer_count, 0);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(stops_at_the_maximum_and_goes_on)
{
    enum { MAX = 5, ROUNDS = 4 };
    struct reactor_options options = fixture_options();
    options.conn_count_max = MAX;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    int clients[MAX + ROUNDS];

    for (int i = 0; i < MAX; i++) {
        clients[i] = fixture_connect(fixture, NULL);
    }
    fixture_turn(fixture);
    for (int round = 0; round < ROUNDS; round++) {
        /* It connects to the backlog, and stays there until somebody leaves. */
        clients[MAX + round] = fixture->plug->connect(fixture->world, fixture->listener);
        for (int turn = 0; turn < 30; turn++) {
            fixture_turn(fixture);
        }
        ck_assert_uint_eq(fixture->peer_count, (size_t)MAX + (size_t)round);
        ck_assert_uint_eq(reactor_conn_count(fixture->reactor), MAX);
        fixture->plug->close(fixture->world, clients[round]);
        uint8_t byte = 0;
        while (fixture->peer_count == (size_t)MAX + (size_t)round) {
            fixture_turn(fixture); /* ended by the time limit of the test */
        }
        struct fixture_peer *peer = fixture->peers[MAX + round];
        ck_assert_int_eq(fixture_queue(peer, 7, 1, CONN_NORMAL), CONN_QUEUED);
        fixture_read(fixture, clients[MAX + round], &byte, 1);
        ck_assert_uint_eq(byte, 7);
    }
    for (int i = ROUNDS; i < MAX + ROUNDS; i++) {
        fixture->plug->close(fixture->world, clients[i]);
    }
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* A crowd at once: as many as there is room for; the others wait or are reset. */
START_TEST(crowd_beyond_the_maximum)
{
    enum { MAX = 8, CROWD = 40 };
    struct reactor_options options = fixture_options();
    options.conn_count_max = MAX;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    int clients[CROWD];

    for (int i = 0; i < CROWD; i++) {
        clients[i] = fixture->plug->connect(fixture->world, fixture->listener);
    }
    for (int turn = 0; turn < 50; turn++) {
        fixture_turn(fixture);
        ck_assert_uint_le(reactor_conn_count(fixture->reactor), MAX);
    }
    ck_assert_uint_eq(fixture->peer_count, MAX);
    for (int i = 0; i < CROWD; i++) {
        fixture->plug->close(fixture->world, clients[i]);
    }
    for (int turn = 0; turn < 50; turn++) {
        fixture_turn(fixture);
    }
    fixture_until_empty(fixture);

    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

static bool has_accept_errors(struct fixture *fixture)
{
    return metrics_read(&fixture->metrics, METRIC_REJECTED_ACCEPT_ERROR) > 0;
}

static bool has_two_peers(struct fixture *fixture)
{
    return fixture->peer_count >= 2;
}

static bool has_three_peers(struct fixture *fixture)
{
    return fixture->peer_count >= 3;
}

START_TEST(runs_out_of_descriptors)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *before = NULL;
    const int old = fixture_connect(fixture, &before);
    const int refused = fixture->plug->connect(fixture->world, fixture->listener);

    fixture->plug->starve(fixture->world, true);
    fixture_until(fixture, has_accept_errors);
    if (!fixture->plug->keeps_whom_it_cannot_accept) {
        int end = 0;
        ck_assert_uint_eq(fixture_read_rest(fixture, refused, &end), 0);
        ck_assert_int_eq(end, -ECONNRESET);
    }
    fixture_write(fixture, old, "abc", 3); /* who is in is served */
    fixture_until_size(fixture, before, 3);
    ck_assert_uint_eq(fixture->peer_count, 1);

    fixture->plug->starve(fixture->world, false);
    const int young = fixture->plug->connect(fixture->world, fixture->listener);
    fixture_until(fixture, has_two_peers); /* the refused one, if it was kept, or the young one */
    fixture->plug->close(fixture->world, old);
    fixture->plug->close(fixture->world, refused);
    fixture->plug->close(fixture->world, young);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(stops_listening)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t byte = 0;

    reactor_close_listener(fixture->reactor, 0);
    reactor_close_listener(fixture->reactor, 0); /* again: nothing */
    reactor_stop_listening(fixture->reactor);
    fixture_turn(fixture);
    fixture_write(fixture, client, "x", 1);
    fixture_until_size(fixture, peer, 1);
    ck_assert_int_eq(fixture_queue(peer, 5, 1, CONN_NORMAL), CONN_QUEUED);
    fixture_read(fixture, client, &byte, 1);
    ck_assert_uint_eq(byte, 5);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* One that needs no reserve leaves it to others, and whom it has no room for in the backlog. */
START_TEST(leaves_the_reserve)
{
    enum { MAX = 4, RESERVED = 2 };
    struct reactor_options options = fixture_options();
    options.conn_count_max = MAX;
    options.conn_count_reserved = RESERVED;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    int clients[MAX];

    for (int i = 0; i < MAX; i++) {
        clients[i] = fixture->plug->connect(fixture->world, fixture->listener);
    }
    fixture_until(fixture, has_two_peers);
    fixture_turn(fixture);
    ck_assert_uint_eq(fixture->peer_count, MAX - RESERVED);
    if (!fixture->plug->accepts_ahead) {
        ck_assert_uint_eq(metrics_read(&fixture->metrics, METRIC_REJECTED_MAX_CONNECTIONS), 0);
        conn_abort(fixture->peers[0]->conn, 0);
        fixture_until(fixture, has_three_peers);
    }
    for (int i = 0; i < MAX; i++) {
        fixture->plug->close(fixture->world, clients[i]);
    }
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

TCase *cases_accept(void)
{
    TCase *tcase = tcase_create("accept");
    const int count = cases_plug_count();
    tcase_add_loop_test(tcase, turned_away_by_the_handler, 0, count);
    tcase_add_loop_test(tcase, stops_at_the_maximum_and_goes_on, 0, count);
    tcase_add_loop_test(tcase, crowd_beyond_the_maximum, 0, count);
    tcase_add_loop_test(tcase, runs_out_of_descriptors, 0, count);
    tcase_add_loop_test(tcase, stops_listening, 0, count);
    tcase_add_loop_test(tcase, leaves_the_reserve, 0, count);
    return tcase;
}
