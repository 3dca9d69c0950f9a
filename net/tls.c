/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OpenSSL reads and writes through one BIO of our own: it reads from the view that was fed, and
 * writes into a list of chunks which never move. So nothing is copied on the way in, and the kernel
 * may look at one chunk while OpenSSL writes the next. Memory is taken as OpenSSL takes it, and so
 * counted with it (net/tls_memory.h).
 */
#include "net/tls.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "core/check.h"
#include "net/tls_config.h"
#include "net/tls_private.h"

enum { CHUNK_CAPACITY_MIN = 480 }; /* bytes */

/* Written by OpenSSL, on its way to the kernel. Valid bytes are data[begin, end). */
struct tls_chunk {
    struct tls_chunk *next;
    uint32_t begin;
    uint32_t end;
    uint32_t capacity;
    uint8_t data[];
};

struct tls {
    SSL *ssl;                  /* NULL: nothing was read yet */
    struct tls_config *config; /* one reference */
    struct bytes in;           /* fed and not used yet */
    struct tls_chunk *first;   /* NULL: no output */
    struct tls_chunk *last;
    size_t output_size;    /* bytes in the chunks */
    size_t handshake_size; /* bytes used before the handshake was done */
    const char *detail;    /* OpenSSL's constant text for a fault; may be NULL */
    long verify_result;    /* of a certificate that was not accepted */
    bool is_open;
    bool finished; /* close_notify was written */
    bool writing;  /* in tls_write(): its caller bounds the output */
    enum tls_fault fault;
};

/* --- Memory ---------------------------------------------------------------------------------- */

static int read_fed(BIO *bio, char *target, size_t size, size_t *read)
{
    struct tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (tls->in.size == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    *read = size < tls->in.size ? size : tls->in.size;
    memcpy(target, tls->in.data, *read);
    tls->in.data += *read;
    tls->in.size -= *read;
    if (!tls->is_open) {
        tls->handshake_size += *read;
    }
    return 1;
}

/* Appends an empty chunk. False: no memory. */
static bool add_chunk(struct tls *tls, size_t size)
{
    const size_t capacity = size < CHUNK_CAPACITY_MIN ? CHUNK_CAPACITY_MIN : size;
    struct tls_chunk *chunk =
        capacity > UINT32_MAX ? NULL : OPENSSL_malloc(sizeof(*chunk) + capacity);
    if (chunk == NULL) {
        return false;
    }
    *chunk = (struct tls_chunk){.capacity = (uint32_t)capacity};
    if (tls->first == NULL) {
        tls->first = chunk;
    } else {
        tls->last->next = chunk;
    }
    tls->last = chunk;
    return true;
}

static int write_chunk(BIO *bio, const char *data, size_t size, size_t *written)
{
    struct tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (!tls->writing && tls->output_size + size > TLS_ANSWERS_MAX) {
        tls->fault = TLS_FAULT_FLOOD;
        return 0;
    }
    /* What the kernel may be looking at stays as it is: behind it there may be room. */
    if ((tls->first == NULL || tls->last->capacity - tls->last->end < size) &&
        !add_chunk(tls, size)) {
        tls->fault = TLS_FAULT_MEMORY;
        return 0;
    }
    memcpy(tls->last->data + tls->last->end, data, size);
    tls->last->end += (uint32_t)size;
    tls->output_size += size;
    *written = size;
    return 1;
}

/* Flushing is all that there is to control, and nothing to do. */
static long control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

struct bio_method_st *tls_make_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "parley");
    if (method != NULL && (BIO_meth_set_read_ex(method, read_fed) != 1 ||
                           BIO_meth_set_write_ex(method, write_chunk) != 1 ||
                           BIO_meth_set_ctrl(method, control) != 1)) {
        BIO_meth_free(method);
        return NULL;
    }
    return method;
}

/* --- Faults ---------------------------------------------------------------------------------- */

