/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_stats.h"

static const char *const names[SIM_STAT_COUNT] = {
    [SIM_STEPS] = "steps",
    [SIM_COMMANDS] = "commands",
    [SIM_REPLIES] = "replies",
    [SIM_PUBLICATIONS] = "publications",
    [SIM_DELIVERIES] = "deliveries",
    [SIM_SUBSCRIPTIONS] = "subscriptions",
    [SIM_BATCHES] = "batches",
    [SIM_FRAGMENTED] = "fragmented",
    [SIM_COMPRESSED] = "compressed",
    [SIM_PINGS_ANSWERED] = "pings-answered",
    [SIM_CONNECTIONS] = "connections",
    [SIM_RESETS] = "resets",
    [SIM_FINS] = "fins",
    [SIM_CUT] = "cut",
    [SIM_STALLS] = "stalls",
    [SIM_LAZY] = "lazy",
    [SIM_GARBAGE] = "garbage",
    [SIM_PARTIAL_ARRIVALS] = "partial-arrivals",
    [SIM_PARTIAL_WRITES] = "partial-writes",
    [SIM_PENDING_SENDS] = "pending-sends",
    [SIM_DROPPED_SENDS] = "dropped-sends",
    [SIM_ACCEPT_FAILURES] = "accept-failures",
    [SIM_ATTACH_FAILURES] = "attach-failures",
    [SIM_STORMS] = "accept-storms",
    [SIM_SLEEPS] = "sleeps",
    [SIM_SPURIOUS_WAKES] = "spurious-wakes",
    [SIM_BUS_FULL] = "bus-full",
    [SIM_GAPS] = "gaps",
    [SIM_RECOVERED] = "recovered",
    [SIM_NOT_RECOVERED] = "not-recovered",
    [SIM_GIVEN] = "given",
    [SIM_PAGES] = "pages",
    [SIM_RESYNCED] = "resynced",
    [SIM_MISSED] = "missed",
    [SIM_JOINS] = "joins",
    [SIM_LEAVES] = "leaves",
    [SIM_LISTS] = "lists",
    [SIM_SLOW_CLOSED] = "slow-closed",
    [SIM_THROTTLED] = "throttled",
    [SIM_LATECOMERS] = "latecomers",
    [SIM_DRAINED] = "drained",
    [SIM_STORE_DEATHS] = "store-deaths",
    [SIM_STORE_REFUSED] = "store-refused",
};

const char *sim_stats_name(enum sim_stat stat)
{
    return names[stat];
}
