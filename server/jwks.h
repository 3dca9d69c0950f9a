/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_JWKS_H
#define SERVER_JWKS_H
/*
 * A set of public keys, from a JWKS document: RFC 7517. A key is known by its name and its type.
 *
 * Keys that are for nothing here are left out: of another type (a secret in a public document too),
 * for encryption, for an algorithm that is not ours, too short, private. `alg` of a key, if it
 * has one, is the only algorithm that it takes; `use` and `key_ops` are honoured.
 *
 * Owner     whoever holds a share; the last one frees it. Frozen from the start, so that any number
 *           of threads may look at it.
 * Not here  where documents come from (jwks_source.h, token_keys.h).
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "server/token_key.h"

enum {
    JWKS_KEYS_MAX = 64,              /* that are taken of a document; more is a fault */
    JWKS_DOCUMENT_SIZE_MAX = 262144, /* bytes */
    JWKS_ERROR_SIZE = 128,           /* bytes: each error text */
};

struct jwks; /* opaque */

/*
 * `document` is changed in place. `generation` is the caller's, to tell sets apart. With one share;
 * NULL and a line in `error` when it is no such document, or no key of it can be used.
 */
NODISCARD struct jwks *jwks_parse(struct span document, uint64_t generation,
                                  char error[JWKS_ERROR_SIZE]);

void jwks_ref(struct jwks *set) ANY_THREAD;
void jwks_unref(struct jwks *set) ANY_THREAD; /* NULL: nothing */

NODISCARD uint64_t jwks_generation(const struct jwks *set);
NODISCARD size_t jwks_count(const struct jwks *set);

/*
 * The key of that name which takes the algorithm. Without a name: the only key that does. NULL:
 * there is none.
 */
const struct token_key *jwks_find(const struct jwks *set, struct bytes kid,
                                  enum token_algorithm algorithm);

#endif /* SERVER_JWKS_H */
