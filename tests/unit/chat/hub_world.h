/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_CHAT_HUB_WORLD_H
#define TESTS_UNIT_CHAT_HUB_WORLD_H
/*
 * Up to three hubs on one bus in one thread, and clients that say JSON and hear JSON.
 *
 * A hub does nothing by itself: say() applies commands, run() is one turn of a reactor's loop
 * (take posts, catch up, deliver the outbox, flush), settle() runs all of them until nothing moves.
 * Delivery is as in server/delivery.c: messages before publications, for those go by the other
 * lane. What a client got is text, and read with proto/event. A client that `lags` has no room for
 * any publication.
 */
#include <stdarg.h>
#include <stdio.h>

#include "chat/hub.h"
#include "chat/outbox.h"
#include "chat/policy.h"
#include "chat/post.h"
#include "chat/roster.h"
#include "chat/session.h"
#include "core/blob.h"
#include "core/bus.h"
#include "core/metrics.h"
#include "proto/codes.h"
#include "proto/command.h"
#include "proto/event.h"
#include "tests/unit/chat/testing.h"

enum {
    HUB_COUNT_MAX = 3,
    CLIENT_COUNT_MAX = 256,
    NAME_SIZE = 48, /* bytes, the NUL included: a prefix and two numbers of any size */
};

struct world_options {
    uint16_t hub_count;
    size_t slots;                       /* of a ring; 0: 64 */
    size_t reserve;                     /* credits; 0: 8 */
    uint32_t entries;                   /* of an outbox; 0: 1000 */
    uint32_t room_max;                  /* 0: 1000 */
    uint32_t channel_max;               /* 0: 1000 */
    uint32_t tail_max;                  /* 0: 100 */
    uint32_t presence_max;              /* 0: 1000 */
    uint32_t user_max;                  /* connections of one; 0: 1000 */
    struct quota_limits address_limits; /* no connections: 1000 */
    struct quota_limits user_limits;    /* likewise; in place of user_max */
    size_t pool_bytes;                  /* 0: plenty */
    size_t history_bytes;               /* of a home; 0: 4 MiB */
    const struct claims_verifier *verifier;
    bool personal;                       /* channels */
    const char *personal_namespace;      /* NULL: none */
    bool closed;                         /* nobody may connect without a token */
    uint32_t text;                       /* of an outbox; 0: 1 MiB */
    const struct policy_table *policies; /* NULL: world_policies() */
    size_t (*archive)(uint16_t port);    /* one turn of who stores, as run(); NULL: nobody does */
};

struct client {
    struct session *session; /* NULL: closed */
    struct conn_id conn;
    uint8_t *inbox; /* '\n' behind each event */
    size_t size;
    size_t read;
    uint8_t *copy; /* of the event that was read last */
    uint16_t disconnected;
    size_t disconnect_count;
    bool lags;
    size_t lag_count;                     /* publications that it had no room for */
    enum policy_slow_consumer lag_policy; /* what the hub said then */
};

struct reactor {
    struct hub *hub;
    struct outbox *outbox;
    struct blob_pool *pool;
    struct metrics *metrics;
    struct hub_options options; /* it was made with */
};

struct world {
    struct bus *bus;
    struct reactor reactors[HUB_COUNT_MAX];
    uint16_t hub_count;
    size_t (*archive)(uint16_t port); /* behind the hubs' ports */
    struct client clients[CLIENT_COUNT_MAX];
    uint32_t client_count;
    uint64_t random;
    uint64_t now_ns;
};

static struct metrics world_metrics[HUB_COUNT_MAX];
static struct world world;
static const struct table_key world_key = {0x0706050403020100, 0x0f0e0d0c0b0a0908};

/* -- the world --------------------------------------------------------------------------------- */

static inline void fill_random(void *context, void *target, size_t size)
{
    uint64_t *state = context;
    for (size_t i = 0; i < size; i++) {
        ((uint8_t *)target)[i] = (uint8_t)(chance(state) >> 24);
    }
}

/*
 * Open, but: `mute:` hears and says nothing, `read:` only hears, `talk:` is for its subscribers.
 * `hist:` has 20 publications of history, which is recovered; `free:` too, for who asks, and there
 * only subscribers read it; `last:` recovers the latest; `posi:` has positions only. `live:` tells
 * everybody who comes and goes, `asks:` who asks for it; both have presence, and `live:` for its
 * subscribers only.
 * Who lags is to subscribe again, but for `latest:`, `drop:` and `cut:`.
 */
