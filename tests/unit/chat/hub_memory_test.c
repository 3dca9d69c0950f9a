/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIMITS.md row 46: memory is out, at every place where some is asked for.
 *
 * A scripted session on two hubs runs once for every N: the Nth request fails, or that one and all
 * that come later, until the session has gone. Then each command has had one answer; what was
 * acknowledged has been heard by two bystanders, or they were told to subscribe again; the same
 * session finds nothing amiss afterwards; and in the end no block of memory is left.
 */
#include <stdlib.h>

#include "tests/unit/chat/archive_world.h"
#include "tests/unit/chat/hub_world.h"
#include "tests/unit/failing_memory.h"

/* -- the script -------------------------------------------------------------------------------- */

enum {
    HOMES = 2,
    CHANNELS = 6,   /* three at either home */
    WATCHED = 2,    /* the first ones have bystanders; in the others nobody is but who asks */
    NEW = 4,        /* from here on: others each time, with one publication */
    BYSTANDERS = 2, /* one on each reactor */
    PADDING = 5000, /* bytes: such a publication is in no cache of blobs */
};

enum verb {
    CONNECT,
    SUBSCRIBE,
    RECOVER,
    UNSUBSCRIBE,
    PUBLISH,
    PUBLISH_LONG,
    PUBLISH_ONCE,
    HISTORY,
    PRESENCE,
    PRESENCE_STATS,
};

/* Each line once for each channel of a range. */
static const struct {
    enum verb verb;
    int from;
    int to;
} script[] = {
    {CONNECT, 0, 1},        {PUBLISH_ONCE, NEW, CHANNELS},
    {SUBSCRIBE, 0, NEW},    {PUBLISH, 0, NEW},
    {PUBLISH_LONG, 0, NEW}, {HISTORY, 0, NEW},
    {PRESENCE, 0, NEW},     {PRESENCE_STATS, 0, NEW},
    {PUBLISH_ONCE, 0, NEW}, {UNSUBSCRIBE, 0, NEW},
    {PUBLISH, 0, NEW},      {RECOVER, 0, NEW},
    {PUBLISH, 0, NEW},      {PRESENCE, 0, NEW},
    {UNSUBSCRIBE, 0, NEW},  {PUBLISH_ONCE, 0, NEW},
    {RECOVER, 0, NEW},      {PUBLISH_LONG, 0, NEW},
};

static char names[CHANNELS][NAME_SIZE];
static struct client *bystanders[BYSTANDERS];
static int numbers[CHANNELS];            /* what is published: a number, and padding */
static int heard[BYSTANDERS][WATCHED];   /* the last number */
static bool missed[BYSTANDERS][WATCHED]; /* and told so */

static bool is_durable;

static const struct policy_table *script_policies(void)
{
    static struct policy policy;
    policy = (struct policy){
        .allow_subscribe_for_client = true,
        .allow_subscribe_for_anonymous = true,
        .allow_publish_for_client = true,
        .allow_publish_for_anonymous = true,
        .allow_history_for_client = true,
        .allow_history_for_anonymous = true,
        .allow_presence_for_client = true,
        .allow_presence_for_anonymous = true,
        .history_size = 20,
        .history_ttl_ns = 3600000000000,
        .history_meta_ttl_ns = 3600000000000,
        .force_recovery = true,
        .presence = true,
        .join_leave = true,
        .force_push_join_leave = true,
        .idempotency_ttl_ns = 3600000000000,
        .durability = is_durable ? POLICY_DURABILITY_PROCESS : POLICY_DURABILITY_NONE,
    };
    static const struct policy_table table = {
        .policies = &policy,
        .policy_count = 1,
        .name_size_max = 255,
    };
    return &table;
}

