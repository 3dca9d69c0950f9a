/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_JWKS_SOURCE_H
#define SERVER_JWKS_SOURCE_H
/*
 * Key sets from https, as a port of the bus: a thread that fetches, for libcurl blocks, and gives
 * each new set to every reactor.
 *
 * When      at once, then every JWKS_SOURCE_REFRESH_MS, so that a key that is taken back ends;
 *           sooner when a verifier met a key that its set has not, and that set is the last; but
 *           never within JWKS_SOURCE_PAUSE_MS of the last fetch that succeeded, whoever asks. After
 *           one that failed: JWKS_SOURCE_RETRY_MS, doubled each time up to the pause.
 * Failure   of a fetch: a line in the log, a metric, and the last set stays.
 * Full      a set that finds no room is posted later; a newer one takes its place.
 *
 * Owner     the control. jwks_source_run() is a thread of its own; everything else: who created
 *           it, before and after. In tests, one thread steps it with a clock of its own.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "chat/claims.h"
#include "core/annot.h"
#include "core/bytes.h"
#include "server/jwks.h"

struct bus;
struct config_client;
struct jwks_source; /* opaque */
struct log;
struct metrics;

enum {
    JWKS_SOURCE_PAUSE_MS = 60000,
    JWKS_SOURCE_REFRESH_MS = 600000,
    JWKS_SOURCE_RETRY_MS = 5000,
};

struct jwks_source_options {
    const struct config_client *config;
    struct bus *bus;
    uint16_t port;
    uint16_t reactor_count; /* their ports are 0 .. */
    struct metrics *metrics;
    struct log *log; /* NULL: none. Used on the source's thread. */

    /* In place of https, for tests: like jwks_fetch_run(). */
    bool (*fetch)(void *context, enum claims_kind kind, struct span *document, char *error);
    void *fetch_context;
};

/* Does the configuration name an endpoint at all? */
NODISCARD bool jwks_source_is_needed(const struct config_client *config);

/* NULL when memory is out. */
NODISCARD struct jwks_source *jwks_source_create(const struct jwks_source_options *options);

/* After jwks_source_run() has returned. NULL: nothing. */
void jwks_source_destroy(struct jwks_source *source);

/* The port's wake function: context is the source. */
void jwks_source_wake(void *source) ANY_THREAD;

/* The loop, for a thread of its own: until POST_EXIT. */
void jwks_source_run(void *source);

/* What is to be done at this time, without waiting; then how long nothing will be. */
NODISCARD uint64_t jwks_source_step(struct jwks_source *source, uint64_t now_ms);

#endif /* SERVER_JWKS_SOURCE_H */
