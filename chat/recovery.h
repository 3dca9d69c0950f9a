/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_RECOVERY_H
#define CHAT_RECOVERY_H
/*
 * What a client that subscribes again is given of what it missed: PROTOCOL.md section 5 as a
 * function. Pure. ANY_THREAD.
 *
 * `top` is where the subscription begins: every publication after it comes live, none up to it
 * does. So a client has all of its channel when it is given what is between its own offset and
 * `top`, and nothing has to be held back for it. Who was on a reactor that is further than this one
 * comes back with an offset behind `top`: it is asked for until the subscription can begin there.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

enum recovery_verdict {
    RECOVERY_NOT_ASKED = 0,
    RECOVERY_COMPLETE,   /* it is given [from, top], which may be nothing: `recovered: true` */
    RECOVERY_IMPOSSIBLE, /* something is lost for it: `recovered: false` and nothing else */
    RECOVERY_READ,       /* depends on what is there from `from` on: ask, then judge again */
};

struct recovery_question {
    bool asked;         /* the client wants to recover, and may */
    bool cache;         /* it wants the latest publication, not all that it missed */
    bool epoch_matches; /* its epoch is empty or the channel's */
    bool is_read;       /* `first` and `last` are known */
    uint64_t since;     /* the offset of the last publication that it has; 0: none */
    uint64_t top;       /* the last publication before its subscription; 0: none */
    uint64_t first;     /* the first one that is there, up to top + 1: none is */
    uint64_t last;      /* the last one that there is, once `is_read`: later than top, or top */
    uint64_t count_max; /* publications that one client is given; at least 1 */
};

struct recovery_answer {
    enum recovery_verdict verdict;
    uint64_t from; /* RECOVERY_COMPLETE, RECOVERY_READ */
};

NODISCARD struct recovery_answer recovery_judge(const struct recovery_question *question);

#endif /* CHAT_RECOVERY_H */
