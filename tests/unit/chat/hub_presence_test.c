/* SPDX-License-Identifier: Apache-2.0 */
/*
 * presence and presence_stats over three reactors: what is answered is who is subscribed, wherever
 * the asker and the channel's home are; refusals; bounds; questions whose asker has gone.
 */
#include "tests/unit/chat/hub_world.h"

static bool names(struct bytes members, const struct client *client)
{
    const struct id id = id_of(client);
    return memmem(members.data, members.size, id.text, sizeof(id.text)) != NULL;
}

/* How many members a list has: each says its id once more inside. */
static int count_members(struct bytes members)
{
    static const char mark[] = "\"client\":";
    int count = 0;
    for (size_t i = 0; i + sizeof(mark) - 1 <= members.size; i++) {
        count += memcmp(members.data + i, mark, sizeof(mark) - 1) == 0;
    }
    return count;
}

static void subscribe(struct client *client, const char *channel)
{
    ask(client, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", channel);
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 2);
}

static void expect_numbers(struct client *asker, const char *channel, uint32_t count)
{
    asker->read = asker->size;
    ask(asker, "{\"id\":3,\"presence_stats\":{\"channel\":\"%s\"}}", channel);
    settle();
    const struct event event = hear(asker, EVENT_PRESENCE_STATS, 3);
    ck_assert_uint_eq(event.client_count, count);
    ck_assert_uint_eq(event.user_count, count > 0 ? 1 : 0);
}

static struct bytes list(struct client *asker, const char *channel)
{
    asker->read = asker->size;
    ask(asker, "{\"id\":4,\"presence\":{\"channel\":\"%s\"}}", channel);
    settle();
    return hear(asker, EVENT_PRESENCE, 4).members;
}

/* One to three reactors; members on each of them; every reactor asks. */
START_TEST(everybody_is_there)
{
    const uint16_t hub_count = (uint16_t)(_i + 1);
    struct client *members[9];
    struct client *askers[HUB_COUNT_MAX];
    open_world((struct world_options){.hub_count = hub_count});
    for (uint16_t i = 0; i < hub_count; i++) {
        askers[i] = connected_client(i);
        expect_numbers(askers[i], "asks:x", 0);
        ck_assert_int_eq(count_members(list(askers[i], "asks:x")), 0);
    }
    for (int i = 0; i < COUNT(members); i++) {
        members[i] = connected_client((uint16_t)(i % hub_count));
        subscribe(members[i], "asks:x");
    }
    for (uint16_t i = 0; i < hub_count; i++) {
        const struct bytes all = list(askers[i], "asks:x");
        ck_assert_int_eq(count_members(all), COUNT(members));
        for (int j = 0; j < COUNT(members); j++) {
            ck_assert(names(all, members[j]));
        }
        ck_assert(!names(all, askers[i]));
        expect_numbers(askers[i], "asks:x", COUNT(members));
        expect_numbers(askers[i], "asks:y", 0);
    }
    /* One leaves, one hangs up: they are gone at once. */
    ask(members[0], "{\"id\":5,\"unsubscribe\":{\"channel\":\"asks:x\"}}");
    hang_up(members[1]);
    for (uint16_t i = 0; i < hub_count; i++) {
        const struct bytes rest = list(askers[i], "asks:x");
        ck_assert_int_eq(count_members(rest), COUNT(members) - 2);
        ck_assert(!names(rest, members[0]));
        expect_numbers(askers[i], "asks:x", COUNT(members) - 2);
    }
    close_world();
}
END_TEST

/* Until its subscribe is answered, nobody is there. */
START_TEST(who_waits_is_not_there)
{
    char name[NAME_SIZE];
    char channel[NAME_SIZE + 8];
    open_world((struct world_options){.hub_count = 2});
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(channel, sizeof(channel), "asks:%s", name_at(name, 1, i));
        if (ids_home_of(table_hash(&world_key, view(channel)), 2) == 1) {
            break;
        }
    }
    struct client *waits = connected_client(0);
    struct client *asker = connected_client(0);
    ask(waits, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", channel);
    ask(asker, "{\"id\":3,\"presence_stats\":{\"channel\":\"%s\"}}", channel);
    settle();
    ck_assert_uint_eq(hear(asker, EVENT_PRESENCE_STATS, 3).client_count, 0);
    (void)hear(waits, EVENT_SUBSCRIBED, 2);
    expect_numbers(asker, channel, 1);
    close_world();
}
END_TEST

static const struct {
    const char *why;
    const char *channel;
    enum codes_error error;
} refusals[] = {
    {"no presence there", "x", CODES_ERROR_NOT_AVAILABLE},
    {"no presence in the namespace", "read:x", CODES_ERROR_NOT_AVAILABLE},
    {"not allowed", "mute:x", CODES_ERROR_PERMISSION_DENIED},
    {"not for who is not subscribed", "live:x", CODES_ERROR_PERMISSION_DENIED},
    {"unknown namespace", "unknown:x", CODES_ERROR_UNKNOWN_CHANNEL},
    {"bad name", "asks:\\u0001", CODES_ERROR_BAD_REQUEST},
};

