/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who comes and goes, told over three reactors: to whom, in which order, how often; what happens
 * when the bus is full and when a reactor lags; then everything at once from a seed, after which
 * what each client was told last has to be true.
 */
#include "core/slab.h"
#include "tests/unit/chat/hub_world.h"

static const uint64_t second_ns = 1000000000;

/* A channel of a namespace whose home is that reactor. */
static const char *channel_at(char channel[static NAME_SIZE], const char *space, uint16_t home)
{
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(channel, NAME_SIZE, "%s:%d", space, i);
        if (ids_home_of(table_hash(&world_key, view(channel)), world.hub_count) == home) {
            return channel;
        }
    }
    ck_abort_msg("no channel for home %u", home);
    return NULL;
}

static void subscribe(struct client *client, const char *channel)
{
    ask(client, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\",\"join_leave\":true}}", channel);
    pass(second_ns);
    (void)hear(client, EVENT_SUBSCRIBED, 2);
}

static void unsubscribe(struct client *client, const char *channel)
{
    ask(client, "{\"id\":3,\"unsubscribe\":{\"channel\":\"%s\"}}", channel);
}

static void hear_news(struct client *client, enum event_kind kind, const char *channel,
                      struct id whose)
{
    const struct event event = hear(client, kind, 0);
    ck_assert(is_text(event.channel, channel));
    ck_assert_uint_eq(event.client.size, sizeof(whose.text));
    ck_assert_mem_eq(event.client.data, whose.text, sizeof(whose.text));
}

/* Three reactors, each of them the home once: everybody hears everything, the newcomer too. */
START_TEST(everybody_is_told)
{
    char channel[NAME_SIZE];
    struct client *clients[4];
    open_world((struct world_options){.hub_count = 3});
    (void)channel_at(channel, "live", (uint16_t)_i);
    for (int i = 0; i < COUNT(clients); i++) {
        clients[i] = connected_client((uint16_t)(i % 3));
        subscribe(clients[i], channel);
        for (int j = 0; j <= i; j++) {
            hear_news(clients[j], EVENT_JOIN, channel, id_of(clients[i]));
            hear_nothing(clients[j]);
        }
    }
    const struct id first = id_of(clients[0]);
    const struct id second = id_of(clients[1]);
    unsubscribe(clients[0], channel);
    pass(second_ns);
    (void)hear(clients[0], EVENT_UNSUBSCRIBED, 3);
    hang_up(clients[1]);
    pass(second_ns);
    for (int i = 2; i < COUNT(clients); i++) {
        hear_news(clients[i], EVENT_LEAVE, channel, first);
        hear_news(clients[i], EVENT_LEAVE, channel, second);
        hear_nothing(clients[i]);
    }
    hear_nothing(clients[0]);
    close_world();
}
END_TEST

/* Where it is not forced, only those who asked. */
START_TEST(who_asks_is_told)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *asks[2] = {connected_client(0), connected_client(1)};
    struct client *does_not = connected_client(0);
    subscribe(asks[0], "asks:x");
    hear_news(asks[0], EVENT_JOIN, "asks:x", id_of(asks[0]));
    ask(does_not, "{\"id\":2,\"subscribe\":{\"channel\":\"asks:x\"}}");
    pass(second_ns);
    subscribe(asks[1], "asks:x");
    hear_news(asks[0], EVENT_JOIN, "asks:x", id_of(does_not));
    hear_news(asks[0], EVENT_JOIN, "asks:x", id_of(asks[1]));
    hear_news(asks[1], EVENT_JOIN, "asks:x", id_of(asks[1]));
    (void)hear(does_not, EVENT_SUBSCRIBED, 2);
    hear_nothing(does_not);
    close_world();
}
END_TEST

START_TEST(nobody_is_told_elsewhere)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *client = connected_client(0);
    subscribe(client, "x");
    subscribe(client, "hist:x");
    hear_nothing(client);
    ck_assert_uint_eq(metric(0, METRIC_NEWS_FRAMES), 0);
    close_world();
}
END_TEST

