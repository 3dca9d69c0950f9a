/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_MONOTIME_H
#define CORE_MONOTIME_H
/*
 * The clocks. Only the back ends and the log read them; everything else is given `now_ns`, so
 * that a simulation can give it another time.
 *
 * Threads   ANY_THREAD.
 * Failures  none: these clocks exist on every Linux that we run on, and that is CHECKed.
 */
#include <stdint.h>

#include "core/annot.h"

#define MONOTIME_NS_PER_US UINT64_C(1000)
#define MONOTIME_NS_PER_MS UINT64_C(1000000)
#define MONOTIME_NS_PER_S  UINT64_C(1000000000)

/* Nanoseconds of CLOCK_MONOTONIC: never backwards, no relation to the time of day. */
NODISCARD uint64_t monotime_read(void) ANY_THREAD;

/* Milliseconds since 1970 (UTC). May jump when somebody sets the clock. */
NODISCARD uint64_t monotime_realtime_ms(void) ANY_THREAD;

#endif /* CORE_MONOTIME_H */
