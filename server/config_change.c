/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_change.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "net/cidr.h"
#include "server/config.h"
#include "server/config_list.h"
#include "server/config_options.h"

static const char without_namespace[] = "channel.without_namespace";

/* -- names ------------------------------------------------------------------------------------- */

static void add_name(struct config_names *names, const char *name)
{
    const size_t size = strlen(name) + 1;

    if (sizeof(names->text) - names->size < size) {
        names->left_out++;
        return;
    }
    memcpy(names->text + names->size, name, size);
    names->size += size;
    names->count++;
}

const char *config_change_next_name(const struct config_names *names, const char *name)
{
    const char *next = name == NULL ? names->text : name + strlen(name) + 1;
    return next < names->text + names->size ? next : NULL;
}

/* -- values ------------------------------------------------------------------------------------ */

/* Bytes of a field that is an array of characters; 0: it is none. */
static size_t characters(const struct config_option *option)
{
    switch (option->kind) {
    case CONFIG_KIND_ADDRESS:
        return CONFIG_ADDRESS_SIZE;
    case CONFIG_KIND_NAME:
        return CONFIG_NAMESPACE_NAME_SIZE;
    case CONFIG_KIND_PATH:
        return CONFIG_PATH_SIZE;
    case CONFIG_KIND_REGEX:
        return POLICY_REGEX_SIZE;
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_PORT:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_CHOICE:
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_SECRET:
    case CONFIG_KIND_ORIGINS:
    case CONFIG_KIND_NAMESPACES:
    case CONFIG_KIND_NETWORKS:
    case CONFIG_KIND_CERTIFICATES:
    case CONFIG_KIND_LISTENERS:
        return 0;
    }
    NEVER("a kind that is none");
}

static bool is_text(const struct config_option *option)
{
    return option->kind == CONFIG_KIND_TEXT || option->kind == CONFIG_KIND_SECRET;
}

static bool texts_equal(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool are_equal(const struct config_option *option, const void *a, const void *b);

static bool items_equal(const struct config_option *option, const void *a, const void *b)
{
    const struct config_list_kind kind = config_list_kind(option);

    if (option->kind == CONFIG_KIND_ORIGINS) {
        const struct bytes *left = a;
        const struct bytes *right = b;
        return left->size == right->size && memcmp(left->data, right->data, left->size) == 0;
    }
    if (kind.table.count == 0) {
        char left[CIDR_TEXT_SIZE_MAX];
        char right[CIDR_TEXT_SIZE_MAX];
        CHECK(option->kind == CONFIG_KIND_NETWORKS);
        (void)cidr_format(a, left);
        (void)cidr_format(b, right);
        return strcmp(left, right) == 0;
    }
    for (size_t i = 0; i < kind.table.count; i++) {
        if (!are_equal(&kind.table.rows[i], a, b)) {
            return false;
        }
    }
    return true;
}

static bool lists_equal(const struct config_option *option, const void *a, const void *b)
{
    const uint32_t count = config_list_get(option, a).count;

    if (config_list_get(option, b).count != count) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!items_equal(option, config_list_item(option, a, i), config_list_item(option, b, i))) {
            return false;
        }
    }
    return true;
}

/* NOLINTNEXTLINE(misc-no-recursion): lists are two deep, as the table is */
static bool are_equal(const struct config_option *option, const void *a, const void *b)
{
    if (config_list_is(option)) {
        return lists_equal(option, a, b);
    }
    if (is_text(option)) {
        return texts_equal(config_options_text(option, a), config_options_text(option, b));
    }
    if (characters(option) > 0) {
        return strcmp((const char *)a + option->offset, (const char *)b + option->offset) == 0;
    }
    return config_options_number(option, a) == config_options_number(option, b);
}

static int copy(const struct config_option *option, const void *from, void *to);

