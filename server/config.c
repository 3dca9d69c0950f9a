/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "net/address.h"
#include "net/cidr.h"
#include "server/config_file.h"
#include "server/config_list.h"
#include "server/config_options.h"
#include "server/config_rules.h"
#include "server/config_value.h"
#include "server/config_yaml.h"

void config_init_defaults(struct config *config)
{
    const struct config_table table = config_options_all();

    CHECK(config != NULL);
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < table.count; i++) {
        config_options_set_default(&table.rows[i], config);
    }
}

int config_socket_address(const char *text, uint16_t port, struct address *address)
{
    char with_port[CONFIG_ADDRESS_SIZE + sizeof("[]:65535")];
    const bool is_six = strchr(text, ':') != NULL;

    CHECK(strlen(text) < CONFIG_ADDRESS_SIZE);
    (void)snprintf(with_port, sizeof(with_port), "%s%s%s:%u", is_six ? "[" : "", text,
                   is_six ? "]" : "", (unsigned)port);
    return address_parse(with_port, address);
}

/* Secrets are overwritten, and other texts with them. */
static void free_texts(const struct config *config)
{
    const struct config_table table = config_options_all();

    for (size_t i = 0; i < table.count; i++) {
        const struct config_option *option = &table.rows[i];
        if (option->kind == CONFIG_KIND_TEXT || option->kind == CONFIG_KIND_SECRET) {
            char *text = config_list_owned(config_options_text(option, config));
            if (text != NULL) {
                explicit_bzero(text, strlen(text));
                free(text);
            }
        }
    }
}

struct bytes config_secret_reveal(struct config_secret secret)
{
    return (struct bytes){(const uint8_t *)secret.hidden,
                          secret.hidden == NULL ? 0 : strlen(secret.hidden)};
}

void config_destroy(struct config *config)
{
    const struct config_table table = config_options_all();

    CHECK(config != NULL);
    for (size_t i = 0; i < table.count; i++) {
        if (config_list_is(&table.rows[i])) {
            config_list_free(&table.rows[i], config);
        }
    }
    free_texts(config);
    config_init_defaults(config);
}

int config_validate(const struct config *config, char *error, size_t error_size)
{
    struct config_fault fault;

    CHECK(config != NULL);
    CHECK(error != NULL);
    if (config_rules_hold(config, &fault)) {
        return 0;
    }
    (void)snprintf(error, error_size, "%s: %s", fault.key, fault.what);
    return -EINVAL;
}

static struct config_mark mark_of(const struct config_yaml_result *read, const char *key)
{
    const struct config_table table = config_options_all();
    const struct config_option *option = config_options_find(table, key);
    return option == NULL ? (struct config_mark){0, 0} : read->marks[option - table.rows];
}

/* Where the file gave the option that is to blame, or else what that does not go with. */
static struct config_mark place_of(const struct config_yaml_result *read,
                                   const struct config_fault *fault)
{
    static const char namespaces[] = "channel.namespaces[";

    /* What a namespace alone can break was judged where it stands, in config_yaml.c. */
    if (strncmp(fault->key, namespaces, sizeof(namespaces) - 1) == 0) {
        return read->durable;
    }
    const struct config_mark mark = mark_of(read, fault->key);
    return mark.line == 0 ? mark_of(read, fault->other) : mark;
}

/* The same with the place, if there is one. */
static int validate_read(const char *name, const struct config_yaml_result *read, char *error,
                         size_t error_size)
{
    struct config_fault fault;

    if (config_rules_hold(&read->config, &fault)) {
        return 0;
    }
    const struct config_mark mark = place_of(read, &fault);
    if (mark.line == 0) {
        (void)snprintf(error, error_size, "%s: %s: %s", name, fault.key, fault.what);
    } else {
        (void)snprintf(error, error_size, "%s:%u:%u: %s: %s", name, mark.line, mark.column,
                       fault.key, fault.what);
    }
    return -EINVAL;
}

