/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_REVOCATIONS_H
#define CHAT_REVOCATIONS_H
/*
 * Users and tokens that a back end has forbidden, though the tokens are genuine.
 *
 * Owner     one reactor's hub, for each reactor has all of them. ON that reactor only.
 * Life      until the time that was given with it; else as long as the process lives.
 * Full      count_max of them: what has expired makes room, and nothing else does. A new one is
 *           refused then: none is ever forgotten silently.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/table.h"

struct claims;
struct revocations; /* opaque */

enum revocations_kind {
    REVOCATIONS_USER = 1,  /* nobody signs in as this user */
    REVOCATIONS_TOKEN,     /* the token of this id */
    REVOCATIONS_ISSUED_TO, /* the tokens of this user that were issued before a time */
};

struct revocations_entry {
    enum revocations_kind kind;
    struct bytes text;        /* user id, or token id */
    uint64_t issued_before_s; /* REVOCATIONS_ISSUED_TO: Unix time */
    uint64_t expires_ns;      /* of the hub's clock; UINT64_MAX: never */
};

/* NULL: no memory. */
NODISCARD struct revocations *revocations_create(const struct table_key *key, uint32_t count_max);
void revocations_destroy(struct revocations *revocations); /* NULL: nothing */

/*
 * In the place of one about the same; but of REVOCATIONS_ISSUED_TO, as long as it is valid, the
 * later of both times counts, and the later of both ends. 0, -ENOSPC or -ENOMEM, and nothing
 * changed.
 */
NODISCARD int revocations_add(struct revocations *revocations,
                              const struct revocations_entry *entry, uint64_t now_ns);
void revocations_remove(struct revocations *revocations, enum revocations_kind kind,
                        struct bytes text);

/* Is who shows these claims forbidden? */
NODISCARD bool revocations_forbid(const struct revocations *revocations,
                                  const struct claims *claims, uint64_t now_ns);

NODISCARD size_t revocations_count(const struct revocations *revocations);

#endif /* CHAT_REVOCATIONS_H */
