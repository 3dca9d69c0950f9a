/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TOKEN_KEYS_H
#define SERVER_TOKEN_KEYS_H
/*
 * The keys that the configuration names, for either kind of tokens: `client.token`, and
 * `client.subscription_token` where that is enabled. Of each type at most one; or in the place of
 * RSA and ECDSA keys a set of them, from a file, or from an endpoint (jwks_source.h).
 *
 * Owner     whoever holds a share; the configuration must outlive them. Frozen, so that every
 *           reactor may look at them.
 * Threads   creating reads files: main's business.
 * Failures  NULL and one line, "KEY: expected ..., found ...", that has nothing of a key in it.
 */
#include <stdbool.h>

#include "chat/claims.h"
#include "core/annot.h"
#include "server/config.h"
#include "server/token_key.h"

struct jwks;
struct token_keys; /* opaque */

/* With one share. No key at all is no failure. */
NODISCARD struct token_keys *token_keys_create(const struct config_client *config,
                                               char error[CONFIG_ERROR_SIZE]);
void token_keys_ref(struct token_keys *keys) ANY_THREAD;
void token_keys_unref(struct token_keys *keys) ANY_THREAD; /* NULL: nothing */

/* Without any, there are no tokens. */
NODISCARD bool token_keys_is_empty(const struct token_keys *keys);

/* The kind whose section holds for it: of a connection, unless subscriptions have their own. */
NODISCARD enum claims_kind token_keys_section(const struct token_keys *keys, enum claims_kind kind);
const struct config_token *token_keys_rules(const struct token_keys *keys, enum claims_kind kind);

/* NULL: there is none of that type. */
const struct token_key *token_keys_find(const struct token_keys *keys, enum claims_kind kind,
                                        enum token_key_type type);

/* The set of the file; NULL: there is none. */
const struct jwks *token_keys_set(const struct token_keys *keys, enum claims_kind kind);

/* Does the section name any key? */
NODISCARD bool token_keys_are_given(const struct config_token *config);

/*
 * Can what the section itself says be used, the files that it names aside? `what` says which
 * option it is that cannot, by its name in the section, and why.
 */
NODISCARD bool token_keys_check(const struct config_token *config, const char **option,
                                char what[TOKEN_KEY_ERROR_SIZE]);

#endif /* SERVER_TOKEN_KEYS_H */
