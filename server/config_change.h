/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_CHANGE_H
#define SERVER_CONFIG_CHANGE_H
/*
 * What a configuration that was read again would change in the one that runs, and what of it may be
 * changed without a restart: the table says so of each option (enum config_change).
 *
 * Pure but for memory. ANY_THREAD.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

struct config;

enum { CONFIG_CHANGE_TEXT_SIZE = 8192 }; /* bytes of names; what has no room is counted */

/* Names of options, each with its NUL: "client.channel_limit". */
struct config_names {
    char text[CONFIG_CHANGE_TEXT_SIZE];
    size_t size; /* bytes */
    uint32_t count;
    uint32_t left_out; /* more of them, for which there was no room */
};

struct config_changes {
    struct config_names changed;
    struct config_names needs_restart;
};

/* The name after `name`, or the first for NULL; NULL: the last one was it. */
NODISCARD const char *config_change_next_name(const struct config_names *names, const char *name);

/*
 * Makes of `fresh` what may run now: options that need a restart get the values of `running` again,
 * and so do those that belong together with one of them: a namespace's, and with an option that is
 * CONFIG_CHANGE_WITH_SECTION its section's.
 * Both are resolved. The caller checks the whole once more, for it is neither of the two. 0 and the
 * names, or -ENOMEM; `fresh` is good for config_destroy() then.
 */
NODISCARD int config_change_merge(const struct config *running, struct config *fresh,
                                  struct config_changes *changes);

#endif /* SERVER_CONFIG_CHANGE_H */
