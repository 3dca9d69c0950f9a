/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Subscriptions that the server makes: all of them in the reply to the connect, with what was
 * missed and with nothing lost or there twice, whatever is published meanwhile; and what happens
 * when one of them cannot be.
 */
#include "tests/unit/chat/fake_verifier.h"
#include "tests/unit/chat/hub_world.h"

#define TEXT(text)                                                                                 \
    {                                                                                              \
        (const uint8_t *)(text), sizeof(text) - 1                                                  \
    }

enum { CHANNELS = 4 };

static char names[CHANNELS][NAME_SIZE];
static struct claims_subscription subscriptions[CHANNELS];

static const struct claims_subscription odd[] = {
    {.channel = TEXT("nowhere:a")},
};
static const struct claims_subscription bad_name[] = {
    {.channel = TEXT("a b")},
};
static const struct claims_subscription bad_info[] = {
    {.channel = TEXT("a"), .info = TEXT("{")},
};
static const struct claims_subscription many[] = {
    {.channel = TEXT("1")}, {.channel = TEXT("2")}, {.channel = TEXT("3")},
    {.channel = TEXT("4")}, {.channel = TEXT("5")}, {.channel = TEXT("6")},
    {.channel = TEXT("7")}, {.channel = TEXT("8")}, {.channel = TEXT("9")},
};
static const struct claims_subscription twice[] = {
    {.channel = TEXT("mute:a"), .info = TEXT("{\"seat\": 1}"), .data = TEXT("[1, 2]")},
    {.channel = TEXT("mute:a"), .info = TEXT("2")},
};

static const struct fake_token tokens[] = {
    {"all",
     CLAIMS_CONNECTION,
     {.user = TEXT("ann"), .subscriptions = subscriptions, .subscription_count = CHANNELS}},
    {"ann", CLAIMS_CONNECTION, {.user = TEXT("ann")}},
    {"a,b", CLAIMS_CONNECTION, {.user = TEXT("a,b")}},
    {"a b", CLAIMS_CONNECTION, {.user = TEXT("a b")}},
    {"nobody", CLAIMS_CONNECTION, {.expires = false}},
    {"odd", CLAIMS_CONNECTION, {.subscriptions = odd, .subscription_count = 1}},
    {"bad name", CLAIMS_CONNECTION, {.subscriptions = bad_name, .subscription_count = 1}},
    {"bad info", CLAIMS_CONNECTION, {.subscriptions = bad_info, .subscription_count = 1}},
    {"many", CLAIMS_CONNECTION, {.subscriptions = many, .subscription_count = COUNT(many)}},
    {"twice", CLAIMS_CONNECTION, {.subscriptions = twice, .subscription_count = 2}},
};
static struct fake_tokens all = {tokens, COUNT(tokens)};
static struct claims_verifier verifier = {fake_verify, &all};

/* Two channels with history at each of the two reactors, all of them named in the token "all". */
static void open_two(void)
{
    open_world((struct world_options){.hub_count = 2, .verifier = &verifier});
    for (int i = 0; i < CHANNELS; i++) {
        (void)name_in(names[i], "hist:", (uint16_t)(i % 2), i);
        subscriptions[i] = (struct claims_subscription){.channel = view(names[i])};
    }
}

static void publish(struct client *client, const char *channel, int number)
{
    ask(client, "{\"id\":9,\"publish\":{\"channel\":\"%s\",\"data\":%d}}", channel, number);
}

static bool has(struct bytes text, const char *part)
{
    return memmem(text.data, text.size, part, strlen(part)) != NULL;
}

static const char *part_of(const char *format, const char *name)
{
    static char part[256];
    (void)snprintf(part, sizeof(part), format, name);
    return part;
}

START_TEST(all_come_in_the_reply)
{
    open_two();
    struct client *bob = connected_client(1);
    for (int i = 0; i < CHANNELS; i++) {
        publish(bob, names[i], i);
    }
    settle();
    struct client *ann = new_client(0);
    ask(ann, "{\"id\":1,\"connect\":{\"token\":\"all\"}}");
    ck_assert(hub_is_arriving(ann->session)); /* half of them have their home elsewhere */
    settle();
    const struct event event = hear(ann, EVENT_CONNECTED, 1);
    for (int i = 0; i < CHANNELS; i++) {
        ck_assert(has(event.subs, part_of("\"%s\":{\"recoverable\":true,", names[i])));
    }
    ck_assert(!has(event.subs, "publications"));
    hear_nothing(ann);
    for (int i = 0; i < CHANNELS; i++) {
        publish(bob, names[i], 10 + i);
        settle();
        const struct event publication = hear(ann, EVENT_PUBLICATION, 0);
        ck_assert(is_text(publication.channel, names[i]));
        ck_assert_uint_eq(publication.offset, 2);
    }
    close_world();
}
END_TEST

