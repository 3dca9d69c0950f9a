/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include "core/check.h"
#include "store/codec.h"
#include "store/store_private.h"

/* --- Questions --- */

static struct lane *lane_of(struct store *store, enum wire_type type)
{
    return &store->lanes[type == WIRE_READ ? LANE_READS : LANE_BATCHES];
}

/* Where the body of a question goes; NULL: `verdict` says why there is no room. */
static uint8_t *begin_question(struct store *store, enum wire_type type, size_t body_size,
                               enum store_verdict *verdict)
{
    CHECK(body_size <= WIRE_BODY_SIZE_MAX);
    if (store->state == STORE_DOWN) {
        *verdict = STORE_REFUSED;
        return NULL;
    }
    const bool full = store->next_id - store->oldest_id >= store->options.questions_max;
    uint8_t *const body = full ? NULL : lane_room(lane_of(store, type), body_size);
    *verdict = body != NULL ? STORE_QUEUED : STORE_FULL;
    return body;
}

static void end_question(struct store *store, enum wire_type type, uint64_t tag, size_t body_size)
{
    const struct wire_header header = {
        .id = store->next_id, .body_size = (uint32_t)body_size, .type = type};
    struct lane *const lane = lane_of(store, type);
    lane_queue(lane, &header);
    store->questions[store->next_id & (store->options.questions_max - 1)] = (struct question){
        .tag = tag, .end = lane->queued, .submitted_ns = store->now_ns, .type = type};
    store->next_id++;
}

enum store_verdict store_commit(struct store *store, uint64_t tag, enum wire_durability durability,
                                const struct wire_entry *entries, size_t count)
{
    const size_t size = wire_batch_size(entries, count);
    if (size == 0) {
        return STORE_TOO_BIG;
    }
    enum store_verdict verdict;
    uint8_t *const body = begin_question(store, WIRE_BATCH, size, &verdict);
    if (body != NULL) {
        wire_write_batch(durability, entries, count, body);
        end_question(store, WIRE_BATCH, tag, size);
    }
    return verdict;
}

enum store_verdict store_read(struct store *store, uint64_t tag, const struct wire_read *read)
{
    if (read->channel.size < 1 || read->channel.size > WIRE_CHANNEL_SIZE_MAX ||
        read->count_max < 1 || read->count_max > WIRE_READ_COUNT_MAX ||
        read->bytes_max > WIRE_PAGE_BYTES_MAX) {
        return STORE_TOO_BIG;
    }
    enum store_verdict verdict;
    uint8_t *const body = begin_question(store, WIRE_READ, WIRE_READ_SIZE_MAX, &verdict);
    if (body != NULL) {
        end_question(store, WIRE_READ, tag, wire_write_read(read, body));
    }
    return verdict;
}

enum store_verdict store_ask_stats(struct store *store, uint64_t tag)
{
    enum store_verdict verdict;
    if (begin_question(store, WIRE_STAT, 0, &verdict) != NULL) {
        end_question(store, WIRE_STAT, tag, 0);
    }
    return verdict;
}

/* --- Answers --- */

static void forget_answered(struct store *store)
{
    while (store->oldest_id < store->next_id &&
           store->questions[store->oldest_id & (store->options.questions_max - 1)].answered) {
        store->oldest_id++;
    }
}

/* The question that an answer belongs to; NULL: there is none of this type. */
static struct question *find_question(struct store *store, uint64_t id, enum wire_type type)
{
    if (id < store->oldest_id || id >= store->next_id) {
        return NULL;
    }
    struct question *const question = &store->questions[id & (store->options.questions_max - 1)];
    return question->answered || question->type != type ? NULL : question;
}

static enum wire_verdict read_answer(struct bytes body, enum wire_type type,
                                     struct store_completion *completion, enum wire_type *asked)
{
    switch (type) {
    case WIRE_COMMITTED:
        *asked = WIRE_BATCH;
        completion->event = STORE_COMMITTED;
        return wire_read_committed(body, &completion->committed);
    case WIRE_PAGE:
        *asked = WIRE_READ;
        completion->event = STORE_PAGE;
        return wire_read_page(body, &completion->page);
    case WIRE_STATS:
        *asked = WIRE_STAT;
        completion->event = STORE_STATS;
        return wire_read_stats(body, &completion->stats);
    case WIRE_BATCH:
    case WIRE_READ:
    case WIRE_STAT:
    case WIRE_READY:
        break;
    }
    return WIRE_BAD_TYPE;
}

