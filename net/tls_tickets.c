/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_tickets.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"

enum {
    LINE_SIZE = 256,   /* bytes; a longer one is none */
    LINES_MAX = 1024,  /* comments included: somebody else's file is not read to its end */
    DERIVED_SIZE = 64, /* bytes of HMAC-SHA-512 */
    MESSAGE_SIZE = 1 + 8,
};

/* What a part of a key is derived for. */
enum purpose {
    PURPOSE_NAME = 1,
    PURPOSE_KEYS = 2,
};

/* HMAC-SHA-512 of purpose and period under the secret: what RFC 5869 expands with, in one block. */
static bool derive(const uint8_t secret[TLS_TICKETS_SECRET_SIZE], enum purpose purpose,
                   uint64_t period, uint8_t derived[DERIVED_SIZE])
{
    uint8_t message[MESSAGE_SIZE] = {(uint8_t)purpose};
    unsigned size = 0;

    for (size_t i = 0; i < 8; i++) {
        message[1 + i] = (uint8_t)(period >> (56 - 8 * i));
    }
    return HMAC(EVP_sha512(), secret, TLS_TICKETS_SECRET_SIZE, message, sizeof(message), derived,
                &size) != NULL &&
           size == DERIVED_SIZE;
}

static bool derive_name(const uint8_t secret[TLS_TICKETS_SECRET_SIZE], uint64_t period,
                        uint8_t name[TLS_TICKETS_NAME_SIZE])
{
    uint8_t derived[DERIVED_SIZE];
    const bool done = derive(secret, PURPOSE_NAME, period, derived);
    if (done) {
        memcpy(name, derived, TLS_TICKETS_NAME_SIZE);
    }
    return done;
}

static bool derive_key(const uint8_t secret[TLS_TICKETS_SECRET_SIZE], uint64_t period,
                       struct tls_tickets_key *key)
{
    uint8_t derived[DERIVED_SIZE];
    const bool done =
        derive_name(secret, period, key->name) && derive(secret, PURPOSE_KEYS, period, derived);
    if (done) {
        memcpy(key->cipher, derived, sizeof(key->cipher));
        memcpy(key->mac, derived + sizeof(key->cipher), sizeof(key->mac));
    }
    OPENSSL_cleanse(derived, sizeof(derived));
    return done;
}

bool tls_tickets_init_random(struct tls_tickets *tickets, uint32_t rotation_s)
{
    CHECK(rotation_s > 0);
    *tickets = (struct tls_tickets){.count = 1, .rotation_s = rotation_s};
    return RAND_priv_bytes(tickets->secrets[0], TLS_TICKETS_SECRET_SIZE) == 1;
}

static bool read_secret(const char *line, uint8_t secret[TLS_TICKETS_SECRET_SIZE])
{
    if (strspn(line, "0123456789abcdefABCDEF") != 2 * (size_t)TLS_TICKETS_SECRET_SIZE ||
        line[2 * (size_t)TLS_TICKETS_SECRET_SIZE] != '\0') {
        return false;
    }
    for (size_t i = 0; i < TLS_TICKETS_SECRET_SIZE; i++) {
        secret[i] = (uint8_t)((OPENSSL_hexchar2int((unsigned char)line[2 * i]) << 4) |
                              OPENSSL_hexchar2int((unsigned char)line[2 * i + 1]));
    }
    return true;
}

/* What is wrong with the file, or NULL. `number` is the line that it is about. */
static const char *read_lines(FILE *stream, struct tls_tickets *tickets, unsigned *number)
{
    char line[LINE_SIZE];
    const char *fault = NULL;

    *number = 0;
    while (fault == NULL && fgets(line, sizeof(line), stream) != NULL) {
        size_t size = strlen(line);
        ++*number;
        while (size > 0 && isspace((unsigned char)line[size - 1])) {
            line[--size] = '\0';
        }
        if (size == 0 || line[0] == '#') {
            fault = *number == LINES_MAX ? "has too many lines" : NULL;
        } else if (tickets->count == TLS_TICKETS_SECRETS_MAX) {
            fault = "has more than three secrets";
        } else if (!read_secret(line, tickets->secrets[tickets->count])) {
            fault = "is not 64 hexadecimal digits (openssl rand -hex 32)";
        } else {
            tickets->count++;
        }
    }
    OPENSSL_cleanse(line, sizeof(line));
    if (fault == NULL && ferror(stream) != 0) {
        return "cannot be read";
    }
    return fault == NULL && tickets->count == 0 ? "has no secret" : fault;
}

bool tls_tickets_init_file(struct tls_tickets *tickets, const char *file, uint32_t rotation_s,
                           char *error, size_t error_size)
{
    CHECK(rotation_s > 0);
    FILE *stream = fopen(file, "re");
    if (stream == NULL) {
        (void)snprintf(error, error_size, "cannot use the ticket keys in \"%s\": %s", file,
                       strerror(errno));
        return false;
    }
    struct tls_tickets read = {.rotation_s = rotation_s};
    unsigned line = 0;
    const char *fault = read_lines(stream, &read, &line);
    (void)fclose(stream); /* only read from */
    if (fault == NULL) {
        *tickets = read;
    } else {
        (void)snprintf(error, error_size, "cannot use the ticket keys in \"%s\": line %u %s", file,
                       line, fault);
    }
    OPENSSL_cleanse(&read, sizeof(read));
    return fault == NULL;
}

bool tls_tickets_present(const struct tls_tickets *tickets, uint64_t now_s,
                         struct tls_tickets_key *key)
{
    CHECK(tickets->count > 0);
    return derive_key(tickets->secrets[0], now_s / tickets->rotation_s, key);
}

enum tls_tickets_age tls_tickets_find(const struct tls_tickets *tickets, uint64_t now_s,
                                      const uint8_t name[TLS_TICKETS_NAME_SIZE],
                                      struct tls_tickets_key *key)
{
    const uint64_t present = now_s / tickets->rotation_s;
    const uint64_t first =
        present < TLS_TICKETS_PERIODS_OLD ? 0 : present - TLS_TICKETS_PERIODS_OLD;

    for (uint32_t i = 0; i < tickets->count; i++) {
        for (uint64_t period = first; period <= present + 1; period++) {
            uint8_t candidate[TLS_TICKETS_NAME_SIZE];
            /* The name is no secret, so the time that comparing takes tells nothing. */
            if (!derive_name(tickets->secrets[i], period, candidate) ||
                memcmp(candidate, name, sizeof(candidate)) != 0) {
                continue;
            }
            if (!derive_key(tickets->secrets[i], period, key)) {
                return TLS_TICKETS_UNKNOWN;
            }
            return i == 0 && period == present ? TLS_TICKETS_PRESENT : TLS_TICKETS_OLD;
        }
    }
    return TLS_TICKETS_UNKNOWN;
}
