/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_GUESS_H
#define SERVER_CONFIG_GUESS_H
/*
 * "Did you mean ...?" for a key that there is not. Private to server/config*.c. Pure, ANY_THREAD.
 */
#include <stdbool.h>

#include "core/annot.h"
#include "server/config_options.h"

/* What somebody who wrote `key` may have meant: an option or a section, or false. */
NODISCARD bool config_guess(struct config_table table, const char *key,
                            char guessed[CONFIG_KEY_SIZE]);

#endif /* SERVER_CONFIG_GUESS_H */
