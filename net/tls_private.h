/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_TLS_PRIVATE_H
#define NET_TLS_PRIVATE_H
/*
 * Shared by the files net/tls*.c, which know OpenSSL; its types have here the names of their
 * structs.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "net/tls_config.h"
#include "net/tls_tickets.h"

struct bio_method_st;    /* BIO_METHOD */
struct ssl_ctx_st;       /* SSL_CTX */
struct tls_certificates; /* net/tls_certificates.h */

#define TLS_ALPN "\x08http/1.1" /* as on the wire: each name after its size */

enum { TLS_HOST_SIZE_MAX = 256 }; /* bytes with the NUL */

struct tls_config {
    /* Up relaxed; down acquire and release, so that who frees it sees what the others did. */
    _Atomic uint32_t references;
    struct ssl_ctx_st *context;
    struct bio_method_st *method;          /* from tls_make_method() */
    struct tls_certificates *certificates; /* a server's, to choose from; else NULL */
    struct tls_tickets tickets;            /* a server's; count 0: none */
    bool is_server;
    char server_name[TLS_HOST_SIZE_MAX]; /* a client's SNI; "": none */
};

/* One that has neither certificates nor trust yet. NULL: no memory. */
NODISCARD struct tls_config *tls_config_create(bool is_server);

/* Says what cannot be used, with OpenSSL's first complaint; returns false. */
bool tls_config_refuse(char error[static TLS_CONFIG_ERROR_SIZE], const char *what,
                       const char *file);

/* How OpenSSL reads and writes: in the memory of a struct tls. NULL: no memory. */
NODISCARD struct bio_method_st *tls_make_method(void);

#endif /* NET_TLS_PRIVATE_H */
