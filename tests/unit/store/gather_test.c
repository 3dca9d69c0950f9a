/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a group commit consists of, what is refused in which state of a stream (a table), that a
 * refused batch leaves neither entries nor states behind, and that the states which are kept are
 * bounded.
 */
#include "store/gather.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/store/engine_failing.h"

static struct bytes text(const char *in)
{
    return (struct bytes){(const uint8_t *)in, strlen(in)};
}

static struct wire_entry entry_of(enum wire_kind kind, uint64_t epoch, uint64_t offset)
{
    return (struct wire_entry){.kind = kind,
                               .offset = offset,
                               .epoch = epoch,
                               .channel = text("room"),
                               .keep = {.record_ms = 60, .position_ms = 90}};
}

/* Through the wire, as the child does it; the bytes live in `memory` until the commit. */
static enum wire_result add(struct gather *gather, const struct wire_entry *entries, size_t count,
                            uint32_t *at)
{
    static uint8_t memory[1 << 16];
    char error[ENGINE_ERROR_SIZE] = "";
    struct wire_batch batch;
    struct wire_committed committed;
    const size_t size = wire_batch_size(entries, count);
    ck_assert_uint_gt(size, 0);
    ck_assert_uint_le(size, sizeof(memory));
    wire_write_batch(WIRE_DURABLE_POWER, entries, count, memory);
    ck_assert_int_eq(wire_read_batch((struct bytes){memory, size}, &batch), WIRE_OK);
    ck_assert_int_eq(gather_add(gather, batch, &committed, error), WIRE_OK);
    *at = committed.entry;
    return committed.result;
}

static void commit(struct gather *gather, enum engine_result wanted)
{
    char error[ENGINE_ERROR_SIZE];
    ck_assert_int_eq(gather_commit(gather, true, error), wanted);
    ck_assert(gather_is_empty(gather));
}

/* The stream has epoch 7, records 3 to 9. */
static const struct record_meta known = {.stream_id = 5,
                                         .stream = {.epoch = 7, .top = 9, .first = 3}};

static const struct {
    const char *why;
    enum engine_result found;
    enum wire_kind kind;
    uint64_t epoch;
    uint64_t offset;
    enum wire_result result;
    size_t entries; /* of the commit; 0: there is none */
} cases[] = {
    {"the next one", ENGINE_OK, WIRE_APPEND, 7, 10, WIRE_DONE, 1},
    {"the top one again", ENGINE_OK, WIRE_APPEND, 7, 9, WIRE_CONFLICT, 0},
    {"one too far", ENGINE_OK, WIRE_APPEND, 7, 11, WIRE_CONFLICT, 0},
    {"another epoch", ENGINE_OK, WIRE_APPEND, 8, 10, WIRE_CONFLICT, 0},
    {"no stream", ENGINE_ABSENT, WIRE_APPEND, 0, 1, WIRE_ABSENT, 0},
    {"damaged", ENGINE_DAMAGED, WIRE_APPEND, 7, 10, WIRE_DAMAGED, 0},
    {"the engine is at a loss", ENGINE_FAILED, WIRE_APPEND, 7, 10, WIRE_FAILED, 0},
    {"trim: records and metadata", ENGINE_OK, WIRE_TRIM, 7, 5, WIRE_DONE, 2},
    {"trim all", ENGINE_OK, WIRE_TRIM, 7, 10, WIRE_DONE, 2},
    {"trim what is not there", ENGINE_OK, WIRE_TRIM, 7, 11, WIRE_CONFLICT, 0},
    {"trim nothing", ENGINE_OK, WIRE_TRIM, 7, 3, WIRE_DONE, 0},
    {"trim another epoch", ENGINE_OK, WIRE_TRIM, 8, 5, WIRE_CONFLICT, 0},
    {"reset: records, metadata, next id", ENGINE_OK, WIRE_RESET, 8, 0, WIRE_DONE, 3},
    {"reset of nothing", ENGINE_ABSENT, WIRE_RESET, 8, 0, WIRE_DONE, 2},
    {"reset of what is damaged", ENGINE_DAMAGED, WIRE_RESET, 8, 0, WIRE_DONE, 3},
    {"reset unseen", ENGINE_FAILED, WIRE_RESET, 8, 0, WIRE_FAILED, 0},
    {"remove", ENGINE_OK, WIRE_REMOVE, 7, 0, WIRE_DONE, 2},
    {"remove another epoch", ENGINE_OK, WIRE_REMOVE, 6, 0, WIRE_CONFLICT, 0},
    {"remove nothing", ENGINE_ABSENT, WIRE_REMOVE, 6, 0, WIRE_ABSENT, 0},
    {"reset to an offset", ENGINE_ABSENT, WIRE_RESET, 8, 12, WIRE_DONE, 2},
    {"keep for another time", ENGINE_OK, WIRE_KEEP, 7, 0, WIRE_DONE, 1},
    {"keep of another epoch", ENGINE_OK, WIRE_KEEP, 8, 0, WIRE_CONFLICT, 0},
};

