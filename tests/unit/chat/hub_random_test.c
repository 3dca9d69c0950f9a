/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three hubs, clients that do at random whatever clients may do, and rings so tiny that every way
 * of being full is taken. What must hold whatever happens:
 *   each command has exactly one answer, unless its client hung up;
 *   a publication is heard only between the answer to a subscribe and the end of that subscription;
 *   what is heard of one channel is consecutive from the first one heard on, or ends with a push;
 *   at the end everybody who is subscribed hears, and nothing is left of anything.
 */
#include "chat/hub.h"
#include "tests/unit/chat/hub_world.h"

enum { HUBS = 3, PEOPLE = 24, CHANNELS = 7, TURNS = 6000, IDS = 4096 };

/* What a client knows. */
struct person {
    struct client *client; /* NULL: hung up */
    uint32_t next_id;
    enum { NOTHING, SUBSCRIBE, UNSUBSCRIBE, PUBLISH } asked[IDS];
    uint8_t channel[IDS];
    size_t waiting; /* ids without an answer */
    bool in[CHANNELS];
};

static struct person people[PEOPLE];
static char names[CHANNELS][NAME_SIZE];
static uint64_t accepted_answers;
static uint64_t heard;
static uint64_t pushes;
static uint64_t state;

static void arrive(struct person *person)
{
    memset(person, 0, sizeof(*person));
    const uint16_t reactor = (uint16_t)chance_below(&state, HUBS);
    if (!hub_is_ready(world.reactors[reactor].hub)) {
        settle();
    }
    person->client = connected_client(reactor);
    person->next_id = 2;
}

static uint32_t new_id(struct person *person, int what, uint32_t channel)
{
    const uint32_t id = person->next_id++;
    ck_assert_uint_lt(id, IDS);
    person->asked[id] = what;
    person->channel[id] = (uint8_t)channel;
    person->waiting++;
    return id;
}

static uint32_t channel_named(struct bytes text)
{
    for (uint32_t i = 0; i < CHANNELS; i++) {
        if (is_text(text, names[i])) {
            return i;
        }
    }
    ck_abort_msg("a channel that nobody asked for");
    return 0;
}

/* Each publication has in its data how many of this publisher were in that channel before it. */
struct said {
    uint64_t count;
    uint64_t heard_at[PEOPLE]; /* by each listener, since it subscribed */
};
static struct said said[PEOPLE][CHANNELS];
static uint32_t lives[PEOPLE]; /* a person that comes again is another publisher */

static void hear_data(uint32_t listener, uint32_t channel, struct bytes data)
{
    unsigned publisher;
    unsigned life;
    unsigned long long count;
    char text[64] = {0};
    ck_assert_uint_lt(data.size, sizeof(text));
    memcpy(text, data.data, data.size);
    ck_assert_int_eq(sscanf(text, "\"%u.%u.%llu\"", &publisher, &life, &count), 3);
    ck_assert_uint_lt(publisher, PEOPLE);
    if (life != lives[publisher]) {
        return; /* what somebody said who has gone since */
    }
    uint64_t *last = &said[publisher][channel].heard_at[listener];
    if (*last != 0 && count != *last + 1) {
        ck_abort_msg("%u heard %llu of %u after %llu", listener, count, publisher,
                     (unsigned long long)*last);
    }
    *last = count;
    heard++;
}

static void begin_listening(uint32_t listener, uint32_t channel)
{
    people[listener].in[channel] = true;
    for (int i = 0; i < PEOPLE; i++) {
        said[i][channel].heard_at[listener] = 0;
    }
}

static void hear_answer(uint32_t who, const struct event *event)
{
    struct person *person = &people[who];
    ck_assert_uint_lt(event->id, IDS);
    const uint32_t channel = person->channel[event->id];
    switch (person->asked[event->id]) {
    case SUBSCRIBE:
        if (event->kind == EVENT_ERROR) {
            ck_assert_uint_eq(event->code, CODES_ERROR_ALREADY_SUBSCRIBED);
        } else {
            ck_assert_int_eq(event->kind, EVENT_SUBSCRIBED);
            ck_assert(!person->in[channel]);
            begin_listening(who, channel);
        }
        break;
    case UNSUBSCRIBE:
        ck_assert_int_eq(event->kind, EVENT_UNSUBSCRIBED);
        person->in[channel] = false;
        break;
    case PUBLISH:
        ck_assert_int_eq(event->kind, EVENT_PUBLISHED);
        accepted_answers++;
        break;
    case NOTHING:
        ck_abort_msg("an answer to nothing, or a second one");
    }
    person->asked[event->id] = NOTHING;
    person->waiting--;
}