/* Of somebody who came and went before anybody heard of it, nothing is told. */
START_TEST(who_was_not_told_of_is_not_missed)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *stays = connected_client(0);
    struct client *visits = connected_client(1);
    subscribe(stays, "live:x");
    hear_news(stays, EVENT_JOIN, "live:x", id_of(stays));
    subscribe(visits, "live:x");
    hear_news(stays, EVENT_JOIN, "live:x", id_of(visits));
    hear_news(visits, EVENT_JOIN, "live:x", id_of(visits));
    struct client *passes = connected_client(1);
    ask(passes, "{\"id\":2,\"subscribe\":{\"channel\":\"live:x\"}}");
    hang_up(passes);
    pass(second_ns);
    hear_nothing(stays);
    close_world();
}
END_TEST

/* A leave goes before the join of the same client, however close they are. */
START_TEST(who_comes_back_is_there)
{
    open_world((struct world_options){.hub_count = 2});
    struct client *stays = connected_client(0);
    struct client *moves = connected_client(1);
    subscribe(stays, "live:x");
    subscribe(moves, "live:x");
    stays->read = stays->size;
    unsubscribe(moves, "live:x");
    ask(moves, "{\"id\":4,\"subscribe\":{\"channel\":\"live:x\"}}");
    pass(second_ns);
    hear_news(stays, EVENT_LEAVE, "live:x", id_of(moves));
    hear_news(stays, EVENT_JOIN, "live:x", id_of(moves));
    hear_nothing(stays);
    close_world();
}
END_TEST

/* After it has spoken a room pauses, the longer the larger it is, and then says all at once. */
START_TEST(a_room_pauses)
{
    enum { MEMBERS = 40 };
    open_world((struct world_options){.hub_count = 1, .presence_max = 10});
    struct client *first = connected_client(0);
    subscribe(first, "live:x");
    hear_news(first, EVENT_JOIN, "live:x", id_of(first));
    for (int i = 0; i < MEMBERS; i++) {
        ask(connected_client(0), "{\"id\":2,\"subscribe\":{\"channel\":\"live:x\"}}");
    }
    const uint64_t before = metric(0, METRIC_NEWS_FRAMES);
    for (int i = 0; i < 50; i++) {
        pass(10000000);
    }
    /* 41 members, 640 pushes a second, 16 in a frame: a pause of a second. */
    ck_assert_uint_eq(metric(0, METRIC_NEWS_FRAMES), before);
    pass(second_ns);
    ck_assert_uint_eq(metric(0, METRIC_NEWS_FRAMES), before + 1);
    /* And no more than ten are told of at all. */
    pass(10 * second_ns);
    ck_assert_uint_eq(metric(0, METRIC_NEWS_JOINS), 10);
    close_world();
}
END_TEST

/* When one of the sample goes, another one follows. */
START_TEST(the_sample_stays_full)
{
    open_world((struct world_options){.hub_count = 1, .presence_max = 2});
    struct client *clients[4];
    for (int i = 0; i < COUNT(clients); i++) {
        clients[i] = connected_client(0);
        subscribe(clients[i], "live:x");
    }
    hear_news(clients[0], EVENT_JOIN, "live:x", id_of(clients[0]));
    hear_news(clients[0], EVENT_JOIN, "live:x", id_of(clients[1]));
    hear_nothing(clients[0]);
    const struct id gone = id_of(clients[1]);
    const struct id unknown = id_of(clients[2]);
    hang_up(clients[2]);
    pass(2 * second_ns);
    hear_nothing(clients[0]);
    hang_up(clients[1]);
    pass(2 * second_ns);
    hear_news(clients[0], EVENT_LEAVE, "live:x", gone);
    hear_news(clients[0], EVENT_JOIN, "live:x", id_of(clients[3]));
    hear_nothing(clients[0]);
    ck_assert_mem_ne(gone.text, unknown.text, sizeof(gone.text));
    close_world();
}
END_TEST

/* Somebody whom only a list named is told of when it leaves. */
START_TEST(who_was_listed_is_told_of)
{
    open_world((struct world_options){.hub_count = 1, .presence_max = 40});
    struct client *asker = connected_client(0);
    struct client *listed = connected_client(0);
    subscribe(asker, "live:x");
    hear_news(asker, EVENT_JOIN, "live:x", id_of(asker));
    ask(listed, "{\"id\":2,\"subscribe\":{\"channel\":\"live:x\"}}");
    ask(asker, "{\"id\":5,\"presence\":{\"channel\":\"live:x\"}}");
    const struct id id = id_of(listed);
    hang_up(listed);
    pass(second_ns);
    const struct event event = hear(asker, EVENT_PRESENCE, 5);
    ck_assert_ptr_nonnull(memmem(event.members.data, event.members.size, id.text, sizeof(id.text)));
    hear_news(asker, EVENT_LEAVE, "live:x", id);
    hear_nothing(asker);
    close_world();
}
END_TEST

