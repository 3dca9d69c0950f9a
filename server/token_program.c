/* SPDX-License-Identifier: Apache-2.0 */
#include "server/token_program.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/check.h"
#include "core/monotime.h"
#include "proto/base64.h"
#include "proto/json.h"
#include "proto/json_writer.h"
#include "proto/utf8.h"
#include "server/config.h"
#include "server/config_file.h"
#include "server/jwks.h"
#include "server/jwks_fetch.h"
#include "server/token.h"
#include "server/token_keys.h"

enum {
    EXIT_USAGE = 2,
    MS_PER_S = 1000,
    TTL_STANDARD_S = 3600,
    TTL_DIGITS_MAX = 9,
    KEY_FILE_SIZE_MAX = 16384, /* bytes */
    INFO_DEPTH_MAX = 16,
};

enum option_key {
    KEY_CONFIG = 'c',
    KEY_USER = 'u',
    KEY_CHANNEL = 0x100,
    KEY_TTL,
    KEY_INFO,
    KEY_PRIVATE_KEY,
    KEY_KID,
};

/* What the command line says, of either command. */
struct request {
    const char *config_file;
    const char *user;
    const char *channel;
    const char *info;
    const char *private_key;
    const char *kid;
    const char *token;
    uint32_t ttl_s;
};

struct world {
    struct config config;
    struct token_keys *keys;
};

