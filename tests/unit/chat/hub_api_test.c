/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a back end asks, on one to three reactors, wherever the home of the channel is: publications
 * that clients hear, history, presence, refusals, and askers that have gone. The connections of the
 * back ends are clients that never connect.
 */
#include "chat/hub_api.h"

#include "chat/order.h"
#include "tests/unit/chat/hub_world.h"

static const char *const channels[] = {"hist:a", "hist:b", "hist:c", "hist:d", "hist:e", "hist:f"};

static struct hub_api_asker asker(const struct client *client, uint32_t part)
{
    return (struct hub_api_asker){client->conn, part};
}

static void publish_as(struct client *client, uint32_t part, const char *channel,
                       struct api_publish publish)
{
    ck_assert(hub_is_ready(hub_of(client)));
    hub_api_publish(hub_of(client), asker(client, part), view(channel), &publish);
}

static void publish(struct client *client, uint32_t part, const char *channel, const char *data)
{
    publish_as(client, part, channel, (struct api_publish){.data = view(data)});
}

static void ask_as(struct client *client, uint32_t part, struct api_command command)
{
    ck_assert(hub_is_ready(hub_of(client)));
    hub_api_ask(hub_of(client), asker(client, part), &command);
}

/* The next line that the back end got begins like this. */
static void hear_answer(struct client *client, const char *expected)
{
    const struct bytes got = unread(client);
    ck_assert_msg(got.size >= strlen(expected) && memcmp(got.data, expected, strlen(expected)) == 0,
                  "%.*s, and not %s", (int)got.size, (const char *)got.data, expected);
    const uint8_t *end = memchr(got.data, '\n', got.size);
    ck_assert_ptr_nonnull(end);
    client->read += (size_t)(end - got.data) + 1;
}

static void subscribe(struct client *client, const char *channel)
{
    ask(client, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", channel);
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 2);
}

START_TEST(clients_hear_it)
{
    const uint16_t hub_count = (uint16_t)(_i + 1);
    open_world((struct world_options){.hub_count = hub_count});
    struct client *back_end = new_client((uint16_t)(hub_count - 1));
    struct client *member = connected_client(0);
    for (int i = 0; i < COUNT(channels); i++) {
        subscribe(member, channels[i]);
        publish_as(back_end, 7, channels[i],
                   (struct api_publish){.data = view("{\"n\":1}"), .tags = view("{\"t\":\"v\"}")});
        publish(back_end, 8, channels[i], "2");
        ck_assert_uint_eq(unread(back_end).size, 0); /* never before the call has returned */
        settle();
        hear_answer(back_end, "7 0 {\"offset\":1,\"epoch\":\"");
        hear_answer(back_end, "8 0 {\"offset\":2,\"epoch\":\"");
        struct event event = hear(member, EVENT_PUBLICATION, 0);
        ck_assert(is_text(event.data, "{\"n\":1}"));
        ck_assert(is_text(event.tags, "{\"t\":\"v\"}"));
        ck_assert_uint_eq(event.client.size + event.user.size, 0);
        hear_publication(member, channels[i], "2");
    }
    publish(back_end, 1, "plain", "1");
    settle();
    hear_answer(back_end, "1 0 {}\n");
    close_world();
}
END_TEST

