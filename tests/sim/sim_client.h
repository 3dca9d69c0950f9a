/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_CLIENT_H
#define TESTS_SIM_SIM_CLIENT_H
/*
 * A simulated client: connects, says things, hears things, misbehaves, comes again. What it hears
 * is checked as it comes: replies, order, closes.
 *
 * Kinds     An honest one keeps the protocol and is held to nothing but what happens to it; the
 *           server must keep every promise to it. A bad one sends garbage; nothing is promised to
 *           it. `is_excused`: the network or its own laziness may have cost it its connection.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "proto/command.h"
#include "tests/sim/sim_access.h"
#include "tests/sim/sim_model.h"
#include "tests/sim/sim_presence.h"
#include "tests/sim/sim_wire.h"
#include "tests/sim/sim_world.h"

struct event;

enum { SIM_ASKED_MAX = 96 };

enum sim_client_phase {
    SIM_CLIENT_OFF,
    SIM_CLIENT_OPENING, /* the upgrade is not answered yet */
    SIM_CLIENT_OPEN,
    SIM_CLIENT_ENDING, /* a close frame went one way or the other */
};

/* A command that has no reply yet. */
struct sim_asked {
    uint32_t id;
    enum command_method method;
    uint16_t channel;
    uint32_t publication;
    uint32_t token;    /* that was shown with it; 0: none */
    uint64_t asked_at; /* when: step */
    uint64_t asked_ns; /* and time */
    uint32_t error;    /* that it must be answered with; 0: none */
    bool recovers;     /* a subscribe: from `since` on */
    bool reverse;      /* a history */
    bool at_rest;      /* a presence: nothing moved when it was asked for */
    int32_t limit;     /* likewise */
    uint64_t since;    /* offset */
};

/* Where it stands with a channel. */
struct sim_membership {
    struct sim_subscription subscription;
    bool has_position;      /* where channels have history: it may come back to `offset` */
    uint64_t offset;        /* of the last publication that it has */
    bool is_wanted;         /* after everything said so far */
    bool resumes;           /* the connect under way says where it was */
    uint64_t confirmed_at;  /* step */
    struct sim_term term;   /* of the token that it came with */
    struct sim_over over;   /* the back end has ended it */
    uint64_t owed_ns;       /* since when it must have been begun by the back end; 0: it need not */
    struct sim_views views; /* who it was told is there */
    uint64_t ended_ns;      /* when the server has ended it last; 0: never */
    uint32_t pending;       /* subscribes and unsubscribes without a reply */
};

struct sim_client {
    struct sim_world *world;
    size_t index;
    uint32_t connection; /* number */
    struct sim_link *link;
    enum sim_client_phase phase;
    bool is_bad;
    bool is_probe; /* see sim_probe.h */
    bool is_excused;
    bool is_cut;     /* its link went silent */
    bool compresses; /* it offered to */
    bool is_leaving; /* it began the end: close frame, FIN */
    bool has_said_connect;
    bool is_connected;
    bool is_turned_away; /* its connect was answered with an error */
    uint16_t user;
    uint64_t connect_at;   /* when it said connect: step */
    uint64_t connected_at; /* when it heard that it is: step */
    struct sim_term term;  /* of its connection */
    struct sim_over over;  /* the back end has ended that */
    uint64_t kept_at;      /* when it heard last that it has no end: step; 0: never */
    uint64_t kept_owed_ns; /* since when it must have heard that; 0: it need not */
    uint32_t last_token;   /* that it had on a connection before; 0: none */
    uint16_t closed_code;  /* heard in a close frame; 0: none */
    uint64_t closed_ns;
    uint64_t lazy_until_ns;
    uint64_t quiet_until_ns;
    uint32_t commands_left;
    uint32_t lives_left; /* connections still to be made */
    uint32_t next_id;
    uint32_t pings_sent; /* WebSocket pings */
    uint32_t pongs_heard;
    struct sim_asked asked[SIM_ASKED_MAX];
    size_t asked_count;
    struct sim_membership memberships[SIM_CHANNEL_MAX];
    struct sim_wire_buffer in;
    struct sim_wire_buffer out;
};

void sim_client_init(struct sim_client *client, struct sim_world *world, size_t index);
void sim_client_deinit(struct sim_client *client);

/* Does one thing. False: there is nothing that it could do now. */
bool sim_client_act(struct sim_client *client);

/* When it will do something by itself; UINT64_MAX: not before something happens to it. */
NODISCARD uint64_t sim_client_next_ns(const struct sim_client *client);

/* The connection is over for it, however that came. */
void sim_client_finish(struct sim_client *client);

/* Something goes wrong with it or its network. */
void sim_client_disturb(struct sim_client *client);

/* Is it connected, able to hear, and owed everything? */
NODISCARD bool sim_client_is_sound(const struct sim_client *client);

/* sim_client_say.c: one message; sim_client_hear.c: what has come in. */
bool sim_client_say(struct sim_client *client);

/* Asks who is in its channels; everything is quiet. */
void sim_client_ask_presence(struct sim_client *client);

void sim_client_say_connect(struct sim_client *client);

/* refresh, or sub_refresh of that channel. SIM_CHANNEL_MAX: of its connection. */
void sim_client_say_refresh(struct sim_client *client, uint16_t channel, uint32_t token);
void sim_client_say_close(struct sim_client *client, uint16_t code);
void sim_client_say_garbage(struct sim_client *client);
void sim_client_hear(struct sim_client *client);

/* sim_client_reply.c */
void sim_client_hear_reply(struct sim_client *client, const struct event *event);

/* The same of a command that is answered: its subscription begins, with what it had missed. */
void sim_client_begin_subscription(struct sim_client *client, const struct sim_asked *asked,
                                   const struct event *event);

/*
 * sim_client_subs.c: subscriptions that the server makes. `subs` of a connect: where it was in
 * those that its token brings; of its answer; and one that the back end orders later.
 */
NODISCARD struct bytes sim_client_write_subs(struct sim_client *client,
                                             const struct sim_asked *asked, struct span target);
void sim_client_hear_subs(struct sim_client *client, const struct sim_asked *asked,
                          struct bytes subs);
void sim_client_hear_subscribed(struct sim_client *client, const struct event *event);

/* sim_client_publication.c: the data of a publication. */
NODISCARD struct bytes sim_client_write_data(uint32_t publication, uint32_t publisher,
                                             size_t padding, struct span target);

/* False: it is none of ours, or spoilt. */
NODISCARD bool sim_client_read_data(struct bytes data, uint32_t *publication, uint32_t *publisher);
void sim_client_take_publication(struct sim_client *client, uint16_t channel,
                                 const struct event *event);

#endif /* TESTS_SIM_SIM_CLIENT_H */
