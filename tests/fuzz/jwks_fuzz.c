/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a JWKS document. It is a set of keys that can be used, or a line says why not; twice the
 * same. The one key of a set is found without a name.
 */
#include "server/jwks.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct jwks *parse(const uint8_t *data, size_t size, char error[JWKS_ERROR_SIZE])
{
    uint8_t *copy = malloc(size + (size == 0));
    CHECK(copy != NULL);
    memcpy(copy, data, size);
    error[0] = '\0';
    struct jwks *set = jwks_parse((struct span){copy, size}, 7, error);
    free(copy); /* a set borrows nothing */
    return set;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[JWKS_ERROR_SIZE];
    char again[JWKS_ERROR_SIZE];
    struct jwks *set = parse(data, size, error);
    struct jwks *second = parse(data, size, again);

    CHECK((set == NULL) == (second == NULL));
    CHECK(strcmp(error, again) == 0);
    CHECK((set == NULL) == (error[0] != '\0'));
    CHECK(strchr(error, '\n') == NULL);
    if (set != NULL) {
        CHECK(jwks_generation(set) == 7);
        CHECK(jwks_count(set) > 0 && jwks_count(set) <= JWKS_KEYS_MAX);
        CHECK(jwks_count(set) == jwks_count(second));
        size_t found = 0;
        for (int i = 0; i < TOKEN_ALGORITHM_COUNT; i++) {
            found += jwks_find(set, (struct bytes){NULL, 0}, (enum token_algorithm)i) != NULL;
        }
        CHECK(found > 0 || jwks_count(set) > 1);
    }
    jwks_unref(set);
    jwks_unref(second);
    return 0;
}