static int copy_text(const struct config_option *option, const void *from, void *to)
{
    const char *text = config_options_text(option, from);
    char *const copied = text == NULL ? NULL : strdup(text);

    if (text != NULL && copied == NULL) {
        return -ENOMEM;
    }
    char *const replaced = config_list_owned(config_options_text(option, to));
    if (replaced != NULL) {
        explicit_bzero(replaced, strlen(replaced));
        free(replaced);
    }
    config_options_set_text(option, to, copied);
    return 0;
}

static int copy_item(const struct config_option *option, const void *from, void *to)
{
    const struct config_list_kind kind = config_list_kind(option);

    if (option->kind == CONFIG_KIND_ORIGINS) {
        const struct bytes *origin = from;
        char *const text = strndup((const char *)origin->data, origin->size);
        if (text == NULL) {
            return -ENOMEM;
        }
        *(struct bytes *)to = (struct bytes){(const uint8_t *)text, origin->size};
        return 0;
    }
    if (kind.table.count == 0) {
        memcpy(to, from, kind.item_size);
        return 0;
    }
    int result = 0;
    for (size_t i = 0; result == 0 && i < kind.table.count; i++) {
        result = copy(&kind.table.rows[i], from, to);
    }
    return result;
}

static int copy_list(const struct config_option *option, const void *from, void *to)
{
    const uint32_t count = config_list_get(option, from).count;
    int result = 0;

    config_list_free(option, to);
    for (uint32_t i = 0; result == 0 && i < count; i++) {
        void *const item = config_list_append(option, to);
        result =
            item == NULL ? -ENOMEM : copy_item(option, config_list_item(option, from, i), item);
    }
    return result;
}

/* NOLINTNEXTLINE(misc-no-recursion): lists are two deep, as the table is */
static int copy(const struct config_option *option, const void *from, void *to)
{
    if (config_list_is(option)) {
        return copy_list(option, from, to);
    }
    if (is_text(option)) {
        return copy_text(option, from, to);
    }
    if (characters(option) > 0) {
        memcpy((uint8_t *)to + option->offset, (const uint8_t *)from + option->offset,
               characters(option));
        return 0;
    }
    config_options_set_number(option, to, config_options_number(option, from));
    return 0;
}

/* -- namespaces -------------------------------------------------------------------------------- */

/* May this option have another value while the server runs? */
static bool may_change(const struct config_option *option, const void *running, const void *fresh)
{
    switch (option->change) {
    case CONFIG_CHANGE_NOW:
        return true;
    case CONFIG_CHANGE_SIZE:
        return (config_options_number(option, running) == 0) ==
               (config_options_number(option, fresh) == 0);
    case CONFIG_CHANGE_RESTART:
    case CONFIG_CHANGE_WITH_SECTION:
        return false;
    case CONFIG_CHANGE_UNDECIDED:
        break;
    }
    NEVER("an option that has not decided");
}

static bool may_change_all(const struct config_table table, const void *running, const void *fresh)
{
    for (size_t i = 0; i < table.count; i++) {
        const struct config_option *option = &table.rows[i];
        if (!are_equal(option, running, fresh) && !may_change(option, running, fresh)) {
            return false;
        }
    }
    return true;
}

/*
 * The options of one namespace belong together: if one of them needs a restart, all that differ
 * wait for it. `place` goes before the name of an option.
 */
static void merge_namespace(const struct config_namespace *running, struct config_namespace *fresh,
                            const char *place, struct config_changes *changes)
{
    const struct config_table table = config_options_of_namespace();
    const bool changes_now = may_change_all(table, running, fresh);
    struct config_names *names = changes_now ? &changes->changed : &changes->needs_restart;
    char name[CONFIG_KEY_SIZE + CONFIG_NAMESPACE_NAME_SIZE];

    for (size_t i = 0; i < table.count; i++) {
        if (!are_equal(&table.rows[i], running, fresh)) {
            (void)snprintf(name, sizeof(name), "%s.%s", place, table.rows[i].key);
            add_name(names, name);
        }
    }
    if (!changes_now) {
        *fresh = *running; /* plain values: nothing is owned */
    }
}

