/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens: every algorithm is accepted; what has been forged elsewhere is refused, from tables with
 * the reason of each (LIMITS.md rows 51 to 55); and what a good one says is what the hub is told.
 *
 * Time stands still at NOW. Tokens are signed by OpenSSL alone (token_forge.h).
 */
#include "server/token.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics.h"
#include "server/config.h"
#include "server/token_keys.h"
#include "tests/unit/server/token_forge.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define NOW     1800000000
#define HS256   "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define PAYLOAD "{\"sub\":\"42\",\"exp\":1800000100}"

struct world {
    struct config config;
    struct token_keys *keys;
    struct token_verifier *verifier;
    struct metrics *metrics;
    uint64_t now_ms;
};

static struct forge forge;

static void make_keys(void)
{
    forge_init(&forge);
}

static void forget_keys(void)
{
    forge_deinit(&forge);
}

static uint64_t read_now(void *context)
{
    return ((const struct world *)context)->now_ms;
}

/* `token` and `subscription_token`: more lines of these sections, as JSON members. */
static void world_init(struct world *world, const char *token, const char *subscription_token)
{
    char error[CONFIG_ERROR_SIZE] = "";
    char *text = NULL;
    const int size = asprintf(&text, "client: {token: {%s}, subscription_token: {%s}}", token,
                              subscription_token);
    ck_assert_int_gt(size, 0);
    ck_assert_msg(config_load_memory("t", (struct bytes){(uint8_t *)text, (size_t)size},
                                     &world->config, error, sizeof(error)) == 0,
                  "%s", error);
    free(text);
    world->keys = token_keys_create(&world->config.client, error);
    ck_assert_msg(world->keys != NULL, "%s", error);
    world->now_ms = UINT64_C(1000) * NOW;
    world->metrics = aligned_alloc(_Alignof(struct metrics), sizeof(struct metrics));
    ck_assert_ptr_nonnull(world->metrics);
    memset(world->metrics, 0, sizeof(*world->metrics));
    const struct token_verifier_options options = {
        .keys = world->keys,
        .now_ms = read_now,
        .now_context = world,
        .metrics = world->metrics,
    };
    world->verifier = token_verifier_create(&options);
    ck_assert_ptr_nonnull(world->verifier);
}

static void world_deinit(struct world *world)
{
    token_verifier_destroy(world->verifier);
    token_keys_unref(world->keys);
    config_destroy(&world->config);
    free(world->metrics);
}

/* A PEM as it stands in a JSON string. */
static char *escape(const char *pem)
{
    char *text = malloc(2 * strlen(pem) + 1);
    char *at = text;
    ck_assert_ptr_nonnull(text);
    for (; *pem != '\0'; pem++) {
        if (*pem == '\n') {
            *at++ = '\\';
            *at++ = 'n';
        } else {
            *at++ = *pem;
        }
    }
    *at = '\0';
    return text;
}

/* All three types of keys at once, the ECDSA key of that curve. */
static void world_init_with_all(struct world *world, int curve)
{
    char *rsa_pem = forge_public_pem(forge.rsa);
    char *ec_pem = forge_public_pem(forge.ec[curve]);
    char *rsa = escape(rsa_pem);
    char *ec = escape(ec_pem);
    char *text = NULL;
    ck_assert_int_gt(asprintf(&text,
                              "hmac_secret_key: %s, rsa_public_key: \"%s\", "
                              "ecdsa_public_key: \"%s\"",
                              FORGE_SECRET, rsa, ec),
                     0);
    world_init(world, text, "");
    free(text);
    free(rsa);
    free(ec);
    free(rsa_pem);
    free(ec_pem);
}

static const char plain[] = "hmac_secret_key: " FORGE_SECRET;

/* From an exact-size heap copy, so that AddressSanitizer sees a read past the token. */
static enum token_reason check_bytes(struct world *world, enum claims_kind kind, const char *token,
                                     size_t size, struct claims *claims)
{
    uint8_t *copy = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, token, size);
    const enum token_reason reason =
        token_verify(world->verifier, kind, (struct bytes){copy, size}, claims);
    free(copy);
    return reason;
}

static enum token_reason check(struct world *world, const char *token, struct claims *claims)
{
    return check_bytes(world, CLAIMS_CONNECTION, token, strlen(token), claims);
}

static void expect(struct world *world, const char *why, const char *token,
                   enum token_reason reason)
{
    struct claims claims;
    const enum token_reason found = check(world, token, &claims);
    ck_assert_msg(found == reason, "%s: expected %s, found %s (%s)", why, token_reason_name(reason),
                  token_reason_name(found), token_verifier_why(world->verifier));
    if (reason != TOKEN_GOOD) {
        ck_assert_str_ne(token_verifier_why(world->verifier), "");
        const int id = METRIC_TOKENS_REJECTED_TOO_LONG + (int)reason - (int)TOKEN_TOO_LONG;
        ck_assert_uint_gt(metrics_read(world->metrics, (enum metrics_id)id), 0);
    }
}

static char *hs256(const char *header, const char *payload)
{
    return forge_hmac(header, payload, 256, FORGE_SECRET, strlen(FORGE_SECRET));
}

static bool bytes_are(struct bytes text, const char *word)
{
    return text.size == strlen(word) && (text.size == 0 || memcmp(text.data, word, text.size) == 0);
}

/* -- every algorithm --------------------------------------------------------------------------- */

START_TEST(takes_hmac_and_rsa)
{
    static const int bits[] = {256, 384, 512};
    struct world world;
    char header[32];

    world_init_with_all(&world, 0);
    for (size_t i = 0; i < COUNT_OF(bits); i++) {
        (void)snprintf(header, sizeof(header), "{\"alg\":\"HS%d\"}", bits[i]);
        char *token = forge_hmac(header, PAYLOAD, bits[i], FORGE_SECRET, strlen(FORGE_SECRET));
        expect(&world, header, token, TOKEN_GOOD);
        free(token);
        (void)snprintf(header, sizeof(header), "{\"alg\":\"RS%d\"}", bits[i]);
        token = forge_rsa(header, PAYLOAD, forge.rsa, bits[i], RSA_PKCS1_PADDING);
        expect(&world, header, token, TOKEN_GOOD);
        free(token);
    }
    world_deinit(&world);
}
END_TEST

