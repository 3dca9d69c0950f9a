/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_LOAD_H
#define BENCH_LOAD_LOAD_H
/*
 * All that one command does: looks first whether it can, then one run, or with --find-max many, and
 * the report on standard output and in files.
 *
 * Threads   the main thread.
 */
#include "core/annot.h"

struct options;
struct stop;

/* The exit status. */
NODISCARD int load_run(const struct options *options, struct stop *stop, const char *command_line);

#endif /* BENCH_LOAD_LOAD_H */
