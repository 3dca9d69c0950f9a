/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packets from handler to client: all of them, whole, urgent ones first, and never more of them
 * in memory than the limit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/monotime.h"
#include "net/backend.h"
#include "tests/net/cases.h"
#include "tests/net/fixture.h"

static bool is_blocked(struct fixture *fixture)
{
    const struct fixture_peer *peer = fixture->peers[0];
    return conn_is_blocked(peer->conn);
}

/* Lets the kernel take what it will: the last turns move nothing. */
static void settle(struct fixture *fixture, const struct fixture_peer *peer)
{
    uint32_t queued = UINT32_MAX;
    int still = 0;
    while (still < 20) {
        fixture_turn(fixture);
        const uint32_t now = conn_queued_bytes(peer->conn);
        still = now == queued ? still + 1 : 0;
        queued = now;
    }
}

START_TEST(urgent_goes_first)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    static const uint8_t expected[] = {50, 51, 60, 10, 11, 12, 20, 30};
    uint8_t got[sizeof(expected)];

    ck_assert_int_eq(fixture_queue(peer, 10, 3, CONN_NORMAL), CONN_QUEUED);
    ck_assert_int_eq(fixture_queue(peer, 20, 1, CONN_NORMAL), CONN_QUEUED);
    ck_assert_int_eq(fixture_queue(peer, 50, 2, CONN_URGENT), CONN_QUEUED);
    ck_assert_int_eq(fixture_queue(peer, 30, 1, CONN_NORMAL), CONN_QUEUED);
    ck_assert_int_eq(fixture_queue(peer, 60, 1, CONN_URGENT), CONN_QUEUED);
    ck_assert_uint_eq(conn_queued_bytes(peer->conn), 8 + 5 * CONN_PACKET_COST);
    fixture_read(fixture, client, got, sizeof(got));
    ck_assert_mem_eq(got, expected, sizeof(got));
    fixture_turn(fixture);
    ck_assert_uint_eq(conn_queued_bytes(peer->conn), 0);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

enum { BLOCK = 10000, BLOCKS = 500 };

/*
 * The client reads nothing until the kernel is full in the middle of the normal lane; then urgent
 * packets come. They must arrive between two normal ones, in their order, and before the last.
 */
START_TEST(urgent_overtakes_a_blocked_lane)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    static uint8_t got[BLOCK * BLOCKS + 3];

    for (int i = 0; i < BLOCKS; i++) {
        ck_assert_int_ne(fixture_queue(peer, 0, BLOCK, CONN_NORMAL), CONN_TOO_SLOW);
    }
    settle(fixture, peer);
    ck_assert(is_blocked(fixture));
    ck_assert_uint_gt(conn_queued_bytes(peer->conn), 0);
    ck_assert_int_ne(fixture_queue(peer, 201, 1, CONN_URGENT), CONN_TOO_SLOW);
    ck_assert_int_ne(fixture_queue(peer, 202, 2, CONN_URGENT), CONN_TOO_SLOW);
    fixture_read(fixture, client, got, sizeof(got));

    size_t at = 0;
    size_t urgent_at = sizeof(got);
    while (at < sizeof(got)) {
        if (got[at] == 201 && urgent_at == sizeof(got)) {
            urgent_at = at;
            ck_assert_uint_eq(got[at + 1], 202);
            ck_assert_uint_eq(got[at + 2], 203);
            at += 3;
            continue;
        }
        bool is_whole = true;
        for (size_t i = 0; i < BLOCK; i++) {
            is_whole = is_whole && got[at + i] == (uint8_t)i;
        }
        ck_assert(is_whole);
        at += BLOCK;
    }
    ck_assert_uint_lt(urgent_at, sizeof(got) - 3);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* A server that feeds while it is told to, and goes on when the queue has drained. */
enum { FED = 4 << 20 };

static void feed(struct fixture_peer *peer)
{
    enum conn_queued queued = CONN_QUEUED;
    while (peer->sent < FED && queued == CONN_QUEUED) {
        const size_t size = 1 + (size_t)(peer->sent * 31 % 40000);
        struct packet *packet = packet_create(reactor_packets(peer->fixture->reactor), size + 5);
        ck_assert_ptr_nonnull(packet);
        packet_shorten(packet, size);
        const struct span bytes = packet_span(packet);
        for (size_t i = 0; i < size; i++) {
            bytes.data[i] = fixture_byte(peer->sent + i);
        }
        queued = conn_queue(peer->conn, packet, CONN_NORMAL);
        ck_assert_int_ne(queued, CONN_TOO_SLOW);
        packet_unref(packet);
        peer->sent += size;
    }
}

