/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_SERVER_TOKEN_FORGE_H
#define TESTS_UNIT_SERVER_TOKEN_FORGE_H
/*
 * Makes tokens, good and forged, with OpenSSL alone: what the server verifies with is not what they
 * are made with. Texts that are returned are the caller's to free.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum {
    FORGE_SIGNATURE_SIZE = 1024, /* bytes */
    FORGE_CURVE_COUNT = 3,
};

#define FORGE_SECRET "0123456789abcdef0123456789abcdef"

struct forge {
    EVP_PKEY *rsa;
    EVP_PKEY *other_rsa;
    EVP_PKEY *ec[FORGE_CURVE_COUNT]; /* P-256, P-384, P-521 */
    EVP_PKEY *other_ec;              /* P-256 */
};

static inline void forge_init(struct forge *forge)
{
    forge->rsa = EVP_RSA_gen(2048);
    forge->other_rsa = EVP_RSA_gen(2048);
    forge->ec[0] = EVP_EC_gen("P-256");
    forge->ec[1] = EVP_EC_gen("P-384");
    forge->ec[2] = EVP_EC_gen("P-521");
    forge->other_ec = EVP_EC_gen("P-256");
    CHECK(forge->rsa != NULL && forge->other_rsa != NULL && forge->other_ec != NULL);
    CHECK(forge->ec[0] != NULL && forge->ec[1] != NULL && forge->ec[2] != NULL);
}

static inline void forge_deinit(struct forge *forge)
{
    EVP_PKEY_free(forge->rsa);
    EVP_PKEY_free(forge->other_rsa);
    EVP_PKEY_free(forge->other_ec);
    for (int i = 0; i < FORGE_CURVE_COUNT; i++) {
        EVP_PKEY_free(forge->ec[i]);
    }
}

/* What was written, with a NUL behind it. */
static inline char *forge_text_of(BIO *bio)
{
    char *text = NULL;
    const size_t size = (size_t)BIO_get_mem_data(bio, &text);
    char *copy = calloc(1, size + 1);
    CHECK(copy != NULL);
    memcpy(copy, text, size);
    BIO_free(bio);
    return copy;
}

static inline char *forge_public_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(bio != NULL && PEM_write_bio_PUBKEY(bio, key) == 1);
    return forge_text_of(bio);
}

static inline char *forge_private_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK(bio != NULL && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    return forge_text_of(bio);
}

static inline char *forge_base64url(const void *data, size_t size)
{
    char *text = malloc((size + 2) / 3 * 4 + 1);
    CHECK(text != NULL);
    int length = EVP_EncodeBlock((unsigned char *)text, data, (int)size);
    while (length > 0 && text[length - 1] == '=') {
        length--;
    }
    text[length] = '\0';
    for (char *at = text; *at != '\0'; at++) {
        *at = *at == '+' ? '-' : *at;
        *at = *at == '/' ? '_' : *at;
    }
    return text;
}

static inline char *forge_number(EVP_PKEY *key, const char *name, int size)
{
    unsigned char data[FORGE_SIGNATURE_SIZE];
    BIGNUM *value = NULL;
    CHECK(EVP_PKEY_get_bn_param(key, name, &value) == 1);
    const int wanted = size > 0 ? size : BN_num_bytes(value);
    CHECK(BN_bn2binpad(value, data, wanted) == wanted);
    BN_free(value);
    return forge_base64url(data, (size_t)wanted);
}

/* A public key as JWK; `more`: further members, with a comma in front, or "". */
static inline char *forge_jwk(EVP_PKEY *key, const char *more)
{
    char *text = NULL;
    if (EVP_PKEY_is_a(key, "RSA") == 1) {
        char *n = forge_number(key, OSSL_PKEY_PARAM_RSA_N, 0);
        char *e = forge_number(key, OSSL_PKEY_PARAM_RSA_E, 0);
        CHECK(asprintf(&text, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"%s}", n, e, more) > 0);
        free(n);
        free(e);
        return text;
    }
    const int bits = EVP_PKEY_get_bits(key);
    char *x = forge_number(key, OSSL_PKEY_PARAM_EC_PUB_X, (bits + 7) / 8);
    char *y = forge_number(key, OSSL_PKEY_PARAM_EC_PUB_Y, (bits + 7) / 8);
    CHECK(asprintf(&text, "{\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"%s\",\"y\":\"%s\"%s}", bits, x,
                   y, more) > 0);
    free(x);
    free(y);
    return text;
}

