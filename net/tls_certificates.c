/* SPDX-License-Identifier: Apache-2.0 */
#include "net/tls_certificates.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/check.h"
#include "net/tls_private.h"

enum { NAMES_MAX = 256 }; /* of one certificate */

struct certificate {
    SSL_CTX *holder; /* holds certificate, chain and key, and is used for nothing else */
    char **names;
    size_t name_count;
};

struct tls_certificates {
    size_t count;
    struct certificate items[TLS_CONFIG_CERTIFICATES_MAX];
};

struct tls_certificates *tls_certificates_create(void)
{
    return calloc(1, sizeof(struct tls_certificates));
}

static void certificate_deinit(struct certificate *certificate)
{
    for (size_t i = 0; i < certificate->name_count; i++) {
        free(certificate->names[i]);
    }
    free(certificate->names);
    SSL_CTX_free(certificate->holder);
}

void tls_certificates_destroy(struct tls_certificates *certificates)
{
    if (certificates == NULL) {
        return;
    }
    for (size_t i = 0; i < certificates->count; i++) {
        certificate_deinit(&certificates->items[i]);
    }
    free(certificates);
}

/* --- Reading --------------------------------------------------------------------------------- */

/* A key with a password is refused: nobody is there to be asked. */
static int have_no_password(char *password, int size, int is_writing, void *context)
{
    (void)password;
    (void)size;
    (void)is_writing;
    (void)context;
    return 0;
}

static bool load(SSL_CTX *holder, const struct tls_config_server_files *files,
                 char error[static TLS_CONFIG_ERROR_SIZE])
{
    SSL_CTX_set_default_passwd_cb(holder, have_no_password);
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(holder, files->certificate_file) != 1) {
        return tls_config_refuse(error, "the certificate chain in", files->certificate_file);
    }
    const X509 *leaf = SSL_CTX_get0_certificate(holder);
    /* A key of another kind is loaded beside the certificate, and is none for it all the same. */
    if (SSL_CTX_use_PrivateKey_file(holder, files->key_file, SSL_FILETYPE_PEM) != 1 ||
        X509_check_private_key(leaf, SSL_CTX_get0_privatekey(holder)) != 1) {
        return tls_config_refuse(error, "the private key in", files->key_file);
    }
    return true;
}

/* A name with a zero byte in it is nobody's. */
static bool add_name(struct certificate *certificate, const GENERAL_NAME *name)
{
    if (name->type != GEN_DNS) {
        return true;
    }
    const char *text = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
    const size_t size = (size_t)ASN1_STRING_length(name->d.dNSName);
    if (memchr(text, '\0', size) != NULL) {
        return true;
    }
    char *copy = strndup(text, size);
    if (copy != NULL) {
        certificate->names[certificate->name_count++] = copy;
    }
    return copy != NULL;
}

static bool read_names(struct certificate *certificate)
{
    const X509 *leaf = SSL_CTX_get0_certificate(certificate->holder);
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    const int found = sk_GENERAL_NAME_num(names); /* -1: there are none */
    const size_t count = found < 0 ? 0 : (size_t)(found < NAMES_MAX ? found : NAMES_MAX);

    certificate->names = calloc(count + 1, sizeof(*certificate->names));
    bool done = certificate->names != NULL;
    for (size_t i = 0; done && i < count; i++) {
        done = add_name(certificate, sk_GENERAL_NAME_value(names, (int)i));
    }
    GENERAL_NAMES_free(names);
    ERR_clear_error();
    return done;
}

bool tls_certificates_add(struct tls_certificates *certificates,
                          const struct tls_config_server_files *files,
                          char error[static TLS_CONFIG_ERROR_SIZE])
{
    CHECK(certificates->count < TLS_CONFIG_CERTIFICATES_MAX);
    CHECK(files->certificate_file != NULL);
    CHECK(files->key_file != NULL);
    struct certificate added = {.holder = SSL_CTX_new(TLS_server_method())};
    if (added.holder == NULL) {
        (void)snprintf(error, TLS_CONFIG_ERROR_SIZE, "no memory for TLS");
        return false;
    }
    if (!load(added.holder, files, error)) {
        certificate_deinit(&added);
        return false;
    }
    if (!read_names(&added)) {
        (void)snprintf(error, TLS_CONFIG_ERROR_SIZE, "no memory for TLS");
        certificate_deinit(&added);
        return false;
    }
    certificates->items[certificates->count++] = added;
    return true;
}

/* --- Choosing -------------------------------------------------------------------------------- */

/* Chain and key as well; they are counted, not copied. */
static bool parts_of(const struct certificate *certificate, X509 **leaf, EVP_PKEY **key,
                     STACK_OF(X509) * *chain)
{
    *leaf = SSL_CTX_get0_certificate(certificate->holder);
    *key = SSL_CTX_get0_privatekey(certificate->holder);
    return SSL_CTX_get0_chain_certs(certificate->holder, chain) == 1;
}

/* In reverse, so that of each kind of key the first one stays. */
bool tls_certificates_install(const struct tls_certificates *certificates,
                              struct ssl_ctx_st *context)
{
    for (size_t i = certificates->count; i > 0; i--) {
        X509 *leaf = NULL;
        EVP_PKEY *key = NULL;
        STACK_OF(X509) *chain = NULL;
        if (!parts_of(&certificates->items[i - 1], &leaf, &key, &chain) ||
            SSL_CTX_use_cert_and_key(context, leaf, key, chain, 1) != 1) {
            ERR_clear_error();
            return false;
        }
    }
    return true;
}

static bool name_fits(const char *pattern, const char *name, bool by_wildcard)
{
    if (!by_wildcard) {
        return strcasecmp(pattern, name) == 0;
    }
    const char *dot = strchr(name, '.');
    return pattern[0] == '*' && pattern[1] == '.' && dot != NULL && dot != name &&
           strcasecmp(pattern + 1, dot) == 0;
}

static bool is_for(const struct certificate *certificate, const char *name, bool by_wildcard)
{
    for (size_t i = 0; i < certificate->name_count; i++) {
        if (name_fits(certificate->names[i], name, by_wildcard)) {
            return true;
        }
    }
    return false;
}

/* How many are for this name; -1: no memory. */
static int use_those_for(const struct tls_certificates *certificates, SSL *ssl, const char *name,
                         bool by_wildcard)
{
    int count = 0;

    for (size_t i = certificates->count; i > 0; i--) {
        X509 *leaf = NULL;
        EVP_PKEY *key = NULL;
        STACK_OF(X509) *chain = NULL;
        const struct certificate *certificate = &certificates->items[i - 1];
        if (!is_for(certificate, name, by_wildcard)) {
            continue;
        }
        if (count == 0) {
            SSL_certs_clear(ssl);
        }
        if (!parts_of(certificate, &leaf, &key, &chain) ||
            SSL_use_cert_and_key(ssl, leaf, key, chain, 1) != 1) {
            return -1;
        }
        count++;
    }
    return count;
}

bool tls_certificates_choose(const struct tls_certificates *certificates, struct ssl_st *ssl)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    if (certificates->count == 1 || name == NULL) {
        return true;
    }
    const int exact = use_those_for(certificates, ssl, name, false);
    return exact > 0 || (exact == 0 && use_those_for(certificates, ssl, name, true) >= 0);
}
