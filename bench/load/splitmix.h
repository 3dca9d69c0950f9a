/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_LOAD_SPLITMIX_H
#define BENCH_LOAD_SPLITMIX_H
/*
 * One well-mixed number from another (splitmix64: Steele, Lea and Flood, 2014). Pure: what follows
 * from a seed is the same on every thread and in every run.
 */
#include <stdint.h>

static inline uint64_t splitmix(uint64_t value)
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

#endif /* BENCH_LOAD_SPLITMIX_H */
