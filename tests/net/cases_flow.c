/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who does not read: packets of flows are refused above the mark, dropped or replaced. Others are
 * not touched, and nothing is cut in two.
 *
 * A packet is SIZE bytes: its flow, its number, and filling that depends on both.
 */
#include <string.h>

#include "tests/net/cases.h"
#include "tests/net/fixture.h"

enum {
    SIZE = 5000, /* bytes */
    PLAIN = 0,   /* of no flow */
    LOUD = 7,    /* flows */
    QUIET = 8,
    HEAD = 1 + sizeof(uint32_t), /* bytes */
};

static uint8_t filling(uint8_t flow, uint32_t number, size_t at)
{
    return (uint8_t)(flow * 31U + number * 7U + at);
}

static struct packet *packet_for(const struct fixture_peer *peer, uint8_t flow, uint32_t number)
{
    struct packet *packet = packet_create(reactor_packets(peer->fixture->reactor), SIZE);
    ck_assert_ptr_nonnull(packet);
    uint8_t *data = packet_span(packet).data;
    data[0] = flow;
    memcpy(data + 1, &number, sizeof(number));
    for (size_t i = HEAD; i < SIZE; i++) {
        data[i] = filling(flow, number, i);
    }
    if (flow != PLAIN) {
        packet_set_flow(packet, flow, 1);
    }
    return packet;
}

static enum conn_queued queue_one(const struct fixture_peer *peer, uint8_t flow, uint32_t number)
{
    struct packet *packet = packet_for(peer, flow, number);
    const enum conn_queued queued = conn_queue(peer->conn, packet, CONN_NORMAL);
    packet_unref(packet);
    return queued;
}

static enum conn_queued queue_latest(const struct fixture_peer *peer, uint8_t flow, uint32_t number,
                                     size_t *dropped)
{
    struct packet *packet = packet_for(peer, flow, number);
    const enum conn_queued queued = conn_queue_latest(peer->conn, packet, dropped);
    packet_unref(packet);
    return queued;
}

/* Packets of the loud flow, one in a turn, until one is refused; how many were not. */
static uint32_t fill(struct fixture *fixture, const struct fixture_peer *peer)
{
    uint32_t number = 0;
    while (queue_one(peer, LOUD, number) != CONN_LAGS) {
        number++;
        ck_assert_uint_lt(number, 10000);
        fixture_turn(fixture);
    }
    return number;
}

/* Reads the next packet; its number. */
static uint32_t read_one(struct fixture *fixture, int client, uint8_t *flow)
{
    uint8_t data[SIZE];
    uint32_t number = 0;
    fixture_read(fixture, client, data, sizeof(data));
    memcpy(&number, data + 1, sizeof(number));
    for (size_t i = HEAD; i < SIZE; i++) {
        if (data[i] != filling(data[0], number, i)) {
            ck_abort_msg("not a packet");
        }
    }
    *flow = data[0];
    return number;
}

static void expect_one(struct fixture *fixture, int client, uint8_t flow, uint32_t number)
{
    uint8_t got;
    ck_assert_uint_eq(read_one(fixture, client, &got), number);
    ck_assert_uint_eq(got, flow);
}

static bool is_empty(struct fixture *fixture)
{
    return conn_queued_bytes(fixture->peers[0]->conn) == 0;
}

static void end(struct fixture *fixture, int client)
{
    fixture_until(fixture, is_empty);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}

START_TEST(refuses_flows_above_the_mark)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);

    const uint32_t count = fill(fixture, peer);
    ck_assert(conn_is_blocked(peer->conn));
    const uint32_t bytes = conn_queued_bytes(peer->conn);
    ck_assert_uint_le(bytes, options.queue_bytes_high);
    ck_assert_uint_gt(bytes + SIZE + CONN_PACKET_COST, options.queue_bytes_high);
    ck_assert_int_eq(queue_one(peer, QUIET, 0), CONN_LAGS);
    ck_assert_uint_eq(conn_queued_bytes(peer->conn), bytes);
    /* What is of no flow has more room. */
    ck_assert_int_eq(queue_one(peer, PLAIN, 0), CONN_QUEUED_HIGH);

    for (uint32_t i = 0; i < count; i++) {
        expect_one(fixture, client, LOUD, i);
    }
    expect_one(fixture, client, PLAIN, 0);
    fixture_until(fixture, is_empty);
    ck_assert_int_eq(queue_one(peer, QUIET, 1), CONN_QUEUED);
    expect_one(fixture, client, QUIET, 1);
    end(fixture, client);
}
END_TEST

