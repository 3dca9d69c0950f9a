/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every command of PROTOCOL.md section 3 to one hub that is home to everything: its reply to the
 * byte, its error, or the code that its connection is closed with; and that whatever was refused
 * changed nothing. What takes a second reactor is in hub_posts_test.c.
 */
#include "chat/hub.h"
#include "tests/unit/chat/hub_world.h"

#define NAME_50  "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
#define NAME_255 NAME_50 NAME_50 NAME_50 NAME_50 NAME_50 "nnnnn"

_Static_assert(sizeof(NAME_255) - 1 == 255, "as long as a name may be");

#define SUBSCRIBE(name)   "{\"id\":5,\"subscribe\":{\"channel\":\"" name "\"}}"
#define UNSUBSCRIBE(name) "{\"id\":5,\"unsubscribe\":{\"channel\":\"" name "\"}}"
#define PUBLISH(name)     "{\"id\":5,\"publish\":{\"channel\":\"" name "\",\"data\":{\"a\":1}}}"

/* What a row expects: a disconnect, an error, or else the reply. */
struct row {
    const char *why;
    const char *message;
    uint16_t disconnect;
    uint16_t error;
    const char *reply;
    enum metrics_id refused; /* that goes up by one; METRIC_COUNT: none */
};

static const enum metrics_id none = METRIC_COUNT;

/* -- before `connect` -------------------------------------------------------------------------- */

static const struct row early_rows[] = {
    {"subscribe", SUBSCRIBE("a"), 3501, 0, "", METRIC_COUNT},
    {"unsubscribe", UNSUBSCRIBE("a"), 3501, 0, "", METRIC_COUNT},
    {"publish", PUBLISH("a"), 3501, 0, "", METRIC_COUNT},
    {"presence", "{\"id\":5,\"presence\":{\"channel\":\"a\"}}", 3501, 0, "", METRIC_COUNT},
    {"presence_stats", "{\"id\":5,\"presence_stats\":{\"channel\":\"a\"}}", 3501, 0, "",
     METRIC_COUNT},
    {"history", "{\"id\":5,\"history\":{\"channel\":\"a\"}}", 3501, 0, "", METRIC_COUNT},
    {"ping", "{\"id\":5,\"ping\":{}}", 3501, 0, "", METRIC_COUNT},
    {"send", "{\"send\":{\"data\":{}}}", 3501, 0, "", METRIC_COUNT},
    {"rpc", "{\"id\":5,\"rpc\":{\"method\":\"m\",\"data\":{}}}", 3501, 0, "", METRIC_COUNT},
    {"refresh", "{\"id\":5,\"refresh\":{\"token\":\"t\"}}", 3501, 0, "", METRIC_COUNT},
    {"sub_refresh", "{\"id\":5,\"sub_refresh\":{\"channel\":\"a\",\"token\":\"t\"}}", 3501, 0, "",
     METRIC_COUNT},
    {"pong", "{}", 3501, 0, "", METRIC_COUNT},
    {"connect in the same message, but too late", SUBSCRIBE("a") "\n{\"id\":1,\"connect\":{}}",
     3501, 0, "", METRIC_COUNT},
    {"a name of 17 bytes", "{\"id\":1,\"connect\":{\"name\":\"12345678901234567\"}}", 3501, 0, "",
     METRIC_COUNT},
    {"a version of 65 bytes",
     "{\"id\":1,\"connect\":{\"version\":"
     "\"12345678901234567890123456789012345678901234567890123456789012345\"}}",
     3501, 0, "", METRIC_COUNT},
};

static void check_row(struct client *client, const struct row *row)
{
    const uint16_t reactor = client->conn.reactor;
    const size_t live = hub_count_live(hub_of(client));
    const uint64_t published = metric(reactor, METRIC_PUBLICATIONS);
    const uint64_t refused = row->refused == none ? 0 : metric(reactor, row->refused);
    const uint16_t subscriptions = client->session->subscription_count;

    ck_assert_msg(say(client, row->message) == row->disconnect, "%s", row->why);
    deliver(&world.reactors[reactor]);
    if (row->error != 0) {
        const uint64_t errors =
            metric(reactor, (enum metrics_id)(METRIC_ERRORS_100 + row->error - 100));
        ck_assert_msg(errors == 1, "%s", row->why);
        hear_error(client, 5, row->error);
    } else {
        const struct bytes heard = unread(client);
        ck_assert_msg(is_text(heard, row->reply), "%s: %.*s", row->why, (int)heard.size,
                      (const char *)heard.data);
        client->read = client->size;
    }
    hear_nothing(client);
    if (row->disconnect != 0 || row->error != 0) {
        ck_assert_uint_eq(hub_count_live(hub_of(client)), live);
        ck_assert_uint_eq(metric(reactor, METRIC_PUBLICATIONS), published);
        ck_assert_uint_eq(client->session->subscription_count, subscriptions);
    }
    if (row->refused != none) {
        ck_assert_msg(metric(reactor, row->refused) == refused + 1, "%s", row->why);
    }
}