START_TEST(judges_an_entry)
{
    struct engine engine = {.find_result = cases[_i].found, .meta = known};
    struct gather *const gather = gather_create(&engine_failing, &engine, GATHER_STREAMS_MIN);
    const struct wire_entry entry = entry_of(cases[_i].kind, cases[_i].epoch, cases[_i].offset);
    uint32_t at = 77;
    ck_assert_msg(add(gather, &entry, 1, &at) == cases[_i].result, "%s", cases[_i].why);
    ck_assert_uint_eq(at, 0);
    commit(gather, ENGINE_OK);
    ck_assert_msg(engine.entry_count == cases[_i].entries, "%s: %zu", cases[_i].why,
                  engine.entry_count);
    gather_destroy(gather);
}
END_TEST

START_TEST(refusal_takes_back)
{
    struct engine engine = {.find_result = ENGINE_OK, .meta = known};
    struct gather *const gather = gather_create(&engine_failing, &engine, GATHER_STREAMS_MIN);
    const struct wire_entry first = entry_of(WIRE_APPEND, 7, 10);
    const struct wire_entry refused[] = {entry_of(WIRE_APPEND, 7, 11), entry_of(WIRE_TRIM, 7, 12),
                                         entry_of(WIRE_RESET, 9, 0), entry_of(WIRE_APPEND, 9, 1),
                                         entry_of(WIRE_APPEND, 9, 3)};
    const struct wire_entry next = entry_of(WIRE_APPEND, 7, 11);
    uint32_t at;
    ck_assert_int_eq(add(gather, &first, 1, &at), WIRE_DONE);
    ck_assert_int_eq(add(gather, refused, 5, &at), WIRE_CONFLICT);
    ck_assert_uint_eq(at, 4);
    ck_assert_int_eq(add(gather, &next, 1, &at), WIRE_DONE);
    commit(gather, ENGINE_OK);
    ck_assert_uint_eq(engine.entry_count, 2);
    for (size_t i = 0; i < 2; i++) {
        ck_assert_int_eq(engine.entries[i].op, ENGINE_PUT_RECORD);
        ck_assert_uint_eq(engine.entries[i].stream_id, 5);
        ck_assert_uint_eq(engine.entries[i].record.offset, 10 + i);
    }
    ck_assert_uint_eq(engine.finds, 1);
    ck_assert(engine.synced);
    /* The id that the refused reset had taken is free again. */
    const struct wire_entry reset = entry_of(WIRE_RESET, 9, 0);
    ck_assert_int_eq(add(gather, &reset, 1, &at), WIRE_DONE);
    commit(gather, ENGINE_OK);
    ck_assert_uint_eq(engine.entries[1].meta.stream_id, 100);
    ck_assert_int_eq(engine.entries[2].op, ENGINE_PUT_NEXT_ID);
    ck_assert_uint_eq(engine.entries[2].stream_id, 101);
    gather_destroy(gather);
}
END_TEST

/* What was said of a stream outlives it; said again, it costs nothing. */
START_TEST(remembers_how_long)
{
    struct engine engine = {.find_result = ENGINE_OK, .meta = known};
    struct gather *const gather = gather_create(&engine_failing, &engine, GATHER_STREAMS_MIN);
    const struct wire_entry keep = entry_of(WIRE_KEEP, 7, 0);
    const struct wire_entry next[] = {entry_of(WIRE_RESET, 8, 20), entry_of(WIRE_KEEP, 8, 0),
                                      entry_of(WIRE_APPEND, 8, 21)};
    char error[ENGINE_ERROR_SIZE] = "";
    uint32_t at;
    ck_assert_int_eq(gather_add_entry(gather, &keep, error), WIRE_DONE);
    ck_assert_int_eq(gather_add_entry(gather, &keep, error), WIRE_DONE);
    commit(gather, ENGINE_OK);
    ck_assert_uint_eq(engine.entry_count, 1);
    ck_assert_int_eq(engine.entries[0].op, ENGINE_PUT_META);
    ck_assert_uint_eq(engine.entries[0].meta.stream.keep.record_ms, 60);
    ck_assert_uint_eq(engine.entries[0].meta.stream.keep.position_ms, 90);
    ck_assert_int_eq(add(gather, next, 3, &at), WIRE_DONE);
    commit(gather, ENGINE_OK);
    ck_assert_uint_eq(engine.entry_count, 4);
    ck_assert_uint_eq(engine.entries[1].meta.stream.first, 21);
    ck_assert_uint_eq(engine.entries[1].meta.stream.keep.record_ms, 60);
    gather_destroy(gather);
}
END_TEST

