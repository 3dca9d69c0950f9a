/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_GATEWAY_STATE_H
#define SERVER_GATEWAY_STATE_H
/*
 * The gateway's state, and the steps that its files share: gateway.c (lives, deadlines),
 * gateway_http.c (requests), gateway_frames.c (frames and messages), gateway_close.c (goodbye).
 *
 * Private to server/gateway*.c. ON the gateway's reactor.
 */
#include <stddef.h>
#include <stdint.h>

#include "chat/limits.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "core/conn_id.h"
#include "core/log.h"
#include "core/metrics.h"
#include "net/conn.h"
#include "net/packet.h"
#include "net/reactor.h"
#include "proto/http.h"
#include "proto/stream.h"
#include "server/gateway.h"
#include "server/peer.h"

struct slab;

enum {
    GATEWAY_NS_PER_MS = 1000000,
    GATEWAY_HTTP_LINGER_MS = 10000, /* for the client to read the last answer */
};

struct gateway {
    struct gateway_options options;
    struct conn_handler handler;
    struct reactor *reactor;
    struct slab *peers;      /* objects are struct peer */
    struct conn_id *waiting; /* peers held until the hub is ready, oldest first */
    uint32_t waiting_count;
    struct packet *ping; /* the same bytes for everybody */
    struct http_limits http_limits;
    struct stream_limits chat_limits[2]; /* without and with compression */
    struct stream_limits echo_limits[2];
    struct limits_rate command_rate;
    struct limits_rate control_rate;
    uint32_t client_count;    /* peers that came by another listener than the internal one */
    uint64_t began_ns;        /* of the reactor's clock */
    uint64_t random;          /* state of the generator that spreads pings */
    bool draining;            /* see gateway_drain() */
    bool refuses_connections; /* see gateway_refuse_connections() */
};

/* Milliseconds since the gateway began, never 0, so that 0 can stand for "none". */
uint32_t gateway_now_ms(const struct gateway *gateway);

/* The same, so much later. */
uint32_t gateway_after_ns(const struct gateway *gateway, uint64_t delay_ns);

/* gateway.c: after a deadline of the peer changed. */
void gateway_arm(struct gateway *gateway, struct peer *peer);

/* gateway.c: what the present phase waits for now, with its deadline. */
void gateway_expect_connect(struct gateway *gateway, struct peer *peer);
void gateway_begin_pings(struct gateway *gateway, struct peer *peer);

/* gateway.c: an answer to our ping. False: nobody asked. */
bool gateway_take_pong(struct gateway *gateway, struct peer *peer);

/* gateway.c: the peer's held commands go on when the hub is ready, oldest first. */
void gateway_wait_for_hub(struct gateway *gateway, struct peer *peer) ON_REACTOR;

/* gateway_close.c: a line about a peer, at level info, with its address. */
void gateway_log(const struct gateway *gateway, const struct peer *peer, const char *event,
                 struct log_field what, struct log_field why) ON_REACTOR;

/* gateway_close.c: the input is over; after its replies it gets a close frame with this code. */
void gateway_end(struct gateway *gateway, struct peer *peer, uint16_t code) ON_REACTOR;

/* gateway_close.c: no memory for what it is owed. */
void gateway_give_up(struct gateway *gateway, struct peer *peer) ON_REACTOR;

/* A copy of `bytes` as a packet; NULL: no memory. */
struct packet *gateway_packet(struct gateway *gateway, struct bytes bytes);

/* gateway_http.c: returns how much of `in` it is done with. */
size_t gateway_read_http(struct gateway *gateway, struct peer *peer, struct span in) ON_REACTOR;

/* gateway_http.c: no whole request head came in time. */
void gateway_head_timeout(struct gateway *gateway, struct peer *peer) ON_REACTOR;

/* gateway_frames.c: likewise. */
size_t gateway_read_frames(struct gateway *gateway, struct peer *peer, struct span in) ON_REACTOR;

/* gateway_frames.c: what there is of a message, if there is anything. */
void gateway_free_assembly(struct peer *peer);

/* gateway_frames.c: goes on with held commands. False: they still wait. */
bool gateway_read_held(struct gateway *gateway, struct peer *peer) ON_REACTOR;

#endif /* SERVER_GATEWAY_STATE_H */
