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

struct options; /* bench/load/options.h */
struct tally;

/* One interval of the run, for the plots. */
struct report_point {
    double at_s;       /* its end, since the load began */
    double seconds;    /* its length */
    uint64_t sent;     /* in it */
    uint64_t received; /* in it */
    uint64_t connects; /* in it */
    uint64_t p50_ns;   /* of what was received in it */
    uint64_t p99_ns;
    uint64_t max_ns;
    uint64_t connected; /* at its end */
};

/* Why a rate of --find-max did not pass. */
#define REPORT_FAULT_P99       "p99"       /* above --p99 */
#define REPORT_FAULT_MESSAGES  "faults"    /* something was lost, or else not clean */
#define REPORT_FAULT_GENERATOR "generator" /* it did not send the rate, or not in time */

/* One rate that it tried. */
struct report_step {
    double rate;      /* messages/s asked for */
    double sent_rate; /* and sent */
    uint64_t p99_ns;
    uint64_t lost;
    const char *fault; /* one of those above; NULL: it passed */
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
    const struct options *options; /* what was asked for; of --find-max with the rate of this run */
    const char *command_line;
    const char *backend;       /* of the generator */
    const struct tally *tally; /* all workers together */
    const char *tls_fault;     /* the first one, in words; "": there was none */
    double seconds;            /* of the measured part */
    int signal;                /* that ended it before its time; 0: none */

    struct procstat generator;         /* CPU used in the measured part, this process */
    uint64_t busiest_ns;               /* the same of the one thread that used the most */
    bool has_server;                   /* --server-pid was given */
    struct procstat server;            /* CPU used in the measured part; user_bytes: at its end */
    uint64_t server_user_bytes_before; /* before anybody connected */
    uint64_t kernel_bytes_before;      /* of the machine; 0: not known */
    uint64_t kernel_bytes_after;       /* with everybody connected */

    const struct report_storm *storm; /* NULL: there was none */

    double connect_seconds; /* from the first connect to the last subscription */

    const struct report_point *points;
    size_t point_count;
    const struct report_step *steps; /* NULL: no --find-max */
    size_t step_count;
    double knee_rate;   /* the highest rate that passed; 0: none did */
    bool is_knee_exact; /* a rate only a little higher did not pass */
};

/* Lost, duplicated, reordered or corrupted deliveries, errors, connections that failed or ended. */
NODISCARD bool report_is_clean(const struct report *report);

/*
 * A generator thread was busy nearly all the time, or late: its figures say little of the server.
 */
NODISCARD bool report_is_generator_bound(const struct report *report);

void report_write_text(const struct report *report, FILE *out);

/* Why connections failed or ended, and messages were refused: a line for each cause. */
void report_write_causes(const struct report *report, const char *prefix, FILE *out);

/* 0: a report can be written to `path`, as far as that can be told before; else -errno. */
NODISCARD int report_try(const char *path);

/* 0 or -errno. Written beside and renamed, so that no half of it is ever there. */
NODISCARD int report_write_json(const struct report *report, const char *path);
NODISCARD int report_write_html(const struct report *report, const char *path);

#endif /* BENCH_LOAD_REPORT_H */
