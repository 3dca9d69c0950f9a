/* SPDX-License-Identifier: Apache-2.0 */
#include "server/overload.h"

#include <malloc.h>

#include "core/bus.h"
#include "core/check.h"
#include "core/log.h"
#include "server/memory.h"

#define NS_PER_MS UINT64_C(1000000)

enum { PERCENT = 100, RELIEF = 5, TRIM_MS = 5000 };

/* Percent of the budget from which on a level holds. */
static const uint64_t marks[] = {
    [POST_OVERLOAD_NONE] = 0,
    [POST_OVERLOAD_CONNECTIONS] = 90,
    [POST_OVERLOAD_SUBSCRIPTIONS] = 95,
    [POST_OVERLOAD_QUEUES] = 100,
};

static const char *const level_names[] = {
    [POST_OVERLOAD_NONE] = "nothing",
    [POST_OVERLOAD_CONNECTIONS] = "new connections",
    [POST_OVERLOAD_SUBSCRIPTIONS] = "new connections and subscriptions",
    [POST_OVERLOAD_QUEUES] = "new connections, subscriptions, and the longest queues",
};

void overload_init(struct overload *overload, struct bus *bus, struct log *log, uint64_t budget,
                   size_t reactor_count)
{
    CHECK(budget > 0);
    *overload = (struct overload){
        .bus = bus,
        .log = log,
        .budget = budget,
        .reactor_count = reactor_count,
        .next = reactor_count,
    };
}

enum post_overload_level overload_level(enum post_overload_level level, uint64_t used,
                                        uint64_t budget)
{
    const uint64_t percent = budget / PERCENT > 0 ? used / (budget / PERCENT) : PERCENT;

    while (level < POST_OVERLOAD_QUEUES && percent >= marks[level + 1]) {
        level++;
    }
    while (level > POST_OVERLOAD_NONE && percent + RELIEF < marks[level]) {
        level--;
    }
    return level;
}

static void look(struct overload *overload, uint64_t now_ns)
{
    uint64_t used = memory_resident();

    if (overload_level(overload->level, used, overload->budget) > POST_OVERLOAD_NONE &&
        now_ns >= overload->trim_ns) {
        /* What is free, in pages that the allocator keeps, is no reason to refuse anybody. */
        (void)malloc_trim(0);
        overload->trim_ns = now_ns + TRIM_MS * NS_PER_MS;
        used = memory_resident();
    }
    const enum post_overload_level level = overload_level(overload->level, used, overload->budget);
    if (level != overload->level) {
        const struct log_field fields[] = {
            log_uint("resident_bytes", used),
            log_uint("budget_bytes", overload->budget),
            log_text("refused", level_names[level]),
        };
        log_write(overload->log, LOG_WARN, "memory", fields, sizeof(fields) / sizeof(fields[0]));
    }
    /* The longest queues go again each time, as long as that does not help. */
    if (level != overload->level || level == POST_OVERLOAD_QUEUES) {
        overload->next = 0;
    }
    overload->level = level;
}

void overload_step(struct overload *overload, uint64_t now_ns)
{
    if (now_ns >= overload->look_ns) {
        overload->look_ns = now_ns + OVERLOAD_LOOK_MS * NS_PER_MS;
        look(overload, now_ns);
    }
    const struct post post = {.kind = POST_OVERLOAD, .overload = {.level = overload->level}};
    const struct bus_post packed = post_pack(&post);
    const size_t control = overload->reactor_count;
    while (overload->next < overload->reactor_count &&
           bus_tell(overload->bus, control, overload->next, &packed) == BUS_POSTED) {
        overload->next++;
    }
    bus_flush(overload->bus, control);
}
