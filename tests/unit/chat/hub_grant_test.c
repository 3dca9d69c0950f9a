/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscription tokens: what they open and for whom, what others are told by them, what they
 * override, and their end.
 */
#include "tests/unit/chat/fake_verifier.h"
#include "tests/unit/chat/hub_world.h"

#define TEXT(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define SUB(name, who, where, ...)                                                                 \
    {                                                                                              \
        name, CLAIMS_SUBSCRIPTION,                                                                 \
        {                                                                                          \
            .user = TEXT(who), .channel = TEXT(where), __VA_ARGS__                                 \
        }                                                                                          \
    }

static const uint64_t ns_per_s = 1000000000;

static const struct fake_token tokens[] = {
    {"ann", CLAIMS_CONNECTION, {.user = TEXT("ann"), .info = TEXT("1")}},
    {"bob", CLAIMS_CONNECTION, {.user = TEXT("bob")}},
    SUB("ann a", "ann", "$a", .info = TEXT("{\"role\": \"host\"}")),
    SUB("ann mute", "ann", "mute:a", .ttl_s = 0),
    SUB("nobody a", "", "$a", .ttl_s = 0),
    SUB("ann b", "ann", "$b", .ttl_s = 0),
    SUB("ann d", "ann", "d#bob", .ttl_s = 0),
    SUB("ann bad", "ann", "$a", .info = TEXT("nil")),
    SUB("ann 10", "ann", "$live:a", .expires = true, .ttl_s = 10),
    SUB("ann 20", "ann", "$live:a", .expires = true, .ttl_s = 20, .info = TEXT("\"new\"")),
    SUB("ann free", "ann", "free:a",
        .overrides = {.force_recovery = CLAIMS_ON, .force_positioning = CLAIMS_ON}),
    SUB("ann hist", "ann", "hist:a", .overrides = {.force_recovery = CLAIMS_OFF}),
    SUB("ann hidden", "ann", "live:a",
        .overrides = {.presence = CLAIMS_OFF,
                      .join_leave = CLAIMS_OFF,
                      .force_push_join_leave = CLAIMS_OFF}),
    SUB("ann loud", "ann", "loud",
        .overrides = {.join_leave = CLAIMS_ON, .force_push_join_leave = CLAIMS_ON}),
};
static struct fake_tokens all = {tokens, COUNT(tokens)};
static struct claims_verifier verifier = {fake_verify, &all};

static void open_one(void)
{
    open_world((struct world_options){.hub_count = 2, .verifier = &verifier});
}

static struct client *signed_in(uint16_t reactor, const char *token)
{
    struct client *client = new_client(reactor);
    ask(client, "{\"id\":1,\"connect\":{\"token\":\"%s\"}}", token);
    settle();
    (void)hear(client, EVENT_CONNECTED, 1);
    return client;
}

static void subscribe(struct client *client, const char *channel, const char *token)
{
    ask(client, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\",\"token\":\"%s\"}}", channel, token);
    settle();
}

static const struct {
    const char *why;
    const char *channel;
    const char *token;
    enum codes_error error;
} rows[] = {
    {"a private channel", "$a", "ann a", CODES_ERROR_NONE},
    {"what the policy does not open", "mute:a", "ann mute", CODES_ERROR_NONE},
    {"of the past: the SDK asks for another", "$a", "expired", CODES_ERROR_TOKEN_EXPIRED},
    {"its key is not there yet", "$a", "later", CODES_ERROR_INTERNAL},
    {"made by somebody else", "$a", "mallory", CODES_ERROR_PERMISSION_DENIED},
    {"for another channel", "$a", "ann b", CODES_ERROR_PERMISSION_DENIED},
    {"for nobody", "$a", "nobody a", CODES_ERROR_PERMISSION_DENIED},
    {"for a connection", "$a", "ann", CODES_ERROR_PERMISSION_DENIED},
    {"with an info that is not JSON", "$a", "ann bad", CODES_ERROR_PERMISSION_DENIED},
    {"for a channel of other users", "d#bob", "ann d", CODES_ERROR_PERMISSION_DENIED},
    /* Even where no token is needed: who shows one wants what it says. */
    {"bad, in an open channel", "lobby", "mallory", CODES_ERROR_PERMISSION_DENIED},
};

START_TEST(judges_subscribes)
{
    open_one();
    struct client *ann = signed_in(0, "ann");
    subscribe(ann, rows[_i].channel, rows[_i].token);
    if (rows[_i].error == CODES_ERROR_NONE) {
        const struct event event = hear(ann, EVENT_SUBSCRIBED, 2);
        ck_assert(!event.expires);
        /* It lasts: what a subscriber may is judged by that, and not by the token. */
        ck_assert_uint_eq(ann->session->subscription_count, 1);
    } else {
        hear_error(ann, 2, rows[_i].error);
        ck_assert_uint_eq(ann->session->subscription_count, 0);
        ck_assert_uint_eq(hub_count_live(hub_of(ann)), 2); /* the session and its user */
    }
    close_world();
}
END_TEST

