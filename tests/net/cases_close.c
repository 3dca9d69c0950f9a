/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends: whoever begins, on_close comes once, with the right reason, and what was promised to
 * arrive has arrived.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/monotime.h"
#include "tests/net/cases.h"
#include "tests/net/fixture.h"

enum { LONG_MS = 60000 };

START_TEST(close_sends_everything_first)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    const size_t size = 3000000;

    for (int i = 0; i < 100; i++) {
        ck_assert_int_ne(fixture_queue(peer, 0, 30000, CONN_NORMAL), CONN_TOO_SLOW);
    }
    conn_close(peer->conn, LONG_MS);
    conn_close(peer->conn, LONG_MS); /* again: nothing */
    ck_assert(conn_is_closing(peer->conn));
    ck_assert_int_eq(fixture_queue(peer, 0, 10, CONN_URGENT), CONN_QUEUED); /* dropped */
    int end = -1;
    ck_assert_uint_eq(fixture_read_rest(fixture, client, &end), size);
    ck_assert_int_eq(end, 0);
    ck_assert_uint_eq(peer->close_calls, 0); /* our FIN is out, theirs is not */
    fixture->plug->close(fixture->world, client);
    fixture_until_closed(fixture, peer);
    ck_assert_int_eq(peer->reason, 0);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* In a moment when a send may be under way: after the flush, before the wait. */
START_TEST(ends_behind_a_send)
{
    enum { CLIENTS = 40, SIZE = 30 };
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    int clients[CLIENTS];

    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = fixture_connect(fixture, NULL);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        ck_assert_int_eq(fixture_queue(fixture->peers[i], 7, SIZE, CONN_NORMAL), CONN_QUEUED);
    }
    reactor_flush(fixture->reactor);
    for (size_t i = 0; i < CLIENTS; i++) {
        if (i % 2 == 0) {
            conn_close(fixture->peers[i]->conn, LONG_MS);
        } else {
            conn_abort(fixture->peers[i]->conn, -ECONNABORTED);
        }
    }
    reactor_sweep(fixture->reactor);
    for (size_t i = 0; i < CLIENTS; i++) {
        int end = -1;
        const size_t size = fixture_read_rest(fixture, clients[i], &end);
        if (i % 2 == 0) {
            ck_assert_uint_eq(size, SIZE);
            ck_assert_int_eq(end, 0);
        } else {
            ck_assert_uint_le(size, SIZE);
            ck_assert_int_eq(end, -ECONNRESET);
        }
        fixture->plug->close(fixture->world, clients[i]);
        fixture_until_closed(fixture, fixture->peers[i]);
        ck_assert_int_eq(fixture->peers[i]->reason, i % 2 == 0 ? 0 : -ECONNABORTED);
    }
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(closing_throws_input_away)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    static const uint8_t data[100000];
    int end = -1;

    conn_pause(peer->conn); /* a paused one has to read on, up to the FIN */
    fixture_turn(fixture);
    (void)fixture->plug->write(fixture->world, client, data, 1000);
    ck_assert_int_eq(fixture_queue(peer, 0, 100, CONN_URGENT), CONN_QUEUED);
    conn_close(peer->conn, LONG_MS);
    fixture_write(fixture, client, data, sizeof(data));
    ck_assert_uint_eq(fixture_read_rest(fixture, client, &end), 100);
    ck_assert_int_eq(end, 0);
    fixture->plug->finish(fixture->world, client);
    fixture_until_closed(fixture, peer);
    ck_assert_int_eq(peer->reason, 0);
    ck_assert_uint_eq(peer->bytes_calls, 0);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Whoever keeps its socket open is told, and not waited for: at once, or from then on. */
