/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_options.h"

#include <string.h>

#include "core/check.h"
#include "server/config.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define MS(count)      ((uint64_t)(count)*1000000U)
#define SECONDS(count) (MS(count) * 1000U)
#define DAYS(count)    (SECONDS(count) * 86400U)
#define KIB(count)     ((uint64_t)(count)*1024U)
#define MIB(count)     (KIB(count) * 1024U)

/* NOLINTBEGIN(bugprone-macro-parentheses): a member designator takes none. */
/* The first columns of a row: key and field have one name, so that they cannot drift apart. */
#define AT(section, name) .key = #section "." #name, .offset = offsetof(struct config, section.name)
#define AT_DURATION(section, name)                                                                 \
    .key = #section "." #name, .offset = offsetof(struct config, section.name##_ns)
/* NOLINTEND(bugprone-macro-parentheses) */
#define NUMBER(least, most, value, what)                                                           \
    .kind = CONFIG_KIND_NUMBER, .min = (least), .max = (most), .standard = (value), .unit = (what)
#define SIZE(least, most, value)                                                                   \
    .kind = CONFIG_KIND_SIZE, .min = (least), .max = (most), .standard = (value), .unit = "bytes"
#define DURATION(least, most, value)                                                               \
    .kind = CONFIG_KIND_DURATION, .min = (least), .max = (most), .standard = (value)
#define CHOICE(words, value) .kind = CONFIG_KIND_CHOICE, .choices = (words), .standard = (value)
#define BOOL(value)          .kind = CONFIG_KIND_BOOL, .max = 1, .standard = (value)
#define PORT(value)          .kind = CONFIG_KIND_PORT, .min = 1, .max = 65535, .standard = (value)
#define ADDRESS(value)       .kind = CONFIG_KIND_ADDRESS, .standard_text = (value)
#define PATH(value)          .kind = CONFIG_KIND_PATH, .standard_text = (value)
#define TEXT(most)           .kind = CONFIG_KIND_TEXT, .max = (most)
#define SECRET(most)         .kind = CONFIG_KIND_SECRET, .max = (most)
/* The last column: what becomes of another value while the server runs. */
#define NOW                  .change = CONFIG_CHANGE_NOW
#define RESTART              .change = CONFIG_CHANGE_RESTART
#define SIZE_ONLY            .change = CONFIG_CHANGE_SIZE
#define WITH_SECTION         .change = CONFIG_CHANGE_WITH_SECTION

static const char *const backend_words[] = {"auto", "uring", "epoll", NULL};
static const char *const simd_words[] = {"auto", "scalar", "sse4", "avx2", "avx512", NULL};
static const char *const proxy_words[] = {"refused", "required", NULL};
static const char *const tls_version_words[] = {"1.2", "1.3", NULL};
static const char *const log_level_words[] = {"debug", "info", "warn", "error", NULL};
static const char *const log_format_words[] = {"logfmt", "json", NULL};
static const char *const recovery_mode_words[] = {"stream", "cache", NULL};
static const char *const store_engine_words[] = {"memory", "rocksdb", NULL};
static const char *const durability_words[] = {"none", "memory", "process", "power", NULL};
static const char *const slow_consumer_words[] = {"resync", "latest", "drop", "disconnect", NULL};

/*
 * The options of a namespace and of channels without one: listed here and nowhere else. `at` and
 * `at_duration` give the first columns of a row in the table that is being made.
 */
