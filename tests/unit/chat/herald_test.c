/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A room's herald alone: how often it may speak and how much it says for rooms of all sizes; whom
 * it chooses; what it writes, to the byte; and random comings and goings against a model that
 * remembers every frame.
 */
#include "chat/herald.h"

#include <stdio.h>

#include "core/blob.h"
#include "core/slab.h"
#include "tests/unit/chat/testing.h"

enum { PEOPLE = 64 };

struct place {
    struct slab *sessions;
    struct roster *roster;
    struct timerwheel *wheel;
    struct blob_pool *pool;
    struct room *room;
};

static void open_place(struct place *place)
{
    place->sessions = slab_create(sizeof(struct session), 100000);
    ck_assert_ptr_nonnull(place->sessions);
    ck_assert_int_eq(roster_create(0, 4, &place->roster), 0);
    place->wheel = timerwheel_create(0, TIMERWHEEL_TICK_NS_DEFAULT);
    ck_assert_ptr_nonnull(place->wheel);
    place->pool = blob_pool_create(1 << 20);
    ck_assert_ptr_nonnull(place->pool);
    place->room = roster_open(place->roster, 1, view("a\"b"), NULL, 0);
    ck_assert_ptr_nonnull(place->room);
    place->room->herald = herald_create(place->wheel, place->room->slot);
    ck_assert_ptr_nonnull(place->room->herald);
}

/* A member whose id is all that byte. Returns its session's slot. */
static uint32_t come(struct place *place, uint8_t id)
{
    uint32_t slot;
    struct session *session = slab_take(place->sessions, &slot);
    ck_assert_ptr_nonnull(session);
    memset(session->id, id, sizeof(session->id));
    ck_assert_int_eq(roster_add(place->room, (struct roster_member){.session = slot}), 0);
    return slot;
}

static void go(struct place *place, uint32_t slot)
{
    struct room *room = place->room;
    for (uint32_t i = 0; i < room->member_count; i++) {
        if (room->members[i].session == slot) {
            herald_remember(room->herald, &room->members[i], slab_at(place->sessions, slot));
            (void)roster_remove(room, i);
            slab_give(place->sessions, slot);
            return;
        }
    }
    ck_abort_msg("no such member");
}

static void close_place(struct place *place)
{
    while (place->room->member_count > 0) {
        go(place, place->room->members[0].session);
    }
    ck_assert_uint_eq(place->room->herald->told_count, 0);
    ck_assert_uint_eq(place->room->herald->known_count, 0);
    roster_close(place->roster, place->room);
    roster_destroy(place->roster);
    slab_destroy(place->sessions);
    timerwheel_destroy(place->wheel);
    blob_pool_destroy(place->pool);
}

/* -- how often --------------------------------------------------------------------------------- */

static const struct {
    const char *why;
    uint32_t member_count;
    struct herald_limits limits;
    uint64_t pause_us;
    uint32_t batch;
} rates[] = {
    {"nobody", 0, {1000, 16, 2}, 0, 16},
    {"one", 1, {1000, 16, 1}, 250, 16},
    {"a few", 40, {1000, 16, 1}, 10000, 16},
    {"a few on each of two", 20, {1000, 16, 2}, 10000, 16},
    {"as many as are listed", 1000, {1000, 16, 1}, 250000, 16},
    {"as long as it gets", 4000, {1000, 16, 1}, 1000000, 16},
    {"twice as many", 8000, {1000, 16, 1}, 1000000, 8},
    {"a crowd", 20000, {1000, 16, 1}, 1000000, 3},
    {"a very large one", 80000, {1000, 16, 1}, 1000000, 1},
    {"one push in a frame", 1000, {1000, 1, 1}, 15625, 1},
    {"a small sample", 10, {1, 16, 1}, 1000000, 6},
};

