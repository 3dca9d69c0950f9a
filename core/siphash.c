/* SPDX-License-Identifier: Apache-2.0 */
#include "core/siphash.h"

#include <string.h>

#include "core/check.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "words are read as they lie in memory");

struct state {
    uint64_t v0;
    uint64_t v1;
    uint64_t v2;
    uint64_t v3;
};

static inline uint64_t rotate_left(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

/* One SipRound, section 2.2 of the paper. */
static inline void mix(struct state *state)
{
    state->v0 += state->v1;
    state->v2 += state->v3;
    state->v1 = rotate_left(state->v1, 13) ^ state->v0;
    state->v3 = rotate_left(state->v3, 16) ^ state->v2;
    state->v0 = rotate_left(state->v0, 32);
    state->v2 += state->v1;
    state->v0 += state->v3;
    state->v1 = rotate_left(state->v1, 17) ^ state->v2;
    state->v3 = rotate_left(state->v3, 21) ^ state->v0;
    state->v2 = rotate_left(state->v2, 32);
}

static inline void absorb(struct state *state, uint64_t word)
{
    state->v3 ^= word;
    mix(state);
    state->v0 ^= word;
}

uint64_t siphash_13(struct siphash_key key, struct bytes in)
{
    CHECK(in.data != NULL || in.size == 0);

    /* The constants spell "somepseudorandomlygeneratedbytes". */
    struct state state = {
        .v0 = key.k0 ^ UINT64_C(0x736f6d6570736575),
        .v1 = key.k1 ^ UINT64_C(0x646f72616e646f6d),
        .v2 = key.k0 ^ UINT64_C(0x6c7967656e657261),
        .v3 = key.k1 ^ UINT64_C(0x7465646279746573),
    };
    const size_t whole = in.size & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word;
        memcpy(&word, in.data + i, sizeof(word));
        absorb(&state, word);
    }
    /* The rest, and the size modulo 256 in the highest byte. */
    uint64_t last = (uint64_t)in.size << 56;
    for (size_t i = whole; i < in.size; i++) {
        last |= (uint64_t)in.data[i] << (8 * (i - whole));
    }
    absorb(&state, last);

    state.v2 ^= 0xff;
    mix(&state);
    mix(&state);
    mix(&state);
    return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}