/* clang-format off */
#define CHANNEL_ROWS(at, at_duration)                                                              \
    {at(channel_regex), .kind = CONFIG_KIND_REGEX, NOW},                                           \
    {at(allow_user_limited_channels), BOOL(false), NOW},                                           \
    {at(allow_subscribe_for_client), BOOL(false), NOW},                                            \
    {at(allow_subscribe_for_anonymous), BOOL(false), NOW},                                         \
    {at(allow_publish_for_client), BOOL(false), NOW},                                              \
    {at(allow_publish_for_subscriber), BOOL(false), NOW},                                          \
    {at(allow_publish_for_anonymous), BOOL(false), NOW},                                           \
    {at(allow_history_for_client), BOOL(false), NOW},                                              \
    {at(allow_history_for_subscriber), BOOL(false), NOW},                                          \
    {at(allow_history_for_anonymous), BOOL(false), NOW},                                           \
    {at(allow_presence_for_client), BOOL(false), NOW},                                             \
    {at(allow_presence_for_subscriber), BOOL(false), NOW},                                         \
    {at(allow_presence_for_anonymous), BOOL(false), NOW},                                          \
    {at(history_size), NUMBER(0, 1000000, 0, "publications"), SIZE_ONLY},                          \
    {at_duration(history_ttl), DURATION(0, DAYS(365), 0), NOW},                                    \
    {at_duration(history_meta_ttl), DURATION(SECONDS(1), DAYS(365), DAYS(30)), NOW},               \
    {at(force_recovery), BOOL(false), NOW},                                                        \
    {at(allow_recovery), BOOL(false), NOW},                                                        \
    {at(force_positioning), BOOL(false), NOW},                                                     \
    {at(allow_positioning), BOOL(false), NOW},                                                     \
    {at(force_recovery_mode), CHOICE(recovery_mode_words, POLICY_RECOVERY_STREAM), NOW},           \
    {at(presence), BOOL(false), NOW},                                                              \
    {at(join_leave), BOOL(false), NOW},                                                            \
    {at(force_push_join_leave), BOOL(false), NOW},                                                 \
    {at(durability), CHOICE(durability_words, POLICY_DURABILITY_MEMORY), RESTART},                 \
    {at_duration(idempotency_ttl), DURATION(SECONDS(1), DAYS(1), SECONDS(300)), NOW},              \
    {at(slow_consumer), CHOICE(slow_consumer_words, POLICY_SLOW_RESYNC), NOW}
/* clang-format on */

/* Those of client.token and client.subscription_token. */
/* clang-format off */
#define TOKEN_ROWS(section)                                                                        \
    {AT(section, hmac_secret_key), SECRET(CONFIG_TEXT_MAX), NOW},                                  \
    {AT(section, hmac_secret_key_file), TEXT(CONFIG_LINE_MAX), NOW},                               \
    {AT(section, rsa_public_key), TEXT(CONFIG_TEXT_MAX), NOW},                                     \
    {AT(section, rsa_public_key_file), TEXT(CONFIG_LINE_MAX), NOW},                                \
    {AT(section, ecdsa_public_key), TEXT(CONFIG_TEXT_MAX), NOW},                                   \
    {AT(section, ecdsa_public_key_file), TEXT(CONFIG_LINE_MAX), NOW},                              \
    {AT(section, jwks_public_endpoint), TEXT(CONFIG_LINE_MAX), WITH_SECTION},                      \
    {AT(section, jwks_file), TEXT(CONFIG_LINE_MAX), NOW},                                          \
    {AT(section, jwks_ca_file), TEXT(CONFIG_LINE_MAX), RESTART},                                   \
    {AT(section, audience), TEXT(CONFIG_LINE_MAX), NOW},                                           \
    {AT(section, issuer), TEXT(CONFIG_LINE_MAX), NOW},                                             \
    {AT_DURATION(section, leeway), DURATION(0, SECONDS(300), SECONDS(30)), NOW},                   \
    {AT(section, require_exp), BOOL(false), NOW}
/* clang-format on */

/* NOLINTBEGIN(bugprone-macro-parentheses): a member designator takes none. */
#define AT_PLAIN(name)          AT(channel, without_namespace.name)
#define AT_PLAIN_DURATION(name) AT_DURATION(channel, without_namespace.name)

#define AT_NAMESPACE(name) .key = #name, .offset = offsetof(struct config_namespace, options.name)
#define AT_NAMESPACE_DURATION(name)                                                                \
    .key = #name, .offset = offsetof(struct config_namespace, options.name##_ns)
/* NOLINTEND(bugprone-macro-parentheses) */

