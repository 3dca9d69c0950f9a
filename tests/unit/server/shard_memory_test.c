/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIMITS.md row 46 for server/: memory is out, at every place where some is asked for, also by
 * cjose, OpenSSL, zlib and PCRE2.
 *
 * A chat over a compressed WebSocket, requests of a back end, and pages run once for every N, on a
 * new server: the Nth request fails, or that one and all that come later, until they have gone.
 * Then each question has had its answer, error 100, 503, or its connection is closed with nothing
 * that a client takes for the end; what was acknowledged has been heard by a bystander at the other
 * shard, or it was cut off, too; often the same with memory finds nothing amiss; and in the end,
 * when OpenSSL has given up what it keeps, no block is left.
 */
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdlib.h>

#include "net/tls_memory.h"
#include "proto/close.h"
#include "proto/codes.h"
#include "tests/unit/server/failing_libraries.h"
#include "tests/unit/server/shard_world.h"
#include "tests/unit/server/token_forge.h"

enum {
    PATIENCE_MIN = 2000, /* turns, for who waits until there is memory again */
    OFTEN = 4,           /* of so many servers one */
};

/* -- the script -------------------------------------------------------------------------------- */

#define KEY     "api-key-0123456789-abcdefghijklm"
#define PADDING "to be or not to be that is the question, to be or not to be that is the answer"

static const char configuration[] =
    "{client: {token: {hmac_secret_key: " FORGE_SECRET "}, connection_limit: 8,\n"
    "  unlimited_addresses: [203.0.113.0/24], command_rate: 100000, command_burst: 60,\n"
    "  user_command_rate: 100000, address_command_rate: 100000},\n"
    " websocket: {compression: true, compression_min_size: 64}, http_api: {key: " KEY "},\n"
    " channel: {namespaces: [{name: news, channel_regex: '^[a-z]+$', history_size: 20,\n"
    "  history_ttl: 1h, presence: true, join_leave: true, force_push_join_leave: true,\n"
    "  force_recovery: true, allow_subscribe_for_client: true, allow_publish_for_client: true,\n"
    "  allow_history_for_client: true, allow_presence_for_client: true}]},\n"
    " reactor: {receive_buffers: 16}, shutdown: {grace: 0s}}";

static const char *const channels[] = {"news:a", "news:b", "news:c", "news:d"}; /* of both homes */

enum { CHANNELS = sizeof(channels) / sizeof(channels[0]) };

static struct {
    char *token;
    struct client chat;
    struct client bystander;
    struct client backend;
    int number; /* of the last publication */
    uint32_t id;
} script;

static const char until_the_end[] = "nothing that anybody says";

/* Nothing that the SDK would not come back after, or a back end not ask again. */
static void expect_cut_off(const struct client *client)
{
    const uint16_t code = client->close_code;
    ck_assert_msg(code == 0 || code == CODES_DISCONNECT_SERVER_ERROR ||
                      code == CODES_DISCONNECT_INSUFFICIENT_STATE || code == CODES_DISCONNECT_SLOW,
                  "closed with %d", code);
}

static void say(const struct client *client, uint8_t first_byte, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void say(const struct client *client, uint8_t first_byte, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    const int size = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    client_say_frame(client, first_byte, (struct bytes){(const uint8_t *)text, (size_t)size});
}

/* Has the command been answered well? */
static bool is_answered(struct client *client, uint32_t id)
{
    char begin[32];
    (void)snprintf(begin, sizeof(begin), "{\"id\":%u,", id);
    if (!client_comes(client, begin)) {
        expect_cut_off(client);
        return false;
    }
    const char *const reply = strstr(client->text, begin) + strlen(begin);
    const bool is_error = strncmp(reply, "\"error\"", 7) == 0;
    ck_assert_msg(!is_error || strncmp(reply, "\"error\":{\"code\":100,", 20) == 0, "%.80s", reply);
    return !is_error;
}

/* What was acknowledged comes to the bystander, or it goes, or is told to subscribe again. */
static void expect_heard(int number)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "\"n%d\"", number);
    if (!client_comes(&script.bystander, text) &&
        strstr(script.bystander.text, "\"unsubscribe\":{\"code\":2500") == NULL) {
        expect_cut_off(&script.bystander);
        ck_assert(script.bystander.has_ended);
    }
}

/* Refused, and told when to ask again. */
static bool is_put_off(const struct client *client)
{
    const char *const head = strstr(client->text, "HTTP/1.1 503 ");
    return head != NULL && strstr(head, "\r\nRetry-After: ") != NULL;
}

/* Shown a token, and in all channels. */
static bool arrive(struct client *client, uint16_t shard, const char *offer)
{
    client_dial(client, shard, 0);
    if (!client_upgrade(client, offer)) {
        ck_assert(strstr(client->text, "HTTP/1.1 ") == NULL || is_put_off(client));
        return false;
    }
    say(client, 0x81, "{\"id\":%u,\"connect\":{\"token\":\"%s\"}}", ++script.id, script.token);
    bool is_good = is_answered(client, script.id);
    for (int i = 0; is_good && i < CHANNELS; i++) {
        say(client, 0x81, "{\"id\":%u,\"subscribe\":{\"channel\":\"%s\"}}", ++script.id,
            channels[i]);
        is_good = is_answered(client, script.id);
    }
    return is_good;
}

