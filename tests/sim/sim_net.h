/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_NET_H
#define TESTS_SIM_SIM_NET_H
/*
 * A network in memory, with its clock: listeners, connections, and what goes wrong with them.
 *
 * A connection (link) has two pipes. Bytes written are under way until sim_net_move() lets some of
 * them arrive, by chance: so both ends see partial reads and writes, and connections overtake each
 * other. A pipe has a window; who does not read stops who writes.
 *
 * Numbers   links and listeners have numbers that stand for descriptors; none is used twice.
 * Sides     the client's functions are here. The server's side is backend_sim.c, which also keeps
 *           what it knows of a link in the link.
 * Threads   one. Chance comes from one seed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "core/annot.h"
#include "tests/sim/sim_random.h"
#include "tests/sim/sim_stats.h"

struct backend;

enum {
    SIM_NET_LISTENER_BASE = 1 << 20, /* listeners' numbers begin here */
    SIM_NET_PIECES_MAX = 128,
};

/* Bytes in one direction: [begin, arrived) may be read, [arrived, end) are under way. */
struct sim_pipe {
    uint8_t *data;
    size_t begin;
    size_t arrived;
    size_t end;
    size_t capacity; /* bytes of data */
    size_t window;   /* bytes between begin and end at most */
    bool fin_sent;
    bool fin_arrived;
};

/* What the server's back end is doing with a link. Only backend_sim.c writes it. */
struct sim_server_side {
    struct backend *backend; /* attached to it; NULL: not, or not any more */
    uint32_t slot;
    uint16_t generation;
    bool is_receiving;
    bool has_received; /* a BACKEND_RECEIVED is with the reactor */
    bool fin_taken;
    bool error_taken;
    bool is_sending; /* -EINPROGRESS: `pieces` are ours to read */
    bool wants_room; /* -EAGAIN: BACKEND_SENT when there is room */
    bool is_dropped; /* BACKEND_CLOSED is due */
    int32_t sent;    /* of `pieces`, or -errno; valid when is_sent */
    bool is_sent;
    struct iovec pieces[SIM_NET_PIECES_MAX];
    size_t piece_count;
    uint8_t *taken; /* what take() lent */
};

struct sim_link {
    int number;
    struct sim_pipe up;   /* client to server */
    struct sim_pipe down; /* server to client */
    uint64_t stalled_until_ns;
    bool server_is_gone;  /* closed there: what still comes causes a reset */
    bool client_is_gone;  /* likewise */
    bool server_is_reset; /* the server's next look at it says so */
    bool client_is_reset;
    bool is_silent; /* nothing arrives any more, in either direction: a cable was cut */
    struct sim_server_side server;
};

struct sim_listener {
    int *waiting; /* numbers of links to be accepted, oldest first */
    size_t waiting_count;
    size_t waiting_capacity;
    bool is_open;
};

struct sim_net {
    struct sim_random random;
    struct sim_stats *stats;
    uint64_t now_ns;
    struct sim_link **links; /* by number */
    size_t link_count;
    size_t link_capacity;
    struct sim_listener *listeners;
    size_t listener_count;
    size_t window_max;         /* bytes; windows are 1/8 of it and more */
    uint32_t accept_fails_in;  /* once in so many accepts; 0: never */
    uint32_t attach_fails_in;  /* likewise */
    uint32_t pending_sends_in; /* once in so many sends the completion comes later; 0: never */
};

void sim_net_init(struct sim_net *net, uint64_t seed, struct sim_stats *stats);
void sim_net_deinit(struct sim_net *net);

/* An open listener's number. */
NODISCARD int sim_net_listen(struct sim_net *net);
struct sim_listener *sim_net_listener(struct sim_net *net, int number);

/* A new link that waits at an open listener; NULL when it is closed: connection refused. */
NODISCARD struct sim_link *sim_net_connect(struct sim_net *net, int listener);
struct sim_link *sim_net_link(const struct sim_net *net, int number);

/* The client's side. Bytes written, maybe 0; -ECONNRESET or -EPIPE. */
NODISCARD ssize_t sim_net_write(struct sim_net *net, struct sim_link *link, const uint8_t *data,
                                size_t size);
/* Bytes read; 0: the server's FIN; -EAGAIN; -ECONNRESET. */
NODISCARD ssize_t sim_net_read(struct sim_net *net, struct sim_link *link, uint8_t *data,
                               size_t max);
NODISCARD bool sim_net_is_readable(const struct sim_link *link);
void sim_net_fin(struct sim_link *link);
void sim_net_close(struct sim_link *link); /* as close() does */
void sim_net_reset(struct sim_net *net, struct sim_link *link);

/* Can anything of the link arrive now? */
NODISCARD bool sim_net_is_busy(const struct sim_net *net, const struct sim_link *link);

/* Lets some of it arrive. */
void sim_net_move(struct sim_net *net, struct sim_link *link);

/* One busy link moves, picked by chance. False: none is busy. */
bool sim_net_move_one(struct sim_net *net);

/* Room in a pipe, and putting bytes there; for both sides. Returns how many. */
NODISCARD size_t sim_net_room(const struct sim_pipe *pipe);
size_t sim_net_put(struct sim_pipe *pipe, const uint8_t *data, size_t size);

/* The end of a stall, of the soonest link that is; UINT64_MAX: none is stalled. */
NODISCARD uint64_t sim_net_next_ns(const struct sim_net *net);

#endif /* TESTS_SIM_SIM_NET_H */
