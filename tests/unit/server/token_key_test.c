/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys: which are taken, which are refused and with what words; what a private one signs, the
 * public one accepts, and no other.
 */
#include "server/token_key.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/server/token_forge.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

START_TEST(knows_algorithms)
{
    static const char *const names[] = {"HS256", "HS384", "HS512", "RS256", "RS384",
                                        "RS512", "ES256", "ES384", "ES512"};
    static const char *const others[] = {"",      "none",  "HS",    "HS25", "HS2567",
                                         "hs256", "PS256", "ES56K", "RS1",  "EdDSA"};

    ck_assert_uint_eq(COUNT_OF(names), TOKEN_ALGORITHM_COUNT);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        ck_assert_uint_eq(token_key_algorithm(bytes_of(names[i])), i);
        ck_assert_str_eq(token_key_algorithm_name((enum token_algorithm)i), names[i]);
        ck_assert_uint_eq(token_key_type_of((enum token_algorithm)i), i / 3);
    }
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        ck_assert_uint_eq(token_key_algorithm(bytes_of(others[i])), TOKEN_ALGORITHM_COUNT);
    }
}
END_TEST

START_TEST(has_secrets)
{
    char error[TOKEN_KEY_ERROR_SIZE] = "";

    ck_assert_ptr_null(token_key_from_secret(bytes_of(""), error));
    ck_assert_str_eq(error, "expected at least 32 bytes, found 0");
    ck_assert_ptr_null(token_key_from_secret((struct bytes){NULL, 0}, error));
    ck_assert_ptr_null(token_key_from_secret(bytes_of("0123456789abcdef0123456789abcde"), error));
    ck_assert_str_eq(error, "expected at least 32 bytes, found 31");
    struct token_key *key = token_key_from_secret(bytes_of(FORGE_SECRET), error);
    ck_assert_ptr_nonnull(key);
    ck_assert_int_eq(token_key_type(key), TOKEN_KEY_HMAC);
    for (int i = 0; i < TOKEN_ALGORITHM_COUNT; i++) {
        ck_assert(token_key_takes(key, (enum token_algorithm)i) == (i <= TOKEN_HS512));
    }
    token_key_destroy(key);
}
END_TEST

/* Takes `key`. `wanted`: the error, or NULL when it is taken. */
static void judge_public(EVP_PKEY *key, enum token_key_type type, const char *wanted)
{
    char error[TOKEN_KEY_ERROR_SIZE] = "";
    ck_assert_ptr_nonnull(key);
    char *pem = forge_public_pem(key);
    struct token_key *made = token_key_from_pem(bytes_of(pem), type, error);
    if (wanted == NULL) {
        ck_assert_msg(made != NULL, "%s", error);
        ck_assert_int_eq(token_key_type(made), type);
    } else {
        ck_assert_ptr_null(made);
        ck_assert_str_eq(error, wanted);
    }
    token_key_destroy(made);
    free(pem);
    EVP_PKEY_free(key);
}

static EVP_PKEY *rsa_with_exponent(const char *hex)
{
    EVP_PKEY *key = NULL;
    BIGNUM *exponent = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
    ck_assert_int_gt(BN_hex2bn(&exponent, hex), 0);
    ck_assert_int_eq(EVP_PKEY_keygen_init(context), 1);
    ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048), 1);
    ck_assert_int_eq(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, exponent), 1);
    ck_assert_int_eq(EVP_PKEY_generate(context, &key), 1);
    BN_free(exponent);
    EVP_PKEY_CTX_free(context);
    return key;
}

START_TEST(judges_public_keys)
{
    judge_public(EVP_RSA_gen(2048), TOKEN_KEY_RSA, NULL);
    judge_public(rsa_with_exponent("3"), TOKEN_KEY_RSA, NULL);
    judge_public(EVP_EC_gen("P-256"), TOKEN_KEY_ECDSA, NULL);
    judge_public(EVP_EC_gen("P-384"), TOKEN_KEY_ECDSA, NULL);
    judge_public(EVP_EC_gen("P-521"), TOKEN_KEY_ECDSA, NULL);
    judge_public(EVP_RSA_gen(1024), TOKEN_KEY_RSA,
                 "expected an RSA key of 2048 to 8192 bits, found one of 1024");
    judge_public(
        rsa_with_exponent("100000000000000000000000000000001"), TOKEN_KEY_RSA,
        "expected an RSA key with a public exponent of at most 64 bits, found another one");
    judge_public(EVP_EC_gen("secp256k1"), TOKEN_KEY_ECDSA,
                 "expected an ECDSA key of the curve P-256, P-384 or P-521, found another one");
    judge_public(EVP_EC_gen("P-224"), TOKEN_KEY_ECDSA,
                 "expected an ECDSA key of the curve P-256, P-384 or P-521, found another one");
    judge_public(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), TOKEN_KEY_ECDSA,
                 "expected an RSA or ECDSA key, found one of another type");
    judge_public(EVP_RSA_gen(2048), TOKEN_KEY_ECDSA,
                 "expected a public ECDSA key as PEM, found an RSA key");
    judge_public(EVP_EC_gen("P-256"), TOKEN_KEY_RSA,
                 "expected a public RSA key as PEM, found an ECDSA key");
}
END_TEST

