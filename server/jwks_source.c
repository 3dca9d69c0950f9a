/* SPDX-License-Identifier: Apache-2.0 */
#include "server/jwks_source.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "chat/post.h"
#include "core/bus.h"
#include "core/check.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "net/tls_memory.h"
#include "server/config.h"
#include "server/jwks_fetch.h"

enum {
    POSTS_MAX = 64,
    FULL_MS = 10, /* how soon a set that found no room is posted again */
    ENDPOINT_COUNT = 2,
};

/* One address and what came from it. */
struct endpoint {
    const char *url; /* NULL: there is none for this kind */
    struct jwks_fetch *fetch;
    struct jwks *set;    /* the last one; NULL: none has come yet */
    uint64_t generation; /* of it */
    uint64_t fetched_ms; /* when that was */
    uint64_t due_ms;     /* when to fetch again */
    uint64_t retry_ms;   /* how long to wait after the next failure */
    bool has_failed;     /* the last fetch */
    uint16_t posted;     /* reactors that have the last set, from the first on */
    enum claims_kind kind;
};

struct jwks_source {
    struct jwks_source_options options;
    struct endpoint endpoints[ENDPOINT_COUNT];
    int wake_fd;
    bool is_exiting;
};

static const char *url_of(const struct config_client *config, enum claims_kind kind)
{
    if (kind == CLAIMS_CONNECTION) {
        return config->token.jwks_public_endpoint;
    }
    return config->subscription_token.enabled ? config->subscription_token.jwks_public_endpoint
                                              : NULL;
}

bool jwks_source_is_needed(const struct config_client *config)
{
    return url_of(config, CLAIMS_CONNECTION) != NULL || url_of(config, CLAIMS_SUBSCRIPTION) != NULL;
}

static bool init_endpoint(struct jwks_source *source, enum claims_kind kind)
{
    const struct jwks_source_options *options = &source->options;
    const struct config_token *config =
        kind == CLAIMS_CONNECTION ? &options->config->token : &options->config->subscription_token;
    struct endpoint *endpoint = &source->endpoints[kind];

    *endpoint = (struct endpoint){
        .url = url_of(options->config, kind),
        .retry_ms = JWKS_SOURCE_RETRY_MS,
        .posted = options->reactor_count,
        .kind = kind,
    };
    if (endpoint->url == NULL || options->fetch != NULL) {
        return true;
    }
    endpoint->fetch = jwks_fetch_create(endpoint->url, config->jwks_ca_file);
    return endpoint->fetch != NULL;
}

struct jwks_source *jwks_source_create(const struct jwks_source_options *options)
{
    struct jwks_source *source = calloc(1, sizeof(*source));
    if (source == NULL) {
        return NULL;
    }
    source->options = *options;
    source->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (source->wake_fd < 0 || !init_endpoint(source, CLAIMS_CONNECTION) ||
        !init_endpoint(source, CLAIMS_SUBSCRIPTION)) {
        jwks_source_destroy(source);
        return NULL;
    }
    return source;
}

void jwks_source_destroy(struct jwks_source *source)
{
    if (source == NULL) {
        return;
    }
    for (size_t i = 0; i < ENDPOINT_COUNT; i++) {
        jwks_fetch_destroy(source->endpoints[i].fetch);
        jwks_unref(source->endpoints[i].set);
    }
    if (source->wake_fd >= 0) {
        (void)close(source->wake_fd);
    }
    free(source);
}

void jwks_source_wake(void *context)
{
    const struct jwks_source *source = context;
    const uint64_t one = 1;
    /* Only a full counter refuses, and then it is readable already. */
    const ssize_t written = write(source->wake_fd, &one, sizeof(one));
    (void)written;
}

/* -- fetching ---------------------------------------------------------------------------------- */

/* A new set, or NULL and why not. */
static struct jwks *fetch_set(struct jwks_source *source, struct endpoint *endpoint,
                              char error[JWKS_ERROR_SIZE])
{
    const struct jwks_source_options *options = &source->options;
    struct span document;
    const bool has_come =
        options->fetch != NULL
            ? options->fetch(options->fetch_context, endpoint->kind, &document, error)
            : jwks_fetch_run(endpoint->fetch, &document, error);
    return has_come ? jwks_parse(document, endpoint->generation + 1, error) : NULL;
}

static void note(struct jwks_source *source, const struct endpoint *endpoint, const char *error)
{
    const struct log_field url = log_text("url", endpoint->url);

    if (error != NULL) {
        const struct log_field fields[] = {url, log_text("because", error)};
        metrics_add(source->options.metrics, METRIC_JWKS_FETCHES_FAILED, 1);
        log_write(source->options.log, LOG_WARN, "no key set", fields, 2);
        return;
    }
    const struct log_field fields[] = {url, log_uint("keys", jwks_count(endpoint->set))};
    metrics_add(source->options.metrics, METRIC_JWKS_FETCHES_OK, 1);
    log_write(source->options.log, LOG_INFO, "key set", fields, 2);
}

