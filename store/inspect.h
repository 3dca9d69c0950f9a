/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_INSPECT_H
#define STORE_INSPECT_H
/*
 * A store on the disk, looked at by people: how much there is, whether all of it checks, the
 * publications of one channel. Opens it for reading only and changes nothing.
 *
 * Threads   one.
 * Output    stdout; what is wrong goes to stderr, one sentence a line.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"
#include "store/engine.h"

/* Exit statuses of the program. */
enum inspect_end {
    INSPECT_FINE = 0,
    INSPECT_DAMAGED = 1, /* something does not check, or the channel does not exist */
    INSPECT_NOT_OPENED = 3,
};

struct inspect_options {
    const struct engine_ops *ops;
    const char *path;
    const char *channel; /* export */
    bool json;           /* lines of JSON instead of a text */
    bool live;           /* also while a process has the store open */
};

NODISCARD enum inspect_end inspect_stat(const struct inspect_options *options);
NODISCARD enum inspect_end inspect_verify(const struct inspect_options *options);
NODISCARD enum inspect_end inspect_export(const struct inspect_options *options);

#endif /* STORE_INSPECT_H */