static struct bytes bytes_of(const char *text)
{
    return (struct bytes){(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
}

static void complain(const char *what)
{
    (void)fprintf(stderr, "parleyd: %s\n", what);
}

static bool is_text(const char *text)
{
    struct utf8_state state = {0};
    return utf8_check(simd_choose(CPU_SIMD_SCALAR), &state, bytes_of(text)) == UTF8_VALID &&
           utf8_is_complete(state);
}

/* -- the configuration ------------------------------------------------------------------------- */

static void world_deinit(struct world *world)
{
    token_keys_unref(world->keys);
    config_destroy(&world->config);
}

static bool world_init(struct world *world, const char *file)
{
    char error[CONFIG_ERROR_SIZE] = "";

    if (config_load_file(file, &world->config, error, sizeof(error)) != 0) {
        complain(error);
        return false;
    }
    world->keys = token_keys_create(&world->config.client, error);
    if (world->keys == NULL) {
        complain(error);
        config_destroy(&world->config);
        return false;
    }
    return true;
}

/* -- gentoken ---------------------------------------------------------------------------------- */

static const struct argp_option generate_options[] = {
    {"config", KEY_CONFIG, "FILE", 0, "The configuration of the server that is to accept it", 0},
    {"user", KEY_USER, "USER", 0, "Whose it is; an empty one is anonymous", 0},
    {"channel", KEY_CHANNEL, "CHANNEL", 0, "Make it for a subscription to this channel", 0},
    {"ttl", KEY_TTL, "SECONDS", 0, "How long it is valid (3600)", 0},
    {"info", KEY_INFO, "JSON", 0, "What others are told of this user", 0},
    {"private-key", KEY_PRIVATE_KEY, "FILE", 0, "Sign with this RSA or ECDSA key (PEM)", 0},
    {"kid", KEY_KID, "NAME", 0, "What the key is called in the key set (JWKS)", 0},
    {0},
};

static const char generate_doc[] =
    "Prints a token for clients of a server with that configuration, signed with its HMAC secret "
    "or with the private key that is given.";

/* 1 to 999999999. */
static bool read_ttl(const char *text, uint32_t *ttl_s)
{
    const size_t size = strlen(text);
    if (size == 0 || size > TTL_DIGITS_MAX || strspn(text, "0123456789") != size) {
        return false;
    }
    *ttl_s = (uint32_t)strtoul(text, NULL, 10);
    return *ttl_s > 0;
}

static error_t take_generate(int key, char *value, struct argp_state *state)
{
    struct request *request = state->input;

    switch (key) {
    case KEY_CONFIG:
        request->config_file = value;
        return 0;
    case KEY_USER:
        request->user = value;
        break;
    case KEY_CHANNEL:
        request->channel = value;
        break;
    case KEY_TTL:
        if (!read_ttl(value, &request->ttl_s)) {
            argp_error(state, "--ttl: expected 1 to 999999999 seconds");
        }
        return 0;
    case KEY_INFO:
        request->info = value;
        if (json_validate(bytes_of(value), INFO_DEPTH_MAX) != JSON_OK) {
            argp_error(state, "--info: expected JSON");
        }
        break;
    case KEY_PRIVATE_KEY:
        request->private_key = value;
        return 0;
    case KEY_KID:
        request->kid = value;
        if (!token_key_name_is_good(bytes_of(value))) {
            argp_error(state, "--kid: expected at most 128 of A-Z a-z 0-9 . _ -");
        }
        return 0;
    case ARGP_KEY_END:
        if (request->config_file == NULL || request->user == NULL) {
            argp_error(state, "--config and --user are needed");
        }
        return 0;
    default: /* argp's own keys, which are not our enum */
        return ARGP_ERR_UNKNOWN;
    }
    if (!is_text(value)) {
        argp_error(state, "expected UTF-8 in all values");
    }
    return 0;
}

static void write_member(struct json_writer *writer, const char *name, const char *value)
{
    if (value != NULL) {
        json_writer_text(writer, ",\"");
        json_writer_text(writer, name);
        json_writer_text(writer, "\":");
        json_writer_string(writer, bytes_of(value));
    }
}

static void write_payload(struct json_writer *writer, const struct request *request,
                          const struct config_token *config)
{
    const uint64_t now_s = monotime_realtime_ms() / MS_PER_S;

    json_writer_text(writer, "{\"iat\":");
    json_writer_uint64(writer, now_s);
    json_writer_text(writer, ",\"exp\":");
    json_writer_uint64(writer, now_s + request->ttl_s);
    write_member(writer, "sub", request->user[0] == '\0' ? NULL : request->user);
    write_member(writer, "channel", request->channel);
    write_member(writer, "iss", config->issuer);
    write_member(writer, "aud", config->audience);
    if (request->info != NULL) {
        json_writer_text(writer, ",\"info\":");
        json_writer_raw(writer, bytes_of(request->info));
    }
    json_writer_text(writer, "}");
}

/* NULL, and a line was printed that says why. */
static struct token_key *load_private_key(const char *file)
{
    char error[TOKEN_KEY_ERROR_SIZE] = "";
    struct bytes text;

    const int result = config_file_read(file, KEY_FILE_SIZE_MAX, &text);
    if (result != 0) {
        (void)fprintf(stderr, "parleyd: --private-key: %s: cannot be read: %s\n", file,
                      strerrordesc_np(-result));
        return NULL;
    }
    struct token_key *key = token_key_from_private_pem(text, error);
    config_file_free(text);
    if (key == NULL) {
        (void)fprintf(stderr, "parleyd: --private-key: %s: %s\n", file, error);
    }
    return key;
}

static int sign(const struct token_key *key, const struct request *request,
                const struct config_token *config)
{
    uint8_t payload[TOKEN_SIZE_MAX];
    struct json_writer writer;
    char *token = NULL;

    json_writer_init(&writer, (struct span){payload, sizeof(payload)});
    write_payload(&writer, request, config);
    if (json_writer_fits(&writer)) {
        token =
            token_key_sign(key, token_key_standard(key), request->kid, json_writer_bytes(&writer));
    }
    if (token == NULL || strlen(token) > TOKEN_SIZE_MAX) {
        complain("no token could be made: it would have more than 4096 bytes");
        free(token);
        return EXIT_FAILURE;
    }
    (void)printf("%s\n", token);
    free(token);
    return EXIT_SUCCESS;
}

static int generate(const struct world *world, const struct request *request)
{
    const enum claims_kind kind =
        request->channel != NULL ? CLAIMS_SUBSCRIPTION : CLAIMS_CONNECTION;
    const struct config_token *const rules = token_keys_rules(world->keys, kind);

    if (request->private_key != NULL) {
        struct token_key *key = load_private_key(request->private_key);
        const int status = key == NULL ? EXIT_USAGE : sign(key, request, rules);
        token_key_destroy(key);
        return status;
    }
    const struct token_key *secret = token_keys_find(world->keys, kind, TOKEN_KEY_HMAC);
    if (secret == NULL) {
        complain("there is no HMAC secret in this configuration: sign with --private-key FILE");
        return EXIT_FAILURE;
    }
    return sign(secret, request, rules);
}

int token_program_generate(int argc, char **argv)
{
    const struct argp argp = {
        generate_options, take_generate, NULL, generate_doc, NULL, NULL, NULL};
    struct request request = {.ttl_s = TTL_STANDARD_S};
    struct world world;
    char name[] = "parleyd gentoken";

    argv[0] = name;
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &request) != 0 ||
        !world_init(&world, request.config_file)) {
        return EXIT_USAGE;
    }
    const int status = generate(&world, &request);
    world_deinit(&world);
    return status;
}

