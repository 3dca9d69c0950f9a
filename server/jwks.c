/* SPDX-License-Identifier: Apache-2.0 */
#include "server/jwks.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "net/tls_memory.h"
#include "proto/base64.h"
#include "proto/fields.h"
#include "proto/json.h"
#include "proto/utf8.h"

enum { DEPTH_MAX = 16 };

struct entry {
    struct token_key *key;
    enum token_algorithm algorithm; /* the only one; TOKEN_ALGORITHM_COUNT: all that it can */
    size_t kid_size;                /* 0: it has no name */
    uint8_t kid[TOKEN_KEY_NAME_SIZE_MAX];
};

struct jwks {
    _Atomic uint32_t shares;
    uint64_t generation;
    size_t count;
    struct entry entries[JWKS_KEYS_MAX];
};

struct document {
    struct bytes keys;
};

static const struct fields_row document_rows[] = {
    FIELDS_ROW(struct document, keys, "keys", FIELDS_RAW_ARRAY),
};
static const struct fields_table document_table = FIELDS_TABLE(document_rows);

struct jwk {
    struct bytes kty;
    struct bytes kid;
    struct bytes alg;
    struct bytes use;
    struct bytes key_ops;
    struct bytes n;
    struct bytes e;
    struct bytes crv;
    struct bytes x;
    struct bytes y;
    struct bytes d;
};

#define ROW(member, kind) FIELDS_ROW(struct jwk, member, #member, kind)

static const struct fields_row jwk_rows[] = {
    ROW(kty, FIELDS_STRING),
    ROW(kid, FIELDS_STRING),
    ROW(alg, FIELDS_STRING),
    ROW(use, FIELDS_STRING),
    ROW(key_ops, FIELDS_RAW_ARRAY),
    ROW(n, FIELDS_STRING),
    ROW(e, FIELDS_STRING),
    ROW(crv, FIELDS_STRING),
    ROW(x, FIELDS_STRING),
    ROW(y, FIELDS_STRING),
    ROW(d, FIELDS_RAW),
};
static const struct fields_table jwk_table = FIELDS_TABLE(jwk_rows);

static bool bytes_are(struct bytes text, const char *word)
{
    return text.size == strlen(word) && (text.size == 0 || memcmp(text.data, word, text.size) == 0);
}

/* -- one key ----------------------------------------------------------------------------------- */

/* Is there "verify" among them, or are there none? */
static bool may_verify(struct bytes key_ops)
{
    struct json_reader reader;
    struct json_string operation;

    if (key_ops.size == 0) {
        return true;
    }
    json_reader_init(&reader, key_ops, 1);
    enum json_verdict verdict = json_open_array(&reader);
    while (verdict == JSON_OK && json_next_element(&reader) == JSON_OK) {
        verdict = json_read_string(&reader, &operation);
        if (verdict == JSON_OK && bytes_are(operation.raw, "verify")) {
            return true;
        }
    }
    return false;
}

/* A number in base64url, decoded where it stands. */
static bool decode(struct span document, struct bytes *number)
{
    if (number->size == 0) {
        return false; /* it may not be there at all, and then it stands nowhere */
    }
    uint8_t *const place = document.data + (number->data - document.data);
    return base64_decode(BASE64_URL, *number, place, &number->size);
}

static struct token_key *make_key(struct span document, struct jwk *jwk)
{
    char error[TOKEN_KEY_ERROR_SIZE];

    if (bytes_are(jwk->kty, "RSA") && decode(document, &jwk->n) && decode(document, &jwk->e)) {
        return token_key_from_rsa(jwk->n, jwk->e, error);
    }
    if (bytes_are(jwk->kty, "EC") && decode(document, &jwk->x) && decode(document, &jwk->y)) {
        return token_key_from_point(jwk->crv, jwk->x, jwk->y, error);
    }
    return NULL;
}

static bool has_entry(const struct jwks *set, struct bytes kid, enum token_key_type type)
{
    for (size_t i = 0; kid.size > 0 && i < set->count; i++) {
        const struct entry *entry = &set->entries[i];
        if (token_key_type(entry->key) == type && entry->kid_size == kid.size &&
            memcmp(entry->kid, kid.data, kid.size) == 0) {
            return true;
        }
    }
    return false;
}