START_TEST(hangs_up)
{
    static const bool closes_first[] = {false, true};
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);

    for (size_t i = 0; i < sizeof(closes_first) / sizeof(closes_first[0]); i++) {
        struct fixture_peer *peer = NULL;
        const int client = fixture_connect(fixture, &peer);
        int end = -1;
        for (int n = 0; n < 100; n++) {
            ck_assert_int_ne(fixture_queue(peer, 0, 30000, CONN_NORMAL), CONN_TOO_SLOW);
        }
        if (closes_first[i]) {
            conn_close(peer->conn, LONG_MS);
        } else {
            conn_hang_up(peer->conn);
        }
        ck_assert_uint_eq(fixture_read_rest(fixture, client, &end), 3000000);
        ck_assert_int_eq(end, 0);
        if (closes_first[i]) {
            ck_assert_uint_eq(peer->close_calls, 0);
            conn_hang_up(peer->conn);
        }
        fixture_until_closed(fixture, peer);
        ck_assert_int_eq(peer->reason, 0);
        fixture_until_empty(fixture);
        fixture->plug->close(fixture->world, client);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(patience_ends)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *idle = NULL;
    struct fixture_peer *stuck = NULL;
    const int a = fixture_connect(fixture, &idle);
    const int b = fixture_connect(fixture, &stuck);
    const uint64_t begin_ns = reactor_now(fixture->reactor);

    for (int i = 0; i < 100; i++) {
        ck_assert_int_ne(fixture_queue(stuck, 0, 50000, CONN_NORMAL), CONN_TOO_SLOW);
    }
    conn_close(idle->conn, 40);  /* gets our FIN, and never sends one */
    conn_close(stuck->conn, 40); /* never reads */
    fixture_until_closed(fixture, idle);
    fixture_until_closed(fixture, stuck);
    ck_assert_int_eq(idle->reason, 0);
    ck_assert_int_eq(stuck->reason, 0);
    ck_assert_uint_ge(reactor_now(fixture->reactor), begin_ns + 40 * MONOTIME_NS_PER_MS);
    int end = 0;
    (void)fixture_read_rest(fixture, b, &end);
    ck_assert_int_eq(end, -ECONNRESET);
    fixture->plug->close(fixture->world, a);
    fixture->plug->close(fixture->world, b);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(abort_resets)
{
    static const struct {
        bool by_close;
        int reason;
        bool queued;
    } cases[] = {{true, 0, false}, {false, -EPROTO, false}, {false, 0, true}, {true, 0, true}};
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct fixture_peer *peer = NULL;
        const int client = fixture_connect(fixture, &peer);
        int end = 0;
        for (int n = 0; cases[i].queued && n < 100; n++) {
            ck_assert_int_ne(fixture_queue(peer, 0, 50000, CONN_NORMAL), CONN_TOO_SLOW);
        }
        if (cases[i].queued) { /* a send is in the kernel */
            fixture_turn(fixture);
            fixture_turn(fixture);
        }
        if (cases[i].by_close) {
            conn_close(peer->conn, 0);
        } else {
            conn_abort(peer->conn, cases[i].reason);
        }
        ck_assert_uint_eq(peer->close_calls, 0);
        fixture_until_closed(fixture, peer);
        ck_assert_int_eq(peer->reason, cases[i].reason);
        (void)fixture_read_rest(fixture, client, &end);
        ck_assert_int_eq(end, -ECONNRESET);
        fixture->plug->close(fixture->world, client);
    }
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(reset_by_peer)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);

    for (int round = 0; round < 2; round++) {
        struct fixture_peer *peer = NULL;
        const int client = fixture_connect(fixture, &peer);
        for (int i = 0; i < 100 * round; i++) { /* the second time in the middle of a send */
            ck_assert_int_ne(fixture_queue(peer, 0, 50000, CONN_NORMAL), CONN_TOO_SLOW);
        }
        fixture_turn(fixture);
        fixture->plug->reset(fixture->world, client);
        fixture_until_closed(fixture, peer);
        ck_assert(peer->reason == -ECONNRESET || peer->reason == -EPIPE);
    }
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Answers a request of four bytes with many. */
static size_t answer(struct fixture_peer *peer, struct span in)
{
    if (in.size < 4) {
        return 0;
    }
    for (int i = 0; i < 40; i++) {
        ck_assert_int_ne(fixture_queue(peer, 0, 50000, CONN_NORMAL), CONN_TOO_SLOW);
    }
    return in.size;
}