static const struct config_option all_rows[] = {
    {AT(http_server, address), ADDRESS("127.0.0.1"), RESTART},
    {AT(http_server, port), PORT(8000), RESTART},
    {AT(http_server, internal_address), ADDRESS("127.0.0.1"), RESTART},
    {AT(http_server, internal_port), PORT(9000), RESTART},
    {AT(http_server, tls.enabled), BOOL(false), WITH_SECTION},
    {AT(http_server, tls.cert_pem_file), PATH(""), NOW},
    {AT(http_server, tls.key_pem_file), PATH(""), NOW},
    {AT(http_server, tls.certificates), .kind = CONFIG_KIND_CERTIFICATES, .max = 63, NOW},
    {AT(http_server, tls.client_ca_pem_file), PATH(""), RESTART},
    {AT(http_server, tls.min_version), CHOICE(tls_version_words, CONFIG_TLS_1_2), NOW},
    {AT_DURATION(http_server, tls.handshake_timeout), DURATION(MS(100), SECONDS(60), SECONDS(5)),
     RESTART},
    {AT(http_server, tls.ticket_key_file), PATH(""), NOW},
    {AT_DURATION(http_server, tls.ticket_rotation), DURATION(SECONDS(1), DAYS(2), SECONDS(43200)),
     RESTART},
    {AT(http_server, proxy_protocol), CHOICE(proxy_words, CONFIG_PROXY_REFUSED), RESTART},
    {AT(http_server, trusted_proxies), .kind = CONFIG_KIND_NETWORKS, .max = 1024, RESTART},
    {AT_DURATION(http_server, proxy_timeout), DURATION(MS(100), SECONDS(60), SECONDS(3)), RESTART},
    {AT(http_server, listeners), .kind = CONFIG_KIND_LISTENERS, .max = CONFIG_LISTENERS_MAX,
     RESTART},
    {AT(http_server, socket_send_buffer), NUMBER(KIB(16), KIB(4096), KIB(128), "bytes"), RESTART},
    {AT(http_server, socket_receive_buffer), NUMBER(KIB(16), KIB(4096), KIB(64), "bytes"), RESTART},
    {AT(http_server, max_header_bytes), NUMBER(KIB(1), KIB(64), KIB(8), "bytes"), NOW},
    {AT(http_server, max_headers), NUMBER(8, 64, 64, "headers"), NOW},
    {AT(http_server, max_uri), NUMBER(64, KIB(16), KIB(4), "bytes"), NOW},
    {AT_DURATION(http_server, handshake_timeout), DURATION(MS(100), SECONDS(300), SECONDS(10)),
     NOW},

    {AT(http_api, key), SECRET(CONFIG_LINE_MAX), NOW},
    {AT(http_api, key_file), TEXT(CONFIG_LINE_MAX), NOW},
    {AT(http_api, insecure), BOOL(false), NOW},
    {AT(http_api, max_body_bytes), NUMBER(KIB(4), MIB(64), MIB(1), "bytes"), NOW},
    {AT(http_api, max_answer_bytes), NUMBER(KIB(64), MIB(64), MIB(1), "bytes"), RESTART},
    {AT(http_api, max_in_flight), NUMBER(1, 65536, 1024, "commands"), NOW},
    {AT(http_api, max_requests), NUMBER(1, 65536, 256, "requests"), NOW},
    {AT(http_api, max_revocations), NUMBER(1, 1000000, 10000, "revocations"), RESTART},
    {AT_DURATION(http_api, body_timeout), DURATION(MS(100), SECONDS(600), SECONDS(10)), NOW},
    {AT_DURATION(http_api, idle_timeout), DURATION(MS(100), SECONDS(3600), SECONDS(120)), NOW},

    {AT(client, insecure), BOOL(false), NOW},
    {AT(client, allow_anonymous_connect_without_token), BOOL(false), NOW},
    {AT(client, allowed_origins), .kind = CONFIG_KIND_ORIGINS, .max = 1024, NOW},
    {AT_DURATION(client, stale_close_delay), DURATION(MS(100), SECONDS(3600), SECONDS(10)), NOW},
    {AT_DURATION(client, expired_close_delay), DURATION(0, SECONDS(3600), SECONDS(25)), NOW},
    {AT_DURATION(client, ping_interval), DURATION(SECONDS(1), SECONDS(3600), SECONDS(25)), RESTART},
    {AT_DURATION(client, pong_timeout), DURATION(MS(100), SECONDS(3600), SECONDS(8)), NOW},
    {AT_DURATION(client, expired_sub_close_delay), DURATION(0, SECONDS(3600), SECONDS(25)), NOW},
    {AT(client, subscribe_to_user_personal_channel.enabled), BOOL(false), NOW},
    {AT(client, subscribe_to_user_personal_channel.personal_channel_namespace),
     .kind = CONFIG_KIND_NAME, NOW},
    {AT(client, channel_limit), NUMBER(1, 32768, 128, "channels"), NOW},
    {AT(client, queue_max_size), NUMBER(KIB(4), MIB(1024), KIB(256), "bytes"), RESTART},
    {AT_DURATION(client, write_stall_timeout), DURATION(MS(100), SECONDS(600), SECONDS(10)),
     RESTART},
    {AT(client, command_rate), NUMBER(1, 1000000, 50, "commands a second"), NOW},
    {AT(client, command_burst), NUMBER(1, 1000000, 100, "commands"), NOW},
    {AT(client, control_rate), NUMBER(1, 1000000, 10, "frames a second"), NOW},
    {AT(client, control_burst), NUMBER(1, 1000000, 20, "frames"), NOW},
    {AT(client, connection_limit), NUMBER(1, 10000000, 0, "connections"), .word = "auto", RESTART},
    {AT(client, user_connection_limit), NUMBER(1, 1000000, 256, "connections"), NOW},
    {AT(client, user_connect_rate), NUMBER(1, 1000000, 20, "connections a second"), NOW},
    {AT(client, user_connect_burst), NUMBER(1, 1000000, 1000, "connections"), NOW},
    {AT(client, user_command_rate), NUMBER(1, 1000000, 0, "commands a second"), .word = "off", NOW},
    {AT(client, user_command_burst), NUMBER(1, 1000000, 500, "commands"), NOW},
    {AT(client, user_limits_dry_run), BOOL(false), NOW},
    {AT(client, address_connection_limit), NUMBER(1, 1000000, 4096, "connections"), NOW},
    {AT(client, address_handshake_rate), NUMBER(1, 1000000, 100, "connections a second"), NOW},
    {AT(client, address_handshake_burst), NUMBER(1, 1000000, 1000, "connections"), NOW},
    {AT(client, address_command_rate), NUMBER(1, 1000000, 0, "commands a second"), .word = "off",
     NOW},
    {AT(client, address_command_burst), NUMBER(1, 1000000, 5000, "commands"), NOW},
    {AT(client, address_limits_dry_run), BOOL(false), NOW},
    {AT(client, unlimited_addresses), .kind = CONFIG_KIND_NETWORKS, .max = 1024, NOW},
    {AT(client, max_messages_per_frame), NUMBER(1, 1024, 16, "messages"), NOW},
    {AT(client, history_max_publication_limit), NUMBER(1, 10000, 300, "publications"), NOW},
    {AT(client, recovery_max_publication_limit), NUMBER(1, 10000, 300, "publications"), NOW},
    {AT(client, presence_max_list), NUMBER(1, 100000, 1000, "members"), NOW},
    TOKEN_ROWS(client.token),
    {AT(client.subscription_token, enabled), BOOL(false), WITH_SECTION},
    TOKEN_ROWS(client.subscription_token),

    {AT(websocket, message_size_limit), NUMBER(128, MIB(64), KIB(64), "bytes"), RESTART},
    {AT(websocket, max_fragments), NUMBER(1, 1000000, 64, "fragments"), NOW},
    {AT_DURATION(websocket, message_timeout), DURATION(MS(100), SECONDS(3600), SECONDS(20)), NOW},
    {AT_DURATION(websocket, close_timeout), DURATION(MS(100), SECONDS(60), SECONDS(3)), NOW},
    {AT(websocket, compression), BOOL(false), RESTART},
    {AT(websocket, compression_min_size), NUMBER(1, MIB(1), 128, "bytes"), NOW},
    {AT(websocket, compression_level), NUMBER(1, 9, 1, "levels"), RESTART},
    {AT(websocket, compression_window_bits), NUMBER(9, 15, 15, "bits"), RESTART},

    {AT(echo, enabled), BOOL(false), RESTART},
    {AT(echo, message_size_limit), NUMBER(128, MIB(512), MIB(16), "bytes"), RESTART},
    {AT_DURATION(echo, message_timeout), DURATION(MS(100), SECONDS(3600), SECONDS(120)), NOW},
    {AT(echo, queue_max_size), NUMBER(KIB(4), MIB(1024), MIB(32), "bytes"), RESTART},

    {AT(channel, max_length), NUMBER(1, 255, 255, "bytes"), NOW},
    {AT(channel, history_memory_max), SIZE(MIB(1), MIB(1 << 20), 0), .word = "auto", RESTART},
    CHANNEL_ROWS(AT_PLAIN, AT_PLAIN_DURATION),
    {AT(channel, namespaces), .kind = CONFIG_KIND_NAMESPACES, .max = 1024, NOW},

    {AT(store, engine), CHOICE(store_engine_words, CONFIG_STORE_MEMORY), RESTART},
    {AT(store, path), PATH(""), RESTART},
    {AT_DURATION(store, timeout), DURATION(MS(100), SECONDS(60), SECONDS(5)), RESTART},
    {AT(store, queue_max_size), NUMBER(MIB(4), MIB(1024), MIB(64), "bytes"), RESTART},
    {AT(store, write_buffer_size), NUMBER(MIB(1), MIB(4095), MIB(64), "bytes"), RESTART},
    {AT(store, block_cache_size), NUMBER(MIB(1), MIB(4095), MIB(64), "bytes"), RESTART},
    {AT(store, min_free_space), NUMBER(MIB(1), MIB(4095), MIB(256), "bytes"), RESTART},

    {AT(reactor, count), NUMBER(1, 1024, 0, "threads"), .word = "auto", RESTART},
    {AT(reactor, backend), CHOICE(backend_words, CONFIG_BACKEND_AUTO), RESTART},
    {AT(reactor, simd), CHOICE(simd_words, CONFIG_SIMD_AUTO), RESTART},
    {AT(reactor, pin), BOOL(true), RESTART},
    {AT(reactor, receive_buffers), NUMBER(16, 32768, 512, "buffers"), RESTART},
    {AT(reactor, receive_buffer_size), NUMBER(512, KIB(64), KIB(2), "bytes"), RESTART},

    {AT(bus, slots), NUMBER(64, 65536, 1024, "slots"), RESTART},
    {AT(bus, reserve), NUMBER(1, 32768, 256, "slots"), RESTART},

    {AT(log, level), CHOICE(log_level_words, CONFIG_LOG_INFO), NOW},
    {AT(log, format), CHOICE(log_format_words, CONFIG_LOG_LOGFMT), RESTART},
    {AT_DURATION(log, slow_turn), DURATION(MS(1), SECONDS(60), MS(100)), NOW},

    {AT(overload, memory_budget), SIZE(UINT64_C(32) << 20, UINT64_C(1) << 50, 0), .word = "auto",
     RESTART},

    {AT_DURATION(shutdown, grace), DURATION(0, SECONDS(300), SECONDS(5)), NOW},
    {AT_DURATION(shutdown, timeout), DURATION(MS(100), SECONDS(600), SECONDS(25)), NOW},
    {AT(shutdown, close_rate), NUMBER(1, 1000000, 200, "connections a second"), NOW},
};

