/* SPDX-License-Identifier: Apache-2.0 */
#include "core/cpu.h"

#include <errno.h>
#include <sched.h>
#include <stddef.h>
#include <string.h>

#include "core/check.h"

enum {
    CPU_SET_CPUS_FIRST = 1024,   /* what cpu_set_t holds; enough nearly everywhere */
    CPU_SET_CPUS_LAST = 1 << 16, /* far above the largest CONFIG_NR_CPUS */
};

static const struct {
    const char *name;
    enum cpu_simd level;
} simd_levels[] = {
    {"scalar", CPU_SIMD_SCALAR},
    {"sse4", CPU_SIMD_SSE4},
    {"avx2", CPU_SIMD_AVX2},
    {"avx512", CPU_SIMD_AVX512},
};

/*
 * The allowed CPUs, or NULL. The caller frees it with CPU_FREE. The kernel refuses a set smaller
 * than its own with EINVAL, so the set grows until it fits.
 */
static cpu_set_t *allowed_cpus(size_t *set_size)
{
    for (size_t cpus = CPU_SET_CPUS_FIRST; cpus <= CPU_SET_CPUS_LAST; cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (set == NULL) {
            return NULL;
        }
        const size_t size = CPU_ALLOC_SIZE(cpus);
        CPU_ZERO_S(size, set);
        if (sched_getaffinity(0, size, set) == 0) {
            *set_size = size;
            return set;
        }
        const int error = errno;
        CPU_FREE(set);
        if (error != EINVAL) {
            return NULL;
        }
    }
    return NULL;
}

#if defined(__x86_64__)
/*
 * The compiler's question asks the operating system too: without its saved registers the answer
 * is no. What is asked here is what CMakeLists.txt lets the compiler use in each variant.
 */
enum cpu_simd cpu_simd_best(void)
{
    if (!__builtin_cpu_supports("sse4.2") || !__builtin_cpu_supports("popcnt")) {
        return CPU_SIMD_SCALAR;
    }
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2")) {
        return CPU_SIMD_SSE4;
    }
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512vbmi")) {
        return CPU_SIMD_AVX2;
    }
    return CPU_SIMD_AVX512;
}
#else
enum cpu_simd cpu_simd_best(void)
{
    return CPU_SIMD_SCALAR;
}
#endif

const char *cpu_simd_name(enum cpu_simd level)
{
    for (size_t i = 0; i < sizeof(simd_levels) / sizeof(simd_levels[0]); i++) {
        if (simd_levels[i].level == level) {
            return simd_levels[i].name;
        }
    }
    NEVER("a SIMD level without a name");
}

bool cpu_simd_from_name(const char *name, enum cpu_simd *level)
{
    CHECK(name != NULL);
    CHECK(level != NULL);

    for (size_t i = 0; i < sizeof(simd_levels) / sizeof(simd_levels[0]); i++) {
        if (strcmp(simd_levels[i].name, name) == 0) {
            *level = simd_levels[i].level;
            return true;
        }
    }
    return false;
}

int cpu_count(void)
{
    size_t size = 0;
    cpu_set_t *set = allowed_cpus(&size);
    if (set == NULL) {
        return 1;
    }
    const int count = CPU_COUNT_S(size, set);
    CPU_FREE(set);
    return count > 0 ? count : 1;
}

int cpu_nth(int index)
{
    CHECK(index >= 0);

    size_t size = 0;
    cpu_set_t *set = allowed_cpus(&size);
    if (set == NULL) {
        return 0;
    }
    int number = 0;
    const int count = CPU_COUNT_S(size, set);
    if (count > 0) {
        int left = index % count;
        while (!CPU_ISSET_S((size_t)number, size, set) || left > 0) {
            left -= CPU_ISSET_S((size_t)number, size, set) ? 1 : 0;
            number++;
        }
    }
    CPU_FREE(set);
    return number;
}
