/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_RULES_H
#define SERVER_RULES_H
/*
 * The configured channel options as the table that chat/permission.h judges by.
 *
 * Owner     the caller; rules_deinit() frees what rules_init() allocated. Names are borrowed from
 *           the configuration, which must outlive the table. Frozen after rules_init().
 */
#include "chat/permission.h"
#include "core/annot.h"

struct config;

struct rules {
    struct permission_table table; /* what to pass on */
    struct permission_rules *namespaces;
};

/* 0, or -ENOMEM. Zeroed rules may be deinitialised too. */
NODISCARD int rules_init(struct rules *rules, const struct config *config);
void rules_deinit(struct rules *rules);

#endif /* SERVER_RULES_H */
