/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_JWKS_FETCH_H
#define SERVER_JWKS_FETCH_H
/*
 * One GET of a JWKS document, by libcurl: bounded in bytes and in time.
 *
 * The address is the configuration's, whole and constant: nothing of a token is ever in it, and a
 * redirect is not followed (LIMITS.md row 54). https, or http to this machine itself.
 *
 * Threads   one for each struct jwks_fetch, which blocks; creating and destroying before and after
 *           other threads (libcurl's own start is not safe among them).
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "server/jwks.h"

enum { JWKS_FETCH_TIMEOUT_MS = 2000 };

struct jwks_fetch; /* opaque */

/* https://host..., or http:// of 127.0.0.1, [::1] or localhost; without a user. */
NODISCARD bool jwks_fetch_may(const char *url);

/* `ca_file`: who may have signed the server's certificate; NULL: the system's authorities. */
NODISCARD struct jwks_fetch *jwks_fetch_create(const char *url, const char *ca_file);
void jwks_fetch_destroy(struct jwks_fetch *fetch);

/* The document, until the next call; or false and a line in `error`. */
NODISCARD bool jwks_fetch_run(struct jwks_fetch *fetch, struct span *document,
                              char error[JWKS_ERROR_SIZE]);

#endif /* SERVER_JWKS_FETCH_H */
