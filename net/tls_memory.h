/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_TLS_MEMORY_H
#define NET_TLS_MEMORY_H
/*
 * How much memory OpenSSL has: that of TLS connections with the ciphertext that waits to be sent,
 * of certificates, of whoever else in the process uses OpenSSL, and its own tables.
 *
 * Threads   each counts for itself, without atomics, what it took less what it gave back. What one
 *           took another may give back, so that one thread's number may be "negative", modulo 2^64;
 *           the sum over all threads is right.
 * Bounds    blocks count as the allocator rounds them up, with what it keeps beside them.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

/*
 * From now on it is counted. For the start of a program, before anything of OpenSSL is used. False:
 * it was in use already, and nothing is counted.
 */
NODISCARD bool tls_memory_count(void);

/* The calling thread's bytes: taken less given back, modulo 2^64. 0 when nothing is counted. */
NODISCARD uint64_t tls_memory_taken(void);

/*
 * How often the calling thread was refused memory: OpenSSL itself says of what fails then what it
 * says of bad input. 0 when nothing is counted.
 */
NODISCARD uint64_t tls_memory_refused(void);

#endif /* NET_TLS_MEMORY_H */
