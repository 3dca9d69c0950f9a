/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONTROL_STATE_H
#define SERVER_CONTROL_STATE_H
/*
 * What the control keeps. Private to control.c (its life), control_start.c and control_threads.c
 * (how everything is made) and control_end.c (how it ends). Thread: main.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/table.h"
#include "core/thread.h"
#include "server/config.h"
#include "server/jwks_source.h"
#include "server/listening.h"
#include "server/memory.h"
#include "server/overload.h"
#include "server/reload.h"
#include "server/service.h"
#include "server/site.h"
#include "server/store_program.h"

struct archive;
struct backend_ops;
struct bus;
struct config_source;
struct log;
struct logger;
struct metrics;
struct metrics_namespaces;
struct settings;
struct shard;
struct simd_ops;
struct token_verifier;

enum {
    CONTROL_NAME_SIZE = 32,
    CONTROL_FLAG_SIZE = 16,
    CONTROL_NODE_NAME_SIZE = 96,
    CONTROL_NODE_UID_SIZE = 33, /* 128 bits in hex */
    CONTROL_POLL_MS = 100,      /* how soon a post that found no room is tried again */
};

/* What the durable store needs; all zero without one. */
struct control_store {
    struct archive *archive;
    struct thread thread;
    char program[STORE_PROGRAM_PATH_SIZE];
    char write_buffer[CONTROL_FLAG_SIZE]; /* the flags' values, MiB */
    char block_cache[CONTROL_FLAG_SIZE];
    char free_space[CONTROL_FLAG_SIZE];
    const char *arguments[7];
    bool is_running;
};

/* What fetches key sets, where an endpoint is configured. */
struct control_source {
    struct jwks_source *source;
    struct thread thread;
    bool is_running;
};

/* One reactor's part of what the control keeps. */
struct control_member {
    struct shard *shard;
    struct token_verifier *verifier;
    struct thread thread;
    struct log *log;
    char name[CONTROL_NAME_SIZE];   /* of the thread */
    char number[CONTROL_NAME_SIZE]; /* for the metrics' label */
    bool is_running;
    bool is_told;     /* the present order was posted */
    uint8_t answered; /* POST_DESERTED, then POST_DRAINED */
};

struct control {
    const struct config *config;
    struct logger *logger;
    struct log *log; /* of the main thread */
    const struct backend_ops *backend;
    const struct simd_ops *simd;
    struct bus *bus;
    const struct config_source *config_source;
    struct settings *settings; /* those at the start; NULL: they are the reload's */
    struct site site;
    struct service service;
    struct listening listening;
    struct reload reload;
    struct memory_limit memory; /* that the budget is compared with */
    struct overload overload;
    struct table_key key;
    char node_name[CONTROL_NODE_NAME_SIZE];
    char node_uid[CONTROL_NODE_UID_SIZE];
    struct control_member *members;
    struct control_store store;
    struct control_source source;
    struct metrics *metrics;               /* one for each member, and the archive's */
    const struct metrics **all_metrics;    /* pointers to them, for the site */
    struct metrics_namespaces *namespaces; /* for the site, too */
    const char **metric_names;
    int wake_fd;
    int signal_fd;
    char *error;
    size_t error_size;
};

/* -- ports on the bus: the reactors', the control's, then the other threads' ------------------- */

static inline bool control_has_store(const struct control *control)
{
    return control->config->store.engine == CONFIG_STORE_ROCKSDB;
}

/* Behind the reactors and the control. */
static inline size_t control_archive_port(const struct control *control)
{
    return control->config->reactor.count + 1;
}

static inline bool control_has_source(const struct control *control)
{
    return jwks_source_is_needed(&control->config->client);
}

/* Behind the archive, where there is one. */
static inline size_t control_source_port(const struct control *control)
{
    return control_archive_port(control) + (control_has_store(control) ? 1 : 0);
}

/* -- control_start.c --------------------------------------------------------------------------- */

/* All, up to the threads. Negative: `error` says what; control_stop() and the rest as ever. */
NODISCARD int control_start(struct control *control);

/* That it serves, and where. */
void control_announce(const struct control *control);

/* -- control_threads.c ------------------------------------------------------------------------- */

/* Where it is configured. Negative, and `error`: it does not run. */
NODISCARD int control_start_archive(struct control *control);
NODISCARD int control_start_source(struct control *control);

/* Writes `error`; returns `result`. */
int control_fail(struct control *control, int result, const char *what);

/* -- control.c --------------------------------------------------------------------------------- */

/* Sleeps until a signal or a post may be there, and takes the posts. Returns the signal, or 0. */
uint32_t control_wait(struct control *control, int timeout_ms);

/* -- control_end.c ----------------------------------------------------------------------------- */

/* How long control_stop() may take with such a configuration. */
uint64_t control_stop_time_ns(const struct config *config);

/* Drains what runs, in order, and waits for all threads. */
void control_stop(struct control *control);

/* When no thread runs any more. */
void control_deinit(struct control *control);

#endif /* SERVER_CONTROL_STATE_H */