static const struct config_option namespace_rows[] = {
    {.key = "name",
     .offset = offsetof(struct config_namespace, name),
     .kind = CONFIG_KIND_NAME,
     .min = 1,
     NOW},
    CHANNEL_ROWS(AT_NAMESPACE, AT_NAMESPACE_DURATION),
};

/* NOLINTBEGIN(bugprone-macro-parentheses): a member designator takes none. */
#define AT_ITEM(type, name) .key = #name, .offset = offsetof(struct type, name)
/* NOLINTEND(bugprone-macro-parentheses) */

static const struct config_option certificate_rows[] = {
    {AT_ITEM(config_certificate, cert_pem_file), PATH("")},
    {AT_ITEM(config_certificate, key_pem_file), PATH("")},
};

static const struct config_option listener_rows[] = {
    {AT_ITEM(config_listener, address), ADDRESS("127.0.0.1")},
    {AT_ITEM(config_listener, port), PORT(0)},
    {AT_ITEM(config_listener, path), PATH("")},
    {AT_ITEM(config_listener, internal), BOOL(false)},
    {AT_ITEM(config_listener, tls), BOOL(false)},
    {AT_ITEM(config_listener, client_ca_pem_file), PATH("")},
    {AT_ITEM(config_listener, proxy_protocol), CHOICE(proxy_words, CONFIG_PROXY_REFUSED)},
    {AT_ITEM(config_listener, trusted_proxies), .kind = CONFIG_KIND_NETWORKS, .max = 1024},
};

