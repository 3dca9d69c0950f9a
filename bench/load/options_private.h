/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_OPTIONS_PRIVATE_H
#define BENCH_LOAD_OPTIONS_PRIVATE_H
/*
 * A command line while it is read. For options*.c alone.
 */
#include <stdbool.h>

#include "bench/load/options.h"
#include "core/annot.h"

enum option_key {
    KEY_CONNECTIONS = 'c',
    KEY_DURATION = 'd',
    KEY_RATE = 'r',
    KEY_SIZE = 's',
    KEY_WINDOW = 'w',
    KEY_HELP = 'h',
    KEY_VERSION = 'V',
    KEY_WARMUP = 0x100,
    KEY_DRAIN,
    KEY_CONNECT_TIMEOUT,
    KEY_BURST,
    KEY_SEED,
    KEY_SCRIPT,
    KEY_BINARY,
    KEY_COMPRESS,
    KEY_PUBLISHERS,
    KEY_ROOMS,
    KEY_EXCLUDES_SENDER,
    KEY_SESSION,
    KEY_TOKENS,
    KEY_CHANNEL,
    KEY_RECONNECTS,
    KEY_RECOVER,
    KEY_STORM,
    KEY_STORM_AWAY,
    KEY_HEADER,
    KEY_SUBPROTOCOL,
    KEY_CA,
    KEY_TLS_INSECURE,
    KEY_THREADS,
    KEY_CPU,
    KEY_BACKEND,
    KEY_SOURCES,
    KEY_DIALS,
    KEY_SERVER_PID,
    KEY_JSON,
    KEY_HTML,
    KEY_FIND_MAX,
    KEY_P99,
    KEY_LISTEN,
    KEY_FANOUT,
    KEY_CONNECT,
    KEY_END,
};

struct parse {
    struct options options;
    bool given[KEY_END]; /* by key */
    bool has_scenario;
    char *error; /* OPTIONS_ERROR_SIZE bytes */
};

/* What was left open gets its value. */
void options_complete(struct parse *parse);

/* Whether all of it can be together. False: `error` has the line that says why not. */
NODISCARD bool options_check(const struct parse *parse);

#endif /* BENCH_LOAD_OPTIONS_PRIVATE_H */
