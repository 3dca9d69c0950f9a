/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/check.h"
#include "server/config_rules.h"
#include "server/config_value.h"

struct reader {
    yaml_parser_t parser;
    yaml_event_t event; /* the one to look at; ours to free */
    const char *name;   /* of the file */
    struct bytes text;
    char *error;
    size_t error_size;
    struct config_yaml_result *result;
};

/* One struct being filled: the whole configuration, or one namespace of the list. */
struct scope {
    struct config_table table;
    void *base;
    const char *prefix;                              /* of its keys in errors, "" or with its dot */
    struct config_mark *options;                     /* of each row, where it was given */
    struct config_mark sections[CONFIG_OPTIONS_MAX]; /* by the index of their first row */
};

static struct config_mark mark_of(const yaml_event_t *event)
{
    return (struct config_mark){
        .line = (uint32_t)(event->start_mark.line + 1),
        .column = (uint32_t)(event->start_mark.column + 1),
    };
}

/* "NAME:LINE:COLUMN: " and the text; the place is where the current event begins. */
__attribute__((format(printf, 2, 3))) static int fail(struct reader *reader, const char *format,
                                                      ...)
{
    const struct config_mark mark = mark_of(&reader->event);
    char text[CONFIG_ERROR_SIZE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)snprintf(reader->error, reader->error_size, "%s:%u:%u: %s", reader->name, mark.line,
                   mark.column, text);
    return -EINVAL;
}

static int fail_no_memory(struct reader *reader)
{
    (void)snprintf(reader->error, reader->error_size, "%s: out of memory", reader->name);
    return -ENOMEM;
}

/* libyaml could not read on. A fault of its decoder has an offset only. */
static int fail_syntax(struct reader *reader)
{
    const yaml_parser_t *parser = &reader->parser;
    size_t line = parser->problem_mark.line;
    size_t column = parser->problem_mark.column;

    if (parser->error == YAML_MEMORY_ERROR) {
        return fail_no_memory(reader);
    }
    if (parser->error == YAML_READER_ERROR) {
        line = 0;
        column = 0;
        for (size_t i = 0; i < parser->problem_offset && i < reader->text.size; i++) {
            column = reader->text.data[i] == '\n' ? 0 : column + 1;
            line += reader->text.data[i] == '\n' ? 1U : 0U;
        }
    }
    (void)snprintf(reader->error, reader->error_size, "%s:%zu:%zu: this is not YAML: %s",
                   reader->name, line + 1, column + 1,
                   parser->problem == NULL ? "unknown problem" : parser->problem);
    return -EINVAL;
}

static bool event_has_tag(const yaml_event_t *event)
{
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.tag != NULL) ||
           (event->type == YAML_SEQUENCE_START_EVENT && event->data.sequence_start.tag != NULL) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.tag != NULL);
}

static bool event_has_anchor(const yaml_event_t *event)
{
    return (event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor != NULL) ||
           (event->type == YAML_SEQUENCE_START_EVENT &&
            event->data.sequence_start.anchor != NULL) ||
           (event->type == YAML_MAPPING_START_EVENT && event->data.mapping_start.anchor != NULL);
}

/* Goes to the next event, and refuses what no configuration needs. */
static int advance(struct reader *reader)
{
    yaml_event_delete(&reader->event);
    memset(&reader->event, 0, sizeof(reader->event));
    if (yaml_parser_parse(&reader->parser, &reader->event) == 0) {
        return fail_syntax(reader);
    }
    if (reader->event.type == YAML_ALIAS_EVENT || event_has_anchor(&reader->event)) {
        return fail(reader, "anchors (&) and aliases (*) are not allowed here; text that begins "
                            "with one needs quotes");
    }
    if (event_has_tag(&reader->event)) {
        return fail(reader, "tags (!) are not allowed here; text that begins with one needs "
                            "quotes");
    }
    return 0;
}

static struct config_scalar scalar_of(const yaml_event_t *event)
{
    CHECK(event->type == YAML_SCALAR_EVENT);
    return (struct config_scalar){
        .text = {event->data.scalar.value, event->data.scalar.length},
        .plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE,
    };
}

