/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_SIPHASH_H
#define CORE_SIPHASH_H
/*
 * SipHash-1-3 (Aumasson and Bernstein, "SipHash: a fast short-input PRF"; one compression round
 * and three at the end): a keyed hash for tables whose keys strangers choose. Without the key
 * nobody can make names that collide.
 *
 * Pure. ANY_THREAD.
 * Not here  anything that must stay secret or must not be forged: 1-3 is for tables only.
 */
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

struct siphash_key {
    uint64_t k0;
    uint64_t k1;
};

NODISCARD uint64_t siphash_13(struct siphash_key key, struct bytes in);

#endif /* CORE_SIPHASH_H */
