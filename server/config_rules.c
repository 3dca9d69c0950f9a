/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_rules.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/check.h"
#include "net/address.h"
#include "server/config.h"
#include "server/token_keys.h"

/* The struct that a rule looks at, and the options in it. */
struct subject {
    struct config_table table;
    const void *base;
    const char *prefix; /* of its keys in errors, "" or with its dot */
};

static struct subject whole(const struct config *config)
{
    return (struct subject){config_options_all(), config, ""};
}

/* Always false, so that a rule can end with it. */
static bool accuse(struct subject subject, struct config_fault *fault, const char *key,
                   const char *what)
{
    (void)snprintf(fault->key, sizeof(fault->key), "%s%s", subject.prefix, key);
    (void)snprintf(fault->what, sizeof(fault->what), "%s", what);
    fault->other[0] = '\0';
    return false;
}

/* Likewise, for what another option is set to. */
static bool accuse_with(struct subject subject, struct config_fault *fault, const char *key,
                        const char *other, const char *what)
{
    (void)accuse(subject, fault, key, what);
    (void)snprintf(fault->other, sizeof(fault->other), "%s%s", subject.prefix, other);
    return false;
}

/* The value of `key` as the file would have it: what an error shows as found. */
static void show_value(struct subject subject, const char *key, char text[CONFIG_TEXT_SIZE])
{
    const struct config_option *option = config_options_find(subject.table, key);
    CHECK(option != NULL);
    config_value_write(option, subject.base, text);
}

/* Always false. `than` is the key that sets the bound. */
static bool blame(struct subject subject, struct config_fault *fault, const char *key,
                  const char *relation, const char *than)
{
    char found[CONFIG_TEXT_SIZE];
    char bound[CONFIG_TEXT_SIZE];
    char what[CONFIG_WHAT_SIZE];

    show_value(subject, key, found);
    show_value(subject, than, bound);
    (void)snprintf(what, sizeof(what), "expected %s %s (%s), found %s", relation, than, bound,
                   found);
    return accuse_with(subject, fault, key, than, what);
}

/* 0.0.0.0 and ::, however they are written. */
static bool is_any_address(const char *text)
{
    static const uint8_t any_six[ADDRESS_IP_SIZE] = {0};
    static const uint8_t any_four[ADDRESS_IP_SIZE] = {[10] = 0xff, [11] = 0xff};
    uint8_t ip[ADDRESS_IP_SIZE];
    struct address address;

    if (config_socket_address(text, 1, &address) != 0) {
        return false;
    }
    address_ip(&address, ip);
    return memcmp(ip, any_six, sizeof(ip)) == 0 || memcmp(ip, any_four, sizeof(ip)) == 0;
}

/* One place to listen at. */
struct place {
    const char *key;
    const char *address;
    uint16_t port;
    const char *path; /* instead of the two, or "" */
};

static bool places_overlap(const struct place *a, const struct place *b)
{
    if (a->path[0] != '\0' || b->path[0] != '\0') {
        return strcmp(a->path, b->path) == 0;
    }
    return a->port == b->port && (strcmp(a->address, b->address) == 0 ||
                                  is_any_address(a->address) || is_any_address(b->address));
}

/* Reactors share a port, so two listeners at one place would share its clients, unseen. */
static bool listeners_differ(const struct config *config, struct config_fault *fault)
{
    const struct config_http_server *http = &config->http_server;
    struct place places[2 + CONFIG_LISTENERS_MAX] = {
        {"http_server.port", http->address, http->port, ""},
        {"http_server.internal_port", http->internal_address, http->internal_port, ""},
    };
    const uint32_t count = 2 + http->listeners.count;

    for (uint32_t i = 2; i < count; i++) {
        const struct config_listener *item = &http->listeners.items[i - 2];
        places[i] = (struct place){"http_server.listeners", item->address, item->port, item->path};
    }
    for (uint32_t i = 1; i < count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (!places_overlap(&places[j], &places[i])) {
                continue;
            }
            if (i < 2) {
                return blame(whole(config), fault, "http_server.internal_port", "another port than",
                             "http_server.port");
            }
            char what[CONFIG_WHAT_SIZE];
            (void)snprintf(what, sizeof(what), "expected another place for listeners[%u] than %s%s",
                           i - 2, places[j].key, j < 2 ? "" : " has for an earlier one");
            return accuse(whole(config), fault, "http_server.listeners", what);
        }
    }
    return true;
}

