/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three hubs with tiny rings, and clients that come and go at random, recover, read slowly and
 * publish; who runs when, and how many posts it takes, is chance from a seed.
 *
 * A client that subscribes from where it was gets each publication once and in order, by its reply
 * or live; unless it is told that it lost something, which may be only when it missed more than
 * one is given. And every offset has one content, for everybody.
 */
#include "tests/unit/chat/hub_world.h"

enum {
    HUBS = 3,
    CHANNELS = 3,
    CLIENTS = 15,
    STEPS = 5000,
    MISSED_MAX = 10, /* publications that one is given */
    TOP_MAX = 2000,
};

enum state {
    OUT = 0,
    ENTERING, /* has asked */
    IN,
};

/* One client in one channel. */
struct seat {
    enum state state;
    bool leaves;       /* has asked to */
    bool has_position; /* it was in there once */
    uint64_t position;
    uint32_t id; /* of its subscribe */
};

struct guest {
    struct client *client;
    struct seat seats[CHANNELS];
    uint32_t id; /* the last one used */
    bool is_held;
};

struct hall {
    char name[NAME_SIZE];
    char epoch[17];
    uint64_t published;         /* accepted, or on their way */
    uint64_t contents[TOP_MAX]; /* by offset; 0: nobody has seen it yet */
};

static struct guest guests[CLIENTS];
static struct hall halls[CHANNELS];
static size_t recovered; /* with something */
static size_t lost;
static size_t parts; /* told to come again */
static uint64_t next_number = 1;

/* -- reading ----------------------------------------------------------------------------------- */

/* Without ck_assert() where it is right: Check takes a note of each, and these are many. */
static void see(struct hall *hall, struct seat *seat, uint64_t offset, uint64_t number)
{
    if (offset != seat->position + 1 || offset >= TOP_MAX) {
        ck_abort_msg("%llu behind %llu", (unsigned long long)offset,
                     (unsigned long long)seat->position);
    }
    if (hall->contents[offset] != 0 && hall->contents[offset] != number) {
        ck_abort_msg("two contents of %llu", (unsigned long long)offset);
    }
    hall->contents[offset] = number;
    seat->position = offset;
}

/* The number behind a key; moves behind it. */
static uint64_t number_behind(const char **at, const char *end, const char *key)
{
    const char *found = memmem(*at, (size_t)(end - *at), key, strlen(key));
    if (found == NULL) {
        ck_abort_msg("no %s", key);
    }
    char *behind;
    const uint64_t number = strtoull(found + strlen(key), &behind, 10);
    *at = behind;
    return number;
}

static void see_all(struct hall *hall, struct seat *seat, struct bytes publications)
{
    const char *at = (const char *)publications.data;
    const char *const end = at + publications.size;
    while (publications.size > 0 && memchr(at, '{', (size_t)(end - at)) != NULL) {
        const uint64_t number = number_behind(&at, end, "{\"data\":");
        see(hall, seat, number_behind(&at, end, "\"offset\":"), number);
        at++; /* its brace */
    }
}

static struct seat *seat_of(struct guest *guest, uint32_t id, struct hall **hall)
{
    for (int i = 0; i < CHANNELS; i++) {
        if (guest->seats[i].state == ENTERING && guest->seats[i].id == id) {
            *hall = &halls[i];
            return &guest->seats[i];
        }
    }
    return NULL;
}

static void see_subscribed(struct guest *guest, const struct event *event)
{
    struct hall *hall = NULL;
    struct seat *seat = seat_of(guest, event->id, &hall);
    ck_assert_ptr_nonnull(seat);
    if (event->epoch.size == 0) {
        ck_assert(seat->leaves); /* it was out before it was in */
        return;
    }
    seat->state = IN;
    ck_assert_uint_eq(event->epoch.size, sizeof(hall->epoch) - 1);
    ck_assert(hall->epoch[0] == '\0' || is_text(event->epoch, hall->epoch));
    memcpy(hall->epoch, event->epoch.data, event->epoch.size);
    ck_assert(event->recoverable && event->positioned);
    ck_assert_int_eq(event->was_recovering, seat->has_position);
    if (event->recovered) {
        ck_assert(seat->has_position);
        ck_assert_uint_eq(event->offset, seat->position);
        see_all(hall, seat, event->publications);
        recovered += event->publications.size > 0;
        return;
    }
    ck_assert_uint_eq(event->publications.size, 0);
    if (seat->has_position) {
        /* It must have missed more than it could have been given. */
        ck_assert_uint_gt(hall->published - seat->position, MISSED_MAX);
        ck_assert_uint_gt(event->offset, seat->position);
        lost++;
    }
    seat->has_position = true;
    seat->position = event->offset;
}

