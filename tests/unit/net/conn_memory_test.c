/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIMITS.md row 46 for net/ and OpenSSL, whose memory is ours (net/tls_memory.h): it is out, at
 * every place where some is asked for.
 *
 * A client speaks TLS with an echo, over loopback. Their session runs once for every N: the Nth
 * request of the echo's reactor fails, or that one and all that come later, until both connections
 * have closed, which they do by themselves. Often the same session is run with memory, and finds
 * nothing amiss. In the end, when OpenSSL has given up what it keeps, no block is left.
 */
#include <check.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "core/monotime.h"
#include "net/backend_choose.h"
#include "net/conn.h"
#include "net/dialer.h"
#include "net/listener.h"
#include "net/packet.h"
#include "net/reactor.h"
#include "net/tls_config.h"
#include "net/tls_memory.h"
#include "net/tls_tickets.h"
#include "tests/unit/failing_memory.h"
#include "tests/unit/net/tls_files.h"

enum {
    MESSAGE = 1000, /* bytes; the echo waits for all of one */
    COUNT = 21,     /* more than a record of them */
    TURNS_MAX = 1000000,
    LINGER_MS = 60000,
    OFTEN = 16, /* of so many sessions, or places, one */
};

static struct tls_files files;

/* -- the session ------------------------------------------------------------------------------- */

struct client {
    size_t heard; /* bytes that were right */
    int reason;   /* of on_close */
    bool is_closed;
};

static struct {
    struct reactor *echo;
    struct reactor *clients; /* whom memory is never out for */
    struct tls_config *server;
    struct tls_config *client;
    struct dialer_options target;
    int dialer;
} world;

static uint8_t byte_at(size_t i)
{
    return (uint8_t)(i * 31 >> 3);
}

static void say_long(struct reactor *reactor, struct conn *conn, struct bytes bytes) ON_REACTOR
{
    struct packet *packet = packet_create(reactor_packets(reactor), bytes.size);
    if (packet == NULL) {
        conn_abort(conn, -ENOMEM);
        return;
    }
    memcpy(packet_span(packet).data, bytes.data, bytes.size);
    if (conn_queue(conn, packet, CONN_NORMAL) == CONN_TOO_SLOW) {
        conn_abort(conn, -ENOMEM);
    }
    packet_unref(packet);
}

static void *open_client(struct conn *conn) ON_REACTOR
{
    uint8_t said[MESSAGE * COUNT];
    for (size_t i = 0; i < sizeof(said); i++) {
        said[i] = byte_at(i);
    }
    say_long(world.clients, conn, (struct bytes){said, sizeof(said)});
    return conn_user(conn);
}

static size_t hear_client(struct conn *conn, struct span in) ON_REACTOR
{
    struct client *client = conn_user(conn);
    for (size_t i = 0; i < in.size; i++) {
        client->heard += in.data[i] == byte_at(client->heard);
    }
    if (client->heard == MESSAGE * COUNT) {
        conn_close(conn, LINGER_MS);
    }
    return in.size;
}

static void *open_echo(struct conn *conn) ON_REACTOR
{
    return conn;
}

/* Whole messages: the first one in two parts, which are copied, the others as a packet. */
static size_t hear_echo(struct conn *conn, struct span in) ON_REACTOR
{
    const struct bytes whole = {in.data, in.size / MESSAGE * MESSAGE};
    if (whole.size > 0 &&
        conn_append(conn, (struct bytes){in.data, 10},
                    (struct bytes){in.data + 10, MESSAGE - 10}) == CONN_TOO_SLOW) {
        conn_abort(conn, -ENOMEM);
    }
    if (whole.size > MESSAGE) {
        say_long(world.echo, conn, (struct bytes){in.data + MESSAGE, whole.size - MESSAGE});
    }
    return whole.size;
}

static void close_client(struct conn *conn, int reason) ON_REACTOR
{
    struct client *client = conn_user(conn);
    ck_assert(!client->is_closed);
    client->is_closed = true;
    client->reason = reason;
}

