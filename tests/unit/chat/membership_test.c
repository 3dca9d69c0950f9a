/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions and rooms, tied and untied at random: after every step each side's index leads back to
 * where it came from, and the ties are exactly those of the model.
 */
#include "chat/membership.h"

#include <stdio.h>

#include "tests/unit/chat/testing.h"

enum { SESSION_COUNT = 25, ROOM_COUNT = 12, TURNS = 5000, MEMBER = UINT16_MAX };

struct party {
    struct slab *sessions;
    struct roster *roster;
    struct session *session[SESSION_COUNT];
    struct room *room[ROOM_COUNT];
    uint32_t tied[SESSION_COUNT][ROOM_COUNT]; /* 0: not, MEMBER, or the command that waits */
};

static void open_party(struct party *party)
{
    memset(party, 0, sizeof(*party));
    party->sessions = slab_create(sizeof(struct session), SESSION_COUNT);
    ck_assert_ptr_nonnull(party->sessions);
    ck_assert_int_eq(roster_create(0, ROOM_COUNT, &party->roster), 0);
    for (uint32_t i = 0; i < SESSION_COUNT; i++) {
        uint32_t slot;
        party->session[i] = slab_take(party->sessions, &slot);
        ck_assert_ptr_nonnull(party->session[i]);
        party->session[i]->slot = slot;
        party->session[i]->conn = (struct conn_id){.slot = 100 + i, .generation = 1};
    }
    for (uint64_t i = 0; i < ROOM_COUNT; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "r%d", (int)i);
        party->room[i] = roster_open(party->roster, i, view(name), NULL, 0);
        ck_assert_ptr_nonnull(party->room[i]);
    }
}

static void tie(struct party *party, uint32_t session, uint32_t room)
{
    ck_assert_int_eq(membership_add(party->session[session], party->room[room],
                                    (struct roster_traits){.hears_news = false}),
                     0);
    party->tied[session][room] = MEMBER;
}

static void wait_for(struct party *party, uint32_t session, uint32_t room, uint32_t command)
{
    const struct roster_waiter waiter = {.command = command, .since = 5 * (uint64_t)command};
    ck_assert_int_eq(membership_wait(party->session[session], party->room[room], waiter), 0);
    party->tied[session][room] = command;
}

static const struct session_subscription *find_tie(const struct party *party, uint32_t session,
                                                   uint32_t room)
{
    const int index = session_find(party->session[session], party->room[room]->slot);
    ck_assert_int_ge(index, 0);
    return &party->session[session]->subscriptions[index];
}

static void admit(struct party *party, uint32_t session, uint32_t room)
{
    const struct session_subscription *subscription = find_tie(party, session, room);
    ck_assert(subscription->is_waiting);
    ck_assert_int_eq(membership_admit(party->sessions, party->room[room], subscription->member), 0);
    party->tied[session][room] = MEMBER;
}

static void untie(struct party *party, uint32_t session, uint32_t room)
{
    const int index = session_find(party->session[session], party->room[room]->slot);
    ck_assert_int_ge(index, 0);
    membership_remove(party->sessions, party->roster, party->session[session], (uint32_t)index);
    party->tied[session][room] = 0;
}

static void close_party(struct party *party)
{
    for (uint32_t i = 0; i < SESSION_COUNT; i++) {
        for (uint32_t j = 0; j < ROOM_COUNT; j++) {
            if (party->tied[i][j] != 0) {
                untie(party, i, j);
            }
        }
        session_deinit(party->session[i]);
        slab_give(party->sessions, party->session[i]->slot);
    }
    for (uint32_t j = 0; j < ROOM_COUNT; j++) {
        ck_assert_uint_eq(party->room[j]->member_count, 0);
        ck_assert_uint_eq(party->room[j]->waiter_count, 0);
        ck_assert_ptr_null(party->room[j]->waiters);
        roster_close(party->roster, party->room[j]);
    }
    roster_destroy(party->roster);
    slab_destroy(party->sessions);
}

