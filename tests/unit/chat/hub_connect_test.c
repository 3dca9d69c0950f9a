/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who comes and who stays: tokens of every verdict at connect and at refresh, what others are told
 * of somebody with a user id, and the end of a token by the clock.
 */
#include "tests/unit/chat/fake_verifier.h"
#include "tests/unit/chat/hub_world.h"

#define TEXT(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }
#define TEN "0123456789"

static const uint64_t ns_per_s = 1000000000;

static const char long_user[] = TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN
    TEN TEN TEN TEN TEN TEN TEN TEN "abcdef"; /* a byte more than may be */

static const struct fake_token tokens[] = {
    {"ann", CLAIMS_CONNECTION, {.user = TEXT("ann"), .info = TEXT("{\"name\": \"Ann\\n\"}")}},
    {"ann10", CLAIMS_CONNECTION, {.user = TEXT("ann"), .expires = true, .ttl_s = 10}},
    {"ann20",
     CLAIMS_CONNECTION,
     {.user = TEXT("ann"), .expires = true, .ttl_s = 20, .info = TEXT("\"new\"")}},
    {"bob", CLAIMS_CONNECTION, {.user = TEXT("bob")}},
    {"nobody", CLAIMS_CONNECTION, {.info = TEXT("1")}},
    {"bad info", CLAIMS_CONNECTION, {.user = TEXT("ann"), .info = TEXT("{")}},
    {"bad meta", CLAIMS_CONNECTION, {.user = TEXT("ann"), .meta = TEXT("nil")}},
    {"long", CLAIMS_CONNECTION, {.user = TEXT(long_user)}},
    {"sub", CLAIMS_SUBSCRIPTION, {.user = TEXT("ann"), .channel = TEXT("a")}},
};
static struct fake_tokens all = {tokens, COUNT(tokens)};
static struct claims_verifier verifier = {fake_verify, &all};

static void open_one(uint16_t hub_count)
{
    open_world((struct world_options){.hub_count = hub_count, .verifier = &verifier});
}

/* Somebody who has connected with this token. */
static struct client *signed_in(uint16_t reactor, const char *token)
{
    struct client *client = new_client(reactor);
    ask(client, "{\"id\":1,\"connect\":{\"token\":\"%s\"}}", token);
    settle();
    (void)hear(client, EVENT_CONNECTED, 1);
    return client;
}

/* Why the hub itself did not take the token that was shown last; it says so once. NULL: it did. */
static void check_objection(const struct client *client, const char *reason)
{
    const struct hub_objection objection = hub_take_objection(hub_of(client));
    ck_assert_pstr_eq(objection.reason, reason);
    ck_assert(reason == NULL || objection.why[0] != '\0');
    ck_assert_ptr_null(hub_take_objection(hub_of(client)).reason);
}

static const struct {
    const char *why;
    const char *token;
    uint16_t disconnect; /* else the error, else it is accepted */
    enum codes_error error;
    const char *objection; /* the hub's own; NULL: none */
} connects[] = {
    {"a user", "ann", 0, CODES_ERROR_NONE, NULL},
    {"a token without a user", "nobody", 0, CODES_ERROR_NONE, NULL},
    {"of the past: the SDK asks for another", "expired", 0, CODES_ERROR_TOKEN_EXPIRED, NULL},
    {"its key is not there yet", "later", 0, CODES_ERROR_INTERNAL, NULL},
    {"made by somebody else", "mallory", CODES_DISCONNECT_INVALID_TOKEN, CODES_ERROR_NONE, NULL},
    {"for a channel", "sub", CODES_DISCONNECT_INVALID_TOKEN, CODES_ERROR_NONE, NULL},
    {"an info that is not JSON", "bad info", CODES_DISCONNECT_INVALID_TOKEN, CODES_ERROR_NONE,
     "bad_claims"},
    {"a meta that is not JSON", "bad meta", CODES_DISCONNECT_INVALID_TOKEN, CODES_ERROR_NONE,
     "bad_claims"},
    {"a user id that is too long", "long", CODES_DISCONNECT_INVALID_TOKEN, CODES_ERROR_NONE,
     "bad_claims"},
};

START_TEST(judges_connects)
{
    char command[64];
    open_one(1);
    struct client *client = new_client(0);
    (void)snprintf(command, sizeof(command), "{\"id\":1,\"connect\":{\"token\":\"%s\"}}",
                   connects[_i].token);

    ck_assert_msg(say(client, command) == connects[_i].disconnect, "%s", connects[_i].why);
    check_objection(client, connects[_i].objection);
    settle();
    if (connects[_i].error != CODES_ERROR_NONE) {
        hear_error(client, 1, connects[_i].error);
        /* What came with it is not answered, and it may not try again here. */
        ask(client, "{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}");
        settle();
        hear_nothing(client);
        ck_assert_uint_eq(say(client, command), CODES_DISCONNECT_BAD_REQUEST);
    } else if (connects[_i].disconnect == 0) {
        const struct event event = hear(client, EVENT_CONNECTED, 1);
        ck_assert(!event.expires);
        ck_assert_uint_eq(event.ttl_s, 0);
        ck_assert_uint_eq(say(client, command), CODES_DISCONNECT_BAD_REQUEST);
    }
    close_world();
}
END_TEST

