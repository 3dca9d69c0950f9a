/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_EXPLAIN_H
#define SERVER_EXPLAIN_H
/*
 * `parleyd explain USER VERB CHANNEL`: what would be decided, and which rule decides. It asks the
 * function that the server asks (chat/permission.h).
 *
 * Threads   the main thread, in place of the server. argv[0] is the command's name.
 * Result    the exit status: 0: granted; 1: refused; 2: it cannot be used like that, or the
 *           configuration cannot be read.
 */
#include "core/annot.h"

NODISCARD int explain_run(int argc, char **argv);

#endif /* SERVER_EXPLAIN_H */
