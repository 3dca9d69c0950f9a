/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIMITS.md row 46 for subscriptions that come with a connect: memory is out, at every place where
 * some is asked for, and in the end.
 *
 * The connect runs once for every N: the Nth request fails, or that one and all that come later.
 * Then it has been answered, or its connection is to be closed; who was let in is a member; the
 * next one finds nothing amiss; and in the end no block of memory is left.
 */
#include "tests/unit/chat/fake_verifier.h"
#include "tests/unit/chat/hub_world.h"
#include "tests/unit/failing_memory.h"

enum { CHANNELS = 4, HOMES = 2, MISSED = 3 };

static char names[CHANNELS][NAME_SIZE];
static struct claims_subscription subscriptions[CHANNELS];
static const struct fake_token tokens[] = {
    {"all",
     CLAIMS_CONNECTION,
     {.user = {(const uint8_t *)"ann", 3},
      .subscriptions = subscriptions,
      .subscription_count = CHANNELS}},
};
static struct fake_tokens all = {tokens, COUNT(tokens)};
static struct claims_verifier verifier = {fake_verify, &all};

static void publish(struct client *client, const char *channel)
{
    ask(client, "{\"id\":9,\"publish\":{\"channel\":\"%s\",\"data\":1}}", channel);
    settle();
}

/* Somebody who had the first publication of each channel. NULL: not even that. */
static struct client *come_again(uint16_t reactor)
{
    char message[1024];
    struct client *client = &world.clients[world.client_count];
    client->conn = (struct conn_id){world.client_count, 9, reactor};
    client->session = hub_open(world.reactors[reactor].hub, client->conn);
    if (client->session == NULL) {
        return NULL;
    }
    world.client_count++;
    int size =
        snprintf(message, sizeof(message), "{\"id\":1,\"connect\":{\"token\":\"all\",\"subs\":{");
    for (int i = 0; i < CHANNELS; i++) {
        size += snprintf(message + size, sizeof(message) - (size_t)size,
                         "%s\"%s\":{\"recover\":true,\"offset\":1}", i == 0 ? "" : ",", names[i]);
    }
    (void)snprintf(message + size, sizeof(message) - (size_t)size, "}}}");
    ck_assert_uint_eq(say(client, message), 0);
    settle();
    return client;
}

/* Was it let in? Else it was told, or has to go. */
static bool is_let_in(struct client *client)
{
    struct event event;
    if (client->disconnect_count > 0) {
        return false;
    }
    ck_assert(next_event(client, &event));
    ck_assert_uint_eq(event.id, 1);
    ck_assert(event.kind == EVENT_CONNECTED ||
              (event.kind == EVENT_ERROR && event.code == CODES_ERROR_INTERNAL));
    return event.kind == EVENT_CONNECTED;
}

static void check_membership(struct client *client, struct client *publisher)
{
    for (int i = 0; i < CHANNELS; i++) {
        publish(publisher, names[i]);
        hear_publication(client, names[i], "1");
    }
}

/* Returns whether anything has failed. */
static bool run_with(uint64_t fails_at, bool goes_on, uint16_t reactor)
{
    fail_from(0, false);
    memory.blocks = 0;
    open_world((struct world_options){.hub_count = HOMES, .verifier = &verifier});
    for (int i = 0; i < CHANNELS; i++) {
        (void)name_in(names[i], "hist:", (uint16_t)(i % HOMES), i);
        subscriptions[i] = (struct claims_subscription){.channel = view(names[i])};
    }
    struct client *publisher = connected_client(0);
    for (int i = 0; i < MISSED * CHANNELS; i++) {
        publish(publisher, names[i % CHANNELS]);
    }

    fail_from(fails_at, goes_on);
    struct client *client = come_again(reactor);
    const bool has_failed = memory.failed > 0;
    fail_from(0, false);
    settle();
    if (client == NULL || !is_let_in(client)) {
        ck_assert(has_failed);
    } else {
        check_membership(client, publisher);
    }
    struct client *next = come_again(reactor);
    ck_assert(is_let_in(next));
    check_membership(next, publisher);
    close_world();
    ck_assert_int_eq(memory.blocks, 0);
    return has_failed;
}

START_TEST(every_request_fails_once)
{
    const uint64_t places_min = 20; /* it is about something */
    uint64_t fails_at = 1;
    while (run_with(fails_at, (_i & 2) != 0, _i & 1)) {
        fails_at++;
    }
    ck_assert_uint_gt(fails_at, places_min);
}
END_TEST

int main(void)
{
    TCase *out = tcase_create("memory");
    tcase_add_loop_test(out, every_request_fails_once, 0, 4);
    tcase_set_timeout(out, 120);
    Suite *suite = suite_create("chat/hub_arrival: memory");
    suite_add_tcase(suite, out);
    return run_suite(suite);
}
