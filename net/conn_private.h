/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_CONN_PRIVATE_H
#define NET_CONN_PRIVATE_H
/*
 * The inside of a connection, shared by conn*.c and reactor*.c.
 *
 * Life      OPEN -> CLOSING -> FINISHED -> DYING -> DROPPED -> slot free, or from any state to
 *           DYING. Only the sweep moves on from DYING, and only BACKEND_CLOSED frees.
 * Lists     of a reactor, linked by slot: `touched` for the flush and the sweep, `ready` for
 *           upcalls that no completion will cause.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/timerwheel.h"
#include "net/backend.h"
#include "net/conn.h"
#include "net/outq.h"

struct reactor;

enum conn_state {
    CONN_STATE_OPEN,
    CONN_STATE_CLOSING,  /* what is queued is sent, then a FIN; input is thrown away */
    CONN_STATE_FINISHED, /* our FIN is out; the peer's is awaited */
    CONN_STATE_DYING,    /* the next sweep drops it */
    CONN_STATE_DROPPED,  /* on_close was called; the kernel is not done yet */
};

/* Received, not consumed. Valid bytes are data[begin, end). */
struct conn_pending {
    uint32_t begin;
    uint32_t end;
    uint32_t capacity; /* bytes in data */
    uint8_t data[];
};

struct conn {
    struct backend_conn io; /* first: the back end finds it in the slab */
    struct reactor *reactor;
    void *user;                    /* what on_open gave; NULL: nobody wants to hear of it */
    struct timerwheel_timer timer; /* OPEN: write stall; CLOSING, FINISHED: the end of patience */
    struct outq outq;
    struct conn_pending *pending; /* NULL: nothing */
    uint32_t touched_next;        /* slot */
    uint32_t ready_next;          /* slot */
    uint32_t progress_ms;         /* when the kernel last took bytes, or the queue began */
    int16_t reason;               /* for on_close: 0 or -errno */
    uint8_t state : 3;            /* enum conn_state */
    uint8_t listener : 3;         /* index */
    bool touched : 1;             /* in the touched list */
    bool ready : 1;               /* in the ready list */
    bool sending : 1;             /* a BACKEND_SENT will come */
    bool was_high : 1;            /* above the high mark since it was last below the low one */
    bool drained_due : 1;         /* on_drained is owed */
    bool feed_due : 1;            /* resumed with pending bytes, or with the end of input */
    bool ended : 1;               /* the peer's FIN was received */
    bool paused : 1;
    bool large : 1; /* its queue may hold queue_bytes_max_large */
    bool reset : 1; /* DYING: drop it with a reset */
};

_Static_assert(sizeof(struct conn) <= 112, "memory of an idle connection");
_Static_assert(BACKEND_LISTENER_MAX <= 8, "three bits");

/* Received bytes, or the end of input (`size` 0), come in. */
void conn_receive(struct conn *conn, struct span in) ON_REACTOR;

/* What the ready list owes it. */
void conn_serve(struct conn *conn) ON_REACTOR;

/* One send of what is queued; FIN when it closes and nothing is left. */
void conn_flush(struct conn *conn) ON_REACTOR;

/* A pending send ended: bytes or -errno. */
void conn_sent(struct conn *conn, int32_t result) ON_REACTOR;

/* The socket failed: on_close gets `reason`, unless it was closing for another one already. */
void conn_fail(struct conn *conn, int reason);

/* Its timer fired. */
void conn_expire(struct conn *conn) ON_REACTOR;

/* Frees what it holds beside its slot. */
void conn_release(struct conn *conn);

#endif /* NET_CONN_PRIVATE_H */
