/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The outbox: what comes out is what went in, in order; publications of one room are chained; and
 * at each limit messages are refused while publications and disconnects still fit.
 */
#include "chat/outbox.h"

#include <signal.h>

#include "chat/roster.h"
#include "tests/unit/chat/testing.h"

enum {
    ENTRIES = 200,
    TEXT = 128 * 1024,
    CONNS = 10,
    ROOM_FOR_PUBLICATIONS = 64, /* entries that messages leave alone */
};

static const struct outbox_options options = {
    .entry_count_max = ENTRIES,
    .text_size_max = TEXT,
    .conn_count_max = CONNS,
};

static struct outbox *new_outbox(void)
{
    struct outbox *outbox = NULL;
    ck_assert_int_eq(outbox_create(&options, &outbox), 0);
    return outbox;
}

static struct conn_id conn(uint32_t slot)
{
    return (struct conn_id){.slot = slot, .generation = 1};
}

static bool say(struct outbox *outbox, uint32_t slot, const char *text)
{
    const struct span target = outbox_begin(outbox);
    if (target.size < strlen(text)) {
        return false;
    }
    memcpy(target.data, text, strlen(text));
    outbox_commit(outbox, conn(slot), strlen(text));
    return true;
}

static struct room *new_room(void)
{
    struct room *room = calloc(1, sizeof(*room) + 1);
    ck_assert_ptr_nonnull(room);
    return room;
}

START_TEST(gives_back_in_order)
{
    struct outbox *outbox = new_outbox();
    struct room *room = new_room();
    struct blob *blob = (struct blob *)room; /* never looked into */
    const struct ids_handle handle = {1, 2, 3};

    ck_assert_uint_eq(outbox_count(outbox), 0);
    ck_assert(say(outbox, 1, "one"));
    outbox_publish(outbox, room, handle, blob);
    ck_assert(say(outbox, 2, "two"));
    outbox_disconnect(outbox, conn(1), 3501);
    ck_assert_uint_eq(outbox_count(outbox), 4);

    const struct outbox_entry *entry = outbox_at(outbox, 0);
    ck_assert_int_eq(entry->kind, OUTBOX_MESSAGE);
    ck_assert(conn_id_equal(entry->conn, conn(1)));
    ck_assert(is_text(outbox_text(outbox, entry), "one"));
    entry = outbox_at(outbox, 1);
    ck_assert_int_eq(entry->kind, OUTBOX_PUBLICATION);
    ck_assert(ids_handle_equal(entry->room, handle));
    ck_assert_ptr_eq(entry->blob, blob);
    ck_assert_uint_eq(entry->next, 0);
    entry = outbox_at(outbox, 2);
    ck_assert(is_text(outbox_text(outbox, entry), "two"));
    entry = outbox_at(outbox, 3);
    ck_assert_int_eq(entry->kind, OUTBOX_DISCONNECT);
    ck_assert(conn_id_equal(entry->conn, conn(1)));
    ck_assert_uint_eq(entry->code, 3501);

    outbox_clear(outbox);
    ck_assert_uint_eq(outbox_count(outbox), 0);
    ck_assert(say(outbox, 3, "again"));
    ck_assert(is_text(outbox_text(outbox, outbox_at(outbox, 0)), "again"));
    outbox_clear(outbox);
    outbox_destroy(outbox);
    free(room);
}
END_TEST

START_TEST(begun_and_not_committed_is_nothing)
{
    struct outbox *outbox = new_outbox();
    const struct span first = outbox_begin(outbox);
    ck_assert_uint_ge(first.size, 4096);
    memset(first.data, 'x', first.size);
    const struct span second = outbox_begin(outbox);
    ck_assert_ptr_eq(second.data, first.data);
    ck_assert_uint_eq(second.size, first.size);
    ck_assert_uint_eq(outbox_count(outbox), 0);
    outbox_destroy(outbox);
}
END_TEST

