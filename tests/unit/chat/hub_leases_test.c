/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of a user and of an address over several hubs: as many are let through as there are
 * tokens, exactly, wherever they are said; who waits is served in order, and neither a full bus nor
 * somebody who goes meanwhile changes that.
 */
#include "tests/unit/chat/fake_verifier.h"
#include "tests/unit/chat/hub_world.h"

enum { MS = 1000000 };

#define TEXT(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

static const struct fake_token tokens[] = {
    {"ann", CLAIMS_CONNECTION, {.user = TEXT("ann")}},
    {"bob", CLAIMS_CONNECTION, {.user = TEXT("bob")}},
};
static struct fake_tokens all = {tokens, COUNT(tokens)};
static struct claims_verifier verifier = {fake_verify, &all};

static const struct quota_key here = {{1}};

static struct world_options world_with(uint16_t hub_count, struct limits_rate user,
                                       struct limits_rate address)
{
    return (struct world_options){
        .hub_count = hub_count,
        .verifier = &verifier,
        .user_limits = {.count_max = 1000, .commands = user},
        .address_limits = {.count_max = 1000, .commands = address},
    };
}

/* Its connection has a place among those of `here`. */
static struct client *sign_in(uint16_t reactor, const char *token)
{
    struct client *client = new_client(reactor);
    struct hub_place_answer answer;
    ck_assert(hub_ask_place(hub_of(client), &here, client->conn));
    ask(client, "{\"id\":1,\"connect\":{\"token\":\"%s\"}}", token);
    settle();
    ck_assert(hub_next_placed(hub_of(client), &answer) && !answer.is_refused);
    ck_assert(hub_has_admitted(client->session));
    return client;
}

static void leave(struct client *client)
{
    struct hub *hub = hub_of(client);
    hang_up(client);
    hub_give_place(hub, &here);
}

static enum hub_verdict spend_from(struct client *client, const struct quota_key *address)
{
    return hub_spend(hub_of(client), client->session, address).verdict;
}

static enum hub_verdict spend(struct client *client)
{
    return spend_from(client, &here);
}

static uint64_t on_all(enum metrics_id id)
{
    uint64_t sum = 0;
    for (uint16_t i = 0; i < world.hub_count; i++) {
        sum += metric(i, id);
    }
    return sum;
}

/* Those whose turn it is take one command each. */
static uint32_t serve(void)
{
    uint32_t spent = 0;
    struct conn_id conn;

    for (uint16_t i = 0; i < world.hub_count; i++) {
        while (hub_next_to_spend(world.reactors[i].hub, &conn)) {
            struct client *client = client_of(conn);
            ck_assert_ptr_nonnull(client);
            spent += spend(client) == HUB_SPENT;
        }
    }
    return spent;
}

/* All of them say as much as they may now. */
static uint32_t talk(void)
{
    uint32_t spent = 0;
    uint32_t before;

    do {
        before = spent;
        for (uint32_t i = 0; i < world.client_count; i++) {
            if (world.clients[i].session != NULL) {
                spent += spend(&world.clients[i]) == HUB_SPENT;
            }
        }
        settle();
        spent += serve();
    } while (spent > before);
    return spent;
}

static void close_all(void)
{
    for (uint32_t i = 0; i < world.client_count; i++) {
        if (world.clients[i].session != NULL) {
            leave(&world.clients[i]);
        }
    }
    close_world();
}

static void change(struct limits_rate user)
{
    for (uint16_t i = 0; i < world.hub_count; i++) {
        world.reactors[i].options.place_limits[QUOTA_USER].commands = user;
        hub_change(world.reactors[i].hub, &world.reactors[i].options);
    }
}

START_TEST(a_user_says_so_much_wherever_it_is)
{
    open_world(world_with(3, (struct limits_rate){10, 50}, (struct limits_rate){0, 0}));
    for (uint16_t i = 0; i < 6; i++) {
        (void)sign_in(i % 3, "ann");
    }
    ck_assert_uint_eq(talk(), 50);
    ck_assert_uint_ge(on_all(METRIC_COMMAND_WAITS_USER), 1);
    pass(99 * MS);
    ck_assert_uint_eq(talk(), 0);
    pass(1 * MS);
    ck_assert_uint_eq(talk(), 1);
    pass(UINT64_C(1000) * MS);
    ck_assert_uint_eq(talk(), 10);
    pass(UINT64_C(60000) * MS);
    ck_assert_uint_eq(talk(), 50);
    ck_assert_uint_eq(on_all(METRIC_COMMAND_WAITS_ADDRESS), 0);
    close_all();
}
END_TEST

