/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key sets: which keys of a document are taken, which are left out, which documents are refused;
 * and which key is found by name and algorithm.
 */
#include "server/jwks.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/jwks_fetch.h"
#include "tests/unit/server/token_forge.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static struct forge forge;

static void make_keys(void)
{
    forge_init(&forge);
}

static void forget_keys(void)
{
    forge_deinit(&forge);
}

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

/* From an exact-size heap copy, which is gone when this returns. */
static struct jwks *parse(const char *text, char *error)
{
    const size_t size = strlen(text);
    uint8_t *copy = malloc(size + (size == 0));
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, text, size);
    error[0] = '\0';
    struct jwks *set = jwks_parse((struct span){copy, size}, 7, error);
    free(copy);
    return set;
}

/* Takes up to four keys, NULL after the last one. */
static struct jwks *parse_keys(char *const keys[4], char *error)
{
    char *text = strdup("{\"keys\":[");
    for (int i = 0; i < 4 && keys[i] != NULL; i++) {
        char *longer = NULL;
        ck_assert_int_gt(asprintf(&longer, "%s%s%s", text, i == 0 ? "" : ",\n ", keys[i]), 0);
        free(text);
        free(keys[i]);
        text = longer;
    }
    char *whole = NULL;
    ck_assert_int_gt(asprintf(&whole, "%s],\"more\":1}", text), 0);
    struct jwks *set = parse(whole, error);
    free(whole);
    free(text);
    return set;
}

static const struct {
    const char *why;
    const char *text;
    const char *error;
} documents[] = {
    {"nothing", "", "it is not JSON"},
    {"no JSON", "<html>", "it is not JSON"},
    {"half of it", "{\"keys\":[", "it is not JSON"},
    {"no UTF-8", "{\"keys\":[\"\xff\"]}", "it is not JSON"},
    {"deep", "{\"keys\":[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]}", "it is not JSON"},
    {"an array", "[]", "it is not an object with an array \"keys\""},
    {"no keys", "{}", "it is not an object with an array \"keys\""},
    {"keys null", "{\"keys\":null}", "it is not an object with an array \"keys\""},
    {"an object of keys", "{\"keys\":{}}", "it is not an object with an array \"keys\""},
    {"keys twice", "{\"keys\":[],\"keys\":[]}", "it is not an object with an array \"keys\""},
    {"empty", "{\"keys\":[]}", "no key of it can be used"},
    {"a string for a key", "{\"keys\":[\"a\"]}",
     "one of its keys is not an object, or says something twice"},
    {"a kid that is a number", "{\"keys\":[{\"kid\":1}]}",
     "one of its keys is not an object, or says something twice"},
    {"two kids", "{\"keys\":[{\"kid\":\"a\",\"kid\":\"b\"}]}",
     "one of its keys is not an object, or says something twice"},
    {"a secret", "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"a\",\"k\":\"AAAA\"}]}",
     "no key of it can be used"},
    {"no type", "{\"keys\":[{\"n\":\"AAAA\",\"e\":\"AQAB\"}]}", "no key of it can be used"},
    {"a short key", "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AAAA\",\"e\":\"AQAB\"}]}",
     "no key of it can be used"},
    {"no modulus", "{\"keys\":[{\"kty\":\"RSA\",\"e\":\"AQAB\"}]}", "no key of it can be used"},
    {"no point", "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\"}]}", "no key of it can be used"},
    {"not on the curve",
     "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"}]}",
     "no key of it can be used"},
    {"of the zero point",
     "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
     "no key of it can be used"},
    {"another curve",
     "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AQ\",\"y\":\"AQ\"}]}",
     "no key of it can be used"},
    {"Ed25519", "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQ\"}]}",
     "no key of it can be used"},
};

START_TEST(refuses_documents)
{
    char error[JWKS_ERROR_SIZE];

    ck_assert_msg(parse(documents[_i].text, error) == NULL, "%s", documents[_i].why);
    ck_assert_str_eq(error, documents[_i].error);
}
END_TEST

/* Each is a good key but for these members: with a second one beside it that is good altogether. */
static const struct {
    const char *why;
    const char *more;
    bool is_taken;
} members[] = {
    {"nothing more", "", true},
    {"a name", ",\"kid\":\"a.B_9-\"", true},
    {"for signatures", ",\"use\":\"sig\"", true},
    {"for encryption", ",\"use\":\"enc\"", false},
    {"to verify", ",\"key_ops\":[\"sign\",\"verify\"]", true},
    {"to wrap keys", ",\"key_ops\":[\"wrapKey\"]", false},
    {"for nothing", ",\"key_ops\":[]", false},
    {"an algorithm", ",\"alg\":\"RS512\"", true},
    {"one of encryption", ",\"alg\":\"RSA-OAEP\"", false},
    {"one that is not ours", ",\"alg\":\"PS256\"", false},
    {"none", ",\"alg\":\"none\"", false},
    {"one of a secret", ",\"alg\":\"HS256\"", false},
    {"one of another type", ",\"alg\":\"ES256\"", false},
    {"a private key", ",\"d\":\"AQAB\"", false},
    {"a name that is a path", ",\"kid\":\"../a\"", false},
    {"a name that another key has", ",\"kid\":\"good\"", false},
    {"certificates", ",\"x5c\":[\"AAAA\"],\"x5t\":\"a\",\"x5u\":\"http://127.0.0.1:1\"", true},
};