/* header.payload, what is signed */
static inline char *forge_signed_part(const char *header, const char *payload)
{
    char *text = NULL;
    char *head = forge_base64url(header, strlen(header));
    char *body = forge_base64url(payload, strlen(payload));
    CHECK(asprintf(&text, "%s.%s", head, body) > 0);
    free(head);
    free(body);
    return text;
}

/* Takes `part`, and joins it with a signature. */
static inline char *forge_join(char *part, const void *signature, size_t size)
{
    char *text = NULL;
    char *last = forge_base64url(signature, size);
    CHECK(asprintf(&text, "%s.%s", part, last) > 0);
    free(part);
    free(last);
    return text;
}

static inline const EVP_MD *forge_hash(int bits)
{
    return bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384() : EVP_sha512();
}

static inline char *forge_hmac(const char *header, const char *payload, int bits,
                               const void *secret, size_t secret_size)
{
    unsigned char signature[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    char *part = forge_signed_part(header, payload);
    CHECK(HMAC(forge_hash(bits), secret, (int)secret_size, (const unsigned char *)part,
               strlen(part), signature, &size) != NULL);
    return forge_join(part, signature, size);
}

/* What OpenSSL makes: PKCS #1, or a DER sequence. */
static inline size_t forge_raw(EVP_PKEY *key, int bits, int padding, const char *part,
                               unsigned char signature[FORGE_SIGNATURE_SIZE])
{
    size_t size = FORGE_SIGNATURE_SIZE;
    EVP_PKEY_CTX *inner = NULL;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    CHECK(context != NULL);
    CHECK(EVP_DigestSignInit(context, &inner, forge_hash(bits), NULL, key) == 1);
    CHECK(padding == 0 || EVP_PKEY_CTX_set_rsa_padding(inner, padding) == 1);
    CHECK(EVP_DigestSign(context, signature, &size, (const unsigned char *)part, strlen(part)) ==
          1);
    EVP_MD_CTX_free(context);
    return size;
}

static inline char *forge_rsa(const char *header, const char *payload, EVP_PKEY *key, int bits,
                              int padding)
{
    unsigned char signature[FORGE_SIGNATURE_SIZE];
    char *part = forge_signed_part(header, payload);
    const size_t size = forge_raw(key, bits, padding, part, signature);
    return forge_join(part, signature, size);
}

static inline char *forge_ecdsa_der(const char *header, const char *payload, EVP_PKEY *key,
                                    int bits)
{
    return forge_rsa(header, payload, key, bits, 0);
}

/* r and s, each in half of `size` bytes: RFC 7518, section 3.4. */
static inline char *forge_ecdsa(const char *header, const char *payload, EVP_PKEY *key, int bits,
                                int size)
{
    unsigned char der[FORGE_SIGNATURE_SIZE];
    unsigned char both[FORGE_SIGNATURE_SIZE];
    char *part = forge_signed_part(header, payload);
    const size_t der_size = forge_raw(key, bits, 0, part, der);
    const unsigned char *at = der;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)der_size);
    CHECK(signature != NULL);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_r(signature), both, size / 2) == size / 2);
    CHECK(BN_bn2binpad(ECDSA_SIG_get0_s(signature), both + size / 2, size / 2) == size / 2);
    ECDSA_SIG_free(signature);
    return forge_join(part, both, (size_t)size);
}

#endif /* TESTS_UNIT_SERVER_TOKEN_FORGE_H */
