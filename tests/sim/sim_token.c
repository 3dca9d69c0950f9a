/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/sim_token.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/check.h"
#include "tests/sim/sim_world.h"
#include "tests/unit/server/token_forge.h"

enum { PAYLOAD_SIZE = 512 };

/* When the network's clock was at 0, by that on the wall. */
static const uint64_t beginning_s = 1800000000;

void sim_tokens_deinit(struct sim_tokens *tokens)
{
    free(tokens->items);
    *tokens = (struct sim_tokens){.items = NULL};
}

uint64_t sim_token_second(uint64_t at_ns)
{
    return beginning_s + at_ns / SIM_S;
}

uint64_t sim_token_now_s(const struct sim_world *world)
{
    return sim_token_second(world->net.now_ns);
}

uint64_t sim_token_ns(uint64_t at_s)
{
    return at_s > beginning_s ? (at_s - beginning_s) * SIM_S : 0;
}

uint32_t sim_token_issue(struct sim_world *world, const struct sim_token *token)
{
    struct sim_tokens *tokens = &world->tokens;
    if (tokens->count == tokens->capacity) {
        tokens->capacity = 2 * tokens->capacity + 64;
        tokens->items = realloc(tokens->items, tokens->capacity * sizeof(*tokens->items));
        CHECK(tokens->items != NULL);
    }
    tokens->items[tokens->count] = *token;
    if (token->issued_s == 0) {
        tokens->items[tokens->count].issued_s = sim_token_now_s(world);
    }
    return (uint32_t)++tokens->count;
}

const struct sim_token *sim_token_at(const struct sim_world *world, uint32_t number)
{
    CHECK(number > 0 && number <= world->tokens.count);
    return &world->tokens.items[number - 1];
}

bool sim_token_is_over(const struct sim_token *token, uint64_t at_ns)
{
    return token->expires_s != 0 && token->expires_s <= sim_token_second(at_ns);
}

void sim_token_write_user(uint16_t user, char name[SIM_NAME_SIZE])
{
    name[0] = '\0';
    if (user != SIM_NOBODY) {
        (void)snprintf(name, SIM_NAME_SIZE, "u%u", user);
    }
}

char *sim_token_write(const struct sim_world *world, uint32_t number)
{
    const struct sim_token *token = sim_token_at(world, number);
    char payload[PAYLOAD_SIZE];
    char name[SIM_NAME_SIZE];
    int size = snprintf(payload, sizeof(payload), "{\"jti\":\"t%u\",\"iat\":%" PRIu64, number,
                        token->issued_s);

    if (token->expires_s != 0) {
        size += snprintf(payload + size, sizeof(payload) - (size_t)size, ",\"exp\":%" PRIu64,
                         token->expires_s);
    }
    if (token->user != SIM_NOBODY) {
        sim_token_write_user(token->user, name);
        size += snprintf(payload + size, sizeof(payload) - (size_t)size, ",\"sub\":\"%s\"", name);
    }
    if (token->channel != SIM_CHANNEL_MAX) {
        sim_channel_write(token->channel, name);
        size +=
            snprintf(payload + size, sizeof(payload) - (size_t)size, ",\"channel\":\"%s\"", name);
    }
    for (unsigned i = 0; i < SIM_NEWS_MAX && token->news != 0; i++) {
        if ((token->news >> i & 1) != 0) {
            const bool is_first = (token->news & ((1U << i) - 1)) == 0;
            size += snprintf(payload + size, sizeof(payload) - (size_t)size, "%s\"news-%u\"",
                             is_first ? ",\"channels\":[" : ",", i);
        }
    }
    size += snprintf(payload + size, sizeof(payload) - (size_t)size, token->news != 0 ? "]}" : "}");
    CHECK(size > 0 && (size_t)size < sizeof(payload));
    return forge_hmac("{\"alg\":\"HS256\",\"typ\":\"JWT\"}", payload, 256, SIM_TOKEN_SECRET,
                      sizeof(SIM_TOKEN_SECRET) - 1);
}
