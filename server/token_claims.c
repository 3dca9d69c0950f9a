/* SPDX-License-Identifier: Apache-2.0 */
#include "server/token_claims.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/base64.h"
#include "proto/fields.h"
#include "proto/json.h"
#include "proto/utf8.h"

enum {
    TIME_SIZE_MAX = 32,   /* bytes of a number that is a time */
    NAME_SIZE_MAX = 1536, /* bytes of an audience that is written with escapes */
};

/* Beyond the year 30,000,000 nobody means seconds, and sums of two cannot overflow. */
static const double time_max_s = 1e15;

/* What an object of `override` says, as it is read. */
struct override {
    bool is_there;
    bool value;
};

struct overrides {
    struct override presence;
    struct override join_leave;
    struct override force_recovery;
    struct override force_positioning;
    struct override force_push_join_leave;
};

/* The members of a payload, and those of one of its `subs`. */
struct members {
    bool has_override;
    struct overrides override;
    struct bytes sub;
    struct bytes channel;
    struct bytes info;
    struct bytes b64info;
    struct bytes data;
    struct bytes b64data;
    struct bytes meta;
    struct bytes jti;
    struct bytes iss;
    struct bytes aud;
    struct bytes exp;
    struct bytes nbf;
    struct bytes iat;
    struct bytes expire_at;
    struct bytes channels;
    struct bytes subs;
};

#define ROW(member, kind) FIELDS_ROW(struct members, member, #member, kind)
#define VALUE_TABLE(name)                                                                          \
    static const struct fields_row name##_rows[] = {                                               \
        FIELDS_ROW(struct members, override.name.value, "value", FIELDS_BOOL)};                    \
    static const struct fields_table name##_table = FIELDS_TABLE(name##_rows)
