/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/check.h"
#include "net/cidr.h"
#include "server/config_guess.h"
#include "server/config_list.h"
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

/* One struct being filled: the whole configuration, or one item of a list. */
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
    if (config_guess(scope->table, key, nearest)) {
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

static int read_list(struct reader *reader, const struct scope *scope,
                     const struct config_option *option);

/* The current event is where the value begins. */
static int read_value(struct reader *reader, const struct scope *scope,
                      const struct config_option *option)
{
    char what[CONFIG_WHAT_SIZE];

    if (config_list_is(option) && reader->event.type == YAML_SEQUENCE_START_EVENT) {
        return read_list(reader, scope, option);
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

/* --- Lists ----------------------------------------------------------------------------------- */

/* A list that is being filled: an option of `scope`. */
struct list {
    const struct scope *scope;
    const struct config_option *option;
    struct config_list_kind kind;
};

static uint32_t count_of(const struct list *list)
{
    return config_list_get(list->option, list->scope->base).count;
}

static int fail_item(struct reader *reader, const struct list *list, const char *what)
{
    return fail(reader, "%s%s[%u]: %s", list->scope->prefix, list->option->key, count_of(list),
                what);
}

/* The current event is an item of a list of texts. */
static int read_text_item(struct reader *reader, const struct list *list)
{
    const bool is_origin = list->option->kind == CONFIG_KIND_ORIGINS;
    char what[CONFIG_WHAT_SIZE];
    struct cidr network = {.prefix = 0};

    if (reader->event.type != YAML_SCALAR_EVENT) {
        (void)snprintf(what, sizeof(what), "expected %s, found %s",
                       is_origin ? "scheme://host or scheme://host:port" : "a network",
                       event_found(&reader->event));
        return fail_item(reader, list, what);
    }
    const struct config_scalar scalar = scalar_of(&reader->event);
    if ((is_origin ? config_value_check_origin(scalar, what)
                   : config_value_read_network(scalar, &network, what)) != 0) {
        return fail_item(reader, list, what);
    }
    void *item = config_list_append(list->option, list->scope->base);
    if (item == NULL) {
        return fail_no_memory(reader);
    }
    if (!is_origin) {
        *(struct cidr *)item = network;
        return 0;
    }
    char *copy = strndup((const char *)scalar.text.data, scalar.text.size);
    if (copy == NULL) {
        return fail_no_memory(reader);
    }
    *(struct bytes *)item = (struct bytes){(const uint8_t *)copy, scalar.text.size};
    return 0;
}

static const char *name_at(const struct list *list, uint32_t index)
{
    const struct config_namespace *namespace =
        config_list_item(list->option, list->scope->base, index);
    return namespace->name;
}

/* The last one of the list has a name, and no other has the same. */
static int judge_name(struct reader *reader, const struct list *list, const char *prefix,
                      struct config_mark start)
{
    const uint32_t last = count_of(list) - 1;
    for (uint32_t i = 0; i < last; i++) {
        if (strcmp(name_at(list, i), name_at(list, last)) == 0) {
            return fail(reader, "%sname: expected a name of its own, \"%s\" is given twice", prefix,
                        name_at(list, last));
        }
    }
    if (name_at(list, last)[0] == '\0') {
        return fail(reader, "%sname: expected in each namespace, the one of line %u has none",
                    prefix, start.line);
    }
    return 0;
}

/* Rules across the options of one item, while it is known where they stand. */
static int judge_item(struct reader *reader, const struct scope *scope, enum config_kind kind,
                      struct config_mark start)
{
    struct config_fault fault;

    if (config_rules_hold_for_item(kind, scope->base, &fault)) {
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

/* A rule that looks further than at the namespace has to say where this stands. */
static void note_durable(struct reader *reader, const struct scope *scope)
{
    const struct config_namespace *namespace = scope->base;
    struct config_mark *mark = &reader->result->durable;

    if (mark->line == 0 && namespace->options.durability >= POLICY_DURABILITY_PROCESS) {
        const struct config_option *option = config_options_find(scope->table, "durability");
        CHECK(option != NULL);
        *mark = scope->options[option - scope->table.rows];
    }
}

/* From the start of one mapping of the list to its end. */
static int read_section_item(struct reader *reader, const struct list *list)
{
    struct config_mark marks[CONFIG_OPTIONS_MAX] = {{0, 0}};
    const struct config_mark start = mark_of(&reader->event);
    char prefix[CONFIG_KEY_SIZE];

    if (reader->event.type != YAML_MAPPING_START_EVENT) {
        char what[CONFIG_WHAT_SIZE];
        (void)snprintf(what, sizeof(what), "expected a section of keys, found %s",
                       event_found(&reader->event));
        return fail_item(reader, list, what);
    }
    (void)snprintf(prefix, sizeof(prefix), "%s%s[%u].", list->scope->prefix, list->option->key,
                   count_of(list));
    void *item = config_list_append(list->option, list->scope->base);
    if (item == NULL) {
        return fail_no_memory(reader);
    }
    struct scope scope = {list->kind.table, item, prefix, marks, {{0, 0}}};
    int result = read_section(reader, &scope, "");
    result = result != 0 ? result : judge_item(reader, &scope, list->option->kind, start);
    if (result == 0 && list->option->kind == CONFIG_KIND_NAMESPACES) {
        result = judge_name(reader, list, prefix, start);
        note_durable(reader, &scope);
    }
    return result;
}

/* From the start of a sequence to its end. */
static int read_list(struct reader *reader, const struct scope *scope,
                     const struct config_option *option)
{
    const struct list list = {scope, option, config_list_kind(option)};

    int result = advance(reader);
    while (result == 0 && reader->event.type != YAML_SEQUENCE_END_EVENT) {
        const bool is_section = list.kind.table.count > 0;
        const bool fits =
            reader->event.type == (is_section ? YAML_MAPPING_START_EVENT : YAML_SCALAR_EVENT);
        if (fits && count_of(&list) == option->max) {
            return fail(reader, "%s%s: expected at most %u %s, found more", scope->prefix,
                        option->key, count_of(&list), list.kind.many);
        }
        result = is_section ? read_section_item(reader, &list) : read_text_item(reader, &list);
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
    result->durable = (struct config_mark){0, 0};
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
