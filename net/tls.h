/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_TLS_H
#define NET_TLS_H
/*
 * TLS of one connection, as a filter: ciphertext in, plaintext out, and the other way round. It
 * knows no socket and no clock.
 *
 *     tls_feed()  -> tls_read(), until TLS_NEED_MORE     what was received
 *     tls_write() -> tls_gather(), tls_advance()         what is to be sent
 *
 * Reading may write, too: the handshake, alerts, answers to key updates. So look at the output
 * after each tls_read(). A client's first flight is made by a tls_read() that was fed nothing.
 *
 * Owner     a connection.
 * Memory    OpenSSL's part is made by the first tls_read(): who is sent away before it sent
 *           anything costs next to nothing. No buffer while nothing is under way, but for a record
 *           that has not come whole: at most 16 KiB of plaintext. What was written and not advanced
 *           over stays where it is.
 * Failures  the peer's, an enum; after one of them tls_read() says TLS_FAILED for ever. There may
 *           be an alert in the output, which is worth sending.
 * Bounds    before the handshake is done TLS_HANDSHAKE_IN_MAX bytes may come, and at any time
 *           TLS_ANSWERS_MAX bytes of answers wait to be sent: beyond that it is TLS_FAULT_FLOOD.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "core/annot.h"
#include "core/bytes.h"

struct tls;        /* opaque */
struct tls_config; /* net/tls_config.h */

enum {
    TLS_RECORD_SIZE_MAX = 16384,      /* bytes of plaintext in one record */
    TLS_RECORD_COST_MAX = 256,        /* bytes that a record is longer than its plaintext */
    TLS_HANDSHAKE_IN_MAX = 64 * 1024, /* bytes from a client; from a server four times that */
    TLS_ANSWERS_MAX = 128 * 1024,     /* bytes of output at which reading writes no more */
};

enum tls_verdict {
    TLS_BYTES,     /* plaintext */
    TLS_NEED_MORE, /* everything that was fed is used */
    TLS_ENDED,     /* the peer said that it sends no more (close_notify) */
    TLS_FAILED,    /* tls_fault() */
};

enum tls_fault {
    TLS_FAULT_NONE = 0,
    TLS_FAULT_NOT_TLS,    /* plain HTTP, or no record of TLS at all */
    TLS_FAULT_VERSION,    /* no version in common */
    TLS_FAULT_NO_COMMON,  /* no cipher, group, signature or ALPN protocol in common */
    TLS_FAULT_UNTRUSTED,  /* the server's certificate is not trusted */
    TLS_FAULT_WRONG_HOST, /* it is for another host */
    TLS_FAULT_ALERT,      /* the peer gave up, and said so */
    TLS_FAULT_RECORD,     /* a record that does not decrypt, or is too long */
    TLS_FAULT_PROTOCOL,   /* another breach of the protocol */
    TLS_FAULT_FLOOD,      /* see Bounds */
    TLS_FAULT_TIMEOUT,    /* tls_give_up() */
    TLS_FAULT_MEMORY,     /* ours */
};

/* Takes a reference to the configuration. NULL: no memory. */
NODISCARD struct tls *tls_create(struct tls_config *config);

/* NULL: nothing. */
void tls_destroy(struct tls *tls);

/* What was received, borrowed until tls_read() says TLS_NEED_MORE or another tls_feed(). */
void tls_feed(struct tls *tls, struct bytes ciphertext);

/* TLS_BYTES: `size` bytes were written to `room`, which is not empty. */
NODISCARD enum tls_verdict tls_read(struct tls *tls, struct span room, size_t *size);

/* The handshake is done: tls_write() works. */
NODISCARD bool tls_is_open(const struct tls *tls);

/* The handshake is under way: it has neither succeeded nor failed. */
NODISCARD bool tls_is_shaking(const struct tls *tls);

/* One record of 1 to TLS_RECORD_SIZE_MAX bytes. False: no memory, and it is TLS_FAILED. */
NODISCARD bool tls_write(struct tls *tls, struct bytes plaintext);

/* After the last tls_write(): says that no more comes (close_notify). Again: nothing. */
void tls_finish(struct tls *tls);

/* It takes too long: TLS_FAULT_TIMEOUT, if there was no other fault. */
void tls_give_up(struct tls *tls);

/* Ciphertext that was not advanced over, in bytes. */
NODISCARD size_t tls_output_size(const struct tls *tls);

/* The first of it as at most `max` pieces, which stay valid until they are advanced over. */
NODISCARD size_t tls_gather(const struct tls *tls, struct iovec *pieces, size_t max);
void tls_advance(struct tls *tls, size_t size);

NODISCARD enum tls_fault tls_fault(const struct tls *tls);

/* For people: what went wrong, without a capital or a full stop. Lives as long as `tls`. */
NODISCARD const char *tls_fault_text(const struct tls *tls);

#endif /* NET_TLS_H */