static bool take_ready(struct store *store, struct bytes body)
{
    if (body.size != 8 || store->state != STORE_STARTING) {
        return false;
    }
    store->open_us = codec_get_u64(body.data);
    store->ready_ns = store->now_ns;
    store->reason[0] = '\0';
    store_set_state(store, STORE_READY);
    return true;
}

/* True when `completion` was filled. A frame that makes no sense costs the child its life. */
static bool take_frame(struct store *store, const struct wire_header *header, struct bytes body,
                       struct store_completion *completion)
{
    if (header->type == WIRE_READY) {
        if (!take_ready(store, body)) {
            store_lose_child(store);
        }
        return false;
    }
    enum wire_type asked = WIRE_STAT;
    if (read_answer(body, header->type, completion, &asked) != WIRE_OK) {
        store_lose_child(store);
        return false;
    }
    struct question *const question = find_question(store, header->id, asked);
    if (question == NULL) {
        store_lose_child(store);
        return false;
    }
    completion->tag = question->tag;
    question->answered = true;
    forget_answered(store);
    return true;
}

/* What lies in the input already. */
static size_t take_frames(struct store *store, struct lane *lane,
                          struct store_completion *completions, size_t count)
{
    size_t filled = 0;
    while (filled < count && !store->burying) {
        struct wire_header header;
        struct bytes body;
        const enum wire_verdict verdict = lane_next(lane, &header, &body);
        if (verdict == WIRE_NEED_MORE) {
            break;
        }
        if (verdict != WIRE_OK) {
            store_lose_child(store);
            break;
        }
        filled += take_frame(store, &header, body, &completions[filled]);
    }
    return filled;
}

/* All that has come, on all lanes. A child that has ended is lost when its last answer is taken. */
static size_t take_answers(struct store *store, struct store_completion *completions, size_t count)
{
    size_t filled = 0;
    bool has_ended = false;
    if (store->spawn.pid <= 0) {
        return 0;
    }
    for (int i = LANE_COUNT - 1; i >= 0; i--) {
        struct lane *const lane = &store->lanes[i];
        filled += take_frames(store, lane, completions + filled, count - filled);
        while (filled < count && !store->burying && lane_receive(lane)) {
            filled += take_frames(store, lane, completions + filled, count - filled);
        }
        has_ended = has_ended || lane->has_ended;
    }
    if (has_ended && filled < count) {
        store_lose_child(store);
    }
    return filled;
}

/* After a death: every question gets its end. */
static size_t give_up_questions(struct store *store, struct store_completion *completions,
                                size_t count)
{
    size_t filled = 0;
    forget_answered(store);
    while (filled < count && store->oldest_id < store->next_id) {
        struct question *const question =
            &store->questions[store->oldest_id & (store->options.questions_max - 1)];
        const bool sent = question->end <= lane_sent(lane_of(store, question->type));
        completions[filled++] = (struct store_completion){
            .event = sent ? STORE_LOST : STORE_NOT_SENT, .tag = question->tag};
        question->answered = true;
        forget_answered(store);
    }
    return filled;
}

size_t store_step(struct store *store, uint64_t now_ns, struct store_completion *completions,
                  size_t count)
{
    CHECK(count > 0);
    store->now_ns = now_ns;
    for (int i = 0; i < LANE_COUNT; i++) {
        lane_make_room(&store->lanes[i]); /* views of the step before are over */
    }
    spawn_read_errors(&store->spawn);
    store_start_again(store);
    store_flush(store);

    size_t filled = take_answers(store, completions, count);
    if (store->burying) {
        filled += give_up_questions(store, completions + filled, count - filled);
        store_bury_child(store);
        store->burying = store->oldest_id < store->next_id || store->spawn.pid > 0;
    }
    if (store->changed && filled < count) {
        completions[filled++] =
            (struct store_completion){.event = STORE_CHANGED, .state = store->state};
        store->changed = false;
    }
    return filled;
}

/* --- Views --- */

int store_fd(const struct store *store)
{
    return store->epoll;
}

struct store_view store_look(const struct store *store)
{
    const bool open = store->oldest_id < store->next_id;
    return (struct store_view){
        .state = store->state,
        .questions = (uint32_t)(store->next_id - store->oldest_id),
        .queue_bytes = lane_queue_bytes(&store->lanes[LANE_BATCHES]) +
                       lane_queue_bytes(&store->lanes[LANE_READS]),
        .oldest_ns = open ? store->questions[store->oldest_id & (store->options.questions_max - 1)]
                                .submitted_ns
                          : 0,
        .open_us = store->open_us,
        .starts = store->starts,
        .child = (int)store->spawn.pid,
        .damaged = store->damaged && store->state != STORE_READY,
        .reason = store->state == STORE_READY ? store->spawn.line : store->reason,
    };
}