/* Walks from the first entry of each room; the two chains are interleaved with messages. */
START_TEST(chains_the_publications_of_a_room)
{
    struct outbox *outbox = new_outbox();
    struct room *rooms[2] = {new_room(), new_room()};
    static const int turns[] = {0, 1, 1, 0, 0, 1, 0};
    size_t at[COUNT(turns)];

    for (int i = 0; i < COUNT(turns); i++) {
        at[i] = outbox_count(outbox);
        const struct ids_handle handle = {(uint32_t)turns[i], 1, 0};
        outbox_publish(outbox, rooms[turns[i]], handle, (struct blob *)rooms[turns[i]]);
        ck_assert(i % 2 == 0 || say(outbox, 1, "between"));
    }
    for (int room = 0; room < 2; room++) {
        uint32_t expected = 0;
        for (int i = 0; i < COUNT(turns); i++) {
            if (turns[i] != room) {
                continue;
            }
            const struct outbox_entry *entry = outbox_at(outbox, at[i]);
            ck_assert(expected == 0 || expected == at[i] + 1);
            ck_assert_uint_eq(entry->room.slot, (uint32_t)room);
            expected = entry->next;
        }
        ck_assert_uint_eq(expected, 0);
    }
    outbox_clear(outbox);
    outbox_destroy(outbox);
    free(rooms[0]);
    free(rooms[1]);
}
END_TEST

/* So many messages that there is no more room for any, and what still fits behind them. */
START_TEST(entries_run_out)
{
    struct outbox *outbox = new_outbox();
    struct room *room = new_room();
    int said = 0;

    ck_assert(outbox_is_roomy(outbox));
    while (outbox_is_roomy(outbox)) {
        ck_assert(say(outbox, 1, "m"));
        said++;
    }
    ck_assert_int_eq(said, ENTRIES - 2 * ROOM_FOR_PUBLICATIONS + 1);
    while (say(outbox, 1, "m")) {
        said++;
    }
    ck_assert_int_eq(said, ENTRIES - ROOM_FOR_PUBLICATIONS);
    ck_assert_uint_eq(outbox_begin(outbox).size, 0);

    /* Disconnects take nothing from the publications. */
    for (uint32_t i = 0; i < CONNS; i++) {
        outbox_disconnect(outbox, conn(i), 3004);
        outbox_disconnect(outbox, conn(i), 3501);
    }
    for (int i = 0; i < ROOM_FOR_PUBLICATIONS; i++) {
        outbox_publish(outbox, room, (struct ids_handle){0}, (struct blob *)room);
    }
    ck_assert_uint_eq(outbox_count(outbox), ENTRIES + 2 * CONNS);
    ck_assert(is_text(outbox_text(outbox, outbox_at(outbox, 0)), "m"));
    ck_assert_uint_eq(outbox_at(outbox, ENTRIES - ROOM_FOR_PUBLICATIONS)->conn.slot, 0);

    outbox_clear(outbox);
    ck_assert(outbox_is_roomy(outbox));
    outbox_destroy(outbox);
    free(room);
}
END_TEST

/* A last message ends exactly at the end of the text. */
START_TEST(text_runs_out)
{
    struct outbox *outbox = new_outbox();
    size_t used = 0;

    while (outbox_is_roomy(outbox)) {
        const struct span target = outbox_begin(outbox);
        ck_assert_uint_eq(target.size, 4096);
        memset(target.data, 'x', 4000);
        outbox_commit(outbox, conn(1), 4000);
        used += 4000;
    }
    ck_assert_uint_gt(TEXT - used, 4096); /* whoever asked before still gets its answer */
    for (;;) {
        const struct span target = outbox_begin(outbox);
        if (target.size == 0) {
            break;
        }
        memset(target.data, 'y', target.size);
        outbox_commit(outbox, conn(1), target.size);
        used += target.size;
    }
    ck_assert_uint_eq(used, TEXT);
    const struct outbox_entry *last = outbox_at(outbox, outbox_count(outbox) - 1);
    ck_assert_uint_eq(outbox_text(outbox, last).data[last->size - 1], 'y');
    outbox_disconnect(outbox, conn(1), 3004);
    outbox_clear(outbox);
    ck_assert(outbox_is_roomy(outbox));
    ck_assert_uint_eq(outbox_begin(outbox).size, 4096);
    outbox_destroy(outbox);
}
END_TEST