static inline const struct policy_table *world_policies(void)
{
    static struct policy policies[13];
    static struct policy_table table;
    static const char *const names[COUNT(policies)] = {"",     "mute", "read",   "talk", "hist",
                                                       "free", "last", "latest", "drop", "cut",
                                                       "live", "asks", "posi"};
    for (int i = 0; i < COUNT(policies); i++) {
        policies[i] = (struct policy){
            .name = view(names[i]),
            .index = (uint16_t)i,
            .allow_subscribe_for_client = i != 1,
            .allow_subscribe_for_anonymous = i != 1,
            .allow_publish_for_client = i == 0 || i > 3,
            .allow_presence_for_client = i == 11,
            .allow_presence_for_subscriber = i == 10,
            .allow_presence_for_anonymous = true,
            .presence = i == 10 || i == 11 || i == 1,
            .join_leave = i == 10 || i == 11,
            .force_push_join_leave = i == 10,
            .allow_publish_for_subscriber = i == 0 || i == 3,
            .allow_publish_for_anonymous = i != 1,
            .allow_history_for_client = i == 4 || i == 6 || i == 12,
            .allow_history_for_subscriber = i == 5,
            .allow_history_for_anonymous = true,
            .history_size = (i > 3 && i < 7) || i == 12 ? 20 : 0,
            .history_ttl_ns = 60000000000,
            .history_meta_ttl_ns = 3600000000000,
            .idempotency_ttl_ns = 60000000000,
            .force_recovery = i == 4 || i == 6,
            .allow_recovery = i == 5,
            .force_positioning = i == 12,
            .allow_positioning = i == 5,
            .force_recovery_mode = i == 6 ? POLICY_RECOVERY_CACHE : POLICY_RECOVERY_STREAM,
            .slow_consumer =
                i > 6 && i < 10 ? (enum policy_slow_consumer)(i - 6) : POLICY_SLOW_RESYNC,
        };
    }
    table = (struct policy_table){
        .policies = policies,
        .policy_count = COUNT(policies),
        .name_size_max = 255,
    };
    return &table;
}

static inline struct quota_limits limits_of_users(const struct world_options *options)
{
    struct quota_limits limits = options->user_limits;
    if (limits.count_max == 0) {
        limits.count_max = options->user_max > 0 ? options->user_max : 1000;
    }
    return limits;
}

static inline void open_reactor(uint16_t index, const struct world_options *options)
{
    struct reactor *reactor = &world.reactors[index];
    const struct outbox_options outbox = {
        .entry_count_max = options->entries > 0 ? options->entries : 1000,
        .text_size_max = options->text > 0 ? options->text : 1 << 20,
        .conn_count_max = CLIENT_COUNT_MAX,
    };
    ck_assert_int_eq(outbox_create(&outbox, &reactor->outbox), 0);
    reactor->pool = blob_pool_create(options->pool_bytes > 0 ? options->pool_bytes : 1 << 24);
    ck_assert_ptr_nonnull(reactor->pool);
    reactor->metrics = &world_metrics[index];
    const struct hub_options hub = {
        .key = world_key,
        .reactor = index,
        .reactor_count = options->hub_count,
        .session_count_max = CLIENT_COUNT_MAX,
        .room_count_max = options->room_max > 0 ? options->room_max : 1000,
        .channel_count_max = options->channel_max > 0 ? options->channel_max : 1000,
        .tail_count_max = options->tail_max > 0 ? options->tail_max : 100,
        .tail_bytes_max = 1 << 20,
        .history_bytes_max = options->history_bytes > 0 ? options->history_bytes : 1 << 22,
        .history_count_max = 10,
        .recovery_count_max = 10,
        .list_bytes_max = 1 << 16,
        .revocation_count_max = 10,
        .page_bytes_max = 8192,
        .archive = options->archive != NULL ? options->hub_count : 0,
        .store_timeout_ns = 5000000000,
        .store_bytes_max = 1 << 20,
        .presence_max_list = options->presence_max > 0 ? options->presence_max : 1000,
        .news_batch_max = 16,
        .question_count_max = options->reserve > 0 ? (uint32_t)options->reserve : 8,
        .channel_limit = 8,
        .ping_interval_s = 25,
        .anonymous_allowed = !options->closed,
        .verifier = options->verifier,
        .place_limits =
            {
                [QUOTA_ADDRESS] = options->address_limits.count_max > 0
                                      ? options->address_limits
                                      : (struct quota_limits){.count_max = 1000},
                [QUOTA_USER] = limits_of_users(options),
            },
        .personal_channels = options->personal,
        .personal_namespace =
            view(options->personal_namespace == NULL ? "" : options->personal_namespace),
        .expired_close_delay_ns = 5000000000,
        .expired_sub_close_delay_ns = 5000000000,
        .version = "parley 0",
        .policies = options->policies != NULL ? options->policies : world_policies(),
        .bus = world.bus,
        .pool = reactor->pool,
        .metrics = reactor->metrics,
        .outbox = reactor->outbox,
        .fill_random = fill_random,
        .random_context = &world.random,
    };
    ck_assert_int_eq(hub_create(&hub, &reactor->hub), 0);
    reactor->options = hub;
}

