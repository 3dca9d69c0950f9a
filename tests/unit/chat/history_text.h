/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_UNIT_CHAT_HISTORY_TEXT_H
#define TESTS_UNIT_CHAT_HISTORY_TEXT_H
/*
 * What a page has to say of publications whose data is the text of a number, and that number their
 * offset: {"data":"7","offset":7}. Publications may be padded with spaces before the last quote.
 */
#include <stdio.h>

#include "tests/unit/chat/testing.h"

/* Reads one publication, and returns where it ends. */
static inline const char *is_number(const char *at, const char *end, uint64_t number)
{
    char text[64];
    int size = snprintf(text, sizeof(text), "{\"data\":\"%llu", (unsigned long long)number);
    ck_assert_msg(end - at >= size && memcmp(at, text, (size_t)size) == 0, "%.*s, and not %s",
                  (int)(end - at < size ? end - at : size), at, text);
    at += size;
    while (at < end && *at == ' ') {
        at++;
    }
    size = snprintf(text, sizeof(text), "\",\"offset\":%llu}", (unsigned long long)number);
    ck_assert_msg(end - at >= size && memcmp(at, text, (size_t)size) == 0, "no %s", text);
    return at + size;
}

/* `count` of them from `number` on, rising or falling, joined by commas, and nothing else. */
static inline void is_page(struct bytes text, uint64_t number, uint64_t count, int step)
{
    const char *at = (const char *)text.data;
    const char *const end = at + text.size;
    for (uint64_t i = 0; i < count; i++) {
        if (i > 0) {
            ck_assert(at < end && *at == ',');
            at++;
        }
        at = is_number(at, end, number);
        number += (uint64_t)step;
    }
    ck_assert_msg(at == end, "more than %llu: %.*s", (unsigned long long)count, (int)(end - at),
                  at);
}

/* [first, last]; nothing where that is empty. */
static inline void is_range(struct bytes text, uint64_t first, uint64_t last)
{
    is_page(text, first, last + 1 - first, 1);
}

#endif /* TESTS_UNIT_CHAT_HISTORY_TEXT_H */
