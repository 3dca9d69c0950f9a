/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/tls_memory: what connections take is counted, by whichever thread, and is back when they have
 * gone, by whichever thread.
 */
#include "net/tls_memory.h"

#include <check.h>
#include <stdlib.h>

#include "core/thread.h"
#include "net/tls.h"
#include "net/tls_config.h"
#include "tests/unit/net/tls_files.h"

enum {
    PAIRS = 20,
    PAIR_MIN = 20000, /* bytes: a server and a client, which have nothing to do */
    PAIR_MAX = 40000,
    SILENT_MAX = 512, /* bytes: one that has sent nothing */
    REST_MAX = 2000,  /* bytes that OpenSSL may keep for the next time */
};

static struct tls_files files;

struct pair {
    struct tls *client;
    struct tls *server;
};

/* All that one has to say to the other. False: that was nothing. */
static bool carry(struct tls *from, struct tls *to)
{
    uint8_t room[256];
    struct iovec piece;
    size_t size = 0;
    if (tls_gather(from, &piece, 1) == 0) {
        return false;
    }
    tls_feed(to, (struct bytes){piece.iov_base, piece.iov_len});
    ck_assert_int_eq(tls_read(to, (struct span){room, sizeof(room)}, &size), TLS_NEED_MORE);
    tls_feed(to, (struct bytes){NULL, 0});
    tls_advance(from, piece.iov_len);
    return true;
}

static struct pair connect_pair(struct tls_config *client, struct tls_config *server)
{
    struct pair pair = {tls_create(client), tls_create(server)};
    uint8_t room[256];
    size_t size = 0;
    ck_assert(pair.client != NULL && pair.server != NULL);
    ck_assert_int_eq(tls_read(pair.client, (struct span){room, sizeof(room)}, &size),
                     TLS_NEED_MORE);
    while (carry(pair.client, pair.server) || carry(pair.server, pair.client)) {
    }
    ck_assert(tls_is_open(pair.client) && tls_is_open(pair.server));
    return pair;
}

static void disconnect(struct pair pair)
{
    tls_destroy(pair.client);
    tls_destroy(pair.server);
}

/* Another thread, which closes what it did not open. */
struct closer {
    struct pair pairs[PAIRS];
    uint64_t taken;
};

static void close_all(void *context)
{
    struct closer *closer = context;
    for (int i = 0; i < PAIRS; i++) {
        disconnect(closer->pairs[i]);
    }
    closer->taken = tls_memory_taken();
}

START_TEST(counts)
{
    struct closer closer = {.taken = 0};
    struct thread thread;
    char error[TLS_CONFIG_ERROR_SIZE] = "";
    const struct tls_config_server_files names = {files.certificate, files.key};
    const struct tls_config_trust trust = {.host = "localhost", .ca_file = files.ca};
    ck_assert(tls_memory_count());
    struct tls_config *server = tls_config_create_server(
        &(struct tls_config_server){.certificates = &names, .certificate_count = 1}, error);
    struct tls_config *client = tls_config_create_client(&trust, error);
    ck_assert_msg(server != NULL && client != NULL, "%s", error);
    disconnect(connect_pair(client, server)); /* what is made once is there */

    const uint64_t before = tls_memory_taken();
    struct tls *silent = tls_create(server);
    ck_assert_ptr_nonnull(silent);
    ck_assert_uint_lt(tls_memory_taken() - before, SILENT_MAX);
    tls_destroy(silent);
    ck_assert_uint_eq(tls_memory_taken(), before);

    for (int i = 0; i < PAIRS; i++) {
        closer.pairs[i] = connect_pair(client, server);
    }
    const uint64_t grown = tls_memory_taken() - before;
    ck_assert_uint_gt(grown, PAIRS * PAIR_MIN);
    ck_assert_uint_lt(grown, PAIRS * PAIR_MAX);

    ck_assert_int_eq(thread_start("closer", THREAD_NOT_PINNED, close_all, &closer, &thread), 0);
    thread_join(&thread);
    ck_assert_uint_eq(tls_memory_taken() - before, grown);
    ck_assert_uint_lt(grown + closer.taken + REST_MAX, 2 * REST_MAX);
    tls_config_unref(server);
    tls_config_unref(client);
}
END_TEST

START_TEST(is_too_late)
{
    char error[TLS_CONFIG_ERROR_SIZE];
    const struct tls_config_trust trust = {.host = "localhost", .insecure = true};
    struct tls_config *config = tls_config_create_client(&trust, error);
    ck_assert_ptr_nonnull(config);
    ck_assert(!tls_memory_count());
    ck_assert_uint_eq(tls_memory_taken(), 0);
    tls_config_unref(config);
}
END_TEST

int main(void)
{
    tls_files_make(&files);
    TCase *cases = tcase_create("memory");
    tcase_add_test(cases, counts);
    tcase_add_test(cases, is_too_late);
    Suite *suite = suite_create("net/tls_memory");
    suite_add_tcase(suite, cases);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    tls_files_remove(&files);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