/* Who is there hears it in its place, and has the position that it had. */
START_TEST(history_is_skipped)
{
    const uint16_t hub_count = (uint16_t)(_i + 1);
    const struct api_publish passing = {.data = view("\"passes\""), .skip_history = true};
    open_world((struct world_options){.hub_count = hub_count});
    struct client *back_end = new_client((uint16_t)(hub_count - 1));
    struct client *member = connected_client(0);
    for (int i = 0; i < COUNT(channels); i++) {
        struct client *late = connected_client(0);
        subscribe(member, channels[i]);
        publish(back_end, 1, channels[i], "1");
        publish_as(back_end, 2, channels[i], passing);
        ask(late, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", channels[i]);
        publish(back_end, 3, channels[i], "2");
        publish_as(back_end, 4, channels[i], passing);
        settle();
        hear_answer(back_end, "1 0 {\"offset\":1,");
        hear_answer(back_end, "2 0 {}\n");
        hear_answer(back_end, "3 0 {\"offset\":2,");
        hear_answer(back_end, "4 0 {}\n");
        const uint64_t offsets[] = {1, 0, 2, 0};
        for (int j = 0; j < COUNT(offsets); j++) {
            ck_assert_uint_eq(hear(member, EVENT_PUBLICATION, 0).offset, offsets[j]);
        }
        /* Whoever came between them has the rest of what has an offset, and has it once. */
        uint64_t top = hear(late, EVENT_SUBSCRIBED, 2).offset;
        while (unread(late).size > 0) {
            const struct event event = hear(late, EVENT_PUBLICATION, 0);
            ck_assert(event.offset == 0 || event.offset == top + 1);
            top += event.offset != 0;
        }
        ck_assert_uint_eq(top, 2);
        ask_as(back_end, 5,
               (struct api_command){.method = API_HISTORY,
                                    .history = {.channel = view(channels[i]), .limit = 10}});
        settle();
        hear_answer(back_end, "5 0 {\"publications\":[{\"data\":1,\"offset\":1},"
                              "{\"data\":2,\"offset\":2}],\"epoch\":\"");
        hear_nothing(member);
        hang_up(late);
    }
    close_world();
}
END_TEST

START_TEST(versions)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *back_end = new_client(0);
    struct api_publish state = {.data = view("1"), .version = 5, .version_epoch = view("a")};
    for (int i = 0; i < COUNT(channels); i++) {
        state.version_epoch = view("a");
        publish_as(back_end, 1, channels[i], state);
        publish_as(back_end, 2, channels[i], state);
        state.version_epoch = view("b");
        publish_as(back_end, 3, channels[i], state);
        settle();
        hear_answer(back_end, "1 0 {\"offset\":1,\"epoch\":\"");
        hear_answer(back_end, "2 0 {\"offset\":1,\"epoch\":\"");
        hear_answer(back_end, "3 0 {\"offset\":2,\"epoch\":\"");
    }
    close_world();
}
END_TEST

START_TEST(a_repeat)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *back_end = new_client(0);
    const struct api_publish once = {.data = view("1"), .key = view("k")};
    const struct api_publish other = {.data = view("2"), .key = view("k")};
    for (int i = 0; i < COUNT(channels); i++) {
        publish_as(back_end, 1, channels[i], once);
        publish_as(back_end, 2, channels[i], once);
        publish_as(back_end, 3, channels[i], other);
        settle();
        hear_answer(back_end, "1 0 {\"offset\":1,");
        hear_answer(back_end, "2 0 {\"offset\":1,");
        hear_answer(back_end, "3 107 \n");
    }
    close_world();
}
END_TEST

START_TEST(history_and_presence)
{
    const uint16_t hub_count = (uint16_t)(_i + 1);
    open_world((struct world_options){.hub_count = hub_count});
    struct client *back_end = new_client(0);
    for (int i = 0; i < COUNT(channels); i++) {
        publish(back_end, 1, channels[i], "1");
        publish(back_end, 2, channels[i], "2");
        settle();
        back_end->read = back_end->size;
        ask_as(back_end, 3,
               (struct api_command){.method = API_HISTORY,
                                    .history = {.channel = view(channels[i]), .limit = 10}});
        settle();
        hear_answer(back_end, "3 0 {\"publications\":[{\"data\":1,\"offset\":1},"
                              "{\"data\":2,\"offset\":2}],\"epoch\":\"");
        ask_as(back_end, 4,
               (struct api_command){.method = API_HISTORY,
                                    .history = {.channel = view(channels[i]),
                                                .limit = 10,
                                                .has_since = true,
                                                .since_offset = 9}});
        settle();
        hear_answer(back_end, "4 112 \n");
        /* What is forgotten keeps its place. */
        ask_as(back_end, 5,
               (struct api_command){.method = API_HISTORY_REMOVE, .presence = {view(channels[i])}});
        settle();
        hear_answer(back_end, "5 0 {}\n");
        publish(back_end, 6, channels[i], "3");
        ask_as(back_end, 7,
               (struct api_command){.method = API_HISTORY,
                                    .history = {.channel = view(channels[i]), .limit = 10}});
        settle();
        hear_answer(back_end, "6 0 {\"offset\":3,");
        hear_answer(back_end, "7 0 {\"publications\":[{\"data\":3,\"offset\":3}]");
    }
    struct client *member = connected_client((uint16_t)(hub_count - 1));
    subscribe(member, "live:x");
    ask_as(back_end, 5, (struct api_command){.method = API_PRESENCE, .presence = {view("live:x")}});
    ask_as(back_end, 6,
           (struct api_command){.method = API_PRESENCE_STATS, .presence = {view("live:x")}});
    settle();
    hear_answer(back_end, "5 0 {\"presence\":{\"");
    hear_answer(back_end, "6 0 {\"num_clients\":1,\"num_users\":1}\n");
    close_world();
}
END_TEST

