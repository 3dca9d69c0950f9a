/* SPDX-License-Identifier: Apache-2.0 */
#include "server/token.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "net/tls_memory.h"
#include "proto/base64.h"
#include "proto/fields.h"
#include "proto/json.h"
#include "proto/utf8.h"
#include "server/config.h"
#include "server/jwks.h"
#include "server/token_keys.h"
#include "server/token_sets.h"

enum {
    HEADER_DEPTH_MAX = 8,
    MS_PER_S = 1000,
};

struct token_verifier {
    struct token_verifier_options options;
    struct claims_verifier seam;
    struct token_keys *keys;
    struct token_sets sets; /* from endpoints */
    const char *why;
    struct token_fault fault; /* of the last token; TOKEN_GOOD: none, or it was taken */
    struct token_claims claims;
    uint8_t header[TOKEN_SIZE_MAX];
    uint8_t payload[TOKEN_SIZE_MAX];
    uint8_t signature[TOKEN_SIZE_MAX];
};

/* The three parts of a token, still in base64url, then decoded. */
struct parts {
    struct bytes header;
    struct bytes payload;
    struct bytes signature;
};

struct header {
    struct bytes alg;
    struct bytes kid;
    struct bytes crit; /* any JSON, like b64 */
    struct bytes b64;
};

static const struct fields_row header_rows[] = {
    FIELDS_ROW(struct header, alg, "alg", FIELDS_STRING),
    FIELDS_ROW(struct header, kid, "kid", FIELDS_STRING),
    FIELDS_ROW(struct header, crit, "crit", FIELDS_RAW),
    FIELDS_ROW(struct header, b64, "b64", FIELDS_RAW),
};
static const struct fields_table header_table = FIELDS_TABLE(header_rows);

const char *token_reason_name(enum token_reason reason)
{
    static const char *const names[TOKEN_REASON_COUNT] = {
        [TOKEN_GOOD] = "good",
        [TOKEN_TOO_LONG] = "too_long",
        [TOKEN_MALFORMED] = "malformed",
        [TOKEN_BAD_ALGORITHM] = "bad_algorithm",
        [TOKEN_UNAVAILABLE] = "unavailable",
        [TOKEN_UNKNOWN_KEY] = "unknown_key",
        [TOKEN_BAD_SIGNATURE] = "bad_signature",
        [TOKEN_BAD_CLAIMS] = "bad_claims",
        [TOKEN_WRONG_KIND] = "wrong_kind",
        [TOKEN_WRONG_ISSUER] = "wrong_issuer",
        [TOKEN_WRONG_AUDIENCE] = "wrong_audience",
        [TOKEN_NOT_YET] = "not_yet",
        [TOKEN_EXPIRED] = "expired",
    };
    CHECK(reason < TOKEN_REASON_COUNT);
    return names[reason];
}

static enum claims_verdict verify_for_hub(void *context, enum claims_kind kind, struct bytes token,
                                          struct claims *claims);

struct token_verifier *token_verifier_create(const struct token_verifier_options *options)
{
    CHECK(options->now_ms != NULL);
    CHECK(options->keys != NULL);
    struct token_verifier *verifier = calloc(1, sizeof(*verifier));
    if (verifier != NULL) {
        verifier->options = *options;
        verifier->options.keys = NULL; /* those of the first time may go */
        verifier->sets.source = (struct token_sets_source){
            .bus = options->bus,
            .port = options->port,
            .source_port = options->source_port,
        };
        verifier->keys = options->keys;
        verifier->seam = (struct claims_verifier){.verify = verify_for_hub, .context = verifier};
        verifier->why = "";
        token_keys_ref(verifier->keys);
    }
    return verifier;
}

void token_verifier_destroy(struct token_verifier *verifier)
{
    if (verifier != NULL) {
        token_sets_deinit(&verifier->sets);
        token_keys_unref(verifier->keys);
        free(verifier);
    }
}

void token_verifier_renew_keys(struct token_verifier *verifier, struct token_keys *keys)
{
    token_keys_unref(verifier->keys);
    verifier->keys = keys;
}

void token_verifier_renew_set(struct token_verifier *verifier, enum claims_kind kind,
                              struct jwks *set)
{
    token_sets_renew(&verifier->sets, kind, set);
}

const char *token_verifier_why(const struct token_verifier *verifier)
{
    return verifier->why;
}

static enum token_reason refuse(struct token_verifier *verifier, enum token_reason reason,
                                const char *why)
{
    verifier->why = why;
    return reason;
}

static bool bytes_are(struct bytes text, const char *word)
{
    return text.size == strlen(word) && (text.size == 0 || memcmp(text.data, word, text.size) == 0);
}