/* How far the top has got is stored with the name, now and then. */
START_TEST(notes_the_top)
{
    struct engine engine = {.find_result = ENGINE_OK, .meta = known};
    engine.meta.noted_top = engine.meta.stream.top;
    struct gather *const gather = gather_create(&engine_failing, &engine, GATHER_STREAMS_MIN);
    uint64_t notes = 0;
    for (uint64_t i = 1; i <= 3 * GATHER_NOTE_EVERY - 1; i++) {
        const struct wire_entry entry = entry_of(WIRE_APPEND, 7, known.stream.top + i);
        uint32_t at;
        ck_assert_int_eq(add(gather, &entry, 1, &at), WIRE_DONE);
        commit(gather, ENGINE_OK);
        const bool is_noted = i % GATHER_NOTE_EVERY == 0;
        ck_assert_uint_eq(engine.entry_count, is_noted ? 2 : 1);
        if (is_noted) {
            notes++;
            ck_assert_int_eq(engine.entries[1].op, ENGINE_PUT_META);
            ck_assert_uint_eq(engine.entries[1].meta.stream.top, entry.offset);
        }
    }
    ck_assert_uint_eq(notes, 2);
    gather_destroy(gather);
}
END_TEST

START_TEST(failure_of_a_commit_is_told)
{
    struct engine engine = {
        .find_result = ENGINE_OK, .meta = known, .commit_result = ENGINE_FAILED};
    struct gather *const gather = gather_create(&engine_failing, &engine, GATHER_STREAMS_MIN);
    const struct wire_entry entry = entry_of(WIRE_APPEND, 7, 10);
    uint32_t at;
    ck_assert_int_eq(add(gather, &entry, 1, &at), WIRE_DONE);
    commit(gather, ENGINE_FAILED);
    gather_destroy(gather);
}
END_TEST

/* More channels than states are kept: who was asked for lately is still known. */
START_TEST(states_are_bounded)
{
    enum { MANY = GATHER_STREAMS_MIN + 1000 };
    struct engine engine = {.find_result = ENGINE_OK, .meta = known};
    struct gather *const gather = gather_create(&engine_failing, &engine, GATHER_STREAMS_MIN);
    uint32_t at;
    for (int i = 0; i < MANY; i++) {
        char name[24];
        struct wire_entry entry = entry_of(WIRE_KEEP, 7, 0);
        (void)snprintf(name, sizeof(name), "room %d", i);
        entry.channel = text(name);
        ck_assert_int_eq(add(gather, &entry, 1, &at), WIRE_DONE);
        commit(gather, ENGINE_OK);
    }
    ck_assert_uint_eq(engine.finds, MANY);
    struct wire_entry entry = entry_of(WIRE_KEEP, 7, 0);
    char name[24];
    (void)snprintf(name, sizeof(name), "room %d", MANY - 1);
    entry.channel = text(name);
    ck_assert_int_eq(add(gather, &entry, 1, &at), WIRE_DONE);
    ck_assert_uint_eq(engine.finds, MANY);
    entry.channel = text("room 0");
    ck_assert_int_eq(add(gather, &entry, 1, &at), WIRE_DONE);
    ck_assert_uint_eq(engine.finds, MANY + 1);
    gather_destroy(gather);
}
END_TEST

START_TEST(group_has_a_limit)
{
    struct engine engine = {.find_result = ENGINE_OK, .meta = known};
    struct gather *const gather = gather_create(&engine_failing, &engine, GATHER_STREAMS_MIN);
    struct wire_entry entries[512];
    size_t taken = 0;
    for (size_t i = 0; i < 512; i++) {
        entries[i] = entry_of(WIRE_KEEP, 7, 0);
    }
    while (gather_has_room(gather)) {
        uint32_t at;
        ck_assert_int_eq(add(gather, entries, 512, &at), WIRE_DONE);
        taken += 512;
    }
    ck_assert_uint_gt(taken, GATHER_ENTRIES_MAX - WIRE_ENTRY_COUNT_MAX);
    ck_assert_uint_le(taken, GATHER_ENTRIES_MAX - WIRE_ENTRY_COUNT_MAX + 512);
    commit(gather, ENGINE_OK);
    ck_assert(gather_has_room(gather));
    gather_destroy(gather);
}
END_TEST

int main(void)
{
    TCase *const gather = tcase_create("gather");
    tcase_add_loop_test(gather, judges_an_entry, 0, (int)(sizeof(cases) / sizeof(cases[0])));
    tcase_add_test(gather, refusal_takes_back);
    tcase_add_test(gather, remembers_how_long);
    tcase_add_test(gather, notes_the_top);
    tcase_add_test(gather, failure_of_a_commit_is_told);
    tcase_add_test(gather, states_are_bounded);
    tcase_add_test(gather, group_has_a_limit);
    Suite *const suite = suite_create("store/gather");
    suite_add_tcase(suite, gather);
    SRunner *const runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