/* And one that stays: that somebody asked does not keep the others from hearing of it. */
START_TEST(who_was_listed_has_come)
{
    open_world((struct world_options){.hub_count = 1, .presence_max = 40});
    struct client *asker = connected_client(0);
    struct client *listed = connected_client(0);
    subscribe(asker, "live:x");
    hear_news(asker, EVENT_JOIN, "live:x", id_of(asker));
    ask(listed, "{\"id\":2,\"subscribe\":{\"channel\":\"live:x\"}}");
    ask(asker, "{\"id\":5,\"presence\":{\"channel\":\"live:x\"}}");
    pass(second_ns);
    (void)hear(asker, EVENT_PRESENCE, 5);
    hear_news(asker, EVENT_JOIN, "live:x", id_of(listed));
    hear_nothing(asker);
    (void)hear(listed, EVENT_SUBSCRIBED, 2);
    hear_news(listed, EVENT_JOIN, "live:x", id_of(listed));
    close_world();
}
END_TEST

/* The last one on a reactor leaves: the room stays until the others have been told. */
START_TEST(the_last_one_is_told_of)
{
    char channel[NAME_SIZE];
    open_world((struct world_options){.hub_count = 2});
    (void)channel_at(channel, "live", 0);
    struct client *stays = connected_client(0);
    struct client *goes = connected_client(1);
    subscribe(stays, channel);
    subscribe(goes, channel);
    stays->read = stays->size;
    const struct id id = id_of(goes);
    hang_up(goes);
    ck_assert(!hub_is_quiet(world.reactors[1].hub));
    pass(second_ns);
    ck_assert(hub_is_quiet(world.reactors[1].hub));
    hear_news(stays, EVENT_LEAVE, channel, id);
    close_world();
}
END_TEST

/* Fills the ring from one reactor to another with what has no meaning there. */
static size_t fill_ring(uint16_t from, uint16_t to)
{
    const struct post post = {.kind = POST_LEAVE, .leave = {.channel = {.reactor = to}}};
    const struct bus_post packed = post_pack(&post);
    size_t count = 0;
    while (bus_tell(world.bus, from, to, &packed) == BUS_POSTED) {
        count++;
    }
    return count;
}

/* The way to the home is full: it is told later. */
START_TEST(the_way_to_the_home_is_full)
{
    char channel[NAME_SIZE];
    open_world((struct world_options){.hub_count = 2});
    (void)channel_at(channel, "live", 0);
    struct client *stays = connected_client(0);
    struct client *moves = connected_client(1);
    subscribe(stays, channel);
    subscribe(moves, channel);
    stays->read = stays->size;
    const struct id id = id_of(moves);
    ck_assert_uint_gt(fill_ring(1, 0), 0);
    hang_up(moves);
    for (int i = 0; i < 20; i++) {
        world.now_ns += 10000000;
        (void)run(1);
        ck_assert(!hub_is_quiet(world.reactors[1].hub));
    }
    hear_nothing(stays);
    pass(second_ns);
    pass(second_ns);
    hear_news(stays, EVENT_LEAVE, channel, id);
    hear_nothing(stays);
    close_world();
}
END_TEST