/* What the peer did wrong, by the reason that OpenSSL gives. */
static enum tls_fault fault_for(int reason)
{
    if (reason > SSL_AD_REASON_OFFSET) {
        return TLS_FAULT_ALERT; /* reasons above are alerts that the peer sent */
    }
    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_WRONG_VERSION_NUMBER:
        return TLS_FAULT_NOT_TLS;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
        return TLS_FAULT_VERSION;
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
    case SSL_R_NO_APPLICATION_PROTOCOL:
        return TLS_FAULT_NO_COMMON;
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
    case SSL_R_ENCRYPTED_LENGTH_TOO_LONG:
    case SSL_R_DATA_LENGTH_TOO_LONG:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
        return TLS_FAULT_RECORD;
    case ERR_R_MALLOC_FAILURE:
        return TLS_FAULT_MEMORY;
    default:
        return TLS_FAULT_PROTOCOL;
    }
}

static enum tls_fault fault_of_certificate(long verify_result)
{
    return verify_result == X509_V_ERR_HOSTNAME_MISMATCH ||
                   verify_result == X509_V_ERR_IP_ADDRESS_MISMATCH
               ? TLS_FAULT_WRONG_HOST
               : TLS_FAULT_UNTRUSTED;
}

/* OpenSSL failed; the first fault is the one that counts. */
static void fail(struct tls *tls)
{
    const int reason = ERR_GET_REASON(ERR_peek_error());

    if (tls->fault != TLS_FAULT_NONE) {
        /* ours, from inside of the BIO */
    } else if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
        tls->verify_result = SSL_get_verify_result(tls->ssl);
        tls->fault = fault_of_certificate(tls->verify_result);
    } else {
        tls->fault = fault_for(reason);
        tls->detail = ERR_reason_error_string(ERR_peek_error());
    }
    ERR_clear_error();
}

/* --- Life ------------------------------------------------------------------------------------ */

struct tls *tls_create(struct tls_config *config)
{
    struct tls *tls = OPENSSL_zalloc(sizeof(*tls));

    if (tls == NULL) {
        ERR_clear_error();
        return NULL;
    }
    tls_config_ref(config);
    tls->config = config;
    return tls;
}

/* OpenSSL's part, which is most of it. False: no memory, and it is as it was. */
static bool begin(struct tls *tls)
{
    struct tls_config *config = tls->config; /* not const: the macro below casts that away */
    SSL *ssl = SSL_new(config->context);
    BIO *bio = BIO_new(config->method);

    if (ssl == NULL || bio == NULL ||
        (config->server_name[0] != '\0' &&
         SSL_set_tlsext_host_name(ssl, config->server_name) != 1)) {
        (void)BIO_free(bio);
        SSL_free(ssl);
        ERR_clear_error();
        return false;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio); /* takes it */
    if (config->is_server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
    }
    tls->ssl = ssl;
    return true;
}

void tls_destroy(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    tls_advance(tls, tls->output_size);
    tls_config_unref(tls->config);
    OPENSSL_free(tls);
}

/* --- In -------------------------------------------------------------------------------------- */

void tls_feed(struct tls *tls, struct bytes ciphertext)
{
    tls->in = ciphertext;
}

static bool is_flood(const struct tls *tls)
{
    const size_t max =
        tls->config->is_server ? TLS_HANDSHAKE_IN_MAX : 4 * (size_t)TLS_HANDSHAKE_IN_MAX;
    return !tls->is_open && tls->handshake_size > max;
}

static enum tls_verdict judge(struct tls *tls, int result)
{
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        if (is_flood(tls)) {
            tls->fault = TLS_FAULT_FLOOD;
            return TLS_FAILED;
        }
        return TLS_NEED_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED;
    default:
        fail(tls);
        return TLS_FAILED;
    }
}

enum tls_verdict tls_read(struct tls *tls, struct span room, size_t *size)
{
    CHECK(room.size > 0);
    if (tls->fault != TLS_FAULT_NONE) {
        return TLS_FAILED;
    }
    if (tls->ssl == NULL && !begin(tls)) {
        tls->fault = TLS_FAULT_MEMORY;
        return TLS_FAILED;
    }
    ERR_clear_error();
    if (!tls->is_open) {
        const int result = SSL_do_handshake(tls->ssl);
        if (result != 1) {
            return judge(tls, result);
        }
        tls->is_open = true;
    }
    size_t read = 0;
    const int result = SSL_read_ex(tls->ssl, room.data, room.size, &read);
    if (tls->fault != TLS_FAULT_NONE) {
        ERR_clear_error();
        return TLS_FAILED; /* an answer could not be written */
    }
    if (result != 1) {
        return judge(tls, result);
    }
    CHECK(read > 0 && read <= room.size);
    *size = read;
    return TLS_BYTES;
}