/* Leaves it out when it is for nothing here. False: there is no more room. */
static bool append(struct jwks *set, struct span document, struct jwk *jwk)
{
    const enum token_algorithm algorithm =
        jwk->alg.size == 0 ? TOKEN_ALGORITHM_COUNT : token_key_algorithm(jwk->alg);
    const bool is_for_us = (jwk->use.size == 0 || bytes_are(jwk->use, "sig")) &&
                           may_verify(jwk->key_ops) && jwk->d.size == 0 &&
                           (jwk->alg.size == 0 || algorithm != TOKEN_ALGORITHM_COUNT) &&
                           token_key_name_is_good(jwk->kid);
    struct token_key *key = is_for_us ? make_key(document, jwk) : NULL;

    if (key == NULL) {
        return true;
    }
    const bool is_possible = algorithm == TOKEN_ALGORITHM_COUNT || token_key_takes(key, algorithm);
    if (!is_possible || has_entry(set, jwk->kid, token_key_type(key))) {
        token_key_destroy(key);
        return true;
    }
    if (set->count == JWKS_KEYS_MAX) {
        token_key_destroy(key);
        return false;
    }
    struct entry *entry = &set->entries[set->count++];
    *entry = (struct entry){.key = key, .algorithm = algorithm, .kid_size = jwk->kid.size};
    if (jwk->kid.size > 0) {
        memcpy(entry->kid, jwk->kid.data, jwk->kid.size);
    }
    return true;
}

/* -- all of them ------------------------------------------------------------------------------- */

/* NULL, or what is wrong with the document. */
static const char *read_keys(struct jwks *set, struct span document)
{
    const struct bytes text = {document.data, document.size};
    struct utf8_state state = {0};
    struct document members = {0};
    struct json_reader reader;

    if (utf8_check(simd_choose(CPU_SIMD_SCALAR), &state, text) != UTF8_VALID ||
        !utf8_is_complete(state) || json_validate(text, DEPTH_MAX) != JSON_OK) {
        return "it is not JSON";
    }
    json_reader_init(&reader, text, DEPTH_MAX);
    if (fields_read(&reader, document, &document_table, &members) != JSON_OK ||
        members.keys.size == 0) {
        return "it is not an object with an array \"keys\"";
    }
    json_reader_init(&reader, members.keys, DEPTH_MAX);
    enum json_verdict verdict = json_open_array(&reader);
    while (verdict == JSON_OK && json_next_element(&reader) == JSON_OK) {
        struct jwk jwk = {0};
        verdict = fields_read(&reader, document, &jwk_table, &jwk);
        if (verdict == JSON_OK && !append(set, document, &jwk)) {
            return "it has more than 64 keys";
        }
    }
    if (verdict != JSON_OK) {
        return "one of its keys is not an object, or says something twice";
    }
    return set->count == 0 ? "no key of it can be used" : NULL;
}

struct jwks *jwks_parse(struct span document, uint64_t generation, char error[JWKS_ERROR_SIZE])
{
    struct jwks *set = calloc(1, sizeof(*set));
    const uint64_t refused = tls_memory_refused();
    const char *fault = "out of memory";

    if (set != NULL) {
        atomic_init(&set->shares, 1);
        set->generation = generation;
        fault = read_keys(set, document);
    }
    if (tls_memory_refused() != refused) {
        fault = "out of memory"; /* not a set without the keys that there was none for */
    }
    if (fault != NULL) {
        (void)snprintf(error, JWKS_ERROR_SIZE, "%s", fault);
        jwks_unref(set);
        return NULL;
    }
    return set;
}

void jwks_ref(struct jwks *set)
{
    /* Relaxed: who shares holds a share. */
    const uint32_t shares = atomic_fetch_add_explicit(&set->shares, 1, memory_order_relaxed);
    CHECK(shares > 0);
}

void jwks_unref(struct jwks *set)
{
    /* Release and acquire: what others did with it is done before it is freed. */
    if (set == NULL || atomic_fetch_sub_explicit(&set->shares, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (size_t i = 0; i < set->count; i++) {
        token_key_destroy(set->entries[i].key);
    }
    free(set);
}

uint64_t jwks_generation(const struct jwks *set)
{
    return set->generation;
}

size_t jwks_count(const struct jwks *set)
{
    return set->count;
}

const struct token_key *jwks_find(const struct jwks *set, struct bytes kid,
                                  enum token_algorithm algorithm)
{
    const struct token_key *found = NULL;

    for (size_t i = 0; i < set->count; i++) {
        const struct entry *entry = &set->entries[i];
        const bool has_name = kid.size == 0 || (entry->kid_size == kid.size &&
                                                memcmp(entry->kid, kid.data, kid.size) == 0);
        if (!has_name || !token_key_takes(entry->key, algorithm) ||
            (entry->algorithm != TOKEN_ALGORITHM_COUNT && entry->algorithm != algorithm)) {
            continue;
        }
        if (found != NULL) {
            return NULL; /* without a name, two could be meant */
        }
        found = entry->key;
    }
    return found;
}
