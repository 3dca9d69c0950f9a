/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_model.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum { WORD_BITS = 64 };

void sim_model_deinit(struct sim_model *model)
{
    free(model->publications);
    *model = (struct sim_model){0};
}

void sim_model_forget(struct sim_subscription *subscription)
{
    free(subscription->seen);
    free(subscription->last_of);
    *subscription = (struct sim_subscription){0};
}

uint32_t sim_model_publish(struct sim_model *model, uint32_t publisher, uint16_t channel,
                           uint64_t now, uint64_t now_ns)
{
    if (model->count == model->capacity) {
        model->capacity = 2 * model->capacity + 64;
        model->publications =
            realloc(model->publications, model->capacity * sizeof(*model->publications));
        CHECK(model->publications != NULL);
    }
    model->publications[model->count] = (struct sim_publication){
        .publisher = publisher,
        .channel = channel,
        .sent_at = now,
        .sent_ns = now_ns,
    };
    return (uint32_t)model->count++;
}

void sim_model_acknowledge(struct sim_model *model, uint32_t index, uint64_t now)
{
    CHECK(index < model->count);
    model->publications[index].acked_at = now;
}

void sim_model_store(struct sim_model *model, uint32_t index)
{
    if (index < model->count) {
        model->publications[index].is_stored = true;
    }
}

bool sim_model_is_stored(const struct sim_model *model, uint32_t index)
{
    return index < model->count && model->publications[index].is_stored;
}

void sim_model_begin(struct sim_subscription *subscription, uint64_t now)
{
    subscription->is_on = true;
    subscription->begun_at = now;
    subscription->last = 0;
}

void sim_model_end(struct sim_subscription *subscription)
{
    subscription->is_on = false;
}

void sim_model_resume(struct sim_subscription *subscription)
{
    subscription->is_on = true;
}

/* -- one delivery ------------------------------------------------------------------------------ */

static bool has_seen(const struct sim_subscription *subscription, uint32_t index)
{
    const size_t word = index / WORD_BITS;
    return word < subscription->seen_words &&
           (subscription->seen[word] >> (index % WORD_BITS) & 1) != 0;
}

static void note_seen(struct sim_subscription *subscription, uint32_t index)
{
    const size_t word = index / WORD_BITS;
    if (word >= subscription->seen_words) {
        const size_t words = 2 * word + 1;
        subscription->seen = realloc(subscription->seen, words * sizeof(*subscription->seen));
        CHECK(subscription->seen != NULL);
        memset(subscription->seen + subscription->seen_words, 0,
               (words - subscription->seen_words) * sizeof(*subscription->seen));
        subscription->seen_words = words;
    }
    subscription->seen[word] |= (uint64_t)1 << (index % WORD_BITS);
}

/* False: a later one of the same publisher was seen before. */
static bool note_publisher(struct sim_subscription *subscription, uint32_t publisher,
                           uint32_t index)
{
    if (publisher >= subscription->last_of_count) {
        const size_t count = 2 * (size_t)publisher + 1;
        subscription->last_of =
            realloc(subscription->last_of, count * sizeof(*subscription->last_of));
        CHECK(subscription->last_of != NULL);
        memset(subscription->last_of + subscription->last_of_count, 0,
               (count - subscription->last_of_count) * sizeof(*subscription->last_of));
        subscription->last_of_count = count;
    }
    if (subscription->last_of[publisher] > index) {
        return false;
    }
    subscription->last_of[publisher] = index + 1;
    return true;
}

const char *sim_model_follow(struct sim_model *model, uint32_t earlier, uint32_t later)
{
    struct sim_publication *first = &model->publications[earlier];
    struct sim_publication *second = &model->publications[later];

    if (first->next != 0 && first->next != later + 1) {
        return "somebody else saw another publication follow: lost, or another order";
    }
    if (second->previous != 0 && second->previous != earlier + 1) {
        return "somebody else saw another publication before it: lost, or another order";
    }
    first->next = later + 1;
    second->previous = earlier + 1;
    return NULL;
}

const char *sim_model_deliver(struct sim_model *model, struct sim_subscription *subscription,
                              uint16_t channel, uint32_t index, uint32_t publisher)
{
    if (index >= model->count) {
        return "a publication that nobody sent";
    }
    const struct sim_publication *publication = &model->publications[index];
    if (publication->channel != channel || publication->publisher != publisher) {
        return "a publication in another channel, or of another publisher";
    }
    if (!subscription->is_on) {
        return "a publication outside of a subscription";
    }
    if (has_seen(subscription, index)) {
        return "a publication twice";
    }
    note_seen(subscription, index);
    if (!note_publisher(subscription, publisher, index)) {
        return "publications of one publisher in another order than they were sent";
    }
    const uint32_t last = subscription->last;
    subscription->last = index + 1;
    return last == 0 || model->is_lossy ? NULL : sim_model_follow(model, last - 1, index);
}

/* -- afterwards -------------------------------------------------------------------------------- */

uint32_t sim_model_missing(const struct sim_model *model,
                           const struct sim_subscription *subscription, uint16_t channel)
{
    if (!subscription->is_on || model->is_lossy) {
        return 0;
    }
    for (uint32_t i = 0; i < model->count; i++) {
        const struct sim_publication *publication = &model->publications[i];
        if (publication->channel == channel && publication->acked_at != 0 &&
            publication->sent_at > subscription->begun_at && !has_seen(subscription, i)) {
            return i + 1;
        }
    }
    return 0;
}

const char *sim_model_judge(const struct sim_model *model)
{
    size_t reached = 0;
    for (size_t i = 0; i < model->count; i++) {
        if (model->publications[i].previous != 0) {
            continue;
        }
        /* Each chain is walked once, from its begin; what no walk reaches is in a ring. */
        for (uint32_t at = (uint32_t)i + 1; at != 0; at = model->publications[at - 1].next) {
            reached++;
        }
    }
    return reached == model->count ? NULL : "an order that goes in a circle";
}
