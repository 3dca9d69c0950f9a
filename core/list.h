/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CORE_LIST_H
#define CORE_LIST_H
/*
 * Intrusive doubly linked list: a ring of links whose head is a link of its own.
 *
 * Owner     links live in objects of the caller; the list owns nothing and allocates nothing.
 * Threads   one.
 * Lifetime  an object must be removed before its memory goes away. A zeroed link is in no list;
 *           list_remove() makes it so again.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/check.h"

struct list_link {
    struct list_link *next;
    struct list_link *prev;
};

/* The object of this type whose member is `link`. */
#define LIST_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

/* Makes a head: an empty list. */
static inline void list_init(struct list_link *head)
{
    head->next = head;
    head->prev = head;
}

static inline bool list_is_empty(const struct list_link *head)
{
    return head->next == head;
}

/* Whether an object's link (not a head) is in some list. */
static inline bool list_is_linked(const struct list_link *link)
{
    return link->next != NULL;
}

/* Between two neighbours. `link` must be in no list. */
static inline void list_insert(struct list_link *link, struct list_link *prev,
                               struct list_link *next)
{
    DCHECK(!list_is_linked(link));
    DCHECK(prev->next == next);
    link->prev = prev;
    link->next = next;
    prev->next = link;
    next->prev = link;
}

static inline void list_push_back(struct list_link *head, struct list_link *link)
{
    list_insert(link, head->prev, head);
}

static inline void list_push_front(struct list_link *head, struct list_link *link)
{
    list_insert(link, head, head->next);
}

/* Takes the link out of the list that it is in, and zeroes it. */
static inline void list_remove(struct list_link *link)
{
    CHECK(list_is_linked(link));
    link->prev->next = link->next;
    link->next->prev = link->prev;
    link->next = NULL;
    link->prev = NULL;
}

/* The first link, or NULL. */
static inline struct list_link *list_first(const struct list_link *head)
{
    return list_is_empty(head) ? NULL : head->next;
}

/* The link after this one, or NULL at the end. Ask before removing `link`. */
static inline struct list_link *list_after(const struct list_link *head,
                                           const struct list_link *link)
{
    return link->next == head ? NULL : link->next;
}

/* Removes the first link and returns it, or NULL. */
static inline struct list_link *list_pop_front(struct list_link *head)
{
    struct list_link *first = list_first(head);
    if (first != NULL) {
        list_remove(first);
    }
    return first;
}

/* Moves everything from `source` to the back of `target`; `source` is then empty. */
static inline void list_splice_back(struct list_link *target, struct list_link *source)
{
    if (list_is_empty(source)) {
        return;
    }
    source->next->prev = target->prev;
    source->prev->next = target;
    target->prev->next = source->next;
    target->prev = source->prev;
    list_init(source);
}

#endif /* CORE_LIST_H */