START_TEST(a_larger_room_is_told_less_often)
{
    const struct herald_limits *limits = &rates[_i].limits;
    struct place place;
    struct herald_batch batch;
    open_place(&place);
    for (uint32_t i = 0; i < rates[_i].member_count; i++) {
        (void)come(&place, (uint8_t)i);
    }
    ck_assert_uint_eq(herald_due_ns(place.room, limits), 0); /* it has never spoken */
    herald_choose(place.room, limits, &batch);
    const uint32_t there =
        rates[_i].member_count < limits->told_max ? rates[_i].member_count : limits->told_max;
    ck_assert_msg(batch.join_count == (there < rates[_i].batch ? there : rates[_i].batch), "%s: %u",
                  rates[_i].why, batch.join_count);
    ck_assert_uint_eq(batch.leave_count, 0);
    if (batch.join_count > 0) {
        herald_spoke(place.room, &batch, 5000);
        ck_assert_msg(herald_due_ns(place.room, limits) == 5000 + 1000 * rates[_i].pause_us, "%s",
                      rates[_i].why);
    }
    /* Never more than the rate, give or take a frame. */
    const uint64_t pushes =
        (uint64_t)rates[_i].member_count * limits->reactor_count * rates[_i].batch * 1000000;
    ck_assert_uint_le(pushes, (uint64_t)64 * limits->told_max * rates[_i].pause_us +
                                  (rates[_i].batch == 1 ? pushes : 0));
    close_place(&place);
}
END_TEST

/* -- what -------------------------------------------------------------------------------------- */

static const struct herald_limits few = {.told_max = 3, .batch_max = 2, .reactor_count = 1};

START_TEST(writes_leaves_before_joins)
{
    static const char expected[] =
        "{\"push\":{\"channel\":\"a\\\"b\",\"leave\":{\"info\":{\"client\":"
        "\"01010101-0101-0101-0101-010101010101\"}}}}\n"
        "{\"push\":{\"channel\":\"a\\\"b\",\"join\":{\"info\":{\"client\":"
        "\"02020202-0202-0202-0202-020202020202\"}}}}";
    struct place place;
    struct herald_batch batch;
    open_place(&place);
    const uint32_t first = come(&place, 1);
    ck_assert(herald_has_news(place.room, &few));
    herald_choose(place.room, &few, &batch);
    herald_spoke(place.room, &batch, 1);
    ck_assert(!herald_has_news(place.room, &few));
    go(&place, first);
    (void)come(&place, 2);
    herald_choose(place.room, &few, &batch);
    ck_assert_uint_eq(batch.leave_count, 1);
    ck_assert_uint_eq(batch.join_count, 1);
    struct blob *blob = herald_write(place.room, &batch, place.sessions, place.pool);
    ck_assert_ptr_nonnull(blob);
    const struct bytes frame = blob_bytes(blob);
    ck_assert_uint_eq(frame.size, 4 + sizeof(expected) - 1);
    ck_assert_uint_eq(frame.data[0], 0x81); /* a whole text message, unmasked */
    ck_assert_uint_eq(frame.data[1], 126);
    ck_assert_uint_eq((uint32_t)frame.data[2] << 8 | frame.data[3], sizeof(expected) - 1);
    ck_assert_mem_eq(frame.data + 4, expected, sizeof(expected) - 1);
    blob_drop(blob, place.pool);
    /* It may not have found its way: the same again. */
    struct herald_batch again;
    herald_choose(place.room, &few, &again);
    ck_assert_uint_eq(again.leave_count, 1);
    ck_assert_uint_eq(again.joins[0], batch.joins[0]);
    herald_spoke(place.room, &again, 2);
    ck_assert(!herald_has_news(place.room, &few));
    close_place(&place);
}
END_TEST

START_TEST(memory_may_be_out)
{
    struct place place;
    struct herald_batch batch;
    open_place(&place);
    (void)come(&place, 1);
    struct blob_pool *small = blob_pool_create(64);
    ck_assert_ptr_nonnull(small);
    herald_choose(place.room, &few, &batch);
    ck_assert_ptr_null(herald_write(place.room, &batch, place.sessions, small));
    ck_assert(herald_has_news(place.room, &few));
    blob_pool_destroy(small);
    close_place(&place);
}
END_TEST

/* Whom nobody knew goes unmentioned; whom a list named does not. */
START_TEST(who_is_known_is_missed)
{
    struct place place;
    open_place(&place);
    const uint32_t unknown = come(&place, 1);
    const uint32_t listed = come(&place, 2);
    ck_assert(herald_mark_known(place.room->herald, &place.room->members[1]));
    ck_assert(herald_mark_known(place.room->herald, &place.room->members[1]));
    ck_assert_uint_eq(place.room->herald->known_count, 1);
    go(&place, unknown);
    ck_assert_uint_eq(place.room->herald->leave_count, 0);
    go(&place, listed);
    ck_assert_uint_eq(place.room->herald->leave_count, 1);
    close_place(&place);
}
END_TEST