/* What is lent and not used is lost, not kept: in no time does anybody get more than there was. */
START_TEST(no_more_than_the_rate_at_any_times)
{
    enum { TURNS = 3000, RATE = 20, BURST = 30, CLIENTS = 9 };
    open_world(world_with(3, (struct limits_rate){RATE, BURST}, (struct limits_rate){0, 0}));
    uint64_t state = 88172645463325252;
    uint64_t spent = 0;
    for (uint16_t i = 0; i < CLIENTS; i++) {
        (void)sign_in(i % 3, "ann");
    }
    const uint64_t began_ns = world.now_ns;
    for (int turn = 0; turn < TURNS; turn++) {
        const uint32_t says = chance_below(&state, CLIENTS + 1);
        for (uint32_t i = 0; i < says; i++) {
            spent += spend(&world.clients[chance_below(&state, CLIENTS)]) == HUB_SPENT;
        }
        pass((uint64_t)chance_below(&state, 60) * MS);
        spent += serve();
        const uint64_t ms = (world.now_ns - began_ns) / MS;
        ck_assert_uint_le(spent * 1000, (uint64_t)BURST * 1000 + ms * RATE);
    }
    /* Those who wanted more than there was were given most of it. */
    ck_assert_uint_ge(spent * 1000 * 10, (world.now_ns - began_ns) / MS * RATE * 8);
    close_all();
}
END_TEST

/* The address of two users: nothing of a user's is spent while its address has nothing. */
START_TEST(both_have_to_have_something)
{
    open_world(world_with(2, (struct limits_rate){1, 8}, (struct limits_rate){1, 10}));
    struct client *ann = sign_in(0, "ann");
    struct client *bob = sign_in(1, "bob");
    uint32_t of_ann = 0;
    for (int i = 0; i < 20; i++) {
        of_ann += spend(ann) == HUB_SPENT;
        settle();
        of_ann += serve();
    }
    ck_assert_uint_eq(of_ann, 8);
    const uint32_t talked = talk(); /* of the address's last two one may have been lent to ann */
    ck_assert(talked == 1 || talked == 2);
    const struct hub_spending spending = hub_spend(hub_of(bob), bob->session, &here);
    ck_assert_int_eq(spending.verdict, HUB_WAITS_TO_SPEND);
    ck_assert(spending.is_short && spending.of == QUOTA_ADDRESS);
    ck_assert_uint_ge(on_all(METRIC_COMMAND_WAITS_ADDRESS), 1);
    /* From an address that is not limited bob has all of its own eight. */
    uint32_t of_bob = 0;
    struct conn_id conn;
    for (int i = 0; i < 20; i++) {
        of_bob += spend_from(bob, NULL) == HUB_SPENT;
        settle();
        while (hub_next_to_spend(hub_of(bob), &conn)) {
            of_bob += spend_from(bob, NULL) == HUB_SPENT;
        }
    }
    ck_assert_uint_eq(talked + of_bob, 8);
    close_all();
}
END_TEST

/* The user had to wait lately, but has a command again; the address has none: that is said. */
START_TEST(it_is_said_who_has_nothing)
{
    struct conn_id conn;
    open_world(world_with(1, (struct limits_rate){10, 2}, (struct limits_rate){1, 3}));
    struct client *ann = sign_in(0, "ann");
    ck_assert_int_eq(spend(ann), HUB_SPENT);
    ck_assert_int_eq(spend(ann), HUB_SPENT);
    struct hub_spending spending = hub_spend(hub_of(ann), ann->session, &here);
    ck_assert_int_eq(spending.verdict, HUB_WAITS_TO_SPEND);
    ck_assert(spending.is_short && spending.of == QUOTA_USER);
    pass(100 * MS); /* what its address had been lent meanwhile is lost, and was the last */
    ck_assert(hub_next_to_spend(hub_of(ann), &conn));
    spending = hub_spend(hub_of(ann), ann->session, &here);
    ck_assert_int_eq(spending.verdict, HUB_WAITS_TO_SPEND);
    ck_assert(spending.is_short);
    ck_assert_int_eq(spending.of, QUOTA_ADDRESS);
    close_all();
}
END_TEST

