/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What only TLS has: handshakes that fail, wait or take too long, ends that are said, certificates
 * that are not believed. All else about it is in the other groups, which run over TLS, too.
 *
 * Where the test needs a client that does wrong, it speaks over the plug below, without a filter.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/monotime.h"
#include "net/conn_private.h"
#include "net/dialer.h"
#include "net/listener.h"
#include "net/tls.h"
#include "net/tls_config.h"
#include "net/tls_tickets.h"
#include "tests/net/cases.h"
#include "tests/net/fixture.h"
#include "tests/net/plug_tls.h"
#include "tests/unit/net/tls_files.h"

static uint64_t count_of(const struct fixture *fixture, enum metrics_id id)
{
    return metrics_read(&fixture->metrics, id);
}

static bool is_real(const struct plug *plug)
{
    return strncmp(plug->name, "simulated", strlen("simulated")) != 0;
}

/* A client that speaks what it likes. */
static int connect_raw(struct fixture *fixture, struct fixture_peer **peer) ON_REACTOR
{
    const struct plug *base = fixture->plug->base;
    const int client = base->connect(plug_tls_inner(fixture->world), fixture->listener);
    while (fixture->peer_count == 0) {
        fixture_turn(fixture); /* ended by the time limit of the test */
    }
    *peer = fixture->peers[0];
    return client;
}

static void write_raw(struct fixture *fixture, int client, const void *data, size_t size) ON_REACTOR
{
    const uint8_t *next = data;
    while (size > 0) {
        const ssize_t written =
            fixture->plug->base->write(plug_tls_inner(fixture->world), client, next, size);
        if (written == -EAGAIN) {
            fixture_turn(fixture);
            continue;
        }
        ck_assert_int_gt(written, 0);
        next += written;
        size -= (size_t)written;
    }
}

/* What conn_tls_fault() said in on_close, by index of the listener. A test is one process. */
static char faults_seen[2][200];
static void (*recorded_close)(struct conn *conn, int reason);

static void see_fault(struct conn *conn, int reason)
{
    const char *fault = conn_tls_fault(conn);
    (void)snprintf(faults_seen[conn_listener(conn)], sizeof(faults_seen[0]), "%s",
                   fault == NULL ? "" : fault);
    recorded_close(conn, reason);
}

static void watch_faults(struct fixture *fixture)
{
    recorded_close = fixture->handler.on_close;
    fixture->handler.on_close = see_fault;
}

/* --- Clients that do wrong ------------------------------------------------------------------- */

static const struct {
    const char *bytes;
    const char *fault;
} garbage[] = {
    {"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", "does not speak TLS"},
    {"no protocol that anybody knows", "does not speak TLS"},
    {"\x16\x03\x01\x7f\xff\x01 a record longer than one may be", "does not decrypt"},
};

START_TEST(garbage_is_refused)
{
    const struct reactor_options options = fixture_options();
    for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
        struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
        if (fixture->plug->is_tls) {
            struct fixture_peer *peer = NULL;
            watch_faults(fixture);
            const int client = connect_raw(fixture, &peer);
            ck_assert(conn_is_tls(peer->conn));
            ck_assert_ptr_null(conn_tls_fault(peer->conn));
            write_raw(fixture, client, garbage[i].bytes, strlen(garbage[i].bytes));
            while (peer->close_calls == 0 && conn_tls_fault(peer->conn) == NULL) {
                fixture_turn(fixture);
            }
            /* It may wait for us to have read its alert. */
            fixture->plug->base->close(plug_tls_inner(fixture->world), client);
            fixture_until_closed(fixture, peer);
            ck_assert_msg(strstr(faults_seen[0], garbage[i].fault) != NULL, "%s", faults_seen[0]);
            ck_assert_int_eq(peer->reason, -EPROTO);
            ck_assert_uint_eq(peer->size, 0);
            ck_assert_uint_eq(count_of(fixture, METRIC_REJECTED_TLS_HANDSHAKE), 1);
            ck_assert_uint_eq(count_of(fixture, METRIC_TLS_HANDSHAKES), 0);
            fixture_until_empty(fixture);
        }
        fixture_end(fixture);
    }
}
END_TEST