static const char *event_found(const yaml_event_t *event)
{
    if (event->type == YAML_SEQUENCE_START_EVENT) {
        return "a list";
    }
    if (event->type == YAML_MAPPING_START_EVENT) {
        return "a section";
    }
    return event->data.scalar.length == 0 ? "nothing" : "a value";
}

/* The dotted key of the current event, below `path` ("" at the top), fit to be shown. */
static void key_below(const struct reader *reader, const char *path, char key[CONFIG_KEY_SIZE])
{
    char shown[CONFIG_SHOWN_SIZE];
    config_value_show(scalar_of(&reader->event).text, shown);
    (void)snprintf(key, CONFIG_KEY_SIZE, "%s%s%s", path, path[0] == '\0' ? "" : ".", shown);
}

static int fail_unknown(struct reader *reader, const struct scope *scope, const char *key)
{
    char nearest[CONFIG_KEY_SIZE];

    /* client.insecure as one key: the name is right, its shape is not. */
    const bool is_flat =
        memchr(reader->event.data.scalar.value, '.', reader->event.data.scalar.length) != NULL;
    if (is_flat && (config_options_find(scope->table, key) != NULL ||
                    config_options_section(scope->table, key) != SIZE_MAX)) {
        return fail(reader, "%s%s: expected sections inside each other, found dots in a key",
                    scope->prefix, key);
    }
    if (config_options_nearest(scope->table, key, nearest)) {
        return fail(reader, "%s%s: expected a known key, did you mean %s%s?", scope->prefix, key,
                    scope->prefix, nearest);
    }
    return fail(reader, "%s%s: expected a known key, there is none of that name", scope->prefix,
                key);
}

static int note_mark(struct reader *reader, const struct scope *scope, const char *key,
                     struct config_mark *mark)
{
    if (mark->line != 0) {
        return fail(reader, "%s%s: expected once, found again; it was given in line %u",
                    scope->prefix, key, mark->line);
    }
    *mark = mark_of(&reader->event);
    return 0;
}

/* A text or a secret gets memory of its own, which config_destroy() frees. Empty: not given. */
static int read_text(struct reader *reader, const struct scope *scope,
                     const struct config_option *option)
{
    const struct config_scalar scalar = scalar_of(&reader->event);
    char what[CONFIG_WHAT_SIZE];

    if (config_value_check_text(option, scalar, what) != 0) {
        return fail(reader, "%s%s: %s", scope->prefix, option->key, what);
    }
    if (scalar.text.size == 0) {
        return 0;
    }
    char *copy = strndup((const char *)scalar.text.data, scalar.text.size);
    if (copy == NULL) {
        return fail_no_memory(reader);
    }
    config_options_set_text(option, scope->base, copy);
    return 0;
}

static int read_origins(struct reader *reader, const struct config_option *option);
static int read_namespaces(struct reader *reader, const struct config_option *option);

/* The current event is where the value begins. */
static int read_value(struct reader *reader, const struct scope *scope,
                      const struct config_option *option)
{
    char what[CONFIG_WHAT_SIZE];
    const bool is_list =
        option->kind == CONFIG_KIND_ORIGINS || option->kind == CONFIG_KIND_NAMESPACES;

    if (is_list && reader->event.type == YAML_SEQUENCE_START_EVENT) {
        return option->kind == CONFIG_KIND_ORIGINS ? read_origins(reader, option)
                                                   : read_namespaces(reader, option);
    }
    if (reader->event.type != YAML_SCALAR_EVENT) {
        config_value_expected(option, what);
        return fail(reader, "%s%s: %s, found %s", scope->prefix, option->key, what,
                    event_found(&reader->event));
    }
    if (option->kind == CONFIG_KIND_TEXT || option->kind == CONFIG_KIND_SECRET) {
        return read_text(reader, scope, option);
    }
    if (config_value_read(option, scalar_of(&reader->event), scope->base, what) != 0) {
        return fail(reader, "%s%s: %s", scope->prefix, option->key, what);
    }
    return 0;
}

static int read_section(struct reader *reader, struct scope *scope, const char *path);

