/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_SERVER_SHARD_WORLD_H
#define TESTS_UNIT_SERVER_SHARD_WORLD_H
/*
 * A server of two shards in one thread, on a back end of the kernel's, over loopback; and clients
 * of it that are a socket and what they have heard. Included by one test.
 */
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "chat/post.h"
#include "core/bus.h"
#include "core/metrics.h"
#include "net/address.h"
#include "net/backend_choose.h"
#include "net/listener.h"
#include "net/reactor.h"
#include "proto/frame.h"
#include "proto/simd.h"
#include "server/api_key.h"
#include "server/config.h"
#include "server/listening.h"
#include "server/memory.h"
#include "server/policies.h"
#include "server/shard.h"
#include "server/site.h"
#include "server/token.h"
#include "server/token_keys.h"

enum {
    SHARDS = 2,
    CONTROL = SHARDS, /* its port; the test plays it */
    LISTENERS = 2,    /* of each: for clients, and the internal one */
    HEARD_MAX = 1 << 20,
    TURNS_MAX = 1000000, /* of all shards, before something will never come */
};

static struct {
    struct config config;
    struct policies policies;
    struct listening listening;
    struct token_keys *keys;
    struct api_key api_key;
    const struct backend_ops *backend;
    struct memory_limit limit;
    struct site site;
    struct bus *bus;
    struct token_verifier *verifiers[SHARDS];
    struct shard *shards[SHARDS];
    struct address addresses[SHARDS][LISTENERS];
    bool (*gives_up)(int turns); /* is a client to wait no longer? */
} world;

/* Not in `world`, which under ASan is aligned to less. */
static struct metrics world_metrics[SHARDS];

static inline uint64_t world_now(void *context)
{
    (void)context;
    return UINT64_C(1800000000000);
}

static inline void world_random(void *context, void *target, size_t size)
{
    static uint8_t next;
    (void)context;
    memset(target, ++next, size);
}

/* What stays: nothing of it is made again for a server. */
static inline void world_configure(const char *text)
{
    static const struct config_facts facts = {
        .cpu_count = SHARDS, .open_files_max = 1000, .memory_max = 1 << 30};
    static const struct metrics *const metrics[SHARDS] = {&world_metrics[0], &world_metrics[1]};
    static const char *const names[SHARDS] = {"0", "1"};
    char error[CONFIG_ERROR_SIZE] = "";
    int result = config_load_memory("t", (struct bytes){(const uint8_t *)text, strlen(text)},
                                    &world.config, error, sizeof(error));
    if (result == 0) {
        result = config_resolve(&world.config, &facts, error, sizeof(error));
    }
    if (result == 0) {
        result = listening_init(&world.listening, &world.config, error, sizeof(error));
    }
    ck_assert_msg(result == 0, "%s", error);
    ck_assert_int_eq(policies_init(&world.policies, &world.config), 0);
    ck_assert(api_key_load(&world.api_key, &world.config.http_api, error, sizeof(error)));
    world.keys = token_keys_create(&world.config.client, error);
    ck_assert_msg(world.keys != NULL, "%s", error);
    memory_limit_find(&world.limit, "");
    world.site = (struct site){.process = {.memory = &world.limit},
                               .metrics = metrics,
                               .metric_names = names,
                               .metric_count = SHARDS,
                               .node_name = "unit",
                               .node_uid = "0",
                               .echo_enabled = world.config.echo.enabled};
}

static inline void world_forget(void)
{
    token_keys_unref(world.keys);
    policies_deinit(&world.policies);
    listening_deinit(&world.listening);
    config_destroy(&world.config);
}

/* False: there was no memory for it. */
static inline bool world_create_shard(uint16_t index)
{
    world.verifiers[index] = token_verifier_create(&(struct token_verifier_options){
        .keys = world.keys, .now_ms = world_now, .bus = world.bus, .port = index});
    if (world.verifiers[index] == NULL) {
        return false;
    }
    const int result = shard_create(
        &(struct shard_options){
            .config = &world.config,
            .api_key = &world.api_key,
            .policies = &world.policies.table,
            .tokens = world.verifiers[index],
            .site = &world.site,
            .listening = &world.listening,
            .simd = simd_choose(CPU_SIMD_SCALAR),
            .backend = world.backend,
            .bus = world.bus,
            .index = index,
            .metrics = &world_metrics[index],
            .seed = 1,
            .fill_random = world_random,
        },
        &world.shards[index]);
    ck_assert(result == 0 || result == -ENOMEM);
    return result == 0;
}

static inline void world_destroy_shard(uint16_t index)
{
    shard_destroy(world.shards[index]);
    token_verifier_destroy(world.verifiers[index]);
    world.shards[index] = NULL;
    world.verifiers[index] = NULL;
}

