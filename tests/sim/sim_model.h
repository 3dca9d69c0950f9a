/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_MODEL_H
#define TESTS_SIM_SIM_MODEL_H
/*
 * What must be true of publications, judged from outside: from what clients sent and received.
 *
 * Order     a subscription sees an interval of its channel's one order, without holes. So whoever
 *           sees publication b directly after a says that b follows a for everybody: each has one
 *           successor and one predecessor in all sequences together, and no chain is a ring.
 * Once      nobody sees a publication twice.
 * Publisher publications of one connection in one channel come in the order in which it sent them.
 * Loss      what was sent after a subscription was confirmed, and was acknowledged, arrives there
 *           if the subscription lasts (sim_model_missing(), asked when everything is quiet).
 *
 * Time      steps of the scheduler. Faults are texts; NULL: none.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"

struct sim_publication {
    uint32_t publisher; /* number of the connection */
    uint16_t channel;
    uint64_t sent_at;
    uint64_t sent_ns;  /* by the clock */
    uint64_t acked_at; /* 0: not acknowledged */
    bool is_stored;    /* where channels are durable: nobody sees what is not */
    uint32_t next;     /* index + 1; 0: not known */
    uint32_t previous;
};

struct sim_model {
    bool is_lossy; /* a subscription may have holes; then only Once and Publisher hold */
    struct sim_publication *publications;
    size_t count;
    size_t capacity;
};

/* One connection and one channel. Zeroed: never subscribed. */
struct sim_subscription {
    bool is_on;
    uint64_t begun_at; /* when the present one was confirmed */
    uint32_t last;     /* index + 1 of what it saw last */
    uint64_t *seen;    /* a bit for each publication; of all its subscriptions */
    size_t seen_words;
    uint32_t *last_of; /* by publisher: index + 1 of the last one seen */
    size_t last_of_count;
};

void sim_model_deinit(struct sim_model *model);
void sim_model_forget(struct sim_subscription *subscription);

/* Returns its index, which goes into the data. */
uint32_t sim_model_publish(struct sim_model *model, uint32_t publisher, uint16_t channel,
                           uint64_t now, uint64_t now_ns);
/* It is in the store now. A crash after this loses nothing of it. */
void sim_model_store(struct sim_model *model, uint32_t index);
NODISCARD bool sim_model_is_stored(const struct sim_model *model, uint32_t index);

void sim_model_acknowledge(struct sim_model *model, uint32_t index, uint64_t now);

void sim_model_begin(struct sim_subscription *subscription, uint64_t now);
void sim_model_end(struct sim_subscription *subscription);

/* It goes on where it ended: what was published meanwhile is owed to it, too. */
void sim_model_resume(struct sim_subscription *subscription);

/* `later` directly follows `earlier` in the channel's order: for everybody. */
NODISCARD const char *sim_model_follow(struct sim_model *model, uint32_t earlier, uint32_t later);

/* A publication came. */
NODISCARD const char *sim_model_deliver(struct sim_model *model,
                                        struct sim_subscription *subscription, uint16_t channel,
                                        uint32_t index, uint32_t publisher);

/* Index + 1 of a publication that should have come; 0: none is missing. */
NODISCARD uint32_t sim_model_missing(const struct sim_model *model,
                                     const struct sim_subscription *subscription, uint16_t channel);

/* At the end: no order is a ring. */
NODISCARD const char *sim_model_judge(const struct sim_model *model);

#endif /* TESTS_SIM_SIM_MODEL_H */
