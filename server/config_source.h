/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_SOURCE_H
#define SERVER_CONFIG_SOURCE_H
/*
 * Where the configuration comes from, so that it can be read more than once: the file, the flags
 * over it, and what `auto` depends on, which is asked once.
 *
 * Owner     main. The flags outlive it. Any thread that may block.
 */
#include <stddef.h>

#include "core/annot.h"
#include "server/config.h"
#include "server/memory.h"

struct args;

struct config_source {
    const struct args *args;
    struct config_facts facts;
    struct memory_limit memory; /* that facts.memory_max is of */
};

/* Checked and resolved. 0, or -errno and one line in `error`; `config` is untouched then. */
NODISCARD int config_source_read(const struct config_source *source, struct config *config,
                                 char *error, size_t error_size);

#endif /* SERVER_CONFIG_SOURCE_H */
