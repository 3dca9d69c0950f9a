/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_CONFIG_LIST_H
#define SERVER_CONFIG_LIST_H
/*
 * Lists of the configuration, of texts or of sections: what they are made of, how they grow and how
 * they are freed. Private to server/config*.c and their tests.
 *
 * A field that is a list is a pointer to const items and their count, whatever the items are. They
 * are const for everybody but those who fill and free them here.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "server/config_options.h"

struct config_list {
    const void *items;
    uint32_t count;
};

/* What one item is. */
struct config_list_kind {
    const char *many;          /* "namespaces"; NULL: the option is no list */
    size_t item_size;          /* bytes */
    struct config_table table; /* its options, when it is a section; else none */
};

struct config_list_kind config_list_kind(const struct config_option *option);
NODISCARD bool config_list_is(const struct config_option *option);

struct config_list config_list_get(const struct config_option *option, const void *base);
const void *config_list_item(const struct config_option *option, const void *base, uint32_t index);

/*
 * One more item, all zero or with the defaults of its options, for the caller to fill; it belongs
 * to the list at once. NULL: no memory.
 */
NODISCARD void *config_list_append(const struct config_option *option, void *base);

/* Frees the items, lists inside of them included; the list is empty then. */
void config_list_free(const struct config_option *option, void *base);

/* Lists and texts are const for everybody but those who make and free them. */
static inline void *config_list_owned(const void *list)
{
    const union {
        const void *given;
        void *owned;
    } pointer = {.given = list};
    return pointer.owned;
}

#endif /* SERVER_CONFIG_LIST_H */