/* A long message takes what it needs, to the last byte, or nothing at all. */
START_TEST(long_messages)
{
    struct outbox *outbox = new_outbox();

    ck_assert_uint_eq(outbox_begin_long(outbox, TEXT + 1).size, 0);
    ck_assert_uint_eq(outbox_begin_long(outbox, SIZE_MAX).size, 0);
    ck_assert(say(outbox, 1, "short"));
    ck_assert_uint_eq(outbox_begin_long(outbox, TEXT - 4).size, 0);
    ck_assert_uint_eq(outbox_count(outbox), 1);

    struct span target = outbox_begin_long(outbox, 10000); /* longer than other messages */
    ck_assert_uint_eq(target.size, 10000);
    memset(target.data, 'x', 10000);
    outbox_commit_in_order(outbox, conn(2), 9000); /* not all of it was needed */
    const struct outbox_entry *entry = outbox_at(outbox, 1);
    ck_assert(entry->in_order);
    ck_assert_uint_eq(outbox_text(outbox, entry).size, 9000);

    target = outbox_begin_long(outbox, TEXT - 9005);
    ck_assert_uint_eq(target.size, TEXT - 9005);
    memset(target.data, 'y', target.size);
    outbox_commit(outbox, conn(3), target.size);
    ck_assert(!outbox_is_roomy(outbox));
    ck_assert_uint_eq(outbox_begin_long(outbox, 1).size, 0);
    ck_assert(is_text(outbox_text(outbox, outbox_at(outbox, 0)), "short"));
    ck_assert_uint_eq(outbox_text(outbox, outbox_at(outbox, 1)).data[8999], 'x');
    ck_assert_uint_eq(outbox_text(outbox, outbox_at(outbox, 2)).data[0], 'y');
    outbox_clear(outbox);
    ck_assert_uint_eq(outbox_begin_long(outbox, TEXT).size, TEXT);
    outbox_destroy(outbox);
}
END_TEST

/* After a burst the memory goes back to the kernel, but for 4 MiB; and it is enough for a turn. */
START_TEST(a_burst_leaves_little)
{
    const struct outbox_options large = {
        .entry_count_max = ENTRIES, .text_size_max = 16 << 20, .conn_count_max = CONNS};
    struct outbox *outbox = NULL;
    ck_assert_int_eq(outbox_create(&large, &outbox), 0);
    const struct span target = outbox_begin_long(outbox, 8 << 20);
    ck_assert_uint_eq(target.size, 8 << 20);
    memset(target.data, 'x', target.size);
    ck_assert(outbox_is_roomy(outbox));
    outbox_commit(outbox, conn(1), target.size);
    ck_assert(!outbox_is_roomy(outbox));
    outbox_clear(outbox);
    ck_assert(outbox_is_roomy(outbox));
    ck_assert_uint_eq(target.data[(4 << 20) - 1], 'x');
    ck_assert_uint_eq(target.data[4 << 20], 0);
    outbox_destroy(outbox);
}
END_TEST

/* Where no other message has an entry any more, a long one has none: publications need them. */
START_TEST(long_messages_leave_entries_alone)
{
    struct outbox *outbox = new_outbox();
    ck_assert_uint_eq(outbox_begin_long(outbox, 100).size, 100);
    while (say(outbox, 1, "m")) {
    }
    ck_assert_uint_eq(outbox_begin_long(outbox, 100).size, 0);
    outbox_clear(outbox);
    outbox_destroy(outbox);
}
END_TEST

START_TEST(a_forgotten_question_is_a_bug)
{
    struct outbox *outbox = new_outbox();
    struct room *room = new_room();
    for (int i = 0; i <= ENTRIES; i++) {
        outbox_publish(outbox, room, (struct ids_handle){0}, (struct blob *)room);
    }
}
END_TEST

START_TEST(a_third_disconnect_is_a_bug)
{
    struct outbox *outbox = new_outbox();
    for (int i = 0; i <= 2 * CONNS; i++) {
        outbox_disconnect(outbox, conn(1), 3004);
    }
}
END_TEST

int main(void)
{
    TCase *outbox = tcase_create("outbox");
    tcase_add_test(outbox, gives_back_in_order);
    tcase_add_test(outbox, begun_and_not_committed_is_nothing);
    tcase_add_test(outbox, chains_the_publications_of_a_room);
    tcase_add_test(outbox, entries_run_out);
    tcase_add_test(outbox, text_runs_out);
    tcase_add_test(outbox, long_messages);
    tcase_add_test(outbox, a_burst_leaves_little);
    tcase_add_test(outbox, long_messages_leave_entries_alone);
    tcase_add_test_raise_signal(outbox, a_forgotten_question_is_a_bug, SIGABRT);
    tcase_add_test_raise_signal(outbox, a_third_disconnect_is_a_bug, SIGABRT);
    Suite *suite = suite_create("chat/outbox");
    suite_add_tcase(suite, outbox);
    return run_suite(suite);
}
