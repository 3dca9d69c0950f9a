/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TOKEN_H
#define SERVER_TOKEN_H
/*
 * Verifies tokens: JWT, RFC 7519, as JWS in compact form, for the hub's struct claims_verifier.
 *
 * The order is that of the reasons below: the text, the header, the key, the signature, and only
 * then what it says. One reader takes the header apart, strictly (proto/), and nothing in it
 * but `alg` and `kid` has any influence: a key or an address of one that a token brings (`jwk`,
 * `jku`, `x5c`, `x5u`) is not looked at, `crit` and `b64` are refused.
 *
 * Owner     who created it. Claims are views of the verifier's memory until it is asked again.
 * Threads   one: each reactor has its own. Keys and rules are frozen and shared.
 * Time      of the clock on the wall, which the caller brings.
 * Not here  keys (token_key.h, token_keys.h), sets of them from an endpoint (token_sets.h), reading
 *           claims (token_claims.h).
 */
#include <stdbool.h>
#include <stdint.h>

#include "chat/claims.h"
#include "core/annot.h"
#include "server/token_claims.h"
#include "server/token_key.h"

enum { TOKEN_SIZE_MAX = 4096 }; /* bytes */

/* Why a token is refused; METRIC_TOKENS_REJECTED_* have this order. */
enum token_reason {
    TOKEN_GOOD = 0,
    TOKEN_TOO_LONG,
    TOKEN_MALFORMED,     /* not three parts of base64url, or the header is not what it must be */
    TOKEN_BAD_ALGORITHM, /* none that we take, or we have no key of its type */
    TOKEN_UNAVAILABLE,   /* its key is not here yet: no set is, or a newer one is asked for; or
                            there is no memory to check it with */
    TOKEN_UNKNOWN_KEY,   /* no key of that name */
    TOKEN_BAD_SIGNATURE,
    TOKEN_BAD_CLAIMS, /* not JSON, or a claim of another type */
    TOKEN_WRONG_KIND, /* of a subscription where one of a connection is wanted, or otherwise */
    TOKEN_WRONG_ISSUER,
    TOKEN_WRONG_AUDIENCE,
    TOKEN_NOT_YET, /* `nbf` or `iat` is in the future */
    TOKEN_EXPIRED,
    TOKEN_REASON_COUNT,
};

/* The name that the metric has for it. */
const char *token_reason_name(enum token_reason reason);

struct bus;
struct jwks;
struct metrics;
struct token_keys;
struct token_verifier; /* opaque */

struct token_verifier_options {
    struct token_keys *keys; /* and the rules that belong to them; takes a share of its own */
    uint64_t (*now_ms)(void *context); /* since 1970 */
    void *now_context;
    struct metrics *metrics; /* NULL: nobody counts */
    struct bus *bus;         /* to ask for newer key sets */
    uint16_t port;           /* ours on it */
    uint16_t source_port;    /* that of jwks_source.h; 0: there is none */
};

/* NULL when memory is out. */
NODISCARD struct token_verifier *token_verifier_create(
    const struct token_verifier_options *options);
void token_verifier_destroy(struct token_verifier *verifier);

/* Fills `claims` when it says TOKEN_GOOD. */
NODISCARD enum token_reason token_verify(struct token_verifier *verifier, enum claims_kind kind,
                                         struct bytes token, struct claims *claims);

/* Others, from now on; takes the share. */
void token_verifier_renew_keys(struct token_verifier *verifier, struct token_keys *keys);
void token_verifier_renew_set(struct token_verifier *verifier, enum claims_kind kind,
                              struct jwks *set);

/* Of the last refusal, for people. Nothing of the token is in it. */
const char *token_verifier_why(const struct token_verifier *verifier);

/* The last refusal, once: true if there was one that nobody has taken. */
struct token_fault {
    enum token_reason reason;
    const char *why; /* as above */
};
NODISCARD bool token_verifier_take_fault(struct token_verifier *verifier,
                                         struct token_fault *fault);

/* What the hub is given: a part of the verifier. NULL: there is no key, so no tokens, for now. */
NODISCARD const struct claims_verifier *token_verifier_seam(const struct token_verifier *verifier);

#endif /* SERVER_TOKEN_H */
