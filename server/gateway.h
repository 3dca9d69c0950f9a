/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_GATEWAY_H
#define SERVER_GATEWAY_H
/*
 * Where net meets proto and chat: the handler of every connection of one reactor.
 *
 * Owner     a shard. ON its reactor only.
 * Does      HTTP heads and the few answers we give, the WebSocket handshake, frames to messages,
 *           messages to commands for the hub, pings and every deadline that is not the socket's.
 * Not here  paths and bodies (site.h), what the hub wants delivered (delivery.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/timerwheel.h"
#include "proto/codes.h"

struct api_key;
struct compression;
struct config;
struct conn;
struct conn_handler;
struct gateway; /* opaque */
struct hub;
struct listening;
struct log;
struct metrics;
struct outbox;
struct reactor;
struct reload_desk;
struct simd_ops;
struct site;
struct token_verifier;

struct gateway_options {
    const struct config *config;
    const struct api_key *api_key; /* borrowed by gateway_create() alone; NULL: none */
    const struct simd_ops *simd;
    const struct site *site;
    const struct listening *listening; /* by the index that reactor_listen() gave */
    struct hub *hub;
    struct outbox *outbox;
    struct reload_desk *desk;
    struct compression *compression; /* NULL: off, nobody is offered it */
    struct token_verifier *tokens;   /* the hub asks it; NULL: as in shard.h */
    struct metrics *metrics;
    struct log *log; /* NULL: none */
    uint32_t conn_count_max;
    uint64_t seed; /* spreads the pings */
};

NODISCARD int gateway_create(const struct gateway_options *options, struct gateway **gateway);
void gateway_destroy(struct gateway *gateway);

/*
 * From now on another configuration, and another key; what needs a restart is the same in it. Times
 * that run keep their ends, and buckets their tokens.
 */
void gateway_change(struct gateway *gateway, const struct config *config,
                    const struct api_key *api_key) ON_REACTOR;

/* The upcalls, for reactor_listen(), for all listeners in the order of `listening`. */
const struct conn_handler *gateway_handler(const struct gateway *gateway);

/* Before the first connection: the reactor that it serves. -ENOMEM. After the last: detach. */
NODISCARD int gateway_attach(struct gateway *gateway, struct reactor *reactor);
void gateway_detach(struct gateway *gateway);

/* Phase 3, before reactor_receive: commands that had to wait go on, oldest first. */
void gateway_resume(struct gateway *gateway) ON_REACTOR;

/* Phase 3, first: clients whose user, or address, may say something again, in their order. */
void gateway_take_leases(struct gateway *gateway) ON_REACTOR;

/* Phase 3, at its end: clients whose connect had to wait for its answer are read again. */
void gateway_open_settled(struct gateway *gateway) ON_REACTOR;

/* Phase 3, at its end: who asked for a place among those of its address hears of it. */
void gateway_take_places(struct gateway *gateway) ON_REACTOR;

/* Commands wait for the hub: try again soon, even if nothing happens. */
NODISCARD bool gateway_is_waiting(const struct gateway *gateway);

/* Phase 7: a peer's timer fired. */
void gateway_fire(struct timerwheel_timer *timer, void *gateway) ON_REACTOR;

/* Phase 4, for delivery: says goodbye with a close frame, after everything that is queued. */
void gateway_say_close(struct gateway *gateway, struct conn *conn, uint16_t code) ON_REACTOR;

/* The same in other words than the code's own. */
void gateway_say_close_with(struct gateway *gateway, struct conn *conn, uint16_t code,
                            struct bytes reason) ON_REACTOR;

/* Phase 4, for delivery: what it is owed is above the high mark. It hears when that is read. */
void gateway_is_behind(struct gateway *gateway, struct conn *conn) ON_REACTOR;

/* Phase 4, for delivery: it does not take what we send. Its queue is dropped; 3008. */
void gateway_too_slow(struct gateway *gateway, struct conn *conn) ON_REACTOR;

/* Closes the listeners for clients. */
void gateway_stop_listening(struct gateway *gateway) ON_REACTOR;

/* Phase 4, for delivery: a part of what a back end asked is answered. Borrows the result. */
void gateway_take_answer(struct gateway *gateway, struct conn *conn, uint32_t part,
                         enum codes_error error, struct bytes result) ON_REACTOR;

/* Somebody has been answered, and goes on with the next iteration: do not sleep. */
NODISCARD bool gateway_has_answers(const struct gateway *gateway);

/* Memory is short: who is new gets 503, as /ready does, until it is no more. */
void gateway_refuse_connections(struct gateway *gateway, bool refuses) ON_REACTOR;

/* From now on /ready says no, and who asks for a page is told not to ask again here. */
void gateway_drain(struct gateway *gateway) ON_REACTOR;

/* Connections that came by another listener than the internal one. */
NODISCARD uint32_t gateway_client_count(const struct gateway *gateway);

/* It came by another listener than the internal one. */
NODISCARD bool gateway_is_client(const struct conn *conn) ON_REACTOR;

/* A client that nobody has said goodbye to. */
NODISCARD bool gateway_stays(const struct conn *conn) ON_REACTOR;

/* A WebSocket client whose close frame is queued, behind what it has not read. */
NODISCARD bool gateway_is_let_go(const struct conn *conn) ON_REACTOR;

/*
 * To one that stays, between two iterations: 3008, and what it makes us keep goes, but for what is
 * before the 3008: answers, and what the kernel has begun to send.
 */
void gateway_shed(struct gateway *gateway, struct conn *conn) ON_REACTOR;

/* Bytes that it makes us keep: what it has not read, messages that it has not said to the end. */
NODISCARD size_t gateway_kept_bytes(const struct conn *conn) ON_REACTOR;

/*
 * To one that stays. A client of the chat is to come back elsewhere (3001), which is said behind
 * what it is owed. Of who speaks HTTP a request that has begun is answered, with Connection: close;
 * one that may be on its way has a moment to come; nothing else is waited for.
 */
void gateway_say_goodbye(struct gateway *gateway, struct conn *conn) ON_REACTOR;

/* To all who speak HTTP: clients, or who came by the internal listener. How many that are. */
uint32_t gateway_end_requests(struct gateway *gateway, bool of_clients) ON_REACTOR;

/* Memory of what is known of connections beside their sockets. */
NODISCARD size_t gateway_bytes(const struct gateway *gateway);

/* Live peers, for tests. */
NODISCARD size_t gateway_count(const struct gateway *gateway);

#endif /* SERVER_GATEWAY_H */