static bool ask(const char *verb, const char *channel, const char *more)
{
    say(&script.chat, 0x81, "{\"id\":%u,\"%s\":{\"channel\":\"%s\"%s}}", ++script.id, verb, channel,
        more);
    return is_answered(&script.chat, script.id);
}

static bool publish(const char *channel)
{
    char data[256];
    (void)snprintf(data, sizeof(data), ",\"data\":[\"n%d\",\"" PADDING "\"]", ++script.number);
    const bool is_good = ask("publish", channel, data);
    if (is_good) {
        expect_heard(script.number);
    }
    return is_good;
}

/* Compressed, as it comes, and in pieces that have to be put together first. */
static bool publish_compressed(const char *channel, bool in_pieces)
{
    char text[512];
    uint8_t packed[512];
    z_stream zlib = {.next_in = (Bytef *)text, .next_out = packed, .avail_out = sizeof(packed)};
    zlib.avail_in = (uInt)snprintf(
        text, sizeof(text),
        "{\"id\":%u,\"publish\":{\"channel\":\"%s\",\"data\":[\"n%d\",\"" PADDING "\"]}}",
        ++script.id, channel, ++script.number);
    ck_assert_int_eq(deflateInit2(&zlib, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK);
    ck_assert_int_eq(deflate(&zlib, Z_SYNC_FLUSH), Z_OK);
    const size_t size = zlib.total_out - 4;
    (void)deflateEnd(&zlib);
    if (in_pieces) {
        client_say_frame(&script.chat, 0x41, (struct bytes){packed, 20});
        client_say_frame(&script.chat, 0x80, (struct bytes){packed + 20, size - 20});
    } else {
        client_say_frame(&script.chat, 0xc1, (struct bytes){packed, size});
    }
    const bool is_good = is_answered(&script.chat, script.id);
    if (is_good) {
        expect_heard(script.number);
    }
    return is_good;
}

/* More than the burst, so that the rest has to be kept. */
static bool ask_many(void)
{
    char text[4000] = "";
    for (int i = 0; i < 100; i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "{\"id\":%u,\"ping\":{}}\n", ++script.id);
        strcat(text, line);
    }
    say(&script.chat, 0x81, "%s", text);
    return is_answered(&script.chat, script.id);
}

