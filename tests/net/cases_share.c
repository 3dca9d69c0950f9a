/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listener that several reactors share: nobody is turned away for whom another has room, and no
 * client waits because the one that was woken for it did not come. The others are accept4() on a
 * copy.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/reactor_private.h"
#include "tests/net/cases.h"
#include "tests/net/fixture.h"

static bool has_two_peers(struct fixture *fixture)
{
    return fixture->peer_count >= 2;
}

static bool has_three_peers(struct fixture *fixture)
{
    return fixture->peer_count >= 3;
}

static struct fixture *begin(int plug, uint32_t conn_count_max, uint32_t reserved) BECOMES_REACTOR
{
    struct reactor_options options = fixture_options();
    options.conn_count_max = conn_count_max;
    options.conn_count_reserved = reserved;
    return fixture_begin_shared(cases_plug(plug), &options);
}

static void connect_all(struct fixture *fixture, int listener, int *clients, int count)
{
    for (int i = 0; i < count; i++) {
        clients[i] = fixture->plug->connect(fixture->world, listener);
    }
}

static void close_all(struct fixture *fixture, const int *clients, int count)
{
    for (int i = 0; i < count; i++) {
        fixture->plug->close(fixture->world, clients[i]);
    }
}

/* What came through a listener and is open. */
static size_t count_of(const struct fixture *fixture, unsigned listener) ON_REACTOR
{
    size_t count = 0;
    for (size_t i = 0; i < fixture->peer_count; i++) {
        const struct conn *conn = fixture->peers[i]->conn;
        count += conn != NULL && conn_listener(conn) == listener;
    }
    return count;
}

/* Somebody else finds so many in the backlog, and no more. */
static void expect_waiting(int copy, int count)
{
    for (int i = 0; i < count; i++) {
        const int fd = accept4(copy, NULL, NULL, SOCK_CLOEXEC);
        ck_assert_int_ge(fd, 0);
        (void)close(fd);
    }
    ck_assert_int_lt(accept4(copy, NULL, NULL, SOCK_CLOEXEC), 0);
    ck_assert_int_eq(errno, EAGAIN);
}

static uint64_t refused(struct fixture *fixture)
{
    return metrics_read(&fixture->metrics, METRIC_REJECTED_MAX_CONNECTIONS);
}