static void listen(uint32_t who)
{
    struct person *person = &people[who];
    struct event event;
    while (person->client != NULL && next_event(person->client, &event)) {
        if (event.id != 0) {
            hear_answer(who, &event);
            continue;
        }
        const uint32_t channel = channel_named(event.channel);
        ck_assert(person->in[channel]);
        if (event.kind == EVENT_PUBLICATION) {
            hear_data(who, channel, event.data);
        } else {
            ck_assert_int_eq(event.kind, EVENT_UNSUBSCRIBE_PUSH);
            ck_assert_uint_eq(event.code, CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
            person->in[channel] = false;
            pushes++;
        }
    }
}

static void say_something(uint32_t who)
{
    struct person *person = &people[who];
    const uint32_t channel = chance_below(&state, CHANNELS);
    if (!hub_is_ready(hub_of(person->client)) || person->next_id == IDS) {
        return;
    }
    switch (chance_below(&state, 6)) {
    case 0:
    case 1:
        ask(person->client, "{\"id\":%u,\"subscribe\":{\"channel\":\"%s\"}}",
            new_id(person, SUBSCRIBE, channel), names[channel]);
        break;
    case 2:
        ask(person->client, "{\"id\":%u,\"unsubscribe\":{\"channel\":\"%s\"}}",
            new_id(person, UNSUBSCRIBE, channel), names[channel]);
        break;
    default:
        said[who][channel].count++;
        ask(person->client, "{\"id\":%u,\"publish\":{\"channel\":\"%s\",\"data\":\"%u.%u.%llu\"}}",
            new_id(person, PUBLISH, channel), names[channel], who, lives[who],
            (unsigned long long)said[who][channel].count);
        break;
    }
}

/* Goes, and comes back as somebody else while there are connections left. */
static void go(uint32_t who)
{
    if (world.client_count == CLIENT_COUNT_MAX) {
        return;
    }
    hang_up(people[who].client);
    lives[who]++;
    for (int channel = 0; channel < CHANNELS; channel++) {
        said[who][channel] = (struct said){0};
        for (int i = 0; i < PEOPLE; i++) {
            said[i][channel].heard_at[who] = 0;
        }
    }
    arrive(&people[who]);
}

static void listen_all(void)
{
    for (uint32_t i = 0; i < PEOPLE; i++) {
        listen(i);
        ck_assert_uint_eq(people[i].client->disconnect_count, 0);
    }
}

/* At rest: all answers are there, and a last round reaches exactly who believes to be in. */
static void last_round(void)
{
    settle();
    listen_all();
    for (uint32_t channel = 0; channel < CHANNELS; channel++) {
        ask(people[0].client, "{\"id\":%u,\"publish\":{\"channel\":\"%s\",\"data\":\"last\"}}",
            new_id(&people[0], PUBLISH, channel), names[channel]);
        settle();
        for (uint32_t i = 0; i < PEOPLE; i++) {
            if (i == 0) {
                const struct event event =
                    hear(people[0].client, EVENT_PUBLISHED, people[0].next_id - 1);
                hear_answer(0, &event);
            }
            if (people[i].in[channel]) {
                hear_publication(people[i].client, names[channel], "\"last\"");
            }
            hear_nothing(people[i].client);
        }
    }
    for (uint32_t i = 0; i < PEOPLE; i++) {
        ck_assert_uint_eq(people[i].waiting, 0);
    }
}

START_TEST(at_random)
{
    state = 3935559000370003845 + 2 * (uint64_t)_i;
    accepted_answers = heard = pushes = 0;
    memset(said, 0, sizeof(said));
    memset(lives, 0, sizeof(lives));
    open_world((struct world_options){
        .hub_count = HUBS, .slots = 16, .reserve = 3, .tail_max = 3 + (uint32_t)_i * 5});
    for (int i = 0; i < CHANNELS; i++) {
        (void)name_at(names[i], (uint16_t)(i % HUBS), i);
    }
    for (int i = 0; i < PEOPLE; i++) {
        arrive(&people[i]);
    }
    for (int turn = 0; turn < TURNS; turn++) {
        const uint32_t who = chance_below(&state, PEOPLE);
        say_something(who);
        if (chance_below(&state, 60) == 0) {
            go(who);
        }
        /* For a while one reactor hardly runs at all. */
        const uint16_t index = (uint16_t)chance_below(&state, HUBS);
        if (index != turn / 500 % 6 || chance_below(&state, 50) == 0) {
            (void)run_some(index, chance_below(&state, 8));
        }
        listen(who);
    }
    last_round();
    ck_assert_uint_gt(accepted_answers, 1000);
    ck_assert_uint_gt(heard, 1000);
    ck_assert(_i > 0 || pushes > 0);
    close_world();
}
END_TEST

int main(void)
{
    TCase *hub = tcase_create("hub at random");
    tcase_add_loop_test(hub, at_random, 0, 6);
    Suite *suite = suite_create("chat/hub at random");
    suite_add_tcase(suite, hub);
    return run_suite(suite);
}
