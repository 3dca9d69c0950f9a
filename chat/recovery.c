/* SPDX-License-Identifier: Apache-2.0 */
#include "chat/recovery.h"

#include "core/check.h"

static struct recovery_answer answer(enum recovery_verdict verdict, uint64_t from)
{
    return (struct recovery_answer){.verdict = verdict, .from = from};
}

/* [from, top] is what it needs, and not empty. */
static struct recovery_answer needs(const struct recovery_question *question, uint64_t from)
{
    if (!question->is_read) {
        return answer(RECOVERY_READ, from);
    }
    return question->first <= from ? answer(RECOVERY_COMPLETE, from)
                                   : answer(RECOVERY_IMPOSSIBLE, 0);
}

/* It has more than came here, if there is as much. */
static struct recovery_answer judge_ahead(const struct recovery_question *question)
{
    return question->is_read && question->since > question->last
               ? answer(RECOVERY_IMPOSSIBLE, 0)
               : answer(RECOVERY_READ, question->top + 1);
}

static struct recovery_answer judge_cache(const struct recovery_question *question)
{
    const bool has_latest = question->epoch_matches && question->since == question->top;

    if (question->top == 0) {
        return answer(RECOVERY_IMPOSSIBLE, 0); /* there is no latest publication */
    }
    return has_latest && question->since > 0 ? answer(RECOVERY_COMPLETE, question->top + 1)
                                             : needs(question, question->top);
}

struct recovery_answer recovery_judge(const struct recovery_question *question)
{
    CHECK(question->count_max > 0);

    if (!question->asked) {
        return answer(RECOVERY_NOT_ASKED, 0);
    }
    if (question->cache) {
        return judge_cache(question);
    }
    if (!question->epoch_matches) {
        return answer(RECOVERY_IMPOSSIBLE, 0);
    }
    if (question->since > question->top) {
        return judge_ahead(question);
    }
    if (question->top - question->since > question->count_max) {
        return answer(RECOVERY_IMPOSSIBLE, 0);
    }
    if (question->since == question->top) {
        return answer(RECOVERY_COMPLETE, question->top + 1);
    }
    return needs(question, question->since + 1);
}