_Static_assert(COUNT_OF(all_rows) <= CONFIG_OPTIONS_MAX, "the reader has a mark for each row");
_Static_assert(sizeof(enum config_simd) == sizeof(uint32_t), "a choice is written as 32 bits");

struct config_table config_options_all(void)
{
    return (struct config_table){all_rows, COUNT_OF(all_rows)};
}

struct config_table config_options_of_namespace(void)
{
    return (struct config_table){namespace_rows, COUNT_OF(namespace_rows)};
}

struct config_table config_options_of_certificate(void)
{
    return (struct config_table){certificate_rows, COUNT_OF(certificate_rows)};
}

struct config_table config_options_of_listener(void)
{
    return (struct config_table){listener_rows, COUNT_OF(listener_rows)};
}

const struct config_option *config_options_find(struct config_table table, const char *key)
{
    for (size_t i = 0; i < table.count; i++) {
        if (strcmp(table.rows[i].key, key) == 0) {
            return &table.rows[i];
        }
    }
    return NULL;
}

size_t config_options_section(struct config_table table, const char *section)
{
    const size_t size = strlen(section);
    for (size_t i = 0; i < table.count; i++) {
        if (strncmp(table.rows[i].key, section, size) == 0 && table.rows[i].key[size] == '.') {
            return i;
        }
    }
    return SIZE_MAX;
}

