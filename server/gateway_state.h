/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_GATEWAY_STATE_H
#define SERVER_GATEWAY_STATE_H
/*
 * The gateway's state, and the steps that its files share: gateway.c (itself), gateway_peer.c (the
 * life of a peer), gateway_deadline.c (and its times), gateway_http.c (requests), gateway_api.c
 * (those of back ends), gateway_frames.c (frames and messages), gateway_commands.c (those of the
 * chat), gateway_place.c (who may come), gateway_rate.c (how fast they may talk), gateway_close.c
 * (goodbye), gateway_log.c (what is told of a peer).
 *
 * Private to server/gateway*.c. ON the gateway's reactor.
 */
#include <stddef.h>
#include <stdint.h>

#include "chat/claims.h"
#include "chat/limits.h"
#include "chat/quota.h"
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
#include "server/api_gate.h"
#include "server/api_request.h"
#include "server/gateway.h"
#include "server/peer.h"

struct listening_item;
struct slab;

enum {
    GATEWAY_NS_PER_MS = 1000000,
    GATEWAY_HTTP_LINGER_MS = 10000, /* for the client to read the last answer */
};

/* A header of every 503 and 429: what is short is soon there again, or another process is. */
#define GATEWAY_RETRY_AFTER "Retry-After: 1\r\n"

struct gateway {
    struct gateway_options options;
    struct conn_handler handler;
    struct reactor *reactor;
    struct slab *peers;      /* objects are struct peer */
    struct conn_id *waiting; /* peers that wait for the hub, oldest first */
    uint32_t waiting_count;
    struct packet *ping; /* the same bytes for everybody */
    struct http_limits http_limits;
    struct stream_limits chat_limits[2]; /* without and with compression */
    struct stream_limits echo_limits[2];
    struct limits_rate command_rate;
    struct limits_rate control_rate;
    bool limits_commands; /* of users, or of addresses */
    struct api_gate api_gate;
    struct api_request_options api_options;
    uint32_t client_count;    /* peers that came by another listener than the internal one */
    uint32_t api_count;       /* peers in PEER_API */
    uint64_t began_ns;        /* of the reactor's clock */
    uint64_t random;          /* state of the generator that spreads pings */
    bool has_answers;         /* some of those in PEER_API can go on at once */
    bool draining;            /* see gateway_drain() */
    bool refuses_connections; /* see gateway_refuse_connections() */
};

/* gateway_peer.c: the upcalls, of which gateway->handler tells the reactor. */
void gateway_set_handler(struct gateway *gateway);

/* gateway_peer.c: what its listener is. */
const struct listening_item *gateway_listener(const struct gateway *gateway,
                                              const struct peer *peer);

/* gateway_deadline.c: milliseconds since the gateway began, never 0: that can stand for "none". */
uint32_t gateway_now_ms(const struct gateway *gateway);

/* The same, so much later. */
uint32_t gateway_after_ns(const struct gateway *gateway, uint64_t delay_ns);

/* gateway_deadline.c: after a deadline of the peer changed. */
void gateway_arm(struct gateway *gateway, struct peer *peer);

/* gateway_deadline.c: what the present phase waits for now, with its deadline. */
void gateway_expect_connect(struct gateway *gateway, struct peer *peer);
void gateway_begin_pings(struct gateway *gateway, struct peer *peer) ON_REACTOR;
void gateway_expect_request(struct gateway *gateway, struct peer *peer);

/* gateway_deadline.c: the first bytes of a request have come to an idle one. */
void gateway_expect_rest(struct gateway *gateway, struct peer *peer);

/*
 * gateway_deadline.c: the server ends. A request head that has begun has as long as others have to
 * say goodbye, one that may be on its way has a moment.
 */
void gateway_expect_last_request(struct gateway *gateway, struct peer *peer);

/* gateway_deadline.c: an answer to our ping. False: nobody asked. */
bool gateway_take_pong(struct gateway *gateway, struct peer *peer);

/* gateway_peer.c: the peer's held commands go on when the hub is ready, oldest first. */
void gateway_wait_for_hub(struct gateway *gateway, struct peer *peer) ON_REACTOR;

/*
 * gateway_log.c: a line about a peer, which it names; at level info, and at debug. `why` may be
 * GATEWAY_NO_FIELD. Neither may come from what could be a secret: no target, no body, and of
 * headers Origin and Host alone.
 */
#define GATEWAY_NO_FIELD ((struct log_field){.key = NULL})
void gateway_log(const struct gateway *gateway, const struct peer *peer, const char *event,
                 struct log_field what, struct log_field why) ON_REACTOR;
void gateway_debug(const struct gateway *gateway, const struct peer *peer, const char *event,
                   struct log_field what, struct log_field why) ON_REACTOR;

/* gateway_log.c: it has gone; `why` is a METRIC_CLOSED_*, `reason` that of on_close. */
void gateway_log_closed(const struct gateway *gateway, const struct peer *peer, enum metrics_id why,
                        int reason) ON_REACTOR;

