/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TOKEN_SETS_H
#define SERVER_TOKEN_SETS_H
/*
 * The key sets that came from endpoints, as one reactor has them.
 *
 * Whoever names a key that the set has not is told "not yet", once, and a newer set is asked for;
 * if that has not got it either, it is unknown. Of such names the last few are remembered.
 *
 * Owner     a token verifier, and so its thread. Sets are frozen and shared.
 * Not here  where they come from (jwks_source.h), sets of files (token_keys.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/claims.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "server/token_key.h"

struct bus;
struct jwks;

enum {
    TOKEN_SETS_SECTIONS = 2,     /* one for each kind of tokens */
    TOKEN_SETS_MISSING_MAX = 64, /* a name takes the place of another one that falls on it */
};

/* Who is asked for newer ones. */
struct token_sets_source {
    struct bus *bus;
    uint16_t port;        /* ours on it */
    uint16_t source_port; /* that of jwks_source.h; 0: there is none */
};

/* A name of a key that the set of that generation had not. */
struct token_sets_missing {
    uint64_t generation;
    size_t kid_size; /* 0: nobody's */
    uint8_t kid[TOKEN_KEY_NAME_SIZE_MAX];
};

/* Only token_sets.c looks inside. All zero but for `source` is a valid start. */
struct token_sets {
    struct token_sets_source source;
    struct {
        struct jwks *set; /* NULL: nothing yet */
        bool is_asked;    /* for a newer one */
        struct token_sets_missing missing[TOKEN_SETS_MISSING_MAX];
    } sections[TOKEN_SETS_SECTIONS];
};

enum token_sets_verdict {
    TOKEN_SETS_FOUND = 0,
    TOKEN_SETS_NONE,    /* no set has come yet */
    TOKEN_SETS_ASKED,   /* not in this one: a newer one is asked for */
    TOKEN_SETS_UNKNOWN, /* nor in a newer one, or it has no name */
};

/* The key of that name which takes the algorithm, as jwks_find() has it. */
NODISCARD enum token_sets_verdict token_sets_find(struct token_sets *sets, enum claims_kind section,
                                                  struct bytes kid, enum token_algorithm algorithm,
                                                  const struct token_key **key);

/* Another set; takes the share. */
void token_sets_renew(struct token_sets *sets, enum claims_kind section, struct jwks *set);

/* Gives its shares back. */
void token_sets_deinit(struct token_sets *sets);

#endif /* SERVER_TOKEN_SETS_H */