/* Reactor 1 has a member and hears nothing, while one of reactor 0 comes and goes. */
static void come_and_go(const char *channel, struct client *slow, struct client *moves, int times)
{
    subscribe(slow, channel);
    subscribe(moves, channel);
    slow->read = slow->size;
    ck_assert_uint_gt(fill_ring(0, 1), 0);
    for (int i = 0; i < times; i++) {
        unsubscribe(moves, channel);
        world.now_ns += second_ns;
        (void)run(0);
        ask(moves, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", channel);
        world.now_ns += second_ns;
        (void)run(0);
    }
}

/* The way to a reactor is full: the home keeps some frames, in order. */
START_TEST(a_reactor_lags)
{
    char channel[NAME_SIZE];
    open_world((struct world_options){.hub_count = 2});
    (void)channel_at(channel, "live", 0);
    struct client *slow = connected_client(1);
    struct client *moves = connected_client(0);
    come_and_go(channel, slow, moves, 10);
    ck_assert(hub_has_backlog(world.reactors[0].hub));
    settle();
    for (int i = 0; i < 10; i++) {
        hear_news(slow, EVENT_LEAVE, channel, id_of(moves));
        hear_news(slow, EVENT_JOIN, channel, id_of(moves));
    }
    hear_nothing(slow);
    ck_assert(!hub_has_backlog(world.reactors[0].hub));
    close_world();
}
END_TEST

/* And where it was too much, everybody there is told to begin anew; the others hear that too. */
START_TEST(a_reactor_lags_too_far)
{
    char channel[NAME_SIZE];
    open_world((struct world_options){.hub_count = 2});
    (void)channel_at(channel, "live", 0);
    struct client *slow = connected_client(1);
    struct client *moves = connected_client(0);
    come_and_go(channel, slow, moves, 80);
    ck_assert_uint_eq(metric(0, METRIC_GAPS), 1);
    moves->read = moves->size;
    settle();
    ck_assert_uint_eq(hear(slow, EVENT_UNSUBSCRIBE_PUSH, 0).code,
                      CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
    hear_nothing(slow);
    subscribe(slow, channel);
    hear_news(slow, EVENT_JOIN, channel, id_of(slow));
    hear_news(moves, EVENT_LEAVE, channel, id_of(slow));
    hear_news(moves, EVENT_JOIN, channel, id_of(slow));
    close_world();
}
END_TEST

/* -- everything at once ------------------------------------------------------------------------ */

enum { PEOPLE = 24, TURNS = 1200 };

/* What a client was told last of another one since it subscribed. */
enum view { VIEW_NOTHING, VIEW_HERE, VIEW_GONE };

struct person {
    struct client *client;
    struct id id;
    bool subscribed; /* as it has heard itself */
    bool wanted;     /* what it said last */
    bool is_asking;  /* who is there */
    enum view views[PEOPLE];
    bool is_newer[PEOPLE]; /* than the list will be that it asked for */
};

struct crowd {
    struct person people[PEOPLE];
    uint64_t random;
};

static void note_news(struct crowd *crowd, struct person *person, const struct event *event)
{
    for (int i = 0; i < PEOPLE; i++) {
        if (event->client.size == SESSION_ID_TEXT_SIZE &&
            memcmp(event->client.data, crowd->people[i].id.text, SESSION_ID_TEXT_SIZE) == 0) {
            person->views[i] = event->kind == EVENT_JOIN ? VIEW_HERE : VIEW_GONE;
            person->is_newer[i] = true;
        }
    }
}

/* A list is older than what was told while it was asked for. */
static void note_list(struct crowd *crowd, struct person *person, struct bytes members)
{
    person->is_asking = false;
    for (int i = 0; person->subscribed && i < PEOPLE; i++) {
        const struct id *id = &crowd->people[i].id;
        if (!person->is_newer[i] &&
            memmem(members.data, members.size, id->text, sizeof(id->text)) != NULL) {
            person->views[i] = VIEW_HERE;
        }
    }
}

/* Asked before the subscribe was confirmed; or subscribed, before it heard that it had to. */
static void hear_refusal(struct person *person, uint32_t code)
{
    if (code == CODES_ERROR_PERMISSION_DENIED) {
        person->is_asking = false;
    } else {
        ck_assert_uint_eq(code, CODES_ERROR_ALREADY_SUBSCRIBED);
        person->wanted = true;
    }
}

static void hear_all(struct crowd *crowd)
{
    for (int i = 0; i < PEOPLE; i++) {
        struct person *person = &crowd->people[i];
        struct event event;
        while (next_event(person->client, &event)) {
            switch ((int)event.kind) {
            case EVENT_SUBSCRIBED:
                person->subscribed = true;
                memset(person->views, 0, sizeof(person->views));
                memset(person->is_newer, 1, sizeof(person->is_newer)); /* a list of before */
                break;
            case EVENT_UNSUBSCRIBED:
                person->subscribed = false;
                break;
            case EVENT_UNSUBSCRIBE_PUSH:
                person->subscribed = false;
                person->wanted = false;
                break;
            case EVENT_JOIN:
            case EVENT_LEAVE:
                ck_assert_msg(person->subscribed, "news outside of a subscription");
                note_news(crowd, person, &event);
                break;
            case EVENT_PRESENCE:
                note_list(crowd, person, event.members);
                break;
            case EVENT_ERROR:
                hear_refusal(person, event.code);
                break;
            default:
                ck_abort_msg("kind %d", (int)event.kind);
            }
        }
    }
}

/* At rest: the ones that were told to be here are, and who came later than the hearer was told. */
static void expect_truth(struct crowd *crowd)
{
    for (int i = 0; i < PEOPLE; i++) {
        const struct person *hearer = &crowd->people[i];
        for (int j = 0; hearer->subscribed && j < PEOPLE; j++) {
            const bool here = crowd->people[j].subscribed;
            ck_assert_msg(hearer->views[j] != (here ? VIEW_GONE : VIEW_HERE),
                          "%d was told last that %d is %s", i, j, here ? "gone" : "here");
        }
        if (hearer->subscribed) {
            ck_assert_int_eq(hearer->views[i], VIEW_HERE);
        }
    }
}

/* It comes, it goes, or it asks who is there. */
static void move_somebody(struct crowd *crowd)
{
    struct person *person = &crowd->people[chance_below(&crowd->random, PEOPLE)];
    if (!hub_is_ready(hub_of(person->client))) {
        return;
    }
    if (person->wanted && !person->is_asking && chance_below(&crowd->random, 2) == 0) {
        person->is_asking = true;
        memset(person->is_newer, 0, sizeof(person->is_newer));
        ask(person->client, "{\"id\":7,\"presence\":{\"channel\":\"live:x\"}}");
        return;
    }
    if (person->wanted) {
        unsubscribe(person->client, "live:x");
    } else {
        ask(person->client, "{\"id\":2,\"subscribe\":{\"channel\":\"live:x\"}}");
    }
    person->wanted = !person->wanted;
}

START_TEST(at_rest_everything_is_true)
{
    static struct crowd crowd;
    memset(&crowd, 0, sizeof(crowd));
    crowd.random = 88172645463325252U + (uint64_t)_i * 7919;
    /* Small rings, so that the bus is full and reactors lag. */
    open_world((struct world_options){.hub_count = 3, .slots = 16, .reserve = 4});
    for (int i = 0; i < PEOPLE; i++) {
        crowd.people[i].client = connected_client((uint16_t)(i % 3));
        crowd.people[i].id = id_of(crowd.people[i].client);
    }
    for (int turn = 0; turn < TURNS; turn++) {
        move_somebody(&crowd);
        if (chance_below(&crowd.random, 3) == 0) {
            world.now_ns += chance_below(&crowd.random, 30000000);
            (void)run_some((uint16_t)chance_below(&crowd.random, 3),
                           chance_below(&crowd.random, 6));
        }
        if (chance_below(&crowd.random, 300) == 0) {
            pass(2 * second_ns);
            pass(2 * second_ns);
            hear_all(&crowd);
            expect_truth(&crowd);
        }
    }
    close_world();
}
END_TEST

int main(void)
{
    TCase *told = tcase_create("told");
    tcase_add_loop_test(told, everybody_is_told, 0, HUB_COUNT_MAX);
    tcase_add_test(told, who_asks_is_told);
    tcase_add_test(told, nobody_is_told_elsewhere);
    tcase_add_test(told, who_was_not_told_of_is_not_missed);
    tcase_add_test(told, who_comes_back_is_there);
    tcase_add_test(told, a_room_pauses);
    tcase_add_test(told, the_sample_stays_full);
    tcase_add_test(told, who_was_listed_is_told_of);
    tcase_add_test(told, who_was_listed_has_come);
    tcase_add_test(told, the_last_one_is_told_of);
    TCase *full = tcase_create("full");
    tcase_add_test(full, the_way_to_the_home_is_full);
    tcase_add_test(full, a_reactor_lags);
    tcase_add_test(full, a_reactor_lags_too_far);
    TCase *random = tcase_create("random");
    tcase_add_loop_test(random, at_rest_everything_is_true, 0, 20);
    tcase_set_timeout(random, 120); /* seconds: under sanitizers, on a busy machine */
    Suite *suite = suite_create("chat/hub_news");
    suite_add_tcase(suite, told);
    suite_add_tcase(suite, full);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