static const struct {
    const char *header;
    int bits;
    int size; /* bytes of a signature */
} curves[] = {
    {"{\"alg\":\"ES256\"}", 256, 64},
    {"{\"alg\":\"ES384\"}", 384, 96},
    {"{\"alg\":\"ES512\"}", 512, 132},
};

/* Each curve has one algorithm, and the two others are refused with a signature that is good. */
START_TEST(takes_ecdsa)
{
    struct world world;

    world_init_with_all(&world, _i);
    for (int i = 0; i < FORGE_CURVE_COUNT; i++) {
        char *token =
            forge_ecdsa(curves[i].header, PAYLOAD, forge.ec[_i], curves[i].bits, curves[_i].size);
        expect(&world, curves[i].header, token, i == _i ? TOKEN_GOOD : TOKEN_BAD_ALGORITHM);
        free(token);
    }
    world_deinit(&world);
}
END_TEST

/* -- signatures -------------------------------------------------------------------------------- */

START_TEST(refuses_hmac_of_others)
{
    struct world world;
    char *pem = forge_public_pem(forge.rsa);
    const struct {
        const char *why;
        const char *secret;
        size_t size;
    } cases[] = {
        {"RS -> HS confusion: the public key as secret", pem, strlen(pem)},
        {"and without its last newline", pem, strlen(pem) - 1},
        {"an empty secret (CVE-2026-44699)", "", 0},
        {"a zero byte", "\0", 1},
        {"a guess", "secret", 6},
        {"a part of the secret", FORGE_SECRET, strlen(FORGE_SECRET) - 1},
        {"more than the secret", FORGE_SECRET "0", strlen(FORGE_SECRET) + 1},
    };

    world_init_with_all(&world, 0);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char *token = forge_hmac(HS256, PAYLOAD, 256, cases[i].secret, cases[i].size);
        expect(&world, cases[i].why, token, TOKEN_BAD_SIGNATURE);
        free(token);
    }
    world_deinit(&world);
    free(pem);
}
END_TEST

/* The server has a public key only: whoever signs with it as a secret is not even looked at. */
START_TEST(refuses_what_has_no_key)
{
    struct world world;
    char *pem = forge_public_pem(forge.rsa);
    char *escaped = escape(pem);
    char *text = NULL;

    ck_assert_int_gt(asprintf(&text, "rsa_public_key: \"%s\"", escaped), 0);
    world_init(&world, text, "");
    char *token = forge_hmac(HS256, PAYLOAD, 256, pem, strlen(pem));
    expect(&world, "RS -> HS confusion", token, TOKEN_BAD_ALGORITHM);
    free(token);
    token = forge_hmac(HS256, PAYLOAD, 256, "", 0);
    expect(&world, "an empty secret", token, TOKEN_BAD_ALGORITHM);
    free(token);
    token = forge_ecdsa(curves[0].header, PAYLOAD, forge.ec[0], 256, 64);
    expect(&world, "an ECDSA key", token, TOKEN_BAD_ALGORITHM);
    free(token);
    world_deinit(&world);
    free(text);
    free(escaped);
    free(pem);
}
END_TEST

START_TEST(refuses_rsa_of_others)
{
    static const char rs256[] = "{\"alg\":\"RS256\"}";
    struct world world;

    world_init_with_all(&world, 0);
    char *token = forge_rsa(rs256, PAYLOAD, forge.other_rsa, 256, RSA_PKCS1_PADDING);
    expect(&world, "another key", token, TOKEN_BAD_SIGNATURE);
    free(token);
    token = forge_rsa(rs256, PAYLOAD, forge.rsa, 512, RSA_PKCS1_PADDING);
    expect(&world, "another hash", token, TOKEN_BAD_SIGNATURE);
    free(token);
    token = forge_rsa(rs256, PAYLOAD, forge.rsa, 256, RSA_PKCS1_PSS_PADDING);
    expect(&world, "PSS for PKCS #1", token, TOKEN_BAD_SIGNATURE);
    free(token);
    token = forge_rsa("{\"alg\":\"PS256\"}", PAYLOAD, forge.rsa, 256, RSA_PKCS1_PSS_PADDING);
    expect(&world, "PS256", token, TOKEN_BAD_ALGORITHM);
    free(token);
    token = forge_ecdsa(rs256, PAYLOAD, forge.ec[0], 256, 64);
    expect(&world, "an ECDSA signature", token, TOKEN_BAD_SIGNATURE);
    free(token);
    world_deinit(&world);
}
END_TEST

/* An ECDSA signature of `size` bytes that are all `byte`. */
static void expect_ecdsa(struct world *world, const char *why, size_t size, int byte)
{
    uint8_t *signature = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(signature);
    memset(signature, byte, size);
    char *token = forge_join(forge_signed_part(curves[0].header, PAYLOAD), signature, size);
    expect(world, why, token,
           strlen(token) > TOKEN_SIZE_MAX ? TOKEN_TOO_LONG : TOKEN_BAD_SIGNATURE);
    free(token);
    free(signature);
}

START_TEST(refuses_ecdsa_of_others)
{
    static const size_t sizes[] = {0,  1,  2,  31, 32,  33,  62,  63,  65,   66,   70,   71,
                                   72, 73, 95, 96, 128, 131, 132, 133, 1024, 2900, 5000, 22000};
    struct world world;

    world_init_with_all(&world, 0);
    expect_ecdsa(&world, "r = s = 0 (CVE-2022-21449)", 64, 0);
    expect_ecdsa(&world, "r and s above the order", 64, 0xff);
    expect_ecdsa(&world, "r = s", 64, 1);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        expect_ecdsa(&world, "another size", sizes[i], 1);
    }
    char *token = forge_ecdsa(curves[0].header, PAYLOAD, forge.other_ec, 256, 64);
    expect(&world, "another key", token, TOKEN_BAD_SIGNATURE);
    free(token);
    token = forge_ecdsa(curves[0].header, PAYLOAD, forge.ec[1], 256, 96);
    expect(&world, "another curve", token, TOKEN_BAD_SIGNATURE);
    free(token);
    token = forge_ecdsa(curves[0].header, PAYLOAD, forge.ec[0], 256, 66);
    expect(&world, "the right numbers with leading zeros", token, TOKEN_BAD_SIGNATURE);
    free(token);
    token = forge_ecdsa_der(curves[0].header, PAYLOAD, forge.ec[0], 256);
    expect(&world, "DER in place of r and s", token, TOKEN_BAD_SIGNATURE);
    free(token);
    world_deinit(&world);
}
END_TEST