START_TEST(leaves_keys_out)
{
    char error[JWKS_ERROR_SIZE];
    char *const keys[4] = {
        forge_jwk(forge.rsa, ",\"kid\":\"good\""),
        forge_jwk(forge.other_rsa, members[_i].more),
    };
    struct jwks *set = parse_keys(keys, error);

    ck_assert_msg(set != NULL, "%s", error);
    ck_assert_msg(jwks_count(set) == (members[_i].is_taken ? 2 : 1), "%s", members[_i].why);
    ck_assert_uint_eq(jwks_generation(set), 7);
    jwks_unref(set);
}
END_TEST

START_TEST(finds_keys)
{
    char error[JWKS_ERROR_SIZE];
    char *const keys[4] = {
        forge_jwk(forge.rsa, ",\"kid\":\"a\",\"alg\":\"RS384\""),
        forge_jwk(forge.ec[0], ",\"kid\":\"a\""),
        forge_jwk(forge.ec[1], ",\"kid\":\"b\""),
        forge_jwk(forge.ec[2], ""),
    };
    const struct {
        const char *kid;
        enum token_algorithm algorithm;
        bool is_there;
    } cases[] = {
        {"a", TOKEN_RS384, true},   {"a", TOKEN_RS256, false}, {"a", TOKEN_ES256, true},
        {"a", TOKEN_ES384, false},  {"b", TOKEN_ES384, true},  {"b", TOKEN_ES256, false},
        {"b", TOKEN_RS384, false},  {"c", TOKEN_ES512, false}, {"a", TOKEN_HS256, false},
        {"", TOKEN_ES512, true},    {"", TOKEN_RS384, true},   {"", TOKEN_RS512, false},
        {"ab", TOKEN_ES256, false},
    };
    struct jwks *set = parse_keys(keys, error);

    ck_assert_msg(set != NULL, "%s", error);
    ck_assert_uint_eq(jwks_count(set), 4);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct token_key *key = jwks_find(set, bytes_of(cases[i].kid), cases[i].algorithm);
        ck_assert_msg((key != NULL) == cases[i].is_there, "case %zu", i);
        ck_assert(key == NULL || token_key_takes(key, cases[i].algorithm));
    }
    jwks_ref(set);
    jwks_unref(set);
    ck_assert_uint_eq(jwks_count(set), 4);
    jwks_unref(set);
}
END_TEST

/* Without a name in the token, two keys could be meant. */
START_TEST(does_not_guess)
{
    char error[JWKS_ERROR_SIZE];
    char *const keys[4] = {
        forge_jwk(forge.rsa, ",\"kid\":\"a\""),
        forge_jwk(forge.other_rsa, ",\"kid\":\"b\""),
    };
    struct jwks *set = parse_keys(keys, error);

    ck_assert_msg(set != NULL, "%s", error);
    ck_assert_ptr_null(jwks_find(set, bytes_of(""), TOKEN_RS256));
    ck_assert_ptr_nonnull(jwks_find(set, bytes_of("b"), TOKEN_RS256));
    jwks_unref(set);
}
END_TEST

START_TEST(has_a_most_of_keys)
{
    char error[JWKS_ERROR_SIZE];
    char *text = strdup("{\"keys\":[");
    for (int i = 0; i <= JWKS_KEYS_MAX; i++) {
        char *whole = NULL;
        char more[32];
        (void)snprintf(more, sizeof(more), ",\"kid\":\"k%d\"", i);
        char *key = forge_jwk(forge.ec[0], more);
        char *longer = NULL;
        ck_assert_int_gt(asprintf(&longer, "%s%s%s", text, i == 0 ? "" : ",", key), 0);
        free(key);
        free(text);
        text = longer;
        ck_assert_int_gt(asprintf(&whole, "%s]}", text), 0);
        struct jwks *set = i < JWKS_KEYS_MAX - 1 ? NULL : parse(whole, error);
        ck_assert((set != NULL) == (i == JWKS_KEYS_MAX - 1));
        jwks_unref(set);
        free(whole);
    }
    ck_assert_str_eq(error, "it has more than 64 keys");
    free(text);
}
END_TEST

static const struct {
    const char *url;
    bool may;
} addresses[] = {
    {"https://idp.example/.well-known/jwks.json", true},
    {"https://idp.example:8443/a?b=c", true},
    {"HTTPS://idp.example/", true},
    {"http://127.0.0.1:8080/jwks", true},
    {"http://127.8.0.1/jwks", true},
    {"http://[::1]:8080/jwks", true},
    {"http://localhost/jwks", true},
    {"http://idp.example/jwks", false},
    {"http://127.0.0.1.evil.example/", false},
    {"http://localhost.evil.example/", false},
    {"http://localhost@evil.example/", false},
    {"http://169.254.169.254/latest/", false},
    {"http://10.0.0.1/", false},
    {"http://[::2]/", false},
    {"https://user:pass@idp.example/", false},
    {"https://", false},
    {"idp.example", false},
    {"", false},
    {"ftp://127.0.0.1/", false},
    {"file:///etc/passwd", false},
    {"https://a b/", false},
};

START_TEST(judges_addresses)
{
    ck_assert_msg(jwks_fetch_may(addresses[_i].url) == addresses[_i].may, "%s", addresses[_i].url);
}
END_TEST

int main(void)
{
    TCase *group = tcase_create("jwks");
    tcase_add_unchecked_fixture(group, make_keys, forget_keys);
    tcase_add_loop_test(group, refuses_documents, 0, (int)COUNT_OF(documents));
    tcase_add_loop_test(group, leaves_keys_out, 0, (int)COUNT_OF(members));
    tcase_add_test(group, finds_keys);
    tcase_add_test(group, does_not_guess);
    tcase_add_test(group, has_a_most_of_keys);
    tcase_add_loop_test(group, judges_addresses, 0, (int)COUNT_OF(addresses));
    Suite *suite = suite_create("server/jwks");
    suite_add_tcase(suite, group);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
