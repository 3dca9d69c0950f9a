/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_CPU_H
#define CORE_CPU_H
/*
 * Topology, and which SIMD this machine has.
 *
 * Usable means: online, and allowed by the calling thread's affinity (taskset, a container's
 * cpuset). Ask before pinning: a pinned thread has one. Nothing is cached; call at start-up.
 * Elsewhere than on x86-64 the SIMD level is scalar.
 *
 * Threads   ANY_THREAD.
 * Failures  if the kernel will not tell, there is one usable CPU and its number is 0.
 * Not here  pinning (thread.h), and what the levels are used for (proto/simd.h).
 */
#include <stdbool.h>

#include "core/annot.h"

/* Each level has everything of the ones before it. */
enum cpu_simd {
    CPU_SIMD_SCALAR = 0,
    CPU_SIMD_SSE4,   /* SSE 4.2 and POPCNT */
    CPU_SIMD_AVX2,   /* AVX2, BMI1 and BMI2 */
    CPU_SIMD_AVX512, /* AVX-512 F, BW, DQ, VL and VBMI: Ice Lake, Zen 4 and later */
};

/* The highest level that both the processor and the operating system support. */
NODISCARD enum cpu_simd cpu_simd_best(void);

/* "scalar", "sse4", "avx2" or "avx512"; a constant string. */
NODISCARD const char *cpu_simd_name(enum cpu_simd level);

/* The inverse, exact. False, and `level` untouched, when there is no level of that name. */
NODISCARD bool cpu_simd_from_name(const char *name, enum cpu_simd *level);

/* How many CPUs are usable, at least 1. */
NODISCARD int cpu_count(void);

/* The kernel's number of the usable CPU with this index; past the last one it starts again. */
NODISCARD int cpu_nth(int index);

#endif /* CORE_CPU_H */