int config_load_memory(const char *name, struct bytes text, struct config *config, char *error,
                       size_t error_size)
{
    struct config_yaml_result read;

    CHECK(name != NULL);
    CHECK(config != NULL);
    CHECK(error != NULL && error_size > 0);
    config_init_defaults(&read.config);
    int result = config_yaml_read(name, text, &read, error, error_size);
    result = result != 0 ? result : validate_read(name, &read, error, error_size);
    if (result != 0) {
        config_destroy(&read.config);
        return result;
    }
    *config = read.config;
    return 0;
}

static int fail_to_read(const char *path, int result, char *error, size_t error_size)
{
    (void)snprintf(error, error_size, "%s: cannot be read: %s", path, strerrordesc_np(-result));
    return result;
}

int config_load_file(const char *path, struct config *config, char *error, size_t error_size)
{
    struct bytes text;

    CHECK(path != NULL);
    CHECK(error != NULL && error_size > 0);
    int result = config_file_read(path, CONFIG_FILE_SIZE_MAX, &text);
    if (result != 0) {
        return fail_to_read(path, result, error, error_size);
    }
    result = config_load_memory(path, text, config, error, error_size);
    config_file_free(text);
    return result;
}

static const uint64_t history_memory_most = UINT64_C(1) << 30; /* unless it is given */

static void resolve_memory(struct config *config, uint64_t memory_max)
{
    if (config->overload.memory_budget == 0) {
        const struct config_option *option =
            config_options_find(config_options_all(), "overload.memory_budget");
        CHECK(option != NULL);
        const uint64_t budget = memory_max / 5 * 4;
        config->overload.memory_budget = budget > option->min ? budget : option->min;
        config->overload.is_auto = true;
    }
    if (config->channel.history_memory_max == 0) {
        const uint64_t half = config->overload.memory_budget / 2;
        config->channel.history_memory_max =
            half < history_memory_most ? half : history_memory_most;
    }
}

int config_resolve(struct config *config, const struct config_facts *facts, char *error,
                   size_t error_size)
{
    const uint64_t open_files_max = facts->open_files_max;
    const uint64_t room =
        open_files_max > CONFIG_SPARE_FILES ? open_files_max - CONFIG_SPARE_FILES : 0;

    CHECK(config != NULL);
    CHECK(facts->cpu_count > 0);
    if (room == 0 || config->client.connection_limit > room) {
        (void)snprintf(error, error_size,
                       "client.connection_limit: expected at least %" PRIu64
                       " open files for it (ulimit -n), found %" PRIu64,
                       (uint64_t)CONFIG_SPARE_FILES + (config->client.connection_limit > 0
                                                           ? config->client.connection_limit
                                                           : 1),
                       open_files_max);
        return -EINVAL;
    }
    if (config->client.connection_limit == 0) {
        const struct config_option *option =
            config_options_find(config_options_all(), "client.connection_limit");
        CHECK(option != NULL);
        config->client.connection_limit = (uint32_t)(room < option->max ? room : option->max);
    }
    if (config->reactor.count == 0) {
        config->reactor.count = facts->cpu_count;
    }
    resolve_memory(config, facts->memory_max);
    return 0;
}

static void describe_entry(const struct config_option *option, const void *item, FILE *out)
{
    char text[CIDR_TEXT_SIZE_MAX];

    if (option->kind == CONFIG_KIND_ORIGINS) {
        const struct bytes *origin = item;
        (void)fprintf(out, "\"%s\"", (const char *)origin->data);
    } else {
        CHECK(option->kind == CONFIG_KIND_NETWORKS);
        (void)cidr_format(item, text);
        (void)fprintf(out, "\"%s\"", text);
    }
}

/* A list inside of an item has one line. */
static void describe_inner_list(const struct config_option *option, const void *base, FILE *out)
{
    const uint32_t count = config_list_get(option, base).count;

    (void)fputc('[', out);
    for (uint32_t i = 0; i < count; i++) {
        (void)fputs(i == 0 ? "" : ", ", out);
        describe_entry(option, config_list_item(option, base, i), out);
    }
    (void)fputs("]\n", out);
}

/* A port that is none cannot be written: the item has something else in its place. */
static bool is_left_out(const struct config_option *option, const void *base)
{
    return option->kind == CONFIG_KIND_PORT && config_options_number(option, base) == 0;
}

