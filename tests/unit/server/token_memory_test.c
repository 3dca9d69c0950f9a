/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIMITS.md row 46 for tokens: memory is out, at every place where we, cjose, its JSON or OpenSSL
 * ask for some (net/tls_memory.h).
 *
 * A good token is good then, or its judge says "not now": 3500 would be the end of its client. One
 * that was forged is never good. A set of keys has all of them or is none, and so are those of the
 * configuration. In the end, when OpenSSL has given up what it keeps, no block is left.
 */
#include <check.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls_memory.h"
#include "server/config.h"
#include "server/jwks.h"
#include "server/token.h"
#include "server/token_keys.h"
#include "tests/unit/server/failing_libraries.h"
#include "tests/unit/server/token_forge.h"

#define PAYLOAD "{\"sub\":\"42\",\"exp\":1800000100,\"info\":{\"a\":[1,2,3]}}"
#define KIDS    "\"typ\":\"JWT\",\"kid\":\"a\"}"

enum { TYPES = 3, OFTEN = 8 /* of so many places one, where they are thousands */ };

static struct {
    EVP_PKEY *rsa;
    EVP_PKEY *ec;
    struct config config;
    char *good[TYPES];
    char *forged[TYPES];
} world;

static uint64_t read_now(void *context)
{
    (void)context;
    return UINT64_C(1800000000000);
}

/* The last character that counts of the signature is another one. */
static char *forge_one(const char *good)
{
    char *forged = strdup(good);
    ck_assert_ptr_nonnull(forged);
    char *const at = strrchr(forged, '.') + 5;
    *at = *at == 'A' ? 'B' : 'A';
    return forged;
}

static void make_tokens(void)
{
    world.good[0] =
        forge_hmac("{\"alg\":\"HS256\"," KIDS, PAYLOAD, 256, FORGE_SECRET, strlen(FORGE_SECRET));
    world.good[1] =
        forge_rsa("{\"alg\":\"RS256\"," KIDS, PAYLOAD, world.rsa, 256, RSA_PKCS1_PADDING);
    world.good[2] = forge_ecdsa("{\"alg\":\"ES256\"," KIDS, PAYLOAD, world.ec, 256, 64);
    for (int i = 0; i < TYPES; i++) {
        world.forged[i] = forge_one(world.good[i]);
    }
}

/* As it stands behind "|" in a block of YAML. */
static void load_config(void)
{
    char error[CONFIG_ERROR_SIZE] = "";
    char *const pems[] = {forge_public_pem(world.rsa), forge_public_pem(world.ec)};
    char text[4096] = "client:\n  token:\n    hmac_secret_key: " FORGE_SECRET "\n";
    for (int i = 0; i < 2; i++) {
        strcat(text, i == 0 ? "    rsa_public_key: |\n" : "    ecdsa_public_key: |\n");
        for (char *line = strtok(pems[i], "\n"); line != NULL; line = strtok(NULL, "\n")) {
            strcat(strcat(strcat(text, "      "), line), "\n");
        }
        free(pems[i]);
    }
    const struct bytes all = {(const uint8_t *)text, strlen(text)};
    ck_assert_msg(config_load_memory("t", all, &world.config, error, sizeof(error)) == 0, "%s",
                  error);
}

static void open_world(void)
{
    ck_assert(tls_memory_count());
    world.rsa = EVP_RSA_gen(2048);
    world.ec = EVP_EC_gen("P-256");
    ck_assert(world.rsa != NULL && world.ec != NULL);
    make_tokens();
    load_config();
}

/* Also what OpenSSL keeps for the next time: nothing may be left. */
static void close_world(void)
{
    fail_from(0, false);
    for (int i = 0; i < TYPES; i++) {
        free(world.good[i]);
        free(world.forged[i]);
    }
    config_destroy(&world.config);
    EVP_PKEY_free(world.rsa);
    EVP_PKEY_free(world.ec);
    OPENSSL_cleanup();
    ck_assert_int_eq(memory.blocks, 0);
}

static enum token_reason judge(struct token_verifier *verifier, const char *token)
{
    struct claims claims;
    return token_verify(verifier, CLAIMS_CONNECTION,
                        (struct bytes){(const uint8_t *)token, strlen(token)}, &claims);
}

static struct token_keys *make_keys(void)
{
    char error[CONFIG_ERROR_SIZE] = "";
    struct token_keys *keys = token_keys_create(&world.config.client, error);
    ck_assert(keys != NULL || strlen(error) > 0);
    return keys;
}