/* Every bit of a token counts. */
START_TEST(refuses_each_change)
{
    struct world world;
    struct claims claims;

    world_init(&world, plain, "");
    char *token = hs256(HS256, PAYLOAD);
    for (size_t i = 0; token[i] != '\0'; i++) {
        const char kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        ck_assert_msg(check(&world, token, &claims) != TOKEN_GOOD, "changed at %zu", i);
        token[i] = '\0';
        ck_assert_msg(check(&world, token, &claims) != TOKEN_GOOD, "cut at %zu", i);
        token[i] = kept;
    }
    ck_assert_int_eq(check(&world, token, &claims), TOKEN_GOOD);
    free(token);
    world_deinit(&world);
}
END_TEST

/* -- the text ---------------------------------------------------------------------------------- */

/* %s is a good token, $ its header, ! its payload, & its signature. */
static const struct {
    const char *why;
    const char *text;
} texts[] = {
    {"nothing", ""},
    {"no dot", "$"},
    {"one dot", "$.!"},
    {"only dots", ".."},
    {"no header", ".!.&"},
    {"no payload", "$..&"},
    {"a fourth part", "$.!.&.&"},
    {"a fourth, empty part", "$.!.&."},
    {"an encrypted token", "$.!.&.&.&"},
    {"white space before", " $.!.&"},
    {"white space behind", "$.!.& "},
    {"a newline behind", "$.!.&\n"},
    {"a scheme before", "Bearer $.!.&"},
    {"padding of the signature", "$.!.&="},
    {"padding of the header", "$=.!.&"},
    {"a character of base64", "$.!.+&"},
    {"a slash", "$.!.&/"},
    {"percent-encoded", "$%2E!%2E&"},
    {"a quoted token", "\"$.!.&\""},
    {"JWS as JSON", "{\"protected\":\"$\",\"payload\":\"!\",\"signature\":\"&\"}"},
    {"more than ASCII", "$.!.&\xc3\xa9"},
};

static void append_part(char *text, const char *token, int number)
{
    for (int i = 0; i < number; i++) {
        token = strchr(token, '.') + 1;
    }
    strncat(text, token, strcspn(token, "."));
}

START_TEST(refuses_text)
{
    char text[1024] = "";
    struct world world;
    char *token = hs256(HS256, PAYLOAD);

    world_init(&world, plain, "");
    for (const char *at = texts[_i].text; *at != '\0'; at++) {
        const char *const mark = strchr("$!&", *at);
        if (mark != NULL) {
            append_part(text, token, *mark == '$' ? 0 : *mark == '!' ? 1 : 2);
        } else {
            strncat(text, at, 1);
        }
    }
    expect(&world, texts[_i].why, text, TOKEN_MALFORMED);
    expect(&world, "untouched", token, TOKEN_GOOD);
    free(token);
    world_deinit(&world);
}
END_TEST

/* 4096 bytes and a zero byte in it. */
/* For a line of the log: once, and nothing of the token. */
START_TEST(tells_of_a_refusal_once)
{
    struct world world;
    struct token_fault fault;
    char *good = forge_hmac(HS256, PAYLOAD, 256, FORGE_SECRET, strlen(FORGE_SECRET));
    char *bad = forge_hmac(HS256, PAYLOAD, 256, "secret", 6);

    world_init_with_all(&world, 0);
    ck_assert(!token_verifier_take_fault(world.verifier, &fault));
    expect(&world, "a guess", bad, TOKEN_BAD_SIGNATURE);
    ck_assert(token_verifier_take_fault(world.verifier, &fault));
    ck_assert_int_eq(fault.reason, TOKEN_BAD_SIGNATURE);
    ck_assert_ptr_nonnull(fault.why);
    ck_assert(!token_verifier_take_fault(world.verifier, &fault));
    expect(&world, "a guess", bad, TOKEN_BAD_SIGNATURE);
    expect(&world, "a good one after it", good, TOKEN_GOOD);
    ck_assert(!token_verifier_take_fault(world.verifier, &fault));
    world_deinit(&world);
    free(good);
    free(bad);
}
END_TEST

START_TEST(has_a_size)
{
    char payload[TOKEN_SIZE_MAX];
    struct world world;
    struct claims claims;

    world_init(&world, plain, "");
    char *shortest = hs256(HS256, "{\"x\":\"\"}");
    const size_t room = (TOKEN_SIZE_MAX - strlen(shortest)) / 4 * 3;
    free(shortest);
    for (size_t more = 0; more < 8; more++) {
        (void)snprintf(payload, sizeof(payload), "{\"x\":\"%0*d\"}", (int)(room - 4 + more), 0);
        char *token = hs256(HS256, payload);
        expect(&world, "size", token,
               strlen(token) <= TOKEN_SIZE_MAX ? TOKEN_GOOD : TOKEN_TOO_LONG);
        free(token);
    }
    char *token = hs256(HS256, PAYLOAD);
    const size_t size = strlen(token);
    ck_assert_int_eq(check_bytes(&world, CLAIMS_CONNECTION, token, size + 1, &claims),
                     TOKEN_MALFORMED);
    free(token);
    world_deinit(&world);
}
END_TEST

/* -- headers: each is signed with the right secret --------------------------------------------- */

