/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/load/sequence.h"

enum { WINDOW = 64 }; /* bits of `missing` */

enum sequence_verdict sequence_take(struct sequence *sequence, uint32_t number, int64_t *skipped)
{
    *skipped = 0;
    if (sequence->is_open && number >= sequence->next) {
        *skipped = (int64_t)number - sequence->next - sequence->excused;
        *sequence = (struct sequence){.next = number + 1};
        return SEQUENCE_IN_ORDER;
    }
    if (number == sequence->next) {
        sequence->missing <<= 1;
        sequence->next++;
        return SEQUENCE_IN_ORDER;
    }
    if (number > sequence->next) {
        const uint32_t gap = number - sequence->next;
        /* `gap` ones come in from the right, and behind them a zero for the number itself. */
        if (gap < WINDOW - 1) {
            sequence->missing = (sequence->missing << gap | ((UINT64_C(1) << gap) - 1)) << 1;
        } else {
            sequence->missing = UINT64_MAX << 1;
        }
        sequence->next = number + 1;
        *skipped = gap;
        return SEQUENCE_AFTER_GAP;
    }
    const uint32_t age = sequence->next - 1 - number;
    if (age >= WINDOW || (sequence->missing >> age & 1) == 0) {
        return SEQUENCE_DUPLICATE;
    }
    sequence->missing &= ~(UINT64_C(1) << age);
    return SEQUENCE_LATE;
}

void sequence_open(struct sequence *sequence)
{
    sequence->is_open = true;
}

uint32_t sequence_excuse(struct sequence *sequence, uint32_t sent)
{
    const uint32_t all = sent > sequence->next ? sent - sequence->next : 0;
    const uint32_t more = all > sequence->excused ? all - sequence->excused : 0;

    sequence->excused = (sequence->excused + more) & INT32_MAX;
    sequence->is_open = true;
    return more;
}
