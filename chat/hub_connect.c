/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who comes, and who stays: `connect` and `refresh`, and the end of a token.
 */
#include <string.h>

#include "chat/claims.h"
#include "chat/hub.h"
#include "chat/hub_state.h"
#include "chat/identity.h"
#include "chat/outbox.h"
#include "chat/policy.h"
#include "chat/revocations.h"
#include "chat/session.h"
#include "chat/users.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/slab.h"
#include "core/timerwheel.h"
#include "proto/command.h"

enum {
    CLIENT_NAME_SIZE_MAX = 16,    /* bytes, PROTOCOL.md section 3 */
    CLIENT_VERSION_SIZE_MAX = 64, /* bytes, likewise */
    EXPIRIES_AT_ONCE = 64,
};

static const uint64_t ns_per_s = 1000000000;

/* What becomes of a command that shows a token. */
struct outcome {
    uint16_t disconnect;    /* the code that its connection ends with; 0: it does not */
    enum codes_error error; /* else; CODES_ERROR_NONE: it is accepted */
};

/* -- tokens ------------------------------------------------------------------------------------ */

void hub_object(struct hub *hub, const char *reason, const char *why)
{
    hub->objection = (struct hub_objection){reason, why};
}

struct hub_objection hub_take_objection(struct hub *hub)
{
    const struct hub_objection objection = hub->objection;
    hub->objection.reason = NULL;
    return objection;
}

/* Counts. Without a verifier no token is genuine. */
enum claims_verdict hub_verify(struct hub *hub, enum claims_kind kind, struct bytes token,
                               struct claims *claims)
{
    const struct claims_verifier *verifier = hub->options.verifier;
    struct metrics *metrics = hub->options.metrics;
    *claims = (struct claims){.expires = false};
    enum claims_verdict verdict = verifier == NULL
                                      ? CLAIMS_INVALID
                                      : verifier->verify(verifier->context, kind, token, claims);

    if (verifier == NULL) {
        hub_object(hub, "no_key", "no key for tokens is configured");
    }
    if (verdict == CLAIMS_VALID && revocations_forbid(hub->revocations, claims, hub->now_ns)) {
        metrics_add(metrics, METRIC_REJECTED_REVOKED, 1);
        hub_object(hub, "revoked", "a back end has forbidden it, or its user");
        verdict = CLAIMS_INVALID;
    }

    switch (verdict) {
    case CLAIMS_VALID:
        metrics_add(metrics, METRIC_TOKENS_VALID, 1);
        break;
    case CLAIMS_EXPIRED:
        metrics_add(metrics, METRIC_TOKENS_EXPIRED, 1);
        break;
    case CLAIMS_INVALID:
        metrics_add(metrics, METRIC_TOKENS_INVALID, 1);
        break;
    case CLAIMS_UNAVAILABLE:
        metrics_add(metrics, METRIC_TOKENS_UNAVAILABLE, 1);
        break;
    }
    return verdict;
}

/* What the claims say, as an identity; or as the next one, where the session has one. */
static struct outcome take_claims(struct hub *hub, struct session *session,
                                  const struct claims *claims)
{
    const enum identity_verdict verdict = session->identity == NULL
                                              ? identity_create(hub->users, session, claims)
                                              : identity_renew(session, claims);
    switch (verdict) {
    case IDENTITY_OK:
        return (struct outcome){.disconnect = 0};
    case IDENTITY_BAD_CLAIMS:
        hub_object(hub, "bad_claims", "its sub, jti, info or meta is too large or too deep");
        return (struct outcome){.disconnect = CODES_DISCONNECT_INVALID_TOKEN};
    case IDENTITY_NO_MEMORY:
        metrics_add(hub->options.metrics, METRIC_REJECTED_OUT_OF_MEMORY, 1);
        return (struct outcome){.error = CODES_ERROR_INTERNAL};
    }
    NEVER("a verdict that is not one");
}