/* Other policies, with the same namespaces in their places. */
static inline void change_policies(const struct policy_table *policies)
{
    for (uint16_t i = 0; i < world.hub_count; i++) {
        hub_learn(world.reactors[i].hub, policies);
    }
    for (uint16_t i = 0; i < world.hub_count; i++) {
        world.reactors[i].options.policies = policies;
        hub_change(world.reactors[i].hub, &world.reactors[i].options);
    }
}

static inline void open_world(struct world_options options)
{
    memset(&world, 0, sizeof(world));
    memset(world_metrics, 0, sizeof(world_metrics));
    world.random = 88172645463325252;
    world.hub_count = options.hub_count;
    world.archive = options.archive;
    world.bus = bus_create(options.hub_count + (size_t)(options.archive != NULL),
                           options.slots > 0 ? options.slots : 64,
                           options.reserve > 0 ? options.reserve : 8);
    ck_assert_ptr_nonnull(world.bus);
    for (uint16_t i = 0; i < options.hub_count; i++) {
        open_reactor(i, &options);
    }
}

/* A name that begins so and whose home is that reactor; another one for each number. */
static inline const char *name_in(char name[static NAME_SIZE], const char *prefix, uint16_t home,
                                  int number)
{
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(name, NAME_SIZE, "%sroom%d.%d", prefix, number, i);
        if (ids_home_of(table_hash(&world_key, view(name)), world.hub_count) == home) {
            return name;
        }
    }
    ck_abort_msg("no name for home %u", home);
    return NULL;
}

static inline const char *name_at(char name[static NAME_SIZE], uint16_t home, int number)
{
    return name_in(name, "", home, number);
}

/* Where the connections of a user, or of an address, are counted. */
static inline uint16_t home_of_key(const struct quota_key *key)
{
    const struct bytes bytes = {key->bytes, sizeof(key->bytes)};
    return ids_home_of(table_hash(&world_key, bytes), world.hub_count);
}

static inline uint16_t home_of_user(const char *name)
{
    const struct quota_key key = quota_key_of(&world_key, view(name));
    return home_of_key(&key);
}

static inline uint64_t metric(uint16_t reactor, enum metrics_id id)
{
    return metrics_read(world.reactors[reactor].metrics, id);
}

/* -- one turn ---------------------------------------------------------------------------------- */

static inline void append(struct client *client, struct bytes text)
{
    client->inbox = realloc(client->inbox, client->size + text.size + 1);
    ck_assert_ptr_nonnull(client->inbox);
    memcpy(client->inbox + client->size, text.data, text.size);
    client->inbox[client->size + text.size] = '\n';
    client->size += text.size + 1;
}

/* The client of a connection, unless it has gone. */
static inline struct client *client_of(struct conn_id conn)
{
    struct client *client = &world.clients[conn.slot];
    return client->session != NULL && conn_id_equal(client->conn, conn) ? client : NULL;
}