START_TEST(half_closed_client_gets_its_answer)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    int end = -1;

    fixture->on_bytes = answer;
    fixture_write(fixture, client, "ask?", 4);
    fixture->plug->finish(fixture->world, client);
    ck_assert_uint_eq(fixture_read_rest(fixture, client, &end), 2000000);
    ck_assert_int_eq(end, 0);
    fixture_until_closed(fixture, peer);
    ck_assert_int_eq(peer->reason, -ESHUTDOWN);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(names_go_stale)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *old = NULL;
    struct fixture_peer *young = NULL;
    const int a = fixture_connect(fixture, &old);

    ck_assert_uint_eq(old->id.reactor, 3);
    ck_assert_uint_ne(old->id.generation, 0);
    ck_assert_ptr_eq(reactor_conn(fixture->reactor, old->id), old->conn);
    fixture->plug->close(fixture->world, a);
    fixture_until_closed(fixture, old);
    ck_assert_ptr_null(reactor_conn(fixture->reactor, old->id));
    fixture_until_empty(fixture);

    const int b = fixture_connect(fixture, &young);
    ck_assert_uint_eq(young->id.slot, old->id.slot);
    ck_assert(!conn_id_equal(young->id, old->id));
    ck_assert_ptr_null(reactor_conn(fixture->reactor, old->id));
    ck_assert_ptr_eq(reactor_conn(fixture->reactor, young->id), young->conn);
    ck_assert_ptr_null(reactor_conn(fixture->reactor, (struct conn_id){77, 1, 3}));
    fixture->plug->close(fixture->world, b);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Closes itself and its neighbour, in every way, from inside an upcall. */
static size_t close_both(struct fixture_peer *peer, struct span in)
{
    struct fixture_peer *other = peer->fixture->context;
    conn_pause(peer->conn);
    conn_abort(peer->conn, -EPROTO);
    conn_close(peer->conn, LONG_MS);
    conn_resume(peer->conn);
    ck_assert_int_eq(fixture_queue(peer, 0, 100, CONN_NORMAL), CONN_QUEUED);
    if (other->conn != NULL) {
        conn_abort(other->conn, -EPROTO);
    }
    return in.size / 2;
}

START_TEST(handler_closes_anything)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *first = NULL;
    struct fixture_peer *second = NULL;
    const int a = fixture_connect(fixture, &first);
    const int b = fixture_connect(fixture, &second);

    fixture->on_bytes = close_both;
    fixture->context = second;
    fixture_write(fixture, a, "abcd", 4);
    fixture_write(fixture, b, "abcd", 4);
    fixture_until_closed(fixture, first);
    fixture_until_closed(fixture, second);
    ck_assert_int_eq(first->reason, -EPROTO);
    ck_assert_int_eq(second->reason, -EPROTO);
    fixture->plug->close(fixture->world, a);
    fixture->plug->close(fixture->world, b);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* A reactor that is destroyed with everything under way gives everything back. */
START_TEST(destroys_what_is_open)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    int clients[20];

    for (int i = 0; i < 20; i++) {
        struct fixture_peer *peer = NULL;
        clients[i] = fixture_connect(fixture, &peer);
        for (int n = 0; n < 5 * i; n++) {
            ck_assert_int_ne(fixture_queue(peer, 0, 50000, CONN_NORMAL), CONN_TOO_SLOW);
        }
        fixture_write(fixture, clients[i], "abcd", 4);
    }
    fixture_turn(fixture);
    conn_abort(fixture->peers[19]->conn, 0);
    conn_abort(fixture->peers[0]->conn, 0);
    conn_close(fixture->peers[18]->conn, LONG_MS);
    reactor_flush(fixture->reactor);
    reactor_sweep(fixture->reactor);
    for (int i = 0; i < 20; i++) {
        fixture->plug->close(fixture->world, clients[i]);
    }
    fixture_end(fixture);
}
END_TEST

/* What a seed decides, over many connections: each is closed once and nothing is left. */
static uint32_t draw(uint32_t *seed, uint32_t below)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed % below;
}

