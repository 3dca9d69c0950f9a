/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from client to handler: however they are cut, they come once, in order, and only when the
 * handler wants them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/monotime.h"
#include "net/backend_uring_private.h"
#include "net/reactor_private.h"
#include "tests/net/cases.h"
#include "tests/net/fixture.h"

static void fill(uint8_t *data, uint64_t begin, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        data[i] = fixture_byte(begin + i);
    }
}

static void check_stream(const struct fixture_peer *peer, size_t size)
{
    ck_assert_uint_eq(peer->size, size);
    ck_assert(fixture_is_stream(peer->bytes, 0, size));
}

/* Sends back what came. */
static size_t echo(struct fixture_peer *peer, struct span in)
{
    struct packet *packet = packet_create(reactor_packets(peer->fixture->reactor), in.size);
    ck_assert_ptr_nonnull(packet);
    memcpy(packet_span(packet).data, in.data, in.size);
    ck_assert_int_eq(conn_queue(peer->conn, packet, CONN_URGENT), CONN_QUEUED);
    packet_unref(packet);
    return in.size;
}

START_TEST(echoes_many_small_packets)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    const int client = fixture_connect(fixture, NULL);
    uint64_t sent = 0;

    fixture->on_bytes = echo;
    for (size_t round = 0; round < 1000; round++) {
        uint8_t out[300];
        uint8_t in[300];
        const size_t size = 1 + round * 7 % sizeof(out);
        fill(out, sent, size);
        fixture_write(fixture, client, out, size);
        fixture_read(fixture, client, in, size);
        ck_assert_mem_eq(in, out, size);
        sent += size;
    }
    const uint64_t received = metrics_read(&fixture->metrics, METRIC_BYTES_RECEIVED);
    ck_assert(fixture->plug->is_tls ? received > sent : received == sent);
    const uint64_t echoed = metrics_read(&fixture->metrics, METRIC_BYTES_SENT);
    ck_assert(fixture->plug->is_tls ? echoed > sent : echoed == sent);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Large against everything: buffers of the kernel, of the ring, the budget. */
