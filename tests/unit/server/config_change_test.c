/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload may change: that every option has decided, and each one alone is named and changed,
 * or left; by tables, pairs of configurations, what of the second is named and what is left of it;
 * and that the result is a configuration of its own (AddressSanitizer would see texts that two of
 * them free).
 */
#include "server/config_change.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/config.h"
#include "server/config_list.h"
#include "server/config_options.h"

#define SECRET          "0123456789abcdef0123456789abcdef"
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static void load(const char *text, struct config *config)
{
    char error[CONFIG_ERROR_SIZE];
    const struct bytes bytes = {(const uint8_t *)text, strlen(text)};
    ck_assert_msg(config_load_memory("t", bytes, config, error, sizeof(error)) == 0, "%s", error);
}

static char *describe(const struct config *config)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ck_assert_ptr_nonnull(out);
    ck_assert_int_eq(config_describe(config, out), 0);
    ck_assert_int_eq(fclose(out), 0);
    return text;
}

static void assert_same(const struct config *a, const struct config *b)
{
    char *left = describe(a);
    char *right = describe(b);
    ck_assert_str_eq(left, right);
    free(left);
    free(right);
}

/* Names as one text, with a space behind each. */
static void join(const struct config_names *names, char text[CONFIG_CHANGE_TEXT_SIZE + 1])
{
    size_t size = 0;
    text[0] = '\0';
    for (const char *name = config_change_next_name(names, NULL); name != NULL;
         name = config_change_next_name(names, name)) {
        size += (size_t)sprintf(text + size, "%s ", name);
    }
    ck_assert_uint_eq(names->left_out, 0);
}

START_TEST(every_option_has_decided)
{
    const struct config_table tables[] = {config_options_all(), config_options_of_namespace()};

    for (size_t t = 0; t < COUNT_OF(tables); t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct config_option *option = &tables[t].rows[i];
            ck_assert_msg(option->change != CONFIG_CHANGE_UNDECIDED, "%s", option->key);
        }
    }
}
END_TEST

/* -- each option alone ------------------------------------------------------------------------- */

static uint64_t other_number(const struct config_option *option, uint64_t number)
{
    if (option->kind == CONFIG_KIND_CHOICE) {
        return option->choices[number + 1] == NULL ? 0 : number + 1;
    }
    return number == option->max ? option->min : option->max;
}

static char *copy_of_text(const char *text)
{
    char *copied = strdup(text);
    ck_assert_ptr_nonnull(copied);
    return copied;
}

/* Another value than it has, whatever the rules say of the whole: these are not looked at here. */
static void set_other(const struct config_option *option, void *base)
{
    switch (option->kind) {
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_PORT:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_CHOICE:
        config_options_set_number(option, base,
                                  other_number(option, config_options_number(option, base)));
        return;
    case CONFIG_KIND_ADDRESS:
    case CONFIG_KIND_NAME:
    case CONFIG_KIND_PATH:
    case CONFIG_KIND_REGEX:
        memcpy((char *)base + option->offset, "x", sizeof("x"));
        return;
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_SECRET:
        ck_assert_ptr_null(config_options_text(option, base));
        config_options_set_text(option, base, copy_of_text("x"));
        return;
    case CONFIG_KIND_ORIGINS:
    case CONFIG_KIND_NAMESPACES:
    case CONFIG_KIND_NETWORKS:
    case CONFIG_KIND_CERTIFICATES:
    case CONFIG_KIND_LISTENERS:
        break;
    }
    void *item = config_list_append(option, base);
    ck_assert_ptr_nonnull(item);
    if (option->kind == CONFIG_KIND_ORIGINS) {
        *(struct bytes *)item = (struct bytes){(const uint8_t *)copy_of_text("x"), 1};
    }
}

/* `name` is named, and nothing else; what is left is what it says. All three are destroyed. */
static void expect_one(struct config *running, struct config *fresh, struct config *wanted,
                       const char *name, bool changes)
{
    struct config_changes *changed = malloc(sizeof(*changed));
    ck_assert_ptr_nonnull(changed);
    ck_assert_int_eq(config_change_merge(running, fresh, changed), 0);
    const struct config_names *names = changes ? &changed->changed : &changed->needs_restart;
    const struct config_names *others = changes ? &changed->needs_restart : &changed->changed;
    const char *named = config_change_next_name(names, NULL);
    ck_assert_msg(named != NULL && names->count == 1 && others->count == 0, "%s", name);
    ck_assert_msg(strncmp(named, name, strlen(name)) == 0, "%s: %s", name, named);
    assert_same(fresh, wanted);
    config_destroy(running);
    config_destroy(fresh);
    config_destroy(wanted);
    free(changed);
}

/* From what it is to another value, and back. */
static void try_option(const char *text, const struct config_option *option,
                       void *(*base_of)(struct config *config), const char *name)
{
    const bool changes = option->change == CONFIG_CHANGE_NOW;

    for (int back = 0; back < 2; back++) {
        struct config running;
        struct config fresh;
        struct config wanted;
        load(text, &running);
        load(text, &fresh);
        load(text, &wanted);
        set_other(option, base_of(back ? &running : &fresh));
        if (changes != (back == 1)) {
            set_other(option, base_of(&wanted));
        }
        expect_one(&running, &fresh, &wanted, name, changes);
    }
}

