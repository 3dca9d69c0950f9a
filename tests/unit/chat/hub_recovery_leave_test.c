/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of those who wait for what they missed when they leave, hang up, or lose their room
 * meanwhile; and how many may wait: for bytes, credits, memory and room in the outbox, one at a
 * time where need be, but nobody for ever.
 */
#include "tests/unit/chat/history_world.h"

/* Somebody who keeps the room on reactor 1. */
static struct client *resident(void)
{
    struct client *client = connected_client(1);
    subscribe(client, 2);
    settle();
    hear_subscribed(client, 2, published);
    return client;
}

/* -- leaving ----------------------------------------------------------------------------------- */

/* Both commands have their answer, and what was read for nobody is dropped. */
START_TEST(unsubscribes_while_waiting)
{
    open_history(2, 5);
    struct client *stays = _i == 1 ? resident() : NULL;
    struct client *client = connected_client(1);
    come_back(client, 7, 2);
    if (_i == 0) {
        (void)run(1); /* the interest, ... */
        (void)run(0);
        (void)run(1); /* ... and the question */
    } else {
        (void)run(1);
    }
    unsubscribe(client, 8);
    (void)run(1);
    const struct event event = hear(client, EVENT_SUBSCRIBED, 7);
    ck_assert(!event.recovered);
    (void)hear(client, EVENT_UNSUBSCRIBED, 8);
    settle();
    publish_to(6);
    settle();
    hear_nothing(client);
    if (stays != NULL) {
        hear_numbers(stays, 6, 6);
    }
    ck_assert_uint_eq(client->session->subscription_count, 0);
    come_back(client, 9, 2); /* and it may come back again */
    settle();
    hear_recovered(client, 9, 3, 6);
    close_world();
}
END_TEST

/* It comes again before the answer to its first question is there: another room, another one. */
START_TEST(changes_its_mind_while_waiting)
{
    open_history(2, 5);
    struct client *client = connected_client(1);
    come_back(client, 7, 2);
    (void)run(1);
    (void)run(0);
    (void)run(1);
    unsubscribe(client, 8);
    come_back(client, 9, 3);
    settle();
    (void)hear(client, EVENT_SUBSCRIBED, 7);
    (void)hear(client, EVENT_UNSUBSCRIBED, 8);
    hear_recovered(client, 9, 4, 5);
    publish_to(6);
    settle();
    hear_numbers(client, 6, 6);
    close_world();
}
END_TEST

START_TEST(hangs_up_while_waiting)
{
    open_history(2, 5);
    struct client *stays = _i == 1 ? resident() : NULL;
    struct client *client = connected_client(1);
    struct client *other = _i == 2 ? connected_client(1) : NULL;
    come_back(client, 7, 2);
    if (other != NULL) {
        come_back(other, 7, 4);
    }
    (void)run(1);
    (void)run(0);
    (void)run(1);
    hang_up(client);
    settle();
    publish_to(6);
    settle();
    if (stays != NULL) {
        hear_numbers(stays, 6, 6);
    }
    if (other != NULL) {
        hear_recovered(other, 7, 5, 5);
        hear_numbers(other, 6, 6);
    }
    close_world(); /* in which nothing is left of it */
}
END_TEST

/* -- losing the room --------------------------------------------------------------------------- */

enum { TELLS = 12 }; /* that fit into a ring of 16 slots with two reserves of 2 */

static struct client *stays;
static struct client *waits;

/* Reactor 1 knows of 3, and has slept since: more was published than ring and history can hold. */
static void open_gap(void)
{
    open_history_of(
        (struct world_options){.hub_count = 2, .slots = 16, .reserve = 2, .tail_max = 4}, "hist",
        3);
    stays = resident();
    waits = connected_client(1);
}

static void after_the_gap(void)
{
    hear_numbers(stays, 4, 3); /* nothing else comes */
    publish_to(published + 1);
    come_back(waits, 8, published - 1);
    settle();
    hear_recovered(waits, 8, published, published);
    hear_nothing(stays);
    close_world();
}

/* Its question comes to the home behind the gap: it is told to try again. */
START_TEST(a_gap_before_the_question)
{
    open_gap();
    come_back(waits, 7, 1);
    publish_to(60);
    ck_assert_uint_eq(metric(0, METRIC_GAPS), 1);
    (void)run_some(1, 0); /* the question */
    settle();
    hear_error(waits, 7, CODES_ERROR_INTERNAL);
    for (int number = 4; number < 4 + TELLS; number++) {
        hear_number(stays, number);
    }
    hear_unsubscribed(stays);
    after_the_gap();
}
END_TEST

/* The gap comes to the room while the question is under way; its answer finds no room. */
START_TEST(a_gap_before_the_answer)
{
    open_gap();
    publish_to(60);
    (void)run_some(1, 1); /* makes room for the gap ... */
    (void)run_some(0, 0); /* ... which is told */
    come_back(waits, 7, 1);
    (void)run_some(1, 0); /* the question */
    settle();
    hear_error(waits, 7, CODES_ERROR_INTERNAL);
    for (int number = 4; number < 4 + TELLS; number++) {
        hear_number(stays, number);
    }
    hear_unsubscribed(stays);
    after_the_gap();
}
END_TEST

