/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_SESSION_H
#define BENCH_LOAD_SESSION_H
/*
 * What a client of the Centrifuge protocol (JSON) says and hears.
 *
 * Not here: frames (client.c).
 */
#include <stdint.h>

#include "bench/load/options.h"
#include "core/annot.h"
#include "core/bytes.h"

struct client;
struct json_writer;

enum { SESSION_CHANNEL_SIZE_MAX = OPTIONS_CHANNEL_SIZE_MAX + 12 }; /* bytes */

/*
 * Writes `connect` and `subscribe`, as the SDKs do in their first message. Who has a position in
 * its channel (--recover) wants what comes behind it.
 */
void session_write_opening(struct client *client, struct json_writer *writer);

/* Writes a publish of `data`, which is JSON. */
void session_write_publish(struct client *client, struct bytes data, struct json_writer *writer);

/* One message of the server, with all that it causes. */
void session_take(struct client *client, struct span message) ON_REACTOR;

#endif /* BENCH_LOAD_SESSION_H */
