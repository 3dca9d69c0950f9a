/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_API_REQUEST_H
#define SERVER_API_REQUEST_H
/*
 * One request of a back end at a time: the commands in its body (api_body.h) become questions to
 * the hub, and what comes back becomes its answer (api_answer.h).
 *
 * Owner     a peer of the gateway, from the connection's first such request to its end. ON the
 *           reactor. Knows no sockets and no HTTP.
 * Order     the commands of a batch are asked one after the other, or with "parallel" together. Of
 *           a stream publications are asked together; what is no publication waits until all
 *           before it is answered, and what follows waits for it.
 * Full      in_flight_max parts without an answer, or the hub not ready: no more is asked, and
 *           api_request_is_full() says not to read on. See api_body.h and api_answer.h, too.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/annot.h"
#include "core/bytes.h"
#include "core/conn_id.h"
#include "proto/api.h"
#include "proto/http_body.h"
#include "server/api_answer.h"
#include "server/api_body.h"

struct hub;
struct reload_desk;
struct simd_ops;
struct site;

struct api_request_options {
    struct hub *hub;
    const struct simd_ops *simd;
    const struct site *site; /* what `info` says */
    struct reload_desk *desk;
    struct metrics *metrics;
    uint32_t body_bytes_max;
    uint32_t answer_bytes_max;
    uint32_t in_flight_max;
};

enum api_progress {
    API_WAITS = 0,  /* for answers, for more of the body, or to be released */
    API_WAITS_HUB,  /* the hub is not ready */
    API_IS_DONE,    /* everything is asked and answered */
    API_HAS_FAILED, /* no memory */
};

struct api_request {
    const struct api_request_options *options;
    struct conn_id conn;
    struct http_body_reader reader; /* the gateway's: where the body stands on the wire */
    struct api_body body;
    struct api_answer answer;
    struct api_list channels;   /* of a broadcast under way */
    struct api_command command; /* if has_command */
    bool has_command;           /* one was read, and is not all asked */
    bool has_begun;             /* a part of it was */
    bool is_alone;              /* the last command may have no company */
    bool is_held;               /* what was answered has not been read */
    uint32_t timed_line;        /* the gateway's: has a deadline already; UINT32_MAX: none */
};

/* NULL: no memory. The options are borrowed. */
NODISCARD struct api_request *api_request_create(const struct api_request_options *options,
                                                 struct conn_id conn);
void api_request_destroy(struct api_request *request); /* NULL: nothing */

/* A new one. `method` is API_METHOD_COUNT but for API_FORM_ONE. */
void api_request_begin(struct api_request *request, enum api_form form, enum api_method method);

/* Nothing is to be added to the body now. */
NODISCARD bool api_request_is_full(const struct api_request *request);

/* Asks what may be asked. */
NODISCARD enum api_progress api_request_go_on(struct api_request *request);

/* A part is answered. True: api_request_go_on() may get on. */
NODISCARD bool api_request_take(struct api_request *request, uint32_t part, enum codes_error error,
                                struct bytes result);

/* Stops the body, and it is answered that this is at fault. 0, or -ENOMEM. */
NODISCARD int api_request_break_off(struct api_request *request, enum codes_error error);

#endif /* SERVER_API_REQUEST_H */