/* The current event is a key; on success it is the last event of its value. */
static int read_pair(struct reader *reader, struct scope *scope, const char *path)
{
    char key[CONFIG_KEY_SIZE];
    int result;

    if (reader->event.type != YAML_SCALAR_EVENT) {
        return fail(reader, "%s%s: expected a key, found %s", scope->prefix, path,
                    event_found(&reader->event));
    }
    key_below(reader, path, key);
    const bool has_dot =
        memchr(reader->event.data.scalar.value, '.', reader->event.data.scalar.length) != NULL;
    const struct config_option *option = has_dot ? NULL : config_options_find(scope->table, key);
    const size_t section = has_dot ? SIZE_MAX : config_options_section(scope->table, key);

    if (option != NULL) {
        result = note_mark(reader, scope, key, &scope->options[option - scope->table.rows]);
        result = result != 0 ? result : advance(reader);
        return result != 0 ? result : read_value(reader, scope, option);
    }
    if (section == SIZE_MAX) {
        return fail_unknown(reader, scope, key);
    }
    result = note_mark(reader, scope, key, &scope->sections[section]);
    result = result != 0 ? result : advance(reader);
    if (result == 0 && reader->event.type != YAML_MAPPING_START_EVENT) {
        result = fail(reader, "%s%s: expected a section of keys, found %s", scope->prefix, key,
                      event_found(&reader->event));
    }
    return result != 0 ? result : read_section(reader, scope, key);
}

/* From the start of a mapping to its end. Recursion goes as deep as the keys of the table. */
static int read_section(struct reader *reader, struct scope *scope, const char *path)
{
    int result = advance(reader);
    while (result == 0 && reader->event.type != YAML_MAPPING_END_EVENT) {
        result = read_pair(reader, scope, path);
        result = result != 0 ? result : advance(reader);
    }
    return result;
}

static int append_origin(struct reader *reader, struct config_origins *origins)
{
    const struct bytes text = scalar_of(&reader->event).text;
    struct bytes *items =
        realloc(config_yaml_owned(origins->items), (origins->count + 1) * sizeof(*items));
    if (items == NULL) {
        return fail_no_memory(reader);
    }
    origins->items = items;
    char *copy = strndup((const char *)text.data, text.size);
    if (copy == NULL) {
        return fail_no_memory(reader);
    }
    items[origins->count] = (struct bytes){(const uint8_t *)copy, text.size};
    origins->count++;
    return 0;
}

static int read_origins(struct reader *reader, const struct config_option *option)
{
    struct config_origins *origins = &reader->result->config.client.allowed_origins;
    char what[CONFIG_WHAT_SIZE];

    int result = advance(reader);
    while (result == 0 && reader->event.type != YAML_SEQUENCE_END_EVENT) {
        if (reader->event.type != YAML_SCALAR_EVENT) {
            return fail(reader, "%s[%u]: expected scheme://host or scheme://host:port, found %s",
                        option->key, origins->count, event_found(&reader->event));
        }
        if (config_value_check_origin(scalar_of(&reader->event), what) != 0) {
            return fail(reader, "%s[%u]: %s", option->key, origins->count, what);
        }
        if (origins->count == option->max) {
            return fail(reader, "%s: expected at most %u origins, found more", option->key,
                        origins->count);
        }
        result = append_origin(reader, origins);
        result = result != 0 ? result : advance(reader);
    }
    return result;
}

static int append_namespace(struct reader *reader, struct config_namespaces *namespaces,
                            const struct config_namespace *namespace)
{
    struct config_namespace *items =
        realloc(config_yaml_owned(namespaces->items), (namespaces->count + 1) * sizeof(*items));
    if (items == NULL) {
        return fail_no_memory(reader);
    }
    namespaces->items = items;
    items[namespaces->count] = *namespace;
    namespaces->count++;
    return 0;
}

/* Rules across the options of one namespace, while it is known where they stand. */
static int judge_namespace(struct reader *reader, const struct scope *scope,
                           const struct config_namespace *namespace, struct config_mark start)
{
    struct config_fault fault;

    if (config_rules_hold_for_channels(&namespace->options, "", &fault)) {
        return 0;
    }
    const struct config_option *option = config_options_find(scope->table, fault.key);
    CHECK(option != NULL);
    const struct config_mark given = scope->options[option - scope->table.rows];
    const struct config_mark mark = given.line == 0 ? start : given;
    (void)snprintf(reader->error, reader->error_size, "%s:%u:%u: %s%s: %s", reader->name, mark.line,
                   mark.column, scope->prefix, fault.key, fault.what);
    return -EINVAL;
}

