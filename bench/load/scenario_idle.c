/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that do nothing but answer pings: what they cost the server is seen from outside.
 */
#include "bench/load/client.h"
#include "bench/load/scenario.h"
#include "bench/load/worker.h"

/* Nobody says anything here. */
static void on_delivery(struct client *client, const struct scenario_delivery *delivery)
{
    (void)delivery;
    tally_add(&client->worker->tally, TALLY_CORRUPTED, 1);
}

const struct scenario_ops scenario_idle_ops = {
    .on_delivery = on_delivery,
};