static uint16_t say_verb(struct client *client, enum verb verb, uint32_t id, int channel)
{
    static char message[PADDING + 512];
    const char *name = names[channel];
    const int padding = verb == PUBLISH_LONG ? PADDING : 1;
    size_t size = (size_t)snprintf(message, sizeof(message), "{\"id\":%u,", id);
    char *at = message + size;
    const size_t left = sizeof(message) - size;

    switch (verb) {
    case CONNECT:
        (void)snprintf(at, left, "\"connect\":{}}");
        break;
    case SUBSCRIBE:
        (void)snprintf(at, left, "\"subscribe\":{\"channel\":\"%s\"}}", name);
        break;
    case RECOVER:
        (void)snprintf(at, left,
                       "\"subscribe\":{\"channel\":\"%s\",\"recover\":true,\"offset\":1}}", name);
        break;
    case UNSUBSCRIBE:
        (void)snprintf(at, left, "\"unsubscribe\":{\"channel\":\"%s\"}}", name);
        break;
    case PUBLISH:
    case PUBLISH_LONG:
        numbers[channel]++;
        (void)snprintf(at, left, "\"publish\":{\"channel\":\"%s\",\"data\":[%d,\"%*s\"]}}", name,
                       numbers[channel], padding, "");
        break;
    case PUBLISH_ONCE:
        numbers[channel]++;
        (void)snprintf(at, left,
                       "\"rpc\":{\"method\":\"publish\",\"data\":{\"channel\":\"%s\",\"data\":[%d],"
                       "\"idempotency_key\":\"%d\"}}}",
                       name, numbers[channel], numbers[channel]);
        break;
    case HISTORY:
        (void)snprintf(at, left, "\"history\":{\"channel\":\"%s\",\"limit\":10}}", name);
        break;
    case PRESENCE:
        (void)snprintf(at, left, "\"presence\":{\"channel\":\"%s\"}}", name);
        break;
    case PRESENCE_STATS:
        (void)snprintf(at, left, "\"presence_stats\":{\"channel\":\"%s\"}}", name);
        break;
    }
    return say(client, message);
}

static bool publishes(enum verb verb)
{
    return verb == PUBLISH || verb == PUBLISH_LONG || verb == PUBLISH_ONCE;
}

/* One answer, or its connection is to be closed. Returns false for the latter, or an error. */
static bool answer_is_good(struct client *client, uint32_t id)
{
    struct event event;
    int answers = 0;
    bool is_good = true;

    while (next_event(client, &event)) {
        if (event.id != 0) {
            ck_assert_uint_eq(event.id, id);
            answers++;
            is_good = event.kind != EVENT_ERROR;
            ck_assert(is_good || event.code == CODES_ERROR_INTERNAL);
        }
    }
    ck_assert_int_eq(answers, client->disconnect_count > 0 ? answers : 1);
    ck_assert_int_le(answers, 1);
    return is_good && client->disconnect_count == 0;
}

/* "17 ...": the digits behind the quote; the event's text has no NUL. */
static int number_in(struct bytes data)
{
    int number = 0;
    for (size_t i = 1; i < data.size && data.data[i] >= '0' && data.data[i] <= '9'; i++) {
        number = 10 * number + (data.data[i] - '0');
    }
    return number;
}

/*
 * Bystanders hear what was acknowledged, once, in order, and nothing else; or are told. Of durable
 * channels also what was not, for it may be stored all the same.
 */