static int channel_of(struct bytes name)
{
    for (int i = 0; i < CHANNELS; i++) {
        if (is_text(name, halls[i].name)) {
            return i;
        }
    }
    ck_abort_msg("a channel that nobody asked for");
    return -1;
}

static void see_event(struct guest *guest, const struct event *event)
{
    struct hall *hall;
    struct seat *seat;
    if (event->kind == EVENT_PUBLICATION) {
        const int i = channel_of(event->channel);
        const char *at = (const char *)event->data.data;
        ck_assert_int_eq(guest->seats[i].state, IN);
        char *end;
        see(&halls[i], &guest->seats[i], event->offset, strtoull(at, &end, 10));
    } else if (event->kind == EVENT_SUBSCRIBED) {
        see_subscribed(guest, event);
    } else if (event->kind == EVENT_UNSUBSCRIBE_PUSH) {
        seat = &guest->seats[channel_of(event->channel)];
        ck_assert_int_eq(seat->state, IN);
        ck_assert_uint_eq(event->code, CODES_UNSUBSCRIBE_INSUFFICIENT_STATE);
        seat->state = OUT;
        parts++;
    } else if (event->kind == EVENT_UNSUBSCRIBED) {
        for (int i = 0; i < CHANNELS; i++) {
            if (guest->seats[i].leaves && guest->seats[i].id == event->id - 1000000) {
                guest->seats[i].leaves = false;
                guest->seats[i].state = OUT;
                return;
            }
        }
        ck_abort_msg("left what it did not want to leave");
    } else if (event->kind == EVENT_ERROR) {
        ck_assert_uint_eq(event->code, CODES_ERROR_INTERNAL); /* its room was lost meanwhile */
        seat = seat_of(guest, event->id, &hall);
        ck_assert_ptr_nonnull(seat);
        seat->state = OUT;
    } else {
        ck_assert_int_eq(event->kind, EVENT_PUBLISHED);
    }
}

static void read_all(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        struct event event;
        while (next_event(guests[i].client, &event)) {
            see_event(&guests[i], &event);
        }
    }
}

/* -- acting ------------------------------------------------------------------------------------ */

static void enter(struct guest *guest, int channel)
{
    struct seat *seat = &guest->seats[channel];
    char recover[128] = "";
    if (seat->has_position) {
        (void)snprintf(recover, sizeof(recover),
                       ",\"recover\":true,\"epoch\":\"%s\",\"offset\":%llu", halls[channel].epoch,
                       (unsigned long long)seat->position);
    }
    seat->id = ++guest->id;
    seat->state = ENTERING;
    ask(guest->client, "{\"id\":%u,\"subscribe\":{\"channel\":\"%s\"%s}}", seat->id,
        halls[channel].name, recover);
}

static void leave(struct guest *guest, int channel)
{
    struct seat *seat = &guest->seats[channel];
    seat->leaves = true;
    ask(guest->client, "{\"id\":%u,\"unsubscribe\":{\"channel\":\"%s\"}}", 1000000 + seat->id,
        halls[channel].name);
}

static void publish(struct guest *guest, int channel)
{
    struct hall *hall = &halls[channel];
    if (hall->published + 1 < TOP_MAX) {
        hall->published++;
        ask(guest->client, "{\"id\":%u,\"publish\":{\"channel\":\"%s\",\"data\":%llu}}",
            ++guest->id, hall->name, (unsigned long long)next_number++);
    }
}

