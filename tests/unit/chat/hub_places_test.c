/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections of a user and of an address, counted over two hubs: the limit is exact wherever they
 * come to, who is refused has taken nothing, and what was given comes back also where its owner
 * went meanwhile, or the bus had no room.
 */
#include "tests/unit/chat/fake_verifier.h"
#include "tests/unit/chat/hub_world.h"

#define TEXT(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static const struct claims_subscription channels[] = {{.channel = TEXT("a")},
                                                      {.channel = TEXT("b")}};
static const struct fake_token tokens[] = {
    {"ann", CLAIMS_CONNECTION, {.user = TEXT("ann")}},
    {"bob", CLAIMS_CONNECTION, {.user = TEXT("bob")}},
    {"with channels",
     CLAIMS_CONNECTION,
     {.user = TEXT("ann"), .subscriptions = channels, .subscription_count = 2}},
    {"nobody", CLAIMS_CONNECTION, {.expires = false}},
};
static struct fake_tokens all = {tokens, COUNT(tokens)};
static struct claims_verifier verifier = {fake_verify, &all};

static const struct world_options two_each = {
    .hub_count = 2,
    .verifier = &verifier,
    .user_max = 2,
    .address_limits = {.count_max = 2},
};

static struct client *sign_in(uint16_t reactor, const char *token)
{
    struct client *client = new_client(reactor);
    ask(client, "{\"id\":1,\"connect\":{\"token\":\"%s\"}}", token);
    return client;
}

static void expect_in(struct client *client)
{
    settle();
    ck_assert_uint_eq(client->disconnected, 0);
    (void)hear(client, EVENT_CONNECTED, 1);
}

static void expect_refused(struct client *client)
{
    settle();
    ck_assert_uint_eq(client->disconnected, CODES_DISCONNECT_CONNECTION_LIMIT);
    ck_assert_uint_eq(unread(client).size, 0);
    ck_assert(!hub_has_admitted(client->session));
}

static uint64_t on_all(enum metrics_id id)
{
    return metric(0, id) + metric(1, id);
}

/* -- users ------------------------------------------------------------------------------------- */

START_TEST(a_user_has_so_many_wherever_they_are)
{
    open_world(two_each);
    struct client *first = sign_in((uint16_t)(_i % 2), "ann");
    expect_in(first);
    expect_in(sign_in((uint16_t)(_i / 2), "ann"));
    expect_refused(sign_in(0, "ann"));
    expect_refused(sign_in(1, "ann"));
    expect_refused(sign_in(1, "with channels"));
    ck_assert_uint_eq(on_all(METRIC_REJECTED_USER_CONNECTIONS), 3);
    expect_in(sign_in(0, "bob"));
    for (int i = 0; i < 5; i++) {
        expect_in(sign_in((uint16_t)(i % 2), "nobody"));
    }
    hang_up(first);
    settle();
    expect_in(sign_in(0, "with channels"));
    expect_refused(sign_in(1, "ann"));
    close_world();
}
END_TEST

/* Who comes too fast is to try again, on whatever reactor, and everybody is counted once. */
START_TEST(a_user_comes_so_fast)
{
    open_world((struct world_options){
        .hub_count = 2,
        .verifier = &verifier,
        .user_limits = {.count_max = 100, .rate = {.per_second = 1, .burst = 2}},
    });
    expect_in(sign_in(0, "ann"));
    expect_in(sign_in(1, "ann"));
    for (uint16_t i = 0; i < 2; i++) {
        struct client *early = sign_in(i, i == 0 ? "ann" : "with channels");
        settle();
        hear_error(early, 1, CODES_ERROR_TOO_MANY_REQUESTS);
        ck_assert(!hub_has_admitted(early->session));
        ck_assert_uint_eq(early->disconnected, 0);
    }
    expect_in(sign_in(1, "bob"));
    ck_assert_uint_eq(on_all(METRIC_REJECTED_USER_CONNECTS), 2);
    ck_assert_uint_eq(on_all(METRIC_REJECTED_USER_CONNECTIONS), 0);
    pass(1000000000);
    expect_in(sign_in(0, "ann"));
    hub_gauge(world.reactors[0].hub);
    hub_gauge(world.reactors[1].hub);
    ck_assert_uint_eq(on_all(METRIC_USERS), 2);
    close_world();
}
END_TEST

/* All ask before anybody is answered: as many come in as may. */
START_TEST(a_burst_does_not_get_more)
{
    enum { CLIENTS = 20 };
    struct client *clients[CLIENTS];
    size_t in = 0;
    open_world((struct world_options){
        .hub_count = 2, .verifier = &verifier, .user_max = 7, .reserve = 31, .slots = 64});
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = sign_in((uint16_t)(i % 2), "ann");
    }
    settle();
    for (int i = 0; i < CLIENTS; i++) {
        in += hub_has_admitted(clients[i]->session);
        ck_assert(hub_has_admitted(clients[i]->session) == (clients[i]->disconnected == 0));
    }
    ck_assert_uint_eq(in, 7);
    close_world();
}
END_TEST

