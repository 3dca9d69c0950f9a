/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a header, a newline and a payload, which are signed with the secret that the verifier has,
 * so that what reads claims is reached; without a newline, a token as it is. It is judged the same
 * twice, of either kind; what is accepted is JSON where it must be, and none of it is a newline.
 */
#include "server/token.h"

#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "proto/json.h"
#include "server/config.h"
#include "server/token_keys.h"
#include "tests/unit/server/token_forge.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config config;
static struct token_verifier *verifier;

static uint64_t read_now(void *context)
{
    (void)context;
    return UINT64_C(1800000000000);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const char text[] = "client: {token: {hmac_secret_key: " FORGE_SECRET "}}";
    char error[CONFIG_ERROR_SIZE];
    (void)argc;
    (void)argv;
    const int result =
        config_load_memory("fuzz", (struct bytes){(const uint8_t *)text, sizeof(text) - 1}, &config,
                           error, sizeof(error));
    CHECK(result == 0);
    const struct token_verifier_options options = {
        .keys = token_keys_create(&config.client, error),
        .now_ms = read_now,
    };
    CHECK(options.keys != NULL);
    verifier = token_verifier_create(&options);
    CHECK(verifier != NULL);
    return 0;
}

static void judge_json(struct bytes json)
{
    CHECK(json.size == 0 || json_validate(json, JSON_DEPTH_MAX) == JSON_OK);
    CHECK(json.size == 0 || memchr(json.data, '\n', json.size) == NULL);
}

static void judge(enum claims_kind kind, struct bytes token)
{
    struct claims claims;
    const enum token_reason reason = token_verify(verifier, kind, token, &claims);
    CHECK((reason == TOKEN_GOOD) == (token_verifier_why(verifier)[0] == '\0'));
    CHECK(token_verify(verifier, kind, token, &claims) == reason);
    if (reason != TOKEN_GOOD) {
        return;
    }
    CHECK((kind == CLAIMS_SUBSCRIPTION) == (claims.channel.size > 0));
    CHECK(claims.expires == (claims.ttl_s > 0));
    judge_json(claims.info);
    judge_json(claims.meta);
    for (size_t i = 0; i < claims.subscription_count; i++) {
        CHECK(claims.subscriptions[i].channel.size > 0);
        judge_json(claims.subscriptions[i].info);
        judge_json(claims.subscriptions[i].data);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = strndup((const char *)data, size);
    CHECK(text != NULL);
    char *newline = strchr(text, '\n');
    struct bytes token = {data, size};
    char *signed_token = NULL;
    if (newline != NULL) {
        *newline = '\0';
        signed_token = forge_hmac(text, newline + 1, 256, FORGE_SECRET, strlen(FORGE_SECRET));
        token = (struct bytes){(const uint8_t *)signed_token, strlen(signed_token)};
    }
    judge(CLAIMS_CONNECTION, token);
    judge(CLAIMS_SUBSCRIPTION, token);
    free(signed_token);
    free(text);
    return 0;
}
