/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command `history`, on the home's reactor (0) and on another one (1): what is read, to the
 * byte; what is refused, and why; and what becomes of the answer when nobody waits for it.
 */
#include "tests/unit/chat/history_world.h"

/* [first, last], falling where last < first - 1; nothing where last == first - 1. */
static void hear_history(struct client *client, uint32_t id, int first, int last)
{
    char line[LINE_MAX_SIZE];
    size_t size = (size_t)sprintf(line, "{\"id\":%u,\"history\":{", id);
    size += put_publications(line + size, first, last);
    size += (size_t)sprintf(line + size, "\"epoch\":\"%s\"", epoch);
    size += published == 0 ? 0 : (size_t)sprintf(line + size, ",\"offset\":%d", published);
    (void)sprintf(line + size, "}}");
    hear_text(client, line);
}

static void read_history(struct client *client, uint32_t id, const char *asks)
{
    ask(client, "{\"id\":%u,\"history\":{\"channel\":\"%s\"%s}}", id, name, asks);
}

/* -- what is read ------------------------------------------------------------------------------ */

/* Twelve were published; one answer has ten at most. */
static const struct {
    const char *why;
    const char *asks;
    int first; /* 0: it is refused, with 112 */
    int last;
} cases[] = {
    {"the position only", "", 1, 0},
    {"the position only, said so", ",\"limit\":0", 1, 0},
    {"the position only, falling", ",\"reverse\":true", 1, 0},
    {"some", ",\"limit\":3", 1, 3},
    {"as many as one answer may have", ",\"limit\":10", 1, 10},
    {"more than that", ",\"limit\":11", 1, 10},
    {"many more", ",\"limit\":2147483647", 1, 10},
    {"all", ",\"limit\":-1", 1, 10},
    {"less than all there are", ",\"limit\":-2147483648", 1, 10},
    {"some, falling", ",\"limit\":3,\"reverse\":true", 12, 10},
    {"all, falling", ",\"limit\":-1,\"reverse\":true", 12, 3},
    {"one, falling", ",\"limit\":1,\"reverse\":true", 12, 12},
    {"from one on", ",\"limit\":5,\"since\":{\"offset\":10}", 11, 12},
    {"some from one on", ",\"limit\":1,\"since\":{\"offset\":10}", 11, 11},
    {"from the last on", ",\"limit\":5,\"since\":{\"offset\":12}", 1, 0},
    {"from the begin on", ",\"limit\":5,\"since\":{}", 1, 5},
    {"from the future", ",\"limit\":5,\"since\":{\"offset\":13}", 0, 0},
    {"from the end of all offsets", ",\"limit\":5,\"since\":{\"offset\":18446744073709551615}", 0,
     0},
    {"before one", ",\"limit\":3,\"reverse\":true,\"since\":{\"offset\":5}", 4, 2},
    {"before the first", ",\"limit\":2,\"reverse\":true,\"since\":{\"offset\":1}", 1, 0},
    {"before the next one", ",\"limit\":3,\"reverse\":true,\"since\":{\"offset\":13}", 12, 10},
    {"before the future", ",\"limit\":2,\"reverse\":true,\"since\":{\"offset\":14}", 0, 0},
    {"of another life", ",\"limit\":5,\"since\":{\"offset\":10,\"epoch\":\"0123456789abcdef\"}", 0,
     0},
    {"of no life of ours", ",\"limit\":5,\"since\":{\"offset\":10,\"epoch\":\"xyz\"}", 0, 0},
    {"of another life, position only", ",\"since\":{\"offset\":10,\"epoch\":\"00000000000000aa\"}",
     0, 0},
    {"of any life", ",\"limit\":5,\"since\":{\"offset\":10,\"epoch\":\"\"}", 11, 12},
};