static bool proxies_are_known(struct subject subject, struct config_fault *fault,
                              enum config_proxy_protocol protocol, uint32_t trusted_count,
                              const char *key)
{
    return protocol == CONFIG_PROXY_REFUSED || trusted_count > 0 ||
           accuse(subject, fault, key,
                  "expected networks with proxy_protocol (required), found none");
}

static bool listener_holds(const struct config_listener *listener, struct config_fault *fault)
{
    const struct subject subject = {config_options_of_listener(), listener, ""};
    const bool has_path = listener->path[0] != '\0';

    if (has_path == (listener->port > 0)) {
        return accuse(subject, fault, has_path ? "path" : "port",
                      has_path ? "expected either a port or a path, found both"
                               : "expected a port or a path, found neither");
    }
    if (listener->client_ca_pem_file[0] != '\0' && !listener->tls) {
        return accuse(subject, fault, "client_ca_pem_file", "expected tls (true) with it");
    }
    /* Who may connect to a unix socket is a matter of its folder. */
    return has_path || proxies_are_known(subject, fault, listener->proxy_protocol,
                                         listener->trusted_proxies.count, "trusted_proxies");
}

static bool certificate_holds(const struct config_certificate *certificate,
                              struct config_fault *fault)
{
    const struct subject subject = {config_options_of_certificate(), certificate, ""};
    static const char expected[] = "expected a file, found nothing";

    return (certificate->cert_pem_file[0] != '\0' ||
            accuse(subject, fault, "cert_pem_file", expected)) &&
           (certificate->key_pem_file[0] != '\0' ||
            accuse(subject, fault, "key_pem_file", expected));
}

bool config_rules_hold_for_item(enum config_kind kind, const void *item, struct config_fault *fault)
{
    if (kind == CONFIG_KIND_NAMESPACES) {
        const struct config_namespace *namespace = item;
        return config_rules_hold_for_channels(&namespace->options, "", fault);
    }
    if (kind == CONFIG_KIND_CERTIFICATES) {
        return certificate_holds(item, fault);
    }
    CHECK(kind == CONFIG_KIND_LISTENERS);
    return listener_holds(item, fault);
}

/* A file that a switched-on option cannot do without. */
static bool file_is_given(const struct config *config, struct config_fault *fault, const char *key,
                          const char *path, const char *needed_by)
{
    char what[CONFIG_WHAT_SIZE];

    if (path[0] != '\0') {
        return true;
    }
    (void)snprintf(what, sizeof(what), "expected a file with %s, found nothing", needed_by);
    return accuse(whole(config), fault, key, what);
}

static bool tls_has_its_files(const struct config *config, struct config_fault *fault)
{
    const struct config_tls *tls = &config->http_server.tls;
    const struct config_listeners *listeners = &config->http_server.listeners;
    bool needed = tls->enabled;

    for (uint32_t i = 0; i < listeners->count; i++) {
        needed = needed || listeners->items[i].tls;
    }
    if (!needed && tls->cert_pem_file[0] == '\0') {
        return tls->key_pem_file[0] == '\0' ||
               file_is_given(config, fault, "http_server.tls.cert_pem_file", tls->cert_pem_file,
                             "http_server.tls.key_pem_file");
    }
    return file_is_given(config, fault, "http_server.tls.cert_pem_file", tls->cert_pem_file,
                         tls->enabled ? "http_server.tls.enabled (true)"
                                      : "a listener with tls (true)") &&
           file_is_given(config, fault, "http_server.tls.key_pem_file", tls->key_pem_file,
                         "http_server.tls.cert_pem_file");
}

