/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_PERMISSION_H
#define CHAT_PERMISSION_H
/*
 * May this session do that in this channel? One function decides, and every path asks it
 * (LIMITS.md row 58). What is open to whom stands in the policies of the frozen configuration.
 *
 * Pure. ANY_THREAD. Channel names and namespaces: PROTOCOL.md section 7.
 */
#include <stdbool.h>

#include "core/annot.h"
#include "core/bytes.h"

struct policy_table;

enum permission_verb {
    PERMISSION_SUBSCRIBE,
    PERMISSION_PUBLISH,
    PERMISSION_HISTORY,
    PERMISSION_PRESENCE, /* presence and presence_stats */
};

enum permission_verdict {
    PERMISSION_GRANTED = 0,
    PERMISSION_DENIED,
    PERMISSION_BAD_NAME,          /* not printable ASCII, or above name_size_max */
    PERMISSION_UNKNOWN_NAMESPACE, /* error 102 */
};

/* Who asks: as much of a session as the rules look at. */
struct permission_subject {
    bool anonymous;  /* connected without a user id */
    bool subscribed; /* to the channel in question */
};

/* Is there a channel of that name? That is all that a back end is asked. */
NODISCARD enum permission_verdict permission_judge_name(const struct policy_table *table,
                                                        struct bytes channel);

NODISCARD enum permission_verdict permission_judge(const struct policy_table *table,
                                                   struct permission_subject subject,
                                                   struct bytes channel, enum permission_verb verb);

#endif /* CHAT_PERMISSION_H */
