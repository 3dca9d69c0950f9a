/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_TLS_TICKETS_H
#define NET_TLS_TICKETS_H
/*
 * The keys of session tickets (RFC 5077, RFC 8446 4.6.1): which one encrypts now, which are good
 * still.
 *
 * Time is cut into periods, counted from 1970. The key of a period is derived from a secret and the
 * period's number, so servers that share a secret change their keys at the same moment and need not
 * speak to each other. A ticket is good in the period that it was made in and the two after it; one
 * from the next period, too, for clocks differ.
 *
 * Owner     a plain value, frozen once it is filled; ANY_THREAD.
 * Clock     none: seconds since 1970 are a parameter.
 * File      one to three secrets, one a line, each 64 hexadecimal digits ("openssl rand -hex 32").
 *           The first one makes tickets, the others are those it had before. Empty lines and lines
 *           that begin with # are skipped.
 * Failures  false; from the file also one sentence in `error` that names it.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

enum {
    TLS_TICKETS_SECRETS_MAX = 3,
    TLS_TICKETS_SECRET_SIZE = 32, /* bytes */
    TLS_TICKETS_NAME_SIZE = 16,   /* bytes, as RFC 5077 recommends */
    TLS_TICKETS_PERIODS_OLD = 2,  /* before the present one */
};

struct tls_tickets {
    uint8_t secrets[TLS_TICKETS_SECRETS_MAX][TLS_TICKETS_SECRET_SIZE];
    uint32_t count;      /* of secrets, > 0 */
    uint32_t rotation_s; /* seconds of a period, > 0 */
};

struct tls_tickets_key {
    uint8_t name[TLS_TICKETS_NAME_SIZE]; /* in the ticket, in the clear */
    uint8_t cipher[32];                  /* AES-256 */
    uint8_t mac[32];                     /* HMAC-SHA-256 */
};

enum tls_tickets_age {
    TLS_TICKETS_UNKNOWN = 0, /* too old, or somebody else's */
    TLS_TICKETS_PRESENT,     /* tickets are made with it now */
    TLS_TICKETS_OLD,         /* good, and to be replaced */
};

/* A secret that nobody else has. False: no randomness. */
NODISCARD bool tls_tickets_init_random(struct tls_tickets *tickets, uint32_t rotation_s);

/* The secrets of a file. */
NODISCARD bool tls_tickets_init_file(struct tls_tickets *tickets, const char *file,
                                     uint32_t rotation_s, char *error, size_t error_size);

/* What tickets are made with now. False: no memory. */
NODISCARD bool tls_tickets_present(const struct tls_tickets *tickets, uint64_t now_s,
                                   struct tls_tickets_key *key);

/* The key of that name, unless it is UNKNOWN. */
NODISCARD enum tls_tickets_age tls_tickets_find(const struct tls_tickets *tickets, uint64_t now_s,
                                                const uint8_t name[TLS_TICKETS_NAME_SIZE],
                                                struct tls_tickets_key *key);

#endif /* NET_TLS_TICKETS_H */