static const struct {
    const char *why;
    const char *header;
    enum token_reason reason;
} headers[] = {
    {"none", "{\"alg\":\"none\"}", TOKEN_BAD_ALGORITHM},
    {"None", "{\"alg\":\"None\"}", TOKEN_BAD_ALGORITHM},
    {"NONE", "{\"alg\":\"NONE\"}", TOKEN_BAD_ALGORITHM},
    {"nOnE", "{\"alg\":\"nOnE\"}", TOKEN_BAD_ALGORITHM},
    {"an empty alg", "{\"alg\":\"\"}", TOKEN_BAD_ALGORITHM},
    {"no alg", "{\"typ\":\"JWT\"}", TOKEN_BAD_ALGORITHM},
    {"null", "{\"alg\":null}", TOKEN_BAD_ALGORITHM},
    {"a number", "{\"alg\":256}", TOKEN_MALFORMED},
    {"a list", "{\"alg\":[\"HS256\"]}", TOKEN_MALFORMED},
    {"small letters", "{\"alg\":\"hs256\"}", TOKEN_BAD_ALGORITHM},
    {"white space", "{\"alg\":\"HS256 \"}", TOKEN_BAD_ALGORITHM},
    {"a zero byte", "{\"alg\":\"HS256\\u0000\"}", TOKEN_BAD_ALGORITHM},
    {"a short one", "{\"alg\":\"HS1\"}", TOKEN_BAD_ALGORITHM},
    {"EdDSA", "{\"alg\":\"EdDSA\"}", TOKEN_BAD_ALGORITHM},
    {"another curve", "{\"alg\":\"ES256K\"}", TOKEN_BAD_ALGORITHM},
    {"an encryption", "{\"alg\":\"dir\",\"enc\":\"A128GCM\"}", TOKEN_BAD_ALGORITHM},
    {"a password", "{\"alg\":\"PBES2-HS256+A128KW\",\"p2c\":2147483647}", TOKEN_BAD_ALGORITHM},
    {"another name", "{\"ALG\":\"HS256\"}", TOKEN_BAD_ALGORITHM},
    {"twice", "{\"alg\":\"HS256\",\"alg\":\"none\"}", TOKEN_MALFORMED},
    {"twice, the other way round", "{\"alg\":\"none\",\"alg\":\"HS256\"}", TOKEN_MALFORMED},
    {"twice, and null", "{\"alg\":\"HS256\",\"alg\":null}", TOKEN_MALFORMED},
    {"twice, once with an escape", "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", TOKEN_MALFORMED},
    {"two kids", "{\"alg\":\"HS256\",\"kid\":\"a\",\"kid\":\"b\"}", TOKEN_MALFORMED},
    {"crit", "{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", TOKEN_MALFORMED},
    {"an empty crit", "{\"alg\":\"HS256\",\"crit\":[]}", TOKEN_MALFORMED},
    {"crit null", "{\"alg\":\"HS256\",\"crit\":null}", TOKEN_MALFORMED},
    {"not base64", "{\"alg\":\"HS256\",\"b64\":false}", TOKEN_MALFORMED},
    {"that, as crit", "{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", TOKEN_MALFORMED},
    {"kid is a path", "{\"alg\":\"HS256\",\"kid\":\"../../../../dev/null\"}", TOKEN_MALFORMED},
    {"kid is SQL", "{\"alg\":\"HS256\",\"kid\":\"x' UNION SELECT 'k\"}", TOKEN_MALFORMED},
    {"kid is a template", "{\"alg\":\"HS256\",\"kid\":\"{{7*7}}\"}", TOKEN_MALFORMED},
    {"kid is a command", "{\"alg\":\"HS256\",\"kid\":\"|id\"}", TOKEN_MALFORMED},
    {"kid has a zero byte", "{\"alg\":\"HS256\",\"kid\":\"a\\u0000b\"}", TOKEN_MALFORMED},
    {"kid has a newline", "{\"alg\":\"HS256\",\"kid\":\"a\\nb\"}", TOKEN_MALFORMED},
    {"kid is a number", "{\"alg\":\"HS256\",\"kid\":1}", TOKEN_MALFORMED},
    {"kid is an object", "{\"alg\":\"HS256\",\"kid\":{}}", TOKEN_MALFORMED},
    {"kid of 129",
     "{\"alg\":\"HS256\",\"kid\":"
     "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
     "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"}",
     TOKEN_MALFORMED},
    {"an array", "[\"alg\",\"HS256\"]", TOKEN_MALFORMED},
    {"a string", "\"HS256\"", TOKEN_MALFORMED},
    {"no JSON", "alg=HS256", TOKEN_MALFORMED},
    {"half of it", "{\"alg\":\"HS256\"", TOKEN_MALFORMED},
    {"something behind", "{\"alg\":\"HS256\"}{}", TOKEN_MALFORMED},
    {"a comment", "{\"alg\":/**/\"HS256\"}", TOKEN_MALFORMED},
    {"a comma at the end", "{\"alg\":\"HS256\",}", TOKEN_MALFORMED},
    {"no UTF-8", "{\"alg\":\"HS256\",\"x\":\"\xff\"}", TOKEN_MALFORMED},
    {"a byte order mark", "\xef\xbb\xbf{\"alg\":\"HS256\"}", TOKEN_MALFORMED},
    {"deep", "{\"alg\":\"HS256\",\"x\":[[[[[[[[[[]]]]]]]]]]}", TOKEN_MALFORMED},

    /* What it brings with it is not looked at: the configured key decides. */
    {"other types", "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"cty\":\"x\"}", TOKEN_GOOD},
    {"a kid", "{\"alg\":\"HS256\",\"kid\":\"a.B_9-\"}", TOKEN_GOOD},
    {"an address of a key", "{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1:1/\"}", TOKEN_GOOD},
    {"of a certificate", "{\"alg\":\"HS256\",\"x5u\":\"http://127.0.0.1:1/\"}", TOKEN_GOOD},
    {"a key", "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}", TOKEN_GOOD},
};

START_TEST(judges_headers)
{
    struct world world;

    world_init(&world, plain, "");
    char *token = hs256(headers[_i].header, PAYLOAD);
    expect(&world, headers[_i].why, token, headers[_i].reason);
    free(token);
    world_deinit(&world);
}
END_TEST

/* The same, signed with what they bring. */
START_TEST(takes_no_key_from_a_header)
{
    static const char *const header[] = {
        "{\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}",
        "{\"alg\":\"HS256\",\"jku\":\"http://127.0.0.1:1/\",\"kid\":\"a\"}",
        "{\"alg\":\"HS256\",\"x5c\":[\"AAAA\"]}",
        "{\"alg\":\"HS256\",\"k\":\"AAAA\"}",
    };
    struct world world;

    world_init(&world, plain, "");
    for (size_t i = 0; i < COUNT_OF(header); i++) {
        char *token = forge_hmac(header[i], PAYLOAD, 256, "\0\0\0", 3);
        expect(&world, header[i], token, TOKEN_BAD_SIGNATURE);
        free(token);
    }
    char *token = forge_join(forge_signed_part("{\"alg\":\"none\"}", PAYLOAD), "", 0);
    expect(&world, "none, without a signature", token, TOKEN_BAD_ALGORITHM);
    free(token);
    token = forge_join(forge_signed_part(HS256, PAYLOAD), "", 0);
    expect(&world, "an empty signature", token, TOKEN_BAD_SIGNATURE);
    free(token);
    world_deinit(&world);
}
END_TEST

