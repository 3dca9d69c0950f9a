/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_OPTIONS_H
#define BENCH_LOAD_OPTIONS_H
/*
 * The command line of parley-bench.
 *
 * Owner     main; plain values. Texts point into argv.
 * Threads   read by the main thread, before others start; then constant, so any thread may read.
 * Failures  a flag that cannot be read: one line, never an exit (but for --help, which prints and
 *           says so).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench/load/floor.h"
#include "bench/load/payload.h"
#include "bench/load/procstat.h"
#include "bench/load/target.h"
#include "core/annot.h"
#include "net/backend_choose.h"

enum options_scenario {
    OPTIONS_ECHO,
    OPTIONS_FANOUT,
    OPTIONS_CHAT,
    OPTIONS_CONNECT,
    OPTIONS_IDLE,
    OPTIONS_FLOOR, /* not a load: the server to compare with */
};

enum {
    OPTIONS_CPU_COUNT_MAX = 64,
    OPTIONS_EXTRA_SIZE = 2048, /* bytes, with the NUL */
    OPTIONS_ERROR_SIZE = 256,  /* bytes, with the NUL */
    OPTIONS_WINDOW_MAX = 4096,
    OPTIONS_CHANNEL_SIZE_MAX = 100, /* bytes, without the number behind it */
    OPTIONS_SUBPROTOCOL_SIZE_MAX = 100,
};

struct options {
    enum options_scenario scenario;
    const char *url;
    struct target target;
    enum backend_kind backend;

    uint32_t connections;
    uint32_t threads;
    int cpus[OPTIONS_CPU_COUNT_MAX]; /* the kernel's numbers; thread i is on cpus[i % count] */
    uint32_t cpu_count;              /* 0: not pinned */
    uint32_t dials;                  /* connections that a thread makes at once */
    uint32_t sources;                /* addresses 127.0.0.2 and up; 0: the kernel's choice */

    uint64_t warmup_ns;
    uint64_t duration_ns; /* measured, after the warm-up */
    uint64_t drain_ns;    /* at most, for what is still under way at the end */
    uint64_t connect_ns;  /* at most, for everybody to be connected */

    double rate;     /* messages per second in all; 0: closed loop */
    uint32_t window; /* messages that a publisher has under way; closed loop */
    uint32_t burst;  /* sent together, when the window has room for all of them */
    uint64_t seed;

    struct payload_sizes sizes;
    const char *size_text; /* the same, as it was given */
    enum payload_script script;
    bool compress; /* permessage-deflate: the server is to compress what it sends */
    bool binary;   /* messages are binary ones; raw WebSocket only */

    uint32_t publishers;
    uint32_t rooms;
    const char *channel;     /* how the rooms' names begin */
    bool excludes_sender;    /* the server does not send back to who published */
    bool session;            /* connect, idle: a Centrifuge session with one subscription each */
    const char *tokens_file; /* what sessions sign in with; NULL: nothing */
    double reconnect_rate;   /* connections cut and made again, per second in all */
    bool recovers;           /* chat: who comes back is given what it missed */
    bool has_storm;          /* nearly all are cut at once */
    uint64_t storm_ns;       /* when, since the measured part began */
    uint64_t away_ns;        /* before they come back */

    const char *subprotocol;             /* NULL: none */
    char extra_head[OPTIONS_EXTRA_SIZE]; /* header lines of --header, each with its CR LF */

    const char *ca_file; /* wss://: who is trusted; NULL: whom the system trusts */
    bool tls_insecure;   /* wss://: everybody is */

    struct procstat_pids server;
    const char *json_file; /* NULL: none */
    const char *html_file;

    bool find_max;
    uint64_t p99_limit_ns; /* of --find-max */

    struct address listen; /* floor */
    enum floor_kind floor_kind;
};

enum options_outcome {
    OPTIONS_RUN = 0,
    OPTIONS_DONE, /* the help or the version was printed: exit 0 */
    OPTIONS_BAD,  /* `error` says what is wrong: print it, exit 2 */
};

NODISCARD enum options_outcome options_parse(int argc, char **argv, struct options *options,
                                             char error[OPTIONS_ERROR_SIZE]);

/* "echo", "fanout", ... */
NODISCARD const char *options_scenario_name(enum options_scenario scenario);

#endif /* BENCH_LOAD_OPTIONS_H */
