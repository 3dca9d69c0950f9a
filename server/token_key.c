/* SPDX-License-Identifier: Apache-2.0 */
#include "server/token_key.h"

#include <cjose/cjose.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum {
    ALGORITHMS_OF_TYPE = 3,
    NUMBER_SIZE_MAX = TOKEN_KEY_RSA_BITS_MAX / 8, /* bytes of a number of a key */
    EXPONENT_SIZE_MAX = 8,                        /* bytes: a longer one makes each check slow */
    NAME_SIZE = 32,
};

struct token_key {
    cjose_jwk_t *jwk;
    enum token_key_type type;
    size_t bits; /* of the modulus, or of the curve's field */
    bool is_private;
};

static const struct {
    const char *name;
    size_t signature_size; /* bytes; 0: the key's */
    size_t bits;           /* of its curve; 0: of no curve */
} algorithms[TOKEN_ALGORITHM_COUNT] = {
    [TOKEN_HS256] = {"HS256", 32, 0},    [TOKEN_HS384] = {"HS384", 48, 0},
    [TOKEN_HS512] = {"HS512", 64, 0},    [TOKEN_RS256] = {"RS256", 0, 0},
    [TOKEN_RS384] = {"RS384", 0, 0},     [TOKEN_RS512] = {"RS512", 0, 0},
    [TOKEN_ES256] = {"ES256", 64, 256},  [TOKEN_ES384] = {"ES384", 96, 384},
    [TOKEN_ES512] = {"ES512", 132, 521},
};

static const struct {
    const char *name;    /* RFC 7518's */
    const char *openssl; /* OpenSSL's */
    cjose_jwk_ec_curve curve;
} curves[] = {
    {"P-256", "prime256v1", CJOSE_JWK_EC_P_256},
    {"P-384", "secp384r1", CJOSE_JWK_EC_P_384},
    {"P-521", "secp521r1", CJOSE_JWK_EC_P_521},
};

enum { CURVE_COUNT = sizeof(curves) / sizeof(curves[0]) };

enum token_algorithm token_key_algorithm(struct bytes name)
{
    int found = 0;
    while (found < TOKEN_ALGORITHM_COUNT &&
           (strlen(algorithms[found].name) != name.size ||
            memcmp(algorithms[found].name, name.data, name.size) != 0)) {
        found++;
    }
    return (enum token_algorithm)found;
}

const char *token_key_algorithm_name(enum token_algorithm algorithm)
{
    CHECK(algorithm < TOKEN_ALGORITHM_COUNT);
    return algorithms[algorithm].name;
}

enum token_key_type token_key_type_of(enum token_algorithm algorithm)
{
    CHECK(algorithm < TOKEN_ALGORITHM_COUNT);
    return (enum token_key_type)((int)algorithm / ALGORITHMS_OF_TYPE);
}

const char *token_key_type_name(enum token_key_type type)
{
    static const char *const names[] = {"an HMAC secret", "an RSA key", "an ECDSA key"};
    CHECK(type < TOKEN_KEY_TYPE_COUNT);
    return names[type];
}