START_TEST(before_connect)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *client = new_client(0);
    check_row(client, &early_rows[_i]);
    ck_assert_uint_eq(client->session->state, SESSION_NEW);
    close_world();
}
END_TEST

/* -- connect ----------------------------------------------------------------------------------- */

static const struct {
    const char *why;
    const char *message;
    uint16_t disconnect;      /* where anybody may connect */
    uint16_t closed_to_world; /* where one needs a token, and no key is configured */
} connect_rows[] = {
    {"nothing in it", "{\"id\":1,\"connect\":{}}", 0, 3501},
    {"what the JavaScript SDK says", "{\"connect\":{\"name\":\"js\"},\"id\":1}", 0, 3501},
    {"a name of 16 bytes", "{\"id\":1,\"connect\":{\"name\":\"1234567890123456\"}}", 0, 3501},
    {"a version of 64 bytes",
     "{\"id\":1,\"connect\":{\"version\":"
     "\"1234567890123456789012345678901234567890123456789012345678901234\"}}",
     0, 3501},
    {"everything",
     "{\"id\":1,\"connect\":{\"token\":\"\",\"data\":{\"a\":[1]},\"subs\":{},\"headers\":{},"
     "\"flag\":1}}",
     0, 3501},
    {"a token, and no key", "{\"id\":1,\"connect\":{\"token\":\"abc.def.ghi\"}}", 3500, 3500},
    {"too long a name with a token",
     "{\"id\":1,\"connect\":{\"token\":\"t\",\"name\":"
     "\"12345678901234567\"}}",
     3501, 3501},
};

START_TEST(connects)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *client = new_client(0);
    const uint16_t code = say(client, connect_rows[_i].message);
    deliver(&world.reactors[0]);
    ck_assert_msg(code == connect_rows[_i].disconnect, "%s", connect_rows[_i].why);
    if (code == 0) {
        uint8_t id[SESSION_ID_TEXT_SIZE];
        session_write_id(client->session, id);
        char expected[256];
        (void)snprintf(expected, sizeof(expected),
                       "{\"id\":1,\"connect\":{\"client\":\"%.36s\",\"version\":\"parley 0\","
                       "\"ping\":25,\"pong\":true}}\n",
                       (const char *)id);
        ck_assert(is_text((struct bytes){client->inbox, client->size}, expected));
        (void)hear(client, EVENT_CONNECTED, 1);
        ck_assert_uint_eq(client->session->state, SESSION_CONNECTED);
        ck_assert_uint_eq(say(client, "{\"id\":2,\"connect\":{}}"), 3501); /* once */
        deliver(&world.reactors[0]);
    }
    hear_nothing(client);
    close_world();
}
END_TEST

START_TEST(connects_where_one_needs_a_token)
{
    open_world((struct world_options){.hub_count = 1, .closed = true});
    struct client *client = new_client(0);
    ck_assert_msg(say(client, connect_rows[_i].message) == connect_rows[_i].closed_to_world, "%s",
                  connect_rows[_i].why);
    deliver(&world.reactors[0]);
    hear_nothing(client);
    ck_assert_uint_eq(client->session->state, SESSION_NEW);
    ck_assert_uint_eq(say(client, SUBSCRIBE("a")), 3501);
    close_world();
}
END_TEST