START_TEST(receives_a_long_stream)
{
    struct reactor_options options = fixture_options();
    options.receive_budget_bytes = 3000;
    options.receive_buffer_count = 4; /* they run out: -ENOBUFS */
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t data[10000];
    size_t sent = 0;

    for (size_t round = 0; round < 200; round++) {
        const size_t size = 1 + round * 997 % sizeof(data);
        fill(data, sent, size);
        fixture_write(fixture, client, data, size);
        sent += size;
    }
    fixture_until_size(fixture, peer, sent);
    check_stream(peer, sent);
    fixture->plug->close(fixture->world, client);
    fixture_until_closed(fixture, peer);
    ck_assert_int_eq(peer->reason, -ESHUTDOWN);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(serves_many_with_few_buffers)
{
    enum { CLIENTS = 100, ROUNDS = 20, SIZE = 700, ALL = ROUNDS * SIZE };
    struct reactor_options options = fixture_options();
    options.receive_buffer_count = 4;
    options.receive_buffer_size = 512;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    int clients[CLIENTS];

    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = fixture_connect(fixture, NULL);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        uint8_t data[SIZE];
        fill(data, round * SIZE, SIZE);
        for (int i = 0; i < CLIENTS; i++) {
            fixture_write(fixture, clients[i], data, SIZE);
        }
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        fixture_until_size(fixture, fixture->peers[i], ALL);
        check_stream(fixture->peers[i], ALL);
        fixture->plug->close(fixture->world, clients[i]);
    }
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Consumes whole records of 7 bytes only. */
static size_t by_sevens(struct fixture_peer *peer, struct span in)
{
    const size_t used = in.size / 7 * 7;
    fixture_record(peer, (struct bytes){in.data, used});
    return used;
}

START_TEST(keeps_what_the_handler_leaves)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t data[1000];
    size_t sent = 0;

    fixture->on_bytes = by_sevens;
    for (size_t round = 1; round < 400; round++) {
        const size_t size = round % 13;
        fill(data, sent, size);
        fixture_write(fixture, client, data, size);
        sent += size;
        fixture_until_size(fixture, peer, sent / 7 * 7);
        ck_assert_uint_eq(peer->size, sent / 7 * 7);
    }
    check_stream(peer, sent / 7 * 7);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

static size_t consume_nothing(struct fixture_peer *peer, struct span in)
{
    peer->size = in.size; /* how much was offered */
    return 0;
}

START_TEST(limits_what_the_handler_leaves)
{
    struct reactor_options options = fixture_options();
    options.pending_max = 1000;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    const uint8_t data[1000] = {0};

    fixture->on_bytes = consume_nothing;
    fixture_write(fixture, client, data, 600);
    fixture_until_size(fixture, peer, 600);
    fixture_write(fixture, client, data, 400);
    fixture_until_size(fixture, peer, 1000);
    fixture_turn(fixture);
    ck_assert_uint_eq(peer->close_calls, 0);

    fixture_write(fixture, client, data, 1);
    fixture_until_closed(fixture, peer);
    ck_assert_int_eq(peer->reason, -EMSGSIZE);
    ck_assert_uint_eq(peer->size, 1001);
    int end = 0;
    (void)fixture_read_rest(fixture, client, &end);
    ck_assert_int_eq(end, -ECONNRESET);
    fixture->plug->close(fixture->world, client);

    /* Too much at the first offer. */
    struct fixture_peer *hasty = NULL;
    const uint8_t more[1001] = {0};
    const int other = fixture_connect(fixture, &hasty);
    fixture_write(fixture, other, more, sizeof(more));
    fixture_until_closed(fixture, hasty);
    ck_assert_int_eq(hasty->reason, -EMSGSIZE);
    fixture->plug->close(fixture->world, other);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Takes 10 bytes and pauses. */
static size_t ten_then_pause(struct fixture_peer *peer, struct span in)
{
    /* Up to the next ten, however few bytes come at once. */
    const size_t wanted = 10 - peer->size % 10;
    const size_t used = in.size < wanted ? in.size : wanted;
    fixture_record(peer, (struct bytes){in.data, used});
    if (used == wanted) {
        conn_pause(peer->conn);
    }
    return used;
}

START_TEST(pauses_and_resumes)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t data[6000];

    fixture->on_bytes = ten_then_pause;
    fill(data, 0, sizeof(data));
    fixture_write(fixture, client, data, sizeof(data));
    /* More than pending_max stays behind, but a paused handler is not at fault. */
    for (size_t size = 10; size <= sizeof(data); size += 10) {
        fixture_until_size(fixture, peer, size);
        const unsigned calls = peer->bytes_calls;
        fixture_turn(fixture);
        ck_assert(conn_is_paused(peer->conn));
        ck_assert_uint_eq(peer->bytes_calls, calls);
        ck_assert_uint_eq(peer->size, size);
        conn_resume(peer->conn);
        conn_resume(peer->conn);
    }
    check_stream(peer, sizeof(data));
    ck_assert_uint_eq(peer->close_calls, 0);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* TCP pushes back on the client of a paused connection. */
START_TEST(paused_client_is_pushed_back)
{
    enum { MORE_THAN_BUFFERS = 64 << 20 };
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t data[4096];
    size_t sent = 0;
    int idle = 0;

    conn_pause(peer->conn);
    fixture_turn(fixture);
    while (idle < 50) {
        fill(data, sent, sizeof(data));
        const ssize_t written = fixture->plug->write(fixture->world, client, data, sizeof(data));
        ck_assert(written > 0 || written == -EAGAIN);
        sent += written > 0 ? (size_t)written : 0;
        idle = written > 0 ? 0 : idle + 1;
        ck_assert_uint_lt(sent, MORE_THAN_BUFFERS);
        fixture_turn(fixture);
    }
    ck_assert_uint_eq(peer->bytes_calls, 0);
    conn_resume(peer->conn);
    fixture_until_size(fixture, peer, sent);
    check_stream(peer, sent);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* A pause of somebody else, between the kernel's word and the upcall. */
static size_t pause_the_other(struct fixture_peer *peer, struct span in)
{
    fixture_record(peer, (struct bytes){in.data, in.size});
    struct fixture_peer *other = peer->fixture->context;
    if (other != NULL && other != peer && other->size == 0) {
        conn_pause(other->conn);
    }
    return in.size;
}

START_TEST(pause_holds_what_is_under_way)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *first = NULL;
    struct fixture_peer *second = NULL;
    const int a = fixture_connect(fixture, &first);
    const int b = fixture_connect(fixture, &second);
    uint8_t data[100];

    fixture->on_bytes = pause_the_other;
    fixture->context = second;
    fill(data, 0, sizeof(data));
    fixture_write(fixture, a, data, sizeof(data));
    fixture_write(fixture, b, data, sizeof(data));
    fixture_until_size(fixture, first, sizeof(data));
    if (second->size == 0) { /* it was second in the batch as well */
        ck_assert(conn_is_paused(second->conn));
        fixture_turn(fixture);
        fixture_turn(fixture);
        ck_assert_uint_eq(second->size, 0);
        conn_resume(second->conn);
    }
    fixture_until_size(fixture, second, sizeof(data));
    check_stream(second, sizeof(data));
    fixture->plug->close(fixture->world, a);
    fixture->plug->close(fixture->world, b);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(end_waits_for_resume)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t data[30];

    fixture->on_bytes = ten_then_pause;
    fill(data, 0, sizeof(data));
    fixture_write(fixture, client, data, sizeof(data));
    fixture->plug->close(fixture->world, client);
    size_t seen = 0;
    while (seen < sizeof(data)) { /* each resume brings 10 bytes, or what has arrived */
        fixture_until_size(fixture, peer, seen + 1);
        seen = peer->size;
        fixture_turn(fixture);
        fixture_turn(fixture);
        ck_assert_uint_eq(peer->size, seen);
        ck_assert_uint_eq(peer->close_calls, 0);
        conn_resume(peer->conn);
    }
    check_stream(peer, sizeof(data));
    fixture_until_closed(fixture, peer);
    ck_assert_int_eq(peer->reason, -ESHUTDOWN);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* One client that sends without end does not keep another waiting. */
START_TEST(budget_is_per_connection)
{
    struct reactor_options options = fixture_options();
    options.receive_budget_bytes = 1024;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *loud = NULL;
    struct fixture_peer *quiet = NULL;
    const int a = fixture_connect(fixture, &loud);
    const int b = fixture_connect(fixture, &quiet);
    uint8_t data[60000] = {0};

    (void)fixture->plug->write(fixture->world, a, data, sizeof(data));
    for (size_t round = 1; round <= 20; round++) {
        fixture_write(fixture, b, data, 1);
        fixture_until_size(fixture, quiet, round);
        (void)fixture->plug->write(fixture->world, a, data, 2048);
    }
    ck_assert_uint_gt(loud->size, 0);
    fixture->plug->close(fixture->world, a);
    fixture->plug->close(fixture->world, b);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* What one receive put into several buffers is offered at once: the others have one buffer. */
START_TEST(buffers_side_by_side_are_one_piece)
{
    enum { BUFFER_SIZE = 512, WRITE_SIZE = 8 * BUFFER_SIZE, WRITES = 13 };
    struct reactor_options options = fixture_options();
    options.receive_buffer_count = 16; /* the third write finds those of the first */
    options.receive_buffer_size = BUFFER_SIZE;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    const struct reactor *reactor = fixture->reactor;
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t data[WRITE_SIZE];

    for (size_t i = 0; i < WRITES; i++) {
        fill(data, i * WRITE_SIZE, WRITE_SIZE);
        fixture_write(fixture, client, data, WRITE_SIZE);
        fixture_until_size(fixture, peer, (i + 1) * WRITE_SIZE);
    }
    check_stream(peer, WRITES * WRITE_SIZE);
    if (reactor->ops == &backend_uring_ops && reactor->backend->can_bundle &&
        !fixture->plug->is_tls) {
        ck_assert_uint_eq(peer->bytes_calls, WRITES);
    }
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Nobody has a receive armed; the other back ends know no rest. */
static bool all_rest(struct fixture *fixture)
{
    const struct reactor *reactor = fixture->reactor;
    return reactor->ops != &backend_uring_ops || reactor->backend->receiving == 0;
}

/* Turns of the loop until everybody who is silent rests: many times rest_ns. */
static void sleep_well(struct fixture *fixture)
{
    for (int i = 0; i < 30; i++) {
        fixture_turn(fixture);
    }
    fixture_until(fixture, all_rest);
}

/* Connections that rest between messages lose nothing, pause, resume and end like the others. */
START_TEST(rests_between_messages)
{
    enum { CLIENTS = 20, ROUNDS = 6 };
    struct reactor_options options = fixture_options();
    options.rest_ns = MONOTIME_NS_PER_MS;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peers[CLIENTS];
    int clients[CLIENTS];
    uint8_t data[5000];

    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = fixture_connect(fixture, &peers[i]);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        sleep_well(fixture);
        fill(data, round * sizeof(data), sizeof(data));
        if (round == 2) {
            conn_pause(peers[0]->conn); /* it rests: what is cancelled is a poll */
        }
        for (int i = 0; i < CLIENTS; i++) {
            fixture_write(fixture, clients[i], data, sizeof(data));
        }
        if (round == 2) {
            sleep_well(fixture);
            ck_assert_uint_eq(peers[0]->size, round * sizeof(data));
            conn_resume(peers[0]->conn);
        }
        for (int i = 0; i < CLIENTS; i++) {
            fixture_until_size(fixture, peers[i], (round + 1) * sizeof(data));
            check_stream(peers[i], (round + 1) * sizeof(data));
        }
    }
    sleep_well(fixture);
    for (int i = 0; i < CLIENTS; i++) {
        if (i % 3 == 0) {
            fixture->plug->close(fixture->world, clients[i]);
        } else if (i % 3 == 1) {
            fixture->plug->reset(fixture->world, clients[i]);
        } else {
            conn_abort(peers[i]->conn, -ECANCELED);
            fixture->plug->close(fixture->world, clients[i]);
        }
        fixture_until_closed(fixture, peers[i]);
        ck_assert_int_eq(peers[i]->reason, i % 3 == 0   ? -ESHUTDOWN
                                           : i % 3 == 1 ? -ECONNRESET
                                                        : -ECANCELED);
    }
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

TCase *cases_receive(void)
{
    TCase *tcase = tcase_create("receive");
    const int count = cases_plug_count();
    tcase_add_loop_test(tcase, echoes_many_small_packets, 0, count);
    tcase_add_loop_test(tcase, receives_a_long_stream, 0, count);
    tcase_add_loop_test(tcase, serves_many_with_few_buffers, 0, count);
    tcase_add_loop_test(tcase, keeps_what_the_handler_leaves, 0, count);
    tcase_add_loop_test(tcase, limits_what_the_handler_leaves, 0, count);
    tcase_add_loop_test(tcase, pauses_and_resumes, 0, count);
    tcase_add_loop_test(tcase, paused_client_is_pushed_back, 0, count);
    tcase_add_loop_test(tcase, pause_holds_what_is_under_way, 0, count);
    tcase_add_loop_test(tcase, end_waits_for_resume, 0, count);
    tcase_add_loop_test(tcase, budget_is_per_connection, 0, count);
    tcase_add_loop_test(tcase, buffers_side_by_side_are_one_piece, 0, count);
    tcase_add_loop_test(tcase, rests_between_messages, 0, count);
    return tcase;
}
