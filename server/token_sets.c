/* SPDX-License-Identifier: Apache-2.0 */
#include "server/token_sets.h"

#include <string.h>

#include "chat/post.h"
#include "core/bus.h"
#include "server/jwks.h"

static struct token_sets_missing *place_of(struct token_sets *sets, enum claims_kind section,
                                           struct bytes kid)
{
    size_t hash = 0;
    for (size_t i = 0; i < kid.size; i++) {
        hash = hash * 31 + kid.data[i];
    }
    return &sets->sections[section].missing[hash % TOKEN_SETS_MISSING_MAX];
}

static void ask_for_newer(struct token_sets *sets, enum claims_kind section, uint64_t generation)
{
    const struct token_sets_source *source = &sets->source;
    const struct post post = {
        .kind = POST_WANT_KEYS,
        .want_keys = {.generation = generation, .kind = (uint32_t)section},
    };
    const struct bus_post packed = post_pack(&post);

    if (!sets->sections[section].is_asked) {
        /* Without room the next one asks. */
        sets->sections[section].is_asked =
            bus_tell(source->bus, source->port, source->source_port, &packed) == BUS_POSTED;
    }
}

/* The set that was fetched last has no such key: has the next one? */
static enum token_sets_verdict miss(struct token_sets *sets, enum claims_kind section,
                                    struct bytes kid)
{
    const uint64_t generation = jwks_generation(sets->sections[section].set);
    struct token_sets_missing *missing = place_of(sets, section, kid);
    const bool is_known = missing->kid_size == kid.size && kid.size > 0 &&
                          memcmp(missing->kid, kid.data, kid.size) == 0;

    const bool is_asked_for = is_known && missing->generation < generation;
    if (kid.size == 0 || is_asked_for || sets->source.source_port == 0) {
        return TOKEN_SETS_UNKNOWN;
    }
    if (!is_known) {
        *missing = (struct token_sets_missing){.generation = generation, .kid_size = kid.size};
        memcpy(missing->kid, kid.data, kid.size);
    }
    ask_for_newer(sets, section, generation);
    return TOKEN_SETS_ASKED;
}

enum token_sets_verdict token_sets_find(struct token_sets *sets, enum claims_kind section,
                                        struct bytes kid, enum token_algorithm algorithm,
                                        const struct token_key **key)
{
    const struct jwks *set = sets->sections[section].set;

    if (set == NULL) {
        return TOKEN_SETS_NONE;
    }
    *key = jwks_find(set, kid, algorithm);
    return *key != NULL ? TOKEN_SETS_FOUND : miss(sets, section, kid);
}

void token_sets_renew(struct token_sets *sets, enum claims_kind section, struct jwks *set)
{
    jwks_unref(sets->sections[section].set);
    sets->sections[section].set = set;
    sets->sections[section].is_asked = false;
}

void token_sets_deinit(struct token_sets *sets)
{
    for (size_t i = 0; i < TOKEN_SETS_SECTIONS; i++) {
        jwks_unref(sets->sections[i].set);
        sets->sections[i].set = NULL;
    }
}
