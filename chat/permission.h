/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_PERMISSION_H
#define CHAT_PERMISSION_H
/*
 * May this session do that in this channel? One function decides, and every path asks it
 * (LIMITS.md row 58). The rules are part of the frozen configuration.
 *
 * Pure. ANY_THREAD. Channel names and namespaces: PROTOCOL.md section 7.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

/* What is open to whom; one set for each namespace and one for names without a namespace. */
struct permission_rules {
    struct bytes name; /* of the namespace; empty for channels without one */
    bool subscribe_for_client;
    bool subscribe_for_anonymous;
    bool publish_for_client;
    bool publish_for_subscriber;
    bool publish_for_anonymous;
};

struct permission_table {
    struct permission_rules without_namespace;
    const struct permission_rules *namespaces;
    size_t namespace_count;
    size_t name_size_max; /* bytes */
    bool insecure;        /* development: everything is allowed in every known namespace */
};

enum permission_verb { PERMISSION_SUBSCRIBE, PERMISSION_PUBLISH };

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

NODISCARD enum permission_verdict permission_judge(const struct permission_table *table,
                                                   struct permission_subject subject,
                                                   struct bytes channel, enum permission_verb verb);

#endif /* CHAT_PERMISSION_H */
