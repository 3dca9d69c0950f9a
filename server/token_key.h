/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TOKEN_KEY_H
#define SERVER_TOKEN_KEY_H
/*
 * One key, and the signatures that it makes or checks: RFC 7515 and 7518. They are checked by
 * OpenSSL, and made, for gentoken, by libcjose.
 *
 * A key knows its type, and a type its algorithms: what a token says of itself chooses among these
 * and never adds one, so that a public RSA key cannot be used as an HMAC secret, nor `none` be
 * an algorithm. The libraries check neither that, nor how long a secret or a signature is, nor
 * which curve an algorithm has: that is done here, before they are called.
 *
 * Owner     who created it; frozen from then on, so any number of threads may check with it.
 * Failures  creating: NULL and "expected ..., found ...", which never contains any of the key. When
 *           memory is out the libraries say no more than that it went wrong; so does this, and
 *           tls_memory_refused() has grown.
 * Not here  which key a token is checked with (token_keys.h), what it says (token.h).
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/annot.h"
#include "core/bytes.h"

enum {
    TOKEN_KEY_ERROR_SIZE = 256,      /* bytes: each error text */
    TOKEN_KEY_SECRET_SIZE_MIN = 32,  /* bytes: as many as SHA-256 has, RFC 7518, section 3.2 */
    TOKEN_KEY_RSA_BITS_MIN = 2048,   /* RFC 7518, section 3.3 */
    TOKEN_KEY_RSA_BITS_MAX = 8192,   /* above, one signature costs a millisecond */
    TOKEN_KEY_SIGNATURE_SIZE = 1024, /* bytes: that of the longest RSA key */
    TOKEN_KEY_NAME_SIZE_MAX = 128,   /* bytes of a `kid` */
};

enum token_key_type {
    TOKEN_KEY_HMAC = 0,
    TOKEN_KEY_RSA,
    TOKEN_KEY_ECDSA,
    TOKEN_KEY_TYPE_COUNT,
};

/* Three for each type, in its order. */
enum token_algorithm {
    TOKEN_HS256 = 0,
    TOKEN_HS384,
    TOKEN_HS512,
    TOKEN_RS256,
    TOKEN_RS384,
    TOKEN_RS512,
    TOKEN_ES256,
    TOKEN_ES384,
    TOKEN_ES512,
    TOKEN_ALGORITHM_COUNT, /* none of them */
};

struct token_key; /* opaque */

/* TOKEN_ALGORITHM_COUNT when it is none that we take; names are case-sensitive. */
NODISCARD enum token_algorithm token_key_algorithm(struct bytes name);
const char *token_key_algorithm_name(enum token_algorithm algorithm);
NODISCARD enum token_key_type token_key_type_of(enum token_algorithm algorithm);
const char *token_key_type_name(enum token_key_type type);

/* Is `kid` one that a key may have? Letters, digits, dot, underscore and minus; or nothing. */
NODISCARD bool token_key_name_is_good(struct bytes kid);

NODISCARD struct token_key *token_key_from_secret(struct bytes secret,
                                                  char error[TOKEN_KEY_ERROR_SIZE]);

/* A public key of that type, as PEM: SubjectPublicKeyInfo, or PKCS #1 for RSA. */
NODISCARD struct token_key *token_key_from_pem(struct bytes pem, enum token_key_type type,
                                               char error[TOKEN_KEY_ERROR_SIZE]);

/* Public keys from their numbers, big-endian; `curve` is P-256, P-384 or P-521. */
NODISCARD struct token_key *token_key_from_rsa(struct bytes n, struct bytes e,
                                               char error[TOKEN_KEY_ERROR_SIZE]);
NODISCARD struct token_key *token_key_from_point(struct bytes curve, struct bytes x, struct bytes y,
                                                 char error[TOKEN_KEY_ERROR_SIZE]);

/* A private key of either type, without a passphrase: for token_key_sign(). */
NODISCARD struct token_key *token_key_from_private_pem(struct bytes pem,
                                                       char error[TOKEN_KEY_ERROR_SIZE]);

/* Overwrites what was secret. NULL: nothing. */
void token_key_destroy(struct token_key *key);

NODISCARD enum token_key_type token_key_type(const struct token_key *key);

/* The algorithm of a curve; the shortest of the other types: what gentoken takes. */
NODISCARD enum token_algorithm token_key_standard(const struct token_key *key);

/* Is it one of the key's type, and of its curve? */
NODISCARD bool token_key_takes(const struct token_key *key, enum token_algorithm algorithm);

/* Bytes of each signature by `algorithm`, one of those that it takes. */
NODISCARD size_t token_key_signature_size(const struct token_key *key,
                                          enum token_algorithm algorithm);

/*
 * Is the last part of `token` the key's signature of the others? `token` is what token.c has taken
 * apart already: three parts of strict base64url, a header of that algorithm, and a signature of
 * that size. False also when memory is out.
 */
NODISCARD bool token_key_verify(const struct token_key *key, enum token_algorithm algorithm,
                                struct bytes token);

/*
 * A whole token with that payload, to be freed; NULL when it cannot sign, or memory is out. `kid`:
 * what its header calls the key; NULL: nothing.
 */
NODISCARD char *token_key_sign(const struct token_key *key, enum token_algorithm algorithm,
                               const char *kid, struct bytes payload);

#endif /* SERVER_TOKEN_KEY_H */
