/* SPDX-License-Identifier: Apache-2.0 */
#include "server/token_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "server/token_key_state.h"

enum {
    ALGORITHMS_OF_TYPE = 3,
    EXPONENT_BITS_MAX = 64, /* a longer one makes each check slow */
    NAME_SIZE = 32,
    FIELD_SIZE_MAX = 66,                     /* bytes of a coordinate */
    POINT_SIZE_MAX = 1 + 2 * FIELD_SIZE_MAX, /* bytes: 4, x, y */
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
} curves[TOKEN_KEY_CURVE_COUNT] = {
    {"P-256", "prime256v1"},
    {"P-384", "secp384r1"},
    {"P-521", "secp521r1"},
};

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

struct token_key *token_key_from_secret(struct bytes secret, char error[TOKEN_KEY_ERROR_SIZE])
{
    char expected[NAME_SIZE];
    char found[NAME_SIZE];

    if (secret.size < TOKEN_KEY_SECRET_SIZE_MIN) {
        (void)snprintf(expected, sizeof(expected), "at least %d bytes", TOKEN_KEY_SECRET_SIZE_MIN);
        (void)snprintf(found, sizeof(found), "%zu", secret.size);
        return refuse(error, expected, found);
    }
    struct token_key *key = OPENSSL_zalloc(sizeof(*key) + secret.size);
    if (key == NULL) {
        return refuse(error, token_key_type_name(TOKEN_KEY_HMAC), "no memory for it");
    }
    key->type = TOKEN_KEY_HMAC;
    key->is_private = true;
    key->secret_size = secret.size;
    memcpy(key->secret, secret.data, secret.size);
    return key;
}

/* Takes `pkey`, which is NULL when OpenSSL could not make it. */
static struct token_key *wrap(EVP_PKEY *pkey, enum token_key_type type, size_t bits, char *error)
{
    struct token_key *key = pkey == NULL ? NULL : OPENSSL_zalloc(sizeof(*key));
    if (key == NULL) {
        EVP_PKEY_free(pkey);
        return refuse(error, token_key_type_name(type), "one that cannot be used");
    }
    key->pkey = pkey;
    key->type = type;
    key->bits = bits;
    return key;
}

static const struct {
    const char *expected;
    const char *found;
} other_curve = {"an ECDSA key of the curve P-256, P-384 or P-521", "another one"};

/* -- numbers ----------------------------------------------------------------------------------- */

static size_t bits_of(struct bytes number)
{
    while (number.size > 0 && number.data[0] == 0) {
        number.data++;
        number.size--;
    }
    size_t bits = 8 * number.size;
    for (uint32_t top = number.size > 0 ? number.data[0] : 0x80; top < 0x80; top <<= 1) {
        bits--;
    }
    return bits;
}

/* False: with numbers of these sizes no token is checked. */
static bool rsa_is_good(size_t modulus_bits, size_t exponent_bits, char *error)
{
    char expected[NAME_SIZE * 2];
    char found[NAME_SIZE];

    if (modulus_bits < TOKEN_KEY_RSA_BITS_MIN || modulus_bits > TOKEN_KEY_RSA_BITS_MAX) {
        (void)snprintf(expected, sizeof(expected), "an RSA key of %d to %d bits",
                       TOKEN_KEY_RSA_BITS_MIN, TOKEN_KEY_RSA_BITS_MAX);
        (void)snprintf(found, sizeof(found), "one of %zu", modulus_bits);
        (void)refuse(error, expected, modulus_bits == 0 ? "a longer one" : found);
        return false;
    }
    if (exponent_bits == 0 || exponent_bits > EXPONENT_BITS_MAX) {
        (void)refuse(error, "an RSA key with a public exponent of at most 64 bits", "another one");
        return false;
    }
    return true;
}

static EVP_PKEY *make_public(const char *type, OSSL_PARAM *numbers)
{
    EVP_PKEY *pkey = NULL;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);

    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 ||
        EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, numbers) != 1) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return pkey;
}

/* As OpenSSL takes a number: in the order of this machine. False: it is longer. */
static bool turn(struct bytes number, uint8_t *target, size_t size)
{
    if (bits_of(number) > 8 * size) {
        return false;
    }
    memset(target, 0, size);
    for (size_t i = 0; i < size && i < number.size; i++) {
        target[i] = number.data[number.size - 1 - i];
    }
    return true;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "turn() turns");

struct token_key *token_key_from_rsa(struct bytes n, struct bytes e,
                                     char error[TOKEN_KEY_ERROR_SIZE])
{
    uint8_t modulus[TOKEN_KEY_NUMBER_SIZE_MAX];
    uint8_t exponent[EXPONENT_BITS_MAX / 8];
    const size_t bits = bits_of(n);

    if (!rsa_is_good(bits, bits_of(e), error)) {
        return NULL;
    }
    CHECK(turn(n, modulus, sizeof(modulus)));
    CHECK(turn(e, exponent, sizeof(exponent)));
    OSSL_PARAM numbers[] = {
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_N, modulus, sizeof(modulus)),
        OSSL_PARAM_construct_BN(OSSL_PKEY_PARAM_RSA_E, exponent, sizeof(exponent)),
        OSSL_PARAM_construct_end(),
    };
    return wrap(make_public("RSA", numbers), TOKEN_KEY_RSA, bits, error);
}

