/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_TOKEN_PROGRAM_H
#define SERVER_TOKEN_PROGRAM_H
/*
 * `parleyd gentoken` and `parleyd checktoken`: tokens for tests and for people.
 *
 * Threads   the main thread, in place of the server. argv[0] is the command's name.
 * Result    the exit status: 0; 1 when the token is not valid, or none could be made; 2 when they
 *           cannot be used like that, or the configuration cannot be read.
 */
#include "core/annot.h"

NODISCARD int token_program_generate(int argc, char **argv);
NODISCARD int token_program_check(int argc, char **argv);

#endif /* SERVER_TOKEN_PROGRAM_H */