bool tls_is_open(const struct tls *tls)
{
    return tls->is_open;
}

bool tls_is_shaking(const struct tls *tls)
{
    return !tls->is_open && tls->fault == TLS_FAULT_NONE;
}

/* --- Out ------------------------------------------------------------------------------------- */

bool tls_write(struct tls *tls, struct bytes plaintext)
{
    CHECK(tls->is_open && !tls->finished);
    CHECK(plaintext.size > 0 && plaintext.size <= TLS_RECORD_SIZE_MAX);
    if (tls->fault != TLS_FAULT_NONE) {
        return false;
    }
    size_t written = 0;
    ERR_clear_error();
    tls->writing = true;
    const int result = SSL_write_ex(tls->ssl, plaintext.data, plaintext.size, &written);
    tls->writing = false;
    if (result != 1) {
        fail(tls);
        return false;
    }
    CHECK(written == plaintext.size);
    return true;
}

void tls_finish(struct tls *tls)
{
    if (tls->finished || !tls->is_open || tls->fault != TLS_FAULT_NONE) {
        return;
    }
    tls->finished = true;
    ERR_clear_error();
    /* 0: said, and the peer has not answered. If it fails the FIN has to say it alone. */
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

void tls_give_up(struct tls *tls)
{
    if (tls->fault == TLS_FAULT_NONE) {
        tls->fault = TLS_FAULT_TIMEOUT;
    }
}

size_t tls_output_size(const struct tls *tls)
{
    return tls->output_size;
}

size_t tls_gather(const struct tls *tls, struct iovec *pieces, size_t max)
{
    size_t count = 0;
    for (struct tls_chunk *chunk = tls->first; chunk != NULL && count < max; chunk = chunk->next) {
        pieces[count++] = (struct iovec){.iov_base = chunk->data + chunk->begin,
                                         .iov_len = chunk->end - chunk->begin};
    }
    return count;
}

void tls_advance(struct tls *tls, size_t size)
{
    CHECK(size <= tls->output_size);
    tls->output_size -= size;
    while (tls->first != NULL) {
        struct tls_chunk *chunk = tls->first;
        const size_t left = chunk->end - chunk->begin;
        if (size < left) {
            chunk->begin += (uint32_t)size;
            return;
        }
        size -= left;
        tls->first = chunk->next;
        OPENSSL_free(chunk);
    }
    tls->last = NULL;
}

/* --- Questions ------------------------------------------------------------------------------- */

enum tls_fault tls_fault(const struct tls *tls)
{
    return tls->fault;
}

const char *tls_fault_text(const struct tls *tls)
{
    switch (tls->fault) {
    case TLS_FAULT_NONE:
        return "nothing is wrong";
    case TLS_FAULT_NOT_TLS:
        return "the peer does not speak TLS";
    case TLS_FAULT_VERSION:
        return "there is no TLS version that both sides want";
    case TLS_FAULT_NO_COMMON:
        return "there is no cipher, group or protocol that both sides want";
    case TLS_FAULT_UNTRUSTED:
    case TLS_FAULT_WRONG_HOST:
        return X509_verify_cert_error_string(tls->verify_result);
    case TLS_FAULT_ALERT:
        return tls->detail == NULL ? "the peer gave up with an alert" : tls->detail;
    case TLS_FAULT_RECORD:
        return "a record does not decrypt";
    case TLS_FAULT_PROTOCOL:
        return tls->detail == NULL ? "the peer breaks the TLS protocol" : tls->detail;
    case TLS_FAULT_FLOOD:
        return "the peer sends more than a handshake needs";
    case TLS_FAULT_TIMEOUT:
        return "the TLS handshake took too long";
    case TLS_FAULT_MEMORY:
        return "there is no memory for TLS";
    }
    NEVER("a fault that is none");
}
