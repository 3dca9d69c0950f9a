/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_LIBRARIES_H
#define SERVER_LIBRARIES_H
/* The versions of the libraries in use, for --version. ANY_THREAD. */

enum { LIBRARIES_SIZE_MAX = 512 };

/* One line each, with its end; cut where it does not fit. */
void libraries_describe(char target[static LIBRARIES_SIZE_MAX]);

#endif /* SERVER_LIBRARIES_H */
