/* SPDX-License-Identifier: Apache-2.0 */
#include "store/walltime.h"

/* Whether the time that the clock shows may be gone by. */
static bool believes(struct walltime *walltime, int64_t ahead_ms, int64_t boot_ms)
{
    if (!walltime->is_known || ahead_ms - walltime->ahead_ms <= WALLTIME_SLEW_MS) {
        return true;
    }
    if (!walltime->doubts) {
        walltime->doubts = true;
        walltime->doubt_ms = boot_ms;
    }
    return boot_ms - walltime->doubt_ms >= WALLTIME_TRUST_MS;
}

uint64_t walltime_read(struct walltime *walltime, uint64_t real_ms, uint64_t boot_ms)
{
    const int64_t ahead_ms = (int64_t)(real_ms - boot_ms);
    if (believes(walltime, ahead_ms, (int64_t)boot_ms)) {
        walltime->ahead_ms = ahead_ms;
        walltime->is_known = true;
        walltime->doubts = false;
    }
    return boot_ms + (uint64_t)walltime->ahead_ms;
}