/* The first frame of the SDK holds everything. */
START_TEST(connects_and_subscribes_at_once)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *client = new_client(0);
    ask(client,
        "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\",\"flag\":1}}\n"
        "{\"id\":3,\"subscribe\":{\"channel\":\"b\",\"flag\":1}}");
    deliver(&world.reactors[0]);
    (void)hear(client, EVENT_CONNECTED, 1);
    (void)hear(client, EVENT_SUBSCRIBED, 2);
    (void)hear(client, EVENT_SUBSCRIBED, 3);
    hear_nothing(client);
    ck_assert_uint_eq(hub_count_live(hub_of(client)), 1 + 2 + 2);
    close_world();
}
END_TEST

/* -- after `connect`, and subscribed to "in" and "talk:in" ------------------------------------- */

static const struct row rows[] = {
    {"subscribe", SUBSCRIBE("new"), 0, 0, "{\"id\":5,\"subscribe\":{}}\n", METRIC_COUNT},
    {"all of the SDK's fields",
     "{\"id\":5,\"subscribe\":{\"channel\":\"new\",\"recover\":true,\"epoch\":\"e\",\"offset\":7,"
     "\"positioned\":true,\"recoverable\":true,\"join_leave\":true,\"flag\":1,\"delta\":\"fossil\"}"
     "}",
     0, 0, "{\"id\":5,\"subscribe\":{}}\n", METRIC_COUNT},
    {"the longest name", SUBSCRIBE(NAME_255), 0, 0, "{\"id\":5,\"subscribe\":{}}\n", METRIC_COUNT},
    {"a byte more", SUBSCRIBE(NAME_255 "n"), 0, 107, "", METRIC_REJECTED_CHANNEL_NAME},
    {"a space", SUBSCRIBE("a b"), 0, 107, "", METRIC_REJECTED_CHANNEL_NAME},
    {"a newline by an escape", SUBSCRIBE("a\\nb"), 0, 107, "", METRIC_REJECTED_CHANNEL_NAME},
    {"a zero by an escape", SUBSCRIBE("a\\u0000b"), 0, 107, "", METRIC_REJECTED_CHANNEL_NAME},
    {"not ASCII", SUBSCRIBE("caf\xc3\xa9"), 0, 107, "", METRIC_REJECTED_CHANNEL_NAME},
    {"subscribe nowhere", "{\"id\":5,\"subscribe\":{}}", 3501, 0, "", METRIC_COUNT},
    {"subscribe to nothing", SUBSCRIBE(""), 3501, 0, "", METRIC_COUNT},
    {"subscribe again", SUBSCRIBE("in"), 0, 105, "", METRIC_COUNT},
    {"again, by another spelling", SUBSCRIBE("\\u0069n"), 0, 105, "", METRIC_COUNT},
    {"unknown namespace", SUBSCRIBE("what:in"), 0, 102, "", METRIC_REJECTED_UNKNOWN_CHANNEL},
    {"closed namespace", SUBSCRIBE("mute:x"), 0, 103, "", METRIC_REJECTED_PERMISSION_DENIED},
    {"for tokens only", SUBSCRIBE("$in"), 0, 103, "", METRIC_REJECTED_PERMISSION_DENIED},
    {"a dialog", SUBSCRIBE("d#1,2"), 0, 103, "", METRIC_REJECTED_PERMISSION_DENIED},
    {"a quote in the name", SUBSCRIBE("a\\\"b"), 0, 0, "{\"id\":5,\"subscribe\":{}}\n",
     METRIC_COUNT},

    {"unsubscribe", UNSUBSCRIBE("in"), 0, 0, "{\"id\":5,\"unsubscribe\":{}}\n", METRIC_COUNT},
    {"where one is not", UNSUBSCRIBE("out"), 0, 0, "{\"id\":5,\"unsubscribe\":{}}\n", METRIC_COUNT},
    {"where nobody can be", UNSUBSCRIBE("what:\\n"), 0, 0, "{\"id\":5,\"unsubscribe\":{}}\n",
     METRIC_COUNT},
    {"from too long a name", UNSUBSCRIBE(NAME_255 "n"), 0, 0, "{\"id\":5,\"unsubscribe\":{}}\n",
     METRIC_COUNT},
    {"unsubscribe nowhere", "{\"id\":5,\"unsubscribe\":{}}", 3501, 0, "", METRIC_COUNT},

    {"publish where nobody is", PUBLISH("out"), 0, 0, "{\"id\":5,\"publish\":{}}\n", METRIC_COUNT},
    {"publish without data", "{\"id\":5,\"publish\":{\"channel\":\"in\"}}", 3501, 0, "",
     METRIC_COUNT},
    {"publish nowhere", "{\"id\":5,\"publish\":{\"data\":{}}}", 3501, 0, "", METRIC_COUNT},
    {"publish to nothing", PUBLISH(""), 3501, 0, "", METRIC_COUNT},
    {"publish to a bad name", PUBLISH("a b"), 0, 107, "", METRIC_REJECTED_CHANNEL_NAME},
    {"publish to too long a name", PUBLISH(NAME_255 "n"), 0, 107, "", METRIC_REJECTED_CHANNEL_NAME},
    {"publish to an unknown one", PUBLISH("what:x"), 0, 102, "", METRIC_REJECTED_UNKNOWN_CHANNEL},
    {"publish to listeners", PUBLISH("read:x"), 0, 103, "", METRIC_REJECTED_PERMISSION_DENIED},
    {"publish to a closed one", PUBLISH("mute:x"), 0, 103, "", METRIC_REJECTED_PERMISSION_DENIED},
    {"where only subscribers may", PUBLISH("talk:out"), 0, 103, "",
     METRIC_REJECTED_PERMISSION_DENIED},

    {"ping", "{\"id\":5,\"ping\":{}}", 0, 0, "{\"id\":5,\"ping\":{}}\n", METRIC_COUNT},
    {"the largest id", "{\"id\":4294967295,\"ping\":{}}", 0, 0, "{\"id\":4294967295,\"ping\":{}}\n",
     METRIC_COUNT},
    {"presence", "{\"id\":5,\"presence\":{\"channel\":\"in\"}}", 0, 108, "", METRIC_COUNT},
    {"presence_stats", "{\"id\":5,\"presence_stats\":{\"channel\":\"in\"}}", 0, 108, "",
     METRIC_COUNT},
    {"history", "{\"id\":5,\"history\":{\"channel\":\"in\",\"limit\":10}}", 0, 108, "",
     METRIC_COUNT},
    {"rpc", "{\"id\":5,\"rpc\":{\"method\":\"m\",\"data\":{}}}", 0, 108, "", METRIC_COUNT},
    {"refresh", "{\"id\":5,\"refresh\":{\"token\":\"t\"}}", 0, 108, "", METRIC_COUNT},
    {"sub_refresh", "{\"id\":5,\"sub_refresh\":{\"channel\":\"in\",\"token\":\"t\"}}", 0, 108, "",
     METRIC_COUNT},
    {"send", "{\"send\":{\"data\":{}}}", 3508, 0, "", METRIC_COUNT},
    {"send with an id", "{\"id\":5,\"send\":{\"data\":{}}}", 3508, 0, "", METRIC_COUNT},
    {"pong", "{}", 3501, 0, "", METRIC_COUNT},
    {"a second connect", "{\"id\":5,\"connect\":{}}", 3501, 0, "", METRIC_COUNT},
};

