/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of our own, for `parleyd gentoken`: by libcjose, which checks none here. */
#include <cjose/cjose.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#include "core/check.h"
#include "server/token_key_state.h"

static cjose_jwk_t *jwk_of_rsa(const struct token_key *key)
{
    struct token_key_number n = token_key_number(key->pkey, OSSL_PKEY_PARAM_RSA_N);
    struct token_key_number e = token_key_number(key->pkey, OSSL_PKEY_PARAM_RSA_E);
    struct token_key_number d = token_key_number(key->pkey, OSSL_PKEY_PARAM_RSA_D);
    const cjose_jwk_rsa_keyspec spec = {
        .n = n.data,
        .nlen = n.size,
        .e = e.data,
        .elen = e.size,
        .d = d.data,
        .dlen = d.size,
    };
    cjose_err fault;
    cjose_jwk_t *jwk = cjose_jwk_create_RSA_spec(&spec, &fault);
    OPENSSL_cleanse(&d, sizeof(d));
    return jwk;
}

static cjose_jwk_t *jwk_of_point(const struct token_key *key)
{
    static const cjose_jwk_ec_curve curves[TOKEN_KEY_CURVE_COUNT] = {
        CJOSE_JWK_EC_P_256, CJOSE_JWK_EC_P_384, CJOSE_JWK_EC_P_521};
    struct token_key_number x = token_key_number(key->pkey, OSSL_PKEY_PARAM_EC_PUB_X);
    struct token_key_number y = token_key_number(key->pkey, OSSL_PKEY_PARAM_EC_PUB_Y);
    struct token_key_number d = token_key_number(key->pkey, OSSL_PKEY_PARAM_PRIV_KEY);
    const size_t index = token_key_curve(key->pkey);
    CHECK(index < TOKEN_KEY_CURVE_COUNT);
    const cjose_jwk_ec_keyspec spec = {
        .crv = curves[index],
        .x = x.data,
        .xlen = x.size,
        .y = y.data,
        .ylen = y.size,
        .d = d.data,
        .dlen = d.size,
    };
    cjose_err fault;
    cjose_jwk_t *jwk = cjose_jwk_create_EC_spec(&spec, &fault);
    OPENSSL_cleanse(&d, sizeof(d));
    return jwk;
}

static cjose_jwk_t *jwk_of(const struct token_key *key)
{
    cjose_err fault;
    switch (key->type) {
    case TOKEN_KEY_HMAC:
        return cjose_jwk_create_oct_spec(key->secret, key->secret_size, &fault);
    case TOKEN_KEY_RSA:
        return jwk_of_rsa(key);
    case TOKEN_KEY_ECDSA:
        return jwk_of_point(key);
    case TOKEN_KEY_TYPE_COUNT:
        break;
    }
    NEVER("a type that is none");
}

/* OpenSSL wipes the others, cjose not what it keeps itself. */
static void release(cjose_jwk_t *jwk, enum token_key_type type)
{
    cjose_err fault;
    if (jwk != NULL && type == TOKEN_KEY_HMAC) {
        OPENSSL_cleanse(cjose_jwk_get_keydata(jwk, &fault), cjose_jwk_get_keysize(jwk, &fault) / 8);
    }
    (void)cjose_jwk_release(jwk);
}

static bool describe(cjose_header_t *header, enum token_algorithm algorithm, const char *kid)
{
    cjose_err fault;
    return cjose_header_set(header, CJOSE_HDR_ALG, token_key_algorithm_name(algorithm), &fault) &&
           cjose_header_set(header, "typ", "JWT", &fault) &&
           (kid == NULL || cjose_header_set(header, CJOSE_HDR_KID, kid, &fault));
}

char *token_key_sign(const struct token_key *key, enum token_algorithm algorithm, const char *kid,
                     struct bytes payload)
{
    cjose_err fault;
    cjose_jws_t *jws = NULL;
    const char *text = NULL;
    char *copy = NULL;

    CHECK(token_key_takes(key, algorithm));
    cjose_jwk_t *jwk = key->is_private ? jwk_of(key) : NULL;
    cjose_header_t *header = jwk != NULL ? cjose_header_new(&fault) : NULL;
    if (header != NULL && describe(header, algorithm, kid)) {
        jws = cjose_jws_sign(jwk, header, payload.data, payload.size, &fault);
    }
    if (jws != NULL && cjose_jws_export(jws, &text, &fault)) {
        copy = strdup(text);
    }
    cjose_jws_release(jws);
    cjose_header_release(header);
    release(jwk, key->type);
    ERR_clear_error();
    return copy;
}