uint64_t hub_term_end(const struct hub *hub, const struct claims *claims)
{
    return claims->expires && !hub->options.policies->insecure
               ? hub->now_ns + claims->ttl_s * ns_per_s
               : 0;
}

/* From now on the token counts. Returns how long it does, in seconds; 0: for ever. */
static uint32_t begin_term(struct hub *hub, struct session *session, const struct claims *claims)
{
    struct identity_expiry *expiry = &session->identity->expiry;
    const uint64_t end_ns = hub_term_end(hub, claims);

    if (end_ns == 0) {
        timerwheel_cancel(hub->expiries, &expiry->timer);
        return 0;
    }
    timerwheel_arm(hub->expiries, &expiry->timer, end_ns + hub->options.expired_close_delay_ns);
    return claims->ttl_s;
}

bool hub_ignores_tokens(const struct hub *hub)
{
    return hub->options.policies->insecure && hub->options.verifier == NULL;
}

/* -- connect ----------------------------------------------------------------------------------- */

static struct outcome sign_in(struct hub *hub, struct session *session, struct bytes token,
                              struct claims *claims)
{
    switch (hub_verify(hub, CLAIMS_CONNECTION, token, claims)) {
    case CLAIMS_VALID:
        return take_claims(hub, session, claims);
    case CLAIMS_EXPIRED:
        return (struct outcome){.error = CODES_ERROR_TOKEN_EXPIRED};
    case CLAIMS_INVALID:
        return (struct outcome){.disconnect = CODES_DISCONNECT_INVALID_TOKEN};
    case CLAIMS_UNAVAILABLE:
        return (struct outcome){.error = CODES_ERROR_INTERNAL};
    }
    NEVER("a verdict that is not one");
}

static struct outcome admit(struct hub *hub, struct session *session, struct bytes token,
                            struct claims *claims)
{
    *claims = (struct claims){.expires = false};
    if (token.size > 0 && !hub_ignores_tokens(hub)) {
        return sign_in(hub, session, token, claims);
    }
    if (!hub->options.anonymous_allowed) {
        hub_object(hub, "none", "none was shown, and nobody may connect without one");
        return (struct outcome){.disconnect = CODES_DISCONNECT_BAD_REQUEST};
    }
    return (struct outcome){.disconnect = 0};
}

static struct event_connected describe(const struct hub *hub, const struct session *session,
                                       uint32_t ttl_s, uint8_t id[static SESSION_ID_TEXT_SIZE])
{
    session_write_id(session, id);
    return (struct event_connected){
        .client = {id, SESSION_ID_TEXT_SIZE},
        .version = {(const uint8_t *)hub->options.version, strlen(hub->options.version)},
        .ttl_s = ttl_s,
        .expires = ttl_s > 0,
    };
}

void hub_greet(struct hub *hub, struct session *session, uint32_t command, uint32_t ttl_s,
               struct bytes subs)
{
    uint8_t id[SESSION_ID_TEXT_SIZE];
    struct event_connected result = describe(hub, session, ttl_s, id);

    result.ping_s = hub->options.ping_interval_s;
    result.pong = true;
    result.subs = subs;
    hub_reply_connect(&hub->reply, session, command, &result);
}

uint16_t hub_apply_connect(struct hub *hub, struct session *session, const struct command *command)
{
    const struct command_connect *connect = &command->connect;
    struct claims claims;

    if (connect->name.size > CLIENT_NAME_SIZE_MAX ||
        connect->version.size > CLIENT_VERSION_SIZE_MAX) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    struct outcome outcome = admit(hub, session, connect->token, &claims);
    if (outcome.disconnect != 0) {
        return outcome.disconnect;
    }
    if (outcome.error == CODES_ERROR_NONE) {
        const uint32_t ttl_s = session->identity == NULL ? 0 : begin_term(hub, session, &claims);
        outcome.error = hub_begin_arrival(hub, session, command, &claims, ttl_s);
    }
    if (outcome.error != CODES_ERROR_NONE) {
        session->state = SESSION_REFUSED;
        hub_reply_error(&hub->reply, session, command->id, outcome.error);
    }
    return 0;
}

