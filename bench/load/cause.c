/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/cause.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "proto/close.h"

/* NULL: the text has the code in it, see below. */
static const struct {
    const char *name;
    const char *text;
} rows[CAUSE_KIND_COUNT] = {
    [CAUSE_SYSTEM] = {"system", NULL},
    [CAUSE_TLS] = {"tls", "TLS"},
    [CAUSE_STATUS] = {"status", NULL},
    [CAUSE_HANDSHAKE] = {"handshake", "the answer is not one to this WebSocket handshake"},
    [CAUSE_FLOOR] = {"floor", "the reply is not that of floor --connect"},
    [CAUSE_CLOSED] = {"closed", NULL},
    [CAUSE_REPLY] = {"reply", NULL},
    [CAUSE_UNSUBSCRIBED] = {"unsubscribed", NULL},
    [CAUSE_NO_HISTORY] = {"no_history", "--recover: the channel has no history to recover from"},
    [CAUSE_FRAME] = {"frame", "a frame that breaks the WebSocket protocol, or is too large"},
    [CAUSE_COMPRESSED] = {"compressed", "a compressed message that cannot be inflated"},
    [CAUSE_MESSAGE] = {"message", "a message that is not of the Centrifuge protocol"},
    [CAUSE_UNREAD] = {"unread", "the server does not read: too much waits to be sent"},
    [CAUSE_TURN] = {"turn", "not sent at its time: its connection was gone"},
    [CAUSE_MEMORY] = {"memory", "the generator is out of memory"},
    [CAUSE_OTHER] = {"other", "other causes"},
};

const char *cause_name(enum cause_kind kind)
{
    return rows[kind].name;
}

static const char *system_text(uint32_t code)
{
    if (code == ESHUTDOWN) {
        return "ended by the server"; /* its FIN: what net/conn says then */
    }
    const char *text = strerrordesc_np((int)code);
    return text == NULL ? "an unknown error" : text;
}

void cause_describe(enum cause_kind kind, uint32_t code, char text[CAUSE_TEXT_SIZE])
{
    switch (kind) {
    case CAUSE_SYSTEM:
        (void)snprintf(text, CAUSE_TEXT_SIZE, "%s", system_text(code));
        return;
    case CAUSE_STATUS:
        (void)snprintf(text, CAUSE_TEXT_SIZE, "HTTP status %u and not 101", code);
        return;
    case CAUSE_CLOSED:
        (void)snprintf(text, CAUSE_TEXT_SIZE, "closed with %u%s", code,
                       code == CLOSE_ABNORMAL ? " (without a code)" : "");
        return;
    case CAUSE_REPLY:
        (void)snprintf(text, CAUSE_TEXT_SIZE, "answered with error %u", code);
        return;
    case CAUSE_UNSUBSCRIBED:
        (void)snprintf(text, CAUSE_TEXT_SIZE, "unsubscribed with %u", code);
        return;
    case CAUSE_TLS:
    case CAUSE_HANDSHAKE:
    case CAUSE_FLOOR:
    case CAUSE_NO_HISTORY:
    case CAUSE_FRAME:
    case CAUSE_COMPRESSED:
    case CAUSE_MESSAGE:
    case CAUSE_UNREAD:
    case CAUSE_TURN:
    case CAUSE_MEMORY:
    case CAUSE_OTHER:
        (void)snprintf(text, CAUSE_TEXT_SIZE, "%s", rows[kind].text);
        return;
    }
    NEVER("a cause that there is not");
}