START_TEST(drops_the_loud_one)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);

    ck_assert_int_eq(queue_one(peer, QUIET, 0), CONN_QUEUED);
    uint32_t count = 0;
    while (conn_queued_bytes(peer->conn) < options.queue_bytes_high / 2) {
        ck_assert_int_ne(queue_one(peer, LOUD, count), CONN_LAGS);
        count++;
        fixture_turn(fixture);
    }
    ck_assert_int_eq(queue_one(peer, QUIET, 1), CONN_QUEUED);
    while (queue_one(peer, LOUD, count) != CONN_LAGS) {
        count++;
    }
    const uint32_t before = conn_queued_bytes(peer->conn);
    const size_t dropped = conn_drop_flow(peer->conn, LOUD);
    ck_assert_uint_gt(dropped, 0);
    ck_assert_uint_lt(dropped, count); /* the kernel has some of them */
    ck_assert_uint_eq(before - conn_queued_bytes(peer->conn), dropped * (SIZE + CONN_PACKET_COST));
    ck_assert_uint_eq(conn_drop_flow(peer->conn, LOUD), 0);
    ck_assert_int_ne(queue_one(peer, PLAIN, 1000), CONN_LAGS);

    expect_one(fixture, client, QUIET, 0);
    for (uint32_t i = 0; i < count - dropped; i++) {
        expect_one(fixture, client, LOUD, i);
    }
    expect_one(fixture, client, QUIET, 1);
    expect_one(fixture, client, PLAIN, 1000);
    ck_assert_int_eq(queue_one(peer, LOUD, count), CONN_QUEUED);
    expect_one(fixture, client, LOUD, count);
    end(fixture, client);
}
END_TEST

START_TEST(keeps_the_latest)
{
    enum { MORE = 500 };
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);

    const uint32_t count = fill(fixture, peer);
    size_t dropped = 0;
    ck_assert_int_ne(queue_latest(peer, LOUD, count, &dropped), CONN_TOO_SLOW);
    ck_assert_uint_gt(dropped, 0);
    size_t dropped_all = dropped;
    const uint32_t bytes = conn_queued_bytes(peer->conn);
    for (uint32_t i = 1; i < MORE; i++) {
        ck_assert_int_ne(queue_latest(peer, LOUD, count + i, &dropped), CONN_TOO_SLOW);
        ck_assert_uint_le(dropped, 1); /* none when the kernel has taken the last one meanwhile */
        ck_assert_uint_le(conn_queued_bytes(peer->conn), bytes + SIZE + CONN_PACKET_COST);
        dropped_all += dropped;
        fixture_turn(fixture);
    }
    ck_assert_uint_gt(dropped_all, MORE / 2);
    uint32_t number = 0;
    for (size_t i = 0; i < count + MORE - dropped_all; i++) {
        uint8_t flow;
        const uint32_t got = read_one(fixture, client, &flow);
        ck_assert(flow == LOUD && got >= number);
        number = got + 1;
    }
    ck_assert_uint_eq(number, count + MORE);
    end(fixture, client);
}
END_TEST

/* A burst that no send has tried yet may be longer, and is dropped whole. */
START_TEST(a_burst_may_be_longer)
{
    struct reactor_options options = fixture_options();
    options.queue_bytes_max_large = 3 * options.queue_bytes_high;
    options.queue_bytes_max = options.queue_bytes_high;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    uint32_t count = 0;

    while (queue_one(peer, LOUD, count) != CONN_LAGS) {
        count++;
    }
    ck_assert(!conn_is_blocked(peer->conn));
    ck_assert_uint_gt(conn_queued_bytes(peer->conn), 2 * options.queue_bytes_high);
    ck_assert_uint_le(conn_queued_bytes(peer->conn), options.queue_bytes_max_large);
    ck_assert_uint_eq(conn_drop_flow(peer->conn, LOUD), count);
    ck_assert(is_empty(fixture));
    ck_assert_int_eq(queue_one(peer, LOUD, 1000), CONN_QUEUED);
    expect_one(fixture, client, LOUD, 1000);
    end(fixture, client);
}
END_TEST

START_TEST(does_nothing_when_closing)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = fixture_connect(fixture, &peer);
    size_t dropped = 1;

    (void)fill(fixture, peer);
    conn_close(peer->conn, 60000);
    const uint32_t bytes = conn_queued_bytes(peer->conn);
    ck_assert_int_eq(queue_latest(peer, LOUD, 5, &dropped), CONN_QUEUED);
    ck_assert_uint_eq(dropped, 0);
    ck_assert_int_eq(queue_one(peer, LOUD, 5), CONN_QUEUED);
    ck_assert_uint_eq(conn_queued_bytes(peer->conn), bytes);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

TCase *cases_flow(void)
{
    TCase *tcase = tcase_create("flow");
    const int count = cases_plug_count();
    tcase_add_loop_test(tcase, refuses_flows_above_the_mark, 0, count);
    tcase_add_loop_test(tcase, drops_the_loud_one, 0, count);
    tcase_add_loop_test(tcase, keeps_the_latest, 0, count);
    tcase_add_loop_test(tcase, a_burst_may_be_longer, 0, count);
    tcase_add_loop_test(tcase, does_nothing_when_closing, 0, count);
    return tcase;
}