static void *whole_of(struct config *config)
{
    return config;
}

static void *namespace_of(struct config *config)
{
    ck_assert_uint_eq(config->channel.namespaces.count, 1);
    return config_list_owned(config->channel.namespaces.items);
}

START_TEST(each_option_changes_or_is_named)
{
    const struct config_table all = config_options_all();
    const struct config_table more = config_options_of_namespace();
    char name[CONFIG_KEY_SIZE + 32];

    for (size_t i = 0; i < all.count; i++) {
        try_option("{}", &all.rows[i], whole_of, all.rows[i].key);
    }
    for (size_t i = 0; i < more.count; i++) {
        if (strcmp(more.rows[i].key, "name") == 0) {
            continue; /* another one is another namespace */
        }
        (void)snprintf(name, sizeof(name), "channel.namespaces[a].%s", more.rows[i].key);
        try_option("channel: {namespaces: [{name: a}]}", &more.rows[i], namespace_of, name);
    }
}
END_TEST

/* -- pairs ------------------------------------------------------------------------------------- */

static const struct {
    const char *why;
    const char *running;
    const char *fresh;
    const char *changed;
    const char *needs_restart;
    const char *merged;
} merges[] = {
    {"nothing", "log: {level: warn}", "log: {level: warn}", "", "", "log: {level: warn}"},
    {"a choice", "{}", "log: {level: debug}", "log.level ", "", "log: {level: debug}"},
    {"back to the default", "client: {channel_limit: 3}", "{}", "client.channel_limit ", "", "{}"},
    {"a number that cannot", "{}", "reactor: {count: 2}", "", "reactor.count ", "{}"},
    {"both", "{}", "{reactor: {count: 2}, client: {command_rate: 7}}", "client.command_rate ",
     "reactor.count ", "client: {command_rate: 7}"},
    {"a path that cannot", "store: {path: /a}", "store: {path: /b}", "", "store.path ",
     "store: {path: /a}"},
    {"an address that cannot", "{}", "http_server: {address: 127.0.0.2}", "",
     "http_server.address ", "{}"},
    {"a list", "client: {allowed_origins: ['https://a.example']}",
     "client: {allowed_origins: ['https://a.example', 'https://b.example']}",
     "client.allowed_origins ", "",
     "client: {allowed_origins: ['https://a.example', 'https://b.example']}"},
    {"a list of the same length", "client: {allowed_origins: ['https://a.example']}",
     "client: {allowed_origins: ['https://b.example']}", "client.allowed_origins ", "",
     "client: {allowed_origins: ['https://b.example']}"},
    {"networks that cannot", "http_server: {trusted_proxies: ['10.0.0.0/8']}",
     "http_server: {trusted_proxies: ['10.0.0.0/9', '::1']}", "", "http_server.trusted_proxies ",
     "http_server: {trusted_proxies: ['10.0.0.0/8']}"},
    {"sections with lists that cannot",
     "http_server: {listeners: [{port: 7000, trusted_proxies: ['10.0.0.0/8']}, {path: /tmp/p}]}",
     "http_server: {listeners: [{port: 7000, trusted_proxies: ['11.0.0.0/8']}, {path: /tmp/p}]}",
     "", "http_server.listeners ",
     "http_server: {listeners: [{port: 7000, trusted_proxies: ['10.0.0.0/8']}, {path: /tmp/p}]}"},
    {"a text that was not there, and cannot", "{}",
     "client: {token: {jwks_public_endpoint: 'https://a.example/keys'}}", "",
     "client.token.jwks_public_endpoint ", "{}"},
    {"a text that is no more there, and cannot",
     "client: {token: {jwks_public_endpoint: 'https://a.example/keys'}}", "{}", "",
     "client.token.jwks_public_endpoint ",
     "client: {token: {jwks_public_endpoint: 'https://a.example/keys'}}"},
    {"a namespace's options", "channel: {namespaces: [{name: a}, {name: b}]}",
     "channel: {namespaces: [{name: b, presence: true}, {name: a}]}",
     "channel.namespaces[b].presence ", "",
     "channel: {namespaces: [{name: b, presence: true}, {name: a}]}"},
    {"namespaces come and go", "channel: {namespaces: [{name: a}, {name: b}]}",
     "channel: {namespaces: [{name: c}, {name: b}]}",
     "channel.namespaces[a] channel.namespaces[c] ", "",
     "channel: {namespaces: [{name: c}, {name: b}]}"},
    {"a history's size", "channel: {namespaces: [{name: a, history_size: 1, history_ttl: 1s}]}",
     "channel: {namespaces: [{name: a, history_size: 2, history_ttl: 1s}]}",
     "channel.namespaces[a].history_size ", "",
     "channel: {namespaces: [{name: a, history_size: 2, history_ttl: 1s}]}"},
    {"a history where there was none, and what goes with it", "channel: {namespaces: [{name: a}]}",
     "channel: {namespaces: [{name: a, history_size: 2, history_ttl: 1s, force_recovery: true}]}",
     "",
     "channel.namespaces[a].history_size channel.namespaces[a].history_ttl "
     "channel.namespaces[a].force_recovery ",
     "channel: {namespaces: [{name: a}]}"},
    {"no history where there was one",
     "channel: {without_namespace: {history_size: 2, history_ttl: 1s}}", "{}", "",
     "channel.without_namespace.history_size channel.without_namespace.history_ttl ",
     "channel: {without_namespace: {history_size: 2, history_ttl: 1s}}"},
    {"durability", "channel: {namespaces: [{name: a}]}",
     "channel: {namespaces: [{name: a, durability: none}]}", "",
     "channel.namespaces[a].durability ", "channel: {namespaces: [{name: a}]}"},
    {"channels without a namespace", "{}", "channel: {without_namespace: {presence: true}}",
     "channel.without_namespace.presence ", "", "channel: {without_namespace: {presence: true}}"},
    {"a key whose place an endpoint takes",
     "client: {token: {hmac_secret_key: " SECRET ", leeway: 5s}}",
     "client: {token: {jwks_public_endpoint: 'https://a.example/keys', audience: b}}", "",
     "client.token.hmac_secret_key client.token.jwks_public_endpoint client.token.audience "
     "client.token.leeway ",
     "client: {token: {hmac_secret_key: " SECRET ", leeway: 5s}}"},
    {"keys of a section that is not used yet", "{}",
     "client: {token: {issuer: a}, subscription_token: {enabled: true, hmac_secret_key: " SECRET
     "}}",
     "client.token.issuer ",
     "client.subscription_token.enabled client.subscription_token.hmac_secret_key ",
     "client: {token: {issuer: a}}"},
    {"keys of a section that is used no more",
     "client: {subscription_token: {enabled: true, hmac_secret_key: " SECRET "}}",
     "{client: {channel_limit: 3}}", "client.channel_limit ",
     "client.subscription_token.enabled client.subscription_token.hmac_secret_key ",
     "client: {channel_limit: 3, subscription_token: {enabled: true, hmac_secret_key: " SECRET
     "}}"},
    {"certificates without TLS",
     "http_server: {tls: {enabled: true, cert_pem_file: /a, key_pem_file: /b}}",
     "http_server: {max_headers: 9}", "http_server.max_headers ",
     "http_server.tls.enabled http_server.tls.cert_pem_file http_server.tls.key_pem_file ",
     "http_server: {max_headers: 9, tls: {enabled: true, cert_pem_file: /a, key_pem_file: /b}}"},
    {"a certificate, and what alone needs a restart",
     "http_server: {tls: {enabled: true, cert_pem_file: /a, key_pem_file: /b}}",
     "http_server: {tls: {enabled: true, cert_pem_file: /c, key_pem_file: /b, "
     "handshake_timeout: 3s}}",
     "http_server.tls.cert_pem_file ", "http_server.tls.handshake_timeout ",
     "http_server: {tls: {enabled: true, cert_pem_file: /c, key_pem_file: /b}}"},
    {"a secret", "http_api: {key: 0123456789abcdef0123456789abcdef}",
     "http_api: {key: 1123456789abcdef0123456789abcdef}", "http_api.key ", "",
     "http_api: {key: 1123456789abcdef0123456789abcdef}"},
};

