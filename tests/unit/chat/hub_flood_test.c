/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIMITS.md row 62: somebody publishes under ever new idempotency keys, the longest there are, to
 * channels in which somebody is. Keys are memory like history: all together stay below its limit,
 * and who is flooded out is who floods, not who talks now and then.
 */
#include "tests/unit/chat/hub_world.h"

enum {
    FLOODED = 6, /* channels */
    ROUNDS = 20,
    KEYS_PER_ROUND = 100,   /* in each of them */
    MEMORY_MAX = 256 << 10, /* bytes of history, keys included */
    ONE_MORE = 4096,        /* bytes that may be above, until the next one looks */
    HISTORY_SIZE = 10,
    FLOODERS = 5,
};

static const uint64_t short_ttl_ns = 10000000000; /* of a history, and not of keys */
static const uint64_t key_ttl_ns = 300000000000;

static const struct policy_table *flood_policies(uint64_t history_ttl_ns)
{
    static struct policy policy;
    static const struct policy_table table = {
        .policies = &policy,
        .policy_count = 1,
        .name_size_max = 255,
    };
    policy = (struct policy){
        .allow_subscribe_for_client = true,
        .allow_subscribe_for_anonymous = true,
        .allow_publish_for_client = true,
        .allow_publish_for_anonymous = true,
        .allow_history_for_client = true,
        .allow_history_for_anonymous = true,
        .history_size = HISTORY_SIZE,
        .history_ttl_ns = history_ttl_ns,
        .history_meta_ttl_ns = 3600000000000,
        .idempotency_ttl_ns = key_ttl_ns,
    };
    return &table;
}

static size_t history_bytes(void)
{
    hub_gauge(world.reactors[0].hub);
    return metric(0, METRIC_HISTORY_BYTES);
}

/* One publication under a key of 64 bytes that nobody has used. */
static void publish_once(struct client *client, const char *channel, int number)
{
    ask(client,
        "{\"id\":9,\"rpc\":{\"method\":\"publish\",\"data\":{\"channel\":\"%s\",\"data\":1,"
        "\"idempotency_key\":\"%064d\"}}}",
        channel, number);
    (void)run(0);
    struct event event = {0};
    while (event.id != 9) {
        ck_assert(next_event(client, &event));
    }
    ck_assert_int_eq(event.kind, EVENT_RPC);
    client->size = client->read = 0; /* what it heard has been looked at */
}

static void open_flood(char names[FLOODED][NAME_SIZE], struct client *flooder)
{
    for (int i = 0; i < FLOODED; i++) {
        ask(flooder, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}", name_at(names[i], 0, i));
    }
    settle();
}

START_TEST(stays_below_the_limit)
{
    char names[FLOODED][NAME_SIZE];
    open_world((struct world_options){
        .hub_count = 1,
        .policies = flood_policies(600000000000),
        .history_bytes = MEMORY_MAX,
    });
    struct client *flooder = connected_client(0);
    struct client *honest = connected_client(0);
    open_flood(names, flooder);

    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < FLOODED * KEYS_PER_ROUND; i++) {
            publish_once(flooder, names[i % FLOODED], round * FLOODED * KEYS_PER_ROUND + i);
            ck_assert_uint_le(history_bytes(), MEMORY_MAX + ONE_MORE);
        }
        ask(honest, "{\"id\":3,\"publish\":{\"channel\":\"honest\",\"data\":%d}}", round);
        settle();
        (void)hear(honest, EVENT_PUBLISHED, 3);
    }
    ck_assert_uint_gt(metric(0, METRIC_HISTORY_EVICTED), 0);
    ask(honest, "{\"id\":4,\"history\":{\"channel\":\"honest\"}}");
    settle();
    ck_assert_uint_eq(hear(honest, EVENT_HISTORY, 4).offset, ROUNDS);
    close_world();
}
END_TEST

