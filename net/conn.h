/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NET_CONN_H
#define NET_CONN_H
/*
 * One client connection: its socket, received bytes not yet consumed, queued packets.
 *
 * Owner     the reactor that accepted it, from accept until the sweep that frees it.
 * Threads   a `struct conn *` never leaves its reactor. Other threads hold a `struct conn_id`.
 * Lifetime  closing only marks. on_close comes from the reactor's sweep, after every handler of
 *           the iteration has run, so a handler may close any connection, itself too. After
 *           on_close the connection is gone for the handler; its name is stale.
 * TLS       of a listener or dialler with a tls_config: the handler sees plaintext only, and gets
 *           on_open before the handshake. What is queued meanwhile waits for it. A handshake that
 *           fails or takes too long, and a fault of TLS later, end in on_close(-EPROTO), and
 *           conn_tls_fault() says why. conn_close() says close_notify before the FIN. A FIN without
 *           a close_notify may be a truncation; it is treated like a FIN, for WebSocket has an end
 *           of its own, and so does a message. conn_hold() keeps a handshake from beginning.
 * PROXY     of a listener that wants it: nothing else is looked at before a PROXY header was read.
 *           One that is bad or too late ends in on_close(-EPROTO). conn_peer() stays the proxy.
 * Peer      a FIN of the peer ends a connection that was open: what is queued is still sent, then
 *           on_close says -ESHUTDOWN. A paused connection notices neither FIN nor reset until it
 *           is resumed or sends.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/conn_id.h"

struct address; /* net/address.h */
struct conn;    /* opaque */
struct packet;  /* net/packet.h: encoded bytes, counted by this reactor only */

/*
 * The upcalls of one listener; the struct is borrowed as long as the reactor lives. All run on the
 * owning reactor: on_open and on_bytes in reactor_receive(), on_drained there too, on_close in
 * reactor_sweep(). All may call any conn_* function on any connection of the reactor.
 */
struct conn_handler {
    /* First upcall. Returns what conn_user() gives from now on; NULL turns the client away with a
     * reset, and no other upcall follows. */
    void *(*on_open)(struct conn *conn);

    /*
     * `in` is everything received and not yet consumed, borrowed until the return; the callee may
     * write to it. Returns how many bytes it is done with, 0 when it needs more to go on; the rest
     * comes again together with what arrives next, or after conn_resume() when the handler paused
     * meanwhile, maybe at another address. A handler that leaves more than pending_max without
     * pausing loses the connection (-EMSGSIZE). Not called for a paused or closing connection.
     */
    size_t (*on_bytes)(struct conn *conn, struct span in);

    /* The queue was above queue_bytes_high and is now at most queue_bytes_low. May be NULL. */
    void (*on_drained)(struct conn *conn);

    /* Who the client is, by a PROXY header that says so; before any on_bytes. May be NULL. */
    void (*on_proxied)(struct conn *conn, const struct address *client);

    /* Last upcall, once. 0: conn_close(); else a negative errno, see conn.h and conn_abort(). */
    void (*on_close)(struct conn *conn, int reason);

    void *context; /* the owner's; conn_handler_context() */
};

/* Urgent packets go before normal ones of which no byte was handed to the kernel yet. */
enum conn_lane {
    CONN_URGENT, /* replies, pings, pongs */
    CONN_NORMAL, /* publications */
};

enum conn_queued {
    CONN_QUEUED = 0,
    CONN_QUEUED_HIGH, /* queued, and above queue_bytes_high: stop reading from whoever feeds it */
    CONN_LAGS,        /* refused: a packet of a flow, see conn_queue() */
    CONN_TOO_SLOW,    /* refused, nothing changed: above queue_bytes_max, or no memory */
};

enum {
    CONN_PACKET_COST = 16, /* bytes that a queued packet counts for, beside its own */
};

/*
 * Queues a packet and takes one reference to it, except when it is refused: what that costs is the
 * caller's to decide. A queue that no send waits for yet may hold queue_bytes_max_large: a burst in
 * one iteration is no sign of a slow reader. Else one with a packet_flow() is refused already above
 * queue_bytes_high (CONN_LAGS), so that there is room for others. A packet_is_replaceable() may
 * take the place of an older one. Never writes to the socket: the reactor flushes once, at the end
 * of the iteration. On a connection that is closing it says CONN_QUEUED and drops the packet.
 */
NODISCARD enum conn_queued conn_queue(struct conn *conn, struct packet *packet, enum conn_lane lane)
    ON_REACTOR;

/*
 * Queues a copy of both (`body` may be empty) in the normal lane, joined to what is queued there
 * already, where that can be done: many small messages of one iteration are then one piece for the
 * kernel. On CONN_TOO_SLOW nothing has changed.
 */
