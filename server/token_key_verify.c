/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures, checked by OpenSSL and by no library above it: what strangers send must not meet one
 * that takes for granted that there is memory, as libcjose does (LIMITS.md row 46).
 */
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "core/check.h"
#include "proto/base64.h"
#include "server/token_key_state.h"

enum { DER_SIZE_MAX = 144 }; /* bytes: two numbers of the longest curve */

static const EVP_MD *hash_of(enum token_algorithm algorithm)
{
    switch (algorithm) {
    case TOKEN_HS256:
    case TOKEN_RS256:
    case TOKEN_ES256:
        return EVP_sha256();
    case TOKEN_HS384:
    case TOKEN_RS384:
    case TOKEN_ES384:
        return EVP_sha384();
    case TOKEN_HS512:
    case TOKEN_RS512:
    case TOKEN_ES512:
        return EVP_sha512();
    case TOKEN_ALGORITHM_COUNT:
        break;
    }
    NEVER("an algorithm that is none");
}

static bool verify_secret(const struct token_key *key, const EVP_MD *hash, struct bytes text,
                          struct bytes signature)
{
    uint8_t own[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    return HMAC(hash, key->secret, (int)key->secret_size, text.data, text.size, own, &size) !=
               NULL &&
           size == signature.size && CRYPTO_memcmp(own, signature.data, size) == 0;
}

/* r and s, each in half of the bytes (RFC 7518, section 3.4), as OpenSSL takes them. 0: failed. */
static size_t to_der(struct bytes signature, uint8_t der[DER_SIZE_MAX])
{
    const int half = (int)signature.size / 2;
    size_t size = 0;
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature.data, half, NULL);
    BIGNUM *s = BN_bin2bn(signature.data + half, half, NULL);

    if (pair != NULL && r != NULL && s != NULL && ECDSA_SIG_set0(pair, r, s) == 1) {
        const int wanted = i2d_ECDSA_SIG(pair, NULL);
        CHECK(wanted <= DER_SIZE_MAX);
        size = wanted > 0 ? (size_t)i2d_ECDSA_SIG(pair, &der) : 0;
    } else {
        BN_free(r);
        BN_free(s);
    }
    ECDSA_SIG_free(pair);
    return size;
}

static bool verify_public(const struct token_key *key, const EVP_MD *hash, struct bytes text,
                          struct bytes signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    const bool is_good =
        context != NULL && EVP_DigestVerifyInit(context, NULL, hash, NULL, key->pkey) == 1 &&
        EVP_DigestVerify(context, signature.data, signature.size, text.data, text.size) == 1;
    EVP_MD_CTX_free(context);
    return is_good;
}

static bool verify(const struct token_key *key, const EVP_MD *hash, struct bytes text,
                   struct bytes signature)
{
    uint8_t der[DER_SIZE_MAX];

    switch (key->type) {
    case TOKEN_KEY_HMAC:
        return verify_secret(key, hash, text, signature);
    case TOKEN_KEY_RSA:
        return verify_public(key, hash, text, signature);
    case TOKEN_KEY_ECDSA:
        signature = (struct bytes){der, to_der(signature, der)};
        return signature.size > 0 && verify_public(key, hash, text, signature);
    case TOKEN_KEY_TYPE_COUNT:
        break;
    }
    NEVER("a type that is none");
}

bool token_key_verify(const struct token_key *key, enum token_algorithm algorithm,
                      struct bytes token)
{
    uint8_t bytes[TOKEN_KEY_SIGNATURE_SIZE];
    struct bytes signature = {bytes, 0};

    CHECK(token_key_takes(key, algorithm));
    const uint8_t *const dot = memrchr(token.data, '.', token.size);
    CHECK(dot != NULL);
    const struct bytes text = {token.data, (size_t)(dot - token.data)};
    const struct bytes last = {dot + 1, token.size - text.size - 1};
    const bool is_good = base64_size_max(last.size) <= sizeof(bytes) &&
                         base64_decode(BASE64_URL, last, bytes, &signature.size) &&
                         signature.size == token_key_signature_size(key, algorithm) &&
                         verify(key, hash_of(algorithm), text, signature);
    ERR_clear_error();
    return is_good;
}