static bool is_without_namespace(const struct config_option *option)
{
    return strncmp(option->key, without_namespace, sizeof(without_namespace) - 1) == 0 &&
           option->key[sizeof(without_namespace) - 1] == '.';
}

static void merge_without_namespace(const struct config *running, struct config *fresh,
                                    struct config_changes *changes)
{
    const struct config_namespace had = {.options = running->channel.without_namespace};
    struct config_namespace has = {.options = fresh->channel.without_namespace};

    merge_namespace(&had, &has, without_namespace, changes);
    fresh->channel.without_namespace = has.options;
}

static struct config_namespace *find_namespace(const struct config_namespaces *namespaces,
                                               const char *name)
{
    for (uint32_t i = 0; i < namespaces->count; i++) {
        if (strcmp(namespaces->items[i].name, name) == 0) {
            return config_list_owned(&namespaces->items[i]);
        }
    }
    return NULL;
}

static void merge_namespaces(const struct config *running, struct config *fresh,
                             struct config_changes *changes)
{
    const struct config_namespaces *had = &running->channel.namespaces;
    const struct config_namespaces *has = &fresh->channel.namespaces;
    char place[CONFIG_KEY_SIZE + CONFIG_NAMESPACE_NAME_SIZE];

    for (uint32_t i = 0; i < had->count; i++) {
        struct config_namespace *now = find_namespace(has, had->items[i].name);
        (void)snprintf(place, sizeof(place), "channel.namespaces[%s]", had->items[i].name);
        if (now == NULL) {
            add_name(&changes->changed, place);
        } else {
            merge_namespace(&had->items[i], now, place, changes);
        }
    }
    for (uint32_t i = 0; i < has->count; i++) {
        if (find_namespace(had, has->items[i].name) == NULL) {
            (void)snprintf(place, sizeof(place), "channel.namespaces[%s]", has->items[i].name);
            add_name(&changes->changed, place);
        }
    }
}

/* -- sections ---------------------------------------------------------------------------------- */

static bool are_of_one_section(const struct config_option *a, const struct config_option *b)
{
    const size_t size = (size_t)(strrchr(a->key, '.') - a->key) + 1;
    return strncmp(a->key, b->key, size) == 0 && strchr(b->key + size, '.') == NULL;
}

/*
 * Half of some sections would be something that nobody wants: without the old key, as it should be,
 * and without the endpoint that takes its place, which has to wait, no token is good.
 */
static bool section_waits(const struct config_option *option, const struct config *running,
                          const struct config *fresh)
{
    const struct config_table table = config_options_all();

    for (size_t i = 0; i < table.count; i++) {
        const struct config_option *other = &table.rows[i];
        if (other->change == CONFIG_CHANGE_WITH_SECTION && are_of_one_section(other, option) &&
            !are_equal(other, running, fresh)) {
            return true;
        }
    }
    return false;
}

/* -- configurations ---------------------------------------------------------------------------- */

int config_change_merge(const struct config *running, struct config *fresh,
                        struct config_changes *changes)
{
    const struct config_table table = config_options_all();
    bool waits[CONFIG_OPTIONS_MAX]; /* decided before anything is written over */
    int result = 0;

    for (size_t i = 0; i < table.count; i++) {
        waits[i] = !may_change(&table.rows[i], running, fresh) ||
                   section_waits(&table.rows[i], running, fresh);
    }
    *changes = (struct config_changes){.changed.size = 0};
    for (size_t i = 0; result == 0 && i < table.count; i++) {
        const struct config_option *option = &table.rows[i];
        if (is_without_namespace(option) || option->kind == CONFIG_KIND_NAMESPACES ||
            are_equal(option, running, fresh)) {
            continue;
        }
        add_name(waits[i] ? &changes->needs_restart : &changes->changed, option->key);
        if (waits[i]) {
            result = copy(option, running, fresh);
        }
    }
    merge_without_namespace(running, fresh, changes);
    merge_namespaces(running, fresh, changes);
    return result;
}
