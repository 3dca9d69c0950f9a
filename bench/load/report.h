/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_REPORT_H
#define BENCH_LOAD_REPORT_H
/*
 * What a run found, for people (text), programs (JSON) and both (one HTML page that needs nothing
 * from outside: uPlot, from npm, is inlined when we are built).
 *
 * Threads   the main thread, after the run; it only reads.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "bench/load/procstat.h"
#include "core/annot.h"

struct tally;

/* One interval of the run, for the plots. */
struct report_point {
    double at_s;       /* its end, since the load began */
    double seconds;    /* its length */
    uint64_t sent;     /* in it */
    uint64_t received; /* in it */
    uint64_t p50_ns;   /* of what was received in it */
    uint64_t p99_ns;
    uint64_t max_ns;
    uint64_t connected; /* at its end */
};

/* One rate that --find-max tried. */
struct report_step {
    double rate;      /* messages/s asked for */
    double sent_rate; /* and sent */
    uint64_t p99_ns;
    uint64_t lost;
    bool passed;
};

/* A storm, besides what the tally has of it. */
struct report_storm {
    uint32_t struck;           /* connections that were cut */
    double away_seconds;       /* that they stayed away on purpose */
    double seconds;            /* from when they might come until all were back, or until the end */
    struct procstat server;    /* CPU used in that time */
    struct procstat generator; /* the same of this process */
};

struct report {
    const char *scenario;
    const char *url;
    const char *command_line;
    const char *backend;       /* of the generator */
    const struct tally *tally; /* all workers together */
    double seconds;            /* of the measured part */
    uint32_t connections;
    uint32_t threads;
    double rate;     /* asked for, messages/s; 0: closed loop */
    uint32_t window; /* in flight, closed loop */
    uint64_t seed;

    struct procstat generator;         /* CPU used in the measured part, this process */
    bool has_server;                   /* --server-pid was given */
    struct procstat server;            /* CPU used in the measured part; user_bytes: at its end */
    uint64_t server_user_bytes_before; /* before anybody connected */
    uint64_t kernel_bytes_before;      /* of the machine; 0: not known */
    uint64_t kernel_bytes_after;       /* with everybody connected */

    bool recovers;                    /* --recover */
    const struct report_storm *storm; /* NULL: there was none */

    double connect_seconds; /* from the first connect to the last subscription */

    const struct report_point *points;
    size_t point_count;
    const struct report_step *steps; /* NULL: no --find-max */
    size_t step_count;
    double knee_rate; /* the highest rate that passed; 0: none did */
};

/* Lost, duplicated, reordered or corrupted deliveries, errors, connections that failed or ended. */
NODISCARD bool report_is_clean(const struct report *report);

/*
 * A generator thread was busy nearly all the time, or late: its figures say little of the server.
 */
NODISCARD bool report_is_generator_bound(const struct report *report);

void report_write_text(const struct report *report, FILE *out);

/* 0 or -errno. Written beside and renamed, so that no half of it is ever there. */
NODISCARD int report_write_json(const struct report *report, const char *path);
NODISCARD int report_write_html(const struct report *report, const char *path);

#endif /* BENCH_LOAD_REPORT_H */