/* Over all reactors, each channel once; and by patterns. */
START_TEST(lists_channels)
{
    static const struct {
        const char *pattern;
        const char *answer;
    } patterns[] = {
        {"", "\"a\":{\"num_clients\":3},\"ab\":{\"num_clients\":1}"},
        {"*", "\"a\":{\"num_clients\":3},\"ab\":{\"num_clients\":1}"},
        {"a", "\"a\":{\"num_clients\":3}"},
        {"?b", "\"ab\":{\"num_clients\":1}"},
        {"*b*", "\"ab\":{\"num_clients\":1}"},
        {"a**b", "\"ab\":{\"num_clients\":1}"},
        {"a?b", ""},
        {"b*", ""},
    };
    open_world((struct world_options){.hub_count = 3});
    struct client *back_end = new_client(1);
    for (uint16_t i = 0; i < 3; i++) {
        subscribe(connected_client(i), "a");
    }
    subscribe(connected_client(2), "ab");
    for (int i = 0; i < COUNT(patterns); i++) {
        char line[128];
        struct api_command command = {.method = API_CHANNELS};
        if (patterns[i].pattern[0] != '\0') {
            command.channels.channel = view(patterns[i].pattern);
        }
        ask_as(back_end, 1, command);
        settle();
        (void)snprintf(line, sizeof(line), "1 0 {\"channels\":{%s}}\n", patterns[i].answer);
        hear_answer(back_end, line);
    }
    close_world();
}
END_TEST

static void order_as(struct client *client, uint32_t part, struct order order)
{
    ck_assert(hub_is_ready(hub_of(client)));
    hub_api_order(hub_of(client), asker(client, part), &order);
    settle();
}

/* Without a user it is by the client's id, on whatever reactor that is. */
START_TEST(orders_are_obeyed)
{
    open_world((struct world_options){.hub_count = 3});
    struct client *back_end = new_client(0);
    struct client *member = connected_client((uint16_t)_i);
    struct client *other = connected_client((uint16_t)_i);
    const struct id id = id_of(member);
    const struct bytes client = {id.text, sizeof(id.text)};

    order_as(back_end, 1,
             (struct order){.kind = ORDER_SUBSCRIBE, .client = client, .channel = view("hist:a")});
    hear_answer(back_end, "1 0 {}\n");
    (void)hear(member, EVENT_SUBSCRIBE_PUSH, 0);
    publish(back_end, 2, "hist:a", "1");
    settle();
    hear_answer(back_end, "2 0 ");
    hear_publication(member, "hist:a", "1");
    order_as(
        back_end, 3,
        (struct order){.kind = ORDER_UNSUBSCRIBE, .client = client, .channel = view("hist:a")});
    hear_answer(back_end, "3 0 {}\n");
    ck_assert_uint_eq(hear(member, EVENT_UNSUBSCRIBE_PUSH, 0).code, CODES_UNSUBSCRIBE_SERVER);
    order_as(back_end, 4, (struct order){.kind = ORDER_DISCONNECT, .client = client, .code = 4000});
    hear_answer(back_end, "4 0 {}\n");
    ck_assert_uint_eq(member->disconnected, 4000);
    ck_assert_uint_eq(member->disconnect_count, 1);
    /* Once is enough. */
    order_as(back_end, 5, (struct order){.kind = ORDER_DISCONNECT, .client = client, .code = 4000});
    hear_answer(back_end, "5 0 {}\n");
    ck_assert_uint_eq(member->disconnect_count, 1);
    order_as(back_end, 6,
             (struct order){.kind = ORDER_UNSUBSCRIBE, .client = client, .channel = view("no:x")});
    hear_answer(back_end, "6 102 \n");
    order_as(
        back_end, 7,
        (struct order){
            .kind = ORDER_SUBSCRIBE, .client = client, .channel = view("a"), .info = view("[")});
    hear_answer(back_end, "7 107 \n");
    hear_nothing(other);
    close_world();
}
END_TEST

