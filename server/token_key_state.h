/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TOKEN_KEY_STATE_H
#define SERVER_TOKEN_KEY_STATE_H
/* What a key is. Private to server/token_key*.c. */
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/token_key.h"

enum {
    TOKEN_KEY_NUMBER_SIZE_MAX = TOKEN_KEY_RSA_BITS_MAX / 8, /* bytes of a number of a key */
    TOKEN_KEY_CURVE_COUNT = 3,
};

/* OpenSSL's memory, as all of what is in it: so one number says whether there was some. */
struct token_key {
    enum token_key_type type;
    EVP_PKEY *pkey; /* NULL: it is a secret */
    size_t bits;    /* of the modulus, or of the curve's field */
    bool is_private;
    size_t secret_size; /* bytes */
    uint8_t secret[];
};

/* A number of a key, big-endian. */
struct token_key_number {
    uint8_t data[TOKEN_KEY_NUMBER_SIZE_MAX];
    size_t size; /* bytes; 0: not there, or too long */
};

/* By OpenSSL's name for it. */
struct token_key_number token_key_number(const EVP_PKEY *pkey, const char *name);

/* Which of P-256, P-384 and P-521 it is on; TOKEN_KEY_CURVE_COUNT: none of them. */
NODISCARD size_t token_key_curve(const EVP_PKEY *pkey);

#endif /* SERVER_TOKEN_KEY_STATE_H */