START_TEST(a_token_is_needed_where_the_anonymous_are_not_let_in)
{
    open_world((struct world_options){.hub_count = 1, .verifier = &verifier, .closed = true});
    struct client *client = new_client(0);
    ck_assert_uint_eq(say(client, "{\"id\":1,\"connect\":{}}"), CODES_DISCONNECT_BAD_REQUEST);
    check_objection(client, "none");
    (void)signed_in(0, "ann");
    (void)signed_in(0, "nobody");
    close_world();
}
END_TEST

START_TEST(without_a_key_no_token_is_good)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *client = new_client(0);
    ck_assert_uint_eq(say(client, "{\"id\":1,\"connect\":{\"token\":\"ann\"}}"),
                      CODES_DISCONNECT_INVALID_TOKEN);
    check_objection(client, "no_key");
    client = connected_client(0);
    ask(client, "{\"id\":2,\"refresh\":{\"token\":\"ann\"}}");
    settle();
    hear_error(client, 2, CODES_ERROR_NOT_AVAILABLE);
    close_world();
}
END_TEST

/* -- what others are told ---------------------------------------------------------------------- */

START_TEST(others_are_told_who_it_is)
{
    static const char info[] = "{\"name\":\"Ann\\n\"}";
    open_one(2);
    struct client *bob = signed_in(0, "bob");
    struct client *ann = signed_in(1, "ann");

    ask(bob, "{\"id\":2,\"subscribe\":{\"channel\":\"live:a\"}}");
    settle();
    (void)hear(bob, EVENT_SUBSCRIBED, 2);
    const struct event own = hear(bob, EVENT_JOIN, 0);
    ck_assert(is_text(own.user, "bob"));
    ck_assert_uint_eq(own.conn_info.size, 0);

    ask(ann, "{\"id\":2,\"subscribe\":{\"channel\":\"live:a\"}}");
    settle();
    const struct event join = hear(bob, EVENT_JOIN, 0);
    ck_assert(is_text(join.user, "ann"));
    ck_assert(is_text(join.conn_info, info));

    ask(ann, "{\"id\":3,\"publish\":{\"channel\":\"live:a\",\"data\":1}}");
    settle();
    const struct event publication = hear(bob, EVENT_PUBLICATION, 0);
    ck_assert(is_text(publication.user, "ann"));
    ck_assert(is_text(publication.conn_info, info));

    ask(bob, "{\"id\":4,\"presence\":{\"channel\":\"live:a\"}}");
    settle();
    const struct event presence = hear(bob, EVENT_PRESENCE, 4);
    ck_assert_ptr_nonnull(
        memmem(presence.members.data, presence.members.size, info, sizeof(info) - 1));

    /* What is said of somebody who left is what was known, though the session has gone. */
    hang_up(ann);
    pass(ns_per_s);
    const struct event leave = hear(bob, EVENT_LEAVE, 0);
    ck_assert(is_text(leave.user, "ann"));
    ck_assert(is_text(leave.conn_info, info));
    close_world();
}
END_TEST

START_TEST(counts_users_and_not_connections)
{
    open_one(2);
    struct client *ann = signed_in(0, "ann");
    struct client *others[] = {signed_in(1, "ann"), signed_in(1, "bob"), connected_client(0),
                               connected_client(1), signed_in(0, "nobody")};

    ask(ann, "{\"id\":2,\"subscribe\":{\"channel\":\"live:a\"}}");
    for (int i = 0; i < COUNT(others); i++) {
        ask(others[i], "{\"id\":2,\"subscribe\":{\"channel\":\"live:a\"}}");
    }
    settle();
    ann->read = ann->size;
    ask(ann, "{\"id\":3,\"presence_stats\":{\"channel\":\"live:a\"}}");
    settle();
    const struct event stats = hear(ann, EVENT_PRESENCE_STATS, 3);
    ck_assert_uint_eq(stats.client_count, 6);
    ck_assert_uint_eq(stats.user_count, 3); /* all without a name are one */
    close_world();
}
END_TEST

/* -- terms ------------------------------------------------------------------------------------- */