START_TEST(homes_that_are_here_answer_at_once)
{
    open_two();
    const uint16_t here = home_of_user("ann");
    for (int i = 0; i < CHANNELS; i++) {
        subscriptions[i].channel = view(names[i / 2 * 2 + here]);
    }
    struct client *ann = new_client(here);
    ask(ann,
        "{\"id\":1,\"connect\":{\"token\":\"all\"}}\n{\"id\":2,\"publish\":{\"channel\":\"%s\","
        "\"data\":1}}",
        names[here]);
    settle();
    (void)hear(ann, EVENT_CONNECTED, 1);
    (void)hear(ann, EVENT_PUBLISHED, 2);
    hear_publication(ann, names[here], "1");
    close_world();
}
END_TEST

/* A client that comes again: what it had of each channel, for the connect. */
static void come_again(struct client *client, const char *epoch[CHANNELS],
                       const unsigned offset[CHANNELS])
{
    char message[1024];
    int size = snprintf(message, sizeof(message),
                        "{\"id\":1,\"connect\":{\"token\":\"all\","
                        "\"subs\":{\"other\":{\"recover\":true}");
    for (int i = 0; i < CHANNELS; i++) {
        size += snprintf(message + size, sizeof(message) - (size_t)size,
                         ",\"%s\":{\"recover\":true,\"epoch\":\"%s\",\"offset\":%u}", names[i],
                         epoch[i], offset[i]);
    }
    (void)snprintf(message + size, sizeof(message) - (size_t)size, "}}}");
    ck_assert_uint_eq(say(client, message), 0);
}

/* How many publications of a channel the reply has, which are to go on behind `after`. */
static int count_recovered(struct bytes subs, const char *name, int after)
{
    const char *from = memmem(subs.data, subs.size, name, strlen(name));
    ck_assert_ptr_nonnull(from);
    const char *end = memmem(from, subs.size - (size_t)((const uint8_t *)from - subs.data),
                             "was_recovering", strlen("was_recovering"));
    ck_assert_ptr_nonnull(end);
    int found = 0;
    for (;;) {
        char part[64];
        (void)snprintf(part, sizeof(part), "\"offset\":%d}", after + found + 1);
        if (memmem(from, (size_t)(end - from), part, strlen(part)) == NULL) {
            return found;
        }
        found++;
    }
}

/* Publications come in at every possible moment: what is recovered and what comes live is all. */
START_TEST(nothing_is_lost_or_there_twice)
{
    const int turns = _i / 4; /* of the loop before something is published */
    const int busy = _i % 4;  /* which channel that is in */
    const char *epochs[CHANNELS] = {"", "", "", ""};
    const unsigned offsets[CHANNELS] = {1, 1, 1, 1};
    int last[CHANNELS] = {0};

    open_two();
    struct client *bob = connected_client(1);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CHANNELS; i++) {
            publish(bob, names[i], round);
        }
        settle();
    }
    struct client *ann = new_client(0);
    come_again(ann, epochs, offsets);
    for (int turn = 0; turn < 12; turn++) {
        if (turn >= turns) {
            publish(bob, names[busy], 100 + turn);
        }
        (void)run((uint16_t)(turn % 2));
    }
    settle();
    const struct event event = hear(ann, EVENT_CONNECTED, 1);
    for (int i = 0; i < CHANNELS; i++) {
        ck_assert(has(event.subs, part_of("\"%s\":{\"recoverable\":true,", names[i])));
        last[i] = 1 + count_recovered(event.subs, names[i], 1);
        ck_assert_int_ge(last[i], 3);
    }
    struct event publication = {0};
    while (next_event(ann, &publication)) {
        ck_assert_int_eq(publication.kind, EVENT_PUBLICATION);
        ck_assert(is_text(publication.channel, names[busy]));
        ck_assert_uint_eq(publication.offset, (uint64_t)++last[busy]);
    }
    if (ann->disconnected == 0) {
        ck_assert_int_eq(last[busy], 3 + 12 - turns);
    } else { /* too much at once: it comes again, from where it stands */
        ck_assert_uint_eq(ann->disconnected, CODES_DISCONNECT_INSUFFICIENT_STATE);
    }
    close_world();
}
END_TEST

/* With so many bytes of data, of which each publication has some more. */
static void publish_sized(struct client *client, const char *channel, int size)
{
    char *message = malloc((size_t)size + 256);
    ck_assert_ptr_nonnull(message);
    (void)sprintf(message, "{\"id\":9,\"publish\":{\"channel\":\"%s\",\"data\":\"%*s\"}}", channel,
                  size, "");
    ck_assert_uint_eq(say(client, message), 0);
    free(message);
}

