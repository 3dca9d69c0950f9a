/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_TLS_CONFIG_H
#define NET_TLS_CONFIG_H
/*
 * What all TLS connections of one listener, or to one server, have in common: certificates, what
 * is trusted, versions, tickets. TLS 1.2 and 1.3, ciphers as OpenSSL has them by default, ALPN
 * "http/1.1", no renegotiation, no early data.
 *
 * Certificates  of several that are for the name that the client asks for (SNI), the first of each
 *               kind of key counts; a name that is spelled out goes before a wildcard. Who asks for
 *               no name, or an unknown one, is offered the first ones of all.
 * Tickets       are made and read with keys of our own (net/tls_tickets.h); the session itself is
 *               in the ticket, and nothing is kept here. What was authenticated by a client's
 *               certificate is good only where the same authorities are trusted.
 *
 * Owner     counted: whoever made it has one reference; listeners, diallers and connections take
 *           their own. To renew certificates, make a new one and give it to the listeners.
 * Threads   frozen once it is made: every reactor may use the same one.
 * Failures  NULL, and one sentence in `error` that names the file and says what is wrong with it.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/annot.h"

struct tls_config;  /* opaque */
struct tls_tickets; /* net/tls_tickets.h */

enum {
    TLS_CONFIG_ERROR_SIZE = 512, /* bytes with the NUL */
    TLS_CONFIG_CERTIFICATES_MAX = 64,
};

/* Two PEM files: the certificate with its chain behind it, and its key, which has no password. */
struct tls_config_server_files {
    const char *certificate_file;
    const char *key_file;
};

struct tls_config_server {
    const struct tls_config_server_files *certificates;
    size_t certificate_count;          /* from 1 to TLS_CONFIG_CERTIFICATES_MAX */
    const struct tls_tickets *tickets; /* copied; NULL: no tickets */
    const char *client_ca_file; /* PEM: clients need a certificate of one of these; NULL: none */
    bool only_1_3;              /* TLS 1.2 is refused */
};

struct tls_config_trust {
    const char *host;    /* name or numeric address that the certificate must be for */
    const char *ca_file; /* PEM; NULL: what the system trusts */
    bool insecure;       /* whoever answers is trusted: neither of the above is looked at */
};

NODISCARD struct tls_config *tls_config_create_server(const struct tls_config_server *server,
                                                      char error[static TLS_CONFIG_ERROR_SIZE])
    ANY_THREAD;
NODISCARD struct tls_config *tls_config_create_client(const struct tls_config_trust *trust,
                                                      char error[static TLS_CONFIG_ERROR_SIZE])
    ANY_THREAD;

void tls_config_ref(struct tls_config *config) ANY_THREAD;

/* NULL: nothing. */
void tls_config_unref(struct tls_config *config) ANY_THREAD;

NODISCARD bool tls_config_is_server(const struct tls_config *config);

#endif /* NET_TLS_CONFIG_H */
