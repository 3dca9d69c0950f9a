/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_NET_FIXTURE_H
#define TESTS_NET_FIXTURE_H
/*
 * A reactor on a back end under test, a handler that records what it is told, and the loop.
 *
 * Waiting   fixture_until() runs iterations until something is so, and fails after very many: no
 *           test depends on how long a thing takes.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/conn_id.h"
#include "core/metrics.h"
#include "net/address.h"
#include "net/conn.h"
#include "net/packet.h"
#include "net/reactor.h"
#include "tests/net/plug.h"

enum {
    FIXTURE_PEER_MAX = 2048, /* connections ever opened in a test */
};

struct fixture;

/* The server's side of one connection, as its upcalls told it. */
struct fixture_peer {
    struct fixture *fixture;
    struct conn *conn; /* NULL after on_close */
    struct conn_id id;
    uint8_t *bytes; /* consumed, in order */
    size_t size;
    size_t capacity;
    unsigned bytes_calls;
    unsigned drained_calls;
    unsigned close_calls;
    int reason;
    uint64_t sent; /* for tests that feed a queue */
};

struct fixture {
    const struct plug *plug;
    void *world;
    struct reactor *reactor;
    struct conn_handler handler;
    struct metrics metrics;
    int listener;

    /* What on_bytes does. NULL: records and consumes everything. Returns what it consumed. */
    size_t (*on_bytes)(struct fixture_peer *peer, struct span in);
    void (*on_drained)(struct fixture_peer *peer);
    struct address proxied; /* what on_proxied said last */
    bool turn_away;         /* on_open says NULL */
    bool holds;             /* on_open holds it */
    bool holds_proxied;     /* on_proxied does */
    void *context;          /* the test's */
    uint32_t fired;         /* timers */
    uint64_t fired_ns;      /* when the last one did */
    size_t peer_count;
    struct fixture_peer *peers[FIXTURE_PEER_MAX]; /* in the order of on_open */
};

/* Options that suit most tests. */
struct reactor_options fixture_options(void);

/* On the calling thread, which is then the reactor. */
struct fixture *fixture_begin(const struct plug *plug, const struct reactor_options *options)
    BECOMES_REACTOR;

/* The same with a listener that wants a PROXY header. */
struct fixture *fixture_begin_proxied(const struct plug *plug,
                                      const struct reactor_options *options, uint64_t timeout_ns)
    BECOMES_REACTOR;

/* The same with a listener that others have copies of: those that the test makes. Sockets only. */
struct fixture *fixture_begin_shared(const struct plug *plug, const struct reactor_options *options)
    BECOMES_REACTOR;

/* One more listener with the same upcalls; its descriptor. */
int fixture_listen(struct fixture *fixture, bool is_shared);

/* Destroys; CHECKs in net find what was not given back. */
void fixture_end(struct fixture *fixture) STOPS_BEING_REACTOR;

/* One iteration, which sleeps a millisecond at most. */
void fixture_turn(struct fixture *fixture) ON_REACTOR;

/* Iterations until `fact`, or failure. */
void fixture_until(struct fixture *fixture, bool (*fact)(struct fixture *fixture)) ON_REACTOR;

/* A client, and its peer after on_open. */
int fixture_connect(struct fixture *fixture, struct fixture_peer **peer) ON_REACTOR;

/* Consumes in the way of the default: appends to peer->bytes. */
void fixture_record(struct fixture_peer *peer, struct bytes bytes);

/* Until the peer's record has this many bytes; until its on_close was called. */
void fixture_until_size(struct fixture *fixture, struct fixture_peer *peer, size_t size) ON_REACTOR;
void fixture_until_closed(struct fixture *fixture, struct fixture_peer *peer) ON_REACTOR;

/* Until the reactor has no connection any more. */
void fixture_until_empty(struct fixture *fixture) ON_REACTOR;

/* Client side: writes everything, turning meanwhile. */
void fixture_write(struct fixture *fixture, int client, const void *data, size_t size) ON_REACTOR;

/* Client side: reads exactly `size` bytes, turning meanwhile. */
void fixture_read(struct fixture *fixture, int client, void *data, size_t size) ON_REACTOR;

/* Client side: reads until the end; how many bytes; `end` is 0 or the -errno. */
size_t fixture_read_rest(struct fixture *fixture, int client, int *end) ON_REACTOR;

/* Queues a packet of `size` bytes that begin with `first` and go on counting. */
enum conn_queued fixture_queue(struct fixture_peer *peer, uint8_t first, size_t size,
                               enum conn_lane lane) ON_REACTOR;

/* The i-th byte of an endless stream, for whoever sends and whoever checks. */
uint8_t fixture_byte(uint64_t i);

/* Whether these are the bytes of that stream from `begin` on. */
bool fixture_is_stream(const uint8_t *data, uint64_t begin, size_t size);

#endif /* TESTS_NET_FIXTURE_H */