static void close_echo(struct conn *conn, int reason) ON_REACTOR
{
    (void)conn;
    (void)reason;
}

static const struct conn_handler client_handler = {
    .on_open = open_client, .on_bytes = hear_client, .on_close = close_client};
static const struct conn_handler echo_handler = {
    .on_open = open_echo, .on_bytes = hear_echo, .on_close = close_echo};

static void turn(struct reactor *reactor) ON_REACTOR
{
    reactor_wait(reactor, 0);
    reactor_receive(reactor);
    reactor_flush(reactor);
    reactor_sweep(reactor);
}

/* From dialling until nobody is connected. True: all was heard, and the end was in good order. */
static bool run_session(void) ON_REACTOR
{
    struct client client = {0};
    int turns = 0;
    int fd = -1;
    ck_assert_int_eq(dialer_open(&world.target, &fd), 0);
    memory.is_spared = true;
    ck_assert_ptr_nonnull(reactor_dial(world.clients, fd, world.dialer, &client));
    while (reactor_conn_count(world.clients) + reactor_conn_count(world.echo) > 0) {
        memory.is_spared = true;
        turn(world.clients);
        memory.is_spared = false;
        turn(world.echo);
        if (turns++ == TURNS_MAX) {
            ck_abort_msg("it does not end");
        }
    }
    ck_assert(client.is_closed);
    ck_assert_uint_eq(packet_pool_count(reactor_packets(world.echo)), 0);
    return client.heard == MESSAGE * COUNT && client.reason == 0;
}

/* -- what it needs ----------------------------------------------------------------------------- */

/* NULL: there was no memory, and a sentence says so. */
static struct tls_config *create_server(const char *certificate, const char *key)
{
    char error[TLS_CONFIG_ERROR_SIZE] = "";
    const struct tls_tickets tickets = {.count = 1, .rotation_s = 3600};
    const struct tls_config_server_files names = {certificate, key};
    struct tls_config *config = tls_config_create_server(
        &(struct tls_config_server){
            .certificates = &names, .certificate_count = 1, .tickets = &tickets},
        error);
    ck_assert(config != NULL || strlen(error) > 0);
    return config;
}

static void create_configs(void)
{
    char error[TLS_CONFIG_ERROR_SIZE] = "";
    const struct tls_config_trust trust = {.host = "localhost", .ca_file = files.ca};
    world.server = create_server(files.certificate, files.key);
    world.client = tls_config_create_client(&trust, error);
    ck_assert(world.server != NULL && world.client != NULL);
}

static void destroy_configs(void)
{
    tls_config_unref(world.server);
    tls_config_unref(world.client);
}

/* 0 or -errno. */
static int create_reactor(const struct backend_ops *backend, struct reactor **reactor)
{
    const struct reactor_options options = {
        .backend = backend,
        .conn_count_max = 8,
        .queue_bytes_low = 64 * 1024,
        .queue_bytes_high = 256 * 1024,
        .queue_bytes_max = 1024 * 1024,
        .queue_bytes_max_large = 1024 * 1024,
        .pending_max = 4096,
        .write_stall_ns = 60 * MONOTIME_NS_PER_S,
        .tls_handshake_ns = 60 * MONOTIME_NS_PER_S,
        .receive_budget_bytes = 64 * 1024,
        .receive_buffer_count = 64,
        .receive_buffer_size = 2048,
    };
    return reactor_create(&options, reactor);
}

/* False: there was no memory. */
static bool create_echo(const struct backend_ops *backend)
{
    const struct reactor_listening listening = {.handler = &echo_handler, .tls = world.server};
    struct listener_options listener = {.backlog = 8};
    int fd = -1;

    int result = create_reactor(backend, &world.echo);
    if (result == 0) {
        ck_assert_int_eq(address_parse("127.0.0.1:0", &listener.address), 0);
        ck_assert_int_eq(listener_open(&listener, &fd), 0);
        ck_assert_int_eq(listener_address(fd, &world.target.target), 0);
        result = reactor_listen_with(world.echo, fd, &listening);
        if (result < 0) {
            (void)close(fd);
            reactor_destroy(world.echo);
        }
    }
    ck_assert(result >= 0 || result == -ENOMEM);
    return result >= 0;
}

