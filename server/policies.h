/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_POLICIES_H
#define SERVER_POLICIES_H
/*
 * The configured channel options as the table of chat/policy.h: each gets its name and its place.
 *
 * Owner     the caller; policies_deinit() frees what policies_init() allocated. Names are borrowed
 *           from the configuration, which must outlive the table. Frozen after policies_init().
 */
#include "chat/policy.h"
#include "core/annot.h"

struct channel_regex;
struct config;
struct metrics_namespaces;

struct policies {
    struct policy_table table;       /* what to pass on */
    struct policy *list;             /* [0]: without a namespace */
    struct policy_pattern *patterns; /* list[i].pattern, where it has one */
    struct channel_regex **regexes;  /* of that */
};

/*
 * 0, or -ENOMEM; config_load_*() has seen that each channel_regex can be compiled. Zeroed policies
 * may be deinitialised too.
 */
NODISCARD int policies_init(struct policies *policies, const struct config *config);
void policies_deinit(struct policies *policies);

/* Each one counts in the place that has its name. Before anybody else has the table. */
void policies_count_as(struct policies *policies, const struct metrics_namespaces *namespaces);

#endif /* SERVER_POLICIES_H */