static bool chat(void)
{
    struct client *client = &script.chat;
    bool is_good = arrive(client, 0, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    for (int i = 0; is_good && i < CHANNELS; i++) {
        is_good = publish(channels[i]) && publish_compressed(channels[i], false) &&
                  publish_compressed(channels[i], true) &&
                  ask("history", channels[i], ",\"limit\":10") && ask("presence", channels[i], "");
    }
    is_good = is_good && ask_many() && ask("unsubscribe", channels[0], "") &&
              ask("subscribe", channels[0], ",\"recover\":true,\"offset\":0,\"epoch\":\"\"");
    if (is_good) {
        say(client, 0x89, "are you there");
        is_good = client_comes(client, "are you there");
        say(client, 0x88, "\x03\xe8");
        (void)client_comes(client, until_the_end);
        if (client->close_code != CLOSE_NORMAL) {
            expect_cut_off(client); /* there was no memory to say so */
        }
    }
    client_hang_up(client);
    return is_good;
}

/* One request on a connection of its own, which is closed behind it. */
static bool request(uint16_t shard, size_t listener, const char *head, const char *body,
                    const char *wanted)
{
    struct client *client = &script.backend;
    char text[2048];
    const int size = snprintf(text, sizeof(text),
                              "%s\r\nHost: a\r\nConnection: close\r\nX-API-Key: " KEY
                              "\r\nContent-Length: %zu\r\n\r\n%s",
                              head, strlen(body), body);
    client_dial(client, shard, listener);
    client_say(client, (struct bytes){(const uint8_t *)text, (size_t)size});
    (void)client_comes(client, until_the_end);
    ck_assert(strstr(client->text, "HTTP/1.1 ") == NULL ||
              strstr(client->text, "HTTP/1.1 200 ") != NULL || is_put_off(client));
    const char *const error = strstr(client->text, "\"error\":{");
    ck_assert_msg(error == NULL || strncmp(error, "\"error\":{\"code\":100,", 20) == 0, "%.80s",
                  error);
    client_hang_up(client);
    return error == NULL && strstr(client->text, wanted) != NULL;
}

static bool post(uint16_t shard, const char *path, const char *body, const char *wanted)
{
    char head[128];
    (void)snprintf(head, sizeof(head), "POST /api%s HTTP/1.1%s", path,
                   path[0] == '\0' ? "\r\nContent-Type: application/x-ndjson" : "");
    return request(shard, 1, head, body, wanted);
}

static bool ask_as_backend(void)
{
    bool is_good = true;
    for (uint16_t shard = 0; shard < SHARDS; shard++) {
        char body[512];
        (void)snprintf(body, sizeof(body), "{\"channel\":\"news:b\",\"data\":\"n%d\"}",
                       ++script.number);
        if (post(shard, "/publish", body, "\"offset\"")) {
            expect_heard(script.number);
        } else {
            is_good = false;
        }
        is_good =
            post(shard, "/broadcast",
                 "{\"channels\":[\"news:a\",\"news:b\",\"news:c\"],\"data\":1}", "\"responses\"") &&
            is_good;
        is_good = post(shard, "/batch",
                       "{\"parallel\":true,\"commands\":[{\"history\":{\"channel\":\"news:a\","
                       "\"limit\":5}},{\"presence\":{\"channel\":\"news:d\"}},{\"channels\":{}},"
                       "{\"info\":{}},{\"presence_stats\":{\"channel\":\"news:b\"}},"
                       "{\"disconnect\":{\"user\":\"nobody\"}}]}",
                       "\"replies\"") &&
                  is_good;
        is_good = post(shard, "",
                       "{\"publish\":{\"channel\":\"news:a\",\"data\":2}}\n"
                       "{\"publish\":{\"channel\":\"news:c\",\"data\":3}}\n",
                       "0\r\n\r\n") &&
                  is_good;
    }
    return is_good;
}

static bool look_at_pages(void)
{
    const bool metrics = request(0, 1, "GET /metrics HTTP/1.1", "", "parley_sessions");
    const bool page = request(1, 0, "GET / HTTP/1.1", "", "</html>");
    return metrics && page;
}

/* -- where it fails ---------------------------------------------------------------------------- */

static void bring_bystander(void)
{
    client_hang_up(&script.bystander);
    ck_assert(arrive(&script.bystander, 1, ""));
}

static bool run_all(void)
{
    const bool has_chatted = chat();
    const bool was_served = ask_as_backend();
    const bool has_seen = look_at_pages();
    return has_chatted && was_served && has_seen;
}

/* Some things are tried again until there is memory. */
static bool gives_up(int turns)
{
    return memory.goes_on && memory.failed > 0 && turns >= PATIENCE_MIN;
}

/* Returns whether anything has failed. */
static bool run_with(uint64_t fails_at, bool goes_on)
{
    world.gives_up = gives_up;
    world_open();
    script.bystander.fd = -1;
    bring_bystander();
    fail_from(fails_at, goes_on);
    const bool is_good = run_all();
    const bool has_failed = memory.failed > 0;
    ck_assert(is_good || has_failed);

    fail_from(0, false);
    if (fails_at % OFTEN == 0) {
        bring_bystander();
        ck_assert(run_all());
    }
    client_hang_up(&script.bystander);
    world_close();
    return has_failed;
}

static void begin(void)
{
    ck_assert(tls_memory_count());
    world_configure(configuration);
    script.token = forge_hmac("{\"alg\":\"HS256\"}", "{\"sub\":\"42\",\"exp\":1800000100}", 256,
                              FORGE_SECRET, strlen(FORGE_SECRET));
}

/* Also what OpenSSL keeps for the next time: nothing may be left. */
static void end(void)
{
    fail_from(0, false);
    free(script.token);
    world_forget();
    OPENSSL_cleanup();
    ck_assert_int_eq(memory.blocks, 0);
}

/* Bits of _i: which back end, and whether memory stays out. False: it is not there. */
static bool choose(int i)
{
    char reason[BACKEND_REASON_SIZE];
    const enum backend_kind kind = (i & 1) != 0 ? BACKEND_URING : BACKEND_EPOLL;
    return backend_choose(kind, &world.backend, reason) == 0;
}

START_TEST(a_server_at_work)
{
    uint64_t fails_at = 1;
    if (!choose(_i)) {
        return;
    }
    begin();
    while (run_with(fails_at, (_i & 2) != 0)) {
        fails_at++;
    }
    ck_assert_uint_gt(fails_at, 100); /* the script is about something */
    end();
}
END_TEST

START_TEST(a_shard)
{
    uint64_t fails_at = 0;
    if (!choose(_i)) {
        return;
    }
    begin();
    world.bus = bus_create(SHARDS + 1, world.config.bus.slots, world.config.bus.reserve);
    do {
        fail_from(++fails_at, (_i & 2) != 0);
        const bool is_good = world_create_shard(0);
        ck_assert(is_good || memory.failed > 0);
        world_destroy_shard(0);
    } while (memory.failed > 0);
    ck_assert_uint_gt(fails_at, 20);
    bus_destroy(world.bus);
    end();
}
END_TEST

int main(void)
{
    TCase *out = tcase_create("memory");
    tcase_add_loop_test(out, a_server_at_work, 0, 4);
    tcase_add_loop_test(out, a_shard, 0, 4);
    tcase_set_timeout(out, 300);
    Suite *suite = suite_create("server/shard: memory");
    suite_add_tcase(suite, out);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
