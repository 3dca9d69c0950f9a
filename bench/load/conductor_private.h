/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_CONDUCTOR_PRIVATE_H
#define BENCH_LOAD_CONDUCTOR_PRIVATE_H
/*
 * A run with what the main thread knows of it. For conductor*.c alone.
 */
#include <stdint.h>

#include "bench/load/conductor.h"
#include "bench/load/options.h"
#include "bench/load/procstat.h"
#include "bench/load/report.h"
#include "bench/load/run.h"
#include "bench/load/tally.h"
#include "bench/load/worker.h"
#include "core/annot.h"

enum { CONDUCTOR_POINT_COUNT_MAX = 86400 };

/* What a run was like at one moment. */
struct sample {
    struct tally tally; /* all workers together */
    struct procstat server;
    struct procstat generator;
    uint64_t thread_ns[OPTIONS_CPU_COUNT_MAX]; /* CPU time of each worker */
    uint64_t at_ns;
};

struct conductor {
    struct run run;
    struct options options;
    struct stop *stop;
    struct procstat_pids server;
    struct progress *progress;
    struct sample *before; /* the measured part began */
    struct sample *after;  /* it ended */
    struct sample *last;   /* the last point was taken */
    struct sample *now;
    struct tally *total; /* with what is known only at the end */
    struct report report;
    struct report_storm storm;   /* of the report, where there is one */
    struct sample *storm_before; /* those that it struck might come back */
    struct sample *storm_after;  /* all were back, or the measured part ended */
    struct report_point *points;
    char tls_fault[WORKER_TLS_FAULT_SIZE]; /* of the report */
    uint32_t started;                      /* threads */
};

/* Threads, and what they share. 0, or -errno after a line that says why. */
NODISCARD int conductor_start(struct conductor *conductor);

/* Ends the threads, and frees what only they needed. Again, or before any began: nothing. */
void conductor_end(struct conductor *conductor);

#endif /* BENCH_LOAD_CONDUCTOR_PRIVATE_H */