/* -- claims: each is signed -------------------------------------------------------------------- */

static const struct {
    const char *why;
    const char *payload;
    enum token_reason reason;
} payloads[] = {
    {"nothing", "{}", TOKEN_GOOD},
    {"an array", "[]", TOKEN_BAD_CLAIMS},
    {"a string", "\"sub\"", TOKEN_BAD_CLAIMS},
    {"no JSON", "sub=42", TOKEN_BAD_CLAIMS},
    {"half of it", "{\"sub\":\"42\"", TOKEN_BAD_CLAIMS},
    {"something behind", "{\"sub\":\"42\"} x", TOKEN_BAD_CLAIMS},
    {"no UTF-8", "{\"sub\":\"\xc0\x80\"}", TOKEN_BAD_CLAIMS},
    {"a lone surrogate", "{\"sub\":\"\\ud800\"}", TOKEN_BAD_CLAIMS},
    {"sub twice", "{\"sub\":\"42\",\"sub\":\"1\"}", TOKEN_BAD_CLAIMS},
    {"exp twice", "{\"exp\":1,\"exp\":1900000000}", TOKEN_BAD_CLAIMS},
    {"exp twice, once with an escape", "{\"exp\":1,\"\\u0065xp\":1900000000}", TOKEN_BAD_CLAIMS},
    {"sub is a number", "{\"sub\":42}", TOKEN_BAD_CLAIMS},
    {"sub is an object", "{\"sub\":{\"$gt\":\"\"}}", TOKEN_BAD_CLAIMS},
    {"sub is null", "{\"sub\":null}", TOKEN_GOOD},

    {"expired", "{\"exp\":1799999970}", TOKEN_EXPIRED},
    {"long ago", "{\"exp\":1}", TOKEN_EXPIRED},
    {"at 0", "{\"exp\":0}", TOKEN_EXPIRED},
    {"before 1970", "{\"exp\":-1}", TOKEN_EXPIRED},
    {"within the leeway", "{\"exp\":1799999971}", TOKEN_GOOD},
    {"a fraction", "{\"exp\":1799999970.9}", TOKEN_EXPIRED},
    {"an exponent", "{\"exp\":1.9e9}", TOKEN_GOOD},
    {"exp is a string", "{\"exp\":\"1900000000\"}", TOKEN_BAD_CLAIMS},
    {"exp is a list", "{\"exp\":[1900000000]}", TOKEN_BAD_CLAIMS},
    {"exp is true", "{\"exp\":true}", TOKEN_BAD_CLAIMS},
    {"exp is too large", "{\"exp\":1e300}", TOKEN_BAD_CLAIMS},
    {"exp is infinite", "{\"exp\":1e999}", TOKEN_BAD_CLAIMS},
    {"exp is very negative", "{\"exp\":-1e999}", TOKEN_BAD_CLAIMS},
    {"exp has many digits", "{\"exp\":190000000000000000000000000000000}", TOKEN_BAD_CLAIMS},
    {"exp is null", "{\"exp\":null}", TOKEN_GOOD},

    {"not yet", "{\"nbf\":1800000031}", TOKEN_NOT_YET},
    {"nearly", "{\"nbf\":1800000030}", TOKEN_GOOD},
    {"nbf is a string", "{\"nbf\":\"1\"}", TOKEN_BAD_CLAIMS},
    {"made in the future", "{\"iat\":1800000031}", TOKEN_NOT_YET},
    {"made nearly now", "{\"iat\":1800000030}", TOKEN_GOOD},
    {"iat is a string", "{\"iat\":\"1\"}", TOKEN_BAD_CLAIMS},

    {"expire_at is over", "{\"exp\":1900000000,\"expire_at\":1799999970}", TOKEN_EXPIRED},
    {"expire_at does not help", "{\"exp\":1,\"expire_at\":1900000000}", TOKEN_EXPIRED},
    {"nor for ever", "{\"exp\":1,\"expire_at\":0}", TOKEN_EXPIRED},
    {"expire_at is a string", "{\"expire_at\":\"1\"}", TOKEN_BAD_CLAIMS},

    {"of a subscription", "{\"channel\":\"a\"}", TOKEN_WRONG_KIND},
    {"channel is a list", "{\"channel\":[\"a\"]}", TOKEN_BAD_CLAIMS},
    {"jti is a number", "{\"jti\":1}", TOKEN_BAD_CLAIMS},
    {"aud is a number", "{\"aud\":1}", TOKEN_BAD_CLAIMS},
    {"aud has a number", "{\"aud\":[\"a\",1]}", TOKEN_BAD_CLAIMS},
    {"aud in aud", "{\"aud\":[[\"a\"]]}", TOKEN_BAD_CLAIMS},
    {"aud of a configuration without", "{\"aud\":[\"a\",\"b\"]}", TOKEN_GOOD},
    {"iss is a list", "{\"iss\":[\"a\"]}", TOKEN_BAD_CLAIMS},
    {"meta is no object", "{\"meta\":[]}", TOKEN_BAD_CLAIMS},

    {"b64info is no base64", "{\"b64info\":\"e30\"}", TOKEN_BAD_CLAIMS},
    {"b64info is no JSON", "{\"b64info\":\"e30sImEiOjE=\"}", TOKEN_BAD_CLAIMS},
    {"b64info is no UTF-8", "{\"b64info\":\"Iv8i\"}", TOKEN_BAD_CLAIMS},
    {"b64info is a number", "{\"b64info\":1}", TOKEN_BAD_CLAIMS},
    {"channels is an object", "{\"channels\":{}}", TOKEN_BAD_CLAIMS},
    {"channels has a number", "{\"channels\":[\"a\",1]}", TOKEN_BAD_CLAIMS},
    {"channels has an empty name", "{\"channels\":[\"\"]}", TOKEN_BAD_CLAIMS},
    {"channels has half a character", "{\"channels\":[\"\\udc00\"]}", TOKEN_BAD_CLAIMS},
    {"subs is a list", "{\"subs\":[]}", TOKEN_BAD_CLAIMS},
    {"a sub is a list", "{\"subs\":{\"a\":[]}}", TOKEN_BAD_CLAIMS},
    {"a sub is null", "{\"subs\":{\"a\":null}}", TOKEN_BAD_CLAIMS},
    {"a sub has no name", "{\"subs\":{\"\":{}}}", TOKEN_BAD_CLAIMS},
    {"a sub is there twice", "{\"subs\":{\"a\":{},\"a\":{}}}", TOKEN_BAD_CLAIMS},
    {"and with an escape", "{\"subs\":{\"a\":{},\"\\u0061\":{}}}", TOKEN_BAD_CLAIMS},
    {"b64data is no JSON", "{\"subs\":{\"a\":{\"b64data\":\"AAAA\"}}}", TOKEN_BAD_CLAIMS},
    {"an override is no object", "{\"override\":{\"presence\":true}}", TOKEN_BAD_CLAIMS},
    {"its value is no bool", "{\"override\":{\"presence\":{\"value\":1}}}", TOKEN_BAD_CLAIMS},
    {"info twice in a sub", "{\"subs\":{\"a\":{\"info\":1,\"info\":2}}}", TOKEN_BAD_CLAIMS},
};

