/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_STORE_PROGRAM_H
#define SERVER_STORE_PROGRAM_H
/*
 * Where parley-store is, and `parleyd store ...`, which hands over to it.
 *
 * Threads   the main thread, before others start.
 */
#include <stddef.h>

#include "core/annot.h"

enum { STORE_PROGRAM_PATH_SIZE = 4096 }; /* bytes, with the NUL */

/*
 * The one beside our own binary, else the installed one. 0, or -errno of the latter and `path` is
 * where it was looked for.
 */
NODISCARD int store_program_find(char path[STORE_PROGRAM_PATH_SIZE]);

/*
 * `parleyd store COMMAND [-c FILE] [OPTION...] [CHANNEL]`: becomes parley-store, with the path of
 * the configuration; argv[0] is "store". Returns only when it could not: the exit status, after a
 * line on standard error.
 */
NODISCARD int store_program_run(int argc, char **argv);

#endif /* SERVER_STORE_PROGRAM_H */
