/* SPDX-License-Identifier: Apache-2.0 */
#include "core/monotime.h"

#include <time.h>

#include "core/check.h"

static struct timespec read_clock(clockid_t clock)
{
    struct timespec now;
    const int result = clock_gettime(clock, &now);
    CHECK(result == 0);
    return now;
}

uint64_t monotime_read(void)
{
    const struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (uint64_t)now.tv_sec * MONOTIME_NS_PER_S + (uint64_t)now.tv_nsec;
}

uint64_t monotime_realtime_ms(void)
{
    const struct timespec now = read_clock(CLOCK_REALTIME);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / MONOTIME_NS_PER_MS;
}
