/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_H
#define SERVER_CONTROL_H
/*
 * The server as a whole: builds the shards, starts their threads, waits for a signal, and ends
 * everything in order. The main thread, whose port on the bus is the one behind the reactors'.
 *
 * Order of an end: POST_STOP to every reactor (drain.h); each answers POST_DESERTED when no client
 * is connected to it any more; when all have, POST_CLOSE, and each answers POST_DRAINED when nobody
 * at all is connected to it and nothing of it waits to be stored; when all have, POST_EXIT to the
 * archive, which answers what it still has, and when it has ended, to the reactors. A second signal
 * ends the process at once.
 */
#include <stddef.h>

#include "core/annot.h"

struct config;
struct config_source;
struct logger;

/*
 * Runs until SIGTERM or SIGINT has been carried out. `config` was read from `source`, resolved, and
 * is frozen. 0, or -errno
 * and one line in `error` when it could not start.
 */
NODISCARD int control_run(const struct config_source *source, const struct config *config,
                          struct logger *logger, char *error, size_t error_size);

#endif /* SERVER_CONTROL_H */