START_TEST(drains_to_a_slow_reader)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint64_t got = 0;

    fixture->on_drained = feed;
    feed(peer);
    ck_assert_uint_gt(conn_queued_bytes(peer->conn), options.queue_bytes_high);
    while (got < FED) {
        uint8_t data[9973];
        fixture_read(fixture, client, data, 1);
        const ssize_t more =
            fixture->plug->read(fixture->world, client, data + 1, sizeof(data) - 1);
        const size_t size = 1 + (more > 0 ? (size_t)more : 0);
        ck_assert(fixture_is_stream(data, got, size));
        got += size;
    }
    ck_assert_uint_gt(peer->drained_calls, 1);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(sends_more_packets_than_pieces)
{
    enum { PACKETS = 5000 };
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t got[3 * PACKETS];

    for (int i = 0; i < PACKETS; i++) {
        ck_assert_int_ne(fixture_queue(peer, (uint8_t)i, 3, CONN_NORMAL), CONN_TOO_SLOW);
    }
    fixture_read(fixture, client, got, sizeof(got));
    for (size_t i = 0; i < sizeof(got); i++) {
        ck_assert_uint_eq(got[i], (uint8_t)(i / 3 + i % 3));
    }
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* One packet, many connections: references, not copies. */
START_TEST(shares_a_packet)
{
    enum { CLIENTS = 600, FEW = 60 }; /* where each needs a handshake */
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    const size_t count = fixture->plug->is_tls ? FEW : CLIENTS;
    int clients[CLIENTS];

    for (size_t i = 0; i < count; i++) {
        clients[i] = fixture_connect(fixture, NULL);
    }
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_eq(fixture_queue(fixture->peers[i], 9, 1, CONN_NORMAL), CONN_QUEUED);
        }
        struct packet *packet = packet_create(reactor_packets(fixture->reactor), 5);
        ck_assert_ptr_nonnull(packet);
        memcpy(packet_span(packet).data, "hello", 5);
        for (size_t i = 0; i < count; i++) {
            ck_assert_int_eq(conn_queue(fixture->peers[i]->conn, packet, CONN_NORMAL), CONN_QUEUED);
        }
        packet_unref(packet);
        for (size_t i = 0; i < count; i++) {
            char got[6];
            fixture_read(fixture, clients[i], got, sizeof(got));
            ck_assert_mem_eq(got, "\thello", 6);
        }
    }
    for (size_t i = 0; i < count; i++) {
        fixture->plug->close(fixture->world, clients[i]);
    }
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* What follows what already waits: many messages, few packets, and every byte in its place. */
START_TEST(short_messages_share_packets)
{
    enum { MESSAGES = 64, MESSAGE_SIZE = 500, PACKETS_MAX = 12 };
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t bytes[MESSAGE_SIZE];

    for (size_t i = 0; i < MESSAGES; i++) {
        for (size_t j = 0; j < MESSAGE_SIZE; j++) {
            bytes[j] = fixture_byte(i * MESSAGE_SIZE + j);
        }
        ck_assert_int_eq(conn_append(peer->conn, (struct bytes){bytes, 10},
                                     (struct bytes){bytes + 10, MESSAGE_SIZE - 10}),
                         CONN_QUEUED);
    }
    ck_assert_uint_le(packet_pool_count(reactor_packets(fixture->reactor)), PACKETS_MAX);
    for (size_t i = 0; i < MESSAGES; i++) {
        fixture_read(fixture, client, bytes, MESSAGE_SIZE);
        ck_assert(fixture_is_stream(bytes, i * MESSAGE_SIZE, MESSAGE_SIZE));
    }
    ck_assert_uint_eq(packet_pool_count(reactor_packets(fixture->reactor)), 0);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

static bool is_all_sent(struct fixture *fixture)
{
    return conn_queued_bytes(fixture->peers[0]->conn) == 0;
}

/*
 * Quick answers, then one that the client must read for, in many turns, then quick ones again: what
 * is blocked is so only in between, and every byte arrives once.
 */
START_TEST(blocks_and_recovers)
{
    enum { SMALL = 20, LARGE = 3000000, ROUNDS = 3 };
    struct reactor_options options = fixture_options();
    options.queue_bytes_high = options.queue_bytes_max; /* nobody hears of it */
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    static uint8_t got[LARGE];

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < 10; i++) {
            ck_assert_int_eq(fixture_queue(peer, (uint8_t)i, SMALL, CONN_URGENT), CONN_QUEUED);
            fixture_read(fixture, client, got, SMALL);
            ck_assert_uint_eq(got[0], i);
            fixture_until(fixture, is_all_sent);
            ck_assert(!is_blocked(fixture));
        }
        ck_assert_int_ne(fixture_queue(peer, (uint8_t)round, LARGE, CONN_NORMAL), CONN_TOO_SLOW);
        settle(fixture, peer);
        ck_assert(is_blocked(fixture));
        ck_assert_uint_gt(conn_queued_bytes(peer->conn), 0);
        fixture_read(fixture, client, got, LARGE);
        bool is_whole = true;
        for (size_t i = 0; i < LARGE; i++) {
            is_whole = is_whole && got[i] == (uint8_t)((size_t)round + i);
        }
        ck_assert(is_whole);
        fixture_until(fixture, is_all_sent);
        ck_assert(!is_blocked(fixture));
    }
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Packets between the flush and the wait, when a send may be under way: a turn of their own. */
START_TEST(queues_behind_a_send)
{
    enum { TURNS = 50 };
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint8_t got[3 * TURNS];

    for (int i = 0; i < TURNS; i++) {
        for (int k = 0; k < 3; k++) {
            const enum conn_lane lane = k == 1 ? CONN_URGENT : CONN_NORMAL;
            ck_assert_int_eq(fixture_queue(peer, (uint8_t)(3 * i + k), 1, lane), CONN_QUEUED);
            reactor_flush(fixture->reactor);
        }
        fixture_until(fixture, is_all_sent);
    }
    fixture_read(fixture, client, got, sizeof(got));
    for (size_t i = 0; i < sizeof(got); i++) { /* the urgent one is the next in any case */
        ck_assert_uint_eq(got[i], i);
    }
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* One iteration that sleeps until something happens. */
static void turn_asleep(struct fixture *fixture)
{
    reactor_wait(fixture->reactor, UINT64_MAX);
    reactor_receive(fixture->reactor);
    reactor_flush(fixture->reactor);
    reactor_sweep(fixture->reactor);
}

/*
 * The end of a send may be all that happens, and there is more to do then: the rest of the queue,
 * an upcall, a FIN. A reactor that sleeps over it is ended by the limit of the test.
 */
START_TEST(wakes_up_to_go_on)
{
    enum { PACKETS = BACKEND_IOVEC_MAX + 50, SIZE = 20, LINGER_MS = 3600000 };
    struct reactor_options options = fixture_options();
    options.queue_bytes_low = 100;
    options.queue_bytes_high = PACKETS * (SIZE + CONN_PACKET_COST);
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    static uint8_t got[PACKETS * (SIZE + CONN_PACKET_COST)];

    for (int i = 0; i < PACKETS; i++) {
        ck_assert_int_eq(fixture_queue(peer, 0, SIZE, CONN_NORMAL), CONN_QUEUED);
    }
    while (conn_queued_bytes(peer->conn) >= options.queue_bytes_high) {
        turn_asleep(fixture);
    }
    fixture_read(fixture, client, got, (size_t)PACKETS * SIZE);
    fixture_until(fixture, is_all_sent);
    ck_assert_uint_eq(peer->drained_calls, 0);

    ck_assert_int_eq(fixture_queue(peer, 0, options.queue_bytes_high, CONN_NORMAL),
                     CONN_QUEUED_HIGH);
    while (peer->drained_calls == 0) {
        turn_asleep(fixture);
    }
    fixture_read(fixture, client, got, options.queue_bytes_high);

    ck_assert_int_eq(fixture_queue(peer, 5, 1, CONN_NORMAL), CONN_QUEUED);
    conn_close(peer->conn, LINGER_MS);
    while (conn_queued_bytes(peer->conn) > 0) {
        turn_asleep(fixture);
    }
    int end = -1;
    ck_assert_uint_eq(fixture_read_rest(fixture, client, &end), 1);
    ck_assert_int_eq(end, 0);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(refuses_above_the_maximum)
{
    struct reactor_options options = fixture_options();
    options.queue_bytes_low = 1000;
    options.queue_bytes_high = 50000;
    options.queue_bytes_max = 100000;
    options.queue_bytes_max_large = 200000;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    enum conn_queued queued = CONN_QUEUED;
    int count = 0;

    while (queued != CONN_TOO_SLOW) {
        const uint32_t before = conn_queued_bytes(peer->conn);
        queued = fixture_queue(peer, 0, 40000, CONN_NORMAL);
        const uint32_t bytes = conn_queued_bytes(peer->conn);
        ck_assert_uint_le(bytes, options.queue_bytes_max);
        if (queued == CONN_TOO_SLOW) {
            ck_assert_uint_eq(bytes, before);
        } else {
            ck_assert_int_eq(queued == CONN_QUEUED_HIGH, bytes > options.queue_bytes_high);
            settle(fixture, peer);
        }
        ck_assert_int_lt(count++, 1000);
    }
    ck_assert(!conn_is_closing(peer->conn)); /* what it costs is the caller's to decide */
    ck_assert_int_ne(fixture_queue(peer, 0, 10, CONN_URGENT), CONN_TOO_SLOW);
    conn_set_large(peer->conn, true);
    ck_assert_int_ne(fixture_queue(peer, 0, 40000, CONN_NORMAL), CONN_TOO_SLOW);
    conn_abort(peer->conn, -ENOBUFS);
    ck_assert_int_eq(fixture_queue(peer, 0, 10, CONN_URGENT), CONN_QUEUED);
    ck_assert_uint_eq(peer->close_calls, 0); /* not before the sweep */
    fixture_until_closed(fixture, peer);
    ck_assert_int_eq(peer->reason, -ENOBUFS);
    int end = 0;
    (void)fixture_read_rest(fixture, client, &end);
    ck_assert_int_eq(end, -ECONNRESET);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* What no send has tried yet says nothing about the reader, up to the large maximum. */
START_TEST(a_burst_is_no_slow_reader)
{
    struct reactor_options options = fixture_options();
    options.queue_bytes_low = 1000;
    options.queue_bytes_high = 50000;
    options.queue_bytes_max = 100000;
    options.queue_bytes_max_large = 200000;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    enum { PACKET_SIZE = 40000, PACKET_COUNT = 4 };
    static uint8_t got[PACKET_COUNT * PACKET_SIZE];

    for (int i = 0; i < PACKET_COUNT; i++) {
        ck_assert_int_ne(fixture_queue(peer, 0, PACKET_SIZE, CONN_NORMAL), CONN_TOO_SLOW);
    }
    ck_assert_uint_gt(conn_queued_bytes(peer->conn), options.queue_bytes_max);
    ck_assert_int_eq(fixture_queue(peer, 0, PACKET_SIZE, CONN_NORMAL), CONN_TOO_SLOW);

    fixture_read(fixture, client, got, sizeof(got));
    bool is_same = true; /* each ck_assert writes to a file */
    for (size_t i = 0; i < sizeof(got); i++) {
        is_same = is_same && got[i] == (uint8_t)(i % PACKET_SIZE);
    }
    ck_assert(is_same);
    ck_assert(!conn_is_closing(peer->conn));
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

START_TEST(write_stall_times_out)
{
    struct reactor_options options = fixture_options();
    options.write_stall_ns = 30 * MONOTIME_NS_PER_MS;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);

    /* A quick send arms the timer; with an empty queue it means nothing. */
    uint8_t byte = 0;
    ck_assert_int_eq(fixture_queue(peer, 1, 1, CONN_NORMAL), CONN_QUEUED);
    fixture_read(fixture, client, &byte, 1);
    const uint64_t begin_ns = reactor_now(fixture->reactor);
    while (reactor_now(fixture->reactor) < begin_ns + 3 * options.write_stall_ns) {
        fixture_turn(fixture);
    }
    ck_assert_uint_eq(peer->close_calls, 0);

    for (int i = 0; i < 100; i++) {
        ck_assert_int_ne(fixture_queue(peer, 0, 50000, CONN_NORMAL), CONN_TOO_SLOW);
    }
    fixture_until_closed(fixture, peer);
    ck_assert_int_eq(peer->reason, -ETIMEDOUT);
    ck_assert_uint_ge(reactor_now(fixture->reactor), begin_ns + 4 * options.write_stall_ns);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

TCase *cases_send(void)
{
    TCase *tcase = tcase_create("send");
    const int count = cases_plug_count();
    tcase_add_loop_test(tcase, urgent_goes_first, 0, count);
    tcase_add_loop_test(tcase, urgent_overtakes_a_blocked_lane, 0, count);
    tcase_add_loop_test(tcase, drains_to_a_slow_reader, 0, count);
    tcase_add_loop_test(tcase, sends_more_packets_than_pieces, 0, count);
    tcase_add_loop_test(tcase, shares_a_packet, 0, count);
    tcase_add_loop_test(tcase, short_messages_share_packets, 0, count);
    tcase_add_loop_test(tcase, blocks_and_recovers, 0, count);
    tcase_add_loop_test(tcase, queues_behind_a_send, 0, count);
    tcase_add_loop_test(tcase, wakes_up_to_go_on, 0, count);
    tcase_add_loop_test(tcase, refuses_above_the_maximum, 0, count);
    tcase_add_loop_test(tcase, a_burst_is_no_slow_reader, 0, count);
    tcase_add_loop_test(tcase, write_stall_times_out, 0, count);
    return tcase;
}