static bool is_power_of_two(const struct config *config, struct config_fault *fault,
                            const char *key)
{
    const struct config_option *option = config_options_find(config_options_all(), key);
    CHECK(option != NULL);
    const uint64_t number = config_options_number(option, config);

    if ((number & (number - 1)) == 0) {
        return true;
    }
    char what[CONFIG_WHAT_SIZE];
    (void)snprintf(what, sizeof(what), "expected a power of two, found %" PRIu64, number);
    return accuse(whole(config), fault, key, what);
}

/* The namespace of personal channels has to be one. */
static bool personal_namespace_is_there(const struct config *config, struct config_fault *fault)
{
    static const char key[] =
        "client.subscribe_to_user_personal_channel.personal_channel_namespace";
    const struct config_namespaces *namespaces = &config->channel.namespaces;
    const char *name = config->client.subscribe_to_user_personal_channel.personal_channel_namespace;
    bool is_there = name[0] == '\0';

    for (uint32_t i = 0; !is_there && i < namespaces->count; i++) {
        is_there = strcmp(name, namespaces->items[i].name) == 0;
    }
    if (is_there) {
        return true;
    }
    char what[CONFIG_WHAT_SIZE];
    (void)snprintf(what, sizeof(what), "expected one of channel.namespaces, found \"%s\"", name);
    return accuse(whole(config), fault, key, what);
}

static bool whole_holds(const struct config *config, struct config_fault *fault)
{
    const uint64_t message = config->websocket.message_size_limit;

    return listeners_differ(config, fault) && tls_has_its_files(config, fault) &&
           proxies_are_known(whole(config), fault, config->http_server.proxy_protocol,
                             config->http_server.trusted_proxies.count,
                             "http_server.trusted_proxies") &&
           personal_namespace_is_there(config, fault) &&
           (config->http_server.max_uri < config->http_server.max_header_bytes ||
            blame(whole(config), fault, "http_server.max_uri", "less than",
                  "http_server.max_header_bytes")) &&
           (config->client.pong_timeout_ns < config->client.ping_interval_ns ||
            blame(whole(config), fault, "client.pong_timeout", "less than",
                  "client.ping_interval")) &&
           /* The longest message must fit the queue of those who read it. */
           (config->client.queue_max_size > message ||
            blame(whole(config), fault, "client.queue_max_size", "more than",
                  "websocket.message_size_limit")) &&
           (config->echo.queue_max_size > config->echo.message_size_limit ||
            blame(whole(config), fault, "echo.queue_max_size", "more than",
                  "echo.message_size_limit")) &&
           is_power_of_two(config, fault, "reactor.receive_buffers") &&
           is_power_of_two(config, fault, "bus.slots") &&
           (config->bus.reserve < config->bus.slots / 2 ||
            blame(whole(config), fault, "bus.reserve", "less than half of", "bus.slots")) &&
           (config->shutdown.grace_ns < config->shutdown.timeout_ns ||
            blame(whole(config), fault, "shutdown.grace", "less than", "shutdown.timeout"));
}

/* What would be promised to publishers needs somebody who can keep it. */
static bool durability_is_kept(const struct config *config, const struct policy *options,
                               const char *prefix, struct config_fault *fault)
{
    if (options->durability < POLICY_DURABILITY_PROCESS ||
        config->store.engine == CONFIG_STORE_ROCKSDB) {
        return true;
    }
    const struct config_namespace holder = {.options = *options};
    const struct subject subject = {config_options_of_namespace(), &holder, prefix};
    char found[CONFIG_TEXT_SIZE];
    char what[CONFIG_WHAT_SIZE];
    show_value(subject, "durability", found);
    (void)snprintf(what, sizeof(what),
                   "expected none or memory with store.engine (memory), found %s", found);
    return accuse(subject, fault, "durability", what);
}

static bool store_has_a_path(const struct config *config, struct config_fault *fault)
{
    return config->store.engine != CONFIG_STORE_ROCKSDB || config->store.path[0] != '\0' ||
           accuse_with(whole(config), fault, "store.path", "store.engine",
                       "expected a directory with store.engine (rocksdb), found nothing");
}

/* Keys that can be used, and a section that is not there for nothing. */
static bool token_holds(const struct config_token *token, const char *section,
                        struct config_fault *fault)
{
    const char *option;
    char what[TOKEN_KEY_ERROR_SIZE];