/* -- the text ---------------------------------------------------------------------------------- */

/* What stands before the next dot, which is stepped over. False: there is none. */
static bool take_part(struct bytes *rest, struct bytes *part)
{
    const uint8_t *const dot = rest->size == 0 ? NULL : memchr(rest->data, '.', rest->size);
    if (dot == NULL) {
        return false;
    }
    const size_t size = (size_t)(dot - rest->data);
    *part = (struct bytes){rest->data, size};
    *rest = (struct bytes){dot + 1, rest->size - size - 1};
    return true;
}

/* A third dot is no character of base64url: the signature does not decode then. */
static bool split(struct bytes token, struct parts *parts)
{
    parts->signature = token;
    return take_part(&parts->signature, &parts->header) &&
           take_part(&parts->signature, &parts->payload) && parts->header.size > 0 &&
           parts->payload.size > 0;
}

static bool decode(struct bytes text, uint8_t *target, struct bytes *part)
{
    size_t size = 0;
    if (!base64_decode(BASE64_URL, text, target, &size)) {
        return false;
    }
    *part = (struct bytes){target, size};
    return true;
}

static enum token_reason take_apart(struct token_verifier *verifier, struct bytes token,
                                    struct parts *parts)
{
    struct parts encoded;

    if (token.size > TOKEN_SIZE_MAX) {
        return refuse(verifier, TOKEN_TOO_LONG, "it has more than 4096 bytes");
    }
    if (!split(token, &encoded)) {
        return refuse(verifier, TOKEN_MALFORMED, "it is not header.payload.signature");
    }
    if (!decode(encoded.header, verifier->header, &parts->header) ||
        !decode(encoded.payload, verifier->payload, &parts->payload) ||
        !decode(encoded.signature, verifier->signature, &parts->signature)) {
        return refuse(verifier, TOKEN_MALFORMED, "a part of it is not base64url without padding");
    }
    return TOKEN_GOOD;
}

/* -- the header -------------------------------------------------------------------------------- */

static enum token_reason read_header(struct token_verifier *verifier, struct bytes text,
                                     struct header *header)
{
    struct json_reader reader;
    struct utf8_state state = {0};

    if (utf8_check(simd_choose(CPU_SIMD_SCALAR), &state, text) != UTF8_VALID ||
        !utf8_is_complete(state) || json_validate(text, HEADER_DEPTH_MAX) != JSON_OK) {
        return refuse(verifier, TOKEN_MALFORMED, "its header is not JSON");
    }
    json_reader_init(&reader, text, HEADER_DEPTH_MAX);
    const struct span place = {verifier->header, text.size};
    const enum json_verdict verdict = fields_read(&reader, place, &header_table, header);
    if (verdict == JSON_DUPLICATE_KEY) {
        return refuse(verifier, TOKEN_MALFORMED, "its header says something twice");
    }
    if (verdict != JSON_OK) {
        return refuse(verifier, TOKEN_MALFORMED,
                      "its header is no object, or alg or kid no string");
    }
    if (header->crit.size > 0 || header->b64.size > 0) {
        return refuse(verifier, TOKEN_MALFORMED, "its header has crit or b64");
    }
    if (!token_key_name_is_good(header->kid)) {
        return refuse(verifier, TOKEN_MALFORMED, "its kid is not 128 of A-Z a-z 0-9 . _ -");
    }
    return TOKEN_GOOD;
}

/* -- its key ----------------------------------------------------------------------------------- */

static enum token_reason find_in_set(struct token_verifier *verifier, enum claims_kind kind,
                                     const struct header *header, enum token_algorithm algorithm,
                                     const struct token_key **key)
{
    static const char unknown[] = "its key is not in the key set";
    const struct jwks *const of_file = token_keys_set(verifier->keys, kind);

    if (of_file != NULL) {
        *key = jwks_find(of_file, header->kid, algorithm);
        return *key != NULL ? TOKEN_GOOD : refuse(verifier, TOKEN_UNKNOWN_KEY, unknown);
    }
    const enum claims_kind section = token_keys_section(verifier->keys, kind);
    switch (token_sets_find(&verifier->sets, section, header->kid, algorithm, key)) {
    case TOKEN_SETS_FOUND:
        return TOKEN_GOOD;
    case TOKEN_SETS_NONE:
        return refuse(verifier, TOKEN_UNAVAILABLE, "there is no key set yet");
    case TOKEN_SETS_ASKED:
        return refuse(verifier, TOKEN_UNAVAILABLE,
                      "its key is not in the key set, which may be old");
    case TOKEN_SETS_UNKNOWN:
        return refuse(verifier, TOKEN_UNKNOWN_KEY, unknown);
    }
    NEVER("a verdict that is not one");
}

