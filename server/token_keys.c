/* SPDX-License-Identifier: Apache-2.0 */
#include "server/token_keys.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "server/config_file.h"
#include "server/config_list.h"
#include "server/jwks.h"
#include "server/jwks_fetch.h"

enum { KEY_FILE_SIZE_MAX = 16384 }; /* bytes */

/* What one section of the configuration gives. */
struct section {
    const struct config_token *config;
    struct token_key *of_type[TOKEN_KEY_TYPE_COUNT];
    struct jwks *set; /* of the file */
};

struct token_keys {
    _Atomic uint32_t shares;
    struct section connection;
    struct section subscription; /* empty where it is not enabled */
};

/* What the configuration says of one type. */
struct source {
    enum token_key_type type;
    struct bytes text; /* empty: not given */
    const char *option;
    const char *file; /* NULL: not given */
    const char *file_option;
};

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}

static void list_sources(const struct config_token *config,
                         struct source sources[TOKEN_KEY_TYPE_COUNT])
{
    sources[0] =
        (struct source){TOKEN_KEY_HMAC, config_secret_reveal(config->hmac_secret_key),
                        "hmac_secret_key", config->hmac_secret_key_file, "hmac_secret_key_file"};
    sources[1] = (struct source){TOKEN_KEY_RSA, bytes_of(config->rsa_public_key), "rsa_public_key",
                                 config->rsa_public_key_file, "rsa_public_key_file"};
    sources[2] =
        (struct source){TOKEN_KEY_ECDSA, bytes_of(config->ecdsa_public_key), "ecdsa_public_key",
                        config->ecdsa_public_key_file, "ecdsa_public_key_file"};
}

bool token_keys_are_given(const struct config_token *config)
{
    struct source sources[TOKEN_KEY_TYPE_COUNT];
    bool any = config->jwks_public_endpoint != NULL || config->jwks_file != NULL;

    list_sources(config, sources);
    for (size_t i = 0; i < TOKEN_KEY_TYPE_COUNT; i++) {
        any = any || sources[i].text.size > 0 || sources[i].file != NULL;
    }
    return any;
}

static struct token_key *make(enum token_key_type type, struct bytes text, char *error)
{
    return type == TOKEN_KEY_HMAC ? token_key_from_secret(text, error)
                                  : token_key_from_pem(text, type, error);
}

/* Always false. */
static bool blame(char *what, const char *text)
{
    (void)snprintf(what, TOKEN_KEY_ERROR_SIZE, "%s", text);
    return false;
}

static bool source_holds(const struct source *source, char *what)
{
    if (source->text.size == 0) {
        return true;
    }
    if (source->file != NULL) {
        (void)snprintf(what, TOKEN_KEY_ERROR_SIZE, "expected this or %s, found both",
                       source->file_option);
        return false;
    }
    /* What --check-config prints is a configuration, but for this. */
    if (source->type == TOKEN_KEY_HMAC &&
        strcmp((const char *)source->text.data, CONFIG_SECRET_SHOWN) == 0) {
        return blame(what, "expected the secret, found what is shown in its place");
    }
    struct token_key *key = make(source->type, source->text, what);
    token_key_destroy(key);
    return key != NULL;
}

/* A set comes from one place, and in the place of single keys. */
static bool set_holds(const struct config_token *config, const struct source *sources,
                      const char **option, char *what)
{
    const char *const url = config->jwks_public_endpoint;

    if (url == NULL && config->jwks_ca_file != NULL) {
        *option = "jwks_ca_file";
        return blame(what, "expected nothing without jwks_public_endpoint, found a file");
    }
    if (url == NULL && config->jwks_file == NULL) {
        return true;
    }
    *option = url != NULL ? "jwks_public_endpoint" : "jwks_file";
    if (url != NULL && config->jwks_file != NULL) {
        return blame(what, "expected this or jwks_file, found both");
    }
    for (size_t i = 0; i < TOKEN_KEY_TYPE_COUNT; i++) {
        const bool is_given = sources[i].text.size > 0 || sources[i].file != NULL;
        if (sources[i].type != TOKEN_KEY_HMAC && is_given) {
            return blame(what, "expected this, or an RSA or ECDSA key, found both");
        }
    }
    return url == NULL || jwks_fetch_may(url) ||
           blame(what, "expected https://..., or http:// to this machine, without a user, found "
                       "another address");
}

bool token_keys_check(const struct config_token *config, const char **option,
                      char what[TOKEN_KEY_ERROR_SIZE])
{
    struct source sources[TOKEN_KEY_TYPE_COUNT];

    list_sources(config, sources);
    for (size_t i = 0; i < TOKEN_KEY_TYPE_COUNT; i++) {
        *option = sources[i].option;
        if (!source_holds(&sources[i], what)) {
            return false;
        }
    }
    return set_holds(config, sources, option, what);
}

/* An editor ends the last line of a file, and that is no part of a secret. */
static struct bytes without_newline(struct bytes text)
{
    if (text.size > 0 && text.data[text.size - 1] == '\n') {
        text.size--;
    }
    return text;
}

