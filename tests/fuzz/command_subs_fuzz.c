/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: the `subs` of a connect, which becomes part of a message around it. What is read has views
 * in that message, and a channel; a fault and the end are final.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/command.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char before[] = "{\"id\":1,\"connect\":{\"subs\":";
static const char behind[] = "}}";

static void is_in(struct span message, struct bytes view)
{
    if (view.size > 0) {
        CHECK(view.data >= message.data);
        CHECK(view.data + view.size <= message.data + message.size);
    }
}

static void read_subs(struct span message, struct bytes text)
{
    struct command_subs subs;
    struct bytes channel;
    struct command_subscribe wanted;
    enum command_verdict verdict;

    command_subs_init(&subs, text);
    while ((verdict = command_subs_next(&subs, &channel, &wanted)) == COMMAND_OK) {
        is_in(message, channel);
        is_in(message, wanted.epoch);
    }
    CHECK(command_subs_next(&subs, &channel, &wanted) == verdict);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const size_t head = sizeof(before) - 1;
    const size_t tail = sizeof(behind) - 1;
    const struct span message = {malloc(head + size + tail), head + size + tail};
    CHECK(message.data != NULL);
    memcpy(message.data, before, head);
    memcpy(message.data + head, data, size);
    memcpy(message.data + head + size, behind, tail);

    struct command_reader reader;
    struct command command;
    command_reader_init(&reader, message);
    if (command_next(&reader, &command) == COMMAND_OK && command.method == COMMAND_CONNECT) {
        read_subs(message, command.connect.subs);
    }
    read_subs(message, (struct bytes){NULL, 0});
    free(message.data);
    return 0;
}
