/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIMITS.md row 58: everything is refused unless it is granted, on every path and for whoever asks.
 *
 * Every verb by everybody in a namespace of each combination of rules, at the channel's home and
 * elsewhere, against a second statement of the rule. A refusal is error 103 and nothing else: no
 * byte of what is kept is told, nobody is told anything, and it is counted.
 */
#include "tests/unit/chat/hub_world.h"

enum {
    RULE_CLIENT = 1,
    RULE_SUBSCRIBER = 2, /* of subscribing there is no such rule */
    RULE_ANONYMOUS = 4,
    RULE_SETS = 8,
    HOMES = 2,
};

static struct policy policy;
static struct policy_table policies;
static struct client *insider; /* has come in and published before the rules were set */
static char name[NAME_SIZE];

/* Where nothing is allowed, but what the rules say. */
static void set_rules(int subscribe, int others)
{
    policy = (struct policy){
        .history_size = 10,
        .history_ttl_ns = 60000000000,
        .history_meta_ttl_ns = 60000000000,
        .allow_recovery = true,
        .presence = true,
        .allow_subscribe_for_client = (subscribe & RULE_CLIENT) != 0,
        .allow_subscribe_for_anonymous = (subscribe & RULE_ANONYMOUS) != 0,
        .allow_publish_for_client = (others & RULE_CLIENT) != 0,
        .allow_publish_for_subscriber = (others & RULE_SUBSCRIBER) != 0,
        .allow_publish_for_anonymous = (others & RULE_ANONYMOUS) != 0,
        .allow_history_for_client = (others & RULE_CLIENT) != 0,
        .allow_history_for_subscriber = (others & RULE_SUBSCRIBER) != 0,
        .allow_history_for_anonymous = (others & RULE_ANONYMOUS) != 0,
        .allow_presence_for_client = (others & RULE_CLIENT) != 0,
        .allow_presence_for_subscriber = (others & RULE_SUBSCRIBER) != 0,
        .allow_presence_for_anonymous = (others & RULE_ANONYMOUS) != 0,
    };
}

/* The same for who is connected. */
static void change_rules(int subscribe, int others)
{
    set_rules(subscribe, others);
    change_policies(&policies);
}