START_TEST(judges_payloads)
{
    struct world world;

    world_init(&world, plain, "");
    char *token = hs256(HS256, payloads[_i].payload);
    expect(&world, payloads[_i].why, token, payloads[_i].reason);
    free(token);
    world_deinit(&world);
}
END_TEST

START_TEST(has_depth)
{
    char payload[200] = "{\"info\":";
    struct world world;

    world_init(&world, plain, "");
    const size_t size = strlen(payload);
    for (size_t depth = 30; depth <= 32; depth++) {
        memset(payload + size, '[', depth);
        memset(payload + size + depth, ']', depth);
        (void)strcpy(payload + size + 2 * depth, "}");
        char *token = hs256(HS256, payload);
        expect(&world, "depth", token, depth < 32 ? TOKEN_GOOD : TOKEN_BAD_CLAIMS);
        free(token);
    }
    world_deinit(&world);
}
END_TEST

START_TEST(has_a_most_of_subscriptions)
{
    char payload[TOKEN_SIZE_MAX] = "{\"channels\":[";
    struct world world;
    struct claims claims;

    world_init(&world, plain, "");
    char *at = payload + strlen(payload);
    for (unsigned i = 0; i < TOKEN_CLAIMS_SUBSCRIPTIONS_MAX; i++) {
        at += snprintf(at, 16, "\"%u\",", i);
    }
    (void)strcpy(at, "\"0\"]}"); /* the first one again, which is none more */
    char *token = hs256(HS256, payload);
    ck_assert_int_eq(check(&world, token, &claims), TOKEN_GOOD);
    ck_assert_uint_eq(claims.subscription_count, TOKEN_CLAIMS_SUBSCRIPTIONS_MAX);
    free(token);
    (void)strcpy(at, "\"x\"]}");
    token = hs256(HS256, payload);
    expect(&world, "one more", token, TOKEN_BAD_CLAIMS);
    free(token);
    world_deinit(&world);
}
END_TEST

/* -- rules ------------------------------------------------------------------------------------- */

static const struct {
    const char *why;
    const char *rules;
    const char *payload;
    enum token_reason reason;
} rules[] = {
    {"no issuer", "issuer: us", "{}", TOKEN_WRONG_ISSUER},
    {"another issuer", "issuer: us", "{\"iss\":\"them\"}", TOKEN_WRONG_ISSUER},
    {"a longer issuer", "issuer: us", "{\"iss\":\"us \"}", TOKEN_WRONG_ISSUER},
    {"the issuer", "issuer: us", "{\"iss\":\"us\"}", TOKEN_GOOD},
    {"the issuer with an escape", "issuer: us", "{\"iss\":\"\\u0075s\"}", TOKEN_GOOD},
    {"no audience", "audience: chat", "{}", TOKEN_WRONG_AUDIENCE},
    {"another audience", "audience: chat", "{\"aud\":\"shop\"}", TOKEN_WRONG_AUDIENCE},
    {"no audiences", "audience: chat", "{\"aud\":[]}", TOKEN_WRONG_AUDIENCE},
    {"other audiences", "audience: chat", "{\"aud\":[\"shop\",\"chats\"]}", TOKEN_WRONG_AUDIENCE},
    {"the audience", "audience: chat", "{\"aud\":\"chat\"}", TOKEN_GOOD},
    {"among others", "audience: chat", "{\"aud\":[\"shop\",\"ch\\u0061t\"]}", TOKEN_GOOD},
    {"never expires", "require_exp: true", "{}", TOKEN_BAD_CLAIMS},
    {"expire_at is not exp", "require_exp: true", "{\"expire_at\":1900000000}", TOKEN_BAD_CLAIMS},
    {"expires", "require_exp: true", "{\"exp\":1900000000}", TOKEN_GOOD},
    {"no leeway", "leeway: 0s", "{\"exp\":1800000000}", TOKEN_EXPIRED},
    {"no leeway, in time", "leeway: 0s", "{\"exp\":1800000001}", TOKEN_GOOD},
    {"no leeway, not yet", "leeway: 0s", "{\"nbf\":1800000001}", TOKEN_NOT_YET},
    {"much of it", "leeway: 5m", "{\"exp\":1799999701}", TOKEN_GOOD},
};

START_TEST(judges_by_rules)
{
    char text[256];
    struct world world;

    (void)snprintf(text, sizeof(text), "%s, %s", plain, rules[_i].rules);
    world_init(&world, text, "");
    char *token = hs256(HS256, rules[_i].payload);
    expect(&world, rules[_i].why, token, rules[_i].reason);
    free(token);
    world_deinit(&world);
}
END_TEST

#define OTHER_SECRET "ffffffffffffffffffffffffffffffff"

