/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One command read from its JSON. Reading may change the message, so each iteration starts from a
 * fresh copy; the copy of some 100 bytes is in the number.
 */
#include "proto/command.h"

#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "core/check.h"

enum command_sample { SAMPLE_PUBLISH, SAMPLE_SUBSCRIBE, SAMPLE_ESCAPED };

static const char *const samples[] = {
    "{\"id\":7,\"publish\":{\"channel\":\"room:42\",\"data\":{\"text\":\"hello, who is there?\"}}}",
    "{\"id\":2,\"subscribe\":{\"channel\":\"room:42\",\"recover\":true,\"epoch\":\"x1\","
    "\"offset\":1042}}",
    "{\"id\":7,\"publish\":{\"channel\":\"room:\\u0034\\u0032\",\"data\":{\"text\":\"\\\"hi\\\" "
    "\\ud83d\\ude00\"}}}",
};

struct wire {
    size_t size;
    const char *text;
    uint8_t copy[256];
};

static void *wire_setup(const struct micro_case *row)
{
    struct wire *wire = calloc(1, sizeof(*wire));
    CHECK(wire != NULL);
    wire->text = samples[row->variant];
    wire->size = strlen(wire->text);
    CHECK(wire->size <= sizeof(wire->copy));
    return wire;
}

static void decode_run(void *context, uint64_t iterations)
{
    struct wire *wire = context;
    struct command command;

    for (uint64_t i = 0; i < iterations; i++) {
        struct command_reader reader;
        memcpy(wire->copy, wire->text, wire->size);
        command_reader_init(&reader, (struct span){wire->copy, wire->size});
        const enum command_verdict verdict = command_next(&reader, &command);
        CHECK(verdict == COMMAND_OK);
        micro_keep(command.id);
    }
}

#define CASE(label, sample)                                                                        \
    {                                                                                              \
        .name = "proto/command/decode/" label, .setup = wire_setup, .run = decode_run,             \
        .teardown = free, .variant = (sample)                                                      \
    }

const struct micro_case command_micro_cases[] = {
    CASE("publish", SAMPLE_PUBLISH),
    CASE("subscribe", SAMPLE_SUBSCRIBE),
    CASE("escaped", SAMPLE_ESCAPED),
    {.name = NULL},
};
