/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_POLICIES_H
#define SERVER_POLICIES_H
/*
 * The configured channel options as the table of chat/policy.h: each gets its name and its place.
 *
 * Owner     the caller; policies_deinit() frees what policies_init() allocated. Frozen after that.
 * Places    a namespace keeps its place from one configuration to the next. What is not configured
 *           any more stays in its place, removed, with the options that it had.
 */
#include "chat/policy.h"
#include "core/annot.h"

struct channel_regex;
struct config;
struct metrics_namespaces;
struct policy_name; /* private */

struct policies {
    struct policy_table table;       /* what to pass on */
    struct policy *list;             /* [0]: without a namespace */
    struct policy_pattern *patterns; /* list[i].pattern, where it has one */
    struct channel_regex **regexes;  /* of that */
    struct policy_name *names;       /* list[i].name */
};

/*
 * 0, or -ENOMEM; config_load_*() has seen that each channel_regex can be compiled. Zeroed policies
 * may be deinitialised too.
 */
NODISCARD int policies_init(struct policies *policies, const struct config *config);

/*
 * The same after others. -EBUSY: what cannot change while it runs is another one for a namespace
 * that was removed; -ENOSPC: there have been too many of them; and `error` says so.
 */
NODISCARD int policies_init_after(struct policies *policies, const struct config *config,
                                  const struct policies *past, char *error, size_t error_size);
void policies_deinit(struct policies *policies);

/* Each one counts in the place that has its name. Before anybody else has the table. */
void policies_count_as(struct policies *policies, const struct metrics_namespaces *namespaces);

#endif /* SERVER_POLICIES_H */