/* The client is gone after a part of its hello: no fault of TLS, it just left. */
START_TEST(a_cut_in_the_handshake)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (fixture->plug->is_tls) {
        struct tls *tls = tls_create(plug_tls_client());
        struct fixture_peer *peer = NULL;
        struct iovec hello;
        uint8_t room[64];
        size_t size = 0;
        const int client = connect_raw(fixture, &peer);
        ck_assert_int_eq(tls_read(tls, (struct span){room, sizeof(room)}, &size), TLS_NEED_MORE);
        ck_assert_uint_eq(tls_gather(tls, &hello, 1), 1);
        write_raw(fixture, client, hello.iov_base, hello.iov_len / 2);
        ck_assert_int_eq(fixture_queue(peer, 0, 100, CONN_NORMAL), CONN_QUEUED);
        fixture_turn(fixture);
        fixture->plug->base->close(plug_tls_inner(fixture->world), client);
        fixture_until_closed(fixture, peer);
        ck_assert_int_eq(peer->reason, -ESHUTDOWN);
        ck_assert_uint_eq(count_of(fixture, METRIC_REJECTED_TLS_HANDSHAKE), 0);
        fixture_until_empty(fixture);
        tls_destroy(tls);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(a_handshake_that_never_ends)
{
    struct reactor_options options = fixture_options();
    options.tls_handshake_ns = 30 * MONOTIME_NS_PER_MS;
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (fixture->plug->is_tls) {
        struct fixture_peer *peer = NULL;
        watch_faults(fixture);
        const int client = connect_raw(fixture, &peer);
        const uint64_t begin_ns = reactor_now(fixture->reactor);
        /* What is queued does not count as stalled: it waits for the handshake. */
        ck_assert_int_eq(fixture_queue(peer, 0, 100, CONN_NORMAL), CONN_QUEUED);
        write_raw(fixture, client, "\x16\x03\x01", 3);
        fixture_until_closed(fixture, peer);
        ck_assert_int_eq(peer->reason, -EPROTO);
        ck_assert_ptr_nonnull(strstr(faults_seen[0], "too long"));
        ck_assert_uint_ge(reactor_now(fixture->reactor) - begin_ns, 20 * MONOTIME_NS_PER_MS);
        ck_assert_uint_eq(count_of(fixture, METRIC_REJECTED_TLS_TIMEOUT), 1);
        fixture->plug->base->close(plug_tls_inner(fixture->world), client);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

/* --- Ends ------------------------------------------------------------------------------------ */

START_TEST(says_that_it_ends)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (fixture->plug->is_tls) {
        struct fixture_peer *peer = NULL;
        const int client = fixture_connect(fixture, &peer);
        int end = -1;
        ck_assert_int_eq(fixture_queue(peer, 0, 70000, CONN_NORMAL), CONN_QUEUED);
        conn_close(peer->conn, 10000);
        ck_assert_uint_eq(fixture_read_rest(fixture, client, &end), 70000);
        ck_assert_int_eq(end, 0);
        ck_assert(plug_tls_was_ended(fixture->world, client));
        fixture->plug->close(fixture->world, client);
        fixture_until_closed(fixture, peer);
        ck_assert_int_eq(peer->reason, 0);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

/* Queued before the handshake, and closed at once: it is sent all the same. */
START_TEST(closes_before_the_handshake)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (fixture->plug->is_tls) {
        const int client = fixture->plug->connect(fixture->world, fixture->listener);
        while (fixture->peer_count == 0) {
            fixture_turn(fixture);
        }
        struct fixture_peer *peer = fixture->peers[0];
        int end = -1;
        ck_assert_int_eq(fixture_queue(peer, 0, 5000, CONN_NORMAL), CONN_QUEUED);
        conn_close(peer->conn, 10000);
        ck_assert_uint_eq(fixture_read_rest(fixture, client, &end), 5000);
        ck_assert_int_eq(end, 0);
        fixture->plug->close(fixture->world, client);
        fixture_until_closed(fixture, peer);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

/* --- The queue ------------------------------------------------------------------------------- */

/* What was not encrypted yet can be dropped, and what was is bounded. */
START_TEST(drops_all_but_64_kib)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (fixture->plug->is_tls) {
        struct fixture_peer *peer = NULL;
        const int client = fixture_connect(fixture, &peer);
        for (int i = 0; i < 70; i++) {
            ck_assert_int_ne(fixture_queue(peer, 0, 100000, CONN_NORMAL), CONN_TOO_SLOW);
        }
        for (int i = 0; i < 300; i++) {
            fixture_turn(fixture);
        }
        ck_assert(conn_is_blocked(peer->conn));
        ck_assert_uint_gt(conn_queued_bytes(peer->conn), 1000000);
        conn_drop_queue(peer->conn);
        /* The packet under way stays, too. */
        ck_assert_uint_le(conn_queued_bytes(peer->conn), 65536 + 100000 + CONN_PACKET_COST);
        conn_close(peer->conn, 60000);
        int end = -1;
        ck_assert_uint_eq(fixture_read_rest(fixture, client, &end) % 100000, 0);
        ck_assert_int_eq(end, 0);
        fixture->plug->close(fixture->world, client);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

/* More handshakes at once than one iteration has the time for: each gets its turn. */
START_TEST(many_handshakes_at_once)
{
    enum { COUNT = 60 };
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (fixture->plug->is_tls) {
        int clients[COUNT];
        uint64_t most = 0;
        for (int i = 0; i < COUNT; i++) {
            clients[i] = fixture->plug->connect(fixture->world, fixture->listener);
        }
        for (int turns = 0; count_of(fixture, METRIC_TLS_HANDSHAKES) < COUNT; turns++) {
            const uint64_t before = count_of(fixture, METRIC_TLS_HANDSHAKES);
            ck_assert_int_lt(turns, 20000);
            fixture_turn(fixture);
            for (int i = 0; i < COUNT; i++) {
                (void)fixture->plug->shake(fixture->world, clients[i]);
            }
            const uint64_t more = count_of(fixture, METRIC_TLS_HANDSHAKES) - before;
            most = more > most ? more : most;
        }
        ck_assert_uint_le(most, 1);
        for (int i = 0; i < COUNT; i++) {
            fixture_write(fixture, clients[i], "hello", 5);
        }
        for (int i = 0; i < COUNT; i++) {
            fixture_until_size(fixture, fixture->peers[i], 5);
        }
        for (int i = 0; i < COUNT; i++) {
            fixture->plug->close(fixture->world, clients[i]);
        }
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

/* Their hellos wait for their turn behind those of others, and then they are gone. */
START_TEST(gone_before_their_turn)
{
    enum { COUNT = 40 };
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (fixture->plug->is_tls) {
        const struct plug *base = fixture->plug->base;
        void *const inner = plug_tls_inner(fixture->world);
        struct tls *tls = tls_create(plug_tls_client());
        struct iovec hello;
        uint8_t room[64];
        size_t size = 0;
        int clients[COUNT];
        ck_assert_int_eq(tls_read(tls, (struct span){room, sizeof(room)}, &size), TLS_NEED_MORE);
        ck_assert_uint_eq(tls_gather(tls, &hello, 1), 1);
        for (int i = 0; i < COUNT; i++) {
            clients[i] = base->connect(inner, fixture->listener);
        }
        while (fixture->peer_count < COUNT) {
            fixture_turn(fixture);
        }
        for (int i = 0; i < COUNT; i++) {
            write_raw(fixture, clients[i], hello.iov_base, hello.iov_len);
        }
        fixture_turn(fixture);
        for (int i = COUNT / 2; i < COUNT; i++) {
            base->reset(inner, clients[i]);
        }
        while (reactor_conn_count(fixture->reactor) > COUNT / 2) {
            fixture_turn(fixture);
        }
        for (int i = 0; i < COUNT / 2; i++) {
            base->close(inner, clients[i]);
        }
        fixture_until_empty(fixture);
        ck_assert_uint_eq(count_of(fixture, METRIC_TLS_HANDSHAKES), 0);
        tls_destroy(tls);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(renews_its_certificate)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (fixture->plug->is_tls) {
        char error[TLS_CONFIG_ERROR_SIZE] = "";
        const struct tls_files *files = plug_tls_files();
        const struct tls_tickets tickets = {.count = 1, .rotation_s = 3600};
        const struct tls_config_server_files names = {files->certificate, files->key};
        struct fixture_peer *old = NULL;
        const int before = fixture_connect(fixture, &old);
        struct tls_config *fresh = tls_config_create_server(
            &(struct tls_config_server){
                .certificates = &names, .certificate_count = 1, .tickets = &tickets},
            error);
        ck_assert_msg(fresh != NULL, "%s", error);
        reactor_renew_tls(fixture->reactor, 0, fresh);
        tls_config_unref(fresh);
        struct fixture_peer *young = NULL;
        const int after = fixture_connect(fixture, &young);
        fixture_write(fixture, before, "old", 3);
        fixture_write(fixture, after, "young", 5);
        fixture_until_size(fixture, old, 3);
        fixture_until_size(fixture, young, 5);
        fixture->plug->close(fixture->world, before);
        fixture->plug->close(fixture->world, after);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

/* --- We are the client ----------------------------------------------------------------------- */

static const struct {
    const char *host;
    bool other_ca;
    const char *fault;
} distrust[] = {
    {"example.org", false, "ostname mismatch"},
    {"127.0.0.9", false, "IP address mismatch"},
    {"localhost", true, "self-signed certificate"},
};

static void try_to_trust(struct fixture *fixture, int i) ON_REACTOR
{
    char error[TLS_CONFIG_ERROR_SIZE] = "";
    const struct tls_files *files = plug_tls_files();
    const struct tls_config_trust trust = {
        .host = distrust[i].host, .ca_file = distrust[i].other_ca ? files->other_ca : files->ca};
    struct tls_config *config = tls_config_create_client(&trust, error);
    struct dialer_options target = {0};
    int fd = -1;
    ck_assert_msg(config != NULL, "%s", error);
    ck_assert_int_eq(listener_address(fixture->listener, &target.target), 0);
    const int dialer = reactor_dialer_tls(fixture->reactor, &fixture->handler, config);
    tls_config_unref(config);
    ck_assert_int_eq(dialer, 1);
    ck_assert_int_eq(dialer_open(&target, &fd), 0);
    ck_assert_ptr_nonnull(reactor_dial(fixture->reactor, fd, dialer, fixture));
    struct fixture_peer *ours = fixture->peers[0];
    ck_assert_int_eq(fixture_queue(ours, 0, 100, CONN_NORMAL), CONN_QUEUED);
    fixture_until_closed(fixture, ours);
    ck_assert_int_eq(ours->reason, -EPROTO);
    ck_assert_msg(strstr(faults_seen[1], distrust[i].fault) != NULL, "%s", faults_seen[1]);
    fixture_until_closed(fixture, fixture->peers[1]);
    ck_assert_int_eq(fixture->peers[1]->reason, -EPROTO); /* we said so with an alert */
    ck_assert_uint_eq(fixture->peers[1]->size, 0);
    ck_assert_uint_eq(count_of(fixture, METRIC_REJECTED_TLS_HANDSHAKE), 2);
    fixture_until_empty(fixture);
}

START_TEST(does_not_trust)
{
    const struct reactor_options options = fixture_options();
    for (size_t i = 0; i < sizeof(distrust) / sizeof(distrust[0]); i++) {
        struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
        if (fixture->plug->is_tls && is_real(fixture->plug)) {
            watch_faults(fixture);
            try_to_trust(fixture, (int)i);
        }
        fixture_end(fixture);
    }
}
END_TEST

/* --- A client that nobody here wrote --------------------------------------------------------- */

struct s_client {
    pid_t pid;
    int input;
    char log[TLS_FILES_PATH_SIZE + 8];
};

/* openssl s_client of one version, which verifies our certificate and logs what it says. */
static void start_s_client(struct fixture *fixture, const char *version, struct s_client *client)
    ON_REACTOR
{
    char target[32];
    char authority[TLS_FILES_PATH_SIZE];
    struct address address;
    int ends[2];
    ck_assert_int_eq(listener_address(fixture->listener, &address), 0);
    (void)snprintf(target, sizeof(target), "127.0.0.1:%u", address_port(&address));
    (void)snprintf(authority, sizeof(authority), "%s", plug_tls_files()->ca);
    (void)snprintf(client->log, sizeof(client->log), "/tmp/parley-s-client-%d", (int)getpid());
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    client->input = ends[1];
    client->pid = fork();
    ck_assert_int_ge(client->pid, 0);
    if (client->pid == 0) {
        const int log = open(client->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        (void)dup2(ends[0], STDIN_FILENO);
        (void)dup2(log, STDOUT_FILENO);
        (void)dup2(log, STDERR_FILENO);
        (void)execlp("openssl", "openssl", "s_client", version, "-connect", target, "-CAfile",
                     authority, "-verify_return_error", "-verify_ip", "127.0.0.1", "-alpn",
                     "h2,http/1.1", (char *)NULL);
        _exit(127);
    }
    (void)close(ends[0]);
    while (fixture->peer_count == 0) {
        fixture_turn(fixture);
    }
}

static void type(const struct s_client *client, const char *text)
{
    ck_assert_int_eq(write(client->input, text, strlen(text)), (ssize_t)strlen(text));
}

/* How many times it has logged that. */
static int count_logged(const struct s_client *client, const char *wanted)
{
    static char text[65536];
    FILE *log = fopen(client->log, "r");
    int count = 0;
    ck_assert_ptr_nonnull(log);
    text[fread(text, 1, sizeof(text) - 1, log)] = '\0';
    (void)fclose(log);
    for (const char *at = strstr(text, wanted); at != NULL; at = strstr(at + 1, wanted)) {
        count++;
    }
    return count;
}

/* Until it has exited: what it logged is then whole. */
static void end_s_client(const struct s_client *client)
{
    int status = 0;
    (void)close(client->input);
    ck_assert_int_eq(waitpid(client->pid, &status, 0), client->pid);
}

/* New keys are asked for, and ours follow: else it could not read what comes then. */
START_TEST(openssl_updates_its_keys)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (fixture->plug->is_tls && is_real(fixture->plug)) {
        struct s_client client;
        start_s_client(fixture, "-tls1_3", &client);
        struct fixture_peer *peer = fixture->peers[0];
        type(&client, "0\n");
        fixture_until_size(fixture, peer, 2);
        for (int i = 1; i <= 3; i++) {
            const char text[] = {(char)('0' + i), '\n', '\0'};
            type(&client, "K\n"); /* goes with what it sends next */
            while (count_logged(&client, "KEYUPDATE") < i) {
                fixture_turn(fixture);
            }
            type(&client, text);
            fixture_until_size(fixture, peer, 2 + 2 * (size_t)i);
            ck_assert_int_eq(fixture_queue(peer, (uint8_t)('A' + 8 * (i - 1)), 8, CONN_NORMAL),
                             CONN_QUEUED);
            fixture_turn(fixture);
        }
        ck_assert_int_eq(memcmp(peer->bytes, "0\n1\n2\n3\n", 8), 0);
        conn_close(peer->conn, 10000);
        fixture_until_closed(fixture, peer);
        end_s_client(&client);
        ck_assert_int_eq(count_logged(&client, "ABCDEFGH"), 1);
        ck_assert_int_eq(count_logged(&client, "IJKLMNOP"), 1);
        ck_assert_int_eq(count_logged(&client, "QRSTUVWX"), 1);
        (void)unlink(client.log);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

START_TEST(openssl_may_not_renegotiate)
{
    const struct reactor_options options = fixture_options();
    struct fixture *fixture = fixture_begin(cases_plug(_i), &options);
    if (fixture->plug->is_tls && is_real(fixture->plug)) {
        struct s_client client;
        start_s_client(fixture, "-tls1_2", &client);
        struct fixture_peer *peer = fixture->peers[0];
        type(&client, "one\n");
        fixture_until_size(fixture, peer, 4);
        type(&client, "R\n");
        fixture_until_closed(fixture, peer);
        ck_assert_uint_eq(count_of(fixture, METRIC_TLS_HANDSHAKES), 1);
        end_s_client(&client);
        ck_assert_int_ge(count_logged(&client, "no renegotiation"), 1);
        (void)unlink(client.log);
        fixture_until_empty(fixture);
    }
    fixture_end(fixture);
}
END_TEST

TCase *cases_tls(void)
{
    TCase *cases = tcase_create("tls");
    const int count = cases_plug_count();
    tcase_add_loop_test(cases, garbage_is_refused, 0, count);
    tcase_add_loop_test(cases, a_cut_in_the_handshake, 0, count);
    tcase_add_loop_test(cases, a_handshake_that_never_ends, 0, count);
    tcase_add_loop_test(cases, says_that_it_ends, 0, count);
    tcase_add_loop_test(cases, closes_before_the_handshake, 0, count);
    tcase_add_loop_test(cases, drops_all_but_64_kib, 0, count);
    tcase_add_loop_test(cases, many_handshakes_at_once, 0, count);
    tcase_add_loop_test(cases, gone_before_their_turn, 0, count);
    tcase_add_loop_test(cases, renews_its_certificate, 0, count);
    tcase_add_loop_test(cases, does_not_trust, 0, count);
    tcase_add_loop_test(cases, openssl_updates_its_keys, 0, count);
    tcase_add_loop_test(cases, openssl_may_not_renegotiate, 0, count);
    return cases;
}
