/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/tally.h"

static uint32_t load(const _Atomic uint32_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static void add_codes(struct tally *tally, uint32_t code, uint32_t count)
{
    struct tally_code *place = &tally->codes[TALLY_CODE_COUNT_MAX - 1];

    for (int i = 0; i < TALLY_CODE_COUNT_MAX; i++) {
        const uint32_t there = load(&tally->codes[i].code);
        if (there == 0 || there == code) {
            place = &tally->codes[i];
            break;
        }
    }
    if (load(&place->code) == 0) {
        atomic_store_explicit(&place->code, code, memory_order_relaxed);
    }
    atomic_store_explicit(&place->count, load(&place->count) + count, memory_order_relaxed);
}

void tally_add_code(struct tally *tally, uint16_t code)
{
    add_codes(tally, code, 1);
}

void tally_merge(struct tally *tally, const struct tally *from)
{
    for (int i = 0; i < TALLY_COUNT; i++) {
        tally_add(tally, (enum tally_id)i, tally_read(from, (enum tally_id)i));
    }
    for (int i = 0; i < TALLY_CODE_COUNT_MAX; i++) {
        if (load(&from->codes[i].code) != 0) {
            add_codes(tally, load(&from->codes[i].code), load(&from->codes[i].count));
        }
    }
    histogram_merge(&tally->latency, &from->latency);
    histogram_merge(&tally->recovered, &from->recovered);
    for (int i = 0; i < STORM_PART_COUNT; i++) {
        histogram_merge(&tally->live[i], &from->live[i]);
    }
    histogram_merge(&tally->back, &from->back);
}
