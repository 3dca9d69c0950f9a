/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_SIM_SIM_TOKEN_H
#define TESTS_SIM_SIM_TOKEN_H
/*
 * Tokens as a back end issues them to its users: JWT, signed with OpenSSL alone, by a clock on the
 * wall that goes as that of the network does. What each one says is kept, by its number, which is
 * its `jti`: so what the server does about it can be judged.
 *
 * Users     by number, "u0" and so on; SIM_NOBODY is anonymous.
 * Time      s: Unix time in whole seconds, as tokens have it; ns: the network's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "tests/sim/sim_channel.h"

struct sim_world;

enum { SIM_NOBODY = SIM_USER_MAX };

/* What the server verifies with, too. */
#define SIM_TOKEN_SECRET "0123456789abcdef0123456789abcdef"

struct sim_token {
    uint16_t user;
    uint16_t channel;         /* of a subscription; SIM_CHANNEL_MAX: of a connection */
    uint64_t issued_s;        /* 0: when it is issued */
    uint64_t expires_s;       /* 0: never */
    uint16_t news;            /* of a connection: a bit for each channel that it brings */
    uint64_t revoke_asked_at; /* step; 0: not */
    uint64_t revoked_at;      /* likewise: on every reactor */
};

/* All that were issued. Zeroed: none. */
struct sim_tokens {
    struct sim_token *items; /* [0]: number 1 */
    size_t count;
    size_t capacity;
};

void sim_tokens_deinit(struct sim_tokens *tokens);

/* The present second; and the network's time at the begin of one. */
NODISCARD uint64_t sim_token_now_s(const struct sim_world *world);
NODISCARD uint64_t sim_token_second(uint64_t at_ns);
NODISCARD uint64_t sim_token_ns(uint64_t at_s);

/* Its number. 0 stands for no token. */
NODISCARD uint32_t sim_token_issue(struct sim_world *world, const struct sim_token *token);
NODISCARD const struct sim_token *sim_token_at(const struct sim_world *world, uint32_t number);

/* Is it of the past, at that time of the network's? */
NODISCARD bool sim_token_is_over(const struct sim_token *token, uint64_t at_ns);

/* As it is shown; to be freed. */
NODISCARD char *sim_token_write(const struct sim_world *world, uint32_t number);

/* "u3"; nothing: anonymous. */
void sim_token_write_user(uint16_t user, char name[SIM_NAME_SIZE]);

#endif /* TESTS_SIM_SIM_TOKEN_H */