START_TEST(who_leaves_meanwhile_has_no_place)
{
    open_world(two_each);
    const uint16_t elsewhere = 1 - home_of_user("ann");
    for (int i = 0; i < 5; i++) {
        struct client *client = sign_in(elsewhere, i % 2 == 0 ? "ann" : "with channels");
        ck_assert(hub_is_arriving(client->session));
        hang_up(client);
        settle();
    }
    expect_in(sign_in(elsewhere, "ann"));
    expect_in(sign_in(elsewhere, "ann"));
    expect_refused(sign_in(elsewhere, "ann"));
    close_world();
}
END_TEST

/* -- addresses --------------------------------------------------------------------------------- */

static const struct quota_key addresses[] = {{{1}}, {{2}}, {{3}}, {{4}}, {{5}}, {{6}}};

static const struct quota_key *address_at(uint16_t home)
{
    for (int i = 0; i < COUNT(addresses); i++) {
        if (home_of_key(&addresses[i]) == home) {
            return &addresses[i];
        }
    }
    ck_abort_msg("no address for home %u", home);
    return NULL;
}

static void want(uint16_t reactor, const struct quota_key *address, uint32_t slot)
{
    const struct conn_id conn = {.slot = slot, .generation = 7, .reactor = reactor};
    ck_assert(hub_ask_place(world.reactors[reactor].hub, address, conn));
}

/* The answer for a connection. */
static bool is_let_in(uint16_t reactor, const struct quota_key *address, uint32_t slot)
{
    struct hub_place_answer answer;
    settle();
    ck_assert(hub_next_placed(world.reactors[reactor].hub, &answer));
    ck_assert(conn_id_equal(answer.conn, (struct conn_id){slot, 7, reactor}));
    ck_assert_mem_eq(answer.key.bytes, address->bytes, QUOTA_KEY_SIZE);
    return !answer.is_refused;
}

START_TEST(an_address_has_so_many_wherever_they_are)
{
    struct hub_place_answer answer;
    open_world(two_each);
    const struct quota_key *address = address_at((uint16_t)_i);
    const struct quota_key *other = address_at((uint16_t)(1 - _i));

    want(0, address, 1);
    ck_assert(is_let_in(0, address, 1));
    want(1, address, 2);
    ck_assert(is_let_in(1, address, 2));
    want(0, address, 3);
    ck_assert(!is_let_in(0, address, 3));
    want(1, address, 4);
    want(1, other, 5);
    ck_assert(!hub_is_quiet(world.reactors[1].hub));
    settle();
    ck_assert(hub_next_placed(world.reactors[1].hub, &answer));
    const bool refused_first = answer.is_refused;
    ck_assert(hub_next_placed(world.reactors[1].hub, &answer));
    ck_assert(refused_first != answer.is_refused);
    ck_assert(!hub_next_placed(world.reactors[1].hub, &answer));
    ck_assert_uint_eq(on_all(METRIC_REJECTED_ADDRESS_CONNECTIONS), 2);

    hub_give_place(world.reactors[0].hub, address);
    settle();
    want(1, address, 6);
    ck_assert(is_let_in(1, address, 6));
    hub_give_place(world.reactors[1].hub, address);
    hub_give_place(world.reactors[1].hub, address);
    hub_give_place(world.reactors[1].hub, other);
    close_world();
}
END_TEST

START_TEST(their_rate_is_counted_apart)
{
    open_world((struct world_options){
        .hub_count = 2,
        .address_limits = {.count_max = 100, .rate = {.per_second = 1, .burst = 2}},
    });
    const struct quota_key *address = address_at(0);
    for (uint32_t i = 0; i < 4; i++) {
        const uint16_t reactor = (uint16_t)(i % 2);
        want(reactor, address, i);
        ck_assert_int_eq(is_let_in(reactor, address, i), i < 2);
        if (i < 2) {
            hub_give_place(world.reactors[reactor].hub, address);
        }
    }
    ck_assert_uint_eq(on_all(METRIC_REJECTED_ADDRESS_HANDSHAKES), 2);
    ck_assert_uint_eq(on_all(METRIC_REJECTED_ADDRESS_CONNECTIONS), 0);
    pass(1000000000);
    want(1, address, 9);
    ck_assert(is_let_in(1, address, 9));
    hub_give_place(world.reactors[1].hub, address);
    close_world();
}
END_TEST