/* -- checktoken -------------------------------------------------------------------------------- */

static const struct argp_option check_options[] = {
    {"config", KEY_CONFIG, "FILE", 0, "The configuration of the server that is to accept it", 0},
    {0},
};

static const char check_doc[] =
    "Says whether a server with that configuration accepts this token, why not, and what is in "
    "it. TOKEN may be -: then it is read from standard input.";

static error_t take_check(int key, char *value, struct argp_state *state)
{
    struct request *request = state->input;

    switch (key) {
    case KEY_CONFIG:
        request->config_file = value;
        return 0;
    case ARGP_KEY_ARG:
        if (request->token != NULL) {
            argp_error(state, "expected one token");
        }
        request->token = value;
        return 0;
    case ARGP_KEY_END:
        if (request->config_file == NULL || request->token == NULL) {
            argp_error(state, "--config and a token are needed");
        }
        return 0;
    default: /* argp's own keys, which are not our enum */
        return ARGP_ERR_UNKNOWN;
    }
}

/* A part of the token, when it is JSON; what is no ASCII that can be printed becomes '?'. */
static void print_part(const char *label, struct bytes encoded)
{
    uint8_t text[TOKEN_SIZE_MAX];
    size_t size = 0;

    if (encoded.size > sizeof(text) || !base64_decode(BASE64_URL, encoded, text, &size) ||
        json_validate((struct bytes){text, size}, JSON_DEPTH_MAX) != JSON_OK) {
        return;
    }
    size = json_compact((struct span){text, size});
    for (size_t i = 0; i < size; i++) {
        text[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : (uint8_t)'?';
    }
    (void)printf("%-10s%.*s\n", label, (int)size, (const char *)text);
}

static void print_inside(struct bytes token)
{
    const uint8_t *const dot = memchr(token.data, '.', token.size);
    if (dot == NULL) {
        return;
    }
    const size_t header_size = (size_t)(dot - token.data);
    const struct bytes rest = {dot + 1, token.size - header_size - 1};
    const uint8_t *const end = memchr(rest.data, '.', rest.size);
    const size_t size = end == NULL ? rest.size : (size_t)(end - rest.data);
    print_part("header:", (struct bytes){token.data, header_size});
    print_part("claims:", (struct bytes){rest.data, size});
}

static uint64_t now_ms(void *context)
{
    (void)context;
    return monotime_realtime_ms();
}

/* The set that the section's endpoint has now. False, and a line was printed. */
static bool fetch_set(const struct world *world, enum claims_kind kind,
                      struct token_verifier *verifier)
{
    const struct config_token *const rules = token_keys_rules(world->keys, kind);
    char error[JWKS_ERROR_SIZE] = "out of memory";
    struct jwks *set = NULL;
    struct span document;

    if (rules->jwks_public_endpoint == NULL || token_keys_section(world->keys, kind) != kind) {
        return true;
    }
    struct jwks_fetch *fetch = jwks_fetch_create(rules->jwks_public_endpoint, rules->jwks_ca_file);
    if (fetch != NULL && jwks_fetch_run(fetch, &document, error)) {
        set = jwks_parse(document, 1, error);
    }
    jwks_fetch_destroy(fetch);
    if (set == NULL) {
        (void)fprintf(stderr, "parleyd: %s: no key set: %s\n", rules->jwks_public_endpoint, error);
        return false;
    }
    token_verifier_renew_set(verifier, kind, set);
    return true;
}

/* As what it is meant, so that the answer is the one that matters: by which it gets further. */
static int judge(struct token_verifier *verifier, struct bytes token)
{
    struct claims claims;
    enum claims_kind kind = CLAIMS_CONNECTION;
    enum token_reason reason = token_verify(verifier, kind, token, &claims);
    const char *why = token_verifier_why(verifier);
    if (reason != TOKEN_GOOD) {
        const enum token_reason other = token_verify(verifier, CLAIMS_SUBSCRIPTION, token, &claims);
        if (other != TOKEN_WRONG_KIND && (other == TOKEN_GOOD || other > reason)) {
            kind = CLAIMS_SUBSCRIPTION;
            reason = other;
            why = token_verifier_why(verifier);
        }
    }
    (void)printf("%-10s%s\n", "verdict:", reason == TOKEN_GOOD ? "valid" : "refused");
    if (reason == TOKEN_GOOD) {
        (void)printf("%-10s%s\n",
                     "for:", kind == CLAIMS_CONNECTION ? "a connection" : "a subscription");
        if (claims.expires) {
            (void)printf("%-10sin %u s\n", "expires:", claims.ttl_s);
        } else {
            (void)printf("%-10snever\n", "expires:");
        }
    } else {
        (void)printf("%-10s%s\n%-10s%s\n", "reason:", token_reason_name(reason), "why:", why);
    }
    print_inside(token);
    return reason == TOKEN_GOOD ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int check(const struct world *world, struct bytes token)
{
    const struct token_verifier_options options = {
        .keys = world->keys,
        .now_ms = now_ms,
    };
    struct token_verifier *verifier = token_verifier_create(&options);
    int status = EXIT_FAILURE;

    if (verifier == NULL) {
        complain("out of memory");
    } else if (fetch_set(world, CLAIMS_CONNECTION, verifier) &&
               fetch_set(world, CLAIMS_SUBSCRIPTION, verifier)) {
        status = judge(verifier, token);
    }
    token_verifier_destroy(verifier);
    return status;
}

/* The first line of standard input; longer than a token may be is told by its size. */
static struct bytes read_token(char *line, size_t size)
{
    const size_t got = fread(line, 1, size, stdin);
    const uint8_t *const end = got == 0 ? NULL : memchr(line, '\n', got);
    return (struct bytes){(const uint8_t *)line,
                          end == NULL ? got : (size_t)(end - (const uint8_t *)line)};
}

int token_program_check(int argc, char **argv)
{
    const struct argp argp = {check_options, take_check, "TOKEN", check_doc, NULL, NULL, NULL};
    struct request request = {0};
    struct world world;
    char line[TOKEN_SIZE_MAX + 2];
    char name[] = "parleyd checktoken";

    argv[0] = name;
    argp_err_exit_status = EXIT_USAGE;
    if (argp_parse(&argp, argc, argv, 0, NULL, &request) != 0 ||
        !world_init(&world, request.config_file)) {
        return EXIT_USAGE;
    }
    const bool from_input = strcmp(request.token, "-") == 0;
    const struct bytes token =
        from_input ? read_token(line, sizeof(line)) : bytes_of(request.token);
    const int status = check(&world, token);
    world_deinit(&world);
    return status;
}
