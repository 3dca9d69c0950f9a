/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_PERMISSION_H
#define CHAT_PERMISSION_H
/*
 * May somebody do that in this channel, and which rule says so? One function decides, and every
 * path asks it (LIMITS.md row 58), `parleyd explain` too. What is open to whom stands in the
 * policies of the frozen configuration.
 *
 * Pure, but for the pattern of a policy. ANY_THREAD. Channel names and namespaces: PROTOCOL.md
 * section 7.
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
    PERMISSION_DENIED,            /* error 103 */
    PERMISSION_BAD_NAME,          /* error 107: not a name, or none of its namespace */
    PERMISSION_UNKNOWN_NAMESPACE, /* error 102 */
    PERMISSION_NOT_AVAILABLE,     /* error 108: there is no such thing in the channel, for nobody */
    PERMISSION_NO_MEMORY,         /* error 100: there was none to find it out with */
};

/* Who asks: as much of a session as the rules look at. */
struct permission_subject {
    struct bytes user; /* empty: anonymous */
    bool subscribed;   /* to the channel in question */
    bool has_token;    /* a subscription token for this channel and this user */
    bool is_back_end;  /* the back end wants it, by a connection token or the server API */
};

struct permission_answer {
    enum permission_verdict verdict;
    const char *rule; /* the key of the option that decided, or what of the name did */
};

/*
 * What has to be so, in this order: the name is one; its namespace is known and likes it; what is
 * asked for exists there. Then client.insecure and the back end may do everything. `$` is for who
 * has a token, or came in with one; `#` for the users behind it, whatever else they have. A token
 * opens subscribing, and what is left is the allow_* options'.
 */
NODISCARD struct permission_answer permission_judge(const struct policy_table *table,
                                                    struct permission_subject subject,
                                                    struct bytes channel,
                                                    enum permission_verb verb);

#endif /* CHAT_PERMISSION_H */
