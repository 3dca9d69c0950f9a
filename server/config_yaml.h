/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_YAML_H
#define SERVER_CONFIG_YAML_H
/*
 * YAML into a struct config, event by event, guided by the table of options.
 * Private to server/config*.c and their tests. config_yaml.c is the only file that knows libyaml.
 *
 * Accepted is what a configuration needs: sections, scalars, lists. Anchors, aliases, tags and a
 * second document are refused, so nothing can be larger inside than it is outside. Depth is bounded
 * by the table: what is under an unknown key is never entered.
 *
 * Threads   ANY_THREAD; no state between calls.
 * Failures  -EINVAL or -ENOMEM and one line that begins with the place.
 * Not here  rules across options (config_rules.h), reading the file (config_load_file).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "server/config.h"
#include "server/config_options.h"

/* Where a value was given; line 0: it was not. */
struct config_mark {
    uint32_t line; /* from 1 */
    uint32_t column;
};

/* What a text gave: `marks` has an element for each row of config_options_all(). */
struct config_yaml_result {
    struct config config;
    struct config_mark marks[CONFIG_OPTIONS_MAX];
    struct config_mark durable; /* the first namespace's durability that needs a store */
};

/* Sets in `result`, which holds the defaults, what the text gives. Lists are the caller's to free,
 * also after a failure. */
NODISCARD int config_yaml_read(const char *name, struct bytes text,
                               struct config_yaml_result *result, char *error, size_t error_size);

#endif /* SERVER_CONFIG_YAML_H */