static size_t take_some(struct fixture_peer *peer, struct span in)
{
    uint32_t *seed = peer->fixture->context;
    switch (draw(seed, 13)) {
    case 0:
        conn_pause(peer->conn);
        break;
    case 1:
        conn_close(peer->conn, 1 + draw(seed, 30));
        break;
    case 2:
        conn_abort(peer->conn, -EPROTO);
        break;
    case 3:
        conn_hang_up(peer->conn);
        break;
    default:
        (void)fixture_queue(peer, 1, 1 + draw(seed, 70000), CONN_NORMAL);
        break;
    }
    return in.size - draw(seed, (uint32_t)(in.size < 100 ? in.size : 100));
}

static void trouble(struct fixture *fixture, int *client, uint32_t *seed)
{
    uint8_t data[3000] = {0};
    switch (draw(seed, 16)) {
    case 0:
        fixture->plug->reset(fixture->world, *client);
        *client = -1;
        break;
    case 1:
        fixture->plug->close(fixture->world, *client);
        *client = -1;
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        (void)fixture->plug->read(fixture->world, *client, data, sizeof(data));
        break;
    default:
        (void)fixture->plug->write(fixture->world, *client, data, 1 + draw(seed, sizeof(data)));
        break;
    }
}

START_TEST(survives_trouble)
{
    enum { CLIENTS = 24, TURNS = 1500 };
    uint32_t seed = 88172645;
    struct reactor_options options = fixture_options();
    options.receive_buffer_count = 8;
    options.queue_bytes_max = 300000;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    int clients[CLIENTS];
    size_t opened = 0;

    fixture->on_bytes = take_some;
    fixture->context = &seed;
    memset(clients, -1, sizeof(clients));
    for (int turn = 0; turn < TURNS; turn++) {
        int *client = &clients[draw(&seed, CLIENTS)];
        if (*client < 0) {
            *client = fixture->plug->connect(fixture->world, fixture->listener);
            opened++;
        } else {
            trouble(fixture, client, &seed);
        }
        if (fixture->peer_count > 0) {
            struct fixture_peer *peer = fixture->peers[draw(&seed, (uint32_t)fixture->peer_count)];
            if (peer->conn != NULL) {
                conn_resume(peer->conn);
            }
        }
        reactor_wait(fixture->reactor, 0);
        reactor_receive(fixture->reactor);
        reactor_flush(fixture->reactor);
        reactor_sweep(fixture->reactor);
    }
    for (int i = 0; i < CLIENTS; i++) {
        if (clients[i] >= 0) {
            fixture->plug->close(fixture->world, clients[i]);
        }
    }
    for (size_t i = 0; i < fixture->peer_count; i++) {
        if (fixture->peers[i]->conn != NULL) {
            conn_abort(fixture->peers[i]->conn, 0);
        }
    }
    fixture->turn_away = true; /* who is still in the backlog */
    fixture_until_empty(fixture);
    ck_assert_uint_le(fixture->peer_count, opened);
    for (size_t i = 0; i < fixture->peer_count; i++) {
        ck_assert_uint_eq(fixture->peers[i]->close_calls, 1);
    }
    fixture_end(fixture);
}
END_TEST

TCase *cases_close(void)
{
    TCase *tcase = tcase_create("close");
    const int count = cases_plug_count();
    tcase_add_loop_test(tcase, close_sends_everything_first, 0, count);
    tcase_add_loop_test(tcase, ends_behind_a_send, 0, count);
    tcase_add_loop_test(tcase, closing_throws_input_away, 0, count);
    tcase_add_loop_test(tcase, hangs_up, 0, count);
    tcase_add_loop_test(tcase, patience_ends, 0, count);
    tcase_add_loop_test(tcase, abort_resets, 0, count);
    tcase_add_loop_test(tcase, reset_by_peer, 0, count);
    tcase_add_loop_test(tcase, half_closed_client_gets_its_answer, 0, count);
    tcase_add_loop_test(tcase, names_go_stale, 0, count);
    tcase_add_loop_test(tcase, handler_closes_anything, 0, count);
    tcase_add_loop_test(tcase, destroys_what_is_open, 0, count);
    tcase_add_loop_test(tcase, survives_trouble, 0, count);
    return tcase;
}
