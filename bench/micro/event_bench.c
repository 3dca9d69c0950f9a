/* SPDX-License-Identifier: Apache-2.0 */
/* What the server writes most: a publication around its data, and the reply to a publish. */
#include "proto/event.h"

#include <stdlib.h>

#include "bench/micro/micro.h"
#include "core/check.h"

enum { TARGET_SIZE = 512, DATA_AT = 256 };

static void *target_setup(const struct micro_case *row)
{
    (void)row;
    void *target = calloc(1, TARGET_SIZE);
    CHECK(target != NULL);
    return target;
}

static void publication_run(void *context, uint64_t iterations)
{
    static const uint8_t channel[] = "room:42";
    static const uint8_t info[] = "{\"user\":\"ada\",\"client\":\"0123456789abcdef\"}";
    uint8_t *target = context;
    struct event_publication publication = {
        .channel = {channel, sizeof(channel) - 1},
        .info = {info, sizeof(info) - 1},
        .time_ms = INT64_C(1790000000000),
    };

    for (uint64_t i = 0; i < iterations; i++) {
        publication.offset = 1000 + i;
        micro_keep(event_put_prefix(&publication, target + DATA_AT));
        micro_keep(event_put_suffix(&publication, target + DATA_AT));
    }
}

static void reply_run(void *context, uint64_t iterations)
{
    struct json_writer writer;

    for (uint64_t i = 0; i < iterations; i++) {
        json_writer_init(&writer, (struct span){context, TARGET_SIZE});
        event_write_empty(&writer, (uint32_t)(1 + i), EVENT_EMPTY_PUBLISH);
        CHECK(json_writer_fits(&writer));
        micro_keep(writer.size);
    }
}

const struct micro_case event_micro_cases[] = {
    {.name = "proto/event/encode/publication",
     .setup = target_setup,
     .run = publication_run,
     .teardown = free},
    {.name = "proto/event/encode/reply", .setup = target_setup, .run = reply_run, .teardown = free},
    {.name = NULL},
};