START_TEST(reads)
{
    const int row = _i / 2;
    open_history(2, 12);
    struct client *client = connected_client((uint16_t)(_i % 2));
    read_history(client, 7, cases[row].asks);
    settle();
    if (cases[row].first > 0) {
        hear_history(client, 7, cases[row].first, cases[row].last);
    } else {
        hear_error(client, 7, CODES_ERROR_UNRECOVERABLE_POSITION);
    }
    hear_nothing(client);
    close_world();
}
END_TEST

START_TEST(reads_of_this_life)
{
    char asks[128];
    open_history(2, 12);
    struct client *client = connected_client((uint16_t)_i);
    (void)snprintf(asks, sizeof(asks), ",\"limit\":5,\"since\":{\"offset\":9,\"epoch\":\"%s\"}",
                   epoch);
    read_history(client, 7, asks);
    settle();
    hear_history(client, 7, 10, 12);
    close_world();
}
END_TEST

/* A channel that nobody published to has a position, too, and keeps it. */
START_TEST(reads_what_is_empty)
{
    open_history(2, 0);
    struct client *client = connected_client((uint16_t)_i);
    read_history(client, 7, ",\"limit\":5");
    read_history(client, 8, ",\"limit\":5,\"reverse\":true");
    settle();
    hear_history(client, 7, 1, 0);
    hear_history(client, 8, 1, 0);
    publish_to(1);
    read_history(client, 9, ",\"limit\":5");
    settle();
    hear_history(client, 9, 1, 1);
    close_world();
}
END_TEST

/* What is too old is not read, and what is more than the history has. */
START_TEST(reads_what_is_kept)
{
    open_history(2, 5);
    struct client *client = connected_client((uint16_t)_i);
    world.now_ns += 59 * second_ns;
    settle();
    publish_to(6);
    world.now_ns += second_ns;
    settle();
    read_history(client, 7, ",\"limit\":5");
    settle();
    hear_history(client, 7, 6, 6);
    for (int last = 10; last <= 30; last += 5) {
        publish_to(last);
        settle();
    }
    read_history(client, 8, ",\"limit\":5");
    settle();
    hear_history(client, 8, 11, 15);
    close_world();
}
END_TEST

/* In the order of the commands at home: what was published before is there. */
START_TEST(reads_behind_what_was_published)
{
    open_history(2, 0);
    publish_to(2);
    read_history(publisher, 7, ",\"limit\":5");
    publish_to(3);
    settle();
    struct event event;
    do {
        ck_assert(next_event(publisher, &event));
    } while (event.kind != EVENT_HISTORY);
    ck_assert_uint_eq(event.offset, 2);
    close_world();
}
END_TEST

/* -- what is refused --------------------------------------------------------------------------- */

static const struct {
    const char *why;
    const char *channel;
    enum codes_error error;
} refusals[] = {
    {"no history, no namespace", "lobby", CODES_ERROR_NOT_AVAILABLE},
    {"no history", "talk:1", CODES_ERROR_NOT_AVAILABLE},
    {"no history, and nothing else is allowed", "mute:1", CODES_ERROR_NOT_AVAILABLE},
    {"a namespace that is not there", "nope:1", CODES_ERROR_UNKNOWN_CHANNEL},
    {"for subscribers only", "free:1", CODES_ERROR_PERMISSION_DENIED},
    {"a name that is none", "hist:\\u00e9", CODES_ERROR_BAD_REQUEST},
};

START_TEST(refuses)
{
    const int row = _i / 2;
    open_world((struct world_options){.hub_count = 2, .reserve = 16});
    struct client *client = connected_client((uint16_t)(_i % 2));
    const uint64_t posts = bus_posts(world.bus, (size_t)(_i % 2));
    ask(client, "{\"id\":7,\"history\":{\"channel\":\"%s\",\"limit\":5}}", refusals[row].channel);
    (void)run((uint16_t)(_i % 2));
    hear_error(client, 7, refusals[row].error);
    ck_assert_uint_eq(bus_posts(world.bus, (size_t)(_i % 2)), posts); /* without asking the home */
    close_world();
}
END_TEST

