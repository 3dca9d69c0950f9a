/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections that do nothing but answer pings: what they cost the server is seen from outside.
 */
#include "bench/load/client.h"
#include "bench/load/scenario.h"
#include "bench/load/worker.h"

/* Nobody says anything here. */
static void on_payload(struct client *client, struct bytes payload, struct bytes message)
{
    (void)payload;
    (void)message;
    tally_add(&client->worker->tally, TALLY_CORRUPTED, 1);
}

const struct scenario_ops scenario_idle_ops = {
    .on_payload = on_payload,
};
