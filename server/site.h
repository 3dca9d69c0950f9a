/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_SITE_H
#define SERVER_SITE_H
/*
 * What is at which path: the chat page on the public listener, /health, /ready and /metrics on the
 * internal one, and where WebSocket connections go. /health says that the process serves, and goes
 * on saying so while it drains: who restarts what is not healthy would cut everybody. /ready says
 * that clients may be sent here, because it can do everything it is configured for and will stay.
 *
 * Frozen after start but for the state, which each reactor's gateway passes in. ANY_THREAD.
 * Not here: reading requests and sending the answers (gateway.h).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/metrics.h"
#include "server/archive.h"
#include "server/process.h"

struct http_request;
struct json_writer;
struct metrics_namespaces;

/* What the metrics are made of: one per thread, named for the loop histograms. */
struct site {
    const struct metrics *const *metrics;
    const char *const *metric_names;
    size_t metric_count;
    const struct metrics_namespaces *namespaces; /* NULL: they are not told of */
    struct process process;
    const struct archive *archive; /* NULL: nothing is stored */
    const char *node_name;         /* what `info` of the server API calls this process */
    const char *node_uid;
    bool echo_enabled;
};

enum site_target {
    SITE_PAGE,      /* a body for GET and HEAD */
    SITE_CHAT,      /* wants an upgrade: the Centrifuge protocol */
    SITE_ECHO,      /* wants an upgrade: raw echo */
    SITE_API,       /* the server API: /api, and all below */
    SITE_NOT_FOUND, /* 404 */
};

/* `internal`: the request came in by the internal listener. */
NODISCARD enum site_target site_find(const struct site *site, struct bytes path, bool internal);

/* Of the reactor that is asked. */
enum site_state {
    SITE_SERVING = 0,
    SITE_OVERLOADED,
    SITE_DRAINING,
};

/* A whole answer, but for the Connection header, which is the gateway's. */
struct site_answer {
    unsigned status;
    const char *content_type;
    const char *extra;     /* header lines, or NULL */
    struct bytes body;     /* static, or in `allocated` */
    char *allocated;       /* free() it after use; NULL: nothing to free */
    enum metrics_id count; /* what to count it as */
};

/* For SITE_PAGE and SITE_NOT_FOUND, and for upgrades that were no upgrades (426). */
void site_answer(const struct site *site, const struct http_request *request, bool internal,
                 enum site_state state, struct site_answer *answer);

/* The result of `info`: proto/api_result.h. */
void site_write_node(const struct site *site, struct json_writer *writer);
/* What /ready says of the store, without a line's end. */
struct bytes site_store_text(enum archive_state state);

#endif /* SERVER_SITE_H */