START_TEST(a_token_is_for_one_user)
{
    open_one();
    struct client *bob = signed_in(1, "bob");
    struct client *nobody = connected_client(0);
    subscribe(bob, "$a", "ann a");
    hear_error(bob, 2, CODES_ERROR_PERMISSION_DENIED);
    subscribe(nobody, "$a", "ann a");
    hear_error(nobody, 2, CODES_ERROR_PERMISSION_DENIED);
    subscribe(nobody, "$a", "nobody a");
    (void)hear(nobody, EVENT_SUBSCRIBED, 2);
    close_world();
}
END_TEST

START_TEST(others_are_told_its_info)
{
    static const char info[] = "{\"role\":\"host\"}";
    open_one();
    struct client *ann = signed_in(0, "ann");
    subscribe(ann, "$a", "ann a");
    (void)hear(ann, EVENT_SUBSCRIBED, 2);
    ask(ann, "{\"id\":3,\"publish\":{\"channel\":\"$a\",\"data\":1}}");
    settle();
    (void)hear(ann, EVENT_PUBLISHED, 3);
    const struct event event = hear(ann, EVENT_PUBLICATION, 0);
    ck_assert(is_text(event.chan_info, info));
    ck_assert(is_text(event.conn_info, "1"));

    /* Of another channel it says nothing. */
    ask(ann, "{\"id\":4,\"subscribe\":{\"channel\":\"b\"}}");
    ask(ann, "{\"id\":5,\"publish\":{\"channel\":\"b\",\"data\":1}}");
    settle();
    (void)hear(ann, EVENT_SUBSCRIBED, 4);
    (void)hear(ann, EVENT_PUBLISHED, 5);
    ck_assert_uint_eq(hear(ann, EVENT_PUBLICATION, 0).chan_info.size, 0);
    close_world();
}
END_TEST

/* -- terms ------------------------------------------------------------------------------------- */

START_TEST(a_subscription_ends_with_its_token)
{
    open_one();
    struct client *ann = signed_in(0, "ann");
    subscribe(ann, "$live:a", "ann 10");
    const struct event event = hear(ann, EVENT_SUBSCRIBED, 2);
    ck_assert(event.expires);
    ck_assert_uint_eq(event.ttl_s, 10);
    (void)hear(ann, EVENT_JOIN, 0);

    pass(14 * ns_per_s); /* 5 s of grace */
    hear_nothing(ann);
    pass(2 * ns_per_s);
    const struct event end = hear(ann, EVENT_UNSUBSCRIBE_PUSH, 0);
    ck_assert_uint_eq(end.code, CODES_UNSUBSCRIBE_EXPIRED);
    ck_assert(is_text(end.channel, "$live:a"));
    ck_assert_uint_eq(ann->session->subscription_count, 0);
    ck_assert_uint_eq(metric(0, METRIC_EXPIRED_SUBSCRIPTIONS), 1);

    /* And may come again, as the SDK does. */
    subscribe(ann, "$live:a", "ann 10");
    (void)hear(ann, EVENT_SUBSCRIBED, 2);
    close_world();
}
END_TEST

START_TEST(a_refresh_begins_another_term)
{
    open_one();
    struct client *ann = signed_in(0, "ann");
    subscribe(ann, "$live:a", "ann 10");
    pass(14 * ns_per_s);
    ann->read = ann->size;
    ask(ann, "{\"id\":3,\"sub_refresh\":{\"channel\":\"$live:a\",\"token\":\"ann 20\"}}");
    settle();
    const struct event event = hear(ann, EVENT_SUB_REFRESHED, 3);
    ck_assert(event.expires);
    ck_assert_uint_eq(event.ttl_s, 20);
    pass(24 * ns_per_s);
    hear_nothing(ann);
    ask(ann, "{\"id\":4,\"presence\":{\"channel\":\"$live:a\"}}");
    settle();
    const struct event presence = hear(ann, EVENT_PRESENCE, 4);
    ck_assert_ptr_nonnull(memmem(presence.members.data, presence.members.size,
                                 "\"chan_info\":\"new\"", strlen("\"chan_info\":\"new\"")));
    pass(2 * ns_per_s);
    (void)hear(ann, EVENT_UNSUBSCRIBE_PUSH, 0);
    close_world();
}
END_TEST

static const struct {
    const char *why;
    const char *channel;
    const char *token;
    uint16_t disconnect;
    enum codes_error error;
} refreshes[] = {
    {"no channel", "", "ann 10", CODES_DISCONNECT_BAD_REQUEST, CODES_ERROR_NONE},
    {"no token", "$live:a", "", CODES_DISCONNECT_BAD_REQUEST, CODES_ERROR_NONE},
    {"not subscribed", "$a", "ann a", 0, CODES_ERROR_PERMISSION_DENIED},
    {"subscribed without a token", "lobby", "ann a", 0, CODES_ERROR_NOT_AVAILABLE},
    {"for another channel", "$live:a", "ann a", CODES_DISCONNECT_INVALID_TOKEN, CODES_ERROR_NONE},
    {"made by somebody else", "$live:a", "mallory", CODES_DISCONNECT_INVALID_TOKEN,
     CODES_ERROR_NONE},
    {"of the past", "$live:a", "expired", CODES_DISCONNECT_SUBSCRIPTION_EXPIRED, CODES_ERROR_NONE},
    {"its key is not there yet", "$live:a", "later", 0, CODES_ERROR_INTERNAL},
};

