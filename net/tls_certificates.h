/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_TLS_CERTIFICATES_H
#define NET_TLS_CERTIFICATES_H
/*
 * The certificates of a server, their keys, and which of them a client is shown: by the name that
 * it asks for (SNI, RFC 6066 3). Of those that are for it OpenSSL takes the one whose kind of key
 * the client understands. Private to net/tls*.c.
 *
 * Owner     a tls_config. Frozen after the last add; then ANY_THREAD.
 * Names     the DNS names in subjectAltName. A wildcard stands for one label (RFC 6125 6.4.3). The
 *           common name is not looked at.
 */
#include <stdbool.h>

#include "core/annot.h"
#include "net/tls_config.h"

struct ssl_ctx_st;
struct ssl_st;
struct tls_certificates; /* opaque */

/* NULL: no memory. */
NODISCARD struct tls_certificates *tls_certificates_create(void);

/* NULL: nothing. */
void tls_certificates_destroy(struct tls_certificates *certificates);

/* At most TLS_CONFIG_CERTIFICATES_MAX. False, and a sentence that names the file. */
NODISCARD bool tls_certificates_add(struct tls_certificates *certificates,
                                    const struct tls_config_server_files *files,
                                    char error[static TLS_CONFIG_ERROR_SIZE]);

/* The first of each kind of key are what everybody is shown. False: no memory. */
NODISCARD bool tls_certificates_install(const struct tls_certificates *certificates,
                                        struct ssl_ctx_st *context);

/* Those for the name that this client asked for, if there are any, instead. False: no memory. */
NODISCARD bool tls_certificates_choose(const struct tls_certificates *certificates,
                                       struct ssl_st *ssl);

#endif /* NET_TLS_CERTIFICATES_H */