/* What it waits for and what it still says are without effect: it is told of neither. */
START_TEST(who_has_to_go_comes_into_nothing)
{
    char far[NAME_SIZE];
    char near[NAME_SIZE];
    open_world((struct world_options){.hub_count = 2});
    struct client *back_end = new_client(0);
    struct client *member = connected_client(0);
    struct client *other = connected_client(0);
    const struct id id = id_of(member);

    subscribe(other, name_at(near, 0, 0));
    ask(member, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", name_at(far, 1, 0));
    const struct order order = {
        .kind = ORDER_DISCONNECT, .client = {id.text, sizeof(id.text)}, .code = 4000};
    hub_api_order(hub_of(back_end), asker(back_end, 1), &order);
    ask(member, "{\"id\":3,\"publish\":{\"channel\":\"%s\",\"data\":1}}", near);
    settle();
    ck_assert_uint_eq(member->disconnect_count, 1);
    publish(back_end, 2, far, "1");
    settle();
    ck_assert_uint_eq(unread(member).size, 0);
    hear_nothing(other);
    close_world();
}
END_TEST

static const uint64_t second_ns = 1000000000;

/* Whoever it is, with a token or without: it is told of its end, and ends some time after that. */
START_TEST(an_end_is_set)
{
    open_world((struct world_options){.hub_count = 3});
    struct client *back_end = new_client(0);
    struct client *member = connected_client((uint16_t)_i);
    struct client *other = connected_client((uint16_t)_i);
    const struct id id = id_of(member);
    struct order order = {
        .kind = ORDER_REFRESH, .client = {id.text, sizeof(id.text)}, .has_ttl = true};

    order.ttl_s = 10;
    order_as(back_end, 1, order);
    hear_answer(back_end, "1 0 {}\n");
    struct event event = hear(member, EVENT_REFRESH_PUSH, 0);
    ck_assert(event.expires);
    ck_assert_uint_eq(event.ttl_s, 10);
    order.ttl_s = 60;
    order_as(back_end, 2, order);
    ck_assert_uint_eq(hear(member, EVENT_REFRESH_PUSH, 0).ttl_s, 60);
    pass(64 * second_ns);
    ck_assert_uint_eq(member->disconnect_count, 0); /* the delay has not passed */
    order.has_ttl = false;
    order.ttl_s = 0;
    order_as(back_end, 3, order);
    event = hear(member, EVENT_REFRESH_PUSH, 0);
    ck_assert(!event.expires);
    ck_assert_uint_eq(event.ttl_s, 0);
    pass(100 * second_ns);
    ck_assert_uint_eq(member->disconnect_count, 0);
    order.has_ttl = true;
    order.ttl_s = 1;
    order_as(back_end, 4, order);
    pass(7 * second_ns);
    ck_assert_uint_eq(member->disconnected, CODES_DISCONNECT_EXPIRED);
    ck_assert_uint_eq(member->disconnect_count, 1);
    hear_nothing(other);
    ck_assert_uint_eq(other->disconnect_count, 0);
    close_world();
}
END_TEST

/* What has passed already is now, without any delay. */
START_TEST(an_end_is_now)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *back_end = new_client(0);
    struct client *member = connected_client(1);
    const struct id id = id_of(member);
    order_as(back_end, 1,
             (struct order){.kind = ORDER_REFRESH,
                            .client = {id.text, sizeof(id.text)},
                            .ends_now = _i == 0,
                            .has_ttl = _i == 1});
    hear_answer(back_end, "1 0 {}\n");
    ck_assert_uint_eq(member->disconnected, CODES_DISCONNECT_EXPIRED);
    ck_assert_uint_eq(unread(member).size, 0);
    close_world();
}
END_TEST