bool token_key_name_is_good(struct bytes kid)
{
    bool is_good = kid.size <= TOKEN_KEY_NAME_SIZE_MAX;
    for (size_t i = 0; is_good && i < kid.size; i++) {
        const uint8_t byte = kid.data[i];
        is_good = (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') ||
                  (byte >= '0' && byte <= '9') || byte == '.' || byte == '_' || byte == '-';
    }
    return is_good;
}

static struct token_key *refuse(char *error, const char *expected, const char *found)
{
    (void)snprintf(error, TOKEN_KEY_ERROR_SIZE, "expected %s, found %s", expected, found);
    return NULL;
}

/* Takes `jwk`, which is NULL when the library could not make it. */
static struct token_key *wrap(cjose_jwk_t *jwk, struct token_key like, char *error)
{
    struct token_key *key = jwk == NULL ? NULL : malloc(sizeof(*key));
    if (key == NULL) {
        (void)cjose_jwk_release(jwk);
        return refuse(error, token_key_type_name(like.type), "one that cannot be used");
    }
    *key = like;
    key->jwk = jwk;
    return key;
}

struct token_key *token_key_from_secret(struct bytes secret, char error[TOKEN_KEY_ERROR_SIZE])
{
    char expected[NAME_SIZE];
    char found[NAME_SIZE];
    cjose_err fault;

    if (secret.size < TOKEN_KEY_SECRET_SIZE_MIN) {
        (void)snprintf(expected, sizeof(expected), "at least %d bytes", TOKEN_KEY_SECRET_SIZE_MIN);
        (void)snprintf(found, sizeof(found), "%zu", secret.size);
        return refuse(error, expected, found);
    }
    return wrap(cjose_jwk_create_oct_spec(secret.data, secret.size, &fault),
                (struct token_key){.type = TOKEN_KEY_HMAC, .is_private = true}, error);
}

/* -- numbers ----------------------------------------------------------------------------------- */

/* A number of a key, big-endian. */
struct number {
    uint8_t data[NUMBER_SIZE_MAX];
    size_t size; /* bytes; 0: not there, or too long */
};

/* Without zeros in front. */
static struct number number_from(struct bytes bytes)
{
    struct number number = {.size = 0};
    while (bytes.size > 0 && bytes.data[0] == 0) {
        bytes.data++;
        bytes.size--;
    }
    if (bytes.size > 0 && bytes.size <= sizeof(number.data)) {
        memcpy(number.data, bytes.data, bytes.size);
        number.size = bytes.size;
    }
    return number;
}

static size_t bits_of(const struct number *number)
{
    size_t bits = 8 * number->size;
    for (uint32_t top = number->data[0]; number->size > 0 && top < 0x80; top <<= 1) {
        bits--;
    }
    return bits;
}

/* `d`: of a private key, else empty. */
static struct token_key *from_rsa(struct number *n, struct number *e, struct number *d, char *error)
{
    const size_t bits = bits_of(n);
    char expected[NAME_SIZE * 2];
    char found[NAME_SIZE];
    cjose_err fault;

    if (bits < TOKEN_KEY_RSA_BITS_MIN || bits > TOKEN_KEY_RSA_BITS_MAX) {
        (void)snprintf(expected, sizeof(expected), "an RSA key of %d to %d bits",
                       TOKEN_KEY_RSA_BITS_MIN, TOKEN_KEY_RSA_BITS_MAX);
        (void)snprintf(found, sizeof(found), "one of %zu", bits);
        return refuse(error, expected, bits == 0 ? "a longer one" : found);
    }
    if (e->size == 0 || e->size > EXPONENT_SIZE_MAX) {
        return refuse(error, "an RSA key with a public exponent of at most 64 bits", "another one");
    }
    const cjose_jwk_rsa_keyspec spec = {
        .n = n->data,
        .nlen = n->size,
        .e = e->data,
        .elen = e->size,
        .d = d->size > 0 ? d->data : NULL,
        .dlen = d->size,
    };
    return wrap(cjose_jwk_create_RSA_spec(&spec, &fault),
                (struct token_key){.type = TOKEN_KEY_RSA, .bits = bits, .is_private = d->size > 0},
                error);
}

/* `index` of the curve; CURVE_COUNT: of none that we take. OpenSSL looks whether it is on it. */
static struct token_key *from_point(size_t index, struct number *x, struct number *y,
                                    struct number *d, char *error)
{
    cjose_err fault;

    if (index == CURVE_COUNT) {
        return refuse(error, "an ECDSA key of the curve P-256, P-384 or P-521", "another one");
    }
    const cjose_jwk_ec_keyspec spec = {
        .crv = curves[index].curve,
        .x = x->data,
        .xlen = x->size,
        .y = y->data,
        .ylen = y->size,
        .d = d->size > 0 ? d->data : NULL,
        .dlen = d->size,
    };
    return wrap(cjose_jwk_create_EC_spec(&spec, &fault),
                (struct token_key){.type = TOKEN_KEY_ECDSA,
                                   .bits = algorithms[TOKEN_ES256 + index].bits,
                                   .is_private = d->size > 0},
                error);
}

struct token_key *token_key_from_rsa(struct bytes n, struct bytes e,
                                     char error[TOKEN_KEY_ERROR_SIZE])
{
    struct number modulus = number_from(n);
    struct number exponent = number_from(e);
    struct number none = {.size = 0};
    struct token_key *key = from_rsa(&modulus, &exponent, &none, error);
    ERR_clear_error();
    return key;
}

struct token_key *token_key_from_point(struct bytes curve, struct bytes x, struct bytes y,
                                       char error[TOKEN_KEY_ERROR_SIZE])
{
    struct number first = number_from(x);
    struct number second = number_from(y);
    struct number none = {.size = 0};
    size_t index = 0;

    while (index < CURVE_COUNT && (strlen(curves[index].name) != curve.size ||
                                   memcmp(curves[index].name, curve.data, curve.size) != 0)) {
        index++;
    }
    struct token_key *key = from_point(index, &first, &second, &none, error);
    ERR_clear_error();
    return key;
}

/* -- PEM --------------------------------------------------------------------------------------- */

static struct number number_of(const EVP_PKEY *pkey, const char *name)
{
    struct number number = {.size = 0};
    BIGNUM *value = NULL;

    if (EVP_PKEY_get_bn_param(pkey, name, &value) == 1 && BN_num_bytes(value) <= NUMBER_SIZE_MAX) {
        number.size = (size_t)BN_bn2bin(value, number.data);
    }
    BN_clear_free(value);
    return number;
}

static size_t curve_of(const EVP_PKEY *pkey)
{
    char name[NAME_SIZE] = "";
    size_t index = 0;

    if (EVP_PKEY_get_group_name(pkey, name, sizeof(name), NULL) != 1) {
        return CURVE_COUNT;
    }
    while (index < CURVE_COUNT && strcmp(curves[index].openssl, name) != 0) {
        index++;
    }
    return index;
}

static struct token_key *from_pkey(const EVP_PKEY *pkey, bool is_private, char *error)
{
    struct token_key *key = NULL;
    struct number d = {.size = 0};

    if (EVP_PKEY_is_a(pkey, "RSA") == 1) {
        struct number n = number_of(pkey, OSSL_PKEY_PARAM_RSA_N);
        struct number e = number_of(pkey, OSSL_PKEY_PARAM_RSA_E);
        if (is_private) {
            d = number_of(pkey, OSSL_PKEY_PARAM_RSA_D);
        }
        key = from_rsa(&n, &e, &d, error);
    } else if (EVP_PKEY_is_a(pkey, "EC") == 1) {
        struct number x = number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_X);
        struct number y = number_of(pkey, OSSL_PKEY_PARAM_EC_PUB_Y);
        if (is_private) {
            d = number_of(pkey, OSSL_PKEY_PARAM_PRIV_KEY);
        }
        key = from_point(curve_of(pkey), &x, &y, &d, error);
    } else {
        (void)refuse(error, "an RSA or ECDSA key", "one of another type");
    }
    OPENSSL_cleanse(&d, sizeof(d));
    return key;
}