/* gateway_log.c: after a command that may show such a token: why it did not do, if it did not. */
void gateway_log_token(const struct gateway *gateway, const struct peer *peer,
                       enum claims_kind kind) ON_REACTOR;

/* gateway_close.c: the input is over; after its replies it gets a close frame with this code. */
void gateway_end(struct gateway *gateway, struct peer *peer, uint16_t code) ON_REACTOR;

/* gateway_close.c: no memory for what it is owed. */
void gateway_give_up(struct gateway *gateway, struct peer *peer) ON_REACTOR;

/* A copy of `bytes` as a packet; NULL: no memory. */
struct packet *gateway_packet(struct gateway *gateway, struct bytes bytes);

/* gateway_http.c: returns how much of `in` it is done with. */
size_t gateway_read_http(struct gateway *gateway, struct peer *peer, struct span in) ON_REACTOR;

/*
 * gateway_http.c: an answer, as one packet; it may have lost the connection (CONN_TOO_SLOW), or
 * paused it until on_drained (CONN_QUEUED_HIGH). And one that ends the connection.
 */
enum conn_queued gateway_say(struct gateway *gateway, struct peer *peer,
                             const struct http_response *response, struct bytes body) ON_REACTOR;
void gateway_refuse(struct gateway *gateway, struct peer *peer,
                    const struct http_response *response, struct bytes body) ON_REACTOR;

/* gateway_api.c: a request for /api, whose body comes to gateway_read_api(). */
void gateway_begin_api(struct gateway *gateway, struct peer *peer,
                       const struct http_request *request) ON_REACTOR;
size_t gateway_read_api(struct gateway *gateway, struct peer *peer, struct span in) ON_REACTOR;

/* gateway_api.c: asks what may be asked now. False: it waits for the hub. */
bool gateway_go_on_api(struct gateway *gateway, struct peer *peer) ON_REACTOR;

/* gateway_api.c: what was answered has been read; a deadline; the end is near; it is here. */
void gateway_release_api(struct gateway *gateway, struct peer *peer) ON_REACTOR;
void gateway_api_timeout(struct gateway *gateway, struct peer *peer) ON_REACTOR;
void gateway_drain_api(struct gateway *gateway, struct peer *peer) ON_REACTOR;
void gateway_close_api(struct gateway *gateway, struct peer *peer) ON_REACTOR;

/*
 * gateway_place.c. A connection's address is known (place_arrival), or that of a request: a place
 * is asked for if it is limited. A request has come: true, its head is to be left where it is, and
 * is read again when there is an answer. There may be credits again: false, there are none.
 */
void gateway_place_arrival(struct gateway *gateway, struct peer *peer) ON_REACTOR;
void gateway_want_place(struct gateway *gateway, struct peer *peer) ON_REACTOR;
NODISCARD bool gateway_waits_for_place(struct gateway *gateway, struct peer *peer) ON_REACTOR;
NODISCARD bool gateway_ask_again(struct gateway *gateway, struct peer *peer) ON_REACTOR;
void gateway_give_place(struct gateway *gateway, struct peer *peer) ON_REACTOR;

/* gateway_place.c: what stands for its address where that is limited: an IPv6 one is its /64. */
NODISCARD struct quota_key gateway_limit_key(const struct peer *peer);

/* What stopped a run of commands. */
enum gateway_run {
    GATEWAY_RUN_DONE,         /* no command is left, or the peer is over */
    GATEWAY_RUN_WAITS_HUB,    /* an answer could not be promised now */
    GATEWAY_RUN_WAITS_REPLY,  /* a connect is not answered yet */
    GATEWAY_RUN_WAITS_TOKENS, /* above a rate: until resume_at, or until gateway_take_leases() */
};

/* gateway_rate.c: may one more command be read? GATEWAY_RUN_DONE: yes, unless the peer is over. */
NODISCARD enum gateway_run gateway_admit(struct gateway *gateway, struct peer *peer, bool is_pong)
    ON_REACTOR;

/* gateway_rate.c: one more control frame? False: the peer is over. */
bool gateway_admit_control(struct gateway *gateway, struct peer *peer) ON_REACTOR;

/* gateway_http.c: no whole request head came in time. */
void gateway_head_timeout(struct gateway *gateway, struct peer *peer) ON_REACTOR;

/* gateway_frames.c: likewise. */
size_t gateway_read_frames(struct gateway *gateway, struct peer *peer, struct span in) ON_REACTOR;

/* gateway_frames.c: what there is of a message, if there is anything. */
void gateway_free_assembly(struct peer *peer);

/* gateway_commands.c: a whole message of the chat. */
void gateway_take_commands(struct gateway *gateway, struct peer *peer,
                           const struct stream_event *event) ON_REACTOR;

/* gateway_commands.c: goes on with held commands. False: they still wait. */
bool gateway_read_held(struct gateway *gateway, struct peer *peer) ON_REACTOR;

#endif /* SERVER_GATEWAY_STATE_H */