static enum token_reason find_key(struct token_verifier *verifier, enum claims_kind kind,
                                  const struct header *header, enum token_algorithm *algorithm,
                                  const struct token_key **key)
{
    *algorithm = token_key_algorithm(header->alg);
    if (*algorithm == TOKEN_ALGORITHM_COUNT) {
        return refuse(verifier, TOKEN_BAD_ALGORITHM,
                      "its alg is not one of HS, RS or ES with 256, 384 or 512");
    }
    const enum token_key_type type = token_key_type_of(*algorithm);
    const struct config_token *const rules = token_keys_rules(verifier->keys, kind);
    const bool has_set = rules->jwks_public_endpoint != NULL || rules->jwks_file != NULL;
    if (has_set && type != TOKEN_KEY_HMAC) {
        return find_in_set(verifier, kind, header, *algorithm, key);
    }
    *key = token_keys_find(verifier->keys, kind, type);
    if (*key == NULL) {
        return refuse(verifier, TOKEN_BAD_ALGORITHM, "no key for its alg is configured");
    }
    if (!token_key_takes(*key, *algorithm)) {
        return refuse(verifier, TOKEN_BAD_ALGORITHM, "its alg is not that of the key's curve");
    }
    return TOKEN_GOOD;
}

/* -- what it says ------------------------------------------------------------------------------ */

static enum token_reason judge_times(struct token_verifier *verifier,
                                     const struct config_token *config, int64_t now_s)
{
    const struct token_claims *const claims = &verifier->claims;
    const int64_t leeway_s = (int64_t)(config->leeway_ns / MONOTIME_NS_PER_S);

    if (claims->nbf.is_there && claims->nbf.s > now_s + leeway_s) {
        return refuse(verifier, TOKEN_NOT_YET, "its nbf is in the future");
    }
    if (claims->iat.is_there && claims->iat.s > now_s + leeway_s) {
        return refuse(verifier, TOKEN_NOT_YET, "its iat is in the future");
    }
    if (!claims->exp.is_there && config->require_exp) {
        return refuse(verifier, TOKEN_BAD_CLAIMS, "it has no exp");
    }
    if (claims->exp.is_there && claims->exp.s + leeway_s <= now_s) {
        return refuse(verifier, TOKEN_EXPIRED, "its exp is over");
    }
    if (claims->expire_at.is_there && claims->expire_at.s != 0 &&
        claims->expire_at.s + leeway_s <= now_s) {
        return refuse(verifier, TOKEN_EXPIRED, "its expire_at is over");
    }
    return TOKEN_GOOD;
}

static enum token_reason judge(struct token_verifier *verifier, enum claims_kind kind,
                               const struct config_token *config, int64_t now_s)
{
    const struct token_claims *const claims = &verifier->claims;
    const bool has_channel = claims->channel.size > 0;

    if (kind == CLAIMS_CONNECTION && has_channel) {
        return refuse(verifier, TOKEN_WRONG_KIND, "it has a channel: it is for a subscription");
    }
    if (kind == CLAIMS_SUBSCRIPTION && !has_channel) {
        return refuse(verifier, TOKEN_WRONG_KIND, "it has no channel: it is for a connection");
    }
    if (config->issuer != NULL && !bytes_are(claims->iss, config->issuer)) {
        return refuse(verifier, TOKEN_WRONG_ISSUER, "its iss is not the configured issuer");
    }
    const struct bytes audience = {(const uint8_t *)config->audience,
                                   config->audience == NULL ? 0 : strlen(config->audience)};
    if (config->audience != NULL && !token_claims_name(claims, audience)) {
        return refuse(verifier, TOKEN_WRONG_AUDIENCE, "its aud has not the configured audience");
    }
    return judge_times(verifier, config, now_s);
}

/* Until `at_s`, which may be past by the leeway: then it has its last second. */
static uint32_t seconds_until(int64_t at_s, int64_t now_s)
{
    const int64_t left_s = at_s - now_s;
    if (left_s < 1) {
        return 1;
    }
    return left_s < UINT32_MAX ? (uint32_t)left_s : UINT32_MAX;
}

static void fill(const struct token_claims *from, int64_t now_s, struct claims *claims)
{
    const struct token_time end = from->expire_at.is_there ? from->expire_at : from->exp;

    *claims = (struct claims){
        .user = from->sub,
        .channel = from->channel,
        .info = from->info,
        .meta = from->meta,
        .expires = end.is_there && !(from->expire_at.is_there && end.s == 0),
        .issued_at_s = from->iat.is_there && from->iat.s > 0 ? (uint64_t)from->iat.s : 0,
        .id = from->jti,
        .subscriptions = from->subscriptions,
        .subscription_count = from->subscription_count,
        .overrides = from->overrides,
    };
    claims->ttl_s = claims->expires ? seconds_until(end.s, now_s) : 0;
}