/* A coordinate at its place. False: it is longer than those of that curve. */
static bool put(struct bytes number, uint8_t *target, size_t size)
{
    if (bits_of(number) > 8 * size) {
        return false;
    }
    memset(target, 0, size);
    for (size_t i = 0; i < size && i < number.size; i++) {
        target[size - 1 - i] = number.data[number.size - 1 - i];
    }
    return true;
}

/* OpenSSL looks whether it is on the curve. */
struct token_key *token_key_from_point(struct bytes curve, struct bytes x, struct bytes y,
                                       char error[TOKEN_KEY_ERROR_SIZE])
{
    uint8_t point[POINT_SIZE_MAX] = {POINT_CONVERSION_UNCOMPRESSED};
    char name[NAME_SIZE];
    size_t index = 0;

    while (index < TOKEN_KEY_CURVE_COUNT &&
           (strlen(curves[index].name) != curve.size ||
            memcmp(curves[index].name, curve.data, curve.size) != 0)) {
        index++;
    }
    if (index == TOKEN_KEY_CURVE_COUNT) {
        return refuse(error, other_curve.expected, other_curve.found);
    }
    const size_t bits = algorithms[TOKEN_ES256 + index].bits;
    const size_t size = (bits + 7) / 8;
    if (!put(x, point + 1, size) || !put(y, point + 1 + size, size)) {
        return refuse(error, token_key_type_name(TOKEN_KEY_ECDSA), "one that cannot be used");
    }
    (void)snprintf(name, sizeof(name), "%s", curves[index].openssl);
    OSSL_PARAM numbers[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 0),
        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size),
        OSSL_PARAM_construct_end(),
    };
    return wrap(make_public("EC", numbers), TOKEN_KEY_ECDSA, bits, error);
}

/* -- PEM --------------------------------------------------------------------------------------- */

struct token_key_number token_key_number(const EVP_PKEY *pkey, const char *name)
{
    struct token_key_number number = {.size = 0};
    BIGNUM *value = NULL;

    if (EVP_PKEY_get_bn_param(pkey, name, &value) == 1 &&
        BN_num_bytes(value) <= TOKEN_KEY_NUMBER_SIZE_MAX) {
        number.size = (size_t)BN_bn2bin(value, number.data);
    }
    BN_clear_free(value);
    return number;
}

size_t token_key_curve(const EVP_PKEY *pkey)
{
    char name[NAME_SIZE] = "";
    size_t index = 0;

    if (EVP_PKEY_get_group_name(pkey, name, sizeof(name), NULL) != 1) {
        return TOKEN_KEY_CURVE_COUNT;
    }
    while (index < TOKEN_KEY_CURVE_COUNT && strcmp(curves[index].openssl, name) != 0) {
        index++;
    }
    return index;
}

/* 0: it is not there, or too long. */
static size_t number_bits(const EVP_PKEY *pkey, const char *name)
{
    const struct token_key_number number = token_key_number(pkey, name);
    return bits_of((struct bytes){number.data, number.size});
}

/* Of which type it is, and its size. False: none that we take, and an error. */
static bool judge(const EVP_PKEY *pkey, enum token_key_type *type, size_t *bits, char *error)
{
    if (EVP_PKEY_is_a(pkey, "RSA") == 1) {
        *type = TOKEN_KEY_RSA;
        *bits = number_bits(pkey, OSSL_PKEY_PARAM_RSA_N);
        return rsa_is_good(*bits, number_bits(pkey, OSSL_PKEY_PARAM_RSA_E), error);
    }
    if (EVP_PKEY_is_a(pkey, "EC") != 1) {
        (void)refuse(error, "an RSA or ECDSA key", "one of another type");
        return false;
    }
    const size_t index = token_key_curve(pkey);
    if (index == TOKEN_KEY_CURVE_COUNT) {
        (void)refuse(error, other_curve.expected, other_curve.found);
        return false;
    }
    *type = TOKEN_KEY_ECDSA;
    *bits = algorithms[TOKEN_ES256 + index].bits;
    return true;
}

/* Takes `pkey`. */
static struct token_key *from_pkey(EVP_PKEY *pkey, bool is_private, char *error)
{
    enum token_key_type type = TOKEN_KEY_RSA;
    size_t bits = 0;

    if (!judge(pkey, &type, &bits, error)) {
        EVP_PKEY_free(pkey);
        return NULL;
    }
    struct token_key *key = wrap(pkey, type, bits, error);
    if (key != NULL) {
        key->is_private = is_private;
    }
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
    ERR_clear_error();
    return key;
}

/* -- use --------------------------------------------------------------------------------------- */

void token_key_destroy(struct token_key *key)
{
    if (key != NULL) {
        EVP_PKEY_free(key->pkey); /* which wipes what was private */
        OPENSSL_clear_free(key, sizeof(*key) + key->secret_size);
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