static struct token_key *make_from_file(const struct source *source, const char *section,
                                        char *error)
{
    struct token_key *key = NULL;
    char why[TOKEN_KEY_ERROR_SIZE] = "";
    struct bytes text;

    const int result = config_file_read(source->file, KEY_FILE_SIZE_MAX, &text);
    if (result != 0) {
        (void)snprintf(error, CONFIG_ERROR_SIZE, "%s.%s: %s: cannot be read: %s", section,
                       source->file_option, source->file, strerrordesc_np(-result));
        return NULL;
    }
    key = make(source->type, without_newline(text), why);
    if (key == NULL) {
        (void)snprintf(error, CONFIG_ERROR_SIZE, "%s.%s: %s: %s", section, source->file_option,
                       source->file, why);
    }
    config_file_free(text);
    return key;
}

static struct jwks *make_set(const char *file, const char *section, char *error)
{
    char why[JWKS_ERROR_SIZE] = "";
    struct bytes text;

    const int result = config_file_read(file, JWKS_DOCUMENT_SIZE_MAX, &text);
    if (result != 0) {
        (void)snprintf(error, CONFIG_ERROR_SIZE, "%s.jwks_file: %s: cannot be read: %s", section,
                       file, strerrordesc_np(-result));
        return NULL;
    }
    struct jwks *set = jwks_parse((struct span){config_list_owned(text.data), text.size}, 0, why);
    if (set == NULL) {
        (void)snprintf(error, CONFIG_ERROR_SIZE,
                       "%s.jwks_file: %s: expected a set of public keys (JWKS), found that %s",
                       section, file, why);
    }
    config_file_free(text);
    return set;
}

/* False and a line in `error`; what was made is in `section` then, too. */
static bool fill(struct section *section, const struct config_token *config, const char *name,
                 char *error)
{
    struct source sources[TOKEN_KEY_TYPE_COUNT];

    section->config = config;
    list_sources(config, sources);
    for (size_t i = 0; i < TOKEN_KEY_TYPE_COUNT; i++) {
        const struct source *source = &sources[i];
        struct token_key **key = &section->of_type[source->type];
        char why[TOKEN_KEY_ERROR_SIZE] = "";
        if (source->text.size == 0 && source->file == NULL) {
            continue;
        }
        if (source->text.size > 0) {
            *key = make(source->type, source->text, why);
            (void)snprintf(error, CONFIG_ERROR_SIZE, "%s.%s: %s", name, source->option, why);
        } else {
            *key = make_from_file(source, name, error);
        }
        if (*key == NULL) {
            return false;
        }
    }
    if (config->jwks_file != NULL) {
        section->set = make_set(config->jwks_file, name, error);
    }
    return config->jwks_file == NULL || section->set != NULL;
}

struct token_keys *token_keys_create(const struct config_client *config,
                                     char error[CONFIG_ERROR_SIZE])
{
    struct token_keys *keys = calloc(1, sizeof(*keys));

    if (keys == NULL) {
        (void)snprintf(error, CONFIG_ERROR_SIZE, "client.token: out of memory");
        return NULL;
    }
    atomic_init(&keys->shares, 1);
    if (!fill(&keys->connection, &config->token, "client.token", error) ||
        (config->subscription_token.enabled &&
         !fill(&keys->subscription, &config->subscription_token, "client.subscription_token",
               error))) {
        token_keys_unref(keys);
        return NULL;
    }
    return keys;
}

void token_keys_ref(struct token_keys *keys)
{
    /* Relaxed: who shares holds a share. */
    const uint32_t shares = atomic_fetch_add_explicit(&keys->shares, 1, memory_order_relaxed);
    CHECK(shares > 0);
}

void token_keys_unref(struct token_keys *keys)
{
    /* Release and acquire: what others did with them is done before they are freed. */
    if (keys == NULL || atomic_fetch_sub_explicit(&keys->shares, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < TOKEN_KEY_TYPE_COUNT; i++) {
        token_key_destroy(keys->connection.of_type[i]);
        token_key_destroy(keys->subscription.of_type[i]);
    }
    jwks_unref(keys->connection.set);
    jwks_unref(keys->subscription.set);
    free(keys);
}

bool token_keys_is_empty(const struct token_keys *keys)
{
    const bool is_separate = keys->subscription.config != NULL;
    return !token_keys_are_given(keys->connection.config) && !is_separate;
}

enum claims_kind token_keys_section(const struct token_keys *keys, enum claims_kind kind)
{
    return keys->subscription.config != NULL ? kind : CLAIMS_CONNECTION;
}

static const struct section *section_of(const struct token_keys *keys, enum claims_kind kind)
{
    return token_keys_section(keys, kind) == CLAIMS_SUBSCRIPTION ? &keys->subscription
                                                                 : &keys->connection;
}

const struct config_token *token_keys_rules(const struct token_keys *keys, enum claims_kind kind)
{
    return section_of(keys, kind)->config;
}

const struct token_key *token_keys_find(const struct token_keys *keys, enum claims_kind kind,
                                        enum token_key_type type)
{
    CHECK(type < TOKEN_KEY_TYPE_COUNT);
    return section_of(keys, kind)->of_type[type];
}

const struct jwks *token_keys_set(const struct token_keys *keys, enum claims_kind kind)
{
    return section_of(keys, kind)->set;
}
