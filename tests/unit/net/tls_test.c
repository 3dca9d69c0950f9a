/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/tls and net/tls_config: a client and a server filter whose output is carried over by hand, in
 * pieces of a size that the test chooses. Nothing here has a socket.
 */
#include "net/tls.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_config.h"
#include "tests/unit/net/tls_files.h"

enum { ROUNDS_MAX = 100000, RECORD = TLS_RECORD_SIZE_MAX };

static struct tls_files files;

/* One end, and what it has heard. */
struct end {
    struct tls *tls;
    uint8_t *heard;
    size_t heard_size;
    size_t heard_room;
    enum tls_verdict verdict; /* the last one */
};

static struct tls_config *server_config(void)
{
    char error[TLS_CONFIG_ERROR_SIZE] = "";
    const struct tls_config_server_files names = {files.certificate, files.key};
    struct tls_config *config = tls_config_create_server(
        &(struct tls_config_server){.certificates = &names, .certificate_count = 1}, error);
    ck_assert_msg(config != NULL, "%s", error);
    ck_assert(tls_config_is_server(config));
    return config;
}

static struct tls_config *client_config(const char *host, const char *ca)
{
    char error[TLS_CONFIG_ERROR_SIZE] = "";
    const struct tls_config_trust trust = {.host = host, .ca_file = ca, .insecure = ca == NULL};
    struct tls_config *config = tls_config_create_client(&trust, error);
    ck_assert_msg(config != NULL, "%s", error);
    return config;
}

static void read_all(struct end *end)
{
    for (;;) {
        uint8_t room[5000];
        size_t size = 0;
        end->verdict = tls_read(end->tls, (struct span){room, sizeof(room)}, &size);
        if (end->verdict != TLS_BYTES) {
            return;
        }
        if (end->heard_room - end->heard_size < size) {
            end->heard_room = 2 * (end->heard_size + size);
            end->heard = realloc(end->heard, end->heard_room);
            ck_assert_ptr_nonnull(end->heard);
        }
        memcpy(end->heard + end->heard_size, room, size);
        end->heard_size += size;
    }
}

static void hear(struct end *end, const uint8_t *data, size_t size)
{
    /* An exact copy, so that AddressSanitizer sees a read behind it. */
    uint8_t *copy = malloc(size);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, size);
    tls_feed(end->tls, (struct bytes){copy, size});
    read_all(end);
    tls_feed(end->tls, (struct bytes){NULL, 0});
    free(copy);
}

/* At most `step` bytes from one to the other. False: there was nothing. */
static bool carry(struct end *from, struct end *to, size_t step)
{
    struct iovec piece;
    if (tls_gather(from->tls, &piece, 1) == 0) {
        return false;
    }
    const size_t size = piece.iov_len < step ? piece.iov_len : step;
    hear(to, piece.iov_base, size);
    tls_advance(from->tls, size);
    return true;
}

static void carry_all(struct end *one, struct end *other, size_t step)
{
    int rounds = 0;
    for (;;) {
        const bool there = carry(one, other, step);
        const bool back = carry(other, one, step);
        if (!there && !back) {
            return;
        }
        ck_assert_int_lt(rounds++, ROUNDS_MAX);
    }
}

static void begin(struct end *client, struct end *server, const char *host, const char *ca)
{
    struct tls_config *ours = server_config();
    struct tls_config *theirs = client_config(host, ca);
    *client = (struct end){.tls = tls_create(theirs)};
    *server = (struct end){.tls = tls_create(ours)};
    ck_assert_ptr_nonnull(client->tls);
    ck_assert_ptr_nonnull(server->tls);
    tls_config_unref(ours); /* each filter has a reference of its own */
    tls_config_unref(theirs);
    read_all(client);
    ck_assert_int_eq(client->verdict, TLS_NEED_MORE);
    ck_assert(tls_is_shaking(client->tls));
    ck_assert_uint_gt(tls_output_size(client->tls), 0);
}

