/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of a configuration that servers have: certificates, their clients', tickets, ALPN.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/check.h"
#include "net/tls_certificates.h"
#include "net/tls_config.h"
#include "net/tls_private.h"
#include "net/tls_tickets.h"

enum { TICKETS_SENT = 1 }; /* after a handshake of TLS 1.3: a client reconnects once */

static int select_protocol(SSL *ssl, const unsigned char **chosen, unsigned char *chosen_size,
                           const unsigned char *offered, unsigned int offered_size, void *context)
{
    unsigned char *found = NULL;
    (void)ssl;
    (void)context;
    /* Without a protocol in common RFC 7301, 3.2 wants an alert and not a guess. */
    if (SSL_select_next_proto(&found, chosen_size, (const unsigned char *)TLS_ALPN,
                              sizeof(TLS_ALPN) - 1, offered,
                              offered_size) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *chosen = found;
    return SSL_TLSEXT_ERR_OK;
}

/* Comes after SNI was read, and not for a session that is resumed. */
static int choose_certificate(SSL *ssl, void *context)
{
    const struct tls_config *config = context;
    return tls_certificates_choose(config->certificates, ssl) ? 1 : 0;
}

/* --- Tickets --------------------------------------------------------------------------------- */

static bool begin_mac(EVP_MAC_CTX *mac, struct tls_tickets_key *key)
{
    char digest[] = "SHA256";
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

/* What OpenSSL hands over for one ticket: its name and vector, and how it is made or read. */
struct ticket {
    unsigned char *name;
    unsigned char *iv;
    EVP_CIPHER_CTX *cipher;
    EVP_MAC_CTX *mac;
};

static int begin_ticket(const struct tls_config *config, struct ticket ticket)
{
    struct tls_tickets_key key;
    const bool begun =
        tls_tickets_present(&config->tickets, (uint64_t)time(NULL), &key) &&
        RAND_bytes(ticket.iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) == 1 &&
        EVP_EncryptInit_ex(ticket.cipher, EVP_aes_256_cbc(), NULL, key.cipher, ticket.iv) == 1 &&
        begin_mac(ticket.mac, &key);
    if (begun) {
        memcpy(ticket.name, key.name, sizeof(key.name));
    }
    OPENSSL_cleanse(&key, sizeof(key));
    return begun ? 1 : -1;
}

/* 0: a whole handshake; 1: resumed; 2: resumed, and the client gets a new ticket. */
static int read_ticket(const struct tls_config *config, struct ticket ticket, bool renews)
{
    struct tls_tickets_key key;
    const enum tls_tickets_age age =
        tls_tickets_find(&config->tickets, (uint64_t)time(NULL), ticket.name, &key);
    if (age == TLS_TICKETS_UNKNOWN) {
        return 0;
    }
    const bool begun =
        EVP_DecryptInit_ex(ticket.cipher, EVP_aes_256_cbc(), NULL, key.cipher, ticket.iv) == 1 &&
        begin_mac(ticket.mac, &key);
    OPENSSL_cleanse(&key, sizeof(key));
    if (!begun) {
        return -1;
    }
    return age == TLS_TICKETS_OLD || renews ? 2 : 1;
}

static int use_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                          EVP_MAC_CTX *mac, int is_new)
{
    const struct tls_config *config = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const struct ticket ticket = {name, iv, cipher, mac};
    /* RFC 8446, C.4: a client of TLS 1.3 should not use a ticket twice. */
    return is_new != 0 ? begin_ticket(config, ticket)
                       : read_ticket(config, ticket, SSL_version(ssl) >= TLS1_3_VERSION);
}

static bool set_tickets(struct tls_config *config, const struct tls_tickets *tickets)
{
    if (tickets == NULL) {
        (void)SSL_CTX_set_options(config->context, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(config->context, 0) == 1;
    }
    CHECK(tickets->count > 0);
    config->tickets = *tickets;
    (void)SSL_CTX_set_app_data(config->context, config);
    (void)SSL_CTX_set_timeout(config->context,
                              (long)tickets->rotation_s * (TLS_TICKETS_PERIODS_OLD + 1));
    return SSL_CTX_set_tlsext_ticket_key_evp_cb(config->context, use_ticket_key) == 1 &&
           SSL_CTX_set_num_tickets(config->context, TICKETS_SENT) == 1;
}

/* --- Clients' certificates ------------------------------------------------------------------- */

/* The digest of what is trusted. A ticket names that of the session that it is from. */
static bool set_session_context(SSL_CTX *context)
{
    STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(SSL_CTX_get_cert_store(context));
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    bool done = sum != NULL && EVP_DigestInit_ex(sum, EVP_sha256(), NULL) == 1;

    for (int i = 0; done && i < sk_X509_OBJECT_num(objects); i++) {
        const X509 *trusted = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        done = trusted == NULL || (X509_digest(trusted, EVP_sha256(), digest, &size) == 1 &&
                                   EVP_DigestUpdate(sum, digest, size) == 1);
    }
    done = done && EVP_DigestFinal_ex(sum, digest, &size) == 1 &&
           SSL_CTX_set_session_id_context(context, digest, size) == 1;
    EVP_MD_CTX_free(sum);
    return done;
}

static bool set_client_ca(SSL_CTX *context, const char *file,
                          char error[static TLS_CONFIG_ERROR_SIZE])
{
    ERR_clear_error();
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(file); /* what clients are told */
    if (names == NULL || SSL_CTX_load_verify_file(context, file) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return tls_config_refuse(error, "the certificates of clients' authorities in", file);
    }
    SSL_CTX_set_client_CA_list(context, names); /* takes it */
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return set_session_context(context) || tls_config_refuse(error, "the digest of", file);
}

/* --- The whole ------------------------------------------------------------------------------- */

static bool refuse_memory(char error[static TLS_CONFIG_ERROR_SIZE])
{
    (void)snprintf(error, TLS_CONFIG_ERROR_SIZE, "no memory for TLS");
    ERR_clear_error();
    return false;
}

static bool set_certificates(struct tls_config *config, const struct tls_config_server *server,
                             char error[static TLS_CONFIG_ERROR_SIZE])
{
    config->certificates = tls_certificates_create();
    if (config->certificates == NULL) {
        return refuse_memory(error);
    }
    for (size_t i = 0; i < server->certificate_count; i++) {
        if (!tls_certificates_add(config->certificates, &server->certificates[i], error)) {
            return false;
        }
    }
    if (!tls_certificates_install(config->certificates, config->context)) {
        return refuse_memory(error);
    }
    /* Else a chain that is not in the file would be made up of what clients are judged by. */
    (void)SSL_CTX_set_mode(config->context, SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_cert_cb(config->context, choose_certificate, config);
    return true;
}

static bool set_up(struct tls_config *config, const struct tls_config_server *server,
                   char error[static TLS_CONFIG_ERROR_SIZE])
{
    if (!set_certificates(config, server, error)) {
        return false;
    }
    if (server->client_ca_file != NULL &&
        !set_client_ca(config->context, server->client_ca_file, error)) {
        return false;
    }
    if (!set_tickets(config, server->tickets) ||
        (server->only_1_3 && SSL_CTX_set_min_proto_version(config->context, TLS1_3_VERSION) != 1) ||
        SSL_CTX_set_max_early_data(config->context, 0) != 1 ||
        SSL_CTX_set_recv_max_early_data(config->context, 0) != 1) {
        return refuse_memory(error);
    }
    SSL_CTX_set_alpn_select_cb(config->context, select_protocol, NULL);
    return true;
}

struct tls_config *tls_config_create_server(const struct tls_config_server *server,
                                            char error[static TLS_CONFIG_ERROR_SIZE])
{
    CHECK(server->certificate_count > 0);
    CHECK(server->certificate_count <= TLS_CONFIG_CERTIFICATES_MAX);
    struct tls_config *config = tls_config_create(true);
    if (config == NULL) {
        (void)refuse_memory(error);
        return NULL;
    }
    if (!set_up(config, server, error)) {
        tls_config_unref(config);
        return NULL;
    }
    return config;
}