START_TEST(refuses)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *client = connected_client(0);
    ask(client, "{\"id\":3,\"presence\":{\"channel\":\"%s\"}}", refusals[_i].channel);
    ask(client, "{\"id\":4,\"presence_stats\":{\"channel\":\"%s\"}}", refusals[_i].channel);
    settle();
    hear_error(client, 3, refusals[_i].error);
    hear_error(client, 4, refusals[_i].error);
    hear_nothing(client);
    close_world();
}
END_TEST

START_TEST(a_channel_has_a_name)
{
    open_world((struct world_options){.hub_count = 1});
    ck_assert_uint_eq(say(connected_client(0), "{\"id\":2,\"presence\":{}}"),
                      CODES_DISCONNECT_BAD_REQUEST);
    ck_assert_uint_eq(say(connected_client(0), "{\"id\":2,\"presence_stats\":{}}"),
                      CODES_DISCONNECT_BAD_REQUEST);
    close_world();
}
END_TEST

START_TEST(subscribers_may_ask)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *client = connected_client(1);
    subscribe(client, "live:x");
    expect_numbers(client, "live:x", 1);
    ck_assert(names(list(client, "live:x"), client));
    close_world();
}
END_TEST

/* The list is a sample of the size that is allowed, the number is exact. */
START_TEST(a_list_is_bounded)
{
    open_world((struct world_options){.hub_count = 2, .presence_max = 5});
    struct client *asker = connected_client(0);
    for (int i = 0; i < 12; i++) {
        subscribe(connected_client((uint16_t)(i % 2)), "asks:x");
        ck_assert_int_eq(count_members(list(asker, "asks:x")), i < 5 ? i + 1 : 5);
        expect_numbers(asker, "asks:x", (uint32_t)i + 1);
    }
    close_world();
}
END_TEST

/* The asker goes while others are being asked; and one whose slot has a new owner hears nothing. */
START_TEST(nobody_waits_any_more)
{
    open_world((struct world_options){.hub_count = 3});
    subscribe(connected_client(1), "asks:x");
    struct client *asker = connected_client(0);
    ask(asker, "{\"id\":3,\"presence\":{\"channel\":\"asks:x\"}}");
    ck_assert(!hub_is_quiet(world.reactors[0].hub));
    hang_up(asker);
    struct client *next = new_client(0);
    settle();
    hear_nothing(next);
    close_world();
}
END_TEST

/* Each open question holds a credit; when there is none the command waits, and nothing is lost. */
START_TEST(questions_are_bounded)
{
    enum { RESERVE = 4 };
    open_world((struct world_options){.hub_count = 2, .reserve = RESERVE});
    struct client *asker = connected_client(0);
    settle();
    int asked = 0;
    while (hub_is_ready(world.reactors[0].hub)) {
        ask(asker, "{\"id\":%d,\"presence_stats\":{\"channel\":\"asks:x\"}}", ++asked);
        ck_assert_int_le(asked, RESERVE);
    }
    ck_assert_int_eq(asked, RESERVE);
    settle();
    for (int i = 1; i <= asked; i++) {
        (void)hear(asker, EVENT_PRESENCE_STATS, (uint32_t)i);
    }
    ck_assert(hub_is_ready(world.reactors[0].hub));
    close_world();
}
END_TEST

/* Where there is no memory, the asker is told so. */
START_TEST(memory_may_be_out)
{
    open_world((struct world_options){.hub_count = 2, .pool_bytes = 2048});
    struct client *asker = connected_client(0);
    for (int i = 0; i < 40; i++) {
        subscribe(connected_client(1), "asks:x");
    }
    ask(asker, "{\"id\":4,\"presence\":{\"channel\":\"asks:x\"}}");
    settle();
    hear_error(asker, 4, CODES_ERROR_INTERNAL);
    expect_numbers(asker, "asks:x", 40);
    close_world();
}
END_TEST

/* Who was subscribed before there was any is there, too. */
START_TEST(a_policy_may_change)
{
    enum { ASKS = 11 }; /* the place of its policy */
    struct policy_table table = *world_policies();
    struct policy policies[13];
    memcpy(policies, table.policies, sizeof(policies));
    table.policies = policies;
    policies[ASKS].presence = false;
    open_world((struct world_options){.hub_count = 2, .policies = &table});
    struct client *members[] = {connected_client(0), connected_client(1)};
    subscribe(members[0], "asks:x");
    subscribe(members[1], "asks:x");

    policies[ASKS].presence = true;
    change_policies(&table);
    for (int i = 0; i < COUNT(members); i++) {
        ck_assert_int_eq(count_members(list(members[i], "asks:x")), COUNT(members));
        expect_numbers(members[i], "asks:x", COUNT(members));
    }
    close_world();
}
END_TEST

int main(void)
{
    TCase *presence = tcase_create("presence");
    tcase_add_loop_test(presence, everybody_is_there, 0, HUB_COUNT_MAX);
    tcase_add_test(presence, who_waits_is_not_there);
    tcase_add_loop_test(presence, refuses, 0, COUNT(refusals));
    tcase_add_test(presence, a_channel_has_a_name);
    tcase_add_test(presence, subscribers_may_ask);
    tcase_add_test(presence, a_list_is_bounded);
    tcase_add_test(presence, a_policy_may_change);
    tcase_add_test(presence, nobody_waits_any_more);
    tcase_add_test(presence, questions_are_bounded);
    tcase_add_test(presence, memory_may_be_out);
    Suite *suite = suite_create("chat/hub_presence");
    suite_add_tcase(suite, presence);
    return run_suite(suite);
}
