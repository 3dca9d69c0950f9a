/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message of that many bytes, publications of a chat behind each other, deflated in one piece at
 * level `variant`, and inflated. What a fan-out pays once, and each compressed command.
 */
#include "proto/permessage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"
#include "core/check.h"

enum { WINDOW_BITS = 15, LINE_SIZE_MAX = 256, HEAD_ROOM = 64 };

struct message {
    struct permessage_deflater *deflater;
    struct permessage_inflater *inflater;
    uint8_t *text;
    uint8_t *target;
    size_t size;        /* bytes */
    size_t target_size; /* room for it, and what it became */
    size_t packed;
};

static void write_text(uint8_t *text, size_t size)
{
    static const char *const words[] = {"the",  "deploy",  "is",     "green", "hello", "look at",
                                        "team", "tonight", "please", "build", "and",   "thanks"};
    uint32_t state = 2463534242;
    size_t at = 0;

    while (at < size) {
        char line[LINE_SIZE_MAX];
        int used = snprintf(line, sizeof(line),
                            "{\"push\":{\"channel\":\"chat:%u\",\"pub\":{\"data\":{\"text\":\"",
                            micro_random(&state) % 50);
        for (int i = 0; i < 10; i++) {
            used += snprintf(line + used, sizeof(line) - (size_t)used, "%s ",
                             words[micro_random(&state) % 12]);
        }
        used += snprintf(line + used, sizeof(line) - (size_t)used,
                         "\"},\"info\":{\"client\":\"%08x\"},\"offset\":%u}}}\n",
                         micro_random(&state), micro_random(&state) % 100000);
        const size_t left = size - at;
        const size_t piece = (size_t)used < left ? (size_t)used : left;
        memcpy(text + at, line, piece);
        at += piece;
    }
}

static size_t deflate_once(const struct message *message)
{
    permessage_deflate_begin(message->deflater,
                             (struct span){message->target, message->target_size});
    permessage_deflate_add(message->deflater, (struct bytes){message->text, message->size});
    return permessage_deflate_end(message->deflater);
}

static void message_teardown(void *context)
{
    struct message *message = context;
    permessage_deflater_destroy(message->deflater);
    permessage_inflater_destroy(message->inflater);
    free(message->text);
    free(message->target);
    free(message);
}

static void *message_setup(const struct micro_case *row)
{
    struct message *message = calloc(1, sizeof(*message));
    CHECK(message != NULL);
    message->size = row->size;
    message->target_size = row->size + HEAD_ROOM;
    message->text = malloc(message->size);
    message->target = malloc(message->target_size);
    message->deflater = permessage_deflater_create((unsigned)row->variant, WINDOW_BITS);
    message->inflater = permessage_inflater_create();
    CHECK(message->text != NULL && message->target != NULL);
    CHECK(message->deflater != NULL && message->inflater != NULL);
    write_text(message->text, message->size);
    message->packed = deflate_once(message);
    CHECK(message->packed > 0);
    return message;
}

static void deflate_run(void *context, uint64_t iterations)
{
    for (uint64_t i = 0; i < iterations; i++) {
        micro_keep(deflate_once(context));
    }
}

static void inflate_run(void *context, uint64_t iterations)
{
    struct message *message = context;

    for (uint64_t i = 0; i < iterations; i++) {
        struct span out = {NULL, 0};
        const struct bytes packed = {message->target, message->packed};
        const enum permessage_verdict verdict =
            permessage_inflate(message->inflater, packed, message->size, &out);
        CHECK(verdict == PERMESSAGE_OK);
        micro_keep(out.size);
    }
}

#define ROW(what, bytes, level)                                                                    \
    {                                                                                              \
        .name = "proto/permessage/" #what "/" #bytes "/level" #level, .setup = message_setup,      \
        .run = what##_run, .teardown = message_teardown, .size = (bytes), .variant = (level),      \
        .bytes_per_iteration = (bytes)                                                             \
    }

const struct micro_case permessage_micro_cases[] = {
    ROW(deflate, 200, 1),   ROW(deflate, 1000, 1),  ROW(deflate, 4000, 1), ROW(deflate, 16000, 1),
    ROW(deflate, 1000, 6),  ROW(deflate, 16000, 6), ROW(inflate, 200, 1),  ROW(inflate, 1000, 1),
    ROW(inflate, 16000, 1), {.name = NULL},
};
