/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/tally.h"

static uint64_t load(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

static uint64_t key_of(enum cause_kind kind, uint32_t code)
{
    return ((uint64_t)kind + 1) << 32 | code;
}

static void add_cause(struct tally *tally, uint64_t key, uint64_t count)
{
    struct tally_cause *const last = &tally->causes[TALLY_CAUSE_COUNT_MAX - 1];
    struct tally_cause *place = tally->causes;

    while (place != last && load(&place->key) != 0 && load(&place->key) != key) {
        place++;
    }
    if (load(&place->key) == 0) {
        atomic_store_explicit(&place->key, place == last ? key_of(CAUSE_OTHER, 0) : key,
                              memory_order_relaxed);
    }
    atomic_store_explicit(&place->count, load(&place->count) + count, memory_order_relaxed);
}

void tally_add_cause(struct tally *tally, enum cause_kind kind, uint32_t code)
{
    add_cause(tally, key_of(kind, code), 1);
}

bool tally_read_cause(const struct tally *tally, size_t place, struct tally_cause_row *row)
{
    const uint64_t key = place < TALLY_CAUSE_COUNT_MAX ? load(&tally->causes[place].key) : 0;

    if (key == 0) {
        return false;
    }
    *row = (struct tally_cause_row){.kind = (enum cause_kind)((key >> 32) - 1),
                                    .code = (uint32_t)key,
                                    .count = load(&tally->causes[place].count)};
    return true;
}

void tally_merge(struct tally *tally, const struct tally *from)
{
    for (int i = 0; i < TALLY_COUNT; i++) {
        tally_add(tally, (enum tally_id)i, tally_read(from, (enum tally_id)i));
    }
    for (size_t i = 0; i < TALLY_CAUSE_COUNT_MAX && load(&from->causes[i].key) != 0; i++) {
        add_cause(tally, load(&from->causes[i].key), load(&from->causes[i].count));
    }
    histogram_merge(&tally->latency, &from->latency);
    histogram_merge(&tally->recovered, &from->recovered);
    for (int i = 0; i < STORM_PART_COUNT; i++) {
        histogram_merge(&tally->live[i], &from->live[i]);
    }
    histogram_merge(&tally->back, &from->back);
}
