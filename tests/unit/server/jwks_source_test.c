/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where key sets come from: two verifiers as reactors, the source and a document of the test in the
 * place of an endpoint, all on one thread and with a clock that the test sets. How often it is
 * fetched is counted, under any tokens; and what the verifiers say meanwhile.
 */
#include "server/jwks_source.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "chat/post.h"
#include "core/bus.h"
#include "core/metrics.h"
#include "server/config.h"
#include "server/token.h"
#include "server/token_keys.h"
#include "tests/unit/server/token_forge.h"

enum { REACTORS = 2, CONTROL = REACTORS, SOURCE = REACTORS + 1, PORTS };

#define PAYLOAD "{\"sub\":\"42\"}"

struct world {
    struct config config;
    struct token_keys *keys;
    struct token_verifier *verifiers[REACTORS];
    struct jwks_source *source;
    struct bus *bus;
    struct metrics *metrics;
    uint64_t now_ms;
    char *document;   /* what the endpoint has; NULL: it fails */
    char *working;    /* a copy, which is changed in place */
    unsigned fetched; /* times, also in vain */
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
    (void)context;
    return UINT64_C(1800000000000);
}

static bool fetch(void *context, enum claims_kind kind, struct span *document, char *error)
{
    struct world *world = context;

    ck_assert_int_eq(kind, CLAIMS_CONNECTION);
    world->fetched++;
    if (world->document == NULL) {
        (void)strcpy(error, "it is not there");
        return false;
    }
    free(world->working);
    world->working = strdup(world->document);
    *document = (struct span){(uint8_t *)world->working, strlen(world->working)};
    return true;
}

/* The endpoint has this one key from now on. */
static void publish(struct world *world, EVP_PKEY *key, const char *more)
{
    char *jwk = forge_jwk(key, more);
    free(world->document);
    ck_assert_int_gt(asprintf(&world->document, "{\"keys\":[%s]}", jwk), 0);
    free(jwk);
}

static void world_init(struct world *world)
{
    static const char text[] =
        "client: {token: {jwks_public_endpoint: \"https://idp.example/jwks\"}}";
    char error[CONFIG_ERROR_SIZE] = "";

    *world = (struct world){.now_ms = 1000000};
    ck_assert_msg(config_load_memory("t", (struct bytes){(const uint8_t *)text, sizeof(text) - 1},
                                     &world->config, error, sizeof(error)) == 0,
                  "%s", error);
    world->keys = token_keys_create(&world->config.client, error);
    world->bus = bus_create(PORTS, 64, 16);
    world->metrics = aligned_alloc(_Alignof(struct metrics), sizeof(struct metrics));
    ck_assert_ptr_nonnull(world->metrics);
    memset(world->metrics, 0, sizeof(*world->metrics));
    for (uint16_t i = 0; i < REACTORS; i++) {
        const struct token_verifier_options options = {
            .keys = world->keys,
            .now_ms = read_now,
            .bus = world->bus,
            .port = i,
            .source_port = SOURCE,
        };
        world->verifiers[i] = token_verifier_create(&options);
        ck_assert_ptr_nonnull(world->verifiers[i]);
    }
    const struct jwks_source_options options = {
        .config = &world->config.client,
        .bus = world->bus,
        .port = SOURCE,
        .reactor_count = REACTORS,
        .metrics = world->metrics,
        .fetch = fetch,
        .fetch_context = world,
    };
    ck_assert(jwks_source_is_needed(&world->config.client));
    world->source = jwks_source_create(&options);
    ck_assert_ptr_nonnull(world->source);
}

/* What a shard does with its posts. */
static void take_posts(struct world *world, size_t reactor)
{
    struct bus_post packed;

    bus_flush(world->bus, reactor);
    while (bus_take(world->bus, reactor, &packed, 1) == 1) {
        const struct post post = post_unpack(&packed);
        ck_assert_int_eq(post.kind, POST_KEY_SET);
        token_verifier_renew_set(world->verifiers[reactor], (enum claims_kind)post.key_set.kind,
                                 post.key_set.set);
    }
}