NODISCARD enum conn_queued conn_append(struct conn *conn, struct bytes head, struct bytes body)
    ON_REACTOR;

/*
 * After CONN_LAGS: queues it in the normal lane in spite of that, as the only one of its flow, as
 * far as the others can still be dropped. `dropped` is how many messages those were.
 */
NODISCARD enum conn_queued conn_queue_latest(struct conn *conn, struct packet *packet,
                                             size_t *dropped) ON_REACTOR;

/*
 * Drops what is queued of a flow (> 0) and was not yet given to the kernel. Returns how many
 * messages that were.
 */
size_t conn_drop_flow(struct conn *conn, uint32_t flow) ON_REACTOR;

/* Drops what is queued and was not yet given to the kernel, but for urgent packets. */
void conn_drop_queue(struct conn *conn) ON_REACTOR;

/* From now on its queue is bounded by queue_bytes_max_large (true) or queue_bytes_max. */
void conn_set_large(struct conn *conn, bool large) ON_REACTOR;

/*
 * One bit of the owner's, false at first, for what it asks of every connection of a fan-out: what
 * conn_user() gives would be one more place to read from memory.
 */
void conn_set_mark(struct conn *conn, bool mark) ON_REACTOR;
NODISCARD bool conn_mark(const struct conn *conn) ON_REACTOR;

/*
 * Ends it gracefully: everything queued is sent, then a FIN, then at most until linger_ms from now
 * the peer's FIN is awaited; what it still sends is thrown away. linger_ms = 0: the queue is
 * dropped and the peer sees a reset. No on_bytes any more. Again: nothing.
 */
void conn_close(struct conn *conn, uint32_t linger_ms) ON_REACTOR;

/*
 * The same, but the peer's FIN is not awaited, after conn_close() not any longer: for one on which
 * nothing is under way. The kernel goes on delivering what it was given, and answers what the peer
 * still sends with a reset.
 */
void conn_hang_up(struct conn *conn) ON_REACTOR;

/* Ends it at once, with a reset; `reason` (0 or -errno) is what on_close gets. */
void conn_abort(struct conn *conn, int reason) ON_REACTOR;

NODISCARD bool conn_is_closing(const struct conn *conn) ON_REACTOR;

/* Stops and restarts reading. A paused client fills its TCP window: this is how we push back. */
void conn_pause(struct conn *conn) ON_REACTOR;
void conn_resume(struct conn *conn) ON_REACTOR;
NODISCARD bool conn_is_paused(const struct conn *conn) ON_REACTOR;

/*
 * In on_open or on_proxied: nothing that the client sends is looked at, and so no handshake of TLS
 * begins, until conn_admit(). For who has to ask whether it may come before it costs anything. Its
 * time (tls_handshake_ns) runs. Closing it meanwhile is conn_abort(): nothing can be said yet.
 */
void conn_hold(struct conn *conn) ON_REACTOR;
void conn_admit(struct conn *conn) ON_REACTOR; /* one that is not held: nothing */
NODISCARD bool conn_is_held(const struct conn *conn) ON_REACTOR;

NODISCARD struct conn_id conn_id_of(const struct conn *conn) ON_REACTOR;
NODISCARD void *conn_user(const struct conn *conn) ON_REACTOR;
NODISCARD void *conn_handler_context(const struct conn *conn) ON_REACTOR;

/* What reactor_listen() returned for the listener that it came through. */
NODISCARD unsigned conn_listener(const struct conn *conn) ON_REACTOR;

/*
 * Queued and not yet taken by the kernel: bytes, plus CONN_PACKET_COST for each packet. With TLS
 * what is encrypted already counts as ciphertext.
 */
NODISCARD uint32_t conn_queued_bytes(const struct conn *conn) ON_REACTOR;

/* A send is pending in the kernel: right after reactor_wait(), the peer is not reading. */
NODISCARD bool conn_is_blocked(const struct conn *conn) ON_REACTOR;

/* Asks the kernel where the client is. 0 or -errno. */
NODISCARD int conn_peer(const struct conn *conn, struct address *address) ON_REACTOR;

/* Its bytes are encrypted on the wire. */
NODISCARD bool conn_is_tls(const struct conn *conn) ON_REACTOR;

/* What went wrong with its TLS, for people; NULL: nothing. Good until on_close returns. */
NODISCARD const char *conn_tls_fault(const struct conn *conn) ON_REACTOR;

/* A PROXY header has to come, and has not. */
NODISCARD bool conn_wants_proxy(const struct conn *conn) ON_REACTOR;

#endif /* NET_CONN_H */