static inline void deliver_publication(struct reactor *reactor, struct outbox_entry *entry)
{
    struct room *room = roster_at(hub_roster(reactor->hub), entry->room);
    const struct bytes frame = blob_bytes(entry->blob);
    const size_t header = frame.data[1] < 126 ? 2 : 4;

    if (room != NULL) {
        room->outbox_last = 0;
        room->outbox_count = 0;
        room->outbox_passing = 0;
    }
    for (uint32_t i = room == NULL ? 0 : room->member_count; i > 0; i--) {
        struct client *client = client_of(room->members[i - 1].conn);
        ck_assert_ptr_nonnull(client);
        if (client->lags) {
            client->lag_count++;
            client->lag_policy = hub_lag(reactor->hub, room, i - 1);
        } else {
            append(client, (struct bytes){frame.data + header, frame.size - header});
        }
    }
    blob_drop(entry->blob, reactor->pool);
}

/* A frame of joins and leaves has a line for each. */
static inline void deliver_news(struct reactor *reactor, struct outbox_entry *entry)
{
    struct room *room = roster_at(hub_roster(reactor->hub), entry->room);
    const struct bytes frame = blob_bytes(entry->blob);
    const size_t header = frame.data[1] < 126 ? 2 : 4;

    for (uint32_t i = 0; room != NULL && i < room->member_count; i++) {
        if (room->members[i].traits.hears_news) {
            struct client *client = client_of(room->members[i].conn);
            ck_assert_ptr_nonnull(client);
            append(client, (struct bytes){frame.data + header, frame.size - header});
        }
    }
    blob_drop(entry->blob, reactor->pool);
}

/* What a back end is answered is a line too: PART CODE RESULT. */
static inline void deliver_answer(struct reactor *reactor, const struct outbox_entry *entry)
{
    char head[32];
    uint8_t line[4096];
    const struct bytes text = outbox_text(reactor->outbox, entry);
    const int size = snprintf(head, sizeof(head), "%u %u ", entry->part, entry->code);
    struct client *client = client_of(entry->conn);

    ck_assert_uint_lt((size_t)size + text.size, sizeof(line));
    memcpy(line, head, (size_t)size);
    memcpy(line + size, text.data, text.size);
    if (client != NULL) {
        append(client, (struct bytes){line, (size_t)size + text.size});
    }
}

static inline void deliver_messages(struct reactor *reactor, size_t first)
{
    for (size_t i = first; i < outbox_count(reactor->outbox); i++) {
        const struct outbox_entry *entry = outbox_at(reactor->outbox, i);
        const bool is_for_one = entry->kind == OUTBOX_MESSAGE || entry->kind == OUTBOX_DISCONNECT;
        struct client *client = is_for_one ? client_of(entry->conn) : NULL;
        if (client != NULL && entry->kind == OUTBOX_MESSAGE) {
            append(client, outbox_text(reactor->outbox, entry));
        } else if (client != NULL) {
            client->disconnected = entry->code;
            client->disconnect_count++;
        }
    }
}

static inline void deliver(struct reactor *reactor)
{
    const size_t count = outbox_count(reactor->outbox);

    deliver_messages(reactor, 0);
    for (size_t i = 0; i < count; i++) {
        struct outbox_entry *entry = outbox_at(reactor->outbox, i);
        if (entry->kind == OUTBOX_PUBLICATION) {
            deliver_publication(reactor, entry);
        } else if (entry->kind == OUTBOX_NEWS) {
            deliver_news(reactor, entry);
        } else if (entry->kind == OUTBOX_ANSWER) {
            deliver_answer(reactor, entry);
        }
    }
    deliver_messages(reactor, count); /* what those are told who lag */
    outbox_clear(reactor->outbox);
}

static inline size_t take_posts(uint16_t index, size_t max)
{
    struct reactor *reactor = &world.reactors[index];
    size_t taken = 0;
    struct bus_post packed;
    if (max > OUTBOX_POSTS_MAX) {
        max = OUTBOX_POSTS_MAX;
    }
    if (!outbox_is_roomy(reactor->outbox)) {
        max = 0;
    }
    while (taken < max && bus_take(world.bus, index, &packed, 1) == 1) {
        const struct post post = post_unpack(&packed);
        hub_take(reactor->hub, &post);
        taken++;
    }
    hub_catch_up(reactor->hub);
    (void)blob_pool_collect(reactor->pool);
    return taken;
}

