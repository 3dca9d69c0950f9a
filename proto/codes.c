/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/codes.h"

#include "core/check.h"

const char *codes_error_text(enum codes_error code)
{
    switch (code) {
    case CODES_ERROR_NONE:
        break;
    case CODES_ERROR_INTERNAL:
        return "internal server error";
    case CODES_ERROR_UNAUTHORIZED:
        return "unauthorized";
    case CODES_ERROR_UNKNOWN_CHANNEL:
        return "unknown channel";
    case CODES_ERROR_PERMISSION_DENIED:
        return "permission denied";
    case CODES_ERROR_METHOD_NOT_FOUND:
        return "method not found";
    case CODES_ERROR_ALREADY_SUBSCRIBED:
        return "already subscribed";
    case CODES_ERROR_LIMIT_EXCEEDED:
        return "limit exceeded";
    case CODES_ERROR_BAD_REQUEST:
        return "bad request";
    case CODES_ERROR_NOT_AVAILABLE:
        return "not available";
    case CODES_ERROR_TOKEN_EXPIRED:
        return "token expired";
    case CODES_ERROR_EXPIRED:
        return "expired";
    case CODES_ERROR_TOO_MANY_REQUESTS:
        return "too many requests";
    case CODES_ERROR_UNRECOVERABLE_POSITION:
        return "unrecoverable position";
    case CODES_ERROR_CONCURRENT_PAGINATION:
        return "concurrent pagination";
    }
    NEVER("a code that is not one");
}

const char *codes_unsubscribe_text(enum codes_unsubscribe code)
{
    switch (code) {
    case CODES_UNSUBSCRIBE_SERVER:
        return "server unsubscribe";
    case CODES_UNSUBSCRIBE_INSUFFICIENT_STATE:
        return "insufficient state";
    case CODES_UNSUBSCRIBE_EXPIRED:
        return "subscription expired";
    case CODES_UNSUBSCRIBE_STATE_INVALIDATED:
        return "state invalidated";
    }
    NEVER("a code that is not one");
}

const char *codes_disconnect_text(enum codes_disconnect code)
{
    switch (code) {
    case CODES_DISCONNECT_CLOSED:
        return "connection closed";
    case CODES_DISCONNECT_SHUTDOWN:
        return "shutdown";
    case CODES_DISCONNECT_SERVER_ERROR:
        return "internal server error";
    case CODES_DISCONNECT_EXPIRED:
        return "connection expired";
    case CODES_DISCONNECT_SUBSCRIPTION_EXPIRED:
        return "subscription expired";
    case CODES_DISCONNECT_SLOW:
        return "slow";
    case CODES_DISCONNECT_WRITE_ERROR:
        return "write error";
    case CODES_DISCONNECT_INSUFFICIENT_STATE:
        return "insufficient state";
    case CODES_DISCONNECT_FORCE_RECONNECT:
        return "force reconnect";
    case CODES_DISCONNECT_NO_PONG:
        return "no pong";
    case CODES_DISCONNECT_TOO_MANY_REQUESTS:
        return "too many requests";
    case CODES_DISCONNECT_STATE_INVALIDATED:
        return "state invalidated";
    case CODES_DISCONNECT_INVALID_TOKEN:
        return "invalid token";
    case CODES_DISCONNECT_BAD_REQUEST:
        return "bad request";
    case CODES_DISCONNECT_STALE:
        return "stale";
    case CODES_DISCONNECT_FORCE:
        return "force disconnect";
    case CODES_DISCONNECT_CONNECTION_LIMIT:
        return "connection limit";
    case CODES_DISCONNECT_CHANNEL_LIMIT:
        return "channel limit";
    case CODES_DISCONNECT_INAPPROPRIATE_PROTOCOL:
        return "inappropriate protocol";
    case CODES_DISCONNECT_PERMISSION_DENIED:
        return "permission denied";
    case CODES_DISCONNECT_NOT_AVAILABLE:
        return "not available";
    case CODES_DISCONNECT_TOO_MANY_ERRORS:
        return "too many errors";
    }
    NEVER("a code that is not one");
}

bool codes_error_is_temporary(enum codes_error code)
{
    return code == CODES_ERROR_INTERNAL || code == CODES_ERROR_TOO_MANY_REQUESTS ||
           code == CODES_ERROR_CONCURRENT_PAGINATION;
}

bool codes_disconnect_reconnects(uint32_t code)
{
    return (code >= 3000 && code < 3500) || (code >= 4000 && code < 4500) || code >= 5000;
}