/* -- who is there ------------------------------------------------------------------------------ */

bool hub_has_admitted(const struct session *session)
{
    return session->state == SESSION_CONNECTED;
}

/* -- refresh ----------------------------------------------------------------------------------- */

/* The next token has to be of the same user. One that has ended already ends the connection. */
static struct outcome renew(struct hub *hub, struct session *session, struct bytes token,
                            struct claims *claims)
{
    switch (hub_verify(hub, CLAIMS_CONNECTION, token, claims)) {
    case CLAIMS_VALID:
        break;
    case CLAIMS_EXPIRED:
        return (struct outcome){.disconnect = CODES_DISCONNECT_EXPIRED};
    case CLAIMS_INVALID:
        return (struct outcome){.disconnect = CODES_DISCONNECT_INVALID_TOKEN};
    case CLAIMS_UNAVAILABLE:
        return (struct outcome){.error = CODES_ERROR_INTERNAL};
    }
    const struct bytes user = session_user(session);
    if (session->identity == NULL || user.size != claims->user.size ||
        (user.size > 0 && memcmp(user.data, claims->user.data, user.size) != 0)) {
        hub_object(hub, "wrong_user", "it is not of the user who is connected");
        return (struct outcome){.disconnect = CODES_DISCONNECT_INVALID_TOKEN};
    }
    return take_claims(hub, session, claims);
}

uint16_t hub_apply_refresh(struct hub *hub, struct session *session, const struct command *command)
{
    const struct bytes token = command->refresh.token;
    uint8_t id[SESSION_ID_TEXT_SIZE];
    struct claims claims;

    if (hub->options.verifier == NULL) {
        hub_reply_error(&hub->reply, session, command->id, CODES_ERROR_NOT_AVAILABLE);
        return 0;
    }
    if (token.size == 0) {
        return CODES_DISCONNECT_BAD_REQUEST;
    }
    const struct outcome outcome = renew(hub, session, token, &claims);
    if (outcome.disconnect != 0) {
        return outcome.disconnect;
    }
    if (outcome.error != CODES_ERROR_NONE) {
        hub_reply_error(&hub->reply, session, command->id, outcome.error);
        return 0;
    }
    const uint32_t ttl_s = begin_term(hub, session, &claims);
    const struct event_connected result = describe(hub, session, ttl_s, id);
    hub_reply_refresh(&hub->reply, session, command->id, &result);
    return 0;
}

/* -- the end ----------------------------------------------------------------------------------- */

void hub_sign_out(struct hub *hub, struct session *session)
{
    if (session->identity != NULL) {
        hub_give_place_of_user(hub, session);
        timerwheel_cancel(hub->expiries, &session->identity->expiry.timer);
        identity_destroy(hub->users, session);
    }
}

static void fire(struct timerwheel_timer *timer, void *context)
{
    struct hub *hub = context;
    const struct identity_expiry *expiry = LIST_OWNER(timer, struct identity_expiry, timer);
    struct session *session = hub_session_at(hub, expiry->session);

    if (expiry->room != UINT32_MAX) {
        hub_expire_subscription(hub, session, expiry->room);
        return;
    }
    metrics_add(hub->options.metrics, METRIC_EXPIRED_CONNECTIONS, 1);
    hub_reply_disconnect(&hub->reply, session, CODES_DISCONNECT_EXPIRED);
}

void hub_expire(struct hub *hub)
{
    size_t fired = EXPIRIES_AT_ONCE;
    while (fired == EXPIRIES_AT_ONCE && outbox_is_roomy(hub->options.outbox)) {
        fired = timerwheel_expire(hub->expiries, hub->now_ns, fire, hub, EXPIRIES_AT_ONCE);
    }
}