/* Nobody publishes any more: keys go when they are too old, somebody there or not. */
START_TEST(old_keys_go_by_themselves)
{
    char names[FLOODED][NAME_SIZE];
    open_world((struct world_options){
        .hub_count = 1,
        .policies = flood_policies(600000000000),
    });
    struct client *flooder = connected_client(0);
    open_flood(names, flooder);
    const size_t before = history_bytes();
    for (int i = 0; i < FLOODED * KEYS_PER_ROUND; i++) {
        publish_once(flooder, names[i % FLOODED], i);
    }
    ck_assert_uint_gt(history_bytes(), before + FLOODED * KEYS_PER_ROUND * 64);
    pass(600000000000);
    ck_assert_uint_eq(history_bytes(), before);
    close_world();
}
END_TEST

/* Nor do they stay because the history went before them. */
START_TEST(old_keys_go_without_history)
{
    char names[FLOODED][NAME_SIZE];
    open_world((struct world_options){
        .hub_count = 1,
        .policies = flood_policies(short_ttl_ns),
    });
    struct client *flooder = connected_client(0);
    open_flood(names, flooder);
    const size_t before = history_bytes();
    for (int i = 0; i < FLOODED * KEYS_PER_ROUND; i++) {
        publish_once(flooder, names[i % FLOODED], i);
    }
    pass(short_ttl_ns);
    ck_assert_uint_gt(history_bytes(), before + FLOODED * KEYS_PER_ROUND * 64);
    publish_once(flooder, names[0], 0); /* it is still known: nothing is published */
    ck_assert_uint_eq(metric(0, METRIC_REPEATS), 1);
    pass(key_ttl_ns);
    ck_assert_uint_eq(history_bytes(), before);
    close_world();
}
END_TEST

/*
 * Channel after channel is filled with keys, until its history is gone and somebody stays there:
 * whose memory is full of such keys still has room for the history of others.
 */
START_TEST(keys_make_room_for_history)
{
    char names[FLOODED][NAME_SIZE];
    open_world((struct world_options){
        .hub_count = 1,
        .policies = flood_policies(short_ttl_ns),
        .history_bytes = MEMORY_MAX,
    });
    struct client *honest = connected_client(0);
    for (int i = 0; i < FLOODERS; i++) {
        struct client *flooder = connected_client(0);
        for (int j = 0; j < FLOODED; j++) {
            ask(flooder, "{\"id\":2,\"subscribe\":{\"channel\":\"%s\"}}",
                name_at(names[j], 0, i * FLOODED + j));
            settle();
            for (int key = 0; key < KEYS_PER_ROUND; key++) {
                publish_once(flooder, names[j], key);
                ck_assert_uint_le(history_bytes(), MEMORY_MAX + ONE_MORE);
            }
            pass(short_ttl_ns);
        }
    }
    for (int i = 1; i <= HISTORY_SIZE; i++) {
        ask(honest, "{\"id\":3,\"publish\":{\"channel\":\"honest\",\"data\":\"%d\"}}", i);
        settle();
        (void)hear(honest, EVENT_PUBLISHED, 3);
    }
    ask(honest, "{\"id\":4,\"history\":{\"channel\":\"honest\",\"limit\":-1}}");
    settle();
    const struct event event = hear(honest, EVENT_HISTORY, 4);
    ck_assert_uint_eq(event.offset, HISTORY_SIZE);
    ck_assert_uint_gt(event.publications.size, HISTORY_SIZE * sizeof("{\"data\":\"1\"}"));
    close_world();
}
END_TEST

int main(void)
{
    TCase *flood = tcase_create("flood");
    tcase_add_test(flood, stays_below_the_limit);
    tcase_add_test(flood, old_keys_go_by_themselves);
    tcase_add_test(flood, old_keys_go_without_history);
    tcase_add_test(flood, keys_make_room_for_history);
    tcase_set_timeout(flood, 120);
    Suite *suite = suite_create("chat/hub: flood");
    suite_add_tcase(suite, flood);
    return run_suite(suite);
}