/* -- at random --------------------------------------------------------------------------------- */

struct model {
    struct place place;
    uint32_t slots[PEOPLE];
    bool here[PEOPLE];
    bool told[PEOPLE]; /* as somebody sees it who reads every frame */
    uint64_t random;
};

/* Reads a frame as a client does: id by id. */
static void read_frame(struct model *model, const struct herald_batch *batch)
{
    struct blob *blob =
        herald_write(model->place.room, batch, model->place.sessions, model->place.pool);
    ck_assert_ptr_nonnull(blob);
    const struct bytes frame = blob_bytes(blob);
    const size_t header = frame.data[1] < 126 ? 2 : 4;
    char *text = malloc(frame.size - header + 1);
    ck_assert_ptr_nonnull(text);
    memcpy(text, frame.data + header, frame.size - header);
    text[frame.size - header] = '\0';
    char *line = text;
    for (char *end; line != NULL; line = end) {
        end = strchr(line, '\n');
        end = end == NULL ? NULL : end + 1;
        unsigned id = 0;
        const char *client = strstr(line, "\"client\":\"");
        ck_assert_ptr_nonnull(client);
        ck_assert_int_eq(sscanf(client, "\"client\":\"%2x", &id), 1);
        const char *leave = strstr(line, "\"leave\"");
        const bool is_leave = leave != NULL && (end == NULL || leave < end);
        ck_assert_msg(model->told[id] == is_leave, "%u is told twice", id);
        model->told[id] = !is_leave;
    }
    free(text);
    blob_drop(blob, model->place.pool);
}

static void speak(struct model *model, const struct herald_limits *limits)
{
    struct herald_batch batch;
    herald_choose(model->place.room, limits, &batch);
    ck_assert_uint_le(batch.leave_count + batch.join_count, limits->batch_max);
    if (batch.leave_count + batch.join_count > 0) {
        read_frame(model, &batch);
        herald_spoke(model->place.room, &batch, 1);
    }
}

START_TEST(what_was_told_becomes_true)
{
    const struct herald_limits limits = {
        .told_max = (uint32_t)(_i % 2 == 0 ? PEOPLE : 7), .batch_max = 5, .reactor_count = 1};
    static struct model model;
    memset(&model, 0, sizeof(model));
    model.random = 88172645463325252U + (uint64_t)_i;
    open_place(&model.place);
    for (int turn = 0; turn < 5000; turn++) {
        const uint32_t who = chance_below(&model.random, PEOPLE);
        if (model.here[who]) {
            go(&model.place, model.slots[who]);
        } else {
            model.slots[who] = come(&model.place, (uint8_t)who);
        }
        model.here[who] = !model.here[who];
        if (chance_below(&model.random, 4) == 0) {
            speak(&model, &limits);
        }
    }
    while (herald_has_news(model.place.room, &limits)) {
        speak(&model, &limits);
    }
    uint32_t told = 0;
    for (int i = 0; i < PEOPLE; i++) {
        ck_assert_msg(model.here[i] || !model.told[i], "%d is said to be here", i);
        told += model.told[i];
    }
    const uint32_t there = model.place.room->member_count;
    ck_assert_uint_eq(told, there < limits.told_max ? there : limits.told_max);
    close_place(&model.place);
}
END_TEST

int main(void)
{
    TCase *rate = tcase_create("rate");
    tcase_add_loop_test(rate, a_larger_room_is_told_less_often, 0, COUNT(rates));
    TCase *what = tcase_create("what");
    tcase_add_test(what, writes_leaves_before_joins);
    tcase_add_test(what, memory_may_be_out);
    tcase_add_test(what, who_is_known_is_missed);
    TCase *random = tcase_create("random");
    tcase_add_loop_test(random, what_was_told_becomes_true, 0, 10);
    Suite *suite = suite_create("chat/herald");
    suite_add_tcase(suite, rate);
    suite_add_tcase(suite, what);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