static inline void world_listen(uint16_t index)
{
    for (size_t i = 0; i < LISTENERS; i++) {
        struct listener_options options = {.backlog = 8};
        int fd = -1;
        ck_assert_int_eq(address_parse("127.0.0.1:0", &options.address), 0);
        ck_assert_int_eq(listener_open(&options, &fd), 0);
        ck_assert_int_eq(listener_address(fd, &world.addresses[index][i]), 0);
        ck_assert_int_eq(shard_listen(world.shards[index], i, fd), 0);
    }
}

ROLE_TRUSTED static inline void world_open(void)
{
    memset(world_metrics, 0, sizeof(world_metrics));
    world.bus = bus_create(SHARDS + 1, world.config.bus.slots, world.config.bus.reserve);
    ck_assert_ptr_nonnull(world.bus);
    for (uint16_t i = 0; i < SHARDS; i++) {
        ck_assert(world_create_shard(i));
        world_listen(i);
        reactor_enter(shard_reactor(world.shards[i]));
    }
}

ROLE_TRUSTED static inline void world_turn(void)
{
    for (size_t i = 0; i < SHARDS; i++) {
        shard_step(world.shards[i], 0);
    }
}

/* Nobody is connected any more. */
static inline void world_settle(void)
{
    for (int turns = 0;; turns++) {
        size_t connected = 0;
        for (size_t i = 0; i < SHARDS; i++) {
            connected += reactor_conn_count(shard_reactor(world.shards[i]));
        }
        if (connected == 0) {
            return;
        }
        ck_assert_int_lt(turns, TURNS_MAX);
        world_turn();
    }
}

static inline void world_order(enum post_kind kind)
{
    const struct post post = {.kind = (uint8_t)kind};
    const struct bus_post packed = post_pack(&post);
    for (uint16_t i = 0; i < SHARDS; i++) {
        ck_assert_int_eq(bus_tell(world.bus, CONTROL, i, &packed), BUS_POSTED);
    }
    bus_flush(world.bus, CONTROL);
}

/* Each of them says so. */
static inline void world_until(enum post_kind kind)
{
    for (int said = 0, turns = 0; said < SHARDS; turns++) {
        struct bus_post packed;
        ck_assert_int_lt(turns, TURNS_MAX);
        world_turn();
        while (bus_take(world.bus, CONTROL, &packed, 1) == 1) {
            ck_assert_int_eq(packed.kind, kind);
            said++;
        }
    }
}

/* As the control ends it: shutdown.grace has to be 0. */
ROLE_TRUSTED static inline void world_close(void)
{
    world_settle();
    world_order(POST_STOP);
    world_until(POST_DESERTED);
    world_order(POST_CLOSE);
    world_until(POST_DRAINED);
    world_order(POST_EXIT);
    while (!shard_is_done(world.shards[0]) || !shard_is_done(world.shards[1])) {
        world_turn();
    }
    for (uint16_t i = 0; i < SHARDS; i++) {
        ck_assert_uint_eq(shard_count_live(world.shards[i]), 0);
        reactor_leave(shard_reactor(world.shards[i]));
    }
    for (uint16_t i = 0; i < SHARDS; i++) {
        world_destroy_shard(i);
    }
    bus_destroy(world.bus);
}

/* -- clients ----------------------------------------------------------------------------------- */

struct client {
    int fd;
    bool has_upgraded;   /* what comes are frames */
    bool has_ended;      /* the server has, or it was told to go */
    uint16_t close_code; /* 0: without a close frame */
    size_t size;         /* bytes of `in` */
    size_t heard;        /* bytes of `text` */
    uint8_t in[HEARD_MAX];
    char text[HEARD_MAX]; /* of all messages, each a line; in HTTP all that came */
};

