/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_STATS_H
#define TESTS_SIM_SIM_STATS_H
/*
 * What happened, so that one sees that it did: counted over all seeds, in memory that the test's
 * processes share. A long run in which one of these stayed 0 fails.
 */
#include <stdint.h>

enum sim_stat {
    SIM_STEPS = 0,
    SIM_COMMANDS, /* with an id */
    SIM_REPLIES,
    SIM_PUBLICATIONS,   /* sent by clients */
    SIM_DELIVERIES,     /* received by clients */
    SIM_SUBSCRIPTIONS,  /* confirmed */
    SIM_BATCHES,        /* messages with several commands */
    SIM_FRAGMENTED,     /* messages in several frames */
    SIM_COMPRESSED,     /* messages of the server */
    SIM_PINGS_ANSWERED, /* the protocol's */
    SIM_CONNECTIONS,
    SIM_RESETS,  /* by clients or by the network */
    SIM_FINS,    /* half-closes by clients in the middle of everything */
    SIM_CUT,     /* went silent */
    SIM_STALLS,  /* of the network */
    SIM_LAZY,    /* stopped reading for a while */
    SIM_GARBAGE, /* bad clients */
    SIM_PARTIAL_ARRIVALS,
    SIM_PARTIAL_WRITES,
    SIM_PENDING_SENDS, /* completed later */
    SIM_DROPPED_SENDS, /* pending when the connection was dropped */
    SIM_ACCEPT_FAILURES,
    SIM_ATTACH_FAILURES,
    SIM_STORMS, /* four and more accepted at once */
    SIM_SLEEPS, /* of reactors */
    SIM_SPURIOUS_WAKES,
    SIM_BUS_FULL,      /* posts refused */
    SIM_GAPS,          /* unsubscribe 2500 seen by clients */
    SIM_RECOVERED,     /* subscriptions that went on with all that they had missed */
    SIM_NOT_RECOVERED, /* and those that were told that they could not */
    SIM_GIVEN,         /* publications that a subscription went on with */
    SIM_PAGES,         /* of history */
    SIM_RESYNCED,      /* the same, to who did not read */
    SIM_MISSED,        /* publications that the server did not give to who did not read */
    SIM_JOINS,         /* told to somebody */
    SIM_LEAVES,
    SIM_LISTS,         /* of who is there, asked for when all was quiet */
    SIM_SLOW_CLOSED,   /* by the server, for not reading, not answering, not writing */
    SIM_THROTTLED,     /* 3013, or commands that were held back: seeds with a low command rate */
    SIM_LATECOMERS,    /* connections begun in the grace time */
    SIM_DRAINED,       /* connections closed with 3001 */
    SIM_STORE_DEATHS,  /* with something that it had been given */
    SIM_STORE_REFUSED, /* error 100: not stored, or not known to be */
    SIM_TOKENS,        /* shown */
    SIM_RENEWED,       /* refreshes and sub_refreshes that were accepted */
    SIM_TOKEN_REFUSED, /* errors 103 and 109, closes for a token that was shown */
    SIM_EXPIRED,       /* connections closed with 3005 at the end of their token */
    SIM_SUBS_ENDED,    /* unsubscribe 2501 */
    SIM_ORDERS,        /* of the back end, about users and tokens */
    SIM_FORBIDDEN,     /* connections closed with 3500 or 3503 because it forbade them */
    SIM_SUBS_GIVEN,    /* subscriptions that a token brought, or the back end made */
    SIM_SUBS_TAKEN,    /* unsubscribe 2000 */
    SIM_KEPT,          /* refresh pushes */
    SIM_FULL,          /* connections closed with 3504 */
    SIM_PROBES,        /* at rest: is there a place, and none where there must not be? */
    SIM_STAT_COUNT,
};

struct sim_stats {
    uint64_t values[SIM_STAT_COUNT];
};

static inline void sim_stats_add(struct sim_stats *stats, enum sim_stat stat, uint64_t count)
{
    stats->values[stat] += count;
}

/* As in the summary: "partial-writes". */
const char *sim_stats_name(enum sim_stat stat);

#endif /* TESTS_SIM_SIM_STATS_H */
