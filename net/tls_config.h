/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_TLS_CONFIG_H
#define NET_TLS_CONFIG_H
/*
 * What all TLS connections of one listener, or to one server, have in common: certificates, what
 * is trusted, versions, tickets. TLS 1.2 and 1.3, ciphers as OpenSSL has them by default, ALPN
 * "http/1.1", no renegotiation.
 *
 * Owner     counted: whoever made it has one reference; listeners, diallers and connections take
 *           their own. To renew certificates, make a new one and give it to the listeners.
 * Threads   frozen once it is made: every reactor may use the same one.
 * Failures  NULL, and one sentence in `error` that names the file and says what is wrong with it.
 */
#include <stdbool.h>

#include "core/annot.h"

struct tls_config; /* opaque */

enum { TLS_CONFIG_ERROR_SIZE = 512 }; /* bytes with the NUL */

/* Two PEM files: the certificate with its chain behind it, and its key, which has no password. */
struct tls_config_server_files {
    const char *certificate_file;
    const char *key_file;
};

struct tls_config_trust {
    const char *host;    /* name or numeric address that the certificate must be for */
    const char *ca_file; /* PEM; NULL: what the system trusts */
    bool insecure;       /* whoever answers is trusted: neither of the above is looked at */
};

NODISCARD struct tls_config *tls_config_create_server(const struct tls_config_server_files *files,
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