/* The insider is in a channel of that home and has told it a secret. */
static void open_channel(uint16_t home)
{
    policies = (struct policy_table){
        .policies = &policy,
        .policy_count = 1,
        .name_size_max = 255,
        .insecure = true,
    };
    set_rules(0, 0);
    open_world((struct world_options){.hub_count = HOMES, .policies = &policies});
    insider = connected_client(0);
    (void)name_at(name, home, 0);
    ask(insider, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", name);
    settle();
    (void)hear(insider, EVENT_SUBSCRIBED, 2);
    ask(insider, "{\"id\":3,\"publish\":{\"channel\":\"%s\",\"data\":\"secret\"}}", name);
    settle();
    (void)hear(insider, EVENT_PUBLISHED, 3);
    hear_publication(insider, name, "\"secret\"");
    policies.insecure = false;
    change_policies(&policies);
}

/* The answer to command 9; what comes before it is of no interest. */
static struct event answer_of(struct client *client)
{
    struct event event = {0};
    while (event.id != 9) {
        ck_assert(next_event(client, &event));
    }
    return event;
}

/* Neither is it told anything of what is kept, nor is anybody told anything by it. */
static void expect_refusal(struct client *client, const char *why)
{
    static const char secret[] = "secret";
    const struct event event = answer_of(client);

    ck_assert_msg(event.kind == EVENT_ERROR && event.code == CODES_ERROR_PERMISSION_DENIED,
                  "kind %d, code %u: %s", (int)event.kind, event.code, why);
    ck_assert_msg(memmem(client->inbox, client->size, secret, sizeof(secret) - 1) == NULL, "%s",
                  why);
    ck_assert_uint_eq(metric(1, METRIC_REJECTED_PERMISSION_DENIED), 1);
    hear_nothing(insider);
}

static void expect_grant(struct client *client, enum event_kind kind, const char *why)
{
    const struct event event = answer_of(client);
    ck_assert_msg(event.kind == kind, "kind %d: %s", (int)event.kind, why);
    ck_assert_uint_eq(metric(1, METRIC_REJECTED_PERMISSION_DENIED), 0);
}

/* -- what one does in a channel ---------------------------------------------------------------- */

static const struct {
    const char *command; /* with the channel as its argument */
    enum event_kind granted;
} verbs[] = {
    {"{\"id\":9,\"publish\":{\"channel\":\"%s\",\"data\":1}}", EVENT_PUBLISHED},
    {"{\"id\":9,\"rpc\":{\"method\":\"publish\",\"data\":{\"channel\":\"%s\",\"data\":1}}}",
     EVENT_RPC},
    {"{\"id\":9,\"rpc\":{\"method\":\"publish\",\"data\":{\"channel\":\"%s\",\"data\":1,"
     "\"idempotency_key\":\"k\"}}}",
     EVENT_RPC},
    {"{\"id\":9,\"history\":{\"channel\":\"%s\",\"limit\":5}}", EVENT_HISTORY},
    {"{\"id\":9,\"history\":{\"channel\":\"%s\"}}", EVENT_HISTORY},
    {"{\"id\":9,\"presence\":{\"channel\":\"%s\"}}", EVENT_PRESENCE},
    {"{\"id\":9,\"presence_stats\":{\"channel\":\"%s\"}}", EVENT_PRESENCE_STATS},
};

enum asker {
    STRANGER = 0,
    WAITS, /* has subscribed and has no answer yet; where it is the home, it has */
    SUBSCRIBER,
    WENT, /* was a subscriber */
    ASKERS,
};

static struct client *asker_of(enum asker who)
{
    struct client *client = connected_client(1);
    if (who == STRANGER) {
        return client;
    }
    ask(client, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", name);
    if (who == WAITS) {
        return client;
    }
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 2);
    if (who == WENT) {
        ask(client, "{\"id\":3,\"unsubscribe\":{\"channel\":\"%s\"}}", name);
        settle();
        (void)hear(client, EVENT_UNSUBSCRIBED, 3);
    }
    return client;
}

static void judge_verb(int verb, enum asker who, uint16_t home, int rules)
{
    char command[256];
    open_channel(home);
    change_rules(RULE_CLIENT | RULE_ANONYMOUS, rules);
    struct client *client = asker_of(who);
    (void)snprintf(command, sizeof(command), verbs[verb].command, name);
    ck_assert_uint_eq(say(client, command), 0);
    settle();

    const bool is_subscribed = who == SUBSCRIBER || (who == WAITS && home == 1);
    const bool may =
        (rules & RULE_ANONYMOUS) != 0 &&
        ((rules & RULE_CLIENT) != 0 || ((rules & RULE_SUBSCRIBER) != 0 && is_subscribed));
    if (may) {
        expect_grant(client, verbs[verb].granted, command);
    } else {
        expect_refusal(client, command);
    }
    close_world();
}

START_TEST(every_verb_for_everybody)
{
    for (int verb = 0; verb < COUNT(verbs); verb++) {
        for (int who = 0; who < ASKERS; who++) {
            for (uint16_t home = 0; home < HOMES; home++) {
                judge_verb(verb, (enum asker)who, home, _i);
            }
        }
    }
}
END_TEST

/* -- coming in --------------------------------------------------------------------------------- */

/* What is asked for besides; and whether it is the first time. */
static const struct {
    const char *besides;
    bool was_here;
} entries[] = {
    {"", false},
    {",\"recoverable\":true,\"positioned\":true,\"join_leave\":true", false},
    {",\"recoverable\":true,\"recover\":true", false},
    {",\"recoverable\":true,\"recover\":true,\"offset\":1", false},
    {",\"recoverable\":true,\"recover\":true", true},
};

static void judge_entry(int entry, uint16_t home, int rules)
{
    char command[256];
    open_channel(home);
    change_rules(RULE_CLIENT | RULE_ANONYMOUS, 0);
    struct client *client = asker_of(entries[entry].was_here ? WENT : STRANGER);
    change_rules(rules, RULE_CLIENT | RULE_SUBSCRIBER | RULE_ANONYMOUS);
    (void)snprintf(command, sizeof(command), "{\"id\":9,\"subscribe\":{\"channel\":\"%s\"%s}}",
                   name, entries[entry].besides);
    ck_assert_uint_eq(say(client, command), 0);
    settle();
    if ((rules & RULE_CLIENT) != 0 && (rules & RULE_ANONYMOUS) != 0) {
        expect_grant(client, EVENT_SUBSCRIBED, command);
        close_world();
        return;
    }
    expect_refusal(client, command);
    /* It is in the list of nobody, and is told nothing of what comes. */
    ask(insider, "{\"id\":9,\"presence_stats\":{\"channel\":\"%s\"}}", name);
    ask(insider, "{\"id\":10,\"publish\":{\"channel\":\"%s\",\"data\":2}}", name);
    settle();
    ck_assert_uint_eq(answer_of(insider).client_count, 1);
    hear_nothing(client);
    close_world();
}

START_TEST(coming_in)
{
    for (int entry = 0; entry < COUNT(entries); entry++) {
        for (uint16_t home = 0; home < HOMES; home++) {
            judge_entry(entry, home, _i);
        }
    }
}
END_TEST

/* -- without a session ------------------------------------------------------------------------- */

/* Whatever is open: who has not connected may nothing, and is told to go. */
START_TEST(nobody_without_connecting)
{
    char command[256];
    open_channel((uint16_t)_i);
    change_rules(RULE_CLIENT | RULE_ANONYMOUS, RULE_CLIENT | RULE_ANONYMOUS);
    for (int verb = 0; verb < COUNT(verbs); verb++) {
        struct client *client = new_client(1);
        (void)snprintf(command, sizeof(command), verbs[verb].command, name);
        ck_assert_uint_eq(say(client, command), CODES_DISCONNECT_BAD_REQUEST);
        settle();
        hear_nothing(client);
        hear_nothing(insider);
    }
    close_world();
}
END_TEST

/* Nor who could not connect, for that takes a token. */
START_TEST(nobody_without_a_token)
{
    char command[256];
    policies = (struct policy_table){.policies = &policy, .policy_count = 1, .name_size_max = 255};
    set_rules(RULE_CLIENT | RULE_ANONYMOUS, RULE_CLIENT | RULE_ANONYMOUS);
    open_world((struct world_options){.hub_count = 1, .policies = &policies, .closed = true});
    for (int verb = 0; verb < COUNT(verbs); verb++) {
        struct client *client = new_client(0);
        ck_assert_uint_eq(say(client, "{\"id\":1,\"connect\":{}}"), CODES_DISCONNECT_BAD_REQUEST);
        (void)snprintf(command, sizeof(command), verbs[verb].command, "x");
        ck_assert_uint_eq(say(client, command), CODES_DISCONNECT_BAD_REQUEST);
        settle();
        hear_nothing(client);
    }
    close_world();
}
END_TEST

int main(void)
{
    TCase *permission = tcase_create("permission");
    tcase_add_loop_test(permission, every_verb_for_everybody, 0, RULE_SETS);
    tcase_add_loop_test(permission, coming_in, 0, RULE_SETS);
    tcase_add_loop_test(permission, nobody_without_connecting, 0, HOMES);
    tcase_add_test(permission, nobody_without_a_token);
    Suite *suite = suite_create("chat/hub: permission");
    suite_add_tcase(suite, permission);
    return run_suite(suite);
}