static void end_both(struct end *client, struct end *server)
{
    tls_destroy(client->tls);
    tls_destroy(server->tls);
    free(client->heard);
    free(server->heard);
}

static void say(struct end *end, const uint8_t *data, size_t size)
{
    while (size > 0) {
        const size_t part = size < RECORD ? size : RECORD;
        ck_assert(tls_write(end->tls, (struct bytes){data, part}));
        data += part;
        size -= part;
    }
}

static const size_t steps[] = {1, 7, 100, 4096, SIZE_MAX};
enum { STEP_COUNT = sizeof(steps) / sizeof(steps[0]) };

START_TEST(talks_in_any_pieces)
{
    enum { SIZE = 40000 };
    struct end client;
    struct end server;
    uint8_t *data = malloc(SIZE);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < SIZE; i++) {
        data[i] = (uint8_t)(i * 31 >> 3);
    }
    begin(&client, &server, "localhost", files.ca);
    carry_all(&client, &server, steps[_i]);
    ck_assert_msg(tls_is_open(client.tls), "%s", tls_fault_text(client.tls));
    ck_assert(tls_is_open(server.tls));
    ck_assert(!tls_is_shaking(server.tls));
    say(&client, data, SIZE);
    say(&server, data, 1);
    carry_all(&client, &server, steps[_i]);
    ck_assert_uint_eq(server.heard_size, SIZE);
    ck_assert_int_eq(memcmp(server.heard, data, SIZE), 0);
    ck_assert_uint_eq(client.heard_size, 1);
    ck_assert_int_eq(client.heard[0], data[0]);

    tls_finish(client.tls);
    tls_finish(client.tls);
    carry_all(&client, &server, steps[_i]);
    ck_assert_int_eq(server.verdict, TLS_ENDED);
    /* The other direction is still there. */
    say(&server, data, 100);
    tls_finish(server.tls);
    ck_assert_uint_gt(tls_output_size(server.tls), 100);
    end_both(&client, &server);
    free(data);
}
END_TEST

START_TEST(output_stays_where_it_is)
{
    struct end client;
    struct end server;
    struct iovec before[4];
    struct iovec after[4];
    uint8_t text[300] = "the kernel may be looking at it";
    begin(&client, &server, "localhost", NULL);
    carry_all(&client, &server, SIZE_MAX);
    say(&client, text, sizeof(text));
    ck_assert_uint_eq(tls_gather(client.tls, before, 4), 1);
    uint8_t *copy = malloc(before[0].iov_len);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, before[0].iov_base, before[0].iov_len);
    for (int i = 0; i < 20; i++) {
        say(&client, text, sizeof(text));
    }
    ck_assert_uint_eq(tls_gather(client.tls, after, 4), 4);
    ck_assert_ptr_eq(after[0].iov_base, before[0].iov_base);
    ck_assert_int_eq(memcmp(copy, before[0].iov_base, before[0].iov_len), 0);
    free(copy);
    carry_all(&client, &server, 333);
    ck_assert_uint_eq(server.heard_size, 21 * sizeof(text));
    ck_assert_uint_eq(tls_output_size(client.tls), 0);
    ck_assert_uint_eq(tls_gather(client.tls, after, 4), 0);
    end_both(&client, &server);
}
END_TEST

static const struct {
    const char *why;
    const char *host;
    bool other_ca;
    enum tls_fault client;
    enum tls_fault server;
} trust_cases[] = {
    {"a name in the certificate", "localhost", false, TLS_FAULT_NONE, TLS_FAULT_NONE},
    {"an address in the certificate", "127.0.0.1", false, TLS_FAULT_NONE, TLS_FAULT_NONE},
    {"another name", "example.org", false, TLS_FAULT_WRONG_HOST, TLS_FAULT_ALERT},
    {"another address", "127.0.0.2", false, TLS_FAULT_WRONG_HOST, TLS_FAULT_ALERT},
    {"another authority", "localhost", true, TLS_FAULT_UNTRUSTED, TLS_FAULT_ALERT},
};