/* As for who subscribes by itself. */
START_TEST(memory_is_short_for_orders_too)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *back_end = new_client(0);
    struct client *member = connected_client(1);
    const struct id id = id_of(member);
    const struct order order = {
        .kind = ORDER_SUBSCRIBE, .client = {id.text, sizeof(id.text)}, .channel = view("a")};
    hub_refuse_subscriptions(hub_of(member), true);
    order_as(back_end, 1, order);
    hear_answer(back_end, "1 106 \n");
    hear_nothing(member);
    hub_refuse_subscriptions(hub_of(member), false);
    order_as(back_end, 2, order);
    hear_answer(back_end, "2 0 {}\n");
    (void)hear(member, EVENT_SUBSCRIBE_PUSH, 0);
    hub_refuse_subscriptions(hub_of(member), true);
    order_as(back_end, 3, order); /* it is there already */
    hear_answer(back_end, "3 0 {}\n");
    close_world();
}
END_TEST

/* As text the longest name is twice as long. */
START_TEST(any_name_fits_its_push)
{
    char name[256] = "hist:";
    open_world((struct world_options){.hub_count = 2});
    struct client *back_end = new_client(0);
    struct client *member = connected_client(1);
    const struct id id = id_of(member);
    memset(name + strlen(name), '"', sizeof(name) - 1 - strlen(name));
    order_as(back_end, 1,
             (struct order){.kind = ORDER_SUBSCRIBE,
                            .client = {id.text, sizeof(id.text)},
                            .channel = view(name)});
    hear_answer(back_end, "1 0 {}\n");
    ck_assert(is_text(hear(member, EVENT_SUBSCRIBE_PUSH, 0).channel, name));
    ck_assert_uint_eq(member->disconnect_count, 0);
    close_world();
}
END_TEST

/* What the policy says of a subscription, and what its order says instead. */
START_TEST(overrides_the_policy)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *back_end = new_client(0);
    struct client *member = connected_client(1);
    const struct id id = id_of(member);
    struct order order = {
        .kind = ORDER_SUBSCRIBE, .client = {id.text, sizeof(id.text)}, .channel = view("hist:a")};
    order_as(back_end, 1, order);
    ck_assert(hear(member, EVENT_SUBSCRIBE_PUSH, 0).recoverable);
    order.channel = view("hist:b");
    order.overrides.force_recovery = CLAIMS_OFF;
    order.overrides.force_positioning = CLAIMS_ON;
    order_as(back_end, 2, order);
    const struct event event = hear(member, EVENT_SUBSCRIBE_PUSH, 0);
    ck_assert(!event.recoverable);
    ck_assert(event.positioned);
    close_world();
}
END_TEST

