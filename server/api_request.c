/* SPDX-License-Identifier: Apache-2.0 */
#include "server/api_request.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "chat/hub.h"
#include "chat/hub_api.h"
#include "core/check.h"
#include "core/metrics.h"
#include "core/monotime.h"
#include "proto/api_result.h"
#include "server/api_order.h"
#include "server/reload_desk.h"
#include "server/site.h"

enum {
    NODE_SIZE_MAX = 1024, /* bytes: the result of `info` */
    FAULT_SIZE_MAX = 128, /* bytes: an error that names a member */
};

struct api_request *api_request_create(const struct api_request_options *options,
                                       struct conn_id conn)
{
    struct api_request *created = calloc(1, sizeof(*created));
    if (created != NULL) {
        created->options = options;
        created->conn = conn;
        api_body_init(&created->body, options->simd, options->body_bytes_max);
        api_answer_init(&created->answer, options->metrics, options->answer_bytes_max);
    }
    return created;
}

void api_request_destroy(struct api_request *request)
{
    if (request != NULL) {
        api_answer_deinit(&request->answer);
        api_body_deinit(&request->body);
        free(request);
    }
}

void api_request_begin(struct api_request *request, enum api_form form, enum api_method method)
{
    request->body.bytes_max = request->options->body_bytes_max; /* it may be another one now */
    api_body_begin(&request->body, form, method);
    api_answer_begin(&request->answer, form);
    request->has_command = false;
    request->is_alone = false;
    request->is_held = false;
    request->timed_line = UINT32_MAX;
}

bool api_request_is_full(const struct api_request *request)
{
    /* A command that waits views the body, which must not move. */
    return request->has_command || request->is_held ||
           api_answer_count(&request->answer) >= request->options->in_flight_max;
}

static bool is_stream(const struct api_request *request)
{
    return request->answer.form == API_FORM_STREAM;
}

/* -- questions --------------------------------------------------------------------------------- */

static void count_command(const struct api_request *request, enum api_method method)
{
    metrics_add(request->options->metrics,
                (enum metrics_id)(METRIC_API_COMMANDS_PUBLISH + (unsigned)method), 1);
}

/* A part that is answered already. */
static int answer_now(struct api_request *request, enum api_method method, enum api_part_kind kind,
                      enum codes_error error, struct bytes result)
{
    uint32_t part;
    const int expected = api_answer_expect(&request->answer, method, kind, &part);
    if (expected == 0) {
        api_answer_take(&request->answer, part, error, result);
    }
    return expected;
}

static int refuse(struct api_request *request, enum api_part_kind kind, enum codes_error error)
{
    return answer_now(request, request->command.method, kind, error, (struct bytes){NULL, 0});
}

static int publish(struct api_request *request, enum api_part_kind kind, struct bytes channel)
{
    struct hub_api_asker asker = {.conn = request->conn};
    const int expected =
        api_answer_expect(&request->answer, request->command.method, kind, &asker.part);
    if (expected == 0) {
        hub_api_publish(request->options->hub, asker, channel, &request->command.publish);
    }
    return expected;
}

static int bracket(struct api_request *request, enum api_part_kind kind)
{
    uint32_t part;
    return api_answer_expect(&request->answer, request->command.method, kind, &part);
}

/* The next channel of a broadcast; without any it is refused. */
static int broadcast(struct api_request *request)
{
    struct bytes channel = {NULL, 0};
    const bool is_first = !request->has_begun;
    if (is_first) {
        api_list_init(&request->channels, request->command.publish.channels);
    }
    const enum api_verdict verdict = api_list_next_text(&request->channels, &channel);

    request->has_command = verdict != API_END;
    if (is_first && verdict == API_END) {
        return refuse(request, API_PART_WHOLE, CODES_ERROR_BAD_REQUEST);
    }
    const int result = is_first ? bracket(request, API_PART_BEGIN) : 0;
    if (result != 0) {
        return result;
    }
    if (verdict == API_END) {
        return bracket(request, API_PART_END);
    }
    return verdict == API_OK ? publish(request, API_PART_ITEM, channel)
                             : refuse(request, API_PART_ITEM, CODES_ERROR_BAD_REQUEST);
}

static int tell_node(struct api_request *request)
{
    uint8_t text[NODE_SIZE_MAX];
    struct json_writer writer;
    json_writer_init(&writer, (struct span){text, sizeof(text)});
    site_write_node(request->options->site, &writer);
    CHECK(json_writer_fits(&writer));
    return answer_now(request, API_INFO, API_PART_WHOLE, CODES_ERROR_NONE,
                      json_writer_bytes(&writer));
}

static int ask_hub(struct api_request *request)
{
    struct hub_api_asker asker = {.conn = request->conn};
    const int expected =
        api_answer_expect(&request->answer, request->command.method, API_PART_WHOLE, &asker.part);
    if (expected == 0) {
        hub_api_ask(request->options->hub, asker, &request->command);
    }
    return expected;
}

static int reload(struct api_request *request)
{
    uint32_t part;
    const int expected =
        api_answer_expect(&request->answer, request->command.method, API_PART_WHOLE, &part);
    const enum codes_error error =
        expected != 0 ? CODES_ERROR_NONE
                      : reload_desk_ask(request->options->desk, request->conn, part);
    if (error != CODES_ERROR_NONE) {
        api_answer_take(&request->answer, part, error, (struct bytes){NULL, 0});
    }
    return expected;
}

