/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_CLIENT_H
#define BENCH_LOAD_CLIENT_H
/*
 * One connection of the generator: dial, handshake, frames, close. For a session also `connect`
 * and `subscribe` of the Centrifuge protocol, and its pings.
 *
 * Owner     a worker, as long as the run. The connection in it may end and be made again.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load/cause.h"
#include "bench/load/sequence.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "proto/stream.h"

struct conn;
struct conn_handler;
struct json_writer;
struct scenario_delivery;
struct worker;

enum { CLIENT_EPOCH_SIZE_MAX = 31 }; /* bytes */

enum client_state {
    CLIENT_GONE,      /* no connection */
    CLIENT_HANDSHAKE, /* until the 101 */
    CLIENT_OPENING,   /* a session: until the reply to its subscribe */
    CLIENT_READY,
    CLIENT_CLOSED,  /* it was ready, and the server said goodbye: until the connection is gone */
    CLIENT_LEAVING, /* we want it to end */
};

/* The last that a session has of its channel. It outlives the connection. */
struct client_position {
    uint64_t offset;
    uint8_t epoch_size; /* 0: it has none */
    uint8_t epoch[CLIENT_EPOCH_SIZE_MAX];
};

struct client {
    struct worker *worker;
    struct conn *conn;
    struct stream stream;
    uint64_t dialled_ns;
    uint64_t back_ns; /* when it was back, at last, after a cut; 0: it was not */
    uint64_t heard;   /* line of its room's transcript that comes next */
    struct client_position position;
    struct sequence *sequences; /* of each publisher of its room, by place */
    uint32_t index;             /* over all workers */
    uint32_t number;            /* a publisher: of the next message */
    uint32_t command;           /* id of the last command of the session */
    uint16_t close_code;        /* that the server sent; 0: none */
    uint8_t state;              /* enum client_state */
    bool is_new;                /* nobody knows all that it has to get */
    bool was_cut;               /* by us: it is to come back */
    bool is_away;               /* struck by a storm, and not back */
    bool has_failed;            /* this connection; why is in the tally */
    uint8_t nonce[16];
};

/* The upcalls of all clients of a worker. */
void client_set_handler(struct worker *worker, struct conn_handler *handler);

/* Begins to connect. 0 or -errno. From CLIENT_GONE. */
NODISCARD int client_dial(struct client *client) ON_REACTOR;

/*
 * Sends one message: a frame, or a publish of the session, or for tcp:// the bytes as they are.
 * `size` bytes from `payload`, which is the worker's scratch behind its first byte.
 */
void client_send(struct client *client, struct span payload) ON_REACTOR;

/*
 * For session.c: what somebody published; the subscription stands; a message is to be sent, of what
 * `write` writes.
 */
void client_deliver(struct client *client, const struct scenario_delivery *delivery) ON_REACTOR;
void client_is_subscribed(struct client *client) ON_REACTOR;
void client_send_commands(struct client *client,
                          void (*write)(struct client *client, struct json_writer *writer))
    ON_REACTOR;

/* Says goodbye and closes: with a close frame, or with a reset. */
void client_leave(struct client *client, bool reset) ON_REACTOR;

/* Counts a fault of the server with its cause, and ends the connection. */
void client_fail(struct client *client, enum cause_kind kind, uint32_t code) ON_REACTOR;

#endif /* BENCH_LOAD_CLIENT_H */