#define OVERRIDE_ROW(name)                                                                         \
    FIELDS_INNER(struct members, override.name.is_there, #name, &name##_table)

VALUE_TABLE(presence);
VALUE_TABLE(join_leave);
VALUE_TABLE(force_recovery);
VALUE_TABLE(force_positioning);
VALUE_TABLE(force_push_join_leave);

static const struct fields_row override_rows[] = {
    OVERRIDE_ROW(presence),
    OVERRIDE_ROW(join_leave),
    OVERRIDE_ROW(force_recovery),
    OVERRIDE_ROW(force_positioning),
    OVERRIDE_ROW(force_push_join_leave),
};
static const struct fields_table override_table = FIELDS_TABLE(override_rows);

static const struct fields_row payload_rows[] = {
    ROW(sub, FIELDS_STRING),
    ROW(channel, FIELDS_STRING),
    ROW(info, FIELDS_RAW),
    ROW(b64info, FIELDS_STRING),
    ROW(meta, FIELDS_RAW_OBJECT),
    ROW(jti, FIELDS_STRING),
    ROW(iss, FIELDS_STRING),
    ROW(aud, FIELDS_RAW),
    ROW(exp, FIELDS_RAW),
    ROW(nbf, FIELDS_RAW),
    ROW(iat, FIELDS_RAW),
    ROW(expire_at, FIELDS_RAW),
    ROW(channels, FIELDS_RAW_ARRAY),
    ROW(subs, FIELDS_RAW_OBJECT),
    FIELDS_INNER(struct members, has_override, "override", &override_table),
};
static const struct fields_table payload_table = FIELDS_TABLE(payload_rows);

static const struct fields_row subscription_rows[] = {
    ROW(info, FIELDS_RAW),
    ROW(b64info, FIELDS_STRING),
    ROW(data, FIELDS_RAW),
    ROW(b64data, FIELDS_STRING),
    FIELDS_INNER(struct members, has_override, "override", &override_table),
};
static const struct fields_table subscription_table = FIELDS_TABLE(subscription_rows);

static bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static bool is_absent(struct bytes raw)
{
    return raw.size == 0 || bytes_equal(raw, (struct bytes){(const uint8_t *)"null", 4});
}

static bool is_utf8(struct bytes text)
{
    struct utf8_state state = {0};
    return utf8_check(simd_choose(CPU_SIMD_SCALAR), &state, text) == UTF8_VALID &&
           utf8_is_complete(state);
}

/* The same bytes, to write to: everything that is read is inside the payload. */
static uint8_t *writable(struct span payload, struct bytes view)
{
    const size_t offset = (size_t)(view.data - payload.data);
    CHECK(offset <= payload.size);
    CHECK(view.size <= payload.size - offset);
    return payload.data + offset;
}

/* -- single claims ----------------------------------------------------------------------------- */

/* RFC 7519: a number of seconds, which need not be an integer. */
static const char *read_time(struct bytes raw, const char *fault, struct token_time *time)
{
    char text[TIME_SIZE_MAX + 1] = "";
    struct json_reader reader;

    if (is_absent(raw)) {
        return NULL;
    }
    json_reader_init(&reader, raw, 1);
    if (json_peek(&reader) != JSON_NUMBER || raw.size > TIME_SIZE_MAX) {
        return fault;
    }
    memcpy(text, raw.data, raw.size);
    const double seconds = strtod(text, NULL);
    if (seconds < -time_max_s || seconds > time_max_s) {
        return fault;
    }
    const int64_t whole = (int64_t)seconds; /* towards 0 */
    *time = (struct token_time){.s = (double)whole > seconds ? whole - 1 : whole, .is_there = true};
    return NULL;
}

/* The JSON of `raw`, or of the base64 in `encoded`, which wins; empty when both are absent. */
static bool read_json(struct span payload, struct bytes raw, struct bytes encoded,
                      struct bytes *json)
{
    if (encoded.size == 0) {
        *json = is_absent(raw) ? (struct bytes){NULL, 0} : raw;
        return true;
    }
    uint8_t *place = writable(payload, encoded);
    size_t size = 0;
    if (!base64_decode(BASE64_PADDED, encoded, place, &size) ||
        !is_utf8((struct bytes){place, size}) ||
        json_validate((struct bytes){place, size}, TOKEN_CLAIMS_DEPTH_MAX) != JSON_OK) {
        return false;
    }
    *json = (struct bytes){place, json_compact((struct span){place, size})};
    return true;
}

static enum claims_override override_of(struct override override)
{
    if (!override.is_there) {
        return CLAIMS_KEEP;
    }
    return override.value ? CLAIMS_ON : CLAIMS_OFF;
}

static struct claims_overrides overrides_of(const struct members *members)
{
    const struct overrides *override = &members->override;
    return (struct claims_overrides){
        .presence = override_of(override->presence),
        .join_leave = override_of(override->join_leave),
        .force_recovery = override_of(override->force_recovery),
        .force_positioning = override_of(override->force_positioning),
        .force_push_join_leave = override_of(override->force_push_join_leave),
    };
}

/* -- lists ------------------------------------------------------------------------------------- */

static bool decode(struct span payload, struct json_string string, struct bytes *text)
{
    size_t size = string.raw.size;
    if (string.escaped &&
        json_decode_string(string, writable(payload, string.raw), &size) != JSON_OK) {
        return false;
    }
    *text = (struct bytes){string.raw.data, size};
    return true;
}

static bool is_listed(const struct token_claims *claims, struct bytes channel)
{
    for (size_t i = 0; i < claims->subscription_count; i++) {
        if (bytes_equal(claims->subscriptions[i].channel, channel)) {
            return true;
        }
    }
    return false;
}

static bool append(struct token_claims *claims, const struct claims_subscription *subscription)
{
    if (claims->subscription_count == TOKEN_CLAIMS_SUBSCRIPTIONS_MAX ||
        subscription->channel.size == 0) {
        return false;
    }
    claims->subscriptions[claims->subscription_count++] = *subscription;
    return true;
}

/* The next member of `subs`, whose name was read: {info, b64info, data, b64data, override}. */
static bool read_subscription(struct span payload, struct json_reader *reader,
                              struct json_string name, struct token_claims *claims)
{
    struct members members = {0};
    struct claims_subscription subscription = {0};

    if (!decode(payload, name, &subscription.channel) || is_listed(claims, subscription.channel) ||
        fields_read(reader, payload, &subscription_table, &members) != JSON_OK ||
        !read_json(payload, members.info, members.b64info, &subscription.info) ||
        !read_json(payload, members.data, members.b64data, &subscription.data)) {
        return false;
    }
    subscription.overrides = overrides_of(&members);
    return append(claims, &subscription);
}

static const char *read_subs(struct span payload, struct bytes raw, struct token_claims *claims)
{
    struct json_reader reader;
    struct json_string name;

    if (raw.size == 0) {
        return NULL;
    }
    json_reader_init(&reader, raw, TOKEN_CLAIMS_DEPTH_MAX);
    enum json_verdict verdict = json_open_object(&reader);
    while (verdict == JSON_OK) {
        verdict = json_next_member(&reader, &name);
        if (verdict == JSON_OK && !read_subscription(payload, &reader, name, claims)) {
            return "subs is not an object of at most 256 channels and their options";
        }
    }
    CHECK(verdict == JSON_END);
    return NULL;
}

static const char *read_channels(struct span payload, struct bytes raw, struct token_claims *claims)
{
    static const char fault[] = "channels is not an array of at most 256 names";
    struct json_reader reader;
    struct json_string name;

    if (raw.size == 0) {
        return NULL;
    }
    json_reader_init(&reader, raw, TOKEN_CLAIMS_DEPTH_MAX);
    enum json_verdict verdict = json_open_array(&reader);
    while (verdict == JSON_OK) {
        verdict = json_next_element(&reader);
        if (verdict != JSON_OK) {
            break;
        }
        struct claims_subscription subscription = {0};
        if (json_read_string(&reader, &name) != JSON_OK ||
            !decode(payload, name, &subscription.channel)) {
            return fault;
        }
        if (!is_listed(claims, subscription.channel) && !append(claims, &subscription)) {
            return fault;
        }
    }
    CHECK(verdict == JSON_END);
    return NULL;
}

/* A string, or an array of nothing but strings; they stay as they are. */
static const char *check_audience(struct bytes raw)
{
    static const char fault[] = "aud is not a string, nor an array of strings";
    struct json_reader reader;
    struct json_string name;

    json_reader_init(&reader, raw, 1);
    if (json_peek(&reader) == JSON_STRING) {
        return NULL;
    }
    if (json_open_array(&reader) != JSON_OK) {
        return fault;
    }
    enum json_verdict verdict = json_next_element(&reader);
    while (verdict == JSON_OK) {
        verdict = json_read_string(&reader, &name);
        verdict = verdict == JSON_OK ? json_next_element(&reader) : verdict;
    }
    return verdict == JSON_END ? NULL : fault;
}

static bool name_is(struct json_string string, struct bytes name)
{
    uint8_t text[NAME_SIZE_MAX];
    size_t size = string.raw.size;

    if (!string.escaped) {
        return bytes_equal(string.raw, name);
    }
    return size <= sizeof(text) && json_decode_string(string, text, &size) == JSON_OK &&
           bytes_equal((struct bytes){text, size}, name);
}

bool token_claims_name(const struct token_claims *claims, struct bytes name)
{
    struct json_reader reader;
    struct json_string string;

    if (claims->aud.size == 0) {
        return false;
    }
    json_reader_init(&reader, claims->aud, 1);
    if (json_peek(&reader) == JSON_STRING) {
        return json_read_string(&reader, &string) == JSON_OK && name_is(string, name);
    }
    enum json_verdict verdict = json_open_array(&reader);
    while (verdict == JSON_OK && json_next_element(&reader) == JSON_OK) {
        verdict = json_read_string(&reader, &string);
        if (verdict == JSON_OK && name_is(string, name)) {
            return true;
        }
    }
    return false;
}

/* -- all of it --------------------------------------------------------------------------------- */

static const char *read_times(const struct members *members, struct token_claims *claims)
{
    const char *fault = read_time(members->exp, "exp is not a time in seconds", &claims->exp);
    if (fault == NULL) {
        fault = read_time(members->nbf, "nbf is not a time in seconds", &claims->nbf);
    }
    if (fault == NULL) {
        fault = read_time(members->iat, "iat is not a time in seconds", &claims->iat);
    }
    if (fault == NULL) {
        fault =
            read_time(members->expire_at, "expire_at is not a time in seconds", &claims->expire_at);
    }
    return fault;
}

static const char *why_not_read(enum json_verdict verdict)
{
    switch (verdict) {
    case JSON_DUPLICATE_KEY:
        return "a claim is there twice";
    case JSON_TOO_DEEP:
        return "the payload is nested too deeply";
    case JSON_WRONG_TYPE:
        return "a claim has not the type that it must have, or the payload is no object";
    case JSON_OK:
    case JSON_END:
    case JSON_BAD_SYNTAX:
    case JSON_BAD_STRING:
    case JSON_BAD_NUMBER:
    case JSON_BAD_UNICODE:
    case JSON_OUT_OF_RANGE:
        break;
    }
    return "the payload is not JSON";
}

const char *token_claims_read(struct span payload, struct token_claims *claims)
{
    struct members members = {0};
    struct json_reader reader;
    const struct bytes text = {payload.data, payload.size};

    memset(claims, 0, sizeof(*claims)); /* a compound literal would be a second one on the stack */
    if (!is_utf8(text)) {
        return "the payload is not UTF-8";
    }
    const enum json_verdict whole = json_validate(text, TOKEN_CLAIMS_DEPTH_MAX);
    if (whole != JSON_OK) {
        return why_not_read(whole);
    }
    json_reader_init(&reader, text, TOKEN_CLAIMS_DEPTH_MAX);
    const enum json_verdict verdict = fields_read(&reader, payload, &payload_table, &members);
    if (verdict != JSON_OK) {
        return why_not_read(verdict);
    }
    claims->sub = members.sub;
    claims->channel = members.channel;
    claims->meta = members.meta;
    claims->jti = members.jti;
    claims->iss = members.iss;
    claims->overrides = overrides_of(&members);
    const char *fault = read_times(&members, claims);
    if (fault == NULL && !is_absent(members.aud)) {
        claims->aud = members.aud;
        fault = check_audience(members.aud);
    }
    if (fault == NULL && !read_json(payload, members.info, members.b64info, &claims->info)) {
        fault = "b64info is not base64 of JSON";
    }
    if (fault == NULL) {
        fault = read_subs(payload, members.subs, claims);
    }
    return fault != NULL ? fault : read_channels(payload, members.channels, claims);
}
