/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_POLICY_PLACES_H
#define CHAT_POLICY_PLACES_H
/*
 * A reactor's own table of policies. Rooms and channels point into it, so a policy never moves and
 * never goes: another configuration is written over it, and what is not configured any more stays
 * in its place, removed.
 *
 * Two steps   first every reactor learns what is new, then each changes. So a home knows every
 *             namespace that another reactor may already let somebody into.
 * Never       changes while it runs: whether there is history, and the durability. Who made the
 *             table has seen to that (server/policies.h, server/config_change.h).
 * Owner       a hub. ON its reactor. Names and patterns are borrowed from the last table given.
 */
#include "chat/policy.h"
#include "core/annot.h"

struct policy_places {
    struct policy_table table; /* what to pass on; its address stays */
    struct policy *list;       /* POLICY_PLACES_MAX */
};

/* 0, or -ENOMEM. Zeroed places may be deinitialised too. */
NODISCARD int policy_places_init(struct policy_places *places, const struct policy_table *table);
void policy_places_deinit(struct policy_places *places);

/*
 * `table` has the same namespace in every place that was taken. What is new can be recalled, and
 * not yet found; then everything is as the table says.
 */
void policy_places_learn(struct policy_places *places, const struct policy_table *table);
void policy_places_change(struct policy_places *places, const struct policy_table *table);

#endif /* CHAT_POLICY_PLACES_H */