static const struct {
    const char *why;
    struct api_command command;
    const char *answer;
} refusals[] = {
    {"an unknown namespace",
     {.method = API_PUBLISH, .publish = {.channel = {(const uint8_t *)"no:x", 4}}},
     "9 102 \n"},
    {"not ASCII",
     {.method = API_PUBLISH, .publish = {.channel = {(const uint8_t *)"\xc3\xa4", 2}}},
     "9 107 \n"},
    {"no name",
     {.method = API_PUBLISH, .publish = {.channel = {(const uint8_t *)"", 0}}},
     "9 107 \n"},
    {"a key where nothing is kept",
     {.method = API_PUBLISH,
      .publish = {.channel = {(const uint8_t *)"x", 1}, .key = {(const uint8_t *)"k", 1}}},
     "9 108 {\"code\":108,\"message\":\"not available: idempotency_key\"}\n"},
    {"a key for what is not kept",
     {.method = API_PUBLISH,
      .publish = {.channel = {(const uint8_t *)"hist:x", 6},
                  .key = {(const uint8_t *)"k", 1},
                  .skip_history = true}},
     "9 108 {\"code\":108,\"message\":\"not available: idempotency_key\"}\n"},
    {"a version where nothing is kept",
     {.method = API_PUBLISH, .publish = {.channel = {(const uint8_t *)"x", 1}, .version = 1}},
     "9 108 {\"code\":108,\"message\":\"not available: version\"}\n"},
    {"a version of what is not kept",
     {.method = API_PUBLISH,
      .publish = {.channel = {(const uint8_t *)"hist:x", 6}, .version = 1, .skip_history = true}},
     "9 108 {\"code\":108,\"message\":\"not available: version\"}\n"},
    {"no presence there",
     {.method = API_PRESENCE, .presence = {{(const uint8_t *)"x", 1}}},
     "9 108 \n"},
    {"no numbers either",
     {.method = API_PRESENCE_STATS, .presence = {{(const uint8_t *)"x", 1}}},
     "9 108 \n"},
    {"no history there",
     {.method = API_HISTORY, .history = {.channel = {(const uint8_t *)"x", 1}}},
     "9 108 \n"},
    {"nor anywhere",
     {.method = API_HISTORY, .history = {.channel = {(const uint8_t *)"no:x", 4}}},
     "9 102 \n"},
    {"nothing to forget there",
     {.method = API_HISTORY_REMOVE, .presence = {{(const uint8_t *)"x", 1}}},
     "9 108 \n"},
    {"an epoch that is none",
     {.method = API_HISTORY,
      .history = {.channel = {(const uint8_t *)"hist:x", 6},
                  .has_since = true,
                  .since_epoch = {(const uint8_t *)"zz", 2}}},
     "9 112 \n"},
};

START_TEST(refuses)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *back_end = new_client(1);
    struct api_command command = refusals[_i].command;
    if (command.method == API_PUBLISH) {
        command.publish.data = view("1");
        ck_assert(hub_is_ready(hub_of(back_end)));
        hub_api_publish(hub_of(back_end), asker(back_end, 9), command.publish.channel,
                        &command.publish);
    } else {
        ask_as(back_end, 9, command);
    }
    settle();
    hear_answer(back_end, refusals[_i].answer);
    ck_assert_uint_eq(unread(back_end).size, 0);
    close_world();
}
END_TEST

/* Everything is allowed, whatever clients may. */
START_TEST(asks_for_no_permission)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *back_end = new_client(0);
    publish(back_end, 1, "mute:x", "1");
    publish(back_end, 2, "$private", "1");
    publish(back_end, 3, "dialog#1,2", "1");
    ask_as(back_end, 4, (struct api_command){.method = API_PRESENCE, .presence = {view("mute:x")}});
    settle();
    int answered = 0;
    for (struct bytes got = unread(back_end); got.size > 0; got = unread(back_end)) {
        ck_assert_int_eq(memcmp(got.data + 1, " 0 ", 3), 0);
        hear_answer(back_end, (char[]){(char)got.data[0], ' ', '\0'});
        answered++;
    }
    ck_assert_int_eq(answered, 4);
    close_world();
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("hub_api");
    tcase_add_loop_test(tests, clients_hear_it, 0, HUB_COUNT_MAX);
    tcase_add_loop_test(tests, history_and_presence, 0, HUB_COUNT_MAX);
    tcase_add_loop_test(tests, refuses, 0, COUNT(refusals));
    tcase_add_loop_test(tests, orders_are_obeyed, 0, HUB_COUNT_MAX);
    tcase_add_test(tests, who_has_to_go_comes_into_nothing);
    tcase_add_loop_test(tests, an_end_is_set, 0, HUB_COUNT_MAX);
    tcase_add_loop_test(tests, an_end_is_now, 0, 2);
    tcase_add_test(tests, overrides_the_policy);
    tcase_add_test(tests, memory_is_short_for_orders_too);
    tcase_add_test(tests, any_name_fits_its_push);
    tcase_add_test(tests, lists_channels);
    tcase_add_loop_test(tests, history_is_skipped, 0, HUB_COUNT_MAX);
    tcase_add_test(tests, versions);
    tcase_add_test(tests, a_repeat);
    tcase_add_test(tests, asks_for_no_permission);
    Suite *suite = suite_create("chat/hub_api");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