static struct token_verifier *make_verifier(struct token_keys *keys)
{
    return token_verifier_create(
        &(struct token_verifier_options){.keys = keys, .now_ms = read_now});
}

/* Returns at how many places memory was asked for. */
static uint64_t fail_each(struct token_verifier *verifier, int type, bool goes_on)
{
    uint64_t fails_at = 0;
    ck_assert_int_eq(judge(verifier, world.good[type]), TOKEN_GOOD); /* made once, and kept */
    do {
        fail_from(++fails_at, goes_on);
        const enum token_reason good = judge(verifier, world.good[type]);
        ck_assert_msg(good == TOKEN_GOOD || (good == TOKEN_UNAVAILABLE && memory.failed > 0),
                      "place %d of type %d: %s", (int)fails_at, type, token_reason_name(good));
        const uint64_t failed = memory.failed;
        fail_from(fails_at, goes_on);
        const enum token_reason forged = judge(verifier, world.forged[type]);
        ck_assert(forged == TOKEN_UNAVAILABLE || forged == TOKEN_BAD_SIGNATURE);
        fail_from(0, false);
        ck_assert_int_eq(judge(verifier, world.good[type]), TOKEN_GOOD);
        ck_assert_int_eq(judge(verifier, world.forged[type]), TOKEN_BAD_SIGNATURE);
        memory.failed = failed;
    } while (memory.failed > 0);
    return fails_at;
}

START_TEST(a_token)
{
    open_world();
    struct token_keys *keys = make_keys();
    struct token_verifier *verifier = make_verifier(keys);
    for (int type = 0; type < TYPES; type++) {
        ck_assert_uint_gt(fail_each(verifier, type, _i != 0), 5);
    }
    token_verifier_destroy(verifier);
    token_keys_unref(keys);
    close_world();
}
END_TEST

START_TEST(a_verifier_and_keys)
{
    uint64_t fails_at = 1;
    open_world();
    token_keys_unref(make_keys()); /* what OpenSSL makes once is there */
    do {
        fail_from(fails_at, _i != 0);
        struct token_keys *keys = make_keys();
        struct token_verifier *verifier = keys == NULL ? NULL : make_verifier(keys);
        const uint64_t failed = memory.failed;
        fail_from(0, false);
        ck_assert(failed > 0 || verifier != NULL);
        for (int type = 0; verifier != NULL && type < TYPES; type++) {
            ck_assert_int_eq(judge(verifier, world.good[type]), TOKEN_GOOD);
        }
        token_verifier_destroy(verifier);
        token_keys_unref(keys);
        memory.failed = failed;
        fails_at += fails_at < 32 ? 1 : OFTEN;
    } while (memory.failed > 0);
    ck_assert_uint_gt(fails_at, 100);
    close_world();
}
END_TEST

START_TEST(a_set_of_keys)
{
    uint64_t fails_at = 0;
    open_world();
    char *const jwks[] = {forge_jwk(world.rsa, ",\"kid\":\"a\""),
                          forge_jwk(world.ec, ",\"kid\":\"a\"")};
    char text[2048];
    const int size = snprintf(text, sizeof(text), "{\"keys\":[%s,%s]}", jwks[0], jwks[1]);
    do {
        char error[JWKS_ERROR_SIZE] = "";
        char document[sizeof(text)];
        memcpy(document, text, sizeof(text));
        fail_from(++fails_at, _i != 0);
        struct jwks *set =
            jwks_parse((struct span){(uint8_t *)document, (size_t)size}, fails_at, error);
        ck_assert(set != NULL ? jwks_count(set) == 2 : memory.failed > 0);
        ck_assert(set != NULL || strcmp(error, "out of memory") == 0);
        jwks_unref(set);
    } while (memory.failed > 0);
    ck_assert_uint_gt(fails_at, 20);
    free(jwks[0]);
    free(jwks[1]);
    close_world();
}
END_TEST

int main(void)
{
    TCase *out = tcase_create("memory");
    tcase_add_loop_test(out, a_token, 0, 2);
    tcase_add_loop_test(out, a_verifier_and_keys, 0, 2);
    tcase_add_loop_test(out, a_set_of_keys, 0, 2);
    tcase_set_timeout(out, 120);
    Suite *suite = suite_create("server/token: memory");
    suite_add_tcase(suite, out);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