/* As the gateway does, which reads clients then whose connect had to wait for its answer. */
static inline void let_in(struct reactor *reactor)
{
    struct conn_id conn;
    while (hub_next_settled(reactor->hub, &conn)) {
        const struct client *client = client_of(conn);
        ck_assert_ptr_nonnull(client);
        ck_assert(!hub_is_arriving(client->session));
    }
}

/* One turn with at most so many posts. Returns how much moved. */
static inline size_t run_some(uint16_t index, size_t max)
{
    struct reactor *reactor = &world.reactors[index];
    const uint64_t before = bus_posts(world.bus, index);
    hub_tick(reactor->hub, world.now_ns);
    const size_t taken = take_posts(index, max);
    hub_recover(reactor->hub);
    let_in(reactor);
    deliver(reactor);
    hub_flush(reactor->hub);
    bus_flush(world.bus, index);
    return taken + (size_t)(bus_posts(world.bus, index) - before);
}

static inline size_t run(uint16_t index)
{
    return run_some(index, SIZE_MAX);
}

/* Until nothing moved twice: a first turn may only publish what was posted before it. */
static inline void settle(void)
{
    int quiet_turns = 0;
    for (int turn = 0; quiet_turns < 2; turn++) {
        size_t moved = 0;
        for (uint16_t i = 0; i < world.hub_count; i++) {
            moved += run(i);
            moved += hub_has_backlog(world.reactors[i].hub);
        }
        moved += world.archive != NULL ? world.archive(world.hub_count) : 0;
        quiet_turns = moved == 0 ? quiet_turns + 1 : 0;
        ck_assert_int_lt(turn, 10000);
    }
}

/* Time goes by, and what is due then happens. */
static inline void pass(uint64_t ns)
{
    world.now_ns += ns;
    settle();
}

/* -- clients ----------------------------------------------------------------------------------- */

static inline struct client *new_client(uint16_t reactor)
{
    ck_assert_uint_lt(world.client_count, CLIENT_COUNT_MAX);
    struct client *client = &world.clients[world.client_count];
    client->conn = (struct conn_id){world.client_count, 9, reactor};
    client->session = hub_open(world.reactors[reactor].hub, client->conn);
    ck_assert_ptr_nonnull(client->session);
    world.client_count++;
    return client;
}

/* The client id of its session. */
struct id {
    uint8_t text[SESSION_ID_TEXT_SIZE];
};

static inline struct id id_of(const struct client *client)
{
    struct id id;
    session_write_id(client->session, id.text);
    return id;
}

static inline struct hub *hub_of(const struct client *client)
{
    return world.reactors[client->conn.reactor].hub;
}

/* Applies the commands of one message, and is 0 or the code of the one that ended it. */
static inline uint16_t say(struct client *client, const char *message)
{
    uint8_t *copy = copy_of(view(message));
    struct command_reader reader;
    struct command command;
    uint16_t code = 0;

    command_reader_init(&reader, (struct span){copy, strlen(message)});
    while (code == 0) {
        const enum command_verdict verdict = command_next(&reader, &command);
        if (verdict == COMMAND_END) {
            break;
        }
        ck_assert_msg(verdict == COMMAND_OK, "%s", message);
        ck_assert(hub_is_ready(hub_of(client)));
        code = hub_apply(hub_of(client), client->session, &command);
    }
    free(copy); /* the hub has kept no view of it */
    return code;
}

/* With the format's numbers and names; and it must not end the connection. */
__attribute__((format(printf, 2, 3))) static inline void ask(struct client *client,
                                                             const char *format, ...)
{
    char message[1024];
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    ck_assert(size > 0 && (size_t)size < sizeof(message));
    ck_assert_uint_eq(say(client, message), 0);
}

static inline void hang_up(struct client *client)
{
    hub_close(hub_of(client), client->session);
    client->session = NULL;
}

/* What the client got and has not read, with a '\n' behind each event. */
static inline struct bytes unread(const struct client *client)
{
    if (client->inbox == NULL) {
        return (struct bytes){NULL, 0};
    }
    return (struct bytes){client->inbox + client->read, client->size - client->read};
}