START_TEST(no_channel)
{
    open_world((struct world_options){.hub_count = 1});
    struct client *client = connected_client(0);
    ck_assert_uint_eq(say(client, "{\"id\":7,\"history\":{\"limit\":5}}"),
                      CODES_DISCONNECT_BAD_REQUEST);
    close_world();
}
END_TEST

/* Where only subscribers read: neither who waits to become one nor who was one is it. */
START_TEST(for_subscribers_only)
{
    open_history_of((struct world_options){.hub_count = 2}, "hist", 0);
    choose_name("free", 0, 0);
    publish_to(3);
    settle();
    struct client *client = connected_client(1);
    subscribe(client, 6);
    read_history(client, 7, ",\"limit\":1");
    settle();
    hear_error(client, 7, CODES_ERROR_PERMISSION_DENIED);
    (void)hear(client, EVENT_SUBSCRIBED, 6);
    read_history(client, 8, ",\"limit\":2");
    settle();
    const struct event event = hear(client, EVENT_HISTORY, 8);
    ck_assert_uint_eq(event.offset, 3);
    unsubscribe(client, 9);
    read_history(client, 10, ",\"limit\":1");
    settle();
    (void)hear(client, EVENT_UNSUBSCRIBED, 9);
    hear_error(client, 10, CODES_ERROR_PERMISSION_DENIED);
    close_world();
}
END_TEST

START_TEST(no_memory)
{
    static struct blob *taken[1 << 19];
    open_history(2, 3);
    struct client *client = connected_client(1);
    struct blob_pool *pool = world.reactors[_i].pool; /* for the page, or for the question */
    size_t count = 0;
    for (size_t size = 1 << 20; size > 0;) {
        struct blob *blob = blob_create(pool, size);
        if (blob == NULL) {
            size /= 2;
        } else {
            ck_assert_uint_lt(count, COUNT(taken));
            taken[count++] = blob;
        }
    }
    read_history(client, 7, ",\"limit\":5");
    settle();
    hear_error(client, 7, CODES_ERROR_INTERNAL);
    ck_assert_uint_eq(metric((uint16_t)_i, METRIC_REJECTED_OUT_OF_MEMORY), 1);
    while (count > 0) {
        blob_drop(taken[--count], pool);
    }
    read_history(client, 8, ",\"limit\":5");
    settle();
    hear_history(client, 8, 1, 3);
    close_world();
}
END_TEST

/* -- nobody waits for it ----------------------------------------------------------------------- */

START_TEST(hangs_up_before_the_answer)
{
    open_history(2, 3);
    struct client *client = connected_client(1);
    read_history(client, 7, ",\"limit\":5");
    (void)run(1);
    if (_i == 1) {
        (void)run(0); /* the answer is under way */
    }
    hang_up(client);
    struct client *next = connected_client(1); /* has its place, and not its answer */
    settle();
    hear_nothing(next);
    close_world(); /* in which no page is left */
}
END_TEST

int main(void)
{
    TCase *history = tcase_create("history");
    tcase_add_loop_test(history, reads, 0, 2 * COUNT(cases));
    tcase_add_loop_test(history, reads_of_this_life, 0, 2);
    tcase_add_loop_test(history, reads_what_is_empty, 0, 2);
    tcase_add_loop_test(history, reads_what_is_kept, 0, 2);
    tcase_add_test(history, reads_behind_what_was_published);
    tcase_add_loop_test(history, refuses, 0, 2 * COUNT(refusals));
    tcase_add_test(history, no_channel);
    tcase_add_test(history, for_subscribers_only);
    tcase_add_loop_test(history, no_memory, 0, 2);
    tcase_add_loop_test(history, hangs_up_before_the_answer, 0, 2);
    Suite *suite = suite_create("chat/hub: history");
    suite_add_tcase(suite, history);
    return run_suite(suite);
}