/* From the start of one mapping of the list to its end. */
static int read_namespace(struct reader *reader, const char *prefix,
                          struct config_namespaces *namespaces)
{
    struct config_mark marks[CONFIG_OPTIONS_MAX] = {{0, 0}};
    const struct config_mark start = mark_of(&reader->event);
    struct config_namespace namespace;
    struct scope scope = {config_options_of_namespace(), &namespace, prefix, marks, {{0, 0}}};

    memset(&namespace, 0, sizeof(namespace));
    for (size_t i = 0; i < scope.table.count; i++) {
        config_options_set_default(&scope.table.rows[i], &namespace);
    }
    int result = read_section(reader, &scope, "");
    result = result != 0 ? result : judge_namespace(reader, &scope, &namespace, start);
    if (result != 0) {
        return result;
    }
    for (uint32_t i = 0; i < namespaces->count; i++) {
        if (strcmp(namespaces->items[i].name, namespace.name) == 0) {
            return fail(reader, "%sname: expected a name of its own, \"%s\" is given twice", prefix,
                        namespace.name);
        }
    }
    if (namespace.name[0] == '\0') {
        return fail(reader, "%sname: expected in each namespace, the one of line %u has none",
                    prefix, start.line);
    }
    return append_namespace(reader, namespaces, &namespace);
}

static int read_namespaces(struct reader *reader, const struct config_option *option)
{
    struct config_namespaces *namespaces = &reader->result->config.channel.namespaces;
    char prefix[CONFIG_KEY_SIZE];

    int result = advance(reader);
    while (result == 0 && reader->event.type != YAML_SEQUENCE_END_EVENT) {
        (void)snprintf(prefix, sizeof(prefix), "%s[%u].", option->key, namespaces->count);
        if (reader->event.type != YAML_MAPPING_START_EVENT) {
            return fail(reader, "%s[%u]: expected a section of keys, found %s", option->key,
                        namespaces->count, event_found(&reader->event));
        }
        if (namespaces->count == option->max) {
            return fail(reader, "%s: expected at most %u namespaces, found more", option->key,
                        namespaces->count);
        }
        result = read_namespace(reader, prefix, namespaces);
        result = result != 0 ? result : advance(reader);
    }
    return result;
}

/* The current event is the root of the document; on success it is the end of it. */
static int read_root(struct reader *reader)
{
    struct scope scope = {
        .table = config_options_all(),
        .base = &reader->result->config,
        .prefix = "",
        .options = reader->result->marks,
    };
    const bool is_empty =
        reader->event.type == YAML_SCALAR_EVENT && reader->event.data.scalar.length == 0;

    if (!is_empty && reader->event.type != YAML_MAPPING_START_EVENT) {
        return fail(reader, "expected sections of keys, found %s", event_found(&reader->event));
    }
    const int result = is_empty ? 0 : read_section(reader, &scope, "");
    return result != 0 ? result : advance(reader);
}

static int read_stream(struct reader *reader)
{
    int result = advance(reader); /* the start of the stream */
    result = result != 0 ? result : advance(reader);
    if (result != 0 || reader->event.type == YAML_STREAM_END_EVENT) {
        return result; /* nothing but comments is a configuration too */
    }
    result = advance(reader);
    result = result != 0 ? result : read_root(reader);
    result = result != 0 ? result : advance(reader);
    if (result == 0 && reader->event.type != YAML_STREAM_END_EVENT) {
        return fail(reader, "expected one document, found the start of another");
    }
    return result;
}

int config_yaml_read(const char *name, struct bytes text, struct config_yaml_result *result,
                     char *error, size_t error_size)
{
    struct reader reader = {
        .name = name, .text = text, .error = error, .error_size = error_size, .result = result};

    memset(result->marks, 0, sizeof(result->marks));
    if (yaml_parser_initialize(&reader.parser) == 0) {
        return fail_no_memory(&reader);
    }
    yaml_parser_set_encoding(&reader.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&reader.parser, text.size == 0 ? (const uint8_t *)"" : text.data,
                                 text.size);
    const int read = read_stream(&reader);
    yaml_event_delete(&reader.event);
    yaml_parser_delete(&reader.parser);
    return read;
}
