/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SETTINGS_H
#define SERVER_SETTINGS_H
/*
 * One generation of what the server runs with: a configuration, and what was made of it and of the
 * files that it names. Frozen once it is made, so nobody reads half of a change.
 *
 * Owner     the control: it keeps one until every reactor has taken the next (reload.h). Reactors
 *           borrow it. ANY_THREAD may read.
 * Not here  what a reactor does with it (shard.h).
 */
#include <stddef.h>

#include "core/annot.h"
#include "server/api_key.h"
#include "server/config.h"
#include "server/listening.h"
#include "server/policies.h"

struct token_keys;

struct settings {
    const struct config *config;
    struct policies policies;
    struct token_keys *keys; /* one share */
    struct api_key api_key;
    struct tls_config *tls[LISTENING_MAX]; /* by listener; the table's shares, NULL: none */
    struct config *owned;                  /* the same as `config`, or NULL: it is borrowed */
};

/*
 * Reads the files of keys. `owned` is the configuration, made with malloc(), which becomes its own
 * to destroy, or NULL. `past`: what it follows, in whose places namespaces stay, or NULL.
 * NULL and a sentence: a file will not do, or no memory; what was to be owned is the caller's then.
 */
NODISCARD struct settings *settings_create(const struct config *config, struct config *owned,
                                           const struct settings *past, char *error,
                                           size_t error_size);
void settings_destroy(struct settings *settings); /* NULL: nothing */

#endif /* SERVER_SETTINGS_H */