START_TEST(merges_two)
{
    struct config_changes *changes = malloc(sizeof(*changes));
    char names[CONFIG_CHANGE_TEXT_SIZE + 1];
    struct config running;
    struct config fresh;
    struct config merged;

    ck_assert_ptr_nonnull(changes);
    load(merges[_i].running, &running);
    load(merges[_i].fresh, &fresh);
    load(merges[_i].merged, &merged);
    ck_assert_int_eq(config_change_merge(&running, &fresh, changes), 0);
    join(&changes->changed, names);
    ck_assert_msg(strcmp(names, merges[_i].changed) == 0, "%s: %s", merges[_i].why, names);
    join(&changes->needs_restart, names);
    ck_assert_msg(strcmp(names, merges[_i].needs_restart) == 0, "%s: %s", merges[_i].why, names);
    /* What runs may go: nothing of it is in the new one. */
    config_destroy(&running);
    assert_same(&fresh, &merged);
    config_destroy(&fresh);
    config_destroy(&merged);
    free(changes);
}
END_TEST

int main(void)
{
    TCase *table = tcase_create("table");
    tcase_add_test(table, every_option_has_decided);
    tcase_add_test(table, each_option_changes_or_is_named);
    TCase *merge = tcase_create("merge");
    tcase_add_loop_test(merge, merges_two, 0, (int)COUNT_OF(merges));

    Suite *suite = suite_create("server/config_change");
    suite_add_tcase(suite, table);
    suite_add_tcase(suite, merge);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
