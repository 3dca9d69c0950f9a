/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_STORE_PRIVATE_H
#define STORE_STORE_PRIVATE_H
/*
 * The parent's side from inside, for its files only.
 *
 *   store.c        questions and answers
 *   store_life.c   create and close; the child's life: start, loss, burial, the next start
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/lane.h"
#include "store/spawn.h"
#include "store/store.h"

/* The child's sockets: what is one at a time there, and what its reader answers beside that. */
enum { LANE_BATCHES, LANE_READS, LANE_COUNT };

_Static_assert((int)LANE_COUNT == (int)SPAWN_SOCKETS, "a lane for each");

/* A question that was not answered; its place is its id modulo questions_max. */
struct question {
    uint64_t tag;
    uint64_t end;          /* position in the stream of its lane behind its frame */
    uint64_t submitted_ns; /* of the step before, which is near enough */
    enum wire_type type;
    bool answered;
};

struct store {
    struct store_options options;
    const char *arguments[STORE_ARGUMENTS_MAX + 6];
    struct spawn spawn;
    int epoll;
    int timer; /* for the next start */
    uint64_t now_ns;

    enum store_state state;
    bool changed; /* a STORE_CHANGED is due */
    bool burying; /* the socket has ended: all questions are to be answered, the child reaped */
    uint64_t ready_ns;
    uint64_t open_us;
    uint32_t backoff_ms; /* before the next start but one */
    uint32_t starts;
    bool damaged; /* the last child that ended could not repair the store */
    char reason[STORE_REASON_SIZE];

    struct question *questions;
    uint64_t next_id;   /* of the next question */
    uint64_t oldest_id; /* next_id: all are answered */

    struct lane lanes[LANE_COUNT];
};

/* store_life.c */

void store_set_state(struct store *store, enum store_state state);
/* When the pause after the last end is over. */
void store_start_again(struct store *store);
/* The child has died or does not make sense any more. What it did not answer follows. */
void store_lose_child(struct store *store);
/* Takes its exit status, once it has one. */
void store_bury_child(struct store *store);

#endif /* STORE_STORE_PRIVATE_H */
