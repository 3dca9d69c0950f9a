/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CHAT_PAGE_H
#define CHAT_PAGE_H
/*
 * Consecutive publications of one stream, encoded once, in one blob: what a home answers to who
 * asks for history. Any part of it can be given to a client as it is.
 *
 * Pure but for the memory of the pool. A page is immutable; who holds a share may read it.
 */
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"

struct blob;
struct blob_pool;
struct stream;

enum page_order {
    PAGE_FORWARD = 0, /* rising offsets; where there are too many, the newest are left out */
    PAGE_REVERSE,     /* falling offsets; the oldest are left out */
};

/* Which publications: of [from, to], which are kept. A page that could have one has one. */
struct page_range {
    uint64_t from;
    uint64_t to; /* from - 1: none */
    enum page_order order;
    uint32_t count_max;
    uint32_t bytes_max; /* of its text */
};

/* NULL: no memory. `channel` is the name that its publications carry. */
NODISCARD struct blob *page_create(struct blob_pool *pool, const struct stream *stream,
                                   struct bytes channel, const struct page_range *range);

/* How many publications it has, and the lowest offset of them. */
NODISCARD uint32_t page_count(const struct blob *page);
NODISCARD uint64_t page_first(const struct blob *page);

/* The last publication of the stream when the page was made, in it or not. */
NODISCARD uint64_t page_top(const struct blob *page);

/* All of it: JSON objects joined by ','. */
NODISCARD struct bytes page_text(const struct blob *page);

/* [from, to] of a page that is PAGE_FORWARD; both are in it, or to == from - 1. */
NODISCARD struct bytes page_part(const struct blob *page, uint64_t from, uint64_t to);

#endif /* CHAT_PAGE_H */
