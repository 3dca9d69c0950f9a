/* SPDX-License-Identifier: Apache-2.0 */
#include "server/overload.h"

#include <malloc.h>

#include "core/bus.h"
#include "core/check.h"
#include "core/log.h"
#include "server/memory.h"

#define NS_PER_MS UINT64_C(1000000)

enum { PERCENT = 100, RELIEF = 5 };

/* Milliseconds. What is near a mark is soon above it. */
enum { LOOK_MS = 250, LOOK_OFTEN_MS = 25, SHED_MS = 1000, TRIM_MS = 5000 };

enum { NEAR = 80 }; /* percent of the budget */

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

void overload_init(struct overload *overload, const struct overload_options *options)
{
    CHECK(options->budget > 0);
    *overload = (struct overload){.options = *options, .next = options->reactor_count};
}

static uint64_t percent_of(uint64_t used, uint64_t budget)
{
    return budget / PERCENT > 0 ? used / (budget / PERCENT) : PERCENT;
}

enum post_overload_level overload_level(enum post_overload_level level, uint64_t used,
                                        uint64_t budget)
{
    const uint64_t percent = percent_of(used, budget);

    CHECK(level <= POST_OVERLOAD_QUEUES);
    while (level < POST_OVERLOAD_QUEUES && percent >= marks[level + 1]) {
        level++;
    }
    while (level > POST_OVERLOAD_NONE && percent + RELIEF < marks[level]) {
        level--;
    }
    return level;
}

static void say(const struct overload *overload, uint64_t used)
{
    const struct log_field fields[] = {
        log_uint("used_bytes", used),
        log_uint("resident_bytes", memory_resident()),
        log_uint("budget_bytes", overload->options.budget),
        log_text("refused", level_names[overload->level]),
    };
    log_write(overload->options.log, LOG_WARN, "memory", fields,
              sizeof(fields) / sizeof(fields[0]));
}

/*
 * What is free, in pages that the allocator keeps, is no reason to refuse anybody. Bytes in use
 * afterwards. After every shedding: else what has just gone would seem to be there still.
 */
static uint64_t trim(struct overload *overload, uint64_t now_ns)
{
    (void)malloc_trim(0);
    overload->trim_ns = now_ns + TRIM_MS * NS_PER_MS;
    return memory_used(overload->options.memory);
}

static void look(struct overload *overload, uint64_t now_ns)
{
    const uint64_t budget = overload->options.budget;
    uint64_t used = memory_used(overload->options.memory);
    enum post_overload_level level = overload_level(overload->level, used, budget);
    const bool sheds_again = level == POST_OVERLOAD_QUEUES && now_ns >= overload->shed_ns;

    if (level > POST_OVERLOAD_NONE && (sheds_again || now_ns >= overload->trim_ns)) {
        used = trim(overload, now_ns);
        level = overload_level(overload->level, used, budget);
    }
    const bool changes = level != overload->level;
    overload->level = level;
    if (changes) {
        say(overload, used);
    }
    /* The longest queues go again, as long as that does not help. */
    if (changes || (sheds_again && level == POST_OVERLOAD_QUEUES)) {
        overload->next = 0;
        overload->shed_ns = now_ns + SHED_MS * NS_PER_MS;
    }
    const uint64_t wait_ms = percent_of(used, budget) < NEAR ? LOOK_MS : LOOK_OFTEN_MS;
    overload->look_ns = now_ns + wait_ms * NS_PER_MS;
}

int overload_step(struct overload *overload, uint64_t now_ns)
{
    struct bus *bus = overload->options.bus;
    const size_t control = overload->options.reactor_count; /* our port */

    if (now_ns >= overload->look_ns) {
        look(overload, now_ns);
    }
    const struct post post = {.kind = POST_OVERLOAD, .overload = {.level = overload->level}};
    const struct bus_post packed = post_pack(&post);
    while (overload->next < control &&
           bus_tell(bus, control, overload->next, &packed) == BUS_POSTED) {
        overload->next++;
    }
    bus_flush(bus, control);
    const uint64_t wait_ms = (overload->look_ns - now_ns) / NS_PER_MS + 1;
    return overload->next < control ? LOOK_OFTEN_MS : (int)wait_ms;
}