START_TEST(a_connection_ends_with_its_token)
{
    open_one(1);
    struct client *client = new_client(0);
    ask(client, "{\"id\":1,\"connect\":{\"token\":\"ann10\"}}");
    settle();
    const struct event event = hear(client, EVENT_CONNECTED, 1);
    ck_assert(event.expires);
    ck_assert_uint_eq(event.ttl_s, 10);

    pass(14 * ns_per_s); /* 5 s of grace */
    hear_nothing(client);
    pass(2 * ns_per_s);
    ck_assert_uint_eq(client->disconnected, CODES_DISCONNECT_EXPIRED);
    pass(60 * ns_per_s);
    ck_assert_uint_eq(client->disconnect_count, 1);
    ck_assert_uint_eq(metric(0, METRIC_EXPIRED_CONNECTIONS), 1);
    close_world();
}
END_TEST

START_TEST(a_refresh_begins_another_term)
{
    open_one(1);
    struct client *client = signed_in(0, "ann10");

    pass(14 * ns_per_s);
    ask(client, "{\"id\":2,\"refresh\":{\"token\":\"ann20\"}}");
    settle();
    const struct event event = hear(client, EVENT_REFRESHED, 2);
    ck_assert(event.expires);
    ck_assert_uint_eq(event.ttl_s, 20);
    ck_assert_uint_eq(event.client.size, SESSION_ID_TEXT_SIZE);
    ask(client, "{\"id\":3,\"subscribe\":{\"channel\":\"live:a\"}}");
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 3);
    ck_assert(is_text(hear(client, EVENT_JOIN, 0).conn_info, "\"new\""));

    pass(24 * ns_per_s);
    hear_nothing(client);
    ask(client, "{\"id\":4,\"refresh\":{\"token\":\"ann\"}}"); /* for ever */
    settle();
    ck_assert(!hear(client, EVENT_REFRESHED, 4).expires);
    pass(1000 * ns_per_s);
    hear_nothing(client);
    close_world();
}
END_TEST

static const struct {
    const char *why;
    const char *token;
    uint16_t disconnect;
} refreshes[] = {
    {"none", "", CODES_DISCONNECT_BAD_REQUEST},
    {"of another user", "bob", CODES_DISCONNECT_INVALID_TOKEN},
    {"of nobody", "nobody", CODES_DISCONNECT_INVALID_TOKEN},
    {"made by somebody else", "mallory", CODES_DISCONNECT_INVALID_TOKEN},
    {"for a channel", "sub", CODES_DISCONNECT_INVALID_TOKEN},
    {"of bad claims", "bad info", CODES_DISCONNECT_INVALID_TOKEN},
    {"of the past", "expired", CODES_DISCONNECT_EXPIRED},
};

START_TEST(refuses_refreshes)
{
    char command[64];
    open_one(1);
    struct client *client = signed_in(0, "ann10");
    (void)snprintf(command, sizeof(command), "{\"id\":2,\"refresh\":{\"token\":\"%s\"}}",
                   refreshes[_i].token);
    ck_assert_msg(say(client, command) == refreshes[_i].disconnect, "%s", refreshes[_i].why);
    close_world();
}
END_TEST

START_TEST(a_refresh_that_cannot_be_judged_changes_nothing)
{
    open_one(1);
    struct client *client = signed_in(0, "ann10");
    ask(client, "{\"id\":2,\"refresh\":{\"token\":\"later\"}}");
    settle();
    const struct event event = hear(client, EVENT_ERROR, 2);
    ck_assert_uint_eq(event.code, CODES_ERROR_INTERNAL);
    ck_assert(event.temporary);
    pass(16 * ns_per_s);
    ck_assert_uint_eq(client->disconnected, CODES_DISCONNECT_EXPIRED);

    /* Who came without a token has nothing that could be renewed. */
    struct client *anonymous = connected_client(0);
    ck_assert_uint_eq(say(anonymous, "{\"id\":2,\"refresh\":{\"token\":\"nobody\"}}"),
                      CODES_DISCONNECT_INVALID_TOKEN);
    close_world();
}
END_TEST

int main(void)
{
    TCase *connect = tcase_create("connect");
    tcase_add_loop_test(connect, judges_connects, 0, COUNT(connects));
    tcase_add_test(connect, a_token_is_needed_where_the_anonymous_are_not_let_in);
    tcase_add_test(connect, without_a_key_no_token_is_good);
    tcase_add_test(connect, others_are_told_who_it_is);
    tcase_add_test(connect, counts_users_and_not_connections);
    tcase_add_test(connect, a_connection_ends_with_its_token);
    tcase_add_test(connect, a_refresh_begins_another_term);
    tcase_add_loop_test(connect, refuses_refreshes, 0, COUNT(refreshes));
    tcase_add_test(connect, a_refresh_that_cannot_be_judged_changes_nothing);
    Suite *suite = suite_create("chat/hub_connect");
    suite_add_tcase(suite, connect);
    return run_suite(suite);
}