START_TEST(who_waits_is_served_in_order)
{
    enum { WAITERS = 6 };
    struct client *clients[WAITERS];
    struct conn_id conn;
    open_world(world_with(2, (struct limits_rate){10, 4}, (struct limits_rate){0, 0}));
    const uint16_t reactor = (uint16_t)_i;
    for (int i = 0; i < WAITERS; i++) {
        clients[i] = sign_in(reactor, "ann");
    }
    (void)talk();
    for (int i = 0; i < WAITERS; i++) {
        leave(clients[i]);
        clients[i] = sign_in(reactor, "ann");
        ck_assert_int_eq(spend(clients[i]), HUB_WAITS_TO_SPEND); /* it is remembered */
        ck_assert(hub_is_ready(hub_of(clients[i])));
    }
    leave(clients[1]); /* who goes does not hold up the others */
    for (int i = 0; i < WAITERS; i++) {
        if (i == 1) {
            continue;
        }
        ck_assert(!hub_next_to_spend(world.reactors[reactor].hub, &conn));
        pass(100 * MS);
        ck_assert(hub_next_to_spend(world.reactors[reactor].hub, &conn));
        ck_assert(conn_id_equal(conn, clients[i]->conn));
        ck_assert_int_eq(spend(clients[i]), HUB_SPENT);
    }
    close_all();
}
END_TEST

/* At home it is answered at once; what it is lent goes to who waits, and without a sleep. */
START_TEST(who_comes_stands_behind_who_waits)
{
    struct conn_id conn;
    open_world(world_with(2, (struct limits_rate){10, 1}, (struct limits_rate){0, 0}));
    const uint16_t home = home_of_user("ann");
    struct client *first = sign_in(home, "ann");
    struct client *second = sign_in(home, "ann");
    struct client *third = sign_in(home, "ann");
    ck_assert_int_eq(spend(first), HUB_SPENT);
    ck_assert_int_eq(spend(first), HUB_WAITS_TO_SPEND);
    ck_assert_int_eq(spend(second), HUB_WAITS_TO_SPEND);
    change((struct limits_rate){10, 10});
    ck_assert_uint_eq(hub_due_ns(hub_of(first)), 0);
    ck_assert_uint_eq(serve(), 0);
    pass(300 * MS);
    ck_assert_uint_eq(hub_due_ns(hub_of(first)), 0);
    ck_assert(hub_next_to_spend(hub_of(first), &conn));
    ck_assert(conn_id_equal(conn, first->conn));
    ck_assert_int_eq(spend(first), HUB_SPENT);
    ck_assert(!hub_next_to_spend(hub_of(first), &conn));
    ck_assert_int_eq(spend(third), HUB_WAITS_TO_SPEND);
    ck_assert_uint_eq(hub_due_ns(hub_of(first)), 0);
    ck_assert(hub_next_to_spend(hub_of(first), &conn));
    ck_assert(conn_id_equal(conn, second->conn));
    close_all();
}
END_TEST

START_TEST(a_dry_run_only_counts)
{
    struct world_options options =
        world_with(2, (struct limits_rate){1, 5}, (struct limits_rate){0, 0});
    options.user_limits.dry_run = true;
    open_world(options);
    struct client *ann = sign_in((uint16_t)_i, "ann");
    uint32_t spent = 0;
    while (spent < 500) {
        spent += spend(ann) == HUB_SPENT;
        settle();
        spent += serve();
    }
    /* What was lent is counted, of which some may be left. */
    ck_assert_uint_ge(on_all(METRIC_DRY_RUN_USER_COMMANDS), 495);
    ck_assert_uint_lt(on_all(METRIC_DRY_RUN_USER_COMMANDS), 495 + 64);
    ck_assert_uint_eq(on_all(METRIC_COMMAND_WAITS_USER), 0);
    ck_assert(!hub_spend(hub_of(ann), ann->session, &here).is_short);
    settle();
    close_all();
}
END_TEST

