/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_CLIENT_PRIVATE_H
#define BENCH_LOAD_CLIENT_PRIVATE_H
/*
 * Between the life of a client (client.c) and what goes over its connection (client_frames.c). For
 * client*.c alone.
 */
#include <stdbool.h>
#include <stddef.h>

#include "bench/load/client.h"
#include "bench/load/options.h"
#include "bench/load/run.h"
#include "bench/load/worker.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "proto/frame.h"

enum { CLIENT_LINGER_MS = 1000 }; /* for the server's close frame */

static inline const struct options *client_options(const struct client *client)
{
    return client->worker->run->options;
}

static inline bool client_is_tcp(const struct client *client)
{
    return client_options(client)->target.scheme == TARGET_TCP;
}

static inline bool client_has_session(const struct client *client)
{
    return client_options(client)->scenario == OPTIONS_CHAT || client_options(client)->session;
}

/* Queue bytes as they are; or a frame, masked. */
void client_queue_bytes(struct client *client, struct bytes bytes) ON_REACTOR;
void client_queue_frame(struct client *client, enum frame_opcode opcode, struct bytes payload)
    ON_REACTOR;

/*
 * Take what has come behind the handshake: frames, or for tcp:// messages of one size with nothing
 * between them. How many bytes were used.
 */
NODISCARD size_t client_read_frames(struct client *client, struct span in) ON_REACTOR;
NODISCARD size_t client_read_pieces(struct client *client, struct span in) ON_REACTOR;

#endif /* BENCH_LOAD_CLIENT_PRIVATE_H */