START_TEST(judges_texts)
{
    char error[TOKEN_KEY_ERROR_SIZE] = "";
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    char *pem = forge_private_pem(rsa);

    ck_assert_ptr_null(token_key_from_pem(bytes_of(pem), TOKEN_KEY_RSA, error));
    ck_assert_str_eq(
        error,
        "expected a public RSA key as PEM, found a private one, which parleyd must not have");
    struct token_key *key = token_key_from_private_pem(bytes_of(pem), error);
    ck_assert_msg(key != NULL, "%s", error);
    token_key_destroy(key);
    free(pem);

    /* Each beginning of a PEM, from an exact-size heap copy. */
    pem = forge_public_pem(rsa);
    for (size_t size = 0; size + 2 < strlen(pem); size += 7) {
        uint8_t *copy = malloc(size + (size == 0));
        memcpy(copy, pem, size);
        ck_assert_ptr_null(token_key_from_pem((struct bytes){copy, size}, TOKEN_KEY_RSA, error));
        free(copy);
    }
    ck_assert_ptr_null(token_key_from_private_pem(bytes_of(pem), error));
    ck_assert_str_eq(error,
                     "expected a private RSA or ECDSA key as PEM without a passphrase, found "
                     "something that cannot be read");
    free(pem);
    EVP_PKEY_free(rsa);
}
END_TEST

/* PKCS #1 is how some tools still write an RSA key. */
START_TEST(takes_pkcs1)
{
    char error[TOKEN_KEY_ERROR_SIZE] = "";
    char *text = NULL;
    EVP_PKEY *rsa = EVP_RSA_gen(2048);
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char *der = NULL;
    const int size = i2d_PublicKey(rsa, &der);

    ck_assert_int_gt(size, 0);
    ck_assert_int_gt(PEM_write_bio(bio, "RSA PUBLIC KEY", "", der, size), 0);
    const long text_size = BIO_get_mem_data(bio, &text);
    struct token_key *key = token_key_from_pem(
        (struct bytes){(const uint8_t *)text, (size_t)text_size}, TOKEN_KEY_RSA, error);
    ck_assert_msg(key != NULL, "%s", error);
    token_key_destroy(key);
    OPENSSL_free(der);
    BIO_free(bio);
    EVP_PKEY_free(rsa);
}
END_TEST

/* A passphrase is not asked for. */
START_TEST(refuses_an_encrypted_key)
{
    char error[TOKEN_KEY_ERROR_SIZE] = "";
    char *text = NULL;
    EVP_PKEY *ec = EVP_EC_gen("P-256");
    BIO *bio = BIO_new(BIO_s_mem());

    ck_assert_int_eq(PEM_write_bio_PrivateKey(bio, ec, EVP_aes_128_cbc(),
                                              (const unsigned char *)"pass", 4, NULL, NULL),
                     1);
    const long size = BIO_get_mem_data(bio, &text);
    ck_assert_ptr_null(
        token_key_from_private_pem((struct bytes){(const uint8_t *)text, (size_t)size}, error));
    BIO_free(bio);
    EVP_PKEY_free(ec);
}
END_TEST

/* Often, so that numbers with leading zeros are among them. */
START_TEST(signs_what_it_verifies)
{
    char error[TOKEN_KEY_ERROR_SIZE] = "";
    EVP_PKEY *keys[] = {EVP_RSA_gen(2048), EVP_EC_gen("P-256"), EVP_EC_gen("P-384"),
                        EVP_EC_gen("P-521")};
    const enum token_algorithm standard[] = {TOKEN_RS256, TOKEN_ES256, TOKEN_ES384, TOKEN_ES512};

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        char *private_pem = forge_private_pem(keys[i]);
        char *public_pem = forge_public_pem(keys[i]);
        struct token_key *signer = token_key_from_private_pem(bytes_of(private_pem), error);
        ck_assert_msg(signer != NULL, "%s", error);
        struct token_key *key = token_key_from_pem(bytes_of(public_pem),
                                                   i == 0 ? TOKEN_KEY_RSA : TOKEN_KEY_ECDSA, error);
        ck_assert_msg(key != NULL, "%s", error);
        ck_assert_int_eq(token_key_standard(signer), standard[i]);
        ck_assert_ptr_null(token_key_sign(key, standard[i], NULL, bytes_of("{}")));
        for (int round = 0; round < (i == 0 ? 4 : 300); round++) {
            char payload[32];
            (void)snprintf(payload, sizeof(payload), "{\"n\":%d}", round);
            char *token = token_key_sign(signer, standard[i], NULL, bytes_of(payload));
            ck_assert_ptr_nonnull(token);
            const char *last = strrchr(token, '.') + 1;
            ck_assert_uint_eq(strlen(last),
                              (token_key_signature_size(key, standard[i]) * 4 + 2) / 3);
            ck_assert(token_key_verify(key, standard[i], bytes_of(token)));
            token[strlen(token) / 2] ^= 1;
            ck_assert(!token_key_verify(key, standard[i], bytes_of(token)));
            free(token);
        }
        token_key_destroy(signer);
        token_key_destroy(key);
        free(private_pem);
        free(public_pem);
        EVP_PKEY_free(keys[i]);
    }
}
END_TEST

int main(void)
{
    TCase *group = tcase_create("token_key");
    tcase_add_test(group, knows_algorithms);
    tcase_add_test(group, has_secrets);
    tcase_add_test(group, judges_public_keys);
    tcase_add_test(group, judges_texts);
    tcase_add_test(group, takes_pkcs1);
    tcase_add_test(group, refuses_an_encrypted_key);
    tcase_add_test(group, signs_what_it_verifies);
    Suite *suite = suite_create("server/token_key");
    suite_add_tcase(suite, group);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