/* What a command about a user says to every reactor. */
static int order(struct api_request *request)
{
    struct hub_api_asker asker = {.conn = request->conn};
    struct api_order order;
    /* Not time(2), which is some ms behind: what ends in a minute had 61 s left. */
    const time_t now = (time_t)(monotime_realtime_ms() / 1000);
    const enum codes_error error = api_order_make(&order, &request->command, now);
    if (error != CODES_ERROR_NONE) {
        return refuse(request, API_PART_WHOLE, error);
    }
    const int expected =
        api_answer_expect(&request->answer, request->command.method, API_PART_WHOLE, &asker.part);
    if (expected == 0) {
        hub_api_order(request->options->hub, asker, &order.order);
    }
    return expected;
}

/* Of the command that was read the next part. 0, or -ENOMEM. */
static int ask(struct api_request *request)
{
    const bool is_broadcast = request->command.method == API_BROADCAST;
    if (!request->has_begun) {
        count_command(request, request->command.method);
    }
    request->has_command = false;
    int result = -ENOMEM;

    switch (request->command.method) {
    case API_PUBLISH:
        result = publish(request, API_PART_WHOLE, request->command.publish.channel);
        break;
    case API_BROADCAST:
        result = broadcast(request);
        break;
    case API_PRESENCE:
    case API_PRESENCE_STATS:
    case API_HISTORY:
    case API_HISTORY_REMOVE:
    case API_CHANNELS:
        result = ask_hub(request);
        break;
    case API_SUBSCRIBE:
    case API_UNSUBSCRIBE:
    case API_DISCONNECT:
    case API_REFRESH:
    case API_BLOCK_USER:
    case API_UNBLOCK_USER:
    case API_REVOKE_TOKEN:
    case API_INVALIDATE_USER_TOKENS:
        result = order(request);
        break;
    case API_INFO:
        result = tell_node(request);
        break;
    case API_RELOAD:
        result = reload(request);
        break;
    case API_RPC:
        /* There is none: methods of one's own need somebody who has them. */
        result = refuse(request, API_PART_WHOLE, CODES_ERROR_METHOD_NOT_FOUND);
        break;
    }
    request->has_begun = is_broadcast && request->has_command;
    return result;
}

static int refuse_member(struct api_request *request, enum codes_error error)
{
    uint8_t text[FAULT_SIZE_MAX];
    struct json_writer writer;
    json_writer_init(&writer, (struct span){text, sizeof(text)});
    api_result_write_fault(&writer, error, request->command.fault);
    CHECK(json_writer_fits(&writer));
    return answer_now(request, request->command.method, API_PART_WHOLE, error,
                      json_writer_bytes(&writer));
}

/* What could not be read is answered; which method it was to be is not known of a batch. */
static int refuse_unread(struct api_request *request, enum api_verdict verdict)
{
    const enum codes_error error =
        verdict == API_NO_METHOD ? CODES_ERROR_METHOD_NOT_FOUND : CODES_ERROR_BAD_REQUEST;
    if (request->answer.form == API_FORM_BATCH && !request->body.has_list) {
        request->answer.form = API_FORM_ONE; /* it is no batch: one error is the answer */
    }
    request->command.method = request->body.method;
    return request->command.fault != NULL ? refuse_member(request, error)
                                          : refuse(request, API_PART_WHOLE, error);
}

/* Reads the next command, or answers what is none. False: there is none now. */
static bool find_command(struct api_request *request, int *result)
{
    request->command.fault = NULL;
    const enum api_verdict verdict = api_body_next(&request->body, &request->command);

    *result = 0;
    if (verdict == API_END) {
        return false;
    }
    request->has_command = verdict == API_OK;
    request->has_begun = false;
    if (verdict != API_OK) {
        *result = refuse_unread(request, verdict);
    }
    return true;
}

static bool is_publication(enum api_method method)
{
    return method == API_PUBLISH || method == API_BROADCAST;
}

/* May the command that was read be asked, beside what is not answered yet? */
static bool may_ask(struct api_request *request)
{
    if (request->has_begun || api_answer_count(&request->answer) == 0) {
        request->is_alone = is_stream(request) && !is_publication(request->command.method);
        return true;
    }
    const bool needs_silence = is_stream(request)
                                   ? request->is_alone || !is_publication(request->command.method)
                                   : !request->body.is_parallel;
    return !needs_silence;
}

static enum api_progress progress(const struct api_request *request)
{
    const bool is_done = request->body.nothing_follows && api_answer_count(&request->answer) == 0;
    return is_done ? API_IS_DONE : API_WAITS;
}

enum api_progress api_request_go_on(struct api_request *request)
{
    int result = 0;

    while (result == 0 && !request->answer.failed) {
        if (request->is_held ||
            api_answer_count(&request->answer) >= request->options->in_flight_max) {
            return API_WAITS;
        }
        if (!request->has_command) {
            if (!find_command(request, &result)) {
                return progress(request);
            }
            continue;
        }
        if (!may_ask(request)) {
            return API_WAITS;
        }
        if (!hub_is_ready(request->options->hub)) {
            return API_WAITS_HUB;
        }
        result = ask(request);
    }
    return API_HAS_FAILED;
}

bool api_request_take(struct api_request *request, uint32_t part, enum codes_error error,
                      struct bytes result)
{
    api_answer_take(&request->answer, part, error, result);
    return !request->is_held;
}

int api_request_break_off(struct api_request *request, enum codes_error error)
{
    api_body_stop(&request->body);
    request->command.method = request->body.method;
    return refuse(request, API_PART_WHOLE, error);
}