START_TEST(refuses_refreshes)
{
    char command[128];
    open_one();
    struct client *ann = signed_in(0, "ann");
    subscribe(ann, "$live:a", "ann 10");
    ask(ann, "{\"id\":3,\"subscribe\":{\"channel\":\"lobby\"}}");
    settle();
    ann->read = ann->size;
    (void)snprintf(command, sizeof(command),
                   "{\"id\":4,\"sub_refresh\":{\"channel\":\"%s\",\"token\":\"%s\"}}",
                   refreshes[_i].channel, refreshes[_i].token);
    ck_assert_msg(say(ann, command) == refreshes[_i].disconnect, "%s", refreshes[_i].why);
    settle();
    if (refreshes[_i].error != CODES_ERROR_NONE) {
        hear_error(ann, 4, refreshes[_i].error);
    }
    hear_nothing(ann);
    close_world();
}
END_TEST

/* -- overrides --------------------------------------------------------------------------------- */

START_TEST(a_token_overrides_recovery)
{
    open_one();
    struct client *ann = signed_in(0, "ann");
    subscribe(ann, "free:a", "ann free");
    struct event event = hear(ann, EVENT_SUBSCRIBED, 2);
    ck_assert(event.recoverable && event.positioned);
    subscribe(ann, "hist:a", "ann hist");
    event = hear(ann, EVENT_SUBSCRIBED, 2);
    ck_assert(!event.recoverable && !event.positioned);
    close_world();
}
END_TEST

START_TEST(a_token_hides_somebody)
{
    open_one();
    struct client *bob = signed_in(1, "bob");
    struct client *ann = signed_in(0, "ann");
    ask(bob, "{\"id\":2,\"subscribe\":{\"channel\":\"live:a\"}}");
    settle();
    (void)hear(bob, EVENT_SUBSCRIBED, 2);
    (void)hear(bob, EVENT_JOIN, 0);
    subscribe(ann, "live:a", "ann hidden");
    pass(ns_per_s);
    (void)hear(ann, EVENT_SUBSCRIBED, 2);
    hear_nothing(ann);
    hear_nothing(bob);

    ask(bob, "{\"id\":3,\"presence\":{\"channel\":\"live:a\"}}\n"
             "{\"id\":4,\"presence_stats\":{\"channel\":\"live:a\"}}");
    settle();
    const struct event presence = hear(bob, EVENT_PRESENCE, 3);
    ck_assert_ptr_null(memmem(presence.members.data, presence.members.size, "ann", 3));
    const struct event stats = hear(bob, EVENT_PRESENCE_STATS, 4);
    ck_assert_uint_eq(stats.client_count, 1);
    ck_assert_uint_eq(stats.user_count, 1);
    hang_up(ann);
    pass(ns_per_s);
    hear_nothing(bob);
    close_world();
}
END_TEST

START_TEST(a_token_makes_somebody_heard)
{
    open_one();
    struct client *ann = signed_in(0, "ann");
    struct client *bob = signed_in(1, "bob");
    subscribe(ann, "loud", "ann loud");
    (void)hear(ann, EVENT_SUBSCRIBED, 2);
    ck_assert(is_text(hear(ann, EVENT_JOIN, 0).user, "ann"));
    ask(bob, "{\"id\":2,\"subscribe\":{\"channel\":\"loud\",\"join_leave\":true}}");
    pass(ns_per_s);
    (void)hear(bob, EVENT_SUBSCRIBED, 2);
    hear_nothing(bob); /* the channel's policy is as it was, for everybody else */
    hear_nothing(ann);
    close_world();
}
END_TEST

int main(void)
{
    TCase *grant = tcase_create("grant");
    tcase_add_loop_test(grant, judges_subscribes, 0, COUNT(rows));
    tcase_add_test(grant, a_token_is_for_one_user);
    tcase_add_test(grant, others_are_told_its_info);
    tcase_add_test(grant, a_subscription_ends_with_its_token);
    tcase_add_test(grant, a_refresh_begins_another_term);
    tcase_add_loop_test(grant, refuses_refreshes, 0, COUNT(refreshes));
    tcase_add_test(grant, a_token_overrides_recovery);
    tcase_add_test(grant, a_token_hides_somebody);
    tcase_add_test(grant, a_token_makes_somebody_heard);
    Suite *suite = suite_create("chat/hub_grant");
    suite_add_tcase(suite, grant);
    return run_suite(suite);
}
