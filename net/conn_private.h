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
#include <sys/uio.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/metrics.h"
#include "core/timerwheel.h"
#include "net/backend.h"
#include "net/conn.h"
#include "net/outq.h"

struct reactor;
struct tls;
struct tls_config;

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
    struct tls *tls;              /* NULL: a plain one */
    struct conn_pending *pending; /* NULL: nothing. Ciphertext until the handshake is done */
    uint32_t touched_next;        /* slot */
    uint32_t ready_next;          /* slot */
    uint32_t progress_ms;         /* when the kernel last took bytes, or the queue began */
    uint16_t error : 12;          /* errno for on_close, or 0 */
    bool marked : 1;              /* conn_set_mark() */
    bool proxy_due : 1;           /* a PROXY header has to come first, and is in `pending` */
    bool held : 1;                /* conn_hold(): what comes is kept in `pending` as it is */
    uint8_t state : 3;            /* enum conn_state */
    uint8_t listener : 3;         /* index */
    bool touched : 1;             /* in the touched list */
    bool ready : 1;               /* in the ready list */
    bool sending : 1;             /* a BACKEND_SENT will come */
    bool was_high : 1;            /* above the high mark since it was last below the low one */
    bool drained_due : 1;         /* on_drained is owed */
    bool feed_due : 1;            /* resumed with pending bytes, or with the end of input */
    bool ended : 1;               /* the peer's FIN was received, or is not waited for */
    bool paused : 1;
    bool large : 1; /* its queue may hold queue_bytes_max_large */
    bool reset : 1; /* DYING: drop it with a reset */
};

_Static_assert(sizeof(struct conn) <= 120, "memory of an idle connection");
_Static_assert(BACKEND_LISTENER_MAX <= 8, "three bits");

/* Received bytes, or the end of input (`size` 0), come in. */
void conn_receive(struct conn *conn, struct span in) ON_REACTOR;

/* What the ready list owes it. */
void conn_serve(struct conn *conn) ON_REACTOR;

/* conn_send.c: a few sends of what is queued; FIN when it closes and nothing is left. */
void conn_flush(struct conn *conn) ON_REACTOR;

/* A pending send ended: bytes or -errno. */
void conn_sent(struct conn *conn, int32_t result) ON_REACTOR;

/* The socket failed: on_close gets `reason`, unless it was closing for another one already. */
void conn_fail(struct conn *conn, int reason);

/* The sweep of this iteration drops it. It does not yet. */
void conn_die(struct conn *conn, bool reset);

/* Plaintext for the handler. The connection is open. */
void conn_deliver(struct conn *conn, struct span in) ON_REACTOR;

/* The end of what the peer sends: its FIN, or its close_notify. */
void conn_end_input(struct conn *conn) ON_REACTOR;

/* Appends to what is pending. 0 or -ENOMEM. */
NODISCARD int conn_keep(struct conn *conn, const uint8_t *data, size_t size);

/* From OPEN: sends the rest, then a FIN, and has until the delay is over. */
void conn_begin_closing(struct conn *conn, int reason, uint64_t delay_ns);

/* Its timer, from the present iteration on. */
void conn_arm(struct conn *conn, uint64_t delay_ns);

/* Bytes that the next flush can send. */
NODISCARD bool conn_has_output(const struct conn *conn);

/* conn_tls.c: the handshake has yet to be done, and has not failed. */
NODISCARD bool conn_is_shaking(const struct conn *conn);

/*
 * conn_proxy.c: bytes came while a header is due. True: it is there and taken, and `in` is what
 * follows it.
 */
NODISCARD bool conn_proxy_receive(struct conn *conn, struct span *in) ON_REACTOR;

/* The header took too long, or will not come. */
void conn_proxy_fail(struct conn *conn, enum metrics_id why);

/* A new connection of a listener or dialler with TLS. 0 or -ENOMEM. */
NODISCARD int conn_tls_begin(struct conn *conn, struct tls_config *config);

/* Ciphertext came. */
void conn_tls_receive(struct conn *conn, struct span in) ON_REACTOR;

/* A handshake that had to wait for this iteration goes on. */
void conn_tls_serve(struct conn *conn) ON_REACTOR;

/* The handshake took too long. */
void conn_tls_expire(struct conn *conn);

/* Encrypts what there is room for; ciphertext as pieces, as many as returned. */
NODISCARD size_t conn_tls_gather(struct conn *conn, struct iovec *pieces, size_t max) ON_REACTOR;

/* Its timer fired. */
void conn_expire(struct conn *conn) ON_REACTOR;

/* Frees what it holds beside its slot. */
void conn_release(struct conn *conn);

#endif /* NET_CONN_PRIVATE_H */
