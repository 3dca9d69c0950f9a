/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_RULES_H
#define SERVER_CONFIG_RULES_H
/*
 * What one option alone cannot say: rules that look at several of them.
 * Private to server/config*.c and their tests. Pure, ANY_THREAD.
 */
#include <stdbool.h>

#include "core/annot.h"
#include "server/config_options.h"
#include "server/config_value.h"

struct config;
struct policy; /* chat/policy.h */

/* The first rule that does not hold: which key is to blame, and what was expected of it. */
struct config_fault {
    char key[CONFIG_KEY_SIZE];
    char other[CONFIG_KEY_SIZE]; /* with which it does not go together; "": none */
    char what[CONFIG_WHAT_SIZE];
};

/* All rules. A fault in an item of a list has a key such as channel.namespaces[INDEX].KEY. */
NODISCARD bool config_rules_hold(const struct config *config, struct config_fault *fault);

/*
 * Those of one namespace, which are those of channels without one too. `prefix` goes before the
 * key: "", or a section with its dot.
 */
NODISCARD bool config_rules_hold_for_channels(const struct policy *options, const char *prefix,
                                              struct config_fault *fault);

/* Those of one item of a list of sections, of which it is one; keys are the item's. */
NODISCARD bool config_rules_hold_for_item(enum config_kind kind, const void *item,
                                          struct config_fault *fault);

#endif /* SERVER_CONFIG_RULES_H */