static void create_clients(const struct backend_ops *backend)
{
    ck_assert_int_eq(create_reactor(backend, &world.clients), 0);
    world.dialer = reactor_dialer_tls(world.clients, &client_handler, world.client);
    ck_assert_int_ge(world.dialer, 0);
}

/* Also what OpenSSL keeps for the next time: nothing may be left. */
static void expect_nothing_left(void)
{
    OPENSSL_cleanup();
    ck_assert_int_eq(memory.blocks, 0);
}

/* Bits of _i: which back end, and whether memory stays out. False: it is not there. */
static bool choose(int i, const struct backend_ops **backend)
{
    char reason[BACKEND_REASON_SIZE];
    const enum backend_kind kind = (i & 1) != 0 ? BACKEND_URING : BACKEND_EPOLL;
    return backend_choose(kind, backend, reason) == 0;
}

/* -- where it fails ---------------------------------------------------------------------------- */

ROLE_TRUSTED static void fail_each_of_a_session(bool goes_on)
{
    uint64_t fails_at = 0;
    uint64_t failed;
    reactor_enter(world.echo);
    reactor_enter(world.clients);
    ck_assert(run_session()); /* what is made once is there */
    do {
        fail_from(++fails_at, goes_on);
        const bool is_good = run_session();
        failed = memory.failed;
        ck_assert(is_good || failed > 0);
        fail_from(0, false);
        ck_assert(fails_at % OFTEN != 0 || run_session());
    } while (failed > 0);
    ck_assert(run_session());
    ck_assert_uint_gt(fails_at, 300); /* the session is about something */
    reactor_leave(world.echo);
    reactor_leave(world.clients);
}

START_TEST(a_session)
{
    const struct backend_ops *backend;
    if (!choose(_i, &backend)) {
        return;
    }
    create_configs();
    ck_assert(create_echo(backend));
    create_clients(backend);
    fail_each_of_a_session((_i & 2) != 0);
    reactor_destroy(world.echo);
    reactor_destroy(world.clients);
    destroy_configs();
    expect_nothing_left();
}
END_TEST

START_TEST(a_reactor)
{
    const struct backend_ops *backend;
    uint64_t fails_at = 0;
    if (!choose(_i, &backend)) {
        return;
    }
    create_configs();
    do {
        fail_from(++fails_at, (_i & 2) != 0);
        if (create_echo(backend)) { /* a ring has something that it can do without */
            reactor_destroy(world.echo);
        }
    } while (memory.failed > 0);
    ck_assert_uint_gt(fails_at, 5);
    destroy_configs();
    expect_nothing_left();
}
END_TEST

/* As for a reload: OpenSSL has what it makes once, and never again if memory was out then. */
START_TEST(a_configuration)
{
    uint64_t fails_at = 1;
    tls_config_unref(create_server(files.other_ca, files.other_key));
    do {
        fail_from(fails_at, _i != 0);
        struct tls_config *config = create_server(files.other_ca, files.other_key);
        ck_assert(config != NULL || memory.failed > 0);
        tls_config_unref(config);
        fails_at += OFTEN; /* of thousands, most of them by the same parser of keys */
    } while (memory.failed > 0);
    ck_assert_uint_gt(fails_at, 100);
    expect_nothing_left();
}
END_TEST

int main(void)
{
    if (!tls_memory_count()) {
        return EXIT_FAILURE;
    }
    tls_files_make(&files);
    TCase *out = tcase_create("memory");
    tcase_add_loop_test(out, a_session, 0, 4);
    tcase_add_loop_test(out, a_reactor, 0, 4);
    tcase_add_loop_test(out, a_configuration, 0, 2);
    tcase_set_timeout(out, 300);
    Suite *suite = suite_create("net/conn: memory");
    suite_add_tcase(suite, out);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    tls_files_remove(&files);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