/* Time goes on by so much, and everybody has a turn. Returns how long the source would sleep. */
static uint64_t go_on(struct world *world, uint64_t ms)
{
    world->now_ms += ms;
    take_posts(world, 0);
    take_posts(world, 1);
    const uint64_t wait_ms = jwks_source_step(world->source, world->now_ms);
    take_posts(world, 0);
    take_posts(world, 1);
    return wait_ms;
}

static void world_deinit(struct world *world)
{
    take_posts(world, 0);
    take_posts(world, 1);
    jwks_source_destroy(world->source);
    for (int i = 0; i < REACTORS; i++) {
        token_verifier_destroy(world->verifiers[i]);
    }
    token_keys_unref(world->keys);
    config_destroy(&world->config);
    bus_destroy(world->bus);
    free(world->metrics);
    free(world->document);
    free(world->working);
}

/* A token signed with `key`, under that name. */
static char *make_token(EVP_PKEY *key, const char *kid)
{
    char header[128];
    (void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
    return forge_ecdsa(header, PAYLOAD, key, 256, 64);
}

static enum token_reason check(struct world *world, int reactor, const char *token)
{
    struct claims claims;
    return token_verify(world->verifiers[reactor], CLAIMS_CONNECTION,
                        (struct bytes){(const uint8_t *)token, strlen(token)}, &claims);
}

static enum token_reason try(struct world *world, int reactor, EVP_PKEY *key, const char *kid)
{
    char *token = make_token(key, kid);
    const enum token_reason reason = check(world, reactor, token);
    free(token);
    return reason;
}

START_TEST(reaches_every_reactor)
{
    struct world world;

    world_init(&world);
    publish(&world, forge.ec[0], ",\"kid\":\"a\"");
    char *token = make_token(forge.ec[0], "a");
    const struct claims_verifier *seam = token_verifier_seam(world.verifiers[0]);
    struct claims claims;
    ck_assert_int_eq(seam->verify(seam->context, CLAIMS_CONNECTION,
                                  (struct bytes){(const uint8_t *)token, strlen(token)}, &claims),
                     CLAIMS_UNAVAILABLE);
    ck_assert_uint_eq(go_on(&world, 0), JWKS_SOURCE_REFRESH_MS);
    ck_assert_int_eq(check(&world, 0, token), TOKEN_GOOD);
    ck_assert_int_eq(check(&world, 1, token), TOKEN_GOOD);
    ck_assert_int_eq(check(&world, 0, "a.b"), TOKEN_MALFORMED);
    ck_assert_int_eq(try(&world, 0, forge.other_ec, "a"), TOKEN_BAD_SIGNATURE);
    ck_assert_uint_eq(world.fetched, 1);
    ck_assert_uint_eq(metrics_read(world.metrics, METRIC_JWKS_FETCHES_OK), 1);
    free(token);
    world_deinit(&world);
}
END_TEST

/* A public key is no secret, and a set has none. */
START_TEST(has_no_secrets)
{
    struct world world;
    char *pem = forge_public_pem(forge.ec[0]);

    world_init(&world);
    publish(&world, forge.ec[0], ",\"kid\":\"a\"");
    (void)go_on(&world, 0);
    char *token = forge_hmac("{\"alg\":\"HS256\",\"kid\":\"a\"}", PAYLOAD, 256, pem, strlen(pem));
    ck_assert_int_eq(check(&world, 0, token), TOKEN_BAD_ALGORITHM);
    free(token);
    free(pem);
    world_deinit(&world);
}
END_TEST

/* The key of a token is newer than our set: not yet, and a minute after the last fetch it is. */
START_TEST(follows_a_rotation)
{
    struct world world;

    world_init(&world);
    publish(&world, forge.ec[0], ",\"kid\":\"a\"");
    (void)go_on(&world, 0);
    publish(&world, forge.other_ec, ",\"kid\":\"b\"");
    ck_assert_int_eq(try(&world, 1, forge.other_ec, "b"), TOKEN_UNAVAILABLE);
    ck_assert_uint_eq(go_on(&world, 1000), JWKS_SOURCE_PAUSE_MS - 1000);
    ck_assert_int_eq(try(&world, 1, forge.other_ec, "b"), TOKEN_UNAVAILABLE);
    (void)go_on(&world, JWKS_SOURCE_PAUSE_MS - 1001);
    ck_assert_uint_eq(world.fetched, 1);
    (void)go_on(&world, 1);
    ck_assert_uint_eq(world.fetched, 2);
    ck_assert_int_eq(try(&world, 1, forge.other_ec, "b"), TOKEN_GOOD);
    ck_assert_int_eq(try(&world, 0, forge.other_ec, "b"), TOKEN_GOOD);
    /* And the old one was taken back. */
    ck_assert_int_eq(try(&world, 0, forge.ec[0], "a"), TOKEN_UNAVAILABLE);
    world_deinit(&world);
}
END_TEST

/* Once asked for, a name that the next set has not either is unknown, and nobody asks again. */
START_TEST(remembers_what_is_missing)
{
    struct world world;

    world_init(&world);
    publish(&world, forge.ec[0], ",\"kid\":\"a\"");
    (void)go_on(&world, 0);
    ck_assert_int_eq(try(&world, 0, forge.other_ec, "zzz"), TOKEN_UNAVAILABLE);
    (void)go_on(&world, JWKS_SOURCE_PAUSE_MS);
    ck_assert_uint_eq(world.fetched, 2);
    for (int i = 0; i < 500; i++) {
        ck_assert_int_eq(try(&world, 0, forge.other_ec, "zzz"), TOKEN_UNKNOWN_KEY);
        (void)go_on(&world, 1000);
    }
    ck_assert_uint_eq(world.fetched, 2);
    /* It comes with the set that is fetched anyhow. */
    publish(&world, forge.other_ec, ",\"kid\":\"zzz\"");
    (void)go_on(&world, JWKS_SOURCE_REFRESH_MS);
    ck_assert_int_eq(try(&world, 0, forge.other_ec, "zzz"), TOKEN_GOOD);
    world_deinit(&world);
}
END_TEST

/* LIMITS.md row 54: 10,000 names that nobody has, in ten minutes, on both reactors. */
START_TEST(is_not_made_to_flood)
{
    struct world world;
    char kid[32];

    world_init(&world);
    publish(&world, forge.ec[0], ",\"kid\":\"a\"");
    (void)go_on(&world, 0);
    char *good = make_token(forge.ec[0], "a");
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(kid, sizeof(kid), "x%d", i);
        /* The signature does not matter: nobody has the key. */
        char header[128];
        (void)snprintf(header, sizeof(header), "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid);
        char *token = forge_join(forge_signed_part(header, PAYLOAD), kid, strlen(kid));
        const enum token_reason reason = check(&world, i % 2, token);
        ck_assert(reason == TOKEN_UNAVAILABLE || reason == TOKEN_UNKNOWN_KEY);
        free(token);
        if (i % 100 == 0) {
            ck_assert_int_eq(check(&world, 0, good), TOKEN_GOOD);
        }
        (void)go_on(&world, 60);
    }
    ck_assert_uint_ge(world.fetched, 2);
    ck_assert_uint_le(world.fetched, 11); /* at once, and then one a minute */
    free(good);
    world_deinit(&world);
}
END_TEST

/* While it fails the last set stays; it is tried again, less and less often. */
START_TEST(survives_failures)
{
    struct world world;

    world_init(&world);
    ck_assert_uint_eq(go_on(&world, 0), JWKS_SOURCE_RETRY_MS);
    ck_assert_int_eq(try(&world, 0, forge.ec[0], "a"), TOKEN_UNAVAILABLE);
    ck_assert_uint_eq(go_on(&world, JWKS_SOURCE_RETRY_MS), 2 * JWKS_SOURCE_RETRY_MS);
    ck_assert_uint_eq(go_on(&world, 10000), 20000);
    ck_assert_uint_eq(go_on(&world, 20000), 40000);
    ck_assert_uint_eq(go_on(&world, 40000), JWKS_SOURCE_PAUSE_MS);
    ck_assert_uint_eq(go_on(&world, 60000), JWKS_SOURCE_PAUSE_MS);
    ck_assert_uint_eq(metrics_read(world.metrics, METRIC_JWKS_FETCHES_FAILED), 6);
    publish(&world, forge.ec[0], ",\"kid\":\"a\"");
    (void)go_on(&world, JWKS_SOURCE_PAUSE_MS);
    ck_assert_int_eq(try(&world, 0, forge.ec[0], "a"), TOKEN_GOOD);

    free(world.document);
    world.document = strdup("{\"keys\":[]}");
    ck_assert_uint_eq(go_on(&world, JWKS_SOURCE_REFRESH_MS), JWKS_SOURCE_RETRY_MS);
    ck_assert_int_eq(try(&world, 0, forge.ec[0], "a"), TOKEN_GOOD);
    /* Who asks does not make it hurry. */
    ck_assert_int_eq(try(&world, 0, forge.ec[0], "b"), TOKEN_UNAVAILABLE);
    ck_assert_uint_eq(go_on(&world, 0), JWKS_SOURCE_RETRY_MS);
    world_deinit(&world);
}
END_TEST

/* A reactor whose ring is full gets its set when there is room. */
START_TEST(waits_for_room)
{
    struct world world;
    const struct post filler = {.kind = POST_OVERLOAD};
    const struct bus_post packed = post_pack(&filler);
    struct bus_post taken;
    int count = 0;

    world_init(&world);
    publish(&world, forge.ec[0], ",\"kid\":\"a\"");
    while (bus_tell(world.bus, SOURCE, 1, &packed) == BUS_POSTED) {
        count++;
    }
    bus_flush(world.bus, SOURCE);
    ck_assert_uint_le(jwks_source_step(world.source, world.now_ms), 10);
    take_posts(&world, 0);
    ck_assert_int_eq(try(&world, 0, forge.ec[0], "a"), TOKEN_GOOD);
    ck_assert_int_eq(try(&world, 1, forge.ec[0], "a"), TOKEN_UNAVAILABLE);
    while (count > 0) {
        count -= (int)bus_take(world.bus, 1, &taken, 1);
    }
    ck_assert_uint_gt(go_on(&world, 10), 10);
    ck_assert_int_eq(try(&world, 1, forge.ec[0], "a"), TOKEN_GOOD);
    ck_assert_uint_eq(world.fetched, 1);
    world_deinit(&world);
}
END_TEST

/* POST_EXIT ends the loop of the thread, also while nothing has come. */
START_TEST(ends)
{
    struct world world;
    const struct post post = {.kind = POST_EXIT};
    const struct bus_post packed = post_pack(&post);

    world_init(&world);
    ck_assert_int_eq(bus_tell(world.bus, CONTROL, SOURCE, &packed), BUS_POSTED);
    bus_flush(world.bus, CONTROL);
    jwks_source_run(world.source);
    ck_assert_uint_eq(world.fetched, 0);
    world_deinit(&world);
}
END_TEST

int main(void)
{
    TCase *group = tcase_create("jwks_source");
    tcase_add_unchecked_fixture(group, make_keys, forget_keys);
    tcase_add_test(group, reaches_every_reactor);
    tcase_add_test(group, has_no_secrets);
    tcase_add_test(group, follows_a_rotation);
    tcase_add_test(group, remembers_what_is_missing);
    tcase_add_test(group, is_not_made_to_flood);
    tcase_add_test(group, survives_failures);
    tcase_add_test(group, waits_for_room);
    tcase_add_test(group, ends);
    Suite *suite = suite_create("server/jwks_source");
    suite_add_tcase(suite, group);

    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