/* Without a passphrase nobody is asked for one: the terminal is not ours. */
static EVP_PKEY *decode_pem(struct bytes pem, int selection)
{
    EVP_PKEY *pkey = NULL;
    const unsigned char *data = pem.data;
    size_t size = pem.size;
    OSSL_DECODER_CTX *decoder =
        OSSL_DECODER_CTX_new_for_pkey(&pkey, "PEM", NULL, NULL, selection, NULL, NULL);

    if (decoder != NULL) {
        (void)OSSL_DECODER_CTX_set_passphrase(decoder, (const unsigned char *)"", 0);
        if (OSSL_DECODER_from_data(decoder, &data, &size) != 1) {
            EVP_PKEY_free(pkey);
            pkey = NULL;
        }
        OSSL_DECODER_CTX_free(decoder);
    }
    ERR_clear_error();
    return pkey;
}

static bool has_text(struct bytes pem, const char *text)
{
    return pem.size > 0 && memmem(pem.data, pem.size, text, strlen(text)) != NULL;
}

struct token_key *token_key_from_pem(struct bytes pem, enum token_key_type type,
                                     char error[TOKEN_KEY_ERROR_SIZE])
{
    const char *const expected =
        type == TOKEN_KEY_RSA ? "a public RSA key as PEM" : "a public ECDSA key as PEM";

    CHECK(type == TOKEN_KEY_RSA || type == TOKEN_KEY_ECDSA);
    if (has_text(pem, "PRIVATE KEY")) {
        return refuse(error, expected, "a private one, which parleyd must not have");
    }
    EVP_PKEY *pkey = decode_pem(pem, EVP_PKEY_PUBLIC_KEY);
    if (pkey == NULL) {
        return refuse(error, expected,
                      has_text(pem, "CERTIFICATE") ? "a certificate"
                                                   : "something that cannot be read");
    }
    struct token_key *key = from_pkey(pkey, false, error);
    if (key != NULL && key->type != type) {
        (void)refuse(error, expected, token_key_type_name(key->type));
        token_key_destroy(key);
        key = NULL;
    }
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return key;
}

