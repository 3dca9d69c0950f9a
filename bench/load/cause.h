/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_CAUSE_H
#define BENCH_LOAD_CAUSE_H
/*
 * Why something failed: what the number of failures alone does not tell.
 *
 * Pure values, ANY_THREAD.
 */
#include <stdint.h>

#include "core/annot.h"

enum cause_kind {
    CAUSE_SYSTEM,       /* the network's; code: errno */
    CAUSE_TLS,          /* conn_tls_fault() has the text */
    CAUSE_STATUS,       /* the handshake was answered with another than 101; code: that status */
    CAUSE_HANDSHAKE,    /* or with something that is no answer to it */
    CAUSE_FLOOR,        /* the reply is not that of floor --connect */
    CAUSE_CLOSED,       /* by the server; code: of its close frame, or 1006 */
    CAUSE_REPLY,        /* an error of the Centrifuge protocol; code: its code */
    CAUSE_UNSUBSCRIBED, /* a push of that protocol; code: its code */
    CAUSE_NO_HISTORY,   /* with --recover */
    CAUSE_FRAME,        /* broken, or larger than we take */
    CAUSE_COMPRESSED,   /* a message that cannot be inflated */
    CAUSE_MESSAGE,      /* none of the Centrifuge protocol */
    CAUSE_UNREAD,       /* more than we keep waits for the server to read it */
    CAUSE_TURN,         /* who was to send was not connected at that time */
    CAUSE_MEMORY,
    CAUSE_OTHER, /* there were more causes than are told apart */
};
enum { CAUSE_KIND_COUNT = CAUSE_OTHER + 1 };

enum { CAUSE_TEXT_SIZE = 128 }; /* bytes with the NUL */

/* "system", "status", ...: for programs. */
NODISCARD const char *cause_name(enum cause_kind kind);

/* "Connection refused", "HTTP status 503 and not 101", ... */
void cause_describe(enum cause_kind kind, uint32_t code, char text[CAUSE_TEXT_SIZE]);

#endif /* BENCH_LOAD_CAUSE_H */
