/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is held is not looked at: nothing is read of it, nothing is said to it, and no handshake of
 * TLS begins before conn_admit().
 */
#include <errno.h>
#include <string.h>

#include "core/monotime.h"
#include "tests/net/cases.h"
#include "tests/net/fixture.h"

static bool has_one_peer(struct fixture *fixture)
{
    return fixture->peer_count == 1;
}

/* A client that speaks at once, and its peer, which is held. */
static int connect_held(struct fixture *fixture, struct fixture_peer **peer) ON_REACTOR
{
    fixture->holds = true;
    const int client = fixture->plug->connect(fixture->world, fixture->listener);
    if (!fixture->plug->is_tls) {
        ck_assert_int_eq(fixture->plug->write(fixture->world, client, "abc", 3), 3);
    }
    fixture_until(fixture, has_one_peer);
    *peer = fixture->peers[0];
    ck_assert(conn_is_held((*peer)->conn));
    return client;
}

static void expect_silence(struct fixture *fixture, int client, const struct fixture_peer *peer)
    ON_REACTOR
{
    uint8_t byte = 0;
    for (int turn = 0; turn < 30; turn++) {
        fixture_turn(fixture);
        ck_assert_int_eq(fixture->plug->read(fixture->world, client, &byte, 1), -EAGAIN);
    }
    ck_assert_uint_eq(peer->bytes_calls, 0);
    ck_assert_uint_eq(metrics_read(&fixture->metrics, METRIC_BYTES_SENT), 0);
    ck_assert_uint_eq(metrics_read(&fixture->metrics, METRIC_TLS_HANDSHAKES), 0);
}

START_TEST(is_admitted)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = connect_held(fixture, &peer);

    expect_silence(fixture, client, peer);
    conn_resume(peer->conn); /* it was not paused */
    conn_pause(peer->conn);
    conn_resume(peer->conn);
    expect_silence(fixture, client, peer);
    conn_admit(peer->conn);
    ck_assert(!conn_is_held(peer->conn));
    conn_admit(peer->conn); /* again: nothing */
    if (fixture->plug->is_tls) {
        fixture_write(fixture, client, "abc", 3);
    }
    fixture_until_size(fixture, peer, 3);
    ck_assert_int_eq(memcmp(peer->bytes, "abc", 3), 0);
    uint8_t byte = 0;
    ck_assert_int_eq(fixture_queue(peer, 9, 1, CONN_NORMAL), CONN_QUEUED);
    fixture_read(fixture, client, &byte, 1);
    ck_assert_uint_eq(byte, 9);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Paused when it is admitted: a handshake is done, and nothing is delivered. */
START_TEST(is_admitted_paused)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = connect_held(fixture, &peer);

    conn_pause(peer->conn);
    conn_admit(peer->conn);
    if (fixture->plug->is_tls) {
        fixture_write(fixture, client, "abc", 3);
    }
    for (int turn = 0; turn < 30; turn++) {
        fixture_turn(fixture);
    }
    ck_assert_uint_eq(peer->size, 0);
    conn_resume(peer->conn);
    fixture_until_size(fixture, peer, 3);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* However it is ended: a reset, without a word. */
START_TEST(is_refused)
{
    const struct reactor_options options = fixture_options();

    for (int closes = 0; closes < 2; closes++) {
        struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
        struct fixture_peer *peer = NULL;
        const int client = connect_held(fixture, &peer);
        int end = 0;

        fixture_turn(fixture);
        if (closes == 1) {
            conn_close(peer->conn, 1000);
        } else {
            conn_abort(peer->conn, -ECONNREFUSED);
        }
        ck_assert_uint_eq(fixture_read_rest(fixture, client, &end), 0);
        ck_assert_int_eq(end, -ECONNRESET);
        fixture_until_empty(fixture);
        ck_assert_int_eq(peer->reason, closes == 1 ? 0 : -ECONNREFUSED);
        ck_assert_uint_eq(metrics_read(&fixture->metrics, METRIC_BYTES_SENT), 0);
        fixture->plug->close(fixture->world, client);
        fixture_end(fixture);
    }
}
END_TEST

/* Its time runs. */
START_TEST(waits_no_longer_than_a_handshake)
{
    struct reactor_options options = fixture_options();
    options.tls_handshake_ns = 20 * MONOTIME_NS_PER_MS;
    if (!cases_plug(_i)->is_tls) {
        return;
    }
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = connect_held(fixture, &peer);

    fixture_until_closed(fixture, peer);
    ck_assert_int_eq(peer->reason, -EPROTO);
    ck_assert_uint_eq(metrics_read(&fixture->metrics, METRIC_REJECTED_TLS_TIMEOUT), 1);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

/* Its client gives up. */
START_TEST(ends_after_it_was_admitted)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    struct fixture_peer *peer = NULL;
    const int client = connect_held(fixture, &peer);

    fixture->plug->close(fixture->world, client);
    fixture_turn(fixture);
    fixture_turn(fixture);
    if (peer->conn != NULL) {
        conn_admit(peer->conn);
    }
    fixture_until_empty(fixture);
    ck_assert_uint_eq(peer->close_calls, 1);
    fixture_end(fixture);
}
END_TEST

/* By a header, which comes together with the first bytes. */
START_TEST(is_held_behind_a_proxy)
{
    const char header[] = "PROXY TCP4 192.0.2.7 127.0.0.1 1000 443\r\n";
    const struct reactor_options options = fixture_options();
    if (cases_plug(_i)->is_tls) {
        return; /* its client speaks TLS from the first byte on */
    }
    struct fixture *fixture =
        fixture_begin_proxied(cases_plug(_i), &options, 60 * MONOTIME_NS_PER_S);
    const int client = fixture->plug->connect(fixture->world, fixture->listener);
    char all[sizeof(header) + 2];

    fixture->holds_proxied = true;
    memcpy(all, header, sizeof(header) - 1);
    memcpy(all + sizeof(header) - 1, "abc", 3);
    fixture_write(fixture, client, all, sizeof(all));
    fixture_until(fixture, has_one_peer);
    struct fixture_peer *peer = fixture->peers[0];
    expect_silence(fixture, client, peer);
    ck_assert_uint_gt(fixture->proxied.size, 0);
    conn_admit(peer->conn);
    fixture_until_size(fixture, peer, 3);
    ck_assert_int_eq(memcmp(peer->bytes, "abc", 3), 0);
    fixture->plug->close(fixture->world, client);
    fixture_until_empty(fixture);
    fixture_end(fixture);
}
END_TEST

TCase *cases_hold(void)
{
    TCase *tcase = tcase_create("hold");
    const int count = cases_plug_count();
    tcase_add_loop_test(tcase, is_admitted, 0, count);
    tcase_add_loop_test(tcase, is_admitted_paused, 0, count);
    tcase_add_loop_test(tcase, is_refused, 0, count);
    tcase_add_loop_test(tcase, waits_no_longer_than_a_handshake, 0, count);
    tcase_add_loop_test(tcase, ends_after_it_was_admitted, 0, count);
    tcase_add_loop_test(tcase, is_held_behind_a_proxy, 0, count);
    return tcase;
}