static inline void client_dial(struct client *client, uint16_t shard, size_t listener)
{
    const struct address *to = &world.addresses[shard][listener];
    const int on = 1; /* two frames in a row would wait for each other */
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(client->fd, 0);
    ck_assert_int_eq(setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
    ck_assert_int_eq(connect(client->fd, &to->any, to->size), 0);
    client->has_upgraded = false;
    client->has_ended = false;
    client->close_code = 0;
    client->size = 0;
    client->heard = 0;
    client->text[0] = '\0';
}

static inline void client_hang_up(struct client *client)
{
    if (client->fd >= 0) {
        ck_assert_int_eq(close(client->fd), 0);
        client->fd = -1;
    }
}

/* Short enough for the kernel to take it; somebody who has gone does not hear it. */
static inline void client_say(const struct client *client, struct bytes bytes)
{
    (void)send(client->fd, bytes.data, bytes.size, MSG_NOSIGNAL);
}

/* Masked with zeros, so that it is what it says. */
static inline void client_say_frame(const struct client *client, uint8_t first_byte,
                                    struct bytes payload)
{
    uint8_t frame[8192];
    size_t size = 2;
    frame[0] = first_byte;
    frame[1] = (uint8_t)(0x80 | (payload.size < 126 ? payload.size : 126));
    if (payload.size >= 126) {
        frame[2] = (uint8_t)(payload.size >> 8);
        frame[3] = (uint8_t)payload.size;
        size = 4;
    }
    memset(frame + size, 0, 4);
    size += 4;
    ck_assert_uint_le(size + payload.size, sizeof(frame));
    if (payload.size > 0) {
        memcpy(frame + size, payload.data, payload.size);
    }
    client_say(client, (struct bytes){frame, size + payload.size});
}

static inline void client_take_text(struct client *client, struct bytes text)
{
    ck_assert_uint_lt(client->heard + text.size + 1, sizeof(client->text));
    memcpy(client->text + client->heard, text.data, text.size);
    client->heard += text.size;
    client->text[client->heard] = '\0';
}

static inline void client_inflate(struct client *client, struct bytes compressed)
{
    static const uint8_t tail[] = {0x00, 0x00, 0xff, 0xff};
    z_stream zlib = {.next_out = (Bytef *)client->text + client->heard,
                     .avail_out = (uInt)(sizeof(client->text) - client->heard - 1)};
    ck_assert_int_eq(inflateInit2(&zlib, -15), Z_OK);
    for (int part = 0; part < 2; part++) {
        zlib.next_in = (z_const Bytef *)(part == 0 ? compressed.data : tail);
        zlib.avail_in = (uInt)(part == 0 ? compressed.size : sizeof(tail));
        const int result = inflate(&zlib, Z_SYNC_FLUSH);
        ck_assert(result == Z_OK || result == Z_BUF_ERROR);
    }
    client->heard = sizeof(client->text) - 1 - zlib.avail_out;
    client->text[client->heard] = '\0';
    (void)inflateEnd(&zlib);
}

static inline void client_take_frame(struct client *client, const struct frame_header *header,
                                     struct bytes payload)
{
    static const struct bytes newline = {(const uint8_t *)"\n", 1};
    if (header->opcode == FRAME_CLOSE) {
        client->has_ended = true;
        client->close_code = (uint16_t)(payload.data[0] << 8 | payload.data[1]);
        return;
    }
    if (header->rsv1) {
        client_inflate(client, payload);
    } else {
        client_take_text(client, payload);
    }
    client_take_text(client, newline);
}

static inline void client_take_frames(struct client *client)
{
    const struct frame_limits limits = {
        .payload_size_max = HEARD_MAX, .rsv1_allowed = true, .from_server = true};
    struct frame_header header;
    size_t begin = 0;
    while (frame_read_header((struct bytes){client->in + begin, client->size - begin}, limits,
                             &header) == FRAME_OK &&
           begin + header.header_size + header.payload_size <= client->size) {
        begin += header.header_size;
        client_take_frame(client, &header,
                          (struct bytes){client->in + begin, (size_t)header.payload_size});
        begin += (size_t)header.payload_size;
    }
    client->size -= begin;
    memmove(client->in, client->in + begin, client->size);
}

static inline void client_hear(struct client *client)
{
    const ssize_t got = recv(client->fd, client->in + client->size,
                             sizeof(client->in) - client->size, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) {
        return;
    }
    if (got <= 0) {
        client->has_ended = true;
        return;
    }
    client->size += (size_t)got;
    if (client->has_upgraded) {
        client_take_frames(client);
    } else {
        client_take_text(client, (struct bytes){client->in, client->size});
        client->size = 0;
    }
}

/* False: it was cut off before, or has waited for long enough. */
static inline bool client_comes(struct client *client, const char *text)
{
    for (int turns = 0; !world.gives_up(turns); turns++) {
        if (strstr(client->text, text) != NULL) {
            return true;
        }
        if (client->has_ended) {
            return false;
        }
        ck_assert_msg(turns < TURNS_MAX, "it waits for %s and has %s", text, client->text);
        world_turn();
        client_hear(client);
    }
    return false;
}

/* The 101, and from here on frames. */
static inline bool client_upgrade(struct client *client, const char *more)
{
    char head[512];
    const int size = snprintf(head, sizeof(head),
                              "GET %s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
                              "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                              "/connection/websocket", more);
    client_say(client, (struct bytes){(const uint8_t *)head, (size_t)size});
    if (!client_comes(client, "\r\n\r\n") || strstr(client->text, "HTTP/1.1 101 ") == NULL) {
        return false;
    }
    client->has_upgraded = true;
    client->heard = 0;
    client->text[0] = '\0';
    return true;
}

#endif /* TESTS_UNIT_SERVER_SHARD_WORLD_H */
