/* SPDX-License-Identifier: Apache-2.0 */
#include "store/gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/check.h"
#include "core/table.h"

enum {
    ENGINE_ENTRIES_PER_ENTRY = 2, /* a reset: the old records, the new metadata */
    NEXT_ID_ENTRIES = 1,
};

/* What a channel is once the group is stored. */
struct state {
    struct record_meta meta; /* stream_id 0: there is no such stream */
    bool damaged;            /* what is stored does not check: only a reset helps */
};

struct cached {
    struct state state;
    uint64_t group; /* the last one that touched it: while that is open it stays */
    uint32_t slot;
    bool used; /* since the hand passed */
    uint8_t name_size;
    uint8_t name[];
};

struct undo {
    struct cached *cached;
    struct state state;
};

struct gather {
    const struct engine_ops *ops;
    struct engine *engine;
    struct table *table;
    struct table_key table_key;
    struct cached **slots; /* streams_max, the clock's face */
    struct engine_entry *entries;
    struct undo *undos; /* of the batch that is being taken */
    size_t undo_count;
    size_t entry_count;
    size_t taken; /* entries of the wire in this group */
    uint64_t group;
    uint64_t next_id;
    uint64_t next_id_stored;
    uint32_t streams_max;
    uint32_t slot_count;
    uint32_t hand;
};

static struct bytes cached_key(const void *value)
{
    const struct cached *const cached = value;
    return (struct bytes){cached->name, cached->name_size};
}

void gather_destroy(struct gather *gather)
{
    if (gather == NULL) {
        return;
    }
    for (uint32_t i = 0; i < gather->slot_count; i++) {
        free(gather->slots[i]);
    }
    table_destroy(gather->table);
    free(gather->slots);
    free(gather->entries);
    free(gather->undos);
    free(gather);
}

struct gather *gather_create(const struct engine_ops *ops, struct engine *engine,
                             uint32_t streams_max)
{
    CHECK(ops != NULL);
    CHECK(streams_max >= GATHER_STREAMS_MIN);

    struct gather *const gather = calloc(1, sizeof(*gather));
    if (gather == NULL) {
        return NULL;
    }
    gather->ops = ops;
    gather->engine = engine;
    gather->streams_max = streams_max;
    gather->group = 1;
    gather->next_id = gather->next_id_stored = ops->next_stream_id(engine);
    gather->table = table_create(cached_key);
    gather->slots = calloc(streams_max, sizeof(struct cached *));
    gather->entries = calloc(ENGINE_ENTRIES_PER_ENTRY * GATHER_ENTRIES_MAX + NEXT_ID_ENTRIES,
                             sizeof(gather->entries[0]));
    gather->undos = calloc(WIRE_ENTRY_COUNT_MAX, sizeof(gather->undos[0]));
    if (gather->table == NULL || gather->slots == NULL || gather->entries == NULL ||
        gather->undos == NULL ||
        getrandom(&gather->table_key, sizeof(gather->table_key), 0) != sizeof(gather->table_key)) {
        gather_destroy(gather);
        return NULL;
    }
    return gather;
}

bool gather_has_room(const struct gather *gather)
{
    return gather->taken + WIRE_ENTRY_COUNT_MAX <= GATHER_ENTRIES_MAX;
}

bool gather_is_empty(const struct gather *gather)
{
    return gather->entry_count == 0;
}

/* --- States --- */

static uint64_t hash_of(const struct gather *gather, struct bytes name)
{
    return table_hash(&gather->table_key, name);
}

/* A slot for one more: a new one, or that of a channel which nobody has asked for since long. */
static uint32_t free_slot(struct gather *gather)
{
    if (gather->slot_count < gather->streams_max) {
        return gather->slot_count++;
    }
    for (;;) {
        const uint32_t slot = gather->hand;
        struct cached *const cached = gather->slots[slot];
        gather->hand = (slot + 1) % gather->streams_max;
        if (cached == NULL) {
            return slot;
        }
        /* Ends: a group touches at most half of the slots (GATHER_STREAMS_MIN). */
        if (cached->group != gather->group && !cached->used) {
            const struct bytes name = cached_key(cached);
            CHECK(table_remove(gather->table, hash_of(gather, name), name) == cached);
            free(cached);
            gather->slots[slot] = NULL;
            return slot;
        }
        cached->used = false;
    }
}

/* Asks the engine. ENGINE_FAILED: it cannot say. */
static enum engine_result load_state(struct gather *gather, struct bytes name, struct state *state,
                                     char error[static ENGINE_ERROR_SIZE])
{
    struct record_meta meta = {.stream_id = 0};
    const enum engine_result result = gather->ops->find_stream(gather->engine, name, &meta, error);
    if (result == ENGINE_FAILED) {
        return result;
    }
    *state = (struct state){.meta = meta, .damaged = result == ENGINE_DAMAGED};
    return ENGINE_OK;
}