START_TEST(after_connect)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *client = connected_client(0);
    ask(client, SUBSCRIBE("in") "\n" SUBSCRIBE("talk:in"));
    deliver(&world.reactors[0]);
    (void)hear(client, EVENT_SUBSCRIBED, 5);
    (void)hear(client, EVENT_SUBSCRIBED, 5);
    check_row(client, &rows[_i]);
    close_world();
}
END_TEST

/* A publisher that is subscribed hears itself, as everybody else does, with who it was. */
START_TEST(publishes)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *alice = connected_client(0);
    struct client *bob = connected_client(0);
    struct client *carol = connected_client(0);
    ask(alice, SUBSCRIBE("in"));
    ask(bob, SUBSCRIBE("in"));
    deliver(&world.reactors[0]);
    (void)hear(alice, EVENT_SUBSCRIBED, 5);
    (void)hear(bob, EVENT_SUBSCRIBED, 5);

    ask(alice, "{\"id\":6,\"publish\":{\"channel\":\"in\",\"data\":{\"a\":\n1}}}");
    ask(carol, "{\"id\":7,\"publish\":{\"channel\":\"in\",\"data\":\"two\"}}");
    deliver(&world.reactors[0]);
    (void)hear(alice, EVENT_PUBLISHED, 6);
    (void)hear(carol, EVENT_PUBLISHED, 7);
    hear_nothing(carol);

    uint8_t id[SESSION_ID_TEXT_SIZE];
    for (int i = 0; i < 2; i++) {
        struct client *client = i == 0 ? alice : bob;
        session_write_id(alice->session, id);
        const struct event first = hear(client, EVENT_PUBLICATION, 0);
        ck_assert(is_text(first.channel, "in"));
        ck_assert(is_text(first.data, "{\"a\":1}"));
        ck_assert_mem_eq(first.client.data, id, sizeof(id));
        ck_assert_uint_eq(first.offset, 0);
        session_write_id(carol->session, id);
        const struct event second = hear(client, EVENT_PUBLICATION, 0);
        ck_assert(is_text(second.data, "\"two\""));
        ck_assert_mem_eq(second.client.data, id, sizeof(id));
        hear_nothing(client);
    }
    ck_assert_uint_eq(metric(0, METRIC_PUBLICATIONS), 2);
    close_world();
}
END_TEST