START_TEST(has_keys_of_their_own)
{
    struct world world;
    struct claims claims;
    char *connection = hs256(HS256, "{\"sub\":\"42\"}");
    char *subscription = hs256(HS256, "{\"sub\":\"42\",\"channel\":\"$a\"}");
    char *separate = forge_hmac(HS256, "{\"sub\":\"42\",\"channel\":\"$a\",\"iss\":\"us\"}", 256,
                                OTHER_SECRET, strlen(OTHER_SECRET));
    const struct {
        const char *token;
        enum claims_kind kind;
        enum token_reason shared;
        enum token_reason own;
    } cases[] = {
        {connection, CLAIMS_CONNECTION, TOKEN_GOOD, TOKEN_GOOD},
        {connection, CLAIMS_SUBSCRIPTION, TOKEN_WRONG_KIND, TOKEN_BAD_SIGNATURE},
        {subscription, CLAIMS_CONNECTION, TOKEN_WRONG_KIND, TOKEN_WRONG_KIND},
        {subscription, CLAIMS_SUBSCRIPTION, TOKEN_GOOD, TOKEN_BAD_SIGNATURE},
        {separate, CLAIMS_CONNECTION, TOKEN_BAD_SIGNATURE, TOKEN_BAD_SIGNATURE},
        {separate, CLAIMS_SUBSCRIPTION, TOKEN_BAD_SIGNATURE, TOKEN_GOOD},
    };

    for (int own = 0; own < 2; own++) {
        world_init(&world, plain,
                   own == 0 ? "" : "enabled: true, issuer: us, hmac_secret_key: " OTHER_SECRET);
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            const enum token_reason wanted = own == 0 ? cases[i].shared : cases[i].own;
            const enum token_reason found =
                check_bytes(&world, cases[i].kind, cases[i].token, strlen(cases[i].token), &claims);
            ck_assert_msg(found == wanted, "case %zu: %s", i, token_reason_name(found));
        }
        world_deinit(&world);
    }
    free(connection);
    free(subscription);
    free(separate);
}
END_TEST

static struct token_keys *keys_of(const char *text, struct config *config)
{
    char error[CONFIG_ERROR_SIZE] = "";
    const struct bytes bytes = {(const uint8_t *)text, strlen(text)};
    ck_assert_int_eq(config_load_memory("t", bytes, config, error, sizeof(error)), 0);
    struct token_keys *keys = token_keys_create(&config->client, error);
    ck_assert_msg(keys != NULL, "%s", error);
    return keys;
}

/* New keys from one token to the next, and none at all: a reload. */
START_TEST(takes_new_keys)
{
    struct world world;
    struct config other;
    struct config without;
    char *old_token = hs256(HS256, PAYLOAD);
    char *new_token = forge_hmac(HS256, PAYLOAD, 256, OTHER_SECRET, strlen(OTHER_SECRET));

    world_init(&world, plain, "");
    const struct claims_verifier *seam = token_verifier_seam(world.verifier);
    ck_assert_ptr_nonnull(seam);
    expect(&world, "before", old_token, TOKEN_GOOD);
    expect(&world, "before", new_token, TOKEN_BAD_SIGNATURE);
    token_verifier_renew_keys(
        world.verifier, keys_of("client: {token: {hmac_secret_key: " OTHER_SECRET "}}", &other));
    expect(&world, "after", old_token, TOKEN_BAD_SIGNATURE);
    expect(&world, "after", new_token, TOKEN_GOOD);
    ck_assert_ptr_eq(token_verifier_seam(world.verifier), seam);
    token_verifier_renew_keys(world.verifier, keys_of("{}", &without));
    ck_assert_ptr_null(token_verifier_seam(world.verifier));
    free(old_token);
    free(new_token);
    world_deinit(&world);
    config_destroy(&other);
    config_destroy(&without);
}
END_TEST

/* The clock an hour behind and an hour ahead, and on its way. */
START_TEST(follows_the_clock)
{
    struct world world;
    struct claims claims;
    char *token = hs256(HS256, "{\"iat\":1800000000,\"exp\":1800000600}");
    const struct {
        int64_t now_s;
        enum token_reason reason;
        uint32_t ttl_s;
    } cases[] = {
        {NOW - 3600, TOKEN_NOT_YET, 0}, {NOW - 31, TOKEN_NOT_YET, 0},
        {NOW - 30, TOKEN_GOOD, 630},    {NOW, TOKEN_GOOD, 600},
        {NOW + 599, TOKEN_GOOD, 1},     {NOW + 600, TOKEN_GOOD, 1},
        {NOW + 629, TOKEN_GOOD, 1},     {NOW + 630, TOKEN_EXPIRED, 0},
        {NOW + 3600, TOKEN_EXPIRED, 0},
    };

    world_init(&world, plain, "");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        world.now_ms = (uint64_t)cases[i].now_s * 1000 + 999;
        ck_assert_int_eq(check(&world, token, &claims), cases[i].reason);
        if (cases[i].reason == TOKEN_GOOD) {
            ck_assert(claims.expires);
            ck_assert_uint_eq(claims.ttl_s, cases[i].ttl_s);
            ck_assert_uint_eq(claims.issued_at_s, NOW);
        }
    }
    free(token);
    world_deinit(&world);
}
END_TEST

/* -- what the hub is told ---------------------------------------------------------------------- */

static const struct {
    const char *payload;
    bool expires;
    uint32_t ttl_s;
} ends[] = {
    {"{}", false, 0},
    {"{\"exp\":1800000005}", true, 5},
    {"{\"exp\":1800000005,\"expire_at\":0}", false, 0},
    {"{\"exp\":1800000005,\"expire_at\":1800000009}", true, 9},
    {"{\"exp\":1800000009,\"expire_at\":1800000005}", true, 5},
    {"{\"expire_at\":1800000005}", true, 5},
    {"{\"exp\":1e15}", true, UINT32_MAX},
};

START_TEST(tells_when_it_ends)
{
    struct world world;
    struct claims claims;

    world_init(&world, plain, "");
    char *token = hs256(HS256, ends[_i].payload);
    const struct claims_verifier *seam = token_verifier_seam(world.verifier);
    ck_assert_int_eq(seam->verify(seam->context, CLAIMS_CONNECTION,
                                  (struct bytes){(uint8_t *)token, strlen(token)}, &claims),
                     CLAIMS_VALID);
    ck_assert(claims.expires == ends[_i].expires);
    ck_assert_uint_eq(claims.ttl_s, ends[_i].ttl_s);
    free(token);
    world_deinit(&world);
}
END_TEST

