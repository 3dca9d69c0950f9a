/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_TLS_PRIVATE_H
#define NET_TLS_PRIVATE_H
/*
 * Shared by tls.c and tls_config.c, the two files that know OpenSSL; so its types have here the
 * names of their structs.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

struct bio_method_st; /* BIO_METHOD */
struct ssl_ctx_st;    /* SSL_CTX */

enum { TLS_HOST_SIZE_MAX = 256 }; /* bytes with the NUL */

struct tls_config {
    /* Up relaxed; down acquire and release, so that who frees it sees what the others did. */
    _Atomic uint32_t references;
    struct ssl_ctx_st *context;
    struct bio_method_st *method; /* from tls_make_method() */
    bool is_server;
    char server_name[TLS_HOST_SIZE_MAX]; /* a client's SNI; "": none */
};

/* How OpenSSL reads and writes: in the memory of a struct tls. NULL: no memory. */
NODISCARD struct bio_method_st *tls_make_method(void);

#endif /* NET_TLS_PRIVATE_H */