/* -- all of it --------------------------------------------------------------------------------- */

static enum token_reason verify(struct token_verifier *verifier, enum claims_kind kind,
                                struct bytes token, struct claims *claims)
{
    const struct token_verifier_options *const options = &verifier->options;
    const struct token_key *key = NULL;
    enum token_algorithm algorithm = TOKEN_ALGORITHM_COUNT;
    struct header header = {0};
    struct parts parts;

    enum token_reason reason = take_apart(verifier, token, &parts);
    if (reason == TOKEN_GOOD) {
        reason = read_header(verifier, parts.header, &header);
    }
    if (reason == TOKEN_GOOD) {
        reason = find_key(verifier, kind, &header, &algorithm, &key);
    }
    if (reason != TOKEN_GOOD) {
        return reason;
    }
    if (parts.signature.size != token_key_signature_size(key, algorithm)) {
        return refuse(verifier, TOKEN_BAD_SIGNATURE, "its signature has not the size for its alg");
    }
    const uint64_t refused = tls_memory_refused();
    if (!token_key_verify(key, algorithm, token)) {
        return tls_memory_refused() != refused
                   ? refuse(verifier, TOKEN_UNAVAILABLE, "there is no memory to check it with")
                   : refuse(verifier, TOKEN_BAD_SIGNATURE, "its signature is not that of the key");
    }
    const struct span payload = {verifier->payload, parts.payload.size};
    const char *const fault = token_claims_read(payload, &verifier->claims);
    if (fault != NULL) {
        return refuse(verifier, TOKEN_BAD_CLAIMS, fault);
    }
    const int64_t now_s = (int64_t)(options->now_ms(options->now_context) / MS_PER_S);
    reason = judge(verifier, kind, token_keys_rules(verifier->keys, kind), now_s);
    if (reason == TOKEN_GOOD) {
        fill(&verifier->claims, now_s, claims);
    }
    return reason;
}

_Static_assert(METRIC_TOKENS_REJECTED_EXPIRED - METRIC_TOKENS_REJECTED_TOO_LONG ==
                   (int)TOKEN_EXPIRED - (int)TOKEN_TOO_LONG,
               "a metric for each reason, in the same order");

enum token_reason token_verify(struct token_verifier *verifier, enum claims_kind kind,
                               struct bytes token, struct claims *claims)
{
    struct metrics *const metrics = verifier->options.metrics;
    verifier->why = "";
    const enum token_reason reason = verify(verifier, kind, token, claims);

    if (metrics != NULL && reason != TOKEN_GOOD) {
        const int id = METRIC_TOKENS_REJECTED_TOO_LONG + (int)reason - (int)TOKEN_TOO_LONG;
        metrics_add(metrics, (enum metrics_id)id, 1);
    }
    verifier->fault = (struct token_fault){.reason = reason};
    return reason;
}

bool token_verifier_take_fault(struct token_verifier *verifier, struct token_fault *fault)
{
    if (verifier->fault.reason == TOKEN_GOOD) {
        return false;
    }
    *fault = verifier->fault;
    fault->why = verifier->why;
    verifier->fault.reason = TOKEN_GOOD;
    return true;
}

static enum claims_verdict verify_for_hub(void *context, enum claims_kind kind, struct bytes token,
                                          struct claims *claims)
{
    switch (token_verify(context, kind, token, claims)) {
    case TOKEN_GOOD:
        return CLAIMS_VALID;
    case TOKEN_EXPIRED:
        return CLAIMS_EXPIRED;
    case TOKEN_UNAVAILABLE:
        return CLAIMS_UNAVAILABLE;
    case TOKEN_TOO_LONG:
    case TOKEN_MALFORMED:
    case TOKEN_BAD_ALGORITHM:
    case TOKEN_UNKNOWN_KEY:
    case TOKEN_BAD_SIGNATURE:
    case TOKEN_BAD_CLAIMS:
    case TOKEN_WRONG_KIND:
    case TOKEN_WRONG_ISSUER:
    case TOKEN_WRONG_AUDIENCE:
    case TOKEN_NOT_YET:
        return CLAIMS_INVALID;
    case TOKEN_REASON_COUNT:
        break;
    }
    NEVER("a reason that is not one");
}

const struct claims_verifier *token_verifier_seam(const struct token_verifier *verifier)
{
    return token_keys_is_empty(verifier->keys) ? NULL : &verifier->seam;
}
