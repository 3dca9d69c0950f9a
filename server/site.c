/* SPDX-License-Identifier: Apache-2.0 */
#include "server/site.h"

#include "page_bytes.h"
#include "version.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/metrics_namespace.h"
#include "core/metrics_text.h"
#include "proto/api_result.h"
#include "proto/http.h"
#include "server/archive.h"

static const char page_headers[] =
    "Cache-Control: no-cache\r\n"
    "Content-Security-Policy: default-src 'self'; connect-src 'self' ws: wss:\r\n"
    "X-Content-Type-Options: nosniff\r\n";
static const char plain_text[] = "text/plain; charset=utf-8";
static const char metrics_type[] = "text/plain; version=0.0.4; charset=utf-8";

static bool path_is(struct bytes path, const char *expected)
{
    const size_t size = strlen(expected);
    return path.size == size && memcmp(path.data, expected, size) == 0;
}

static bool path_begins_with(struct bytes path, const char *prefix)
{
    const size_t size = strlen(prefix);
    return path.size >= size && memcmp(path.data, prefix, size) == 0;
}

static struct bytes text(const char *body)
{
    return (struct bytes){(const uint8_t *)body, strlen(body)};
}

static const struct page_file *find_page(struct bytes path)
{
    for (size_t i = 0; i < page_file_count; i++) {
        if (path_is(path, page_files[i].path)) {
            return &page_files[i];
        }
    }
    return NULL;
}

enum site_target site_find(const struct site *site, struct bytes path, bool internal)
{
    if (internal && (path_is(path, "/api") || path_begins_with(path, "/api/"))) {
        return SITE_API;
    }
    if (internal) {
        return path_is(path, "/health") || path_is(path, "/ready") || path_is(path, "/metrics")
                   ? SITE_PAGE
                   : SITE_NOT_FOUND;
    }
    if (path_is(path, "/connection/websocket")) {
        return SITE_CHAT;
    }
    if (site->echo_enabled && path_is(path, "/echo")) {
        return SITE_ECHO;
    }
    return find_page(path) != NULL ? SITE_PAGE : SITE_NOT_FOUND;
}

static void answer_text(struct site_answer *answer, unsigned status, const char *body,
                        enum metrics_id count)
{
    *answer = (struct site_answer){
        .status = status,
        .content_type = plain_text,
        .body = text(body),
        .count = count,
    };
}

static void answer_metrics(const struct site *site, struct site_answer *answer)
{
    struct metrics_text whole = {.data = NULL};

    metrics_render(site->metrics, site->metric_names, site->metric_count, &whole);
    if (site->namespaces != NULL) {
        metrics_namespace_render(site->namespaces, site->metrics, site->metric_count, &whole);
    }
    process_render(&site->process, &whole);
    if (whole.failed) {
        free(whole.data);
        answer_text(answer, 503, "no memory\n", METRIC_HTTP_METRICS);
        return;
    }
    *answer = (struct site_answer){
        .status = 200,
        .content_type = metrics_type,
        .body = {(const uint8_t *)whole.data, whole.size},
        .allocated = whole.data,
        .count = METRIC_HTTP_METRICS,
    };
}

/* By enum archive_state. */
static const char *const ready_texts[] = {
    [ARCHIVE_STARTING] = "the store is being opened\n",
    [ARCHIVE_READY] = "ready\n",
    [ARCHIVE_DOWN] = "the store is down\n",
    [ARCHIVE_FULL] = "the store has no space left\n",
    [ARCHIVE_UNREPAIRED] = "the store is damaged and could not be repaired\n",
    [ARCHIVE_SLOW] = "the store does not answer in time\n",
};

struct bytes site_store_text(enum archive_state state)
{
    struct bytes words = text(ready_texts[state]);
    words.size--; /* the line's end */
    return words;
}

static void answer_ready(const struct site *site, enum site_state state, struct site_answer *answer)
{
    const enum archive_state store =
        site->archive == NULL ? ARCHIVE_READY : archive_state(site->archive);
    const char *const words[] = {
        [SITE_SERVING] = ready_texts[store],
        [SITE_OVERLOADED] = "overloaded: memory is short\n",
        [SITE_DRAINING] = "draining\n",
    };
    const bool is_ready = state == SITE_SERVING && store == ARCHIVE_READY;

    answer_text(answer, is_ready ? 200 : 503, words[state], METRIC_HTTP_HEALTH);
}

static void answer_internal(const struct site *site, struct bytes path, enum site_state state,
                            struct site_answer *answer)
{
    if (path_is(path, "/metrics")) {
        answer_metrics(site, answer);
    } else if (path_is(path, "/health")) {
        answer_text(answer, 200, "ok\n", METRIC_HTTP_HEALTH);
    } else if (path_is(path, "/ready")) {
        answer_ready(site, state, answer);
    } else {
        answer_text(answer, 404, "not found\n", METRIC_HTTP_OTHER);
    }
}

void site_answer(const struct site *site, const struct http_request *request, bool internal,
                 enum site_state state, struct site_answer *answer)
{
    if (request->method != HTTP_GET && request->method != HTTP_HEAD) {
        answer_text(answer, 405, "GET and HEAD only\n", METRIC_HTTP_OTHER);
        answer->extra = "Allow: GET, HEAD\r\n";
        return;
    }
    if (internal) {
        answer_internal(site, request->path, state, answer);
        return;
    }
    const struct page_file *page = find_page(request->path);
    if (page != NULL) {
        *answer = (struct site_answer){
            .status = 200,
            .content_type = page->content_type,
            .extra = page_headers,
            .body = {page->data, page->size},
            .count = METRIC_HTTP_PAGE,
        };
        return;
    }
    const enum site_target target = site_find(site, request->path, internal);
    if (target == SITE_CHAT || target == SITE_ECHO) {
        answer_text(answer, 426, "this is a WebSocket endpoint\n", METRIC_HTTP_OTHER);
        answer->extra = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
        return;
    }
    answer_text(answer, 404, "not found\n", METRIC_HTTP_OTHER);
}

static uint64_t sum(const struct site *site, enum metrics_id id)
{
    uint64_t total = 0;
    for (size_t i = 0; i < site->metric_count; i++) {
        total += metrics_read(site->metrics[i], id);
    }
    return total;
}

void site_write_node(const struct site *site, struct json_writer *writer)
{
    const struct api_node node = {
        .uid = text(site->node_uid),
        .name = text(site->node_name),
        .version = text(PARLEY_VERSION),
        .client_count = sum(site, METRIC_SESSIONS),
        .user_count = sum(site, METRIC_USERS),
        .channel_count = sum(site, METRIC_CHANNELS),
        .subscription_count = sum(site, METRIC_SUBSCRIPTIONS),
        .uptime_s = (uint64_t)time(NULL) - site->process.started_s,
    };
    api_result_write_node(writer, &node);
}