/* The answer comes first: it is given that, is a member, and then loses what the others lose. */
START_TEST(a_gap_behind_the_answer)
{
    open_gap();
    come_back(waits, 7, 1);
    (void)run(1);
    (void)run(0);
    publish_to(60);
    ck_assert_uint_eq(metric(0, METRIC_GAPS), 1);
    settle();
    hear_recovered(waits, 7, 2, 3);
    struct client *const both[] = {stays, waits};
    for (int i = 0; i < COUNT(both); i++) {
        for (int number = 4; number < 3 + TELLS; number++) {
            hear_number(both[i], number); /* one place in the ring is the answer's */
        }
        hear_unsubscribed(both[i]);
    }
    after_the_gap();
}
END_TEST

/* -- how much at once -------------------------------------------------------------------------- */

/* So many bytes, which are more than the number alone. */
static void publish_large(int last, int size)
{
    char message[16384];
    while (published < last) {
        published++;
        (void)snprintf(message, sizeof(message),
                       "{\"id\":1000,\"publish\":{\"channel\":\"%s\",\"data\":\"%*d\"}}", name,
                       size, published);
        ck_assert_uint_eq(say(publisher, message), 0);
        settle();
    }
}

/* What it was given: the offsets of publications, which are read from the text. Their bytes. */
static size_t hear_part(struct client *client, uint32_t id, uint64_t first, uint64_t last)
{
    const struct event event = hear(client, EVENT_SUBSCRIBED, id);
    ck_assert(event.recovered);
    ck_assert_uint_eq(event.offset, first - 1);
    const char *at = (const char *)event.publications.data;
    const char *const end = at + event.publications.size;
    static const char key[] = "\"offset\":";
    for (uint64_t offset = first; offset <= last; offset++) {
        at = memmem(at, (size_t)(end - at), key, strlen(key));
        ck_assert_ptr_nonnull(at);
        at += strlen(key);
        ck_assert_uint_eq(strtoull(at, NULL, 10), offset);
    }
    ck_assert_ptr_null(memmem(at, (size_t)(end - at), key, strlen(key)));
    return event.publications.size;
}

/* Longer than a page: it is given a page, told to come again, and given the next. */
START_TEST(comes_in_parts)
{
    const uint16_t reactor = (uint16_t)_i;
    open_history(2, 0);
    publish_large(10, 1500); /* five of them are a page of 8192 bytes */
    struct client *client = connected_client(reactor);
    come_back(client, 7, 0);
    settle();
    (void)hear_part(client, 7, 1, 5);
    hear_unsubscribed(client);
    hear_nothing(client);
    ck_assert_uint_eq(client->session->subscription_count, 0);
    publish_to(11); /* not for it: it is no member now */
    settle();
    hear_nothing(client);
    come_back(client, 8, 5);
    settle();
    (void)hear_part(client, 8, 6, 11);
    publish_to(12);
    settle();
    hear_numbers(client, 12, 12);
    close_world();
}
END_TEST

/* One that is longer than a page is a page. */
START_TEST(longer_than_a_page)
{
    const uint16_t reactor = (uint16_t)_i;
    open_history(2, 0);
    publish_large(2, 10000);
    struct client *client = connected_client(reactor);
    come_back(client, 7, 0);
    settle();
    (void)hear_part(client, 7, 1, 1);
    hear_unsubscribed(client);
    come_back(client, 8, 1);
    settle();
    (void)hear_part(client, 8, 2, 2);
    hear_nothing(client);
    close_world();
}
END_TEST

/* Half a MiB in one iteration; the rest in later ones, each once. */
START_TEST(so_many_bytes_at_once)
{
    enum { MANY = 150 };
    const uint16_t reactor = (uint16_t)_i;
    const size_t bytes_max = 512 << 10;
    struct client *clients[MANY];
    bool answered[MANY] = {false};
    open_history_of((struct world_options){.hub_count = 2, .text = 4 << 20}, "hist", 0);
    publish_large(10, 700);
    for (int i = 0; i < MANY; i++) {
        clients[i] = connected_client(reactor);
    }
    for (int i = 0; i < MANY; i++) {
        come_back(clients[i], 7, 0);
    }
    int count = 0;
    int turns = 0;
    while (count < MANY) {
        size_t bytes = 0;
        size_t last = 0;
        if (reactor == 1) {
            (void)run(0);
        }
        (void)run(reactor);
        for (int i = 0; i < MANY; i++) {
            if (unread(clients[i]).size > 0) {
                ck_assert(!answered[i]);
                answered[i] = true;
                last = hear_part(clients[i], 7, 1, 10);
                bytes += last;
                count++;
            }
        }
        ck_assert(bytes == 0 || bytes - last < bytes_max);
        ck_assert_int_lt(turns++, 20);
    }
    ck_assert_int_gt(turns, 2);
    ck_assert(!hub_has_backlog(world.reactors[reactor].hub));
    close_world();
}
END_TEST