void config_options_set_default(const struct config_option *option, void *base)
{
    uint8_t *field = (uint8_t *)base + option->offset;

    switch (option->kind) {
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_PORT:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_CHOICE:
        config_options_set_number(option, base, option->standard);
        return;
    case CONFIG_KIND_ADDRESS:
        CHECK(strlen(option->standard_text) < CONFIG_ADDRESS_SIZE);
        memset(field, 0, CONFIG_ADDRESS_SIZE);
        memcpy(field, option->standard_text, strlen(option->standard_text));
        return;
    case CONFIG_KIND_NAME:
        memset(field, 0, CONFIG_NAMESPACE_NAME_SIZE);
        return;
    case CONFIG_KIND_PATH:
        CHECK(strlen(option->standard_text) < CONFIG_PATH_SIZE);
        memset(field, 0, CONFIG_PATH_SIZE);
        memcpy(field, option->standard_text, strlen(option->standard_text));
        return;
    case CONFIG_KIND_REGEX:
        memset(field, 0, POLICY_REGEX_SIZE);
        return;
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_SECRET:
        config_options_set_text(option, base, NULL);
        return;
    case CONFIG_KIND_ORIGINS:
    case CONFIG_KIND_NAMESPACES:
    case CONFIG_KIND_NETWORKS:
    case CONFIG_KIND_CERTIFICATES:
    case CONFIG_KIND_LISTENERS:
        memset(field, 0, sizeof(struct config_origins)); /* as each list: config_list.h */
        return;
    }
    NEVER("a kind that has no default");
}

static size_t number_size(enum config_kind kind)
{
    switch (kind) {
    case CONFIG_KIND_BOOL:
        return sizeof(bool);
    case CONFIG_KIND_PORT:
        return sizeof(uint16_t);
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_CHOICE:
        return sizeof(uint32_t);
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_DURATION:
        return sizeof(uint64_t);
    case CONFIG_KIND_ADDRESS:
    case CONFIG_KIND_NAME:
    case CONFIG_KIND_PATH:
    case CONFIG_KIND_REGEX:
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_SECRET:
    case CONFIG_KIND_ORIGINS:
    case CONFIG_KIND_NAMESPACES:
    case CONFIG_KIND_NETWORKS:
    case CONFIG_KIND_CERTIFICATES:
    case CONFIG_KIND_LISTENERS:
        break;
    }
    NEVER("a kind that is not a number");
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the low bytes of a number come first");

uint64_t config_options_number(const struct config_option *option, const void *base)
{
    uint64_t number = 0;
    memcpy(&number, (const uint8_t *)base + option->offset, number_size(option->kind));
    return number;
}

void config_options_set_number(const struct config_option *option, void *base, uint64_t number)
{
    const size_t size = number_size(option->kind);
    CHECK(size == sizeof(number) || number >> (8 * size) == 0);
    CHECK(option->kind != CONFIG_KIND_BOOL || number <= 1);
    memcpy((uint8_t *)base + option->offset, &number, size);
}

_Static_assert(sizeof(struct config_secret) == sizeof(const char *), "a secret is a pointer");

const char *config_options_text(const struct config_option *option, const void *base)
{
    const char *text;
    CHECK(option->kind == CONFIG_KIND_TEXT || option->kind == CONFIG_KIND_SECRET);
    memcpy(&text, (const uint8_t *)base + option->offset, sizeof(text));
    return text;
}

void config_options_set_text(const struct config_option *option, void *base, const char *text)
{
    CHECK(option->kind == CONFIG_KIND_TEXT || option->kind == CONFIG_KIND_SECRET);
    memcpy((uint8_t *)base + option->offset, &text, sizeof(text));
}
