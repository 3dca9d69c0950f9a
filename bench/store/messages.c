/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/store/messages.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"

enum { TEXTS = 4096, RANKS = 1 << 20 };

struct messages {
    uint64_t random;
    uint32_t ranks[RANKS]; /* a table of channels, each as often as Zipf's law says */
    uint8_t texts[TEXTS][MESSAGE_SIZE];
};

static uint64_t next_random(struct messages *messages)
{
    messages->random ^= messages->random << 13;
    messages->random ^= messages->random >> 7;
    messages->random ^= messages->random << 17;
    return messages->random;
}

static void make_texts(struct messages *messages)
{
    static const char *const words[] = {"the",   "meeting", "is",    "at",    "nine",   "tomorrow",
                                        "can",   "you",     "bring", "what",  "coffee", "we",
                                        "sent",  "it",      "to",    "their", "office", "and",
                                        "maybe", "later",   "this",  "week",  "thanks", "again"};
    for (int i = 0; i < TEXTS; i++) {
        char text[MESSAGE_SIZE + 32];
        size_t size = (size_t)snprintf(text, sizeof(text), "{\"id\":\"%016" PRIx64 "\",\"text\":\"",
                                       next_random(messages));
        while (size < MESSAGE_SIZE) {
            const char *const word =
                words[next_random(messages) % (sizeof(words) / sizeof(words[0]))];
            size += (size_t)snprintf(text + size, sizeof(text) - size, "%s ", word);
        }
        memcpy(messages->texts[i], text, MESSAGE_SIZE);
    }
}

static void make_ranks(struct messages *messages)
{
    double total = 0;
    for (int i = 1; i <= CHANNELS; i++) {
        total += 1.0 / i;
    }
    double sum = 0;
    uint32_t at = 0;
    for (uint32_t i = 1; i <= CHANNELS; i++) {
        sum += 1.0 / i;
        const uint32_t end = (uint32_t)(sum / total * RANKS);
        while (at < end && at < RANKS) {
            messages->ranks[at++] = i - 1;
        }
    }
    while (at < RANKS) {
        messages->ranks[at++] = (uint32_t)(next_random(messages) % CHANNELS);
    }
}

struct messages *messages_create(void)
{
    struct messages *const messages = malloc(sizeof(*messages));
    CHECK(messages != NULL);
    messages->random = UINT64_C(0x2545f4914f6cdd1d);
    make_texts(messages);
    make_ranks(messages);
    return messages;
}

struct bytes messages_text(const struct messages *messages, uint64_t number)
{
    return (struct bytes){messages->texts[number % TEXTS], MESSAGE_SIZE};
}

uint32_t messages_choose(struct messages *messages)
{
    return messages->ranks[next_random(messages) % RANKS];
}

struct bytes channel_name(uint32_t channel, char name[static CHANNEL_NAME_SIZE])
{
    return (struct bytes){(const uint8_t *)name,
                          (size_t)snprintf(name, CHANNEL_NAME_SIZE, "room:%08" PRIu32, channel)};
}