static void listen(int channel, bool was_published)
{
    for (int i = 0; i < BYSTANDERS; i++) {
        struct event event;
        while (next_event(bystanders[i], &event)) {
            const int in = is_text(event.channel, names[1]);
            if (event.kind == EVENT_UNSUBSCRIBE_PUSH) {
                ck_assert_uint_eq(event.code, CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
                missed[i][in] = true;
            } else if (event.kind == EVENT_PUBLICATION) {
                const int number = number_in(event.data);
                ck_assert(is_durable || (was_published && in == channel));
                ck_assert(number > heard[i][in] && number <= numbers[in]);
                heard[i][in] = number;
            }
        }
        ck_assert_uint_eq(bystanders[i]->disconnect_count, 0);
        ck_assert(channel >= WATCHED || !was_published || missed[i][channel] ||
                  heard[i][channel] == numbers[channel]);
    }
}

/* Time for who tells of joins and leaves, too. */
static void let_go_by(void)
{
    settle();
    pass(1000000000);
    if (is_durable) {
        pass(5000000000); /* and for what the store was not asked in time */
    }
}

static void choose_names(int from, int to, int first)
{
    for (int channel = from; channel < to; channel++) {
        (void)name_at(names[channel], (uint16_t)(channel % HOMES), first + channel);
    }
}

/* From opening to closing. Returns how many steps went wrong. */
static int run_script(uint16_t reactor)
{
    int wrong = 0;
    uint32_t id = 1;
    struct client *client = &world.clients[world.client_count];
    client->conn = (struct conn_id){world.client_count, 9, reactor};
    client->session = hub_open(world.reactors[reactor].hub, client->conn);
    if (client->session == NULL) {
        return 1;
    }
    choose_names(NEW, CHANNELS, (int)world.client_count * CHANNELS);
    world.client_count++;
    for (int step = 0; step < COUNT(script); step++) {
        for (int channel = script[step].from; channel < script[step].to; channel++) {
            ck_assert_uint_eq(say_verb(client, script[step].verb, ++id, channel), 0);
            let_go_by();
            const bool is_good = answer_is_good(client, id);
            wrong += !is_good;
            listen(channel, publishes(script[step].verb) && is_good);
        }
    }
    hang_up(client);
    let_go_by();
    return wrong;
}

/* A bystander that had to go comes back. */
static void come_back(void)
{
    for (int i = 0; i < BYSTANDERS; i++) {
        for (int channel = 0; channel < WATCHED; channel++) {
            if (missed[i][channel]) {
                ck_assert_uint_eq(say_verb(bystanders[i], SUBSCRIBE, 99, channel), 0);
                let_go_by();
                ck_assert(answer_is_good(bystanders[i], 99));
                missed[i][channel] = false;
            }
        }
    }
}

static void open_bystanders(void)
{
    for (uint16_t i = 0; i < BYSTANDERS; i++) {
        bystanders[i] = connected_client(i);
        for (int channel = 0; channel < WATCHED; channel++) {
            missed[i][channel] = true;
            heard[i][channel] = 0;
        }
    }
    come_back();
}

/* Returns whether anything has failed. */
static bool run_with(uint64_t fails_at, bool goes_on, uint16_t reactor)
{
    fail_from(0, false);
    memory.blocks = 0;
    open_world((struct world_options){
        .hub_count = HOMES,
        .policies = script_policies(),
        .archive = is_durable ? archive_turn : NULL,
    });
    forget_streams();
    memset(numbers, 0, sizeof(numbers));
    choose_names(0, NEW, 0);
    open_bystanders();

    fail_from(fails_at, goes_on);
    const int wrong = run_script(reactor);
    const bool has_failed = memory.failed > 0;
    ck_assert(has_failed || wrong == 0);

    fail_from(0, false);
    let_go_by();
    come_back();
    ck_assert_int_eq(run_script(reactor), 0);
    close_world();
    ck_assert_int_eq(memory.blocks, 0);
    return has_failed;
}

/* Bits of _i: on which reactor, whether memory stays out, and whether channels are durable. */
START_TEST(every_request_fails_once)
{
    const uint64_t places_min = 100; /* the script is about something */
    uint64_t fails_at = 1;
    is_durable = (_i & 4) != 0;
    while (run_with(fails_at, (_i & 2) != 0, _i & 1)) {
        fails_at++;
    }
    ck_assert_uint_gt(fails_at, places_min);
}
END_TEST

int main(void)
{
    TCase *out = tcase_create("memory");
    tcase_add_loop_test(out, every_request_fails_once, 0, 8);
    tcase_set_timeout(out, 120);
    Suite *suite = suite_create("chat/hub: memory");
    suite_add_tcase(suite, out);
    return run_suite(suite);
}