START_TEST(a_dry_run_only_counts)
{
    open_world((struct world_options){
        .hub_count = 2,
        .address_limits = {.count_max = 1, .dry_run = true},
    });
    const struct quota_key *address = address_at(1);
    for (uint32_t i = 0; i < 3; i++) {
        want(0, address, i);
        ck_assert(is_let_in(0, address, i));
    }
    ck_assert_uint_eq(on_all(METRIC_DRY_RUN_ADDRESS_CONNECTIONS), 2);
    ck_assert_uint_eq(on_all(METRIC_REJECTED_ADDRESS_CONNECTIONS), 0);
    for (int i = 0; i < 3; i++) {
        hub_give_place(world.reactors[0].hub, address);
    }
    close_world();
}
END_TEST

/* Without a credit nobody is asked; without room on the bus what goes back waits. */
START_TEST(the_bus_may_be_full)
{
    enum { RESERVE = 2, SLOTS = 8, HELD = 20 };
    struct hub_place_answer answer;
    open_world((struct world_options){
        .hub_count = 2, .slots = SLOTS, .reserve = RESERVE, .address_limits = {.count_max = HELD}});
    const struct quota_key *address = address_at(1);
    struct hub *hub = world.reactors[0].hub;

    for (uint32_t i = 0; i < HELD; i++) {
        want(0, address, i);
        ck_assert(is_let_in(0, address, i));
    }
    want(0, address_at(1), 100);
    want(0, address_at(1), 101);
    ck_assert(!hub_ask_place(hub, address, (struct conn_id){102, 7, 0}));
    ck_assert(hub_ask_place(hub, address_at(0), (struct conn_id){103, 7, 0})); /* asks nobody */
    settle();
    int answers = 0;
    int refused = 0;
    while (hub_next_placed(hub, &answer)) {
        answers++;
        refused += answer.is_refused;
    }
    ck_assert_int_eq(answers, 3);
    ck_assert_int_eq(refused, 2);
    for (int i = 0; i < HELD; i++) {
        hub_give_place(hub, address);
    }
    ck_assert(hub_has_backlog(hub));
    ck_assert(!hub_is_quiet(hub));
    for (int i = 0; i < 3; i++) { /* whatever waits, a home that has no room is asked once */
        const uint64_t refusals = bus_refusals(world.bus, 0);
        (void)run(0);
        ck_assert_uint_eq(bus_refusals(world.bus, 0), refusals + 1);
    }
    ck_assert(hub_has_backlog(hub));
    settle();
    ck_assert(!hub_has_backlog(hub));
    want(0, address, 200);
    ck_assert(is_let_in(0, address, 200));
    hub_give_place(hub, address);
    hub_give_place(hub, address_at(0));
    close_world();
}
END_TEST

/* Who was refused counts until the gateway has heard of it: what it does not take is bounded. */
START_TEST(answers_are_bounded)
{
    enum { PLACES_PER_SESSION = 4, ROOM = PLACES_PER_SESSION * CLIENT_COUNT_MAX };
    struct hub_place_answer answer;
    open_world((struct world_options){.hub_count = 1, .address_limits = {.count_max = 2}});
    struct hub *hub = world.reactors[0].hub;

    for (int turn = 0; turn < 3; turn++) {
        uint32_t asked = 0;
        uint32_t granted = 0;
        while (asked <= ROOM && hub_ask_place(hub, &addresses[0],
                                              (struct conn_id){.slot = asked, .generation = 7})) {
            asked++;
        }
        ck_assert_uint_eq(asked, ROOM);
        ck_assert(!hub_is_quiet(hub));
        for (uint32_t i = 0; i < asked; i++) {
            ck_assert(hub_next_placed(hub, &answer));
            ck_assert_uint_eq(answer.conn.slot, i);
            granted += !answer.is_refused;
        }
        ck_assert(!hub_next_placed(hub, &answer));
        ck_assert_uint_eq(granted, 2);
        hub_give_place(hub, &addresses[0]);
        hub_give_place(hub, &addresses[0]);
    }
    close_world();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("places");
    tcase_add_loop_test(tcase, a_user_has_so_many_wherever_they_are, 0, 4);
    tcase_add_test(tcase, a_user_comes_so_fast);
    tcase_add_test(tcase, a_burst_does_not_get_more);
    tcase_add_test(tcase, who_leaves_meanwhile_has_no_place);
    tcase_add_loop_test(tcase, an_address_has_so_many_wherever_they_are, 0, 2);
    tcase_add_test(tcase, their_rate_is_counted_apart);
    tcase_add_test(tcase, a_dry_run_only_counts);
    tcase_add_test(tcase, the_bus_may_be_full);
    tcase_add_test(tcase, answers_are_bounded);
    Suite *suite = suite_create("chat/hub_places");
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