/* The state of a channel, to be read and changed; NULL: `error` says why not. */
static struct cached *find_state(struct gather *gather, struct bytes name,
                                 char error[static ENGINE_ERROR_SIZE])
{
    const uint64_t hash = hash_of(gather, name);
    struct cached *cached = table_find(gather->table, hash, name);
    if (cached == NULL) {
        struct state state;
        if (load_state(gather, name, &state, error) != ENGINE_OK) {
            return NULL;
        }
        cached = malloc(sizeof(*cached) + name.size);
        if (cached == NULL) {
            (void)snprintf(error, ENGINE_ERROR_SIZE, "no memory");
            return NULL;
        }
        const uint32_t slot = free_slot(gather);
        *cached = (struct cached){.state = state, .slot = slot, .name_size = (uint8_t)name.size};
        memcpy(cached->name, name.data, name.size);
        gather->slots[slot] = cached;
        if (table_insert(gather->table, hash, cached) != 0) {
            gather->slots[slot] = NULL;
            free(cached);
            (void)snprintf(error, ENGINE_ERROR_SIZE, "no memory");
            return NULL;
        }
    }
    cached->used = true;
    cached->group = gather->group;
    return cached;
}

static void remember(struct gather *gather, struct cached *cached)
{
    CHECK(gather->undo_count < WIRE_ENTRY_COUNT_MAX);
    gather->undos[gather->undo_count++] = (struct undo){cached, cached->state};
}

/* --- Entries --- */

static struct engine_entry *emit(struct gather *gather, enum engine_op op, uint64_t stream_id,
                                 struct bytes name)
{
    struct engine_entry *const entry = &gather->entries[gather->entry_count++];
    *entry = (struct engine_entry){.op = op, .stream_id = stream_id, .name = name};
    return entry;
}

static void emit_meta(struct gather *gather, struct state *state, struct bytes channel)
{
    state->meta.noted_top = state->meta.stream.top;
    emit(gather, ENGINE_PUT_META, state->meta.stream_id, channel)->meta = state->meta;
}

static void emit_end_of_stream(struct gather *gather, uint64_t stream_id)
{
    struct engine_entry *const records =
        emit(gather, ENGINE_DELETE_RECORDS, stream_id, (struct bytes){NULL, 0});
    records->range.from = 0;
    records->range.below = UINT64_MAX;
}

static enum wire_result apply_append(struct gather *gather, struct state *state,
                                     const struct wire_entry *entry)
{
    struct wire_stream *const stream = &state->meta.stream;
    if (entry->offset != stream->top + 1) {
        return WIRE_CONFLICT;
    }
    emit(gather, ENGINE_PUT_RECORD, state->meta.stream_id, entry->channel)->record =
        (struct wire_record){.offset = entry->offset,
                             .time_ms = entry->time_ms,
                             .flags = entry->flags,
                             .value = entry->value};
    stream->top = entry->offset;
    stream->last_time_ms = entry->time_ms;
    if (stream->top - state->meta.noted_top >= GATHER_NOTE_EVERY) {
        emit_meta(gather, state, entry->channel);
    }
    return WIRE_DONE;
}

static enum wire_result apply_trim(struct gather *gather, struct state *state,
                                   const struct wire_entry *entry)
{
    struct wire_stream *const stream = &state->meta.stream;
    if (entry->offset > stream->top + 1) {
        return WIRE_CONFLICT;
    }
    if (entry->offset <= stream->first) {
        return WIRE_DONE;
    }
    struct engine_entry *const records =
        emit(gather, ENGINE_DELETE_RECORDS, state->meta.stream_id, entry->channel);
    records->range.from = stream->first;
    records->range.below = entry->offset;
    stream->first = entry->offset;
    emit_meta(gather, state, entry->channel);
    return WIRE_DONE;
}

static enum wire_result apply_reset(struct gather *gather, struct state *state,
                                    const struct wire_entry *entry)
{
    if (state->meta.stream_id != 0) {
        emit_end_of_stream(gather, state->meta.stream_id);
    }
    *state = (struct state){.meta = {.stream_id = gather->next_id++,
                                     .stream = {.epoch = entry->epoch,
                                                .top = entry->offset,
                                                .first = entry->offset + 1,
                                                .last_time_ms = entry->time_ms,
                                                .keep = state->meta.stream.keep}}};
    emit_meta(gather, state, entry->channel);
    return WIRE_DONE;
}

