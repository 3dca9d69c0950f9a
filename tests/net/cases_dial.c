/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that we begin: the reactor dials its own listener, so that both ends are seen. Real
 * back ends only: in the simulated world nobody dials.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/dialer.h"
#include "net/listener.h"
#include "tests/net/cases.h"
#include "tests/net/fixture.h"
#include "tests/net/plug_tls.h"

static bool is_real(const struct plug *plug)
{
    return strncmp(plug->name, "simulated", strlen("simulated")) != 0;
}

static int add_dialer(struct fixture *fixture)
{
    return reactor_dialer_tls(fixture->reactor, &fixture->handler,
                              fixture->plug->is_tls ? plug_tls_client() : NULL);
}

static struct dialer_options to_listener(const struct fixture *fixture)
{
    struct dialer_options options = {0};
    ck_assert_int_eq(listener_address(fixture->listener, &options.target), 0);
    return options;
}

/* The new peer is the last one; NULL: there was no room. */
static struct fixture_peer *dial(struct fixture *fixture, int dialer,
                                 const struct dialer_options *options) ON_REACTOR
{
    int fd = -1;
    ck_assert_int_eq(dialer_open(options, &fd), 0);
    const size_t before = fixture->peer_count;
    if (reactor_dial(fixture->reactor, fd, dialer, fixture) == NULL) {
        ck_assert_uint_eq(fixture->peer_count, before);
        ck_assert_int_eq(fcntl(fd, F_GETFD), -1); /* closed */
        return NULL;
    }
    ck_assert_uint_eq(fixture->peer_count, before + 1);
    return fixture->peers[before];
}

START_TEST(talks_both_ways)
{
    enum { SIZE = 30000 };
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (is_real(fixture->plug)) {
        const struct dialer_options target = to_listener(fixture);
        const int dialer = add_dialer(fixture);
        struct fixture_peer *ours = dial(fixture, dialer, &target);
        ck_assert_ptr_nonnull(ours);
        ck_assert_uint_eq(conn_listener(ours->conn), (unsigned)dialer);
        /* Queued before anybody knows that it is connected. */
        ck_assert_int_eq(fixture_queue(ours, 0, SIZE, CONN_NORMAL), CONN_QUEUED);
        while (fixture->peer_count < 2) {
            fixture_turn(fixture); /* ended by the time limit of the test */
        }
        struct fixture_peer *theirs = fixture->peers[1];
        fixture_until_size(fixture, theirs, SIZE);
        for (size_t i = 0; i < SIZE; i++) {
            ck_assert_uint_eq(theirs->bytes[i], i & 0xff);
        }
        ck_assert_int_eq(fixture_queue(theirs, 0, 1000, CONN_NORMAL), CONN_QUEUED);
        fixture_until_size(fixture, ours, 1000);
        conn_close(ours->conn, 1000);
        fixture_until_closed(fixture, theirs);
        fixture_until_closed(fixture, ours);
        ck_assert_int_eq(ours->reason, 0);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(is_refused)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (is_real(fixture->plug)) {
        /* A port that is taken, and where nobody listens. */
        struct dialer_options target = to_listener(fixture);
        const int taken = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        target.target.v4.sin_port = 0;
        ck_assert_int_eq(bind(taken, &target.target.any, target.target.size), 0);
        ck_assert_int_eq(listener_address(taken, &target.target), 0);

        const int dialer = add_dialer(fixture);
        struct fixture_peer *idle = dial(fixture, dialer, &target);
        struct fixture_peer *speaking = dial(fixture, dialer, &target);
        ck_assert_int_eq(fixture_queue(speaking, 0, 100, CONN_NORMAL), CONN_QUEUED);
        fixture_until_closed(fixture, idle);
        fixture_until_closed(fixture, speaking);
        ck_assert_int_eq(idle->reason, -ECONNREFUSED);
        ck_assert_int_lt(speaking->reason, 0);
        fixture_until_empty(fixture);
        (void)close(taken);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(comes_from_its_source)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (is_real(fixture->plug)) {
        struct dialer_options target = to_listener(fixture);
        char text[ADDRESS_TEXT_SIZE_MAX];
        struct address from;
        ck_assert_int_eq(address_parse("127.0.0.77:1", &target.source), 0);
        target.source.v4.sin_port = 0;
        const int dialer = add_dialer(fixture);
        ck_assert_ptr_nonnull(dial(fixture, dialer, &target));
        while (fixture->peer_count < 2) {
            fixture_turn(fixture);
        }
        ck_assert_int_eq(conn_peer(fixture->peers[1]->conn, &from), 0);
        (void)address_format(&from, text);
        ck_assert_msg(strncmp(text, "127.0.0.77:", 11) == 0, "%s", text);
        conn_abort(fixture->peers[0]->conn, 0);
        conn_abort(fixture->peers[1]->conn, 0);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(finds_no_room)
{
    struct reactor_options options = fixture_options();
    options.conn_count_max = 2;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (is_real(fixture->plug)) {
        const struct dialer_options target = to_listener(fixture);
        const int dialer = add_dialer(fixture);
        struct fixture_peer *first = dial(fixture, dialer, &target);
        struct fixture_peer *second = dial(fixture, dialer, &target);
        ck_assert_ptr_nonnull(first);
        ck_assert_ptr_nonnull(second);
        ck_assert_ptr_null(dial(fixture, dialer, &target));
        conn_abort(first->conn, 0);
        conn_abort(second->conn, 0);
        fixture_until_closed(fixture, first);
        fixture_until_closed(fixture, second);
        reactor_stop_listening(fixture->reactor);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(many_at_once)
{
    enum { COUNT = 400 };
    struct reactor_options options = fixture_options();
    options.conn_count_max = 2 * COUNT;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (is_real(fixture->plug)) {
        const struct dialer_options target = to_listener(fixture);
        const int dialer = add_dialer(fixture);
        for (int i = 0; i < COUNT; i++) {
            struct fixture_peer *peer = dial(fixture, dialer, &target);
            ck_assert_ptr_nonnull(peer);
            ck_assert_int_eq(fixture_queue(peer, 0, 10, CONN_NORMAL), CONN_QUEUED);
        }
        while (fixture->peer_count < 2 * (size_t)COUNT) {
            fixture_turn(fixture);
        }
        for (int i = COUNT; i < 2 * COUNT; i++) {
            fixture_until_size(fixture, fixture->peers[i], 10);
        }
        for (int i = 0; i < 2 * COUNT; i++) {
            conn_abort(fixture->peers[i]->conn, 0);
        }
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

TCase *cases_dial(void)
{
    TCase *cases = tcase_create("dial");
    const int count = cases_plug_count();
    tcase_add_loop_test(cases, talks_both_ways, 0, count);
    tcase_add_loop_test(cases, is_refused, 0, count);
    tcase_add_loop_test(cases, comes_from_its_source, 0, count);
    tcase_add_loop_test(cases, finds_no_room, 0, count);
    tcase_add_loop_test(cases, many_at_once, 0, count);
    return cases;
}