/* Does the tie, or that there is none, look the same from both sides? */
static bool sides_agree(const struct party *party, uint32_t i, uint32_t j)
{
    const struct session *session = party->session[i];
    const struct room *room = party->room[j];
    const int index = session_find(session, room->slot);

    if (index < 0) {
        return party->tied[i][j] == 0;
    }
    const struct session_subscription *subscription = &session->subscriptions[index];
    if (subscription->is_waiting) {
        if (subscription->member >= room->waiter_count) {
            return false;
        }
        const struct roster_waiter *waiter = &room->waiters[subscription->member];
        return waiter->session == session->slot && waiter->subscription == (uint32_t)index &&
               conn_id_equal(waiter->conn, session->conn) && waiter->command == party->tied[i][j] &&
               waiter->since == 5 * waiter->command;
    }
    if (party->tied[i][j] != MEMBER || subscription->member >= room->member_count) {
        return false;
    }
    const struct roster_member *member = &room->members[subscription->member];
    return member->session == session->slot && member->subscription == (uint32_t)index &&
           conn_id_equal(member->conn, session->conn);
}

static void both_sides_agree(const struct party *party)
{
    uint32_t ties = 0;
    uint32_t members = 0;

    for (uint32_t i = 0; i < SESSION_COUNT; i++) {
        ties += party->session[i]->subscription_count;
        for (uint32_t j = 0; j < ROOM_COUNT; j++) {
            /* One assertion that holds is one write to a pipe: only the others are made. */
            if (!sides_agree(party, i, j)) {
                ck_abort_msg("session %u, room %u", i, j);
            }
        }
    }
    for (uint32_t j = 0; j < ROOM_COUNT; j++) {
        members += party->room[j]->member_count + party->room[j]->waiter_count;
    }
    ck_assert_uint_eq(ties, members);
}

START_TEST(one_tie)
{
    struct party party;
    open_party(&party);
    tie(&party, 3, 4);
    both_sides_agree(&party);
    ck_assert_uint_eq(party.room[4]->member_count, 1);
    untie(&party, 3, 4);
    both_sides_agree(&party);
    ck_assert_uint_eq(party.session[3]->subscription_count, 0);
    close_party(&party);
}
END_TEST

/* The last one of both arrays moves, in one call: the room's to the gap, the session's to its. */
START_TEST(both_sides_move)
{
    struct party party;
    open_party(&party);
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t j = 0; j < 3; j++) {
            tie(&party, i, j);
        }
    }
    untie(&party, 0, 0);
    both_sides_agree(&party);
    ck_assert_uint_eq(party.room[0]->members[0].session, party.session[2]->slot);
    ck_assert_uint_eq(party.session[0]->subscriptions[0].room, party.room[2]->slot);
    untie(&party, 2, 2);
    both_sides_agree(&party);
    close_party(&party);
}
END_TEST

START_TEST(waits_and_is_admitted)
{
    struct party party;
    open_party(&party);
    for (uint32_t i = 0; i < 4; i++) {
        wait_for(&party, i, 0, 10 + i);
    }
    tie(&party, 4, 0);
    both_sides_agree(&party);
    ck_assert_uint_eq(party.room[0]->waiter_count, 4);
    ck_assert_uint_eq(party.room[0]->member_count, 1);

    admit(&party, 1, 0); /* the last waiter moves into its place */
    both_sides_agree(&party);
    ck_assert_uint_eq(party.room[0]->waiter_count, 3);
    ck_assert_uint_eq(party.room[0]->members[1].session, party.session[1]->slot);
    untie(&party, 0, 0);
    both_sides_agree(&party);
    close_party(&party);
}
END_TEST

START_TEST(many_ties)
{
    static struct party party;
    uint64_t state = 521288629 + (uint64_t)_i;
    open_party(&party);

    for (uint32_t turn = 1; turn <= TURNS; turn++) {
        const uint32_t i = chance_below(&state, SESSION_COUNT);
        const uint32_t j = chance_below(&state, ROOM_COUNT);
        if (party.tied[i][j] == 0 && turn % 3 == 0) {
            wait_for(&party, i, j, turn);
        } else if (party.tied[i][j] == 0) {
            tie(&party, i, j);
        } else if (party.tied[i][j] != MEMBER && turn % 2 == 0) {
            admit(&party, i, j);
        } else {
            untie(&party, i, j);
        }
        if (turn % 16 == 0) {
            both_sides_agree(&party);
        }
    }
    both_sides_agree(&party);
    close_party(&party);
}
END_TEST

int main(void)
{
    TCase *membership = tcase_create("membership");
    tcase_add_test(membership, one_tie);
    tcase_add_test(membership, both_sides_move);
    tcase_add_test(membership, waits_and_is_admitted);
    tcase_add_loop_test(membership, many_ties, 0, 4);
    Suite *suite = suite_create("chat/membership");
    suite_add_tcase(suite, membership);
    return run_suite(suite);
}