/* What was missed is more than a page: it is told what there is, and comes again for the rest. */
START_TEST(more_than_a_page_is_no_end)
{
    const char *epochs[CHANNELS] = {"", "", "", ""};
    unsigned offsets[CHANNELS] = {0};
    open_two();
    struct client *bob = connected_client(1);
    for (int i = 0; i < 4; i++) {
        publish_sized(bob, names[_i], 3000); /* a page has 8192 bytes */
    }
    settle();
    for (int time = 0; time < 2; time++) {
        struct client *ann = new_client(0);
        come_again(ann, epochs, offsets);
        settle();
        const struct event event = hear(ann, EVENT_CONNECTED, 1);
        ck_assert_int_eq(count_recovered(event.subs, names[_i], 2 * time), 2);
        ck_assert_uint_eq(ann->disconnected, time == 0 ? CODES_DISCONNECT_INSUFFICIENT_STATE : 0);
        offsets[_i] = 2;
    }
    close_world();
}
END_TEST

/* One that is longer than a page is given all the same. */
START_TEST(one_publication_always_fits)
{
    const char *epochs[CHANNELS] = {"", "", "", ""};
    const unsigned offsets[CHANNELS] = {0};
    open_two();
    struct client *bob = connected_client(1);
    publish_sized(bob, names[_i], 9000);
    settle();
    struct client *ann = new_client(0);
    come_again(ann, epochs, offsets);
    settle();
    const struct event event = hear(ann, EVENT_CONNECTED, 1);
    ck_assert_int_eq(count_recovered(event.subs, names[_i], 0), 1);
    hear_nothing(ann);
    close_world();
}
END_TEST

START_TEST(what_is_lost_is_said)
{
    const char *epochs[CHANNELS] = {"zzzz", "zzzz", "", ""};
    const unsigned offsets[CHANNELS] = {1, 1, 0, 0};
    open_two();
    struct client *ann = new_client(0);
    come_again(ann, epochs, offsets);
    settle();
    const struct event event = hear(ann, EVENT_CONNECTED, 1);
    ck_assert_int_eq(count_recovered(event.subs, names[0], 0), 0);
    ck_assert(has(event.subs, "\"was_recovering\":true"));
    ck_assert_uint_eq(metric(0, METRIC_RECOVERIES_IMPOSSIBLE), 2);
    ck_assert_uint_eq(metric(0, METRIC_RECOVERIES_COMPLETE), 2);
    close_world();
}
END_TEST

START_TEST(the_back_end_needs_no_permission)
{
    open_two();
    struct client *ann = new_client(0);
    ask(ann, "{\"id\":1,\"connect\":{\"token\":\"twice\"}}");
    settle();
    const struct event event = hear(ann, EVENT_CONNECTED, 1);
    ck_assert(is_text(event.subs, "{\"mute:a\":{\"data\":[1,2]}}"));
    ck_assert_uint_eq(ann->session->subscription_count, 1);
    close_world();
}
END_TEST

static const struct {
    const char *why;
    const char *token;
    enum codes_error error;
} refusals[] = {
    {"no such namespace", "odd", CODES_ERROR_UNKNOWN_CHANNEL},
    {"no name", "bad name", CODES_ERROR_BAD_REQUEST},
    {"an info that is not JSON", "bad info", CODES_ERROR_BAD_REQUEST},
    {"more than a connection may have", "many", CODES_ERROR_LIMIT_EXCEEDED},
};

START_TEST(a_connect_is_refused_for_one_of_them)
{
    open_two();
    struct client *client = new_client(0);
    ask(client, "{\"id\":1,\"connect\":{\"token\":\"%s\"}}", refusals[_i].token);
    settle();
    hear_error(client, 1, refusals[_i].error);
    ck_assert_uint_eq(client->session->subscription_count, 0);
    ck_assert_int_eq(client->session->state, SESSION_REFUSED);
    close_world();
}
END_TEST

START_TEST(bad_positions_refuse_a_connect)
{
    open_two();
    struct client *client = new_client(0);
    ask(client, "{\"id\":1,\"connect\":{\"token\":\"all\",\"subs\":{\"a\":{\"recover\":1}}}}");
    settle();
    hear_error(client, 1, CODES_ERROR_BAD_REQUEST);
    close_world();
}
END_TEST

START_TEST(who_leaves_meanwhile_leaves_nothing)
{
    const char *epochs[CHANNELS] = {"", "", "", ""};
    const unsigned offsets[CHANNELS] = {0, 0, 0, 0};
    open_two();
    struct client *bob = connected_client(1);
    for (int i = 0; i < CHANNELS; i++) {
        publish(bob, names[i], i);
    }
    settle();
    struct client *ann = new_client(0);
    come_again(ann, epochs, offsets);
    for (int turn = 0; turn < _i; turn++) {
        (void)run((uint16_t)(turn % 2));
    }
    hang_up(ann);
    close_world(); /* CHECKs that nothing is left */
}
END_TEST

