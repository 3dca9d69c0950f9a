/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_config.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "net/tls_certificates.h"
#include "net/tls_private.h"

bool tls_config_refuse(char error[static TLS_CONFIG_ERROR_SIZE], const char *what, const char *file)
{
    const unsigned long code = ERR_peek_error();
    const char *why = NULL;
    if (ERR_SYSTEM_ERROR(code)) {
        why = strerror(ERR_GET_REASON(code));
    } else if (code != 0) {
        why = ERR_reason_error_string(code);
    }
    (void)BIO_snprintf(error, TLS_CONFIG_ERROR_SIZE, "cannot use %s \"%s\": %s", what, file,
                       why == NULL ? "unknown error" : why);
    ERR_clear_error();
    return false;
}

struct tls_config *tls_config_create(bool is_server)
{
    struct tls_config *config = calloc(1, sizeof(*config));
    if (config == NULL) {
        return NULL;
    }
    atomic_init(&config->references, 1);
    config->is_server = is_server;
    config->method = tls_make_method();
    config->context = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());
    if (config->method == NULL || config->context == NULL ||
        SSL_CTX_set_min_proto_version(config->context, TLS1_2_VERSION) != 1) {
        ERR_clear_error();
        tls_config_unref(config);
        return NULL;
    }
    (void)SSL_CTX_set_options(config->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    /* An idle connection keeps no record buffers. A write is all or nothing in tls.c, so partial
     * writes are not asked for. */
    (void)SSL_CTX_set_mode(config->context, SSL_MODE_RELEASE_BUFFERS);
    /* Tickets carry the state to the client and back; here nothing is kept, and no lock taken. */
    (void)SSL_CTX_set_session_cache_mode(config->context, SSL_SESS_CACHE_OFF);
    return config;
}

/* The certificate has to be for this name, or this address. */
static bool expect_host(struct tls_config *config, const char *host)
{
    X509_VERIFY_PARAM *parameters = SSL_CTX_get0_param(config->context);
    if (X509_VERIFY_PARAM_set1_ip_asc(parameters, host) == 1) {
        return true;
    }
    ERR_clear_error();
    X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(parameters, host, 0) == 1;
}

/* RFC 6066, 3: numeric addresses are not sent as SNI. */
static bool is_address(const char *host)
{
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(host);
    const bool found = address != NULL;
    ASN1_OCTET_STRING_free(address);
    ERR_clear_error();
    return found;
}

static bool set_trust(struct tls_config *config, const struct tls_config_trust *trust,
                      char error[static TLS_CONFIG_ERROR_SIZE])
{
    SSL_CTX *context = config->context;

    ERR_clear_error();
    if (trust->insecure) {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, NULL);
        return true;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    if (trust->ca_file == NULL && SSL_CTX_set_default_verify_paths(context) != 1) {
        return tls_config_refuse(error, "the certificates that are trusted by", "the system");
    }
    if (trust->ca_file != NULL && SSL_CTX_load_verify_file(context, trust->ca_file) != 1) {
        return tls_config_refuse(error, "the trusted certificates in", trust->ca_file);
    }
    return expect_host(config, trust->host) ||
           tls_config_refuse(error, "the host name", trust->host);
}

struct tls_config *tls_config_create_client(const struct tls_config_trust *trust,
                                            char error[static TLS_CONFIG_ERROR_SIZE])
{
    CHECK(trust->host != NULL);
    const size_t host_size = strlen(trust->host);
    if (host_size == 0 || host_size >= TLS_HOST_SIZE_MAX) {
        (void)BIO_snprintf(error, TLS_CONFIG_ERROR_SIZE, "a host name has from 1 to %d characters",
                           TLS_HOST_SIZE_MAX - 1);
        return NULL;
    }
    struct tls_config *config = tls_config_create(false);
    /* The odd one out: 0 is success. */
    if (config == NULL || SSL_CTX_set_alpn_protos(config->context, (const unsigned char *)TLS_ALPN,
                                                  sizeof(TLS_ALPN) - 1) != 0) {
        (void)BIO_snprintf(error, TLS_CONFIG_ERROR_SIZE, "no memory for TLS");
        tls_config_unref(config);
        return NULL;
    }
    if (!set_trust(config, trust, error)) {
        tls_config_unref(config);
        return NULL;
    }
    if (!is_address(trust->host)) {
        memcpy(config->server_name, trust->host, host_size + 1);
    }
    return config;
}

void tls_config_ref(struct tls_config *config)
{
    const uint32_t before = atomic_fetch_add_explicit(&config->references, 1, memory_order_relaxed);
    CHECK(before > 0 && before < UINT32_MAX);
}

void tls_config_unref(struct tls_config *config)
{
    if (config == NULL) {
        return;
    }
    const uint32_t before = atomic_fetch_sub_explicit(&config->references, 1, memory_order_acq_rel);
    CHECK(before > 0);
    if (before == 1) {
        SSL_CTX_free(config->context);
        tls_certificates_destroy(config->certificates);
        OPENSSL_cleanse(&config->tickets, sizeof(config->tickets));
        BIO_meth_free(config->method);
        free(config);
    }
}

bool tls_config_is_server(const struct tls_config *config)
{
    return config->is_server;
}
