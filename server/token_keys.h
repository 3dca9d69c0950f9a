/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TOKEN_KEYS_H
#define SERVER_TOKEN_KEYS_H
/*
 * The keys that the configuration names, at most one of each type, for either kind of tokens:
 * `client.token`, and `client.subscription_token` where that is enabled.
 *
 * Owner     who created them; the configuration must outlive them. Frozen, so that every reactor
 *           may look at them.
 * Threads   creating reads files: before threads start.
 * Failures  NULL and one line, "KEY: expected ..., found ...", that has nothing of a key in it.
 */
#include <stdbool.h>

#include "chat/claims.h"
#include "core/annot.h"
#include "server/config.h"
#include "server/token_key.h"

struct token_keys; /* opaque */

/* No key at all is no failure. */
NODISCARD struct token_keys *token_keys_create(const struct config_client *config,
                                               char error[CONFIG_ERROR_SIZE]);
void token_keys_destroy(struct token_keys *keys);

/* Without any, there are no tokens. */
NODISCARD bool token_keys_is_empty(const struct token_keys *keys);

/* NULL: there is none of that type. */
const struct token_key *token_keys_find(const struct token_keys *keys, enum claims_kind kind,
                                        enum token_key_type type);

/* The section that holds for that kind. */
const struct config_token *token_keys_rules(const struct token_keys *keys, enum claims_kind kind);

/* Does the section name any key? */
NODISCARD bool token_keys_are_given(const struct config_token *config);

/*
 * Can what the section itself says be used, the files that it names aside? `what` says which
 * option it is that cannot, by its name in the section, and why.
 */
NODISCARD bool token_keys_check(const struct config_token *config, const char **option,
                                char what[TOKEN_KEY_ERROR_SIZE]);

#endif /* SERVER_TOKEN_KEYS_H */