START_TEST(limits_change_at_once)
{
    open_world(world_with(2, (struct limits_rate){0, 0}, (struct limits_rate){0, 0}));
    struct client *ann = sign_in((uint16_t)_i, "ann");
    for (int i = 0; i < 1000; i++) {
        ck_assert_int_eq(spend(ann), HUB_SPENT);
    }
    change((struct limits_rate){1, 6});
    ck_assert_uint_eq(talk(), 6);
    ck_assert_int_eq(spend(ann), HUB_WAITS_TO_SPEND);
    change((struct limits_rate){1000, 1000}); /* who waits is not left to the old rate */
    settle();
    pass(10 * MS);
    ck_assert_uint_ge(talk() + serve(), 9);
    change((struct limits_rate){1, 1});
    (void)talk();
    ck_assert_int_eq(spend(ann), HUB_WAITS_TO_SPEND);
    change((struct limits_rate){0, 0});
    ck_assert_uint_eq(serve(), 1);
    ck_assert_int_eq(spend(ann), HUB_SPENT);
    close_all();
}
END_TEST

/* Without a credit the home is asked a little later, and nobody runs round meanwhile. */
START_TEST(the_bus_may_be_full)
{
    struct hub_place_answer answer;
    struct world_options options =
        world_with(2, (struct limits_rate){10, 10}, (struct limits_rate){0, 0});
    options.reserve = 2;
    options.slots = 8;
    open_world(options);
    struct client *ann = sign_in(1 - home_of_user("ann"), "ann");
    struct hub *hub = hub_of(ann);
    const uint16_t away = home_of_user("ann");
    int asked = 0;
    for (uint8_t i = 0; asked < 2; i++) {
        const struct quota_key other = {{9, i}};
        asked += home_of_key(&other) == away && hub_ask_place(hub, &other, ann->conn);
    }
    const uint64_t posts = bus_posts(world.bus, ann->conn.reactor);
    ck_assert_int_eq(spend(ann), HUB_WAITS_TO_SPEND);
    ck_assert_int_eq(spend(ann), HUB_WAITS_TO_SPEND);
    ck_assert_uint_eq(bus_posts(world.bus, ann->conn.reactor), posts);
    ck_assert(!hub_has_backlog(hub));
    ck_assert_uint_gt(hub_due_ns(hub), world.now_ns);
    ck_assert_uint_le(hub_due_ns(hub), world.now_ns + 6 * MS);
    settle();
    ck_assert_uint_eq(serve(), 0);
    pass(6 * MS);
    ck_assert_uint_eq(serve(), 1);
    while (hub_next_placed(hub, &answer)) {
        hub_give_place(hub, &answer.key);
    }
    close_all();
}
END_TEST

/* A question that is on its way is waited for at the end, and what is lent is not kept. */
START_TEST(nothing_is_left)
{
    open_world(world_with(2, (struct limits_rate){10, 10}, (struct limits_rate){0, 0}));
    struct client *ann = sign_in(1 - home_of_user("ann"), "ann");
    struct hub *hub = hub_of(ann);
    ck_assert_int_eq(spend(ann), HUB_WAITS_TO_SPEND);
    leave(ann);
    ck_assert(!hub_is_quiet(hub));
    settle();
    ck_assert(hub_is_quiet(hub));
    ck_assert_uint_eq(serve(), 0);
    ck_assert_uint_lt(hub_due_ns(hub), UINT64_MAX);
    pass(UINT64_C(300) * MS);
    pass(UINT64_C(300) * MS);
    ck_assert_uint_eq(hub_due_ns(hub), UINT64_MAX);
    close_world();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("leases");
    tcase_add_test(tcase, a_user_says_so_much_wherever_it_is);
    tcase_add_test(tcase, no_more_than_the_rate_at_any_times);
    tcase_add_test(tcase, both_have_to_have_something);
    tcase_add_test(tcase, it_is_said_who_has_nothing);
    tcase_add_loop_test(tcase, who_waits_is_served_in_order, 0, 2);
    tcase_add_test(tcase, who_comes_stands_behind_who_waits);
    tcase_add_loop_test(tcase, a_dry_run_only_counts, 0, 2);
    tcase_add_loop_test(tcase, limits_change_at_once, 0, 2);
    tcase_add_test(tcase, the_bus_may_be_full);
    tcase_add_test(tcase, nothing_is_left);
    Suite *suite = suite_create("chat/hub_leases");
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