/* A ring with one credit: the homes are asked one after the other. */
START_TEST(homes_are_asked_as_there_is_room)
{
    open_world(
        (struct world_options){.hub_count = 2, .verifier = &verifier, .slots = 64, .reserve = 1});
    for (int i = 0; i < CHANNELS; i++) {
        (void)name_in(names[i], "hist:", 1, i);
        subscriptions[i] = (struct claims_subscription){.channel = view(names[i])};
    }
    struct client *ann = new_client(0);
    ask(ann, "{\"id\":1,\"connect\":{\"token\":\"all\"}}");
    settle();
    (void)hear(ann, EVENT_CONNECTED, 1);
    ck_assert_uint_eq(ann->session->subscription_count, CHANNELS);
    close_world();
}
END_TEST

/* -- personal channels ------------------------------------------------------------------------- */

static const struct {
    const char *why;
    const char *token; /* NULL: none */
    const char *personal_namespace;
    const char *channel; /* NULL: no subscription */
    enum codes_error error;
} personals[] = {
    {"a user", "ann", NULL, "#ann", CODES_ERROR_NONE},
    {"in a namespace", "ann", "hist", "hist:#ann", CODES_ERROR_NONE},
    {"nobody", "nobody", NULL, NULL, CODES_ERROR_NONE},
    {"without a token", NULL, NULL, NULL, CODES_ERROR_NONE},
    {"what would be the channel of two others", "a,b", NULL, NULL, CODES_ERROR_BAD_REQUEST},
    {"what cannot be a name", "a b", NULL, NULL, CODES_ERROR_BAD_REQUEST},
};

START_TEST(everybody_has_a_personal_channel)
{
    open_world((struct world_options){
        .hub_count = 2,
        .verifier = &verifier,
        .personal = true,
        .personal_namespace = personals[_i].personal_namespace,
    });
    struct client *client = new_client(0);
    if (personals[_i].token == NULL) {
        ask(client, "{\"id\":1,\"connect\":{}}");
    } else {
        ask(client, "{\"id\":1,\"connect\":{\"token\":\"%s\"}}", personals[_i].token);
    }
    settle();
    if (personals[_i].error != CODES_ERROR_NONE) {
        hear_error(client, 1, personals[_i].error);
    } else {
        const struct event event = hear(client, EVENT_CONNECTED, 1);
        ck_assert_uint_eq(client->session->subscription_count, personals[_i].channel != NULL);
        ck_assert_msg(personals[_i].channel == NULL || has(event.subs, personals[_i].channel), "%s",
                      personals[_i].why);
    }
    close_world();
}
END_TEST

/* Where it has to come again it is the connection that does, for no SDK subscribes to these. */
START_TEST(who_does_not_read_comes_again)
{
    open_two();
    struct client *bob = connected_client(1);
    struct client *ann = new_client(0);
    ask(ann, "{\"id\":1,\"connect\":{\"token\":\"all\"}}");
    settle();
    (void)hear(ann, EVENT_CONNECTED, 1);
    ann->lags = true;
    publish(bob, names[0], 1);
    settle();
    ck_assert_uint_eq(ann->disconnected, CODES_DISCONNECT_INSUFFICIENT_STATE);
    close_world();
}
END_TEST

int main(void)
{
    TCase *arrival = tcase_create("arrival");
    tcase_add_test(arrival, all_come_in_the_reply);
    tcase_add_test(arrival, homes_that_are_here_answer_at_once);
    tcase_add_loop_test(arrival, nothing_is_lost_or_there_twice, 0, 48);
    tcase_add_loop_test(arrival, more_than_a_page_is_no_end, 0, CHANNELS);
    tcase_add_loop_test(arrival, one_publication_always_fits, 0, CHANNELS);
    tcase_add_test(arrival, what_is_lost_is_said);
    tcase_add_test(arrival, the_back_end_needs_no_permission);
    tcase_add_loop_test(arrival, a_connect_is_refused_for_one_of_them, 0, COUNT(refusals));
    tcase_add_test(arrival, bad_positions_refuse_a_connect);
    tcase_add_loop_test(arrival, who_leaves_meanwhile_leaves_nothing, 0, 12);
    tcase_add_test(arrival, homes_are_asked_as_there_is_room);
    tcase_add_loop_test(arrival, everybody_has_a_personal_channel, 0, COUNT(personals));
    tcase_add_test(arrival, who_does_not_read_comes_again);
    Suite *suite = suite_create("chat/hub_arrival");
    suite_add_tcase(suite, arrival);
    return run_suite(suite);
}