/* The next event that the client got; false: none. Its views hold until the next call. */
static inline bool next_event(struct client *client, struct event *event)
{
    if (client->read == client->size) {
        return false;
    }
    const uint8_t *at = client->inbox + client->read;
    const uint8_t *end = memchr(at, '\n', client->size - client->read);
    ck_assert_ptr_nonnull(end);
    const struct bytes line = {at, (size_t)(end - at)};
    client->read += line.size + 1;
    free(client->copy);
    client->copy = copy_of(line);
    struct event_reader reader;
    event_reader_init(&reader, (struct span){client->copy, line.size});
    ck_assert_int_eq(event_next(&reader, event), EVENT_OK);
    return true;
}

static inline struct event hear(struct client *client, enum event_kind kind, uint32_t id)
{
    struct event event = {0};
    ck_assert_msg(next_event(client, &event), "nothing, and not kind %d id %u", (int)kind, id);
    ck_assert_msg(event.kind == kind && event.id == id, "kind %d id %u, and not kind %d id %u",
                  (int)event.kind, event.id, (int)kind, id);
    return event;
}

static inline void hear_error(struct client *client, uint32_t id, enum codes_error code)
{
    const struct event event = hear(client, EVENT_ERROR, id);
    ck_assert_uint_eq(event.code, code);
}

static inline void hear_publication(struct client *client, const char *channel, const char *data)
{
    const struct event event = hear(client, EVENT_PUBLICATION, 0);
    ck_assert(is_text(event.channel, channel));
    ck_assert_msg(is_text(event.data, data), "%.*s, and not %s", (int)event.data.size,
                  (const char *)event.data.data, data);
}

static inline void hear_nothing(struct client *client)
{
    struct event event = {0};
    ck_assert_msg(!next_event(client, &event), "kind %d id %u", (int)event.kind, event.id);
    ck_assert_uint_eq(client->disconnect_count, 0);
}

/* A client that has connected, and has read that it has. */
static inline struct client *connected_client(uint16_t reactor)
{
    struct client *client = new_client(reactor);
    ask(client, "{\"id\":1,\"connect\":{}}");
    (void)run(reactor);
    (void)hear(client, EVENT_CONNECTED, 1);
    return client;
}

/* -- the end ----------------------------------------------------------------------------------- */

/* Everybody hangs up; then nothing may be left of anything. */
static inline void close_world(void)
{
    for (uint32_t i = 0; i < world.client_count; i++) {
        if (world.clients[i].session != NULL) {
            hang_up(&world.clients[i]);
        }
        free(world.clients[i].inbox);
        free(world.clients[i].copy);
    }
    settle();
    /* History is kept for nobody, until it is old, and then its position until that is. */
    for (int i = 0; i < 2; i++) {
        world.now_ns += 3600000000000;
        settle();
    }
    for (uint16_t i = 0; i < world.hub_count; i++) {
        struct reactor *reactor = &world.reactors[i];
        ck_assert(hub_is_quiet(reactor->hub));
        ck_assert(!hub_has_backlog(reactor->hub));
        ck_assert_uint_eq(hub_count_live(reactor->hub), 0);
        hub_gauge(reactor->hub);
        ck_assert_uint_eq(metric(i, METRIC_CHANNELS), 0);
        ck_assert_uint_eq(metric(i, METRIC_ROOMS), 0);
        ck_assert_uint_eq(metric(i, METRIC_SESSIONS), 0);
        ck_assert_uint_eq(metric(i, METRIC_SUBSCRIPTIONS), 0);
        ck_assert_uint_eq(metric(i, METRIC_USERS), 0);
        const struct quota_limits *users = &reactor->options.place_limits[QUOTA_USER];
        if (users->commands.burst == 0 && users->rate.burst == 0) {
            ck_assert_uint_eq(metric(i, METRIC_LIMITED_USERS), 0); /* nobody is remembered */
        }
        (void)blob_pool_collect(reactor->pool);
        ck_assert_uint_eq(blob_pool_count(reactor->pool), 0);
        hub_destroy(reactor->hub);
        outbox_destroy(reactor->outbox);
        blob_pool_destroy(reactor->pool);
    }
    bus_destroy(world.bus);
}

#endif /* TESTS_UNIT_CHAT_HUB_WORLD_H */
