/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_PEER_H
#define SERVER_PEER_H
/*
 * What the server knows of one connection beside its socket: which protocol it speaks, where that
 * stands, and its deadlines. Private to server/gateway*.c.
 *
 * Owner     the gateway of the connection's reactor, from accept to on_close.
 * Times     milliseconds of the reactor's clock since the gateway began; 0 stands for "none".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/limits.h"
#include "core/list.h"
#include "core/timerwheel.h"
#include "proto/http.h"
#include "proto/stream.h"
#include "server/client_address.h"

struct api_request;
struct conn;
struct gateway;
struct session;

enum peer_state {
    PEER_HTTP,    /* reading request heads */
    PEER_API,     /* reading the body of a back end's request, or answering it */
    PEER_ECHO,    /* upgraded on /echo */
    PEER_CHAT,    /* upgraded on /connection/websocket */
    PEER_CLOSING, /* a close frame is queued, or soon will be: input is dropped */
};

/* Its place among the connections of its address: gateway_place.c. */
enum peer_place {
    PEER_PLACE_NONE,   /* it needs none, or its address is not known yet */
    PEER_PLACE_WANTED, /* its home could not be asked yet */
    PEER_PLACE_ASKED,
    PEER_PLACE_HELD,
};

/* The rest of a message whose next command had to wait. Unmasked, not yet read. */
struct peer_held {
    size_t offset; /* bytes done */
    size_t size;   /* bytes */
    uint8_t text[];
};

struct peer {
    struct conn *conn;
    struct timerwheel_timer timer; /* armed for the earliest deadline */
    union {
        struct { /* until it is upgraded */
            struct http_reader http;
            struct api_request *request; /* once it has asked the server API something */
            bool is_idle; /* nothing of its next request has come; its deadline then changes */
            bool closes_after_answer; /* PEER_API */
            bool reads_no_more;       /* PEER_API: what it still sends is dropped */
        };
        struct stream stream; /* afterwards */
    };
    struct session *session; /* PEER_CHAT */
    struct peer_held *held;  /* commands that wait; reading is paused while there are any */
    struct client_address client;
    uint8_t state : 3;         /* enum peer_state */
    uint8_t place : 2;         /* enum peer_place */
    uint8_t listener : 3;      /* its index in gateway_options.listening */
    bool is_stream : 1;        /* `stream` is the member of the union: upgraded */
    bool is_connected : 1;     /* `connect` succeeded: pings instead of the connect deadline */
    bool ping_sent : 1;        /* and not yet answered */
    bool closed_by_client : 1; /* its close frame came before ours */
    bool waits_for_hub : 1;    /* in gateway->waiting: its commands, or its wish for a place */
    bool waits_for_reply : 1;  /* its connect is not answered yet: it is not read */
    bool is_sent_away : 1;     /* it was told goodbye: the server drains */
    struct limits_bucket commands;
    struct limits_bucket controls;
    uint32_t phase_deadline;   /* head, connect, next ping, or pong: by state and ping_sent */
    uint32_t message_deadline; /* for the last byte of the message under way */
    uint32_t resume_at;        /* held back by a rate of commands until then, at most */
    uint32_t over_rate_since;  /* above such a rate since then, or its home is asked */
    uint32_t slot;             /* its own, in the gateway's slab */
};

_Static_assert(sizeof(struct peer) <= 152, "one per connection, idle ones too");

#endif /* SERVER_PEER_H */
