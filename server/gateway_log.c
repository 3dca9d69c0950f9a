/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lines of the log about a peer. Each begins with what tells it from the others: the name of
 * its connection, its address, and, as soon as there are such, the client id that it was given and
 * the user that its token names. What this server decided is told at info, what is daily life at
 * debug.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "chat/hub.h"
#include "chat/session.h"
#include "core/log.h"
#include "net/conn.h"
#include "server/gateway_state.h"
#include "server/token.h"

enum {
    CONN_TEXT_SIZE = 40, /* bytes: REACTOR.SLOT.GENERATION */
    FIELDS_OWN = 4,
    FIELDS_MORE = 2,
};

_Static_assert(FIELDS_OWN + FIELDS_MORE <= LOG_FIELD_COUNT_MAX, "none is left out");

struct said {
    struct log_field what;
    struct log_field why;
};

static void log_at(const struct gateway *gateway, const struct peer *peer, enum log_level level,
                   const char *event, const struct said *said) ON_REACTOR
{
    if (!log_is_on(gateway->options.log, level)) {
        return;
    }
    char conn[CONN_TEXT_SIZE];
    char client[CLIENT_ADDRESS_TEXT_SIZE];
    uint8_t session[SESSION_ID_TEXT_SIZE];
    struct log_field fields[FIELDS_OWN + FIELDS_MORE];
    const struct conn_id id = conn_id_of(peer->conn);
    size_t count = 0;

    (void)snprintf(conn, sizeof(conn), "%u.%u.%u", (unsigned)id.reactor, (unsigned)id.slot,
                   (unsigned)id.generation);
    client_address_format(&peer->client, client);
    fields[count++] = log_text("conn", conn);
    fields[count++] = log_text("client", client);
    if (peer->session != NULL) {
        session_write_id(peer->session, session);
        fields[count++] = log_bytes("session", (struct bytes){session, sizeof(session)});
        fields[count++] = log_bytes("user", session_user(peer->session));
    }
    fields[count++] = said->what;
    if (said->why.key != NULL) {
        fields[count++] = said->why;
    }
    log_write(gateway->options.log, level, event, fields, count);
}

void gateway_log(const struct gateway *gateway, const struct peer *peer, const char *event,
                 struct log_field what, struct log_field why)
{
    const struct said said = {what, why};
    log_at(gateway, peer, LOG_INFO, event, &said);
}

void gateway_debug(const struct gateway *gateway, const struct peer *peer, const char *event,
                   struct log_field what, struct log_field why)
{
    const struct said said = {what, why};
    log_at(gateway, peer, LOG_DEBUG, event, &said);
}

/* What the socket said; or what it was that could not be understood. */
static const char *error_text(const struct conn *conn, int reason) ON_REACTOR
{
    if (reason == -EPROTO && conn_wants_proxy(conn)) {
        return "no good PROXY header came";
    }
    if (reason == -EPROTO && conn_tls_fault(conn) != NULL) {
        return conn_tls_fault(conn);
    }
    return reason == 0 ? "" : strerrordesc_np(-reason);
}

/* By whom, in the words of the metric; and what went wrong, if anything did. */
void gateway_log_closed(const struct gateway *gateway, const struct peer *peer, enum metrics_id why,
                        int reason)
{
    static const char *const words[] = {
        [METRIC_CLOSED_BY_CLIENT] = "client", [METRIC_CLOSED_BY_SERVER] = "server",
        [METRIC_CLOSED_ERROR] = "error",      [METRIC_CLOSED_TIMEOUT] = "timeout",
        [METRIC_CLOSED_SLOW] = "slow",        [METRIC_CLOSED_SHUTDOWN] = "shutdown",
    };
    const bool is_telling = why == METRIC_CLOSED_TIMEOUT || why == METRIC_CLOSED_SLOW ||
                            reason == -EPROTO || reason == -ENOMEM;
    const enum log_level level = is_telling ? LOG_INFO : LOG_DEBUG;
    if (!log_is_on(gateway->options.log, level)) {
        return; /* mostly: there is one for each connection */
    }
    const struct said said = {
        log_text("reason", words[why]),
        log_text("error", error_text(peer->conn, reason)),
    };
    log_at(gateway, peer, level, "closed", &said);
}

void gateway_log_token(const struct gateway *gateway, const struct peer *peer,
                       enum claims_kind kind)
{
    const char *event = kind == CLAIMS_CONNECTION ? "token refused" : "subscription token refused";
    const struct hub_objection objection = hub_take_objection(gateway->options.hub);
    struct token_fault fault;

    if (gateway->options.tokens != NULL &&
        token_verifier_take_fault(gateway->options.tokens, &fault)) {
        gateway_log(gateway, peer, event, log_text("reason", token_reason_name(fault.reason)),
                    log_text("why", fault.why));
    } else if (objection.reason != NULL) {
        gateway_log(gateway, peer, event, log_text("reason", objection.reason),
                    log_text("why", objection.why));
    }
}