/* -- credits ----------------------------------------------------------------------------------- */

/* More rooms have to be asked about than there are credits: the others wait for them. */
START_TEST(credits_run_out)
{
    enum { ROOMS = 7, RESERVE = 3 };
    open_history_of((struct world_options){.hub_count = 2, .slots = 16, .reserve = RESERVE}, "hist",
                    0);
    static char epochs[ROOMS][EPOCH_SIZE];
    struct client *residents = connected_client(1);
    struct client *client = connected_client(1);
    for (int i = 0; i < ROOMS; i++) {
        choose_name("hist", 0, i);
        published = 0;
        publish_to(i + 1);
        settle();
        learn_epoch();
        memcpy(epochs[i], epoch, sizeof(epoch));
        subscribe(residents, 2);
        settle();
        hear_subscribed(residents, 2, i + 1);
    }
    const uint64_t posts = bus_posts(world.bus, 1);
    for (int i = 0; i < ROOMS; i++) {
        choose_name("hist", 0, i);
        memcpy(epoch, epochs[i], sizeof(epoch));
        come_back(client, 10 + (uint32_t)i, i);
    }
    (void)run(1);
    ck_assert_uint_eq(bus_posts(world.bus, 1) - posts, RESERVE);
    ck_assert_uint_eq(bus_credits(world.bus, 1, 0), 0);
    ck_assert(!hub_is_ready(world.reactors[1].hub));
    ck_assert(hub_has_backlog(world.reactors[1].hub));
    settle();
    ck_assert(hub_is_ready(world.reactors[1].hub));
    ck_assert_uint_eq(bus_posts(world.bus, 1) - posts, ROOMS);
    for (int i = 0; i < ROOMS; i++) {
        memcpy(epoch, epochs[i], sizeof(epoch));
        hear_recovered(client, 10 + (uint32_t)i, i + 1, i + 1);
    }
    hear_nothing(client);
    close_world();
}
END_TEST

/* -- memory ------------------------------------------------------------------------------------ */

/* No page can be made: who waits for it is told, and is no member; who has all is not concerned. */
START_TEST(no_memory_for_a_page)
{
    static struct blob *taken[1 << 19];
    const uint16_t reactor = (uint16_t)_i;
    struct blob_pool *pool;
    size_t count = 0;
    open_history(2, 5);
    pool = world.reactors[0].pool;
    struct client *keeps = connected_client(reactor);
    subscribe(keeps, 2);
    settle();
    hear_subscribed(keeps, 2, 5);
    for (size_t size = 1 << 20; size > 0;) {
        struct blob *blob = blob_create(pool, size);
        if (blob == NULL) {
            size /= 2;
        } else {
            ck_assert_uint_lt(count, COUNT(taken));
            taken[count++] = blob;
        }
    }
    struct client *client = connected_client(reactor);
    struct client *has_all = connected_client(reactor);
    come_back(client, 7, 3);
    come_back(has_all, 8, 5);
    settle();
    hear_error(client, 7, CODES_ERROR_INTERNAL);
    hear_recovered(has_all, 8, 6, 5);
    ck_assert_uint_gt(metric(0, METRIC_REJECTED_OUT_OF_MEMORY), 0);
    while (count > 0) {
        blob_drop(taken[--count], pool);
    }
    publish_to(6);
    settle();
    hear_nothing(client);
    hear_numbers(has_all, 6, 6);
    hear_numbers(keeps, 6, 6);
    come_back(client, 9, 3); /* the error is a temporary one: the SDK does this */
    settle();
    hear_recovered(client, 9, 4, 6);
    close_world();
}
END_TEST

int main(void)
{
    TCase *leave = tcase_create("leave");
    tcase_add_loop_test(leave, unsubscribes_while_waiting, 0, 2);
    tcase_add_test(leave, changes_its_mind_while_waiting);
    tcase_add_loop_test(leave, hangs_up_while_waiting, 0, 3);
    tcase_add_test(leave, a_gap_before_the_question);
    tcase_add_test(leave, a_gap_before_the_answer);
    tcase_add_test(leave, a_gap_behind_the_answer);
    TCase *limits = tcase_create("limits");
    tcase_add_loop_test(limits, comes_in_parts, 0, 2);
    tcase_add_loop_test(limits, longer_than_a_page, 0, 2);
    tcase_add_loop_test(limits, so_many_bytes_at_once, 0, 2);
    tcase_add_test(limits, credits_run_out);
    tcase_add_loop_test(limits, no_memory_for_a_page, 0, 2);
    Suite *suite = suite_create("chat/hub: recovery, leaving and limits");
    suite_add_tcase(suite, leave);
    suite_add_tcase(suite, limits);
    return run_suite(suite);
}