static void fetch(struct jwks_source *source, struct endpoint *endpoint, uint64_t now_ms)
{
    char error[JWKS_ERROR_SIZE] = "";
    struct jwks *set = fetch_set(source, endpoint, error);

    if (set == NULL) {
        endpoint->has_failed = true;
        endpoint->due_ms = now_ms + endpoint->retry_ms;
        endpoint->retry_ms *= 2;
        if (endpoint->retry_ms > JWKS_SOURCE_PAUSE_MS) {
            endpoint->retry_ms = JWKS_SOURCE_PAUSE_MS;
        }
        note(source, endpoint, error);
        return;
    }
    jwks_unref(endpoint->set);
    endpoint->set = set;
    endpoint->generation++;
    endpoint->fetched_ms = now_ms;
    endpoint->due_ms = now_ms + JWKS_SOURCE_REFRESH_MS;
    endpoint->retry_ms = JWKS_SOURCE_RETRY_MS;
    endpoint->has_failed = false;
    endpoint->posted = 0;
    note(source, endpoint, NULL);
}

/* -- posts ------------------------------------------------------------------------------------- */

/* Somebody's set of that generation has not the key that a token names. */
static void hear(struct jwks_source *source, const struct post_want_keys *want)
{
    CHECK(want->kind < ENDPOINT_COUNT);
    struct endpoint *endpoint = &source->endpoints[want->kind];
    const uint64_t soonest_ms = endpoint->fetched_ms + JWKS_SOURCE_PAUSE_MS;

    /* Who has an older one is about to get the last one; a retry has its own time. */
    if (endpoint->set != NULL && want->generation == endpoint->generation &&
        !endpoint->has_failed && endpoint->due_ms > soonest_ms) {
        endpoint->due_ms = soonest_ms;
    }
}

static void take_posts(struct jwks_source *source)
{
    const struct jwks_source_options *options = &source->options;
    struct bus_post posts[POSTS_MAX];
    size_t count;

    do {
        count = bus_take(options->bus, options->port, posts, POSTS_MAX);
        for (size_t i = 0; i < count; i++) {
            const struct post post = post_unpack(&posts[i]);
            CHECK(post.kind == POST_EXIT || post.kind == POST_WANT_KEYS);
            if (post.kind == POST_EXIT) {
                source->is_exiting = true;
            } else {
                hear(source, &post.want_keys);
            }
        }
    } while (count == POSTS_MAX);
}

/* The last set to those who have not got it. False: there was no room for somebody. */
static bool post_set(struct jwks_source *source, struct endpoint *endpoint)
{
    const struct jwks_source_options *options = &source->options;
    const struct post post = {
        .kind = POST_KEY_SET,
        .key_set = {.set = endpoint->set, .kind = (uint32_t)endpoint->kind},
    };
    const struct bus_post packed = post_pack(&post);

    while (endpoint->posted < options->reactor_count) {
        jwks_ref(endpoint->set);
        if (bus_tell(options->bus, options->port, endpoint->posted, &packed) != BUS_POSTED) {
            jwks_unref(endpoint->set);
            return false;
        }
        endpoint->posted++;
    }
    return true;
}

/* -- the loop ---------------------------------------------------------------------------------- */

uint64_t jwks_source_step(struct jwks_source *source, uint64_t now_ms)
{
    uint64_t wait_ms = JWKS_SOURCE_REFRESH_MS;

    take_posts(source);
    for (size_t i = 0; i < ENDPOINT_COUNT && !source->is_exiting; i++) {
        struct endpoint *endpoint = &source->endpoints[i];
        if (endpoint->url == NULL) {
            continue;
        }
        if (now_ms >= endpoint->due_ms) {
            fetch(source, endpoint, now_ms);
        }
        const bool has_room = post_set(source, endpoint);
        const uint64_t left_ms = endpoint->due_ms - now_ms;
        wait_ms = left_ms < wait_ms ? left_ms : wait_ms;
        wait_ms = !has_room && wait_ms > FULL_MS ? FULL_MS : wait_ms;
    }
    metrics_set(source->options.metrics, METRIC_MEMORY_TLS, tls_memory_taken());
    log_report_suppressed(source->options.log);
    bus_flush(source->options.bus, source->options.port);
    return wait_ms;
}

void jwks_source_run(void *context)
{
    struct jwks_source *source = context;
    struct bus *bus = source->options.bus;
    const size_t port = source->options.port;

    while (!source->is_exiting) {
        const uint64_t wait_ms = jwks_source_step(source, monotime_read() / MONOTIME_NS_PER_MS);
        if (!source->is_exiting && bus_may_sleep(bus, port)) {
            struct pollfd polled = {.fd = source->wake_fd, .events = POLLIN};
            (void)poll(&polled, 1, (int)wait_ms);
            bus_awake(bus, port);
            uint64_t count;
            const ssize_t size = read(source->wake_fd, &count, sizeof(count));
            (void)size;
        }
    }
}