static void describe_item(struct config_table table, const void *item, int indent, FILE *out)
{
    char text[CONFIG_TEXT_SIZE];

    for (size_t i = 0; i < table.count; i++) {
        const struct config_option *option = &table.rows[i];
        if (is_left_out(option, item)) {
            continue;
        }
        (void)fprintf(out, "%*s%s %s: ", indent, "", i == 0 ? "-" : " ", option->key);
        if (config_list_is(option)) {
            describe_inner_list(option, item, out);
        } else {
            config_value_write(option, item, text);
            (void)fprintf(out, "%s\n", text);
        }
    }
}

static void describe_list(const struct config_option *option, const struct config *config,
                          const char *name, FILE *out)
{
    const struct config_table table = config_list_kind(option).table;
    const uint32_t count = config_list_get(option, config).count;
    const int indent = 2 * (int)(strchr(strchr(option->key, '.') + 1, '.') == NULL ? 2 : 3);

    (void)fprintf(out, "  %s:%s\n", name, count == 0 ? " []" : "");
    for (uint32_t i = 0; i < count; i++) {
        const void *item = config_list_item(option, config, i);
        if (table.count > 0) {
            describe_item(table, item, indent, out);
            continue;
        }
        (void)fprintf(out, "%*s- ", indent, "");
        describe_entry(option, item, out);
        (void)fputc('\n', out);
    }
}

/* In double quotes, with what YAML wants escaped there; a secret is only said to be there. */
static void describe_text(const struct config_option *option, const struct config *config,
                          const char *name, FILE *out)
{
    const char *text = config_options_text(option, config);

    if (text != NULL && option->kind == CONFIG_KIND_SECRET) {
        text = CONFIG_SECRET_SHOWN;
    }
    (void)fprintf(out, "  %s: \"", name);
    for (; text != NULL && *text != '\0'; text++) {
        if (*text == '\n') {
            (void)fputs("\\n", out);
            continue;
        }
        if (*text == '"' || *text == '\\') {
            (void)fputc('\\', out);
        }
        (void)fputc(*text, out);
    }
    (void)fputs("\"\n", out);
}

/* "a.b.c" after `previous`: the headings of the sections that are new, then the last part. */
static const char *describe_headings(const char *key, const char *previous, FILE *out)
{
    const char *name = key;
    int depth = 0;

    for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(name, '.')) {
        if (strncmp(key, previous, (size_t)(dot - key) + 1) != 0) {
            (void)fprintf(out, "%*s%.*s:\n", 2 * depth, "", (int)(dot - name), name);
        }
        name = dot + 1;
        depth++;
    }
    (void)fprintf(out, "%*s", 2 * (depth - 1), "");
    return name;
}

int config_describe(const struct config *config, FILE *out)
{
    const struct config_table table = config_options_all();
    const char *previous = "";
    char text[CONFIG_TEXT_SIZE];

    CHECK(config != NULL);
    CHECK(out != NULL);
    for (size_t i = 0; i < table.count; i++) {
        const struct config_option *option = &table.rows[i];
        const char *name = describe_headings(option->key, previous, out);
        if (config_list_is(option)) {
            describe_list(option, config, name, out);
        } else if (option->kind == CONFIG_KIND_TEXT || option->kind == CONFIG_KIND_SECRET) {
            describe_text(option, config, name, out);
        } else {
            config_value_write(option, config, text);
            (void)fprintf(out, "  %s: %s\n", name, text);
        }
        previous = option->key;
    }
    return ferror(out) == 0 ? 0 : -EIO;
}

/* The words are those of the table: one list of names, not two. */
static const char *choice_name(const char *key, size_t index)
{
    const struct config_option *option = config_options_find(config_options_all(), key);
    CHECK(option != NULL && option->choices != NULL);
    for (size_t i = 0; option->choices[i] != NULL; i++) {
        if (i == index) {
            return option->choices[i];
        }
    }
    NEVER("a value that has no word");
}

const char *config_backend_name(enum config_backend backend)
{
    return choice_name("reactor.backend", (size_t)backend);
}

const char *config_simd_name(enum config_simd simd)
{
    return choice_name("reactor.simd", (size_t)simd);
}

const char *config_log_level_name(enum config_log_level level)
{
    return choice_name("log.level", (size_t)level);
}
