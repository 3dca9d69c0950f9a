/* SPDX-License-Identifier: Apache-2.0 */
#include "server/config_list.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "net/cidr.h"
#include "server/config.h"

_Static_assert(sizeof(struct config_list) == sizeof(struct config_origins), "a pointer, a count");
_Static_assert(sizeof(struct config_list) == sizeof(struct config_networks), "a pointer, a count");
_Static_assert(sizeof(struct config_list) == sizeof(struct config_namespaces), "likewise");
_Static_assert(sizeof(struct config_list) == sizeof(struct config_certificates), "likewise");
_Static_assert(sizeof(struct config_list) == sizeof(struct config_listeners), "likewise");

struct config_list_kind config_list_kind(const struct config_option *option)
{
    static const struct config_table none = {NULL, 0};

    switch (option->kind) {
    case CONFIG_KIND_ORIGINS:
        return (struct config_list_kind){"origins", sizeof(struct bytes), none};
    case CONFIG_KIND_NETWORKS:
        return (struct config_list_kind){"networks", sizeof(struct cidr), none};
    case CONFIG_KIND_NAMESPACES:
        return (struct config_list_kind){"namespaces", sizeof(struct config_namespace),
                                         config_options_of_namespace()};
    case CONFIG_KIND_CERTIFICATES:
        return (struct config_list_kind){"certificates", sizeof(struct config_certificate),
                                         config_options_of_certificate()};
    case CONFIG_KIND_LISTENERS:
        return (struct config_list_kind){"listeners", sizeof(struct config_listener),
                                         config_options_of_listener()};
    case CONFIG_KIND_BOOL:
    case CONFIG_KIND_NUMBER:
    case CONFIG_KIND_SIZE:
    case CONFIG_KIND_PORT:
    case CONFIG_KIND_DURATION:
    case CONFIG_KIND_CHOICE:
    case CONFIG_KIND_ADDRESS:
    case CONFIG_KIND_NAME:
    case CONFIG_KIND_PATH:
    case CONFIG_KIND_REGEX:
    case CONFIG_KIND_TEXT:
    case CONFIG_KIND_SECRET:
        return (struct config_list_kind){NULL, 0, none};
    }
    NEVER("a kind that is neither a list nor a value");
}

bool config_list_is(const struct config_option *option)
{
    return config_list_kind(option).many != NULL;
}

struct config_list config_list_get(const struct config_option *option, const void *base)
{
    struct config_list list;
    CHECK(config_list_is(option));
    memcpy(&list, (const uint8_t *)base + option->offset, sizeof(list));
    return list;
}

static void set(const struct config_option *option, void *base, const struct config_list *list)
{
    memcpy((uint8_t *)base + option->offset, list, sizeof(*list));
}

const void *config_list_item(const struct config_option *option, const void *base, uint32_t index)
{
    const struct config_list list = config_list_get(option, base);
    CHECK(index < list.count);
    return (const uint8_t *)list.items + index * config_list_kind(option).item_size;
}

void *config_list_append(const struct config_option *option, void *base)
{
    const struct config_list_kind kind = config_list_kind(option);
    struct config_list list = config_list_get(option, base);
    uint8_t *items = realloc(config_list_owned(list.items), (list.count + 1) * kind.item_size);
    if (items == NULL) {
        return NULL;
    }
    uint8_t *item = items + list.count * kind.item_size;
    memset(item, 0, kind.item_size);
    for (size_t i = 0; i < kind.table.count; i++) {
        config_options_set_default(&kind.table.rows[i], item);
    }
    list = (struct config_list){items, list.count + 1};
    set(option, base, &list);
    return item;
}

static void free_item(const struct config_option *option, void *item)
{
    const struct config_list_kind kind = config_list_kind(option);

    if (option->kind == CONFIG_KIND_ORIGINS) {
        const struct bytes *text = item;
        free(config_list_owned(text->data));
    }
    for (size_t i = 0; i < kind.table.count; i++) {
        if (config_list_is(&kind.table.rows[i])) {
            config_list_free(&kind.table.rows[i], item);
        }
    }
}

void config_list_free(const struct config_option *option, void *base)
{
    const struct config_list list = config_list_get(option, base);
    const struct config_list nothing = {NULL, 0};
    uint8_t *items = config_list_owned(list.items);

    for (uint32_t i = 0; i < list.count; i++) {
        free_item(option, items + i * config_list_kind(option).item_size);
    }
    free(items);
    set(option, base, &nothing);
}