START_TEST(publishes_where_only_subscribers_may)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *client = connected_client(0);
    ask(client, SUBSCRIBE("talk:x"));
    ask(client, "{\"id\":6,\"publish\":{\"channel\":\"talk:x\",\"data\":1}}");
    ask(client, "{\"id\":7,\"unsubscribe\":{\"channel\":\"talk:x\"}}");
    ask(client, "{\"id\":8,\"publish\":{\"channel\":\"talk:x\",\"data\":2}}");
    deliver(&world.reactors[0]);
    (void)hear(client, EVENT_SUBSCRIBED, 5);
    (void)hear(client, EVENT_PUBLISHED, 6);
    (void)hear(client, EVENT_UNSUBSCRIBED, 7);
    hear_error(client, 8, CODES_ERROR_PERMISSION_DENIED);
    hear_nothing(client); /* it had left before the first was delivered */
    close_world();
}
END_TEST

START_TEST(limits_subscriptions)
{
    enum { LIMIT = 8 };
    open_world((struct world_options){.hub_count = 1});
    struct client *client = connected_client(0);
    for (uint32_t i = 0; i < LIMIT; i++) {
        ask(client, "{\"id\":%u,\"subscribe\":{\"channel\":\"c%u\"}}", 10 + i, i);
    }
    const size_t live = hub_count_live(hub_of(client));
    ask(client, "{\"id\":20,\"subscribe\":{\"channel\":\"c8\"}}");
    ask(client, "{\"id\":21,\"subscribe\":{\"channel\":\"c7\"}}"); /* 105 says more than 106 */
    deliver(&world.reactors[0]);
    for (uint32_t i = 0; i < LIMIT; i++) {
        (void)hear(client, EVENT_SUBSCRIBED, 10 + i);
    }
    hear_error(client, 20, CODES_ERROR_LIMIT_EXCEEDED);
    hear_error(client, 21, CODES_ERROR_ALREADY_SUBSCRIBED);
    ck_assert_uint_eq(hub_count_live(hub_of(client)), live);
    ck_assert_uint_eq(metric(0, METRIC_REJECTED_CHANNEL_LIMIT), 1);

    ask(client, "{\"id\":22,\"unsubscribe\":{\"channel\":\"c3\"}}");
    ask(client, "{\"id\":23,\"subscribe\":{\"channel\":\"c8\"}}");
    deliver(&world.reactors[0]);
    (void)hear(client, EVENT_UNSUBSCRIBED, 22);
    (void)hear(client, EVENT_SUBSCRIBED, 23);
    hear_nothing(client);
    close_world();
}
END_TEST

int main(void)
{
    TCase *commands = tcase_create("commands");
    tcase_add_loop_test(commands, before_connect, 0, COUNT(early_rows));
    tcase_add_loop_test(commands, connects, 0, COUNT(connect_rows));
    tcase_add_loop_test(commands, connects_where_one_needs_a_token, 0, COUNT(connect_rows));
    tcase_add_test(commands, connects_and_subscribes_at_once);
    tcase_add_loop_test(commands, after_connect, 0, COUNT(rows));
    tcase_add_test(commands, publishes);
    tcase_add_test(commands, publishes_where_only_subscribers_may);
    tcase_add_test(commands, limits_subscriptions);
    Suite *suite = suite_create("chat/hub: commands");
    suite_add_tcase(suite, commands);
    return run_suite(suite);
}
