/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORE_WALLTIME_H
#define STORE_WALLTIME_H
/*
 * The time of day, as far as it may be believed when something is to be deleted for its age.
 *
 * A clock that is set back is believed at once: everything lives longer. One that is set ahead, by
 * more than WALLTIME_SLEW_MS, is believed after it has stood for WALLTIME_TRUST_MS: until then the
 * old time goes on, so that a wrong clock that is put right again has cost nothing. Nobody can say
 * that of a clock which was wrong already when the process started.
 *
 * Pure: the caller reads the clocks. ANY_THREAD.
 */
#include <stdbool.h>
#include <stdint.h>

#include "core/annot.h"

enum {
    WALLTIME_SLEW_MS = 1000,     /* between two calls; less is a clock that is being corrected */
    WALLTIME_TRUST_MS = 3600000, /* an hour */
};

/* All zero: no time is known. */
struct walltime {
    int64_t ahead_ms; /* of the time since boot */
    int64_t doubt_ms; /* since when, after boot, the clock has been further ahead */
    bool is_known;
    bool doubts;
};

/* `real_ms` since 1970, `boot_ms` since boot, suspension included. Returns the time to go by. */
NODISCARD uint64_t walltime_read(struct walltime *walltime, uint64_t real_ms, uint64_t boot_ms);

#endif /* STORE_WALLTIME_H */