static enum wire_result apply_remove(struct gather *gather, struct state *state,
                                     const struct wire_entry *entry)
{
    emit_end_of_stream(gather, state->meta.stream_id);
    (void)emit(gather, ENGINE_DELETE_META, state->meta.stream_id, entry->channel);
    *state = (struct state){.damaged = false};
    return WIRE_DONE;
}

static enum wire_result apply_keep(struct gather *gather, struct state *state,
                                   const struct wire_entry *entry)
{
    struct wire_keep *const keep = &state->meta.stream.keep;
    if (keep->record_ms != entry->keep.record_ms || keep->position_ms != entry->keep.position_ms) {
        *keep = entry->keep;
        emit_meta(gather, state, entry->channel);
    }
    return WIRE_DONE;
}

/* What holds for everything but a reset: the stream is there, in the life that is meant. */
static enum wire_result judge_state(const struct state *state, const struct wire_entry *entry)
{
    if (state->damaged) {
        return WIRE_DAMAGED;
    }
    if (state->meta.stream_id == 0) {
        return WIRE_ABSENT;
    }
    return entry->epoch == state->meta.stream.epoch ? WIRE_DONE : WIRE_CONFLICT;
}

static enum wire_result apply(struct gather *gather, const struct wire_entry *entry,
                              char error[static ENGINE_ERROR_SIZE])
{
    struct cached *const cached = find_state(gather, entry->channel, error);
    if (cached == NULL) {
        return WIRE_FAILED;
    }
    struct state *const state = &cached->state;
    if (entry->kind != WIRE_RESET) {
        const enum wire_result judged = judge_state(state, entry);
        if (judged != WIRE_DONE) {
            return judged;
        }
    }
    remember(gather, cached);
    switch (entry->kind) {
    case WIRE_APPEND:
        return apply_append(gather, state, entry);
    case WIRE_RESET:
        return apply_reset(gather, state, entry);
    case WIRE_TRIM:
        return apply_trim(gather, state, entry);
    case WIRE_REMOVE:
        return apply_remove(gather, state, entry);
    case WIRE_KEEP:
        return apply_keep(gather, state, entry);
    }
    NEVER("an entry of no kind");
}

static void take_back(struct gather *gather, size_t entry_count, uint64_t next_id)
{
    while (gather->undo_count > 0) {
        const struct undo *const undo = &gather->undos[--gather->undo_count];
        undo->cached->state = undo->state;
    }
    gather->entry_count = entry_count;
    gather->next_id = next_id;
}

enum wire_result gather_add_entry(struct gather *gather, const struct wire_entry *entry,
                                  char error[static ENGINE_ERROR_SIZE])
{
    CHECK(gather_has_room(gather));
    const size_t entry_count = gather->entry_count;
    const uint64_t next_id = gather->next_id;
    gather->undo_count = 0;
    const enum wire_result result = apply(gather, entry, error);
    if (result == WIRE_DONE) {
        gather->taken++;
    } else {
        take_back(gather, entry_count, next_id);
    }
    return result;
}

enum wire_verdict gather_add(struct gather *gather, struct wire_batch batch,
                             struct wire_committed *committed, char error[static ENGINE_ERROR_SIZE])
{
    CHECK(gather_has_room(gather));
    CHECK(batch.count <= WIRE_ENTRY_COUNT_MAX);

    const size_t entry_count = gather->entry_count;
    const uint64_t next_id = gather->next_id;
    const uint32_t count = batch.count;
    gather->undo_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct wire_entry entry;
        const enum wire_verdict verdict = wire_next_entry(&batch, &entry);
        if (verdict != WIRE_OK) {
            take_back(gather, entry_count, next_id);
            return verdict;
        }
        const enum wire_result result = apply(gather, &entry, error);
        if (result != WIRE_DONE) {
            take_back(gather, entry_count, next_id);
            *committed = (struct wire_committed){.result = result, .entry = i};
            return WIRE_OK;
        }
    }
    gather->taken += count;
    *committed = (struct wire_committed){.result = WIRE_DONE};
    return WIRE_OK;
}

enum engine_result gather_commit(struct gather *gather, bool sync,
                                 char error[static ENGINE_ERROR_SIZE])
{
    if (gather->next_id != gather->next_id_stored) {
        (void)emit(gather, ENGINE_PUT_NEXT_ID, gather->next_id, (struct bytes){NULL, 0});
    }
    enum engine_result result = ENGINE_OK;
    if (gather->entry_count > 0) {
        result =
            gather->ops->commit(gather->engine, gather->entries, gather->entry_count, sync, error);
    }
    gather->entry_count = 0;
    gather->taken = 0;
    gather->group++;
    gather->next_id_stored = gather->next_id;
    return result;
}