/* Who waits there is somebody else's to accept, whether this one is full or ends. */
START_TEST(shares_its_listener)
{
    enum { MAX = 2, CLIENTS = 5 };
    if (cases_plug(_i)->is_one_thread) {
        return; /* simulated: no copies */
    }
    struct reactor_options options = fixture_options();
    options.conn_count_max = MAX;
    struct fixture *fixture = fixture_begin_shared(cases_plug(_i), &options);
    const int copy = dup(fixture->listener);
    int clients[CLIENTS];

    for (int i = 0; i < 4; i++) {
        clients[i] = fixture->plug->connect(fixture->world, fixture->listener);
    }
    fixture_until(fixture, has_two_peers);
    fixture_turn(fixture);
    ck_assert_uint_eq(fixture->peer_count, MAX);
    const int third = accept4(copy, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(third, 0);
    conn_abort(fixture->peers[0]->conn, 0);
    fixture_until(fixture, has_three_peers);
    ck_assert_uint_eq(metrics_read(&fixture->metrics, METRIC_REJECTED_MAX_CONNECTIONS), 0);

    conn_abort(fixture->peers[1]->conn, 0);
    fixture_until_closed(fixture, fixture->peers[1]);
    reactor_stop_listening(fixture->reactor);
    clients[4] = fixture->plug->connect(fixture->world, copy);
    fixture_turn(fixture);
    fixture_turn(fixture);
    ck_assert_uint_eq(fixture->peer_count, MAX + 1);
    const int fifth = accept4(copy, NULL, NULL, SOCK_CLOEXEC);
    ck_assert_int_ge(fifth, 0);

    for (int i = 0; i < CLIENTS; i++) {
        fixture->plug->close(fixture->world, clients[i]);
    }
    fixture_until_empty(fixture);
    (void)close(third);
    (void)close(fifth);
    (void)close(copy);
    fixture_end(fixture);
}
END_TEST

/* It was woken, and has to wait after an error before it comes: nobody else was woken. */
START_TEST(takes_its_turn_when_it_is_off)
{
    enum { MAX = 8 };
    if (cases_plug(_i)->is_one_thread) {
        return;
    }
    struct fixture *fixture = begin(_i, MAX, 0);
    int clients[2];

    fixture_turn(fixture); /* it stands in the line */
    connect_all(fixture, fixture->listener, clients, 2);
    reactor_accept_failed(fixture->reactor);
    fixture_turn(fixture);
    ck_assert_uint_eq(fixture->peer_count, 1); /* and no more than that */
    fixture_until(fixture, has_two_peers);     /* on again */
    close_all(fixture, clients, 2);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Clients of another listener come before, as many as there are places. */
START_TEST(has_a_place_of_its_own)
{
    enum { MAX = 2, OTHERS = 3 };
    if (cases_plug(_i)->is_one_thread) {
        return;
    }
    struct fixture *fixture = begin(_i, MAX, 0);
    const int other = fixture_listen(fixture, false);
    int others[OTHERS];
    int client = -1;

    fixture_turn(fixture);
    connect_all(fixture, other, others, OTHERS);
    connect_all(fixture, fixture->listener, &client, 1);
    fixture_until(fixture, has_two_peers);
    fixture_turn(fixture);
    ck_assert_uint_eq(fixture->peer_count, MAX);
    ck_assert_uint_eq(count_of(fixture, 0), 1);
    close_all(fixture, others, OTHERS);
    close_all(fixture, &client, 1);
    for (int turn = 0; turn < 50; turn++) {
        fixture_turn(fixture);
    }
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(two_of_them_share_what_is_left)
{
    enum { MAX = 2, EACH = 2 };
    if (cases_plug(_i)->is_one_thread) {
        return;
    }
    struct fixture *fixture = begin(_i, MAX, 0);
    const int other = fixture_listen(fixture, true);
    const int copies[2] = {dup(fixture->listener), dup(other)};
    int clients[2 * EACH];

    fixture_turn(fixture);
    connect_all(fixture, fixture->listener, clients, EACH);
    connect_all(fixture, other, clients + EACH, EACH);
    fixture_until(fixture, has_two_peers);
    fixture_turn(fixture);
    fixture_turn(fixture);
    ck_assert_uint_eq(count_of(fixture, 0), 1);
    ck_assert_uint_eq(count_of(fixture, 1), 1);
    ck_assert_uint_eq(fixture->peer_count, MAX);
    ck_assert_uint_eq(refused(fixture), 0);
    expect_waiting(copies[0], EACH - 1);
    expect_waiting(copies[1], EACH - 1);
    close_all(fixture, clients, 2 * EACH);
    fixture_until_empty(fixture);
    (void)close(copies[0]);
    (void)close(copies[1]);
    fixture_end(fixture);
}
END_TEST

START_TEST(leaves_the_reserve_to_others)
{
    enum { MAX = 4, RESERVED = 2, CLIENTS = 4 };
    if (cases_plug(_i)->is_one_thread) {
        return;
    }
    struct fixture *fixture = begin(_i, MAX, RESERVED);
    const int copy = dup(fixture->listener);
    int clients[CLIENTS];

    connect_all(fixture, fixture->listener, clients, CLIENTS);
    fixture_until(fixture, has_two_peers);
    fixture_turn(fixture);
    fixture_turn(fixture);
    ck_assert_uint_eq(fixture->peer_count, MAX - RESERVED);
    ck_assert_uint_eq(refused(fixture), 0);
    expect_waiting(copy, CLIENTS - (MAX - RESERVED));
    close_all(fixture, clients, CLIENTS);
    fixture_until_empty(fixture);
    (void)close(copy);
    fixture_end(fixture);
}
END_TEST

TCase *cases_share(void)
{
    TCase *tcase = tcase_create("share");
    const int count = cases_plug_count();
    tcase_add_loop_test(tcase, shares_its_listener, 0, count);
    tcase_add_loop_test(tcase, takes_its_turn_when_it_is_off, 0, count);
    tcase_add_loop_test(tcase, has_a_place_of_its_own, 0, count);
    tcase_add_loop_test(tcase, two_of_them_share_what_is_left, 0, count);
    tcase_add_loop_test(tcase, leaves_the_reserve_to_others, 0, count);
    return tcase;
}
