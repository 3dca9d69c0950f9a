/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_COMPLAIN_H
#define STORE_COMPLAIN_H
/* A line of parley-store for its parent's log. ANY_THREAD. */
#include <stdio.h>

static inline void complain(const char *what, const char *why)
{
    (void)fprintf(stderr, "parley-store: %s%s%s\n", what, why[0] == '\0' ? "" : ": ", why);
}

#endif /* STORE_COMPLAIN_H */