static void hold(struct guest *guest, bool is_held)
{
    guest->is_held = is_held;
    (is_held ? hub_hold : hub_release)(hub_of(guest->client), guest->client->session);
}

/* In one of the first so many channels: who asks a hub that sleeps soon has no credit for it. */
static void act(uint64_t *state, uint32_t channel_count)
{
    struct guest *guest = &guests[chance_below(state, CLIENTS)];
    const int channel = (int)chance_below(state, channel_count);
    struct seat *seat = &guest->seats[channel];
    const uint32_t what = chance_below(state, 10);
    if (!hub_is_ready(hub_of(guest->client))) {
        return;
    }
    if (what < 2) {
        publish(guest, channel);
    } else if (what < 6 && seat->state == OUT && !seat->leaves) {
        enter(guest, channel);
    } else if ((what == 6 || what == 7) && seat->state != OUT && !seat->leaves) {
        leave(guest, channel);
    } else if (what == 8 && guest->is_held) {
        hold(guest, false);
    } else if (what == 9 && chance_below(state, 4) == 0) {
        hold(guest, true);
    }
}

static void open_random(uint64_t *state, int round)
{
    const bool is_tiny = round % 2 == 0;
    open_world((struct world_options){.hub_count = HUBS,
                                      .slots = is_tiny ? 16 : 64,
                                      .reserve = is_tiny ? 1 + chance_below(state, 4) : 16,
                                      .tail_max = 8});
    for (int i = 0; i < CHANNELS; i++) {
        for (int number = 0;; number++) {
            (void)snprintf(halls[i].name, NAME_SIZE, "hist:%d.%d", i, number);
            if (ids_home_of(table_hash(&world_key, view(halls[i].name)), HUBS) == i) {
                break;
            }
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        guests[i].client = connected_client((uint16_t)(i % HUBS));
        guests[i].id = 1;
    }
}

/* At the end nobody is missing anything, and nobody waits. */
static void finish(void)
{
    for (int i = 0; i < CLIENTS; i++) {
        if (guests[i].is_held) {
            hold(&guests[i], false);
        }
    }
    for (int turn = 0; turn < 20; turn++) {
        settle();
        read_all();
        for (int i = 0; i < CLIENTS * CHANNELS; i++) {
            struct guest *guest = &guests[i / CHANNELS];
            if (guest->seats[i % CHANNELS].state == OUT) {
                if (!hub_is_ready(hub_of(guest->client))) {
                    settle();
                    read_all();
                }
                enter(guest, i % CHANNELS);
            }
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        ck_assert_uint_eq(guests[i].client->disconnect_count, 0);
        for (int channel = 0; channel < CHANNELS; channel++) {
            ck_assert_int_eq(guests[i].seats[channel].state, IN);
            ck_assert_uint_eq(guests[i].seats[channel].position, halls[channel].published);
        }
    }
}

START_TEST(nothing_is_lost_or_doubled)
{
    uint64_t state = 88172645463325252 + 2 * (uint64_t)_i;
    const bool is_sleepy = _i % 3 == 0;
    open_random(&state, _i);
    for (int step = 0; step < STEPS; step++) {
        /* The last hub, in some rounds: then it falls off the history of the others. */
        const bool sleeps = is_sleepy && step % 500 < 250;
        act(&state, sleeps ? CHANNELS - 1 : CHANNELS);
        if (chance_below(&state, 3) == 0) {
            (void)run_some((uint16_t)chance_below(&state, sleeps ? HUBS - 1 : HUBS),
                           chance_below(&state, 8));
        }
        read_all();
    }
    finish();
    ck_assert_uint_gt(recovered, 50); /* else it would prove little */
    ck_assert_uint_gt(lost, 0);
    if (is_sleepy && _i % 2 == 1) { /* with a credit or two too little happens */
        ck_assert_uint_gt(metric(0, METRIC_GAPS) + metric(1, METRIC_GAPS), 0);
    }
    close_world();
}
END_TEST

int main(void)
{
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 120);
    tcase_add_loop_test(random, nothing_is_lost_or_doubled, 0, 10);
    Suite *suite = suite_create("chat/hub: recovery at random");
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