START_TEST(tells_of_a_connection)
{
    static const char payload[] =
        "{\"sub\":\"J\\u00fcrgen\",\"jti\":\"n1\",\"iat\":1799999999.5,\n"
        " \"info\":{ \"a\":\n [1, 2]},\"meta\":{\"secret\":\n1},\n"
        " \"channels\":[\"one\",\"two\"],\n"
        " \"subs\":{\"two\":{\"info\":\"i\",\"b64data\":\"eyAiZCI6IDF9\",\n"
        "   "
        "\"override\":{\"presence\":{\"value\":true},\"force_push_join_leave\":{\"value\":false},\n"
        "   \"join_leave\":{}}},\"tr\\u0069\":{\"data\":null,\"b64info\":\"WzFd\"}}}";
    struct world world;
    struct claims claims;

    world_init(&world, plain, "");
    char *token = hs256(HS256, payload);
    ck_assert_int_eq(check(&world, token, &claims), TOKEN_GOOD);
    ck_assert(bytes_are(claims.user, "J\xc3\xbcrgen"));
    ck_assert(bytes_are(claims.id, "n1"));
    ck_assert(bytes_are(claims.info, "{\"a\":[1,2]}"));
    ck_assert(bytes_are(claims.meta, "{\"secret\":1}"));
    ck_assert(bytes_are(claims.channel, ""));
    ck_assert_uint_eq(claims.issued_at_s, 1799999999);
    ck_assert_uint_eq(claims.subscription_count, 3);
    const struct claims_subscription *two = &claims.subscriptions[0];
    ck_assert(bytes_are(two->channel, "two"));
    ck_assert(bytes_are(two->info, "\"i\""));
    ck_assert(bytes_are(two->data, "{\"d\":1}"));
    ck_assert_int_eq(two->overrides.presence, CLAIMS_ON);
    ck_assert_int_eq(two->overrides.join_leave, CLAIMS_OFF);
    ck_assert_int_eq(two->overrides.force_push_join_leave, CLAIMS_OFF);
    ck_assert_int_eq(two->overrides.force_recovery, CLAIMS_KEEP);
    ck_assert_int_eq(two->overrides.force_positioning, CLAIMS_KEEP);
    const struct claims_subscription *tri = &claims.subscriptions[1];
    ck_assert(bytes_are(tri->channel, "tri"));
    ck_assert(bytes_are(tri->info, "[1]"));
    ck_assert(bytes_are(tri->data, ""));
    ck_assert(bytes_are(claims.subscriptions[2].channel, "one"));
    free(token);
    world_deinit(&world);
}
END_TEST

START_TEST(tells_of_a_subscription)
{
    static const char payload[] =
        "{\"sub\":\"42\",\"channel\":\"$a\",\"info\":1,\"b64info\":\"WyJ3aW5zIl0=\","
        "\"override\":{\"force_recovery\":{\"value\":true},\"force_positioning\":{\"value\":true}}"
        "}";
    struct world world;
    struct claims claims;

    world_init(&world, plain, "");
    char *token = hs256(HS256, payload);
    ck_assert_int_eq(check_bytes(&world, CLAIMS_SUBSCRIPTION, token, strlen(token), &claims),
                     TOKEN_GOOD);
    ck_assert(bytes_are(claims.user, "42"));
    ck_assert(bytes_are(claims.channel, "$a"));
    ck_assert(bytes_are(claims.info, "[\"wins\"]"));
    ck_assert_int_eq(claims.overrides.force_recovery, CLAIMS_ON);
    ck_assert_int_eq(claims.overrides.force_positioning, CLAIMS_ON);
    ck_assert_int_eq(claims.overrides.presence, CLAIMS_KEEP);
    ck_assert_uint_eq(claims.subscription_count, 0);
    free(token);
    world_deinit(&world);
}
END_TEST

/* The hub's words for it; what was not accepted left the claims alone. */
START_TEST(speaks_the_hubs_language)
{
    struct world world;
    struct claims claims = {.ttl_s = 77};

    world_init(&world, plain, "");
    const struct claims_verifier *seam = token_verifier_seam(world.verifier);
    char *expired = hs256(HS256, "{\"exp\":1}");
    char *forged = forge_hmac(HS256, "{\"exp\":1}", 256, "x", 1);
    ck_assert_int_eq(seam->verify(seam->context, CLAIMS_CONNECTION,
                                  (struct bytes){(uint8_t *)expired, strlen(expired)}, &claims),
                     CLAIMS_EXPIRED);
    ck_assert_int_eq(seam->verify(seam->context, CLAIMS_CONNECTION,
                                  (struct bytes){(uint8_t *)forged, strlen(forged)}, &claims),
                     CLAIMS_INVALID);
    ck_assert_int_eq(
        seam->verify(seam->context, CLAIMS_CONNECTION, (struct bytes){NULL, 0}, &claims),
        CLAIMS_INVALID);
    ck_assert_uint_eq(claims.ttl_s, 77);
    free(expired);
    free(forged);
    world_deinit(&world);
}
END_TEST

int main(void)
{
    TCase *group = tcase_create("token");
    tcase_add_unchecked_fixture(group, make_keys, forget_keys);
    tcase_add_test(group, takes_hmac_and_rsa);
    tcase_add_loop_test(group, takes_ecdsa, 0, FORGE_CURVE_COUNT);
    tcase_add_test(group, refuses_hmac_of_others);
    tcase_add_test(group, tells_of_a_refusal_once);
    tcase_add_test(group, refuses_what_has_no_key);
    tcase_add_test(group, refuses_rsa_of_others);
    tcase_add_test(group, refuses_ecdsa_of_others);
    tcase_add_test(group, refuses_each_change);
    tcase_add_loop_test(group, refuses_text, 0, (int)COUNT_OF(texts));
    tcase_add_test(group, has_a_size);
    tcase_add_loop_test(group, judges_headers, 0, (int)COUNT_OF(headers));
    tcase_add_test(group, takes_no_key_from_a_header);
    tcase_add_loop_test(group, judges_payloads, 0, (int)COUNT_OF(payloads));
    tcase_add_test(group, has_depth);
    tcase_add_test(group, has_a_most_of_subscriptions);
    tcase_add_loop_test(group, judges_by_rules, 0, (int)COUNT_OF(rules));
    tcase_add_test(group, has_keys_of_their_own);
    tcase_add_test(group, takes_new_keys);
    tcase_add_test(group, follows_the_clock);
    tcase_add_loop_test(group, tells_when_it_ends, 0, (int)COUNT_OF(ends));
    tcase_add_test(group, tells_of_a_connection);
    tcase_add_test(group, tells_of_a_subscription);
    tcase_add_test(group, speaks_the_hubs_language);
    Suite *suite = suite_create("server/token");
    suite_add_tcase(suite, group);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
