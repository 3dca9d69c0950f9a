/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listener that wants a PROXY header: what is behind it comes as if it had not been there, and
 * whoever does not send one is not heard. Over plain sockets; with TLS behind it is tested end to
 * end.
 */
#include <errno.h>
#include <string.h>

#include "core/monotime.h"
#include "tests/net/cases.h"
#include "tests/net/fixture.h"

static const char header[] = "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";

static struct fixture *begin(int index, uint64_t timeout_ns) BECOMES_REACTOR
{
    const struct reactor_options options = fixture_options();
    return fixture_begin_proxied(cases_plug(index), &options, timeout_ns);
}

static uint64_t count_of(const struct fixture *fixture, enum metrics_id id)
{
    return metrics_read(&fixture->metrics, id);
}

START_TEST(split_at_every_byte)
{
    struct fixture *fixture = begin(_i, 60 * MONOTIME_NS_PER_S);
    char all[sizeof(header) + 5];
    const size_t size = sizeof(header) - 1 + 5;
    memcpy(all, header, sizeof(header) - 1);
    memcpy(all + sizeof(header) - 1, "hello", 5);

    for (size_t cut = 0; !fixture->plug->is_tls && cut <= size; cut++) {
        struct fixture_peer *peer = NULL;
        char text[ADDRESS_TEXT_SIZE_MAX];
        fixture->proxied.size = 0;
        const int client = fixture_connect(fixture, &peer);
        if (cut > 0) {
            fixture_write(fixture, client, all, cut);
        }
        for (int i = 0; i < 3; i++) {
            fixture_turn(fixture);
        }
        ck_assert_uint_le(peer->size, cut < sizeof(header) - 1 ? 0 : cut - (sizeof(header) - 1));
        if (cut < size) {
            fixture_write(fixture, client, all + cut, size - cut);
        }
        fixture_until_size(fixture, peer, 5);
        ck_assert_mem_eq(peer->bytes, "hello", 5);
        (void)address_format(&fixture->proxied, text);
        ck_assert_str_eq(text, "192.0.2.1:56324");
        fixture->plug->close(fixture->world, client);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(something_else)
{
    static const char *const others[] = {"GET / HTTP/1.1\r\n", "\r\n\r\nGET ",
                                         "PROXY TCP4 a b 1 2\r\n", "\x16\x03\x01"};
    struct fixture *fixture = begin(_i, 60 * MONOTIME_NS_PER_S);
    for (size_t i = 0; !fixture->plug->is_tls && i < sizeof(others) / sizeof(others[0]); i++) {
        struct fixture_peer *peer = NULL;
        const int client = fixture_connect(fixture, &peer);
        fixture_write(fixture, client, others[i], strlen(others[i]));
        fixture_until_closed(fixture, peer);
        ck_assert_int_eq(peer->reason, -EPROTO);
        ck_assert_uint_eq(peer->bytes_calls, 0);
        ck_assert_uint_eq(count_of(fixture, METRIC_REJECTED_PROXY_BAD), i + 1);
        fixture->plug->close(fixture->world, client);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(too_late)
{
    struct fixture *fixture = begin(_i, 20 * MONOTIME_NS_PER_MS);
    if (!fixture->plug->is_tls) {
        struct fixture_peer *peer = NULL;
        const int client = fixture_connect(fixture, &peer);
        fixture_write(fixture, client, header, 10);
        fixture_until_closed(fixture, peer);
        ck_assert_int_eq(peer->reason, -EPROTO);
        ck_assert_uint_eq(count_of(fixture, METRIC_REJECTED_PROXY_TIMEOUT), 1);
        fixture->plug->close(fixture->world, client);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

/* As health checks do, and nobody's fault. */
START_TEST(only_connects)
{
    struct fixture *fixture = begin(_i, 60 * MONOTIME_NS_PER_S);
    if (!fixture->plug->is_tls) {
        struct fixture_peer *peer = NULL;
        const int client = fixture_connect(fixture, &peer);
        fixture_write(fixture, client, header, 10);
        fixture->plug->finish(fixture->world, client);
        fixture_until_closed(fixture, peer);
        ck_assert_int_eq(peer->reason, -ESHUTDOWN);
        ck_assert_uint_eq(count_of(fixture, METRIC_REJECTED_PROXY_BAD), 0);
        fixture->plug->close(fixture->world, client);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

/* The header is read from somebody who is paused; what is behind it waits. */
START_TEST(paused_meanwhile)
{
    struct fixture *fixture = begin(_i, 60 * MONOTIME_NS_PER_S);
    if (!fixture->plug->is_tls) {
        struct fixture_peer *peer = NULL;
        const int client = fixture_connect(fixture, &peer);
        conn_pause(peer->conn);
        fixture_write(fixture, client, header, sizeof(header) - 1);
        fixture_write(fixture, client, "hello", 5);
        for (int i = 0; i < 10; i++) {
            fixture_turn(fixture);
        }
        ck_assert_uint_eq(fixture->proxied.size, sizeof(struct sockaddr_in));
        ck_assert_uint_eq(peer->bytes_calls, 0);
        conn_resume(peer->conn);
        fixture_until_size(fixture, peer, 5);
        fixture->plug->close(fixture->world, client);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

TCase *cases_proxy(void)
{
    TCase *cases = tcase_create("proxy");
    tcase_add_loop_test(cases, split_at_every_byte, 0, cases_plug_count());
    tcase_add_loop_test(cases, something_else, 0, cases_plug_count());
    tcase_add_loop_test(cases, too_late, 0, cases_plug_count());
    tcase_add_loop_test(cases, only_connects, 0, cases_plug_count());
    tcase_add_loop_test(cases, paused_meanwhile, 0, cases_plug_count());
    return cases;
}