START_TEST(trusts)
{
    struct end client;
    struct end server;
    begin(&client, &server, trust_cases[_i].host,
          trust_cases[_i].other_ca ? files.other_ca : files.ca);
    carry_all(&client, &server, SIZE_MAX);
    ck_assert_msg(tls_fault(client.tls) == trust_cases[_i].client, "%s: %s", trust_cases[_i].why,
                  tls_fault_text(client.tls));
    ck_assert_msg(tls_fault(server.tls) == trust_cases[_i].server, "%s: %s", trust_cases[_i].why,
                  tls_fault_text(server.tls));
    ck_assert(tls_is_open(client.tls) == (trust_cases[_i].client == TLS_FAULT_NONE));
    ck_assert_uint_gt(strlen(tls_fault_text(client.tls)), 10);
    end_both(&client, &server);
}
END_TEST

START_TEST(insecure_trusts_everybody)
{
    struct end client;
    struct end server;
    begin(&client, &server, "example.org", NULL);
    carry_all(&client, &server, SIZE_MAX);
    ck_assert(tls_is_open(client.tls));
    ck_assert(tls_is_open(server.tls));
    end_both(&client, &server);
}
END_TEST

static const struct {
    const char *bytes;
    enum tls_fault fault;
} garbage[] = {
    {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", TLS_FAULT_NOT_TLS},
    {"CONNECT a:443 HTTP/1.1\r\n\r\n", TLS_FAULT_NOT_TLS},
    {"SSH-2.0-OpenSSH_9.2p1 Debian\r\n", TLS_FAULT_NOT_TLS},
    {"\x16\x03\x01\x7f\xff\x01 a record that is too long", TLS_FAULT_RECORD},
    {"\x16\x03\x01\x01\x05\x02 a server hello", TLS_FAULT_NONE}, /* more would be needed */
};

START_TEST(refuses_garbage)
{
    struct tls_config *config = server_config();
    struct end server = {.tls = tls_create(config)};
    ck_assert_ptr_nonnull(server.tls);
    for (size_t i = 0; i < strlen(garbage[_i].bytes); i++) {
        hear(&server, (const uint8_t *)garbage[_i].bytes + i, 1);
    }
    ck_assert_msg(tls_fault(server.tls) == garbage[_i].fault, "%s", tls_fault_text(server.tls));
    ck_assert_int_eq(server.verdict,
                     garbage[_i].fault == TLS_FAULT_NONE ? TLS_NEED_MORE : TLS_FAILED);
    ck_assert(!tls_is_open(server.tls));
    tls_destroy(server.tls);
    tls_config_unref(config);
}
END_TEST

START_TEST(a_changed_record_is_refused)
{
    struct end client;
    struct end server;
    struct iovec piece;
    const uint8_t text[] = "transfer 10";
    begin(&client, &server, "localhost", files.ca);
    carry_all(&client, &server, SIZE_MAX);
    say(&client, text, sizeof(text));
    ck_assert_uint_eq(tls_gather(client.tls, &piece, 1), 1);
    ((uint8_t *)piece.iov_base)[piece.iov_len - 20] ^= 1;
    (void)carry(&client, &server, SIZE_MAX);
    ck_assert_int_eq(server.verdict, TLS_FAILED);
    ck_assert_int_eq(tls_fault(server.tls), TLS_FAULT_RECORD);
    ck_assert_uint_eq(server.heard_size, 0);
    ck_assert_uint_gt(tls_output_size(server.tls), 0); /* the alert */
    ck_assert(!tls_write(server.tls, (struct bytes){text, sizeof(text)}));
    (void)carry(&server, &client, SIZE_MAX);
    ck_assert_int_eq(tls_fault(client.tls), TLS_FAULT_ALERT);
    end_both(&client, &server);
}
END_TEST

/* Records of a hello that never ends: fragments of one byte, legal each. */
START_TEST(an_endless_hello_is_a_flood)
{
    struct tls_config *config = server_config();
    struct end server = {.tls = tls_create(config)};
    uint8_t hello[] = {0x16, 3, 1, 0, 4, 1, 1, 0xff, 0xff};
    uint8_t byte[] = {0x16, 3, 1, 0, 1, 'a'};
    size_t sent = sizeof(hello);
    ck_assert_ptr_nonnull(server.tls);
    hear(&server, hello, sizeof(hello));
    while (server.verdict == TLS_NEED_MORE) {
        hear(&server, byte, sizeof(byte));
        sent += sizeof(byte);
        ck_assert_uint_lt(sent, 2 * TLS_HANDSHAKE_IN_MAX);
    }
    ck_assert_msg(tls_fault(server.tls) == TLS_FAULT_FLOOD, "%s", tls_fault_text(server.tls));
    tls_destroy(server.tls);
    tls_config_unref(config);
}
END_TEST

START_TEST(gives_up)
{
    struct tls_config *config = server_config();
    struct end server = {.tls = tls_create(config)};
    ck_assert_ptr_nonnull(server.tls);
    ck_assert(tls_is_shaking(server.tls));
    tls_give_up(server.tls);
    ck_assert(!tls_is_shaking(server.tls));
    ck_assert_int_eq(tls_fault(server.tls), TLS_FAULT_TIMEOUT);
    hear(&server, (const uint8_t *)"GET /", 5);
    ck_assert_int_eq(server.verdict, TLS_FAILED);
    ck_assert_int_eq(tls_fault(server.tls), TLS_FAULT_TIMEOUT);
    tls_destroy(server.tls);
    tls_config_unref(config);
}
END_TEST

START_TEST(files_that_do_not_do)
{
    const struct {
        struct tls_config_server_files files;
        const char *named;
    } cases[] = {
        {{"/nowhere/cert.pem", files.key}, "\"/nowhere/cert.pem\": No such file or directory"},
        {{files.certificate, "/nowhere/key.pem"}, "\"/nowhere/key.pem\": No such file"},
        {{files.key, files.key}, files.key},
        {{files.certificate, files.certificate}, files.certificate},
        {{files.certificate, files.other_key}, files.other_key},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char error[TLS_CONFIG_ERROR_SIZE] = "";
        ck_assert_ptr_null(tls_config_create_server(
            &(struct tls_config_server){.certificates = &cases[i].files, .certificate_count = 1},
            error));
        ck_assert_msg(strstr(error, cases[i].named) != NULL, "%s", error);
        ck_assert_ptr_nonnull(strstr(error, "cannot use the "));
    }
    char error[TLS_CONFIG_ERROR_SIZE] = "";
    const struct tls_config_trust trust = {.host = "a", .ca_file = "/nowhere/ca.pem"};
    ck_assert_ptr_null(tls_config_create_client(&trust, error));
    ck_assert_ptr_nonnull(strstr(error, "/nowhere/ca.pem"));
    const struct tls_config_trust nameless = {.host = "", .ca_file = files.ca};
    ck_assert_ptr_null(tls_config_create_client(&nameless, error));
    ck_assert_ptr_nonnull(strstr(error, "host name"));
}
END_TEST

static void make_files(void)
{
    tls_files_make(&files);
}

static void remove_files(void)
{
    tls_files_remove(&files);
}

int main(void)
{
    TCase *cases = tcase_create("tls");
    tcase_add_unchecked_fixture(cases, make_files, remove_files);
    tcase_add_loop_test(cases, talks_in_any_pieces, 0, STEP_COUNT);
    tcase_add_test(cases, output_stays_where_it_is);
    tcase_add_loop_test(cases, trusts, 0, sizeof(trust_cases) / sizeof(trust_cases[0]));
    tcase_add_test(cases, insecure_trusts_everybody);
    tcase_add_loop_test(cases, refuses_garbage, 0, sizeof(garbage) / sizeof(garbage[0]));
    tcase_add_test(cases, a_changed_record_is_refused);
    tcase_add_test(cases, an_endless_hello_is_a_flood);
    tcase_add_test(cases, gives_up);
    tcase_add_test(cases, files_that_do_not_do);
    Suite *suite = suite_create("net/tls");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
