/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_STORE_MESSAGES_H
#define BENCH_STORE_MESSAGES_H
/*
 * What parley-store-bench writes and reads: messages of MESSAGE_SIZE bytes of random words (they
 * compress like chat, to about a half), for CHANNELS channels that Zipf's law chooses (s = 1). The
 * same in each run.
 */
#include <stdint.h>

#include "core/bytes.h"

enum { CHANNELS = 100000, MESSAGE_SIZE = 200, CHANNEL_NAME_SIZE = 24 };

struct messages;

/* Ends the program where there is no memory. Never freed: it lives as long as the program. */
struct messages *messages_create(void);

/* The text number `number`; there are 4096 different ones. */
struct bytes messages_text(const struct messages *messages, uint64_t number);

/* Another channel, as often as its rank says: 0..CHANNELS - 1. */
uint32_t messages_choose(struct messages *messages);

struct bytes channel_name(uint32_t channel, char name[static CHANNEL_NAME_SIZE]);
#endif
