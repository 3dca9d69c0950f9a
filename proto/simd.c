/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/simd.h"

#include "core/check.h"

#if defined(__x86_64__)
const struct simd_ops *simd_choose(enum cpu_simd level)
{
    const enum cpu_simd best = cpu_simd_best();

    switch (level < best ? level : best) {
    case CPU_SIMD_SCALAR:
        return &simd_scalar;
    case CPU_SIMD_SSE4:
        return &simd_sse4;
    case CPU_SIMD_AVX2:
        return &simd_avx2;
    case CPU_SIMD_AVX512:
        return &simd_avx512;
    }
    NEVER("a SIMD level without a variant");
}
#else
const struct simd_ops *simd_choose(enum cpu_simd level)
{
    CHECK(level >= CPU_SIMD_SCALAR);
    return &simd_scalar;
}
#endif