struct token_key *token_key_from_private_pem(struct bytes pem, char error[TOKEN_KEY_ERROR_SIZE])
{
    EVP_PKEY *pkey = decode_pem(pem, EVP_PKEY_KEYPAIR);
    if (pkey == NULL) {
        return refuse(error, "a private RSA or ECDSA key as PEM without a passphrase",
                      "something that cannot be read");
    }
    struct token_key *key = from_pkey(pkey, true, error);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
    return key;
}

/* -- use --------------------------------------------------------------------------------------- */

void token_key_destroy(struct token_key *key)
{
    if (key != NULL) {
        cjose_err fault;
        /* OpenSSL wipes the others, cjose not what it keeps itself. */
        if (key->type == TOKEN_KEY_HMAC) {
            OPENSSL_cleanse(cjose_jwk_get_keydata(key->jwk, &fault),
                            cjose_jwk_get_keysize(key->jwk, &fault) / 8);
        }
        (void)cjose_jwk_release(key->jwk);
        free(key);
    }
}

enum token_key_type token_key_type(const struct token_key *key)
{
    return key->type;
}

bool token_key_takes(const struct token_key *key, enum token_algorithm algorithm)
{
    return algorithm < TOKEN_ALGORITHM_COUNT && token_key_type_of(algorithm) == key->type &&
           (algorithms[algorithm].bits == 0 || algorithms[algorithm].bits == key->bits);
}

enum token_algorithm token_key_standard(const struct token_key *key)
{
    enum token_algorithm algorithm = TOKEN_HS256;
    while (!token_key_takes(key, algorithm)) {
        algorithm++;
        CHECK(algorithm < TOKEN_ALGORITHM_COUNT);
    }
    return algorithm;
}

size_t token_key_signature_size(const struct token_key *key, enum token_algorithm algorithm)
{
    CHECK(token_key_takes(key, algorithm));
    return key->type == TOKEN_KEY_RSA ? (key->bits + 7) / 8 : algorithms[algorithm].signature_size;
}

bool token_key_verify(const struct token_key *key, enum token_algorithm algorithm,
                      struct bytes token)
{
    cjose_err fault;
    bool is_good = false;

    CHECK(token_key_takes(key, algorithm));
    cjose_jws_t *jws = cjose_jws_import((const char *)token.data, token.size, &fault);
    if (jws != NULL) {
        /* Two readers have read the header, ours and the library's: they must agree. */
        const char *alg = cjose_header_get(cjose_jws_get_protected(jws), CJOSE_HDR_ALG, &fault);
        is_good = alg != NULL && strcmp(alg, algorithms[algorithm].name) == 0 &&
                  cjose_jws_verify(jws, key->jwk, &fault);
        cjose_jws_release(jws);
    }
    ERR_clear_error();
    return is_good;
}

static bool describe(cjose_header_t *header, enum token_algorithm algorithm, const char *kid)
{
    cjose_err fault;
    return cjose_header_set(header, CJOSE_HDR_ALG, algorithms[algorithm].name, &fault) &&
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
    cjose_header_t *header = key->is_private ? cjose_header_new(&fault) : NULL;
    if (header != NULL && describe(header, algorithm, kid)) {
        jws = cjose_jws_sign(key->jwk, header, payload.data, payload.size, &fault);
    }
    if (jws != NULL && cjose_jws_export(jws, &text, &fault)) {
        copy = strdup(text);
    }
    cjose_jws_release(jws);
    cjose_header_release(header);
    ERR_clear_error();
    return copy;
}