    if (token_keys_check(token, &option, what)) {
        return true;
    }
    (void)snprintf(fault->key, sizeof(fault->key), "%s.%s", section, option);
    (void)snprintf(fault->what, sizeof(fault->what), "%s", what);
    fault->other[0] = '\0';
    return false;
}

static bool api_key_holds(const struct config *config, struct config_fault *fault)
{
    const struct config_http_api *api = &config->http_api;
    const struct bytes key = config_secret_reveal(api->key);

    if (key.size > 0 && api->key_file != NULL) {
        return accuse(whole(config), fault, "http_api.key",
                      "expected this or key_file, found both");
    }
    /* What --check-config prints is a configuration, but for this. */
    return key.size == 0 || strcmp((const char *)key.data, CONFIG_SECRET_SHOWN) != 0 ||
           accuse(whole(config), fault, "http_api.key",
                  "expected the secret, found what is shown in its place");
}

static bool tokens_hold(const struct config *config, struct config_fault *fault)
{
    const struct config_client *client = &config->client;
    const bool has_separate = token_keys_are_given(&client->subscription_token);

    if (client->subscription_token.enabled != has_separate) {
        return accuse(whole(config), fault, "client.subscription_token.enabled",
                      has_separate ? "expected true with a key in this section, found false"
                                   : "expected false without a key in this section, found true");
    }
    return token_holds(&client->token, "client.token", fault) &&
           token_holds(&client->subscription_token, "client.subscription_token", fault);
}

bool config_rules_hold_for_channels(const struct policy *options, const char *prefix,
                                    struct config_fault *fault)
{
    const bool history = options->history_size > 0;
    const struct {
        bool holds;
        const char *key;
        const char *relation;
        const char *than;
    } rules[] = {
        {!history || options->history_ttl_ns > 0, "history_ttl", "more than 0s with",
         "history_size"},
        {history || options->history_ttl_ns == 0, "history_size", "more than 0 with",
         "history_ttl"},
        {options->history_meta_ttl_ns >= options->history_ttl_ns, "history_meta_ttl", "at least",
         "history_ttl"},
        /* What is of no use without publications that are kept. */
        {history || !options->force_recovery, "force_recovery", "false with", "history_size"},
        {history || !options->allow_recovery, "allow_recovery", "false with", "history_size"},
        {history || !options->force_positioning, "force_positioning", "false with", "history_size"},
        {history || !options->allow_positioning, "allow_positioning", "false with", "history_size"},
        {history || options->force_recovery_mode == POLICY_RECOVERY_STREAM, "force_recovery_mode",
         "stream with", "history_size"},
        {history || options->durability < POLICY_DURABILITY_PROCESS, "durability",
         "none or memory with", "history_size"},
        {options->join_leave || !options->force_push_join_leave, "force_push_join_leave",
         "false with", "join_leave"},
    };
    const struct config_namespace holder = {.options =
                                                *options}; /* what the table has offsets of */
    const struct subject subject = {config_options_of_namespace(), &holder, prefix};

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (!rules[i].holds) {
            return blame(subject, fault, rules[i].key, rules[i].relation, rules[i].than);
        }
    }
    return true;
}

bool config_rules_hold(const struct config *config, struct config_fault *fault)
{
    const struct config_channel *channel = &config->channel;
    static const char plain[] = "channel.without_namespace.";
    bool holds = whole_holds(config, fault) && tokens_hold(config, fault) &&
                 api_key_holds(config, fault) && store_has_a_path(config, fault) &&
                 config_rules_hold_for_channels(&channel->without_namespace, plain, fault) &&
                 durability_is_kept(config, &channel->without_namespace, plain, fault);

    for (uint32_t i = 0; holds && i < channel->namespaces.count; i++) {
        char prefix[CONFIG_KEY_SIZE / 2];
        (void)snprintf(prefix, sizeof(prefix), "channel.namespaces[%u].", i);
        const struct policy *options = &channel->namespaces.items[i].options;
        holds = config_rules_hold_for_channels(options, prefix, fault) &&
                durability_is_kept(config, options, prefix, fault);
    }
    return holds;
}
